// The catalogue: facets, sky, plots and the table, all showing what the address chooses.

import { choiceOf, strangers, tableOf } from "../choices.js";
import { assign, h, put, say } from "../dom.js";
import { forgetVotes, meta } from "../data.js";
import { count, listing, practise, prepare, voter } from "../engine.js";
import { densityPlot } from "../density.js";
import { facetList } from "../facets.js";
import { exportButtons } from "../exports.js";
import { inWords, plural } from "../format.js";
import { base, change, mode, visit } from "../site.js";
import { rowTable } from "../rowtable.js";
import { sameChoice } from "../same.js";
import { sendButtons } from "../samp.js";
import { skyMap } from "../skymap.js";

const COLUMNS = {
  sources: ["srcid", "ra_deg", "dec_deg", "sigma_peak", "sigma_eclipse", "best_kind", "best_duration", "best_excess", "best_hr_event", "n_detections", "n_observations", "n_undetected", "best_t_start_utc"],
  detections: ["detid", "srcid", "ra_deg", "dec_deg", "sigma_peak", "sigma_eclipse", "kind", "t_bin", "duration", "excess", "hr_event", "fap_obs", "t_start_utc"],
};

/** Times after which a browser has compiled what it does, about. */
const PRACTICE = 4;

/** How long counts wait for rows: nobody sees it. */
const SOON_MS = 50;

let [parts, shownTable, counted, turn] = [null, "", null, 0];

export async function show(main, state) {
  if (mode === "server") forgetVotes();
  const { tables } = await meta();
  const table = tableOf(state);
  prepare(table);
  const about = tables[table];
  const columns = COLUMNS[table].filter((name) => about.columns.some((column) => column.name === name));
  [shownTable, counted] = [table, null];
  parts = {
    facets: facetList(about),
    sky: skyMap((ra, dec) => change({ cone: `${ra.toFixed(3)},${dec.toFixed(3)},3600` })),
    plots: [
      densityPlot(about, ["x", "y"], ["hr", "sigma"]),
      densityPlot(about, ["x2", "y2"], ["duration", "excess"]),
    ],
    table: rowTable(about, table, columns),
    title: h("h1", { "aria-live": "polite" }),
    chips: h("ul", { class: "chips", "aria-label": "What is chosen" }),
    problem: h("p", { role: "alert" }),
    strange: h("p", { role: "status" }),
    same: sameChoice(),
  };
  parts.shown = h("div", {},
    h("div", { class: "panels" }, parts.sky.element, parts.plots.map((plot) => plot.element)),
    parts.table.element, parts.same.element);
  const toggle = ["sources", "detections"].map((name) => h("button", {
    type: "button", "aria-pressed": String(name === table), onclick: () => visit("/", name === "sources" ? {} : { table: name }),
  }, name));
  const where = h("input", { type: "search", name: "where", placeholder: "sigma_peak > 5 and abs(dec_deg) < 30", "aria-label": "Condition on any column", size: 34, value: state.get("where") || "" });
  const cone = h("input", { type: "search", name: "cone", placeholder: "RA,Dec,arcsec", "aria-label": "Circle on the sky", size: 18, value: state.get("cone") || "" });
  const name = h("input", { type: "search", name: "name", placeholder: "J1234…", "aria-label": "Name of a source", size: 10, value: state.get("name") || "" });
  parts.boxes = { where, cone, name };
  const form = h("form", {
    class: "asking", role: "search",
    onsubmit(event) {
      event.preventDefault();
      change({ where: where.value.trim() || null, cone: cone.value.trim() || null, name: name.value.trim() || null });
    },
  }, where, cone, name, h("button", { class: "main" }, "Choose"));
  put(main,
    h("div", { class: "catalogue" },
      h("details", { class: "side", open: innerWidth > 800 }, h("summary", {}, "Facets"), parts.facets.element),
      h("div", { class: "content" },
        h("div", { class: "bar" }, parts.title, h("div", { role: "group", "aria-label": "Rows" }, toggle)),
        form, parts.problem, parts.strange, parts.chips,
        parts.shown)));
  await update(state);
  rehearse(table, parts).catch(console.info);
}

/** Count and draw some times while nothing else is to be done: the first choices would take up to 30 ms more. What is shown stays. */
async function rehearse(table, own) {
  const pictures = [own.sky, ...own.plots];
  for (const facet of (await meta()).tables[table].facets.filter(({ kind }) => kind === "bins").slice(0, PRACTICE)) {
    for (const step of [() => practise(table, facet), () => pictures.forEach((picture) => picture.draw())]) {
      await new Promise((done) => (globalThis.requestIdleCallback ?? setTimeout)(done));
      // Another page, or a sentence, is there.
      if (!own.shown.isConnected || own.shown.hidden) return;
      await step();
    }
  }
}

export async function update(state) {
  const table = tableOf(state);
  if (table !== shownTable) return show(document.getElementById("main"), state);
  const asked = new URLSearchParams(state);
  asked.delete("sel");
  // Another row that is marked changes nothing else.
  if (String(asked) === counted) return parts.table.select(state);
  for (const [name, box] of Object.entries(parts.boxes)) assign(box, { value: state.get(name) || "" });
  const sort = state.get("sort") || "-sigma_peak";
  const ticket = ++turn;
  let [found, facets, pictures] = [];
  try {
    // The server looks for rows while they are counted here.
    const rows = parts.table.expect(await listing(table, state, sort));
    found = await count(table, state);
    facets = parts.facets.drawn(found, state);
    pictures = [found.sky().then((counts) => parts.sky.drawn(counts)), ...parts.plots.map((plot) => plot.drawn(found, state))];
    // They are drawn while rows are looked for, and shown with them: to paint twice takes longer, if rows come soon.
    await Promise.race([Promise.all([rows, ...pictures]), new Promise((done) => setTimeout(done, SOON_MS))]);
    // Another choice was made meanwhile, which is shown in its place.
    if (ticket !== turn) return;
    put(parts.problem);
    parts.shown.hidden = false;
    counted = String(asked);
  } catch (error) {
    put(parts.title, "What is chosen cannot be counted");
    put(parts.problem, error.message);
    // What was chosen before is not what the address says now.
    parts.shown.hidden = true;
    return;
  }
  const { about } = found;
  say(parts.title, `${found.rows.toLocaleString("en")} of ${plural(about.rows, table.slice(0, -1))}`);
  facets();
  chips(about, state);
  say(parts.strange, strangers(about, state));
  // Whose votes are meant by the own ones is no part of the address of a page.
  const told = new URLSearchParams({ ...Object.fromEntries(choiceOf(about, state)), ...(state.get("mine") ? voter() : {}) });
  parts.same.update(table, told, () => files(found, table, told));
  await Promise.all([
    ...pictures.map((picture) => picture.then((show) => ticket === turn && show())),
    found.listed(sort).then((listed) => parts.table.update(listed, state)),
  ]);
}

/** What is chosen, each with a button that takes it away. */
function chips(about, state) {
  const chip = (text, patch) => h("li", {}, text, " ", h("button", { type: "button", class: "quiet", "aria-label": `Take away: ${text}`, onclick: () => change(patch) }, "×"));
  const found = about.facets.filter((facet) => state.get(facet.name)).map((facet) => chip(inWords(facet, state.get(facet.name)), { [facet.name]: null }));
  for (const [name, word] of [["flag", "set"], ["noflag", "not set"]]) {
    if (!state.get(name)) continue;
    const flags = state.get(name).split(".").map((bit) => about.flags[Number(bit)]?.replace("filt_", ""));
    found.push(chip(`${flags.join(", ")} ${word}`, { [name]: null }));
  }
  for (const name of ["where", "cone", "name", "obsid"]) if (state.get(name)) found.push(chip(`${name}: ${state.get(name)}`, { [name]: null }));
  if (found.length > 1) {
    const everything = Object.fromEntries([...state.keys()].filter((key) => !["table", "sel"].includes(key)).map((key) => [key, null]));
    found.push(h("li", {}, h("button", { type: "button", class: "quiet", onclick: () => change(everything) }, "take all away")));
  }
  put(parts.chips, found);
}

/** The rows as files, and for other programs. */
function files(found, table, state) {
  const query = new URLSearchParams(state);
  query.set("table", table);
  const formats = ["csv", "ecsv", "vot", "fits", "parquet"];
  return [
    mode === "server"
      ? h("p", {}, "Download these rows: ", formats.map((format) => [h("a", { href: `${base}api/v1/export.${format}?${query}`, download: `${table}.${format}` }, format.toUpperCase()), " "]))
      : exportButtons(table, found.about.columns, async () => (await found.listed(state.get("sort"))).numbers),
    sendButtons([["These rows", () => ({ state: Object.fromEntries(query) })]]),
  ];
}
