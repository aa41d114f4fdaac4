// What an address chooses, read by the rules of `exod.web.selection`: what cannot be is said, and nothing is passed over.

import { coneOf, obsidsOf, parse } from "./conditions.js";
import { mode } from "./site.js";

export const MISSING = 255;

/** What an address says that the index cannot tell: conditions on the columns themselves. */
export const CONDITIONS = ["where", "cone", "obsid", "name"];

const TABLES = ["sources", "detections"];

/** The parts of an address that are facets by name: axes of plots. */
const AXES = ["x", "y", "x2", "y2"];

/** What an address says besides: which rows, what is marked, axes of plots, who asks, who counts, and the queue of votes. */
const OTHERS = ["table", "sel", ...AXES, "vetter", "count", "queue", "like", "source"];

/** Which codes of a facet an address chooses, as a table of 256 bytes; null for all. */
export function chosenCodes(facet, state) {
  const text = state.get(facet.name);
  if (!text) return null;
  const chosen = new Uint8Array(256);
  if (facet.kind === "bins") {
    const range = /^(\d{1,2})-(\d{1,2})$/.exec(text);
    if (!range || Number(range[1]) > Number(range[2]) || Number(range[2]) > 63) {
      throw new Error(`${facet.name}=${text} is no range of bins; write two numbers of 0 to 63, as ${facet.name}=14-63.`);
    }
    chosen.fill(1, Number(range[1]), Number(range[2]) + 1);
  } else for (const code of codesOf(facet.name, text, facet.labels.length, MISSING)) chosen[code] = 1;
  return chosen;
}

/** The table of an address. */
export function tableOf(state) {
  const name = state.get("table") || TABLES[0];
  if (!TABLES.includes(name)) throw new Error(`There is no table '${name}'; there are ${TABLES.join(" and ")}.`);
  return name;
}

function codesOf(name, text, limit, ...besides) {
  const codes = /^\d{1,3}(\.\d{1,3})*$/.test(text) ? text.split(".").map(Number) : [NaN];
  if (codes.every((code) => code < limit || besides.includes(code))) return codes;
  throw new Error(`${name}=${text} is no list of codes; write numbers below ${limit} with points between them, as ${name}=0.`);
}

/** The flags that an address wants to be set (`flag`) or not (`noflag`), as a mask; 0 if none. */
export function flagMask(about, state, name) {
  const text = state.get(name);
  return text ? codesOf(name, text, about.flags.length).reduce((mask, bit) => mask | (1 << bit), 0) : 0;
}

function namesOf(about) {
  return [...about.facets.map(({ name }) => name), "flag", "noflag", ...CONDITIONS, "sort"];
}

/** What an address says of the rows of a table: other names are left out. */
export function choiceOf(about, state) {
  const known = [...namesOf(about), ...OTHERS];
  return new URLSearchParams([...state].filter(([name]) => known.includes(name)));
}

/** What an address says that nothing is known of, in a sentence; empty if there is nothing. */
export function strangers(about, state) {
  const known = [...namesOf(about), ...OTHERS];
  const found = [...new Set(state.keys())].filter((name) => !known.includes(name));
  return found.length ? `The address has ${found.map((name) => `"${name}"`).join(", ")}, which is no facet or condition of these rows: nothing is chosen by it.` : "";
}

/** Look at all that an address chooses; raises an error that names what cannot be. */
export function check(about, state) {
  for (const facet of about.facets) chosenCodes(facet, state);
  for (const name of ["flag", "noflag"]) flagMask(about, state, name);
  if (state.get("where")?.trim() && mode !== "server") parse(state.get("where"), about.columns);
  if (state.get("cone")) coneOf(state.get("cone"));
  if (state.get("obsid")) obsidsOf(state.get("obsid"));
  for (const name of AXES) {
    const given = state.get(name);
    if (given && !about.facets.some((facet) => facet.name === given)) throw new Error(`${name}=${given} is no axis; there are ${about.facets.map((facet) => facet.name).join(", ")}.`);
  }
  const sort = (state.get("sort") ?? "").replace(/^-/, "");
  if (sort && !about.columns.some(({ name }) => name === sort)) throw new Error(`There is no column '${sort}' to sort by.`);
  if (sort && mode !== "server" && !about.sortable.includes(sort)) throw new Error(`Pages without a server do not sort by ${sort}; click the head of a column.`);
}
