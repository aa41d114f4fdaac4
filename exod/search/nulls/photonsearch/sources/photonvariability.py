"""Slow variability of a source, from the times of its photons (docs/ideal.md).

All follows from the expected shares before each photon: what is seen of the background and of gaps
is taken out. As many are expected in each class of the level and group of CCDs as came, so that
counts of bins scatter less than those of independent photons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import chi2

from exod.schemas.arrays import Floats, Integers
from exod.search.blocks import block_edges
from exod.search.nulls.photonsearch.sources.photoncurves import SourceTimes

SCALES: Final = (1000.0, 3000.0, 10_000.0, 30_000.0)
"""Lengths of bins in seconds; those of which three do not fit are left out."""

LEAST_MEAN: Final = 5.0
"""Counts that a bin is expected to have at least, so that chi-squared holds."""


@dataclass(frozen=True)
class SlowVariability:
    """How a source varies over hours; a row of each array is a scale.

    Attributes
    ----------
    scale : ndarray of float64, shape (n,)
        Length of the bins in seconds of live time.
    excess_variance : ndarray of float64, shape (n,)
        Variance of the rate of the source over its mean squared, less that of counts. About 0, and
        on either side of it, if the source is constant.
    probability : ndarray of float64, shape (n,)
        Of so large a variance if the source is constant.
    structure : ndarray of float64, shape (n,)
        Mean squared difference of the rates of neighbouring bins over the mean rate squared, less
        that of counts.
    blocks : int
        Bayesian blocks; 1 if the rate is constant.
    """

    scale: Floats
    excess_variance: Floats
    probability: Floats
    structure: Floats
    blocks: int

    @property
    def least_probability(self) -> float:
        """Of so large a variance on any scale if the source is constant; 1 without any scale.

        The Cauchy combination (Liu & Xie 2020, JASA 115, 393): scales are not independent.
        """
        if not len(self.probability):
            return 1.0
        ratio = 1 / np.tan(np.pi * np.clip(self.probability, 1e-300, 1 - 1e-15))
        return float(np.arctan2(1.0, ratio.mean()) / np.pi)


def slow_variability(source: SourceTimes, total: float) -> SlowVariability:
    """How a source varies on scales of an hour and more.

    Bins have equal expected counts, so that none lies in a gap, and a flare of the background is no
    variability.

    Parameters
    ----------
    source : SourceTimes
        Its photons.
    total : float
        Live time of everything, seconds.

    Examples
    --------
    >>> share = np.concatenate([np.linspace(0, 0.5, 300), np.linspace(0.5, 1, 100)])
    >>> steps = slow_variability(SourceTimes(0.0, 0.0, share * 20e3, share, 0.0), 20_000.0)
    >>> steps.scale.tolist(), steps.excess_variance.round(2).tolist(), steps.blocks
    ([1000.0, 3000.0], [0.21, 0.23], 2)
    >>> steps.least_probability < 1e-15
    True
    """
    n, rows = len(source.share), []
    for scale in SCALES:
        bins = round(total / scale)
        if bins >= 3 and n / bins >= LEAST_MEAN:
            counts = np.histogram(source.share, bins, (0.0, 1.0))[0]
            scatter = covariance(source, bins)
            rows.append((scale, *_variance(counts, scatter, 1 - source.background)))
    table = np.array(rows).reshape(-1, 4)
    blocks = len(block_edges(np.sort(source.share), 0.0, 1.0)) - 1 if n else 1
    return SlowVariability(table[:, 0], table[:, 1], table[:, 2], table[:, 3], blocks)


def covariance(source: SourceTimes, bins: int) -> Floats:
    """Of the counts of bins with equal expected counts if a source is constant, shape (n, n).

    Given how many came in each class of the level and group of CCDs, those are multinomial.

    Examples
    --------
    >>> even = SourceTimes(0.0, 0.0, np.arange(4.0), np.arange(4.0) / 4, 0.0)
    >>> covariance(even, 2).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    knots, edges = np.linspace(0.0, 1.0, source.parts.shape[1]), np.linspace(0.0, 1.0, bins + 1)
    share = np.diff([np.interp(edges, knots, row) for row in source.parts], axis=1)
    counts = source.counts * (len(source.share) / source.counts.sum())
    return np.asarray(np.diag(counts @ share) - (share.T * counts) @ share)


def _variance(counts: Integers, scatter: Floats, part: float) -> tuple[float, float, float]:
    """Excess variance, its probability and structure function of bins with equal expected counts.

    Only a part of the photons is of the source. A sum of squares that are not independent goes as
    chi-squared with the same mean and variance (Satterthwaite 1946, Biometrics 2, 110).
    """
    n, bins = float(counts.sum()), len(counts)
    mean = n / bins
    squared = float(((counts - mean) ** 2).sum())
    source = max(part * mean, 1e-300) ** 2
    total, squares = float(np.trace(scatter)), max(float((scatter**2).sum()), 1e-300)
    excess = (squared - total) / (bins - 1) / source
    pairs = np.diag(scatter)[1:] + np.diag(scatter)[:-1] - 2 * np.diag(scatter, 1)
    steps = float((np.diff(counts) ** 2 - pairs).mean())
    p = float(chi2.sf(squared * total / squares, max(total**2 / squares, 1e-9)))
    return excess, p, steps / source
