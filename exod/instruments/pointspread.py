"""The point spread function of each telescope: by energy, off-axis angle and azimuth.

A King profile whose core and slope depend on energy, with a narrow Gaussian core on top (the
components of Read et al. 2011, A&A 534, A34), stretched tangentially off the axis. The numbers are
fits to tables of encircled energy (60, 70 and 80 per cent) at a few hundred places of each focal
plane and eight energies; ``python -m benchmarks.simulator psf`` repeats the fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike

from exod.instruments.king import king_fraction, king_radius
from exod.schemas.arrays import Floats

ENERGIES_KEV: Final = (1.0, 1.5, 2.0, 2.75, 3.5, 4.25, 6.0, 8.5)
"""Energies of the tables; the PSF beyond them is that of the nearest."""

OFF_AXIS_ARCMIN: Final = (2.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0)
"""Middles of the annuli, 2 arcmin wide, in which the size off the axis was measured."""

NORMALISATION_ARCSEC: Final = 300.0
"""Radius that holds all photons.

The tables do not say to which radius they are normalised. With 5 arcmin, the profiles fit them to
0.6 per cent at every energy, against 3 per cent at 8.5 keV with 1 arcmin; and their encircled
energy agrees with the SAS task eupper for pn (0.88 within 30, 0.95 within 60 arcsec).
"""

GAUSSIAN_SHARE: Final = MappingProxyType({"EPN": 0.22, "EMOS1": 0.17, "EMOS2": 0.17})
GAUSSIAN_SIGMA_ARCSEC: Final = MappingProxyType(
    {"EPN": 6.6 / 2.355, "EMOS1": 4.5 / 2.355, "EMOS2": 4.5 / 2.355}
)
"""Photons in the Gaussian core, and its width: full widths at half maximum near UHB section
3.2.1.1, table 2.

The tables begin at 12 arcsec and say nothing of the core. With these shares, simulated photons of
HD 159176 (0001730201, MOS) are as concentrated as the real ones: 0.31 and 0.55 of those within 10
arcsec are within 3 and 5 arcsec; and those of the source of 0916810801 (pn: 0.25 and 0.50, with
861 photons) nearly so (0.22 and 0.50).
"""


@dataclass(frozen=True)
class PointSpread:
    """The PSF of one telescope.

    Attributes
    ----------
    share, sigma : float
        Photons in the Gaussian core, and its standard deviation in arcsec.
    core, slope : tuple of float
        On-axis King profile at each of `ENERGIES_KEV`; core radius in arcsec.
    stretch : tuple of float
        At each of `ENERGIES_KEV`: the ratio of the axes of the ellipse at an off-axis angle is
        ``exp(-(angle / stretch)^2)``, arcmin.
    size : tuple of float
        At each of `OFF_AXIS_ARCMIN`: radius of the circle of equal area, relative to the axis.
    """

    share: float
    sigma: float
    core: tuple[float, ...]
    slope: tuple[float, ...]
    stretch: tuple[float, ...]
    size: tuple[float, ...]

    reach_arcsec: ClassVar[float] = NORMALISATION_ARCSEC

    def king(self, energy_kev: ArrayLike) -> tuple[Floats, Floats]:
        """On-axis core radius (arcsec) and slope at energies (any shape)."""
        energy = np.asarray(energy_kev, float)
        core, slope = (np.interp(energy, ENERGIES_KEV, v) for v in (self.core, self.slope))
        return np.asarray(core), np.asarray(slope)

    def _share_within(self, radius: ArrayLike, core: Floats, slope: Floats) -> Floats:
        """Share of the photons of a profile inside `radius`, both in units of one scale."""
        share = king_fraction(radius, core, slope) / king_fraction(
            NORMALISATION_ARCSEC, core, slope
        )
        gauss = -np.expm1(-0.5 * (np.asarray(radius) / self.sigma) ** 2)
        return (1 - self.share) * np.minimum(share, 1.0) + self.share * gauss

    def axis_ratio(self, energy_kev: ArrayLike, off_axis_arcmin: ArrayLike) -> Floats:
        """Short (radial) over long (tangential) axis of the ellipses, at most 1 (any shape)."""
        stretch = np.interp(np.asarray(energy_kev, float), ENERGIES_KEV, self.stretch)
        return np.asarray(np.exp(-((np.asarray(off_axis_arcmin) / stretch) ** 2)))

    def relative_size(self, off_axis_arcmin: ArrayLike) -> Floats:
        """Radius of the circle with the area of the ellipse, relative to the axis (any shape)."""
        angle = np.asarray(off_axis_arcmin, float)
        return np.asarray(np.interp(angle, (0.0, *OFF_AXIS_ARCMIN), (1.0, *self.size)))

    def encircled(
        self, radius_arcsec: ArrayLike, energy_kev: ArrayLike, off_axis_arcmin: ArrayLike = 0.0
    ) -> Floats:
        """Share of the photons inside the ellipse with the area of a circle of that radius.

        Examples
        --------
        >>> round(float(POINT_SPREADS["EPN"].encircled(30.0, 1.5)), 2)
        0.89
        """
        radius = np.asarray(radius_arcsec) / self.relative_size(off_axis_arcmin)
        return self._share_within(radius, *self.king(energy_kev))

    def sample(
        self,
        generator: np.random.Generator,
        energy_kev: ArrayLike,
        off_axis_arcmin: float,
        azimuth: float,
    ) -> Floats:
        """Offsets of photons from the image of their source.

        Parameters
        ----------
        generator : numpy.random.Generator
            Source of random numbers.
        energy_kev : array_like of float, shape (n,)
            Energy of each photon.
        off_axis_arcmin, azimuth : float
            Place of the source from the axis; the azimuth in radians, from DETX towards DETY.

        Returns
        -------
        ndarray of float64, shape (2, n)
            Along DETX and DETY, arcsec.
        """
        energy = np.atleast_1d(np.asarray(energy_kev, float))
        core, slope = self.king(energy)
        within = king_fraction(NORMALISATION_ARCSEC, core, slope)
        share = generator.random(len(energy))
        radius = king_radius(within * share, core, slope)
        narrow = generator.random(len(energy)) < self.share
        radius[narrow] = self.sigma * np.sqrt(-2 * np.log1p(-share[narrow]))
        radius *= self.relative_size(off_axis_arcmin)
        angle = generator.random(len(energy)) * 2 * np.pi
        root = np.sqrt(self.axis_ratio(energy, off_axis_arcmin))
        radial, tangential = radius * np.cos(angle) * root, radius * np.sin(angle) / root
        cosine, sine = np.cos(azimuth), np.sin(azimuth)
        return np.stack([radial * cosine - tangential * sine, radial * sine + tangential * cosine])


POINT_SPREADS: Final = MappingProxyType(
    {
        "EPN": PointSpread(
            share=GAUSSIAN_SHARE["EPN"],
            sigma=GAUSSIAN_SIGMA_ARCSEC["EPN"],
            core=(11.96, 11.61, 11.63, 11.27, 10.62, 9.93, 8.59, 7.44),
            slope=(1.975, 1.937, 1.929, 1.877, 1.791, 1.700, 1.527, 1.409),
            stretch=(13.70, 13.81, 13.70, 13.38, 13.42, 13.31, 12.25, 10.47),
            size=(0.999, 0.949, 0.937, 0.947, 0.971, 0.998, 1.021),
        ),
        "EMOS1": PointSpread(
            share=GAUSSIAN_SHARE["EMOS1"],
            sigma=GAUSSIAN_SIGMA_ARCSEC["EMOS1"],
            core=(9.71, 9.94, 9.70, 9.28, 9.07, 8.46, 7.78, 6.57),
            slope=(1.801, 1.817, 1.791, 1.738, 1.691, 1.617, 1.485, 1.385),
            stretch=(13.78, 13.82, 13.75, 13.33, 13.36, 13.25, 11.88, 10.77),
            size=(0.997, 0.930, 0.874, 0.874, 0.887, 0.915, 0.927),
        ),
        "EMOS2": PointSpread(
            share=GAUSSIAN_SHARE["EMOS2"],
            sigma=GAUSSIAN_SIGMA_ARCSEC["EMOS2"],
            core=(9.76, 10.12, 9.84, 9.39, 8.88, 8.63, 7.77, 6.89),
            slope=(1.813, 1.826, 1.802, 1.755, 1.673, 1.629, 1.489, 1.403),
            stretch=(13.85, 13.90, 13.85, 13.44, 13.43, 13.33, 11.85, 10.76),
            size=(1.001, 0.935, 0.876, 0.877, 0.892, 0.919, 0.919),
        ),
    }
)
"""The telescopes by INSTRUME of their camera."""
