"""Spectra of simulated events: tabulated continua, fluorescence lines, energy resolution.

The tables for MOS are measured in observation 0001730201 (``python -m benchmarks.simulator
background``): particles outside the field of view, where no X-rays arrive; the sky in quiet time
with the particles taken off; soft protons as flaring minus quiet time. Those for pn are nominal,
for no full pn list is at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from exod.instruments.epic import PI_MAX_EV, PI_MIN_EV
from exod.schemas.arrays import Floats

LOGNORMAL_WIDTH: Final = 0.6
"""Width (natural logarithm) of the spectra of sources; nominal."""


@dataclass(frozen=True)
class Spectrum:
    """A continuum, linear between its nodes.

    Attributes
    ----------
    energies_kev : tuple of float
        Energies of the nodes, increasing.
    density : tuple of float
        Counts per keV there, on any scale.
    """

    energies_kev: tuple[float, ...]
    density: tuple[float, ...]

    @cached_property
    def _cumulative(self) -> tuple[Floats, Floats]:
        """Energies, at most 10 eV apart, and the integral up to them."""
        low, high = self.energies_kev[0], self.energies_kev[-1]
        grid = np.linspace(low, high, int((high - low) / 0.01) + 2)
        energy = np.union1d(grid, self.energies_kev)
        density = np.interp(energy, self.energies_kev, self.density)
        steps = (density[1:] + density[:-1]) / 2 * np.diff(energy)
        return energy, np.concatenate([[0.0], np.cumsum(steps)])

    def integral(self, low_kev: float, high_kev: float) -> float:
        """Counts between two energies, on the scale of `density`.

        Examples
        --------
        >>> Spectrum((1.0, 3.0), (2.0, 2.0)).integral(1.5, 2.0)
        1.0
        """
        low, high = np.interp([low_kev, high_kev], *self._cumulative)
        return round(float(high - low), 12)

    def quantile(self, share: Floats) -> Floats:
        """Energies (keV) below which `share` of the counts lie (any shape)."""
        energy, cumulative = self._cumulative
        return np.interp(share * cumulative[-1], cumulative, energy)

    def sample(self, generator: np.random.Generator, n: int) -> Floats:
        """Energies of `n` events in keV."""
        return self.quantile(generator.random(n))


@dataclass(frozen=True)
class Line:
    """A fluorescence line of the particle background.

    Attributes
    ----------
    energy_kev : float
        Energy.
    share : float
        Of the particle events of 0.2-12 keV.
    hole_arcmin : float
        Radius about the axis within which the line is missing.
    """

    energy_kev: float
    share: float
    hole_arcmin: float = 0.0


_MOS_LINES = (
    Line(1.487, 0.110),  # Al
    Line(1.740, 0.006),  # Si
    Line(2.123, 0.004),  # Au M
    Line(5.415, 0.003),  # Cr
    Line(5.899, 0.001),  # Mn
    Line(6.404, 0.003),  # Fe
    Line(9.713, 0.006),  # Au L
)
_PN_LINES = (
    Line(1.487, 0.060),  # Al
    Line(7.478, 0.010, hole_arcmin=6.0),  # Ni
    Line(8.048, 0.075, hole_arcmin=6.0),  # Cu K alpha
    Line(8.639, 0.012, hole_arcmin=6.0),  # Zn
    Line(8.905, 0.013, hole_arcmin=6.0),  # Cu K beta
)

LINES: Final = MappingProxyType({"EPN": _PN_LINES, "EMOS1": _MOS_LINES, "EMOS2": _MOS_LINES})
"""Energies: X-ray Data Booklet, table 1-2. Shares of MOS are measured; those of pn are nominal.

The lines of the pn electronics board are missing where the board has its hole (Freyberg et al.
2004, Proc. SPIE 5165, 112); a circle of 6 arcmin is a rough outline.
"""

# fmt: off
_MOS_PARTICLES = Spectrum(
    (0.2, 0.25, 0.35, 0.45, 0.55, 0.75, 0.9, 1.3, 1.6, 1.9, 2.3, 2.7,
     3.5, 4.5, 5.3, 6.6, 7.5, 9.0, 10.5, 11.5, 12.5, 13.5, 14.2),
    (2350, 1900, 1220, 1010, 800, 700, 620, 610, 570, 520, 470, 445,
     412, 398, 385, 370, 340, 340, 300, 305, 278, 138, 40),
)
_PN_PARTICLES = Spectrum(
    (0.2, 0.25, 0.35, 0.5, 1.0, 12.0, 14.2),
    (4.0, 2.5, 1.4, 1.1, 1.0, 0.9, 0.8),
)
_SKY_NODES = (
    0.2, 0.35, 0.45, 0.55, 0.75, 0.9, 1.1, 1.3, 1.5, 1.9, 2.3, 2.75,
    3.5, 4.5, 5.5, 6.5, 7.5, 9.0, 12.0,
)
_MOS_SKY = (
    0.10, 0.12, 0.15, 0.23, 0.26, 0.34, 0.29, 0.25, 0.26, 0.18, 0.15, 0.11,
    0.098, 0.062, 0.031, 0.0165, 0.008, 0.002, 0.0005,
)
# fmt: on

PARTICLES: Final = MappingProxyType(
    {"EPN": _PN_PARTICLES, "EMOS1": _MOS_PARTICLES, "EMOS2": _MOS_PARTICLES}
)
"""Continuum of the particle background by INSTRUME; no telescope shapes it."""

_PN_OVER_MOS = np.interp(
    _SKY_NODES, (0.2, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0), (2.0, 1.45, 1.0, 0.87, 1.1, 1.8, 3.0)
)
"""Effective area of pn relative to MOS, one at 1 keV; nominal, from UHB section 3.2.2.1."""

SKY: Final = MappingProxyType(
    {
        "EPN": Spectrum(_SKY_NODES, tuple((np.array(_MOS_SKY) * _PN_OVER_MOS).tolist())),
        "EMOS1": Spectrum(_SKY_NODES, _MOS_SKY),
        "EMOS2": Spectrum(_SKY_NODES, _MOS_SKY),
    }
)
"""Sky background through telescope and camera by INSTRUME, on the axis."""

# fmt: off
PROTONS: Final = Spectrum(
    (0.2, 0.35, 0.55, 0.9, 1.5, 1.9, 2.3, 3.0, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5, 12.0),
    (1.25, 1.12, 0.97, 0.87, 0.83, 0.78, 0.72, 0.64, 0.575, 0.52, 0.48, 0.44, 0.415, 0.385,
     0.35, 0.32),
)
# fmt: on
"""Soft protons; no telescope response shapes it, so that pn and MOS share it.

That flares are hard, flat and different from one to the next: Kuntz & Snowden 2008, A&A 478, 575.
"""

_RESOLUTION_EV = MappingProxyType({"EPN": (70.0, 140.0), "EMOS1": (50.0, 130.0)})
"""Full width at half maximum at zero energy, and what 5.9 keV adds in quadrature; nominal, so
that 5.9 keV has 140 (MOS) and 157 eV (pn), near UHB section 3.3."""


def blurred(energy_kev: Floats, instrument: str, generator: np.random.Generator) -> Floats:
    """Energies as the camera measures them: with the nominal Gaussian resolution (keV)."""
    base, slope = _RESOLUTION_EV.get(instrument, _RESOLUTION_EV["EMOS1"])
    sigma = np.sqrt(base**2 + slope**2 * energy_kev / 5.9) / 2355
    return np.asarray(energy_kev + sigma * generator.standard_normal(np.shape(energy_kev)))


def lognormal_quantile(
    median_kev: float,
    share: Floats,
    limits_kev: tuple[float, float] = (PI_MIN_EV / 1000, PI_MAX_EV / 1000),
) -> Floats:
    """Quantiles in keV of the spectrum of a source: log-normal, cut to limits (any shape)."""
    edges = np.log(1000 * np.array(limits_kev) / (1000 * median_kev)) / LOGNORMAL_WIDTH
    low, high = ndtr(edges)
    energy = median_kev * np.exp(LOGNORMAL_WIDTH * ndtri(low + (high - low) * share))
    return np.asarray(np.clip(energy, *limits_kev))


def pi_of(energy_kev: Floats) -> NDArray[np.int16]:
    """PI (eV) of energies in keV, at least 1."""
    return np.clip(energy_kev * 1000, 1, 32_000).astype(np.int16)
