// How significant sources were before and after a reprocessing: a plot, and those that changed most.

import { columns, hasFile } from "./data.js";
import { h, svg } from "./dom.js";
import { number, plural } from "./format.js";
import { href } from "./site.js";

const FILE = "significances.parquet";
const MOST = { dots: 2000, lines: 100 };
const SIDE = 320;
const EDGE = { left: 40, bottom: 34, rest: 8 };

/** The row of each source as it was at a generation. */
function rowsAtGeneration(rows, generation) {
  const found = new Map();
  // Rows are in order of source and generation.
  rows.region_num.forEach((source, row) => {
    if (Number(rows.generation[row]) <= generation) found.set(Number(source), row);
  });
  return found;
}

/**
 * The section for sources that both versions have; `from` and `to` are generations,
 * and `named(number)` is the name of a source, or null.
 */
export async function significanceSection(from, to, named) {
  const title = h("h2", {}, "Significance before and after");
  const section = (...content) => h("section", { "aria-label": "Significance before and after" }, title, content);
  if (!(await hasFile(FILE)) || from < 1) return null;
  const rows = await columns(FILE, ["region_num", "generation", "sigma_peak", "sigma_eclipse"]);
  if (!rows.region_num?.length) return null;
  const [before, now] = [from, to].map((generation) => rowsAtGeneration(rows, generation));
  if (!before.size) {
    const first = rows.generation.reduce((least, one) => Math.min(least, Number(one)), Infinity);
    return section(h("p", {}, `It is known from version ${first} on, when these pages were first prepared.`));
  }
  const strength = (row) => Math.max(rows.sigma_peak[row] ?? 0, rows.sigma_eclipse[row] ?? 0);
  const pairs = [];
  for (const [source, row] of now) {
    const name = named(source);
    if (name !== null && before.has(source)) pairs.push({ source, name, was: before.get(source), is: row, change: strength(row) - strength(before.get(source)) });
  }
  const changed = pairs.filter(({ was, is }) => was !== is).sort((one, other) => Math.abs(other.change) - Math.abs(one.change));
  const words = `${plural(pairs.length, "source")} of both versions, ${changed.length.toLocaleString("en")} with another significance: ${changed.filter(({ change }) => change > 0).length} stronger, ${changed.filter(({ change }) => change < 0).length} weaker.`;
  if (!changed.length) return section(h("p", {}, words));
  return section(h("p", {}, words), h("div", { class: "beside" }, plotOf(changed.slice(0, MOST.dots), strength, words), tableOf(changed, rows)));
}

function plotOf(changed, strength, words) {
  const most = Math.max(1, ...changed.flatMap(({ was, is }) => [strength(was), strength(is)])) * 1.05;
  const x = (value) => EDGE.left + (value / most) * (SIDE - EDGE.left - EDGE.rest);
  const y = (value) => SIDE - EDGE.bottom - (value / most) * (SIDE - EDGE.bottom - EDGE.rest);
  const step = [0.5, 1, 2, 5, 10, 20, 50].find((one) => most / one <= 6) ?? 100;
  const ticks = Array.from({ length: Math.floor(most / step) + 1 }, (_, place) => place * step);
  return h("figure", { class: "panel beforeafter" },
    svg("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img", "aria-label": `Significance after against before. ${words} The table has the numbers.` },
      ticks.map((value) => [svg("line", { x1: x(value), x2: x(value), y1: y(0), y2: y(most), class: "grid" }), svg("line", { x1: x(0), x2: x(most), y1: y(value), y2: y(value), class: "grid" }),
        svg("text", { x: x(value), y: y(0) + 14, "text-anchor": "middle" }, number(value)), svg("text", { x: x(0) - 5, y: y(value) + 4, "text-anchor": "end" }, number(value))]),
      svg("line", { x1: x(0), y1: y(0), x2: x(most), y2: y(most), class: "same" }),
      changed.map(({ was, is, name }) => svg("circle", { cx: x(strength(was)), cy: y(strength(is)), r: 3, class: "found" }, svg("title", {}, `${name}: ${number(strength(was), 3)} to ${number(strength(is), 3)}σ`))),
      svg("text", { x: x(most / 2), y: SIDE - 4, "text-anchor": "middle" }, "σ before"),
      svg("text", { x: 12, y: y(most / 2), "text-anchor": "middle", transform: `rotate(-90 12 ${y(most / 2)})` }, "σ after")),
    h("figcaption", { class: "small quiet" }, "The larger of peak and eclipse; dashed: as before."));
}

function tableOf(changed, rows) {
  const heads = ["Source", "Peak before", "after", "Eclipse before", "after", "Change"];
  const cells = ({ was, is, change }) => [rows.sigma_peak[was], rows.sigma_peak[is], rows.sigma_eclipse[was], rows.sigma_eclipse[is], change].map((value) => number(value, 3));
  return h("div", {},
    h("div", { class: "scroll values", tabindex: 0, role: "region", "aria-label": "Sources with another significance" },
      h("table", { dataset: { chart: "significances" } }, h("caption", { class: "hidden" }, "Significance in sigma before and after"),
        h("thead", {}, h("tr", {}, heads.map((head, place) => h("th", { scope: "col", class: place ? "number" : null }, head)))),
        h("tbody", {}, changed.slice(0, MOST.lines).map((one) => h("tr", {}, h("th", { scope: "row" }, h("a", { href: href(`/source/${one.source}`) }, one.name)), cells(one).map((text) => h("td", { class: "number" }, text))))))),
    changed.length > MOST.lines && h("p", { class: "small quiet" }, `The ${MOST.lines} that changed most; ${FILE} has all.`));
}
