"""Write the files of the product ``explorer``: tables with their indexes, in order of the sky."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exod.archive.derived import DerivedFile
from exod.archive.increments import NewVersion
from exod.archive.questions.sorting import rows_by_place
from exod.archive.store import Store, reported
from exod.errors import ArchiveError
from exod.files.rowgroups import Footer, JoinedFile, RowGroup, Sink, footer_of
from exod.schemas.columns import Table
from exod.stages.explore.density import Density
from exod.stages.explore.index import FLAG_NAMES, IndexTable, Labels, sky_pixel
from exod.stages.explore.merging import ChangedCurves, EarlierFile, Merging

DETAIL_ROWS: Final = 4_096
INDEX_ROWS: Final = 122_880
"""Rows of a row group, of the tables that are read row by row, and of the index."""

SEARCHED: Final = (
    *("region_num", "srcid", "detid", "best_detid", "obsid", "best_obsid", "ra_deg", "dec_deg"),
)
"""Columns of tables in order of the sky whose least and largest values of a group are told."""

PIECE_ROWS: Final = 20_480
MOST_PIECES: Final = 128
"""Rows that are merged at a time, unless that would be too many pieces: two are in memory."""

_OF_INDEX: Final[dict[str, Any]] = {
    "use_dictionary": False,
    "use_byte_stream_split": True,
    "write_statistics": False,
}
"""Of bytes three in four are 0 in a file; together they take nothing."""

Chunks = Iterator[pa.Table]
Told = Callable[[str], None]


class ProductWriter:
    """Writes a table and its index in order of the sky.

    Parameters
    ----------
    store : Store
        The archive.
    new : NewVersion
        The version of the product that gets the files.
    scratch : Path
        A folder for rows that are being sorted.
    on_step : callable
        Is told what is being written.

    Attributes
    ----------
    described : dict
        What a reader is told of the tables that were written.
    """

    def __init__(self, store: Store, new: NewVersion, scratch: Path, on_step: Told) -> None:
        self._store, self._new, self._scratch, self._on_step = store, new, scratch, on_step
        self.described: dict[str, Any] = {}
        self._stopped = Event()

    def stop(self) -> None:
        """Let whatever is being written end with an error."""
        self._stopped.set()

    def write(self, table: Table, chunks: Chunks, then: str) -> Density:
        """Write the rows to files ``<table>`` and ``<table>_index``, sorted by place and `then`."""
        density = Density()
        self._on_step(f"Reading {table.name}")
        table = as_shown(table)
        labels = Labels(table)
        with tempfile.TemporaryFile(dir=self._scratch) as scratch:
            known = labels.seen(without_nan(chunk, table) for chunk in chunks)
            pieces = rows_by_place(known, sky_pixel, [then], _piece_rows, scratch)
            # All rows are read before the first piece is there, and with it all labels.
            first = list(islice(pieces, 1))
            self._on_step(f"Writing {table.name}")
            index = IndexTable.of(table, labels.found)
            with (
                self._file(table.name, table.schema, DETAIL_ROWS, **_of_rows(table)) as detail,
                self._file(f"{table.name}_index", index.schema, INDEX_ROWS, **_OF_INDEX) as own,
            ):
                for rows, pixel in chain(first, pieces):
                    detail.write(rows)
                    density.add(pixel)
                    own.write(index.rows(rows, pixel))
        self.described[table.name] = {
            "key": then,
            "facets": [index.described(facet) for facet, _ in index.facets],
            "flags": list(FLAG_NAMES),
            "sortable": list(index.numbers),
            "columns": [
                {"name": c.name, "type": str(c.type), "unit": c.unit, "description": c.description}
                for c in table.columns
            ],
        }
        return density

    def write_plain(self, table: Table, chunks: Chunks, group_rows: int) -> None:
        """Write rows to a file as they are, with null for NaN."""
        table = as_shown(table)
        self.write_exact(table, (without_nan(chunk, table) for chunk in chunks), group_rows)

    def keep(self, files: Iterable[DerivedFile]) -> None:
        """Keep files of an earlier version as they are."""
        self._new.files += files

    def write_merged(
        self,
        table: Table,
        chunks: Chunks,
        group_rows: int,
        earlier: EarlierFile,
        changed: ChangedCurves,
    ) -> None:
        """Write rows as `write_plain`, together with those of an earlier file that still count."""
        table = as_shown(table)
        self._on_step(f"Writing {table.name}")
        merging = Merging((without_nan(chunk, table) for chunk in chunks), changed)
        with self._file(table.name, table.schema, group_rows) as sink:
            merging.write(earlier, sink.write, sink.copy)

    def write_exact(self, table: Table, chunks: Chunks, group_rows: int) -> None:
        """Write rows in which nothing is missing, so that browsers read them as typed arrays."""
        self._on_step(f"Writing {table.name}")
        with self._file(table.name, table.schema, group_rows) as sink:
            for chunk in chunks:
                sink.write(chunk)

    def opened(self, table: Table, group_rows: int) -> AbstractContextManager[RowGroups]:
        """A file for rows in which nothing is missing, which come while others are written."""
        return self._file(table.name, table.schema, group_rows)

    @contextmanager
    def _file(
        self, name: str, schema: pa.Schema, group_rows: int, **layout: Any
    ) -> Iterator[RowGroups]:
        """A file of the product, of what is written to it in groups of so many rows."""
        path = f"{self._new.folder}/{name}-all.parquet"
        encode = partial(encoded, layout={"compression": "zstd", **layout})
        with (
            reported(f"{self._store.path(path)} cannot be written"),
            self._store.writing(path) as sink,
            RowGroups(sink, schema, group_rows, encode, self._stopped) as groups,
        ):
            yield groups
            groups.finish()
        seal = sink.seal()
        self._new.files.append(
            DerivedFile(
                path=path,
                table=name,
                part="all",
                rows=groups.rows,
                bytes=seal.size,
                sha256=seal.sha256,
                blocks=seal.blocks,
            )
        )


Encode = Callable[[pa.Table, int], pa.Buffer]
"""Makes a whole Parquet file of rows, in groups of so many."""


class RowGroups:
    """Writes a Parquet file in groups of so many rows, however they come; threads encode them.

    Parameters
    ----------
    sink : file
        What it is written to.
    schema : pyarrow.Schema
        The columns.
    size : int
        Rows of a group.
    encode : callable
        Makes a whole file of some rows.
    stopped : Event
        Once it is set nothing more is written.

    Attributes
    ----------
    rows : int
        Those that have come.
    """

    def __init__(
        self, sink: Sink, schema: pa.Schema, size: int, encode: Encode, stopped: Event
    ) -> None:
        self._size, self._encode, self._stopped, self.rows = size, encode, stopped, 0
        self._file = JoinedFile(sink, memoryview(encode(schema.empty_table(), size)))
        self._waiting: list[pa.Table] = []
        self._threads = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads)
        self._begun: deque[Future[tuple[memoryview, Footer]]] = deque()

    def __enter__(self) -> RowGroups:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def write(self, rows: pa.Table) -> None:
        """Write the rows, as far as they fill groups."""
        self._waiting.append(rows)
        self.rows += len(rows)
        if sum(map(len, self._waiting)) >= self._size:
            whole = pa.concat_tables(self._waiting)
            full = len(whole) - len(whole) % self._size
            self._submit(whole.slice(0, full))
            self._waiting = [whole.slice(full)]

    def copy(self, group: RowGroup, content: bytes) -> None:
        """Write a group of another file as it is, after what was written before."""
        self._end_group()
        self._file.copy([group], content)
        self.rows += group.rows

    def finish(self) -> None:
        """Write what is left, if there is anything, and the footer."""
        self._end_group()
        self._file.close()

    def _end_group(self) -> None:
        rest = [rows for rows in self._waiting if len(rows)]
        if rest:
            self._submit(pa.concat_tables(rest))
        self._waiting = []
        self._write_encoded(0)

    def _submit(self, rows: pa.Table) -> None:
        # So many rows are in memory twice.
        step = max(self._size, PIECE_ROWS // self._size * self._size)
        for start in range(0, len(rows), step):
            self._begun.append(self._pool.submit(self._encoded, rows.slice(start, step)))
            self._write_encoded(self._threads)

    def _encoded(self, rows: pa.Table) -> tuple[memoryview, Footer]:
        content = memoryview(self._encode(rows, self._size))
        return content, footer_of(content)

    def _write_encoded(self, most: int) -> None:
        """Write what was encoded, in its order, until no more than so many parts are waiting."""
        if self._stopped.is_set():
            raise ArchiveError("The work was interrupted.")
        while len(self._begun) > most:
            self._file.add(*self._begun.popleft().result())


def fits(earlier: EarlierFile, table: Table) -> bool:
    """Whether groups of a file may be copied to one that `ProductWriter.write_plain` writes now."""
    empty = as_shown(table).schema.empty_table()
    return earlier.footer.fits(footer_of(memoryview(encoded(empty, 1, {"compression": "zstd"}))))


def encoded(rows: pa.Table, size: int, layout: dict[str, Any]) -> pa.Buffer:
    """A whole Parquet file of rows, in groups of so many."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, rows.schema, **layout) as file:
        if len(rows):
            file.write_table(rows, row_group_size=size)
    return sink.getvalue()


def _of_rows(table: Table) -> dict[str, Any]:
    """How the rows of a table are written: measured numbers are hardly ever twice in a group.

    The first of Zstandard's faster levels takes a tenth less to encode, for 4 % more of the disk.
    """
    repeated = [own.name for own in table.schema if not pa.types.is_floating(own.type)]
    searched = [name for name in SEARCHED if name in table.schema.names]
    return {
        "use_dictionary": repeated,
        "write_statistics": searched,
        "compression_level": -1,
    }


def _piece_rows(rows: int) -> int:
    """Rows of a piece of so many rows: whole groups of the table."""
    return max(PIECE_ROWS, -(-rows // MOST_PIECES // DETAIL_ROWS) * DETAIL_ROWS)


def as_shown(table: Table) -> Table:
    """The table as the explorer has it: a missing number is null."""
    columns = tuple(replace(column, nullable=True, dates="") for column in table.columns)
    return Table(table.name, table.description, columns, ())


def without_nan(rows: pa.Table, table: Table) -> pa.Table:
    """The rows with null for NaN."""
    columns = []
    for own in table.schema:
        values = rows[own.name].cast(own.type)
        if pa.types.is_floating(own.type):
            values = pa.chunked_array(map(_without_nan, values.chunks), own.type)
        columns.append(values)
    return pa.Table.from_arrays(columns, schema=table.schema)


def _without_nan(values: pa.Array) -> pa.Array:
    # Most columns have none; whether there are any takes a hundredth of what it takes to look for
    # each of them in Arrow.
    if np.isnan(values.to_numpy(zero_copy_only=False)).any():
        return pc.if_else(pc.is_nan(values), None, values)
    return values
