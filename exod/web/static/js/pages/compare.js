// What a reprocessing changed: sources that are new, gone, merged, split or returned between two versions.

import { barChart } from "../bars.js";
import { h, put } from "../dom.js";
import { hasFile, column, meta, rows } from "../data.js";
import { plural } from "../format.js";
import { pythonRows, sameElsewhere } from "../same.js";
import { significanceSection } from "../significances.js";
import { change, href } from "../site.js";

const MEANING = {
  new: "not there before",
  gone: "no detection is left of them",
  merged: "their detections are now those of another source",
  split: "detections were taken from another source",
  returned: "had ended at an earlier version, and are there again",
  adopted: "sources of another catalogue, under its names",
  renamed: "the same source under another name",
  unobserved: "sources of another catalogue where nothing was observed",
};

const SHOWN = 500;

/** In an address, what was before the first version. */
const START = "start";

export async function show(main, state) {
  put(main, h("h1", {}, "What a reprocessing changed"), await content(state));
}

export async function update(state) {
  await show(document.getElementById("main"), state);
}

async function content(state) {
  const changes = await lineage();
  const versions = [...new Map(changes.map(({ generation, version }) => [generation, version]))].sort(([one], [other]) => one - other);
  if (!versions.length) return h("p", {}, "The archive has no sources yet, so nothing has changed.");
  const numbers = new Map(versions.map(([generation, version]) => [version, generation]));
  for (const name of ["a", "b"]) {
    const given = state.get(name);
    if (given && !numbers.has(given) && !(name === "a" && given === START)) return h("p", { role: "alert" }, `There is no version ${given}; there are ${[...numbers.keys()].join(", ")}.`);
  }
  const last = versions.at(-1)[0];
  const to = numbers.get(state.get("b")) ?? last;
  const from = state.get("a") === START ? versions[0][0] - 1 : (numbers.get(state.get("a")) ?? to - 1);
  if (from >= to) return [choice(versions, from, to), h("p", { role: "alert" }, "The first version is not before the second; choose others.")];
  const found = changes.filter(({ generation }) => generation > from && generation <= to);
  const kinds = [...new Set([...Object.keys(MEANING), ...found.map((one) => one.change)])];
  const groups = kinds.map((kind) => [kind, found.filter((one) => one.change === kind)]).filter(([, own]) => own.length);
  const names = await column("sources.parquet", "srcid");
  const present = new Map(Array.from(await column("sources.parquet", "region_num"), (one, row) => [Number(one), names[row]]));
  const strengths = await significanceSection(from, to, (one) => present.get(one) ?? null);
  return [
    choice(versions, from, to),
    h("p", {}, found.length ? `${plural(found.length, "change")} of sources.` : "Nothing has changed between these versions."),
    found.length > 0 && h("div", { class: "charts" }, barChart("Changes", groups.map(([kind, own]) => [kind, own.length]), ["Change", "Sources"], "changes")),
    generations(changes, versions, kinds),
    strengths ?? [],
    groups.map(([kind, own]) => group(kind, own, present)),
    sameElsewhere({
      command: `exod query ARCHIVE --table lineage --where "${from} < generation <= ${to}"`,
      python: `${pythonRows("lineage")}.query("${from} < generation <= ${to}")`,
      adql: `SELECT * FROM exod.lineage WHERE generation > ${from} AND generation <= ${to}`,
    }),
  ];
}

/** The rows of the lineage, plain numbers. */
async function lineage() {
  if (!(await hasFile("lineage.parquet"))) throw new Error("These pages were prepared without a history of sources; run `exod explore` again.");
  const about = (await meta()).files["lineage.parquet"];
  if (!about.rows) return [];
  const found = await rows("lineage.parquet", 0, about.rows, ["region_num", "srcid", "change", "other", "version", "generation"]);
  return found.map((row) => ({ ...row, region_num: Number(row.region_num), other: Number(row.other ?? -1), generation: Number(row.generation) }));
}

function choice(versions, from, to) {
  const select = (name, label, chosen, first) => h("label", {}, `${label} `,
    h("select", { name, onchange: (event) => change({ [name]: event.target.value || null }) },
      first && h("option", { value: START, selected: chosen < versions[0][0] }, "before the first"),
      versions.map(([generation, version]) => h("option", { value: version, selected: generation === chosen }, `${generation}: ${version}`))));
  return h("form", { class: "bar", "aria-label": "Versions", onsubmit: (event) => event.preventDefault() },
    select("a", "From", from, true), select("b", "to", to, false));
}

function generations(changes, versions, kinds) {
  const counts = new Map();
  for (const { generation, change: kind } of changes) counts.set(`${generation} ${kind}`, (counts.get(`${generation} ${kind}`) || 0) + 1);
  const shown = kinds.filter((kind) => changes.some((one) => one.change === kind));
  return [
    h("h2", {}, "By version"),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Changes by version" },
      h("table", { dataset: { chart: "versions" } }, h("caption", { class: "hidden" }, "Changes by version"),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Version"), shown.map((kind) => h("th", { scope: "col", class: "number" }, kind)))),
        h("tbody", {}, versions.toReversed().map(([generation, version]) => h("tr", {}, h("th", { scope: "row" }, `${generation}: ${version}`),
          shown.map((kind) => h("td", { class: "number" }, (counts.get(`${generation} ${kind}`) || 0).toLocaleString("en")))))))),
  ];
}

function group(kind, found, present) {
  const source = (number, name) => (present.has(number) ? h("a", { href: href(`/source/${number}`) }, name) : name);
  const word = { merged: "Merged into", split: "Split from" }[kind];
  return h("details", { dataset: { change: kind }, open: found.length <= 20 },
    h("summary", {}, h("strong", {}, `${kind}: ${found.length.toLocaleString("en")}`), MEANING[kind] && `, ${MEANING[kind]}`),
    h("div", { class: "scroll values", tabindex: 0, role: "region", "aria-label": `Sources: ${kind}` },
      h("table", {}, h("caption", { class: "hidden" }, `Sources: ${kind}`),
        h("thead", {}, h("tr", {}, ["Source", "Number", word, "Version"].filter(Boolean).map((head) => h("th", { scope: "col" }, head)))),
        h("tbody", {}, found.slice(0, SHOWN).map((one) => h("tr", {}, h("th", { scope: "row" }, source(one.region_num, one.srcid)), h("td", { class: "number" }, String(one.region_num)),
          word && h("td", {}, one.other >= 0 ? source(one.other, String(one.other)) : "–"), h("td", {}, String(one.generation))))))),
    found.length > SHOWN && h("p", { class: "small quiet" }, `The first ${SHOWN}; lineage.parquet has all.`));
}
