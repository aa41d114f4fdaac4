"""Errors of positions that are true: what pairs with a reference catalogue say of them.

A separation r of a true pair has, with v = (scale error)^2 + systematic^2 the variance of each
axis, the cumulative distribution ``1 - (1 + r^2 / (tail v))^(-tail / 2)``. For a large tail it is
that of Rayleigh. A small one says that errors differ: a survey has fields with and without a
frame. Chance pairs are uniform over the circle in which pairs were looked for (Pineau et al. 2017,
A&A 597, A89). If only the nearest reference of each source is known, one that is there by chance
may be nearer than the true one: of sources of which a fraction f has a true pair (cumulative T)
among n chance references in the radius R, ``(1 - f T(r)) exp(-n (r / R)^2)`` have nothing within r.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from exod.errors import InputError
from exod.schemas.arrays import Floats

QUOTED_FRACTION: Final = 0.63
"""Share of true positions within a quoted error, as for POSERR of 4XMM."""

NO_TAIL: Final = 1e4
"""A tail from which the distribution is that of Rayleigh to four digits."""


@dataclass(frozen=True)
class Calibration:
    """How separations follow from quoted errors.

    Attributes
    ----------
    systematic_arcsec : float
        Error of each axis that is added to the quoted one in quadrature.
    scale : float
        Factor of the quoted error.
    tail : float
        Degrees of freedom of Student's distribution; `NO_TAIL` is a normal one.
    chance_fraction : float
        Share of pairs that are there by chance; of the nearest of each source, share of sources
        without a true pair.
    radius_arcsec : float
        Radius within which pairs were looked for.
    log_likelihood : float
        Logarithm of the likelihood, natural.
    n_pairs : int
        Pairs that were used.
    crowding : float
        Chance references within the radius of a source, if the pairs are the nearest of each
        source; 0 if they are all within the radius.

    Examples
    --------
    >>> normal = Calibration(0.3, 1.0, NO_TAIL, 0.0, 5.0, 0.0, 0)
    >>> float(normal.radius_of(0.4, 0.63).round(3))
    0.705
    """

    systematic_arcsec: float
    scale: float
    tail: float
    chance_fraction: float
    radius_arcsec: float
    log_likelihood: float
    n_pairs: int
    crowding: float = 0.0

    def variance(self, error_arcsec: ArrayLike) -> Floats:
        """Variance of each axis, in arcsec^2, for quoted errors of each axis."""
        return np.asarray(
            (self.scale * np.asarray(error_arcsec, float)) ** 2 + self.systematic_arcsec**2
        )

    def radius_of(self, error_arcsec: ArrayLike, fraction: float = QUOTED_FRACTION) -> Floats:
        """Radius in arcsec around a position that has the true one with this probability."""
        squared = self.tail * np.expm1(-2.0 / self.tail * np.log1p(-fraction))
        return np.asarray(np.sqrt(self.variance(error_arcsec) * squared))

    def cumulative(self, separation_arcsec: ArrayLike, error_arcsec: ArrayLike) -> Floats:
        """Probability of a smaller separation, of true and chance pairs within the radius."""
        separation, variance = np.asarray(separation_arcsec, float), self.variance(error_arcsec)
        whole = _within(self.radius_arcsec, variance, self.tail)
        if self.crowding:
            within = self._near(separation, _within(separation, variance, self.tail))
            return np.asarray(within / self._near(self.radius_arcsec, whole))
        true = _within(separation, variance, self.tail) / whole
        chance = (separation / self.radius_arcsec) ** 2
        return np.asarray((1 - self.chance_fraction) * true + self.chance_fraction * chance)

    def _near(self, separation: ArrayLike, true: Floats) -> Floats:
        """Probability that a source has any reference within a separation."""
        chance = self.crowding * (np.asarray(separation, float) / self.radius_arcsec) ** 2
        return np.asarray(1 - (1 - (1 - self.chance_fraction) * true) * np.exp(-chance))


def calibrate(
    separation_arcsec: ArrayLike,
    error_arcsec: ArrayLike,
    radius_arcsec: float,
    *,
    fit_scale: bool = False,
    fit_tail: bool = True,
    nearest: bool = False,
) -> Calibration:
    """Maximum likelihood of the calibration, from pairs within a radius.

    Parameters
    ----------
    separation_arcsec : array_like, shape (n,)
        Separations of all pairs within the radius, or of the nearest of each source.
    error_arcsec : array_like, shape (n,)
        Quoted standard deviation of each axis; for a catalogue of 63 % circles, the circle over
        the square root of two.
    radius_arcsec : float
        The radius.
    fit_scale, fit_tail : bool
        Whether the factor of the quoted error, and the tail, are fitted too.
    nearest : bool
        Whether the pairs are the nearest of each source, rather than all.

    Returns
    -------
    Calibration
        The best of three starts.

    Raises
    ------
    InputError
        If there are fewer than ten pairs, or one is not finite or not within the radius.

    Examples
    --------
    >>> rng = np.random.default_rng(2)
    >>> error = rng.uniform(0.2, 1.0, 2000)
    >>> separation = rng.rayleigh(np.hypot(error, 0.4))
    >>> near = separation < 5
    >>> found = calibrate(separation[near], error[near], 5.0, fit_tail=False)
    >>> round(found.systematic_arcsec, 1), round(found.chance_fraction, 1)
    (0.4, 0.0)
    """
    separation, error = np.broadcast_arrays(
        np.asarray(separation_arcsec, float), np.asarray(error_arcsec, float)
    )
    if separation.size < _FEWEST:
        raise InputError(
            f"Errors of positions cannot be calibrated from {separation.size} pairs; "
            f"{_FEWEST} are needed."
        )
    valid = (separation >= 0) & (separation <= radius_arcsec) & np.isfinite(error) & (error >= 0)
    if not valid.all():
        raise InputError(
            f"{(~valid).sum()} of {separation.size} pairs have no error, or a separation that is "
            f"not within {radius_arcsec:g} arcsec; leave them out first."
        )

    def calibration(parameters: Floats, log_likelihood: float = 0.0) -> Calibration:
        systematic, odds, scale, tail, crowding = parameters
        return Calibration(
            float(np.exp(systematic)),
            float(np.exp(scale)) if fit_scale else 1.0,
            float(min(np.exp(tail), NO_TAIL)) if fit_tail else NO_TAIL,
            float(1 / (1 + np.exp(-odds))),
            float(radius_arcsec),
            log_likelihood,
            int(separation.size),
            float(np.exp(crowding)) if nearest else 0.0,
        )

    def cost(parameters: Floats) -> float:
        # Where chance is rare, only the ratio of true and chance pairs is known.
        odds = parameters[1]
        unlikely = np.logaddexp(0, odds) + np.logaddexp(0, -odds) if nearest else 0.0
        density = _density(calibration(parameters), separation, error)
        return float(unlikely) - float(np.log(density).sum())

    typical = float(np.median(separation)) + _TINY_ARCSEC
    starts = ([np.log(typical * share), -2.0, 0.0, 1.5, -1.5] for share in (0.05, 0.3, 1.0))
    bounds = [
        (np.log(_TINY_ARCSEC), np.log(radius_arcsec)),
        (-9.0, 9.0),
        (-2.0, 2.0),
        (0.0, np.log(NO_TAIL)),
        (-5.0, 3.0),
    ]
    fits = [optimize.minimize(cost, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    best = min(fits, key=lambda fit: float(fit.fun))
    return calibration(best.x, -float(best.fun))


_FEWEST: Final = 10
_TINY_ARCSEC: Final = 1e-3


def _within(radius: ArrayLike, variance: Floats, tail: float) -> Floats:
    """Probability of a separation up to a radius."""
    ratio = np.asarray(radius, float) ** 2 / variance
    return np.asarray(-np.expm1(-tail / 2 * np.log1p(ratio / tail)))


def _density(calibration: Calibration, separation: Floats, error: Floats) -> Floats:
    """Probability density of separations within the radius, per arcsec."""
    variance, tail = calibration.variance(error), calibration.tail
    radius, chance = calibration.radius_arcsec, calibration.chance_fraction
    # A separation of exactly zero has no density in a plane, and says nothing.
    at = np.maximum(separation, _TINY_ARCSEC**2)
    log_true = -(tail / 2 + 1) * np.log1p(at**2 / (tail * variance))
    true = at / variance * np.exp(log_true)
    if calibration.crowding:
        expected = calibration.crowding * (at / radius) ** 2
        lonely = 1 - (1 - chance) * _within(at, variance, tail)
        some = (1 - chance) * true + lonely * 2 * expected / at
        whole = calibration._near(radius, _within(radius, variance, tail))
        return np.asarray(some * np.exp(-expected) / whole)
    true /= _within(radius, variance, tail)
    return np.asarray((1 - chance) * true + chance * 2 * at / radius**2)
