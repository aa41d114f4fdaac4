"""Images of the background, and what constant sources add to it (docs/ideal.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter

from exod.schemas.arrays import Floats, Indices, Integers, Mask

BAND_EDGES_EV: Final = (200.0, 500.0, 1000.0, 2000.0, 4500.0, 12000.0)
"""Bands in each of which the background has an image of its own."""

SOFT_EV: Final = 2000
"""Photons below and above have a level of the background of their own, as flares are hard."""

PIXEL_ARCSEC: Final = 10.0
"""Pixels of the images of the background."""

SMOOTH_ARCSEC: Final = 40.0
"""Gaussian (sigma) with which they are smoothed: what is wider is background."""

FINE_ARCSEC: Final = 4.0
SHARP_ARCSEC: Final = 5.0
"""Pixels of the images in which sources are seen, and the Gaussian that they are smoothed with."""

WEIGHED: Final = 4 * np.pi * SHARP_ARCSEC**2
"""Square arcsec whose counts that Gaussian weighs together."""

SOURCE_SIGMAS: Final = 5.0
SOURCE_COUNTS: Final = 8.0
"""A place has a source in it if it has so many more counts than the background expects: this
many standard deviations, and a number on top, so that no burst is taken for one."""

BRIGHT_COUNTS: Final = 40.0
CORE_ARCSEC: Final = 15.0
"""The point spread function is laid on a source of so many counts within this."""

FARTHEST_ARCSEC: Final = 300.0
"""So far from a source its wings are looked at."""

Profile = Callable[[Floats], Floats]
Profiles = Callable[[int, float, float], Profile]


@dataclass(frozen=True)
class Binned:
    """Photons by place, camera, band and class of time; arrays of shape (n_photons,).

    Attributes
    ----------
    x, y : ndarray of float64
        Places, arcsec.
    camera, band, piece : ndarray of int64
        Exposure, number of the band, class of time.
    n : (int, int, int)
        Classes of time, cameras, bands.
    size : (float, float)
        Height and width of the field, arcsec.
    """

    x: Floats
    y: Floats
    camera: Integers
    band: Integers
    piece: Integers
    n: tuple[int, int, int]
    size: tuple[float, float]

    def shape(self, pixel: float) -> tuple[int, int]:
        """Of an image of the field."""
        return int(np.ceil(self.size[0] / pixel)), int(np.ceil(self.size[1] / pixel))

    def pixels(self, pixel: float) -> tuple[Indices, Indices]:
        """Row and column of each."""
        return pixels_of(self.x, self.y, pixel, self.shape(pixel))

    @cached_property
    def _by_row(self) -> tuple[Indices, Floats, Floats]:
        """Photons in order of y, and where they are."""
        order = np.argsort(self.y, kind="stable")
        return order, self.x[order], self.y[order]

    def within(self, x: float, y: float, arcsec: float) -> tuple[Indices, Floats]:
        """Photons closer to a place than that, ascending, and their distances."""
        order, columns, rows = self._by_row
        strip = slice(*np.searchsorted(rows, [y - arcsec, y + arcsec]))
        inside = np.hypot(columns[strip] - x, rows[strip] - y) < arcsec
        near = np.sort(order[strip][inside])
        return near, np.hypot(self.x[near] - x, self.y[near] - y)

    def image(self, which: Mask, pixel: float) -> Floats:
        """Counts of some of them in pixels."""
        return counts_in(self.x[which], self.y[which], pixel, self.shape(pixel))


@dataclass(frozen=True)
class BackgroundImages:
    """The background, in counts of a class of time in a square arcsec.

    Attributes
    ----------
    smooth : ndarray of float64, shape (n_classes, n_cameras, n_bands, y, x)
        What is wider than sources, in pixels of `PIXEL_ARCSEC`.
    brightness : ndarray of float64, shape (y, x)
        What there is with sources over all of that.
    at_smooth, at_steady : ndarray of float64, shape (n_photons,)
        The smooth background where, when and as each photon is, and what sources add to it.
    """

    smooth: Floats
    brightness: Floats
    at_smooth: Floats
    at_steady: Floats


@dataclass(frozen=True)
class SteadyLight:
    """A constant source.

    Attributes
    ----------
    x, y : float
        Its place, arcsec.
    profiles : tuple of function, n_cameras
        Point spread functions by radius in arcsec, for a square arcsec.
    counts : ndarray of float64, shape (n_classes, n_cameras, n_bands)
        Counts in the whole point spread function.
    """

    x: float
    y: float
    profiles: tuple[Profile, ...]
    counts: Floats

    def density(self, camera: int, away: Floats) -> Floats:
        """For a square arcsec at distances, of one count."""
        near, density = away < FARTHEST_ARCSEC, np.zeros(away.shape)
        density[near] = self.profiles[camera](away[near])
        return density

    def add_at(self, photons: Binned, steady: Floats) -> None:
        """Add what it is where, when and as each photon is, counts in a square arcsec."""
        near, away = photons.within(self.x, self.y, FARTHEST_ARCSEC)
        camera = photons.camera[near]
        density = np.zeros(len(near))
        for c in range(len(self.profiles)):
            own = camera == c
            density[own] = self.density(c, away[own])
        steady[near] += density * self.counts[photons.piece[near], camera, photons.band[near]]

    def image(self, pixel: float, shape: tuple[int, int]) -> Floats:
        """The profile of each camera in pixels, shape (n_cameras, y, x)."""
        y, x = ((np.arange(n) + 0.5) * pixel for n in shape)
        away = np.hypot(y[:, None] - self.y, x - self.x)
        return np.array([self.density(c, away) for c in range(len(self.profiles))])


def pixels_of(
    x: Floats, y: Floats, pixel: float, shape: tuple[int, int]
) -> tuple[Indices, Indices]:
    """Row and column of places in an image."""
    row, column = (
        np.minimum((u / pixel).astype(int), n - 1) for u, n in zip((y, x), shape, strict=True)
    )
    return row, column


def counts_in(x: Floats, y: Floats, pixel: float, shape: tuple[int, int]) -> Floats:
    """Number of places in each pixel of an image."""
    row, column = pixels_of(x, y, pixel, shape)
    number = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1])
    return number.reshape(shape).astype(float)


def _usable(seen: Floats) -> Mask:
    """Pixels of a camera with chips behind them."""
    seen = gaussian_filter(seen, 1.0, mode="constant")
    usual = np.median(seen[seen > 0.05]) if (seen > 0.05).any() else 1.0
    return np.asarray(seen > 0.2 * usual)


def _smooth(photons: Binned, uses: list[Mask], lights: Floats | None) -> Floats:
    """Images of the smooth background, shape of `BackgroundImages.smooth`, without `lights`."""
    smooth = np.zeros((*photons.n, *photons.shape(PIXEL_ARCSEC)))
    blur = partial(gaussian_filter, sigma=SMOOTH_ARCSEC / PIXEL_ARCSEC, mode="constant", truncate=3)
    areas = [blur(use.astype(float)) for use in uses]
    for k, c, j in np.ndindex(*photons.n):
        chosen = (photons.camera == c) & (photons.piece == k) & (photons.band == j)
        image = photons.image(chosen, PIXEL_ARCSEC) / PIXEL_ARCSEC**2
        if lights is not None:
            image -= lights[k, c, j]
        counts, area = blur(image * uses[c]), areas[c]
        smooth[k, c, j] = np.where(area > 0.02, counts / np.maximum(area, 0.02), 0.0)
        # Where nothing was seen around, the least that was seen anywhere.
        positive = smooth[k, c, j][smooth[k, c, j] > 0]
        least = float(np.percentile(positive, 1)) if positive.size else 1e-9
        np.maximum(smooth[k, c, j], max(least, 1e-9), out=smooth[k, c, j])
    return smooth


def resampled(image: Floats, pixel: float, other: float, shape: tuple[int, int]) -> Floats:
    """Values in the middle of other pixels of an image whose last two axes are y and x."""
    rows, columns = (
        np.minimum(((np.arange(m) + 0.5) * other / pixel).astype(int), n - 1)
        for m, n in zip(shape, image.shape[-2:], strict=True)
    )
    return np.asarray(image[..., rows[:, None], columns])


def on_fine(image: Floats, shape: tuple[int, int]) -> Floats:
    """An image in pixels of `PIXEL_ARCSEC` in those of `FINE_ARCSEC`."""
    return resampled(image, PIXEL_ARCSEC, FINE_ARCSEC, shape)


def sharpened(image: Floats) -> Floats:
    """Counts of a square arcsec, as a source shows best; `image` is counts in fine pixels."""
    sigma = SHARP_ARCSEC / FINE_ARCSEC
    return np.asarray(gaussian_filter(image, sigma, mode="constant") / FINE_ARCSEC**2)


def stands_out(found: Floats, background: Floats) -> Mask:
    """Where sources are, of images in counts of a square arcsec, that of photons sharpened."""
    more, expected = (found - background) * WEIGHED, background * WEIGHED
    return np.asarray(more > SOURCE_SIGMAS * np.sqrt(expected) + SOURCE_COUNTS)


def peaks(found: Floats, background: Floats) -> Floats:
    """Places of sources, the brightest first, arcsec, shape (n, 2); parameters of `stands_out`."""
    peak = (maximum_filter(found, 7) == found) & stands_out(found, background)
    order = np.argsort(-found[peak], kind="stable")
    return np.asarray((np.argwhere(peak)[order][:, ::-1] + 0.5) * FINE_ARCSEC)


def apart(places: Floats, arcsec: float) -> Floats:
    """Those of some places that are so far from all before them, shape (n, 2)."""
    kept: list[Floats] = []
    for place in places:
        if all(np.hypot(*(place - other)) >= arcsec for other in kept):
            kept.append(place)
    return np.array(kept).reshape(-1, 2)


def _lights(photons: Binned, smooth: Floats, profiles: Profiles) -> list[SteadyLight]:
    """Sources that are bright enough for their wings to be seen."""
    fine = photons.shape(FINE_ARCSEC)
    everything = sharpened(photons.image(np.ones(len(photons.x), bool), FINE_ARCSEC))
    lights = []
    for x, y in apart(peaks(everything, on_fine(smooth.sum(axis=(0, 1, 2)), fine)), CORE_ARCSEC):
        near, _ = photons.within(x, y, CORE_ARCSEC)
        row, column = (
            min(int(u / PIXEL_ARCSEC), n - 1)
            for u, n in zip((y, x), smooth.shape[-2:], strict=True)
        )
        counts = -smooth[..., row, column] * np.pi * CORE_ARCSEC**2
        np.add.at(counts, (photons.piece[near], photons.camera[near], photons.band[near]), 1.0)
        if counts.sum() < BRIGHT_COUNTS:
            continue
        # The spectrum of a camera is the same in all classes of time.
        of_camera = np.maximum(counts.sum(axis=2, keepdims=True), 0.0)
        spectrum = np.maximum(counts.sum(axis=0), 0.0)
        spectrum /= np.maximum(spectrum.sum(axis=1, keepdims=True), 1e-300)
        at = float(photons.x[near].mean()), float(photons.y[near].mean())
        own = tuple(profiles(c, *at) for c in range(photons.n[1]))
        radius = np.arange(0.05, CORE_ARCSEC, 0.1)
        core = np.array([(2 * np.pi * radius * 0.1 * p(radius)).sum() for p in own])
        lights.append(SteadyLight(*at, own, of_camera * spectrum / core[:, None]))
    return lights


def background_images(
    photons: Binned, hidden: Mask, seconds: Floats, profiles: Profiles
) -> BackgroundImages:
    """The background, smooth and of constant sources.

    The point spread function is laid on bright sources; what stands out of that still is taken as
    it is seen.

    Parameters
    ----------
    photons : Binned
        The photons.
    hidden : ndarray of bool, shape (n_photons,)
        Those in the masks of known sources and bright cells.
    seconds : ndarray of float64, shape (n_classes,)
        Live time of each class.
    profiles : function
        Of the number of a camera and a place in arcsec: its point spread function there, which
        takes radii in arcsec and gives densities for a square arcsec.
    """
    coarse, fine = photons.shape(PIXEL_ARCSEC), photons.shape(FINE_ARCSEC)
    masked = photons.image(hidden, PIXEL_ARCSEC) > 0
    uses = [
        _usable(photons.image(photons.camera == c, PIXEL_ARCSEC)) & ~masked
        for c in range(photons.n[1])
    ]
    smooth = _smooth(photons, uses, None)
    lights = _lights(photons, smooth, profiles)
    steady, near = np.zeros(len(photons.x)), np.zeros((photons.n[2], *fine))
    bright = np.zeros(coarse)
    if lights:
        images = [one.image(PIXEL_ARCSEC, coarse) for one in lights]
        counts = [one.counts for one in lights]
        smooth = _smooth(photons, uses, np.einsum("lkcj,lcyx->kcjyx", counts, images))
        bright = np.einsum("lkcj,lcyx->yx", counts, images)
        for one in lights:
            one.add_at(photons, steady)
            near += np.einsum("kcj,cyx->jyx", one.counts, one.image(FINE_ARCSEC, fine))
    row, column = photons.pixels(PIXEL_ARCSEC)
    at_smooth = smooth[photons.piece, photons.camera, photons.band, row, column]
    of_band = smooth.sum(axis=(0, 1))
    of_camera = smooth.sum(axis=0)[photons.camera, photons.band, row, column]
    is_soft = np.array(BAND_EDGES_EV[:-1]) < SOFT_EV
    at_fine, share = photons.pixels(FINE_ARCSEC), (seconds / seconds.sum())[photons.piece]
    for which in (is_soft, ~is_soft):
        own, of_kind = which[photons.band], of_band[which].sum(axis=0)
        found = sharpened(photons.image(own, FINE_ARCSEC))
        expected = on_fine(of_kind, fine)
        expected += sharpened(near[which].sum(axis=0) * FINE_ARCSEC**2)
        excess = np.where(stands_out(found, expected), found - expected, 0.0)
        # It is constant as well; its cameras and spectrum are taken for those of the background.
        part = share * of_camera / of_kind[row, column]
        steady += np.where(own, part * excess[at_fine], 0.0)
        bright += resampled(excess, FINE_ARCSEC, PIXEL_ARCSEC, coarse)
    brightness = 1 + bright / of_band.sum(axis=0)
    return BackgroundImages(smooth, brightness, at_smooth, steady)
