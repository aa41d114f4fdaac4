"""Which share of windows significant by chance are regions of their own (method.md, False alarms).

Windows that overlap tend to be significant together. A clump of m of them is one region, so a
significant window counts as 1/m regions on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import numpy as np
from scipy.special import gammainccinv, gammaincinv, gammaln, ndtr, pdtrc

from exod.schemas.arrays import Floats, Integers

_SPATIAL_AXES: Final = 2
_GRID_COUNTS: Final = 64

_COUNTS: Final = np.array([1.0, 2, 3, 4, 5, 6, 8, 11, 16, 24, 40, 80, 160])
_P_LOG: Final = -np.arange(2.0, 17.0, 2.0)
_SIMULATIONS: Final = 256
"""Thresholds and probabilities at which clumps are simulated, and how many of them."""


class Overlap(Protocol):
    """How windows of one kind overlap."""

    def alone(self, k: Floats, mu: Floats, p: Floats, *, upper: bool) -> Floats:
        """Share of windows with at least (or at most) `k` counts that count as regions.

        Parameters
        ----------
        k, mu, p : ndarray
            Threshold, expected counts, and probability to reach the threshold; one shape.
        upper : bool
            Too many counts, else too few.
        """


def overlap_of(width: int, shifts: int, *, weighted: bool = False) -> Overlap:
    """Overlap of windows of `width` cells whose frames start `shifts` times in their length."""
    if width <= 2 and shifts <= 2:
        return HalfOverlap((_SPATIAL_AXES if width > 1 else 0) + (1 if shifts > 1 else 0))
    return ClumpOverlap(width, shifts, weighted)


@dataclass(frozen=True)
class HalfOverlap:
    """Windows moved by half their width along some axes.

    The share is worked out for a pair of them and applied along each axis.
    """

    axes: int

    def alone(self, k: Floats, mu: Floats, p: Floats, *, upper: bool) -> Floats:  # noqa: ARG002
        """As `Overlap.alone`; the probability does not matter."""
        both = together(k, mu) if upper else together_low(k, mu)
        return np.asarray((1 - both) ** self.axes)


@dataclass(frozen=True)
class ClumpOverlap:
    """Windows with any overlap, by simulations of the surroundings of a significant window."""

    width: int
    shifts: int
    weighted: bool

    def alone(self, k: Floats, mu: Floats, p: Floats, *, upper: bool) -> Floats:  # noqa: ARG002
        """As `Overlap.alone`, interpolated in counts and probability."""
        table = clump_table(self.width, self.shifts, self.weighted and upper, upper)
        counts = k if upper else k + 1
        row = np.interp(np.log(np.maximum(counts, 1)), np.log(_COUNTS), np.arange(len(_COUNTS)))
        column = np.interp(-np.log10(np.maximum(p, 1e-300)), -_P_LOG, np.arange(len(_P_LOG)))
        i = np.minimum(row.astype(np.int64), len(_COUNTS) - 2)
        j = np.minimum(column.astype(np.int64), len(_P_LOG) - 2)
        u, v = row - i, column - j
        first = table[i, j] * (1 - v) + table[i, j + 1] * v
        second = table[i + 1, j] * (1 - v) + table[i + 1, j + 1] * v
        return np.asarray(first * (1 - u) + second * u)


@lru_cache(maxsize=16)
def clump_table(width: int, shifts: int, weighted: bool, upper: bool) -> Floats:  # noqa: FBT001
    """Mean of 1/m for clumps of m significant windows, by threshold and probability.

    Around a window that is significant, Poisson counts of a flat background are drawn; windows of
    which cells touch belong to its clump. The result is reproducible.
    """
    generator = np.random.default_rng(1)
    middle = 1 / width**2 if weighted else 0.0
    table = np.ones((len(_COUNTS), len(_P_LOG)))
    for i, counts in enumerate(_COUNTS):
        k = counts if upper else counts - 1
        for j, p_log in enumerate(_P_LOG):
            mu = _mean_of(k, 10**p_log, middle, upper=upper)
            others, inner = _central(k, mu, middle, generator, upper=upper)
            cells = _surroundings(others, inner, mu, (width, shifts), generator, middle > 0)
            sums = _sums(cells, width, shifts, middle > 0)
            hit = (sums >= k) if upper else (sums <= k)
            table[i, j] = (1 / np.maximum(hit.sum((1, 2, 3)), 1)).mean()
    return table


def _weights(k: float, mu: float, middle: float) -> tuple[Floats, Floats]:
    """Probabilities of the numbers of other counts and of those in the middle, up to enough."""
    most = int(k + 12 * np.sqrt(k + mu) + 30)
    n = np.arange(most + 1)
    means = mu * (1 - middle), mu * middle
    others, inner = (
        np.exp(n * np.log(max(mean, 1e-300)) - mean - gammaln(n + 1)) for mean in means
    )
    return others, inner if middle else inner[:1]


def _mean_of(k: float, p: float, middle: float, *, upper: bool) -> float:
    """Expected counts of a window that has at least (or at most) `k` with probability `p`."""
    if not upper:
        return float(gammainccinv(k + 1, p))
    if not middle:
        return float(gammaincinv(k, p))
    low, high = np.log(1e-9), np.log(float(gammaincinv(k, p)) + 1e-9)
    for _ in range(40):
        centre = (low + high) / 2
        mu = np.exp(centre)
        b = np.arange(int(k) // 2 + 1)
        inner = np.exp(b * np.log(mu * middle) - mu * middle - gammaln(b + 1))
        rest = k - 2 * b
        tails = np.where(rest > 0, pdtrc(np.maximum(rest - 1, 0), mu * (1 - middle)), 1.0)
        tail = inner @ tails + pdtrc(float(b[-1]), mu * middle)
        low, high = (centre, high) if tail < p else (low, centre)
    return float(np.exp(low))


def _central(
    k: float, mu: float, middle: float, generator: np.random.Generator, *, upper: bool
) -> tuple[Integers, Integers]:
    """Other counts and those in the middle of significant windows, drawn by their probability."""
    others, inner = _weights(k, mu, middle)
    a, b = np.arange(len(others))[:, None], np.arange(len(inner))[None, :]
    sums = a + 2 * b
    probability = np.where((sums >= k) if upper else (sums <= k), np.outer(others, inner), 0.0)
    flat = probability.ravel() / probability.sum()
    return np.divmod(generator.choice(len(flat), _SIMULATIONS, p=flat), len(inner))


def _surroundings(
    others: Integers,
    inner: Integers,
    mu: float,
    size: tuple[int, int],
    generator: np.random.Generator,
    weighted: bool,  # noqa: FBT001
) -> Integers:
    """Counts of cells and sub-frames around windows, shape (n, 3 shifts, 3 width, 3 width)."""
    width, shifts = size
    shape = (len(others), 3 * shifts, 3 * width, 3 * width)
    cells = generator.poisson(mu / (shifts * width**2), shape)
    is_middle = np.zeros((shifts, width, width), bool)
    is_middle[:, width // 2, width // 2] = weighted
    own = np.zeros((len(others), is_middle.size), np.int64)
    for n, where in ((others, ~is_middle), (inner, is_middle)):
        (index,) = np.nonzero(where.ravel())
        if len(index):
            own[:, index] = generator.multinomial(n, np.full(len(index), 1 / len(index)))
    inside = slice(width, 2 * width)
    cells[:, shifts : 2 * shifts, inside, inside] = own.reshape(-1, *is_middle.shape)
    return cells


def _sums(
    cells: Integers,
    width: int,
    shifts: int,
    weighted: bool,  # noqa: FBT001
) -> Integers:
    """Sums of all windows."""
    sums = cells
    for axis, n in ((1, shifts), (2, width), (3, width)):
        if axis == 2 and weighted:
            middle = sums[:, :, width // 2 :, width // 2 :]
        total = np.cumsum(sums, axis=axis)
        total = np.concatenate([np.zeros_like(total.take([0], axis)), total], axis=axis)
        last = total.shape[axis]
        sums = total.take(range(n, last), axis) - total.take(range(last - n), axis)
    if weighted:
        sums = sums + middle[:, :, : sums.shape[2], : sums.shape[3]]
    return sums


def together(k: Floats, mu: Floats) -> Floats:
    """Probability that a window moved by half its width has k counts too, if one has k.

    Half of the k counts are in both, on average; the new half brings mu / 2.
    """
    table, log_mu = _together_table()
    column = np.interp(np.log(np.maximum(mu, 1e-30)), log_mu, np.arange(len(log_mu)))
    low = np.minimum(column.astype(np.int64), len(log_mu) - 2)
    fraction = column - low
    row = np.minimum(k, _GRID_COUNTS - 1).astype(np.int64)
    few = table[row, low] * (1 - fraction) + table[row, low + 1] * fraction
    many = k >= _GRID_COUNTS
    if many.any():
        k, mu = k[many], mu[many]
        few[many] = ndtr((mu / 2 - k / 2) / np.sqrt(k / 4 + mu / 2 + 1e-9))
    return np.asarray(few)


@lru_cache(maxsize=1)
def _together_table() -> tuple[Floats, Floats]:
    """`together` for k below 64 on a grid of log mu, shape (64, n)."""
    log_mu = np.linspace(np.log(1e-4), np.log(_GRID_COUNTS), 60)
    half = np.exp(log_mu) / 2
    table = np.zeros((_GRID_COUNTS, len(log_mu)))
    for k in range(_GRID_COUNTS):
        lost = np.arange(k + 1)
        ways = np.exp(gammaln(k + 1) - gammaln(lost + 1) - gammaln(k - lost + 1) - k * np.log(2))
        enough = np.where(lost[:, None] > 0, pdtrc(lost[:, None] - 1.0, half[None, :]), 1.0)
        table[k] = ways @ enough
    return table, log_mu


def together_low(k: Floats, mu: Floats) -> Floats:
    """The same for windows with too few counts."""
    # Of k counts, k / 2 stay; the new half brings mu / 2 and must not exceed what is left.
    return np.asarray(ndtr((k / 2 - mu / 2 + 0.5) / np.sqrt(k / 4 + mu / 2)))
