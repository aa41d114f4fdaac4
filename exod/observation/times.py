"""Mission elapsed times and dates."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exod.errors import ConfigError
from exod.schemas.arrays import Floats

TIME_ZERO_MJD: Final = 50814.0
"""Zero of mission elapsed times, 1998-01-01T00:00:00 TT, as MJD (MJDREF of event lists)."""

MOST_MJD: Final = 1e6
"""Numbers from here on are no MJD."""

DAY_SECONDS: Final = 86400.0
_MOST_SECONDS: Final = 1e12
"""30,000 years: beyond them numbers are no times, and have no tenths of a second."""
_ZERO: Final = datetime(1998, 1, 1, tzinfo=UTC)
_TT_LATE_MS: Final = 32_184
"""TT is later than TAI by so much."""


class LeapSteps(NamedTuple):
    """When UTC was set back: milliseconds that count as mission elapsed times do.

    Attributes
    ----------
    begin : int64 array, shape (n,)
        The first midnight after each leap second; before the first one there is no UTC.
    late : int64 array, shape (n,)
        How much TT is later than UTC from then on.
    last : int
        End of the year 9999, after which dates have other digits.
    """

    begin: NDArray[np.int64]
    late: NDArray[np.int64]
    last: int


@cache
def leap_steps() -> LeapSteps:
    """Leap seconds as astropy has them, from 1972 on.

    Examples
    --------
    >>> steps = leap_steps()
    >>> int(steps.late[-1]) >= 69_184
    True
    """
    # It is what astropy has them from, and takes a tenth of its time to load.
    import erfa

    rows = [row for row in erfa.leap_seconds.get() if row["year"] >= 1972]
    late = [_TT_LATE_MS + round(1000 * float(row["tai_utc"])) for row in rows]
    midnights = [_milliseconds(int(row["year"]), int(row["month"])) for row in rows]
    begin = np.array(midnights, np.int64) + late
    return LeapSteps(begin, np.array(late, np.int64), _milliseconds(9999, 12) + late[-1])


def _milliseconds(year: int, month: int) -> int:
    since = datetime(year, month, 1, tzinfo=UTC) - _ZERO
    return (since.days * 86400 + since.seconds) * 1000


def mjd_of(seconds: Floats) -> Floats:
    """Mission elapsed seconds as MJD (TT), to a microsecond.

    Examples
    --------
    >>> float(mjd_of(np.array([86400.0 * 2.5]))[0])
    50816.5
    """
    return np.asarray(TIME_ZERO_MJD + seconds / DAY_SECONDS)


def utc_texts(seconds: Floats) -> NDArray[Any]:
    """Mission elapsed seconds (TT) as UTC dates, ISO 8601, to the millisecond.

    Parameters
    ----------
    seconds : float array, shape (n,)
        NaN and what is before 1972 or after 9999 have no date.

    Returns
    -------
    str array, shape (n,)
        A leap second is that with the number 60; empty text if there is no date.

    Examples
    --------
    >>> utc_texts(np.array([599616067.684, 599616068.684, np.nan])).tolist()
    ['2016-12-31T23:59:59.500', '2016-12-31T23:59:60.500', '']
    """
    steps = leap_steps()
    exact = np.floor(np.asarray(seconds, float) * 1000 + 0.5)
    known = (exact >= steps.begin[0]) & (exact < steps.last)
    whole = np.where(known, exact, steps.begin[0]).astype(np.int64)
    step = np.searchsorted(steps.begin, whole, side="right") - 1
    following = np.append(steps.begin, np.iinfo(np.int64).max)[step + 1]
    is_leap = following - whole <= 1000
    # The second before has the same minute.
    utc = whole - steps.late[step] - np.where(is_leap, 1000, 0)
    days = np.datetime64(_ZERO.replace(tzinfo=None), "ms") + utc.astype("timedelta64[ms]")
    texts = np.datetime_as_string(days, unit="ms").astype(object)
    texts[is_leap] = [text.replace(":59.", ":60.") for text in texts[is_leap]]
    texts[~known] = ""
    return texts.astype(str)


def utc_date(seconds: float) -> str:
    """Mission elapsed seconds as a UTC date, ISO 8601, to the second.

    Examples
    --------
    >>> utc_date(809873689.94)  # TSTART of 0916810801
    '2023-08-31T12:53:41'
    """
    return str(utc_texts(np.array([seconds + 0.5]))[0])[:19]


def mission_seconds(text: str) -> float:
    """Mission elapsed seconds, from such or from a UTC date as `utc_date` gives it.

    Raises
    ------
    ConfigError
        If it is neither.

    Examples
    --------
    >>> mission_seconds("2023-08-31T12:53:41"), mission_seconds("809873690")
    (809873690.184, 809873690.0)
    """
    try:
        found = float(text)
    except ValueError:
        # It takes half a second to load, and a search does without it.
        from astropy.time import Time

        try:
            zero = Time(TIME_ZERO_MJD, format="mjd", scale="tt")
            with warnings.catch_warnings():
                # Leap seconds of later years are not known: by some seconds it may be another time.
                warnings.filterwarnings("ignore", "ERFA function .*dubious year")
                found = round(float((Time(text.strip(), scale="utc") - zero).sec), 6)
        except ValueError:
            found = math.nan
    if not abs(found) < _MOST_SECONDS:
        raise ConfigError(
            f"{text!r} is no time: write mission elapsed seconds as 100529505, or UTC as "
            f"2001-03-09T12:50:41."
        )
    return found


def moment_seconds(text: str) -> float:
    """Mission elapsed seconds, from such, from a UTC date, or from an MJD (TT).

    Numbers below 1,000,000 are an MJD: no observation began so early in the mission.

    Raises
    ------
    ConfigError
        If it is none of them.

    Examples
    --------
    >>> moment_seconds("50816.5"), moment_seconds("809873690")
    (216000.0, 809873690.0)
    """
    try:
        number = float(text)
    except ValueError:
        return mission_seconds(text)
    if 0 < number < MOST_MJD:
        return round((number - TIME_ZERO_MJD) * DAY_SECONDS, 6)
    return mission_seconds(text)


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


_GOLDEN: Final = (math.sqrt(5.0) - 1) / 2
"""Multiples of it, without their whole parts, fill an interval evenly."""


def spread_over_frames(middle: Floats, frame_seconds: float) -> Floats:
    """Times of events, shape (n,), spread evenly over their frames, whose middles are known.

    Nothing in it is random: equal times give equal times.

    Examples
    --------
    >>> spread_over_frames(np.array([10.0, 10.0]), 3.2).round(2)
    array([ 8.4 , 10.38])
    """
    return np.asarray(middle + frame_seconds * (np.arange(len(middle)) * _GOLDEN % 1 - 0.5))
