"""Kolmogorov-Smirnov test of counts against expected counts, many light curves at once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from exod.vetting.episodes import Floats, Integers, Segments

EXACT_LENGTH: Final = 10_000
"""Longer light curves take the asymptotic p, as in `scipy.stats.ks_2samp`."""

_NEGLIGIBLE: Final = 1e-18


def ks_test(segments: Segments, n: NDArray[np.integer], mu: Floats) -> tuple[Floats, Floats]:
    """Two-sample Kolmogorov-Smirnov test of n against mu of each light curve (method.md, Features).

    It compares how counts and expected counts are distributed over frames, whatever their order.
    mu is no sample: it has no Poisson noise, so that p is small for any source whose counts
    scatter as they should. Use both numbers for ordering only. The slow reference is
    ``scipy.stats.ks_2samp(n, mu)``, exact up to 10,000 frames and asymptotic above.

    Parameters
    ----------
    segments : Segments
        The light curves.
    n : ndarray of int, shape (n_rows,)
        Counts.
    mu : ndarray of float64, shape (n_rows,)
        Expected counts.

    Returns
    -------
    statistic, p : ndarray of float64, shape (n_curves,)
        NaN for empty light curves and for those with mu that is not finite.

    Examples
    --------
    >>> mu = np.array([1.5, 1.5, 1.5, 1.5])
    >>> statistic, p = ks_test(Segments(np.array([0, 4])), np.array([0, 1, 1, 9]), mu)
    >>> statistic, p.round(4)
    (array([0.75]), array([0.2286]))
    """
    distance = _distances(segments, n, mu)
    known = distance >= 0
    statistic, p = np.full(segments.n, np.nan), np.full(segments.n, np.nan)
    lengths = segments.lengths[known]
    statistic[known] = distance[known] / lengths
    p[known] = _probability(distance[known], lengths)
    return statistic, p


def _distances(segments: Segments, n: NDArray[np.integer], mu: Floats) -> Integers:
    """Largest difference of the cumulative numbers of frames; -1 where it is not defined.

    Between two whole numbers that of n does not change, so that it differs most at one of them or
    just below the next: two tables of whole numbers do instead of sorting.
    """
    finite = segments.reduce(np.logical_and, np.isfinite(mu), empty=False) & (segments.lengths > 0)
    if not finite.all():
        mu = np.where(np.isfinite(mu), mu, 0.0)
    below, above = np.floor(mu), np.ceil(mu)
    low = np.minimum(segments.reduce(np.minimum, n, 0), segments.reduce(np.minimum, below, 0.0))
    high = np.maximum(segments.reduce(np.maximum, n, 0), segments.reduce(np.maximum, above, 0.0))
    span = high - low + 1
    # A table may not be much longer than its light curve.
    short = finite & (span <= 100 + 10 * segments.lengths)
    found = np.full(segments.n, -1)
    if short.any():
        rows = slice(None) if short.all() else short[segments.owner]
        values = (n[rows], below[rows], above[rows])
        found[short] = _tabulated(segments.owner[rows], low, span, short, values)
    for curve in np.flatnonzero(finite & ~short):
        own = slice(*segments.offsets[curve : curve + 2])
        found[curve] = _sorted(np.sort(n[own]), np.sort(mu[own]))
    return found


def _sorted(n: NDArray[np.integer], mu: Floats) -> int:
    """The same of one light curve, from its sorted values; for those with vast counts."""
    values = np.concatenate([n, mu])
    cumulative = (np.searchsorted(sample, values, side="right") for sample in (n, mu))
    return int(np.abs(np.subtract(*cumulative)).max())


def _tabulated(
    owner: Integers,
    low: Floats,
    span: Floats,
    which: NDArray[np.bool_],
    values: tuple[NDArray[Any], Floats, Floats],
) -> Integers:
    """The same, of the light curves `which`, from n, floor(mu) and ceil(mu) of their rows."""
    lengths = span[which].astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    place = np.zeros(len(span))
    place[which] = starts - low[which]
    place = place[owner]
    n, below, above = (
        np.bincount((value + place).astype(np.int64), minlength=int(lengths.sum()))
        for value in values
    )
    # Both of a pair have as many frames of each light curve, so that all start again from 0.
    difference = np.maximum(np.abs(np.cumsum(n - below)), np.abs(np.cumsum(n - above)))
    return np.asarray(np.maximum.reduceat(difference, starts))


def _probability(distance: Integers, length: Integers) -> Floats:
    """Probability of a distance as large, of two samples of the same length."""
    p = np.ones(len(distance))
    exact = (length <= EXACT_LENGTH) & (distance > 0)
    p[exact] = _exact(distance[exact].astype(float), length[exact].astype(float))
    rest = (length > EXACT_LENGTH) & (distance > 0)
    if rest.any():
        p[rest] = stats.kstwo.sf(distance[rest] / length[rest], np.round(length[rest] / 2))
    return np.clip(p, 0.0, 1.0)


def _exact(distance: Floats, length: Floats) -> Floats:
    """2 sum_k (-1)^(k-1) C(2l, l - kd) / C(2l, l): Gnedenko & Korolyuk (1951)."""
    total = np.zeros(len(distance))
    log_middle = 2 * special.gammaln(length + 1)
    active = np.arange(len(distance))
    k, sign = 1, 1.0
    while active.size:
        step, size = k * distance[active], length[active]
        log_term = log_middle[active] - special.gammaln(size - step + 1)
        term = np.exp(log_term - special.gammaln(size + step + 1))
        total[active] += sign * term
        k, sign = k + 1, -sign
        goes_on = (term > _NEGLIGIBLE * total[active]) & (k * distance[active] <= size)
        active = active[goes_on]
    return 2 * total
