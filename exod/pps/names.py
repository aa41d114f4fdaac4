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


_REST: Final = re.compile(r"[A-Z0-9]{0,4}", re.I)


def is_pipeline_name(name: str) -> bool:
    """Whether a file is named as a product of the pipeline, without anything added.

    Examples
    --------
    >>> is_pipeline_name("P0001730201M1S002MIEVLI0000.FTZ")
    True
    >>> is_pipeline_name("P0001730201M1S002MIEVLI0000_image.fits")
    False
    """
    match = PPS_NAME.match(name)
    rest = name[match.end() :].lower().removesuffix(".parquet") if match else "."
    stem = next((rest.removesuffix(end) for end in _LONGEST_FIRST if rest.endswith(end)), rest)
    return match is not None and _REST.fullmatch(stem) is not None


_LONGEST_FIRST: Final = sorted(SUFFIXES, key=len, reverse=True)


def obsid_of_path(path: Path) -> str:
    """Obsid by the name of the file, else of the nearest folder that has one as its name."""
    match = PPS_NAME.match(path.name)
    if match:
        return match["obsid"]
    folders = [part for part in path.absolute().parts[:-1] if re.fullmatch(r"[0-9]{10}", part)]
    return folders[-1] if folders else ""
