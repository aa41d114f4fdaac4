"""What the search expects where a burst is in the data: its own light in images and frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.counts.cube import CountCube
from exod.counts.template import BRIGHT_FACTOR, BRIGHT_PERCENTILE, Expectation
from exod.schemas.arrays import Floats, Integers, Mask
from exod.sensitivity.cellneeds import blur_kernel

REACH = 2
"""Cells on each side of that of the source in which its light is looked for."""


@dataclass(frozen=True)
class Patch:
    """The cells around places on the sky.

    Attributes
    ----------
    cell : ndarray of int64, shape (n_places, 5, 5)
        Flat index in the cropped image, axes (place, y, x); -1 outside of it. With a reach other
        than 2, 2 reach + 1 cells a side.
    row, column : ndarray of int64, shape (n_places,)
        Cell of the place in the full grid.
    """

    cell: Integers
    row: Integers
    column: Integers

    @classmethod
    def around(cls, cube: CountCube, x: ArrayLike, y: ArrayLike, reach: int = REACH) -> Patch:
        """Cells around sky pixels, shape (n_places,), `reach` on each side."""
        column, row = (
            np.floor(np.asarray(place, float) / cube.grid.width).astype(np.int64)
            for place in (x, y)
        )
        around = np.arange(-reach, reach + 1)
        j = (row[:, None] - cube.box.y_lo + around)[:, :, None]
        i = (column[:, None] - cube.box.x_lo + around)[:, None, :]
        n_rows, n_columns = cube.box.shape
        inside = (j >= 0) & (j < n_rows) & (i >= 0) & (i < n_columns)
        cell = np.where(inside, j * n_columns + i, -1)
        return cls(cell, row, column)

    def locate(
        self, place: Integers, x: Floats, y: Floats, width: float
    ) -> tuple[Integers, Integers, Mask]:
        """Row and column in the patch of its place, and whether that is a cell of the image.

        Parameters
        ----------
        place : ndarray of int64, shape (n_photons,)
            Place that a photon belongs to.
        x, y : ndarray of float64, shape (n_photons,)
            Sky pixels.
        width : float
            Width of a cell in sky pixels.
        """
        side = self.cell.shape[1]
        row, column = (
            np.floor(pixel / width).astype(np.int64) - middle[place] + side // 2
            for pixel, middle in ((y, self.row), (x, self.column))
        )
        inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
        inside[inside] &= self.cell[place[inside], row[inside], column[inside]] >= 0
        return row, column, inside


@dataclass(frozen=True)
class OwnLight:
    """Counts of a burst in what its own expectation is made of; arrays broadcast to the cells.

    Attributes
    ----------
    cell, blurred : ndarray of float64
        In the image of the cell's good or bad time: in the cell, and after the template's blur.
    image : ndarray of float64
        In that image, outside the source mask.
    frame : ndarray of float64
        In the frame, outside the source mask.
    """

    cell: Floats
    blurred: Floats
    image: Floats
    frame: Floats


def blurred_patch(image: Floats) -> Floats:
    """The template's blur of counts that lie in patches, last two axes (y, x)."""
    edges = [(0, 0)] * (image.ndim - 2) + [(1, 1), (1, 1)]
    padded = np.pad(image, edges)
    n_rows, n_columns = image.shape[-2:]
    total = np.zeros(image.shape)
    for (j, i), weight in np.ndenumerate(blur_kernel()):
        total += weight * padded[..., j : j + n_rows, i : i + n_columns]
    return total


def bright_limit(expectation: Expectation) -> float:
    """Counts of a cell in good time above which it is masked as bright (method.md, Source mask)."""
    image = expectation.good.shape * expectation.good.counts
    outside = image[~expectation.source_mask]
    if not outside.size or expectation.good.counts == 0:
        return np.inf
    return BRIGHT_FACTOR * float(np.percentile(outside, BRIGHT_PERCENTILE))


def with_own_light(
    expectation: Expectation,
    frame: NDArray[np.integer],
    cell: NDArray[np.integer],
    own: OwnLight,
    limit: float,
) -> Floats:
    """Expected counts as the search works them out when the burst is in the data.

    Parameters
    ----------
    expectation : Expectation
        Without the burst.
    frame, cell : ndarray of int
        Frame and flat index; they broadcast.
    own : OwnLight
        Counts of the burst.
    limit : float
        From `bright_limit`.

    Returns
    -------
    ndarray of float64
        Broadcast shape.

    Notes
    -----
    In a cell outside the mask ``mu = (T C + own blurred) / (C + own image) (L + own frame)``, with
    T, C and L template, its counts and level. In a masked cell, and in one that the burst makes
    bright, the burst becomes part of the constant source, spread over the exposure.
    """
    is_bad = expectation.is_bad[frame]
    shapes = (expectation.good.shape.ravel(), expectation.bad.shape.ravel())
    shape = np.where(is_bad, shapes[1][cell], shapes[0][cell])
    counts = np.where(is_bad, expectation.bad.counts, expectation.good.counts)
    level = expectation.level[frame] + own.frame
    total = counts + own.image
    diffuse = (shape * counts + own.blurred) / np.where(total > 0, total, 1.0) * level
    seen = expectation.exposure > 0
    lengths = [
        float(expectation.exposure[seen & f].sum())
        for f in (~expectation.is_bad, expectation.is_bad)
    ]
    measured = is_bad == (lengths[1] > lengths[0])
    mean = np.where(measured, own.cell / max(*lengths, 1.0), 0.0)
    steady = expectation.source.ravel()[cell] + mean
    masked = expectation.source_mask.ravel()[cell] | (~is_bad & (shape * counts + own.cell > limit))
    bright = shape * level
    constant = steady * expectation.exposure[frame]
    if expectation.partial is not None:
        background, live = expectation.live_factors(frame, cell)
        diffuse, bright, constant = diffuse * background, bright * background, constant * live
    return np.asarray(np.where(masked, bright + constant, diffuse))
