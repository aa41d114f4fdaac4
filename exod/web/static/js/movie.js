// A movie of the photons around a source: an image of those of some seconds, and the moment to look at.

import { colour, h, put } from "./dom.js";
import { number, plural } from "./format.js";
import { firstFrom, imageOf } from "./rebin.js";
import { shade } from "./skymap.js";

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
  let [photons, length, bin, radius, moment, timer, largest] = [null, 1, 1, reach, 0, null, 1];

  const seconds = () => (span.value === "bin" ? bin : length / Number(span.value));
  const momentOf = (input) => (Number(input.value) / STEPS) * length;

  function play() {
    if (calm.matches || timer) return;
    button.textContent = "Pause";
    timer = setInterval(() => {
      const next = moment + Math.max(length / STEPS, Math.min(seconds() / 2, length / 40));
      at(next > length ? 0 : next);
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
    const from = Math.max(0, Math.min(middle - half, length - 2 * half));
    return [firstFrom(photons.time, from), half * 2 >= length ? photons.time.length : firstFrom(photons.time, from + 2 * half)];
  }

  /** One scale for all images, so that brighter is brighter. */
  function scale() {
    largest = 1;
    for (let look = 0; look <= LOOKS; look++) largest = Math.max(largest, ...imageOf(photons, ...rows((look / LOOKS) * length), CELLS, reach));
  }

  /** Show a moment, told or not. */
  function at(time, told = true) {
    moment = Math.max(0, Math.min(length, time));
    slider.value = Math.round((moment / length) * STEPS);
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
    const counts = imageOf(photons, first, last, CELLS, reach);
    const cell = size / CELLS;
    counts.forEach((count, place) => {
      context.fillStyle = count ? shade(Math.min(count, largest) + 1, largest + 1) : colour("--back");
      context.fillRect((place % CELLS) * cell, Math.floor(place / CELLS) * cell, cell + 0.5, cell + 0.5);
    });
    context.strokeStyle = colour("--vermilion");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(size / 2, size / 2, (radius / reach) * (size / 2), 0, 7);
    context.stroke();
    context.fillStyle = colour("--vermilion");
    context.font = "12px system-ui, sans-serif";
    context.fillText("N ↑  E ←", 6, 16);
    const about = `${plural(last - first, "photon")} in ${number(Math.min(seconds(), length), 3)} s around ${number(moment)} s; ${number(2 * reach * unit, 3)}″ wide.`;
    put(words, about);
    canvas.setAttribute("aria-label", `Image: ${about}`);
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
    element: h("div", { role: "group", "aria-label": "Movie" }, canvas, h("div", { class: "bar" }, button, span), slider, words, note),
    /** All photons around the source in the energies that are wanted, and how long they were taken. */
    set(all, seconds_, width, circle) {
      [photons, length, bin, radius] = [all, seconds_, width, circle];
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
