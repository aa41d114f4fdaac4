// The sky: counts of pixels in Aitoff's projection, galactic or equatorial, drawn on a canvas.

import { colour, drawnOn, h, onScreen, say } from "./dom.js";
import { galactic } from "./format.js";
import { pixelShades, shadeKey } from "./shades.js";

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

/** A map with its canvas; `drawn(counts)` draws others and returns what shows them, `draw()` draws those that are shown again, `onPixel(ra, dec)` is told of a click. */
export function skyMap(onPixel) {
  const canvas = h("canvas", { role: "img", "aria-label": "Map of the sky", class: "sky" });
  const words = h("p", { class: "quiet small" });
  const frame = h("button", { type: "button", "aria-pressed": "true", onclick: turn }, "galactic");
  const key = shadeKey();
  // Lines are below what is counted, and stay.
  const lines = h("canvas", {});
  let [counts, isGalactic, width, lined, spots] = [null, true, 0, "", {}];

  function turn() {
    isGalactic = !isGalactic;
    frame.setAttribute("aria-pressed", String(isGalactic));
    draw();
  }

  const frameName = () => (isGalactic ? "galactic" : "equatorial");

  function draw() {
    if (!counts) return;
    // To ask a page for sizes takes as long as to lay it out, so it is asked once.
    width ||= canvas.clientWidth || 600;
    show(discs(counts));
  }

  const toPage = ([x, y]) => [width / 2 + (x * (width - 8)) / 4, width / 4 - (y * (width / 2 - 6)) / 2];

  /** Where discs are is another matter of each frame, size and screen. */
  const scene = () => [frameName(), width, devicePixelRatio].join();

  function show({ image, filled, largest }) {
    const height = width / 2;
    const context = drawnOn(canvas, width, height);
    key.show(largest);
    context.putImageData(image, 0, 0);
    const wanted = [width, devicePixelRatio, colour("--line")].join();
    if (wanted !== lined) drawLines(height);
    lined = wanted;
    context.globalCompositeOperation = "destination-over";
    context.drawImage(lines, 0, 0, width, height);
    canvas.setAttribute("aria-label", `Map of the sky, ${isGalactic ? "galactic" : "equatorial"}: ${filled} of ${counts.length} pixels have rows, at most ${largest} in one.`);
    say(words, !filled ? "Nothing is chosen." : `${isGalactic ? "l = 0, b = 0" : "RA 0, Dec 0"} in the middle; up to ${largest} a pixel of 0.9°. Click for a circle of 1°.`);
  }

  function drawLines(height) {
    const context = drawnOn(lines, width, height);
    context.clearRect(0, 0, width, height);
    context.strokeStyle = colour("--line");
    context.lineWidth = 1;
    context.stroke(graticule(toPage));
  }

  /** A disc for each pixel of the sky that has rows: as an image, since a path each takes much longer. */
  function discs(counts) {
    const ratio = devicePixelRatio || 1;
    const { filled, largest } = sizesOf(counts);
    const image = new ImageData(...onScreen(width, width / 2));
    const pixels = new Uint32Array(image.data.buffer);
    // Few sources would be lost as single pixels.
    const size = Math.max(width / 260, filled < 400 ? 6 : filled < 4000 ? 4 : 1.5);
    const stamp = stampOf((size / 2) * ratio, image.width);
    const frameNow = frameName();
    if (spots.scene !== scene()) spots = { scene: scene(), places: new Int32Array(counts.length) };
    const { places } = spots;
    const shade = pixelShades(largest);
    for (let pixel = 0; pixel < counts.length; pixel++) {
      if (!counts[pixel]) continue;
      // No disc reaches over an edge: its middle is a pixel of the screen away from all of them.
      places[pixel] ||= spotOf(toPage(placeOf(pixel, frameNow)), ratio, image);
      const colour = shade(counts[pixel]);
      for (let place = 0; place < stamp.length; place += 2) {
        const spot = places[pixel] + stamp[place];
        // Where discs meet the one that covers more is seen.
        if (stamp[place + 1] >= pixels[spot] >>> 24) pixels[spot] = (stamp[place + 1] << 24) | colour;
      }
    }
    return { image, filled, largest };
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
    draw,
    drawn(found) {
      const [made, before] = [width && discs(found), scene()];
      return () => {
        counts = found;
        // How wide it is was not known, or is something else now.
        if (made && before === scene()) show(made);
        else draw();
      };
    },
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

/** How many pixels have rows, and how many rows the fullest one has. */
function sizesOf(counts) {
  let [filled, largest] = [0, 0];
  for (let pixel = 0; pixel < counts.length; pixel++) {
    if (counts[pixel]) filled++;
    if (counts[pixel] > largest) largest = counts[pixel];
  }
  return { filled, largest };
}

/** The pixel of an image where a place on the page is, with room for a disc around it. */
function spotOf([x, y], ratio, { width, height }) {
  const [room, inside] = [Math.ceil(4 * ratio), (at, least, most) => Math.max(least, Math.min(most, Math.floor(at * ratio)))];
  return inside(y, room, height - room - 1) * width + inside(x, room, width - room - 1);
}

/** A disc as pairs of the place of a pixel, counted from its middle, and how much of it is covered, up to 255. */
function stampOf(radius, width) {
  const reach = Math.ceil(radius);
  const found = [];
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) {
      const cover = Math.round(255 * Math.max(0, Math.min(1, radius + 0.5 - Math.hypot(x, y))));
      if (cover) found.push(y * width + x, cover);
    }
  }
  return Int32Array.from(found);
}
