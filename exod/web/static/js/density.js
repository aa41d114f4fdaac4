// A plot of two facets: counts in bins, brushed with the mouse; the same numbers as a table for readers.

import { colour, drawnOn, assign, h, say } from "./dom.js";
import { short } from "./format.js";
import { change } from "./site.js";
import { shadeKey, shadePlane } from "./shades.js";
import { sizeOf } from "./tableindex.js";

const EDGE = { left: 52, right: 8, top: 6, bottom: 34 };

/** A plot with choices of its axes; `names` are the parts of the address that hold them. `drawn(count, state)` draws other counts and returns what shows them, `draw()` draws those that are shown again. */
export function densityPlot(about, names, axes) {
  const facets = about.facets.filter((facet) => sizeOf(facet) > 1);
  const canvas = h("canvas", { role: "img", class: "density", "aria-label": "Nothing is counted." });
  const words = h("p", { class: "quiet small" });
  const chosen = axes.map((axis, number) => h("select", {
    "aria-label": ["Horizontal axis", "Vertical axis"][number],
    onchange: (event) => change({ [names[number]]: event.target.value }, true),
  }, facets.map((facet) => h("option", { value: facet.name }, facet.label))));
  const key = shadeKey();
  // Axes and their words stay while what is counted changes.
  const [plane, frame] = [h("canvas", {}), h("canvas", {})];
  let [shown, size, framed] = [null, null, ""];

  function inner() {
    // To ask a page for sizes takes as long as to lay it out, so it is asked once.
    if (!size?.[0]) size = [canvas.clientWidth, canvas.clientHeight];
    return [size[0] - EDGE.left - EDGE.right, size[1] - EDGE.top - EDGE.bottom];
  }

  function draw() {
    if (!shown) return;
    shadePlane(plane, shown.found);
    show();
  }

  function show() {
    const { found, x, y } = shown;
    const [width, height] = inner();
    // On a page that was left it has no size.
    if (!size[0]) return;
    const context = drawnOn(canvas, ...size);
    context.clearRect(0, 0, ...size);
    key.show(found.largest);
    context.imageSmoothingEnabled = false;
    if (found.largest) context.drawImage(plane, EDGE.left, EDGE.top, width, height);
    const wanted = [x.name, y.name, ...size, devicePixelRatio, colour("--line"), colour("--quiet")].join();
    if (wanted !== framed) drawFrame(x, y, width, height);
    framed = wanted;
    context.drawImage(frame, 0, 0, ...size);
  }

  function drawFrame(x, y, width, height) {
    const context = drawnOn(frame, ...size);
    context.clearRect(0, 0, ...size);
    context.strokeStyle = colour("--line");
    context.strokeRect(EDGE.left, EDGE.top, width, height);
    context.fillStyle = colour("--quiet");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    for (const [at, text] of ticks(x)) {
      // At the ends a text stays within the canvas.
      const half = context.measureText(text).width / 2;
      context.fillText(text, Math.min(EDGE.left + at * width, size[0] - half - 1), EDGE.top + height + 13);
    }
    context.fillText(x.label, EDGE.left + width / 2, EDGE.top + height + 28);
    context.textAlign = "right";
    for (const [at, text] of ticks(y)) context.fillText(text, EDGE.left - 4, EDGE.top + height - at * height + 4);
    context.save();
    context.translate(11, EDGE.top + height / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(y.label, 0, 0);
    context.restore();
  }

  let start = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const [width, height] = inner();
    const { found } = shown;
    const bin = (at, size) => Math.max(0, Math.min(size - 1, Math.floor(at * size)));
    return [bin((event.clientX - box.left - EDGE.left) / width, found.columns), bin(1 - (event.clientY - box.top - EDGE.top) / height, found.rows)];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (!shown) return;
    start = place(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!start) return;
    draw();
    const [width, height] = inner();
    const { found } = shown;
    const end = place(event);
    const [low, high] = [0, 1].map((axis) => [Math.min(start[axis], end[axis]), Math.max(start[axis], end[axis]) + 1]).reduce((sum, pair) => [[...sum[0], pair[0]], [...sum[1], pair[1]]], [[], []]);
    const context = canvas.getContext("2d");
    context.strokeStyle = colour("--accent");
    context.lineWidth = 2;
    context.strokeRect(EDGE.left + (low[0] * width) / found.columns, EDGE.top + height - (high[1] * height) / found.rows,
      ((high[0] - low[0]) * width) / found.columns, ((high[1] - low[1]) * height) / found.rows);
    context.lineWidth = 1;
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!start) return;
    const end = place(event);
    const patch = {};
    [shown.x, shown.y].forEach((facet, axis) => {
      const [low, high] = [start[axis], end[axis]].sort((one, other) => one - other);
      patch[facet.name] = facet.kind === "bins" ? `${low}-${high}` : Array.from({ length: high - low + 1 }, (_, code) => low + code).join(".");
    });
    start = null;
    change(patch);
  });
  addEventListener("resize", () => { size = null; draw(); });
  addEventListener("themechange", draw);

  const element = h("section", { class: "panel" },
    h("div", { class: "bar" }, chosen[0], h("span", { class: "quiet" }, "against"), chosen[1], key.element), canvas, words);
  return {
    element,
    draw,
    async drawn(count, state) {
      const [x, y] = names.map((name, axis) => facets.find((facet) => facet.name === (state.get(name) || axes[axis])) ?? facets[axis]);
      const found = await count.histogram(x.name, y.name);
      const total = found.counts.reduce((sum, one) => sum + one, 0);
      shadePlane(plane, found);
      return () => {
        [x, y].forEach((facet, axis) => assign(chosen[axis], { value: facet.name }));
        element.setAttribute("aria-label", `Plot of ${y.label} against ${x.label}`);
        canvas.setAttribute("aria-label", `${y.label} against ${x.label}: ${total} rows have both, at most ${found.largest} in a bin.`);
        say(words, count.rows ? `${total} of ${count.rows} have both. Drag over the plot to choose.` : "Nothing is chosen.");
        shown = { found, x, y };
        show();
      };
    },
  };
}

function ticks(facet) {
  if (facet.kind === "codes") {
    const size = facet.labels.length;
    return facet.labels.map((label, code) => [(code + 0.5) / size, String(label)]).filter((_, code) => code % Math.ceil(size / 6) === 0);
  }
  return [0, 16, 32, 48, 64].map((edge) => [edge / 64, short(facet.edges[edge])]);
}
