// Vetting: a queue of sources, one a screen; a key votes and goes on to the next.

import { clocksOf } from "../clock.js";
import { api, meta, rowsWhere } from "../data.js";
import { h, put } from "../dom.js";
import { flagsOf } from "../flags.js";
import { eventWords, number, plural, sexagesimal, text } from "../format.js";
import { curveOf, lightCurvePanel } from "../lightcurve.js";
import { pythonAnswer, sameElsewhere } from "../same.js";
import { base, change, here, href, login } from "../site.js";
import { LABELS, castVote, closed, nameForm, vetter, votePanel } from "../votes.js";

const QUEUES = { unvoted: "not voted on", conflicts: "conflicts", least: "fewest votes", known: "known answers", similar: "most similar" };
const CURVES = 3;
const KEYS = [
  ...LABELS.map(({ key, name }) => [key, `${name}, and on to the next`]),
  ["0", "withdraw the vote"], ["n", "write a note, which goes with the vote"], ["j, k", "next, previous source"],
  ["z", "undo the last vote"], ["/", "search a source by name"], ["?", "this list"],
];

// Answers may come when the page was left: its parts stay, and are shown no more.
let [parts, isShown] = [null, false];
let [numbers, at, total, asked] = [[], 0, 0, null];
let [panels, panel, taken, ticket] = [[], null, [], 0];
const kept = new Map();

export async function show(main, state) {
  const why = closed();
  if (why) return put(main, h("h1", {}, "Vetting"), h("p", {}, why));
  if (!vetter()) {
    return put(main, h("h1", {}, "Vetting"),
      h("p", {}, "Votes are kept under a name. You see what others think of a source after you have voted on it."),
      nameForm(() => show(main, here().state)));
  }
  addEventListener("keydown", keys);
  const queue = h("select", { "aria-label": "Queue", onchange: (event) => change({ queue: event.target.value, like: event.target.value === "similar" ? numbers[at] ?? null : null, source: null }) },
    Object.entries(QUEUES).map(([name, words]) => h("option", { value: name }, words)));
  const search = h("input", { type: "search", name: "name", placeholder: "J1234… (/)", "aria-label": "Name of a source", size: 12 });
  const help = h("dialog", { "aria-labelledby": "keys" }, h("h2", { id: "keys" }, "Keys"),
    h("dl", {}, KEYS.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])),
    h("button", { type: "button", class: "main", onclick: () => help.close() }, "Close"));
  parts = { queue, search, help, left: h("span", { class: "quiet" }), known: h("p", { class: "quiet small" }), problem: h("p", { role: "alert" }), said: h("p", { role: "status", class: "small" }), body: h("div", { class: "source vetting" }), agreement: h("div", {}) };
  put(main,
    h("div", { class: "bar" }, h("h1", {}, "Vetting"), queue, parts.left,
      h("form", { role: "search", onsubmit(event) { event.preventDefault(); find(search.value.trim()); } }, search),
      h("button", { type: "button", onclick: () => help.showModal() }, "Keys ", h("kbd", {}, "?")),
      h("span", { class: "quiet" }, `as ${vetter()} `, !login && h("button", { type: "button", class: "quiet", onclick: rename }, "change"))),
    parts.problem, parts.said, parts.known, parts.body, agreementOf(), help);
  [asked, isShown] = [null, true];
  await update(state);
}

export function leave() {
  removeEventListener("keydown", keys);
  clear();
  isShown = false;
}

export async function update(state) {
  if (!isShown) return;
  parts.queue.value = Object.hasOwn(QUEUES, state.get("queue")) ? state.get("queue") : "unvoted";
  const choice = new URLSearchParams(state);
  choice.delete("source");
  if (String(choice) !== asked) await fill(choice);
  const wanted = Number(state.get("source") ?? numbers[0] ?? NaN);
  // A source of the address that is not in the queue comes first: it was voted on, or linked to.
  if (Number.isInteger(wanted) && !numbers.includes(wanted)) numbers.unshift(wanted);
  at = Math.max(0, numbers.indexOf(wanted));
  await draw();
}

async function fill(choice) {
  const found = await api("vetting/queue", { ...Object.fromEntries(choice), queue: parts.queue.value, vetter: vetter() });
  [numbers, total, asked] = [found.sources, found.total, String(choice)];
  await standing();
}

/** How far the vetter was right so far, where answers are known; and votes that cannot be read. */
async function standing() {
  const { known, damaged } = await api("vetting/state", { vetter: vetter() });
  if (!isShown) return;
  const share = (value) => (value === null ? "not known yet" : `${(100 * value).toFixed(0)} %`);
  put(parts.known, known && known.votes ? `Of ${plural(known.votes, "vote")} on sources with a known answer: completeness ${share(known.completeness)}, false alarms ${share(known.false_alarms)}.` : "");
  put(parts.problem, damaged.length ? `${plural(damaged.length, "vote")} cannot be read and does not count: ${damaged.slice(0, 3).join(", ")} in vetting/events. Put the files back from a copy.` : "");
}

/** Go to the first source whose name begins so, whatever the queue is. */
async function find(name) {
  parts.search.blur();
  if (!name) return;
  try {
    const { rows } = await api("rows", { table: "sources", columns: "region_num", name, limit: 1 });
    if (rows.length) go(rows[0].region_num);
    else put(parts.said, `The name of no source begins with ${name}.`);
  } catch (error) {
    put(parts.said, error.message);
  }
}

function rename() {
  const main = document.getElementById("main");
  leave();
  put(main, h("h1", {}, "Vetting"), nameForm(() => show(main, here().state)));
}

function clear() {
  panels.forEach((one) => one.leave());
  panels = [];
}

function read(source) {
  if (!kept.has(source)) {
    if (kept.size > 30) kept.clear();
    const rows = ["sources", "detections", "lightcurves"].map((name) => rowsWhere(`${name}.parquet`, "region_num", source));
    kept.set(source, Promise.all([...rows, rows[1].then(clocksOf)]));
  }
  return kept.get(source);
}

async function draw() {
  const own = ++ticket;
  const source = numbers[at];
  put(parts.left, total ? `${plural(total, "source")} in this queue` : "");
  if (source === undefined) {
    clear();
    put(parts.body, h("p", {}, "Nothing is left in this queue", numbers.length ? "; k goes back. " : ". ", "Choose another queue, or ", h("a", { href: href("/") }, "go to the catalogue"), "."));
    return;
  }
  const [[[about], detections, frames, clocks], { tables }] = await Promise.all([read(source), meta()]);
  if (own !== ticket || !isShown) return;
  clear();
  if (!about) {
    put(parts.body, h("p", { role: "alert" }, `There is no source ${source} in this archive; j goes on to the next.`));
    return;
  }
  panel = votePanel(source, { keys: true, onVote: (label, before, { answer }) => onVote(about, label, before, answer) });
  put(parts.body, h("div", {}, h("h2", {}, h("a", { href: href(`/source/${source}`) }, about.srcid), " ", h("span", { class: "quiet small" }, `${at + 1} of ${numbers.length}`)), h("p", { class: "small" }, h("a", { href: href("/vet", { queue: "similar", like: source }) }, "vet those most like it")), curves(about, detections, frames, clocks, tables.detections)),
    h("aside", {}, panel.element, facts(about, tables.detections)));
  if (numbers[at + 1] !== undefined) read(numbers[at + 1]).catch(() => {});
  await panel.refresh();
}

function curves(about, detections, frames, clocks, table) {
  const strength = (one) => Math.max(one.sigma_peak ?? 0, one.sigma_eclipse ?? 0) + (one.detid === about.best_detid ? 100 : 0);
  const shown = detections.filter(({ detid }) => frames.some((row) => row.detid === detid)).sort((one, other) => strength(other) - strength(one)).slice(0, CURVES);
  panels = shown.map((one) => {
    const rows = frames.filter((row) => row.detid === one.detid);
    const clock = clocks.get(one.obsid);
    const { zero } = clock;
    return lightCurvePanel({
      curve: curveOf(rows, zero), bin: one.t_bin, group: one.obsid, clock, flags: flagsOf(table, one),
      event: one.t_start === null ? null : [one.t_start - zero, one.t_stop - zero],
      title: `${one.obsid}, ${one.e_lo}–${one.e_hi} keV, ${one.t_bin} s bins: ${text(one.kind)}, ${number(Math.max(one.sigma_peak ?? 0, one.sigma_eclipse ?? 0), 3)}σ`,
      link: href(`/detection/${encodeURIComponent(one.detid)}`),
    });
  });
  const more = detections.length - panels.length;
  return [panels.map(({ element }) => element), more > 0 && h("p", { class: "small" }, h("a", { href: href(`/source/${about.region_num}`) }, `${plural(more, "more detection")}`))];
}

function facts(about, table) {
  const flags = flagsOf(table, about);
  const lines = [
    ["place", sexagesimal(about.ra_deg, about.dec_deg)], ["error (63 %)", `${number(about.pos_err_arcsec, 3)}″`],
    ["detections", `${number(about.n_detections)} in ${plural(Number(about.n_observations), "observation")}`],
    ["covered, not seen", number(about.n_undetected)],
    ["event", eventWords(about)],
    ["hardness", number(about.best_hr_event, 3)], ["false alarm", number(about.fap_obs, 3)],
    ["flags", flags.length ? flags : "none"],
  ];
  return h("section", { class: "panel", "aria-label": "What is known" }, h("h2", {}, "What is known"), h("dl", {}, lines.map(([term, what]) => [h("dt", {}, term), h("dd", {}, what)])));
}

function onVote(about, label, before, answer) {
  const source = Number(about.region_num);
  // The answer is shown now, so that the vote stays.
  if (!answer) taken.push({ source, srcid: about.srcid, before });
  if (label === "none") {
    put(parts.said, `${about.srcid}: your vote is withdrawn.`);
    return false;
  }
  put(parts.said, `${about.srcid}: ${label}. ${answer ? `The answer is known: ${answer}; this vote stays.` : "z takes it back."}`);
  standing().catch(() => {});
  if (!before && parts.queue.value !== "conflicts") total = Math.max(0, total - 1);
  step(1).catch((error) => put(parts.said, error.message));
  return true;
}

async function step(by) {
  if (by > 0 && at + 1 >= numbers.length) {
    const before = numbers;
    await fill(new URLSearchParams(asked));
    const skipped = numbers[0];
    const more = numbers.filter((source) => !before.includes(source));
    numbers = [...before, ...more];
    if (!more.length) {
      // What was passed over without a vote comes again; conflicts are not settled by one vote.
      if (skipped !== undefined && parts.queue.value !== "conflicts") return go(skipped);
      at = numbers.length;
      return draw();
    }
  }
  return go(numbers[Math.max(0, at + by)]);
}

function go(source) {
  if (source !== undefined && !numbers.includes(source)) numbers.unshift(source);
  const same = String(source) === here().state.get("source");
  if (same || source === undefined) { at = Math.max(0, numbers.indexOf(source)); return draw(); }
  change({ source: String(source) }, true);
}

async function undo() {
  const last = taken.pop();
  if (!last) return put(parts.said, "There is no vote to take back.");
  try {
    const { before } = last;
    if (before) await castVote(last.source, before.label, { note: before.note, classes: before.classes, score: before.score });
    else await castVote(last.source, "none");
    put(parts.said, `${last.srcid}: ${before ? `${before.label} again` : "no vote"}.`);
    go(last.source);
  } catch (error) {
    taken.push(last);
    put(parts.said, `The vote was not taken back: ${error.message}`);
  }
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !isShown) return;
  if (event.target.closest?.("input, select, textarea, dialog, .curve")) return;
  const label = LABELS.find(({ key }) => key === event.key)?.name ?? (event.key === "0" ? "none" : null);
  const actions = {
    j: () => step(1), k: () => step(-1), z: undo, n: () => panel?.focusNote(),
    "/": () => parts.search.focus(), "?": () => parts.help.showModal(),
  };
  const action = label ? () => panel?.vote(label) : actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

/** Agreement of all vetters, read when it is opened; and the verdicts as files. */
function agreementOf() {
  const holder = h("div", {});
  const details = h("details", { async ontoggle() { if (details.open) put(holder, await agreement().catch((error) => h("p", { role: "alert" }, error.message))); } },
    h("summary", {}, "Agreement and verdicts"), holder);
  return details;
}

async function agreement() {
  const found = await api("vetting/agreement");
  const heads = ["Vetter", ...LABELS.map(({ name }) => name), "as the verdict"];
  return [
    h("p", {}, `${plural(found.events, "event")}; Fleiss’ kappa ${found.kappa === null ? "is not known: no source has two votes that differ" : number(found.kappa, 3)}. `,
      Object.entries(found.verdicts).map(([name, count]) => `${name}: ${count}`).join(", ")),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Vetters" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, found.vetters.map((one) => h("tr", {}, h("th", { scope: "row" }, one.vetter),
        LABELS.map(({ name }) => h("td", { class: "number" }, String(one.votes[name]))), h("td", { class: "number" }, `${one.as_decided} of ${one.decided}`)))))),
    h("p", {}, "Verdicts as a file: ", ["csv", "fits", "parquet"].map((ending) => [h("a", { href: `${base}api/v1/vetting/export.${ending}`, download: `verdicts.${ending}` }, ending.toUpperCase()), " "])),
    sameElsewhere({ command: "exod verdicts ARCHIVE --to verdicts.parquet", python: pythonAnswer("vetting/export.parquet") }),
  ];
}
