"""Tables of hot pixels in place of finding them: those of users, and one that exod comes with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.errors import ConfigError, InputError
from exod.instruments import CAMERAS
from exod.tablefiles.reading import ForeignTable
from exod.tablefiles.shipped import catalogs_folder

COLUMNS: Final = ("INSTRUME", "CCDNR", "RAWX", "RAWY", "REV1", "REV2")
"""What the columns are called, in capital or small letters."""

RANGES: Final = ("INSTRUME", "CCDNR", "RAWX", "RAWY1", "RAWY2", "REV1", "REV2")
"""What they are called in a table whose rows are stretches of a column of pixels."""

READY: Final[Mapping[str, str]] = MappingProxyType({"4xmm-dr14": "4xmm_dr14_hot_pixels.csv"})
"""Tables that exod comes with: what the setting calls them, and their files."""


def hot_pixel_table(setting: str) -> Path | None:
    """The table that the setting ``selection.hot_pixels`` means.

    Parameters
    ----------
    setting : str
        ``"find"``, ``"off"``, a name of `READY` or the path of a table.

    Returns
    -------
    Path or None
        None if no table is used.

    Examples
    --------
    >>> hot_pixel_table("find"), hot_pixel_table("4xmm-dr14").name
    (None, '4xmm_dr14_hot_pixels.csv')
    """
    if setting in {"find", "off"}:
        return None
    return catalogs_folder() / READY[setting] if setting in READY else Path(setting)


def read_hot_pixel_table(path: Path) -> pd.DataFrame:
    """Read a table of hot pixels, and make sure that each of its rows can be one.

    Parameters
    ----------
    path : Path
        FITS, CSV, ECSV, VOTable or Parquet file with `COLUMNS` or `RANGES`; both ends of a stretch
        belong to it. A pixel is hot in revolutions after REV1 and before REV2.

    Returns
    -------
    DataFrame
        The columns INSTRUME (text) and CCDNR, RAWX, RAWY, REV1, REV2 (int64), a row for each
        pixel of a row, in the order of the file.

    Raises
    ------
    ConfigError
        If it cannot be read, lacks a column, has no rows, or has a cell that is empty, of a camera
        that is not known, or no pixel of its camera; the text names row and column.
    """
    try:
        file = ForeignTable(path, [[name] for name in COLUMNS if name != "RAWY"])
        there = {column.name.upper(): column.name for column in reversed(file.columns)}
        there |= {column.name: column.name for column in file.columns}
        wanted = COLUMNS if "RAWY" in there or not {"RAWY1", "RAWY2"} & there.keys() else RANGES
        missing = [name for name in wanted if name not in there]
        if missing:
            raise ConfigError(f"The hot pixel table {path} lacks the columns {', '.join(missing)}.")
        names = [there[name] for name in wanted]
        tables = list(file.batches(names, as_text=names))
    except InputError as error:
        known = f"; exod itself has {', '.join(READY)}" if not Path(path).exists() else ""
        reason = str(error).removesuffix(".")
        raise ConfigError(f"The hot pixel table cannot be used: {reason}{known}.") from error
    rows = pa.concat_tables(tables).to_pylist() if tables else []
    if not rows:
        raise ConfigError(
            f"The hot pixel table {path} has no rows; use selection.hot_pixels=off to remove none."
        )
    checked = [
        _stretch(
            dict(zip(wanted, row.values(), strict=True)),
            f"The hot pixel table {path}, row {number}",
        )
        for number, row in enumerate(rows, start=1)
    ]
    return _pixels(pd.DataFrame(checked, columns=list(wanted)))


def _pixels(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each pixel of rows that may be stretches."""
    if "RAWY" in rows:
        return rows
    lengths = (rows["RAWY2"] - rows["RAWY1"] + 1).to_numpy()
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    every = rows.loc[rows.index.repeat(lengths)].reset_index(drop=True)
    every["RAWY"] = every["RAWY1"] + np.arange(len(every)) - starts
    return every[list(COLUMNS)]


def _stretch(cells: dict[str, Any], where: str) -> tuple[Any, ...]:
    """A row with its types."""
    for name, cell in cells.items():
        if cell is None:
            raise ConfigError(f"{where}: {name} is empty.")
    instrument = cells.pop("INSTRUME")
    camera = CAMERAS.get(str(instrument).upper())
    if camera is None:
        raise ConfigError(f"{where}: INSTRUME is {instrument!r}, not {', '.join(CAMERAS)}.")
    whole = {name: _whole(cell, f"{where}: {name}") for name, cell in cells.items()}
    if camera.n_ccds < 10:
        # CCDs that are read through the redundant node have ten added to their number.
        whole["CCDNR"] %= 10
    last = {"CCDNR": camera.n_ccds, "RAWX": camera.n_columns}
    last |= {name: camera.n_rows for name in cells if name.startswith("RAWY")}
    for name, most in last.items():
        if not 1 <= whole[name] <= most:
            raise ConfigError(
                f"{where}: {name} is {cells[name]}, and that of {camera.name} is 1 to {most}."
            )
    if "RAWY1" in whole and whole["RAWY1"] > whole["RAWY2"]:
        raise ConfigError(f"{where}: RAWY1, {whole['RAWY1']}, is above RAWY2, {whole['RAWY2']}.")
    if whole["REV1"] >= whole["REV2"]:
        raise ConfigError(
            f"{where}: no revolution is after REV1, {whole['REV1']}, and before REV2, "
            f"{whole['REV2']}."
        )
    return camera.name, *whole.values()


def _whole(cell: Any, what: str) -> int:
    try:
        number = float(cell)
        if number.is_integer():
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ConfigError(f"{what} is {cell!r}, which is no whole number.")
