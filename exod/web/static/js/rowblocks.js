// Rows of a file by their numbers, read in blocks that are kept: neighbours are often wanted next.

import { rows as readRows } from "./data.js";

const SIZE = 128;
const MOST = 400;

const blocks = new Map();

function block(table, number, names) {
  const key = `${table} ${number} ${names}`;
  if (!blocks.has(key)) {
    if (blocks.size >= MOST) blocks.delete(blocks.keys().next().value);
    blocks.set(key, readRows(`${table}.parquet`, number * SIZE, (number + 1) * SIZE, names));
  }
  return blocks.get(key);
}

/** Rows of a table by their numbers, with some of its columns. */
export async function rowsAt(table, numbers, names) {
  return Promise.all(Array.from(numbers, async (number) => (await block(table, Math.floor(number / SIZE), names))[number % SIZE]));
}
