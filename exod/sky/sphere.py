"""Geometry on the sphere with unit vectors, which know neither poles nor RA 0."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.schemas.arrays import Floats, Mask

Vectors = NDArray[np.float64]
"""Unit vectors, shape (n, 3)."""

ARCSEC: Final = np.pi / 180.0 / 3600.0
"""Radians of an arcsec."""


def unit_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> Vectors:
    """Unit vectors of positions in degrees, shape (n, 3); NaN where a coordinate is."""
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    cos = np.cos(dec)
    return np.stack([cos * np.cos(ra), cos * np.sin(ra), np.sin(dec)], axis=-1)


def positions(vectors: Vectors) -> tuple[Floats, Floats]:
    """Right ascension (0 to 360) and declination in degrees of vectors of any length.

    Examples
    --------
    >>> ra, dec = positions(unit_vectors([359.9, 0.3], [0, 0]).sum(axis=0))
    >>> round(float(ra), 6), round(float(dec), 6)
    (0.1, 0.0)
    """
    x, y, z = np.moveaxis(vectors, -1, 0)
    ra = np.degrees(np.arctan2(y, x)) % 360.0
    # The remainder of a tiny negative angle rounds to the full circle.
    ra = np.where(ra == 360.0, 0.0, ra)
    return ra, np.degrees(np.arctan2(z, np.hypot(x, y)))


def is_position(ra_deg: ArrayLike, dec_deg: ArrayLike) -> Mask:
    """Whether right ascension and declination are a place on the sky: finite, within the poles."""
    dec = np.asarray(dec_deg, float)
    with np.errstate(invalid="ignore"):
        return np.isfinite(np.asarray(ra_deg, float)) & (np.abs(dec) <= 90.0)


def chord(angle_arcsec: ArrayLike) -> Floats:
    """Straight distance of two unit vectors that are so far apart on the sky.

    Examples
    --------
    >>> float(chord(180 * 3600))
    2.0
    """
    half = np.minimum(np.radians(np.asarray(angle_arcsec, float) / 3600.0) / 2.0, np.pi / 2.0)
    return np.asarray(2.0 * np.sin(half))


def angle(chords: ArrayLike) -> Floats:
    """Angle in arcsec between unit vectors of a straight distance; infinite stays infinite."""
    chords = np.asarray(chords, float)
    near = 2.0 * np.arcsin(np.minimum(chords / 2.0, 1.0)) / ARCSEC
    return np.where(np.isfinite(chords), near, np.inf)


def squared_distances(a: Vectors, b: Vectors) -> Floats:
    """Squared distances, row by row; the same from a to b as from b to a, to the last bit."""
    x, y, z = np.moveaxis(a - b, -1, 0)
    return np.asarray(x * x + y * y + z * z)


def separations_arcsec(a: Vectors, b: Vectors) -> Floats:
    """Angles in arcsec between unit vectors, row by row."""
    return angle(np.sqrt(squared_distances(a, b)))
