// What the search kept of an observation: its outcome, rates with bad time, the field, hot pixels. Only a server knows.

import { clockOf } from "./clock.js";
import { api } from "./data.js";
import { colour, h, put, svg } from "./dom.js";
import { number, plural } from "./format.js";
import { shadeKey, shades } from "./shades.js";
import { href, mode, visit } from "./site.js";

const [WIDE, HIGH] = [600, 110];

/** Panels `field`, `rates`, `outcome` and `hot` of an observation; a sentence where they cannot be had. */
export async function searchedPanels(obsid, runs) {
  if (mode !== "server") return { field: h("p", { class: "quiet small" }, "Rates, the image of the field and the entry of the ledger are shown by a server, as exod explore starts it."), rates: [], outcome: [], hot: [] };
  try {
    const [found, clock] = await Promise.all([api(`obs/${obsid}/search`), clockOf(obsid)]);
    return { field: await fieldPanel(obsid, found.runs, runs), rates: ratesPanel(found, clock), outcome: outcomePanel(found.ledger), hot: hotPixels(found.hot_pixels) };
  } catch (error) {
    return { field: h("p", { role: "alert" }, error.message), rates: [], outcome: [], hot: [] };
  }
}

function outcomePanel(ledger) {
  const lines = [["status", ledger.status], ["reason", ledger.reason], ["attempt", ledger.attempt], ["tries", number(ledger.tries)], ["began", ledger.started], ["ended", ledger.finished],
    ["took", `${number(ledger.seconds, 3)} s${ledger.peak_memory_mb ? `, ${number(ledger.peak_memory_mb, 3)} MB` : ""}`],
    ["software", Object.entries(ledger.versions).map(([name, version]) => `${name} ${version}`).join(", ")]];
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
  rates.time.forEach((_, row) => {
    const name = `${rates.instrument[row]} ${rates.expid[row]}`;
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
    const path = rows.map((row, place) => `${place ? "L" : "M"}${x(rates.time[row] - clock.zero).toFixed(1)} ${y(rate(row)).toFixed(1)}H${x(rates.time[row] + rates.width[row] - clock.zero).toFixed(1)}`).join("");
    const words = `${name}: ${plural(rows.length, "bin")} of ${number(rates.width[rows[0]])} s, at most ${number(most, 3)} ct/s`;
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

async function fieldPanel(obsid, names, runs) {
  if (!names.length) return [];
  const about = new Map(runs.map((run) => [run.runid, run]));
  const title = (name) => (about.has(name) ? `${about.get(name).e_lo}–${about.get(name).e_hi} keV, ${about.get(name).t_bin} s` : name);
  // The run with most regions, and among those the one with most photons.
  const strength = (name) => Number(about.get(name)?.n_regions ?? 0) + Number(about.get(name)?.n_events ?? 0) / 1e9;
  const usual = names.reduce((best, name) => (strength(name) > strength(best) ? name : best), names[0]);
  const choice = h("select", { "aria-label": "Run of the image", onchange: () => read().catch((error) => put(words, error.message)) }, names.map((name) => h("option", { value: name, selected: name === usual }, title(name))));
  const canvas = h("canvas", { role: "img", class: "field", "aria-label": "The field" });
  const [words, key] = [h("p", { class: "quiet small" }), shadeKey()];
  let found = null;

  async function read() {
    found = await api(`obs/${obsid}/images/${choice.value}`);
    draw();
  }

  /** Side of a cell, and the top of a row: north is up. */
  const places = () => {
    const cell = canvas.clientWidth / found.columns;
    return [cell, (row) => (found.rows - row) * cell];
  };

  function draw() {
    if (!found || !canvas.clientWidth) return;
    const ratio = devicePixelRatio || 1;
    const [cell, top] = places();
    [canvas.width, canvas.height] = [canvas.clientWidth * ratio, found.rows * cell * ratio];
    canvas.style.height = `${found.rows * cell}px`;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const largest = found.counts.reduce((most, one) => Math.max(most, one), 1);
    const filled = found.counts.filter(Boolean).sort((one, other) => one - other);
    // The background would be as bright as sources if colours began with a single count.
    const least = filled[Math.floor(filled.length / 5)] ?? 1;
    const shade = shades(largest + 1, least + 1);
    key.show(largest, false, least);
    found.counts.forEach((count, place) => {
      if (!count) return;
      context.fillStyle = shade(count + 1);
      const [column, row] = [place % found.columns, Math.floor(place / found.columns)];
      const [left, upper] = [Math.floor(column * cell), Math.floor(top(row + 1))];
      context.fillRect(left, upper, Math.floor((column + 1) * cell) - left, Math.floor(top(row)) - upper);
    });
    context.strokeStyle = colour("--vermilion");
    context.fillStyle = colour("--vermilion");
    context.lineWidth = 2;
    context.font = "bold 12px system-ui, sans-serif";
    for (const region of found.regions) {
      context.strokeRect(region.x_lo * cell - 3, top(region.y_hi) - 3, (region.x_hi - region.x_lo) * cell + 6, (region.y_hi - region.y_lo) * cell + 6);
      context.fillText(labelOf(region), region.x_hi * cell + 5, top(region.y_hi));
    }
    const told = `${plural(found.counts.reduce((sum, one) => sum + one, 0), "count")} in cells of ${number(found.size_arcsec, 3)}″, ${plural(found.regions.length, "region")}`;
    canvas.setAttribute("aria-label", `The field: ${told}. The table of detections has all regions.`);
    put(words, `${told}${found.regions.length ? ": boxes with the last part of their detid; click one for its page" : ""}. North is up, east to the left.`);
  }

  const labelOf = ({ detid }) => detid.slice(detid.lastIndexOf("_") + 1);
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const [cell, top] = places();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const hit = found.regions.find((one) => x > one.x_lo * cell - 6 && x < one.x_hi * cell + 6 && y > top(one.y_hi) - 6 && y < top(one.y_lo) + 6);
    if (hit) visit(`/detection/${encodeURIComponent(hit.detid)}`);
  });
  await read();
  new ResizeObserver(draw).observe(canvas.parentElement ?? canvas);
  addEventListener("themechange", draw);
  return h("section", { class: "panel", "aria-label": "Field" }, h("div", { class: "bar" }, h("h2", {}, "Field"), choice, key.element), canvas, words);
}
