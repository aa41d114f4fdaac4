"""Loss of X-rays off the optical axis of each telescope: by angle, energy, and azimuth for MOS.

The numbers are those of the pipeline: fits to the columns PN_1_VIG to M2_5_VIG and PN_OFFAX to
M2_OFFAX of 35 source lists (OBSMLI) of 2021-2024, and they give those of 18 more within 0.5 per
cent. ``python -m benchmarks.vignetting`` repeats the fit and the check
(benchmarks/results_vignetting.md). The mirrors of the three telescopes are alike; those of MOS
have gratings behind them, which cast more shadow the more the light comes from one side: a factor
that is linear in the coordinate along the dispersion.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats

ENERGIES_KEV: Final = (0.35, 0.75, 1.5, 3.25, 8.25)
"""Middles of the pipeline's bands 1 to 5, for which the pipeline gives a vignetting.

Energies between are interpolated; beyond them, the nearest counts."""

_TABLE = """
 0  1.0000 1.0000 1.0000 1.0000 1.0000
 1  0.9883 0.9883 0.9883 0.9879 0.9810
 2  0.9531 0.9531 0.9531 0.9516 0.9245
 3  0.9146 0.9145 0.9145 0.9118 0.8586
 4  0.8636 0.8635 0.8635 0.8592 0.7768
 5  0.8106 0.8104 0.8104 0.8042 0.6933
 6  0.7584 0.7581 0.7582 0.7502 0.6141
 7  0.6929 0.6925 0.6927 0.6831 0.5300
 8  0.6334 0.6330 0.6331 0.6222 0.4569
 9  0.5763 0.5759 0.5760 0.5639 0.3918
10  0.5255 0.5251 0.5253 0.5119 0.3372
11  0.4822 0.4817 0.4819 0.4676 0.2942
12  0.4351 0.4346 0.4347 0.4200 0.2554
13  0.3929 0.3923 0.3925 0.3777 0.2249
14  0.3581 0.3576 0.3578 0.3432 0.2022
15  0.3277 0.3272 0.3274 0.3132 0.1838
16  0.3067 0.3062 0.3064 0.2927 0.1720
17  0.3020 0.3015 0.3017 0.2883 0.1694
"""

_ROWS = np.array(_TABLE.split(), float).reshape(-1, 1 + len(ENERGIES_KEV))

OFF_AXIS_ARCMIN: Final = _ROWS[:, 0]
"""Angles from the optical axis, shape (18,)."""

MIRROR: Final = _ROWS[:, 1:].T
"""Effective area relative to the axis, shape (5, 18): a row an energy, a column an angle."""

_SLOPES = np.append(np.diff(MIRROR) / np.diff(OFF_AXIS_ARCMIN), np.zeros((5, 1)), axis=1).T
"""Change of the area for each arcmin beyond the angles, shape (18, 5)."""

_DET_ARCMIN = 0.05 / 60


@dataclass(frozen=True)
class Vignetting:
    """The vignetting of a telescope, or that of one for each of as many positions as arrays have.

    Attributes
    ----------
    axis : tuple of float
        DETX and DETY of the optical axis (0.05 arcsec), from which off-axis angles count. It is
        not where the observatory points.
    dispersion : tuple of float
        Direction of DETX and DETY in which the gratings take less; zeros without gratings.
    slopes : tuple of float
        What they take less of for each arcmin in that direction, at each of `ENERGIES_KEV`.
    """

    axis: tuple[float | Floats, float | Floats]
    dispersion: tuple[float | Floats, float | Floats] = (0, 0)
    slopes: tuple[float, ...] | Floats = (0.0,) * 5

    @classmethod
    def of_numbers(cls, numbers: Floats) -> Vignetting:
        """That of several telescopes, from the `numbers` of each as columns, shape (9, n)."""
        return cls((numbers[0], numbers[1]), (numbers[2], numbers[3]), numbers[4:].T)

    @property
    def numbers(self) -> Floats:
        """All that is told of a telescope, shape (9,)."""
        return np.array([*self.axis, *self.dispersion, *self.slopes])

    def angle_arcmin(self, detx: ArrayLike, dety: ArrayLike) -> Floats:
        """Angle from the optical axis in arcmin (any shape)."""
        u, v = np.asarray(detx) - self.axis[0], np.asarray(dety) - self.axis[1]
        return np.asarray(np.hypot(u, v) * _DET_ARCMIN)

    def along_gratings(self, detx: ArrayLike, dety: ArrayLike) -> Floats:
        """Coordinate along the dispersion from the optical axis in arcmin (any shape)."""
        u, v = np.asarray(detx) - self.axis[0], np.asarray(dety) - self.axis[1]
        return np.asarray((u * self.dispersion[0] + v * self.dispersion[1]) * _DET_ARCMIN)

    def at_nodes(self, detx: ArrayLike, dety: ArrayLike) -> Floats:
        """Effective area relative to the axis in each of the pipeline's bands 1 to 5.

        Parameters
        ----------
        detx, dety : array_like of float
            Positions in the focal plane in 0.05 arcsec, one shape.

        Returns
        -------
        ndarray of float64, shape (*shape, 5)
            1 on the axis; up to 1.003 near it where the gratings take less. Beyond 17 arcmin it
            is that of 17 arcmin.
        """
        angle = np.minimum(self.angle_arcmin(detx, dety), OFF_AXIS_ARCMIN[-1])
        below = np.searchsorted(OFF_AXIS_ARCMIN, angle, side="right") - 1
        mirror = _SLOPES[below] * (angle - OFF_AXIS_ARCMIN[below])[..., None] + MIRROR.T[below]
        along = self.along_gratings(detx, dety)
        return np.asarray(mirror * (1 - along[..., None] * np.array(self.slopes)))

    def at(self, detx: ArrayLike, dety: ArrayLike, energy_kev: ArrayLike = 1.5) -> Floats:
        """Effective area relative to the axis at energies (shapes broadcast).

        Examples
        --------
        >>> pn = VIGNETTING["EPN"]
        >>> float(pn.at(*pn.axis, 1.0))
        1.0
        """
        weights = node_weights(energy_kev)
        return np.asarray(np.sum(self.at_nodes(detx, dety) * weights, axis=-1))


def node_weights(energy_kev: ArrayLike) -> Floats:
    """How much of an energy each of `ENERGIES_KEV` stands for, shape (*shape, 5); sums are 1.

    Examples
    --------
    >>> node_weights([0.2, 2.375]).round(3).tolist()
    [[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5, 0.0]]
    """
    energy = np.asarray(energy_kev, float)
    return np.stack([np.interp(energy, ENERGIES_KEV, row) for row in np.eye(5)], axis=-1)


VIGNETTING: Final = MappingProxyType(
    {
        "EPN": Vignetting((1271.2, 389.3)),
        "EMOS1": Vignetting((99.8, -190.3), (0, -1), (0.01417, 0.01415, 0.01416, 0.01429, 0.01512)),
        "EMOS2": Vignetting((521.8, -1264.4), (1, 0), (0.01413, 0.0141, 0.01412, 0.01425, 0.01506)),
    }
)
"""The vignetting by INSTRUME."""
