// The sky: counts of pixels in Aitoff's projection, galactic or equatorial, drawn on a canvas.

import { colour, h, put } from "./dom.js";
import { galactic } from "./format.js";
import { shadeKey, shades } from "./shades.js";

const NSIDE = 64;
const RAD = Math.PI / 180;

function compact(bits) {
  let found = 0;
  for (let place = 0; place < 16; place++) found |= ((bits >> (2 * place)) & 1) << place;
  return found;
}

const ROWS = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4];
const TURNS = [1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7];

/** Right ascension and declination in degrees of the centre of a nested pixel of order 6. */
export function pixelCentre(pixel) {
  const face = Math.floor(pixel / NSIDE ** 2);
  const inside = pixel % NSIDE ** 2;
  const [x, y] = [compact(inside), compact(inside >> 1)];
  const ring = ROWS[face] * NSIDE - x - y - 1;
  let [across, z, shift] = [NSIDE, ((2 * NSIDE - ring) * 2) / (3 * NSIDE), (ring - NSIDE) & 1];
  if (ring < NSIDE) [across, z, shift] = [ring, 1 - ring ** 2 / (3 * NSIDE ** 2), 0];
  else if (ring > 3 * NSIDE) {
    across = 4 * NSIDE - ring;
    [z, shift] = [-1 + across ** 2 / (3 * NSIDE ** 2), 0];
  }
  let place = (TURNS[face] * across + x - y + 1 + shift) / 2;
  if (place > 4 * across) place -= 4 * across;
  if (place < 1) place += 4 * across;
  const phi = (place - (shift + 1) / 2) * (Math.PI / 2 / across);
  return [(((phi / RAD) % 360) + 360) % 360, Math.asin(z) / RAD];
}

const centres = [];

/** The same as `pixelCentre`, of which few are wanted, again and again. */
function centreOf(pixel) {
  centres[pixel] ??= pixelCentre(pixel);
  return centres[pixel];
}

const places = { galactic: [], equatorial: [] };

/** Where a pixel is on the map. */
function placeOf(pixel, frame) {
  places[frame][pixel] ??= aitoff(...(frame === "galactic" ? galactic(...centreOf(pixel)) : centreOf(pixel)));
  return places[frame][pixel];
}

/** Aitoff's projection: x from -2 to 2 with longitude growing to the left, y from -1 to 1. */
export function aitoff(longitude, latitude) {
  const half = (((((longitude + 180) % 360) + 360) % 360) - 180) * RAD / 2;
  const b = latitude * RAD;
  const length = Math.acos(Math.min(1, Math.cos(b) * Math.cos(half)));
  const scale = length ? length / Math.sin(length) : 1;
  return [(-2 * Math.cos(b) * Math.sin(half) * scale) / (Math.PI / 2), (Math.sin(b) * scale) / (Math.PI / 2)];
}

/** A map with its canvas; `update(counts)` draws, `onPixel(ra, dec)` is told of a click. */
export function skyMap(onPixel) {
  const canvas = h("canvas", { role: "img", "aria-label": "Map of the sky", class: "sky" });
  const words = h("p", { class: "quiet small" });
  const frame = h("button", { type: "button", "aria-pressed": "true", onclick: turn }, "galactic");
  const key = shadeKey();
  let [counts, isGalactic, width, lines] = [null, true, 0, {}];

  function turn() {
    isGalactic = !isGalactic;
    frame.setAttribute("aria-pressed", String(isGalactic));
    draw();
  }

  const frameName = () => (isGalactic ? "galactic" : "equatorial");

  function draw() {
    if (!counts) return;
    const ratio = devicePixelRatio || 1;
    // To ask a page for sizes takes as long as to lay it out, so it is asked once.
    width ||= canvas.clientWidth || 600;
    const height = width / 2;
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const toPage = ([x, y]) => [width / 2 + (x * (width - 8)) / 4, height / 2 - (y * (height - 6)) / 2];
    context.strokeStyle = colour("--line");
    context.lineWidth = 1;
    if (lines.width !== width) lines = { width, path: graticule(toPage) };
    context.stroke(lines.path);
    const { groups, filled, largest } = byCount(counts);
    const shade = shades(largest);
    key.show(largest);
    // Few sources would be lost as single pixels: then each is a disc.
    const size = Math.max(width / 260, filled < 400 ? 5 : filled < 4000 ? 3 : 1.5);
    const discs = filled < 4000;
    groups.forEach((pixels, found) => {
      context.fillStyle = shade(found);
      if (discs) context.beginPath();
      for (const pixel of pixels) {
        const [x, y] = toPage(placeOf(pixel, frameName()));
        if (discs) {
          context.moveTo(x, y);
          context.arc(x, y, size / 2 + 0.5, 0, 7);
        } else context.fillRect(x - size / 2, y - size / 2, size, size);
      }
      if (discs) context.fill();
    });
    canvas.setAttribute("aria-label", `Map of the sky, ${isGalactic ? "galactic" : "equatorial"}: ${filled} of ${counts.length} pixels have rows, at most ${largest} in one.`);
    put(words, !filled ? "Nothing is chosen." : `${isGalactic ? "l = 0, b = 0" : "RA 0, Dec 0"} in the middle; up to ${largest} a pixel of 0.9°. Click for a circle of 1°.`);
  }

  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, nearest] = [-1, 12 ** 2];
    counts?.forEach((found, pixel) => {
      if (!found) return;
      const [px, py] = placeOf(pixel, frameName());
      const away = (box.width / 2 + (px * (box.width - 8)) / 4 - x) ** 2 + (box.height / 2 - (py * (box.height - 6)) / 2 - y) ** 2;
      if (away < nearest) [best, nearest] = [pixel, away];
    });
    if (best >= 0) onPixel(...centreOf(best));
  });
  addEventListener("resize", () => { width = 0; draw(); });
  addEventListener("themechange", draw);
  return {
    element: h("section", { class: "panel", "aria-label": "Sky" }, h("div", { class: "bar" }, h("h2", {}, "Sky"), frame, key.element), canvas, words),
    update(found) { counts = found; draw(); },
  };
}

/** Lines of equal longitude, every 60 degrees, and latitude, every 30. */
function graticule(toPage) {
  const path = new Path2D();
  const line = (place) => {
    for (let step = 0; step <= 60; step++) path[step ? "lineTo" : "moveTo"](...toPage(aitoff(...place(step / 60))));
  };
  for (let longitude = -180; longitude <= 180; longitude += 60) line((t) => [longitude === 180 ? 179.999 : longitude === -180 ? -179.999 : longitude, -90 + 180 * t]);
  for (let latitude = -60; latitude <= 60; latitude += 30) line((t) => [-179.99 + 359.98 * t, latitude]);
  return path;
}

/** The pixels that have rows, in groups by the number of these. */
function byCount(counts) {
  const groups = new Map();
  let [filled, largest] = [0, 0];
  for (let pixel = 0; pixel < counts.length; pixel++) {
    const count = counts[pixel];
    if (!count) continue;
    filled++;
    if (count > largest) largest = count;
    const group = groups.get(count);
    if (group) group.push(pixel);
    else groups.set(count, [pixel]);
  }
  return { groups, filled, largest };
}
