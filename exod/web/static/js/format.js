// Numbers and places in words.

/** A number as people read it; an em space where it is missing. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (typeof value === "bigint" || Number.isInteger(value)) return value.toString();
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(digits - 1);
  return String(Number(value.toPrecision(digits + (size >= 1000 ? 2 : 0))));
}

/** An excess in counts, of which an eclipse has less than none, as "12 counts above". */
export function counted(excess) {
  return `${number(excess < 0 ? -excess : excess, 3)} counts ${excess < 0 ? "below" : "above"}`;
}

/** The event of a source: what is known of its kind, duration and counts. */
export function eventWords({ best_kind: kind, best_duration: duration, best_excess: excess }) {
  const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
  const [lasts, has] = [known(duration) && ` of ${number(duration, 3)} s`, known(excess) && `${counted(excess)} what was expected`];
  return `${text(kind)}${lasts || ""}${has ? `, ${has}` : ""}`;
}

/** Any value of a table as text; positions, in degrees, to a tenth of an arcsecond. */
export function text(value, unit = "") {
  if (unit === "deg" && typeof value === "number") return value.toFixed(5);
  if (value === null || value === undefined) return "–";
  if (typeof value === "number" || typeof value === "bigint") return number(value);
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}

function parts(value, decimals) {
  const scale = 10 ** decimals;
  let rest = Math.round(value * 3600 * scale);
  const seconds = (rest % (60 * scale)) / scale;
  rest = Math.floor(rest / (60 * scale));
  return [Math.floor(rest / 60), rest % 60, seconds];
}

/** Right ascension and declination in degrees as hours and degrees, minutes and seconds. */
export function sexagesimal(ra, dec) {
  const pad = (n, digits = 0) => n.toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  const [hours, minutes, seconds] = parts(((ra % 360) + 360) % 360 / 15, 2);
  const [degrees, arcmin, arcsec] = parts(Math.abs(dec), 1);
  return `${pad(hours % 24)}:${pad(minutes)}:${pad(seconds, 2)} ${dec < 0 ? "−" : "+"}${pad(degrees)}:${pad(arcmin)}:${pad(arcsec, 1)}`;
}

/** Galactic longitude and latitude in degrees. */
export function galactic(ra, dec) {
  const rad = Math.PI / 180;
  const [pole, tilt, node] = [192.85948 * rad, 27.12825 * rad, 122.93192 * rad];
  const [a, d] = [ra * rad, dec * rad];
  const b = Math.asin(Math.sin(d) * Math.sin(tilt) + Math.cos(d) * Math.cos(tilt) * Math.cos(a - pole));
  const y = Math.cos(d) * Math.sin(a - pole);
  const x = Math.sin(d) * Math.cos(tilt) - Math.cos(d) * Math.sin(tilt) * Math.cos(a - pole);
  const l = (((node - Math.atan2(y, x)) / rad) % 360 + 360) % 360;
  return [l, b / rad];
}

/** "1 source", "2 sources". */
export function plural(count, what) {
  return `${Number(count).toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

/** The condition of a facet in words. */
export function inWords(facet, text) {
  if (facet.kind === "codes") return `${facet.label}: ${text.split(".").map((code) => facet.labels[Number(code)] ?? "missing").join(", ")}`;
  const [low, high] = text.split("-").map(Number);
  return `${facet.label}: ${short(facet.edges[low])} to ${short(facet.edges[high + 1])}`;
}

/** A number of an edge, short. */
export function short(value) {
  const size = Math.abs(value);
  return size && (size < 0.01 || size >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

