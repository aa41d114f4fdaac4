"""How the light of a point source falls on cells."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.instruments import CAMERAS
from exod.psf import KingProfile

Floats = NDArray[np.float64]

PHOTON_SHARES: Final = (("EPN", 0.588), ("EMOS1", 0.206), ("EMOS2", 0.206))
"""Shares of the photons of a source that the cameras see: pn collects as many as both MOS and half
as many again (UHB section 3.3: 44 per cent of the light of a MOS telescope reaches its camera; MOS
is less sensitive below 1 keV)."""

_NODES: Final = 16
"""Gauss-Legendre nodes along a cell: shares are exact to 1e-6 for cells of 20 arcsec."""


class Profile(Hashable, Protocol):
    """A circular point spread function, as `exod.psf.KingProfile`."""

    def density(self, radius: ArrayLike) -> Floats:
        """Probability per square arcsec at `radius` in arcsec (any shape)."""

    def sample(self, generator: np.random.Generator, n: int) -> Floats:
        """Offsets of `n` photons from their source in arcsec, shape (2, n)."""


@dataclass(frozen=True)
class EpicProfile:
    """Mean point spread function of several cameras, on axis.

    Attributes
    ----------
    shares : tuple of (str, float)
        INSTRUME and relative number of photons of each camera.

    Examples
    --------
    >>> EpicProfile().density([0.0, 10.0]).round(5)
    array([0.00462, 0.00059])
    """

    shares: tuple[tuple[str, float], ...] = PHOTON_SHARES

    def _parts(self) -> list[tuple[float, KingProfile]]:
        total = sum(share for _, share in self.shares)
        cameras = [(CAMERAS[name], share / total) for name, share in self.shares]
        return [(share, KingProfile(c.king_core_arcsec, c.king_slope)) for c, share in cameras]

    def density(self, radius: ArrayLike) -> Floats:
        """Probability per square arcsec at `radius` in arcsec (any shape)."""
        return np.sum([share * king.density(radius) for share, king in self._parts()], axis=0)

    def sample(self, generator: np.random.Generator, n: int) -> Floats:
        """Offsets of `n` photons from their source in arcsec, shape (2, n)."""
        parts = self._parts()
        numbers = generator.multinomial(n, [share for share, _ in parts])
        offsets = [king.sample(generator, k) for k, (_, king) in zip(numbers, parts, strict=True)]
        return np.concatenate(offsets, axis=1)[:, generator.permutation(n)]


EPIC: Final = EpicProfile()
"""All three cameras."""


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
