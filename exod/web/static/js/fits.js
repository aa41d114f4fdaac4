// Rows as a FITS file with one binary table, as the server writes it (`exod.tablefiles.fits`), without checksums.

const BLOCK = 2880;
const CARD = 80;
/** What a card holds of a text, which may go on in the next one (FITS 4.0, 4.2.1.2). */
const TEXT = 67;
const WHOLE = { int8: "I", uint8: "I", int16: "I", uint16: "J", int32: "J", uint32: "K", int64: "K" };
const BYTES = { B: 1, I: 2, J: 4, K: 8, E: 4, D: 8 };
const LEAST = { I: -(2n ** 15n), J: -(2n ** 31n), K: -(2n ** 63n) };
const NO_BOOLEAN = 255;

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").replace(/[^ -~]/gu, "?");
const isMissing = (value) => value === null || value === undefined || Number.isNaN(value);
const textOf = (value) => (isMissing(value) ? "" : plain(value instanceof Date ? value.toISOString() : String(value)));

/** A table: `see` all rows, then `put` each of them at its place, then take the `parts`. */
export class FitsTable {
  constructor(name, columns) {
    this.name = name;
    // FITS has no whole numbers beyond those of 64 bits with a sign: they are digits.
    this.columns = columns.map((column) => ({ ...column, form: formOf(column.type), width: 1, missing: false, numbers: new Set() }));
  }

  /** Look at a row: how long its texts are, and which numbers can stand for missing ones. */
  see(row) {
    for (const column of this.columns) {
      const value = row[column.name];
      if (column.form === "A") column.width = Math.max(column.width, textOf(value).length);
      else if (column.form in LEAST) {
        if (isMissing(value)) column.missing = true;
        // Only numbers from the smallest one on could be in the way.
        else if (BigInt(value) < LEAST[column.form] + 65_536n) column.numbers.add(BigInt(value));
      }
    }
  }

  /** A number of rows follows. */
  begin(count) {
    this.count = count;
    this.size = 0;
    for (const column of this.columns) {
      column.start = this.size;
      this.size += column.form === "A" ? column.width : BYTES[column.form];
      column.none = column.form === "B" ? NO_BOOLEAN : column.missing ? freeFrom(LEAST[column.form], column.numbers) : null;
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
    const first = header([["SIMPLE", true], ["BITPIX", 8], ["NAXIS", 0], ["EXTEND", true]]);
    const table = [
      ["XTENSION", "BINTABLE"], ["BITPIX", 8], ["NAXIS", 2], ["NAXIS1", this.size], ["NAXIS2", this.count],
      ["PCOUNT", 0], ["GCOUNT", 1], ["TFIELDS", this.columns.length], ["EXTNAME", plain(this.name).toUpperCase()],
    ];
    this.columns.forEach(({ name, form, width, unit, description, none }, place) => {
      const number = place + 1;
      table.push([`TTYPE${number}`, plain(name)], [`TFORM${number}`, form === "A" ? `${width}A` : form]);
      // What has two slashes is no unit of FITS.
      const told = unit && unit.split("/").length < 3;
      if (told) table.push([`TUNIT${number}`, plain(unit)]);
      if (none !== null && form !== "A") table.push([`TNULL${number}`, none]);
      if (form === "B") table.push([`TLMIN${number}`, 0], [`TLMAX${number}`, 1]);
      table.push([`TCOMM${number}`, plain(unit && !told ? `${description} (${unit})` : description)]);
    });
    return [first, header(table), this.bytes];
  }
}

/** A FITS file of rows that are here. */
export function fitsParts(name, columns, rows) {
  const table = new FitsTable(name, columns);
  rows.forEach((row) => table.see(row));
  table.begin(rows.length);
  rows.forEach((row, place) => table.put(row, place));
  return table.parts();
}

function formOf(type) {
  return { double: "D", float: "E", bool: "B" }[type] ?? WHOLE[type] ?? "A";
}

function freeFrom(number, taken) {
  let free = number;
  while (taken.has(free)) free += 1n;
  return free;
}

function header(pairs) {
  const cards = pairs.flatMap(([name, value]) => cardsOf(name, value));
  const text = [...cards, "END"].map((card) => card.padEnd(CARD)).join("");
  return new TextEncoder().encode(text.padEnd(Math.ceil(text.length / BLOCK) * BLOCK));
}

function cardsOf(name, value) {
  const begin = `${name.padEnd(8)}= `;
  if (typeof value !== "string") return [begin + (value === true ? "T" : String(value)).padStart(20)];
  const pieces = [""];
  for (const letter of value) {
    const own = letter === "'" ? "''" : letter;
    if (pieces.at(-1).length + own.length > TEXT) pieces.push("");
    pieces[pieces.length - 1] += own;
  }
  return pieces.map((piece, place) => `${place ? "CONTINUE  " : begin}'${(place + 1 < pieces.length ? `${piece}&` : piece).padEnd(8)}'`);
}
