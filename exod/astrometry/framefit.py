"""Fit the frame of an observation to references, of which any may be there by chance.

Each source has a counterpart among the references with probability f. Then one of its pairs is
true, its offset is normal about the shift of the frame; the other references lie around it by
chance, at their local density. With the pairs ij of a source i,

    L_i = 1 - f + f sum_j N2(d_ij - shift; sigma_ij) / density_i

is the likelihood ratio of "some pair may be true" against "all are chance". Maxima of
sum ln L_i + ln prior are looked for, over f as well, and around each of them the posterior is
integrated: where the integral is largest its mean is the frame, and its spread the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from exod.astrometry.framepairs import near_pairs, plane_rows
from exod.astrometry.framepeaks import memberships, peaks
from exod.astrometry.frameprior import Prior
from exod.astrometry.rectification import Frame
from exod.schemas.arrays import Floats, Indices

ACCEPTED_LOG_ODDS: Final = 8.0
"""Log odds at the best frame from which it is believed, if the evidence agrees."""

ACCEPTED_EVIDENCE: Final = 4.5
"""Log evidence from which a frame is believed, against chance and all other frames together.

If all references are there by chance it is larger than x in fewer than exp(-x) of fields; in
fewer than one of a thousand it is above this (docs/astrometry.md).
"""


@dataclass(frozen=True, eq=False)
class FrameFit:
    """A frame and what speaks for it.

    Attributes
    ----------
    frame : Frame or None
        The frame, best of all; None where there was nothing to fit.
    log_odds : float
        Log likelihood ratio against chance alone at the maximum, the prior included.
    log_evidence : float
        Logarithm of the probability of this frame over that of chance and all other frames that
        were found, each integrated over shift, rotation and fraction.
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
    if not len(pairs.source):
        reason = "no source has a reference within reach"
        if not pairs.n_sources:
            reason = "the observation has no sources with positions and errors"
        empty = np.empty(0, np.int64)
        nothing = (0.0, 0.0, pairs.n_sources, 0.0, float("nan"), False, reason)
        return FrameFit(None, *nothing, empty, empty, np.empty(0))
    best, *others = peaks(pairs, prior)
    odds = best.evidence - np.logaddexp.reduce([0.0, *(peak.evidence for peak in others)])
    east, north, turn = (float(value) for value in best.mean)
    p_match = memberships(pairs, best.mean[None], np.array([best.fraction]))[0][0]
    reason = ""
    if best.height < ACCEPTED_LOG_ODDS:
        reason = f"the log odds {best.height:.1f} are below {ACCEPTED_LOG_ODDS:g}"
    elif odds < ACCEPTED_EVIDENCE:
        reason = f"another frame, or chance, may be as good (log evidence {odds:.1f})"
    elif np.hypot(east, north) >= prior.reach_arcsec:
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
