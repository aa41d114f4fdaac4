"""Rows of a table in order of the sky, in a file of their own: no more than some are in memory."""

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

from exod.archive.questions.connection import without_bar
from exod.tablefiles.fits import row_groups

MEMORY: Final = "1GB"
"""What sorting and comparing rows may have; what is larger is on disk meanwhile."""

GROUP_ROWS: Final = 10_000
"""Rows of a row group, which are read together."""

Place = Callable[[pa.RecordBatch], np.ndarray]
"""Tells by which number each row is sorted, int64."""


@contextmanager
def comparing(**files: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with a view of each of some Parquet files; it uses the disk beyond `MEMORY`."""
    with (
        tempfile.TemporaryDirectory(prefix="exod-catalogue-") as spill,
        duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill}) as connection,
    ):
        without_bar(connection)
        for name, path in files.items():
            connection.from_arrow(ds.dataset(path)).create_view(name)
        yield connection


class SkyRows:
    """The rows of a Parquet file that `sort_rows` wrote, by their number.

    Attributes
    ----------
    path : Path
        The file.
    place : int64 array, shape (n,)
        What the rows are sorted by, ascending.
    then : str
        The column that sorts rows of the same place.
    """

    def __init__(self, path: Path, place: np.ndarray, then: str) -> None:
        self.path, self.place, self.then = path, place, then

    def take(self, numbers: np.ndarray) -> pa.Table:
        """Rows by their numbers, which ascend."""
        group = numbers // GROUP_ROWS
        with pq.ParquetFile(self.path) as file:
            parts = [
                file.read_row_group(one).take(pa.array(numbers[group == one] % GROUP_ROWS))
                for one in np.unique(group).tolist()
            ]
            return pa.concat_tables([file.schema_arrow.empty_table(), *parts])


def sort_rows(
    source: Path, target: Path, name: str, place: Place, columns: Sequence[str], then: str
) -> SkyRows:
    """Sort the rows of a Parquet file.

    Only the numbers and the column `then` are sorted. The rows go to a scratch file, divided into
    the pieces of the target that they belong to, and from there to the target piece by piece: in
    memory are a row group of the source or a piece of the target, and two numbers of each row.

    Parameters
    ----------
    source, target : Path
        The file, and that of the sorted rows.
    name : str
        Column that is added in front, with the numbers that `place` gives.
    place : callable
        Tells by which number each row is sorted.
    columns : sequence of str
        The columns that `place` looks at.
    then : str
        Column that sorts rows of the same number.
    """
    with pq.ParquetFile(source) as file, tempfile.TemporaryFile(dir=target.parent) as scratch:
        places, order = _order(file, place, columns, then)
        runs = _divided(file, order, scratch)
        schema = file.schema_arrow.insert(0, pa.field(name, pa.int64(), nullable=False))
        with pq.ParquetWriter(target, schema, compression="zstd") as sink:
            for number, start in enumerate(range(0, len(order), _piece_rows())):
                rows = _joined(scratch, runs[number], file.schema_arrow)
                # The rows are in the order of the source: that of their numbers in it.
                wanted = order[start : start + len(rows)]
                rows = rows.take(pa.array(np.searchsorted(np.sort(wanted), wanted)))
                own = pa.chunked_array([places[start : start + len(rows)]])
                whole = pa.Table.from_arrays([own, *rows.columns], schema=schema)
                sink.write_table(whole, row_group_size=GROUP_ROWS)
    return SkyRows(target, places, then)


def _order(
    file: pq.ParquetFile, place: Place, columns: Sequence[str], then: str
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the rows, ascending, and which row of the file has each: int64."""
    schema = pa.schema(
        [("place", pa.int64()), ("next", file.schema_arrow.field(then).type), ("row", pa.int64())]
    )

    def keys() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in row_groups(file, list(dict.fromkeys([*columns, then]))):
            rows = np.arange(start, start := start + len(batch))
            own = [pa.array(place(batch)), batch[then], pa.array(rows)]
            yield pa.RecordBatch.from_arrays(own, schema=schema)

    with comparing() as connection:
        reader = pa.RecordBatchReader.from_batches(schema, keys())
        found = connection.from_arrow(reader).order('place, "next", "row"')
        sorted_keys = found.project('place, "row"').fetchnumpy()
    return np.asarray(sorted_keys["place"], np.int64), np.asarray(sorted_keys["row"], np.int64)


def _divided(file: pq.ParquetFile, order: np.ndarray, scratch: IO[bytes]) -> list[list[int]]:
    """Write the rows to the scratch file; tell where those of each piece of the target are.

    Returns
    -------
    list of list of int
        For each piece, where its runs of rows begin in the scratch file, in the order of the
        source.
    """
    piece_rows = _piece_rows()
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


def _piece_rows() -> int:
    """Rows of the target that are put together at a time: whole row groups."""
    return 2 * GROUP_ROWS


def spread(starts: Sequence[int] | np.ndarray, stops: Sequence[int] | np.ndarray) -> np.ndarray:
    """The whole numbers of several ranges, one range after the other.

    Examples
    --------
    >>> spread([0, 7], [2, 8])
    array([0, 1, 7])
    """
    found = [np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)]
    return np.concatenate([np.empty(0, np.int64), *found])
