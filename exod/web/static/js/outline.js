// Where the field of an observation ends: lines between cells that were covered and those that were not.

import { hasFile, rowsWhere } from "./data.js";

const FILE = "outlines.parquet";
/** Units of positions on the detector, in arcsec. */
const UNIT = 0.05;

/** The outline of a subset of an observation, or null. */
export async function outlineOf(obsid, subset) {
  if (!(await hasFile(FILE))) return null;
  const rows = await rowsWhere(FILE, "obsid", obsid);
  return rows.find((row) => Number(row.subset) === Number(subset)) ?? null;
}

/** Lines of a field, by those around all of it, beyond which the cells that were searched lie scattered. */
const SCATTERED = 2;

/** Its lines as [x from, y from, x to, y to], in cells of the full grid; none where there is no field but scattered cells. */
export function linesOf(outline) {
  const { x_from: x0, y_from: y0, x_to: x1, y_to: y1 } = outline;
  const reach = (from, to) => Math.max(...to) - Math.min(...from);
  if (x0.length > SCATTERED * 2 * (reach(x0, x1) + reach(y0, y1))) return [];
  return Array.from(x0, (x, place) => [x, y0[place], x1[place], y1[place]].map(Number));
}

/** What turns a corner of cells into a place on the detector, in units of 0.05 arcsec from the pointing. */
export function onDetector({ x_pnt: x0, y_pnt: y0, pa_pnt: angle, size_arcsec: size }) {
  const turn = (-angle * Math.PI) / 180;
  const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
  return (x, y) => {
    const [dx, dy] = [((x - x0) * size) / UNIT, ((y - y0) * size) / UNIT];
    return [dx * cosine - dy * sine, dx * sine + dy * cosine];
  };
}
