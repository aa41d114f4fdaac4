// The rows of a table in the order of a number, all at once; those that are missing come last.

const ROWS = 2 ** 21;

/** The numbers of all rows by their values, null or NaN last; `down` for the largest first. */
export function orderOf(values, down) {
  return values.length <= ROWS ? byKeys(values, down) : byValues(values, down);
}

/** A key of 53 bits has the value in single precision and the row, so that numbers are sorted alone. */
function byKeys(values, down) {
  const keys = new Float64Array(values.length);
  const [single, bits] = [new Float32Array(1), new Uint32Array(1)];
  const [asFloat, asBits] = [single, new Uint32Array(single.buffer)];
  for (let row = 0; row < keys.length; row++) {
    const value = values[row];
    if (isMissing(value)) bits[0] = 0xffffffff;
    else {
      // Adding 0 makes 0 of -0, which is as large.
      asFloat[0] = down ? 0 - value : value + 0;
      bits[0] = asBits[0] & 0x80000000 ? ~asBits[0] : asBits[0] | 0x80000000;
    }
    keys[row] = bits[0] * ROWS + row;
  }
  keys.sort();
  return Uint32Array.from(keys, (key) => key % ROWS);
}

function byValues(values, down) {
  const way = down ? -1 : 1;
  return Uint32Array.from(values, (_, row) => row).sort((one, other) => {
    const [a, b] = [values[one], values[other]];
    if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b) || one - other;
    return way * (a - b) || one - other;
  });
}

const isMissing = (value) => value === null || value === undefined || Number.isNaN(value);
