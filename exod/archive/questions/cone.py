"""Circles on the sky: which rows can be inside, and which are; and the order of rows by sky."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from exod.archive.parquet import Conditions
from exod.errors import ArchiveError
from exod.schemas.arrays import number_of
from exod.schemas.conditions.compiling import literal

if TYPE_CHECKING:
    import pandas as pd


_ORDER = 10
"""HEALPix order: pixels of 3.4 arcmin, a fraction of the field of view of 30 arcmin."""

_MARGIN_DEG = 1e-6
"""Far more than rounding, far less than a position error."""


def check_cone(ra_deg: float, dec_deg: float, radius_arcsec: float) -> None:
    """Refuse an impossible circle.

    Raises
    ------
    ArchiveError
        If a number is not finite, the declination is beyond a pole or the radius negative.
    ConfigError
        If it is no number, or more than one.
    """
    ra_deg = number_of(ra_deg, "The right ascension of a cone", "deg")
    dec_deg = number_of(dec_deg, "The declination of a cone", "deg")
    radius_arcsec = number_of(radius_arcsec, "The radius of a cone", "arcsec")
    if not (np.isfinite(ra_deg) and abs(dec_deg) <= 90 and radius_arcsec >= 0):
        raise ArchiveError(
            f"A cone needs a right ascension, a declination within -90 and 90 deg and a "
            f"radius of at least 0 arcsec, not {ra_deg}, {dec_deg}, {radius_arcsec}."
        )


def box(ra_deg: float, dec_deg: float, radius_arcsec: float) -> Conditions:
    """Conditions on ra_deg (0 to 360) and dec_deg that all positions in a circle fulfil.

    Parameters
    ----------
    ra_deg, dec_deg, radius_arcsec : float
        Centre and radius.

    Examples
    --------
    >>> [(name, sign, round(value, 3)) for name, sign, value in box(10.0, 60.0, 3600.0)[0]]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('dec_deg', '>=', 59.0), ('dec_deg', '<=', 61.0), ('ra_deg', '>=', 8.0),
     ('ra_deg', '<=', 12.0)]
    """
    radius = min(radius_arcsec / 3600.0 + _MARGIN_DEG, 180.0)
    band = [("dec_deg", ">=", dec_deg - radius), ("dec_deg", "<=", dec_deg + radius)]
    if abs(dec_deg) + radius >= 90.0:
        # A pole is in it, and with it every right ascension.
        return [band]
    ratio = math.sin(math.radians(radius)) / math.cos(math.radians(dec_deg))
    half = math.degrees(math.asin(min(ratio, 1.0))) + _MARGIN_DEG
    low, high = ra_deg % 360.0 - half, ra_deg % 360.0 + half
    if low <= 0.0:
        return [[*band, ("ra_deg", "<=", high)], [*band, ("ra_deg", ">=", low + 360.0)]]
    if high >= 360.0:
        return [[*band, ("ra_deg", ">=", low)], [*band, ("ra_deg", "<=", high - 360.0)]]
    return [[*band, ("ra_deg", ">=", low), ("ra_deg", "<=", high)]]


def box_sql(ra: str, dec: str, ra_deg: float, dec_deg: float, radius_arcsec: float) -> str:
    """The conditions of `box` in SQL, for columns of these names in it."""
    names = {"ra_deg": ra, "dec_deg": dec}
    areas = (
        " AND ".join(f"{names[name]} {sign} {literal(float(value))}" for name, sign, value in area)
        for area in box(ra_deg, dec_deg, radius_arcsec)
    )
    return f"({' OR '.join(f'({area})' for area in areas)})"


def separation_sql(ra: str, dec: str, ra_deg: float | str, dec_deg: float | str) -> str:
    """SQL of the distance from a place in arcsec: Vincenty's formula, exact at all distances.

    The place is numbers, or expressions too. `within` is the same in NumPy.
    """
    own_ra, own_dec = (
        value if isinstance(value, str) else literal(float(value)) for value in (ra_deg, dec_deg)
    )
    here, there = f"radians({own_dec})", f"radians({dec})"
    turn = f"(radians({ra}) - radians({own_ra}))"
    across = f"cos({there}) * sin({turn})"
    along = f"(cos({here}) * sin({there}) - sin({here}) * cos({there}) * cos({turn}))"
    beside = f"(sin({here}) * sin({there}) + cos({here}) * cos({there}) * cos({turn}))"
    return f"(degrees(atan2(sqrt(pow({across}, 2) + pow({along}, 2)), {beside})) * 3600.0)"


def within(
    regions: pd.DataFrame, ra_deg: float, dec_deg: float, radius_arcsec: float
) -> pd.DataFrame:
    """Keep the regions in a circle, with their separation from its centre in arcsec."""
    # Half a second that only a cone search needs.
    from astropy.coordinates import angular_separation

    centre = np.radians(ra_deg), np.radians(dec_deg)
    position = np.radians(regions["ra_deg"].to_numpy()), np.radians(regions["dec_deg"].to_numpy())
    separation = np.degrees(angular_separation(*centre, *position)) * 3600.0
    inside = separation <= radius_arcsec
    found: pd.DataFrame = regions[inside].assign(separation_arcsec=separation[inside])
    return found


def sky_pixels(rows: pa.Table) -> np.ndarray:
    """HEALPix pixel of each row, nested order: rows near in number are near on the sky.

    Returns
    -------
    ndarray of int64
        Pixels of order 10; -1 where there is no position.
    """
    # astropy takes half a second that readers need not spend.
    from exod.sky import healpix as skypixels
    from exod.sky.sphere import is_position

    ra, dec = rows["ra_deg"].to_numpy(), rows["dec_deg"].to_numpy()
    good = is_position(ra, dec)
    found = np.full(len(ra), -1, np.int64)
    found[good] = skypixels.sky_pixels(ra[good], dec[good], _ORDER)
    return found
