"""False alarms of the sliding search: regions made by chance (method.md, False alarms).

The counts of a window are binomial given those of its cells in all frames, so the number of
windows with a probability below a threshold is a sum of binomial tails, exactly. Windows that
overlap tend to be significant together and make one region (`exod.sensitivity.overlaps`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import betainc

from exod.counts.shares import ConditionalExpectation
from exod.counts.windows import Chance, WindowCounts
from exod.observation.gti import Frames
from exod.schemas.arrays import Floats
from exod.sensitivity.cellalarms import merged, similar
from exod.sensitivity.overlaps import Overlap, overlap_of
from exod.sensitivity.weightedalarms import weighted_steps

TOTAL_GROUPS: Final = 40
SHARE_GROUPS: Final = 24
"""Windows of similar counts and frames of similar share are counted together."""

MIXED_STEP: Final = 0.04
MIXED_MU_STEPS: Final = 500
MIXED_SHARE_STEPS: Final = 350
"""Of frames in several classes of time, expected counts and shares are told apart in steps of
4 per cent."""

_SMALLEST_MU: Final = 1e-5

_NEAREST: Final = 2.0
"""Sigmas from the mean at which tails begin to be followed."""

AT_ONCE: Final = 8
"""Steps along tails that are worked out together."""

_SMALLEST_P: Final = 1e-18
_ROUNDING: Final = 1e-6
"""All counts of a window are still possible where its trials are not quite whole."""


@dataclass(frozen=True)
class AlarmCurve:
    """Expected number of false regions with a probability up to p.

    Attributes
    ----------
    p_log : ndarray of float64, shape (n,)
        log10 of p, ascending.
    peaks, eclipses : ndarray of float64, shape (n,)
        Expected numbers of regions.
    """

    p_log: Floats
    peaks: Floats
    eclipses: Floats

    @property
    def total(self) -> Floats:
        """Regions of both kinds, shape (n,)."""
        return self.peaks + self.eclipses

    def at(self, p_log: float) -> tuple[float, float]:
        """Peaks and eclipses expected with a probability up to 10^p_log."""
        index = int(np.searchsorted(self.p_log, p_log, side="right")) - 1
        if index >= 0:
            return float(self.peaks[index]), float(self.eclipses[index])
        # Below the curve: in proportion.
        if not len(self.p_log):
            return 0.0, 0.0
        factor = 10 ** (p_log - float(self.p_log[0]))
        return float(self.peaks[0]) * factor, float(self.eclipses[0]) * factor

    def threshold(self, number: float) -> float:
        """log10 of the largest p that `number` false regions are expected to reach."""
        index = int(np.searchsorted(self.total, number, side="right")) - 1
        if index >= 0:
            return float(self.p_log[index])
        if not len(self.p_log):
            return np.log10(_SMALLEST_P)
        return float(self.p_log[0] + np.log10(number / max(self.total[0], 1e-300)))


def alarm_curve(
    expectation: ConditionalExpectation, windows: WindowCounts, frames: Frames, shifts: int
) -> AlarmCurve:
    """Expected false regions of a run at every threshold.

    Parameters
    ----------
    expectation : ConditionalExpectation
        Expected counts of the band.
    windows : WindowCounts
        Its window sums.
    frames : Frames
        Frames of the run, without shift.
    shifts : int
        Frames start at every 1/shifts of their length.
    """
    shifted = [frames.shifted(i, shifts) for i in range(shifts)]
    level = np.concatenate([expectation.shares(own)[0] for own in shifted], axis=1)
    overlap = overlap_of(windows.windows.width, shifts, weighted=windows.windows.weighted)
    peaks, eclipses = [np.empty((2, 0))], [np.empty((2, 0))]
    for mu, share, weight in _tests(windows, level):
        trials = mu / share
        if not windows.middle:
            peaks.append(_steps(trials, share, weight, overlap, upper=True))
        eclipses.append(_steps(trials, share, weight, overlap, upper=False))
    if windows.middle:
        peaks.append(weighted_steps(windows, windows.middle, level, overlap))
    return _curve(np.concatenate(peaks, axis=1), np.concatenate(eclipses, axis=1))


def _tests(windows: WindowCounts, level: Floats) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Expected counts, share of the trials and number of windows and frames that are alike."""
    single = (level > 0).sum(0) == 1
    for distinct, own in zip(windows.distinct, level, strict=True):
        share = own[single & (own > 0)]
        if not len(share) or not len(distinct.counts):
            continue
        totals, n_windows = merged(distinct.counts, distinct.number, TOTAL_GROUPS)
        shares, n_frames = similar(share, SHARE_GROUPS)
        trials, probability = (a.ravel() for a in np.meshgrid(totals, shares, indexing="ij"))
        weight = np.outer(n_windows, n_frames).ravel()
        yield trials * probability, np.minimum(probability, 1.0), weight
    mixed = level[:, (level > 0).sum(0) > 1]
    if mixed.shape[1]:
        yield _mixed(windows.counts, mixed)


def _mixed(counts: Floats, level: Floats) -> tuple[Floats, Floats, Floats]:
    """The same for frames in several classes of time; their sure counts do not matter."""
    shape = (MIXED_MU_STEPS, MIXED_SHARE_STEPS)
    number = np.zeros(shape[0] * shape[1])
    for shares in level.T:
        chance = Chance.of_classes(counts, np.broadcast_to(shares[:, None], counts.shape))
        mu = chance.trials * chance.share
        seen = mu > _SMALLEST_MU
        row = np.log(mu[seen] / _SMALLEST_MU) / MIXED_STEP
        column = -np.log(chance.share[seen]) / MIXED_STEP
        row, column = (
            np.minimum(np.rint(a).astype(np.int64), n - 1)
            for a, n in ((row, shape[0]), (column, shape[1]))
        )
        number += np.bincount(row * shape[1] + column, minlength=number.size)
    used = np.flatnonzero(number)
    row, column = np.divmod(used, shape[1])
    mu = _SMALLEST_MU * np.exp(row * MIXED_STEP)
    return mu, np.exp(-column * MIXED_STEP), number[used]


def _steps(
    trials: Floats, share: Floats, weight: Floats, overlap: Overlap, *, upper: bool
) -> Floats:
    """Follow the tails of all groups from near the mean outwards.

    At each probability of the first row, so many more regions as in the second are counted.
    """
    mu = trials * share
    sigma = np.sqrt(mu)
    stride = np.maximum(np.floor(sigma / 8), 1.0) * (1 if upper else -1)
    nearest = _NEAREST * sigma
    k = np.floor(mu + nearest) + 1 if upper else np.ceil(mu - nearest) - 1
    steps = [np.empty((2, 0))]
    alive = (k <= trials + _ROUNDING) if upper else (k >= 0)
    trials, share, mu, weight, k, stride = (
        a[alive] for a in (trials, share, mu, weight, k, stride)
    )
    tail, regions = _tail(k, trials, share, mu, overlap, upper=upper)
    while len(k):
        # Several steps at once; those of a group end with its first that is too improbable.
        further: Floats = k + stride * np.arange(1.0, AT_ONCE + 1)[:, None]
        some = (further <= trials + _ROUNDING) if upper else (further >= 0)
        group = np.nonzero(some)[1]
        tails, every = np.zeros((2, AT_ONCE + 1, len(k)))
        tails[0], every[0] = tail, regions
        tails[1:][some], every[1:][some] = _tail(
            further[some], trials[group], share[group], mu[group], overlap, upper=upper
        )
        goes_on = np.logical_and.accumulate(some & (tails[1:] > _SMALLEST_P), axis=0)
        taken = np.concatenate([np.ones((1, len(k)), bool), goes_on[:-1]])
        number = weight * np.maximum(every[:-1] - every[1:], 0.0)
        steps.append(np.stack([tails[:-1][taken], number[taken]]))
        keep = goes_on[-1]
        k, tail, regions = further[-1][keep], tails[-1][keep], every[-1][keep]
        trials, share, mu, weight, stride = (a[keep] for a in (trials, share, mu, weight, stride))
    return np.concatenate(steps, axis=1)


def _tail(
    k: Floats, trials: Floats, share: Floats, mu: Floats, overlap: Overlap, *, upper: bool
) -> tuple[Floats, Floats]:
    """Tail probability, and what of it counts as a region of its own."""
    rest = np.maximum(trials - k, 0.0)
    if upper:
        tail = np.asarray(betainc(k, rest + 1, share), float)
    else:
        tail = np.asarray(betainc(np.maximum(rest, 1e-9), k + 1, 1 - share), float)
    return tail, tail * overlap.alone(k, mu, tail, upper=upper)


def _curve(peaks: Floats, eclipses: Floats) -> AlarmCurve:
    p, number = np.concatenate([peaks, eclipses], axis=1)
    order = np.argsort(p, kind="stable")
    order = order[p[order] > 0]
    is_peak = np.arange(len(p)) < peaks.shape[1]
    p_log = np.log10(p[order])
    # Of equal probabilities the last has all regions.
    last = np.diff(p_log, append=np.inf) > 0
    return AlarmCurve(
        p_log[last],
        np.cumsum(np.where(is_peak, number, 0.0)[order])[last],
        np.cumsum(np.where(is_peak, 0.0, number)[order])[last],
    )
