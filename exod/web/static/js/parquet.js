// What reads Parquet files: of others, and large, so that it is loaded when it is needed.

export { asyncBufferFromUrl, cachedAsyncBuffer, parquetMetadata, parquetMetadataAsync, parquetRead } from "../vendor/hyparquet/index.js";
import { decompress } from "../vendor/fzstd/index.mjs";

/** Room for what is decompressed: fzstd compares it with a number, for which a browser would write all of it as text. */
class Room extends Uint8Array {
  [Symbol.toPrimitive]() {
    return NaN;
  }
}

export const compressors = {
  ZSTD(input, length) {
    const room = new Room(length);
    decompress(input, room);
    return new Uint8Array(room.buffer);
  },
};
