"""Photons in images, and sources that stand out of them (docs/ideal.md)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from exod.schemas.arrays import Floats, Indices, Mask

BAND_EDGES_EV: Final = (200.0, 500.0, 1000.0, 2000.0, 4500.0, 12000.0)
"""Bands in each of which the background has an image of its own."""

SOFT_EV: Final = 2000
"""Photons below and above have a level of the background of their own, as flares are hard."""

PIXEL_ARCSEC: Final = 10.0
"""Pixels of the images of the background."""

FINE_ARCSEC: Final = 4.0
SHARP_ARCSEC: Final = 5.0
"""Pixels of the images in which sources are seen, and the Gaussian that they are smoothed with."""

Pixels = NDArray[np.int32]

ROW_ARCSEC: Final = 60.0
"""Height of the rows in which the photons near a place are looked for."""

WEIGHED: Final = 4 * np.pi * SHARP_ARCSEC**2
"""Square arcsec whose counts that Gaussian weighs together."""

SOURCE_SIGMAS: Final = 5.0
SOURCE_COUNTS: Final = 8.0
"""A place has a source in it if it has so many more counts than the background expects: this
many standard deviations, and a number on top, so that no burst is taken for one."""


@dataclass(frozen=True)
class PhotonsByPlace:
    """Photons in rows of `ROW_ARCSEC` and, in each, in order of x.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n,)
        Where they are, arcsec from a corner, as they were given.
    order : ndarray of int32, shape (n,)
        Which come one after the other.
    key : ndarray of float64, shape (n,)
        Of those: number of the row times `width`, and x: ascending.
    width : float
        More than all x.
    """

    x: Floats
    y: Floats
    order: NDArray[np.int32]
    key: Floats
    width: float

    @classmethod
    def of(cls, x: Floats, y: Floats) -> PhotonsByPlace:
        """Of photons at places that are not negative."""
        width = float(x.max(initial=0.0)) + 1.0
        key = np.floor(y / ROW_ARCSEC) * width + x
        order = np.argsort(key, kind="stable").astype(np.int32)
        return cls(x, y, order, key[order], width)

    def slices(self, x: float, y: float, arcsec: float) -> list[slice]:
        """Which of `order` may be closer to a place than that, row by row."""
        first, last = (int(u // ROW_ARCSEC) for u in (max(y - arcsec, 0.0), y + arcsec))
        row = np.arange(first, last + 1) * self.width
        edges = [max(x - arcsec, 0.0), min(x + arcsec, self.width)]
        ends = np.searchsorted(self.key, row[:, None] + edges)
        return [slice(*pair) for pair in ends.tolist()]

    def within(self, x: float, y: float, arcsec: float) -> Indices:
        """Photons closer to a place than that, ascending."""
        near = np.concatenate([self.order[one] for one in self.slices(x, y, arcsec)])
        return np.sort(near[np.hypot(self.x[near] - x, self.y[near] - y) < arcsec])


@dataclass(frozen=True)
class Binned:
    """Photons by place, camera, band and class of time; arrays of shape (n_photons,).

    Attributes
    ----------
    x, y : ndarray of float64
        Places, arcsec.
    camera, band, piece : ndarray of int
        Exposure, number of the band, class of time.
    n : (int, int, int)
        Classes of time, cameras, bands.
    size : (float, float)
        Height and width of the field, arcsec.
    """

    x: Floats
    y: Floats
    camera: NDArray[np.integer]
    band: NDArray[np.integer]
    piece: NDArray[np.integer]
    n: tuple[int, int, int]
    size: tuple[float, float]

    def shape(self, pixel: float) -> tuple[int, int]:
        """Of an image of the field."""
        return int(np.ceil(self.size[0] / pixel)), int(np.ceil(self.size[1] / pixel))

    def pixels(self, pixel: float) -> tuple[Pixels, Pixels]:
        """Row and column of each."""
        return pixels_of(self.x, self.y, pixel, self.shape(pixel))

    @cached_property
    def places(self) -> PhotonsByPlace:
        """Where they are."""
        return PhotonsByPlace.of(self.x, self.y)

    def counts(self, pixel: float) -> Floats:
        """Counts of all classes, cameras and bands in pixels, shape (*n, y, x)."""
        row, column = self.pixels(pixel)
        shape = (*self.n, *self.shape(pixel))
        at = np.ravel_multi_index((self.piece, self.camera, self.band, row, column), shape)
        return np.bincount(at, minlength=int(np.prod(shape))).reshape(shape).astype(float)

    def image(self, which: Mask, pixel: float) -> Floats:
        """Counts of some of them in pixels."""
        return counts_in(self.x[which], self.y[which], pixel, self.shape(pixel))


def pixels_of(x: Floats, y: Floats, pixel: float, shape: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Row and column of places in an image."""
    row, column = (
        np.minimum((u / pixel).astype(np.int32), n - 1) for u, n in zip((y, x), shape, strict=True)
    )
    return row, column


def counts_in(x: Floats, y: Floats, pixel: float, shape: tuple[int, int]) -> Floats:
    """Number of places in each pixel of an image."""
    at = np.ravel_multi_index(pixels_of(x, y, pixel, shape), shape)
    number = np.bincount(at, minlength=shape[0] * shape[1])
    return number.reshape(shape).astype(float)


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
