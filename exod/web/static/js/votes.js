// Votes: who votes, what can be said of a source, and the panel in which it is said.

import { api, column, forgetVotes, meta, tell, votes } from "./data.js";
import { h, put } from "./dom.js";
import { here, login, mode, token } from "./site.js";

/** What a vote can say, with its key and a sign, so that it is not told by colour alone. */
export const LABELS = [
  { key: "1", name: "real", sign: "✓" },
  { key: "2", name: "artefact", sign: "✗" },
  { key: "3", name: "interesting", sign: "★" },
  { key: "4", name: "unsure", sign: "?" },
];

const LONGEST_NAME = 40;

/** Why nobody can vote here; empty if one can. */
export function closed() {
  if (mode !== "server") return "A published site has no vetting: votes need a server, as exod explore starts it.";
  return token ? "" : "This server is public: there is no vetting.";
}

/** The name under which this browser votes. */
export function vetter() {
  return login || localStorage.getItem("exod-vetter") || "";
}

/** Ask for the name; `then` is called when there is one. */
export function nameForm(then) {
  const box = h("input", { name: "vetter", value: vetter(), maxlength: LONGEST_NAME, required: true, autocomplete: "username", "aria-label": "Your name", pattern: "[^,<>]+" });
  return h("form", {
    class: "bar",
    onsubmit(event) {
      event.preventDefault();
      const name = box.value.trim();
      if (!name) return;
      localStorage.setItem("exod-vetter", name);
      then(name);
    },
  }, h("label", {}, "Your name ", box), h("button", { class: "main" }, "Vote under this name"));
}

/** Say something of a source; the answer comes when it is safe. */
export function castVote(source, label, more = {}) {
  const { path, state } = here();
  const view = `${path}?${state}`.slice(0, 2000);
  forgetVotes();
  return tell("vetting", { vetter: vetter(), source, label, view, ...more });
}

function signOf(label) {
  return LABELS.find(({ name }) => name === label)?.sign ?? "";
}

function told(vote) {
  const more = [vote.classes, vote.score >= 0 && `${vote.score} of 5`, vote.note].filter(Boolean).join(" · ");
  return [h("strong", {}, `${signOf(vote.label)} ${vote.label}`), more ? ` ${more}` : "", vote.stale ? h("span", { class: "quiet" }, " (stale: the source was split since)") : ""];
}

/**
 * The panel of a source: buttons, classes, how sure, a note, and the votes on it.
 *
 * `keys` tells whether the page listens to keys, which are shown then.
 * `onVote(label, before, found)` is called with the vote that this one takes the place of, and what is
 * known of the source now, once it is safe; it returns true if the page goes on to another source, after which this panel takes no more votes.
 */
export function votePanel(source, { onVote, keys = false } = {}) {
  const shown = performance.now();
  const note = h("textarea", { rows: 2, maxlength: 2000, "aria-label": "Note", placeholder: keys ? "Note (n)" : "Note", onkeydown: leaveBox });
  const classes = h("input", { maxlength: 200, "aria-label": "Classes, with commas between them", placeholder: "Classes, as flare star, GRB", onkeydown: leaveBox });
  const score = h("select", { "aria-label": "How sure" }, h("option", { value: -1 }, "how sure?"), [0, 1, 2, 3, 4, 5].map((n) => h("option", { value: n }, `${n} of 5`)));
  const buttons = LABELS.map(({ key, name, sign }) => h("button", { type: "button", "aria-pressed": "false", onclick: () => vote(name) }, h("span", { "aria-hidden": "true" }, `${sign} `), name, " ", keys && h("kbd", {}, key)));
  const withdraw = h("button", { type: "button", class: "quiet", disabled: true, onclick: () => vote("none") }, "withdraw ", keys && h("kbd", {}, "0"));
  const [own, others, problem] = [h("p", { "aria-live": "polite" }), h("div", {}), h("p", { role: "alert" })];
  let [now, busy] = [null, false];

  function leaveBox(event) {
    if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey)) {
      event.preventDefault();
      event.target.blur();
    }
  }

  function show(found) {
    now = found.own;
    buttons.forEach((button, place) => button.setAttribute("aria-pressed", String(now?.label === LABELS[place].name)));
    withdraw.disabled = !now;
    put(own, now ? ["Your vote: ", told(now)] : "You have not voted on it; what others think is shown after that.");
    const items = found.others?.map((one) => h("li", {}, `${one.vetter}: `, told(one)));
    put(others, found.others && [h("p", {}, `Verdict: ${found.verdict}`), found.answer && h("p", {}, `The answer is known: ${found.answer}.`), items.length ? h("ul", {}, items) : h("p", { class: "quiet" }, "Nobody else has voted on it.")]);
  }

  async function vote(label) {
    if (busy || (label === "none" && !now)) return;
    busy = true;
    let moved = false;
    const before = now;
    const more = { note: note.value, classes: classes.value, score: Number(score.value), seconds: (performance.now() - shown) / 1000, supersedes: before?.event ?? "" };
    try {
      const found = await castVote(source, label, more);
      put(problem);
      show(found);
      moved = onVote?.(label, before, found) === true;
    } catch (error) {
      put(problem, `The vote was not taken: ${error.message}`);
    } finally {
      busy = moved;
    }
  }

  async function refresh() {
    const found = await api("vetting/state", { vetter: vetter(), source });
    if (found.own && !note.value) [note.value, classes.value, score.value] = [found.own.note, found.own.classes, String(found.own.score)];
    show(found);
  }

  const element = h("section", { class: "panel voting", "aria-label": "Votes" },
    h("h2", {}, "Is it real?"), h("div", { class: "labels", role: "group", "aria-label": "Your vote" }, buttons), note,
    h("div", { class: "bar" }, classes, score, withdraw), problem, own, others);
  return { element, refresh, vote, focusNote: () => note.focus() };
}

/** What vetters think of a source, for readers who cannot vote; nothing where nobody has voted. */
async function readersVerdict(source) {
  const found = mode === "server" ? (await api("vetting", { source })).rows[0] : await publishedVerdict(source);
  if (!found?.n_votes) return null;
  const counts = Object.entries(found.votes ?? {}).filter(([, count]) => count).map(([label, count]) => `${signOf(label)} ${label}: ${count}`);
  return h("section", { class: "panel", "aria-label": "Verdict" }, h("h2", {}, "Verdict of vetters"),
    h("p", {}, h("strong", {}, `${signOf(found.verdict)} ${found.verdict}`), ` after ${found.n_votes} ${Number(found.n_votes) === 1 ? "vote" : "votes"}`),
    counts.length > 0 && h("p", { class: "quiet small" }, counts.join(", ")));
}

async function publishedVerdict(source) {
  const about = await meta();
  if (!about.votes) return null;
  const [{ sources }, numbers] = await Promise.all([votes(""), column("sources.parquet", "region_num")]);
  const place = sources.row.findIndex((row) => Number(numbers[row]) === source);
  const { labels } = about.tables.sources.facets.find(({ name }) => name === "verdict");
  return place < 0 ? null : { n_votes: sources.n_votes[place], verdict: labels[sources.verdict[place]] };
}

/** The panel for the page of a source: asks for a name first, or says why there is no vetting. */
export function sourceVotes(source) {
  const holder = h("div", {});
  const open = async () => {
    const panel = votePanel(source);
    put(holder, panel.element);
    await panel.refresh();
  };
  if (closed()) {
    readersVerdict(source).then((panel) => put(holder, panel), () => {});
    return holder;
  }
  if (vetter()) open().catch((error) => put(holder, h("p", { role: "alert" }, error.message)));
  else put(holder, h("section", { class: "panel", "aria-label": "Votes" }, h("h2", {}, "Is it real?"), nameForm(open)));
  return holder;
}
