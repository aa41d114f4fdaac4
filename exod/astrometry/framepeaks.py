"""Maxima of the likelihood of a frame, and what the posterior says around each of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from exod.astrometry.framepairs import NearPairs
from exod.astrometry.frameprior import Frames, Prior
from exod.astrometry.rectification import Covariance
from exod.schemas.arrays import Floats


@dataclass(frozen=True, eq=False)
class Peak:
    """What the posterior says around a maximum.

    Attributes
    ----------
    mean : ndarray, shape (3,)
        East, north (arcsec) and rotation (deg).
    covariance : ndarray, shape (3, 3)
        Of these.
    fraction : float
        Mean of the matched fraction.
    height : float
        Log likelihood ratio against chance at the maximum, the prior relative to its own included.
    evidence : float
        The logarithm of this ratio, integrated over the prior.
    """

    mean: Floats
    covariance: Covariance
    fraction: float
    height: float
    evidence: float


_STEP_ARCSEC: Final = 0.5
_STEP_DEG: Final = 0.1
_N_STARTS: Final = 8
_ROUNDS: Final = 60
_START_FRACTION: Final = 0.3
_STILL: Final = 1e-3
_HOPELESS: Final = 8.0
"""A maximum that is lower by this does not become the best by its width."""

_BASIN_ARCSEC: Final = 1.5
"""Frames nearer than this to a maximum belong to it."""

_FRACTION_STRENGTH: Final = 3.0
"""The prior of the matched fraction is proportional to (f (1 - f)) to this power: it is seldom
near 0, where single pairs that agree by chance would do, and seldom near 1."""

_FRACTION_VOLUME: Final = 4.0**3 / 140.0
"""Integral of the prior of the fraction that is 1 at its maximum."""

_N_POINTS: Final = 1000
_WIDER: Final = 2.5
"""Points of the integral are spread by this times what is expected if all pairs are told apart."""


def peaks(pairs: NearPairs, prior: Prior) -> list[Peak]:
    """Distinct maxima, that of the largest evidence first."""
    frames, fractions, heights = _climb(pairs, _starts(pairs, prior), prior)
    kept: list[int] = []
    for index in np.argsort(-heights):
        apart = np.hypot(*(frames[kept, :2] - frames[index, :2]).T)
        if heights[index] > heights.max() - _HOPELESS and (apart > _BASIN_ARCSEC).all():
            kept.append(int(index))
    found = [_integrated(pairs, frames[i], fractions[i], heights[i], prior) for i in kept]
    return sorted(found, key=lambda peak: -peak.evidence)


def odds_of_sources(pairs: NearPairs, frames: Frames, widened: float = 0.0) -> NDArray[np.float32]:
    """Sum of the odds of the pairs of each source that has any, shape (sources, frames).

    Squares of residuals are expanded, so that pairs and frames meet in one product.
    """
    east, north, turn = frames.T
    one = np.ones_like(east)
    powers = [one, east, north, turn, east**2 + north**2, east * turn, north * turn, turn**2]
    variance = pairs.variance + widened**2
    minus = np.full_like(variance, -0.5)
    normal = -np.log(2 * np.pi * variance * pairs.density) * variance
    terms = [
        normal - (pairs.east**2 + pairs.north**2) / 2,
        pairs.east,
        pairs.north,
        pairs.east * pairs.lever_east + pairs.north * pairs.lever_north,
        minus,
        -pairs.lever_east,
        -pairs.lever_north,
        -(pairs.lever_east**2 + pairs.lever_north**2) / 2,
    ]
    left, right = np.stack(terms, axis=1) / variance[:, None], np.stack(powers)
    odds = left.astype(np.float32) @ right.astype(np.float32)
    np.exp(odds, out=odds)
    return np.add.reduceat(odds, pairs.firsts, axis=0)


def _log_ratio(odds: NDArray[np.float32], fraction: Floats | float, n_sources: int) -> Floats:
    """Logarithm of the likelihood ratio against chance, and of the prior of the fraction."""
    total = np.log1p(fraction * (odds - 1)).sum(axis=0)
    total += (n_sources - len(odds)) * np.log1p(-fraction)
    return np.asarray(total + _FRACTION_STRENGTH * np.log(4 * fraction * (1 - fraction)))


def _starts(pairs: NearPairs, prior: Prior) -> Frames:
    """The best places of a grid over shift and rotation, shape (k, 3), far from each other."""
    n_steps = int(np.ceil(prior.reach_arcsec / _STEP_ARCSEC))
    line = np.arange(-n_steps, n_steps + 1) * _STEP_ARCSEC
    east, north = (axis.ravel() for axis in np.meshgrid(line, line, indexing="ij"))
    inside = np.hypot(east, north) <= prior.reach_arcsec
    east, north = east[inside], north[inside]
    places, heights = [], []
    for turn in np.arange(-4, 5) * min(prior.rotation_deg, _STEP_DEG):
        frames = np.stack([east, north, np.full_like(east, turn)], axis=1)
        # Wide enough that no maximum falls between the points of the grid.
        odds = odds_of_sources(pairs, frames, _STEP_ARCSEC / 2)
        places.append(frames)
        heights.append(_log_ratio(odds, _START_FRACTION, pairs.n_sources) + prior.logarithm(frames))
    place, height = np.concatenate(places), np.concatenate(heights)
    chosen: list[int] = []
    for index in np.argsort(-height):
        if (np.hypot(*(place[chosen, :2] - place[index, :2]).T) > 2 * _STEP_ARCSEC).all():
            chosen.append(int(index))
        if len(chosen) == _N_STARTS:
            break
    return place[chosen]


def memberships(pairs: NearPairs, frames: Frames, fractions: Floats) -> tuple[Floats, Floats]:
    """Probabilities of pairs to be true, shape (k, pairs), and log likelihood ratios."""
    d_east = pairs.east - frames[:, :1] - frames[:, 2:] * pairs.lever_east
    d_north = pairs.north - frames[:, 1:2] - frames[:, 2:] * pairs.lever_north
    odds = np.exp(-(d_east**2 + d_north**2) / (2 * pairs.variance))
    odds *= fractions[:, None] / (2 * np.pi * pairs.variance * pairs.density)
    total = 1 - fractions[:, None] + np.add.reduceat(odds, pairs.firsts, axis=1)
    alone = pairs.n_sources - len(pairs.firsts)
    ratio = np.log(total).sum(axis=1) + alone * np.log1p(-fractions)
    return odds / np.repeat(total, pairs.lengths, axis=1), ratio


def _climb(pairs: NearPairs, frames: Frames, prior: Prior) -> tuple[Frames, Floats, Floats]:
    """Expectation and maximisation from starts until nothing moves; with the heights reached."""
    fractions = np.full(len(frames), _START_FRACTION)
    for _ in range(_ROUNDS):
        p_match, _ = memberships(pairs, frames, fractions)
        information, moment = _information(pairs, p_match)
        information += prior.precision(frames)
        moved = np.linalg.solve(information, moment[..., None])[..., 0]
        before = _FRACTION_STRENGTH
        fractions = (p_match.sum(axis=1) + before) / (pairs.n_sources + 2 * before)
        still = np.abs(moved - frames).max() < _STILL
        frames = np.asarray(moved, float)
        if still:
            break
    ratio = memberships(pairs, frames, fractions)[1] + prior.logarithm(frames)
    return frames, fractions, ratio + _FRACTION_STRENGTH * np.log(4 * fractions * (1 - fractions))


def _information(pairs: NearPairs, p_match: Floats) -> tuple[Covariance, Floats]:
    """Inverse covariances (k, 3, 3), and these times frames (k, 3), if p were weights of pairs."""
    one, zero = np.ones_like(pairs.east), np.zeros_like(pairs.east)
    lever_east, lever_north = pairs.lever_east, pairs.lever_north
    square = lever_east**2 + lever_north**2
    along = pairs.east * lever_east + pairs.north * lever_north
    columns = [one, zero, lever_east, zero, one, lever_north, lever_east, lever_north, square]
    columns += [pairs.east, pairs.north, along]
    sums = (p_match / pairs.variance) @ np.stack(columns, axis=1)
    return sums[:, :9].reshape(-1, 3, 3), sums[:, 9:]


@cache
def _normal_points() -> Frames:
    """Points of a normal distribution of four dimensions, spread more evenly than by chance.

    They follow the powers of the root of x^5 = x + 1 (M. Roberts 2018, the R sequence).
    """
    steps = 1.1673039782614187 ** -np.arange(1.0, 5.0)
    return np.asarray(ndtri((0.5 + np.arange(1, _N_POINTS + 1)[:, None] * steps) % 1.0))


def _integrated(
    pairs: NearPairs, frame: Floats, fraction: float, height: float, prior: Prior
) -> Peak:
    """Mean, covariance and evidence of the posterior around a maximum, by importance sampling."""
    p_match, _ = memberships(pairs, frame[None], np.array([fraction]))
    information = _information(pairs, p_match)[0][0] + prior.precision(frame[None])[0]
    root = _WIDER * np.linalg.cholesky(np.linalg.inv(information))
    spread = _WIDER / np.sqrt(
        (pairs.n_sources + 2 * _FRACTION_STRENGTH) * fraction * (1 - fraction)
    )
    normal = _normal_points()
    steps = normal[:, :3] @ root.T
    fractions = expit(logit(fraction) + spread * normal[:, 3])
    odds = odds_of_sources(pairs.about(frame, _BASIN_ARCSEC), steps)
    log_weight = _log_ratio(odds, fractions, pairs.n_sources) + prior.logarithm(frame + steps)
    # Over the density of the points, in which fractions are logarithms of odds.
    log_weight += (normal**2).sum(axis=1) / 2 + np.log(fractions * (1 - fractions))
    log_weight[np.hypot(*steps[:, :2].T) > _BASIN_ARCSEC] = -np.inf
    weight = np.exp(log_weight - log_weight.max())
    volume = (2 * np.pi) ** 2 * np.diag(root).prod() * spread
    volume /= prior.volume * _FRACTION_VOLUME
    evidence = log_weight.max() + np.log(weight.mean() * volume)
    weight /= weight.sum()
    step = weight @ steps
    covariance = (weight * (steps - step).T) @ (steps - step)
    return Peak(frame + step, covariance, float(weight @ fractions), float(height), float(evidence))
