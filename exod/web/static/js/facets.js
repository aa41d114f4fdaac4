// The facets at the left: a histogram each, brushed with the mouse or the keyboard, or a list of values.

import { MISSING } from "./choices.js";
import { assign, h, say, svg } from "./dom.js";
import { short } from "./format.js";
import { change } from "./site.js";
import { sizeOf } from "./tableindex.js";

const WIDTH = 192;
const HEIGHT = 36;

/** Make the facets of a table once; `drawn(found, state)` draws other counts and returns what shows them. */
export function facetList(about) {
  const parts = about.facets.map((facet) => (facet.kind === "bins" ? histogramFacet(facet) : codeFacet(facet)));
  const flags = flagFacet(about.flags);
  return {
    element: h("form", { class: "facets", "aria-label": "Facets", onsubmit: (event) => event.preventDefault() },
      parts.map((part) => part.element), flags.element),
    drawn(found, state) {
      const own = parts.map((part) => part.drawn(found.counts[part.name], state.get(part.name) || ""));
      return () => {
        for (const show of own) show();
        flags.update(found.flagCounts, state);
      };
    },
  };
}

function histogramFacet(facet) {
  // One path for all bars of a kind: a page has hundreds of bars, which are drawn anew with each choice.
  const bars = { in: svg("path", { class: "in" }), out: svg("path", { class: "out" }) };
  const brush = svg("rect", { class: "brush", y: 0, height: HEIGHT, x: 0, width: 0 });
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "histogram", "aria-hidden": "true" }, bars.out, bars.in, brush);
  const words = h("span", { class: "quiet range" });
  const [low, high] = ["from", "to"].map((what) => h("input", {
    type: "range", min: 0, max: 63, step: 1, "aria-label": `${facet.label} ${what}`, value: what === "from" ? 0 : 63,
    oninput: () => preview(), onchange: () => choose(),
  }));
  const clear = h("button", { type: "button", class: "quiet clear", hidden: true, onclick: () => change({ [facet.name]: null }) }, "all");

  function chosen() {
    return [Number(low.value), Number(high.value)].sort((one, other) => one - other);
  }

  function choose() {
    const [from, to] = chosen();
    change({ [facet.name]: from === 0 && to === 63 ? null : `${from}-${to}` });
  }

  const drawn = { in: "", out: "" };
  let told = "";

  function preview() {
    const [from, to] = chosen();
    if (told === `${from}-${to}`) return;
    told = `${from}-${to}`;
    brush.setAttribute("x", (from * WIDTH) / 64);
    brush.setAttribute("width", ((to - from + 1) * WIDTH) / 64);
    const text = `${short(facet.edges[from])} to ${short(facet.edges[to + 1])}`;
    say(words, text);
    low.setAttribute("aria-valuetext", short(facet.edges[from]));
    high.setAttribute("aria-valuetext", short(facet.edges[to + 1]));
  }

  function binAt(event) {
    const box = drawing.getBoundingClientRect();
    return Math.max(0, Math.min(63, Math.floor(((event.clientX - box.left) / box.width) * 64)));
  }

  drawing.addEventListener("pointerdown", (event) => {
    const start = binAt(event);
    drawing.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const [from, to] = [start, binAt(moved)].sort((one, other) => one - other);
      [low.value, high.value] = [from, to];
      preview();
    };
    move(event);
    drawing.addEventListener("pointermove", move);
    drawing.addEventListener("pointerup", () => {
      drawing.removeEventListener("pointermove", move);
      choose();
    }, { once: true });
  });

  return {
    name: facet.name,
    element: h("fieldset", { dataset: { facet: facet.name } }, h("legend", {}, facet.label, " ", words, clear), drawing,
      h("div", { class: "ends" }, low, high)),
    drawn(counts, text) {
      const largest = Math.max(1, ...counts.subarray(0, 64));
      const [from, to] = text ? text.split("-").map(Number) : [0, 63];
      const bright = { in: "", out: "" };
      for (let bin = 0; bin < 64; bin++) {
        if (!counts[bin]) continue;
        const height = Math.max(1.5, (HEIGHT * Math.log1p(counts[bin])) / Math.log1p(largest));
        bright[bin >= from && bin <= to ? "in" : "out"] += `M${(bin * WIDTH) / 64} ${HEIGHT}v${-height.toFixed(2)}h${WIDTH / 64 - 0.4}V${HEIGHT}z`;
      }
      return () => {
        for (const [name, path] of Object.entries(bars)) {
          if (drawn[name] !== bright[name]) path.setAttribute("d", drawn[name] = bright[name]);
        }
        assign(low, { value: String(from) });
        assign(high, { value: String(to) });
        preview();
        assign(brush.style, { display: text ? "" : "none" });
        assign(clear, { hidden: !text });
        const missing = counts[MISSING];
        assign(words, { title: missing ? `${missing} without a value` : "" });
      };
    },
  };
}

function codeFacet(facet) {
  const boxes = facet.labels.map((label, code) => {
    const input = h("input", { type: "checkbox", value: code, onchange: choose });
    const number = h("span", { class: "count" });
    return { input, number, element: h("label", {}, input, ` ${label} `, number) };
  });
  function choose() {
    const codes = boxes.filter((box) => box.input.checked).map((box) => box.input.value);
    change({ [facet.name]: codes.join(".") || null });
  }
  return {
    name: facet.name,
    element: h("fieldset", { dataset: { facet: facet.name } }, h("legend", {}, facet.label),
      h("div", { class: sizeOf(facet) > 8 ? "codes long" : "codes" }, boxes.map((box) => box.element))),
    drawn: (counts, text) => () => {
      const codes = new Set(text ? text.split(".") : []);
      boxes.forEach((box, code) => {
        assign(box.input, { checked: codes.has(String(code)) });
        say(box.number, String(counts[code]));
        box.element.classList.toggle("none", !counts[code] && !box.input.checked);
      });
    },
  };
}

function flagFacet(names) {
  const selects = names.map((name, bit) => {
    const select = h("select", { "aria-label": name, onchange: choose },
      h("option", { value: "" }, "any"), h("option", { value: "noflag" }, "not set"), h("option", { value: "flag" }, "set"));
    const number = h("span", { class: "count" });
    return { select, number, bit, element: h("label", {}, select, ` ${name.replace("filt_", "")} `, number) };
  });
  function choose() {
    const bits = (value) => selects.filter(({ select }) => select.value === value).map(({ bit }) => bit).join(".") || null;
    change({ flag: bits("flag"), noflag: bits("noflag") });
  }
  return {
    element: h("fieldset", { dataset: { facet: "flags" } }, h("legend", {}, "Flags"), h("div", { class: "codes flags" }, selects.map((one) => one.element))),
    update(counts, state) {
      const has = (name, bit) => (state.get(name) || "").split(".").includes(String(bit));
      selects.forEach(({ select, number, bit }) => {
        assign(select, { value: has("flag", bit) ? "flag" : has("noflag", bit) ? "noflag" : "" });
        say(number, String(counts[bit]));
      });
    },
  };
}
