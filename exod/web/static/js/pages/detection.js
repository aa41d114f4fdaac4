// A detection: a region of one run, its light curve and all that was measured of it.

import { clockOf } from "../clock.js";
import { h, put } from "../dom.js";
import { hasFile, meta, rowsWhere } from "../data.js";
import { detectorPanel } from "../detectorplace.js";
import { cutoutOf, cutoutPanel } from "../finder.js";
import { flagsOf } from "../flags.js";
import { number, plural, text } from "../format.js";
import { curveOf, lightCurvePanel } from "../lightcurve.js";
import { pythonRows, sameElsewhere } from "../same.js";
import { href } from "../site.js";
import { steps } from "../stepping.js";
import { closed } from "../votes.js";

let panel = null;

/** The labels that `exod flags --verdicts` makes of votes. */
const VERDICTS = ["vet_real", "vet_artefact"];

/** Cells that are listed without being asked for. */
const FEW = 12;

export async function show(main, state, detid) {
  const { tables } = await meta();
  const found = (await rowsWhere("detections.parquet", "detid", detid))[0];
  if (!found) throw new Error(`There is no detection ${detid} in this archive.`);
  const frames = (await rowsWhere("lightcurves.parquet", "region_num", Number(found.region_num))).filter((row) => row.detid === detid);
  const [clock, cutout, cells, detector, beside] = await Promise.all([clockOf(found.obsid), cutoutOf(found), cellsOf(detid), detectorPanel([found], detid), steps("detections", detid, state)]);
  const { zero } = clock;
  panel = frames.length && lightCurvePanel({
    curve: curveOf(frames, zero), bin: found.t_bin, group: detid, clock, flags: flagsOf(tables.detections, found), title: `${found.e_lo}–${found.e_hi} keV, ${found.t_bin} s bins`,
    event: found.t_start === null ? null : [found.t_start - zero, found.t_stop - zero],
  });
  put(main,
    h("div", { class: "bar" }, h("h1", {}, found.detid), beside),
    h("p", {}, "Of source ", h("a", { href: href(`/source/${found.region_num}`) }, found.srcid), ", in observation ", h("a", { href: href(`/obs/${found.obsid}`) }, found.obsid), "."),
    h("div", { class: "source" },
      h("div", {}, panel ? panel.element : h("p", { role: "alert" }, "It has no light curve in this archive."), cellTable(cells, clock), columnTable(found, tables.detections.columns)),
      h("aside", {}, cutout && imageOf(cutout, found, cells), detector)),
    sameElsewhere({
      command: `exod query ARCHIVE --table detections --where "detid == '${found.detid}'"`,
      python: pythonRows("detections", "detid", found.detid),
      adql: `SELECT * FROM exod.detections WHERE detid = '${found.detid}'`,
    }));
}

/** All columns; who may vote does not see here what vetters think, but on the page of the source after the own vote. */
function columnTable(found, known) {
  const columns = closed() ? known : known.filter(({ name }) => !VERDICTS.includes(name));
  return [
    h("h2", {}, "Columns"),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Columns of the detection" },
      h("table", {}, h("tbody", {}, columns.map((column) => h("tr", {},
        h("th", { scope: "row" }, h("code", {}, column.name)), h("td", {}, text(found[column.name], column.unit)), h("td", {}, column.unit), h("td", { class: "quiet meaning" }, column.description)))))),
  ];
}

async function cellsOf(detid) {
  return (await hasFile("cells.parquet")) ? rowsWhere("cells.parquet", "detid", detid) : [];
}

/** The counts around it, with the box of the region and its significant cells. */
function imageOf(cutout, found, cells) {
  const places = new Map(cells.map(({ x, y }) => [`${x} ${y}`, [Number(x), Number(y)]]));
  const more = ` Box: the region; crosses: its ${plural(places.size, "cell")} that ${places.size === 1 ? "was" : "were"} significant in a frame.`;
  return cutoutPanel("Image and cells", cutout, { box: ["x_lo", "y_lo", "x_hi", "y_hi"].map((name) => Number(found[name])), cells: [...places.values()], more });
}

function cellTable(cells, clock) {
  if (!cells.length) return [];
  const heads = ["kind", "frame", clock.label, "row", "column", "counts", "expected", "log B"];
  const values = (cell) => [Number(cell.frame), number(cell.TIME_lo - clock.zero, 6), Number(cell.y), Number(cell.x), Number(cell.n), number(cell.mu, 3), number(cell.B_log, 3)];
  return h("details", { open: cells.length <= FEW }, h("summary", {}, plural(cells.length, "significant cell")),
    h("div", { class: "scroll values", tabindex: 0, role: "region", "aria-label": "Table of significant cells" },
      h("table", {}, h("thead", {}, h("tr", {}, heads.map((head, place) => h("th", { scope: "col", class: place ? "number" : null }, head)))),
        h("tbody", {}, cells.map((cell) => h("tr", {}, h("td", {}, cell.kind), values(cell).map((value) => h("td", { class: "number" }, String(value)))))))));
}

export function leave() {
  panel?.leave?.();
  panel = null;
}
