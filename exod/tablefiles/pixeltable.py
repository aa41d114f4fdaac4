"""Tables of hot pixels that a user gives in place of finding them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from exod.errors import ConfigError, InputError
from exod.instruments import CAMERAS
from exod.tablefiles.reading import ForeignTable

COLUMNS: Final = ("INSTRUME", "CCDNR", "RAWX", "RAWY", "REV1", "REV2")
"""What the columns are called, in capital or small letters."""


def read_hot_pixel_table(path: Path) -> pd.DataFrame:
    """Read a table of hot pixels, and make sure that each of its rows can be one.

    Parameters
    ----------
    path : Path
        FITS, CSV, ECSV, VOTable or Parquet file with `COLUMNS`; a pixel is hot in revolutions
        after REV1 and before REV2.

    Returns
    -------
    DataFrame
        The columns INSTRUME (text) and CCDNR, RAWX, RAWY, REV1, REV2 (int64), in the order of the
        file.

    Raises
    ------
    ConfigError
        If it cannot be read, lacks a column, has no rows, or has a cell that is empty, of a camera
        that is not known, or no pixel of its camera; the text names row and column.
    """
    try:
        file = ForeignTable(path, [[name] for name in COLUMNS])
        there = {column.name.upper(): column.name for column in reversed(file.columns)}
        there |= {column.name: column.name for column in file.columns}
        missing = [name for name in COLUMNS if name not in there]
        if missing:
            raise ConfigError(f"The hot pixel table {path} lacks the columns {', '.join(missing)}.")
        names = [there[name] for name in COLUMNS]
        tables = list(file.batches(names, as_text=names))
    except InputError as error:
        raise ConfigError(f"The hot pixel table cannot be used: {error}") from error
    rows = pa.concat_tables(tables).to_pylist() if tables else []
    if not rows:
        raise ConfigError(
            f"The hot pixel table {path} has no rows; use selection.hot_pixels=off to remove none."
        )
    checked = [
        _pixel(list(row.values()), f"The hot pixel table {path}, row {number}")
        for number, row in enumerate(rows, start=1)
    ]
    return pd.DataFrame(checked, columns=list(COLUMNS))


def _pixel(cells: list[Any], where: str) -> tuple[Any, ...]:
    """A row with its types."""
    for name, cell in zip(COLUMNS, cells, strict=True):
        if cell is None:
            raise ConfigError(f"{where}: {name} is empty.")
    camera = CAMERAS.get(str(cells[0]).upper())
    if camera is None:
        raise ConfigError(f"{where}: INSTRUME is {cells[0]!r}, not {', '.join(CAMERAS)}.")
    numbers = dict(zip(COLUMNS[1:], cells[1:], strict=True))
    whole = {name: _whole(cell, f"{where}: {name}") for name, cell in numbers.items()}
    if camera.n_ccds < 10:
        # CCDs that are read through the redundant node have ten added to their number.
        whole["CCDNR"] %= 10
    last = {"CCDNR": camera.n_ccds, "RAWX": camera.n_columns, "RAWY": camera.n_rows}
    for name, most in last.items():
        if not 1 <= whole[name] <= most:
            raise ConfigError(
                f"{where}: {name} is {numbers[name]}, and that of {camera.name} is 1 to {most}."
            )
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
