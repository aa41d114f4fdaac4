"""Counterparts: the nearest row of a catalogue, proper motion, probability of chance (METHOD 9).

A catalogue comes in blocks, parts of the sky in any size and order. Each block is matched by
itself (`match_rows`), and the blocks are merged (`merge`), so that nothing depends on how the
catalogue is divided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ARCSEC: Final = np.pi / 180.0 / 3600.0
"""Radians of an arcsec."""
NEIGHBOURS: Final = 32
"""Neighbours that measure the density around a source: its relative error is 18 %."""
J2000_MJD: Final = 51544.5
_YEAR: Final = 365.25
"""Days of a Julian year."""
_SPHERE_ARCMIN2: Final = 4.0 * np.pi * (180.0 * 60.0 / np.pi) ** 2
_SMALLEST_ARCMIN2: Final = 1e-12
"""Area of a circle of a tenth of a milliarcsec, below which nothing is measured."""
_CLASSES: Final = (0.1, 1.0, 10.0, np.inf)
"""Limits of the classes of motion, in search radii: fast stars alone are searched far away."""
_ROUNDING: Final = 1e-9
"""Share by which search radii are enlarged, since chords are rounded."""


@dataclass(frozen=True)
class Positions:
    """Positions on the sky, with motion if it is known.

    Attributes
    ----------
    ra_deg, dec_deg : ndarray of float64, shape (n,)
        ICRS.
    year : ndarray of float64, shape (n,), optional
        Epoch, Julian years. NaN or nothing: it is not known, and nothing is moved.
    pm_ra, pm_dec : ndarray of float64, shape (n,), optional
        Proper motion in arcsec a year, `pm_ra` with the factor cos(Dec). NaN: not known.
    """

    ra_deg: Floats
    dec_deg: Floats
    year: Floats | None = None
    pm_ra: Floats | None = None
    pm_dec: Floats | None = None

    def __len__(self) -> int:
        return len(self.ra_deg)

    def take(self, index: Integers | NDArray[np.bool_]) -> Positions:
        """Some of them."""
        year, pm_ra, pm_dec = (
            None if value is None else value[index]
            for value in (self.year, self.pm_ra, self.pm_dec)
        )
        return Positions(self.ra_deg[index], self.dec_deg[index], year, pm_ra, pm_dec)

    @property
    def moves(self) -> bool:
        """Whether motions and epochs are given."""
        return self.year is not None and self.pm_ra is not None and self.pm_dec is not None


def julian_year(mjd: ArrayLike) -> Floats:
    """Epoch in Julian years of a modified Julian date.

    Examples
    --------
    >>> float(julian_year(51544.5 + 365.25 * 16))
    2016.0
    """
    return 2000.0 + (np.asarray(mjd, dtype=np.float64) - J2000_MJD) / _YEAR


def vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Unit vectors of positions, shape (n, 3)."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    cos = np.cos(dec)
    return np.stack([cos * np.cos(ra), cos * np.sin(ra), np.sin(dec)], axis=-1)


def chord(angle_arcsec: ArrayLike) -> Floats:
    """Distance of the ends of two unit vectors with an angle in between."""
    half = np.minimum(np.asarray(angle_arcsec, dtype=np.float64) * ARCSEC / 2.0, np.pi / 2.0)
    return 2.0 * np.sin(half)


def angle(chords: ArrayLike) -> Floats:
    """Angle in arcsec between unit vectors whose ends have a distance; infinite stays infinite."""
    chords = np.asarray(chords, dtype=np.float64)
    near = 2.0 * np.arcsin(np.minimum(chords / 2.0, 1.0)) / ARCSEC
    return np.where(np.isfinite(chords), near, np.inf)


def moved(rows: Positions, year: ArrayLike) -> tuple[Floats, Floats]:
    """Positions at another epoch, by proper motion; without parallax and radial velocity.

    Parameters
    ----------
    rows : Positions
        Where they are at their epochs.
    year : array_like of float64, shape (n,) or scalar
        The epoch wanted; NaN leaves a position where it is.

    Returns
    -------
    ra_deg, dec_deg : ndarray of float64, shape (n,)
        Exact at the poles too, since vectors are moved.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones(1)
    >>> barnard = Positions(269.4521 * one, 4.6934 * one, 2000 * one, -0.8016 * one, 10.3624 * one)
    >>> ra, dec = moved(barnard, 2016.0)
    >>> round(float(dec[0] - 4.6934) * 3600, 2)
    165.8
    """
    if rows.year is None or rows.pm_ra is None or rows.pm_dec is None:
        return rows.ra_deg, rows.dec_deg
    years = np.asarray(year, dtype=np.float64) - rows.year
    east_by, north_by = (years * motion * ARCSEC for motion in (rows.pm_ra, rows.pm_dec))
    known = np.isfinite(east_by) & np.isfinite(north_by)
    still = ~known | ((east_by == 0) & (north_by == 0))
    ra, dec = np.radians(rows.ra_deg), np.radians(rows.dec_deg)
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    ends = vectors(rows.ra_deg, rows.dec_deg)
    ends = ends + np.where(known, east_by, 0.0)[:, None] * east
    ends = ends + np.where(known, north_by, 0.0)[:, None] * north
    new_ra = np.degrees(np.arctan2(ends[:, 1], ends[:, 0])) % 360.0
    new_dec = np.degrees(np.arctan2(ends[:, 2], np.hypot(ends[:, 0], ends[:, 1])))
    return np.where(still, rows.ra_deg, new_ra), np.where(still, rows.dec_deg, new_dec)


@dataclass(frozen=True)
class Pairs:
    """Sources and rows of a catalogue that are near each other.

    Attributes
    ----------
    source, row : ndarray of int64, shape (m,)
        Indices of both.
    sep_arcsec : ndarray of float64, shape (m,)
        Separation at the epoch of the source.
    dra_arcsec, ddec_arcsec : ndarray of float64, shape (m,)
        Row minus source; the offset in right ascension is times the cosine of the source's
        declination.
    """

    source: Integers
    row: Integers
    sep_arcsec: Floats
    dra_arcsec: Floats
    ddec_arcsec: Floats

    def within(self, radius_arcsec: float) -> Pairs:
        """Those that are not farther apart; the circle includes its edge."""
        near = self.sep_arcsec <= radius_arcsec
        return Pairs(
            self.source[near],
            self.row[near],
            self.sep_arcsec[near],
            self.dra_arcsec[near],
            self.ddec_arcsec[near],
        )


def measured(sources: Positions, rows: Positions, source: Integers, row: Integers) -> Pairs:
    """Separations and offsets of given pairs, each at the epoch of its source."""
    here, there = sources.take(source), rows.take(row)
    year = np.full(len(here), np.nan) if here.year is None else here.year
    ra, dec = moved(there, year)
    apart = vectors(here.ra_deg, here.dec_deg) - vectors(ra, dec)
    turn = (ra - here.ra_deg + 180.0) % 360.0 - 180.0
    return Pairs(
        source,
        row,
        angle(np.linalg.norm(apart, axis=-1)),
        turn * np.cos(np.radians(here.dec_deg)) * 3600.0,
        (dec - here.dec_deg) * 3600.0,
    )


def pairs(sources: Positions, rows: Positions, radius_arcsec: float) -> Pairs:
    """All pairs that are within a radius at the epoch of the source.

    Rows are moved to the middle of the sources' epochs. What is left to move, at most the motion
    of half the time that the sources span, enlarges the radius of the search: little for most rows
    and much for the few that are fast. Its slow equivalent is `measured` of all pairs.

    Parameters
    ----------
    sources, rows : Positions
        Both sides. Sources without an epoch meet the rows where these are at their own epochs.
    radius_arcsec : float
        Largest separation.

    Returns
    -------
    Pairs
        In the order of sources and rows.
    """
    found = [np.empty((2, 0), np.int64)]
    for some, year, half_years in _epochs(sources, rows):
        ends = vectors(*moved(rows, year))
        ours = vectors(sources.ra_deg[some], sources.dec_deg[some])
        for chosen, extra in _classes(rows, half_years, radius_arcsec):
            near = _near(ours, ends[chosen], radius_arcsec + extra)
            found.append(np.stack([some[near[0]], chosen[near[1]]]))
    source, row = np.concatenate(found, axis=1)
    order = np.lexsort((row, source))
    return measured(sources, rows, source[order], row[order]).within(radius_arcsec)


def _epochs(sources: Positions, rows: Positions) -> Iterator[tuple[Integers, float, float]]:
    """Sources that are searched together: which, at what epoch, and half the years they span."""
    everything = np.arange(len(sources))
    if not rows.moves or sources.year is None:
        yield everything, np.nan, 0.0
        return
    known = np.isfinite(sources.year)
    if known.any():
        low, high = sources.year[known].min(), sources.year[known].max()
        yield everything[known], float(low + high) / 2.0, float(high - low) / 2.0
    if not known.all():
        yield everything[~known], np.nan, 0.0


def _classes(
    rows: Positions, half_years: float, radius_arcsec: float
) -> Iterator[tuple[Integers, float]]:
    """Rows of similar motion, with how far they move beyond the middle epoch."""
    extra = np.zeros(len(rows))
    if rows.pm_ra is not None and rows.pm_dec is not None:
        extra = np.nan_to_num(np.hypot(rows.pm_ra, rows.pm_dec)) * half_years
    low = -1.0
    for share in _CLASSES:
        high = share * radius_arcsec
        chosen = np.flatnonzero((extra > low) & (extra <= high))
        if chosen.size:
            yield chosen, float(extra[chosen].max())
        low = high


def _near(ours: Floats, theirs: Floats, radius_arcsec: float) -> tuple[Integers, Integers]:
    if not len(ours) or not len(theirs):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    reach = float(chord(radius_arcsec)) * (1.0 + _ROUNDING) + 1e-15
    # Rows without a source nearby need not be in a tree that takes long to build.
    tree = cKDTree(ours, compact_nodes=False, balanced_tree=False)
    close = np.arange(len(theirs))
    if len(theirs) > len(ours):
        nearest, _ = tree.query(theirs, distance_upper_bound=reach * (1.0 + _ROUNDING), workers=-1)
        close = np.flatnonzero(np.isfinite(nearest))
    if not close.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    other = cKDTree(theirs[close])
    met = tree.sparse_distance_matrix(other, reach, output_type="coo_matrix")
    return met.row.astype(np.int64), close[met.col]


def match_rows(sources: Positions, rows: Positions, radius_arcsec: float) -> pd.DataFrame:
    """The nearest row of each source, and how many are within the radius.

    Parameters
    ----------
    sources, rows : Positions
        Both sides.
    radius_arcsec : float
        Largest separation.

    Returns
    -------
    DataFrame
        A row for each source that has one within the radius, in their order: source, row (int64
        indices; of rows equally near the first), sep_arcsec, dra_arcsec, ddec_arcsec, n_within.
        The nearest is what ``astropy.coordinates.match_coordinates_sky`` finds.

    Examples
    --------
    >>> import numpy as np
    >>> here = Positions(np.array([0.0, 10.0]), np.array([0.0, 0.0]))
    >>> there = Positions(np.array([359.999, 0.0005]), np.array([0.0, 0.0]))
    >>> match_rows(here, there, 20.0).round(3).to_dict("records")
    ... # doctest: +NORMALIZE_WHITESPACE
    [{'source': 0, 'row': 1, 'sep_arcsec': 1.8, 'dra_arcsec': 1.8, 'ddec_arcsec': 0.0,
      'n_within': 2}]
    """
    return nearest(pairs(sources, rows, radius_arcsec))


def nearest(found: Pairs) -> pd.DataFrame:
    """Of pairs, the nearest row of each source and the number of its rows; see `match_rows`."""
    order = np.lexsort((found.row, found.sep_arcsec, found.source))
    source, first, counts = np.unique(found.source[order], return_index=True, return_counts=True)
    best = order[first]
    return pd.DataFrame(
        {
            "source": source,
            "row": found.row[best],
            "sep_arcsec": found.sep_arcsec[best],
            "dra_arcsec": found.dra_arcsec[best],
            "ddec_arcsec": found.ddec_arcsec[best],
            "n_within": counts.astype(np.int64),
        }
    )


def merge(blocks: Iterable[pd.DataFrame], tie: str = "row") -> pd.DataFrame:
    """What several blocks of a catalogue found, as one.

    Parameters
    ----------
    blocks : iterable of DataFrame
        As of `match_rows`, with sources in the same numbers, and with any further columns.
    tie : str
        Column that decides between rows equally near: the smallest.

    Returns
    -------
    DataFrame
        As of a single block: the nearest of each source, n_within summed.
    """
    every = pd.concat(list(blocks), ignore_index=True)
    total = every.groupby("source")["n_within"].sum()
    every = every.sort_values(["source", "sep_arcsec", tie], kind="stable")
    best = every.drop_duplicates("source").reset_index(drop=True)
    return best.assign(n_within=total.loc[best["source"]].to_numpy())


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
    ours, theirs = vectors(sources.ra_deg, sources.dec_deg), vectors(rows.ra_deg, rows.dec_deg)
    tree = cKDTree(theirs)
    inner, outer = float(chord(radius_arcsec)), float(chord(reach_arcsec)) * (1.0 + _ROUNDING)
    left = np.arange(len(sources))
    wanted = neighbours + 8
    while left.size:
        wanted = min(wanted, len(rows))
        numbers = np.arange(1, wanted + 1)
        met = tree.query(ours[left], k=numbers, distance_upper_bound=outer, workers=-1)
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
