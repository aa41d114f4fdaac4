"""What is asked of an archive: a table, where on the sky, which rows, which columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from exod.errors import ConfigError
from exod.schemas.kinds import OBSID_FORM, OBSID_WORDS

_SEXAGESIMAL: Final = re.compile(
    r"([+-]?)(\d{1,3})[: hd](\d{1,2})(?:[: m'](\d{1,2}(?:\.\d*)?))?s?\"?"
)
_PREFIX: Final = "EXOD "


@dataclass(frozen=True)
class Cone:
    """A circle on the sky.

    Attributes
    ----------
    ra_deg, dec_deg : float
        Centre in degrees, ICRS.
    radius_arcsec : float
        Radius in arcsec.
    """

    ra_deg: float
    dec_deg: float
    radius_arcsec: float

    @classmethod
    def parse(cls, text: str) -> Cone:
        """Read ``RA,DEC,ARCSEC``: degrees, or hours and degrees with minutes and seconds.

        Raises
        ------
        ConfigError
            If it is not that, or there is no such place.

        Examples
        --------
        >>> Cone.parse("263.6496,-32.5978,30")
        Cone(ra_deg=263.6496, dec_deg=-32.5978, radius_arcsec=30.0)
        >>> Cone.parse("17:34:36,-32:35:52.5,30").dec_deg
        -32.59791666666667
        """
        parts = [part.strip() for part in text.split(",")]
        if len(parts) == 2:
            raise ConfigError(
                f"A cone is given as RA,DEC,ARCSEC and not as {text!r}: names of objects are not "
                f"looked up, since that needs a service."
            )
        if len(parts) != 3:
            raise ConfigError(f"A cone is given as RA,DEC,ARCSEC and not as {text!r}.")
        ra, dec = parse_position(",".join(parts[:2]), f"the cone {text!r}")
        try:
            radius = float(parts[2])
        except ValueError:
            raise ConfigError(
                f"The radius {parts[2]!r} of a cone is no number of arcsec."
            ) from None
        if not 0 <= radius <= 648_000:
            raise ConfigError(f"A cone has a radius of 0 to 648000 arcsec, which {text!r} has not.")
        return cls(ra, dec, radius)


def parse_position(text: str, what: str = "") -> tuple[float, float]:
    """Right ascension and declination in degrees of ``RA,DEC``.

    Each is in degrees, or in hours and degrees with minutes and seconds. Instead of the comma there
    may be a blank, and so there may within sexagesimal numbers.

    Parameters
    ----------
    text : str
        What the user wrote.
    what : str
        What it is called in errors; ``the position`` with the text by default.

    Raises
    ------
    ConfigError
        If it is not that, or there is no such place.

    Examples
    --------
    >>> parse_position("263.6496,-32.5978")
    (263.6496, -32.5978)
    >>> parse_position("17 34 35.904 -32 35 52.08")
    (263.6496, -32.5978)
    """
    what = what or f"the position {text!r}"
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 1:
        words = text.split()
        half = len(words) // 2
        parts = [" ".join(words[:half]), " ".join(words[half:])]
    if len(parts) != 2 or not all(parts):
        raise ConfigError(
            f"{what[0].upper()}{what[1:]} is not RA,DEC: write degrees as 263.6496,-32.5978, or "
            f"17:34:35.9,-32:35:52."
        )
    ra, dec = _angle(parts[0], 15.0, what), _angle(parts[1], 1.0, what)
    if not (0 <= ra <= 360 and abs(dec) <= 90):
        raise ConfigError(
            f"A right ascension is 0 to 360 deg and a declination -90 to 90 deg, which "
            f"{what} has not."
        )
    return ra, dec


def _angle(text: str, per_unit: float, what: str) -> float:
    """Degrees of a number of degrees, or of units of `per_unit` degrees with minutes, seconds."""
    found = _SEXAGESIMAL.fullmatch(text)
    if found:
        sign, units, minutes, seconds = found.groups()
        parts = float(units), float(minutes), float(seconds or 0)
        if parts[1] < 60 and parts[2] < 60:
            size = per_unit * (parts[0] + parts[1] / 60 + parts[2] / 3600)
            return -size if sign == "-" else size
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} in {what} is no angle; write degrees as 263.65 or 17:34:35.9."
        ) from None


@dataclass(frozen=True)
class Query:
    """What is asked of an archive; everything that is given must hold for a row.

    Attributes
    ----------
    table : str
        Its name; empty for the one that fits the question.
    where : str
        A condition on its columns, see `exod.schemas.conditions.parse`; empty for all rows.
    cone : Cone, optional
        Rows with a position within it.
    name : str
        Name of a source, or how it begins, with or without ``EXOD``.
    obsids : tuple of str
        Rows of any of these observations.
    flags, no_flags : tuple of str
        Flags that are set, and that are not set; the prefix ``filt_`` may be left out.
    columns : tuple of str
        The columns wanted, in this order; all if none is named.
    matches : tuple of str
        Catalogues whose counterparts are added.
    sort : str
        Column to sort by; largest first with ``-`` before its name. Missing values come last.
    limit : int, optional
        Largest number of rows.

    Raises
    ------
    ConfigError
        If an observation cannot be one, or the limit is negative.
    """

    table: str = ""
    where: str = ""
    cone: Cone | None = None
    name: str = ""
    obsids: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    no_flags: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()
    sort: str = ""
    limit: int | None = None

    def __post_init__(self) -> None:
        for obsid in self.obsids:
            if not re.fullmatch(OBSID_FORM, obsid):
                raise ConfigError(f"{obsid!r} is not an observation identifier; {OBSID_WORDS}.")
        if self.limit is not None and self.limit < 0:
            raise ConfigError(f"A limit of {self.limit} rows is impossible; give 0 or more.")
        if len(set(self.columns)) < len(self.columns):
            raise ConfigError("A column is asked for twice; name each once.")

    @property
    def sort_column(self) -> str:
        """The column that is sorted by; empty if none."""
        return self.sort.removeprefix("-")

    def conditions(self) -> list[str]:
        """The conditions besides flags and cone, as text for `exod.schemas.conditions.parse`.

        Examples
        --------
        >>> Query(where="n > 1", name="J1234", obsids=("0001730201",)).conditions()
        ['n > 1', "startswith(srcid, 'EXOD J1234')", "obsid in ('0001730201',)"]
        """
        found = [self.where] if self.where.strip() else []
        if self.name:
            names = [self.name] if self.name.startswith("EXOD") else [f"{_PREFIX}{self.name}"]
            if not re.match(r"EXOD|J\d", self.name):
                # One that was taken over from another catalogue.
                names.append(self.name)
            found.append(" or ".join(f"startswith(srcid, {name!r})" for name in names))
        if self.obsids:
            found.append(f"obsid in {self.obsids!r}")
        return found
