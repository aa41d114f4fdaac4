"""The background of the photons, and what constant sources add to it (docs/ideal.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from scipy.ndimage import gaussian_filter

from exod.schemas.arrays import Floats, Mask
from exod.search.nulls.photonsearch.photonimages import (
    BAND_EDGES_EV,
    FINE_ARCSEC,
    PIXEL_ARCSEC,
    SOFT_EV,
    Binned,
    apart,
    on_fine,
    peaks,
    resampled,
    sharpened,
    stands_out,
)
from exod.search.nulls.photonsearch.photonratio import jit

SMOOTH_ARCSEC: Final = 40.0
"""Gaussian (sigma) with which they are smoothed: what is wider is background."""

BRIGHT_COUNTS: Final = 40.0
CORE_ARCSEC: Final = 15.0
"""The point spread function is laid on a source of so many counts within this."""

FARTHEST_ARCSEC: Final = 300.0
"""So far from a source its wings are looked at."""

_NODES: Final = 3000
"""Nodes of a point spread function out to there, equally far apart in the root of the radius."""

Profile = Callable[[Floats], Floats]
Profiles = Callable[[int, float, float], Profile]
Box = tuple[slice, slice]


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

    def image(self, pixel: float, shape: tuple[int, int]) -> tuple[Box, Floats]:
        """The profile of each camera in the pixels that it reaches, shape (n_cameras, y, x)."""
        ends = [
            (max(int((at - FARTHEST_ARCSEC) / pixel), 0), int((at + FARTHEST_ARCSEC) / pixel) + 1)
            for at in (self.y, self.x)
        ]
        rows, columns = (
            slice(low, min(high, n)) for (low, high), n in zip(ends, shape, strict=True)
        )
        y, x = ((np.arange(one.start, one.stop) + 0.5) * pixel for one in (rows, columns))
        away = np.hypot(y[:, None] - self.y, x - self.x)
        image = np.array([self.density(c, away) for c in range(len(self.profiles))])
        return (rows, columns), image


def lights_at(lights: Sequence[SteadyLight], photons: Binned) -> Floats:
    """What lights are where, when and as each photon is, counts in a square arcsec, shape (n,)."""
    places, root = photons.places, np.linspace(0.0, np.sqrt(FARTHEST_ARCSEC), _NODES)
    marks = np.ravel_multi_index((photons.piece, photons.camera, photons.band), photons.n)
    sums = np.zeros(len(marks))
    for light in lights:
        radial = np.array([profile(root**2) for profile in light.profiles])
        for part in places.slices(light.x, light.y, FARTHEST_ARCSEC):
            near = places.order[part]
            x, y = places.x[near] - light.x, places.y[near] - light.y
            _add_light(x, y, near, marks, radial, light.counts, sums)
    return sums


@jit
def _add_light(x: Any, y: Any, near: Any, marks: Any, radial: Any, counts: Any, sums: Any) -> None:
    """Add a light at photons near it, so far from it; `radial` are its profiles at roots of radii.

    `marks` are class, camera and band of all photons as one number.
    """
    last, flat = radial.shape[1] - 1, counts.ravel()
    for k in range(len(near)):
        square = (x[k] * x[k] + y[k] * y[k]) / (FARTHEST_ARCSEC * FARTHEST_ARCSEC)
        if square < 1.0:
            mark = marks[near[k]]
            camera, at = mark // counts.shape[2] % counts.shape[1], np.sqrt(np.sqrt(square)) * last
            node = min(int(at), last - 1)
            low, high = radial[camera, node], radial[camera, node + 1]
            sums[near[k]] += (low + (at - node) * (high - low)) * flat[mark]


def _usable(seen: Floats) -> Mask:
    """Pixels of a camera with chips behind them."""
    seen = gaussian_filter(seen, 1.0, mode="constant")
    usual = np.median(seen[seen > 0.05]) if (seen > 0.05).any() else 1.0
    return np.asarray(seen > 0.2 * usual)


def _smooth(counts_of: Floats, uses: list[Mask]) -> Floats:
    """Images of the smooth background, as `BackgroundImages.smooth`, of counts in its pixels."""
    smooth = np.zeros(counts_of.shape)
    blur = partial(gaussian_filter, sigma=SMOOTH_ARCSEC / PIXEL_ARCSEC, mode="constant", truncate=3)
    areas = [blur(use.astype(float)) for use in uses]
    for k, c, j in np.ndindex(*counts_of.shape[:3]):
        image = counts_of[k, c, j] / PIXEL_ARCSEC**2
        counts, area = blur(image * uses[c]), areas[c]
        smooth[k, c, j] = np.where(area > 0.02, counts / np.maximum(area, 0.02), 0.0)
        # Where nothing was seen around, the least that was seen anywhere.
        positive = smooth[k, c, j][smooth[k, c, j] > 0]
        least = float(np.percentile(positive, 1)) if positive.size else 1e-9
        np.maximum(smooth[k, c, j], max(least, 1e-9), out=smooth[k, c, j])
    return smooth


def _lights(photons: Binned, smooth: Floats, profiles: Profiles) -> list[SteadyLight]:
    """Sources that are bright enough for their wings to be seen."""
    fine = photons.shape(FINE_ARCSEC)
    everything = sharpened(photons.image(np.ones(len(photons.x), bool), FINE_ARCSEC))
    lights = []
    for x, y in apart(peaks(everything, on_fine(smooth.sum(axis=(0, 1, 2)), fine)), CORE_ARCSEC):
        near = photons.places.within(x, y, CORE_ARCSEC)
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
    seen = photons.counts(PIXEL_ARCSEC)
    uses = [_usable(of_camera) & ~masked for of_camera in seen.sum(axis=(0, 2))]
    smooth = _smooth(seen, uses)
    lights = _lights(photons, smooth, profiles)
    near, bright = np.zeros((photons.n[2], *fine)), np.zeros(coarse)
    for one in lights:
        box, image = one.image(PIXEL_ARCSEC, coarse)
        seen[..., *box] -= np.einsum("kcj,cyx->kcjyx", one.counts, image) * PIXEL_ARCSEC**2
        bright[box] += np.einsum("c,cyx->yx", one.counts.sum(axis=(0, 2)), image)
        box, image = one.image(FINE_ARCSEC, fine)
        near[:, *box] += np.einsum("cj,cyx->jyx", one.counts.sum(axis=0), image)
    if lights:
        smooth = _smooth(seen, uses)
    steady = lights_at(lights, photons)
    row, column = photons.pixels(PIXEL_ARCSEC)
    at_smooth = smooth[photons.piece, photons.camera, photons.band, row, column]
    of_band = smooth.sum(axis=(0, 1))
    of_camera = smooth.sum(axis=0)[photons.camera, photons.band, row, column]
    is_soft = np.array(BAND_EDGES_EV[:-1]) < SOFT_EV
    at_fine, share = photons.pixels(FINE_ARCSEC), seconds / seconds.sum()
    for which in (is_soft, ~is_soft):
        own, of_kind = which[photons.band], of_band[which].sum(axis=0)
        found = sharpened(photons.image(own, FINE_ARCSEC))
        expected = on_fine(of_kind, fine)
        expected += sharpened(near[which].sum(axis=0) * FINE_ARCSEC**2)
        excess = np.where(stands_out(found, expected), found - expected, 0.0)
        # It is constant as well; its cameras and spectrum are taken for those of the background.
        part = share[photons.piece] * of_camera / of_kind[row, column]
        steady += np.where(own, part * excess[at_fine], 0.0)
        bright += resampled(excess, FINE_ARCSEC, PIXEL_ARCSEC, coarse)
    brightness = 1 + bright / of_band.sum(axis=0)
    return BackgroundImages(smooth, brightness, at_smooth, steady)
