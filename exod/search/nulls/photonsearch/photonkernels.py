"""The scan of all places for bursts, photon by photon: compiled (docs/ideal.md).

Everything else calls it through `exod.search.nulls.photonsearch.photonscan`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from exod.search.nulls.photonsearch.photonplaces import (
    REACH,
    SPECTRA,
    TILE,
    FieldTables,
    PhotonColumns,
    TileIndex,
    angle_of,
    around_of,
    expected_at,
    gather,
    keep_best,
    local,
    moments,
    room_of,
)
from exod.search.nulls.photonsearch.photonratio import PRIOR, Around, jit, likelihood, shares_inside

CORE: Final = 15.0
"""A window starts at a photon within this of a place, arcsec."""

STEP: Final = 4.0
"""Distance of the places that are looked at, arcsec."""

KEPT: Final = 64
"""Windows of a place that do not overlap and are kept."""

FEW: Final = 48
"""Photons up to which a window is first looked at one by one, with one guess of its counts."""

SLACK: Final = 2.5
"""What that first look may be below the likelihood ratio."""


class WantedWindows(NamedTuple):
    """Windows that are looked for.

    Attributes
    ----------
    lengths : ndarray of float64, shape (n_lengths,)
        Seconds.
    least : float
        Likelihood ratio, less its trials.
    fewest : ndarray of int64, shape (n_lengths, n_means)
        Counts of the core that a window needs, by the expected ones.
    """

    lengths: Any
    least: float
    fewest: Any


class Core(NamedTuple):
    """Photons of the core of a place, and sums over all around it; arrays have room for more.

    Attributes
    ----------
    index : ndarray of int64
        Which of those around the place.
    time, level : ndarray of float64
        Live time, and logarithm of the share of all background photons in a second.
    one : ndarray of float64, shape (2, n_spectra, >= n + 1)
        Running sums of what a burst of one count has over the background, and of its square.
    sums : ndarray of float64, shape (n_spectra, n_pieces)
        Weights in each piece.
    kept, window : ndarray of float64, shape (n, 7) and (7,)
        Windows of the place, as rows of `scan`; and scratch.
    """

    index: Any
    time: Any
    level: Any
    one: Any
    sums: Any
    kept: Any
    window: Any


@jit
def scan(
    photons: PhotonColumns, tiles: TileIndex, field: FieldTables, wanted: WantedWindows, found: Any
) -> int:
    """Windows of all places whose likelihood ratio, less its trials, is as wanted.

    Rows of `found` are: value, x, y, begin, length, spectrum, counts. Returns how many there are;
    those that `found` has no room for are left out.
    """
    most, n_pieces = room_of(tiles), field.table.shape[0] - 2
    around = around_of(most, n_pieces)
    core = Core(
        np.empty(most, np.int64),
        np.empty(most),
        np.empty(most),
        np.empty((2, SPECTRA, most + 1)),
        np.empty((SPECTRA, n_pieces)),
        np.empty((KEPT, 7)),
        np.empty(7),
    )
    indices = np.empty(most, np.int64)
    n_found = 0
    across = int(TILE / STEP)
    for tile in range(tiles.rows * tiles.columns):
        x_lo, y_lo = (tile % tiles.columns) * TILE, (tile // tiles.columns) * TILE
        n = gather(
            x_lo - REACH, y_lo - REACH, x_lo + TILE + REACH, y_lo + TILE + REACH, tiles, indices
        )
        if n < 2:
            continue
        for place in range(across * across):
            x0 = x_lo + (place % across + 0.5) * STEP
            y0 = y_lo + (place // across + 0.5) * STEP
            angle = angle_of(x0, y0, field)
            m = local(x0, y0, indices, n, photons, field.profiles, angle, around)
            n_core = core_of(photons, around, m, core)
            if n_core < 2:
                continue
            for k in range(place_windows(x0, y0, m, n_core, photons, field, wanted, around, core)):
                if n_found < len(found):
                    found[n_found, :] = core.kept[k, :]
                n_found += 1
    return n_found


@jit
def core_of(photons: PhotonColumns, around: Around, m: int, core: Core) -> int:
    """Those of the photons around a place that are in its core; how many."""
    n = 0
    for k in range(m):
        if around.squared[k] < CORE * CORE:
            core.index[n] = k
            core.time[n] = photons.time[around.chosen[k]]
            core.level[n] = photons.level[around.chosen[k]]
            n += 1
    return n


@jit
def place_windows(
    x0: float,
    y0: float,
    m: int,
    n_core: int,
    photons: PhotonColumns,
    field: FieldTables,
    wanted: WantedWindows,
    around: Around,
    core: Core,
) -> int:
    """Windows of a place, into `core.kept`; how many."""
    here = expected_at(x0, y0, field)
    log_core, bins = np.log(n_core), wanted.fewest.shape[1]
    ready, n_kept = False, 0
    for number in range(len(wanted.lengths)):
        length = wanted.lengths[number]
        need = wanted.least + np.log(field.total / length)
        log_length = np.log(length)
        j = 0
        for i in range(n_core):
            begin = core.time[i]
            if begin + length > field.total + 1e-3:
                break
            while j < n_core and core.time[j] <= begin + length:
                j += 1
            log_mean = min(log_core, log_core + log_length + core.level[i])
            which = min(max(int((log_mean + 14.0) * 4.0), 0), bins - 1)
            if j - i < wanted.fewest[number, which]:
                continue
            if not ready:
                ready = True
                moments(photons, m, around)
                prepare(m, around, core)
            # A burst of the counts that the core has more, without its best A.
            guess = 1.3 * max(j - i - np.exp(log_mean), 0.5 * (j - i))
            first = int(core.index[i])
            last = np.searchsorted(around.time[:m], begin + length, side="right")
            portion = shares_inside(field.table, begin, length, around)
            for s in range(SPECTRA):
                if first_look(s, first, last, length, portion, here, guess, field, around, core) < (
                    need - SLACK
                ):
                    continue
                value, a = likelihood(
                    around, s, m, first, last, begin, length, 0.0, portion, here, field.enclosed
                )
                if value >= need:
                    window = core.window
                    window[0] = value - np.log(field.total / length)
                    window[1], window[2], window[3], window[4] = x0, y0, begin, length
                    window[5], window[6] = s, a
                    n_kept = keep_best(core.kept, n_kept, window)
    return n_kept


@jit
def prepare(m: int, around: Around, core: Core) -> None:
    """Sums over the photons around a place."""
    core.sums[:] = 0.0
    for s in range(SPECTRA):
        core.one[0, s, 0] = core.one[1, s, 0] = 0.0
        for k in range(m):
            w = around.weight[s, k]
            core.sums[s, around.piece[k]] += w
            ratio = w * around.inverse[k]
            core.one[0, s, k + 1] = core.one[0, s, k] + ratio
            core.one[1, s, k + 1] = core.one[1, s, k] + ratio * ratio


@jit
def first_look(
    s: int,
    first: int,
    last: int,
    length: float,
    portion: float,
    here: float,
    guess: float,
    field: FieldTables,
    around: Around,
    core: Core,
) -> float:
    """About the likelihood ratio of a window, quickly; far below 0 without an excess."""
    keep = here / (here + PRIOR)
    sum_in = core.one[0, s, last] - core.one[0, s, first]
    known = 0.0
    for number in range(around.n_pieces[0]):
        piece = around.pieces[number]
        known += around.inside[piece] * core.sums[s, piece]
    known = keep * known + (1.0 - keep) * field.enclosed
    ratio = sum_in / length / max(known, 1e-9)
    if ratio <= 1.0:
        return -1e9
    if last - first > FEW:
        square_in = core.one[1, s, last] - core.one[1, s, first]
        rough = np.log(ratio) - 1.0 + 1.0 / ratio
        return rough * sum_in * sum_in / square_in / (1.0 - 0.9 * portion)
    rough, product = -guess * known, 1.0
    for k in range(first, last):
        product *= 1.0 + guess * around.weight[s, k] * around.inverse[k] / length
        if (k - first) % 8 == 7:
            rough += np.log(product)
            product = 1.0
    return rough + np.log(product)
