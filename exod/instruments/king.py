"""The King profile of X-ray telescopes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats


@dataclass(frozen=True)
class KingProfile:
    """Surface brightness ``(1 + (r / core)^2)^-slope``, normalised to one over the plane.

    The standard description of the PSF of XMM-Newton (UHB section 3.2.1.1). A slope above 1 is
    needed for a finite integral.

    Attributes
    ----------
    core : float
        Core radius, arcsec.
    slope : float
        Exponent, above 1.

    Examples
    --------
    >>> KingProfile(5.0, 1.5).radius(KingProfile(5.0, 1.5).fraction(15.0)).round(6)
    np.float64(15.0)
    """

    core: float
    slope: float

    def density(self, radius: ArrayLike) -> Floats:
        """Probability per square arcsec at `radius` (arcsec, any shape)."""
        peak = (self.slope - 1) / (np.pi * self.core**2)
        return np.asarray(peak * (1 + (np.asarray(radius) / self.core) ** 2) ** -self.slope)

    def fraction(self, radius: ArrayLike) -> Floats:
        """Probability within `radius` (arcsec, any shape)."""
        return king_fraction(radius, self.core, self.slope)

    def radius(self, fraction: ArrayLike) -> Floats:
        """Radius in arcsec that holds `fraction` (in [0, 1)) of the photons."""
        return king_radius(fraction, self.core, self.slope)

    def sample(self, generator: np.random.Generator, n: int) -> Floats:
        """Offsets of `n` photons from their source in arcsec, shape (2, n).

        Examples
        --------
        >>> offsets = KingProfile(5.0, 1.5).sample(np.random.default_rng(1), 1000)
        >>> offsets.shape
        (2, 1000)
        """
        radius, angle = self.radius(generator.random(n)), generator.random(n) * 2 * np.pi
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)])


def king_fraction(radius: ArrayLike, core: ArrayLike, slope: ArrayLike) -> Floats:
    """Probability of King profiles within `radius`; everything may be an array, in arcsec."""
    squared = (np.asarray(radius) / np.asarray(core)) ** 2
    return np.asarray(1 - (1 + squared) ** (1 - np.asarray(slope)))


def king_radius(fraction: ArrayLike, core: ArrayLike, slope: ArrayLike) -> Floats:
    """Radius that holds `fraction` (in [0, 1)) of King profiles: inverts `king_fraction`."""
    left = 1 - np.asarray(fraction)
    return np.asarray(core * np.sqrt(left ** (1 / (1 - np.asarray(slope))) - 1))
