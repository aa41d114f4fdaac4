"""The count cube, axes (time, y, x): sparse and chunked by time (method.md, Count cube).

Events are held as sorted (frame, cell) pairs. `CountCube.chunks` turns one range of frames after
another into a table of non-empty cells; that is what the search uses. `CountCube.to_dask` gives
the dense array for everything else, and is the reference the search is tested against.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from exod.counts.grid import Box, Grid
from exod.observation.gti import Frames
from exod.schemas.arrays import Floats, Indices, Integers, Mask

if TYPE_CHECKING:
    import dask.array

EVENTS_PER_CHUNK: Final = 200_000
"""Events that a chunk holds on average; bounds the memory of the search."""

CELLS_PER_CHUNK: Final = 4_000_000
"""Cells of a chunk at most, so that a dense block stays small too."""


@dataclass(frozen=True)
class SparseChunk:
    """Non-empty cells of a range of frames, sorted by frame and cell.

    Attributes
    ----------
    first, last : int
        Half-open range of frames.
    frame, cell, n : ndarray of int32, shape (n_cells,)
        Frame, flat index in the bounding box, and counts.
    """

    first: int
    last: int
    frame: NDArray[np.int32]
    cell: NDArray[np.int32]
    n: NDArray[np.int32]


@dataclass(frozen=True)
class CountCube:
    """Counts in (frame, y, x), axes in this order, cropped to the bounding box.

    Attributes
    ----------
    frames : Frames
        Time axis.
    grid : Grid
        Full spatial grid.
    box : Box
        Bounding box of the non-empty cells.
    frame : ndarray of int32, shape (n_events,)
        Frame of each event, ascending.
    cell : ndarray of int32, shape (n_events,)
        Flat index of each event in the bounding box.
    event : ndarray of int64, shape (n_events,)
        Index of each event in the arrays that the cube was built from.
    exposure : ndarray of float64, shape (n_frames,)
        Relative exposure of each frame: 1, or 0 for a masked frame, whose events are left out.
    chunk_frames : int
        Frames of a chunk.
    """

    frames: Frames
    grid: Grid
    box: Box
    frame: NDArray[np.int32]
    cell: NDArray[np.int32]
    event: Integers
    exposure: Floats
    chunk_frames: int

    @classmethod
    def from_events(
        cls,
        frames: Frames,
        grid: Grid,
        frame: NDArray[np.int32],
        flat: NDArray[np.int32],
        masked: Mask,
        used: Mask | None = None,
        chunk_frames: int | None = None,
    ) -> CountCube:
        """Build the cube of binned events.

        Parameters
        ----------
        frames, grid : Frames, Grid
            The bins.
        frame, flat : ndarray of int32, shape (n_events,)
            Frame (ascending) and flat index in the full grid of each event; events outside the
            frames or the grid are left out.
        masked : ndarray of bool, shape (n_frames,)
            Frames without data.
        used : ndarray of bool, shape (n_events,), optional
            Events to use, for instance those of an energy band; all by default.
        chunk_frames : int, optional
            Frames of a chunk; by default chosen so that memory stays small.
        """
        inside = (frame >= 0) & (frame < frames.n) & (flat >= 0)
        if used is not None:
            inside &= used
        event = np.flatnonzero(inside)
        box = Box.around(flat[event], grid.n)
        event = event[~masked[frame[event]]]
        row, column = np.divmod(flat[event], np.int32(grid.n))
        cell = (row - np.int32(box.y_lo)) * np.int32(box.shape[1]) + (column - np.int32(box.x_lo))
        exposure = np.where(masked, 0.0, 1.0)
        if chunk_frames is None:
            chunk_frames = _default_chunk(frames.n, len(event), box.size)
        return cls(
            frames, grid, box, frame[event], cell.astype(np.int32), event, exposure, chunk_frames
        )

    @property
    def masked(self) -> Mask:
        """Frames without data, shape (n_frames,)."""
        return self.exposure == 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns of the cropped cube."""
        return (self.frames.n, *self.box.shape)

    @property
    def n_sum(self) -> int:
        """Counts in the cube."""
        return len(self.frame)

    def image(self, which: Mask | None = None) -> Integers:
        """Counts summed over the frames where `which` (all by default), shape (y, x)."""
        cell = self.cell if which is None else self.cell[which[self.frame]]
        return np.bincount(cell, minlength=self.box.size).reshape(self.box.shape)

    def light_curve(self, which: Mask | None = None) -> Integers:
        """Counts summed over the cells of image `which`, shape (y, x); result (n_frames,)."""
        frame = self.frame if which is None else self.frame[which.ravel()[self.cell]]
        return np.bincount(frame, minlength=self.frames.n)

    @property
    def chunk_bounds(self) -> list[tuple[int, int]]:
        """Half-open ranges of frames of the chunks."""
        step, n = self.chunk_frames, self.frames.n
        return [(first, min(first + step, n)) for first in range(0, n, step)]

    def chunks(self) -> Iterator[SparseChunk]:
        """Tables of the non-empty cells, one a chunk; only one is in memory at a time."""
        for first, last in self.chunk_bounds:
            yield self.chunk(first, last)

    def chunk(self, first: int, last: int) -> SparseChunk:
        """Table of the non-empty cells of the frames [first, last)."""
        start, stop = np.searchsorted(self.frame, [first, last])
        # Narrow numbers are sorted in a third of the time.
        narrow = (last - first) * self.box.size <= np.iinfo(np.int32).max
        key: NDArray[np.signedinteger] = (self.frame[start:stop] - first).astype(
            np.int32 if narrow else np.int64
        )
        key *= self.box.size
        key += self.cell[start:stop]
        key.sort()
        begin = np.flatnonzero(np.diff(key, prepend=key.dtype.type(-1)))
        counts = np.diff(begin, append=len(key)).astype(np.int32)
        frame, cell = np.divmod(key[begin], max(self.box.size, 1))
        return SparseChunk(
            first, last, (frame + first).astype(np.int32), cell.astype(np.int32), counts
        )

    def dense_block(self, first: int, last: int) -> NDArray[np.uint16]:
        """Counts of the frames [first, last), shape (last - first, y, x)."""
        chunk = self.chunk(first, last)
        block = np.zeros((last - first, self.box.size), np.uint16)
        block[chunk.frame - first, chunk.cell] = chunk.n
        return block.reshape(last - first, *self.box.shape)

    def to_dask(self) -> dask.array.Array:
        """The dense cube as a lazy dask array, axes (time, y, x), uint16, one block a chunk.

        Masked frames are zero; `masked` tells them from empty ones.
        """
        return lazy_blocks(self, np.uint16, self.dense_block)


class EventsByCell:
    """Events of a cube ordered by cell, so that those of a box are found without a search.

    Parameters
    ----------
    cube : CountCube
        The cube.
    cells : ndarray of bool, shape (y, x)
        Cells that will be asked for; the others are left out.
    """

    def __init__(self, cube: CountCube, cells: Mask) -> None:
        wanted = np.flatnonzero(cells.ravel()[cube.cell])
        self._order = wanted[np.argsort(cube.cell[wanted], kind="stable")]
        counts = np.bincount(cube.cell[wanted], minlength=cube.box.size)
        self._first = np.concatenate([[0], np.cumsum(counts)])
        self._columns = cube.box.shape[1]

    def in_box(self, box: Box) -> Indices:
        """Indices into the cube's events of those in a box of the cropped image."""
        rows = self._columns * np.arange(box.y_lo, box.y_hi)
        ranges = zip(self._first[rows + box.x_lo], self._first[rows + box.x_hi], strict=True)
        return np.concatenate([self._order[first:last] for first, last in ranges])


def lazy_blocks(cube: CountCube, dtype: Any, block: Any) -> dask.array.Array:
    """A dask array of the cube's shape and chunks whose blocks are ``block(first, last)``."""
    import dask.array as da

    bounds = cube.chunk_bounds
    lengths = tuple(last - first for first, last in bounds) or (0,)
    chunks = (lengths, *((size,) for size in cube.box.shape))

    def build(block_info: Any = None) -> NDArray[Any]:
        first, last = block_info[None]["array-location"][0]
        return np.asarray(block(first, last))

    return da.map_blocks(build, chunks=chunks, dtype=dtype, meta=np.empty((0, 0, 0), dtype))


class CellByCell(ABC):
    """Expected counts of a cube that are worked out cell by cell, whatever the hypothesis."""

    source_mask: Mask

    @abstractmethod
    def at(self, frame: NDArray[np.integer], cell: NDArray[np.integer]) -> Floats:
        """Expected counts of cells given by frame and flat index; broadcast shape."""

    def dense_block(self, first: int, last: int) -> NDArray[np.float32]:
        """Expected counts of the frames [first, last), shape (last - first, y, x)."""
        cells = np.arange(self.source_mask.size)[None, :]
        block = self.at(np.arange(first, last)[:, None], cells)
        return block.reshape(last - first, *self.source_mask.shape).astype(np.float32)

    def to_dask(self, cube: CountCube) -> dask.array.Array:
        """Expected counts as a lazy dask array, axes (time, y, x), float32, chunked as `cube`."""
        return lazy_blocks(cube, np.float32, self.dense_block)


def _default_chunk(n_frames: int, n_events: int, n_cells: int) -> int:
    by_events = n_frames * EVENTS_PER_CHUNK // max(n_events, 1)
    by_cells = CELLS_PER_CHUNK // max(n_cells, 1)
    return int(np.clip(min(by_events, by_cells), 1, max(n_frames, 1)))
