// Where detections are on the detector, whatever the position angle, with its hot regions and the field around them.

import { allRows, hasFile } from "./data.js";
import { h, svg } from "./dom.js";
import { number, plural } from "./format.js";
import { linesOf, onDetector, outlineOf } from "./outline.js";
import { href } from "./site.js";

const FILE = "hot_regions.parquet";
/** Half the width of the plot, in arcmin. */
const REACH = 17;
const SIDE = 320;
const EDGE = 26;
/** Units of positions on the detector in an arcmin. */
const ARCMIN = 1200;

/** The panel of some detections, of which one is the best; nothing if no place is known. */
export async function detectorPanel(detections, best) {
  const placed = detections.filter(({ X_det: x, Y_det: y }) => Number.isFinite(x) && Number.isFinite(y));
  if (!placed.length) return null;
  const main = placed.find(({ detid }) => detid === best) ?? placed[0];
  const [outline, boxes] = await Promise.all([outlineOf(main.obsid, main.subset), hotRegions()]);
  const lines = outline ? linesOf(outline) : [];
  const bins = new Set(placed.map(({ t_bin: bin }) => bin));
  const own = boxes.filter(({ t_bin: bin }) => bin === null || Number.isNaN(bin) || bins.has(bin));
  const hot = placed.filter((one) => own.some((box) => isIn(one, box)));
  const words = `${plural(placed.length, "detection")} (the best one filled), ${own.length ? `${plural(own.length, "hot region")} of their time bins (hatched)` : "no hot region of their time bins"}${boxes.length > own.length ? ` of ${boxes.length} in all` : ""}; ${hot.length ? `${hot.length} in a hot region` : "none is in one"}.${lines.length ? ` Line: the field of ${main.obsid}.` : ""} Arcmin from the pointing.`;
  return h("section", { class: "panel detector", "aria-label": "On the detector" }, h("h2", {}, "On the detector"),
    plotOf(placed, main, own, lines, outline && onDetector(outline), words), h("p", { class: "quiet small" }, words),
    h("details", {}, h("summary", { class: "quiet small" }, "Values"), h("div", { class: "scroll values", tabindex: 0, role: "region", "aria-label": "Values on the detector" }, tableOf(placed, own))));
}

async function hotRegions() {
  if (!(await hasFile(FILE))) return [];
  return allRows(FILE, ["t_bin", "x_lo", "x_hi", "y_lo", "y_hi", "n_regions", "n_observations", "origin"]);
}

function isIn({ X_det: x, Y_det: y, t_bin: bin }, box) {
  return (box.t_bin === null || Number.isNaN(box.t_bin) || box.t_bin === bin) && x >= box.x_lo && x < box.x_hi && y >= box.y_lo && y < box.y_hi;
}

function plotOf(placed, main, boxes, lines, turn, words) {
  const middle = EDGE + (SIDE - EDGE) / 2;
  const scale = (SIDE - EDGE) / 2 / REACH / ARCMIN;
  const [x, y] = [(value) => middle + value * scale, (value) => SIDE - middle - value * scale];
  const ticks = [-15, -10, -5, 0, 5, 10, 15];
  const path = lines.map(([x0, y0, x1, y1]) => {
    const [from, to] = [turn(x0, y0), turn(x1, y1)];
    return `M${x(from[0]).toFixed(1)} ${y(from[1]).toFixed(1)}L${x(to[0]).toFixed(1)} ${y(to[1]).toFixed(1)}`;
  }).join("");
  return svg("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "group", "aria-label": `Places on the detector: ${words}` },
    svg("defs", {}, svg("pattern", { id: "hatched", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("line", { x1: 0, x2: 0, y1: 0, y2: 5, class: "hatch" }))),
    ticks.map((value) => [svg("line", { x1: x(value * ARCMIN), x2: x(value * ARCMIN), y1: 0, y2: SIDE - EDGE, class: "grid" }), svg("line", { x1: EDGE, x2: SIDE, y1: y(value * ARCMIN), y2: y(value * ARCMIN), class: "grid" }),
      svg("text", { x: x(value * ARCMIN), y: SIDE - EDGE + 13, "text-anchor": "middle" }, String(value)), svg("text", { x: EDGE - 4, y: y(value * ARCMIN) + 4, "text-anchor": "end" }, String(value))]),
    path && svg("path", { d: path, class: "outline" }),
    boxes.map((box) => svg("rect", { x: x(box.x_lo), y: y(box.y_hi), width: Math.max((box.x_hi - box.x_lo) * scale, 2), height: Math.max((box.y_hi - box.y_lo) * scale, 2), class: "hot" }, svg("title", {}, `Hot region, ${boxWords(box)}`))),
    [...placed.filter((one) => one !== main), main].map((one) => svg("a", { href: href(`/detection/${encodeURIComponent(one.detid)}`), "aria-label": one.detid }, svg("title", {}, one.detid),
      svg("circle", { cx: x(one.X_det), cy: y(one.Y_det), r: one === main ? 3.5 : 3, class: one === main ? "found" : "found open" }))));
}

const boxWords = (box) => `${box.t_bin === null || Number.isNaN(box.t_bin) ? "all time bins" : `${number(box.t_bin)} s`}: ${Number(box.n_regions)} regions in ${plural(Number(box.n_observations), "observation")}, ${box.origin}`;

function tableOf(placed, boxes) {
  const place = (value) => h("td", { class: "number" }, number(value / ARCMIN, 3));
  return h("table", {}, h("thead", {}, h("tr", {}, ["detection or hot region", "X (arcmin)", "Y (arcmin)"].map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, placed.map((one) => h("tr", {}, h("td", { class: "whole" }, one.detid), place(one.X_det), place(one.Y_det))),
      boxes.map((box) => h("tr", {}, h("td", {}, boxWords(box)), ...["x", "y"].map((axis) => h("td", { class: "number" }, `${number(box[`${axis}_lo`] / ARCMIN, 3)} to ${number(box[`${axis}_hi`] / ARCMIN, 3)}`))))));
}
