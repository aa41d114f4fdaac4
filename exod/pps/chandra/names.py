"""File names of Chandra's products, and what they hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

CHANDRA_NAME: Final = re.compile(
    r"(?:acis|hrc)f(?P<obsid>\d{5})(?:_\d{3})?N\d{3}_(?P<product>[a-z]+\d)\.fits", re.I
)
"""Names of the archive, as ``acisf28964N002_evt2.fits.gz`` (A. Rots, "FITS File Names for the
Chandra Data Archive"); an obsid has zeros in front there."""


def obsid_of_name(name: str) -> str:
    """Obsid without zeros in front; empty if it is no such name.

    Examples
    --------
    >>> obsid_of_name("acisf08007N002_evt2.fits.gz")
    '8007'
    """
    match = CHANDRA_NAME.match(name)
    return match["obsid"].lstrip("0") if match else ""


def kind_of_name(name: str) -> str:
    """``events`` or ``masks``; empty if it is neither."""
    match = CHANDRA_NAME.match(name)
    product = match["product"].lower() if match else ""
    return {"evt2": "events", "msk1": "masks", "bpix1": "masks", "fov1": "masks"}.get(product, "")


def companions(path: Path) -> list[Path]:
    """Masks and bad pixels of the same observation in the folder of an event list and beside it."""
    obsid = obsid_of_name(path.name)
    folders = {path.parent, path.parent.parent / "primary", path.parent.parent / "secondary"}
    return sorted(
        beside
        for folder in folders
        if obsid and folder.is_dir()
        for beside in folder.iterdir()
        if kind_of_name(beside.name) == "masks" and obsid_of_name(beside.name) == obsid
    )
