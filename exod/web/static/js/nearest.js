// What is nearest in a table of numbers: every row is looked at.

/**
 * The rows nearest to one, of other sources, the best of each, in order of distance.
 *
 * `numbers` are columns of equal length, `regions` tells the source of each row.
 */
export function nearest(numbers, regions, query, most) {
  const size = regions.length;
  const apart = new Float64Array(size);
  for (const column of numbers) {
    const own = column[query];
    for (let row = 0; row < size; row++) apart[row] += (column[row] - own) ** 2;
  }
  const best = new Map();
  for (let row = 0; row < size; row++) {
    const region = regions[row];
    if (region === regions[query]) continue;
    const known = best.get(region);
    if (known === undefined || apart[row] < apart[known]) best.set(region, row);
  }
  const rows = [...best.values()].sort((one, other) => apart[one] - apart[other] || one - other).slice(0, most);
  return rows.map((row) => ({ row, distance: Math.sqrt(apart[row]) }));
}
