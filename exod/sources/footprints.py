"""What an observation covered: cells of its images in which something was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

from exod.counts.grid import Box
from exod.schemas.arrays import Floats, Indices, Mask
from exod.sky.healpix import Pixels, sky_pixels
from exod.sky.plane import TangentPlane
from exod.sky.sphere import Vectors, chord, unit_vectors

COARSE_ARCSEC: Final = 80.0
"""Cells are looked at in groups of this size when only their place on the sky matters."""


@dataclass(frozen=True)
class Footprint:
    """The covered cells of a subset of an observation.

    Attributes
    ----------
    box : Box
        Rows and columns of the full grid that `mask` is of.
    mask : ndarray of bool, shape (y, x)
        Whether each cell was covered.
    size_arcsec : float
        Width of a cell.
    plane : TangentPlane
        Where the sky pixels are.
    """

    box: Box
    mask: Mask
    size_arcsec: float
    plane: TangentPlane

    @property
    def width(self) -> float:
        """Width of a cell in sky pixels."""
        return self.size_arcsec / self.plane.pixel_arcsec

    def covers(self, ra_deg: Floats, dec_deg: Floats) -> Mask:
        """Whether the cells of positions near the field were covered, shape (n,)."""
        x, y = self.plane.to_pixel(ra_deg, dec_deg)
        with np.errstate(invalid="ignore"):
            column = np.floor(x / self.width) - self.box.x_lo
            row = np.floor(y / self.width) - self.box.y_lo
            inside = (row >= 0) & (row < self.mask.shape[0])
            inside &= (column >= 0) & (column < self.mask.shape[1])
        found = np.zeros(len(x), bool)
        found[inside] = self.mask[row[inside].astype(np.intp), column[inside].astype(np.intp)]
        return found

    def circle(self) -> tuple[Vectors, float]:
        """Centre as unit vector, shape (3,), and radius in arcsec of a circle around the box."""
        y = np.array([self.box.y_lo, self.box.y_lo, self.box.y_hi, self.box.y_hi]) * self.width
        x = np.array([self.box.x_lo, self.box.x_hi, self.box.x_lo, self.box.x_hi]) * self.width
        corners = unit_vectors(*self.plane.to_sky(x, y))
        centre = unit_vectors(*self.plane.to_sky(x.mean(), y.mean()))
        # On the sphere the circle around the corners is this large or a little smaller.
        straight = float(np.sqrt(((corners - centre) ** 2).sum(axis=-1)).max())
        return centre, float(np.degrees(2 * np.arcsin(min(straight / 2, 1.0)))) * 3600.0 + 1.0

    def pixels(self, order: int) -> Pixels:
        """HEALPix pixels, nested, in which covered cells may be, and a few beside them, sorted.

        The pixels must be several times wider than the cells and than `COARSE_ARCSEC`.
        """
        step = max(1, int(COARSE_ARCSEC / self.size_arcsec))
        rows, columns = (-(-length // step) for length in self.mask.shape)
        padded = np.zeros((rows * step, columns * step), bool)
        padded[: self.mask.shape[0], : self.mask.shape[1]] = self.mask
        coarse = padded.reshape(rows, step, columns, step).any(axis=(1, 3))
        # A pixel may end in a group of cells; then it holds the middle of one of those around.
        around = binary_dilation(np.pad(coarse, 2), np.ones((3, 3), bool), iterations=2)
        row, column = np.nonzero(around)
        y = (self.box.y_lo + (row - 1.5) * step) * self.width
        x = (self.box.x_lo + (column - 1.5) * step) * self.width
        return np.unique(sky_pixels(*self.plane.to_sky(x, y), order))


def union(
    images: Sequence[tuple[Box, Mask]], size_arcsec: float, plane: TangentPlane
) -> Footprint | None:
    """The footprint of several images of equal cells; None if nothing is covered.

    Parameters
    ----------
    images : sequence of (Box, ndarray of bool)
        Box of each image in the full grid, and its covered cells, shape (y, x).
    size_arcsec : float
        Width of their cells.
    plane : TangentPlane
        Where the sky pixels are.
    """
    seen = [(box, mask) for box, mask in images if mask.any()]
    if not seen:
        return None
    boxes = [box for box, _ in seen]
    whole = Box(
        min(box.y_lo for box in boxes),
        max(box.y_hi for box in boxes),
        min(box.x_lo for box in boxes),
        max(box.x_hi for box in boxes),
    )
    covered = np.zeros(whole.shape, bool)
    for box, mask in seen:
        covered[box.shifted(-whole.y_lo, -whole.x_lo).slices] |= mask
    return Footprint(whole, covered, size_arcsec, plane)


def packed(mask: Mask) -> NDArray[np.uint8]:
    """A mask as bits, eight cells a byte, in order of y, then x."""
    return np.packbits(mask.ravel())


def unpacked(bits: NDArray[np.uint8], shape: tuple[int, int]) -> Mask:
    """The mask of the shape (y, x) that `packed` made bits of.

    Examples
    --------
    >>> mask = np.array([[True, False, True], [False, False, True]])
    >>> bool((unpacked(packed(mask), (2, 3)) == mask).all())
    True
    """
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)


def covered_by(
    footprints: Sequence[Footprint], ra_deg: Floats, dec_deg: Floats
) -> tuple[Indices, Indices]:
    """Pairs of positions and footprints that covered them.

    Parameters
    ----------
    footprints : sequence of Footprint
        Footprints, anywhere on the sky.
    ra_deg, dec_deg : ndarray of float64, shape (n,)
        Positions in degrees.

    Returns
    -------
    position, footprint : ndarray of intp, shape (n_pairs,)
        Indices.
    """
    position: list[Indices] = [np.empty(0, np.intp)]
    number = [0]
    tree = cKDTree(unit_vectors(ra_deg, dec_deg).reshape(-1, 3))
    for footprint in footprints:
        centre, radius = footprint.circle()
        near = np.sort(np.asarray(tree.query_ball_point(centre, chord(radius)), np.intp))
        inside = near[footprint.covers(ra_deg[near], dec_deg[near])] if len(near) else near
        position.append(inside)
        number.append(len(inside))
    return np.concatenate(position), np.repeat(np.arange(-1, len(footprints)), number)
