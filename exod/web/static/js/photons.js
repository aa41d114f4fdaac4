// The photons of a source: a light curve in bins of any width, blocks, energies and a movie.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { clocksOf } from "./clock.js";
import { columnsWhere, hasFile, meta } from "./data.js";
import { colour, h, put } from "./dom.js";
import { number, plural } from "./format.js";
import { csv, download } from "./links.js";
import { moviePanel } from "./movie.js";
import { bayesianBlocks, chosen, closed, countsOfBlocks, hardnessAround, rebinned } from "./rebin.js";
import { change } from "./site.js";

const FILE = "photons.parquet";
const SLIDER = { least: 0.1, most: 2000, steps: 1000 };
const USUAL = { bin: 100, lo: 0.2, hi: 12, radius: 20 };
const TABLE_ROWS = 1000;
/** Ends of the soft and the hard band of hardness ratios, in eV. */
const BANDS = [200, 2000, 12000];

/** The panel, or nothing if the product has no photons; `state` is that of the address. */
export async function photonPanel(region, state) {
  if (!(await hasFile(FILE))) return null;
  const about = (await meta()).photons;
  const photons = await columnsWhere(FILE, "region_num", region);
  if (!photons.time?.length) return { element: h("section", { class: "panel", "aria-label": "Photons" }, h("h2", {}, "Photons"), missing(about, "There are none of this source.")), update() {}, leave() {}, setEvents() {} };
  const clocks = await clocksOf([...new Set(photons.obsid)].map((obsid) => ({ obsid })));
  return makePanel(photons, about, state, clocks);
}

function missing(about, words) {
  const out = about.left_out ?? [];
  return h("p", { class: "quiet small" }, words, out.length ? ` Without the observations ${out.join(", ")}, whose event lists were gone.` : "");
}

const widthOf = (place) => SLIDER.least * (SLIDER.most / SLIDER.least) ** (place / SLIDER.steps);
const placeOf = (width) => Math.round((Math.log(width / SLIDER.least) / Math.log(SLIDER.most / SLIDER.least)) * SLIDER.steps);
const within = (value, low, high, usual) => (Number.isFinite(value) && value >= low && value <= high ? value : usual);

function makePanel(photons, about, state, clocks) {
  const reach = about.radius_arcsec / about.unit_arcsec;
  const observations = [...new Set(photons.obsid)];
  const input = (title, unit, attributes) => {
    const field = h("input", attributes);
    return [h("label", {}, `${title} `, field, ` ${unit}`), field];
  };
  const written = (name, field) => () => { read(); change({ [name]: field.value }, true); };
  const obsid = h("select", { "aria-label": "Observation of the photons", onchange: () => { zoom = null; read(); change({ photons: obsid.value }, true); } }, observations.map((name) => h("option", {}, name)));
  const slider = h("input", { type: "range", min: 0, max: SLIDER.steps, "aria-label": "Width of a bin in seconds", class: "wide",
    oninput: () => { width.value = Number(widthOf(slider.value).toPrecision(3)); read(); }, onchange: () => change({ bin: width.value }, true) });
  const [widthLabel, width] = input("bins of", "s", { type: "number", min: SLIDER.least, max: SLIDER.most, step: "any", onchange: () => { slider.value = placeOf(width.value); read(); change({ bin: width.value }, true); } });
  const [loLabel, lo] = input("from", "keV", { type: "number", min: 0, max: 15, step: "any" });
  const [hiLabel, hi] = input("to", "keV", { type: "number", min: 0, max: 15, step: "any" });
  const [radiusLabel, radius] = input("within", "″", { type: "number", min: 1, max: about.radius_arcsec, step: 1 });
  for (const [name, field] of [["elo", lo], ["ehi", hi], ["radius", radius]]) field.addEventListener("change", written(name, field));
  const box = (title, name) => {
    const field = h("input", { type: "checkbox", onchange: () => { read(); change({ [name]: field.checked ? "yes" : null }, true); } });
    return [h("label", {}, field, ` ${title}`), field];
  };
  const [goodLabel, good] = box("without bad time", "good");
  const [blocksLabel, withBlocks] = box("Bayesian blocks", "blocks");
  const holder = h("div", { class: "curve" });
  const scatter = h("canvas", { role: "img", class: "scatter" });
  const words = h("p", { class: "quiet small", "aria-live": "polite" });
  const cells = h("div", { class: "scroll values", tabindex: 0, role: "region", "aria-label": "Values of the rebinned light curve" });
  const values = h("details", { ontoggle: () => fill() }, h("summary", { class: "quiet small" }, "Values"), cells);
  const movie = moviePanel({ reach, unit: about.unit_arcsec, onMoment: point });
  let [plot, zoom, some, around, bins, blocks, clock, begin, length, pointing] = [null, null, null, null, null, null, null, 0, 1, false];
  const hardness = h("div", {});
  let [shown, events] = [{}, new Map()];

  /** What the controls say; photons are chosen anew only if others are wanted. */
  function read() {
    const bin = within(Number(width.value), SLIDER.least, SLIDER.most, USUAL.bin);
    const energy = [within(Number(lo.value), 0, 15, USUAL.lo) * 1000, within(Number(hi.value), 0, 15, USUAL.hi) * 1000];
    const circle = within(Number(radius.value), 1, about.radius_arcsec, USUAL.radius) / about.unit_arcsec;
    const wanted = [obsid.value, ...energy, circle, good.checked].join();
    const all = [wanted, bin, withBlocks.checked].join();
    if (all === shown.all) return;
    if (wanted !== shown.wanted) choose({ obsid: obsid.value, energy, good: good.checked }, circle);
    shown = { wanted, all };
    if (withBlocks.checked) blocks ??= bayesianBlocks(some.time);
    bins = { ...rebinned(some.time, bin, begin, begin + length), width: bin };
    const asBlocks = withBlocks.checked && blocks.counts.length;
    bins.blocks = asBlocks ? countsOfBlocks(blocks, bins.start, bin) : Array(bins.counts.length).fill(null);
    const largest = bins.counts.reduce((most, count) => Math.max(most, count), 0);
    put(words, `${plural(some.time.length, "photon")} in ${plural(bins.counts.length, "bin")} of ${number(bin, 3)} s, at most ${largest} in one. Not corrected for exposure or background.`,
      asBlocks ? ` ${plural(blocks.counts.length, "block")} with a false-alarm probability of 5 %${blocks.together > 1 ? `, of ${blocks.together} photons at a time` : ""}.` : "");
    holder.dataset.total = bins.counts.reduce((sum, count) => sum + count, 0);
    showHardness(circle);
    movie.set(around, { begin, length, bin, radius: circle });
    if (plot) plot.setData(drawn());
    else draw();
    fill();
  }

  /** Hardness in the circle before, during and after the strongest event, whatever energies are shown. */
  function showHardness(circle) {
    const event = events.get(obsid.value);
    if (!event) return put(hardness);
    const all = chosen(photons, { obsid: obsid.value, energy: [BANDS[0], BANDS[2]], good: good.checked, zero: 0, radius: circle });
    const lines = Object.entries(hardnessAround(all, event, BANDS[1])).map(([name, { soft, hard, ratio, error }]) =>
      [name, String(soft), String(hard), soft + hard ? `${number(ratio, 2)} ± ${number(error, 2)}` : "–"]);
    const heads = ["", ...BANDS.slice(1).map((end, band) => `${BANDS[band] / 1000}–${end / 1000} keV`), "hardness"];
    put(hardness, h("p", { class: "quiet small" }, "Counts in the circle and (hard − soft) / (hard + soft) around the event of the strongest detection, background included:"),
      h("table", { dataset: { chart: "hardness" } }, h("caption", { class: "hidden" }, "Hardness before, during and after the event"),
        h("thead", {}, h("tr", {}, heads.map((head, place) => (place ? h("th", { scope: "col", class: "number" }, head) : h("td", {}))))),
        h("tbody", {}, lines.map(([name, ...cells]) => h("tr", {}, h("th", { scope: "row" }, name), cells.map((text) => h("td", { class: "number" }, text)))))));
  }

  function choose(wanted, circle) {
    let [first, last] = [null, 0];
    photons.obsid.forEach((name, row) => {
      if (name !== wanted.obsid) return;
      first ??= photons.time[row];
      last = photons.time[row];
    });
    const another = clocks.get(wanted.obsid);
    // The axis has another name then, which a plot keeps as long as it lives.
    if (plot && another !== clock) plot = plot.destroy();
    clock = another;
    const { zero } = clock;
    [begin, length] = [first - zero, Math.max(last - first, 1e-3)];
    some = chosen(photons, { ...wanted, zero, radius: circle });
    around = chosen(photons, { ...wanted, zero, radius: Infinity });
    blocks = null;
  }

  const drawn = () => closed(bins.start, bins.width, bins.counts, bins.blocks);

  function draw() {
    const size = holder.clientWidth;
    if (!size || !bins) return;
    plot?.destroy();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 0.5 }, ticks: { stroke: colour("--line") }, font: "11px system-ui", labelFont: "11px system-ui" };
    const step = uPlot.paths.stepped({ align: 1 });
    plot = new uPlot({
      width: size, height: 200, legend: { show: false }, cursor: { sync: { key: obsid.value, scales: ["x", null] }, drag: { x: true, y: false } },
      scales: { x: { time: false, range: (_, low, high) => zoom ?? [low, Math.max(high, begin + length)] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.08)] } },
      series: [{}, { stroke: colour("--blue"), width: 1.2, paths: step, points: { show: false } }, { stroke: colour("--vermilion"), width: 2, dash: [7, 3], paths: step, points: { show: false } }],
      axes: [{ ...axis, label: clock.label, labelSize: 18, size: 34 }, { ...axis, label: "counts", labelSize: 16, size: 48 }],
      hooks: {
        setSelect: [(self) => { if (self.select.width > 3) zoomTo([self.posToVal(self.select.left, "x"), self.posToVal(self.select.left + self.select.width, "x")]); }],
        setCursor: [(self) => { if (!pointing && self.cursor.left >= 0 && !movie.isPlaying()) movie.at(self.posToVal(self.cursor.left, "x")); }],
        draw: [energies],
        ready: [(self) => self.over.addEventListener("dblclick", () => zoomTo(null))],
      },
    }, drawn(), holder);
  }

  function zoomTo(range) {
    zoom = range;
    // What uPlot makes of a drag follows; the range is set after it.
    queueMicrotask(draw);
  }

  /** The pointer of the light curve follows the movie. */
  function point(moment) {
    if (!plot) return;
    pointing = true;
    plot.setCursor({ left: plot.valToPos(moment, "x"), top: 10 });
    pointing = false;
  }

  function energies(self) {
    const ratio = devicePixelRatio || 1;
    const [wide, high] = [scatter.clientWidth, scatter.clientHeight];
    if (!wide) return;
    [scatter.width, scatter.height] = [wide * ratio, high * ratio];
    const context = scatter.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [left, right] = [self.bbox.left / ratio, (self.bbox.left + self.bbox.width) / ratio];
    const [low, top] = [Math.log(150), Math.log(15000)];
    const y = (pi) => (high - 8) * (1 - (Math.log(Math.max(pi, 150)) - low) / (top - low)) + 4;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    for (const keV of [0.2, 0.5, 1, 2, 5, 12]) {
      context.fillStyle = colour("--quiet");
      context.fillText(`${keV} keV`, left - 4, y(keV * 1000) + 4);
      context.fillStyle = colour("--line");
      context.fillRect(left, y(keV * 1000), right - left, 0.5);
    }
    context.save();
    context.beginPath();
    context.rect(left, 0, right - left, high);
    context.clip();
    some.time.forEach((time, row) => {
      const [x, at] = [self.valToPos(time, "x") + left, y(some.pi[row])];
      if (some.bad[row]) {
        context.strokeStyle = colour("--vermilion");
        context.strokeRect(x - 1.5, at - 1.5, 3, 3);
      } else {
        context.fillStyle = colour("--blue");
        context.fillRect(x - 1, at - 1, 2, 2);
      }
    });
    context.restore();
    const bad = some.bad.filter(Boolean).length;
    scatter.setAttribute("aria-label", `Energy against time: ${plural(some.time.length, "photon")}, ${bad} in bad time.`);
  }

  function fill() {
    if (!values.open) return;
    const shown = bins.start.slice(0, TABLE_ROWS);
    put(cells, bins.start.length > TABLE_ROWS && h("p", { class: "quiet small" }, `The first ${TABLE_ROWS} bins; the file has all photons.`),
      h("table", {}, h("thead", {}, h("tr", {}, [clock.label, "counts", "counts of the block"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, Array.from(shown, (start, row) => h("tr", {}, [number(start), String(bins.counts[row]), number(bins.blocks[row], 3)].map((text) => h("td", { class: "number" }, text)))))));
  }

  function save() {
    const rows = some.time.map((time, row) => ({ obsid: obsid.value, camera: some.camera[row], time: time + clock.zero, pi: some.pi[row],
      west_arcsec: some.dx[row] * about.unit_arcsec, north_arcsec: some.dy[row] * about.unit_arcsec, in_bti: some.bad[row] }));
    download(`photons_${obsid.value}.csv`, csv(rows), "text/csv");
  }

  function update(now) {
    obsid.value = observations.includes(now.get("photons")) ? now.get("photons") : observations[0];
    width.value = within(Number(now.get("bin") || NaN), SLIDER.least, SLIDER.most, USUAL.bin);
    slider.value = placeOf(width.value);
    lo.value = within(Number(now.get("elo") || NaN), 0, 15, USUAL.lo);
    hi.value = within(Number(now.get("ehi") || NaN), 0, 15, USUAL.hi);
    radius.value = within(Number(now.get("radius") || NaN), 1, about.radius_arcsec, USUAL.radius);
    good.checked = now.get("good") === "yes";
    withBlocks.checked = now.get("blocks") === "yes";
    read();
  }

  const seen = new ResizeObserver(draw);
  seen.observe(holder);
  addEventListener("themechange", draw);
  update(state);
  const element = h("section", { class: "panel photons", "aria-label": "Photons" },
    h("div", { class: "bar" }, h("h2", {}, "Photons"), observations.length > 1 ? obsid : h("span", { class: "quiet" }, observations[0]), slider, widthLabel),
    h("div", { class: "bar" }, loLabel, hiLabel, radiusLabel, goodLabel, blocksLabel, h("button", { type: "button", onclick: save }, "Photons, CSV")),
    h("div", { class: "beside" }, h("div", {}, holder, words, hardness, scatter,
      h("p", { class: "quiet small" }, "Energy of each photon; open squares: in bad time. Drag over the light curve to zoom, double click to see all."), values), movie.element),
    missing(about, `All photons within ${about.radius_arcsec}″ of the source that were selected for the search.`));
  /** Events by observation: [start, stop] in mission seconds. */
  function setEvents(found) {
    events = found;
    showHardness(within(Number(radius.value), 1, about.radius_arcsec, USUAL.radius) / about.unit_arcsec);
  }

  return { element, update, setEvents, leave() { seen.disconnect(); plot?.destroy(); movie.leave(); removeEventListener("themechange", draw); } };
}
