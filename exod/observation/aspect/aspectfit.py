"""The aspect of an exposure from its events: each has a pixel on a CCD and on the sky."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.instruments import Instrument
from exod.observation.aspect.chipmaps import Aspect, ChipMap, ColumnPhotons
from exod.observation.events import NO_POSITION, EventList
from exod.schemas.arrays import Floats, Mask

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
    return Aspect(middle, knots.T, chips, ColumnPhotons.of(used))


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
