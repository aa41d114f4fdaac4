"""Report: committed and derived tables -> statistics -> one HTML page."""

from __future__ import annotations

from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final

from exod.archive import Archive, open_archive
from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.page import Section, described, render
from exod.catalogue.report.sections.contents import sections
from exod.errors import ArchiveError, without_places
from exod.files.whole import check_place, write_whole
from exod.plots.drawing import DEFAULT, Drawing
from exod.plots.statistics import report_pictures
from exod.stages.report.count import CURVES, TOP, gather

REPORT: Final = "report.html"
"""Name of the page in a release of the catalogue."""

_TITLE: Final = "Statistics of an exod archive"


def write_report(
    archive: Archive | str,
    path: str | PathLike[str],
    *,
    top: int = TOP,
    light_curves: int = CURVES,
    extras: str | PathLike[str] | None = None,
    xmm: str | PathLike[str] | None = None,
    drawing: Drawing = DEFAULT,
) -> Numbers:
    """Describe an archive on one HTML page that needs no other file.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path.
    path : path
        The page; one that is there is replaced when the new one is complete.
    top, light_curves : int
        How many of the most significant sources are listed, and how many of these have their
        light curve drawn.
    extras : path, optional
        Table of EXTraS to compare with, a row for each light curve.
    xmm : path, optional
        Table of all sources of 4XMM, for their fluxes and types.
    drawing : Drawing
        Style of the pictures; their format and size are those of a page.

    Returns
    -------
    Numbers
        What the page says.

    Raises
    ------
    ArchiveError
        If the archive cannot be read or the page cannot be written.
    InputError
        If a table that is given cannot be read or lacks a column.
    """
    archive = open_archive(archive)
    check_place(Path(path), error=ArchiveError)
    tables = {name: Path(path) for name, path in (("extras", extras), ("xmm", xmm)) if path}
    numbers = gather(archive, top=top, light_curves=light_curves, **tables)
    page = render(_TITLE, f"{archive.root}, {_made(numbers)}", _drawn(numbers, drawing))
    write_whole(Path(path), page, error=ArchiveError)
    return numbers


def report_content(archive: Archive, *, elsewhere: bool = False) -> dict[str, Any]:
    """The same page as what JSON can hold, for the explorer.

    Parameters
    ----------
    archive : Archive
        The archive.
    elsewhere : bool
        Whether readers are elsewhere: they are told no folders of this machine.

    Returns
    -------
    dict
        Its heading, when and by what it was made, and `exod.catalogue.report.page.described`.

    Raises
    ------
    ArchiveError
        If the archive cannot be read.
    """
    numbers = gather(archive)
    worded = partial(without_places, root=archive.root) if elsewhere else str
    found = described(_drawn(numbers, DEFAULT), worded)
    return {"title": _TITLE, "made": _made(numbers), "sections": found}


def _made(numbers: Numbers) -> str:
    about = numbers.about
    return f"{about.made:%Y-%m-%d %H:%M} UTC, exod {about.versions['exod']}"


def _drawn(numbers: Numbers, drawing: Drawing) -> list[Section]:
    with drawing.applied():
        pictures = report_pictures(numbers)
    return sections(numbers, pictures)


def add_report(archive: Archive | str, folder: Path) -> None:
    """Write the page to the folder of a release, see `write_report`."""
    write_report(archive, folder / REPORT)
