// A detection: a region of one run, its light curve and all that was measured of it.

import { clockOf } from "../clock.js";
import { h, put } from "../dom.js";
import { meta, rowsWhere } from "../data.js";
import { text } from "../format.js";
import { curveOf, lightCurvePanel } from "../lightcurve.js";
import { pythonRows, sameElsewhere } from "../same.js";
import { href } from "../site.js";

let panel = null;

export async function show(main, state, detid) {
  const { tables } = await meta();
  const found = (await rowsWhere("detections.parquet", "detid", detid))[0];
  if (!found) throw new Error(`There is no detection ${detid} in this archive.`);
  const frames = (await rowsWhere("lightcurves.parquet", "region_num", Number(found.region_num))).filter((row) => row.detid === detid);
  const clock = await clockOf(found.obsid);
  const { zero } = clock;
  panel = frames.length && lightCurvePanel({
    curve: curveOf(frames, zero), bin: found.t_bin, group: detid, clock, title: `${found.e_lo}–${found.e_hi} keV, ${found.t_bin} s bins`,
    event: found.t_start === null ? null : [found.t_start - zero, found.t_stop - zero],
  });
  put(main,
    h("h1", {}, found.detid),
    h("p", {}, "Of source ", h("a", { href: href(`/source/${found.region_num}`) }, found.srcid), ", in observation ", h("a", { href: href(`/obs/${found.obsid}`) }, found.obsid), "."),
    panel ? panel.element : h("p", { role: "alert" }, "It has no light curve in this archive."),
    h("h2", {}, "Columns"),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Columns of the detection" },
      h("table", {}, h("tbody", {}, tables.detections.columns.map((column) => h("tr", {},
        h("th", { scope: "row" }, h("code", {}, column.name)), h("td", {}, text(found[column.name], column.unit)), h("td", {}, column.unit), h("td", { class: "quiet" }, column.description)))))),
    sameElsewhere({
      command: `exod query ARCHIVE --table detections --where "detid == '${found.detid}'"`,
      python: pythonRows("detections", "detid", found.detid),
      adql: `SELECT * FROM exod.detections WHERE detid = '${found.detid}'`,
    }));
}

export function leave() {
  panel?.leave?.();
  panel = null;
}
