"""How a table is divided on the sky: HEALPix pixels with about as many bytes, and their margins.

References
----------
Caplar et al. 2025, LSDB and HATS: partitions of adaptive order, and margins around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from exod.sky.healpix import DEEPEST, WHOLE_SKY, Partition, margin, refined


class SkyPart(NamedTuple):
    """Rows of one HEALPix pixel.

    Attributes
    ----------
    pixel : Partition
        The pixel.
    rows : int64 array, shape (n,)
        Which rows of the sorted table.
    """

    pixel: Partition
    rows: np.ndarray


def partitions(
    index: np.ndarray, weight: np.ndarray, limit: float, highest_order: int
) -> Iterator[SkyPart]:
    """Divide sorted rows into pixels: the largest ones whose weight is within the limit.

    Parameters
    ----------
    index : int64 array, shape (n,)
        Pixel of order 29 of each row, ascending.
    weight : float array, shape (n,)
        How much each row counts.
    limit : float
        Largest weight of a pixel; one of the highest order may be heavier.
    highest_order : int
        Order of the smallest pixels.

    Yields
    ------
    SkyPart
        Pixels that cover the sky, in the order of the index; some have no rows. Each row is in
        one of them.

    Examples
    --------
    >>> index = np.array([0, 1, 3 << 56, 7 << 58])
    >>> parts = list(partitions(index, np.ones(4), 2, 9))
    >>> [(part.pixel.name, part.rows.tolist()) for part in parts if len(part.rows)]
    [('1-0', [0, 1]), ('1-3', [2]), ('0-7', [3])]
    >>> len(parts)
    15
    """
    fine = index >> 2 * (DEEPEST - highest_order)
    for partition in refined(WHOLE_SKY, fine, weight, highest_order, limit):
        first, last = np.searchsorted(index, partition.span(DEEPEST))
        yield SkyPart(partition, np.arange(first, last))


def margins(index: np.ndarray, pixels: Iterable[Partition], margin_order: int) -> Iterator[SkyPart]:
    """Find the rows around each pixel that are not in it.

    Parameters
    ----------
    index : int64 array, shape (n,)
        As in `partitions`.
    pixels : iterable of Partition
        The pixels; those without rows have margins too, since a catalogue that this one is
        matched with may have rows there.
    margin_order : int
        Order of the small pixels that make up the margins.

    Yields
    ------
    SkyPart
        Pixels with rows in their margin.
    """
    fine = index >> 2 * (DEEPEST - margin_order)
    for partition in pixels:
        around = margin(partition, margin_order)
        first = np.searchsorted(fine, around, side="left")
        last = np.searchsorted(fine, around, side="right")
        some = last > first
        if some.any():
            found = [np.arange(a, b) for a, b in zip(first[some], last[some], strict=True)]
            yield SkyPart(partition, np.unique(np.concatenate(found)))


def batches(weight: np.ndarray, limit: float) -> Iterator[slice]:
    """Cut rows into pieces one after the other, each within the limit or of one row.

    Examples
    --------
    >>> list(batches(np.array([3, 3, 9, 1, 1]), 6))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 5, None)]
    """
    first, sum_ = 0, 0.0
    for row, value in enumerate(weight):
        if row > first and sum_ + value > limit:
            yield slice(first, row)
            first, sum_ = row, 0.0
        sum_ += value
    if len(weight):
        yield slice(first, len(weight))
