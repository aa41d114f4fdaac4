"""Sky coordinates: the tangent plane of the X and Y columns, and observation identifiers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.errors import InputError

if TYPE_CHECKING:
    from astropy.wcs import WCS

_OBSID = re.compile(r"[0-9]{10}")


def validate_obsid(obsid: str) -> str:
    """Return `obsid` if it is ten digits, as every XMM-Newton observation has.

    Raises
    ------
    InputError
        For anything else; an obsid becomes part of paths, so it is checked before use.

    Examples
    --------
    >>> validate_obsid("0001730201")
    '0001730201'
    """
    if not isinstance(obsid, str) or not _OBSID.fullmatch(obsid):
        raise InputError(f"{obsid!r} is not an observation identifier; it must be ten digits.")
    return obsid


@dataclass(frozen=True)
class TangentPlane:
    """Gnomonic projection between sky pixels (X, Y) and right ascension and declination.

    Attributes
    ----------
    x_ref, y_ref : float
        Reference pixel; X and Y follow the FITS convention that REFXCRPX refers to.
    ra_ref, dec_ref : float
        Position of the reference pixel in degrees.
    x_delta, y_delta : float
        Degrees per pixel; `x_delta` is negative since right ascension grows to the left.

    Examples
    --------
    >>> plane = TangentPlane(25921, 25921, 263.6579, -32.556, -1.3888889e-05, 1.3888889e-05)
    >>> ra, dec = plane.to_sky(25921, 25921)
    >>> round(float(ra), 4), round(float(dec), 3)
    (263.6579, -32.556)
    """

    x_ref: float
    y_ref: float
    ra_ref: float
    dec_ref: float
    x_delta: float
    y_delta: float

    @cached_property
    def wcs(self) -> WCS:
        """The projection as an `astropy.wcs.WCS` (axes X, Y)."""
        # Identifiers are checked by commands that need no projection, which takes half a second.
        from astropy.wcs import WCS

        wcs = WCS(naxis=2)
        wcs.wcs.crpix = [self.x_ref, self.y_ref]
        wcs.wcs.crval = [self.ra_ref, self.dec_ref]
        wcs.wcs.cdelt = [self.x_delta, self.y_delta]
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.cunit = ["deg", "deg"]
        wcs.wcs.set()
        return wcs

    def to_sky(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Right ascension and declination in degrees of sky pixels (same shape as the input)."""
        ra, dec = self.wcs.wcs_pix2world(x, y, 1)
        return np.asarray(ra), np.asarray(dec)

    def to_pixel(
        self, ra: ArrayLike, dec: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sky pixels (X, Y) of positions in degrees; NaN for points behind the tangent plane."""
        x, y = self.wcs.wcs_world2pix(ra, dec, 1)
        return np.asarray(x), np.asarray(y)
