"""What each photon says of a burst: its background by place, camera, energy and time.

All of it is estimated from the observation itself (docs/ideal.md). Given where a photon fell, in
which camera and with which energy, chance decides when: times are independent, as the level of the
background is, within each class of time. So nothing that is said here makes false alarms that
shuffled times would not make, too; what is wrong costs counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from exod.counts.shares import ConditionalExpectation, LevelCurve, level_curve
from exod.observation.events import Exposure
from exod.observation.subsets import MergedEvents
from exod.schemas.arrays import Floats, Indices, Integers, Mask
from exod.sensitivity.profiles import MeanProfile

BAND_EDGES_EV: Final = (200.0, 500.0, 1000.0, 2000.0, 4500.0, 12000.0)
"""Bands in each of which the background has an image of its own."""

SOFT_EV: Final = 2000
"""Photons below and above have a level of the background of their own, as flares are hard."""

MEDIANS_KEV: Final = (0.7, 1.3, 3.0)
SPECTRUM_WIDTH: Final = 0.65
"""Spectra of bursts: log-normal, with these medians and this width (natural logarithm)."""

ENERGY_STEPS: Final = 60
"""Steps of the spectra, equally wide in the logarithm."""

PIXEL_ARCSEC: Final = 10.0
"""Pixels of the images of the background."""

SMOOTH_ARCSEC: Final = 40.0
"""Gaussian (sigma) with which they are smoothed: what is wider is background."""

FINE_ARCSEC: Final = 4.0
SHARP_ARCSEC: Final = 5.0
"""Pixels of the images in which sources are seen, and the Gaussian that they are smoothed with."""

SOURCE_SIGMAS: Final = 5.0
SOURCE_COUNTS: Final = 8.0
"""A place has a source in it if it has so many more counts than the smooth background expects: this
many standard deviations, and a number on top, so that no burst is taken for one."""

ANGLE_STEP_ARCMIN: Final = 1.0
"""Step of the off-axis angle in the table of profiles."""

ENERGY_KEV: Final = 1.5
"""Energy at which profiles are taken."""

BACKGROUND, SOURCE = 0, 2
"""Kinds of photons: those of the background below `SOFT_EV`, above (1), and those at sources."""


@dataclass(frozen=True)
class Marks:
    """The photons of a subset as the scan takes them, arrays of shape (n,) in order of time.

    Attributes
    ----------
    event : ndarray of intp
        Which events of the subset.
    time : ndarray of float64
        Live time, seconds from 0.
    x, y : ndarray of float64
        Place, arcsec from the corner of the field.
    camera : ndarray of int64
        Exposure.
    v : ndarray of float64, shape (n, n_spectra)
        Density of a burst of one count in camera and energy over the background of the whole class
        of time there, arcsec^2: times the profile it is the share of the burst.
    piece : ndarray of int64
        Class of time, of each group of CCDs: the number of the group times that of the classes, and
        the class.
    kind : ndarray of int64
        Photons with the same level: `BACKGROUND` below 2 keV, 1 above, and `SOURCE`.
    """

    event: Indices
    time: Floats
    x: Floats
    y: Floats
    camera: Integers
    v: Floats
    piece: Integers
    kind: Integers


@dataclass(frozen=True)
class GroupLive:
    """How live the groups of CCDs are along the live time of the field.

    Attributes
    ----------
    edges : ndarray of float64, shape (n + 1,)
        Live times between which nothing changes, seconds from 0.
    relative : ndarray of float64, shape (n_groups, n)
        Live fraction of each group over that of the field.
    """

    edges: Floats
    relative: Floats

    @classmethod
    def of(cls, expectation: ConditionalExpectation, total: float) -> GroupLive:
        """Of an expectation; a single group if all CCDs are live whenever one is."""
        if expectation.groups is None:
            return cls(np.array([0.0, total]), np.ones((1, 1)))
        times, live_time = expectation.groups[0], expectation.live_time
        lived = live_time.live > 0
        edges = np.concatenate([[0.0], live_time.at(times.edges[1:][lived])])
        relative = times.live[:, lived] / live_time.live[lived]
        # Intervals may be too short to be told apart in live time.
        long = np.diff(edges) > 0
        return cls(np.concatenate([[0.0], edges[1:][long]]), relative[:, long])


@dataclass(frozen=True)
class Levels:
    """How the background of each kind of photons goes with live time.

    Attributes
    ----------
    curve : LevelCurve
        Classes of time, and the level of all photons.
    density : ndarray of float64, shape (3, n_pieces)
        Of each kind between two knots: its integral over each class is 1.
    live : GroupLive
        When which CCDs were live.
    """

    curve: LevelCurve
    density: Floats
    live: GroupLive

    @property
    def total(self) -> float:
        """Live time of everything, seconds."""
        return float(self.curve.live[-1])

    def at(self, time: Floats, kind: Integers) -> Floats:
        """Density of a kind at live times, same shape, for a second."""
        piece = np.searchsorted(self.curve.live, time, side="right") - 1
        return self.density[kind, np.clip(piece, 0, self.density.shape[1] - 1)]

    @property
    def overall(self) -> Floats:
        """Share of all background photons in a second of each piece, shape (n_pieces,)."""
        counts = self.curve.rate * np.diff(self.curve.live)
        return np.asarray(self.curve.rate / max(float(counts.sum()), 1e-300))

    @cached_property
    def steps(self) -> tuple[Floats, Indices, Floats]:
        """Edges between which nothing changes, and piece and relative live fractions of each."""
        edges = np.unique(np.concatenate([self.curve.live, self.live.edges]))
        middle = (edges[:-1] + edges[1:]) / 2
        piece = np.searchsorted(self.curve.live, middle, side="right") - 1
        own = np.searchsorted(self.live.edges, middle, side="right") - 1
        n = self.live.relative.shape[1]
        piece = np.clip(piece, 0, len(self.curve.kind) - 1)
        return edges, piece, self.live.relative[:, np.clip(own, 0, n - 1)]

    def seconds(self) -> Floats:
        """Live time of each step in each piece of the marks, shape (n_pieces, n_steps)."""
        edges, piece, relative = self.steps
        lengths = np.diff(edges) * relative
        kind = self.curve.kind[piece]
        own = [lengths * (kind == number) for number in range(self.curve.n_classes)]
        return np.stack(own, axis=1).reshape(-1, len(piece))

    def seen(self) -> Floats:
        """What each group sees of the background of each kind and class, shape (3, n_pieces).

        Over what it would see if it were as live as the field.
        """
        piece = self.steps[1]
        return np.asarray(self.density[:, piece] @ self.seconds().T)

    def inverse(self, time: Floats, kind: Integers, piece: Integers) -> Floats:
        """Background of the class over its level at each photon, seconds; same shape."""
        return np.asarray(np.maximum(self.seen()[kind, piece], 1e-9) / self.at(time, kind))

    def table(self) -> Floats:
        """What lies before each whole second, shape (2 + n_pieces, n_seconds).

        Share of all background photons, seconds, and seconds of each group in each class.
        """
        at = np.arange(int(np.ceil(self.total)) + 2, dtype=float)
        edges, piece, _ = self.steps
        length = np.diff(edges)
        weights = [length * self.overall[piece], length, *self.seconds()]
        totals = [np.concatenate([[0.0], np.cumsum(weight)]) for weight in weights]
        return np.array([np.interp(at, edges, total) for total in totals])


@dataclass(frozen=True)
class PhotonField:
    """What is known of a subset apart from the times of its photons.

    Attributes
    ----------
    marks : Marks
        The photons.
    levels : Levels
        When they come.
    profiles : ndarray of float64, shape (n_cameras, n_angles, n_radii)
        Point spread functions by off-axis angle, for a square arcsec.
    axis : (float, float)
        The optical axis, arcsec from the corner of the field.
    expected : ndarray of float64, shape (y, x)
        Background counts that are weighed together for a place, in pixels of `PIXEL_ARCSEC`.
    enclosed : float
        Share of a burst within reach of its place.
    shape : (int, int)
        Rows and columns of tiles.
    corner : (float, float)
        The corner of the field along x and y, arcsec from the first sky pixel.
    """

    marks: Marks
    levels: Levels
    profiles: Floats
    axis: tuple[float, float]
    expected: Floats
    enclosed: float
    shape: tuple[int, int]
    corner: tuple[float, float]


def spectrum_shares(edges_kev: Floats) -> Floats:
    """Share of each template between energies, shape (n_spectra, n_steps).

    Examples
    --------
    >>> spectrum_shares(np.array([0.2, 12.0])).round(2).tolist()
    [[1.0], [1.0], [1.0]]
    """
    scaled = np.log(edges_kev / np.array(MEDIANS_KEV)[:, None]) / SPECTRUM_WIDTH
    parts = np.diff(ndtr(scaled), axis=1)
    return np.asarray(parts / parts.sum(axis=1, keepdims=True))


def camera_shares(exposures: Sequence[Exposure]) -> Floats:
    """Share of the photons of a source that each exposure has, shape (n_exposures,)."""
    weight = []
    for exposure in exposures:
        known = dict(exposure.camera.observatory.photon_shares)
        weight.append(known.get(exposure.camera.psf, 1.0))
    return np.array(weight) / np.sum(weight)


def profile_table(exposures: Sequence[Exposure], reach: float, nodes: float) -> Floats:
    """Profiles by off-axis angle and radius, shape (n_cameras, n_angles, n_radii)."""
    radius = np.arange(int(reach * nodes) + 3) / nodes
    angles = np.arange(0.0, 17.0, ANGLE_STEP_ARCMIN)
    return np.array(
        [
            [
                MeanProfile(((exposure.camera.psf, 1.0),), ENERGY_KEV, float(angle)).density(radius)
                for angle in angles
            ]
            for exposure in exposures
        ]
    )


def optical_axis(events: MergedEvents) -> tuple[float, float]:
    """The pointing in sky pixels, or the middle of the projection where no header has it."""
    for exposure in events.exposures:
        if np.isfinite([exposure.ra_pnt, exposure.dec_pnt]).all():
            x, y = events.plane.to_pixel(exposure.ra_pnt, exposure.dec_pnt)
            return float(x), float(y)
    return events.plane.x_ref, events.plane.y_ref


def levels_of(
    live: Floats, total: float, kind: Integers, n_cells: int, groups: GroupLive
) -> Levels:
    """Level of the background from the live times of its photons.

    Parameters
    ----------
    live : ndarray of float64, shape (n,)
        Live times of the photons outside sources, ascending.
    total : float
        Live time of everything, seconds.
    kind : ndarray of int64, shape (n,)
        Below or above 2 keV.
    n_cells : int
        Cells over which they are spread, for the classes.
    groups : GroupLive
        When which CCDs were live.
    """
    curve = level_curve(live, total, n_cells)
    length = np.diff(curve.live)
    rates = np.stack(
        [
            np.histogram(live[kind == number], curve.live)[0] / np.maximum(length, 1e-9)
            for number in (0, 1)
        ]
        + [np.ones(len(length))]
    )
    # A piece in which a kind has no photon has a tenth of one, so that nothing is impossible.
    rates[:2] = np.maximum(rates[:2], 0.1 / np.maximum(length, 1e-9))
    for row in rates:
        for number in range(curve.n_classes):
            own = curve.kind == number
            row[own] /= max(float((row * length)[own].sum()), 1e-300)
    return Levels(curve, rates, groups)


@dataclass(frozen=True)
class _Images:
    """Images of the background: smooth ones by class, camera and band, and sources by kind."""

    smooth: Floats
    excess: Floats

    def at(self, piece: Integers, camera: Integers, band: Integers, x: Floats, y: Floats) -> Floats:
        """Counts of the smooth background in a square arcsec."""
        row, column = (
            np.minimum((u / PIXEL_ARCSEC).astype(int), n - 1)
            for u, n in zip((y, x), self.smooth.shape[-2:], strict=True)
        )
        return np.asarray(self.smooth[piece, camera, band, row, column])

    def brighter(self, hard: Integers, x: Floats, y: Floats) -> Floats:
        """Counts with sources over those of the smooth background, at least 1."""
        row, column = (
            np.minimum((u / FINE_ARCSEC).astype(int), n - 1)
            for u, n in zip((y, x), self.excess.shape[-2:], strict=True)
        )
        return np.asarray(self.excess[hard, row, column])


def _image(x: Floats, y: Floats, pixel: float, shape: tuple[int, int]) -> Floats:
    row, column = (
        np.minimum((u / pixel).astype(int), n - 1) for u, n in zip((y, x), shape, strict=True)
    )
    return (
        np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1])
        .reshape(shape)
        .astype(float)
    )


def _smoothed(image: Floats, use: Floats) -> Floats:
    """Counts of a pixel, smoothed over those that are used."""
    sigma = SMOOTH_ARCSEC / PIXEL_ARCSEC
    counts = gaussian_filter(image * use, sigma, mode="constant", truncate=3)
    area = gaussian_filter(use, sigma, mode="constant", truncate=3)
    return np.where(area > 0.02, counts / np.maximum(area, 0.02), 0.0)


def background_images(
    x: Floats,
    y: Floats,
    camera: Integers,
    band: Integers,
    piece: Integers,
    hidden: Mask,
    n: tuple[int, int, int],
    size: tuple[float, float],
) -> _Images:
    """The smooth background, and where sources stand out of it.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Places, arcsec.
    camera, band, piece : ndarray of int64, shape (n,)
        Exposure, number of the band, class of time.
    hidden : ndarray of bool, shape (n,)
        Photons in the masks of known sources and bright cells.
    n : (int, int, int)
        Classes of time, cameras, bands.
    size : (float, float)
        Height and width of the field, arcsec.
    """
    shape = (int(np.ceil(size[0] / PIXEL_ARCSEC)), int(np.ceil(size[1] / PIXEL_ARCSEC)))
    fine = (int(np.ceil(size[0] / FINE_ARCSEC)), int(np.ceil(size[1] / FINE_ARCSEC)))
    masked = _image(x[hidden], y[hidden], PIXEL_ARCSEC, shape) > 0
    smooth = np.zeros((*n, *shape))
    for c in range(n[1]):
        own = camera == c
        seen = gaussian_filter(_image(x[own], y[own], PIXEL_ARCSEC, shape), 1.0, mode="constant")
        usual = np.median(seen[seen > 0.05]) if (seen > 0.05).any() else 1.0
        use = ((seen > 0.2 * usual) & ~masked).astype(float)
        for k in range(n[0]):
            for j in range(n[2]):
                chosen = own & (piece == k) & (band == j)
                smooth[k, c, j] = _smoothed(_image(x[chosen], y[chosen], PIXEL_ARCSEC, shape), use)
    smooth /= PIXEL_ARCSEC**2
    # Where nothing was seen around, the least that was seen anywhere.
    for k, c, j in np.ndindex(*n):
        positive = smooth[k, c, j][smooth[k, c, j] > 0]
        least = float(np.percentile(positive, 1)) if positive.size else 1e-9
        np.maximum(smooth[k, c, j], max(least, 1e-9), out=smooth[k, c, j])
    whole = smooth.sum(axis=(0, 1))
    soft = np.array(BAND_EDGES_EV[:-1]) < SOFT_EV
    excess = np.ones((2, *fine))
    rows, columns = (
        np.minimum(((np.arange(m) + 0.5) * FINE_ARCSEC / PIXEL_ARCSEC).astype(int), s - 1)
        for m, s in zip(fine, shape, strict=True)
    )
    weighed = 4 * np.pi * SHARP_ARCSEC**2
    for hard, which in enumerate((soft, ~soft)):
        own = which[band]
        found = (
            gaussian_filter(
                _image(x[own], y[own], FINE_ARCSEC, fine),
                SHARP_ARCSEC / FINE_ARCSEC,
                mode="constant",
            )
            / FINE_ARCSEC**2
        )
        background = whole[which].sum(axis=0)[np.ix_(rows, columns)]
        more = (found - background) * weighed
        is_source = more > SOURCE_SIGMAS * np.sqrt(background * weighed) + SOURCE_COUNTS
        excess[hard] = np.where(is_source, found / background, 1.0)
    return _Images(smooth, excess)
