"""What counts say of a source: an interval or an upper limit of its counts, and its chance.

Counts n are Poisson of s + mu, with a known mu and any s of at least 0 as likely as another. The
interval is the shortest that has the asked share of the probability (Kraft, Burrows & Nousek 1991,
ApJ 374, 344): where it begins at 0 its end is an upper limit, else there is a source.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from exod.schemas.arrays import Floats

_STEPS: Final = 60
_CLOSE: Final = 1e-13
"""Change of a start, of one more than the counts, at which it is found; that takes some 6 steps."""
_LEAST: Final = 1e-250
"""Probability of so few counts below which the tail of the posterior is an exponential."""


def counts_interval(n: ArrayLike, mu: ArrayLike, level: float = 0.9) -> tuple[Floats, Floats]:
    """Shortest credible interval of the counts of a source.

    The slow equivalent is `astropy.stats.poisson_conf_interval` with ``kraft-burrows-nousek``.

    Parameters
    ----------
    n, mu : array_like, broadcast to one shape
        Counts, and expected counts without the source.
    level : float
        Probability of the interval, between 0 and 1.

    Returns
    -------
    low, high : ndarray of float64, that shape
        NaN where n or mu is not finite or is negative.

    Examples
    --------
    >>> low, high = counts_interval([0, 5, 20], [3.0, 1.5, 1.5], 0.9)
    >>> low.round(2).tolist(), high.round(2).tolist()
    ([0.0, 0.65, 11.99], [2.3, 8.16, 26.82])
    """
    n, mu = np.broadcast_arrays(np.asarray(n, float), np.asarray(mu, float))
    shape = n.shape
    low, high = np.full(n.size, np.nan), np.full(n.size, np.nan)
    with np.errstate(invalid="ignore"):
        known = (np.isfinite(n) & np.isfinite(mu) & (n >= 0) & (mu >= 0)).ravel()
    own_n, own_mu = n.ravel()[known], mu.ravel()[known]
    low[known], high[known] = _interval(own_n, own_mu, level)
    return low.reshape(shape), high.reshape(shape)


def _interval(n: Floats, mu: Floats, level: float) -> tuple[Floats, Floats]:
    whole = special.gammaincc(n + 1, mu)
    far = whole < _LEAST
    low = np.zeros_like(mu)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rises = (_rise(n, mu, low, _end(n, mu, low, level * whole)) > 0) & ~far
    if rises.any():
        low[rises] = _start(n[rises], mu[rises], level * whole[rises])
    tail = -np.log1p(-level) / np.maximum(1 - n / np.maximum(mu, 1e-300), 1e-9)
    return low, np.where(far, tail, _end(n, mu, low, level * whole))


def _end(n: Floats, mu: Floats, low: Floats, inside: Floats) -> Floats:
    """End of an interval that begins at `low`; infinite if there is too little above it."""
    above = special.gammaincc(n + 1, mu + low) - inside
    found = special.gammainccinv(n + 1, np.clip(above, 0.0, 1.0)) - mu
    return np.where(above > 0, np.maximum(found, low), np.inf)


def _rise(n: Floats, mu: Floats, low: Floats, high: Floats) -> Floats:
    """Logarithm of the posterior at the end over that at the start; negative if it has no end."""
    gain = np.where(n > 0, n * np.log((mu + high) / (mu + low)), 0.0)
    return np.where(np.isfinite(high), gain - (high - low), -1.0)


def _start(n: Floats, mu: Floats, inside: Floats) -> Floats:
    """Start of intervals whose ends have the same posterior, by Newton's method in a bracket."""
    below, above = np.zeros_like(mu), np.maximum(n - mu, 0.0)
    low = np.clip(above - np.sqrt(n), below, above) / 2 + above / 4
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(_STEPS):
            high = _end(n, mu, low, inside)
            rise = _rise(n, mu, low, high)
            below, above = np.where(rise > 0, low, below), np.where(rise > 0, above, low)
            # The end moves as much as the posterior at the start is larger than at the end.
            slope = np.exp(-rise) * (n / (mu + high) - 1) - (n / (mu + low) - 1)
            step = np.where(np.isfinite(high), low - rise / slope, np.nan)
            following = np.where((step > below) & (step < above), step, (below + above) / 2)
            moved = np.abs(following - low)
            low = following
            if (moved <= _CLOSE * (1 + n)).all():
                break
    return low


def chance_log(n: ArrayLike, mu: ArrayLike) -> Floats:
    """log10 of the probability of at least `n` counts where `mu` are expected, broadcast shape.

    0 without counts; -inf where it is below 1e-300 or nothing is expected.

    Examples
    --------
    >>> chance_log([0, 1, 12], [0.1, 0.1, 2.0]).round(2).tolist()
    [0.0, -1.02, -5.86]
    """
    n, mu = np.broadcast_arrays(np.asarray(n, float), np.asarray(mu, float))
    with np.errstate(divide="ignore"):
        found = np.log10(special.gammainc(np.maximum(n, 1.0), mu))
    return np.where(n > 0, found, np.where(np.isnan(n), np.nan, 0.0))
