// Colours of counts on canvases: parts of cividis that are seen on either background, and a key of them.

import { assign, h, isDark, say } from "./dom.js";

// Cividis, sampled: seen alike by all eyes. Its blue is lost on a dark page and its yellow on a
// white one, so counts go from the grey in its middle to the end that is far from the background.
const DARK = [[112, 113, 115], [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56]];
const LIGHT = [[138, 134, 120], [112, 113, 115], [87, 93, 109], [59, 73, 108], [18, 53, 112], [0, 34, 78]];
// Okabe and Ito's vermilion and blue, for more and less than expected, from grey on.
const MORE = { DARK: [[120, 95, 80], [255, 150, 60]], LIGHT: [[200, 160, 140], [190, 70, 0]] };
const LESS = { DARK: [[75, 100, 120], [110, 195, 255]], LIGHT: [[150, 180, 200], [0, 80, 140]] };

const OPAQUE = 0xff000000;

function parts(colours, share) {
  const at = Math.max(0, Math.min(1, share)) * (colours.length - 1);
  const low = Math.min(Math.floor(at), colours.length - 2);
  return colours[low].map((value, part) => Math.round(value + (colours[low + 1][part] - value) * (at - low)));
}

function mixed(colours, share) {
  return `rgb(${parts(colours, share).join(" ")})`;
}

function shareOf(count, largest, least) {
  return largest > least ? Math.log(count / least) / Math.log(largest / least) : 1;
}

/** What gives the colour of a count from `least` to `largest`, logarithmic; for one drawing. */
export function shades(largest, least = 1) {
  const colours = isDark() ? DARK : LIGHT;
  const known = new Map();
  return (count) => {
    if (!known.has(count)) known.set(count, mixed(colours, shareOf(count, largest, least)));
    return known.get(count);
  };
}

/** The same as pixels of images without their opacity, its bytes being red, green and blue. */
export function pixelShades(largest) {
  const colours = isDark() ? DARK : LIGHT;
  const known = [];
  return (count) => (known[count] ??= parts(colours, shareOf(count, largest, 1)).reduce((sum, value, place) => sum + (value << (8 * place)), 0));
}

/** Draw a pixel a bin of a plane on a canvas, whose rows go up, in the colours of `shades`: faster than a box each. */
export function shadePlane(canvas, { counts, columns, rows, largest }) {
  assign(canvas, { width: columns, height: rows });
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  const shade = pixelShades(largest);
  for (let row = 0; row < rows; row++) {
    const line = (rows - 1 - row) * columns;
    for (let column = 0; column < columns; column++) {
      const count = counts[row * columns + column];
      if (count) pixels[line + column] = shade(count) | OPAQUE;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** What gives the colour of a difference of at most `largest` either way. */
export function differences(largest) {
  const scheme = isDark() ? "DARK" : "LIGHT";
  return (value) => mixed((value < 0 ? LESS : MORE)[scheme], Math.abs(value) / largest);
}

/** A key: `show(largest)` has the colours from `least` to it, `show(largest, true)` those of differences. */
export function shadeKey() {
  const element = h("span", { class: "shadekey small quiet" });
  const [low, bar, high] = [h("span", {}), h("span", { class: "ramp", "aria-hidden": "true" }), h("span", {})];
  let [shown, ramp] = [[1], ""];
  function show(largest, isDifference = false, least = 1) {
    shown = [largest, isDifference, least];
    const colour = isDifference ? differences(1) : shades(10);
    const stops = Array.from({ length: 11 }, (_, step) => colour(isDifference ? step / 5 - 1 : 10 ** (step / 10)));
    const wanted = `linear-gradient(to right, ${(largest > least || isDifference ? stops : [stops[10], stops[10]]).join(", ")})`;
    if (wanted !== ramp) bar.style.background = ramp = wanted;
    say(low, isDifference ? `−${largest}` : String(least));
    // Without a count there is nothing that colours could mean.
    assign(element, { hidden: !isDifference && largest < 1 });
    say(high, isDifference ? `+${largest}` : String(largest));
  }
  addEventListener("themechange", () => show(...shown));
  element.append(low, bar, high);
  return { element, show };
}
