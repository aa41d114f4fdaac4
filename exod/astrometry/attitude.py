"""Directions in the body frame of a telescope, as the y and z angles of Chandra.

The body has X along the pointing. With east and north at the pointing and the roll angle r,
Y = cos r E + sin r N and Z = -sin r E + cos r N. The angles of a direction v are
``atan2(v.Y, v.X)`` and ``atan2(v.Z, v.X)``: neither a tangent plane nor offsets on the sphere.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from exod.schemas.arrays import Floats
from exod.sky.sphere import ARCSEC, positions, unit_vectors

Axes = NDArray[np.float64]
"""X, Y and Z of the body in equatorial coordinates, shape (..., 3, 3): one axis a row."""

Attitude = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Right ascension and declination of the pointing, and roll, in degrees: one, or one a direction.

For XMM-Newton it is ``(RA_PNT, DEC_PNT, PA_PNT)``, for Chandra ``(RA_PNT, DEC_PNT, ROLL_PNT)``.
"""

_SQUARE: Final = 90.0


def body_axes(attitude: Attitude) -> Axes:
    """Axes of the body, shape (..., 3, 3), rows X, Y, Z; NaN where an angle is.

    At a pole, where east is no direction, it is that of the right ascension which is given.

    Examples
    --------
    >>> body_axes((0.0, 0.0, 0.0)).round(12) + 0.0
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    ra, dec, roll = (np.asarray(angle, float) for angle in attitude)
    ra, dec, roll = np.broadcast_arrays(ra, dec, roll)
    pointing = unit_vectors(ra, dec)
    east, north = unit_vectors(ra + _SQUARE, np.zeros_like(ra)), unit_vectors(ra, dec + _SQUARE)
    cos, sin = (of(np.radians(roll))[..., None] for of in (np.cos, np.sin))
    return np.stack([pointing, cos * east + sin * north, cos * north - sin * east], axis=-2)


def radec_to_yagzag(
    ra_deg: ArrayLike, dec_deg: ArrayLike, attitude: Attitude
) -> tuple[Floats, Floats]:
    """Angles y and z in arcsec of directions.

    Parameters
    ----------
    ra_deg, dec_deg : array_like
        Directions in degrees.
    attitude : tuple
        Right ascension, declination and roll in degrees, each one number or one a direction.

    Returns
    -------
    y_arcsec, z_arcsec : ndarray
        Within 180 degrees of zero; NaN where an input is.

    Examples
    --------
    A source that is 10" north of the pointing of a telescope with its Y axis to the north:

    >>> y, z = radec_to_yagzag(120.0, 30.0 + 10 / 3600, (120.0, 30.0, 90.0))
    >>> round(float(y), 6), abs(round(float(z), 6))
    (10.0, 0.0)
    """
    along = np.einsum(
        "...ij,...j->...i", body_axes(attitude), unit_vectors(*np.broadcast_arrays(ra_deg, dec_deg))
    )
    x, y, z = np.moveaxis(along, -1, 0)
    return np.arctan2(y, x) / ARCSEC, np.arctan2(z, x) / ARCSEC


def yagzag_to_radec(
    y_arcsec: ArrayLike, z_arcsec: ArrayLike, attitude: Attitude
) -> tuple[Floats, Floats]:
    """Directions, in degrees, of angles y and z that are less than 90 degrees from zero.

    Returns
    -------
    ra_deg, dec_deg : ndarray
        Right ascension (0 to 360) and declination; NaN where an input is, and where an angle
        is 90 degrees or more, which does not tell the direction.

    Examples
    --------
    >>> attitude = 0.01, 0.02, 77.0
    >>> ra, dec = yagzag_to_radec(*radec_to_yagzag(359.99, -0.01, attitude), attitude)
    >>> round(float(ra), 9), round(float(dec), 9)
    (359.99, -0.01)
    """
    y, z = (np.asarray(angle, float) * ARCSEC for angle in (y_arcsec, z_arcsec))
    y, z = (np.where(np.abs(angle) < np.pi / 2.0, angle, np.nan) for angle in (y, z))
    y, z = np.broadcast_arrays(np.tan(y), np.tan(z))
    body = np.stack([np.ones_like(y), y, z], axis=-1)
    return positions(np.einsum("...i,...ij->...j", body, body_axes(attitude)))


def near_neighbour_distances(y_arcsec: ArrayLike, z_arcsec: ArrayLike) -> Floats:
    """Distance in arcsec of each source from the nearest other one of its observation.

    It is measured in (y, z); infinite for a source that is alone, NaN for one without angles,
    which is nobody's neighbour.

    Examples
    --------
    >>> near_neighbour_distances([0.0, 3.0, 100.0], [0.0, 4.0, 0.0]).round(3)
    array([ 5.   ,  5.   , 97.082])
    """
    places = np.stack(np.broadcast_arrays(np.asarray(y_arcsec, float), z_arcsec), axis=-1)
    known = np.isfinite(places).all(axis=-1)
    distances = np.full(len(places), np.nan)
    if known.sum() == 1:
        distances[known] = np.inf
    elif known.any():
        distances[known] = np.asarray(KDTree(places[known]).query(places[known], k=2)[0])[:, 1]
    return distances
