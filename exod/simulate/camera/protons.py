"""Loss of soft protons off the axis; that of X-rays is in `exod.instruments.vignetting`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats

PROTON_SCALE_ARCMIN: Final = 27.0
"""Off-axis angle at which half of the soft protons would be left.

They are scattered by the mirrors, so that their image is flatter than that of X-rays (Kuntz &
Snowden 2008, A&A 478, 575). Measured in the flares of 0001730201: 0.9 below and 0.75 above 2 keV
at 14 arcmin, relative to 4 arcmin.
"""


def proton_vignetting(off_axis_arcmin: ArrayLike) -> Floats:
    """Soft protons per pixel relative to the axis (any shape)."""
    return np.asarray(1 / (1 + (np.asarray(off_axis_arcmin) / PROTON_SCALE_ARCMIN) ** 2))
