"""The frame of an observation against the sky: a shift and a rotation, and how sure they are.

The pipeline of XMM-Newton fits a frame itself (catcorr of the SAS) and writes it into the headers
of its source lists; `header_frame` reads it. `exod.astrometry.framefit` fits one to references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.astrometry.attitude import radec_to_yagzag, yagzag_to_radec
from exod.schemas.arrays import Floats

Covariance = NDArray[np.float64]
"""Of east (arcsec), north (arcsec) and rotation (deg), shape (3, 3)."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What brings measured positions onto the sky: a rotation about a centre, then a shift.

    Attributes
    ----------
    ra_deg, dec_deg : float
        The centre, usually the pointing.
    east_arcsec, north_arcsec : float
        The shift that is added to measured positions.
    rotation_deg : float
        The angle by which they are turned about the centre, from east to north.
    covariance : ndarray, shape (3, 3)
        Of east, north (arcsec) and rotation (deg).

    Examples
    --------
    >>> frame = Frame(10.0, 0.0, 1.0, -2.0, 0.0, np.diag([0.09, 0.16, 0.0]))
    >>> ra, dec = frame.apply(10.0, 0.1)
    >>> round(float(ra - 10.0) * 3600, 3), round(float(dec - 0.1) * 3600, 3)
    (1.0, -2.0)
    >>> float(frame.error_arcsec(10.0, 0.1).round(3))
    0.5
    """

    ra_deg: float
    dec_deg: float
    east_arcsec: float
    north_arcsec: float
    rotation_deg: float
    covariance: Covariance

    def apply(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Right ascension and declination, in degrees, of measured positions on the sky."""
        centre = self.ra_deg, self.dec_deg
        # A direction keeps its angles when the body turns with it.
        turned = yagzag_to_radec(
            *radec_to_yagzag(ra_deg, dec_deg, (*centre, 0.0)), (*centre, self.rotation_deg)
        )
        east, north = radec_to_yagzag(*turned, (*centre, 0.0))
        return yagzag_to_radec(east + self.east_arcsec, north + self.north_arcsec, (*centre, 0.0))

    def error_arcsec(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
        """Error of the frame at positions: the root of the two variances along east and north.

        It is SYSERRCC of the pipeline, which gives no correlations.
        """
        east, north = radec_to_yagzag(ra_deg, dec_deg, (self.ra_deg, self.dec_deg, 0.0))
        # Degrees of rotation move a position by its distance from the centre, squarely.
        lever = np.radians(np.stack([-north, east]))
        shift, mixed, turn = self.covariance[:2, :2], self.covariance[:2, 2], self.covariance[2, 2]
        variance = (
            np.trace(shift) + 2 * np.tensordot(mixed, lever, 1) + turn * (lever**2).sum(axis=0)
        )
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


@dataclass(frozen=True)
class HeaderFrame:
    """What the header of a source list says of its frame.

    Attributes
    ----------
    frame : Frame or None
        The frame; None if the pipeline found none that it trusts.
    catalogue : str
        The catalogue that was matched; empty if there is no frame.
    n_matched : int
        Pairs that the fit of the pipeline counted.
    likelihood : float
        The statistic L of catcorr; NaN if the header has none.
    reason : str
        Why there is no frame; empty if there is one.
    """

    frame: Frame | None
    catalogue: str
    n_matched: int
    likelihood: float
    reason: str


def header_frame(header: Mapping[str, Any]) -> HeaderFrame:
    """The frame that the pipeline fitted, from the keywords of an OBSMLI list.

    Where POSCOROK is false there is no frame: the corrected positions of such a list are no
    positions on the sky, and REFCAT holds the reason.

    Parameters
    ----------
    header : mapping
        Keywords of the list, those of its primary header included (RA_PNT, DEC_PNT).

    Returns
    -------
    HeaderFrame
        The frame or the reason why there is none.

    Examples
    --------
    >>> header_frame({"POSCOROK": False, "REFCAT": "too few matches"}).reason
    'too few matches'
    >>> header_frame({}).reason
    'the source list says nothing of a frame'
    """
    words = str(header.get("REFCAT", "")).strip()
    n_matched = int(header.get("NMATCHES", 0) or 0)
    likelihood = _number(header, "LIK_HOOD")
    if "POSCOROK" not in header:
        reason = "the source list says nothing of a frame"
        return HeaderFrame(None, "", n_matched, likelihood, reason)
    if header["POSCOROK"] is not True:
        reason = words or "the pipeline found no frame"
        return HeaderFrame(None, "", n_matched, likelihood, reason)
    names = ("RA_PNT", "DEC_PNT", "RAOFFSET", "DEOFFSET", "ROT_CORR", *_ERRORS)
    ra, dec, east, north, rotation, *errors = (_number(header, name) for name in names)
    if not np.isfinite([ra, dec, east, north, rotation, *errors]).all() or min(errors) < 0:
        reason = "keywords of the frame are missing or are no numbers"
        return HeaderFrame(None, "", n_matched, likelihood, reason)
    # Offsets in right ascension are of the coordinate, measured minus true.
    shrink = float(np.cos(np.radians(dec)))
    covariance = np.diag([errors[0] * shrink, errors[1], errors[2]]) ** 2
    frame = Frame(ra, dec, -east * shrink, -north, rotation, covariance)
    return HeaderFrame(frame, words, n_matched, likelihood, "")


_ERRORS: Final = ("RAOFFERR", "DEOFFERR", "ROT_ERR")


def _number(header: Mapping[str, Any], name: str) -> float:
    value = header.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return float("nan")
    return float(value)
