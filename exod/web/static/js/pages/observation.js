// An observation: exposures, runs, and the detections of it.

import { h, put } from "../dom.js";
import { meta, rowsWhere } from "../data.js";
import { plural, text } from "../format.js";
import { outside } from "../links.js";
import { pythonRows, sameElsewhere } from "../same.js";
import { searchedPanels } from "../searched.js";
import { href } from "../site.js";

const RUN = ["runid", "t_bin", "e_lo", "e_hi", "n_frames", "n_events", "n_bti", "n_bccd", "n_peak_cells", "n_eclipse_cells", "n_regions", "false_peaks", "n90", "seconds", "notes"];
const EXPOSURE = ["filename", "instrument", "expid", "submode", "filter", "used", "reason", "n_rows", "n_selected", "n_hot_pixels"];
const DETECTION = ["detid", "srcid", "ra_deg", "dec_deg", "kind", "t_bin", "sigma_peak", "sigma_eclipse", "duration", "t_start_utc"];

/** Rows of a table that is not cut. */
const MANY = 12;

export async function show(main, state, obsid) {
  const about = await meta();
  const read = (name) => rowsWhere(`${name}.parquet`, "obsid", obsid);
  const [[observation], exposures, runs, detections] = await Promise.all(["observations", "exposures", "runs", "detections"].map(read));
  if (!observation && !exposures.length) throw new Error(`These pages have nothing of observation ${obsid}; if it was searched since they were prepared, run exod explore again.`);
  const search = await searchedPanels(obsid, runs);
  const columns = new Map(about.tables.detections.columns.map((column) => [column.name, column]));
  const facts = Object.entries(observation ?? {}).filter(([name, value]) => !["obsid", "target"].includes(name) && value !== null);
  put(main,
    h("h1", {}, `Observation ${obsid}`, observation?.target ? `: ${observation.target}` : ""),
    h("div", { class: "source" },
      h("div", {},
        list("Detections", detections, DETECTION, columns, {
          detid: (row) => href(`/detection/${encodeURIComponent(row.detid)}`), srcid: (row) => href(`/source/${row.region_num}`),
        }),
        search.field, search.rates,
        list("Runs", runs, RUN, columns), list("Exposures", exposures, EXPOSURE, columns), search.hot,
        sameElsewhere({
          command: `exod query ARCHIVE --table detections --obsid ${obsid}`,
          python: pythonRows("detections", "obsid", obsid),
          adql: `SELECT * FROM exod.detections WHERE obsid = '${obsid}'`,
        })),
      h("aside", {},
        h("section", { class: "panel", "aria-label": "What is known" }, h("h2", {}, "What is known"),
          h("dl", {}, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, text(value, name.startsWith("ra") || name.startsWith("dec") ? "deg" : ""))])),
          h("p", {}, h("a", { href: href("/", { table: "detections", obsid }) }, "Its detections in the catalogue"))),
        search.outcome,
        observation && h("section", { class: "panel", "aria-label": "Elsewhere" }, h("h2", {}, "Elsewhere"),
          h("ul", { class: "links" }, outside(observation.ra_pnt, observation.dec_pnt, 900, obsid).map(([name, address]) =>
            h("li", {}, h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, name))))))));
}

function list(title, rows, names, columns, links = {}) {
  return h("section", { "aria-label": title }, h("h2", {}, plural(rows.length, title.slice(0, -1).toLowerCase())),
    rows.length > 0 && h("div", { class: rows.length > MANY ? "scroll values" : "scroll", tabindex: 0, role: "region", "aria-label": `Table of ${title.toLowerCase()}` },
      h("table", {}, h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col", title: columns.get(name)?.description }, name)))),
        h("tbody", {}, rows.map((row) => h("tr", {}, names.map((name) => {
          const value = text(row[name], columns.get(name)?.unit);
          const isNumber = rows.some((one) => ["number", "bigint"].includes(typeof one[name]));
          return h("td", { class: isNumber ? "number" : ["reason", "notes"].includes(name) ? null : "whole" }, links[name] ? h("a", { href: links[name](row) }, value) : value);
        })))))));
}
