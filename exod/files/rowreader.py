"""Some rows of a Parquet file, by their numbers or by a value, from an open file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

KEPT_BYTES: Final = 1 << 27
"""Of the columns of a file that stay in memory, as they are read in groups of rows."""

WHOLE: Final = -1
"""In place of the number of a group: a column all of whose groups were read, in one piece."""


class RowReader:
    """Reads some rows of a file; what was read of it is kept, up to `KEPT_BYTES`.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        The file, which stays open.
    """

    def __init__(self, file: pq.ParquetFile) -> None:
        self._file = file
        # Arrow makes it anew whenever it is asked for, which takes longer than to find the rows.
        self._schema = file.schema_arrow
        about = file.metadata
        sizes = [about.row_group(number).num_rows for number in range(about.num_row_groups)]
        self._starts = np.r_[0, np.cumsum(sizes)].astype(np.int64)
        self._ranges: dict[str, list[tuple[Any, Any] | None]] = {}
        # Those that were read first go first: what a page shows of many groups is wanted again.
        self._kept: dict[tuple[int, str], pa.Array] = {}
        self._bytes = 0

    def at(self, numbers: np.ndarray, columns: Sequence[str]) -> pa.Table:
        """Rows by their numbers, in the order of these.

        Parameters
        ----------
        numbers : int64 array, shape (n,)
            From 0; one may be there more than once.
        columns : sequence of str
            What is wanted of them.
        """
        schema = self._of(columns)
        if all((WHOLE, name) in self._kept for name in schema.names):
            whole = [self._kept[WHOLE, name] for name in schema.names]
            rows = pa.RecordBatch.from_arrays(whole, schema=schema).take(pa.array(numbers))
            return pa.Table.from_batches([rows], schema)
        order = np.argsort(numbers, kind="stable")
        wanted = numbers[order]
        group = np.searchsorted(self._starts, wanted, side="right") - 1
        # Batches hand all their columns on at once, tables each of them by itself.
        parts = [
            self._read(one, schema).take(pa.array(wanted[group == one] - self._starts[one]))
            for one in np.unique(group).tolist()
        ]
        self._join(schema.names)
        found = pa.Table.from_batches(parts, schema).combine_chunks().to_batches()
        inverse = pa.array(np.argsort(order))
        return pa.Table.from_batches([part.take(inverse) for part in found], schema)

    def where(self, key: str, value: Any, columns: Sequence[str]) -> pa.Table:
        """Rows with a value of a column; groups whose statistics leave it out are not read."""
        parts: list[pa.RecordBatch] = []
        schema, own = self._of(columns), self._of([key])
        try:
            wanted = pa.scalar(value, own.types[0])
        except (pa.ArrowInvalid, OverflowError):
            # A number that the column cannot have.
            return pa.Table.from_batches(parts, schema)
        for number, ends in enumerate(self._ends(key)):
            if ends is None or ends[0] <= value <= ends[1]:
                mask = pc.equal(self._read(number, own).column(0), wanted)
                if pc.any(mask).as_py():
                    parts.append(self._read(number, schema).filter(mask))
        return pa.Table.from_batches(parts, schema)

    def _read(self, group: int, schema: pa.Schema) -> pa.RecordBatch:
        missing = [name for name in schema.names if self._part(group, name) is None]
        if missing:
            rows = self._file.read_row_group(group, columns=missing)
            read = {(group, name): rows[name].combine_chunks() for name in missing}
            self._kept |= read
            self._bytes += sum(part.nbytes for part in read.values())
        kept = [self._part(group, name) for name in schema.names]
        while self._bytes > KEPT_BYTES:
            self._bytes -= self._kept.pop(next(iter(self._kept))).nbytes
        return pa.RecordBatch.from_arrays(kept, schema=schema)

    def _part(self, group: int, name: str) -> pa.Array | None:
        if (WHOLE, name) in self._kept:
            first, last = self._starts[group : group + 2].tolist()
            return self._kept[WHOLE, name].slice(first, last - first)
        return self._kept.get((group, name))

    def _join(self, columns: Sequence[str]) -> None:
        """Put columns in one piece whose groups are all kept: rows are taken from it at once."""
        groups = range(len(self._starts) - 1)
        for name in columns:
            if groups and all((group, name) in self._kept for group in groups):
                parts = [self._kept.pop((group, name)) for group in groups]
                whole = self._kept[WHOLE, name] = pa.concat_arrays(parts)
                self._bytes += whole.nbytes - sum(part.nbytes for part in parts)

    def _of(self, columns: Sequence[str]) -> pa.Schema:
        return pa.schema([self._schema.field(name) for name in dict.fromkeys(columns)])

    def _ends(self, key: str) -> list[tuple[Any, Any] | None]:
        """Least and greatest value of a column in each group, where they are known."""
        if key not in self._ranges:
            about = self._file.metadata
            place = self._schema.names.index(key)
            groups = (about.row_group(n).column(place) for n in range(about.num_row_groups))
            found = [group.statistics for group in groups]
            self._ranges[key] = [
                (one.min, one.max) if one is not None and one.has_min_max else None for one in found
            ]
        return self._ranges[key]
