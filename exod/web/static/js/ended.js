// Sources that are no more: their numbers are never used again, and addresses with them are kept.

import { hasFile, rowsWhere } from "./data.js";
import { h } from "./dom.js";
import { href } from "./site.js";

/** What became of sources with a number or a name, as their `key` tells, oldest first. */
export async function changesOf(key, value) {
  if (!(await hasFile("lineage.parquet"))) return [];
  const found = await rowsWhere("lineage.parquet", key, value);
  return found.sort((one, other) => Number(one.generation) - Number(other.generation));
}

/** Where a source went that is not there any more; an error if there never was one. */
export async function endOf(number) {
  const last = (await changesOf("region_num", number)).findLast(({ change }) => change === "merged" || change === "gone");
  if (!last) throw new Error(`There is no source ${number} in this archive.`);
  const other = last.change === "merged" && Number(last.other);
  return [
    h("h1", {}, last.srcid),
    h("p", { role: "alert" }, `Source ${number} is there no more since version ${Number(last.generation)} of the sources: `,
      other === false ? "no detection was left of it." : ["it merged with ", h("a", { href: href(`/source/${other}`) }, `source ${other}`), "."]),
  ];
}
