// Rows as files that the browser makes: CSV, ECSV, VOTable and FITS, as the server writes them.

import { rowGroups, rows as readRows } from "./data.js";
import { h, put } from "./dom.js";
import { FitsTable, fitsParts } from "./fits.js";
import { download } from "./links.js";

const NUMPY = { double: "float64", float: "float32", string: "string", bool: "bool" };
const VOTABLE = { double: "double", float: "float", bool: "boolean", int64: "long", uint64: "long", int32: "int", uint32: "long", int16: "short", uint16: "int", uint8: "unsignedByte", int8: "short" };

/** The shortest text of a number; of one in single precision, the shortest that is the same in it. */
function digits(value, type) {
  if (type === "float") {
    for (let size = 6; size < 10; size++) {
      const short = Number(value.toPrecision(size));
      if (Math.fround(short) === value) return withPoint(String(short));
    }
  }
  return type === "double" ? withPoint(String(value)) : String(value);
}

/** A whole number of a column of fractions has a point, so that readers take the column for one. */
const withPoint = (text) => (/^-?\d+$/.test(text) ? `${text}.0` : text);

/** A value as text; empty where it is missing. */
function cell(value, type) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "number" ? digits(value, type) : String(value);
}

/** A text that a spreadsheet would compute has an apostrophe before it (`exod.tablefiles.textcells`). */
function guarded(text) {
  const computed = /^'*(?:[=@\t\r]|[+-][^]?)/.test(text) && !/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text);
  return computed ? `'${text}` : text;
}

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;").replace(/[^\t\n\r\x20-\uD7FF\uE000-\uFFFD]/g, "");

const csvLine = (columns) => (row) => `${columns.map(({ name, type }) => quoted(type === "string" ? guarded(cell(row[name], type)) : cell(row[name], type))).join(",")}\n`;

function ecsvHead(columns) {
  const about = columns.map(({ name, type, unit, description }) =>
    `# - {name: ${JSON.stringify(name)}${unit ? `, unit: ${JSON.stringify(unit)}` : ""}, datatype: ${NUMPY[type] ?? type}, description: ${JSON.stringify(description)}}\n`);
  return `# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n${about.join("")}# schema: astropy-2.0\n${columns.map(({ name }) => name).join(",")}\n`;
}

function voHead(columns, table) {
  const field = ({ name, type, unit, description }) =>
    `<FIELD name="${escaped(name)}" ${type === "string" ? 'datatype="unicodeChar" arraysize="*"' : `datatype="${VOTABLE[type] ?? "double"}"`}${unit ? ` unit="${escaped(unit)}"` : ""}><DESCRIPTION>${escaped(description)}</DESCRIPTION></FIELD>\n`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n<RESOURCE type="results">\n<TABLE name="${escaped(table)}">\n${columns.map(field).join("")}<DATA><TABLEDATA>\n`;
}

const voLine = (columns) => (row) => `<TR>${columns.map(({ name, type }) => `<TD>${escaped(cell(row[name], type))}</TD>`).join("")}</TR>\n`;

/** Each format of text: what stands before the rows, a row, what stands after them, and its name on the web. */
const TEXTS = {
  csv: { head: (columns) => `${columns.map(({ name }) => quoted(guarded(name))).join(",")}\n`, line: csvLine, tail: "", kind: "text/csv" },
  ecsv: { head: ecsvHead, line: (columns) => (row) => `${columns.map(({ name, type }) => quoted(cell(row[name], type))).join(",")}\n`, tail: "", kind: "text/csv" },
  vot: { head: voHead, line: voLine, tail: "</TABLEDATA></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n", kind: "application/x-votable+xml" },
};

const KINDS = { ...Object.fromEntries(Object.entries(TEXTS).map(([format, { kind }]) => [format, kind])), fits: "application/fits" };

/** Rows that are here as parts of a file. */
async function written(format, table, columns, rows) {
  if (format === "fits") return fitsParts(table, columns, rows);
  const { head, line, tail } = TEXTS[format];
  return [head(columns, table), ...rows.map(line(columns)), tail];
}

/** Buttons that save rows that are here; `name` is that of the file without its ending. */
export function saveButtons(name, table, columns, rows) {
  return Object.keys(KINDS).map((format) => h("button", {
    type: "button", "aria-label": `${table} as ${format.toUpperCase()}`,
    onclick: async ({ currentTarget: button }) => {
      try {
        download(`${name}.${format}`, await written(format, table, columns, rows), KINDS[format]);
      } catch (error) {
        button.after(h("span", { role: "alert" }, error.message));
      }
    },
  }, format.toUpperCase()));
}

/**
 * Buttons that read the rows of a table by their numbers, in their order, and save them.
 *
 * Each group of rows of the file is read once, whatever the order is; for FITS twice, since a header has the length of texts.
 */
export function exportButtons(table, columns, numbers) {
  const words = h("span", { class: "quiet small", role: "status" });

  async function eachRow(order, take) {
    const places = new Map(Array.from(order, (row, place) => [row, place]));
    for (const [start, stop] of await rowGroups(`${table}.parquet`)) {
      const wanted = Array.from({ length: stop - start }, (_, row) => start + row).filter((row) => places.has(row));
      if (!wanted.length) continue;
      const read = await readRows(`${table}.parquet`, start, stop, columns.map(({ name }) => name));
      for (const row of wanted) take(read[row - start], places.get(row));
      put(words, `Reading row ${stop.toLocaleString("en")} …`);
    }
  }

  async function partsOf(format, order) {
    if (format === "fits") {
      const file = await FitsTable.of(table, columns);
      await eachRow(order, (row) => file.see(row));
      file.begin(order.length);
      await eachRow(order, (row, place) => file.put(row, place));
      return file.parts();
    }
    const { head, line, tail } = TEXTS[format];
    const [texts, write] = [[], line(columns)];
    await eachRow(order, (row, place) => { texts[place] = write(row); });
    return [head(columns, table), ...texts, tail];
  }

  async function save(format) {
    const order = await numbers();
    download(`${table}.${format}`, await partsOf(format, order), KINDS[format]);
    put(words, `${order.length.toLocaleString("en")} rows.`);
  }
  const button = (format) => h("button", { type: "button", onclick: () => save(format).catch((error) => put(words, error.message)) }, format.toUpperCase());
  return h("div", { class: "bar" }, "Save these rows: ", Object.keys(KINDS).map(button), words);
}
