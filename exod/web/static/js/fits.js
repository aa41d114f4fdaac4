// Rows as a FITS file with one binary table, as the server writes it (`exod.tablefiles.fits`).

import { json } from "./data.js";
import { mode } from "./site.js";

const BLOCK = 2880;
const CARD = 80;
const ALL_ONES = 2 ** 32 - 1;
/** Words of four bytes whose sum is exact. */
const EXACT = 2 ** 20;
const WHOLE = { int8: "I", uint8: "I", int16: "I", uint16: "J", int32: "J", uint32: "K", int64: "K", uint64: "K" };
const WIDER = { I: "J", J: "K" };
const BYTES = { B: 1, I: 2, J: 4, K: 8, E: 4, D: 8 };
const LEAST = { I: -(2n ** 15n), J: -(2n ** 31n), K: -(2n ** 63n) };
const NO_BOOLEAN = 255;

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").replace(/[^ -~]/gu, "?");
const isMissing = (value) => value === null || value === undefined || Number.isNaN(value);
const textOf = (value) => (isMissing(value) ? "" : plain(value instanceof Date ? value.toISOString() : String(value)));

let told;

/** What the headers of a table tell besides its form, cards of `exod.tablefiles.fitsheads`. */
async function headsOf(name) {
  told ??= json(mode === "server" ? "api/v1/heads" : "data/heads.json");
  try {
    return (await told)[name];
  } catch (error) {
    told = undefined;
    throw error;
  }
}

/** A table: `see` all rows, then `begin`, `put` each of them at its place, and take the `parts`. */
export class FitsTable {
  constructor(name, columns, heads) {
    [this.name, this.heads] = [name, heads];
    this.columns = columns.map((column) => ({ ...column, form: formOf(column.type), width: 1, low: 0n, high: 0n, numbers: new Set() }));
  }

  static async of(name, columns) {
    return new FitsTable(name, columns, await headsOf(name));
  }

  /** Look at a row: how long its texts are, and which numbers can stand for missing ones. */
  see(row) {
    for (const column of this.columns) {
      const value = row[column.name];
      if (column.form === "A") column.width = Math.max(column.width, textOf(value).length);
      else if (column.form in LEAST && !isMissing(value)) {
        const number = BigInt(value);
        if (number < column.low) column.low = number;
        if (number > column.high) column.high = number;
        // Only numbers from the smallest one on could be in the way.
        if (number < LEAST.K + 65_536n) column.numbers.add(number);
      }
    }
  }

  /** A number of rows follows. */
  begin(count) {
    this.count = count;
    this.size = 0;
    for (const column of this.columns) {
      if (column.form in LEAST) free(column);
      column.start = this.size;
      this.size += column.form === "A" ? column.width : BYTES[column.form];
      if (column.form === "B") column.none = NO_BOOLEAN;
    }
    this.bytes = new Uint8Array(Math.ceil((count * this.size) / BLOCK) * BLOCK);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Write a row. */
  put(row, place) {
    for (const { name, form, start, none } of this.columns) {
      const [value, at] = [row[name], place * this.size + start];
      const missing = isMissing(value);
      if (form === "A") new TextEncoder().encodeInto(textOf(value), this.bytes.subarray(at));
      else if (form === "B") this.view.setUint8(at, missing ? none : Number(value));
      else if (form === "E") this.view.setFloat32(at, missing ? NaN : value);
      else if (form === "D") this.view.setFloat64(at, missing ? NaN : value);
      else if (form === "I") this.view.setInt16(at, Number(missing ? none : value));
      else if (form === "J") this.view.setInt32(at, Number(missing ? none : value));
      else this.view.setBigInt64(at, BigInt(missing ? none : value));
    }
  }

  /** The parts of the file. */
  parts() {
    const first = [card("SIMPLE", "T"), card("BITPIX", 8), card("NAXIS", 0), card("EXTEND", "T"), ...this.heads.primary];
    const form = [
      card("XTENSION", quoted("BINTABLE")), card("BITPIX", 8), card("NAXIS", 2), card("NAXIS1", this.size), card("NAXIS2", this.count),
      card("PCOUNT", 0), card("GCOUNT", 1), card("TFIELDS", this.columns.length), card("EXTNAME", quoted(plain(this.name).toUpperCase())),
    ];
    this.columns.forEach(({ form: letter, width, none }, place) => {
      const number = place + 1;
      form.push(...this.heads.columns[place], card(`TFORM${number}`, quoted(letter === "A" ? `${width}A` : letter)));
      if (none !== undefined && letter !== "A") form.push(card(`TNULL${number}`, none));
      if (letter === "B") form.push(card(`TLMIN${number}`, 0), card(`TLMAX${number}`, 1));
    });
    return [summed(first, new Uint8Array()), summed([...form, ...this.heads.table], this.bytes), this.bytes];
  }
}

/** A FITS file of rows that are here. */
export async function fitsParts(name, columns, rows) {
  const table = await FitsTable.of(name, columns);
  rows.forEach((row) => table.see(row));
  table.begin(rows.length);
  rows.forEach((row, place) => table.put(row, place));
  return table.parts();
}

function formOf(type) {
  return { double: "D", float: "E", bool: "B" }[type] ?? WHOLE[type] ?? "A";
}

/** Find a number that no row has, which stands for missing ones; digits where FITS has no such number. */
function free(column) {
  if (column.high >= -LEAST.K) {
    [column.form, column.width] = ["A", String(column.high).length];
    return;
  }
  const { form, low, high } = column;
  const [least, most] = [LEAST[form], -LEAST[form] - 1n];
  if (low > least) column.none = least;
  else if (high < most) column.none = most;
  else if (form in WIDER) [column.form, column.none] = [WIDER[form], LEAST[WIDER[form]]];
  else for (column.none = least; column.numbers.has(column.none);) column.none += 1n;
}

const quoted = (text) => `'${text.padEnd(8)}'`;

function card(name, value, comment = "") {
  const field = typeof value === "string" && value.startsWith("'") ? value.padEnd(20) : String(value).padStart(20);
  return `${name.padEnd(8)}= ${field}${comment && ` / ${comment}`}`.padEnd(CARD);
}

function block(cards) {
  const text = [...cards, "END".padEnd(CARD)].join("");
  return new TextEncoder().encode(text.padEnd(Math.ceil(text.length / BLOCK) * BLOCK));
}

/** A header with the sum of the data and its checksum. */
function summed(cards, data) {
  const total = folded(0, data);
  const header = (sum) => block([...cards, card("CHECKSUM", quoted(sum), "Checksum of the header and the data unit"), card("DATASUM", quoted(String(total)), "Checksum of the data unit")]);
  return header(encoded(folded(total, header("0".repeat(16)))));
}

/** A sum, in ones' complement, and the numbers of 32 bits of bytes. */
function folded(total, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length;) {
    for (const stop = Math.min(at + 4 * EXACT, bytes.length); at < stop; at += 4) total += view.getUint32(at);
    while (total > ALL_ONES) total = (total % 2 ** 32) + Math.floor(total / 2 ** 32);
  }
  return total;
}

/** Sixteen letters and digits that make the sum of a unit with this sum all ones (FITS 4.0, appendix J). */
function encoded(total) {
  const isSign = (code) => !/[0-9A-Za-z]/.test(String.fromCharCode(code));
  const columns = [24, 16, 8, 0].map((shift) => {
    const byte = ((ALL_ONES - total) >>> shift) & 255;
    const quarter = 48 + Math.floor(byte / 4);
    const four = [quarter + (byte % 4), quarter, quarter, quarter];
    while (four.some(isSign)) {
      for (const pair of [0, 2]) {
        if (isSign(four[pair]) || isSign(four[pair + 1])) {
          four[pair]++;
          four[pair + 1]--;
        }
      }
    }
    return four;
  });
  const text = [0, 1, 2, 3].map((row) => columns.map((four) => String.fromCharCode(four[row])).join("")).join("");
  return text.at(-1) + text.slice(0, -1);
}
