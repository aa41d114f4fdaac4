"""Rows of a table in order of the sky, in a file of their own: no more than some are in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive.parquet import row_groups
from exod.archive.questions.sorting import Place, rows_by_place

GROUP_ROWS: Final = 10_000
"""Rows of a row group, which are read together."""


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

    Not more than some are in memory, as `exod.archive.questions.sorting` says.

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
    places = [np.empty(0, np.int64)]
    with pq.ParquetFile(source) as file, tempfile.TemporaryFile(dir=target.parent) as scratch:
        schema = file.schema_arrow.insert(0, pa.field(name, pa.int64(), nullable=False))
        batches = (pa.Table.from_batches([one]) for one in row_groups(file))
        with pq.ParquetWriter(target, schema, compression="zstd") as sink:
            # Pieces are whole row groups.
            pieces = rows_by_place(batches, place, [then], lambda _rows: 2 * GROUP_ROWS, scratch)
            for rows, own in pieces:
                places.append(own)
                whole = pa.Table.from_arrays(
                    [pa.chunked_array([own]), *rows.columns], schema=schema
                )
                sink.write_table(whole, row_group_size=GROUP_ROWS)
    return SkyRows(target, np.concatenate(places), then)


def spread(starts: Sequence[int] | np.ndarray, stops: Sequence[int] | np.ndarray) -> np.ndarray:
    """The whole numbers of several ranges, one range after the other.

    Examples
    --------
    >>> spread([0, 7], [2, 8])
    array([0, 1, 7])
    """
    found = [np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)]
    return np.concatenate([np.empty(0, np.int64), *found])
