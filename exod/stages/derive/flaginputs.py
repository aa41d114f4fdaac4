"""What users give to the flags: tables of excluded observations, and of hot regions."""

from __future__ import annotations

import tomllib
from io import StringIO
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from exod.errors import ConfigError, InputError
from exod.files.text import read_text
from exod.observation.identifiers import validate_obsid
from exod.sources.vetting.hotregions import BOX_EDGES
from exod.tablefiles.shipped import catalogs_folder

_CORNER: Final = ("x", "y", "w", "h")
"""Columns of boxes as EXOD2 has them."""

EXCLUDED: Final = "excluded_observations.csv"
"""Our own table of excluded observations, in the folder of the catalogues."""


def read_excluded(path: str | Path | None = None) -> dict[str, str]:
    """Read a table of excluded observations: CSV with the columns obsid and reason.

    Parameters
    ----------
    path : path, optional
        The table; by default the one that comes with exod. Lines that start with # are comments.

    Returns
    -------
    dict of str to str
        The reason for each observation, in order of obsid.

    Raises
    ------
    ConfigError
        If it cannot be read, has other columns, an obsid that cannot be or is there twice, or a
        line without reason.
    """
    path = Path(path) if path is not None else catalogs_folder() / EXCLUDED
    rows = _csv(path, "excluded observations", ("obsid", "reason"))
    found: dict[str, str] = {}
    for obsid, reason in rows.itertuples(index=False):
        try:
            validate_obsid(obsid)
        except InputError as error:
            raise ConfigError(f"The excluded observations of {path} are wrong: {error}") from error
        if obsid in found or not reason.strip():
            what = "twice" if obsid in found else "without a reason"
            raise ConfigError(f"{path} has the observation {obsid} {what}.")
        found[obsid] = reason.strip()
    return dict(sorted(found.items()))


def no_boxes() -> pd.DataFrame:
    """Hot regions that nobody gives: the columns of `read_boxes`, without rows."""
    return pd.DataFrame(columns=["t_bin", *BOX_EDGES], dtype=np.float64)


def read_boxes(path: str | Path) -> pd.DataFrame:
    """Read hot regions of the detector that a user gives.

    Parameters
    ----------
    path : path
        CSV with the columns x_lo, x_hi, y_lo, y_hi and perhaps t_bin, or TOML with tables
        ``[[box]]`` of these. Edges are sky pixels of 0.05 arcsec from the pointing, turned back
        by the position angle; without a time bin a box is for all. In place of the edges there
        may be x, y, w, h: the lower corner, width and height, as EXOD2 has them.

    Returns
    -------
    DataFrame
        Columns t_bin (s; NaN for all), x_lo, x_hi, y_lo, y_hi; float64.

    Raises
    ------
    ConfigError
        If it cannot be read, or a box is not one.
    """
    path = Path(path)
    if path.suffix.lower() == ".toml":
        try:
            content = tomllib.loads(read_text(path, "The table of hot regions"))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"The hot regions {path} cannot be read: {error}.") from error
        if set(content) != {"box"} or not isinstance(content["box"], list):
            raise ConfigError(f"{path} must have tables [[box]] and nothing else.")
        rows = pd.DataFrame(content["box"])
    else:
        rows = _csv(path, "hot regions", BOX_EDGES)
    is_corner = set(_CORNER) <= set(rows.columns)
    known = {"t_bin", *(_CORNER if is_corner else BOX_EDGES)}
    if is_corner and not set(rows.columns) - known:
        rows = _with_edges(rows, path)
        known = {"t_bin", *BOX_EDGES}
    if set(rows.columns) - known or not set(BOX_EDGES) <= set(rows.columns):
        raise ConfigError(
            f"The hot regions of {path} need the columns {', '.join(BOX_EDGES)}, or "
            f"{', '.join(_CORNER)}, and may have t_bin."
        )
    if "t_bin" not in rows:
        rows["t_bin"] = np.nan
    boxes = _as_numbers(rows[["t_bin", *BOX_EDGES]], path)
    wrong = ~((boxes["x_lo"] < boxes["x_hi"]) & (boxes["y_lo"] < boxes["y_hi"]))
    if wrong.any():
        raise ConfigError(
            f"{path}: box {int(np.argmax(wrong)) + 1} is empty; x_lo must be below x_hi, and y_lo "
            f"below y_hi."
        )
    return boxes


def read_pivot(text: str | None, boxes: Path | None) -> tuple[float, float] | None:
    """The sky pixel that boxes are turned about, of what a person wrote.

    Raises
    ------
    ConfigError
        If it is not two numbers, or there are no boxes that it could be of.

    Examples
    --------
    >>> read_pivot("25719,25719", Path("boxes.csv"))
    (25719.0, 25719.0)
    """
    if text is None:
        return None
    if boxes is None:
        raise ConfigError("--pivot is of the boxes that are given; give them with --boxes FILE.")
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = np.nan
    if not np.isfinite([x, y]).all():
        raise ConfigError(f"--pivot takes a sky pixel as 25719,25719, not {text}.")
    return x, y


def _with_edges(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Boxes with edges in place of a corner and sides."""
    numbers = _as_numbers(rows, path)
    x, y, width, height = (numbers[name] for name in _CORNER)
    edges = {"x_lo": x, "x_hi": x + width, "y_lo": y, "y_hi": y + height}
    return numbers.drop(columns=list(_CORNER)).assign(**edges)


def _as_numbers(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    try:
        return rows.replace("", np.nan).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The hot regions of {path} must be numbers: {error}.") from error


def _csv(path: Path, what: str, needed: tuple[str, ...]) -> pd.DataFrame:
    """A small table of texts."""
    text = read_text(path, f"The table of {what}")
    try:
        rows = pd.read_csv(
            StringIO(text), comment="#", dtype=str, keep_default_na=False, skipinitialspace=True
        )
    except ValueError as error:
        raise ConfigError(f"The table of {what} {path} cannot be read: {error}.") from error
    if needed[0] == "obsid" and list(rows.columns) != list(needed):
        raise ConfigError(f"The table of {what} {path} must have the columns {', '.join(needed)}.")
    return rows
