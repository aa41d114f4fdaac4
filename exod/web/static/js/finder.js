// The finder of a source: counts of the cells around it, north up and east to the left.

import { colour, h } from "./dom.js";
import { hasFile, rowsWhere } from "./data.js";
import { number, plural } from "./format.js";
import { shadeKey, shades } from "./shades.js";

/** A panel with the finder of a source, or nothing if the product has none. */
export async function finderPanel(region, error) {
  if (!(await hasFile("cutouts.parquet"))) return null;
  const [found] = await rowsWhere("cutouts.parquet", "region_num", region);
  if (!found) return null;
  const counts = Array.from(found.n, Number);
  const side = Math.sqrt(counts.length);
  const canvas = h("canvas", { role: "img", class: "finder" });
  const largest = counts.reduce((most, one) => Math.max(most, one), 0);
  const inside = counts.filter((count) => count >= 0).sort((one, other) => one - other);
  // The background would be as bright as its sources if colours began with a single count.
  const least = inside[Math.floor(inside.length / 20)] ?? 0;
  const total = counts.reduce((sum, one) => sum + Math.max(one, 0), 0);
  const width = (side * found.size_arcsec) / 60;
  const words = `${plural(total, "count")} of the whole observation in ${number(width, 2)}′ × ${number(width, 2)}′, cells of ${number(found.size_arcsec, 3)}″, at most ${largest} in one. Hatched: not in the image.`;
  canvas.setAttribute("aria-label", `Finder: ${words}`);

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
    const shade = shades(largest + 1, least + 1);
    counts.forEach((count, place) => {
      const [row, column] = [Math.floor(place / side), place % side];
      context.fillStyle = count < 0 ? colour("--line") : count === 0 ? colour("--back") : shade(count + 1);
      context.fillRect(column * cell, size - (row + 1) * cell, cell + 0.5, cell + 0.5);
      if (count < 0 && (row + column) % 2) context.clearRect(column * cell, size - (row + 1) * cell, cell + 0.5, cell + 0.5);
    });
    context.strokeStyle = colour("--vermilion");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(size / 2, size / 2, Math.max((error / found.size_arcsec) * cell, 1.5 * cell), 0, 7);
    context.stroke();
    context.fillStyle = colour("--vermilion");
    context.font = "12px system-ui, sans-serif";
    context.fillText("N ↑  E ←", 6, 16);
  }

  new ResizeObserver(draw).observe(canvas);
  addEventListener("themechange", draw);
  return h("section", { class: "panel", "aria-label": "Finder" }, h("div", { class: "bar" }, h("h2", {}, "Finder"), key.element), canvas, h("p", { class: "quiet small" }, words));
}
