"""How the light of a point source falls on cells."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike

from exod.instruments.instrument import Observatory, PointSpreadFunction
from exod.schemas.arrays import Floats

_STEP: Final = 0.5
"""Square arcsec over which the encircled energy is differentiated; cells have 400."""

_NODES: Final = 16
"""Gauss-Legendre nodes along a cell: for cells of 20 arcsec, shares of King profiles are exact to
1e-6."""


class Profile(Hashable, Protocol):
    """A circular point spread function, as `exod.instruments.king.KingProfile`."""

    def density(self, radius: ArrayLike) -> Floats:
        """Probability per square arcsec at `radius` in arcsec (any shape)."""

    def sample(self, generator: np.random.Generator, n: int) -> Floats:
        """Offsets of `n` photons from their source in arcsec, shape (2, n)."""


@dataclass(frozen=True)
class MeanProfile:
    """Mean encircled energy of several telescopes at one energy and off-axis angle, made circular.

    Attributes
    ----------
    shares : tuple of (PointSpreadFunction, float)
        Relative number of photons that each collects.
    energy_kev, off_axis_arcmin : float
        Typical of the photons and of the field.

    Examples
    --------
    >>> from exod.instruments.epic import XMM
    >>> MeanProfile(XMM.photon_shares).encircled([0.0, 300.0]).round(2)
    array([0., 1.])
    """

    shares: tuple[tuple[PointSpreadFunction, float], ...]
    energy_kev: float = 1.5
    off_axis_arcmin: float = 6.0

    @property
    def reach_arcsec(self) -> float:
        """Radius that holds all photons."""
        return max(psf.reach_arcsec for psf, _ in self.shares)

    def encircled(self, radius: ArrayLike) -> Floats:
        """Share of the photons within `radius` in arcsec (any shape)."""
        total = sum(share for _, share in self.shares)
        place = self.energy_kev, self.off_axis_arcmin
        parts = [share / total * psf.encircled(radius, *place) for psf, share in self.shares]
        return np.sum(parts, axis=0)

    def density(self, radius: ArrayLike) -> Floats:
        """Probability per square arcsec at `radius` in arcsec (any shape)."""
        root, density = _tabulated(self)
        return np.interp(np.sqrt(np.asarray(radius, float)), root, density)

    def sample(self, generator: np.random.Generator, n: int) -> Floats:
        """Offsets of `n` photons from their source in arcsec, shape (2, n)."""
        radius = np.concatenate([[0.0], np.geomspace(0.05, self.reach_arcsec, 2000)])
        drawn = np.interp(generator.random(n), self.encircled(radius), radius)
        angle = 2 * np.pi * generator.random(n)
        return np.stack([drawn * np.cos(angle), drawn * np.sin(angle)])


@lru_cache(maxsize=8)
def _tabulated(profile: MeanProfile) -> tuple[Floats, Floats]:
    """Density at roots of radii; the encircled energy is differentiated by area."""
    root = np.linspace(0.0, np.sqrt(profile.reach_arcsec), 3000)
    square = root**4
    low, high = np.maximum(square - _STEP, 0.0), square + _STEP
    inside = profile.encircled(np.sqrt(high)) - profile.encircled(np.sqrt(low))
    return root, inside / (np.pi * (high - low))


def typical_profile(observatory: Observatory) -> MeanProfile:
    """The profile of all telescopes of an observatory, at 1.5 keV and its typical angle."""
    return MeanProfile(observatory.photon_shares, off_axis_arcmin=observatory.off_axis_arcmin)


def cell_shares(
    profile: Profile, dx: ArrayLike, dy: ArrayLike, size_arcsec: float, reach: int = 1
) -> Floats:
    """Shares of the light of a point source that fall on its cell and the cells around.

    Parameters
    ----------
    profile : Profile
        Point spread function.
    dx, dy : array_like of float, shape (n_positions,)
        Distance of the source from the centre of its cell, in cells (-0.5 to 0.5).
    size_arcsec : float
        Width of a cell.
    reach : int
        Cells on each side of that of the source.

    Returns
    -------
    ndarray of float64, shape (n_positions, 2 reach + 1, 2 reach + 1)
        Axes (position, y, x).

    Examples
    --------
    >>> from exod.instruments.king import KingProfile
    >>> shares = cell_shares(KingProfile(5.5, 1.5), [0.0], [0.0], 20.0)
    >>> shares[0].round(3)
    array([[0.018, 0.052, 0.018],
           [0.052, 0.557, 0.052],
           [0.018, 0.052, 0.018]])
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    cells = np.arange(-reach, reach + 1)
    line = (cells[:, None] + nodes / 2).ravel() * size_arcsec
    x = line - np.atleast_1d(np.asarray(dx, float))[:, None] * size_arcsec
    y = line - np.atleast_1d(np.asarray(dy, float))[:, None] * size_arcsec
    density = profile.density(np.hypot(x[:, None, :], y[:, :, None]))
    n = len(cells)
    blocks = density.reshape(len(x), n, _NODES, n, _NODES)
    scale = weights * size_arcsec / 2
    return np.einsum("pajbk,j,k->pab", blocks, scale, scale)
