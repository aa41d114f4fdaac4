"""Times as users of Chandra write them, and those of its tables."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from astropy.time import Time
from erfa import ErfaWarning

from exod.errors import InputError


def as_time(value: Any) -> Time:
    """A time in any of the forms that CxoTime takes.

    Parameters
    ----------
    value : Time, str, float, datetime or datetime64
        Text is UTC: ``YYYY:DDD``, with or without ``:HH:MM:SS.sss``, or ISO 8601. A number is
        seconds since 1998-01-01 TT.

    Raises
    ------
    InputError
        If it is no time.

    Examples
    --------
    >>> as_time("2013:100:01:02:03").isot
    '2013-04-10T01:02:03.000'
    >>> as_time(0.0).yday
    '1998:001:00:00:00.000'
    """
    if isinstance(value, Time):
        return value
    try:
        with warnings.catch_warnings():
            # Leap seconds of the future are not known, which matters to nobody here.
            warnings.simplefilter("ignore", ErfaWarning)
            if isinstance(value, str):
                text = value.strip()
                return Time(float(text), format="cxcsec") if _is_number(text) else Time(text)
            if isinstance(value, int | float | np.number):
                return Time(float(value), format="cxcsec")
            return Time(value)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{value!r} is no time; give it as 2013:100:12:30:00, 2013-04-10T12:30:00 or seconds "
            f"since 1998."
        ) from error


def seconds_of(value: Any) -> float:
    """Seconds since 1998-01-01 TT, as tstart counts them; see `as_time`."""
    return float(as_time(value).cxcsec)


def observed_at(date_obs: Any) -> Time:
    """UTC of the column date_obs, which is terrestrial time in the headers of Chandra.

    Raises
    ------
    InputError
        If a text is no time.
    """
    texts = np.asarray(date_obs).astype(str)
    known, rows = np.unique(texts, return_inverse=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ErfaWarning)
            form = {} if len(known) else {"format": "isot"}
            return Time(known, scale="tt", **form).utc[rows]
    except ValueError as error:
        wrong = next((text for text in known if not _is_date(text)), known[0])
        raise InputError(
            f"date_obs has {str(wrong)!r}, which is no time as 2013-02-11T07:39:09."
        ) from error


def _is_date(text: str) -> bool:
    try:
        Time(text, scale="tt")
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
