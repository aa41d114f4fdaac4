// The index of a table in a browser: a byte a facet and row, with the facets of votes as they are now.

import { once } from "./damage.js";
import { columns, meta, votes } from "./data.js";
import { vetter } from "./votes.js";

const indexes = new Map();

/** The index of a table: a Uint8Array a facet, flags, pixels of the sky. */
export async function indexOf(table) {
  const loaded = once(indexes, table, () => load(table));
  // They are asked for meanwhile; who waits for them is told below if they cannot be had.
  meta().then(({ tables }) => tables[table].facets.some((facet) => facet.votes) && votes(vetter())).catch(() => {});
  const index = await loaded;
  await addVotes(index);
  return index;
}

/** The facets of votes, which change while the files stay, if those of the index are not the newest. */
async function addVotes(index) {
  const facets = index.about.facets.filter((facet) => facet.votes);
  if (!facets.length) return;
  const found = await votes(vetter());
  if (index.votes === found) return;
  index.votes = found;
  for (const { name, others } of facets) {
    const bytes = new Uint8Array(index.rows).fill(others);
    found[index.table]?.row.forEach((row, place) => { bytes[row] = found[index.table][name][place]; });
    index.bytes[name] = bytes;
  }
}

async function load(table) {
  const about = (await meta()).tables[table];
  const facets = about.facets.filter((facet) => !facet.votes);
  const names = [...facets.map((facet) => facet.name), "flags", "hp6"];
  const found = about.rows ? await columns(`${table}.index.parquet`, names) : {};
  const bytes = Object.fromEntries(facets.map(({ name }) => [name, Uint8Array.from(found[name] ?? [])]));
  return {
    table, about, rows: about.rows, bytes,
    flags: Uint16Array.from(found.flags ?? []), pixels: Uint16Array.from(found.hp6 ?? []),
  };
}

/** The same of no more than the first rows of a table. */
export function firstRows(index, most) {
  const rows = Math.min(index.rows, most);
  const bytes = Object.fromEntries(Object.entries(index.bytes).map(([name, own]) => [name, own.subarray(0, rows)]));
  return { ...index, rows, bytes, flags: index.flags.subarray(0, rows), pixels: index.pixels.subarray(0, rows) };
}

/** Number of codes of a facet. */
export function sizeOf(facet) {
  return facet.kind === "bins" ? 64 : facet.labels.length;
}
