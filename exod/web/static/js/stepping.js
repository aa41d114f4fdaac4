// Steps through the rows that an address chooses, in their order: the one before, the one after, and the way back.

import { CONDITIONS } from "./choices.js";
import { api, besides, keyOf, meta, rowOf } from "./data.js";
import { count, voter } from "./engine.js";
import { h } from "./dom.js";
import { href, mode } from "./site.js";

const USUAL_ORDER = "-sigma_peak";
const PATHS = { sources: "/source/", detections: "/detection/" };

/** What an address says of a choice of rows; empty if it says nothing of one. */
async function choiceOf(table, state) {
  const { facets } = (await meta()).tables[table];
  const names = [...facets.map(({ name }) => name), "flag", "noflag", ...CONDITIONS, "sort"];
  return new URLSearchParams(names.filter((name) => state.get(name)).map((name) => [name, state.get(name)]));
}

/** The address of a row of a table, from which one can step through what is chosen. */
export function stepAddress(table, key, state) {
  return stepAddresses(table, state)(key);
}

/** What gives the same of each of many rows. */
export function stepAddresses(table, state) {
  const told = new URLSearchParams(state);
  told.delete("table");
  // Without an order there would be nothing to tell a choice of all rows from none.
  if (!told.get("sort")) told.set("sort", USUAL_ORDER);
  told.delete("sel");
  const query = `?${told}`;
  return (key) => href(`${PATHS[table]}${encodeURIComponent(key)}`) + query;
}

async function inFiles(table, key, state) {
  const [found, row] = await Promise.all([count(table, state), rowOf(table, key)]);
  const { numbers } = await found.listed(state.get("sort") ?? "");
  const at = row < 0 ? -1 : numbers.indexOf(row);
  const keyAt = (place) => (at >= 0 && place >= 0 && place < numbers.length ? keyOf(table, numbers[place]) : null);
  const [before, after] = await Promise.all([keyAt(at - 1), keyAt(at + 1)]);
  return { before, after, place: at >= 0 ? at + 1 : null, total: numbers.length };
}

async function found(table, key, choice) {
  if (!choice.size) return table === "sources" ? besides(Number(key)) : { before: null, after: null };
  if (mode !== "server") return inFiles(table, key, choice);
  return api(`step/${encodeURIComponent(key)}`, { ...Object.fromEntries(choice), ...(choice.get("mine") ? voter() : {}), table });
}

/** Where a row is in what the catalogue shows, from 1; null if it is not there. */
export async function placeOf(table, key, state) {
  const choice = await choiceOf(table, state);
  if (!choice.get("sort")) choice.set("sort", USUAL_ORDER);
  return (await found(table, key, choice)).place;
}

/** Links to the rows before and after one, and to all that are chosen; a sentence if they cannot be had. */
export async function steps(table, key, state) {
  const choice = await choiceOf(table, state);
  try {
    const { before, after, place, total } = await found(table, key, choice);
    const step = (to, words, rel) => to !== null && h("a", { href: choice.size ? stepAddress(table, to, choice) : href(`${PATHS[table]}${encodeURIComponent(to)}`), rel }, words);
    const all = choice.size > 0 && h("a", { href: href("/", { ...(table === "sources" ? {} : { table }), ...Object.fromEntries(choice), sel: key }) },
      place === null ? `not among the ${total.toLocaleString("en")} that are chosen` : `${place.toLocaleString("en")} of ${total.toLocaleString("en")} that are chosen`);
    return [step(before, "← previous", "prev"), step(after, "next →", "next"), all];
  } catch (error) {
    return [h("span", { role: "alert" }, error.message)];
  }
}
