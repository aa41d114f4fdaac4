// Every observation that covered a source: what was found, or what would have been.

import { hasFile, rowsWhere } from "./data.js";
import { h, put, svg } from "./dom.js";
import { number, plural } from "./format.js";
import { href } from "./site.js";

const FILE = "coverage.parquet";
const OVERALL = "longterm.parquet";
const HIGH = 190;
const EDGE = { left: 62, right: 14, top: 10, bottom: 36 };
const YEAR = 365.25;
const MJD_2000 = 51544.5;

/** The panel, or nothing if the product does not say what covered a source. */
export async function longTermPanel(region) {
  if (!(await hasFile(FILE))) return null;
  const rows = await rowsWhere(FILE, "region_num", region);
  if (!rows.length) return null;
  const inFlux = rows.some((row) => Number.isFinite(row.flux_hi));
  const holder = h("div", { class: "longterm" });
  const seen = new ResizeObserver(() => { if (holder.clientWidth) put(holder, plotOf(rows, holder.clientWidth, inFlux)); });
  seen.observe(holder);
  const found = rows.filter((row) => row.detected).length;
  const covered = `${plural(rows.length, "observation")} covered it, ${found} with a detection.`;
  const words = inFlux
    ? `${covered} Mean flux of each observation with its interval at 90 %: filled circles where there is a detection, open ones where there is none; arrows: upper limits; lines: not known.`
    : `${covered} Circles: peak rate of the strongest detection, squares: of an eclipse, below the expectation; arrows: where there is none, the rate that 90 % of bursts need in the time bin and band of the best detection; lines: not known.`;
  const overall = inFlux && (await hasFile(OVERALL)) ? await rowsWhere(OVERALL, "region_num", region) : [];
  const head = ["observation", "MJD", "detected", "bin (s)", "band (keV)", "rate (ct/s)", "90 % limit (ct/s)", ...(inFlux ? ["mean flux (erg/cm2/s)"] : [])];
  const cells = (row) => [String(number(row.mjd, 7)), row.detected ? "yes" : "no", number(row.t_bin), row.e_lo === null ? "–" : `${row.e_lo}–${row.e_hi}`, number(row.rate, 3), number(row.n90, 3), ...(inFlux ? [fluxOf(row)] : [])];
  return h("section", { class: "panel", "aria-label": "All observations" }, h("h2", {}, "All observations"), holder, h("p", { class: "quiet small" }, words), overall.length ? h("p", { class: "small" }, variesText(overall[0])) : null,
    h("details", {}, h("summary", { class: "quiet small" }, "Values"), h("div", { class: "scroll values", tabindex: 0, role: "region", "aria-label": "Values of all observations" },
      h("table", {}, h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, rows.map((row) => h("tr", {}, h("td", {}, h("a", { href: href(`/obs/${row.obsid}`) }, row.obsid)), cells(row).map((text) => h("td", { class: "number" }, text)))))))));
}

/** How a source varies from observation to observation, and how luminous it is. */
function variesText(row) {
  const told = [];
  if (Number.isFinite(row.flux_ratio)) {
    const least = row.flux_ratio_lo > 1 ? `, more than ${number(row.flux_ratio_lo, 3)} at 90 %` : "";
    told.push(`Highest mean flux over lowest: ${number(row.flux_ratio, 3)}${least}.`);
  }
  if (Number.isFinite(row.var_sigma)) told.push(`Against a constant source: ${number(row.var_sigma, 2)} sigma.`);
  if (Number.isFinite(row.lum_peak)) told.push(`Luminosity of the peak: ${number(row.lum_peak, 3)} erg/s at ${number(row.distance_pc, 3)} pc (${row.distance_from}).`);
  return told.join(" ");
}

const isLit = (row) => row.flux_lo > 0;
const fluxOf = (row) => !Number.isFinite(row.flux_hi) ? "–" : isLit(row) ? `${number(row.flux, 3)} (${number(row.flux_lo, 3)} to ${number(row.flux_hi, 3)})` : `< ${number(row.flux_hi, 3)}`;
const rateOf = (row) => Math.abs((row.detected ? row.rate : row.n90) || NaN);
const meanOf = (row) => (Number.isFinite(row.flux_hi) ? (isLit(row) ? row.flux : row.flux_hi) : NaN);

function plotOf(rows, wide, inFlux) {
  const sizeOf = inFlux ? meanOf : rateOf;
  const days = rows.map((row) => row.mjd).filter(Number.isFinite);
  const sizes = rows.map(sizeOf).filter(Number.isFinite);
  const pad = Math.max(30, (Math.max(...days) - Math.min(...days)) * 0.05);
  const [first, last] = days.length ? [Math.min(...days) - pad, Math.max(...days) + pad] : [0, 1];
  const [low, high] = sizes.length ? [Math.floor(Math.log10(Math.min(...sizes) * 0.7)), Math.ceil(Math.log10(Math.max(...sizes) * 1.4))] : [-1, 1];
  const x = (mjd) => EDGE.left + ((mjd - first) / (last - first)) * (wide - EDGE.left - EDGE.right);
  const bottom = HIGH - EDGE.bottom;
  const y = (size) => bottom - ((Math.log10(size) - low) / (high - low)) * (bottom - EDGE.top);
  const decades = Array.from({ length: high - low + 1 }, (_, place) => 10 ** (low + place));
  const about = `${plural(rows.length, "observation")}, ${rows.filter((row) => row.detected).length} with a detection`;
  return svg("svg", { viewBox: `0 0 ${wide} ${HIGH}`, width: wide, height: HIGH, role: "group", "aria-label": `${inFlux ? "Flux" : "Rate"} against time: ${about}` },
    decades.map((value) => [svg("line", { x1: EDGE.left, x2: wide - EDGE.right, y1: y(value), y2: y(value), class: "grid" }), svg("text", { x: EDGE.left - 5, y: y(value) + 4, "text-anchor": "end" }, number(value, 2))]),
    yearsOf(first, last, wide).map(([mjd, text]) => [svg("line", { x1: x(mjd), x2: x(mjd), y1: bottom, y2: bottom + 4, class: "tick" }), svg("text", { x: x(mjd), y: bottom + 16, "text-anchor": "middle" }, text)]),
    svg("text", { x: (EDGE.left + wide - EDGE.right) / 2, y: HIGH - 4, "text-anchor": "middle" }, "year"),
    svg("text", { x: 12, y: bottom / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${bottom / 2})` }, inFlux ? "erg/cm²/s" : "ct/s"),
    rows.filter((row) => Number.isFinite(row.mjd)).map((row) => svg("a", { href: href(`/obs/${row.obsid}`), "aria-label": told(row) }, svg("title", {}, told(row)), (inFlux ? fluxMark : mark)(row, x(row.mjd), y, bottom))));
}

function told(row) {
  const rate = row.detected ? `${row.rate < 0 ? "eclipse of" : "peak of"} ${number(row.rate, 3)} ct/s` : row.n90 === null ? "not detected" : `not detected, 90 % limit ${number(row.n90, 3)} ct/s`;
  const mean = Number.isFinite(row.flux_hi) ? `, mean flux ${fluxOf(row)}` : "";
  return `${row.obsid}, MJD ${number(row.mjd, 7)}: ${rate}${mean}`;
}

function mark(row, x, y, bottom) {
  const size = rateOf(row);
  if (!Number.isFinite(size)) return svg("path", { d: `M${x} ${bottom}v-14`, class: row.detected ? "found line" : "limit" });
  const at = y(size);
  if (!row.detected) return arrow(x, at);
  return row.rate < 0 ? svg("rect", { x: x - 5, y: at - 5, width: 10, height: 10, class: "found open" }) : svg("circle", { cx: x, cy: at, r: 5, class: "found" });
}

function fluxMark(row, x, y, bottom) {
  if (!Number.isFinite(row.flux_hi)) return svg("path", { d: `M${x} ${bottom}v-14`, class: row.detected ? "found line" : "limit" });
  if (!isLit(row)) return arrow(x, y(row.flux_hi));
  return [svg("path", { d: `M${x} ${Math.min(y(row.flux_lo), bottom)}V${y(row.flux_hi)}`, class: "found line" }), svg("circle", { cx: x, cy: y(row.flux), r: 5, class: row.detected ? "found" : "found open" })];
}

const arrow = (x, at) => svg("path", { d: `M${x - 6} ${at}h12M${x} ${at}v14m-4 -5l4 5l4 -5`, class: "limit" });

/** Years, or months of a short time, so many as there is room for. */
function yearsOf(first, last, wide) {
  const years = (mjd) => 2000 + (mjd - MJD_2000) / YEAR;
  const [from, to] = [years(first), years(last)];
  const steps = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20];
  const step = steps.find((one) => (to - from) / one <= wide / 90) ?? 50;
  const found = [];
  for (let year = Math.ceil(from / step) * step; year <= to; year += step) found.push([MJD_2000 + (year - 2000) * YEAR, year.toFixed(step < 0.1 ? 2 : step < 1 ? 1 : 0)]);
  return found;
}
