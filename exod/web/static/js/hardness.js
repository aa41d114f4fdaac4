// Hardness before, during and after the event, from what the tables hold: counts in two bands, and light curves in both.

import { h } from "./dom.js";
import { number } from "./format.js";
import { ratioOf } from "./rebin.js";

const strength = (one) => Math.max(one.sigma_peak ?? 0, one.sigma_eclipse ?? 0);

/** The panel, or nothing if no detection of the source has counts in two bands. */
export function hardnessPanel(detections, frames) {
  const best = new Map();
  for (const one of [...detections].sort((a, b) => strength(b) - strength(a))) {
    if (!best.has(one.obsid) && linesOf(one, detections, frames).length) best.set(one.obsid, one);
  }
  if (!best.size) return null;
  const heads = ["", "soft counts", "hard counts", "hardness"];
  return h("section", { class: "panel", "aria-label": "Hardness" }, h("h2", {}, "Hardness before, during and after"),
    [...best.values()].map((one) => h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Hardness in observation ${one.obsid}` },
      h("table", { dataset: { chart: "hardness-tables" } }, h("caption", { class: "small quiet" }, `${one.obsid}: ${one.detid}`),
        h("thead", {}, h("tr", {}, heads.map((head, place) => h("th", { scope: "col", class: place ? "number" : null }, head)))),
        h("tbody", {}, linesOf(one, detections, frames).map(([name, soft, hard, ratio]) => h("tr", {}, h("th", { scope: "row" }, name), [soft, hard].map((n) => h("td", { class: "number" }, number(n, 3))), h("td", { class: "number" }, ratio))))))),
    h("p", { class: "quiet small" }, "(hard − soft) / (hard + soft). In the event it is that of the excess over the expectation, in other lines that of all counts in the box, background included. Before and after are known where the source was detected in a soft and a hard band with the same time bin."));
}

/** Lines [name, soft, hard, ratio in words] of a detection. */
function linesOf(one, detections, frames) {
  const lines = [];
  const { n_soft_event: soft, n_hard_event: hard } = one;
  if (Number.isFinite(one.hr_event)) lines.push(["event", soft, hard, withEnds(one.hr_event, one.hr_event_lo, one.hr_event_hi)]);
  const pair = bandsOf(one, detections);
  if (pair && Number.isFinite(one.t_start)) lines.push(...aroundEvent(one, pair, frames));
  if (Number.isFinite(one.n_soft) && Number.isFinite(one.n_hard)) {
    if (!pair && Number.isFinite(soft) && Number.isFinite(hard)) lines.push(counted("outside the event", Math.max(one.n_soft - soft, 0), Math.max(one.n_hard - hard, 0)));
    lines.push(["whole observation", one.n_soft, one.n_hard, withEnds(one.hr, one.hr_lo, one.hr_hi)]);
  }
  // In the order of time, and the whole last.
  const order = ["before", "event", "after"];
  return lines.sort((a, b) => (order.indexOf(a[0]) + 1 || 9) - (order.indexOf(b[0]) + 1 || 9));
}

const withEnds = (value, low, high) => (Number.isFinite(value) ? `${number(value, 3)} (${number(low, 2)} to ${number(high, 2)})` : "–");

function counted(name, soft, hard) {
  const { ratio, error } = ratioOf(soft, hard);
  return [name, soft, hard, Number.isFinite(ratio) ? `${number(ratio, 3)} ± ${number(error, 2)}` : "–"];
}

/** The detections of the same observation and time bin in a soft band and in a hard one above it; null without both. */
function bandsOf({ obsid, t_bin: bin }, detections) {
  const own = detections.filter((one) => one.obsid === obsid && one.t_bin === bin);
  for (const soft of own) {
    const hard = own.find((one) => one.e_lo >= soft.e_hi);
    if (hard) return [soft, hard];
  }
  return null;
}

function aroundEvent({ t_start: start, t_stop: stop, t_bin: bin }, pair, frames) {
  const sum = (detid, wanted) => frames.filter((row) => row.detid === detid && !row.bccd && wanted(row.time)).reduce((total, row) => total + row.n, 0);
  const parts = { before: (time) => time + bin <= start, after: (time) => time >= stop };
  return Object.entries(parts).map(([name, wanted]) => counted(name, ...pair.map(({ detid }) => sum(detid, wanted))));
}
