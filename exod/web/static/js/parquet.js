// What reads Parquet files: of others, and large, so that it is loaded when it is needed.

export { asyncBufferFromUrl, cachedAsyncBuffer, parquetMetadata, parquetMetadataAsync, parquetRead } from "../vendor/hyparquet/index.js";
import { decompress } from "../vendor/fzstd/index.mjs";

export const compressors = { ZSTD: (input, length) => decompress(input, new Uint8Array(length)) };
