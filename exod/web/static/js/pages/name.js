// A source by its name: shows the page of its number.

import { column } from "../data.js";
import { visit } from "../site.js";

export async function show(main, state, name) {
  const wanted = name.startsWith("EXOD") ? name : `EXOD ${name}`;
  const names = await column("sources.parquet", "srcid");
  const row = names.indexOf(wanted);
  if (row < 0) throw new Error(`There is no source ${wanted} in this archive.`);
  const numbers = await column("sources.parquet", "region_num");
  visit(`/source/${numbers[row]}`, null, true);
}
