"""How probable it is that a counterpart is there by chance: local density (method.md, Cross-match).

The density of a catalogue around a source comes from the rows beyond the search radius, so that
the counterpart itself does not count.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.counterparts.matching import ROUNDING, Positions
from exod.schemas.arrays import Floats
from exod.sky.sphere import ARCSEC, angle, chord

NEIGHBOURS: Final = 32
"""Neighbours that measure the density around a source: its relative error is 18 %."""

_THREADS: Final = 5_000
"""Sources from which on threads are worth it."""
_SPHERE_ARCMIN2: Final = 4.0 * np.pi * (180.0 * 60.0 / np.pi) ** 2
_SMALLEST_ARCMIN2: Final = 1e-12
"""Area of a circle of a tenth of a milliarcsec, below which nothing is measured."""


def outer_distances(
    sources: Positions,
    rows: Positions,
    radius_arcsec: float,
    reach_arcsec: float,
    neighbours: int = NEIGHBOURS,
) -> Floats:
    """Distances of the nearest rows beyond the radius of the match: they measure the density.

    What is within the radius does not count, so that a counterpart does not add to the density
    that tells whether it is one. Motions are left out, since the density does not depend on them.

    Returns
    -------
    ndarray of float64, shape (n, neighbours)
        In arcsec, ascending; infinite where there are no more within the reach.
    """
    found = np.full((len(sources), neighbours), np.inf)
    if not len(sources) or not len(rows):
        return found
    ours, tree = sources.vectors, rows.tree
    inner, outer = float(chord(radius_arcsec)), float(chord(reach_arcsec)) * (1.0 + ROUNDING)
    left = np.arange(len(sources))
    wanted = neighbours + 8
    while left.size:
        wanted = min(wanted, len(rows))
        numbers = np.arange(1, wanted + 1)
        # Starting threads takes longer than a few sources do.
        workers = -1 if left.size > _THREADS else 1
        met = tree.query(ours[left], k=numbers, distance_upper_bound=outer, workers=workers)
        chords = np.asarray(met[0])
        beyond = np.sort(np.where(chords > inner, chords, np.inf), axis=1)[:, :neighbours]
        found[left, : beyond.shape[1]] = angle(beyond)
        full = np.isfinite(found[left]).all(axis=1)
        exhausted = ~np.isfinite(chords[:, -1]) | (wanted == len(rows))
        left = left[~full & ~exhausted]
        wanted *= 4
    return found


def nearest_of(*distances: Floats) -> Floats:
    """Merge what `outer_distances` gives for several blocks."""
    count = distances[0].shape[1]
    return np.sort(np.concatenate(distances, axis=1), axis=1)[:, :count]


def cap_arcmin2(radius_arcsec: ArrayLike) -> Floats:
    """Area of a circle on the sky, as large as it may be, in square arcmin."""
    half = np.minimum(np.asarray(radius_arcsec, dtype=np.float64) * ARCSEC / 2.0, np.pi / 2.0)
    return _SPHERE_ARCMIN2 * np.sin(half) ** 2


def local_density(outer: Floats, radius_arcsec: float, reach_arcsec: float) -> Floats:
    """Density of a catalogue around each source, from its neighbours beyond the radius.

    With k neighbours in reach it is (k - 1) / area, with the ring from the radius to the k-th
    neighbour as the area: unbiased where the density is constant over the ring, with a relative
    error of 1 / sqrt(k - 2). With N < k in reach it is (N + 1) / area of the whole ring, the mean
    of what is possible after N were counted, never zero: a chance that is too large rather than
    too small.

    Parameters
    ----------
    outer : ndarray of float64, shape (n, k)
        Of `outer_distances`.
    radius_arcsec, reach_arcsec : float
        Inner and outer edge of the ring that was looked at.

    Returns
    -------
    ndarray of float64, shape (n,)
        Rows per square arcmin.

    Examples
    --------
    >>> import numpy as np
    >>> ring = np.sqrt(np.arange(1, 33) * 3600 / np.pi)[None, :]
    >>> local_density(ring, 0.0, 600.0).round(3)  # one per square arcmin, and 31 of them count
    array([0.969])
    """
    count = np.isfinite(outer).sum(axis=1)
    last = outer[:, -1]
    full = np.isfinite(last)
    inner = cap_arcmin2(radius_arcsec)
    edge = np.where(full, last, reach_arcsec)
    # Copies of one position beyond the edge would make a ring without an area.
    area = np.maximum(cap_arcmin2(edge) - inner, _SMALLEST_ARCMIN2)
    return np.where(full, count - 1, count + 1) / area


def chance(sep_arcsec: ArrayLike, density_arcmin2: ArrayLike) -> Floats:
    """Probability that an unrelated row is as near as that: 1 - exp(-pi r^2 rho).

    Parameters
    ----------
    sep_arcsec : array_like
        Separation r of the nearest row.
    density_arcmin2 : array_like
        Density rho of the catalogue around it.

    Returns
    -------
    ndarray of float64
        For unrelated positions it is uniform between 0 and 1, but for the error of the density: a
        value below 0.05 comes by chance in 5 of 100 random positions.

    Examples
    --------
    >>> float(chance(15.0, 0.1).round(4)), float(chance(15.0, 20.0).round(2))
    (0.0194, 0.98)
    """
    return -np.expm1(-cap_arcmin2(sep_arcsec) * np.asarray(density_arcmin2, dtype=np.float64))


def with_chance(
    found: pd.DataFrame, outer: Floats, radius_arcsec: float, reach_arcsec: float
) -> pd.DataFrame:
    """Matches with the density around each and the probability of chance.

    Parameters
    ----------
    found : DataFrame
        As of `match_rows`.
    outer : ndarray of float64, shape (len(found), k)
        As of `outer_distances` for these sources.
    radius_arcsec, reach_arcsec : float
        Inner and outer edge of the ring that was looked at.

    Returns
    -------
    DataFrame
        With the columns density_arcmin2 and p_chance.
    """
    density = local_density(outer, radius_arcsec, reach_arcsec)
    return found.assign(density_arcmin2=density, p_chance=chance(found["sep_arcsec"], density))
