"""Luminosities where the distance of a counterpart is known."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats

PARSEC_CM: Final = 3.0856775814913673e18
"""IAU 2015 resolution B2."""

SURE_PARALLAX: Final = 5.0
"""Parallaxes that are so many times their error: the inverse of others is no distance
(Bailer-Jones 2015, PASP 127, 994)."""


def parallax_distance(parallax_mas: ArrayLike, error_mas: ArrayLike) -> Floats:
    """Distance in parsec of parallaxes; NaN where they are not sure.

    Examples
    --------
    >>> parallax_distance([10.0, 1.0, -3.0], [0.1, 0.5, 0.1]).tolist()
    [100.0, nan, nan]
    """
    parallax, error = np.asarray(parallax_mas, float), np.asarray(error_mas, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        sure = (parallax > 0) & (parallax >= SURE_PARALLAX * error)
        return np.where(sure, 1000.0 / parallax, np.nan)


def luminosity(flux: ArrayLike, distance_pc: ArrayLike) -> Floats:
    """Luminosity in erg/s of fluxes in erg/cm^2/s that shine alike in all directions.

    Examples
    --------
    >>> f"{float(luminosity(1e-13, 1000.0)):.3g}"
    '1.2e+31'
    """
    area = 4 * np.pi * (np.asarray(distance_pc, float) * PARSEC_CM) ** 2
    return np.asarray(np.asarray(flux, float) * area)
