// Light curves: counts and what was expected, with bad time, CCDs that were off, and the event.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { colour, h, put } from "./dom.js";
import { number } from "./format.js";
import { closed } from "./rebin.js";

/** The rows of a light curve as columns, in seconds from a time. */
export function curveOf(rows, zero) {
  const start = rows.map((row) => row.time - zero);
  return {
    start,
    n: rows.map((row) => row.n),
    mu: rows.map((row) => row.mu),
    live: rows.map((row) => row.live),
    peak: rows.map((row) => row.B_peak_log),
    eclipse: rows.map((row) => row.B_eclipse_log),
    bad: rows.map((row) => row.bti),
    off: rows.map((row) => row.bccd),
  };
}

/** First and last frame of each stretch of frames that are true. */
function stretches(values) {
  const found = [];
  values.forEach((is, frame) => {
    if (is && frame && values[frame - 1]) found.at(-1)[1] = frame;
    else if (is) found.push([frame, frame]);
  });
  return found;
}

const VIEWS = { counts: "counts", excess: "counts − expected", peak: "log B of a peak", eclipse: "log B of an eclipse" };

/** Whether a frame was live for a part of it; what is drawn of it is what a whole one would have. */
const isPartial = (live) => live > 0 && live < 1;

function seriesOf(curve, view) {
  const whole = (counts) => counts.map((value, frame) => isPartial(curve.live[frame]) ? value / curve.live[frame] : value);
  if (view === "counts") return [whole(curve.n), whole(curve.mu)];
  if (view === "excess") return [whole(curve.n.map((n, frame) => n - curve.mu[frame])), curve.mu.map(() => 0)];
  return [curve[view], curve.start.map(() => null)];
}

/**
 * One panel. Zoom is shared by all panels with the same `group`.
 *
 * `event` is [start, stop] in the seconds of the curve, or null; `bin` the length of a frame; `clock`
 * that of the observation; `flags` are those of the detection. `onCursor` is told the seconds that are
 * pointed at, or null.
 */
export function lightCurvePanel({ curve, bin, event, title, link, group, clock, flags = [], view = "counts", onCursor }) {
  const holder = h("div", { class: "curve" });
  const step = uPlot.paths.stepped({ align: 1 });
  const shades = [["bad", "--shade-bti"], ["off", "--shade-off"]];
  let plot;

  function stripes(self) {
    const context = self.ctx;
    const { left, top, width, height } = self.bbox;
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    for (const [key, name] of shades) {
      context.fillStyle = colour(name);
      for (const [first, last] of stretches(curve[key])) {
        const from = self.valToPos(curve.start[first], "x", true);
        const to = self.valToPos(curve.start[last] + bin, "x", true);
        context.fillRect(from, top, Math.max(to - from, 1), height);
        // A bar too, so that it is not told by colour alone.
        if (key === "off") context.fillRect(from, top + height - 4, Math.max(to - from, 1), 4);
      }
    }
    if (event) {
      context.strokeStyle = colour("--vermilion");
      context.setLineDash([6, 3]);
      for (const time of event) {
        const x = self.valToPos(time, "x", true);
        context.beginPath();
        context.moveTo(x, top);
        context.lineTo(x, top + height);
        context.stroke();
      }
    }
    context.restore();
  }

  function draw(width) {
    plot?.destroy();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 0.5 }, ticks: { stroke: colour("--line") }, font: "11px system-ui" };
    plot = new uPlot({
      width, height: 190, legend: { show: false },
      cursor: { sync: { key: group, scales: ["x", null] }, drag: { x: true, y: false } },
      scales: { x: { time: false } },
      series: [
        { label: "time" },
        { label: VIEWS[view], stroke: colour("--blue"), width: 1.4, paths: step, points: { show: false } },
        { label: "expected", stroke: colour("--orange"), width: 1.4, dash: [5, 3], points: { show: false } },
      ],
      axes: [{ ...axis, label: clock.label, labelSize: 18, labelFont: "11px system-ui", size: 34 }, { ...axis, size: 48, label: VIEWS[view], labelSize: 16, labelFont: "11px system-ui" }],
      hooks: {
        drawClear: [stripes],
        setCursor: [(self) => {
          const place = self.cursor.idx;
          put(words, place === null || place === undefined ? summary : told(Math.min(place, curve.n.length - 1)));
          onCursor?.(self.cursor.left >= 0 ? self.posToVal(self.cursor.left, "x") : null);
        }],
      },
    }, closed(curve.start, bin, ...seriesOf(curve, view)), holder);
  }

  function told(frame) {
    const live = curve.live[frame];
    const notes = [curve.bad[frame] && "bad time", curve.off[frame] && "a CCD was off", isPartial(live) && `live for ${number(100 * live, 2)} %, drawn as whole`].filter(Boolean).join(", ");
    const mjd = clock.mjd(curve.start[frame]);
    return `${number(curve.start[frame])} s${mjd === null ? "" : ` (MJD ${mjd.toFixed(5)})`}: ${curve.n[frame]} counts, ${number(curve.mu[frame], 3)} expected, log B peak ${number(curve.peak[frame], 3)}, eclipse ${number(curve.eclipse[frame], 3)}${notes ? ` (${notes})` : ""}`;
  }

  const total = curve.n.reduce((sum, n) => sum + n, 0);
  const summary = `${curve.n.length} frames of ${bin} s, ${total} counts, ${number(curve.mu.reduce((sum, mu) => sum + (mu ?? 0), 0), 3)} expected. Drag to zoom, double click to see all.`;
  const words = h("p", { class: "quiet small" }, summary);
  const values = h("details", { ontoggle: () => { if (values.open) put(cells, table(curve, clock)); } }, h("summary", { class: "quiet small" }, "Values"));
  const cells = h("div", { class: "scroll values", tabindex: 0, role: "region", "aria-label": `Values of ${title}` });
  values.append(cells);
  const element = h("figure", { class: "panel", role: "group", "aria-label": `Light curve ${title}` },
    h("figcaption", {}, link ? h("a", { href: link }, title) : title, flags.length > 0 && h("span", { class: "small" }, " ", flags)), holder, words, values);
  const seen = new ResizeObserver(() => { if (holder.clientWidth) draw(holder.clientWidth); });
  seen.observe(holder);
  const again = () => draw(holder.clientWidth);
  addEventListener("themechange", again);
  return {
    element,
    show(name) { view = name; draw(holder.clientWidth); },
    leave() { seen.disconnect(); plot?.destroy(); removeEventListener("themechange", again); },
  };
}

function table(curve, clock) {
  const head = [clock.label, "counts", "expected", "log B peak", "log B eclipse", "live", "bad time", "CCD off"];
  return h("table", {}, h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, curve.start.map((start, frame) => h("tr", {},
      [number(start), curve.n[frame], number(curve.mu[frame]), number(curve.peak[frame], 3), number(curve.eclipse[frame], 3), number(curve.live[frame], 3), curve.bad[frame] ? "yes" : "", curve.off[frame] ? "yes" : ""].map((text) => h("td", { class: "number" }, String(text)))))));
}

export { VIEWS };
