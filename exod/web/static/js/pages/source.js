// A source: what is known of it, all its detections and light curves, counterparts, and where else to look.

import { skyPanel } from "../aladin.js";
import { clocksOf } from "../clock.js";
import { h, put } from "../dom.js";
import { askForSource, meta, rowsWhere } from "../data.js";
import { detectorPanel } from "../detectorplace.js";
import { endOf } from "../ended.js";
import { saveButtons } from "../exports.js";
import { finderPanel } from "../finder.js";
import { flagsOf } from "../flags.js";
import { eventWords, galactic, number, plural, sexagesimal, text } from "../format.js";
import { hardnessPanel } from "../hardness.js";
import { VIEWS, curveOf, lightCurvePanel } from "../lightcurve.js";
import { csv, download, outside, regionFile } from "../links.js";
import { longTermPanel } from "../longterm.js";
import { photonPanel } from "../photons.js";
import { pythonRows, sameElsewhere } from "../same.js";
import { sendButtons } from "../samp.js";
import { similarPanel } from "../similar.js";
import { href } from "../site.js";
import { steps } from "../stepping.js";
import { sourceVotes } from "../votes.js";

let panels = [];
let photons = null;

export async function show(main, state, argument) {
  // Fifteen digits are whole numbers for certain.
  if (!/^\d{1,15}$/.test(argument)) throw new Error(`There is no source ${argument} in this archive.`);
  askForSource(Number(argument));
  const known = rowsWhere("sources.parquet", "region_num", Number(argument));
  const detected = rowsWhere("detections.parquet", "region_num", Number(argument));
  const light = rowsWhere("lightcurves.parquet", "region_num", Number(argument));
  // Why they cannot be read is told where they are waited for.
  for (const early of [detected, light]) early.catch(() => {});
  const [about, [source]] = await Promise.all([meta(), known]);
  if (!source) return put(main, await endOf(Number(argument)));
  document.title = `${source.srcid} · exod`;
  put(main, h("p", { class: "quiet" }, "Reading the light curves …"));
  const [detections, beside, frames, finder, near, history, similar, clocks, detector] = await Promise.all([
    detected,
    steps("sources", argument, state),
    light,
    detected.then((rows) => finderPanel(rows.find(({ detid }) => detid === source.best_detid), source.pos_err_arcsec)),
    photonPanel(Number(argument), state),
    longTermPanel(Number(argument)),
    detected.then((rows) => similarPanel(rows, source.best_detid)),
    detected.then(clocksOf),
    detected.then((rows) => detectorPanel(rows, source.best_detid)),
  ]);
  photons = near;
  detections.sort((one, other) => one.obsid.localeCompare(other.obsid) || one.t_bin - other.t_bin || one.e_lo - other.e_lo);
  panels = [];
  near?.setEvents(eventsOf(detections));
  put(main,
    head(source, beside),
    h("div", { class: "source" },
      h("div", {}, photons?.element ?? [], curves(detections, frames, clocks, about.tables.detections), hardnessPanel(detections) ?? [], history ?? [], similar ?? [], detectionTable(detections), same(Number(argument))),
      h("aside", {}, sourceVotes(Number(argument)), facts(source, detections, about), finder ?? [], detector ?? [], counterparts(source, about), elsewhere(source, detections, frames, about), provenance(about))));
}

/** The event of the strongest detection of each observation, in mission seconds. */
function eventsOf(detections) {
  const size = (one) => Math.max(one.sigma_peak ?? 0, one.sigma_eclipse ?? 0);
  const found = new Map();
  for (const one of [...detections].sort((a, b) => size(a) - size(b))) {
    if (one.t_start !== null && one.t_stop !== null) found.set(one.obsid, [one.t_start, one.t_stop]);
  }
  return found;
}

/** What the address says of the photons has changed. */
export function update(state) {
  photons?.update(state);
}

export function leave() {
  photons?.leave();
  photons = null;
  panels.forEach((panel) => panel.leave());
  panels = [];
}

function head(source, beside) {
  return h("div", { class: "bar" },
    h("h1", {}, source.srcid), h("span", { class: "quiet" }, `number ${Number(source.region_num)}`), beside);
}

function fluxText(source) {
  if (!Number.isFinite(source.best_flux_peak)) return source.best_flux_note || "–";
  const band = `${number(source.best_e_lo)}–${number(source.best_e_hi)} keV`;
  if (source.best_flux_peak < 0) return `${number(-source.best_fluence, 3)} erg/cm² less than expected (${band}, absorbed)`;
  return `at most ${number(source.best_flux_peak, 3)} erg/cm²/s, ${number(source.best_fluence, 3)} erg/cm² in all (${band}, absorbed)`;
}

function facts(source, detections, about) {
  const [l, b] = galactic(source.ra_deg, source.dec_deg);
  const copy = (value) => h("button", { type: "button", class: "quiet copy", "aria-label": `Copy ${value}`, onclick: () => navigator.clipboard?.writeText(value) }, "copy");
  const place = `${source.ra_deg.toFixed(6)} ${source.dec_deg.toFixed(6)}`;
  const lines = [
    ["ICRS", [sexagesimal(source.ra_deg, source.dec_deg), copy(sexagesimal(source.ra_deg, source.dec_deg))]],
    ["in degrees", [place, copy(place)]],
    ["galactic", `${l.toFixed(5)} ${b.toFixed(5)}`],
    ["error (63 %)", `${number(source.pos_err_arcsec, 3)}″`],
    ["detections", `${number(source.n_detections)} in ${number(source.n_observations)} of ${plural(Number(source.n_covered), "observation")} that covered it`],
    ["seen (MJD)", [...new Set([source.first_seen, source.last_seen].filter(Number.isFinite).map((day) => number(day, 7)))].join(" to ") || "–"],
    ["best detection", h("a", { href: href(`/detection/${encodeURIComponent(source.best_detid)}`) }, source.best_detid)],
    ["event", eventWords(source)],
    ["significance", significances(source)],
    ["flux of event", fluxText(source)],
    ["hardness of event", interval(source.best_hr_event, source.best_hr_event_lo, source.best_hr_event_hi)],
    ["hardness, all", interval(source.best_hr, source.best_hr_lo, source.best_hr_hi)],
  ];
  const flags = flagsOf(about.tables.detections, source);
  return h("section", { class: "panel", "aria-label": "What is known" }, h("h2", {}, "What is known"),
    h("dl", {}, lines.map(([term, what]) => [h("dt", {}, term), h("dd", {}, what)]),
      h("dt", {}, "flags"), h("dd", {}, flags.length ? flags : "none")),
    h("details", {}, h("summary", { class: "quiet small" }, `All ${Object.keys(source).length} columns`),
      h("div", { class: "scroll values", tabindex: 0, role: "region", "aria-label": "All columns" },
        h("table", {}, h("tbody", {}, about.tables.sources.columns.map((column) => h("tr", {},
          h("th", { scope: "row", title: column.description }, column.name), h("td", {}, text(source[column.name], column.unit)), h("td", { class: "quiet" }, column.unit))))))));
}

function significances(source) {
  const known = ["peak", "eclipse"].map((kind) => [kind, source[`sigma_${kind}`] ?? source[`best_lc_sigma_max_B_${kind}`]]).filter(([, value]) => Number.isFinite(value));
  return known.map(([kind, value]) => `${kind} ${number(value, 3)}σ`).join(", ") || "–";
}

function interval(value, low, high) {
  return value === null || value === undefined ? "–" : `${number(value, 3)} (${number(low, 3)} to ${number(high, 3)})`;
}

function curves(detections, frames, clocks, table) {
  const byDetection = Map.groupBy ? Map.groupBy(frames, (row) => row.detid) : grouped(frames);
  const observations = [...new Set(detections.map((one) => one.obsid))];
  const views = h("select", { "aria-label": "What light curves show", onchange: (event) => panels.forEach((panel) => panel.show(event.target.value)) },
    Object.entries(VIEWS).map(([name, words]) => h("option", { value: name }, words)));
  const sections = observations.map((obsid) => {
    const own = detections.filter((one) => one.obsid === obsid && byDetection.has(one.detid));
    const clock = clocks.get(obsid);
    const { zero } = clock;
    return h("section", { "aria-label": `Observation ${obsid}` },
      h("h3", {}, "Observation ", h("a", { href: href(`/obs/${obsid}`) }, obsid)),
      own.map((one) => {
        const panel = lightCurvePanel({
          curve: curveOf(byDetection.get(one.detid), zero), bin: one.t_bin, group: obsid, clock, flags: flagsOf(table, one),
          event: one.t_start === null ? null : [one.t_start - zero, one.t_stop - zero],
          title: `${one.e_lo}–${one.e_hi} keV, ${one.t_bin} s bins: ${strength(one)}`,
          link: href(`/detection/${encodeURIComponent(one.detid)}`),
        });
        panels.push(panel);
        return panel.element;
      }));
  });
  return h("section", { "aria-label": "Light curves" },
    h("div", { class: "bar" }, h("h2", {}, "Light curves"), views, legend()), sections);
}

function grouped(frames) {
  const found = new Map();
  for (const row of frames) found.set(row.detid, [...(found.get(row.detid) ?? []), row]);
  return found;
}

function strength(one) {
  return one.kind === "eclipse" ? `eclipse of ${number(one.sigma_eclipse, 3)}σ` : `peak of ${number(one.sigma_peak, 3)}σ`;
}

function legend() {
  const item = (style, words) => h("span", {}, h("span", { class: `key ${style}`, "aria-hidden": "true" }), ` ${words}  `);
  return h("p", { class: "quiet small" }, item("line", "counts"), item("dashed", "expected"), item("bad", "bad time"), item("off", "CCD off"), item("mark", "event"));
}

function detectionTable(detections) {
  const columns = ["detid", "kind", "t_bin", "e_lo", "e_hi", "sigma_peak", "sigma_eclipse", "duration", "excess", "peak_rate", "hr_event", "fap_obs", "t_start_utc"];
  return h("section", { "aria-label": "Detections" }, h("h2", {}, plural(detections.length, "detection")),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of detections" },
      h("table", {}, h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, detections.map((one) => h("tr", {}, columns.map((name, place) => h("td", { class: typeof one[name] === "number" ? "number" : "whole" },
          place ? text(one[name]) : h("a", { href: href(`/detection/${encodeURIComponent(one.detid)}`) }, one.detid)))))))));
}

function same(number) {
  return sameElsewhere({
    command: `exod query ARCHIVE --table detections --where "region_num == ${number}"`,
    python: pythonRows("detections", "region_num", number),
    adql: `SELECT * FROM exod.detections WHERE region_num = ${number}`,
  });
}

/** The probability that a counterpart is there by chance, if the match tells. */
function chanceOf(source, prefix) {
  const chance = source[`${prefix}_p_chance`] ?? source[`${prefix}_chance`];
  return chance === null || chance === undefined ? "" : `, by chance with ${number(chance, 2)}`;
}

/** What these rows were made of. */
function provenance(about) {
  const lines = [["exod", about.exod], ["prepared", about.made], ["pages", about.version], ...Object.entries(about.products)];
  return h("section", { class: "panel", "aria-label": "Provenance" }, h("h2", {}, "Provenance"),
    h("dl", {}, lines.map(([term, what]) => [h("dt", {}, term), h("dd", {}, what)])),
    h("p", { class: "small" }, h("a", { href: href("/about") }, "Files and their checksums")));
}

function counterparts(source, about) {
  const prefixes = new Map();
  for (const { name } of about.tables.sources.columns) {
    const found = /^(.+?)_(sep_arcsec|separation_arcsec|sep)$/.exec(name);
    if (found) prefixes.set(found[1], name);
  }
  const boxes = [...prefixes].map(([prefix, separation]) => {
    const away = source[separation];
    const own = about.tables.sources.columns.filter(({ name }) => name.startsWith(`${prefix}_`) && source[name] !== null && source[name] !== undefined);
    return h("details", { open: away !== null },
      h("summary", {}, prefix, " ", h("span", { class: "quiet" }, away === null || away === undefined ? "none" : `${number(away, 3)}″, ${number(away / source.pos_err_arcsec, 2)} errors away${chanceOf(source, prefix)}`)),
      h("dl", {}, own.map(({ name, unit, description }) => [h("dt", { title: description }, name.slice(prefix.length + 1)), h("dd", {}, text(source[name], unit), unit ? ` ${unit}` : "")])));
  });
  return h("section", { class: "panel", "aria-label": "Counterparts" }, h("h2", {}, "Counterparts"),
    boxes.length ? boxes : h("p", { class: "quiet" }, "The archive was not matched with a catalogue; run ", h("code", {}, "exod crossmatch"), "."));
}

function elsewhere(source, detections, frames, about) {
  const { ra_deg: ra, dec_deg: dec, pos_err_arcsec: error, srcid } = source;
  const radius = Math.max(5 * error, 10);
  const file = srcid.replaceAll(" ", "_");
  const button = (words, make) => h("button", { type: "button", onclick: make }, words);
  return [
    skyPanel({ ra, dec, error, name: srcid }),
    h("section", { class: "panel", "aria-label": "Files" }, h("h2", {}, "Files"), h("div", { class: "bar" },
      button("Light curves, CSV", () => download(`${file}_lightcurves.csv`, csv(frames), "text/csv")),
      button("DS9 region", () => download(`${file}.reg`, regionFile(ra, dec, error, srcid)))),
    h("div", { class: "bar files" }, "Detections: ", saveButtons(`${file}_detections`, "detections", about.tables.detections.columns, detections)),
    sendButtons([
      ["Its place", () => ({ place: [ra, dec] })],
      ["Its detections", () => ({ state: { table: "detections", where: `region_num == ${source.region_num}` } })],
    ]),
    h("p", { class: "small" }, "Pictures, at the command line"), h("pre", { tabindex: 0 }, `exod plot ARCHIVE "${srcid}"`)),
    h("section", { class: "panel", "aria-label": "Elsewhere" }, h("h2", {}, "Elsewhere"),
      h("ul", { class: "links" }, outside(ra, dec, radius, detections[0]?.obsid).map(([name, address]) => h("li", {}, h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, name))))),
  ];
}

addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, select, textarea, [contenteditable]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const link = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const address = link && document.querySelector(`a[rel="${link}"]`)?.getAttribute("href");
  if (address) document.querySelector(`a[rel="${link}"]`).click();
});

