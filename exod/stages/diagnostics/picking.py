"""Pick: positions on the detector and hot regions of an archive -> a page to draw boxes on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from exod.archive import Archive
from exod.catalogue.report.picker.pickerpage import picker_page
from exod.errors import ConfigError
from exod.files.whole import write_whole

PAGE: Final = ".html"


def page_and_boxes(to: Path) -> tuple[Path, Path]:
    """Where the page goes, and the file that it saves.

    Raises
    ------
    ConfigError
        If the name ends in neither.

    Examples
    --------
    >>> page_and_boxes(Path("boxes.csv"))
    (PosixPath('boxes.html'), PosixPath('boxes.csv'))
    """
    if to.suffix.lower() not in (PAGE, ".csv"):
        raise ConfigError(f"--to takes a file of boxes as boxes.csv, or its page, not {to}.")
    return to.with_suffix(PAGE), to.with_suffix(".csv")


def write_picker(archive: Archive, to: Path, boxes: pd.DataFrame | None = None) -> tuple[Path, int]:
    """Write the page.

    Parameters
    ----------
    archive : Archive
        With flags.
    to : path
        The file of boxes, whose page is beside it with the ending .html.
    boxes : DataFrame, optional
        Boxes to begin with, as `exod.stages.derive.flaginputs.read_boxes` gives them; by default
        those that the flags were given, if they are about the pointing.

    Returns
    -------
    path : Path
        The page.
    n : int
        Regions on it.

    Raises
    ------
    ArchiveError
        If there are no flags, or something cannot be read.
    ConfigError
        If the page cannot be written.
    """
    page, file = page_and_boxes(to)
    columns = ["t_bin", "X_det", "Y_det"]
    regions = archive.derived_table("flags", "detector", columns=columns).compute()
    known = archive.derived_table("flags", "hot_regions").compute()
    given = known[known["origin"] == "given"] if boxes is None else boxes
    found = known[known["origin"] == "found"]
    text = picker_page(f"Archive {archive.root}", regions, found, given, file.name)
    write_whole(page, text, error=ConfigError)
    return page, len(regions)
