// Cutouts: counts of the cells around a detection, north up and east to the left, with the outline of the field.

import { colour, h } from "./dom.js";
import { hasFile, rowsWhere } from "./data.js";
import { number, plural } from "./format.js";
import { linesOf, outlineOf } from "./outline.js";
import { shadeKey, shades } from "./shades.js";

/** What there is of a detection: the row of its cutout, and the outline of its field; null if there is none. */
export async function cutoutOf({ detid, obsid, subset }) {
  if (!(await hasFile("cutouts.parquet"))) return null;
  const [[row], outline] = await Promise.all([rowsWhere("cutouts.parquet", "detid", detid), outlineOf(obsid, subset)]);
  return row ? { row, outline } : null;
}

/** A panel with the finder of a source, which is the cutout of its best detection, or nothing. */
export async function finderPanel(best, error) {
  const found = best && (await cutoutOf(best));
  if (!found) return null;
  return cutoutPanel("Finder", found, { circle: error / found.row.size_arcsec });
}

/**
 * A panel with a cutout. `circle` is the radius of one around its middle, `box` [x_lo, y_lo, x_hi, y_hi] and
 * `cells` a list of [x, y] of what is marked; all in cells, the last two of the full grid.
 */
export function cutoutPanel(title, { row, outline }, { circle, box, cells = [], more = "" }) {
  const counts = Array.from(row.n, Number);
  const side = Math.sqrt(counts.length);
  const [left, bottom] = [Number(row.x) - (side - 1) / 2, Number(row.y) - (side - 1) / 2];
  const lines = outline ? linesOf(outline).filter((line) => isNear(line, left, bottom, side)) : [];
  const canvas = h("canvas", { role: "img", class: "finder" });
  const largest = counts.reduce((most, one) => Math.max(most, one), 0);
  const inside = counts.filter((count) => count >= 0).sort((one, other) => one - other);
  // The background would be as bright as its sources if colours began with a single count.
  const least = inside[Math.floor(inside.length / 20)] ?? 0;
  const total = counts.reduce((sum, one) => sum + Math.max(one, 0), 0);
  const width = (side * row.size_arcsec) / 60;
  const isCut = counts.some((count) => count < 0);
  const words = `${plural(total, "count")} of the whole observation in ${number(width, 2)}′ × ${number(width, 2)}′, cells of ${number(row.size_arcsec, 3)}″, at most ${largest} in one.${lines.length ? " Dashed: where the field ends." : ""}${isCut ? " Hatched: not in the image." : ""}${more}`;
  canvas.setAttribute("aria-label", `${title}: ${words}`);
  const key = shadeKey();
  key.show(largest, false, least);

  function draw() {
    const ratio = devicePixelRatio || 1;
    const size = canvas.clientWidth;
    if (!size) return;
    [canvas.width, canvas.height] = [size * ratio, size * ratio];
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const cell = size / side;
    const [x, y] = [(column) => (column - left) * cell, (line) => size - (line - bottom) * cell];
    const shade = shades(largest + 1, least + 1);
    counts.forEach((count, place) => {
      const [line, column] = [Math.floor(place / side), place % side];
      context.fillStyle = count < 0 ? colour("--line") : count === 0 ? colour("--back") : shade(count + 1);
      context.fillRect(column * cell, size - (line + 1) * cell, cell + 0.5, cell + 0.5);
      if (count < 0 && (line + column) % 2) context.clearRect(column * cell, size - (line + 1) * cell, cell + 0.5, cell + 0.5);
    });
    context.strokeStyle = colour("--text");
    context.lineWidth = 1.5;
    context.setLineDash([5, 3]);
    context.beginPath();
    for (const [x0, y0, x1, y1] of lines) {
      context.moveTo(x(x0), y(y0));
      context.lineTo(x(x1), y(y1));
    }
    context.stroke();
    context.setLineDash([]);
    context.strokeStyle = colour("--vermilion");
    context.lineWidth = 2;
    for (const [column, line] of cells) {
      // A cross in a cell, seen whatever its colour is.
      context.beginPath();
      for (const slope of [1, -1]) {
        context.moveTo(x(column + 0.5) - cell / 4, y(line + 0.5) - (slope * cell) / 4);
        context.lineTo(x(column + 0.5) + cell / 4, y(line + 0.5) + (slope * cell) / 4);
      }
      context.stroke();
    }
    if (box) context.strokeRect(x(box[0]), y(box[3]), (box[2] - box[0]) * cell, (box[3] - box[1]) * cell);
    if (circle) {
      context.beginPath();
      context.arc(size / 2, size / 2, Math.max(circle, 1.5) * cell, 0, 7);
      context.stroke();
    }
    context.fillStyle = colour("--vermilion");
    context.font = "12px system-ui, sans-serif";
    context.fillText("N ↑  E ←", 6, 16);
  }

  new ResizeObserver(draw).observe(canvas);
  addEventListener("themechange", draw);
  return h("section", { class: "panel", "aria-label": title }, h("div", { class: "bar" }, h("h2", {}, title), key.element), canvas, h("p", { class: "quiet small" }, words));
}

function isNear([x0, y0, x1, y1], left, bottom, side) {
  return Math.max(x0, x1) >= left && Math.min(x0, x1) <= left + side && Math.max(y0, y1) >= bottom && Math.min(y0, y1) <= bottom + side;
}
