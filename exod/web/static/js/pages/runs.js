// How far the search is: live where there is a server, else as it was when the pages were prepared.

import { h, put } from "../dom.js";
import { api, column } from "../data.js";
import { plural } from "../format.js";
import { base, href, mode, token } from "../site.js";
import { stackedBar } from "../bars.js";
import { sameElsewhere } from "../same.js";

const STATUSES = {
  OK: ["var(--green)", "searched, with detections"],
  EMPTY: ["var(--sky)", "searched, nothing found"],
  SKIPPED: ["var(--orange)", "could not be searched"],
  FAILED: ["var(--vermilion)", "ended in an error"],
};

let source = null;

export async function show(main) {
  const place = h("div", {});
  const note = h("p", { class: "quiet small", role: "status" });
  put(main, h("h1", {}, "Runs"), note, place, sameElsewhere({
    command: "exod status ARCHIVE",
    python: 'import exod\n\nrows = exod.open_archive("ARCHIVE").status()',
  }));
  let figures;
  if (mode === "server") {
    figures = await api("runs");
    follow(note, (news) => draw(place, (figures = { ...figures, ...news })));
  } else {
    figures = JSON.parse((await column("progress.parquet", "figures"))[0]);
    put(note, "As it was when these pages were prepared.");
  }
  draw(place, figures);
}

export function leave() {
  source?.close();
  source = null;
}

function follow(note, onNews) {
  leave();
  source = new EventSource(`${base}api/v1/runs/events`);
  source.onopen = () => put(note, "Live: what changes is shown as it comes.");
  source.onerror = () => put(note, "The server does not answer just now; what is shown may be old.");
  source.onmessage = (event) => {
    const news = JSON.parse(event.data);
    if (news.problem) put(note, news.problem);
    else onNews(news);
  };
}

function draw(place, figures) {
  const open = new Set([...place.querySelectorAll("details[open]")].map((one) => one.dataset.reason));
  put(place, now(figures), ledger(figures), failures(figures, open), stages(figures),
    costly("Slowest observations", figures.slowest), costly("Most memory", figures.largest),
    mode === "server" && token && cluster(figures.cluster));
}

function now(figures) {
  if (!figures.stage) {
    const rate = figures.per_hour && `; the last search did ${Math.round(figures.per_hour).toLocaleString("en")} observations an hour`;
    return h("section", { "aria-label": "Now" }, h("p", {}, `Nothing is being searched${rate || ""}.`,
      figures.news && ` The last outcome came ${when(figures.news)}.`));
  }
  const parts = [
    ["Done before", figures.before, "var(--quiet)"], ["Done now", figures.done - figures.failed, "var(--green)"],
    ["Failed now", figures.failed, "var(--vermilion)"], ["To do", figures.left, "var(--line)"],
  ];
  return h("section", { "aria-label": "Now" },
    h("h2", {}, `Running: ${figures.stage}`),
    stackedBar(parts, `Progress of ${figures.stage}`),
    facts([
      ["Done", `${(figures.before + figures.done).toLocaleString("en")} of ${plural(figures.total, "observation")}`],
      ["An hour", figures.per_hour ? Math.round(figures.per_hour).toLocaleString("en") : "not known yet"],
      ["Time left", figures.seconds_left ? duration(figures.seconds_left) : "not known yet"],
      ["Began", when(figures.began)], ["Last outcome", when(figures.news)],
      ["Dask dashboard", figures.dashboard && outside(figures.dashboard)],
    ]));
}

function ledger({ counts }) {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return h("section", { "aria-label": "Ledger" },
    h("h2", {}, `Ledger: ${plural(all, "observation")}`),
    all > 0 && stackedBar(Object.entries(counts).map(([name, count]) => [name, count, STATUSES[name][0]]), "Observations by status"),
    table("Observations by status", ["Status", "Observations", "Meaning"],
      Object.entries(counts).map(([name, count]) => [name, count, STATUSES[name][1]])));
}

function failures({ failures: groups }, open) {
  if (!groups.length) return h("section", { "aria-label": "Failures" }, h("h2", {}, "Failures"), h("p", {}, "None."));
  return h("section", { "aria-label": "Failures" },
    h("h2", {}, "Failures by reason"),
    groups.map((group) => h("details", { dataset: { reason: group.reason }, open: open.has(group.reason) || groups.length === 1 },
      h("summary", {}, h("strong", {}, `${group.count.toLocaleString("en")}: `), group.reason),
      h("p", { class: "small" }, group.obsids.map((obsid, place) => [place > 0 && ", ", h("a", { href: href(`/obs/${obsid}`) }, obsid)]),
        group.count > group.obsids.length && ` and ${(group.count - group.obsids.length).toLocaleString("en")} more`),
      h("p", { class: "small" }, "To search them again:"), h("pre", { tabindex: 0 }, group.command))));
}

function stages({ stages: products }) {
  return h("section", { "aria-label": "Products" },
    h("h2", {}, "Products"),
    products.length
      ? table("Products of the archive", ["Product", "Rows", "Observations behind"], products.map(({ name, rows, behind }) => [name, rows, behind]))
      : h("p", {}, "None were made yet."));
}

function costly(title, observations) {
  return h("section", { "aria-label": title },
    h("h2", {}, title),
    observations.length
      ? table(title, ["Observation", "Status", "Seconds", "Peak memory (MB)"], observations.map((one) => [
        h("a", { href: href(`/obs/${one.obsid}`) }, one.obsid), one.status, Number(one.seconds.toFixed(1)),
        one.peak_memory_mb ? Math.round(one.peak_memory_mb) : "not measured"]))
      : h("p", {}, "Nothing was measured."));
}

function cluster(about) {
  const title = h("h2", {}, "Dask cluster");
  if (!about) {
    return h("section", { "aria-label": "Dask cluster" }, title,
      h("p", {}, "To see its workers here, start ", h("code", {}, "exod explore ROOT --scheduler tcp://host:port"), "."));
  }
  if (about.problem) return h("section", { "aria-label": "Dask cluster" }, title, h("p", { role: "alert" }, about.problem));
  const megabytes = (bytes) => (bytes ? Math.round(bytes / 2 ** 20) : "not known");
  return h("section", { "aria-label": "Dask cluster" }, title,
    h("p", {}, `${plural(about.workers.length, "worker")}, ${plural(about.tasks, "task")} with them. `,
      about.dashboard && outside(about.dashboard)),
    about.workers.length > 0 && table("Workers", ["Worker", "Threads", "Tasks", "Memory (MB)", "Limit (MB)"],
      about.workers.map((one) => [one.name, one.threads, one.tasks, megabytes(one.memory), megabytes(one.memory_limit)])),
    about.runs.length > 0 && table("Runs of the scheduler", ["Run", "Tasks", "Before", "Succeeded", "Failed", "Left", "An hour", "Time left"],
      about.runs.map((run) => [`${run.stage}${run.ended ? " (ended)" : ""}`, run.total, run.before, run.succeeded, run.failed, run.left,
        run.per_hour ? Math.round(run.per_hour) : "–", run.seconds_left ? duration(run.seconds_left) : "–"])));
}

function outside(address) {
  // Only addresses of the web become links, whatever the scheduler says.
  return /^https?:/.test(address) ? h("a", { href: address, rel: "noreferrer", target: "_blank" }, address) : address;
}

function facts(pairs) {
  return h("dl", {}, pairs.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function table(caption, heads, lines) {
  const cell = (value) => h("td", { class: typeof value === "number" ? "number" : null }, typeof value === "number" ? value.toLocaleString("en") : value);
  const numeric = (place) => typeof lines[0]?.[place] === "number";
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Table: ${caption}` },
    h("table", {}, h("caption", { class: "hidden" }, caption),
      h("thead", {}, h("tr", {}, heads.map((head, place) => h("th", { scope: "col", class: numeric(place) ? "number" : null }, head)))),
      h("tbody", {}, lines.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map(cell))))));
}

function when(text) {
  return text ? `${text.slice(0, 10)} ${text.slice(11, 19)} UTC` : "";
}

function duration(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
