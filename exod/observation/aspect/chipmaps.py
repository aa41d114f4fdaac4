"""CCDs as maps from the sky, the motion of the pointing over them, and photons of their columns.

An event has its pixel on a CCD and, with the motion of the pointing taken out, on the sky. What
turns one into the other is a fixed map for each CCD, and an offset that is the same for all of
them and changes with time: the dither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.observation.events import EventList
from exod.schemas.arrays import Floats, Integers, Mask

_COLUMNS: Final = 1 << 11
"""More than the CCDs have."""


@dataclass(frozen=True, eq=False)
class ChipMap:
    """From sky pixels, the motion added, to pixels of a CCD.

    Attributes
    ----------
    matrix : ndarray of float64, shape (2, 3)
        Column and row are this times (x, y, 1).
    low, high : ndarray of float64, shape (2,)
        First and last column and row that were read.
    bad : ndarray of bool, shape (n_columns + 1,)
        Columns, by number, that have no events; empty if all have.
    """

    matrix: Floats
    low: Floats
    high: Floats
    bad: Mask = field(default_factory=lambda: np.zeros(0, bool))

    def reaches(self, x: Sequence[float], y: Sequence[float]) -> bool:
        """Whether any of it may lie within ranges of x and of y; False only if none does."""
        for (a, b, c), low, high in zip(self.matrix, self.low, self.high, strict=True):
            own = [a * u + b * v + c for u in x for v in y]
            if max(own) < low - 1 or min(own) > high + 1:
                return False
        return True


@dataclass(frozen=True, eq=False)
class ColumnPhotons:
    """Photons of the columns of CCDs, by time.

    Attributes
    ----------
    key : ndarray of float64, shape (n_events,)
        Ascending: number of the column among those of all CCDs times `length`, plus the time since
        `start`.
    pi : ndarray of int16, shape (n_events,)
        Energies in eV.
    start, length : float
        Start, and more than the length of the exposure, seconds.
    """

    key: Floats
    pi: NDArray[np.int16]
    start: float = 0.0
    length: float = 1.0

    @classmethod
    def of(cls, events: EventList) -> ColumnPhotons:
        """Those of all events of an exposure."""
        start = float(events.time.min(initial=np.inf))
        length = float(np.ptp(events.time)) + 1 if len(events) else 1.0
        column = events.ccdnr.astype(np.int64) * _COLUMNS + events.rawx
        key = column * length + events.time - start
        order = np.argsort(key)
        return cls(key[order], events.pi[order], start, length)

    def within(self, band: tuple[float, float]) -> ColumnPhotons:
        """Those in an energy band in keV, both ends excluded."""
        low, high = (1000 * energy for energy in band)
        own = (self.pi > low) & (self.pi < high)
        return replace(self, key=self.key[own], pi=self.pi[own])

    def around(
        self, ccdnr: Integers, column: Integers, reach: int, begin: Floats, end: Floats
    ) -> Integers:
        """How many are in columns and those up to `reach` beside, from `begin` to `end`.

        Of one shape; in the result columns are a last axis more, of 2 reach + 1.
        """
        columns = column[..., None] + np.arange(-reach, reach + 1)
        base = (ccdnr[..., None] * _COLUMNS + columns) * self.length
        since, until = (
            np.clip(time - self.start, 0.0, np.nextafter(self.length, 0))[..., None]
            for time in (begin, end)
        )
        n = np.searchsorted(self.key, base + until) - np.searchsorted(self.key, base + since)
        return np.where((ccdnr[..., None] > 0) & (columns >= 1) & (columns < _COLUMNS), n, 0)


@dataclass(frozen=True, eq=False)
class Aspect:
    """The motion of the pointing, and where the CCDs were.

    Attributes
    ----------
    time : ndarray of float64, shape (n,)
        Seconds, ascending.
    motion : ndarray of float64, shape (n, 2)
        What is added to x and y, sky pixels, before a place is looked up on a CCD.
    chips : mapping of int to ChipMap
        By CCD, from 1.
    photons : ColumnPhotons
        Photons of the columns; none of an aspect that is not told from events.
    """

    time: Floats
    motion: Floats
    chips: Mapping[int, ChipMap]
    photons: ColumnPhotons = field(
        default_factory=lambda: ColumnPhotons(np.zeros(0), np.zeros(0, np.int16))
    )

    @property
    def reach(self) -> float:
        """Largest motion from the middle along x or y, sky pixels."""
        return float(np.abs(self.motion).max(initial=0.0))

    def motion_at(self, time: ArrayLike) -> tuple[Floats, Floats]:
        """Motion along x and y (any shape)."""
        when = np.asarray(time, float)
        x, y = (np.interp(when, self.time, column) for column in self.motion.T)
        return np.asarray(x), np.asarray(y)

    def pixels(
        self, x: ArrayLike, y: ArrayLike, time: ArrayLike
    ) -> tuple[Integers, Floats, Floats]:
        """CCD (0 for none), column and row of places of the sky at times (any one shape)."""
        x_moved, y_moved = (
            np.asarray(place, float) + moved
            for place, moved in zip((x, y), self.motion_at(time), strict=True)
        )
        ccdnr = np.zeros(x_moved.shape, np.int64)
        pixel = np.zeros((2, *x_moved.shape))
        if not x_moved.size:
            return ccdnr, pixel[0], pixel[1]
        ends = [[values.min(), values.max()] for values in (x_moved, y_moved)]
        for number, chip in self.chips.items():
            if not chip.reaches(*ends):
                continue
            place = [a * x_moved + b * y_moved + c for a, b, c in chip.matrix]
            inside = np.ones(x_moved.shape, bool)
            for value, low, high in zip(place, chip.low, chip.high, strict=True):
                inside &= (value > low - 0.5) & (value < high + 0.5)
            if chip.bad.any():
                column = np.clip(np.rint(place[0]), 0, len(chip.bad) - 1).astype(np.int64)
                inside &= ~chip.bad[column]
            ccdnr[inside] = number
            pixel[:, inside] = np.stack(place)[:, inside]
        return ccdnr, pixel[0], pixel[1]

    def places(
        self, ccdnr: Integers, column: Floats, row: Floats, time: Floats
    ) -> tuple[Floats, Floats]:
        """Sky pixels of places on CCDs at times: the inverse of `pixels`; all of shape (n,)."""
        sky = np.full((2, len(ccdnr)), np.nan)
        for number, chip in self.chips.items():
            own = ccdnr == number
            shifted = np.stack([column[own], row[own]]) - chip.matrix[:, 2:]
            sky[:, own] = np.linalg.solve(chip.matrix[:, :2], shifted)
        x, y = sky - np.stack(self.motion_at(time))
        return x, y

    def seen(self, x: float, y: float, radii: Floats, time: Floats) -> Floats:
        """Share of a source that was on a CCD, shape (n_times,).

        Parameters
        ----------
        x, y : float
            Sky pixels.
        radii : ndarray of float64, shape (n_radii,)
            Those of rings that hold equal shares of its light, sky pixels.
        time : ndarray of float64, shape (n_times,)
            Seconds.
        """
        turn = 2 * np.pi * (np.arange(8) + 0.5) / 8
        ring = np.stack([np.cos(turn), np.sin(turn)])
        dx, dy = (radii[:, None] * ring[:, None]).reshape(2, -1)
        x_moved, y_moved, when = np.broadcast_arrays(x + dx, y + dy, time[:, None])
        ccdnr, _, _ = self.pixels(x_moved, y_moved, when)
        return np.asarray((ccdnr > 0).mean(axis=1))
