// Conditions of an address where there is no server: the language of `exod.schemas.conditions`.
//
// A value is missing if it is null or NaN. A comparison with a missing value is false, arithmetic
// with one gives one, and `not` makes true of false.

import { column } from "./data.js";

const TOKEN = /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(<=|>=|==|!=|[-+*/()<>,[\]]))/y;

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

const FUNCTIONS = {
  isnull: (value) => missing(value),
  notnull: (value) => !missing(value),
  between: (value, low, high) => [value, low, high].every((one) => !missing(one)) && value >= low && value <= high,
  startswith: (text, start) => !missing(text) && !missing(start) && text.startsWith(start),
  endswith: (text, end) => !missing(text) && !missing(end) && text.endsWith(end),
  contains: (text, part) => !missing(text) && !missing(part) && text.includes(part),
  abs: (value) => (missing(value) ? null : Math.abs(value)),
  log10: (value) => (missing(value) ? null : Math.log10(value)),
  sqrt: (value) => (missing(value) ? null : Math.sqrt(value)),
};

const COMPARISONS = {
  "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
  "==": (a, b) => a === b, "!=": (a, b) => a !== b,
};

const ARITHMETIC = { "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b };

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw new Error(`The condition cannot be read at ${JSON.stringify(text.slice(at, at + 20))}.`);
    const [, number, name, quoted, sign] = match;
    if (number !== undefined) found.push({ kind: "value", value: Number(number) });
    else if (quoted !== undefined) found.push({ kind: "value", value: quoted.slice(1, -1).replace(/\\(.)/g, "$1") });
    else found.push({ kind: name ? "name" : "sign", text: name ?? sign });
  }
  return found;
}

/** Parse a condition: the columns that it is about, and a function of a row (name -> value). */
export function parse(text, known) {
  const list = tokens(text);
  const names = new Set();
  let at = 0;
  const next = () => list[at] ?? { kind: "end", text: "its end" };
  const is = (word) => next().text === word && next().kind !== "value";
  const take = (word) => (is(word) ? (at++, true) : false);
  const need = (word) => {
    if (!take(word)) throw new Error(`The condition lacks ${word} before ${next().text ?? next().value}.`);
  };

  function either() {
    const parts = [both()];
    while (take("or")) parts.push(both());
    return parts.length > 1 ? (row) => parts.some((part) => part(row) === true) : parts[0];
  }
  function both() {
    const parts = [negated()];
    while (take("and")) parts.push(negated());
    return parts.length > 1 ? (row) => parts.every((part) => part(row) === true) : parts[0];
  }
  function negated() {
    if (!take("not")) return compared();
    const part = negated();
    return (row) => part(row) !== true;
  }
  function compared() {
    const operands = [sum()];
    const tests = [];
    for (;;) {
      const within = is("in") || (is("not") && list[at + 1]?.text === "in");
      if (within) {
        const without = take("not");
        need("in");
        const values = valueList();
        tests.push((value) => !missing(value) && values.includes(value) !== without);
        operands.push(null);
      } else if (next().kind === "sign" && next().text in COMPARISONS) {
        const compare = COMPARISONS[list[at++].text];
        operands.push(sum());
        tests.push((one, other) => !missing(one) && !missing(other) && compare(one, other));
      } else break;
    }
    if (!tests.length) return operands[0];
    return (row) => tests.every((test, number) => test(operands[number]?.(row), operands[number + 1]?.(row)));
  }
  function valueList() {
    const close = take("(") ? ")" : (need("["), "]");
    const values = [];
    while (!take(close)) {
      const negative = take("-");
      const value = list[at++];
      if (value?.kind !== "value" && !["True", "False"].includes(value?.text)) throw new Error("After `in` stand constants in brackets.");
      const plain = value.kind === "value" ? value.value : value.text === "True";
      values.push(negative ? -plain : plain);
      if (!is(close)) need(",");
    }
    return values;
  }
  function chain(signs, operand) {
    let left = operand();
    while (next().kind === "sign" && signs.includes(next().text)) {
      const compute = ARITHMETIC[list[at++].text];
      const [one, other] = [left, operand()];
      left = (row) => {
        const [a, b] = [one(row), other(row)];
        return missing(a) || missing(b) ? null : compute(a, b);
      };
    }
    return left;
  }
  const sum = () => chain("+-", product);
  const product = () => chain("*/", signed);
  function signed() {
    if (take("-")) {
      const part = signed();
      return (row) => (missing(part(row)) ? null : -part(row));
    }
    if (take("+")) return signed();
    return atom();
  }
  function atom() {
    if (take("(")) {
      const inner = either();
      need(")");
      return inner;
    }
    const token = list[at++] ?? { kind: "end" };
    if (token.kind === "value") return () => token.value;
    if (token.kind !== "name") throw new Error(`The condition ends too early, or ${token.text} is not expected there.`);
    if (token.text === "True" || token.text === "False") return () => token.text === "True";
    if (token.text in FUNCTIONS && take("(")) {
      const parts = [];
      while (!take(")")) {
        parts.push(either());
        if (!is(")")) need(",");
      }
      const compute = FUNCTIONS[token.text];
      if (parts.length !== compute.length) throw new Error(`${token.text} takes ${compute.length} values and not ${parts.length}.`);
      return (row) => compute(...parts.map((part) => part(row)));
    }
    if (!known.includes(token.text)) throw new Error(`The table has no column '${token.text}'.`);
    names.add(token.text);
    return (row) => row(token.text);
  }

  const test = either();
  if (at < list.length) throw new Error(`The condition cannot be read at ${next().text ?? next().value}.`);
  return { names: [...names], test };
}

/** Separation in arcsec of two places in degrees: Vincenty's formula. */
export function separation(ra1, dec1, ra2, dec2) {
  const rad = Math.PI / 180;
  const [turn, here, there] = [(ra2 - ra1) * rad, dec1 * rad, dec2 * rad];
  const across = Math.cos(there) * Math.sin(turn);
  const along = Math.cos(here) * Math.sin(there) - Math.sin(here) * Math.cos(there) * Math.cos(turn);
  const beside = Math.sin(here) * Math.sin(there) + Math.cos(here) * Math.cos(there) * Math.cos(turn);
  return (Math.atan2(Math.hypot(across, along), beside) / rad) * 3600;
}

/** The rows of a table that fulfil the conditions of an address, a byte a row. */
export async function rowsThatFulfil(index, given) {
  const known = index.about.columns.map(({ name }) => name);
  const tests = [];
  const wanted = new Set();
  if (given.where) {
    const { names, test } = parse(given.where, known);
    names.forEach((name) => wanted.add(name));
    tests.push(test);
  }
  if (given.cone) {
    const [ra, dec, radius] = given.cone.split(",").map(Number);
    if (![ra, dec, radius].every(Number.isFinite)) throw new Error("A cone is RA,DEC,ARCSEC in degrees, as 263.65,-32.58,60.");
    wanted.add("ra_deg").add("dec_deg");
    tests.push((row) => separation(ra, dec, row("ra_deg"), row("dec_deg")) <= radius);
  }
  if (given.obsid) {
    const own = known.includes("obsid") ? "obsid" : "best_obsid";
    const obsids = given.obsid.split(",");
    wanted.add(own);
    tests.push((row) => obsids.includes(row(own)));
  }
  if (given.name) {
    const start = given.name.startsWith("EXOD") ? given.name : `EXOD ${given.name}`;
    wanted.add("srcid");
    tests.push((row) => row("srcid").startsWith(start));
  }
  const values = {};
  await Promise.all([...wanted].map(async (name) => { values[name] = await column(`${index.table}.parquet`, name); }));
  const mask = new Uint8Array(index.rows);
  let number = 0;
  const row = (name) => {
    const value = values[name][number];
    return typeof value === "bigint" ? Number(value) : value;
  };
  for (; number < index.rows; number++) mask[number] = Number(tests.every((test) => test(row) === true));
  return mask;
}
