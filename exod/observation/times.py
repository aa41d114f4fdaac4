"""Mission elapsed times and dates."""

from __future__ import annotations

from typing import Final

from astropy.time import Time

TIME_ZERO_MJD: Final = 50814.0
"""Zero of mission elapsed times, 1998-01-01T00:00:00 TT, as MJD (MJDREF of event lists)."""


def utc_date(seconds: float) -> str:
    """Mission elapsed seconds as a UTC date, ISO 8601, to the second.

    Examples
    --------
    >>> utc_date(809873689.94)  # TSTART of 0916810801
    '2023-08-31T12:53:41'
    """
    date = Time(TIME_ZERO_MJD, seconds / 86400, format="mjd", scale="tt", precision=0).utc
    return str(date.isot)
