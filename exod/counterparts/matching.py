"""Counterparts: the nearest row of a catalogue, with proper motion (method.md, Cross-match).

A catalogue comes in blocks, parts of the sky in any size and order. Each block is matched by
itself (`match_rows`), and the blocks are merged (`merge`), so that nothing depends on how the
catalogue is divided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from exod.schemas.arrays import EqualColumns, Floats, Integers, Mask
from exod.sky.sphere import ARCSEC, angle, chord, unit_vectors

J2000_MJD: Final = 51544.5
_YEAR: Final = 365.25
"""Days of a Julian year."""
_CLASSES: Final = (0.1, 1.0, 10.0, np.inf)
"""Limits of the classes of motion, in search radii: fast stars alone are searched far away."""
_MANY: Final = 4
"""Rows for each source from which on it is quicker to leave out those far from all sources."""
_HASHES: Final = 1 << 24
ROUNDING: Final = 1e-9
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

    def take(self, index: Integers | Mask) -> Positions:
        """Some of them."""
        year, pm_ra, pm_dec = (
            None if value is None else value[index]
            for value in (self.year, self.pm_ra, self.pm_dec)
        )
        return Positions(self.ra_deg[index], self.dec_deg[index], year, pm_ra, pm_dec)

    @cached_property
    def vectors(self) -> Floats:
        """Their unit vectors, shape (n, 3)."""
        return unit_vectors(self.ra_deg, self.dec_deg)

    @cached_property
    def tree(self) -> cKDTree:
        """Tree of their unit vectors, made once: most of the time of a match goes into it."""
        # A simple tree takes half the time to make, and no more to search.
        return cKDTree(self.vectors, compact_nodes=False, balanced_tree=False)

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
    ends = unit_vectors(rows.ra_deg, rows.dec_deg)
    ends = ends + np.where(known, east_by, 0.0)[:, None] * east
    ends = ends + np.where(known, north_by, 0.0)[:, None] * north
    new_ra = np.degrees(np.arctan2(ends[:, 1], ends[:, 0])) % 360.0
    new_dec = np.degrees(np.arctan2(ends[:, 2], np.hypot(ends[:, 0], ends[:, 1])))
    return np.where(still, rows.ra_deg, new_ra), np.where(still, rows.dec_deg, new_dec)


@dataclass(frozen=True)
class MatchedPairs(EqualColumns):
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

    def within(self, radius_arcsec: float) -> MatchedPairs:
        """Those that are not farther apart; the circle includes its edge."""
        return self.take(self.sep_arcsec <= radius_arcsec)


def measured(sources: Positions, rows: Positions, source: Integers, row: Integers) -> MatchedPairs:
    """Separations and offsets of given pairs, each at the epoch of its source."""
    here, there = sources.take(source), rows.take(row)
    year = np.full(len(here), np.nan) if here.year is None else here.year
    ra, dec = moved(there, year)
    apart = unit_vectors(here.ra_deg, here.dec_deg) - unit_vectors(ra, dec)
    turn = (ra - here.ra_deg + 180.0) % 360.0 - 180.0
    return MatchedPairs(
        source,
        row,
        angle(np.linalg.norm(apart, axis=-1)),
        turn * np.cos(np.radians(here.dec_deg)) * 3600.0,
        (dec - here.dec_deg) * 3600.0,
    )


def pairs(sources: Positions, rows: Positions, radius_arcsec: float) -> MatchedPairs:
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
    MatchedPairs
        In the order of sources and rows.
    """
    found = [np.empty((2, 0), np.int64)]
    for some, year, half_years in _epochs(sources, rows):
        here = sources.take(some)
        for chosen, extra in _classes(rows, half_years, radius_arcsec):
            there = rows
            if not np.isnan(year) or chosen.size < len(rows):
                there = rows.take(chosen)
                there = Positions(*moved(there, year))
            near = _near(here, there, radius_arcsec + extra)
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


def _near(here: Positions, there: Positions, radius_arcsec: float) -> tuple[Integers, Integers]:
    if not len(here) or not len(there):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    reach = float(chord(radius_arcsec)) * (1.0 + ROUNDING) + 1e-15
    if len(there) < _MANY * len(here):
        met = here.tree.sparse_distance_matrix(there.tree, reach, output_type="coo_matrix")
        return met.row.astype(np.int64), met.col.astype(np.int64)
    some = _possible(here.vectors, there.vectors, reach)
    tree = cKDTree(there.vectors[some], compact_nodes=False, balanced_tree=False)
    met = here.tree.sparse_distance_matrix(tree, reach, output_type="coo_matrix")
    return met.row.astype(np.int64), some[met.col]


def _possible(ours: Floats, theirs: Floats, reach: float) -> Integers:
    """Rows that can be within reach of a source, and some that are not, without a tree.

    Space is divided into cubes four times as wide as the reach, so that what is near a source is
    in one of the eight cubes around the corners of its own. Cubes are marked under a hash of their
    numbers; two with the same hash are taken for one, which only lets more rows through.
    """
    width = 4.0 * reach
    marked = np.zeros(_HASHES, np.bool_)
    low, high = (np.floor((ours + way * reach) / width).astype(np.int64) for way in (-1, 1))
    for corner in range(8):
        sides = [(high if corner >> axis & 1 else low)[:, axis] for axis in range(3)]
        marked[_hash(*sides)] = True
    cubes = np.floor(theirs / width).astype(np.int64)
    return np.flatnonzero(marked[_hash(*cubes.T)])


def _hash(x: Integers, y: Integers, z: Integers) -> Integers:
    # Primes of Teschner et al. 2003, Optimized spatial hashing, section 4.1.
    return (x * 73856093 ^ y * 19349663 ^ z * 83492791) & (_HASHES - 1)


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


def nearest(found: MatchedPairs) -> pd.DataFrame:
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
