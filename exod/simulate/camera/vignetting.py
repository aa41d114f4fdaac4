"""Loss of light off the axis: of X-rays, which depends on energy, and of soft protons."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats

_HALF_ENERGY_KEV = (2.0, 5.0, 8.0, 10.0)
_HALF_ARCMIN = (12.5, 11.5, 10.2, 9.5)
"""Off-axis angle at which half of the effective area is left; nominal, along the curves of UHB
section 3.2.2.2, figure 13, which fall faster above 5 keV."""

PROTON_SCALE_ARCMIN: Final = 27.0
"""Off-axis angle at which half of the soft protons would be left.

They are scattered by the mirrors, so that their image is flatter than that of X-rays (Kuntz &
Snowden 2008, A&A 478, 575). Measured in the flares of 0001730201: 0.9 below and 0.75 above 2 keV
at 14 arcmin, relative to 4 arcmin.
"""


def vignetting(off_axis_arcmin: ArrayLike, energy_kev: ArrayLike = 1.5) -> Floats:
    """Effective area relative to the axis: ``1 / (1 + (angle / half)^2)`` (shapes broadcast).

    `half` falls from 12.5 arcmin at 2 keV to 9.5 arcmin at 10 keV. The azimuth (the gratings of
    the MOS telescopes) is ignored.

    Examples
    --------
    >>> vignetting([0.0, 12.5])
    array([1. , 0.5])
    >>> vignetting(9.5, 10.0).round(2)
    np.float64(0.5)
    """
    half = np.interp(np.asarray(energy_kev, float), _HALF_ENERGY_KEV, _HALF_ARCMIN)
    return np.asarray(1 / (1 + (np.asarray(off_axis_arcmin) / half) ** 2))


def proton_vignetting(off_axis_arcmin: ArrayLike) -> Floats:
    """Soft protons per pixel relative to the axis (any shape)."""
    return np.asarray(1 / (1 + (np.asarray(off_axis_arcmin) / PROTON_SCALE_ARCMIN) ** 2))
