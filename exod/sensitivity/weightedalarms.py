"""False alarms of windows whose middle cell counts double, exactly (method.md, False alarms)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from scipy.special import betainc

from exod.counts.weights import WeightedChance, besides
from exod.counts.windows import Chance, WindowCounts
from exod.schemas.arrays import Floats
from exod.sensitivity.overlaps import Overlap

OTHERS_GROUPS: Final = 16
MIDDLE_GROUPS: Final = 12
SHARE_GROUPS: Final = 12
"""Windows with similar counts outside and in the middle and frames of similar share are counted
together."""

_MIXED_STEPS: Final = (0.1, 0.25, 0.2)
"""The same of frames in several classes of time: steps of the logarithms of the counts that are
expected outside and in the middle, and of the share."""

_SMALLEST_MU: Final = 1e-6
_LARGEST_MU: Final = 1e5
_SMALLEST_P: Final = 1e-18
_ROUNDING: Final = 1e-6

_NEAREST: Final = 2.0
"""Sigmas from the mean at which tails begin to be followed."""

_EXACT_UP_TO: Final = 60.0
"""Expected sums above this are taken as scaled binomial numbers."""

_ROWS: Final = 256


def weighted_steps(
    sums: WindowCounts, middle: WindowCounts, level: Floats, overlap: Overlap
) -> Floats:
    """Probabilities of peaks that windows can attain, and how many more regions each brings.

    The two are rows of one array, shape (2, n).

    Parameters
    ----------
    sums, middle : WindowCounts
        Counts of the windows, and of their middle cells.
    level : ndarray, shape (n_classes, n_frames)
        Shares of the frames.
    overlap : Overlap
        How windows overlap.
    """
    parts = [np.empty((2, 0))]
    single = (level > 0).sum(0) == 1
    others = besides(sums, middle)
    for a, b, own in zip(others, middle.counts, level, strict=True):
        share = own[single & (own > 0)]
        seen = a + b > 0
        if not len(share) or not seen.any():
            continue
        (mean_a, mean_b), windows = _alike(
            (a[seen], b[seen]), (OTHERS_GROUPS, MIDDLE_GROUPS), np.ones(seen.sum())
        )
        (shares,), frames = _alike((share,), (SHARE_GROUPS,), np.ones(len(share)))
        mu_a, mu_b = (np.outer(mean, shares).ravel() for mean in (mean_a, mean_b))
        shares = np.tile(np.minimum(shares, 1.0), len(windows))
        number = np.outer(windows, frames).ravel()
        parts += list(_followed(mu_a, mu_b, shares, number, overlap))
    mixed = level[:, (level > 0).sum(0) > 1]
    if mixed.shape[1]:
        parts += list(_followed(*_mixed(others, middle.counts, mixed), overlap))
    return np.concatenate(parts, axis=1)


def _alike(
    values: tuple[Floats, ...], n: tuple[int, ...], number: Floats
) -> tuple[list[Floats], Floats]:
    """Means and numbers of what is alike in all values; each is told apart in `n` groups.

    Groups are equally wide in the logarithm; zeros are a group of their own.
    """
    key = np.zeros(len(number), np.int64)
    for own, groups in zip(values, n, strict=True):
        some = own > 0
        low, high = np.log(own[some].min(initial=1e300)), np.log(own.max(initial=1e-300))
        scale = groups / max(high - low, 1e-9)
        place = np.floor((np.log(np.where(some, own, 1.0)) - low) * scale)
        index = np.where(some, np.clip(place, 0, groups - 1) + 1, 0).astype(np.int64)
        key = key * (groups + 1) + index
    _, key = np.unique(key, return_inverse=True)
    total = np.bincount(key, number).astype(float)
    return [np.bincount(key, number * own) / total for own in values], total


def _mixed(others: Floats, middle: Floats, level: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Expected counts, share and number of frames in several classes of time.

    Binomial numbers with the right variance; their sure counts do not matter.
    """
    total = (others + middle).sum(1)[:, None]
    share = Chance.of_classes(np.broadcast_to(total, level.shape), level).share
    column = np.floor(-np.log(share) / _MIXED_STEPS[2]).astype(np.int64)
    shape = [int(np.log(_LARGEST_MU / _SMALLEST_MU) / step) + 2 for step in _MIXED_STEPS[:2]]
    result = [np.empty((4, 0))]
    for group in np.unique(column):
        found = np.zeros((3, shape[0] * shape[1]))
        frames = np.flatnonzero(column == group)
        for x, own in zip(share[frames], level.T[frames], strict=True):
            spread = own * (1 - own) / (1 - x)
            mu_a, mu_b = spread @ others, spread @ middle
            seen = mu_a + mu_b > _SMALLEST_MU
            key = np.zeros(int(seen.sum()), np.int64)
            for mu, step, n in zip((mu_a, mu_b), _MIXED_STEPS, shape, strict=False):
                place = np.log(np.maximum(mu[seen], _SMALLEST_MU) / _SMALLEST_MU) / step
                key = key * n + np.minimum(np.ceil(place).astype(np.int64), n - 1)
            for row, weights in enumerate((None, mu_a[seen], mu_b[seen])):
                found[row] += np.bincount(key, weights, found.shape[1])
        number, sum_a, sum_b = found[:, found[0] > 0]
        mean = np.full(len(number), share[frames].mean())
        result.append(np.array([sum_a / number, sum_b / number, mean, number]))
    mu_a, mu_b, shares, number = np.concatenate(result, axis=1)
    return mu_a, mu_b, shares, number


def _followed(
    mu_a: Floats, mu_b: Floats, share: Floats, number: Floats, overlap: Overlap
) -> Iterator[Floats]:
    """Follow the tails of groups from near the mean outwards; shapes (2, n)."""
    order = np.argsort(mu_a + 2 * mu_b)
    mu_a, mu_b, share, number = (a[order] for a in (mu_a, mu_b, share, number))
    mean = mu_a + 2 * mu_b
    many = int(np.searchsorted(mean, _EXACT_UP_TO))
    edges = [*range(0, many, _ROWS), *range(many, len(mean), _ROWS), len(mean)]
    for first, last in pairwise(edges):
        rows = slice(first, last)
        follow = _exact_tails if first < many else _scaled_tails
        s, tail = follow(mu_a[rows], mu_b[rows], share[rows])
        own = np.broadcast_to(mean[rows, None], tail.shape)
        regions = tail * overlap.alone(s, own, tail, upper=True)
        more = number[rows, None] * np.maximum(regions[:, :-1] - regions[:, 1:], 0.0)
        tail, s, own = tail[:, :-1], s[:, :-1], own[:, :-1]
        used = (tail > _SMALLEST_P) & (more > 0) & (s > own + _NEAREST * np.sqrt(own))
        yield np.array([tail[used], more[used]])


def _exact_tails(mu_a: Floats, mu_b: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Sums from 0 on and the probabilities to reach them, shape (n_groups, n_sums)."""
    mean = float((mu_a + 2 * mu_b).max())
    most = int(mean + 13 * np.sqrt(1.4 * mean) + 40)
    s = np.arange(most + 1.0)
    of_a, of_b = _tails(s, mu_a, share), _tails(np.arange(most // 2 + 2.0), mu_b, share)
    exactly = of_b[:, :-1] - of_b[:, 1:]
    exactly[:, -1] = of_b[:, -2]
    tail = np.zeros((len(share), most + 1))
    for b, p in enumerate(exactly.T):
        tail[:, : 2 * b] += p[:, None]
        tail[:, 2 * b :] += p[:, None] * of_a[:, : most + 1 - 2 * b]
    return np.broadcast_to(s, tail.shape), tail


def _tails(n: Floats, mu: Floats, share: Floats) -> Floats:
    """P(N >= n) of binomial numbers, shape (n_groups, len(n))."""
    rest = (mu / share)[:, None] - n
    tail = betainc(np.maximum(n, 1e-9), np.maximum(rest, 0.0) + 1, share[:, None])
    return np.where(n > 0, np.where(rest >= -_ROUNDING, tail, 0.0), 1.0)


def _scaled_tails(mu_a: Floats, mu_b: Floats, share: Floats) -> tuple[Floats, Floats]:
    """As `_exact_tails` for large sums, some of them."""
    mean, sigma = mu_a + 2 * mu_b, np.sqrt(mu_a + 4 * mu_b)
    stride = np.maximum(np.floor(sigma / 8), 1.0)[:, None]
    n = int(np.ceil(((10 * sigma + 30) / stride[:, 0]).max()))
    s = np.asarray(np.floor(mean + _NEAREST * sigma)[:, None] + stride * np.arange(n), float)
    sure = np.zeros(s.shape)
    a, b = (
        Chance(sure, np.broadcast_to((mu / share)[:, None], s.shape), sure + share[:, None])
        for mu in (mu_a, mu_b)
    )
    most = np.broadcast_to(np.inf, s.shape)
    return s, np.asarray(10 ** WeightedChance(a, b, most, most).scaled_tail(s))
