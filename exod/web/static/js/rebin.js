// Photons in bins, images and blocks: numbers in, numbers out, nothing of the page.

/** Of more photons neighbours are put together before blocks are sought: the search is quadratic. */
export const MOST_BLOCK_CELLS = 4000;

/** First of the sorted `times` that is not before `time`. */
export function firstFrom(times, time) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The photons that are wanted, with times from `zero`, in order of time.
 *
 * `energy` is [low, high) in eV, `radius` in the unit of dx and dy; `good` leaves out bad time.
 */
export function chosen(photons, { obsid, energy, radius, good = false, zero = 0 }) {
  const found = { time: [], pi: [], dx: [], dy: [], bad: [], camera: [] };
  const reach = radius * radius;
  for (let row = 0; row < photons.time.length; row++) {
    const [dx, dy] = [photons.dx[row], photons.dy[row]];
    if (photons.obsid[row] !== obsid || photons.pi[row] < energy[0] || photons.pi[row] >= energy[1]) continue;
    if (dx * dx + dy * dy > reach || (good && photons.in_bti[row])) continue;
    found.time.push(photons.time[row] - zero);
    found.pi.push(photons.pi[row]);
    found.dx.push(dx);
    found.dy.push(dy);
    found.bad.push(photons.in_bti[row]);
    found.camera.push(photons.camera[row]);
  }
  return found;
}

/** What a plot of steps draws: times and values with the end of the last bin, which would have no width. */
export function closed(starts, width, ...series) {
  if (!starts.length) return [starts, ...series];
  const ended = (values) => values && [...values, values.at(-1)];
  return [[...starts, starts.at(-1) + width], ...series.map(ended)];
}

/** Counts in bins of a width from `start` on; what is at `stop` is in the last one. */
export function rebinned(times, width, start, stop) {
  const size = Math.max(1, Math.ceil((stop - start) / width));
  const counts = new Int32Array(size);
  for (const time of times) counts[Math.max(0, Math.min(size - 1, Math.floor((time - start) / width)))] += 1;
  return { start: Float64Array.from(counts, (_, bin) => start + bin * width), counts };
}

/** Counts of photons [first, last) in `cells` squared cells that reach as far as `reach`; north is up, east left. */
export function imageOf(photons, first, last, cells, reach) {
  const counts = new Int32Array(cells * cells);
  const place = (value) => Math.min(cells - 1, Math.max(0, Math.floor(((value + reach) / (2 * reach)) * cells)));
  for (let row = first; row < last; row++) counts[place(-photons.dy[row]) * cells + place(photons.dx[row])] += 1;
  return counts;
}

/**
 * Counts of photons [first, last) less what was expected, in cells as those of `imageOf`.
 *
 * Expected is the image of all photons, scaled so that outside the circle of `radius` there are as many
 * as in these: flares of the background and times without data leave nothing behind then, while the
 * source itself does.
 */
export function residualOf(photons, first, last, cells, reach, radius) {
  const size = photons.time.length;
  const outside = (from, to) => {
    let found = 0;
    for (let row = from; row < to; row++) if (photons.dx[row] ** 2 + photons.dy[row] ** 2 > radius ** 2) found += 1;
    return found;
  };
  const all = outside(0, size);
  const share = all ? outside(first, last) / all : (last - first) / Math.max(size, 1);
  const expected = imageOf(photons, 0, size, cells, reach);
  return Float64Array.from(imageOf(photons, first, last, cells, reach), (count, place) => count - share * expected[place]);
}

/** Photons below and from `middle` (eV) before, during and after an event, with the hardness ratio and its error by those of the counts. */
export function hardnessAround(photons, [start, stop], middle) {
  const found = { before: [0, 0], during: [0, 0], after: [0, 0] };
  photons.time.forEach((time, row) => {
    found[time < start ? "before" : time < stop ? "during" : "after"][photons.pi[row] < middle ? 0 : 1] += 1;
  });
  return Object.fromEntries(Object.entries(found).map(([name, [soft, hard]]) => {
    const sum = soft + hard;
    return [name, { soft, hard, ratio: (hard - soft) / sum, error: (2 * Math.sqrt(soft * hard * sum)) / sum ** 2 }];
  }));
}

/** Neighbours of sorted times together, so many that no more than `most` cells are left. */
function cellsOf(times, most) {
  const [values, counts] = [[], []];
  for (const time of times) {
    if (values.at(-1) === time) counts[counts.length - 1] += 1;
    else {
      values.push(time);
      counts.push(1);
    }
  }
  const size = values.length;
  const edges = [values[0], ...values.slice(1).map((time, row) => (time + values[row]) / 2), values[size - 1]];
  const together = Math.ceil(size / most);
  if (together === 1) return { edges, counts, together };
  const starts = Array.from({ length: Math.ceil(size / together) }, (_, cell) => cell * together);
  return {
    edges: [...starts.map((row) => edges[row]), edges[size]],
    counts: starts.map((row) => counts.slice(row, row + together).reduce((sum, one) => sum + one, 0)),
    together,
  };
}

/**
 * Bayesian blocks of sorted times of events: Scargle et al. 2013, ApJ 764, 167, with the prior of
 * their equation 21 for the false-alarm probability `p0`.
 *
 * Starts of the last block that cannot be best any more are dropped (Killick et al. 2012, JASA 107,
 * 1590), which changes nothing: a block is never likelier than its parts.
 */
export function bayesianBlocks(times, p0 = 0.05, most = MOST_BLOCK_CELLS) {
  if (times.length < 2 || times[0] === times.at(-1)) return { edges: [], counts: [], together: 1 };
  const { edges, counts, together } = cellsOf(times, most);
  const size = counts.length;
  const prior = 4 - Math.log(73.53 * p0 * size ** -0.478);
  const before = new Float64Array(size + 1);
  counts.forEach((count, cell) => { before[cell + 1] = before[cell] + count; });
  const best = new Float64Array(size + 1);
  const last = new Int32Array(size);
  let starts = [];
  for (let stop = 1; stop <= size; stop++) {
    starts.push(stop - 1);
    const values = starts.map((start) => {
      const count = before[stop] - before[start];
      return best[start] + count * Math.log(count / (edges[stop] - edges[start]));
    });
    let winner = 0;
    values.forEach((value, place) => { if (value > values[winner]) winner = place; });
    best[stop] = values[winner] - prior;
    last[stop - 1] = starts[winner];
    starts = starts.filter((_, place) => !(values[place] < best[stop]));
  }
  const changes = [size];
  while (changes[0] > 0) changes.unshift(last[changes[0] - 1]);
  return {
    edges: changes.map((cell) => edges[cell]),
    counts: changes.slice(1).map((cell, block) => before[cell] - before[changes[block]]),
    together,
  };
}

/** Counts in bins of a width if the rate were that of the blocks; all bins together have all photons. */
export function countsOfBlocks(blocks, starts, width) {
  const found = new Float64Array(starts.length);
  blocks.counts.forEach((count, block) => {
    const [low, high] = [blocks.edges[block], blocks.edges[block + 1]];
    const first = Math.max(0, Math.min(starts.length - 1, Math.floor((low - starts[0]) / width)));
    for (let bin = first; bin < starts.length && (bin === first || starts[bin] < high); bin++) {
      const end = bin === starts.length - 1 ? Infinity : starts[bin] + width;
      const inside = Math.min(high, end) - Math.max(low, starts[bin]);
      found[bin] += (count * Math.max(inside, 0)) / (high - low);
    }
  });
  return found;
}
