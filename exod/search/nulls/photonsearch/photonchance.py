"""How many bursts chance makes in a subset, by the strength of their likelihood ratio.

The same photons are scanned at shuffled times. That gives many weak bursts and few strong ones; the
numbers of the strong ones follow from the shape of the distribution, which simulated observations
share (docs/ideal.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from exod.schemas.arrays import Floats, Mask
from exod.search.nulls.photonsearch.photonscan import Bursts

COUNTED_FROM: Final = 10.0
"""Bursts of shuffled photons are counted from this likelihood ratio, less its trials, on."""

POWER: Final = 2.0
SLOPE: Final = 1.0
"""Their number at a likelihood ratio and above goes as its power, times exp(-slope times it)."""

ENOUGH: Final = 30
MOST_SHUFFLES: Final = 3
"""The photons are shuffled until so many bursts have been counted, or so often."""


@dataclass(frozen=True)
class ShuffledChance:
    """Bursts that chance makes in a subset.

    Attributes
    ----------
    number : float
        At `COUNTED_FROM` and above.
    lengths : ndarray of float64, shape (n,)
        Lengths of those that were counted, seconds.
    """

    number: float
    lengths: Floats

    @classmethod
    def of(cls, shuffles: list[Bursts]) -> ShuffledChance:
        """From scans of shuffled photons."""
        counted = [s.take(s.value >= COUNTED_FROM) for s in shuffles]
        lengths = np.concatenate([s.length for s in counted]) if counted else np.zeros(0)
        # One half more, so that nothing is impossible where none was found.
        number = (len(lengths) + 0.5) / max(len(shuffles), 1)
        return cls(number, lengths)

    def above(self, value: Floats) -> Floats:
        """Expected bursts at a likelihood ratio and above, same shape."""
        return self.number * shape_of(value) / shape_of(np.array(COUNTED_FROM))

    def threshold(self, rate: float) -> float:
        """Likelihood ratio above which `rate` bursts are expected, at least `COUNTED_FROM`."""
        values = np.linspace(COUNTED_FROM, COUNTED_FROM + 60, 6001)
        return float(np.interp(-np.log(max(rate, 1e-300)), -np.log(self.above(values)), values))

    def share(self, which: Mask, parts: int) -> float:
        """Share of the bursts that one of some parts of the lengths has; `which` as `lengths`."""
        return (float(which.sum()) + 0.5) / (len(self.lengths) + 0.5 * parts)


def shape_of(value: Floats) -> Floats:
    """How the number of bursts goes with their likelihood ratio, less its trials."""
    return np.asarray(value**POWER * np.exp(-SLOPE * value))
