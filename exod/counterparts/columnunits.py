"""Units of the columns of catalogues: what is converted, what is refused, what is told."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from astropy import units

from exod.errors import InputError

_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("degree", "degrees", "deg.", "degs", "decimal degrees", "°"), "deg"),
        **dict.fromkeys(("hour", "hours", "hr", "hrs", "h", "hour angle"), "hourangle"),
        **dict.fromkeys(("radian", "radians"), "rad"),
        **dict.fromkeys(("arcsecs", "arcseconds", "arcsec.", "asec", '"'), "arcsec"),
        **dict.fromkeys(("arcmins", "arcminutes", "amin", "'"), "arcmin"),
        **dict.fromkeys(("milliarcsec", "milliarcsecond", "milliarcseconds"), "mas"),
    }
)
"""What people call angles, in small letters."""
_FORMATS: Final = (None, "fits", "cds")


def unit_of(text: str, *, angle: bool = False) -> units.UnitBase | None:
    """The unit that a text means, in the notation of anyone; None if it means none.

    Parameters
    ----------
    text : str
        What the header of a table says.
    angle : bool
        Whether it is of an angle, so that hours are those of right ascension.

    Examples
    --------
    >>> unit_of("Degrees", angle=True), unit_of("mas.yr-1"), unit_of("no unit")
    (Unit("deg"), Unit("mas / yr"), None)
    """
    plain = text.strip()
    if angle:
        plain = _ALIASES.get(plain.lower(), plain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)
        for one in (plain, plain.lower()):
            for notation in _FORMATS:
                try:
                    return units.Unit(one, format=notation)
                except (ValueError, TypeError):
                    continue
    return None


def angle_factor(unit: str, to: str, usual: float, what: str) -> float:
    """What the values of a position or motion are multiplied by.

    Parameters
    ----------
    unit : str
        Unit in the table; empty if there is none.
    to : str
        Unit that is wanted.
    usual : float
        The factor of a column without unit.
    what : str
        Column and table, with which the sentence of an error begins.

    Raises
    ------
    InputError
        If the unit cannot be converted: its values must not be taken for degrees.
    """
    if not unit.strip():
        return usual
    found = unit_of(unit, angle=True)
    try:
        if found is not None:
            return float(found.to(to))
    except units.UnitConversionError:
        pass
    raise InputError(
        f"{what} has the unit {unit!r}, which cannot be converted to {to}; convert its values, or "
        f"take a wrong unit out of the table."
    )


def value_factor(unit: str, to: str, what: str) -> tuple[float, str]:
    """What the values of a column to keep are multiplied by, and a note if that is not known."""
    if not unit.strip() or not to or unit.strip() == to:
        return 1.0, ""
    here, there = unit_of(unit), unit_of(to)
    try:
        if here is not None and there is not None:
            return float(here.to(there)), ""
    except units.UnitConversionError:
        pass
    return 1.0, f"{what} has the unit {unit!r}, not {to!r}; its values are kept as they are."
