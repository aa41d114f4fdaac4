"""Lazy tables: which files and row groups each partition reads, and when it does."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from exod.archive.compaction import CompactFile
from exod.archive.derived import DerivedFile
from exod.archive.ledger import TableFile
from exod.archive.parquet import Conditions, read_file, to_pandas
from exod.archive.store import Store
from exod.schemas.columns import Table

if TYPE_CHECKING:
    import dask.dataframe as dd

PARTITION_BYTES = 32_000_000
PARTITION_FILES = 256
"""Largest size and number of files of a partition; 32 MB become some 0.3 GB in memory."""


@dataclass(frozen=True)
class Part:
    """What a partition reads.

    Attributes
    ----------
    paths : tuple of str
        Files, one after the other.
    row_groups : (int, int), optional
        Of each file the first row group and one past the last; all if not given.
    without : tuple of str
        Observations whose rows in these files do not count.
    """

    paths: tuple[str, ...] = ()
    row_groups: tuple[int, int] | None = None
    without: tuple[str, ...] = ()


def small_parts(files: Iterable[TableFile]) -> Iterator[Part]:
    """Group the files of single observations, as many together as a partition may have."""
    group: list[str] = []
    size = 0
    for file in files:
        if file.path is None:
            continue
        if group and (size + file.bytes > PARTITION_BYTES or len(group) == PARTITION_FILES):
            yield Part(tuple(group))
            group, size = [], 0
        group.append(file.path)
        size += file.bytes
    if group:
        yield Part(tuple(group))


def compact_parts(files: Iterable[CompactFile], outdated: Sequence[str]) -> Iterator[Part]:
    """Divide compact files by row groups; the rows of outdated observations do not count."""
    for file in files:
        without = tuple(obsid for obsid in outdated if file.first <= obsid <= file.last)
        step = max(1, math.floor(file.row_groups * PARTITION_BYTES / file.bytes))
        for first in range(0, file.row_groups, step):
            yield Part((file.path,), (first, min(first + step, file.row_groups)), without)


def derived_parts(files: Iterable[DerivedFile]) -> Iterator[Part]:
    """Group the files of a product, as many together as a partition may have."""
    for without, alike in groupby(files, key=lambda file: file.without):
        for part in small_parts(TableFile(path=f.path, rows=f.rows, bytes=f.bytes) for f in alike):
            yield replace(part, without=without)


def lazy_table(store: Store, table: Table, parts: Sequence[Part], rows: Conditions) -> dd.DataFrame:
    """Make a dask dataframe of the rows of `parts` for which the conditions hold."""
    # Importing dask.dataframe takes a second that writers need not spend.
    import dask
    import dask.dataframe as dd

    # dask would turn pandas' str into its nullable string; both are Arrow text.
    with dask.config.set({"dataframe.convert-string": False}):
        frame: dd.DataFrame = dd.from_map(
            read_part,
            # One partition must exist: an empty one gives an empty frame.
            parts or [Part()],
            store=store,
            table=table,
            rows=rows,
            meta=_empty(table),
            label=table.name,
        )
    return frame


@functools.cache
def _empty(table: Table) -> pd.DataFrame:
    return table.frame()


def read_part(
    part: Part, *, store: Store, table: Table, rows: Conditions, columns: list[str] | None = None
) -> pd.DataFrame:
    """Read one partition; only the wanted columns."""
    if not part.paths:
        return _empty(table) if columns is None else _empty(table)[columns]
    if part.without:
        rows = [[*row, ("obsid", "not in", list(part.without))] for row in rows or [[]]]
    return to_pandas(
        pa.concat_tables(
            read_file(store, path, table, columns, rows, part.row_groups) for path in part.paths
        )
    )
