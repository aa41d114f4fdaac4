"""Report: committed and derived tables -> statistics -> one HTML page."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Final

from exod.archive import Archive, open_archive
from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.page import render
from exod.catalogue.report.sections.contents import sections
from exod.errors import ArchiveError
from exod.files.whole import check_place, write_whole
from exod.plots.drawing import DEFAULT, Drawing
from exod.plots.statistics import report_pictures
from exod.stages.report.count import CURVES, TOP, gather

REPORT: Final = "report.html"
"""Name of the page in a release of the catalogue."""


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
    with drawing.applied():
        pictures = report_pictures(numbers)
    page = render(
        "Statistics of an exod archive",
        f"{archive.root}, {numbers.about.made:%Y-%m-%d %H:%M} UTC, "
        f"exod {numbers.about.versions['exod']}",
        sections(numbers, pictures),
    )
    write_whole(Path(path), page, error=ArchiveError)
    return numbers


def add_report(archive: Archive | str, folder: Path) -> None:
    """Write the page to the folder of a release, see `write_report`."""
    write_report(archive, folder / REPORT)
