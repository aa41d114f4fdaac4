"""Windows of cells, their counts, and how chance distributes these (method.md, Sliding windows)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammaln, xlogy

from exod.counts.partial import GroupShares
from exod.schemas.arrays import EqualColumns, Floats, Integers, Mask

LN10: Final = np.log(10.0)

_ROUNDING: Final = 1e-9
"""Counts below this are none."""


@dataclass(frozen=True)
class Tiling:
    """Windows that do not overlap.

    Attributes
    ----------
    positions : ndarray of int64, shape (n_windows,)
        Their positions, `Windows.outside` for what is in no window.
    number : ndarray of int32, shape (n_cells,)
        Index into `positions` of the window of each cell.
    is_middle : ndarray of bool, shape (n_cells,)
        Cells in the middle of their window; none without weights.
    """

    positions: Integers
    number: NDArray[np.int32]
    is_middle: Mask


@dataclass(frozen=True)
class Windows:
    """Square windows of `width` x `width` cells that start at every cell of an image.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the image.
    width : int
        Cells along a side.
    weighted : bool
        Whether the middle cell counts double in the sum that is tested for too many counts.
    """

    shape: tuple[int, int]
    width: int
    weighted: bool = False

    @property
    def outside(self) -> int:
        """Position that stands for no window; the others are flat indices of the first cell."""
        return self.shape[0] * self.shape[1]

    @cached_property
    def tilings(self) -> list[Tiling]:
        """Every way to tile the image with windows."""
        starts = [self._starts(n) for n in self.shape]
        result = []
        for rows in starts[0]:
            for columns in starts[1]:
                position = rows[:, None] * self.shape[1] + columns[None, :]
                inside = (rows[:, None] >= 0) & (columns[None, :] >= 0)
                flat = np.where(inside, position, self.outside).ravel()
                positions, number = np.unique(flat, return_inverse=True)
                middle = (self._is_middle(0, rows)[:, None] & self._is_middle(1, columns)).ravel()
                result.append(Tiling(positions, number.astype(np.int32), middle))
        return result

    def _is_middle(self, axis: int, starts: Integers) -> Mask:
        """Cells along an axis in the middle of windows that start at `starts`."""
        middle = np.arange(self.shape[axis]) - starts == self.width // 2
        return middle & (starts >= 0) & self.weighted

    def _starts(self, n: int) -> list[Integers]:
        """First cell of the window of each cell along an axis, by phase; -1 if it sticks out."""
        cell = np.arange(n)
        result = []
        for phase in range(self.width):
            start = cell - (cell - phase) % self.width
            result.append(np.where((start < 0) | (start > max(n - self.width, 0)), -1, start))
        return result

    def sums(self, image: NDArray[np.generic]) -> Floats:
        """Sum over each window, by position, shape (n_cells + 1,); 0 where none starts."""
        rows, columns = self.shape
        padded = np.zeros((rows + self.width, columns + self.width))
        padded[1 : rows + 1, 1 : columns + 1] = image
        total = padded.cumsum(0).cumsum(1)
        w = self.width
        # Sticking out is allowed only where the image is smaller than a window.
        last = (max(rows - w, 0) + 1, max(columns - w, 0) + 1)
        high = [
            np.minimum(np.arange(n) + w, size) for n, size in zip(last, self.shape, strict=True)
        ]
        low = [np.arange(n) for n in last]
        result = np.zeros((rows, columns))
        result[: last[0], : last[1]] = (
            total[np.ix_(high[0], high[1])]
            - total[np.ix_(low[0], high[1])]
            - total[np.ix_(high[0], low[1])]
            + total[np.ix_(low[0], low[1])]
        )
        return np.append(result.ravel(), 0.0)

    def middles(self, image: NDArray[np.generic]) -> Floats:
        """Value of the middle cell of each window, as `sums`."""
        result = np.zeros(self.outside + 1)
        for tiling in self.tilings:
            middle = np.flatnonzero(tiling.is_middle)
            result[tiling.positions[tiling.number[middle]]] = image.ravel()[middle]
        result[self.outside] = 0.0
        return result


@dataclass(frozen=True)
class DistinctCounts:
    """The counts that windows have in a class of time, each once.

    Attributes
    ----------
    counts : ndarray of float64, shape (n,)
        Ascending, above 0.
    number : ndarray of intp, shape (n,)
        Windows with these counts.
    windows : ndarray of intp, shape (n_windows,)
        Positions of the windows that have any.
    index : ndarray of intp, shape (n_windows,)
        Which of `counts` each of them has.
    """

    counts: Floats
    number: Integers
    windows: Integers
    index: Integers


@dataclass(frozen=True)
class WindowCounts:
    """What the expectation of windows needs.

    Attributes
    ----------
    windows : Windows
        The windows.
    counts, source : ndarray of float64, shape (n_classes, n_cells + 1)
        Counts of each window in each class of time, and those of constant sources among them.
    middle : WindowCounts or None
        The same of the middle cells of the windows, if these count double.
    groups : GroupShares or None
        Shares of groups of CCDs in the counts of each window, if not all were always live.
    """

    windows: Windows
    counts: Floats
    source: Floats
    middle: WindowCounts | None = None
    groups: GroupShares | None = None

    @classmethod
    def of(
        cls,
        counts: Floats,
        source: Floats,
        windows: Windows,
        groups: GroupShares | None = None,
    ) -> WindowCounts:
        """Window sums of images by class, shape (n_classes, y, x).

        With `groups`, the shares of groups of CCDs in the counts of each cell.
        """
        middle = None
        if windows.weighted:
            middle = cls(
                windows,
                np.array([windows.middles(image) for image in counts]),
                np.array([windows.middles(image) for image in source]),
                groups=_of_windows(counts, windows.middles, groups),
            )
        sums = np.array([windows.sums(image) for image in counts])
        if groups is not None:
            # Counts that are not whole leave rounding where there are none.
            sums[sums < _ROUNDING] = 0.0
        return cls(
            windows,
            sums,
            np.array([windows.sums(image) for image in source]),
            middle,
            _of_windows(counts, windows.sums, groups),
        )

    @cached_property
    def distinct(self) -> tuple[DistinctCounts, ...]:
        """The counts of each class, which all runs of a band look at."""
        result = []
        for counts in self.counts:
            windows = np.flatnonzero(counts > 0)
            values, index, number = np.unique(
                counts[windows], return_inverse=True, return_counts=True
            )
            result.append(DistinctCounts(values, number, windows, index))
        return tuple(result)

    def expected(
        self,
        level: Floats,
        exposure: Floats,
        frame: Integers,
        position: Integers,
        relative: Floats | None = None,
    ) -> Floats:
        """Expected counts by class, shape (n_classes, *broadcast of frame and position).

        Parameters
        ----------
        level, exposure : ndarray, shape (n_classes, n_frames)
            Shares of the frames, from `ConditionalExpectation.shares`.
        frame, position : ndarray
            Frames and windows.
        relative : ndarray, shape (n_groups, n_frames), or None
            From `ConditionalExpectation.relative`.
        """
        expected = np.array(
            [
                (counts[position] - source[position]) * own_level[frame]
                + source[position] * own_exposure[frame]
                for counts, source, own_level, own_exposure in zip(
                    self.counts, self.source, level, exposure, strict=True
                )
            ]
        )
        if self.groups is not None and relative is not None:
            for number in range(len(expected)):
                expected[number] *= self.groups.factor(number, relative, frame, position)
        return expected

    def chance(self, expected: Floats, position: Integers) -> Chance:
        """Distribution of the counts of windows by chance.

        Parameters
        ----------
        expected : ndarray, shape (n_classes, n)
            Expected counts by class, from `expected`.
        position : ndarray, shape (n,)
            Windows.
        """
        counts = self.counts[:, position]
        shares = np.divide(expected, counts, out=np.zeros_like(expected), where=counts > 0)
        return Chance.of_classes(counts, np.minimum(shares, 1.0))


def _of_windows(
    counts: Floats, summed: Callable[[Floats], Floats], groups: GroupShares | None
) -> GroupShares | None:
    """Shares of the groups in windows: those of their cells, by their counts."""
    if groups is None:
        return None
    result = []
    for image, shares in zip(counts, groups.shares, strict=True):
        own = np.array([summed(part.reshape(image.shape) * image) for part in shares])
        own = np.maximum(own, 0.0)
        total = own.sum(0)
        result.append(np.divide(own, total, out=np.zeros_like(own), where=total > _ROUNDING))
    return GroupShares(np.array(result))


@dataclass(frozen=True)
class Chance(EqualColumns):
    """Counts of a window by chance: `sure` counts and a binomial number; arrays of one shape.

    Attributes
    ----------
    sure : ndarray of float64
        Counts that are always there; need not be whole.
    trials, share : ndarray of float64
        Of the binomial number.
    """

    sure: Floats
    trials: Floats
    share: Floats

    @classmethod
    def of_classes(cls, counts: Floats, shares: Floats) -> Chance:
        """The sum of binomial numbers, one a class of time; shapes (n_classes, ...).

        Of a frame in one class it is that number. Of a frame in several, mean, variance and
        skewness are right; what of a class lies wholly in the frame is sure.

        Examples
        --------
        >>> chance = Chance.of_classes(np.array([[20.0], [500.0]]), np.array([[1.0], [0.01]]))
        >>> chance.sure.round(6), chance.trials.round(6), chance.share.round(6)
        (array([20.]), array([500.]), array([0.01]))
        """
        spread = counts * shares * (1 - shares)
        third = (spread * (1 - 2 * shares)).sum(0)
        return cls.of_moments((counts * shares).sum(0), spread.sum(0), third)

    @classmethod
    def of_moments(cls, mean: Floats, variance: Floats, skewness: Floats) -> Chance:
        """The number with these central moments, the first three; one shape."""
        some = variance > 0
        ratio = np.divide(skewness, variance, out=np.ones_like(mean), where=some)
        share = np.clip((1 - ratio) / 2, 1e-12, 1 - 1e-12)
        trials = np.where(some, variance / (share * (1 - share)), 0.0)
        return cls(np.where(some, mean - trials * share, mean), trials, share)

    @property
    def mean(self) -> Floats:
        """Expected counts."""
        return self.sure + self.trials * self.share

    @property
    def sigma(self) -> Floats:
        """Standard deviation."""
        return np.asarray(np.sqrt(self.trials * self.share * (1 - self.share)))

    def log10_tail(self, n: Floats, *, upper: bool) -> Floats:
        """log10 of the probability of at least (or at most) `n` counts, same shape."""
        # Rounding must not make one count out of none.
        above = np.where(n > self.sure + 1e-6, n - self.sure, 0.0)
        return log10_tail(above, self.trials, self.trials * self.share, upper=upper)


def log10_tail(n: Floats, trials: Floats, mu: Floats, *, upper: bool) -> Floats:
    """log10 of P(N >= n), or of P(N <= n), for a binomial N with mean `mu`; one shape.

    Examples
    --------
    >>> log10_tail(np.array([2.0]), np.array([2.0]), np.array([0.002]), upper=True).round(3)
    array([-6.])
    """
    trials = np.maximum(trials, np.maximum(n, mu))
    share = np.clip(mu / np.maximum(trials, 1e-300), 0.0, 1.0)
    rest = np.maximum(trials - n, 0.0)
    if upper:
        tail = np.where(n > 0, betainc(np.maximum(n, 1e-9), rest + 1, share), 1.0)
    else:
        tail = np.where(rest > 0, betainc(np.maximum(rest, 1e-9), n + 1, 1 - share), 1.0)
    with np.errstate(divide="ignore"):
        result = np.log10(tail)
    tiny = tail < 1e-290
    if tiny.any():
        n, trials, share, rest = (
            np.broadcast_to(values, tiny.shape)[tiny] for values in (n, trials, share, rest)
        )
        with np.errstate(divide="ignore"):
            log_pmf = gammaln(trials + 1) - gammaln(n + 1) - gammaln(rest + 1) + xlogy(n, share)
        log_pmf = log_pmf + rest * np.log1p(-np.minimum(share, 1 - 1e-15))
        result[tiny] = log_pmf / LN10
    return np.asarray(result)
