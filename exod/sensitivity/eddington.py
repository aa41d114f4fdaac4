"""Counts of a source before chance made them more: faint sources are many and bright ones few.

Of the sources that chance lifts over a limit there are more than of those that it pushes below it,
so that counts are too many in the mean (Eddington 1913, MNRAS 73, 359). Here the prior of the
expected excess s is p(s) ~ s^-2.5 above one count, as the sources of an evenly filled space have
it, N(>S) ~ S^-1.5; counts are Poisson of s + mu with a known mu.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from exod.schemas.arrays import Floats

SLOPE: Final = 2.5
"""Slope of the prior; that of N(>S) is less by one."""

LEAST: Final = 1.0
"""Counts below which there is no source."""

_NODES: Final = 400
_ROWS: Final = 2000


def without_eddington(n: ArrayLike, mu: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Median and central 68.3 % credible interval of the expected excess.

    Parameters
    ----------
    n, mu : array_like, shape (n,)
        Counts and expected counts without the source.

    Returns
    -------
    median, low, high : ndarray of float64, shape (n,)
        NaN where n or mu is not finite or is negative.

    Examples
    --------
    >>> median, low, high = without_eddington([6, 1000], [0.2, 0.2])
    >>> median.round(1), low.round(1), high.round(1)
    (array([  3.9, 998. ]), array([  2.2, 966.7]), array([   6.2, 1029.9]))
    """
    columns = np.array(np.broadcast_arrays(np.asarray(n, float), np.asarray(mu, float)))
    known = np.flatnonzero((np.isfinite(columns) & (columns >= 0)).all(axis=0))
    found = np.full((3, columns.shape[1]), np.nan)
    levels = (0.5, *ndtr([-1.0, 1.0]))
    for start in range(0, len(known), _ROWS):
        rows = known[start : start + _ROWS]
        found[:, rows] = _quantiles(columns[0, rows, None], columns[1, rows, None], levels)
    return found[0], found[1], found[2]


def _quantiles(n: Floats, mu: Floats, levels: tuple[float, ...]) -> Floats:
    """Quantiles of the posterior, shape (n_levels, n_rows); `n` and `mu` of shape (n_rows, 1)."""
    # Nodes are close where the posterior is narrow.
    width = np.sqrt(n + 1)
    low = np.maximum(n - mu - 12 * width, LEAST)
    high = np.maximum(n - mu, LEAST) + 12 * width + 5
    share = np.linspace(0, 1, _NODES)
    s = low * (high / low) ** share
    # The nodes are even in log s, which takes one from the slope.
    log_p = n * np.log(s + mu) - s - (SLOPE - 1) * np.log(s)
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    total = np.cumsum((p[:, 1:] + p[:, :-1]) / 2, axis=1)
    total = np.concatenate([np.zeros((len(s), 1)), total], axis=1) / total[:, -1:]
    return np.array(
        [
            [np.interp(level, below, nodes) for below, nodes in zip(total, s, strict=True)]
            for level in levels
        ]
    )
