"""File names of pipeline products."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

SUFFIXES: Final = (
    ".ftz",
    ".fits",
    ".fits.gz",
    ".fit",
    ".fit.gz",
    ".ds",
    ".evt",
    ".evt.gz",
    ".parquet",
)
"""Endings, in lower case, of files that may be event lists or source lists."""

PPS_NAME = re.compile(
    r"P(?P<obsid>[0-9]{10})(?P<instrument>[A-Z0-9]{2})[A-Z][0-9]{3}(?P<product>[A-Z0-9_]{6})", re.I
)
TIMING_PRODUCT = "TIEVLI"
EVENT_PRODUCTS = ("PIEVLI", "MIEVLI", TIMING_PRODUCT)
SOURCE_PRODUCT = "OBSMLI"
SOURCE_INSTRUMENT = "EP"
"""The source list of all EPIC cameras; that of the optical monitor has the same product type."""


def obsid_of_path(path: Path) -> str:
    """Obsid by the name of the file, else of the nearest folder that has one as its name."""
    match = PPS_NAME.match(path.name)
    if match:
        return match["obsid"]
    folders = [part for part in path.absolute().parts[:-1] if re.fullmatch(r"[0-9]{10}", part)]
    return folders[-1] if folders else ""
