// Counting in the browser: the index of a table as bytes, and which rows an address chooses.
// `exod.web.counting` answers the same questions on a server; both must agree to the last row.

import { ask, columns, meta } from "./data.js";
import { mode } from "./site.js";
import { rowsThatFulfil } from "./conditions.js";

export const MISSING = 255;

/** What an address says that the index cannot tell: conditions on the columns themselves. */
export const CONDITIONS = ["where", "cone", "obsid", "name"];

const indexes = new Map();

/** The index of a table: a Uint8Array a facet, flags, pixels of the sky. */
export function indexOf(table) {
  if (!indexes.has(table)) indexes.set(table, load(table));
  return indexes.get(table);
}

async function load(table) {
  const about = (await meta()).tables[table];
  const names = [...about.facets.map((facet) => facet.name), "flags", "hp6"];
  const found = about.rows ? await columns(`${table}.index.parquet`, names) : {};
  const bytes = Object.fromEntries(about.facets.map(({ name }) => [name, Uint8Array.from(found[name] ?? [])]));
  return {
    table, about, rows: about.rows, bytes,
    flags: Uint16Array.from(found.flags ?? []), pixels: Uint16Array.from(found.hp6 ?? []),
  };
}

/** Which codes of a facet an address chooses, as a table of 256 bytes; null for all. */
function chosenCodes(facet, state) {
  const text = state.get(facet.name);
  if (!text) return null;
  const chosen = new Uint8Array(256);
  if (facet.kind === "bins") {
    const range = /^(\d{1,2})-(\d{1,2})$/.exec(text);
    if (!range || Number(range[1]) > Number(range[2]) || Number(range[2]) > 63) {
      throw new Error(`${facet.name}=${text} is no range of bins; write two numbers of 0 to 63, as ${facet.name}=14-63.`);
    }
    chosen.fill(1, Number(range[1]), Number(range[2]) + 1);
  } else {
    if (!/^\d{1,3}(\.\d{1,3})*$/.test(text)) throw new Error(`${facet.name}=${text} is no list of codes, as ${facet.name}=0.2.`);
    for (const code of text.split(".")) chosen[Number(code)] = 1;
  }
  return chosen;
}

function flagMask(text) {
  return text ? text.split(".").reduce((mask, bit) => mask | (1 << Number(bit)), 0) : 0;
}

let asked = { key: "", mask: null };

/** The rows that fulfil the conditions of an address, a byte a row; null if it has none. */
async function conditionMask(index, state) {
  const given = Object.fromEntries(CONDITIONS.filter((name) => state.get(name)).map((name) => [name, state.get(name)]));
  if (!Object.keys(given).length) return null;
  const key = JSON.stringify([index.table, given]);
  if (asked.key === key) return asked.mask;
  let mask;
  if (mode === "server") {
    const answer = await ask(`api/v1/mask?${new URLSearchParams({ ...given, table: index.table })}`);
    mask = unpacked(new Uint8Array(await answer.arrayBuffer()), index.rows);
  } else {
    mask = await rowsThatFulfil(index, given);
  }
  asked = { key, mask };
  return mask;
}

function unpacked(bits, rows) {
  const mask = new Uint8Array(rows);
  for (let row = 0; row < rows; row++) mask[row] = (bits[row >> 3] >> (7 - (row & 7))) & 1;
  return mask;
}

/**
 * Count what an address chooses.
 *
 * Each facet is counted with all conditions but its own, so that one sees what else could be chosen.
 * `failed` is the number of conditions that a row does not fulfil: 0 for the rows that are chosen.
 */
export async function count(table, state) {
  const index = await indexOf(table);
  const { facets, flags } = index.about;
  const failed = new Uint8Array(index.rows);
  const tables = facets.map((facet) => chosenCodes(facet, state));
  tables.forEach((chosen, number) => {
    if (!chosen) return;
    const bytes = index.bytes[facets[number].name];
    for (let row = 0; row < failed.length; row++) failed[row] += 1 - chosen[bytes[row]];
  });
  const [set, unset] = [flagMask(state.get("flag")), flagMask(state.get("noflag"))];
  const flagged = new Uint8Array(index.rows);
  if (set || unset) {
    for (let row = 0; row < failed.length; row++) {
      if ((index.flags[row] & set) !== set || index.flags[row] & unset) { flagged[row] = 1; failed[row]++; }
    }
  }
  const mask = await conditionMask(index, state);
  // A row that fails a condition of text counts nowhere, whatever the facets say.
  if (mask) for (let row = 0; row < failed.length; row++) if (!mask[row]) failed[row] = 200;
  let rows = 0;
  for (let row = 0; row < failed.length; row++) if (!failed[row]) rows++;
  const counts = {};
  facets.forEach((facet, number) => {
    const own = new Uint32Array(256);
    const [bytes, chosen] = [index.bytes[facet.name], tables[number]];
    for (let row = 0; row < failed.length; row++) {
      if (!failed[row] || (chosen && failed[row] === 1 && !chosen[bytes[row]])) own[bytes[row]]++;
    }
    counts[facet.name] = own;
  });
  const flagCounts = flags.map((_, bit) => {
    let found = 0;
    for (let row = 0; row < failed.length; row++) {
      if ((index.flags[row] >> bit) & 1 && (!failed[row] || (failed[row] === 1 && flagged[row]))) found++;
    }
    return found;
  });
  return { index, failed, rows, counts, flagCounts };
}

/** Chosen rows by two facets: counts in order of y, then x, and the largest. */
export function histogram({ index, failed }, x, y) {
  const [columnsOf, rowsOf] = [x, y].map((name) => sizeOf(index.about.facets.find((facet) => facet.name === name)));
  const counts = new Uint32Array(columnsOf * rowsOf);
  const [across, up] = [index.bytes[x], index.bytes[y]];
  let largest = 0;
  for (let row = 0; row < failed.length; row++) {
    if (failed[row] || across[row] === MISSING || up[row] === MISSING) continue;
    largest = Math.max(largest, ++counts[up[row] * columnsOf + across[row]]);
  }
  return { counts, columns: columnsOf, rows: rowsOf, largest };
}

/** Chosen rows by pixel of the sky: counts of all pixels of order 6, nested. */
export function skyCounts({ index, failed }) {
  const counts = new Uint32Array(12 * 4 ** 6);
  for (let row = 0; row < failed.length; row++) if (!failed[row]) counts[index.pixels[row]]++;
  return counts;
}

/** The numbers of the chosen rows in the order of a column ("-" before it: largest first). */
export async function ordered({ index, failed }, sort) {
  const chosen = [];
  for (let row = 0; row < failed.length; row++) if (!failed[row]) chosen.push(row);
  const name = (sort || "").replace(/^-/, "");
  if (!index.about.sortable.includes(name)) return Uint32Array.from(chosen);
  const key = `${name}_f4`;
  const values = (await sortColumn(index.table, key));
  const way = sort.startsWith("-") ? -1 : 1;
  const missing = (value) => value === null || value === undefined || Number.isNaN(value);
  chosen.sort((one, other) => {
    const [a, b] = [values[one], values[other]];
    if (missing(a) || missing(b)) return missing(a) - missing(b) || one - other;
    return way * (a - b) || one - other;
  });
  return Uint32Array.from(chosen);
}

const sortColumns = new Map();

function sortColumn(table, key) {
  const id = `${table} ${key}`;
  if (!sortColumns.has(id)) sortColumns.set(id, columns(`${table}.index.parquet`, [key]).then((found) => found[key] ?? []));
  return sortColumns.get(id);
}

/** Number of codes of a facet. */
export function sizeOf(facet) {
  return facet.kind === "bins" ? 64 : facet.labels.length;
}

/** The condition of a facet in words, for people and for `exod query --where`. */
export function inWords(facet, text) {
  if (facet.kind === "codes") {
    const labels = text.split(".").map((code) => facet.labels[Number(code)] ?? "missing");
    const written = labels.map((label) => (typeof label === "number" ? label : `'${label}'`));
    return { people: `${facet.label}: ${labels.join(", ")}`, where: `${facet.column} in (${written.join(", ")}${written.length === 1 ? "," : ""})` };
  }
  const [low, high] = text.split("-").map(Number);
  const [from, to] = [facet.edges[low], facet.edges[high + 1]];
  const parts = [low > 0 && `${facet.column} >= ${from}`, high < 63 && `${facet.column} < ${to}`].filter(Boolean);
  return {
    people: `${facet.label}: ${short(from)} to ${short(to)}`,
    where: parts.join(" and ") || `notnull(${facet.column})`,
  };
}

/** A number of an edge, short. */
export function short(value) {
  const size = Math.abs(value);
  return size && (size < 0.01 || size >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

