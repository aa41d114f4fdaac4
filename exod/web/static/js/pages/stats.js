// Statistics of what the address chooses: distributions, kinds and types, flags, years; and the report of the whole archive.

import { barChart } from "../bars.js";
import { MISSING, choiceOf, strangers, tableOf } from "../choices.js";
import { h, put } from "../dom.js";
import { column } from "../data.js";
import { count } from "../engine.js";
import { inWords, plural, short } from "../format.js";
import { reportElements } from "../report.js";
import { sameChoice, sameElsewhere } from "../same.js";
import { change, href } from "../site.js";
import { sizeOf } from "../tableindex.js";

/** What an address calls the whole archive. */
const WHOLE = "archive";

export async function show(main, state) {
  if (state.get("table") === WHOLE) return showWhole(main);
  const table = tableOf(state);
  const found = await count(table, state);
  const { about } = found;
  const bins = about.facets.filter((facet) => facet.kind === "bins");
  const codes = about.facets.filter((facet) => facet.kind === "codes");
  const same = sameChoice();
  same.update(table, choiceOf(about, state));
  put(main,
    h("div", { class: "bar" }, h("h1", {}, `Statistics of ${found.rows.toLocaleString("en")} of ${plural(about.rows, table.slice(0, -1))}`),
      toggle(table)),
    chosenWords(about, state), h("p", { role: "status" }, strangers(about, state)),
    h("p", { class: "small" }, h("a", { href: href("/", state) }, "Choose others in the catalogue"), "; the same address without its page counts here."),
    found.rows ? [
      h("h2", {}, "Kinds and types"),
      h("div", { class: "charts" }, codes.filter((facet) => sizeOf(facet)).map((facet) => chart(facet, found, state))),
      h("h2", {}, "Flags"), flagTable(found, state),
      h("h2", {}, "Years"), h("div", { class: "charts" }, await years(found, table)),
      h("h2", {}, "Distributions"),
      h("div", { class: "charts" }, bins.map((facet) => chart(facet, found, state))),
    ] : h("p", { role: "status" }, about.rows ? "Nothing fulfils these conditions." : `The archive has no ${table}.`),
    same.element);
}

/** Buttons of what is counted. */
function toggle(chosen) {
  const words = { sources: "sources", detections: "detections", [WHOLE]: "the whole archive" };
  return h("div", { role: "group", "aria-label": "Rows" }, Object.entries(words).map(([name, text]) => h("button", {
    type: "button", "aria-pressed": String(name === chosen), onclick: () => change({ table: name === "sources" ? null : name }),
  }, text)));
}

async function showWhole(main) {
  const head = h("div", { class: "bar" }, h("h1", {}, "Statistics of the whole archive"), toggle(WHOLE));
  put(main, head, h("p", { role: "status" }, "What was searched and found is counted and drawn …"));
  put(main, head, await reportElements(), sameElsewhere({
    command: "exod report ARCHIVE --to report.html",
    python: 'from exod.stages.report.page import write_report\n\nnumbers = write_report("ARCHIVE", "report.html")',
  }));
}

export async function update(state) {
  await show(document.getElementById("main"), state);
}

function chosenWords(about, state) {
  const words = about.facets.filter((facet) => state.get(facet.name)).map((facet) => inWords(facet, state.get(facet.name)));
  for (const [name, word] of [["flag", "set"], ["noflag", "not set"]]) {
    const names = (state.get(name) || "").split(".").filter(Boolean).map((bit) => flagName(about.flags[Number(bit)]));
    if (names.length) words.push(`${names.join(", ")} ${word}`);
  }
  for (const name of ["where", "cone", "name", "obsid"]) if (state.get(name)) words.push(`${name}: ${state.get(name)}`);
  return h("p", { class: "quiet" }, words.length ? `Chosen: ${words.join("; ")}.` : "All are chosen.");
}

/** Counts of a facet by code within the choice: those of its own other codes are not part of it. */
function own(facet, found, state) {
  const counts = found.counts[facet.name];
  const text = state.get(facet.name);
  if (!text) return counts;
  const [low, high] = facet.kind === "bins" ? text.split("-").map(Number) : [];
  const codes = new Set(facet.kind === "codes" ? text.split(".").map(Number) : []);
  return counts.map((number, code) => ((facet.kind === "bins" ? code >= low && code <= high : codes.has(code)) ? number : 0));
}

function chart(facet, found, state) {
  const counts = own(facet, found, state);
  const name = facet.kind === "bins"
    ? (code) => `${short(facet.edges[code])} to ${short(facet.edges[code + 1])}`
    : (code) => String(facet.labels[code]);
  const lines = Array.from({ length: sizeOf(facet) }, (_, code) => [name(code), counts[code] || 0]);
  const listed = facet.kind === "codes" ? lines.filter(([, number]) => number).sort((one, other) => other[1] - one[1]) : lines;
  const missing = counts[MISSING] ? `${facet.label} (${counts[MISSING].toLocaleString("en")} without)` : facet.label;
  return barChart(missing, listed, [facet.label, "Rows"], facet.name);
}

function flagName(name) {
  return name.replace("filt_", "");
}

function flagTable({ about, flagCounts, rows }, state) {
  const apart = state.get("flag") || state.get("noflag");
  const share = (number) => `${((100 * number) / Math.max(rows, 1)).toFixed(1)} %`;
  return [
    apart && h("p", { class: "small quiet" }, "Counts of flags leave the choice of flags itself aside."),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of flags" },
      h("table", { dataset: { chart: "flags" } }, h("caption", { class: "hidden" }, "Rows with each flag"),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Flag"), h("th", { scope: "col", class: "number" }, "Rows"), !apart && h("th", { scope: "col", class: "number" }, "Share"))),
        h("tbody", {}, about.flags.map((name, bit) => h("tr", {}, h("th", { scope: "row" }, flagName(name)),
          h("td", { class: "number" }, flagCounts[bit].toLocaleString("en")), !apart && h("td", { class: "number" }, share(flagCounts[bit]))))))),
  ];
}

async function years(found, table) {
  if (!found.failed) return h("p", { class: "quiet" }, "So many rows are counted by the date of their start only: see Start, MJD below.");
  const name = ["t_start_mjd", "best_t_start_mjd"].find((one) => found.about.columns.some((about) => about.name === one));
  if (!name) return h("p", { class: "quiet" }, "The table has no times.");
  const dates = await column(`${table}.parquet`, name);
  const counts = new Map();
  for (let row = 0; row < found.failed.length; row++) {
    if (found.failed[row] || !Number.isFinite(dates[row])) continue;
    // 40,587 is the modified Julian date of 1970-01-01.
    const year = new Date((dates[row] - 40_587) * 86_400_000).getUTCFullYear();
    counts.set(year, (counts.get(year) || 0) + 1);
  }
  if (!counts.size) return h("p", { class: "quiet" }, "No time is known.");
  const [first, last] = [Math.min(...counts.keys()), Math.max(...counts.keys())];
  const lines = Array.from({ length: last - first + 1 }, (_, place) => [first + place, counts.get(first + place) || 0]);
  return barChart(table === "sources" ? "Year of the best detection" : "Year", lines, ["Year", "Rows"], "year");
}
