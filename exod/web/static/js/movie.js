// A movie of the photons around a source: an image of those of some seconds, and the moment to look at.

import { colour, h, put } from "./dom.js";
import { number, plural } from "./format.js";
import { firstFrom, imageOf, residualOf } from "./rebin.js";
import { differences, shadeKey, shades } from "./shades.js";

const CELLS = 30;
const STEP_MS = 150;
const STEPS = 400;
const LOOKS = 40;

/** `reach` is half the width of the image in the unit of dx and dy, `unit` that in arcsec; `onMoment` is told of each moment. */
export function moviePanel({ reach, unit, onMoment }) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const canvas = h("canvas", { role: "img", class: "finder" });
  const words = h("p", { class: "quiet small" });
  const slider = h("input", { type: "range", min: 0, max: STEPS, value: 0, "aria-label": "Moment of the image", oninput: () => { pause(); at(momentOf(slider)); } });
  const span = h("select", { "aria-label": "Time in one image", onchange: () => { scale(); at(moment); } },
    [["bin", "a bin an image"], ["100", "1/100 an image"], ["20", "1/20 an image"], ["1", "all in one image"]].map(([value, text]) => h("option", { value, selected: value === "20" }, text)));
  const button = h("button", { type: "button", onclick: () => (timer ? pause() : play()) }, "Play");
  const note = h("p", { class: "quiet small" }, "Your system asks for less motion: move the slider, or the pointer over the light curve.");
  const kind = h("select", { "aria-label": "What the image shows", onchange: () => { scale(); draw(); } },
    [["counts", "counts"], ["residual", "counts − expected"]].map(([value, text]) => h("option", { value }, text)));
  const key = shadeKey();
  let [photons, begin, length, bin, radius, moment, timer, largest] = [null, 0, 1, 1, reach, 0, null, 1];

  const seconds = () => (span.value === "bin" ? bin : length / Number(span.value));
  const momentOf = (input) => begin + (Number(input.value) / STEPS) * length;
  const isResidual = () => kind.value === "residual";

  function play() {
    if (calm.matches || timer) return;
    button.textContent = "Pause";
    timer = setInterval(() => {
      const next = moment + Math.max(length / STEPS, Math.min(seconds() / 2, length / 40));
      at(next > begin + length ? begin : next);
    }, STEP_MS);
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }

  function rows(middle) {
    const half = seconds() / 2;
    // At the ends as many seconds are looked at as elsewhere.
    const from = begin + Math.max(0, Math.min(middle - begin - half, length - 2 * half));
    return [firstFrom(photons.time, from), half * 2 >= length ? photons.time.length : firstFrom(photons.time, from + 2 * half)];
  }

  function values(middle) {
    const [first, last] = rows(middle);
    return isResidual() ? residualOf(photons, first, last, CELLS, reach, radius) : imageOf(photons, first, last, CELLS, reach);
  }

  /** One scale for all images, so that brighter is brighter. */
  function scale() {
    largest = 1;
    for (let look = 0; look <= LOOKS; look++) {
      for (const value of values(begin + (look / LOOKS) * length)) largest = Math.max(largest, Math.abs(value));
    }
    largest = Math.ceil(largest);
    key.show(largest, isResidual());
  }

  /** Show a moment, told or not. */
  function at(time, told = true) {
    moment = Math.max(begin, Math.min(begin + length, time));
    slider.value = Math.round(((moment - begin) / length) * STEPS);
    slider.setAttribute("aria-valuetext", `${number(moment)} s`);
    draw();
    if (told) onMoment?.(moment);
  }

  function draw() {
    const size = canvas.clientWidth;
    if (!photons || !size) return;
    const ratio = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [size * ratio, size * ratio];
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [first, last] = rows(moment);
    const cell = size / CELLS;
    const found = values(moment);
    const shade = isResidual() ? differences(largest) : shades(largest + 1);
    found.forEach((value, place) => {
      const [left, top] = [(place % CELLS) * cell, Math.floor(place / CELLS) * cell];
      const isEmpty = isResidual() ? Math.abs(value) < largest / 50 : !value;
      context.fillStyle = isEmpty ? colour("--back") : shade(isResidual() ? value : Math.min(value, largest) + 1);
      context.fillRect(left, top, cell + 0.5, cell + 0.5);
      if (isResidual() && !isEmpty && value < 0) {
        // A stroke tells less from more without colours.
        context.fillStyle = colour("--text");
        context.fillRect(left + cell * 0.3, top + cell * 0.45, cell * 0.4, Math.max(cell * 0.1, 1));
      }
    });
    context.strokeStyle = colour("--vermilion");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(size / 2, size / 2, (radius / reach) * (size / 2), 0, 7);
    context.stroke();
    context.fillStyle = colour("--vermilion");
    context.font = "12px system-ui, sans-serif";
    context.fillText("N ↑  E ←", 6, 16);
    const about = `${plural(last - first, "photon")} in ${number(Math.min(seconds(), length), 3)} s around ${number(moment)} s; ${number(2 * reach * unit, 3)}″ wide.${isResidual() ? ` ${residualWords(found)}` : ""}`;
    put(words, about);
    canvas.setAttribute("aria-label", `Image: ${about}`);
  }

  function residualWords(found) {
    const half = CELLS / 2;
    let sum = 0;
    found.forEach((value, place) => {
      const [west, south] = [(place % CELLS) + 0.5 - half, Math.floor(place / CELLS) + 0.5 - half];
      if (Math.hypot(west, south) * (reach / half) <= radius) sum += value;
    });
    return `In the circle ${number(Math.abs(sum), 3)} ${sum < 0 ? "fewer" : "more"} than expected: the image of the whole observation, with as many photons outside the circle as in these seconds.`;
  }

  function motion() {
    if (calm.matches) pause();
    button.disabled = calm.matches;
    note.hidden = !calm.matches;
  }

  calm.addEventListener("change", motion);
  motion();
  const seen = new ResizeObserver(draw);
  seen.observe(canvas);
  addEventListener("themechange", draw);
  return {
    element: h("div", { role: "group", "aria-label": "Movie" }, canvas, h("div", { class: "bar" }, button, span, kind, key.element), slider, words, note),
    /** All photons around the source in the energies that are wanted; from when, and how long, they were taken. */
    set(all, about) {
      [photons, begin, length, bin, radius] = [all, about.begin, about.length, about.bin, about.radius];
      scale();
      at(moment, false);
    },
    at: (time) => at(time, false),
    isPlaying: () => timer !== null,
    leave() {
      pause();
      seen.disconnect();
      calm.removeEventListener("change", motion);
      removeEventListener("themechange", draw);
    },
  };
}
