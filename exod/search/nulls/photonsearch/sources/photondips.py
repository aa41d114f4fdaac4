"""Dips and eclipses of sources, photon by photon (docs/ideal.md).

Of the n photons of a constant source a share p is expected in a window, whatever the background
does and whenever its CCDs were off. In a window with only k of them

    lambda = k ln(q / p) + (n - k) ln((1 - q) / (1 - p)) + ln p

with q the share k / n, or that of the background alone if that is more, is the logarithm of the
ratio of the likelihoods of a dip and of none, less that of the number of windows as long. Given n
the expected shares before each photon are independent and equally probable numbers from 0 to 1,
so that what chance makes follows from drawing those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from exod.schemas.arrays import Floats
from exod.search.nulls.photonsearch.photonratio import jit
from exod.search.nulls.photonsearch.photonscan import Bursts
from exod.search.nulls.photonsearch.sources.photoncurves import SourceTimes

COUNTED_FROM: Final = 5.0
"""Dips of drawn photons are counted from this lambda on."""

POWER: Final = 0.9
"""Their number above lambda goes as its power, times exp(-lambda)."""

LONGEST: Final = 0.5
"""Share of the photons that is expected in a window at most."""

_DRAWN: Final = 20_000
"""Photons that are drawn for a source, about, in 20 to 200 light curves."""


@jit
def _ratio(k: int, n: int, p: float, q: float) -> float:
    """Lambda of a window with k of n photons, the share p of them expected and q assumed."""
    value = (n - k) * np.log((1.0 - q) / (1.0 - p)) + np.log(p)
    return value + k * np.log(q / p) if k > 0 else value


@jit
def best_windows(share: Any, background: float) -> tuple[float, int, int, float]:
    """The best dip of a source, the photons before and behind it, and lambda of its best burst.

    Parameters
    ----------
    share : ndarray of float64, shape (n + 2,)
        As of `SourceTimes`, with 0 and 1 at its ends.
    background : float
        Share of the background.

    Notes
    -----
    Windows reach from photon to photon. Up to 16 photons in them all are looked at, then those
    with about a sixteenth more each. lambda is at most chi-squared, (k - n p)^2 / (n p (1 - p)),
    and p - 1, so that most windows cannot be the best and need no logarithm.
    """
    n = len(share) - 2
    dip, first, last, burst = -1e9, 0, 0, -1e9
    for i in range(n + 1):
        j = i + 1
        while j <= n + 1:
            p = share[j] - share[i]
            if p > LONGEST:
                break
            k = j - i - 1
            excess, variance = k - n * p, n * p * (1.0 - p)
            if excess < 0.0 and excess * excess > (dip + 1.0 - p) * variance:
                q = max(k / n, background * p / (1.0 - (1.0 - background) * p))
                value = _ratio(k, n, p, q) if q < p else -1e9
                if value > dip:
                    dip, first, last = value, i, j
            # The photons at both ends belong to a burst.
            excess += 2.0
            inside = i > 0 and j <= n and p > 1e-12
            if inside and k >= n * p and excess * excess > (burst + 1.0 - p) * variance:
                burst = max(burst, _ratio(k + 2, n, p, (k + 2) / n) if k + 2 < n else -1e9)
            j += 1 + k // 16
    return dip, first, last, burst


@dataclass(frozen=True)
class DipChance:
    """Dips that chance makes in the sources of a subset.

    Attributes
    ----------
    number : float
        At `COUNTED_FROM` and above.
    shares : ndarray of float64, shape (n,)
        Lengths of those that were counted, as shares of the photons.
    """

    number: float
    shares: Floats

    @classmethod
    def of(cls, sources: Sequence[SourceTimes], generator: np.random.Generator) -> DipChance:
        """From drawn photons, as many for each source as it has."""
        number, shares = 0.0, []
        for source in sources:
            n = len(source.time)
            trials = int(np.clip(_DRAWN // n, 20, 200))
            for _ in range(trials):
                drawn = with_ends(np.sort(generator.random(n)))
                value, first, last, burst = best_windows(drawn, source.background)
                if value >= max(COUNTED_FROM, burst):
                    number += 1 / trials
                    shares.append(drawn[last] - drawn[first])
        return cls(number, np.array(shares))

    def above(self, value: Floats) -> Floats:
        """Expected dips at lambda and above, same shape."""
        value = np.maximum(value, COUNTED_FROM)
        shape = value**POWER * np.exp(-value)
        return np.asarray(self.number * shape / (COUNTED_FROM**POWER * np.exp(-COUNTED_FROM)))


def with_ends(share: Floats) -> Floats:
    """Shares with 0 and 1 at their ends."""
    return np.concatenate([[0.0], share, [1.0]])


def find_dips(sources: Sequence[SourceTimes], total: float) -> Bursts:
    """The best dip of each source, the strongest first, unless a burst says more of its photons.

    Parameters
    ----------
    sources : sequence of SourceTimes
        Sources.
    total : float
        Live time of everything, seconds.

    Returns
    -------
    Bursts
        `counts` are those of the source without the background.
    """
    rows = []
    for source in sources:
        share, time = with_ends(source.share), np.concatenate([[0.0], source.time, [total]])
        value, first, last, burst = best_windows(share, source.background)
        if value >= max(COUNTED_FROM, burst):
            counts = (1 - source.background) * len(source.time)
            begin, length = time[first], time[last] - time[first]
            rows.append((value, source.x, source.y, begin, length, counts))
    table = np.array(sorted(rows, reverse=True)).reshape(-1, 6)
    nothing = np.zeros(len(table))
    return Bursts(
        value=table[:, 0],
        x=table[:, 1],
        y=table[:, 2],
        begin=table[:, 3],
        length=table[:, 4],
        spectrum=nothing.astype(np.int64),
        counts=table[:, 5],
        decay=nothing,
        alone=np.ones(len(table), bool),
    )
