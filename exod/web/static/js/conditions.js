// Conditions of an address where there is no server: the language of `exod.schemas.conditions`.
//
// A value is missing if it is null or NaN. A comparison with a missing value is false, arithmetic
// with one gives one, and `not` makes true of false. Numbers, text and true or false are never mixed.

import { column } from "./data.js";

const TOKEN = /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(<=|>=|==|!=|[-+*/()<>,[\]]))/y;
const SAME = "; compare numbers with numbers and text with text, which stands in quotes.";
/** Rules of the language within one another; a pair of brackets is seven. */
const DEEPEST = 700;
const NAMED = { number: "a number", boolean: "true or false" };

const missing = (value) => value === null || value === undefined || Number.isNaN(value);
const named = (kind) => NAMED[kind] ?? kind;

/** The functions: what their arguments are, what they give, and how it is found. */
const FUNCTIONS = {
  isnull: [["any"], "boolean", (value) => missing(value)],
  notnull: [["any"], "boolean", (value) => !missing(value)],
  between: [["any", "any", "any"], "boolean", (value, low, high) => [value, low, high].every((one) => !missing(one)) && value >= low && value <= high],
  startswith: [["text", "text"], "boolean", (text, start) => !missing(text) && !missing(start) && text.startsWith(start)],
  endswith: [["text", "text"], "boolean", (text, end) => !missing(text) && !missing(end) && text.endsWith(end)],
  contains: [["text", "text"], "boolean", (text, part) => !missing(text) && !missing(part) && text.includes(part)],
  abs: [["number"], "number", (value) => (missing(value) ? null : Math.abs(value))],
  log10: [["number"], "number", (value) => (missing(value) ? null : Math.log10(value))],
  sqrt: [["number"], "number", (value) => (missing(value) ? null : Math.sqrt(value))],
};

const COMPARISONS = {
  "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
  "==": (a, b) => a === b, "!=": (a, b) => a !== b,
};

const ARITHMETIC = { "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b };

/** What a column of a type holds. */
function kindOf(type) {
  if (type === "bool") return "boolean";
  return /^u?int|^float$|^double$/.test(type) ? "number" : "text";
}

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw new Error(`The condition cannot be read at ${JSON.stringify(text.slice(at, at + 20))}.`);
    const [, number, name, quoted, sign] = match;
    const place = { from: at, to: TOKEN.lastIndex };
    if (number !== undefined) found.push({ kind: "value", value: Number(number), ...place });
    else if (quoted !== undefined) found.push({ kind: "value", value: quoted.slice(1, -1).replace(/\\(.)/g, "$1"), ...place });
    else found.push({ kind: name ? "name" : "sign", text: name ?? sign, ...place });
  }
  return found;
}

const kindOfValue = (value) => ({ number: "number", string: "text" })[typeof value] ?? "boolean";

/** Parse a condition: the columns that it is about, and a function of a row (name -> value). */
export function parse(text, columns) {
  const kinds = new Map(columns.map(({ name, type }) => [name, kindOf(type)]));
  const list = tokens(text);
  const names = new Set();
  let [at, depth] = [0, 0];
  const next = () => list[at] ?? { kind: "end", text: "its end" };
  const is = (word) => next().text === word && next().kind !== "value";
  const take = (word) => (is(word) ? (at++, true) : false);
  const need = (word) => {
    if (!take(word)) throw new Error(`The condition lacks ${word} before ${next().text ?? next().value}.`);
  };

  /** What `read` makes, with the words that it was made of; a part has a `kind` and `of` a row its value. */
  function part(read) {
    const first = at;
    if (++depth > DEEPEST) throw new Error("The condition is nested too deep; make it simpler.");
    const found = read();
    depth--;
    return { ...found, words: text.slice(list[first]?.from ?? text.length, list[at - 1]?.to).trim() };
  }
  function expect(kind, one) {
    if (one.kind !== kind) throw new Error(`${one.words} is ${named(one.kind)} and stands where ${named(kind)} is needed${SAME}`);
    return one;
  }
  function same(one, other) {
    if (one.kind !== other.kind) throw new Error(`${one.words} is ${named(one.kind)} and ${other.words} is ${named(other.kind)}${SAME}`);
  }
  function joined(word, operand, combine) {
    const parts = [operand()];
    while (take(word)) parts.push(operand());
    if (parts.length === 1) return parts[0];
    parts.forEach((one) => expect("boolean", one));
    return { kind: "boolean", of: (row) => combine(parts, row) };
  }
  const either = () => part(() => joined("or", both, (parts, row) => parts.some((one) => one.of(row) === true)));
  const both = () => part(() => joined("and", negated, (parts, row) => parts.every((one) => one.of(row) === true)));
  const negated = () => part(() => {
    if (!take("not")) return compared();
    const own = expect("boolean", negated());
    return { kind: "boolean", of: (row) => own.of(row) !== true };
  });
  const compared = () => part(() => {
    const operands = [sum()];
    const tests = [];
    for (;;) {
      const within = is("in") || (is("not") && list[at + 1]?.text === "in");
      if (within) {
        const without = take("not");
        need("in");
        const values = valueList(operands.at(-1));
        tests.push((value) => !missing(value) && values.includes(value) !== without);
        operands.push(null);
      } else if (next().kind === "sign" && next().text in COMPARISONS) {
        const compare = COMPARISONS[list[at++].text];
        const [one, other] = [operands.at(-1), sum()];
        if (one) same(one, other);
        operands.push(other);
        tests.push((a, b) => !missing(a) && !missing(b) && compare(a, b));
      } else break;
    }
    if (!tests.length) return operands[0];
    return { kind: "boolean", of: (row) => tests.every((test, number) => test(operands[number]?.of(row), operands[number + 1]?.of(row))) };
  });
  function valueList(first) {
    const close = take("(") ? ")" : (need("["), "]");
    const values = [];
    while (!take(close)) {
      const one = part(() => {
        const negative = take("-");
        const value = list[at++];
        if (value?.kind !== "value" && !["True", "False"].includes(value?.text)) throw new Error("After `in` stand constants in brackets.");
        const plain = value.kind === "value" ? value.value : value.text === "True";
        return { kind: kindOfValue(plain), value: negative ? -plain : plain };
      });
      same(first, one);
      values.push(one.value);
      if (!is(close)) need(",");
    }
    return values;
  }
  const chain = (signs, operand) => part(() => {
    let left = operand();
    while (next().kind === "sign" && signs.includes(next().text)) {
      const compute = ARITHMETIC[list[at++].text];
      const [one, other] = [expect("number", left), expect("number", operand())];
      left = {
        kind: "number", words: `${one.words} … ${other.words}`,
        of: (row) => {
          const [a, b] = [one.of(row), other.of(row)];
          return missing(a) || missing(b) ? null : compute(a, b);
        },
      };
    }
    return left;
  });
  const sum = () => chain("+-", product);
  const product = () => chain("*/", signed);
  const signed = () => part(() => {
    const minus = take("-");
    if (!minus && !take("+")) return atom();
    const own = expect("number", signed());
    return minus ? { kind: "number", of: (row) => (missing(own.of(row)) ? null : -own.of(row)) } : own;
  });
  const atom = () => part(() => {
    if (take("(")) {
      const inner = either();
      need(")");
      return inner;
    }
    const token = list[at++] ?? { kind: "end", text: "more" };
    if (token.kind === "value") return { kind: kindOfValue(token.value), of: () => token.value, constant: true };
    if (token.kind !== "name") throw new Error(`The condition ends too early, or ${token.text} is not expected there.`);
    if (token.text === "True" || token.text === "False") return { kind: "boolean", of: () => token.text === "True" };
    if (Object.hasOwn(FUNCTIONS, token.text) && take("(")) return called(token.text);
    if (!kinds.has(token.text)) throw new Error(`The table has no column '${token.text}'.`);
    names.add(token.text);
    return { kind: kinds.get(token.text), of: (row) => row(token.text) };
  });
  function called(name) {
    const [wanted, kind, compute] = FUNCTIONS[name];
    const parts = [];
    while (!take(")")) {
      parts.push(either());
      if (!is(")")) need(",");
    }
    if (parts.length !== wanted.length) throw new Error(`${name} takes ${wanted.length} values and not ${parts.length}.`);
    parts.forEach((one, place) => (wanted[place] === "any" ? same(parts[0], one) : expect(wanted[place], one)));
    if (wanted[1] === "text" && !parts[1].constant) throw new Error(`The second value of ${name} must be text in quotes.`);
    return { kind, of: (row) => compute(...parts.map((one) => one.of(row))) };
  }

  const test = either();
  if (at < list.length) throw new Error(`The condition cannot be read at ${next().text ?? next().value}.`);
  if (test.kind !== "boolean") throw new Error(`The condition ${text.trim()} is ${named(test.kind)}, neither true nor false; compare it with something, as in n > 5.`);
  return { names: [...names], test: test.of };
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

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const SEXAGESIMAL = /^([+-]?)(\d{1,3})[: hd](\d{1,2})(?:[: m'](\d{1,2}(?:\.\d*)?))?s?"?$/;

/** Degrees of a number of degrees, or of units of so many degrees with minutes and seconds; NaN if it is neither. */
function angle(text, perUnit) {
  const [, sign, units, minutes, seconds = 0] = SEXAGESIMAL.exec(text) ?? [];
  if (units !== undefined && minutes < 60 && seconds < 60) {
    const size = perUnit * (Number(units) + Number(minutes) / 60 + Number(seconds) / 3600);
    return sign === "-" ? -size : size;
  }
  return NUMBER.test(text) ? Number(text) : NaN;
}

/** Place and radius of a circle on the sky, as `RA,DEC,ARCSEC` has it. */
export function coneOf(text) {
  const parts = text.split(",").map((part) => part.trim());
  const [ra, dec, radius] = [angle(parts[0], 15), angle(parts[1] ?? "", 1), NUMBER.test(parts[2]) ? Number(parts[2]) : NaN];
  if (parts.length !== 3 || ![ra, dec, radius].every(Number.isFinite)) {
    throw new Error(`cone=${text} is no circle; write RA,DEC,ARCSEC in degrees, as 263.65,-32.58,60, or hours and degrees, as 17:34:36,-32:35:52,60.`);
  }
  if (ra < 0 || ra > 360 || Math.abs(dec) > 90) throw new Error(`A right ascension is 0 to 360 deg and a declination -90 to 90 deg, which cone=${text} has not.`);
  if (radius < 0 || radius > 648_000) throw new Error(`A cone has a radius of 0 to 648000 arcsec, which cone=${text} has not.`);
  return [ra, dec, radius];
}

/** The observations of a list; identifiers are as `exod.schemas.kinds` has them. */
export function obsidsOf(text) {
  const obsids = text.split(",");
  const wrong = obsids.find((obsid) => !/^(?:[0-9]{10}|[1-9][0-9]{0,4})$/.test(obsid));
  if (wrong !== undefined) throw new Error(`'${wrong}' is not an observation identifier; it must be ten digits, or the number, up to 99999, of a Chandra observation.`);
  return obsids;
}

/** The rows of a table that fulfil the conditions of an address, a byte a row. */
export async function rowsThatFulfil(index, given) {
  const known = index.about.columns.map(({ name }) => name);
  const tests = [];
  const wanted = new Set();
  if (given.where?.trim()) {
    const { names, test } = parse(given.where, index.about.columns);
    names.forEach((name) => wanted.add(name));
    tests.push(test);
  }
  if (given.cone) {
    const [ra, dec, radius] = coneOf(given.cone);
    wanted.add("ra_deg").add("dec_deg");
    tests.push((row) => separation(ra, dec, row("ra_deg"), row("dec_deg")) <= radius);
  }
  if (given.obsid) {
    const own = known.includes("obsid") ? "obsid" : "best_obsid";
    const obsids = obsidsOf(given.obsid);
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
