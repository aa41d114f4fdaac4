"""Peaks, eclipses and episodes of variability in many light curves at once (method.md, Features).

Rows of many light curves stand one after the other; `offsets` says where each begins and the last
one ends, so that no light curve needs a loop of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.schemas.arrays import Floats, Integers, Mask

PEAK_LIMIT: Final = 6.4
ECLIPSE_LIMIT: Final = 5.5
"""log10 Bayes factors above which a frame belongs to a peak or an eclipse (method.md, Features)."""

EPISODE_SECONDS: Final = 5000.0
LONG_FRAME: Final = 200.0
LONG_SPACING: Final = 5
"""Episodes are 5000 s apart, or 5 frames if frames last 200 s or longer (method.md, Features)."""


@dataclass(frozen=True)
class Segments:
    """Where each of many light curves begins and ends in arrays of all their rows.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n_curves + 1,)
        First row of each, and one past the last row of the last; ascending from 0. Light curves
        may be empty.
    """

    offsets: Integers

    @property
    def n(self) -> int:
        """Number of light curves."""
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Integers:
        """Rows of each, shape (n_curves,)."""
        return np.diff(self.offsets)

    @cached_property
    def owner(self) -> Integers:
        """Light curve of each row, shape (n_rows,)."""
        return np.repeat(np.arange(self.n), self.lengths)

    def reduce(self, function: np.ufunc, values: NDArray[Any], empty: float) -> NDArray[Any]:
        """Reduce the rows of each light curve; `empty` for those without rows."""
        filled = self.lengths > 0
        dtype = np.result_type(values.dtype, type(empty))
        found = np.full(self.n, empty, dtype)
        if filled.any():
            # Empty ones take no rows, so each of the others ends where the next one begins.
            found[filled] = function.reduceat(values, self.offsets[:-1][filled])
        return found

    def sum(self, values: NDArray[Any]) -> Floats:
        """Sum of each, in double precision; 0 for empty ones."""
        return np.asarray(self.reduce(np.add, np.asarray(values, float), 0.0))

    def count(self, rows: Mask | Integers) -> Integers:
        """How many rows of each are true in a mask, or are among indices."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        return np.bincount(self.owner[chosen], minlength=self.n)


def spacing(t_bin: ArrayLike) -> Integers:
    """Frames that separate two episodes: more than these lie between their nearest frames.

    The published values are 1000, 100 and 5 frames of 5, 50 and 200 s. The rule behind them that
    is used for any length: 5000 s of frames shorter than 200 s, otherwise 5 frames.

    Parameters
    ----------
    t_bin : array_like
        Lengths of frames in seconds.

    Examples
    --------
    >>> spacing([5, 50, 200, 2.5, 100, 1500])
    array([1000,  100,    5, 2000,   50,    5])
    """
    length = np.asarray(t_bin, float)
    return np.where(length < LONG_FRAME, np.rint(EPISODE_SECONDS / length), LONG_SPACING).astype(
        np.int64
    )


def local_maxima(segments: Segments, values: Floats, limit: float) -> Integers:
    """Count the local maxima above a limit.

    Equal neighbours are one maximum, the first and the last frame can be one, and NaN is lower
    than everything: those of `scipy.signal.find_peaks` after minus infinity is put in place of
    NaN and at both ends.

    Parameters
    ----------
    segments : Segments
        The light curves.
    values : ndarray of float64, shape (n_rows,)
        Of each frame.
    limit : float
        A maximum is above it, not at it.

    Returns
    -------
    ndarray of int64, shape (n_curves,)
    """
    rows = np.flatnonzero(values > limit)
    if not rows.size:
        return np.zeros(segments.n, np.int64)
    height = values[rows]
    # Whatever lies between rows that do not touch is lower than both.
    touches = (np.diff(rows) == 1) & (np.diff(segments.owner[rows]) == 0)
    first = np.flatnonzero(np.r_[True, ~(touches & (height[1:] == height[:-1]))])
    height, linked = height[first], np.r_[False, touches][first]
    rises = np.r_[True, height[1:] > height[:-1]] | ~linked
    falls = np.r_[height[:-1] > height[1:], True] | ~np.r_[linked[1:], False]
    return segments.count(rows[first[rises & falls]])


def episodes(segments: Segments, varies: Mask, apart: Integers) -> Integers:
    """Count the episodes: groups of frames with more than `apart` frames from one to the next.

    Parameters
    ----------
    segments : Segments
        The light curves.
    varies : ndarray of bool, shape (n_rows,)
        Frames that belong to an episode.
    apart : ndarray of int64, shape (n_curves,)
        Largest step in frames within an episode; see `spacing`.

    Returns
    -------
    ndarray of int64, shape (n_curves,)

    Examples
    --------
    >>> varies = np.array([1, 0, 1, 0, 0, 1], bool)
    >>> episodes(Segments(np.array([0, 6])), varies, np.array([2]))
    array([2])
    """
    rows = np.flatnonzero(varies)
    owner = segments.owner[rows]
    begins = np.ones(len(rows), bool)
    begins[1:] = (np.diff(owner) > 0) | (np.diff(rows) > apart[owner[1:]])
    return segments.count(rows[begins])


def largest_peak(segments: Segments, n: NDArray[np.integer]) -> dict[str, NDArray[Any]]:
    """Where the largest counts are: the first frame with them.

    Parameters
    ----------
    segments : Segments
        The light curves.
    n : ndarray of int, shape (n_rows,)
        Counts.

    Returns
    -------
    dict of str to ndarray
        n_max_index (int64; -1 if there are no counts at all), n_max_first_bin, n_max_last_bin,
        n_max_isolated (bool): the frames before and after exist and have no counts.
    """
    largest = segments.reduce(np.maximum, n, 0)
    rows = np.arange(len(n))
    at = np.where(n == largest[segments.owner], rows, len(n))
    row = segments.reduce(np.minimum, at, len(n))
    exists = largest > 0
    starts, stops = segments.offsets[:-1], segments.offsets[1:]
    first, last = exists & (row == starts), exists & (row == stops - 1)
    inner = np.flatnonzero(exists & ~first & ~last)
    isolated = np.zeros(segments.n, bool)
    isolated[inner] = (n[row[inner] - 1] == 0) & (n[row[inner] + 1] == 0)
    return {
        "n_max_index": np.where(exists, row - starts, -1),
        "n_max_first_bin": first,
        "n_max_last_bin": last,
        "n_max_isolated": isolated,
    }
