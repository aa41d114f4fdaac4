// The flags of a source or a detection, with what each of them is: a defect, a merit or a label.

import { h } from "./dom.js";

/**
 * The flags of a detection, or of the best one of a source, that are set; nothing if none is.
 *
 * `table` is what the site knows of that of detections, where the meanings begin with what they are.
 */
export function flagsOf(table, row) {
  const set = table.columns.filter(({ name }) => table.flags.includes(name) && row[name]);
  return set.map(({ name, description }, place) => {
    const kind = description.split(":")[0].toLowerCase();
    return [place > 0 && ", ", h("span", { class: kind === "defect" ? "flag" : null, title: description }, `${name.replace("filt_", "")} (${kind})`)];
  });
}
