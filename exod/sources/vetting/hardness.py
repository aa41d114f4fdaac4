"""Hardness ratios of regions, with the credible intervals of Poisson counts.

HR = (H - S) / (H + S), with the counts of a hard and a soft energy band. Counts are few, so that
errors are those of the posterior and not of a normal distribution: Park et al. 2006, ApJ 652, 610.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from math import log
from typing import Any, Final, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.optimize import elementwise

from exod.config import Band
from exod.schemas.arrays import Floats, Integers
from exod.search.bursts import CREDIBILITY

NODES: Final = 100
"""Quantiles of each band's posterior that represent it; see `excess_hardness`."""

_ROWS: Final = 200
"""Regions at a time, and sisters at a time: 16 MB of pairs of quantiles."""

_TINY: Final = 1e-290


def soft_and_hard(bands: Iterable[Band]) -> tuple[Band, Band] | None:
    """The two bands that a hardness ratio compares.

    They do not overlap. If several pairs do not, it is the pair that covers most decades of
    energy, of equal ones that of the lowest energies.

    Parameters
    ----------
    bands : iterable of (float, float)
        Energy bands that were searched, in keV.

    Returns
    -------
    soft, hard : tuple of (float, float)
        None if all bands overlap.

    Examples
    --------
    >>> soft_and_hard([(0.2, 2.0), (2.0, 12.0), (0.2, 12.0)])
    ((0.2, 2.0), (2.0, 12.0))
    """
    pairs = [pair for pair in combinations(sorted(set(bands)), 2) if pair[0][1] <= pair[1][0]]
    if not pairs:
        return None
    return max(pairs, key=lambda pair: round(sum(log(high / low) for low, high in pair), 9))


def box_counts(image: NDArray[Any], corner: tuple[int, int], boxes: Integers) -> Floats:
    """Counts of an image in boxes.

    Parameters
    ----------
    image : ndarray, shape (y, x)
        Counts of a run, of the part of the full grid that it covers. There are none beyond it.
    corner : (int, int)
        Row and column of its first cell in the full grid.
    boxes : ndarray of int64, shape (n, 4)
        y_lo, y_hi, x_lo, x_hi in the full grid, half-open.

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> box_counts(np.arange(6).reshape(2, 3), (10, 20), np.array([[10, 12, 21, 30]]))
    array([12.])
    """
    total = np.zeros((image.shape[0] + 1, image.shape[1] + 1))
    total[1:, 1:] = image.cumsum(0).cumsum(1)
    y = np.clip(boxes[:, :2] - corner[0], 0, image.shape[0])
    x = np.clip(boxes[:, 2:] - corner[1], 0, image.shape[1])
    top, bottom = (total[y[:, side], x[:, 1]] - total[y[:, side], x[:, 0]] for side in (0, 1))
    return np.asarray(bottom - top)


def hardness_ratio(n_soft: ArrayLike, n_hard: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Hardness ratio of counts, and its shortest 68.3 % credible interval.

    With a flat prior of HR, p = (1 + HR) / 2 has the posterior Beta(H + 1, S + 1), exactly: the
    most probable HR is that of the counts. The interval of highest density holds it always, also
    where a band has no counts.

    Parameters
    ----------
    n_soft, n_hard : array_like, shape (n,)
        Counts, background included; NaN if unknown.

    Returns
    -------
    hr, low, high : ndarray of float64, shape (n,)
        hr is NaN where there are no counts at all, and the interval then that of the prior. All
        are NaN where counts are unknown.

    Examples
    --------
    >>> hr, low, high = hardness_ratio([10, 5, 0], [30, 0, 0])
    >>> hr.round(3), low.round(3), high.round(3)
    (array([ 0.5, -1. ,  nan]), array([ 0.358, -1.   , -0.683]), array([ 0.626, -0.652,  0.683]))
    """
    soft, hard = np.broadcast_arrays(np.asarray(n_soft, float), np.asarray(n_hard, float))
    known = np.isfinite(soft) & np.isfinite(hard)
    total = soft + hard
    ratio = np.divide(
        hard - soft, total, out=np.full(soft.shape, np.nan), where=known & (total > 0)
    )
    below = np.where(hard > 0, np.where(soft > 0, np.nan, 1 - CREDIBILITY), 0.0)
    below = np.where(known & (total == 0), (1 - CREDIBILITY) / 2, below)
    inner = known & (soft > 0) & (hard > 0)
    below[inner] = _shortest(soft[inner], hard[inner])
    low, high = (
        2 * special.betaincinv(hard + 1, soft + 1, probability) - 1
        for probability in (below, np.minimum(below + CREDIBILITY, 1.0))
    )
    low, high = np.where(known, low, np.nan), np.where(known, high, np.nan)
    return ratio, np.fmin(low, ratio), np.fmax(high, ratio)


def _shortest(soft: Floats, hard: Floats) -> Floats:
    """Probability below the interval of highest density; both counts are positive."""

    def difference(below: Floats, soft: Floats, hard: Floats) -> Floats:
        ends = (special.betaincinv(hard + 1, soft + 1, p) for p in (below, below + CREDIBILITY))
        low, high = (hard * np.log(p) + soft * np.log1p(-p) for p in ends)
        return np.asarray(high - low)

    edge = 1e-9
    bracket = (np.full(len(soft), edge), np.full(len(soft), 1 - CREDIBILITY - edge))
    if not soft.size:
        return bracket[0]
    found: Any = elementwise.find_root(
        cast("Any", difference), bracket, args=cast("Any", (soft, hard))
    )
    # Without a change of sign all of the mass is at one end, and the mode too.
    ends = np.where(hard < soft, *bracket)
    return np.where(found.success, found.x, ends)


def excess_hardness(
    n_soft: ArrayLike, mu_soft: ArrayLike, n_hard: ArrayLike, mu_hard: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Hardness ratio of what exceeds the expectation, and its central 68.3 % credible interval.

    Each band has counts n ~ Poisson(excess + mu) with mu known and a flat prior of the excess
    above 0, as in Park et al. 2006 with a known background; the two are independent. The
    posterior of each band is represented by `NODES` equally probable values, and the hardness
    ratio by that of all their pairs, which gives probabilities to about 0.5 %. For mu = 0 the
    posterior is Beta(H + 1, S + 1) as in `hardness_ratio`.

    Parameters
    ----------
    n_soft, n_hard : array_like, shape (n,)
        Counts; NaN if unknown.
    mu_soft, mu_hard : array_like, shape (n,)
        Expected counts.

    Returns
    -------
    hr, low, high : ndarray of float64, shape (n,)
        Median, 15.9 % and 84.1 % of the posterior; NaN where something is unknown.

    Examples
    --------
    >>> hr, low, high = excess_hardness([12.0], [2.0], [31.0], [1.0])
    >>> hr.round(2), low.round(2), high.round(2)
    (array([0.48]), array([0.33]), array([0.62]))
    """
    given = [np.asarray(value, float) for value in (n_soft, mu_soft, n_hard, mu_hard)]
    columns = np.array(np.broadcast_arrays(*given))
    known = np.flatnonzero(np.isfinite(columns).all(axis=0))
    found = np.full((3, columns.shape[1]), np.nan)
    tail = (1 - CREDIBILITY) / 2
    for start in range(0, len(known), _ROWS):
        rows = known[start : start + _ROWS]
        soft, hard = (_quantiles(*columns[band, rows]) for band in (slice(0, 2), slice(2, 4)))
        pairs = (hard[:, :, None], soft[:, None, :])
        ratio = np.subtract(*pairs) / np.add(*pairs)
        found[:, rows] = np.quantile(ratio.reshape(len(rows), -1), (0.5, tail, 1 - tail), axis=1)
    return found[0], found[1], found[2]


def _quantiles(n: Floats, mu: Floats) -> Floats:
    """Equally probable values of the excess, shape (n, NODES)."""
    above = 1 - (np.arange(NODES) + 0.5) / NODES
    n, mu = n[:, None], mu[:, None]
    upper = special.gammaincc(n + 1, mu)
    excess = special.gammainccinv(n + 1, above * np.maximum(upper, _TINY)) - mu
    # Far below the expectation the posterior falls as an exponential from 0.
    steep = -np.log(above) / np.maximum(1 - n / np.maximum(mu, 1.0), _TINY)
    return np.maximum(np.where(upper < _TINY, steep, excess), _TINY)


def best_sisters(boxes: Integers, sisters: Integers) -> Integers:
    """The region of another run that overlaps most with each region.

    Parameters
    ----------
    boxes : ndarray of int64, shape (n, 4)
        y_lo, y_hi, x_lo, x_hi of the regions, half-open, in the full grid.
    sisters : ndarray of int64, shape (m, 4)
        Those of the other run.

    Returns
    -------
    ndarray of int64, shape (n,)
        Index into `sisters`: most cells in common, of these the smallest box, of these the first;
        -1 where none overlaps.

    Examples
    --------
    >>> boxes = np.array([[0, 2, 0, 2], [5, 6, 5, 6]])
    >>> best_sisters(boxes, np.array([[0, 9, 0, 4], [1, 3, 0, 2], [0, 2, 0, 2]]))
    array([ 2, -1])
    """
    found = np.full(len(boxes), -1)
    if not len(sisters):
        return found
    area = _area(*sisters.T)
    for start in range(0, len(boxes), _ROWS):
        own = boxes[start : start + _ROWS, None, :]
        low, high = (np.maximum, np.minimum)
        common = _area(
            low(own[..., 0], sisters[:, 0]),
            high(own[..., 1], sisters[:, 1]),
            low(own[..., 2], sisters[:, 2]),
            high(own[..., 3], sisters[:, 3]),
        )
        score = common + 0.5 * (common > 0) / np.maximum(area, 1)
        best = score.argmax(axis=1)
        overlaps = common[np.arange(len(best)), best] > 0
        found[start : start + _ROWS] = np.where(overlaps, best, -1)
    return found


def _area(y_lo: Integers, y_hi: Integers, x_lo: Integers, x_hi: Integers) -> Integers:
    return np.maximum(y_hi - y_lo, 0) * np.maximum(x_hi - x_lo, 0)


def event_counts(
    offsets: Integers,
    time: Floats,
    n: NDArray[np.integer],
    mu: Floats,
    curve: Integers,
    after: Floats,
    until: Floats,
) -> tuple[Floats, Floats]:
    """Counts and expected counts of light curves in stretches of time.

    Frames count in which something is expected.

    Parameters
    ----------
    offsets : ndarray of int64, shape (n_curves + 1,)
        First frame of each light curve, and one past the last.
    time : ndarray of float64, shape (n_rows,)
        Start of each frame in seconds, ascending within each light curve.
    n, mu : ndarray, shape (n_rows,)
        Counts and expected counts of each frame.
    curve : ndarray of int64, shape (n_events,)
        Light curve of each event.
    after, until : ndarray of float64, shape (n_events,)
        Frames that begin after the one and not after the other, in seconds: from the start of an
        event less a frame to its end, those that it touches. They may be infinite.

    Returns
    -------
    n, mu : ndarray of float64, shape (n_events,)
        NaN where no frame counts.
    """
    expected = mu > 0
    sums = [np.r_[0.0, np.cumsum(np.where(expected, values, 0))] for values in (n, mu, 1)]
    first = _place(offsets, time, curve, after, side="right")
    last = _place(offsets, time, curve, until, side="right")
    counts, mean, frames = (total[np.maximum(last, first)] - total[first] for total in sums)
    return np.where(frames > 0, counts, np.nan), np.where(frames > 0, mean, np.nan)


def _place(
    offsets: Integers, time: Floats, curve: Integers, moment: Floats, *, side: Any
) -> Integers:
    """First frame of each of these light curves that begins after a moment."""
    if not time.size:
        return np.zeros(len(curve), np.int64)
    # One after the other on one axis, each with its own stretch, so that one search does.
    zero, stretch = time.min(), np.ptp(time) + 2.0
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    within = np.clip(moment - zero, -1.0, stretch - 1.0)
    places = np.searchsorted(time - zero + owner * stretch, curve * stretch + within, side=side)
    return np.clip(places, offsets[curve], offsets[curve + 1])
