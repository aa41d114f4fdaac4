"""Partitions of the sky: HEALPix pixels of several orders, and the margins around them.

A partition is a pixel in the nested scheme; a set of partitions covers the sky once. What lies
around a partition is told by pixels of one finer order: its own, and all their neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from astropy import units
from astropy_healpix import healpix_to_lonlat, lonlat_to_healpix
from astropy_healpix import neighbours as healpix_neighbours
from numpy.typing import ArrayLike, NDArray

from exod.schemas.arrays import Indices, Mask
from exod.sky.sphere import unit_vectors

DEEPEST: Final = 29
"""The finest order of HEALPix, pixels of 0.4 milliarcsec."""

COARSEST_MARGIN: Final = 0.5
"""Pixels and their neighbours hold all that is nearer than this share of a pixel's mean width.

LSDB takes 1/1.6; the narrowest place is 0.70 wide.
"""

Pixels = NDArray[np.int64]
Degrees = NDArray[np.float64]


class Partition(NamedTuple):
    """A HEALPix pixel of the nested scheme."""

    order: int
    pixel: int

    @property
    def name(self) -> str:
        """Order and pixel as text that can be part of a file name."""
        return f"{self.order}-{self.pixel}"

    @classmethod
    def parse(cls, name: str) -> Partition:
        """The partition of that name."""
        order, _, pixel = name.partition("-")
        return cls(int(order), int(pixel))

    def span(self, order: int) -> tuple[int, int]:
        """First pixel of a finer order in it, and one past the last."""
        factor = 4 ** (order - self.order)
        return self.pixel * factor, (self.pixel + 1) * factor

    @property
    def children(self) -> tuple[Partition, ...]:
        """The four pixels of the next order in it."""
        return tuple(Partition(self.order + 1, 4 * self.pixel + i) for i in range(4))


WHOLE_SKY: Final = tuple(Partition(0, pixel) for pixel in range(12))
"""The coarsest partitions."""


def sky_pixels(ra_deg: ArrayLike, dec_deg: ArrayLike, order: int = DEEPEST) -> Pixels:
    """Pixel of each position in degrees, nested; all must be finite."""
    # It works in radians, which astropy takes longer to make than the pixels.
    place = (
        units.Quantity(np.deg2rad(np.atleast_1d(np.asarray(value, np.float64))), units.rad)
        for value in (ra_deg, dec_deg)
    )
    found = lonlat_to_healpix(*place, nside=2**DEEPEST, order="nested")
    # The same pixels whatever the order: a position on an edge is not in two families.
    return np.asarray(found, np.int64) >> (2 * (DEEPEST - order))


def pixel_centres(pixels: ArrayLike, order: int) -> tuple[Degrees, Degrees]:
    """Right ascension, within 0 and 360, and declination of the centres of pixels in degrees."""
    lon, lat = healpix_to_lonlat(np.asarray(pixels, np.int64), nside=2**order, order="nested")
    return lon.to_value(units.deg), lat.to_value(units.deg)


def farthest_corner_deg(order: int) -> float:
    """Degrees from the centre of a pixel to the farthest corner of any pixel of its order.

    The corner is that of the pixels at the edge of the polar caps (Gorski et al. 2005, ApJ 622,
    759, section 5; the ``max_pixrad`` of the HEALPix library).

    Examples
    --------
    >>> round(farthest_corner_deg(0), 2)
    48.19
    """
    nside = 2**order
    a, b = np.arcsin(2.0 / 3.0), np.arcsin(1.0 - (1.0 - 1.0 / nside) ** 2 / 3.0)
    ends = unit_vectors(np.degrees([np.pi / 4.0 / nside, 0.0]), np.degrees([a, b]))
    return float(np.degrees(np.arccos(np.clip(ends[0] @ ends[1], -1.0, 1.0))))


def mean_width_arcsec(order: int) -> float:
    """Square root of the area of a pixel.

    Examples
    --------
    >>> round(mean_width_arcsec(8) / 60, 1)
    13.7
    """
    return float(np.degrees(np.sqrt(np.pi / 3.0)) * 3600.0 / 2**order)


def order_for(margin_arcsec: float, finest: int) -> int:
    """The finest order, up to `finest`, whose pixels make margins of that width.

    Examples
    --------
    >>> order_for(300.0, 8), order_for(3000.0, 8)
    (8, 5)
    """
    wide = (
        o for o in range(finest, 0, -1) if COARSEST_MARGIN * mean_width_arcsec(o) >= margin_arcsec
    )
    return next(wide, 0)


def with_neighbours(pixels: Pixels, order: int) -> Pixels:
    """The pixels and all that touch them, sorted, each once."""
    pixels = np.unique(pixels)
    if not len(pixels):
        return pixels
    # At eight corners of HEALPix a pixel has seven neighbours; the library says -1 and warns.
    with np.errstate(invalid="ignore"):
        around = healpix_neighbours(pixels, 2**order, order="nested")
    found = np.unique(np.concatenate([pixels, np.asarray(around, np.int64).ravel()]))
    return found[found >= 0]


def with_margin(partition: Partition, order: int) -> Pixels:
    """Pixels of a finer order in a partition and all that touch them, sorted."""
    first, last = partition.span(order)
    outside = margin(partition, order)
    core = np.arange(first, last, dtype=np.int64)
    return np.concatenate([outside[outside < first], core, outside[outside >= last]])


def margin(partition: Partition, order: int) -> Pixels:
    """Pixels of a finer order that touch a partition from outside, sorted."""
    first, last = partition.span(order)
    around = with_neighbours(first + _edge(order - partition.order), order)
    return around[(around < first) | (around >= last)]


def _edge(depth: int) -> Pixels:
    """Which of the 4**depth parts of a pixel are at its edge: the first or last in a row."""
    place = np.arange(2**depth, dtype=np.int64)
    # In the nested scheme the bits of both coordinates alternate.
    spread = np.zeros_like(place)
    for bit in range(depth):
        spread |= (place >> bit & 1) << 2 * bit
    end = spread[-1]
    return np.unique(np.concatenate([spread, spread << 1, spread | end << 1, spread << 1 | end]))


def is_among(pixels: Pixels, wanted: Pixels) -> Mask:
    """Whether each pixel is one of `wanted`, which is sorted."""
    if not len(wanted):
        return np.zeros(len(pixels), bool)
    place = np.minimum(np.searchsorted(wanted, pixels), len(wanted) - 1)
    return np.asarray(wanted[place] == pixels)


def occupied(partitions: Sequence[Partition], pixels: Pixels, order: int) -> list[Partition]:
    """Those of the partitions in which some pixel of a finer order lies; see `located`."""
    return [partitions[i] for i in np.unique(located(partitions, pixels, order))]


def located(partitions: Sequence[Partition], pixels: Pixels, order: int) -> Indices:
    """Index of the partition in which each pixel of a finer order lies.

    Parameters
    ----------
    partitions : sequence of Partition
        Covering the sky, in the order of `refined`.
    pixels : ndarray of int64
        Pixels.
    order : int
        Their order.
    """
    starts = np.array([partition.span(order)[0] for partition in partitions])
    return np.searchsorted(starts, pixels, side="right") - 1


def overlapping(partitions: Sequence[Partition], pixels: Pixels, order: int) -> Indices:
    """Indices, sorted, of the partitions that have something of the pixels of any order.

    Parameters
    ----------
    partitions : sequence of Partition
        Covering the sky, in the order of `refined`.
    pixels : ndarray of int64
        Pixels.
    order : int
        Their order.

    Examples
    --------
    >>> overlapping(Partition(0, 0).children + WHOLE_SKY[1:], np.array([0, 1]), 0)
    array([0, 1, 2, 3, 4])
    """
    starts = np.array([partition.span(DEEPEST)[0] for partition in partitions])
    shift = 2 * (DEEPEST - order)
    first = np.searchsorted(starts, pixels << shift, side="right") - 1
    last = np.searchsorted(starts, (pixels + 1) << shift, side="left")
    # +1 where a run of partitions begins, -1 where it ends.
    change = np.zeros(len(partitions) + 1, np.int64)
    np.add.at(change, first, 1)
    np.add.at(change, last, -1)
    return np.flatnonzero(np.cumsum(change)[:-1] > 0)


def refined(
    partitions: Sequence[Partition], pixels: Pixels, rows: ArrayLike, order: int, limit: float
) -> list[Partition]:
    """Divide partitions until each has at most `limit` rows or is a pixel of `order`.

    This is how clustering, the catalogue and imported tables divide the sky.

    Parameters
    ----------
    partitions : sequence of Partition
        Covering the sky.
    pixels, rows : ndarray
        Pixels of `order`, and how many rows, or other weight, each has; a pixel may be there more
        than once.
    order : int
        The finest order.
    limit : float
        Rows of a partition.

    Returns
    -------
    list of Partition
        In order of the sky, that is of their first pixel.

    Examples
    --------
    >>> some = refined(WHOLE_SKY, np.array([0, 1, 40]), np.array([9, 5, 1]), 2, 10)
    >>> [p.name for p in some[:8]]
    ['2-0', '2-1', '2-2', '2-3', '1-1', '1-2', '1-3', '0-1']
    """
    by_pixel = np.argsort(pixels, kind="stable")
    pixels, total = pixels[by_pixel], np.concatenate([[0], np.cumsum(np.asarray(rows)[by_pixel])])
    done: list[Partition] = []
    todo = list(partitions)
    while todo:
        partition = todo.pop()
        first, last = np.searchsorted(pixels, partition.span(order))
        if total[last] - total[first] > limit and partition.order < order:
            todo.extend(partition.children)
        else:
            done.append(partition)
    return sorted(done, key=lambda partition: partition.span(DEEPEST))
