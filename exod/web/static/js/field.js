// The image of a field: counts of a run in cells of the sky, its regions, and where the field ends.

import { colour, h, put } from "./dom.js";
import { number, plural } from "./format.js";
import { linesOf } from "./outline.js";
import { shadeKey, shades } from "./shades.js";
import { visit } from "./site.js";

/** The panel; `names` are the runs that `imageOf(name)` has the image of, `runs` what is known of them, `outlines` those of the observation. */
export async function fieldPanel(names, runs, imageOf, outlines) {
  if (!names.length) return [];
  const about = new Map(runs.map((run) => [run.runid, run]));
  const title = (name) => (about.has(name) ? `${about.get(name).e_lo}–${about.get(name).e_hi} keV, ${about.get(name).t_bin} s` : name);
  // The run with most regions, and among those the one with most photons.
  const strength = (name) => Number(about.get(name)?.n_regions ?? 0) + Number(about.get(name)?.n_events ?? 0) / 1e9;
  const usual = names.reduce((best, name) => (strength(name) > strength(best) ? name : best), names[0]);
  const choice = h("select", { "aria-label": "Run of the image", onchange: () => read().catch((error) => put(words, error.message)) }, names.map((name) => h("option", { value: name, selected: name === usual }, title(name))));
  const canvas = h("canvas", { role: "img", class: "field", "aria-label": "The field" });
  const [words, key] = [h("p", { class: "quiet small" }), shadeKey()];
  let found = null;

  async function read() {
    found = await imageOf(choice.value);
    draw();
  }

  /** Side of a cell, and the top of a row: north is up. */
  const places = () => {
    const cell = canvas.clientWidth / found.columns;
    return [cell, (row) => (found.rows - row) * cell];
  };

  /** The outline of the subset of the run. */
  const lines = () => outlines.filter(({ subset }) => Number(subset) === Number(about.get(choice.value)?.subset ?? 0)).flatMap(linesOf);

  function draw() {
    if (!found || !canvas.clientWidth) return;
    const ratio = devicePixelRatio || 1;
    const [cell, top] = places();
    [canvas.width, canvas.height] = [canvas.clientWidth * ratio, found.rows * cell * ratio];
    canvas.style.height = `${found.rows * cell}px`;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const largest = found.counts.reduce((most, one) => Math.max(most, one), 1);
    const filled = found.counts.filter(Boolean).sort((one, other) => one - other);
    // The background would be as bright as sources if colours began with a single count.
    const least = filled[Math.floor(filled.length / 5)] ?? 1;
    const shade = shades(largest + 1, least + 1);
    key.show(largest, false, least);
    found.counts.forEach((count, place) => {
      if (!count) return;
      context.fillStyle = shade(count + 1);
      const [column, row] = [place % found.columns, Math.floor(place / found.columns)];
      const [left, upper] = [Math.floor(column * cell), Math.floor(top(row + 1))];
      context.fillRect(left, upper, Math.floor((column + 1) * cell) - left, Math.floor(top(row)) - upper);
    });
    context.strokeStyle = colour("--text");
    context.setLineDash([5, 3]);
    context.beginPath();
    for (const [x0, y0, x1, y1] of lines()) {
      context.moveTo((x0 - found.x_lo) * cell, top(y0 - found.y_lo));
      context.lineTo((x1 - found.x_lo) * cell, top(y1 - found.y_lo));
    }
    context.stroke();
    context.setLineDash([]);
    context.strokeStyle = colour("--vermilion");
    context.fillStyle = colour("--vermilion");
    context.lineWidth = 2;
    context.font = "bold 12px system-ui, sans-serif";
    for (const region of found.regions) {
      context.strokeRect(region.x_lo * cell - 3, top(region.y_hi) - 3, (region.x_hi - region.x_lo) * cell + 6, (region.y_hi - region.y_lo) * cell + 6);
      context.fillText(labelOf(region), region.x_hi * cell + 5, top(region.y_hi));
    }
    const told = `${plural(found.counts.reduce((sum, one) => sum + one, 0), "count")} in cells of ${number(found.size_arcsec, 3)}″, ${plural(found.regions.length, "region")}`;
    canvas.setAttribute("aria-label", `The field: ${told}. The table of detections has all regions.`);
    put(words, `${told}${found.regions.length ? ": boxes with the last part of their detid; click one for its page" : ""}. North is up, east to the left.${lines().length ? " Dashed: where the field ends." : ""}`);
  }

  const labelOf = ({ detid }) => detid.slice(detid.lastIndexOf("_") + 1);
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const [cell, top] = places();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const hit = found.regions.find((one) => x > one.x_lo * cell - 6 && x < one.x_hi * cell + 6 && y > top(one.y_hi) - 6 && y < top(one.y_lo) + 6);
    if (hit) visit(`/detection/${encodeURIComponent(hit.detid)}`);
  });
  await read();
  new ResizeObserver(draw).observe(canvas.parentElement ?? canvas);
  addEventListener("themechange", draw);
  return h("section", { class: "panel", "aria-label": "Field" }, h("div", { class: "bar" }, h("h2", {}, "Field"), choice, key.element), canvas, words);
}
