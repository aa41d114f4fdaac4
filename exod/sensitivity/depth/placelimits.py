"""What exposures say of places at times: counts, background, and how much light they would see.

A place has the cells whose centres are within a radius, and the cell that it is in. Of an exposure
it has their counts n, the background mu and the seconds for which the light of a point source
there was seen. Several exposures add up (`combined`), and `limit_columns` makes of the sums an
interval or an upper limit of counts, rate and flux.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.instruments import CAMERAS
from exod.instruments.detector import DETECTORS
from exod.instruments.vignetting import VIGNETTING
from exod.observation.commonsky import sky_plane
from exod.schemas.arrays import EqualColumns, Floats, Indices, Mask
from exod.sensitivity.depth.depthmaps import TICK, ExposureDepth
from exod.sensitivity.depth.upperlimits import chance_log, counts_interval
from exod.sensitivity.profiles import MeanProfile, Profile, cell_shares
from exod.sky.plane import TangentPlane

RADIUS_ARCSEC: Final = 20.0
"""Radius of a place: holds most of the light, and little background."""

LEAST_SHARE: Final = 0.1
"""A place is covered if so much of the light of a point source falls on pixels that see."""

_OFF_AXIS: Final = np.array([0.0, 3.0, 6.0, 9.0, 12.0, 15.0])
"""Angles in arcmin for which the point spread function is worked out."""

_STEPS: Final = 10
"""Places along half a cell between which shares of light are interpolated."""


@dataclass(frozen=True)
class PlaceSums(EqualColumns):
    """What exposures have of places, one row each.

    Attributes
    ----------
    place : ndarray of intp
        Number of the place.
    n, mu : ndarray of float64
        Counts, NaN where no photons were kept; and background.
    constant : ndarray of float64
        Counts of known and bright sources there, if they are constant.
    live, longest : ndarray of float64
        Seconds for which the CCD of the place was live: of all exposures, and of the longest.
    seen : ndarray of float64
        The same times the share of light of a point source in cells, on pixels that see.
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
    depth: ExposureDepth,
    band: int,
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    start: ArrayLike = -np.inf,
    stop: ArrayLike = np.inf,
    radius_arcsec: float = RADIUS_ARCSEC,
) -> PlaceSums:
    """What an exposure has of places.

    Parameters
    ----------
    depth : ExposureDepth
        The exposure.
    band : int
        Number of the band.
    ra_deg, dec_deg : array_like, shape (n,)
        Places in degrees.
    start, stop : array_like, shape (n,) or one number
        Half-open range of mission elapsed seconds; all by default.
    radius_arcsec : float
        Radius of a place.

    Returns
    -------
    PlaceSums
        Those of the places that it covered in that time.
    """
    ra, dec = (np.atleast_1d(np.asarray(value, float)) for value in (ra_deg, dec_deg))
    first, last = depth.seconds
    begin = np.clip(np.broadcast_to(np.asarray(start, float), ra.shape), first, last)
    end = np.clip(np.broadcast_to(np.asarray(stop, float), ra.shape), first, last)
    x, y = depth.plane.to_pixel(ra, dec)
    near = np.flatnonzero(_is_near(depth, x, y) & (end > begin))
    begin, end = begin[near], end[near]
    cells = _Cells.of(depth, x[near], y[near], radius_arcsec)
    places = _pointing_plane(*depth.pointing[:2]).to_pixel(ra[near], dec[near])
    detx, dety = DETECTORS[depth.instrument].detector_from_sky(*places, depth.pointing[2])
    vignetting = VIGNETTING[depth.instrument]
    shares = _shares(depth, cells, vignetting.angle_arcmin(detx, dety), radius_arcsec)
    mu, live, seen, whole = (np.zeros(len(near)) for _ in range(4))
    ccd = cells.of_image(depth.ccd)
    images = np.stack([depth.area, *depth.ratio_of(band), depth.constant[band], depth.n[band]])
    area, *ratio, constant, n = cells.of_images(images)
    chips = np.flatnonzero(np.bincount(ccd.ravel())).tolist()
    for ccdnr in chips:
        if ccdnr not in depth.live:
            continue
        mine = ccd == ccdnr
        curve = depth.live[ccdnr]
        seconds = (curve.at(end) - curve.at(begin)) * curve.usual
        times, sums = depth.integral(ccdnr, band)
        for half, total in enumerate(sums):
            level = np.interp(end, times, total) - np.interp(begin, times, total)
            own = (area * ratio[half] * mine).sum(1)
            mu += level * own
            whole += total[-1] * own
        seen += seconds * (shares * area * mine).sum(1)
        live = np.maximum(live, seconds * mine.any(1))
    counts = _counts(
        depth, band, cells, n.sum(1), begin, end, whole=(begin <= first) & (end >= last)
    )
    steady = constant.sum(1)
    seconds, every = _usual(depth, ccd, chips, live)
    constant, whole = steady * seconds, whole + steady * every
    response = seen * (vignetting.at_nodes(detx, dety) @ depth.factor[band])
    covered = seen > LEAST_SHARE * live
    ones = np.ones(len(near), int)
    around = area.sum(1)
    columns = (
        near,
        counts,
        mu,
        constant,
        live,
        live,
        seen,
        response,
        begin,
        end,
        whole,
        around,
        ones,
    )
    return PlaceSums(*columns).take(covered & (live > 0))


@lru_cache(maxsize=1024)
def _pointing_plane(ra_deg: float, dec_deg: float) -> TangentPlane:
    """Projection about a pointing; those used last are ready."""
    return sky_plane(ra_deg, dec_deg)


def _is_near(depth: ExposureDepth, x: Floats, y: Floats) -> Mask:
    """Places in the box of the exposure."""
    width, box = depth.grid.width, depth.box
    with np.errstate(invalid="ignore"):
        inside = (x >= box.x_lo * width) & (x < box.x_hi * width)
        inside &= (y >= box.y_lo * width) & (y < box.y_hi * width)
    return np.asarray(inside)


def _usual(
    depth: ExposureDepth, ccd: NDArray[np.uint8], chips: Sequence[int], live: Floats
) -> tuple[Floats, Floats]:
    """Live seconds of places, of those asked for and of all, in terms of the usual live share."""
    share, total = np.ones(256), np.zeros(256)
    for ccdnr in chips:
        if curve := depth.live.get(ccdnr):
            share[ccdnr], total[ccdnr] = curve.usual, curve.seconds / curve.usual
    most = ccd.max(axis=1, initial=0)
    return live / share[most], total[most]


@dataclass(frozen=True)
class _Cells:
    """The cells around places.

    Attributes
    ----------
    index : ndarray of intp, shape (n_places, n_around)
        In the box of the exposure, in order of y, then x.
    chosen : ndarray of bool, that shape
        Which of them belong to the place.
    dx, dy : ndarray of float64, shape (n_places,)
        Place in its cell, from the middle, in cells.
    """

    index: Indices
    chosen: Mask
    dx: Floats
    dy: Floats

    @classmethod
    def of(cls, depth: ExposureDepth, x: Floats, y: Floats, radius_arcsec: float) -> _Cells:
        """For places in the box, in sky pixels."""
        grid, box = depth.grid, depth.box
        column, row = (np.floor(value / grid.width).astype(np.intp) for value in (x, y))
        dx, dy = x / grid.width - column - 0.5, y / grid.width - row - 0.5
        down, across = _square(reach_of(radius_arcsec, grid.size_arcsec))
        distance = np.hypot(down - dy[:, None], across - dx[:, None]) * grid.size_arcsec
        chosen = (distance <= radius_arcsec) | ((down == 0) & (across == 0))
        rows, columns = row[:, None] + down - box.y_lo, column[:, None] + across - box.x_lo
        chosen &= (rows >= 0) & (rows < box.shape[0]) & (columns >= 0) & (columns < box.shape[1])
        index = np.where(chosen, rows * box.shape[1] + columns, 0)
        return cls(index, chosen, dx, dy)

    def of_image(self, image: NDArray[Any]) -> NDArray[Any]:
        """Values of an image, shape (y, x), in the cells; 0 in those that do not belong."""
        return np.where(self.chosen, image.ravel()[self.index], 0)

    def of_images(self, images: Floats) -> Floats:
        """The same of several images, shape (n, y, x)."""
        return np.where(self.chosen, images.reshape(len(images), -1)[:, self.index], 0)


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


def _shares(depth: ExposureDepth, cells: _Cells, angle: Floats, radius_arcsec: float) -> Floats:
    """Share of the light of a point source in each cell of its place, shape of the cells."""
    reach = reach_of(radius_arcsec, depth.grid.size_arcsec)
    shares = CAMERAS[depth.instrument].observatory.photon_shares
    kind = np.abs(angle[:, None] - _OFF_AXIS).argmin(axis=1)
    found = np.zeros(cells.index.shape)
    for number in np.flatnonzero(np.bincount(kind)).tolist():
        mine = kind == number
        profile = MeanProfile(shares, off_axis_arcmin=float(_OFF_AXIS[number]))
        table = _share_table(profile, depth.grid.size_arcsec, reach)
        found[mine] = _interpolated(table, cells.dx[mine], cells.dy[mine])
    return found * cells.chosen


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
    found = 0.0
    x, y = (np.clip((value + 0.5) * 2 * _STEPS, 0, 2 * _STEPS) for value in (dx, dy))
    column, row = (np.minimum(value.astype(int), 2 * _STEPS - 1) for value in (x, y))
    for down in (0, 1):
        for across in (0, 1):
            weight = np.abs(1 - down - (y - row)) * np.abs(1 - across - (x - column))
            found = found + weight[:, None] * table[row + down, column + across]
    return np.asarray(found)


def _counts(
    depth: ExposureDepth,
    band: int,
    cells: _Cells,
    total: Floats,
    start: Floats,
    stop: Floats,
    whole: Mask,
) -> Floats:
    """Counts of the places, `total` in all of the time; NaN for a part of it without photons."""
    if whole.all():
        return total
    photons = depth.photons
    if photons is None:
        return np.where(whole, total, np.nan)
    origin = depth.frames.t_lo
    low, high = (np.floor((value - origin) / TICK) for value in (start, stop))
    for place in np.flatnonzero(~whole).tolist():
        count = 0
        for cell in cells.index[place][cells.chosen[place]].tolist():
            own = slice(photons.first[cell], photons.first[cell + 1])
            first, last = np.searchsorted(photons.tick[own], (low[place], high[place]))
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
