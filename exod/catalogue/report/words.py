"""Wording that the sections of the report share."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

from exod.catalogue.report.inputs import CATALOGUES
from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.page import Picture, Text
from exod.errors import percent

Pictures = Mapping[str, bytes]
"""PNG by name, as `exod.plots.statistics.report_pictures` makes them; thumbnails are named after
their region."""

RUN_HEAD: Final = ("Time bin", "Band")
"""Headings of `run_cells`."""


def missing(what: str, command: str, numbers: Numbers, after: str = "", remark: str = "") -> Text:
    """A sentence about what is missing and the command that makes it.

    Parameters
    ----------
    what : str
        What is missing, a sentence without its full stop.
    command, after : str
        Name of the command, and what comes after the archive.
    numbers : Numbers
        Of the archive.
    remark : str
        What follows the command.
    """
    line = " ".join(["exod", command, shlex.quote(numbers.about.root), after]).strip()
    return Text(f"{what}; run `{line}`{remark}.", missing=True)


def unmatched(numbers: Numbers, catalogue: str, columns: str) -> Text:
    """Why there is nothing about a catalogue, and the command that changes it."""
    if catalogue in numbers.matches:
        text = f"The counterparts in {catalogue} lack {columns}"
    else:
        text = f"The sources were not matched with {catalogue}"
    given = "=FILE" if catalogue == CATALOGUES["xmm"] else ""
    return missing(text, "crossmatch", numbers, f"--with {catalogue}{given}")


def drawn(pictures: Pictures, name: str, alternative: str, caption: str = "") -> list[Picture]:
    """The picture of that name, if it was drawn."""
    return [Picture(pictures[name], alternative, caption)] if name in pictures else []


def keyed(frame: pd.DataFrame) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Rows of a table as plain values by the name of their column, with their key in the index."""
    return zip(frame.index.tolist(), frame.to_dict("records"), strict=True)  # type: ignore[arg-type]


def share(part: float, whole: float) -> str:
    """A part of a whole in per cent.

    Examples
    --------
    >>> share(1, 3), share(0, 0)
    ('33.3 %', '–')
    """
    return percent(part / whole, ".1f") if whole else "–"


def run_cells(key: tuple[Any, ...]) -> tuple[str, str]:
    """Time bin and band of a run.

    Examples
    --------
    >>> run_cells((50.0, 0.2, 12.0))
    ('50 s', '0.2–12 keV')
    """
    t_bin, e_lo, e_hi = key
    return f"{t_bin:g} s", f"{e_lo:g}–{e_hi:g} keV"
