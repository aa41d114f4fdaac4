"""Images of the background, and where sources stand out of it (docs/ideal.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter

from exod.schemas.arrays import Floats, Integers, Mask

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

SOURCE_SIGMAS: Final = 5.0
SOURCE_COUNTS: Final = 8.0
"""A place has a source in it if it has so many more counts than the smooth background expects: this
many standard deviations, and a number on top, so that no burst is taken for one."""


@dataclass(frozen=True)
class BackgroundImages:
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

    def brightness(self, shape: tuple[int, ...]) -> Floats:
        """Mean of `brighter` in the middle of pixels of `PIXEL_ARCSEC`, of such a shape."""
        row, column = (
            np.minimum(((np.arange(n) + 0.5) * PIXEL_ARCSEC / FINE_ARCSEC).astype(int), m - 1)
            for n, m in zip(shape, self.excess.shape[-2:], strict=True)
        )
        return np.asarray(self.excess.mean(axis=0)[np.ix_(row, column)])


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
) -> BackgroundImages:
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
    return BackgroundImages(smooth, excess)
