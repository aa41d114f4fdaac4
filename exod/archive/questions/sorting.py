"""Rows of a Parquet file in another order, with no more than some of them in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from exod.archive.parquet import row_groups
from exod.archive.questions.connection import said, without_bar
from exod.errors import ArchiveError

MEMORY: Final = "1GB"
"""What sorting and comparing rows may have; what is larger is on disk meanwhile."""

Place = Callable[[pa.RecordBatch], np.ndarray]
"""Tells by which number each row is sorted, int64."""


@contextmanager
def comparing(**files: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with a view of each of some Parquet files; it uses the disk beyond `MEMORY`."""
    with (
        tempfile.TemporaryDirectory(prefix="exod-sorting-") as spill,
        duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill}) as connection,
    ):
        without_bar(connection)
        for name, path in files.items():
            connection.from_arrow(ds.dataset(path)).create_view(name)
        yield connection


def row_order(
    file: pq.ParquetFile, place: Place, columns: Sequence[str], then: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Sort the rows of a Parquet file, of which only numbers and the columns `then` are read.

    Parameters
    ----------
    file : ParquetFile
        The file.
    place : callable
        Tells by which number each row is sorted.
    columns : sequence of str
        The columns that `place` looks at.
    then : sequence of str
        Columns that sort rows of the same number.

    Returns
    -------
    places, order : int64 array, shape (n,)
        The numbers, ascending, and which row of the file has each.

    Raises
    ------
    ArchiveError
        If there is too little memory, or disk for what is beyond `MEMORY`.
    """
    schema = pa.schema(
        [
            ("place", pa.int64()),
            *((f"then {name}", file.schema_arrow.field(name).type) for name in then),
            ("row", pa.int64()),
        ]
    )

    def keys() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in row_groups(file, list(dict.fromkeys([*columns, *then]))):
            rows = np.arange(start, start := start + len(batch))
            own = [pa.array(place(batch)), *(batch[name] for name in then), pa.array(rows)]
            yield pa.RecordBatch.from_arrays(own, schema=schema)

    try:
        with comparing() as connection:
            reader = pa.RecordBatchReader.from_batches(schema, keys())
            found = connection.from_arrow(reader).order(", ".join(f'"{n}"' for n in schema.names))
            sorted_keys = found.project('place, "row"').fetchnumpy()
    except duckdb.Error as error:
        raise ArchiveError(f"Rows cannot be sorted: {said(error)}.") from error
    return np.asarray(sorted_keys["place"], np.int64), np.asarray(sorted_keys["row"], np.int64)


def rows_in_order(
    file: pq.ParquetFile, order: np.ndarray, piece_rows: int, scratch: IO[bytes]
) -> Iterator[pa.Table]:
    """The rows of a Parquet file in another order, in pieces.

    They go to a scratch file, divided into the pieces that they belong to, and are put together
    piece by piece: in memory are a row group of the file or a piece, and some numbers of each row.

    Parameters
    ----------
    file : ParquetFile
        The file.
    order : int64 array, shape (n,)
        Which row of the file comes first, second, and so on.
    piece_rows : int
        Rows of a piece; the last has fewer.
    scratch : file
        Open to write and read, at its beginning.
    """
    runs = _divided(file, order, piece_rows, scratch)
    for number, start in enumerate(range(0, len(order), piece_rows)):
        rows = _joined(scratch, runs[number], file.schema_arrow)
        # The rows are in the order of the file: that of their numbers in it.
        wanted = order[start : start + len(rows)]
        yield rows.take(pa.array(np.searchsorted(np.sort(wanted), wanted)))


def _divided(
    file: pq.ParquetFile, order: np.ndarray, piece_rows: int, scratch: IO[bytes]
) -> list[list[int]]:
    """Write the rows to the scratch file; tell where those of each piece are.

    Returns
    -------
    list of list of int
        For each piece, where its runs of rows begin in the scratch file, in the order of the
        source.
    """
    piece = np.empty(len(order), np.int64)
    piece[order] = np.arange(len(order)) // piece_rows
    runs: list[list[int]] = [[] for _ in range(-(-len(order) // piece_rows))]
    start = 0
    for batch in row_groups(file):
        own = piece[start : start + len(batch)]
        start += len(batch)
        by_piece = batch.take(pa.array(np.argsort(own, kind="stable")))
        numbers, counts = np.unique(own, return_counts=True)
        for number, stop, count in zip(numbers, np.cumsum(counts), counts, strict=True):
            runs[number].append(scratch.tell())
            scratch.write(by_piece.slice(stop - count, count).serialize())
    return runs


def _joined(scratch: IO[bytes], runs: Sequence[int], schema: pa.Schema) -> pa.Table:
    """The runs of rows that begin at some places of the scratch file, one after the other."""
    found = []
    for begin in runs:
        scratch.seek(begin)
        found.append(pa.ipc.read_record_batch(pa.ipc.read_message(scratch), schema))
    return pa.Table.from_batches(found, schema)
