"""Rows of a table in order of the sky, in a file of their own: no more than some are in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

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


def sort_rows(source: Path, target: Path, name: str, place: Place, then: str) -> SkyRows:
    """Sort the rows of a Parquet file.

    Parameters
    ----------
    source, target : Path
        The file, and that of the sorted rows.
    name : str
        Column that is added in front, with the numbers that `place` gives.
    place : callable
        Tells by which number each row is sorted.
    then : str
        Column that sorts rows of the same number.
    """
    found = [np.empty(0, np.int64)]
    with pq.ParquetFile(source) as file, comparing() as connection:
        schema = file.schema_arrow.insert(0, pa.field(name, pa.int64(), nullable=False))
        placed = (
            pa.RecordBatch.from_arrays([pa.array(place(batch)), *batch.columns], schema=schema)
            for batch in row_groups(file)
        )
        rows = pa.RecordBatchReader.from_batches(schema, placed)
        ordered = connection.from_arrow(rows).order(f'"{name}", "{then}"')
        with pq.ParquetWriter(target, schema, compression="zstd") as sink:
            for batch in _regular(ordered.to_arrow_reader(GROUP_ROWS)):
                found.append(batch[name].to_numpy())
                sink.write_table(batch.cast(schema), row_group_size=GROUP_ROWS)
    return SkyRows(target, np.concatenate(found), then)


def _regular(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables of `GROUP_ROWS` each; the last may be shorter."""
    waiting: list[Any] = []
    for batch in batches:
        waiting.append(pa.Table.from_batches([batch]))
        rows = pa.concat_tables(waiting)
        while len(rows) >= GROUP_ROWS:
            yield rows.slice(0, GROUP_ROWS)
            rows = rows.slice(GROUP_ROWS)
        waiting = [rows]
    if waiting and len(waiting[0]):
        yield waiting[0]


def spread(starts: Sequence[int] | np.ndarray, stops: Sequence[int] | np.ndarray) -> np.ndarray:
    """The whole numbers of several ranges, one range after the other.

    Examples
    --------
    >>> spread([0, 7], [2, 8])
    array([0, 1, 7])
    """
    found = [np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)]
    return np.concatenate([np.empty(0, np.int64), *found])
