"""Positions of sources from unbinned events, with errors (method.md, Positions and light curves).

A King profile on a flat background is fitted to the events around a region by maximum likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.instruments import Observatory
from exod.instruments.king import KingProfile

_MAX_ITERATIONS: Final = 200
_CONVERGED_ARCSEC: Final = 1e-3


@dataclass(frozen=True)
class Position:
    """A fitted position.

    Attributes
    ----------
    x, y : float
        Sky pixels.
    error_arcsec : float
        Radius that holds the true position with 63 % probability (the root of the summed squares
        of the errors along the axes), including the systematic error of the attitude.
    counts : float
        Counts of the source, background subtracted.
    """

    x: float
    y: float
    error_arcsec: float
    counts: float


def fit_position(
    x: NDArray[np.integer],
    y: NDArray[np.integer],
    background: float,
    area: float,
    start: tuple[float, float],
    observatory: Observatory,
    pixel_arcsec: float,
) -> Position | None:
    """Fit a point source on a flat background to events.

    Parameters
    ----------
    x, y : ndarray, shape (n_events,)
        Events in and around the region, sky pixels.
    background : float
        Counts expected among them that are not from the source.
    area : float
        Area they were taken from, square sky pixels.
    start : (float, float)
        First guess, sky pixels.
    observatory : Observatory
        Its PSF and the systematic error of its attitude.
    pixel_arcsec : float
        Size of a sky pixel.

    Returns
    -------
    Position or None
        None without events; otherwise the position lies among them.

    Notes
    -----
    Expectation maximisation: each event belongs to the source with probability p; the King profile
    is a scale mixture of Gaussians, so that the position is the mean weighted with
    p / (1 + r^2 / core^2). The error is that of the expected information of the fitted counts.
    """
    if len(x) == 0:
        return None
    psf = observatory.position_psf
    counts = max(len(x) - background, 1.0)
    density = background / (area * pixel_arcsec**2)
    px, py = np.asarray(x, float), np.asarray(y, float)
    cx, cy = start
    for _ in range(_MAX_ITERATIONS):
        r2 = ((px - cx) ** 2 + (py - cy) ** 2) * pixel_arcsec**2
        source = counts * psf.density(np.sqrt(r2))
        weight = source / (source + density) / (1 + r2 / psf.core**2)
        nx, ny = np.average(px, weights=weight), np.average(py, weights=weight)
        moved = np.hypot(nx - cx, ny - cy) * pixel_arcsec
        cx, cy = float(nx), float(ny)
        if moved < _CONVERGED_ARCSEC:
            break
    statistical = np.sqrt(2) * position_error(counts, density, psf)
    error = float(np.hypot(statistical, observatory.attitude_error_arcsec))
    return Position(cx, cy, error, counts)


def position_error(counts: float, background_density: float, psf: KingProfile) -> float:
    """Standard error along one axis of a fitted position, arcsec.

    Parameters
    ----------
    counts : float
        Counts of the source.
    background_density : float
        Background counts per square arcsec.
    psf : KingProfile
        Point spread function.

    Notes
    -----
    The inverse root of the Fisher information, the integral of (s f')^2 / (2 (s f + b)) over the
    plane for a source s f(r) on a background b.

    Examples
    --------
    >>> round(position_error(100, 0.0, KingProfile(5.5, 1.5)), 3)
    0.71
    """
    radius = np.linspace(0, 15 * psf.core, 1500)[1:]
    profile = psf.density(radius)
    slope = np.gradient(profile, radius)
    integrand = np.pi * radius * (counts * slope) ** 2 / (counts * profile + background_density)
    return float(1 / np.sqrt(np.trapezoid(integrand, radius)))


def psf_fraction(
    x: float,
    y: float,
    edges: tuple[float, float, float, float],
    core_arcsec: float,
    pixel_arcsec: float,
) -> float:
    """Share of the light of a point source that falls in a box.

    Parameters
    ----------
    x, y : float
        Position of the source, sky pixels.
    edges : tuple of float
        x_lo, x_hi, y_lo and y_hi of the box, sky pixels.
    core_arcsec : float
        Core radius of the King profile.
    pixel_arcsec : float
        Size of a sky pixel.

    Notes
    -----
    A King profile of slope 1.5 has a closed integral over a rectangle with a corner at its centre:
    ``arctan(x y / (core sqrt(core^2 + x^2 + y^2))) / (2 pi)``.

    Examples
    --------
    >>> round(psf_fraction(0.0, 0.0, (-200.0, 200.0, -200.0, 200.0), 5.5, 0.05), 3)
    0.557
    """

    def corner(u: float, v: float) -> float:
        u, v = u * pixel_arcsec, v * pixel_arcsec
        return float(np.arctan(u * v / (core_arcsec * np.sqrt(core_arcsec**2 + u**2 + v**2))))

    x_lo, x_hi, y_lo, y_hi = edges
    left, right, low, high = x_lo - x, x_hi - x, y_lo - y, y_hi - y
    total = corner(right, high) - corner(left, high) - corner(right, low) + corner(left, low)
    return total / (2 * np.pi)
