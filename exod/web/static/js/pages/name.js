// A source by its name, or one that it had: shows the page of its number.

import { column } from "../data.js";
import { changesOf } from "../ended.js";
import { visit } from "../site.js";

export async function show(main, state, name) {
  const wanted = name.startsWith("EXOD") ? name : `EXOD ${name}`;
  const names = await column("sources.parquet", "srcid");
  const row = names.indexOf(wanted);
  const number = row < 0 ? (await changesOf("srcid", wanted)).at(-1)?.region_num : (await column("sources.parquet", "region_num"))[row];
  if (number === undefined) throw new Error(`There is no source ${wanted} in this archive.`);
  visit(`/source/${number}`, null, true);
}
