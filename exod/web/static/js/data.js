// What the site knows: files of the product, read in ranges, and answers of the server if there is one.

import { blockOf, groupsAsFile, keyAt, ownerOf } from "./blocks.js";
import { SiteError, damaged, once, readable } from "./damage.js";
import { base, mode, token } from "./site.js";

/** The column that tells the source of a row. */
const OWNER = "region_num";

let reading;

/** What reads Parquet files, once it is needed. */
function parquet() {
  reading ??= import("./parquet.js");
  return reading;
}

/** Fetch something of the site; an error is the sentence that the server gives. */
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(base + path, options);
  } catch {
    throw new SiteError(mode === "server" ? "The server does not answer; is `exod explore` still running?" : `The site does not hand out ${path.replace(/\?.*$/, "")}; is it there, and are you connected?`);
  }
  if (!answer.ok) {
    const about = await answer.json().catch(() => ({}));
    if (typeof about.detail === "string") throw new SiteError(about.detail);
    throw damaged(path, `${answer.status} ${answer.statusText}`);
  }
  return answer;
}

/** A question to the API; only where `mode` is "server". */
export async function api(path, state) {
  const query = state ? `?${new URLSearchParams(state)}` : "";
  return json(`api/v1/${path}${query}`);
}

/** A file of the site that is JSON. */
export function json(path) {
  return readable(path, async () => (await ask(path)).json());
}

/** Tell the server something. */
export async function tell(path, content) {
  const headers = { "content-type": "application/json", "x-exod-token": token };
  return (await ask(`api/v1/${path}`, { method: "POST", headers, body: JSON.stringify(content) })).json();
}

let known;

/** What is known of the product: tables, facets, columns, files. */
export function meta() {
  known ??= json(mode === "server" ? "api/v1/meta" : "data/meta.json");
  return known;
}

let voted;

/** Of each table the rows with votes, with their codes of the facets of votes. */
export function votes(vetter) {
  voted ??= json(mode === "server" ? `api/v1/votes${vetter ? `?${new URLSearchParams({ vetter })}` : ""}` : "data/votes.json");
  return voted;
}

/** Ask for the votes again: there may be others. */
export function forgetVotes() {
  voted = undefined;
}

const files = new Map();

/** How much of the end of a file is read first: of an index the footer, of others some rows besides. */
const TAIL = { index: 1 << 17, other: 1 << 19 };

async function open(name) {
  const about = (await meta()).files[name];
  if (!about) throw new SiteError(`The pages have no file ${name}.`);
  const { asyncBufferFromUrl, cachedAsyncBuffer, parquetMetadataAsync } = await parquet();
  const url = `data/${name}?v=${about.sha256.slice(0, 12)}`;
  const file = cachedAsyncBuffer(await asyncBufferFromUrl({ url, byteLength: about.bytes, fetch: ask }));
  const initialFetchSize = name.endsWith(".index.parquet") ? TAIL.index : TAIL.other;
  return { name, file, metadata: await readable(url, () => parquetMetadataAsync(file, { initialFetchSize })) };
}

function opened(name) {
  return once(files, name, () => open(name));
}

/** Whether the product has a file. */
export async function hasFile(name) {
  return name in (await meta()).files;
}

/** Columns of a file, of all rows or some: typed arrays where the values are numbers that are never missing. */
export async function columns(name, names, start = 0, stop = Infinity) {
  return columnsOf(await opened(name), names, start, stop);
}

async function columnsOf({ name, file, metadata }, names, start = 0, stop = Infinity) {
  const { compressors, parquetRead } = await parquet();
  const last = Math.min(stop, Number(metadata.num_rows));
  const length = last - start;
  const found = {};
  await readable(`data/${name}`, () => parquetRead({
    file, metadata, compressors, columns: names, rowStart: start, rowEnd: last,
    onChunk({ columnName, columnData, rowStart, rowEnd }) {
      if (!(columnName in found)) {
        const kind = columnData.constructor;
        found[columnName] = kind === Array ? new Array(length) : new kind(length);
      }
      // What is read may begin before, and end after, the rows that are wanted.
      const [from, to] = [Math.max(rowStart, start), Math.min(rowEnd, last)];
      const own = found[columnName];
      if (columnData.subarray && own.set) own.set(columnData.subarray(from - rowStart, to - rowStart), from - start);
      else for (let row = from; row < to; row++) own[row - start] = columnData[row - rowStart];
    },
  }));
  return found;
}

/** The first row of each group of rows of a file, and one past its last one: what is read together. */
export async function rowGroups(name) {
  let start = 0;
  return (await opened(name)).metadata.row_groups.map((group) => [start, (start += Number(group.num_rows))]);
}

/** Some rows of a file as objects. */
export async function rows(name, start, stop, names) {
  return rowsOf(await opened(name), start, stop, names);
}

async function rowsOf({ name, file, metadata }, start, stop, names) {
  const { compressors, parquetRead } = await parquet();
  return readable(`data/${name}`, () => new Promise((resolve, reject) => {
    parquetRead({
      file, metadata, compressors, columns: names, rowStart: start, rowEnd: stop, rowFormat: "object", onComplete: resolve,
    }).catch(reject);
  }));
}

let together = null;

/** Ask for all that the page of a source shows at once: who asks for parts of it later finds them there. */
export function askForSource(number) {
  if (mode !== "server" || together?.number === number) return;
  together = { number, page: api(`pages/source/${number}`) };
  together.page.catch(() => { together = null; });
}

/** Rows that came with what was asked for together; nothing if they did not. */
async function rowsOfPage(name, key, value) {
  if (!together) return null;
  const { number, page } = together;
  const { rows: own, others } = await page;
  if (key === OWNER) return value === number ? own[name] : null;
  const beside = others[name];
  if (!beside || beside.key !== key) return null;
  if (!key) return beside.rows;
  return beside.values.includes(value) ? beside.rows.filter((row) => row[key] === value) : null;
}

/** All rows of a small file, with some of its columns. */
export async function allRows(name, names) {
  const known = await rowsOfPage(name, "");
  return known ?? rows(name, 0, Infinity, names);
}

/** The rows of a file with a value of a column, found by the server, as a file of their own. */
async function answer(name, key, value, names) {
  const asked = new URLSearchParams({ key, value, ...(names && { columns: names.join(",") }) });
  const [{ parquetMetadata }, found] = await Promise.all([parquet(), ask(`api/v1/where/${name}?${asked}`)]);
  const file = await found.arrayBuffer();
  return { name, file, metadata: await readable(`api/v1/where/${name}`, () => parquetMetadata(file)) };
}

/**
 * The rows of a file whose column `key` has a value.
 *
 * Groups of rows whose statistics leave the value out are not read: of a file that is sorted by
 * the column that is all but one or two.
 */
export async function rowsWhere(name, key, value, names) {
  if (mode === "server") return (await rowsOfPage(name, key, value)) ?? rowsOf(await answer(name, key, value, names));
  const { blocks, tables } = await meta();
  if (blocks.tables.includes(name) && (key === blocks.owner || key === tables[name.split(".")[0]]?.key)) {
    return ((await blockWith(key, value)).rows[name] ?? []).filter((row) => row[key] === value);
  }
  const found = await holding(name, key, value);
  let start = 0;
  const parts = found.metadata.row_groups.map((group) => {
    const [first, stop] = [start, (start += Number(group.num_rows))];
    return mayHold(group, key, value) ? rowsOfGroup(found, key, value, names, first, stop) : [];
  });
  return (await Promise.all(parts)).flat();
}

async function ownBlock(number) {
  return blockOf(ask, await meta(), number);
}

/** The block with a source, or with a detection by its name. */
async function blockWith(key, value) {
  const about = await meta();
  return ownBlock(key === about.blocks.owner ? value : ((await ownerOf(ask, about, value)) ?? Infinity));
}

/** Of a published site the place of a row in a table, by its key; -1 if there is none. */
export async function rowOf(table, value) {
  const { key } = (await meta()).tables[table];
  const { rows: own, places } = await blockWith(key, table === "sources" ? Number(value) : value);
  const name = `${table}.parquet`;
  const at = (own[name] ?? []).findIndex((row) => String(row[key]) === String(value));
  return at < 0 ? -1 : places[name][at];
}

/** Of a published site the key of a row of a table. */
export async function keyOf(table, row) {
  return keyAt(ask, await meta(), table, row);
}

/** A file of a published site or, where a block tells it, those of its groups of rows that may have a value. */
async function holding(name, key, value) {
  const about = await meta();
  if (key !== about.blocks.owner || !(name in about.blocks.files)) return opened(name);
  const [{ groups }, { parquetMetadata }] = await Promise.all([ownBlock(value), parquet()]);
  return groupsAsFile(ask, about, name, groups[name] ?? [], value, parquetMetadata);
}

async function rowsOfGroup(found, key, value, names, start, stop) {
  const own = await columnsOf(found, [key], start, stop);
  const numbers = [];
  own[key].forEach((one, row) => { if (same(one, value)) numbers.push(row); });
  if (!numbers.length) return [];
  const read = await rowsOf(found, start + numbers[0], start + numbers.at(-1) + 1, names);
  return numbers.map((row) => read[row - numbers[0]]);
}

/** The same as columns, of a file that is sorted by `key`: typed arrays where nothing is missing. */
export async function columnsWhere(name, key, value, names) {
  if (mode === "server") {
    const own = await answer(name, key, value, names);
    return Number(own.metadata.num_rows) ? columnsOf(own, names) : {};
  }
  const found = await holding(name, key, value);
  let [start, first, last] = [0, -1, -1];
  for (const group of found.metadata.row_groups) {
    const stop = start + Number(group.num_rows);
    if (mayHold(group, key, value)) {
      const own = await columnsOf(found, [key], start, stop);
      for (let row = 0; row < own[key].length; row++) {
        if (!same(own[key][row], value)) continue;
        if (first < 0) first = start + row;
        last = start + row + 1;
      }
    }
    start = stop;
  }
  return first < 0 ? {} : columnsOf(found, names, first, last);
}

function mayHold(group, key, value) {
  const about = group.columns.find((column) => column.meta_data.path_in_schema.join(".") === key)?.meta_data.statistics;
  const [low, high] = [about?.min_value ?? about?.min, about?.max_value ?? about?.max];
  if (low === undefined || high === undefined) return true;
  return typeof low === "bigint" ? low <= BigInt(value) && BigInt(value) <= high : low <= value && value <= high;
}

const kept = new Map();

/** One column of a file, read once. */
export function column(name, key) {
  return once(kept, `${name} ${key}`, () => columns(name, [key]).then((found) => found[key] ?? []));
}

/** The numbers of the sources before and after one; null if there is none. */
export async function besides(number) {
  if (mode === "server") return together?.number === number ? together.page : api(`besides/${number}`);
  // Numbers have gaps: that of a source which merged into another is never used again.
  const { rows: own, before, after } = await ownBlock(number);
  const numbers = (own["sources.parquet"] ?? []).map((row) => row.region_num);
  const found = { before: numbers.findLast((one) => one < number) ?? before, after: numbers.find((one) => one > number) ?? after };
  return found;
}

function same(one, other) {
  return typeof one === "bigint" ? one === BigInt(other) : one === other;
}
