// What the search kept of an observation: its outcome, rates with bad time, the field, hot pixels. A server reads
// the archive as it is now, and has all runs; in files it is as it was when the pages were prepared, with one run each.

import { clockOf } from "./clock.js";
import { api, hasFile, rowsWhere } from "./data.js";
import { h, svg } from "./dom.js";
import { fieldPanel } from "./field.js";
import { number, plural } from "./format.js";
import { mode } from "./site.js";

const [WIDE, HIGH] = [600, 110];

/** Panels `field`, `rates`, `outcome` and `hot` of an observation; a sentence where they cannot be had. */
export async function searchedPanels(obsid, runs) {
  try {
    const [found, clock, outlines] = await Promise.all([mode === "server" ? ofServer(obsid) : ofFiles(obsid), clockOf(obsid), rowsIn("outlines", obsid)]);
    return { field: await fieldPanel(found.runs, runs, found.imageOf, outlines), rates: ratesPanel(found, clock), outcome: found.ledger ? outcomePanel(found.ledger) : [], hot: hotPixels(found.hot_pixels) };
  } catch (error) {
    return { field: h("p", { role: "alert" }, error.message), rates: [], outcome: [], hot: [] };
  }
}

async function ofServer(obsid) {
  const found = await api(`obs/${obsid}/search`);
  return { ...found, imageOf: (name) => api(`obs/${obsid}/images/${name}`) };
}

async function rowsIn(name, obsid) {
  return (await hasFile(`${name}.parquet`)) ? rowsWhere(`${name}.parquet`, "obsid", obsid) : [];
}

async function ofFiles(obsid) {
  const [rates, bad, hot, [search], fields, regions] = await Promise.all(["rates", "bti", "hot_pixels", "searches", "fields", "detections"].map((name) => rowsIn(name, obsid)));
  rates.sort((one, other) => one.instrument.localeCompare(other.instrument) || one.expid.localeCompare(other.expid) || Number(one.subset) - Number(other.subset) || one.time - other.time);
  bad.sort((one, other) => one.START - other.START);
  return {
    ledger: search,
    rates: inColumns(rates, ["instrument", "expid", "subset", "time", "width", "n"]),
    bad_time: bad.map(({ START: start, STOP: stop }) => [start, stop]),
    hot_pixels: inColumns(hot, ["filename", "ccdnr", "rawx", "rawy", "n", "log10_p"]),
    runs: fields.map(({ runid }) => runid),
    imageOf: async (name) => imageOfFile(fields.find(({ runid }) => runid === name), regions.filter(({ runid }) => runid === name)),
  };
}

const inColumns = (rows, names) => Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])]));

/** The same as the server tells of the image of a run; of its regions those with a source. */
function imageOfFile(field, regions) {
  const [y, x] = [Number(field.y_lo), Number(field.x_lo)];
  const box = (one) => ({ detid: one.detid, y_lo: one.y_lo - y, y_hi: one.y_hi - y, x_lo: one.x_lo - x, x_hi: one.x_hi - x });
  return { y_lo: y, x_lo: x, rows: field.y_hi - y, columns: field.x_hi - x, size_arcsec: field.size_arcsec, counts: Array.from(field.n, Number), regions: regions.map(box) };
}

function outcomePanel(ledger) {
  const lines = [["status", ledger.status], ["reason", ledger.reason], ["attempt", ledger.attempt], ["tries", ledger.tries && number(ledger.tries)], ["began", ledger.started], ["ended", ledger.finished],
    ["took", `${number(ledger.seconds, 3)} s${ledger.peak_memory_mb ? `, ${number(ledger.peak_memory_mb, 3)} MB` : ""}`],
    ["software", Object.entries(ledger.versions ?? {}).map(([name, version]) => `${name} ${version}`).join(", ")]];
  return h("section", { class: "panel", "aria-label": "Search" }, h("h2", {}, "Search"),
    h("dl", {}, lines.filter(([, what]) => what).map(([term, what]) => [h("dt", {}, term), h("dd", {}, what)])));
}

function hotPixels(found) {
  const size = found.n.length;
  if (!size) return [];
  const lines = Array.from({ length: Math.min(size, 200) }, (_, row) => [found.filename[row], found.ccdnr[row], found.rawx[row], found.rawy[row], found.n[row], number(found.log10_p[row], 3)]);
  const heads = ["file", "CCD", "RAWX", "RAWY", "events", "log p"];
  return h("details", {}, h("summary", {}, plural(size, "hot pixel")), h("div", { class: "scroll values", tabindex: 0, role: "region", "aria-label": "Table of hot pixels" },
    h("table", {}, h("thead", {}, h("tr", {}, heads.map((head, place) => h("th", { scope: "col", class: place ? "number" : null }, head)))),
      h("tbody", {}, lines.map((line) => h("tr", {}, line.map((value, place) => h("td", { class: place ? "number" : "whole" }, String(value)))))))));
}

function ratesPanel({ rates, bad_time: bad }, clock) {
  const exposures = new Map();
  const subsets = new Set(rates.subset.map(Number));
  rates.time.forEach((_, row) => {
    // Parts of an exposure, as the CCDs of ACIS, may be searched apart.
    const name = `${rates.instrument[row]} ${rates.expid[row]}${subsets.size > 1 ? `, subset ${Number(rates.subset[row])}` : ""}`;
    exposures.set(name, [...(exposures.get(name) ?? []), row]);
  });
  if (!exposures.size) return [];
  const begin = Math.min(...rates.time) - clock.zero;
  const end = Math.max(...rates.time.map((time, row) => time + rates.width[row])) - clock.zero;
  const x = (time) => ((time - begin) / (end - begin || 1)) * WIDE;
  const figures = [...exposures].map(([name, rows]) => {
    const rate = (row) => rates.n[row] / rates.width[row];
    const most = Math.max(...rows.map(rate), 1e-9);
    const y = (value) => HIGH - (value / most) * (HIGH - 6);
    // Where a bin was not live to its end, or there is none, the line is broken.
    const follows = (row, place) => place && rates.time[row] < rates.time[rows[place - 1]] + 1.5 * rates.width[rows[place - 1]];
    const path = rows.map((row, place) => `${follows(row, place) ? "L" : "M"}${x(rates.time[row] - clock.zero).toFixed(1)} ${y(rate(row)).toFixed(1)}H${x(rates.time[row] + rates.width[row] - clock.zero).toFixed(1)}`).join("");
    const words = `${name}: ${plural(rows.length, "bin")} of ${number(Math.max(...rows.map((row) => rates.width[row])))} s, at most ${number(most, 3)} ct/s`;
    return h("figure", { class: "panel" }, h("figcaption", {}, words),
      svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", class: "rates", role: "img", "aria-label": `Rate of the whole field. ${words}.` },
        bad.map(([start, stop]) => svg("rect", { x: x(start - clock.zero), width: Math.max(x(stop - clock.zero) - x(start - clock.zero), 1), y: 0, height: HIGH, class: "bad" })),
        svg("path", { d: path, class: "shape" })),
      h("div", { class: "axis small quiet" }, h("span", {}, number(begin, 6)), h("span", {}, clock.label), h("span", {}, number(end, 6))));
  });
  const lost = bad.reduce((sum, [start, stop]) => sum + stop - start, 0);
  return h("section", { "aria-label": "Rates" }, h("h2", {}, "Rates"),
    h("p", { class: "quiet small" }, h("span", { class: "key bad", "aria-hidden": "true" }), ` bad time of the run with the shortest frames: ${plural(bad.length, "interval")}, ${number(lost, 4)} s.`), figures);
}
