"""Bayes factors for counts against an expectation, and their thresholds (method.md, Significance).

For n counts where mu are expected, flat priors on an excess (a deficit) give

    B_peak    = Q(n + 1, mu) / Poisson(n; mu)
    B_eclipse = P(n + 1, mu) / Poisson(n; mu)

with Q and P the regularised incomplete gamma functions (Khan et al. 2025, section 3). Both ends
underflow in double precision; there the ratios are summed as series,

    B_peak    = sum_{j >= 0} n! / (n - j)! mu^-j
    B_eclipse = sum_{j >= 1} n! / (n + j)! mu^j
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.optimize import elementwise

from exod.schemas.arrays import Floats, Mask

Rule = Literal["exod2", "exact"]
Kind = Literal["peak", "eclipse"]

MU_REFERENCE: Final = 1000.0
"""Expectation at which a Bayes factor is translated to Gaussian sigmas; above it the Gaussian
relation itself is used (method.md, Significance)."""

MU_MIN: Final = 1e-7
"""Cells that expect no more than this are never significant (method.md, Significance)."""

MAX_SIGMA: Final = 10.0
_CLIP: Final = {"peak": (1.61, 48.976), "eclipse": (1.6, 42.0)}
_TINY = 1e-280
_LN10 = np.log(10.0)


def log10_b_peak(n: ArrayLike, mu: ArrayLike) -> Floats:
    """log10 of the Bayes factor for more counts than expected.

    Parameters
    ----------
    n : array_like
        Counts, not negative; need not be integers.
    mu : array_like
        Expected counts; broadcast against `n`.

    Returns
    -------
    ndarray of float64
        Broadcast shape, never negative; NaN where mu <= 0.

    Examples
    --------
    >>> log10_b_peak([0, 4], 0.0035).round(3)
    array([ 0.   , 11.205])
    """
    return np.asarray(np.maximum(_log10_b(n, mu, special.gammaincc, eclipse=False), 0.0))


def log10_b_eclipse(n: ArrayLike, mu: ArrayLike) -> Floats:
    """log10 of the Bayes factor for fewer counts than expected.

    Parameters and result are those of `log10_b_peak`, but the result is negative where the
    counts exceed the expectation.

    Examples
    --------
    >>> log10_b_eclipse(0, 13.145).round(3)
    np.float64(5.709)
    """
    return _log10_b(n, mu, special.gammainc, eclipse=True)


def _log10_b(
    n: ArrayLike, mu: ArrayLike, tail: Callable[[Floats, Floats], Floats], *, eclipse: bool
) -> Floats:
    n, mu = np.broadcast_arrays(np.asarray(n, float), np.asarray(mu, float))
    valid = mu > 0
    mu = np.where(valid, mu, 1.0)
    share = tail(n + 1, mu)
    log10_poisson = (special.xlogy(n, mu) - mu - special.gammaln(n + 1)) / _LN10
    with np.errstate(divide="ignore"):
        result = np.asarray(np.log10(share) - log10_poisson)
    small = share < _TINY
    if small.any():
        series = _series(n[small], mu[small], rising=eclipse)
        result[small] = np.log10(series if eclipse else 1 + series)
    return np.where(valid, result, np.nan)


def _series(n: Floats, mu: Floats, *, rising: bool) -> Floats:
    """Sum over j >= 1 of n!/(n-j)! mu^-j (falling) or n!/(n+j)! mu^j (rising)."""
    total = np.zeros_like(n)
    term = np.ones_like(n)
    step = 0
    while np.any(term > total * 1e-17):
        step += 1
        term = term * (mu / (n + step) if rising else np.maximum(n - step + 1, 0) / mu)
        total += term
    return total


def n_peak(sigma: float, mu: ArrayLike) -> Floats:
    """Counts, not rounded, that lie `sigma` above `mu` in the Gaussian relation."""
    mu, s2 = np.asarray(mu, float), sigma**2
    return np.asarray((2 * mu + s2 + np.sqrt(8 * mu * s2 + s2**2)) / 2)


def n_eclipse(sigma: float, mu: ArrayLike) -> Floats:
    """Counts, not rounded, that lie `sigma` below `mu` in the Gaussian relation."""
    mu, s2 = np.asarray(mu, float), sigma**2
    return np.asarray((2 * mu + s2 - np.sqrt(8 * mu * s2 + s2**2)) / 2)


def threshold(sigma: float, kind: Kind) -> float:
    """log10 Bayes factor equivalent to `sigma`: B at n(sigma) rounded outwards, mu = 1000.

    Examples
    --------
    >>> round(threshold(3, "peak"), 6), round(threshold(3, "eclipse"), 6)
    (5.940969, 5.708917)
    """
    if kind == "peak":
        return float(log10_b_peak(np.ceil(n_peak(sigma, MU_REFERENCE)), MU_REFERENCE))
    return float(log10_b_eclipse(np.floor(n_eclipse(sigma, MU_REFERENCE)), MU_REFERENCE))


def sigma_equivalent(log10_b: ArrayLike, kind: Kind) -> Floats:
    """Gaussian sigmas equivalent to a log10 Bayes factor, within [0, 10].

    `threshold` rounds n(sigma) to whole counts and is a step function of sigma; here n(sigma)
    stays real, so that the inverse is smooth and monotone between the clipping values
    (method.md, Significance). The two differ by less than one count at mu = 1000, and
    ``sigma_equivalent(threshold(s)) >= s``. NaN stays NaN.

    Examples
    --------
    >>> sigma_equivalent([1.0, 13.2788, 60.0], "peak").round(2)
    array([ 0.  ,  5.01, 10.  ])
    """
    sigmas, values = _sigma_curve(kind)
    b = np.asarray(log10_b, float)
    low, high = _CLIP[kind]
    sigma = np.interp(b, values, sigmas)  # NaN stays NaN
    return np.where(b < low, 0.0, np.where(b > high, MAX_SIGMA, sigma))


@lru_cache(maxsize=2)
def _sigma_curve(kind: Kind) -> tuple[Floats, Floats]:
    sigmas = np.linspace(0, MAX_SIGMA, 2001)
    n, b = (n_peak, log10_b_peak) if kind == "peak" else (n_eclipse, log10_b_eclipse)
    return sigmas, b(np.array([n(s, MU_REFERENCE) for s in sigmas]), MU_REFERENCE)


@dataclass(frozen=True)
class Thresholds:
    """Decides whether counts are significant by comparing mu with a limit for each n.

    For fixed n, B_peak falls and B_eclipse rises with mu, so each n has one mu where B equals the
    threshold; testing a cell is a look-up. The slow reference is `log10_b_peak` and
    `log10_b_eclipse` against `threshold`.

    Attributes
    ----------
    sigma : float
        Threshold in equivalent sigmas.
    rule : {"exact", "exod2"}
        ``exact``: a peak (eclipse) has B at or above the threshold. ``exod2``: the published
        behaviour, which asks for one count more in a peak.
    """

    sigma: float
    rule: Rule = "exod2"

    def peak_limit(self, n: NDArray[np.integer]) -> Floats:
        """Largest mu, excluded, at which `n` counts are a peak; 0 where they never are."""
        counts = np.asarray(n) - (1 if self.rule == "exod2" else 0)
        table, _ = _limits(self.sigma)
        s2 = self.sigma**2
        real = np.maximum(counts, 0)
        gaussian = real - (np.sqrt(s2**2 + 8 * real * s2) - s2) / 2
        return np.where(real < len(table), table[np.minimum(real, len(table) - 1)], gaussian)

    def eclipse_limit(self, n: NDArray[np.integer]) -> Floats:
        """Smallest mu, excluded, at which `n` counts are an eclipse."""
        counts = np.asarray(n)
        _, table = _limits(self.sigma)
        s2 = self.sigma**2
        gaussian = counts + (np.sqrt(s2**2 + 8 * counts * s2) + s2) / 2
        return np.where(counts < len(table), table[np.minimum(counts, len(table) - 1)], gaussian)

    def is_peak(self, n: NDArray[np.integer], mu: ArrayLike) -> Mask:
        """Whether `n` counts are significantly more than `mu`."""
        mu = np.asarray(mu)
        return np.asarray((mu > MU_MIN) & (mu < self.peak_limit(n)))

    def is_eclipse(self, n: NDArray[np.integer], mu: ArrayLike) -> Mask:
        """Whether `n` counts are significantly fewer than `mu`."""
        return np.asarray(np.asarray(mu) > self.eclipse_limit(n))

    def least_peak(self, mu: ArrayLike) -> Floats:
        """Smallest count that is a peak where `mu` are expected; at least 1, whole numbers.

        Examples
        --------
        >>> Thresholds(3, "exact").least_peak([0.001, 1.0])
        array([2., 9.])
        """
        mu = np.asarray(mu, float)
        more = 1 if self.rule == "exod2" else 0
        table, _ = _limits(self.sigma)
        tabulated = np.searchsorted(table, mu, side="right")
        gaussian = np.maximum(np.floor(n_peak(self.sigma, mu)) + 1, len(table))
        return np.where(tabulated < len(table), tabulated, gaussian) + more

    def most_eclipse(self, mu: ArrayLike) -> Floats:
        """Largest count that is an eclipse where `mu` are expected; -1 where there is none.

        Examples
        --------
        >>> Thresholds(3).most_eclipse([10.0, 13.2, 20.0])
        array([-1.,  0.,  2.])
        """
        mu = np.asarray(mu, float)
        _, table = _limits(self.sigma)
        tabulated = np.searchsorted(table, mu, side="left") - 1.0
        gaussian = np.maximum(np.ceil(n_eclipse(self.sigma, mu)) - 1, len(table) - 1)
        return np.where(tabulated < len(table) - 1, tabulated, gaussian)


@lru_cache(maxsize=32)
def _limits(sigma: float) -> tuple[Floats, Floats]:
    """Mu where B_peak[n] and B_eclipse[n] equal the threshold, for the n with mu <= 1000."""
    last_peak = int(np.ceil(n_peak(sigma, MU_REFERENCE)))
    last_eclipse = int(np.floor(n_eclipse(sigma, MU_REFERENCE)))
    return (
        _solve(log10_b_peak, threshold(sigma, "peak"), last_peak),
        _solve(log10_b_eclipse, threshold(sigma, "eclipse"), last_eclipse),
    )


def _solve(function: Callable[[Floats, Floats], Floats], target: float, last: int) -> Floats:
    """Mu at which `function` is `target` for n = 0 to `last`; 0 where it never is."""
    n = np.arange(last + 1, dtype=float)

    def excess(log_mu: Floats, n: Floats) -> Floats:
        return function(n, np.exp(log_mu)) - target

    bracket = (np.full(len(n), np.log(1e-30)), np.full(len(n), np.log(4 * MU_REFERENCE + 100)))
    result: Any = elementwise.find_root(cast("Any", excess), bracket, args=cast("Any", (n,)))
    return np.where(result.success, np.exp(result.x), 0.0)


def amplitude_limit(n: ArrayLike, mu: ArrayLike, credibility: float, kind: Kind) -> Floats:
    """Upper limit of the excess (peak) or deficit (eclipse) in counts at a credible level.

    Parameters
    ----------
    n, mu : array_like
        Counts and expected counts.
    credibility : float
        Posterior probability below the limit, between 0 and 1.
    kind : {"peak", "eclipse"}
        Which amplitude.

    Examples
    --------
    >>> amplitude_limit(0, 1.0, 0.95, "peak").round(4)
    np.float64(2.9957)
    """
    n, mu = np.asarray(n, float), np.asarray(mu, float)
    if kind == "peak":
        tail = (1 - credibility) * special.gammaincc(n + 1, mu)
        return np.asarray(special.gammainccinv(n + 1, tail) - mu)
    tail = (1 - credibility) * special.gammainc(n + 1, mu)
    return np.asarray(mu - special.gammaincinv(n + 1, tail))
