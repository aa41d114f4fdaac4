"""The grid of the sky that counts are made on, boxes of its cells, and sums over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exod.schemas.arrays import Floats, Mask


@dataclass(frozen=True)
class Grid:
    """Square cells over the sky pixels of an observation.

    Attributes
    ----------
    n : int
        Cells along each side of the full grid.
    sky_extent : int
        Sky pixels along each side.
    pixel_arcsec : float
        Size of a sky pixel.

    Examples
    --------
    >>> Grid.of_size(20.0, 51840, 0.05).n, Grid.of_size(20.0, 8192, 0.492).n
    (129, 201)
    """

    n: int
    sky_extent: int
    pixel_arcsec: float

    @classmethod
    def of_size(cls, size_arcsec: float, sky_extent: int, pixel_arcsec: float) -> Grid:
        """The grid whose cells are at least `size_arcsec` wide and fill the field."""
        n = int(sky_extent / (size_arcsec / pixel_arcsec))
        return cls(n, sky_extent, pixel_arcsec)

    @property
    def width(self) -> float:
        """Width of a cell in sky pixels."""
        return self.sky_extent / self.n

    @property
    def size_arcsec(self) -> float:
        """Width of a cell in arcsec."""
        return self.width * self.pixel_arcsec

    @property
    def edges(self) -> Floats:
        """Edges of the cells in sky pixels, shape (n + 1,)."""
        return np.linspace(0, self.sky_extent, self.n + 1)

    def flat_index(self, x: NDArray[np.int32], y: NDArray[np.int32]) -> NDArray[np.int32]:
        """Index ``row * n + column`` of sky pixels, same shape; -1 outside the grid."""
        column, row = self._index(x), self._index(y)
        inside = (column >= 0) & (row >= 0)
        return np.where(inside, row * np.int32(self.n) + column, np.int32(-1))

    def _index(self, pixel: NDArray[np.int32]) -> NDArray[np.int32]:
        # Whole numbers: exact at the edges, and the last edge belongs to the last cell.
        inside = (pixel >= 0) & (pixel <= self.sky_extent)
        whole = np.int32 if self.sky_extent * self.n < 2**31 else np.int64
        pixel = np.where(inside, pixel, 0).astype(whole)
        cell = np.minimum(pixel * whole(self.n) // whole(self.sky_extent), whole(self.n - 1))
        return np.where(inside, cell, -1).astype(np.int32)


@dataclass(frozen=True)
class Box:
    """A half-open range of rows and columns of the full grid."""

    y_lo: int
    y_hi: int
    x_lo: int
    x_hi: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y_hi - self.y_lo, self.x_hi - self.x_lo

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.shape[0] * self.shape[1]

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns as slices."""
        return slice(self.y_lo, self.y_hi), slice(self.x_lo, self.x_hi)

    def widened(self, margin: int, shape: tuple[int, int]) -> Box:
        """The box with `margin` more cells on each side, within an image of `shape` (y, x)."""
        return Box(
            max(self.y_lo - margin, 0),
            min(self.y_hi + margin, shape[0]),
            max(self.x_lo - margin, 0),
            min(self.x_hi + margin, shape[1]),
        )

    def shifted(self, y: int, x: int) -> Box:
        """The box moved by `y` rows and `x` columns."""
        return Box(self.y_lo + y, self.y_hi + y, self.x_lo + x, self.x_hi + x)

    @classmethod
    def around(cls, flat: NDArray[np.integer], n: int) -> Box:
        """Bounding box of flat indices into a grid of `n` columns; empty if there are none."""
        used = np.flatnonzero(np.bincount(flat, minlength=1)) if len(flat) else flat
        if not len(used):
            return cls(0, 0, 0, 0)
        rows, columns = np.divmod(used, n)
        return cls(int(rows[0]), int(rows[-1]) + 1, int(columns.min()), int(columns.max()) + 1)


Cells = Box | Mask
"""Cells of an image: a box, or a mask of the shape of the image."""


def box_or_mask(mask: Mask) -> Cells:
    """The box that a mask fills, or the mask; sums over a box do not depend on how it was given.

    Examples
    --------
    >>> box_or_mask(np.array([[False, True], [False, True]]))
    Box(y_lo=0, y_hi=2, x_lo=1, x_hi=2)
    """
    box = Box.around(np.flatnonzero(mask), max(mask.shape[1], 1))
    return box if box.size == np.count_nonzero(mask) else mask


def sum_over(images: Floats, cells: Cells) -> Floats:
    """Sums of images, shape (..., y, x), over some of their cells, shape (...)."""
    if isinstance(cells, Box):
        return np.asarray(images[(..., *cells.slices)].sum((-2, -1)))
    return np.asarray(images[..., cells].sum(-1))
