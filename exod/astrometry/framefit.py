"""Fit the frame of an observation to references, of which any may be there by chance.

Each source has a counterpart among the references with probability f. Then one of its pairs is
true, its offset is normal about the shift of the frame; the other references lie around it by
chance, at their local density. With the pairs ij of a source i,

    L_i = 1 - f + f sum_j N2(d_ij - shift; sigma_ij) / density_i

is the likelihood ratio of "some pair may be true" against "all are chance". The frame maximises
sum ln L_i + ln prior; the log odds that are returned are this maximum over f as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.astrometry.framepairs import NearPairs, near_pairs, plane_rows
from exod.astrometry.rectification import Covariance, Frame
from exod.errors import ConfigError
from exod.schemas.arrays import Floats, Indices

ACCEPTED_LOG_ODDS: Final = 8.0
"""Log odds at the best frame from which it is believed, if the evidence agrees."""

ACCEPTED_EVIDENCE: Final = 3.0
"""Log evidence from which a frame is believed, against chance and all other frames together.

Chance passes both in fewer than one of a thousand fields (docs/astrometry.md).
"""


@dataclass(frozen=True)
class Prior:
    """What is known of frames before an observation is looked at.

    Attributes
    ----------
    shift_arcsec : float
        Standard deviation of the shift along east and north.
    rotation_deg : float
        Scale of the rotation, which has Student's distribution of three degrees of freedom: most
        are small, a few are not.
    reach_arcsec : float
        Shifts up to this are tried.
    """

    shift_arcsec: float = 2.0
    rotation_deg: float = 0.1
    reach_arcsec: float = 6.0

    def __post_init__(self) -> None:
        for name in ("shift_arcsec", "rotation_deg", "reach_arcsec"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ConfigError(f"{name} of a prior must be a positive number, not {value!r}.")


NO_PRIOR: Final = Prior(1e3, 0.5, 15.0)
"""Hardly any knowledge: shifts up to 15 arcsec are as good as each other."""


@dataclass(frozen=True, eq=False)
class FrameFit:
    """A frame and what speaks for it.

    Attributes
    ----------
    frame : Frame or None
        The frame, best of all; None where there was nothing to fit.
    log_odds : float
        Maximum of the log likelihood ratio against chance alone, the prior included.
    log_evidence : float
        Logarithm of the probability of this frame over that of chance and all other frames that
        were found, each integrated over its parameters (Laplace's approximation).
    n_sources : int
        Sources that took part.
    n_matched : float
        Expected number of true pairs.
    matched_fraction : float
        The fraction f of sources with a counterpart; NaN if nothing was fitted.
    ok : bool
        Whether the frame is to be believed.
    reason : str
        Why not; empty if it is.
    source, reference : ndarray
        Pairs that were looked at, as indices of the input.
    p_match : ndarray
        Probability that a pair is true, one a pair.
    """

    frame: Frame | None
    log_odds: float
    log_evidence: float
    n_sources: int
    n_matched: float
    matched_fraction: float
    ok: bool
    reason: str
    source: Indices
    reference: Indices
    p_match: Floats


def fit_frame(
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    error_arcsec: ArrayLike,
    reference_ra_deg: ArrayLike,
    reference_dec_deg: ArrayLike,
    reference_error_arcsec: ArrayLike = 0.0,
    *,
    centre: tuple[float, float],
    prior: Prior | None = None,
) -> FrameFit:
    """The shift and rotation that bring sources onto references.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (n,)
        Positions as measured.
    error_arcsec : array_like
        Their standard deviation along each axis, without that of the frame.
    reference_ra_deg, reference_dec_deg : array_like, shape (m,)
        References at the epoch of the observation, all within 70 arcsec of any source at least:
        their number around a source tells how often one is there by chance.
    reference_error_arcsec : array_like
        Their standard deviation along each axis.
    centre : tuple of float
        Right ascension and declination about which the frame turns.
    prior : Prior, optional
        What is known before; by default that of XMM-Newton.

    Returns
    -------
    FrameFit
        The frame, with the reason if it is not to be believed. Rows that are not finite, or have
        no error, take no part.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> ra, dec = rng.uniform(9.8, 10.2, 60), rng.uniform(-0.2, 0.2, 60)
    >>> fit = fit_frame(ra - 1.5 / 3600, dec, 0.5, ra, dec, 0.1, centre=(10.0, 0.0))
    >>> fit.ok, round(fit.frame.east_arcsec, 1), abs(round(fit.frame.north_arcsec, 1))
    (True, 1.5, 0.0)
    """
    prior = prior or Prior()
    pairs = near_pairs(
        plane_rows(ra_deg, dec_deg, error_arcsec, centre),
        plane_rows(reference_ra_deg, reference_dec_deg, reference_error_arcsec, centre),
        prior.reach_arcsec,
    )
    if not len(pairs.rows):
        reason = "no source has a reference within reach"
        if not pairs.n_sources:
            reason = "the observation has no sources with positions and errors"
        empty = np.empty(0, np.int64)
        nothing = (0.0, 0.0, pairs.n_sources, 0.0, float("nan"), False, reason)
        return FrameFit(None, *nothing, empty, empty, np.empty(0))
    peaks = _peaks(pairs, prior)
    best = peaks[0]
    odds = best.evidence - np.logaddexp.reduce([0.0, *(peak.evidence for peak in peaks[1:])])
    east, north, turn = (float(value) for value in best.parameters)
    p_match = _memberships(pairs, best.parameters, best.fraction)[0]
    reason = ""
    if best.height < ACCEPTED_LOG_ODDS:
        reason = f"the log odds {best.height:.1f} are below {ACCEPTED_LOG_ODDS:g}"
    elif odds < ACCEPTED_EVIDENCE:
        reason = f"another frame, or chance, may be as good (log evidence {odds:.1f})"
    elif np.hypot(*best.parameters[:2]) >= prior.reach_arcsec:
        reason = f"the shift is not within {prior.reach_arcsec:g} arcsec"
    return FrameFit(
        Frame(*centre, east, north, turn, best.covariance),
        best.height,
        float(odds),
        pairs.n_sources,
        float(p_match.sum()),
        best.fraction,
        not reason,
        reason,
        pairs.source,
        pairs.reference,
        p_match,
    )


_STEP_ARCSEC: Final = 0.5
_STEP_DEG: Final = 0.1
_N_STARTS: Final = 6
_ROUNDS: Final = 60
_START_FRACTION: Final = 0.3
_HOPELESS: Final = 6.0
"""A start that is lower by this after a few rounds does not become the best."""

_SAME_ARCSEC: Final = 0.3
_STILL: Final = 1e-3
_FREEDOM: Final = 3.0
_FRACTION_STRENGTH: Final = 3.0
"""The prior of the matched fraction is proportional to (f (1 - f)) to this power: it is seldom
near 0, where single pairs that agree by chance would do, and seldom near 1."""


def _starts(pairs: NearPairs, prior: Prior) -> Floats:
    """The best places of a grid over shift and rotation, shape (k, 3), far from each other."""
    n_steps = int(np.ceil(prior.reach_arcsec / _STEP_ARCSEC))
    line = np.arange(-n_steps, n_steps + 1) * _STEP_ARCSEC
    east, north = (axis.ravel() for axis in np.meshgrid(line, line, indexing="ij"))
    inside = np.hypot(east, north) <= prior.reach_arcsec
    east, north = east[inside], north[inside]
    turns = np.arange(-4, 5) * min(prior.rotation_deg, _STEP_DEG)
    # Wide enough that no peak falls between the points of the grid.
    wide = pairs.variance + (_STEP_ARCSEC / 2) ** 2
    peak = np.log(_START_FRACTION / (2 * np.pi * wide * pairs.density))
    firsts = np.flatnonzero(np.diff(pairs.rows, prepend=-1))
    grid = np.stack([np.ones_like(east), east, north, east**2 + north**2]).astype(np.float32)
    heights, places = [], []
    for turn in turns:
        d_east = pairs.east - turn * pairs.lever_east
        d_north = pairs.north - turn * pairs.lever_north
        # The squares of pairs less places, expanded: pairs and places meet in one product.
        terms = [
            peak * wide - (d_east**2 + d_north**2) / 2,
            d_east,
            d_north,
            np.full_like(wide, -0.5),
        ]
        odds = np.exp(np.stack(terms / wide, axis=1).astype(np.float32) @ grid)
        ratio = 1 - _START_FRACTION + np.add.reduceat(odds, firsts, axis=0)
        places.append(np.stack([east, north, np.full_like(east, turn)], axis=1))
        heights.append(np.log(ratio).sum(axis=0) + _log_prior(places[-1].T, prior))
    place, height = np.concatenate(places), np.concatenate(heights)
    chosen: list[Floats] = []
    for index in np.argsort(-height):
        if all(np.hypot(*(place[index, :2] - other[:2])) > 2 * _STEP_ARCSEC for other in chosen):
            chosen.append(place[index])
        if len(chosen) == _N_STARTS:
            break
    return np.array(chosen)


def _log_prior(parameters: Floats, prior: Prior) -> Floats:
    """Logarithm of the prior of shift and rotation relative to its maximum."""
    east, north, turn = parameters
    shift = (east**2 + north**2) / (2 * prior.shift_arcsec**2)
    return np.asarray(
        -shift - (_FREEDOM + 1) / 2 * np.log1p((turn / prior.rotation_deg) ** 2 / _FREEDOM)
    )


def _precision(parameters: Floats, prior: Prior) -> Covariance:
    """Inverse of the covariance of the normal prior that has the same slope at the parameters."""
    turn = (_FREEDOM + 1) / (_FREEDOM * prior.rotation_deg**2 + parameters[2] ** 2)
    return np.diag([prior.shift_arcsec**-2.0, prior.shift_arcsec**-2.0, turn])


def _memberships(pairs: NearPairs, parameters: Floats, fraction: float) -> tuple[Floats, float]:
    """Probability of each pair to be true, and the log likelihood ratio against chance."""
    d_east = pairs.east - parameters[0] - parameters[2] * pairs.lever_east
    d_north = pairs.north - parameters[1] - parameters[2] * pairs.lever_north
    odds = np.exp(-(d_east**2 + d_north**2) / (2 * pairs.variance))
    odds *= fraction / (2 * np.pi * pairs.variance * pairs.density)
    total = (1 - fraction) + np.bincount(pairs.rows, odds, pairs.n_sources)
    return odds / total[pairs.rows], float(np.log(total).sum())


@dataclass(frozen=True, eq=False)
class _Peak:
    """A maximum: shift and rotation, matched fraction, log odds, covariance and log evidence."""

    parameters: Floats
    fraction: float
    height: float
    covariance: Covariance
    evidence: float


def _peaks(pairs: NearPairs, prior: Prior) -> list[_Peak]:
    """Distinct maxima, that of the largest evidence first."""
    climbed = [_climb(pairs, start, _START_FRACTION, prior, 8) for start in _starts(pairs, prior)]
    highest = max(height for _, _, height in climbed)
    peaks: list[_Peak] = []
    for place, share, reached in climbed:
        if reached < highest - _HOPELESS:
            continue
        parameters, fraction, height = _climb(pairs, place, share, prior, _ROUNDS)
        if any(np.hypot(*(parameters - peak.parameters)[:2]) < _SAME_ARCSEC for peak in peaks):
            continue
        covariance = _covariance(pairs, parameters, fraction, prior)
        relative = covariance @ _precision(np.zeros(3), prior)
        evidence = height + 0.5 * float(np.linalg.slogdet(relative)[1])
        peaks.append(_Peak(parameters, fraction, height, covariance, evidence))
    return sorted(peaks, key=lambda peak: -peak.evidence)


def _climb(
    pairs: NearPairs, parameters: Floats, fraction: float, prior: Prior, rounds: int
) -> tuple[Floats, float, float]:
    """Expectation and maximisation from a start until nothing moves; with the height reached."""
    levers = _levers(pairs)
    offsets = np.stack([pairs.east, pairs.north])
    for _ in range(rounds):
        p_match, _ = _memberships(pairs, parameters, fraction)
        weighted = levers * (p_match / pairs.variance)
        matrix = np.tensordot(weighted, levers, axes=([0, 2], [0, 2])) + _precision(
            parameters, prior
        )
        moved = np.linalg.solve(matrix, np.tensordot(weighted, offsets, axes=([0, 2], [0, 1])))
        before = _FRACTION_STRENGTH
        fraction = float((p_match.sum() + before) / (pairs.n_sources + 2 * before))
        still = np.abs(moved - parameters).max() < _STILL
        parameters = np.asarray(moved, float)
        if still:
            break
    _, height = _memberships(pairs, parameters, fraction)
    height += float(_log_prior(parameters, prior))
    return parameters, fraction, height + _FRACTION_STRENGTH * np.log(4 * fraction * (1 - fraction))


def _levers(pairs: NearPairs) -> NDArray[np.float64]:
    """How east and north of a pair follow the parameters, shape (2, 3, pairs)."""
    one, zero = np.ones_like(pairs.east), np.zeros_like(pairs.east)
    return np.array([[one, zero, pairs.lever_east], [zero, one, pairs.lever_north]])


def _covariance(pairs: NearPairs, parameters: Floats, fraction: float, prior: Prior) -> Covariance:
    """Inverse of the curvature at the maximum.

    It is what pairs would say if it were known which are true, less what is lost since it is not
    (Louis 1982, J. R. Stat. Soc. B 44, 226).
    """
    p_match, _ = _memberships(pairs, parameters, fraction)
    levers = _levers(pairs)
    residuals = np.stack([pairs.east, pairs.north]) - np.tensordot(levers, parameters, ([1], [0]))
    scores = (levers * residuals[:, None]).sum(axis=0) / pairs.variance
    weighted = levers * (p_match / pairs.variance)
    complete = np.tensordot(weighted, levers, axes=([0, 2], [0, 2]))
    mean = np.stack([np.bincount(pairs.rows, p_match * row, pairs.n_sources) for row in scores])
    lost = (scores * p_match) @ scores.T - mean @ mean.T
    before = _precision(parameters, prior)
    values, vectors = np.linalg.eigh(complete - lost + before)
    # Where the maximum is flat the data say less than the prior.
    values = np.maximum(values, np.diag(before).min())
    return np.asarray((vectors / values) @ vectors.T)
