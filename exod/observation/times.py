"""Mission elapsed times and dates."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class TimeFrame:
    """How the times of an event list count; those of other clocks cannot be compared.

    Attributes
    ----------
    system : str
        TIMESYS: TT, or TDB for barycentred lists.
    reference : str
        TIMEREF, where photons arrive: LOCAL, or SOLARSYSTEM for barycentred lists.
    zero_mjd : float
        MJDREF, or MJDREFI and MJDREFF.
    offset : float
        TIMEZERO, which is to be added to times, in seconds.
    """

    system: str = "TT"
    reference: str = "LOCAL"
    zero_mjd: float = TIME_ZERO_MJD
    offset: float = 0.0

    @property
    def is_barycentred(self) -> bool:
        """Whether arrival times are those at the centre of the solar system."""
        return self.system == "TDB" or not self.reference.startswith("LOCAL")

    def difference(self, other: TimeFrame) -> str:
        """What differs, as text: keywords with both values; empty if nothing does.

        Examples
        --------
        >>> TimeFrame("TDB", "SOLARSYSTEM").difference(TimeFrame())
        'TIMESYS TDB instead of TT, TIMEREF SOLARSYSTEM instead of LOCAL'
        """
        pairs = (
            ("TIMESYS", self.system, other.system),
            ("TIMEREF", self.reference, other.reference),
            ("MJDREF", self.zero_mjd, other.zero_mjd),
            ("TIMEZERO", self.offset, other.offset),
        )
        return ", ".join(f"{key} {a} instead of {b}" for key, a, b in pairs if a != b)


PIPELINE_TIME: Final = TimeFrame()
"""That of all event lists of the pipeline."""
