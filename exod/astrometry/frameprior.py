"""What is known of the frame of an observation before its sources are compared with references."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.astrometry.rectification import Covariance
from exod.errors import ConfigError
from exod.schemas.arrays import Floats

Frames = NDArray[np.float64]
"""Frames, one a row: east, north (arcsec) and rotation (deg)."""

_FREEDOM: Final = 3.0
"""Degrees of freedom of the distribution of the rotation."""

_STUDENT_VOLUME: Final = float(np.pi * np.sqrt(3.0) / 2.0)
"""Integral of that distribution, of scale 1, if its maximum is 1."""


@dataclass(frozen=True)
class Prior:
    """What is known of frames before an observation is looked at.

    Attributes
    ----------
    shift_arcsec : float
        Standard deviation of the shift along east and north.
    rotation_deg : float
        Scale of the rotation, which has Student's distribution of three degrees of freedom: most
        are small, a few are not.
    reach_arcsec : float
        Shifts up to this are tried.
    """

    shift_arcsec: float = 2.0
    rotation_deg: float = 0.1
    reach_arcsec: float = 6.0

    def __post_init__(self) -> None:
        for name in ("shift_arcsec", "rotation_deg", "reach_arcsec"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ConfigError(f"{name} of a prior must be a positive number, not {value!r}.")

    def logarithm(self, frames: Frames) -> Floats:
        """Logarithm of the prior of shift and rotation relative to its maximum."""
        east, north, turn = frames.T
        shift = (east**2 + north**2) / (2 * self.shift_arcsec**2)
        tail = (_FREEDOM + 1) / 2 * np.log1p((turn / self.rotation_deg) ** 2 / _FREEDOM)
        return np.asarray(-shift - tail)

    @property
    def volume(self) -> float:
        """Integral of the prior that is 1 at its maximum, within reach."""
        square = self.shift_arcsec**2
        disk = 2 * np.pi * square * -np.expm1(-(self.reach_arcsec**2) / (2 * square))
        return float(disk * _STUDENT_VOLUME * self.rotation_deg)

    def precision(self, frames: Frames) -> Covariance:
        """Inverse covariances of normal priors of the same slope there, shape (k, 3, 3)."""
        matrix = np.zeros((len(frames), 3, 3))
        matrix[:, 0, 0] = matrix[:, 1, 1] = self.shift_arcsec**-2.0
        square = _FREEDOM * self.rotation_deg**2 + frames[:, 2] ** 2
        matrix[:, 2, 2] = (_FREEDOM + 1) / square
        return matrix


NO_PRIOR: Final = Prior(1e3, 0.5, 15.0)
"""Hardly any knowledge: shifts up to 15 arcsec are as good as each other."""
