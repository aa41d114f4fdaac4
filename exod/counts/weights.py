"""Counts of windows whose middle cell counts double, by chance (method.md, Sliding windows).

With A counts in the other cells and B in the middle one the sum is S = A + 2 B; A and B are
binomial and independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import logsumexp

from exod.counts.windows import LN10, Chance, WindowCounts, log10_tail
from exod.schemas.arrays import Floats, Integers, Mask

EXACT_UP_TO: Final = 150.0
"""Sums above this are taken as a scaled binomial number."""

TERMS: Final = 1_000_000
"""Terms of the exact sums that are held at a time."""

_ROUNDING: Final = 1e-6


@dataclass(frozen=True)
class WeightedChance:
    """The sum S = A + 2 B of a window by chance.

    Attributes
    ----------
    others, middle : Chance
        Of A and of B, of one shape (n,).
    most_others, most_middle : ndarray of float64, shape (n,)
        Largest possible A and B.
    """

    others: Chance
    middle: Chance
    most_others: Floats
    most_middle: Floats

    @classmethod
    def of(
        cls,
        sums: WindowCounts,
        middle: WindowCounts,
        expected: Floats,
        expected_middle: Floats,
        position: Integers,
    ) -> WeightedChance:
        """Of windows at `position`, given what they and their middle cells expect by class."""
        counts = besides(sums, middle)[:, position]
        rest = np.maximum(expected - expected_middle, 0.0)
        shares = np.divide(rest, counts, out=np.zeros_like(rest), where=counts > 0)
        others = Chance.of_classes(counts, np.minimum(shares, 1.0))
        most, most_middle = counts.sum(0), middle.counts[:, position].sum(0)
        if sums.groups is not None:
            # A group of CCDs that was live for longer than the field has more counts than these.
            most, most_middle = np.full_like(most, np.inf), np.full_like(most, np.inf)
        return cls(others, middle.chance(expected_middle, position), most, most_middle)

    @property
    def mean(self) -> Floats:
        """Expected sum."""
        return self.others.mean + 2 * self.middle.mean

    @property
    def sigma(self) -> Floats:
        """Standard deviation of the sum."""
        return np.asarray(np.hypot(self.others.sigma, 2 * self.middle.sigma))

    def take(self, which: Mask) -> WeightedChance:
        """Those of some windows."""
        return WeightedChance(
            self.others.take(which),
            self.middle.take(which),
            self.most_others[which],
            self.most_middle[which],
        )

    def log10_tail(self, s: Floats, *, upper: bool = True) -> Floats:
        """log10 of P(S >= s), shape (n,); there is no lower tail.

        Examples
        --------
        >>> most = np.array([2.0]), np.array([1.0])
        >>> parts = [Chance(np.zeros(1), n, np.array([0.01])) for n in most]
        >>> 10 ** WeightedChance(*parts, *most).log10_tail(np.array([4.0])).round(6)
        array([1.e-06])
        """
        if not upper:
            raise ValueError("only too many counts are weighted")
        result = np.zeros(len(s))
        exact = s <= EXACT_UP_TO
        result[~exact] = self.take(~exact).scaled_tail(s[~exact])
        (todo,) = np.nonzero(exact)
        todo = todo[np.argsort(s[todo], kind="stable")]
        while len(todo):
            # The last needs most terms.
            n = max(int(TERMS / (s[todo[-1]] + 1)), 1)
            todo, now = todo[:-n], todo[-n:]
            which = np.zeros(len(s), bool)
            which[now] = True
            result[which] = self.take(which)._exact(s[which])
        return result

    def _exact(self, s: Floats) -> Floats:
        """By the sum over the counts of the middle cell."""
        above = s - self.others.sure - 2 * self.middle.sure
        # From so many counts of the middle cell on the others do not matter.
        enough = np.maximum(np.ceil(above / 2 - _ROUNDING), 0.0)
        b = np.arange(int(enough.max(initial=0)) + 1, dtype=float)[:, None]
        of_middle = _tails(self.middle, b, self.most_middle - self.middle.sure)
        rest = np.where(above - 2 * b > _ROUNDING, above - 2 * b, 0.0)
        of_others = _tails(self.others, rest, self.most_others - self.others.sure)
        with np.errstate(invalid="ignore", divide="ignore"):
            exactly = of_middle[:-1] + np.log1p(-np.exp(np.diff(of_middle, axis=0)))
            terms = np.where(b[:-1] < enough, exactly + of_others[:-1], -np.inf)
        # Impossible numbers of the middle cell have no next one.
        terms = np.where(np.isnan(terms), -np.inf, terms)
        alone = np.take_along_axis(of_middle, enough[None].astype(np.int64), axis=0)
        return np.minimum(np.asarray(logsumexp(np.concatenate([terms, alone]), axis=0)) / LN10, 0.0)

    def scaled_tail(self, s: Floats) -> Floats:
        """log10 of P(S >= s), S taken as a multiple of a binomial number plus a constant.

        Mean, variance and skewness are right.
        """
        parts = ((self.others, 1), (self.middle, 2))
        spread = [weight**2 * chance.sigma**2 for chance, weight in parts]
        third = sum(
            own * weight * (1 - 2 * chance.share)
            for own, (chance, weight) in zip(spread, parts, strict=True)
        )
        variance = spread[0] + spread[1]
        unit = np.ones_like(variance)
        np.divide(spread[0] + 2 * spread[1], variance, out=unit, where=variance > 0)
        chance = Chance.of_moments(self.mean / unit, variance / unit**2, third / unit**3)
        # S comes in steps of 1, the multiple in steps of `unit`.
        return chance.log10_tail((s - 0.5) / unit + 0.5, upper=True)


def besides(sums: WindowCounts, middle: WindowCounts) -> Floats:
    """Counts of windows besides those of their middle cells, shape (n_classes, n_cells + 1)."""
    counts = np.maximum(sums.counts - middle.counts, 0.0)
    if sums.groups is None:
        # Sums over windows are rounded; counts are whole.
        return np.asarray(np.rint(counts))
    # Those of groups of CCDs are scaled.
    return np.where(counts > _ROUNDING, counts, 0.0)


def _tails(chance: Chance, n: Floats, most: Floats) -> Floats:
    """Natural logarithm of the probability of at least `n` counts above the sure ones.

    Numbers of shape (n_terms, n) or (n_terms, 1); none above `most` are possible.
    """
    n, trials = np.broadcast_arrays(n, chance.trials)
    tails = LN10 * log10_tail(n, trials, trials * chance.share, upper=True)
    return np.where(n <= most + _ROUNDING, tails, -np.inf)
