"""What pages of a published site read in few ranges: rows of sources, names, and keys of rows."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exod.schemas.conditions.compiling import quoted
from exod.schemas.explorer import OWNER
from exod.web.product import Product

BLOCK_SOURCES: Final = 32
"""Sources of a block: so many numbers have their rows together in one range of a file."""

BLOCK_NAMES: Final = 64
"""Names of detections that are together in one range of a file, about."""

KEYED: Final = ("sources", "detections")
"""Tables whose rows have pages of their own."""

_IN_BLOCKS: Final = (*KEYED, "coverage", "longterm")
"""Tables with few rows a source: they are in the blocks."""

_POINTED_AT: Final = ("lightcurves", "photons")
"""Tables in order of the sources: blocks tell the places of their groups of rows."""

LARGEST: Final = 2**53
"""Whole numbers beyond it are not told apart by browsers that read JSON."""

_AT_ONCE: Final = 256
"""Blocks that are put together at a time."""


class Packed:
    """Texts as one file, each compressed; readers take one of them as a range.

    Parameters
    ----------
    texts : iterable of str
        The texts, which are taken once.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self._ends = [0]

    def parts(self) -> Iterator[bytes]:
        """The file, a text at a time."""
        for text in self._texts:
            content = zlib.compress(text.encode())
            self._ends.append(self._ends[-1] + len(content))
            yield content

    @property
    def index(self) -> bytes:
        """Where each text begins, and the last one ends, when all parts were taken."""
        return np.array(self._ends, "<u8").tobytes()


class SourceBlocks:
    """What pages of sources read: rows of `BLOCK_SOURCES` numbers together, as JSON.

    Attributes
    ----------
    about : dict
        What readers have to know.
    """

    def __init__(self, product: Product) -> None:
        self._product = product
        self._tables = [name for name in _IN_BLOCKS if f"{name}.parquet" in product.files]
        self._shown = {name: self._columns(name) for name in self._tables}
        with product.connected(["sources"]) as connection:
            rows = connection.execute(" ".join(("SELECT", OWNER, "FROM sources"))).fetchnumpy()
        self._numbers = np.sort(rows[OWNER]).astype(np.int64)
        self._count = int(self._numbers[-1]) // BLOCK_SOURCES + 1 if len(self._numbers) else 0
        self._groups: dict[int, dict[str, list[Any]]] = {}
        pointed = [name for name in _POINTED_AT if f"{name}.parquet" in product.files]
        self.about = {
            "sources": BLOCK_SOURCES,
            "count": self._count,
            "owner": OWNER,
            "tables": [f"{name}.parquet" for name in self._tables],
            "files": {f"{name}.parquet": self._pointed(f"{name}.parquet") for name in pointed},
        }

    def _pointed(self, name: str) -> dict[str, str]:
        """The schema of a file, whose groups of rows are kept for their blocks."""
        with self._product.opened(name) as source, pq.ParquetFile(source) as file:
            whole, schema = file.metadata, file.schema_arrow
        place, codec = schema.names.index(OWNER), "ZSTD"
        for number in range(whole.num_row_groups):
            group = whole.row_group(number)
            chunks = [group.column(column) for column in range(group.num_columns)]
            codec = chunks[0].compression
            low, high = chunks[place].statistics.min, chunks[place].statistics.max
            places = [
                [
                    c.data_page_offset,
                    c.dictionary_page_offset,
                    c.total_compressed_size,
                    c.num_values,
                ]
                for c in chunks
            ]
            for block in range(low // BLOCK_SOURCES, high // BLOCK_SOURCES + 1):
                own = self._groups.setdefault(block, {}).setdefault(name, [])
                own.append([group.num_rows, low, high, places])
        sink = pa.BufferOutputStream()
        pq.write_table(schema.empty_table(), sink)
        content = base64.b64encode(sink.getvalue().to_pybytes()).decode()
        return {"schema": content, "codec": codec}

    def texts(self) -> Iterator[str]:
        """The blocks in their order."""
        with self._product.connected(self._tables) as connection:
            for first in range(0, self._count, _AT_ONCE):
                rows: dict[int, dict[str, str]] = {}
                places: dict[int, dict[str, list[int]]] = {}
                for name in self._tables:
                    told = connection.execute(self._statement(name, first)).fetchall()
                    for block, text, own in told:
                        rows.setdefault(block, {})[f"{name}.parquet"] = text
                        if name in KEYED:
                            places.setdefault(block, {})[f"{name}.parquet"] = own
                for block in range(first, min(first + _AT_ONCE, self._count)):
                    yield self._block(block, rows.get(block, {}), places.get(block, {}))

    def _statement(self, name: str, first: int) -> str:
        shown = ", ".join(self._shown[name])
        low, high = first * BLOCK_SOURCES, (first + _AT_ONCE) * BLOCK_SOURCES
        order = f'ORDER BY {OWNER}, "#row"'
        words = (
            f"SELECT {OWNER} // {BLOCK_SOURCES},",
            f'to_json(list(struct_pack({shown}) {order})), list("#row" {order})',
            f"FROM {quoted(name)}",
            f"WHERE {OWNER} >= {low} AND {OWNER} < {high} GROUP BY 1",
        )
        return " ".join(words)

    def _columns(self, name: str) -> list[str]:
        """The columns of a table, as they are in JSON."""
        large = self._with_large_numbers(name)
        told = []
        for column in self._product.table(name).columns:
            form = "{0} := {0}"
            if pa.types.is_floating(column.type):
                # What JSON does not have is null, as in answers of the server.
                form = "{0} := CASE WHEN isfinite({0}) THEN {0}::DOUBLE END"
            elif column.name in large:
                form = "{0} := {0}::VARCHAR"
            told.append(form.format(quoted(column.name)))
        return told

    def _with_large_numbers(self, name: str) -> set[str]:
        """Columns of whole numbers of which some are beyond `LARGEST`."""
        columns = [column for column in self._product.table(name).columns if column.name != OWNER]
        possible = [
            column.name
            for column in columns
            if pa.types.is_integer(column.type)
            and np.iinfo(column.type.to_pandas_dtype()).max > LARGEST
        ]
        found: set[str] = set()
        for rows in _batches(self._product, name, possible) if possible else ():
            for column in possible:
                ends = pc.min_max(rows[column]).as_py()
                if max(abs(ends["min"] or 0), abs(ends["max"] or 0)) > LARGEST:
                    found.add(column)
        return found

    def _block(self, block: int, rows: dict[str, str], places: dict[str, list[int]]) -> str:
        low = np.searchsorted(self._numbers, block * BLOCK_SOURCES)
        high = np.searchsorted(self._numbers, (block + 1) * BLOCK_SOURCES)
        besides = {
            "before": int(self._numbers[low - 1]) if low else None,
            "after": int(self._numbers[high]) if high < len(self._numbers) else None,
            "groups": self._groups.get(block, {}),
            "places": places,
        }
        own = ", ".join(f"{json.dumps(name)}: {text}" for name, text in rows.items())
        return f'{json.dumps(besides)[:-1]}, "rows": {{{own}}}}}'


class DetectionNames:
    """Which source each detection is of, by its name: readers know in which part to look for it.

    Attributes
    ----------
    count : int
        How many parts there are; a name is in that of its CRC-32, modulo this.
    """

    def __init__(self, product: Product) -> None:
        self._product = product
        self._key = product.about("detections")["key"]
        self.count = -(-product.files["detections.parquet"].rows // BLOCK_NAMES)

    def texts(self) -> Iterator[str]:
        """Of each part the names with the numbers of their sources, as JSON."""
        if not self.count:
            return
        columns = [self._key, OWNER]
        rows = pa.Table.from_batches(_batches(self._product, "detections", columns))
        names = rows[self._key].cast(pa.binary())
        sums = (zlib.crc32(name.as_py()) % self.count for name in names)
        part = np.fromiter(sums, np.int64, len(rows))
        order = np.argsort(part, kind="stable")
        ends = np.searchsorted(part[order], np.arange(self.count + 1))
        for start, stop in pairwise(ends):
            own = rows.take(pa.array(order[start:stop])).to_pydict()
            yield json.dumps(dict(zip(own[self._key], own[OWNER], strict=True)))


class RowKeys:
    """The keys of a table's rows in their order, filled up with blanks to the same width.

    Attributes
    ----------
    width : int
        Bytes of a key; that of row n begins at n times as many.
    """

    def __init__(self, product: Product, table: str) -> None:
        self._product, self._table = product, table
        self._key = product.about(table)["key"]
        self.width = max(
            (pc.max(pc.binary_length(keys)).as_py() for keys in self._keys()), default=0
        )

    def parts(self) -> Iterator[bytes]:
        """The keys."""
        for keys in self._keys():
            yield b"".join(key.as_py().ljust(self.width) for key in keys)

    def _keys(self) -> Iterator[pa.Array]:
        for rows in _batches(self._product, self._table, [self._key]):
            yield rows[self._key].cast(pa.string()).cast(pa.binary())


def _batches(product: Product, table: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with product.opened(f"{table}.parquet") as source, pq.ParquetFile(source) as file:
        yield from (rows for rows in file.iter_batches(columns=columns) if len(rows))
