// Of a published site what belongs to one source: a range of the file of blocks has its rows, and tells where others are.

import { once, readable } from "./damage.js";

const read = new Map();

/** A range of a file of the site. */
async function range(ask, path, start, stop) {
  const answer = await ask(path, { headers: { range: `bytes=${start}-${stop - 1}` } });
  const bytes = await answer.arrayBuffer();
  // A store that does not know ranges sends the file.
  return answer.status === 206 ? bytes : bytes.slice(start, stop);
}

/** The block of a source: `rows` of tables with their `places` in these, `groups` of rows of other files, and the numbers `before` and `after` it. */
export function blockOf(ask, about, number) {
  const { sources, count } = about.blocks;
  const place = Math.floor(number / sources);
  return place >= 0 && place < count ? textAt(ask, about, "blocks", place) : Promise.resolve({ rows: {}, places: {}, groups: {}, before: null, after: null });
}

/** The number of the source of a detection; undefined if there is none of that name. */
export async function ownerOf(ask, about, detid) {
  const { names } = about.blocks;
  const own = names ? await textAt(ask, about, "names", checksum(detid) % names) : {};
  return Object.hasOwn(own, detid) ? own[detid] : undefined;
}

/** The key of a row of a table. */
export async function keyAt(ask, about, table, row) {
  const width = about.blocks.widths[table];
  const bytes = await range(ask, `data/${table}.keys?v=${about.version}`, row * width, (row + 1) * width);
  return new TextDecoder().decode(bytes).trimEnd();
}

/** The CRC-32 of a text (ISO 3309), as zlib has it. */
function checksum(text) {
  let sum = -1;
  for (const byte of new TextEncoder().encode(text)) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1));
  }
  return ~sum >>> 0;
}

/** One of the texts of a file. */
function textAt(ask, about, name, place) {
  return once(read, `${name} ${place}`, () => readable(`data/${name}`, () => readText(ask, about.version, name, place)));
}

async function readText(ask, version, name, place) {
  const [start, stop] = Array.from(new BigUint64Array(await range(ask, `data/${name}.index?v=${version}`, 8 * place, 8 * place + 16)), Number);
  if (!(start < stop && Number.isSafeInteger(stop))) throw new Error("its index has no such places");
  const bytes = await range(ask, `data/${name}?v=${version}`, start, stop);
  const text = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(text).json();
}

/** The groups of rows of a file that may have those of a source, as a file of their own, which is one range. */
export function groupsAsFile(ask, about, name, groups, number, parquetMetadata) {
  const { schema, codec } = about.blocks.files[name];
  const own = groups.filter(([, low, high]) => low <= number && number <= high);
  const known = parquetMetadata(Uint8Array.from(atob(schema), (letter) => letter.charCodeAt(0)).buffer);
  const leaves = known.schema.slice(1);
  const ends = own.flatMap(([, , , chunks]) => chunks.map(([data, dictionary, size]) => [dictionary ?? data, (dictionary ?? data) + size]));
  const [first, last] = [Math.min(...ends.map(([start]) => start)), Math.max(...ends.map(([, stop]) => stop))];
  const bytes = own.length && range(ask, `data/${name}?v=${about.files[name].sha256.slice(0, 12)}`, first, last);
  const rowGroups = own.map(([rows, low, high, chunks]) => ({
    num_rows: BigInt(rows),
    columns: chunks.map(([data, dictionary, size, values], place) => ({
      meta_data: {
        type: leaves[place].type, path_in_schema: [leaves[place].name], codec, encodings: [],
        num_values: BigInt(values), total_compressed_size: BigInt(size), data_page_offset: BigInt(data),
        dictionary_page_offset: dictionary === null ? undefined : BigInt(dictionary),
        statistics: leaves[place].name === about.blocks.owner ? { min_value: BigInt(low), max_value: BigInt(high) } : undefined,
      },
    })),
  }));
  return {
    name,
    file: { byteLength: about.files[name].bytes, slice: async (start, stop) => (await bytes).slice(start - first, stop - first) },
    metadata: { ...known, num_rows: BigInt(own.reduce((sum, [rows]) => sum + rows, 0)), row_groups: rowGroups },
  };
}
