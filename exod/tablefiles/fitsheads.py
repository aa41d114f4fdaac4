"""What headers of FITS tables tell besides their form: meanings, units, UCDs, how times count."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Mapping
from typing import Final

import pyarrow as pa
from astropy import units
from astropy.io import fits

from exod.observation.times import TIME_ZERO_MJD
from exod.schemas.columns import Column, Table

Header = Mapping[str, tuple[str | int | float, str]]
"""Keywords with their value and comment."""

_TIMES: Final = ("time.start", "time.end", "time.epoch")
"""How the UCDs of points in time begin."""

_CARD: Final = 80


def column_header(column: Column, number: int) -> dict[str, str]:
    """Keywords of a column: its UCD, and its meaning, with a unit that FITS does not know.

    Examples
    --------
    >>> from exod.schemas import BTI
    >>> column_header(BTI.columns[-1], 3)["TCOMM3"]
    'End of the interval, mission elapsed time'
    """
    told = fits_unit(column.unit) or not column.unit
    unit = "" if told else f" ({column.unit})"
    return {
        f"TUCD{number}": ascii_text(column.ucd),
        f"TCOMM{number}": ascii_text(f"{column.description}{unit}"),
    }


def table_cards(table: Table) -> dict[str, list[str] | list[list[str]]]:
    """The cards that a table has whatever its rows are, for what writes FITS elsewhere.

    Parameters
    ----------
    table : Table
        The table.

    Returns
    -------
    dict
        ``primary``, cards of 80 characters of the first header; ``columns``, those of each column,
        and ``table``, further ones of the header of the table.
    """
    columns = []
    for number, column in enumerate(table.columns, start=1):
        own: dict[str, str | tuple[str | int | float, str]] = {
            f"TTYPE{number}": ascii_text(column.name)
        }
        if unit := fits_unit(column.unit):
            own[f"TUNIT{number}"] = unit
        columns.append(_cards({**own, **column_header(column, number)}))
    return {
        "primary": _cards({"TITLE": ascii_text(table.description)}),
        "columns": columns,
        "table": _cards(time_frame(table)),
    }


def _cards(keywords: Mapping[str, str | tuple[str | int | float, str]]) -> list[str]:
    header = fits.Header()
    header.update(keywords)
    text = "".join(map(str, header.cards))
    return [text[start : start + _CARD] for start in range(0, len(text), _CARD)]


def time_frame(table: Table) -> Header:
    """Keywords that say how the times of a table count; none if it has no times.

    Mission elapsed times are seconds from MJDREF on. If there are only days as MJD, MJDREF is 0.
    Texts say that they are UTC.

    References
    ----------
    Rots et al. 2015, A&A 574, A36 (times in FITS).

    Examples
    --------
    >>> from exod.schemas import BTI
    >>> [value for value, _ in time_frame(BTI).values()]
    [50814.0, 'TT', 's', 'LOCAL']
    """
    units_of_times = {
        column.unit
        for column in table.columns
        if pa.types.is_floating(column.type) and column.ucd.startswith(_TIMES)
    } & {"s", "d"}
    if not units_of_times:
        return {}
    seconds = "s" in units_of_times
    return {
        "MJDREF": (TIME_ZERO_MJD if seconds else 0.0, "Zero of the times as MJD (TT)"),
        "TIMESYS": ("TT", "Time scale of times and of MJD"),
        "TIMEUNIT": ("s" if seconds else "d", "Unit of times, if a column has no other"),
        "TIMEREF": ("LOCAL", "Times are of the arrival at the satellite"),
    }


def ascii_text(text: str) -> str:
    """Text as FITS can hold it: accents are dropped, and ``?`` stands for what has no ASCII."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return re.sub(r"[^ -~]", "?", text)


def fits_unit(unit: str) -> str | None:
    """A unit in the notation of FITS; None if there is none or FITS does not know it.

    Examples
    --------
    >>> fits_unit("ct/s"), fits_unit("erg/cm2/s"), fits_unit("furlong")
    ('ct/s', 'erg s-1 cm-2', None)
    """
    with warnings.catch_warnings():
        # More than one slash, which is rewritten here.
        warnings.simplefilter("ignore", units.UnitsWarning)
        try:
            if unit.count("/") < 2 and units.Unit(unit, format="fits"):
                return unit or None
        except ValueError:
            pass
        try:
            return str(units.Unit(unit).to_string("fits"))
        except ValueError:
            return None
