"""Whether a source is as bright in one observation as in another.

Counts n of an observation are Poisson of background + flux x response. Two observations with one
flux share their counts binomially, whatever the flux, so that the test is exact for few counts:
p is the largest for any flux that the sum of the counts allows (Berger & Boos 1994, JASA 89,
1012), and holds for all pairs of observations of a source (Bonferroni). Amplitudes are ratios of
fluxes as those of STONKS (Quintin et al. 2024, arXiv:2405.13630), which alerts above 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from exod.schemas.arrays import Floats, Indices

ALERT_RATIO: Final = 5.0
"""Ratio of fluxes above which STONKS alerts."""

SYSTEMATIC: Final = 0.1
"""Relative difference of fluxes that is no variability: cameras, filters and places in the field
agree to about that."""

BEYOND: Final = 1e-25
"""Probability that the flux is beyond the range that is tried; p is at least that."""

MOST: Final = 48
"""Observations of a source that are compared in pairs: half of them the brightest, half the
faintest; all of them count in the number of pairs."""

_CHUNK: Final = 200_000
"""Pairs at a time."""


@dataclass(frozen=True)
class SeenFluxes:
    """What observations have of sources; all arrays have shape (n,), sorted by source.

    Attributes
    ----------
    source : ndarray of int64
        Number of the source.
    n, mu : ndarray of float64
        Counts, and expected background.
    response : ndarray of float64
        Counts for each erg/cm^2/s; NaN where it is not known, and the row does not count.
    flux_lo, flux, flux_hi : ndarray of float64
        Flux with the ends of its interval; an upper limit where flux_lo is 0.
    """

    source: NDArray[np.int64]
    n: Floats
    mu: Floats
    response: Floats
    flux_lo: Floats
    flux: Floats
    flux_hi: Floats


@dataclass(frozen=True)
class Amplitudes:
    """Variability of sources between observations; all arrays have shape (n_sources,).

    Attributes
    ----------
    source : ndarray of int64
        Number of the source, each once, ascending.
    n_measured : ndarray of int64
        Observations that count.
    brightest, faintest : ndarray of intp
        Rows of the observation with the highest flux, and with the lowest flux or limit; -1 if
        none counts.
    ratio : ndarray of float64
        Flux of the brightest over the flux of the faintest, or over its upper limit if there is
        no source; NaN below two observations or if no observation has a source.
    ratio_lo : ndarray of float64
        Largest lower end over smallest upper end: smaller amplitudes are excluded. 0 if no
        observation has a source.
    p_log : ndarray of float64
        log10 of the probability of the most different pair by chance; NaN below two observations.
    """

    source: NDArray[np.int64]
    n_measured: NDArray[np.int64]
    brightest: Indices
    faintest: Indices
    ratio: Floats
    ratio_lo: Floats
    p_log: Floats

    @property
    def sigma(self) -> Floats:
        """Equivalent significance of `p_log`, two-sided; 0 where it is 1."""
        return np.asarray(stats.norm.isf(10.0**self.p_log / 2))

    @property
    def is_alert(self) -> NDArray[np.bool_]:
        """Whether it surely varies by more than `ALERT_RATIO`."""
        return np.asarray(self.ratio_lo > ALERT_RATIO)


def pair_p_log(
    n: tuple[Floats, Floats], mu: tuple[Floats, Floats], response: tuple[Floats, Floats]
) -> Floats:
    """log10 of the chance that the first of two observations is so much brighter.

    Parameters
    ----------
    n, mu, response : pair of ndarray of float64, shape (n_pairs,)
        Counts, background and counts for each unit of flux, of the brighter and the fainter.

    Returns
    -------
    ndarray of float64, shape (n_pairs,)
        One-sided, of one pair, for fluxes that differ by `SYSTEMATIC` at most.

    Examples
    --------
    >>> one, other = np.array([30.0, 3.0]), np.array([4.0, 2.0])
    >>> nothing, same = np.zeros(2), np.ones(2)
    >>> pair_p_log((one, other), (nothing, nothing), (same, same)).round(1)
    array([-5. , -0.3])
    """
    total = n[0] + n[1]
    lowest = np.where(total > 0, special.gammaincinv(np.maximum(total, 1), BEYOND / 2), 0.0)
    highest = special.gammainccinv(total + 1, BEYOND / 2)
    both = response[0] + response[1]
    p = np.zeros(total.shape)
    for expected in (lowest, highest):
        flux = np.maximum(expected - mu[0] - mu[1], 0.0) / both
        first = mu[0] + flux * response[0] * (1 + SYSTEMATIC)
        rest = mu[1] + flux * response[1]
        share = np.where(first + rest > 0, first / np.maximum(first + rest, 1e-300), 1.0)
        p = np.maximum(p, special.betainc(np.maximum(n[0], 1e-9), n[1] + 1, share))
    p = np.where(n[0] > 0, p + BEYOND, 1.0)
    return np.asarray(np.log10(np.minimum(p, 1.0)))


def amplitudes(seen: SeenFluxes) -> Amplitudes:
    """Variability of each source between its observations.

    Examples
    --------
    >>> row = [np.array(v, float) for v in ([30, 2], [1, 1], [1e15, 1e15])]
    >>> ends = [np.array(v) for v in ([2e-14, 0], [2.9e-14, 1e-15], [3.9e-14, 4e-15])]
    >>> found = amplitudes(SeenFluxes(np.array([7, 7]), *row, *ends))
    >>> found.ratio.round(2).tolist(), found.ratio_lo.tolist(), found.sigma.round(1).tolist()
    ([7.25], [5.0], [4.9])
    """
    counted = np.isfinite(seen.response) & (seen.response > 0) & np.isfinite(seen.n)
    source, number = np.unique(seen.source, return_inverse=True)
    m = np.bincount(number[counted], minlength=len(source))
    rows = np.flatnonzero(counted)
    high = np.where(seen.flux_lo > 0, seen.flux, 0.0)
    low = np.where(seen.flux_lo > 0, seen.flux, seen.flux_hi)
    # Without a source anywhere, the brightest is the one with the highest limit.
    brightest = _first(len(source), number, rows, np.lexsort((-seen.flux_hi[rows], -high[rows])))
    faintest = _first(len(source), number, rows, np.argsort(low[rows], kind="stable"))
    lower, upper = np.full(len(source), 0.0), np.full(len(source), np.inf)
    np.maximum.at(lower, number[rows], seen.flux_lo[rows])
    np.minimum.at(upper, number[rows], seen.flux_hi[rows])
    several = m > 1
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(several & (lower > 0), high[brightest] / low[faintest], np.nan)
        ratio_lo = np.where(several, lower / upper, np.nan)
    best = np.full(len(source), np.nan)
    best[several] = 0.0
    for one, other in _pairs(number, rows, m, seen):
        pair = [(v[one], v[other]) for v in (seen.n, seen.mu, seen.response)]
        np.minimum.at(best, number[one], pair_p_log(pair[0], pair[1], pair[2]))
    p_log = np.minimum(best + np.log10(np.maximum(m * (m - 1), 1)), 0.0)
    return Amplitudes(source, m, brightest, faintest, ratio, ratio_lo, p_log)


def _first(n_sources: int, number: Indices, rows: Indices, order: Indices) -> Indices:
    """The first row of each source in an order of rows; -1 where there is none."""
    found = np.full(n_sources, -1, np.intp)
    ordered = rows[order][::-1]
    found[number[ordered]] = ordered
    return found


def _pairs(
    number: Indices, rows: Indices, m: NDArray[np.int64], seen: SeenFluxes
) -> list[tuple[Indices, Indices]]:
    """Ordered pairs of rows of one source, in chunks of many sources."""
    with np.errstate(divide="ignore", invalid="ignore"):
        flux = (seen.n[rows] - seen.mu[rows]) / seen.response[rows]
    ordered = rows[np.lexsort((-flux, number[rows]))]
    stops = np.cumsum(m)
    starts = stops - m
    rank = np.arange(len(ordered)) - np.repeat(starts, m)
    size = np.repeat(m, m)
    kept = ordered[(rank < MOST // 2) | (rank >= size - MOST // 2)]
    k = np.bincount(number[kept], minlength=len(m))
    stops = np.cumsum(k)
    found = []
    first = 0
    while first < len(k):
        total = np.cumsum(k[first:] ** 2)
        last = first + max(int(np.searchsorted(total, _CHUNK, "right")), 1)
        own = np.arange(first, last)
        squares = k[own] ** 2
        which = np.repeat(own, squares)
        step = np.arange(squares.sum()) - np.repeat(np.cumsum(squares) - squares, squares)
        one, other = np.divmod(step, np.maximum(k[which], 1))
        start = stops[which] - k[which]
        # Those before are brighter.
        brighter = one < other
        found.append((kept[(start + one)[brighter]], kept[(start + other)[brighter]]))
        first = last
    return found
