"""What exposures say of places at times: counts, background, and how much light they would see.

A place has the cells whose centres are within a radius, and the cell that it is in. Of an exposure
it has their counts n, the background mu and the seconds for which the light of a point source
there was seen. Several exposures add up (`combined`), and `limit_columns` makes of the sums an
interval or an upper limit of counts, rate and flux.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.schemas.arrays import EqualColumns, Floats, Indices
from exod.sensitivity.depth.depthmaps import TICK, ExposureDepth
from exod.sensitivity.depth.placecells import CellImages, PlaceCells, crossed_edges, light_shares
from exod.sensitivity.depth.placerows import PlaceRows, ProjectedPlaces
from exod.sensitivity.depth.upperlimits import chance_log, counts_interval

RADIUS_ARCSEC: Final = 20.0
"""Radius of a place: holds most of the light, and little background."""

LEAST_SHARE: Final = 0.1
"""A place is covered if so much of the light of a point source falls on pixels that see."""


@dataclass(frozen=True)
class PlaceSums(EqualColumns):
    """What exposures have of places, one row each.

    Attributes
    ----------
    place : ndarray of intp
        Number of the place.
    n, mu : ndarray of float64
        Counts, NaN where no photons were kept; and background, NaN where the pointing took the
        place over an edge in less than a period of its motion.
    constant : ndarray of float64
        Counts of known and bright sources there, if they are constant.
    live, longest : ndarray of float64
        Seconds for which the CCD of the place was live: of all exposures, and of the longest.
    seen : ndarray of float64
        The same times the share of light of a point source in cells, on pixels that see; NaN as
        `mu`.
    response : ndarray of float64
        Counts for each erg/cm^2/s of a constant source; NaN if there is no factor.
    start, stop : ndarray of float64
        First and last second that was asked for and observed.
    whole : ndarray of float64
        Background and constant sources in all of the exposure.
    cells : ndarray of float64
        Cells of the place that see, of the exposure that has most.
    cameras : ndarray of int64
        How many exposures.
    """

    place: Indices
    n: Floats
    mu: Floats
    constant: Floats
    live: Floats
    longest: Floats
    seen: Floats
    response: Floats
    start: Floats
    stop: Floats
    whole: Floats
    cells: Floats
    cameras: Indices

    def renumbered(self, place: Indices) -> PlaceSums:
        """The same with the numbers that places have among more."""
        return replace(self, place=place[self.place])


def place_sums(
    depths: ExposureDepth | Sequence[ExposureDepth],
    band: int,
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    start: ArrayLike = -np.inf,
    stop: ArrayLike = np.inf,
    radius_arcsec: float = RADIUS_ARCSEC,
    asked: Sequence[Indices] = (),
) -> PlaceSums:
    """What exposures have of places.

    Parameters
    ----------
    depths : ExposureDepth or sequence of ExposureDepth
        One exposure or several.
    band : int
        Number of the band.
    ra_deg, dec_deg : array_like, shape (n,)
        Places in degrees.
    start, stop : array_like, shape (n,) or one number
        Half-open range of mission elapsed seconds; all by default.
    radius_arcsec : float
        Radius of a place.
    asked : sequence of ndarray of intp
        For each exposure, which of the places it is asked about; all without it.

    Returns
    -------
    PlaceSums
        Exposure by exposure, the places that it covered in that time.
    """
    depths = [depths] if isinstance(depths, ExposureDepth) else depths
    ra, dec, low, high = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(value, float)) for value in (ra_deg, dec_deg, start, stop))
    )
    asked = asked or [np.arange(len(ra))] * len(depths)
    rows = PlaceRows.of(depths, band, ProjectedPlaces(ra, dec), low, high, asked)
    return sums_of_rows(depths, band, rows, radius_arcsec)


def sums_of_rows(
    depths: Sequence[ExposureDepth], band: int, rows: PlaceRows, radius_arcsec: float
) -> PlaceSums:
    """As `place_sums`, of places in exposures that are worked out already."""
    cells = PlaceCells.of(depths, rows, radius_arcsec)
    shares = light_shares(depths, rows, cells)
    images = cells.images(depths, band)
    area = images.area
    chips = _ChipTimes.of(depths, band, rows, images)
    good, bad = area * images.good, area * images.bad
    mu = (chips.good * good + chips.bad * bad).sum(1)
    whole = (chips.all_good * good + chips.all_bad * bad).sum(1)
    seen = (chips.seconds * area * shares).sum(1)
    live = chips.seconds.max(1)
    # The last chip that a place is on counts, as for its cells of constant sources.
    last = np.arange(len(chips.usual)), chips.number.argmax(1)
    usual, every = chips.usual[last], chips.every[last]
    steady = images.constant.sum(1)
    saw = (seen > LEAST_SHARE * live) & (live > 0)
    moved = crossed_edges(depths, rows, area, shares)
    mu[moved] = seen[moved] = np.nan
    columns = (
        rows.place,
        _counts(depths, band, rows, cells, images.n.sum(1)),
        mu,
        steady * live / np.where(usual > 0, usual, 1.0),
        live,
        live,
        seen,
        seen * rows.response,
        rows.begin,
        rows.end,
        whole + steady * every,
        area.sum(1),
        np.ones(len(rows.place), int),
    )
    return PlaceSums(*columns).take(saw)


@dataclass(frozen=True)
class _ChipTimes:
    """What the chips that cells are on have of the times that are asked for.

    Attributes
    ----------
    number : ndarray of intp, shape (n_places, n_around)
        Number of the chip among those of an exposure; 0 where a cell is on none that was live, and
        all that follows is 0 there.
    seconds : ndarray of float64, that shape
        Live time.
    good, bad : ndarray of float64, that shape
        Level times live time, in good and in bad time.
    all_good, all_bad : ndarray of float64, that shape
        Those of all of the exposure.
    usual, every : ndarray of float64, that shape
        Live share that the chip usually has, and the live time of all of the exposure in terms of
        it.
    """

    number: Indices
    seconds: Floats
    good: Floats
    bad: Floats
    all_good: Floats
    all_bad: Floats
    usual: Floats
    every: Floats

    @classmethod
    def of(
        cls, depths: Sequence[ExposureDepth], band: int, rows: PlaceRows, images: CellImages
    ) -> _ChipTimes:
        """For places of exposures."""
        chips, number = images.chips()
        ends = np.searchsorted(rows.exposure, np.arange(len(depths) + 1)).tolist()
        known = [np.zeros((7, 1))]
        # Where the times of a chip begin among all, and by how much each place goes on from there.
        first, step, size = [0], [0], 1
        for exposure, ccdnr in chips:
            if ccdnr not in depths[exposure].live:
                first.append(0)
                step.append(0)
                continue
            start, stop = ends[exposure : exposure + 2]
            known.append(_chip_times(depths[exposure], ccdnr, band, rows, slice(start, stop)))
            found = known[-1].shape[1]
            step.append(int(found > 1))
            first.append(size - start * step[-1])
            size += found
        start, each = np.array(first)[number], np.array(step)[number]
        index = start + each * np.arange(len(number))[:, None]
        return cls(np.where(index > 0, number, 0), *np.concatenate(known, axis=1)[:, index])


def _chip_times(depth: ExposureDepth, ccdnr: int, band: int, rows: PlaceRows, own: slice) -> Floats:
    """What a chip has, in the order of `_ChipTimes`, for some rows; one column for all if alike."""
    curve = depth.live[ccdnr]
    seconds, total = curve.seconds, depth.level_total(ccdnr, band)
    rest = np.array([*total, curve.usual, seconds / curve.usual])[:, None]
    if rows.is_whole[own].all():
        return np.concatenate([[[seconds]], total[:, None], rest])
    begin, end = rows.begin[own], rows.end[own]
    live = (curve.at(end) - curve.at(begin)) * curve.usual
    level = depth.level_up_to(ccdnr, band, end) - depth.level_up_to(ccdnr, band, begin)
    return np.concatenate([live[None], level, np.repeat(rest, len(begin), axis=1)])


def _counts(
    depths: Sequence[ExposureDepth], band: int, rows: PlaceRows, cells: PlaceCells, total: Floats
) -> Floats:
    """Counts of the places, `total` in all of the time; NaN for a part of it without photons."""
    for place in np.flatnonzero(~rows.is_whole).tolist():
        depth = depths[rows.exposure[place]]
        photons, count = depth.photons, 0
        if photons is None:
            total[place] = np.nan
            continue
        origin = depth.frames.t_lo
        low, high = (np.floor((value[place] - origin) / TICK) for value in (rows.begin, rows.end))
        for cell in cells.index[place][cells.chosen[place]].tolist():
            own = slice(photons.first[cell], photons.first[cell + 1])
            first, last = np.searchsorted(photons.tick[own], (low, high))
            kind = photons.kind[own][first:last]
            count += int(np.count_nonzero(kind >> band & 1))
        total[place] = count
    return total


def combined(parts: Sequence[PlaceSums]) -> PlaceSums:
    """Sums over exposures, one row a place, with the earliest and the latest time."""
    if not parts:
        place, no = np.empty(0, np.intp), np.empty(0)
        return PlaceSums(place, no, no, no, no, no, no, no, no, no, no, no, place)
    rows = PlaceSums.concatenate(parts)
    place, number = np.unique(rows.place, return_inverse=True)

    def summed(name: str) -> Floats:
        return np.bincount(number, getattr(rows, name), len(place)).astype(float)

    def best(values: Floats, choose: np.ufunc, start: float) -> Floats:
        found = np.full(len(place), start)
        choose.at(found, number, values)
        return found

    return PlaceSums(
        place,
        summed("n"),
        summed("mu"),
        summed("constant"),
        summed("live"),
        best(rows.longest, np.maximum, 0.0),
        summed("seen"),
        summed("response"),
        best(rows.start, np.minimum, np.inf),
        best(rows.stop, np.maximum, -np.inf),
        summed("whole"),
        best(rows.cells, np.maximum, 0.0),
        summed("cameras").astype(int),
    )


def limit_columns(sums: PlaceSums, level: float = 0.9) -> dict[str, NDArray[Any]]:
    """Intervals and limits of what places have.

    Parameters
    ----------
    sums : PlaceSums
        Of all exposures.
    level : float
        Probability of the interval.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        ``share`` of the light of a point source in the cells; ``p_log``; ``detected``; counts in
        the whole PSF, ``rate`` of all cameras together and ``flux`` as ``..._lo`` and ``..._hi``
        (an upper limit where ``_lo`` is 0), rate and flux also as the best estimate, which may be
        negative.
    """
    low, high = counts_interval(sums.n, sums.mu, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = sums.seen / sums.live
        net = sums.n - sums.mu
        seconds = share * sums.longest
        return {
            "share": share,
            "p_log": chance_log(sums.n, sums.mu),
            "detected": low > 0,
            "counts_lo": low / share,
            "counts_hi": high / share,
            "rate": net / seconds,
            "rate_lo": low / seconds,
            "rate_hi": high / seconds,
            "flux": net / sums.response,
            "flux_lo": low / sums.response,
            "flux_hi": high / sums.response,
        }
