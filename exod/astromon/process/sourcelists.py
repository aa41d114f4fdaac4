"""Lists of sources as programs write them, made into rows of astromon_xray_src."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray

from exod.astrometry.attitude import near_neighbour_distances, radec_to_yagzag
from exod.errors import InputError
from exod.schemas.arrays import Floats

COLUMNS: Final = (
    *("obsid", "id", "ra", "dec", "net_counts", "y_angle", "z_angle", "r_angle", "snr"),
    *("near_neighbor_dist", "psfratio", "pileup", "acis_streak", "caldb_version"),
)
"""Columns of what `Observation.get_sources` returns."""

_NEEDED: Final = ("RA", "DEC", "COMPONENT", "NET_COUNTS")
_POLYGON: Final = re.compile(r"polygon\(([^)]*)\)", re.IGNORECASE)
_DAMAGE: Final = (OSError, EOFError, KeyError, IndexError, TypeError, ValueError)


def read_source_list(path: Path) -> Table:
    """Rows of a list of sources.

    Raises
    ------
    InputError
        If it is not there, damaged, or lacks a column.
    """
    if not path.exists():
        raise InputError(f"There is no list of sources {path}; process() makes it.")
    try:
        with fits.open(path, memmap=False) as hdus:
            table = Table(hdus[1].data)
    except _DAMAGE as error:
        raise InputError(f"{path} cannot be read as a list of sources ({error}).") from error
    if missing := [name for name in _NEEDED if name not in table.colnames]:
        raise InputError(f"{path} has no column {', '.join(missing)}.")
    return table


def source_rows(
    table: Table, folder: Path, parameters: Mapping[str, Any], caldb_version: str
) -> Table:
    """Sources with angles, neighbours, pile-up and streaks; see `COLUMNS`.

    Parameters
    ----------
    table : Table
        As `read_source_list` gives it.
    folder : Path
        Of the observation, with its images.
    parameters : mapping
        obsid, and the pointing ra_pnt, dec_pnt, roll_pnt in deg.
    caldb_version : str
        With which the data were processed.

    Returns
    -------
    Table
        A row a source; snr is masked where the detector gives none.
    """
    obsid = int(parameters["obsid"])
    ra, dec = (np.asarray(table[name], float) for name in ("RA", "DEC"))
    attitude = tuple(float(parameters[name]) for name in ("ra_pnt", "dec_pnt", "roll_pnt"))
    y, z = radec_to_yagzag(ra, dec, attitude)  # type: ignore[arg-type]
    rows = Table(
        {
            "obsid": np.full(len(table), obsid, np.int32),
            "id": np.asarray(table["COMPONENT"], np.int32),
            "ra": ra,
            "dec": dec,
            "net_counts": np.asarray(table["NET_COUNTS"], np.float32),
            "y_angle": y,
            "z_angle": z,
            "r_angle": np.hypot(y, z),
            "snr": _or_masked(table, "SNR"),
            "near_neighbor_dist": near_neighbour_distances(y, z),
            "psfratio": _or_masked(table, "PSFRATIO"),
            "pileup": pile_up(folder / "images" / f"{obsid}_pileup_max.img", ra, dec),
            "acis_streak": _streaks(table, folder / "images" / f"{obsid}_acis_streaks.txt"),
            "caldb_version": np.full(len(table), caldb_version, "U10"),
        }
    )
    return rows[list(COLUMNS)]


def _or_masked(table: Table, name: str) -> MaskedColumn:
    there = name in table.colnames
    values = np.asarray(table[name], np.float32) if there else np.zeros(len(table), np.float32)
    return MaskedColumn(values, mask=np.full(len(table), not there))


def pile_up(path: Path, ra: Floats, dec: Floats) -> Floats:
    """Value of an image at positions; 0 without an image, and outside of it.

    Raises
    ------
    InputError
        If the image cannot be read.
    """
    found = np.zeros(len(ra))
    if not path.exists() or not len(ra):
        return found
    try:
        with fits.open(path, memmap=False) as hdus, warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            image, projection = np.asarray(hdus[0].data, float), WCS(hdus[0].header)
        column, row = np.rint(projection.celestial.wcs_world2pix(ra, dec, 0)).astype(int)
    except _DAMAGE as error:
        raise InputError(f"{path} cannot be read as an image ({error}).") from error
    inside = (column >= 0) & (row >= 0) & (row < image.shape[0]) & (column < image.shape[1])
    found[inside] = image[row[inside], column[inside]]
    return found


def _streaks(table: Table, regions: Path) -> NDArray[np.bool_]:
    if "ACIS_STREAK" in table.colnames:
        return np.asarray(table["ACIS_STREAK"], bool)
    on_one = np.zeros(len(table), bool)
    if regions.exists() and {"X", "Y"} <= set(table.colnames):
        x, y = (np.asarray(table[name], float) for name in ("X", "Y"))
        for corners in read_polygons(regions):
            on_one |= in_polygon(x, y, corners)
    return on_one


def read_polygons(path: Path) -> list[Floats]:
    """Corners of the polygons of a region file, each of shape (n, 2).

    Raises
    ------
    InputError
        If a polygon has no pairs of numbers.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        found = [[float(part) for part in match.split(",")] for match in _POLYGON.findall(text)]
        return [np.array(numbers).reshape(-1, 2) for numbers in found]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as regions ({error}).") from error


def in_polygon(x: Floats, y: Floats, corners: Floats) -> NDArray[np.bool_]:
    """Whether points are in a polygon: a ray from each crosses an odd number of sides.

    Examples
    --------
    >>> import numpy as np
    >>> square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    >>> in_polygon(np.array([1.0, 3.0]), np.array([1.0, 1.0]), square)
    array([ True, False])
    """
    inside = np.zeros(len(x), bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        if y1 != y2:
            crosses = (y1 > y) != (y2 > y)
            inside ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside
