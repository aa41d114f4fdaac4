// Light curves that look like one of a source, with what their shapes are.

import { columns, hasFile, meta } from "./data.js";
import { h, put, svg } from "./dom.js";
import { number, plural } from "./format.js";
import { nearest } from "./nearest.js";
import { href } from "./site.js";

const FILE = "neighbours.parquet";
const MOST = 12;
const SHAPE = 24;
const NAMES = Array.from({ length: 32 }, (_, place) => `f${String(place).padStart(2, "0")}`);
/** A larger file is read when it is asked for. */
const UNASKED_BYTES = 8e6;
const [WIDE, HIGH] = [132, 48];

let read = null;

function numbersOfAll() {
  read ??= columns(FILE, ["region_num", "srcid", "detid", ...NAMES]);
  return read;
}

/** The panel, or nothing if the product has no such numbers. */
export async function similarPanel(detections, best) {
  if (!(await hasFile(FILE))) return null;
  const { bytes } = (await meta()).files[FILE];
  const which = h("select", { "aria-label": "Light curve to compare", onchange: () => show() },
    detections.map((one) => h("option", { value: one.detid, selected: one.detid === best }, `${one.e_lo}–${one.e_hi} keV, ${one.t_bin} s, ${one.obsid}`)));
  const list = h("ul", { class: "similar" });
  const words = h("p", { class: "quiet small", "aria-live": "polite" });

  async function show() {
    put(words, "Comparing …");
    const all = await numbersOfAll();
    const query = all.detid?.indexOf(which.value) ?? -1;
    if (query < 0) {
      put(list);
      put(words, "This light curve is not among those that are compared.");
      return;
    }
    const numbers = NAMES.map((name) => all[name]);
    const found = nearest(numbers, all.region_num, query, MOST);
    const item = (row, distance) => h("li", {},
      h("a", { href: href(`/source/${all.region_num[row]}`) }, plotOf(numbers, row), h("span", {}, all.srcid[row])),
      h("span", { class: "quiet small" }, distance === null ? "this light curve" : `distance ${number(distance, 3)}`));
    put(list, item(query, null), found.map(({ row, distance }) => item(row, distance)));
    put(words, found.length ? `The nearest of ${plural(all.detid.length, "light curve")} by shape around the event, duration, hardness, asymmetry and significance, one of each other source. Plots: counts above the expectation in five lengths of the event.` : "No other source has a light curve.");
  }

  const start = bytes > UNASKED_BYTES ? h("button", { type: "button", onclick: (event) => { event.target.remove(); show(); } }, `Compare (reads ${number(bytes / 1e6, 3)} MB)`) : null;
  if (!start) await show();
  return h("section", { class: "panel", "aria-label": "Similar light curves" }, h("div", { class: "bar" }, h("h2", {}, "Similar light curves"), which, start), list, words);
}

function plotOf(numbers, row) {
  const shape = numbers.slice(0, SHAPE).map((column) => column[row]);
  const [low, high] = [Math.min(0, ...shape), Math.max(0, ...shape)];
  const y = (value) => HIGH - 3 - ((value - low) / (high - low || 1)) * (HIGH - 6);
  const step = WIDE / SHAPE;
  const path = shape.map((value, place) => `${place ? "L" : "M"}${(place * step).toFixed(1)} ${y(value).toFixed(1)}H${((place + 1) * step).toFixed(1)}`).join("");
  return svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, width: WIDE, height: HIGH, "aria-hidden": "true" },
    svg("line", { x1: 0, x2: WIDE, y1: y(0), y2: y(0), class: "zero" }), svg("path", { d: path, class: "shape" }));
}
