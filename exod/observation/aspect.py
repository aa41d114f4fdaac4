"""Where places of the sky lay on the CCDs while the pointing moved, from the events themselves.

An event has its pixel on a CCD and, with the motion of the pointing taken out, on the sky. What
turns one into the other is a fixed map for each CCD, and an offset that is the same for all of
them and changes with time: the dither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.instruments import Instrument
from exod.observation.events import NO_POSITION, EventList
from exod.schemas.arrays import Floats, Integers, Mask

STEP_SECONDS: Final = 50.0
"""Time in which the pointing is taken to move evenly."""

LEAST_EVENTS: Final = 100
"""Events that a CCD needs; a map has six numbers."""

_ROUNDS: Final = 4
_EDGE: Final = 16
"""Rows without an event, so few from an edge, do not make it that of a window."""

_WORST: Final = 1.5
"""Pixels by which events may miss their place; more, and the columns are not what they say."""

_CHANCE: Final = 0.01
"""Columns of a CCD that are taken for bad by chance."""

_FLAT: Final = 0.1
"""A map with a smaller determinant is none."""


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
    """

    time: Floats
    motion: Floats
    chips: Mapping[int, ChipMap]

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
        for number, chip in self.chips.items():
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


def aspect_of_events(events: EventList, camera: Instrument) -> Aspect | None:
    """The aspect that events show.

    Parameters
    ----------
    events : EventList
        All events of an exposure, of all energies.
    camera : Instrument
        Its camera.

    Returns
    -------
    Aspect or None
        None if there are too few events, or their columns do not fit each other.
    """
    known = (events.x != NO_POSITION) & np.isfinite(events.time)
    ccds, number = np.unique(events.ccdnr[known], return_counts=True)
    ccds = ccds[(number >= LEAST_EVENTS) & (ccds >= 1) & (ccds <= camera.n_ccds)]
    known &= np.isin(events.ccdnr, ccds)
    if not len(ccds):
        return None
    used = events.take(np.flatnonzero(known))
    start = float(used.time.min())
    step = np.floor((used.time - start) / STEP_SECONDS).astype(np.int64)
    pixel = np.stack([used.rawx, used.rawy]).astype(float)
    sky = np.stack([used.x, used.y]).astype(float)
    seen = np.bincount(step)
    full = np.flatnonzero(seen)
    middle = np.bincount(step, used.time)[full] / seen[full]
    motion = np.zeros_like(sky)
    matrices: dict[int, Floats] = {}
    rest = np.zeros_like(sky)
    for _ in range(_ROUNDS):
        off = np.zeros_like(sky)
        for ccd in ccds.tolist():
            own = used.ccdnr == ccd
            matrices[ccd] = matrix = _fit(sky[:, own] + motion[:, own], pixel[:, own])
            if abs(np.linalg.det(matrix[:, :2])) < _FLAT:
                return None
            rest[:, own] = pixel[:, own] - matrix[:, :2] @ (sky + motion)[:, own] - matrix[:, 2:]
            off[:, own] = np.linalg.solve(matrix[:, :2], rest[:, own])
        off += motion
        knots = np.stack([np.bincount(step, values)[full] / seen[full] for values in off])
        motion = np.stack([np.interp(used.time, middle, values) for values in knots])
    if np.median(np.abs(rest), axis=1).max() > _WORST:
        return None
    chips = {}
    for ccd, matrix in matrices.items():
        low, high = _edges(used, ccd, camera)
        columns = bad_columns(used.rawx[used.ccdnr == ccd], int(low[0]), int(high[0]))
        chips[ccd] = ChipMap(matrix, low, high, columns)
    return Aspect(middle, knots.T, chips)


def bad_columns(column: NDArray[np.integer], low: int, high: int) -> Mask:
    """Columns of a CCD without events, more of them side by side than chance leaves out.

    Parameters
    ----------
    column : ndarray of int, shape (n_events,)
        Columns of the events of the CCD.
    low, high : int
        First and last column that was read.

    Returns
    -------
    ndarray of bool, shape (high + 1,)
        By number of the column.

    Examples
    --------
    >>> column = np.repeat(np.r_[1:40, 43:101], 6)
    >>> np.flatnonzero(bad_columns(column, 1, 100)).tolist()
    [40, 41, 42]
    """
    bad = np.zeros(high + 1, bool)
    counts = np.bincount(column, minlength=high + 1)[low : high + 1]
    # The median, so that bright sources do not count.
    mean = float(np.median(counts))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], counts == 0, [0]])))
    for first, last in edges.reshape(-1, 2):
        if len(counts) * np.exp(-mean * (last - first)) < _CHANCE:
            bad[low + first : low + last] = True
    return bad


def _fit(sky: Floats, pixel: Floats) -> Floats:
    """The map of a CCD, shape (2, 3), by least squares about the middle."""
    middle = sky.mean(axis=1, keepdims=True)
    rows = np.vstack([sky - middle, np.ones(sky.shape[1])])
    matrix = np.linalg.lstsq(rows.T, pixel.T, rcond=None)[0].T
    matrix[:, 2] -= matrix[:, :2] @ middle[:, 0]
    return np.asarray(matrix)


def _edges(events: EventList, ccd: int, camera: Instrument) -> tuple[Floats, Floats]:
    """First and last column and row that were read: those of the CCD, or of a window of it."""
    own = events.ccdnr == ccd
    low, high = [], []
    for values, size in ((events.rawx[own], camera.n_columns), (events.rawy[own], camera.n_rows)):
        first, last = int(values.min()), int(values.max())
        # Edges without events, by chance or since they are not calibrated, are within a few pixels.
        low.append(1 if first <= _EDGE else first)
        high.append(size if last > size - _EDGE else last)
    return np.array(low, float), np.array(high, float)
