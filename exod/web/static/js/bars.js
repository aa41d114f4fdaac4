// Bars of counts: one of several parts, or one a value; each is also told in words or a table.

import { h, svg } from "./dom.js";

/** Bars whose numbers are all shown at once. */
const FEW = 8;

/** One bar of parts [name, count, colour], with a key of the counts below it. */
export function stackedBar(parts, label) {
  const all = parts.reduce((sum, [, count]) => sum + count, 0) || 1;
  let start = 0;
  const boxes = parts.map(([, count, colour]) => {
    const width = (1000 * count) / all;
    const box = count > 0 && svg("rect", { x: start, y: 0, width, height: 20, style: { fill: colour, stroke: "var(--back)" } });
    start += width;
    return box;
  });
  const words = parts.map(([name, count]) => `${name}: ${count.toLocaleString("en")}`).join(", ");
  return h("figure", {},
    svg("svg", { viewBox: "0 0 1000 20", preserveAspectRatio: "none", class: "stacked", role: "img", "aria-label": `${label}. ${words}` }, boxes),
    h("figcaption", {}, parts.map(([name, count, colour]) => h("span", { class: "part" },
      h("span", { class: "key", style: { background: colour } }), ` ${name} `, h("strong", {}, count.toLocaleString("en"))))));
}

/** A bar a value: lines [name, count], and the same as a table when that is asked for. */
export function barChart(title, lines, heads, key = "") {
  const largest = Math.max(1, ...lines.map(([, count]) => count));
  const [width, height, gap] = [1000, 160, lines.length > 20 ? 1 : 6];
  const step = width / Math.max(lines.length, 1);
  const boxes = lines.map(([name, count], place) => {
    const size = count ? Math.max(1.5, (height * count) / largest) : 0;
    return svg("rect", { x: place * step + gap / 2, y: height - size, width: Math.max(step - gap, 1), height: size },
      svg("title", {}, `${name}: ${count.toLocaleString("en")}`));
  });
  const told = lines.filter(([, count]) => count).length;
  return h("figure", { class: "panel chart", dataset: { chart: key } },
    h("figcaption", {}, h("strong", {}, title)),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "bars", role: "img",
      "aria-label": `${title}: ${told} of ${lines.length} bars are not empty, the largest is ${largest.toLocaleString("en")}. The table has all numbers.` }, boxes),
    h("div", { class: "axis small quiet" }, h("span", {}, String(lines[0]?.[0] ?? "")), h("span", {}, told ? `largest ${largest.toLocaleString("en")}` : "nothing is counted"), h("span", {}, String(lines.slice(1).at(-1)?.[0] ?? ""))),
    h("details", { open: lines.length <= FEW }, h("summary", {}, "Table"),
      h("div", { class: "scroll values", tabindex: 0, role: "region", "aria-label": `Table of ${title}` },
        h("table", {}, h("caption", { class: "hidden" }, title),
          h("thead", {}, h("tr", {}, heads.map((head, place) => h("th", { scope: "col", class: place ? "number" : null }, head)))),
          h("tbody", {}, lines.filter(([, count]) => count).map(([name, count]) => h("tr", {}, h("th", { scope: "row" }, String(name)), h("td", { class: "number" }, count.toLocaleString("en")))))))));
}
