// Hardness before, during and after the event, as the features of a detection have it.

import { h } from "./dom.js";
import { number } from "./format.js";

/** The lines: what they are called, and the ends of the names of their columns, of counts and of ratios. */
const LINES = [
  ["before the event", "_before", "_before"], ["during the event", "_event", "_during"], ["after the event", "_after", "_after"],
  ["excess in the event", "_event", "_event"], ["whole observation", "", ""],
];

const strength = (one) => Math.max(one.sigma_peak ?? 0, one.sigma_eclipse ?? 0);

/** The panel: of each observation the strongest detection with counts in two bands; nothing if there is none. */
export function hardnessPanel(detections) {
  const best = new Map();
  for (const one of [...detections].sort((a, b) => strength(b) - strength(a))) {
    if (!best.has(one.obsid) && linesOf(one).length) best.set(one.obsid, one);
  }
  if (!best.size) return null;
  const heads = ["when", "soft counts", "hard counts", "hardness"];
  return h("section", { class: "panel", "aria-label": "Hardness" }, h("h2", {}, "Hardness before, during and after"),
    [...best.values()].map((one) => h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Hardness in observation ${one.obsid}` },
      h("table", { dataset: { chart: "hardness-tables" } }, h("caption", { class: "small quiet" }, one.detid),
        h("thead", {}, h("tr", {}, heads.map((head, place) => h("th", { scope: "col", class: place ? "number" : null }, head)))),
        h("tbody", {}, linesOf(one).map(([name, ...values]) => h("tr", {}, h("th", { scope: "row" }, name), values.map((value) => h("td", { class: "number" }, value)))))))),
    h("p", { class: "quiet small" }, "(hard − soft) / (hard + soft) with its 68.3 % interval: of the excess over the expectation in the event, and elsewhere of all counts in the box, background included."));
}

/** Lines [name, soft, hard, ratio in words] of a detection: those that are known. */
function linesOf(one) {
  return LINES.filter(([, , ratio]) => Number.isFinite(one[`hr${ratio}`])).map(([name, counts, ratio]) => [
    name, number(one[`n_soft${counts}`], 3), number(one[`n_hard${counts}`], 3),
    `${number(one[`hr${ratio}`], 3)} (${number(one[`hr${ratio}_lo`], 2)} to ${number(one[`hr${ratio}_hi`], 2)})`,
  ]);
}
