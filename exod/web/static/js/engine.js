// Counting what an address chooses: in the browser, from the index of a table as bytes, or, of very
// large tables, on the server (`exod.web.counting`). Both agree to the last row.

import { CONDITIONS, MISSING, check, choiceOf, chosenCodes, flagMask } from "./choices.js";
import { api, ask, columns, meta } from "./data.js";
import { mode } from "./site.js";
import { rowsThatFulfil } from "./conditions.js";
import { orderOf } from "./ordering.js";
import { rowsAt } from "./rowblocks.js";
import { firstRows, indexOf, sizeOf } from "./tableindex.js";
import { vetter } from "./votes.js";

/** Rows up to which a browser counts itself; above it asks the server, if there is one. */
const LARGEST = 2_000_000;

/** Begin to read what will be counted, while the page is still being put together. */
export async function prepare(table) {
  if (!asksServer((await meta()).tables[table], new URLSearchParams())) indexOf(table).catch(() => {});
}

function asksServer(about, state) {
  return mode === "server" && (about.rows > LARGEST || state.get("count") === "server");
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
 * What is found has the number of `rows`, `counts` of each facet by code, `flagCounts`, and answers
 * `histogram(x, y)`, `sky()` and `listed(sort)`.
 */
export async function count(table, state) {
  const about = (await meta()).tables[table];
  check(about, state);
  return asksServer(about, state) ? ServerCount.of(table, about, state) : BrowserCount.of(await indexOf(table), state);
}

/** Rows that are counted in practice. */
const PRACTICE_ROWS = 30_000;

/** Count some rows of a table, as if a part of a facet and no flag were chosen, so that a browser compiles what counts. */
export async function practise(table, facet) {
  const state = new URLSearchParams({ [facet.name]: facet.kind === "bins" ? "8-40" : String(MISSING), noflag: "0" });
  if (asksServer((await meta()).tables[table], state)) return;
  const found = await BrowserCount.of(firstRows(await indexOf(table), PRACTICE_ROWS), state);
  await Promise.all([found.sky(), found.histogram(facet.name, facet.name)]);
}

class BrowserCount {
  /** `failed` is the number of conditions that a row does not fulfil: 0 for the rows that are chosen. */
  constructor(index, state, failed) {
    this.index = index;
    this.about = index.about;
    this.state = told(index.table, index.about, state);
    this.failed = failed;
  }

  static async of(index, state) {
    const found = new BrowserCount(index, state, new Uint8Array(index.rows));
    const { failed } = found;
    const tables = index.about.facets.map((facet) => chosenCodes(facet, state));
    tables.forEach((chosen, number) => {
      if (!chosen) return;
      const bytes = index.bytes[index.about.facets[number].name];
      for (let row = 0; row < failed.length; row++) failed[row] += 1 - chosen[bytes[row]];
    });
    const [set, unset] = [flagMask(index.about, state, "flag"), flagMask(index.about, state, "noflag")];
    const flagged = set || unset ? new Uint8Array(index.rows) : null;
    if (flagged) {
      for (let row = 0; row < failed.length; row++) {
        if ((index.flags[row] & set) !== set || index.flags[row] & unset) { flagged[row] = 1; failed[row]++; }
      }
    }
    const mask = await conditionMask(index, state);
    // A row that fails a condition of text counts nowhere, whatever the facets say.
    if (mask) for (let row = 0; row < failed.length; row++) if (!mask[row]) failed[row] = 200;
    found.countFacets(tables, flagged);
    return found;
  }

  countFacets(tables, flagged) {
    const { failed, index } = this;
    // All that follows goes over the rows that count, not over all of the table.
    const [chosen, almost] = rowsThatFail(failed);
    [this.chosen, this.rows] = [chosen, chosen.length];
    this.counts = {};
    index.about.facets.forEach((facet, number) => {
      const own = new Uint32Array(256);
      const [bytes, codes] = [index.bytes[facet.name], tables[number]];
      countBytes(own, bytes, chosen);
      if (codes) for (const row of almost) if (!codes[bytes[row]]) own[bytes[row]]++;
      this.counts[facet.name] = own;
    });
    const masks = new Uint32Array(1 << index.about.flags.length);
    countWords(masks, index.flags, chosen);
    if (flagged) for (const row of almost) if (flagged[row]) masks[index.flags[row]]++;
    this.flagCounts = index.about.flags.map(() => 0);
    masks.forEach((count, mask) => {
      for (let bit = 0; count && mask >> bit; bit++) if ((mask >> bit) & 1) this.flagCounts[bit] += count;
    });
  }

  /** Chosen rows by two facets: counts in order of y, then x, and the largest. */
  async histogram(x, y) {
    const { chosen, index } = this;
    const [across, up] = [x, y].map((name) => sizeOf(this.about.facets.find((facet) => facet.name === name)));
    const [columnCodes, rowCodes] = [index.bytes[x], index.bytes[y]];
    const counts = new Uint32Array(across * up);
    for (let place = 0; place < chosen.length; place++) {
      const [column, row] = [columnCodes[chosen[place]], rowCodes[chosen[place]]];
      if (column < across && row < up) counts[row * across + column]++;
    }
    return plane(counts, across, up);
  }

  /** Chosen rows by pixel of the sky: counts of all pixels of order 6, nested. */
  async sky() {
    const counts = new Uint32Array(PIXELS);
    countWords(counts, this.index.pixels, this.chosen);
    return counts;
  }

  /** The chosen rows in the order of a column ("-" before it: largest first), found as they are wanted. */
  async listed(sort) {
    const { table } = this.index;
    // What is scattered over a file is read faster by the server.
    if (mode === "server") return listedByServer(this.state, this.rows, sort);
    const order = await this.order(sort || "");
    if (!order) return { length: this.rows, numbers: this.chosen, rows: (first, last, names) => rowsAt(table, this.chosen.subarray(first, last), names) };
    const found = [];
    let place = 0;
    const until = (last) => {
      for (; found.length < last && place < order.length; place++) if (!this.failed[order[place]]) found.push(order[place]);
    };
    return {
      length: this.rows,
      get numbers() {
        until(Infinity);
        return found;
      },
      rows: (first, last, names) => {
        until(last);
        return rowsAt(table, found.slice(first, last), names);
      },
    };
  }

  /** All rows of the table in an order; null for their own. */
  order(sort) {
    const name = sort.replace(/^-/, "");
    if (!this.about.sortable.includes(name)) return null;
    const id = `${this.index.table} ${sort}`;
    if (!orders.has(id)) orders.set(id, sortColumn(this.index.table, `${name}_f4`).then((values) => orderOf(values, sort.startsWith("-"))));
    return orders.get(id);
  }
}

const orders = new Map();

let spare = new Uint32Array(0);

/** The numbers of the rows that fail no condition, and of those that fail one, which are kept until the next call. */
function rowsThatFail(failed) {
  if (spare.length < failed.length) spare = new Uint32Array(failed.length);
  const [none, one] = [new Uint32Array(failed.length), spare];
  let [sizeOfNone, sizeOfOne] = [0, 0];
  // The place is written anyhow and kept if the row counts: faster than a branch that is hard to foresee.
  for (let row = 0; row < failed.length; row++) {
    none[sizeOfNone] = one[sizeOfOne] = row;
    sizeOfNone += failed[row] === 0;
    sizeOfOne += failed[row] === 1;
  }
  return [none.subarray(0, sizeOfNone), one.subarray(0, sizeOfOne)];
}

/** Count the values of some rows, which are bytes. */
function countBytes(counts, values, rows) {
  if (rows.length === values.length) for (let row = 0; row < values.length; row++) counts[values[row]]++;
  else for (let place = 0; place < rows.length; place++) counts[values[rows[place]]]++;
}

/** The same of words of two bytes: a function that is given one kind of values takes half the time. */
function countWords(counts, values, rows) {
  for (let place = 0; place < rows.length; place++) counts[values[rows[place]]]++;
}

class ServerCount {
  constructor(table, about, state, found) {
    this.about = about;
    this.state = told(table, about, state);
    this.rows = found.rows;
    this.flagCounts = found.flags;
    this.counts = Object.fromEntries(about.facets.map((facet) => {
      const own = new Uint32Array(256);
      const counts = found.facets[facet.name];
      own.set(counts.slice(0, -1));
      own[MISSING] = counts.at(-1);
      return [facet.name, own];
    }));
  }

  static async of(table, about, state) {
    return new ServerCount(table, about, state, await api("facets", told(table, about, state)));
  }

  async histogram(x, y) {
    const { counts } = await api("hist2d", { ...this.state, x, y });
    return plane(Uint32Array.from(counts.flat()), counts[0]?.length ?? 0, counts.length);
  }

  async sky() {
    return Uint32Array.from((await api("sky", this.state)).counts);
  }

  async listed(sort) {
    return listedByServer(this.state, this.rows, sort);
  }
}

/** The chosen rows as the server lists them, whose number is not known yet; null where it is not asked. */
export async function listing(table, state, sort) {
  const about = (await meta()).tables[table];
  // What cannot be is said here, and not asked for.
  check(about, state);
  return mode === "server" ? listedByServer(told(table, about, state), Infinity, sort) : null;
}

function listedByServer(state, length, sort) {
  const ask = { ...state, sort: sort ?? "" };
  return {
    length,
    rows: async (first, last, names) =>
      (await api("rows", { ...ask, columns: [...new Set(names)].join(","), offset: first, limit: last - first, total: false })).rows,
  };
}

/** What the server is told of a choice of rows. */
function told(table, about, state) {
  return { ...Object.fromEntries(choiceOf(about, state)), table, ...voter() };
}

/** Who asks, so that the server knows whose votes are the own ones. */
export function voter() {
  return vetter() ? { vetter: vetter() } : {};
}

const PIXELS = 12 * 4 ** 6;

function plane(counts, columnCount, rowCount) {
  let largest = 0;
  for (const one of counts) if (one > largest) largest = one;
  return { counts, columns: columnCount, rows: rowCount, largest };
}

async function sortColumn(table, key) {
  return (await columns(`${table}.index.parquet`, [key]))[key] ?? [];
}
