"""Identifiers of observations, one by one and in lists."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from typing import Final

from exod.errors import ConfigError, InputError
from exod.schemas.kinds import OBSID_FORM, OBSID_WORDS

_OBSID: Final = re.compile(OBSID_FORM)
TEN_DIGITS: Final = "[0-9]{10}"
"""Form of the obsids of XMM-Newton."""

_NUMBER: Final = re.compile(r"\+?(\d+)(?:[.,]0*)?|\+?\d+[.,]?\d*[eE]\+?\d+", re.ASCII)
_SEPARATORS: Final = "\t;,"
_HEADINGS: Final = frozenset({"obsid", "obsids", "observation", "observationid", "obs"})
"""What a column of obsids is called, in small letters without spaces and underscores."""


def validate_obsid(obsid: str) -> str:
    """Return `obsid` if it is ten digits, as of XMM-Newton, or a number up to 99999, as of Chandra.

    Raises
    ------
    InputError
        For anything else; an obsid becomes part of paths, so it is checked before use.

    Examples
    --------
    >>> validate_obsid("0001730201")
    '0001730201'
    """
    if not isinstance(obsid, str) or not _OBSID.fullmatch(obsid):
        raise InputError(f"{obsid!r} is not an observation identifier; {OBSID_WORDS}.")
    return obsid


def obsids_of(given: str | Iterable[str]) -> tuple[str, ...]:
    """One obsid or several, each as `validate_obsid` wants it.

    Examples
    --------
    >>> obsids_of("0001730201"), obsids_of(["0001730201", "900"])
    (('0001730201',), ('0001730201', '900'))
    """
    several = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else given
    return tuple(validate_obsid(one) for one in several)


def validate_xmm_obsid(obsid: str) -> str:
    """Return `obsid` if it is ten digits: for what is done with XMM-Newton only.

    Raises
    ------
    InputError
        For anything else, also an obsid of Chandra.

    Examples
    --------
    >>> validate_xmm_obsid("0001730201")
    '0001730201'
    """
    if not isinstance(obsid, str) or not re.fullmatch(TEN_DIGITS, obsid):
        raise InputError(
            f"{obsid!r} is not an observation identifier of XMM-Newton; it must be ten digits."
        )
    return obsid


def obsid_of_row(name: str) -> str:
    """The obsid that the name of a run or region begins with.

    Examples
    --------
    >>> obsid_of_row("28964_0_50.0_0.5_7.0_1"), obsid_of_row("0001730201_0")
    ('28964', '0001730201')
    """
    return name.partition("_")[0]


def listed_obsids(text: str, origin: str, form: str = TEN_DIGITS) -> list[str]:
    r"""The obsids of a list that a user gives, in order, each once.

    Parameters
    ----------
    text : str
        One obsid a line, or a table with commas, semicolons or tabs between its cells: the column
        is the one whose heading says so, or in which the first line has an obsid. Empty lines
        and what follows # are passed over.
    origin : str
        What the list is called in errors.
    form : str
        Regular expression of an obsid.

    Raises
    ------
    ConfigError
        If something in the place of an obsid is none; the text names the line.

    Examples
    --------
    >>> listed_obsids('target,OBS_ID\nV1,"0001730201"\nV2,0900000101 \n', "list.csv")
    ['0001730201', '0900000101']
    """
    found: dict[str, None] = {}
    column: int | None = None
    for number, cells in _rows(text):
        if column is None:
            headings = [re.sub(r"[\s_-]", "", cell).lower() for cell in cells]
            named = [place for place, heading in enumerate(headings) if heading in _HEADINGS]
            if named:
                column = named[0]
                continue
            # A short number may be anything.
            digits = [place for place, cell in enumerate(cells) if re.fullmatch(TEN_DIGITS, cell)]
            digits += [place for place, cell in enumerate(cells) if re.fullmatch(form, cell)]
            column = digits[0] if digits else 0
        cell = cells[column] if column < len(cells) else ""
        if not re.fullmatch(form, cell):
            raise ConfigError(f"{origin}, line {number}: {_reason(cell, form)}")
        found[cell] = None
    return list(found)


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Numbers of the lines that say something, and their cells."""
    for number, line in enumerate(text.splitlines(), start=1):
        said = line.partition("#")[0].strip()
        separator = next((sign for sign in _SEPARATORS if sign in said), ",")
        if said.startswith("="):
            # Spreadsheets keep zeros of ="0001730201", which is no quoted cell.
            said = said.removeprefix("=")
        for cells in csv.reader([said], delimiter=separator, skipinitialspace=True):
            plain = [cell.strip().removeprefix("=").strip("\"' ") for cell in cells]
            if any(plain):
                yield number, plain


def _reason(cell: str, form: str) -> str:
    """Why a cell is no obsid."""
    if not re.fullmatch(form, "0" * 10):
        return f"{cell!r} is not the number, up to 99999, of a Chandra observation."
    number = _NUMBER.fullmatch(cell)
    if number is None or (number[1] and len(number[1]) > 10):
        words = "it must be ten digits" if form == TEN_DIGITS else OBSID_WORDS
        return f"{cell!r} is not an observation identifier; {words}."
    which = f"it is {int(number[1]):010d} then, and " if number[1] else ""
    return (
        f"{cell!r} is not ten digits: a program made a number of it and lost its zeros; {which}"
        f"the column must be text, in a spreadsheet too."
    )
