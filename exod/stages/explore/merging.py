"""Rows of some sources put in the place of earlier ones, in a file that is sorted by source.

Groups of rows without any of these sources are copied as they are in the file: to decode and to
encode them takes most of the time of a new version, and they are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import IO, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exod.archive.derived import DerivedFile
from exod.archive.store import Store
from exod.files.rowgroups import Footer, RowGroup, footer_bytes, footer_of
from exod.schemas.arrays import Integers
from exod.schemas.explorer import OWNER

ORDER: Final = [(OWNER, "ascending"), ("detid", "ascending"), ("time", "ascending")]
"""What rows are sorted by; of the source the least and largest number of a group are told."""

_LAST_BYTES: Final = 8

MOST_GROUPS: Final = 2
"""So many times the groups that its rows need an earlier file may have, to be worth keeping."""


class EarlierFile:
    """A file of an earlier version, open.

    Parameters
    ----------
    source : file
        The file, open to read at any place.
    file : DerivedFile
        What is known of it.

    Attributes
    ----------
    footer : Footer
        Its groups.
    """

    def __init__(self, source: IO[bytes] | pa.NativeFile, file: DerivedFile) -> None:
        self._source = source
        end = self._bytes(file.bytes - _LAST_BYTES, _LAST_BYTES)
        size = footer_bytes(end)
        self.footer: Footer = footer_of(self._bytes(file.bytes - size, size))
        self._parquet = pq.ParquetFile(source)
        place = self._parquet.schema_arrow.names.index(OWNER)
        about = self._parquet.metadata
        ends = [about.row_group(n).column(place).statistics for n in range(about.num_row_groups)]
        self._low = np.array([one.min for one in ends], np.int64)
        self._high = np.array([one.max for one in ends], np.int64)

    @classmethod
    @contextmanager
    def opened(cls, store: Store, file: DerivedFile) -> Iterator[EarlierFile]:
        """Open a file of a store; what is read of it is compared with its seal."""
        with ExitStack() as stack:
            yield cls(stack.enter_context(store.open(file.path, file.stored.seal)), file)

    def is_in_pieces(self, group_rows: int) -> bool:
        """Whether it has many more groups than its rows need, which earlier merging left."""
        rows = sum(group.rows for group in self.footer.groups)
        return len(self.footer.groups) > MOST_GROUPS * (rows // group_rows + 8)

    def copied(self, group: RowGroup) -> bytes:
        """The bytes of a group."""
        return self._bytes(group.start, group.size)

    def runs(self, sources: Integers) -> Iterator[tuple[bool, range, int | None]]:
        """Groups that follow each other, with rows of some sources or without.

        Parameters
        ----------
        sources : int64 array
            The sources, ascending.

        Yields
        ------
        touched : bool
            Whether rows of the sources are among them, or belong behind them.
        groups : range
            The groups.
        end : int or None
            The first source that is not among them but behind; None at the end of the file.
        """
        touched = np.searchsorted(sources, self._low) < np.searchsorted(
            sources, self._high, "right"
        )
        if len(self._low):
            # What is between two groups, or beyond the ends, belongs to the one before it.
            before = np.searchsorted(self._low, sources, "right") - 1
            touched[np.maximum(before, 0)] = True
        start = 0
        for is_touched, same in groupby(touched.tolist()):
            stop = start + len(list(same))
            if not is_touched:
                yield False, range(start, stop), None
                start = stop
            while start < stop:
                # Sources that are in two groups keep these together.
                end = start + 1
                while end < stop and self._low[end] <= self._high[end - 1]:
                    end += 1
                yield True, range(start, end), int(self._low[end]) if end < len(self._low) else None
                start = end

    def rows(self, groups: range) -> pa.Table:
        """The rows of some groups."""
        return self._parquet.read_row_groups([*groups])

    def _bytes(self, start: int, size: int) -> bytes:
        self._source.seek(start)
        return bytes(self._source.read(size))


class ChangedCurves(NamedTuple):
    """The light curves that are not as they are in an earlier file; all others stay.

    Attributes
    ----------
    obsids : tuple of str
        The observations whose rows are new.
    gone : pyarrow.Array
        The detections whose earlier rows do not count.
    sources : int64 array
        The sources of the new rows, and of those that do not count any more, ascending.
    """

    obsids: tuple[str, ...]
    gone: pa.Array
    sources: Integers


class Merging:
    """New rows that take the place of some of an earlier file.

    Parameters
    ----------
    new : iterator of pyarrow.Table
        The new rows, sorted by `ORDER`.
    changed : ChangedCurves
        Which these are, and which earlier ones do not count.
    """

    def __init__(self, new: Iterator[pa.Table], changed: ChangedCurves) -> None:
        self._new, self._changed = new, changed
        self._rest: pa.Table | None = None

    def write(
        self,
        earlier: EarlierFile,
        write: Callable[[pa.Table], None],
        copy: Callable[[RowGroup, bytes], None],
    ) -> None:
        """Write all rows in their order.

        Parameters
        ----------
        earlier : EarlierFile
            The earlier file.
        write, copy : callable
            Write rows, and a group of the earlier file as it is.
        """
        for touched, groups, end in earlier.runs(self._changed.sources):
            if not touched:
                for number in groups:
                    group = earlier.footer.groups[number]
                    copy(group, earlier.copied(group))
                continue
            old = earlier.rows(groups)
            old = old.filter(pc.invert(pc.is_in(old["detid"], value_set=self._changed.gone)))
            write(pa.concat_tables([old, *self._before(end)]).sort_by(ORDER))
        for part in self._before(None):
            write(part)

    def _before(self, end: int | None) -> list[pa.Table]:
        """The next new rows, of sources before one."""
        found: list[pa.Table] = []
        while True:
            part: Any = self._rest if self._rest is not None else next(self._new, None)
            self._rest = None
            if part is None:
                return found
            number = len(part)
            if end is not None:
                number = int(np.searchsorted(part[OWNER].to_numpy(), end))
            found.append(part.slice(0, number))
            if number < len(part):
                self._rest = part.slice(number)
                return found
