// Of a published site what belongs to one source: a range of the file of blocks has its rows, and tells where others are.

const read = new Map();

/** A range of a file of the site. */
async function range(ask, path, start, stop) {
  const answer = await ask(path, { headers: { range: `bytes=${start}-${stop - 1}` } });
  const bytes = await answer.arrayBuffer();
  // A store that does not know ranges sends the file.
  return answer.status === 206 ? bytes : bytes.slice(start, stop);
}

/** The block of a source: `rows` of tables, `groups` of rows of other files, and the numbers `before` and `after` it. */
export function blockOf(ask, about, number) {
  const { sources, count } = about.blocks;
  const place = Math.floor(number / sources);
  if (place >= count) return Promise.resolve({ rows: {}, groups: {}, before: null, after: null });
  if (!read.has(place)) read.set(place, readBlock(ask, about.version, place));
  return read.get(place);
}

async function readBlock(ask, version, place) {
  const [start, stop] = new BigUint64Array(await range(ask, `data/blocks.index?v=${version}`, 8 * place, 8 * place + 16));
  const bytes = await range(ask, `data/blocks?v=${version}`, Number(start), Number(stop));
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
    file: { byteLength: about.files[name].bytes, slice: async (start, stop) => (await bytes).slice(start - first, stop - first) },
    metadata: { ...known, num_rows: BigInt(own.reduce((sum, [rows]) => sum + rows, 0)), row_groups: rowGroups },
  };
}
