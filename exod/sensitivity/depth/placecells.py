"""The cells around places in exposures, and how the light of a source there falls on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from exod.instruments import INSTRUMENTS
from exod.instruments.instrument import Observatory
from exod.schemas.arrays import Floats, Indices, Mask
from exod.sensitivity.depth.depthmaps import ExposureDepth
from exod.sensitivity.depth.placerows import PlaceRows
from exod.sensitivity.profiles import MeanProfile, Profile, cell_shares

_OFF_AXIS: Final = np.array([0.0, 3.0, 6.0, 9.0, 12.0, 15.0])
"""Angles in arcmin for which the point spread function is worked out."""

MOSTLY_SEEN: Final = 0.95
"""Share of its light from which on a place is at no edge: columns that are not read take less."""

_STEPS: Final = 10
"""Places along half a cell between which shares of light are interpolated."""

_CHIPS: Final = 256
"""More than any camera has."""


@dataclass(frozen=True)
class CellImages:
    """What exposures have in the cells around places, all of shape (n_places, n_around).

    Attributes
    ----------
    exposure : ndarray of intp, shape (n_places,)
        Numbers of the exposures.
    ccd, area, good, bad, constant, n : ndarray of float64
        As `ExposureDepth`, in a band, `good` and `bad` being its ratios; 0 in cells that do not
        belong to the place.
    """

    exposure: Indices
    ccd: Floats
    area: Floats
    good: Floats
    bad: Floats
    constant: Floats
    n: Floats

    def chips(self) -> tuple[list[tuple[int, int]], Indices]:
        """Exposure and number of each chip that is there, in order, and which each cell is on.

        The number of a cell is one more than that of its chip in the list; 0 where it is on none.
        """
        codes = self.exposure[:, None] * _CHIPS + self.ccd.astype(np.intp)
        there = np.bincount(codes.ravel()) > 0
        there[::_CHIPS] = False
        found = np.flatnonzero(there).tolist()
        return [divmod(code, _CHIPS) for code in found], np.where(
            there[codes], np.cumsum(there)[codes], 0
        )


@dataclass(frozen=True)
class PlaceCells:
    """The cells around places.

    Attributes
    ----------
    exposure : ndarray of intp, shape (n_places,)
        Numbers of the exposures, in order.
    index : ndarray of intp, shape (n_places, n_around)
        In the box of the exposure, in order of y, then x.
    chosen : ndarray of bool, that shape
        Which of them belong to the place.
    dx, dy : ndarray of float64, shape (n_places,)
        Place in its cell, from the middle, in cells.
    reach : int
        Cells on each side of that of a place.
    """

    exposure: Indices
    index: Indices
    chosen: Mask
    dx: Floats
    dy: Floats
    reach: int

    @classmethod
    def of(
        cls, depths: Sequence[ExposureDepth], rows: PlaceRows, radius_arcsec: float
    ) -> PlaceCells:
        """For places in the boxes of exposures."""
        shapes = np.array(
            [(own.grid.width, own.grid.size_arcsec, own.box.y_lo, own.box.x_lo, *own.box.shape)
             for own in depths]
        )  # fmt: skip
        width, size, y_lo, x_lo, height, across = shapes[rows.exposure].T[:, :, None]
        x, y = rows.x[:, None] / width, rows.y[:, None] / width
        column, row = np.floor(x), np.floor(y)
        dx, dy = x - column - 0.5, y - row - 0.5
        reach = max(reach_of(radius_arcsec, own.grid.size_arcsec) for own in depths)
        down, right = _square(reach)
        distance = np.hypot(down - dy, right - dx) * size
        chosen = (distance <= radius_arcsec) | ((down == 0) & (right == 0))
        down, right = row + down - y_lo, column + right - x_lo
        chosen &= (down >= 0) & (down < height) & (right >= 0) & (right < across)
        index = np.where(chosen, down * across + right, 0).astype(np.intp)
        return cls(rows.exposure, index, chosen, dx[:, 0], dy[:, 0], reach)

    def images(self, depths: Sequence[ExposureDepth], band: int) -> CellImages:
        """What exposures have in the cells."""
        found = np.zeros((6, *self.index.shape))
        ends = np.searchsorted(self.exposure, np.arange(len(depths) + 1)).tolist()
        for depth, own in zip(depths, map(slice, ends[:-1], ends[1:]), strict=True):
            index = self.index[own]
            if not len(index):
                continue
            good, bad = depth.ratio_of(band)
            images = (depth.ccd, depth.area, good, bad, depth.constant[band], depth.n[band])
            found[:, own] = [image.ravel()[index] for image in images]
        return CellImages(self.exposure, *(found * self.chosen))


@lru_cache(maxsize=64)
def _square(reach: int) -> tuple[Indices, Indices]:
    """Rows and columns of the cells that are so near, from the middle."""
    steps = np.arange(-reach, reach + 1)
    down, across = np.meshgrid(steps, steps, indexing="ij")
    return down.ravel(), across.ravel()


def reach_of(radius_arcsec: float, size_arcsec: float) -> int:
    """Cells on each side of that of a place that may belong to it.

    Examples
    --------
    >>> reach_of(0.0, 20.0), reach_of(20.0, 20.0), reach_of(60.0, 20.0)
    (0, 1, 3)
    """
    return int(radius_arcsec / size_arcsec + 0.5)


def light_shares(depths: Sequence[ExposureDepth], rows: PlaceRows, cells: PlaceCells) -> Floats:
    """Share of the light of a point source in each cell of its place, shape of the cells."""
    # All cameras of an observatory have the same.
    kinds = [(INSTRUMENTS[own.instrument].observatory, own.grid.size_arcsec) for own in depths]
    known = list(dict.fromkeys(kinds))
    number = np.array([known.index(kind) for kind in kinds])[rows.exposure]
    code = number * len(_OFF_AXIS) + np.abs(rows.angle[:, None] - _OFF_AXIS).argmin(axis=1)
    found = np.zeros(cells.index.shape)
    for one in np.flatnonzero(np.bincount(code)).tolist():
        mine = code == one
        kind, angle = divmod(one, len(_OFF_AXIS))
        observatory, size = known[kind]
        table = _share_table(_profile(observatory, angle), size, cells.reach)
        found[mine] = _interpolated(table, cells.dx[mine], cells.dy[mine])
    return found * cells.chosen


def crossed_edges(
    depths: Sequence[ExposureDepth], rows: PlaceRows, area: Floats, shares: Floats
) -> Mask:
    """Rows of which it is not known what was seen in the part of the time that is asked for.

    The pointing took them over an edge of what sees: of their light on cells (`shares`, shape of
    the cells) the share `area` is the mean. In less than a period it may have been all, or none.
    """
    periods = [INSTRUMENTS[depth.instrument].observatory.dither_seconds for depth in depths]
    is_short = ~rows.is_whole & (rows.end - rows.begin < np.array(periods)[rows.exposure])
    if is_short.any():
        is_short &= (area * shares).sum(1) < MOSTLY_SEEN * shares.sum(1)
    return is_short


@lru_cache(maxsize=64)
def _profile(observatory: Observatory, angle: int) -> Profile:
    """Typical of an observatory, at one of the angles."""
    return MeanProfile(observatory.photon_shares, off_axis_arcmin=float(_OFF_AXIS[angle]))


@lru_cache(maxsize=64)
def _share_table(profile: Profile, size_arcsec: float, reach: int) -> Floats:
    """Shares of the light of sources all over a cell, shape (y, x, n_around)."""
    line = np.linspace(-0.5, 0.5, 2 * _STEPS + 1)
    dy, dx = (value.ravel() for value in np.meshgrid(line, line, indexing="ij"))
    parts = [
        cell_shares(profile, dx[rows], dy[rows], size_arcsec, reach)
        for rows in np.array_split(np.arange(len(dx)), len(line))
    ]
    return np.concatenate(parts).reshape(len(line), len(line), -1)


def _interpolated(table: Floats, dx: Floats, dy: Floats) -> Floats:
    """A table of places in a cell, shape (y, x, n), at places in between, shape (n_places, n)."""
    x, y = (dx + 0.5) * 2 * _STEPS, (dy + 0.5) * 2 * _STEPS
    column, row = (np.minimum(value.astype(int), 2 * _STEPS - 1) for value in (x, y))
    right, down = (x - column)[:, None], (y - row)[:, None]
    above = table[row, column] * (1 - right) + table[row, column + 1] * right
    below = table[row + 1, column] * (1 - right) + table[row + 1, column + 1] * right
    return np.asarray(above * (1 - down) + below * down)
