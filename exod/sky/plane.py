"""Sky coordinates: the tangent plane of the X and Y columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats

if TYPE_CHECKING:
    from astropy.wcs import WCS, Wcsprm


def pixel_size(delta_deg: float) -> float:
    """Size in arcsec, to the microarcsecond, of sky pixels that are so many degrees apart.

    Headers give 0.05 arcsec with a few digits of its value in degrees; without rounding, cells
    would depend on how many. Over a field of 50,000 pixels it is worth 0.03 arcsec at most.

    Examples
    --------
    >>> pixel_size(1.38888889e-05), pixel_size(-1.38888888888889e-05)
    (0.05, 0.05)
    """
    return round(abs(delta_deg) * 3600, 6)


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

    @property
    def pixel_arcsec(self) -> float:
        """Size of a sky pixel, see `pixel_size`."""
        return pixel_size(self.y_delta)

    @cached_property
    def wcs(self) -> WCS:
        """The projection as an `astropy.wcs.WCS` (axes X, Y)."""
        # Identifiers are checked by commands that need no projection, which takes half a second.
        from astropy.wcs import WCS

        wcs = WCS(naxis=2)
        self._describe(wcs.wcs)
        wcs.wcs.cunit = ["deg", "deg"]
        wcs.wcs.set()
        return wcs

    @cached_property
    def _projection(self) -> Wcsprm:
        """What `wcs` computes with; it alone takes a fifth of the time to make and to ask."""
        from astropy.wcs import Wcsprm

        projection = Wcsprm(naxis=2)
        self._describe(projection)
        projection.set()
        return projection

    def __reduce__(self) -> tuple[type[TangentPlane], tuple[float, ...]]:
        """Without what is worked out of it, which cannot be sent to other processes."""
        return type(self), astuple(self)

    def _describe(self, projection: Wcsprm) -> None:
        projection.crpix = [self.x_ref, self.y_ref]
        projection.crval = [self.ra_ref, self.dec_ref]
        projection.cdelt = [self.x_delta, self.y_delta]
        projection.ctype = ["RA---TAN", "DEC--TAN"]

    def in_cells(self, width: float, x_lo: int = 0, y_lo: int = 0) -> TangentPlane:
        """The same projection in units of cells, which FITS counts from 1.

        Parameters
        ----------
        width : float
            Width of a cell in sky pixels; cell i covers the sky pixels from i to i + 1 widths.
        x_lo, y_lo : int
            Column and row that are the first ones of an image.

        Examples
        --------
        >>> plane = TangentPlane(25921, 25921, 263.6579, -32.556, -1.3888889e-05, 1.3888889e-05)
        >>> cells = plane.in_cells(400, 10, 20)
        >>> bool(np.allclose(cells.to_sky(1, 1), plane.to_sky(10.5 * 400, 20.5 * 400), atol=1e-9))
        True
        """
        return TangentPlane(
            self.x_ref / width + 0.5 - x_lo,
            self.y_ref / width + 0.5 - y_lo,
            self.ra_ref,
            self.dec_ref,
            self.x_delta * width,
            self.y_delta * width,
        )

    def to_sky(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Right ascension and declination in degrees of sky pixels (same shape as the input)."""
        return _transformed(self._projection.p2s, "world", x, y)

    def to_pixel(self, ra: ArrayLike, dec: ArrayLike) -> tuple[Floats, Floats]:
        """Sky pixels (X, Y) of positions in degrees; NaN for points behind the tangent plane."""
        return _transformed(self._projection.s2p, "pixcrd", ra, dec)


def _transformed(
    transform: Callable[[Floats, int], dict[str, Floats]],
    what: str,
    one: ArrayLike,
    other: ArrayLike,
) -> tuple[Floats, Floats]:
    """Both coordinates of points in the other system, in the shape of theirs; NaN without one."""
    one, other = np.broadcast_arrays(one, other)
    if not one.size:
        return one.astype(float), other.astype(float)
    points = np.empty((one.size, 2))
    points[:, 0], points[:, 1] = one.ravel(), other.ravel()
    found = transform(points, 1)[what]
    return found[:, 0].reshape(one.shape), found[:, 1].reshape(one.shape)
