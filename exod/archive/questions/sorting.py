"""Rows in another order, with no more than some of them in memory."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import IO, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

GROUP_ROWS: Final = 65_536
"""Rows that are sorted at a time as they come, at least."""

_COPIED_GROUPS: Final = 16
"""Groups of which rows are copied at a time."""

Place = Callable[[pa.RecordBatch], np.ndarray]
"""Tells by which number each row is sorted, int64."""


def rows_by_place(
    chunks: Iterable[pa.Table],
    place: Place,
    then: Sequence[str],
    piece_rows: Callable[[int], int],
    scratch: IO[bytes],
) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """Rows sorted by a number that tells where they are, in pieces.

    They go to a scratch file, in groups each of which is sorted, and these are merged piece by
    piece: in memory are a group or a piece, the rows of one place, and the number of each row.

    Parameters
    ----------
    chunks : iterable of pyarrow.Table
        The rows, some at a time; all are taken before the first piece appears.
    place : callable
        Tells by which number each row is sorted.
    then : sequence of str
        Columns that sort rows of the same number; what is alike stays in its order.
    piece_rows : callable
        Tells of how many rows a piece is, of the number of all; the last has fewer.
    scratch : file
        A file on a disk, open to write and read, at its beginning.

    Yields
    ------
    rows : pyarrow.Table
        A piece.
    places : int64 array, shape (n,)
        The numbers of its rows, ascending.
    """
    groups = _SortedGroups.written(chunks, place, scratch)
    if not groups.places:
        return
    every = np.sort(np.concatenate(groups.places), kind="stable")
    size, start = piece_rows(len(every)), 0
    # Rows of one place are merged together, since other columns tell their order.
    edges = np.append(np.unique(every[::size]), every[-1] + 1).tolist()
    rest: list[pa.Table] = []
    for low, high in pairwise(edges):
        whole = pa.concat_tables([*rest, groups.merged(low, high, then)])
        full = len(whole) if high == edges[-1] else len(whole) - len(whole) % size
        rest = [whole.slice(full)]
        for first in range(0, full, size):
            rows = whole.slice(first, min(size, full - first)).combine_chunks()
            yield rows, every[start : (start := start + len(rows))]


class _SortedGroups(NamedTuple):
    """Groups of rows in a file, each of them sorted; nothing is read before it is asked for."""

    mapped: mmap.mmap | None
    batches: Sequence[pa.RecordBatch]
    places: Sequence[np.ndarray]

    @classmethod
    def written(cls, chunks: Iterable[pa.Table], place: Place, file: IO[bytes]) -> _SortedGroups:
        """Write the rows to a file."""
        begins, places = [], []
        for group in _gathered(chunks):
            number = np.asarray(place(group), np.int64)
            order = np.argsort(number, kind="stable")
            begins.append(file.tell())
            with pa.ipc.new_stream(pa.PythonFile(file, "w"), group.schema) as sink:
                sink.write_batch(pc.take(group, pa.array(order), boundscheck=False))
            places.append(number[order])
        if not begins:
            return cls(None, (), ())
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        content = pa.py_buffer(mapped)
        readers = (pa.ipc.open_stream(pa.BufferReader(content.slice(begin))) for begin in begins)
        return cls(mapped, [reader.read_next_batch() for reader in readers], places)

    def merged(self, low: int, high: int, then: Sequence[str]) -> pa.Table:
        """The rows of places from `low` to before `high`, in their order."""
        ends = [np.searchsorted(own, (low, high)).tolist() for own in self.places]
        found = []
        for first in range(0, len(ends), _COPIED_GROUPS):
            some = zip(self.batches[first : first + _COPIED_GROUPS], ends[first:], strict=False)
            slices = [batch.slice(start, stop - start) for batch, (start, stop) in some]
            found.append(pa.Table.from_batches(slices).combine_chunks())
            if self.mapped:
                # What was read stays in the cache of the system, and is no memory of ours.
                self.mapped.madvise(mmap.MADV_DONTNEED)
        rows = pa.concat_tables(found)
        places = zip(self.places, ends, strict=True)
        number = np.concatenate([own[start:stop] for own, (start, stop) in places])
        names = [str(key) for key in range(len(then) + 1)]
        keys = pa.table([number, *(rows[name] for name in then)], names=names)
        order = pc.sort_indices(keys, [(name, "ascending") for name in names])
        return pc.take(rows, order, boundscheck=False)


def _gathered(chunks: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    waiting: list[pa.Table] = []
    for chunk in chunks:
        if len(chunk):
            waiting.append(chunk)
        if sum(map(len, waiting)) >= GROUP_ROWS:
            whole, waiting = pa.concat_tables(waiting).combine_chunks(), []
            yield whole.to_batches()[0]
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks().to_batches()[0]
