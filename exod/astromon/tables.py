"""Columns of the tables of astromon, and what brings any table into their form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from astropy import units
from astropy.table import Table
from numpy.typing import NDArray

from exod.errors import InputError

Rows = NDArray[Any]
"""A structured array; text is bytes, as on disk."""

DTYPES: Final = MappingProxyType(
    {
        "astromon_obs": np.dtype(
            [
                ("obsid", "i4"),
                ("version", "f4"),
                ("detector", "S6"),
                ("target", "S28"),
                ("grating", "S4"),
                ("sim_z", "f4"),
                ("date_obs", "S20"),
                ("tstart", "f4"),
                ("ascdsver", "S32"),
                ("ra", "f8"),
                ("dec", "f8"),
                ("roll", "f8"),
                ("category_id", "i4"),
            ]
        ),
        "astromon_xray_src": np.dtype(
            [
                ("obsid", "i4"),
                ("id", "i4"),
                ("ra", "f8"),
                ("dec", "f8"),
                ("net_counts", "f4"),
                ("y_angle", "f4"),
                ("z_angle", "f4"),
                ("r_angle", "f4"),
                ("snr", "f4"),
                ("near_neighbor_dist", "f4"),
                ("pileup", "f4"),
                ("acis_streak", "i4"),
                ("caldb_version", "S10"),
            ]
        ),
        "astromon_cat_src": np.dtype(
            [
                ("obsid", "i4"),
                ("id", "i4"),
                ("x_id", "i4"),
                ("catalog", "S16"),
                ("name", "S24"),
                ("ra", "f8"),
                ("dec", "f8"),
                ("separation", "f4"),
                ("mag", "f4"),
                ("y_angle", "f4"),
                ("z_angle", "f4"),
            ]
        ),
        "astromon_xcorr": np.dtype(
            [
                ("select_name", "S14"),
                ("obsid", "i4"),
                ("c_id", "i4"),
                ("x_id", "i4"),
                ("dy", "f4"),
                ("dz", "f4"),
                ("dr", "f4"),
            ]
        ),
        "astromon_regions": np.dtype(
            [
                ("region_id", "i4"),
                ("region_id_str", "S10"),
                ("last_modified", "S21"),
                ("ra", "f8"),
                ("dec", "f8"),
                ("radius", "f4"),
                ("obsid", "i4"),
                ("user", "S50"),
                ("comments", "S200"),
            ]
        ),
        "astromon_meta": np.dtype([("last_region_id", "i4")]),
    }
)
"""Every table with the types of its columns; angles ra, dec, roll in deg, others in arcsec."""

UNITS: Final = MappingProxyType(
    {
        **dict.fromkeys(("ra", "dec", "roll"), "deg"),
        **dict.fromkeys(
            ("y_angle", "z_angle", "r_angle", "near_neighbor_dist", "separation"), "arcsec"
        ),
        **dict.fromkeys(("dy", "dz", "dr", "radius"), "arcsec"),
        "sim_z": "mm",
        "tstart": "s",
        "mag": "mag",
    }
)
"""Units of columns; others have none. Tables that are read carry none, as those of astromon."""

CATEGORIES: Final = MappingProxyType(
    {
        10: "Normal Stars and WD",
        20: "WD Binaries and CVs",
        30: "BH and NS Binaries",
        40: "Normal Galaxies",
        50: "Active Galaxies and Quasars",
        60: "Extragalactic Diffuse Emission & Surveys",
        70: "Galactic Diffuse Emission & Surveys",
        100: "Solar System and Misc",
        110: "SN, SNR, and Isolated NS",
        120: "Clusters of Galaxies",
        200: "Unknown",
    }
)
"""Names of the categories of observations, by category_id."""

SIM_Z: Final = MappingProxyType(
    {"ACIS-I": -233.587, "ACIS-S": -190.143, "HRC-I": 126.983, "HRC-S": 250.466}
)
"""Nominal places of the detectors along Z, in mm."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PRECISE: Final = ("ra", "dec", "pileup")


def empty(table_name: str) -> Rows:
    """No rows of a table.

    Raises
    ------
    InputError
        If there is no such table.
    """
    if table_name not in DTYPES:
        raise InputError(f"{table_name!r} is no table of astromon; there are {', '.join(DTYPES)}.")
    return np.zeros(0, DTYPES[table_name])


def as_rows(table_name: str, table: Table) -> Rows:
    """Rows of a table in its declared types; of unknown tables in their own.

    Columns that are not declared are dropped, text is cut to its length, masked floating-point
    values become NaN, masked text is empty, and columns with a unit are converted to `UNITS`.

    Raises
    ------
    InputError
        If a column is missing, or has values that its type cannot hold.
    """
    dtype = DTYPES.get(table_name)
    if not _NAME.fullmatch(table_name):
        raise InputError(
            f"{table_name!r} is no name of a table; give letters, digits and underscores."
        )
    if dtype is None:
        dtype = np.dtype([(name, _kind_of(table_name, table[name])) for name in table.colnames])
    missing = [name for name in dtype.names or () if name not in table.colnames]
    if missing:
        raise InputError(f"{table_name} cannot be saved: column {', '.join(missing)} is missing.")
    rows = np.zeros(len(table), dtype)
    for name in dtype.names or ():
        try:
            rows[name] = column_values(_in_unit(table[name], UNITS.get(name)), dtype[name])
        except (TypeError, ValueError, OverflowError, units.UnitConversionError) as error:
            raise InputError(
                f"{table_name} cannot be saved: column {name} has values that are no {dtype[name]} "
                f"({error})."
            ) from error
    return rows


def _kind_of(table_name: str, column: Any) -> np.dtype[Any]:
    """The type of a column that is not declared; text gets the room that it needs."""
    dtype: np.dtype[Any] = getattr(column, "dtype", np.dtype(object))
    if dtype.kind in "iufb" and column.ndim == 1:
        return dtype
    if dtype.kind in "SUO" and column.ndim == 1:
        texts = np.ma.filled(np.ma.asarray(column).astype(object), "").tolist()
        longest = max((len(_bytes(text)) for text in texts if text is not None), default=0)
        return np.dtype(f"S{longest or 1}")
    raise InputError(
        f"{table_name} cannot be saved: column {column.info.name} has neither numbers nor text, "
        f"or several in a row."
    )


def _in_unit(column: Any, unit: str | None) -> Any:
    """A column in the unit that it is stored in; one without a unit is."""
    own = getattr(column, "unit", None)
    if unit is None or own is None or own == units.Unit(unit):
        return column
    factor = units.Unit(own).to(unit)
    return np.ma.asarray(getattr(column, "value", column)) * factor


def column_values(column: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A column as an array of the type; whole numbers must stay what they are.

    Raises
    ------
    TypeError, ValueError, OverflowError
        If values are of another kind, or whole numbers are missing.
    """
    if dtype.kind == "f":
        floats = np.ma.asarray(getattr(column, "value", column)).astype(dtype)
        return np.asarray(np.ma.filled(floats, np.nan))
    if dtype.kind == "S":
        # Text that is missing is empty: there is no other mark for it on disk.
        given = np.ma.asarray(column)
        if given.dtype.kind == "S":
            return np.asarray(np.ma.filled(given, b"")).astype(dtype)
        plain = np.ma.filled(given.astype(object), "").tolist()
        # A character of several bytes is not cut in two.
        texts = [b"" if text is None else _bytes(text)[: dtype.itemsize] for text in plain]
        return np.array([text.decode(errors="ignore").encode() for text in texts], dtype)
    if np.ma.is_masked(column):
        raise ValueError("some are missing")
    values = np.asarray(column)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("some are not known")
    whole = values.astype(dtype)
    if values.dtype.kind not in "iub" and not (values.astype(float) == whole).all():
        raise ValueError("some are not whole numbers")
    if values.dtype.kind in "iu" and not (values == whole).all():
        raise ValueError("some are too large")
    return whole


def _bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()


def as_table(rows: Rows) -> Table:
    """Rows as people use them: text instead of bytes, numbers in a readable format."""
    table = Table(rows)
    table.convert_bytestring_to_unicode()
    return with_formats(table)


def with_formats(table: Table) -> Table:
    """The same table, whose floating-point columns are printed with 2 decimals, some with 4."""
    for name in table.colnames:
        column = table[name]
        if getattr(column, "dtype", np.dtype(object)).kind == "f":
            column.info.format = (
                ".4f" if name.removeprefix("x_").removeprefix("c_") in _PRECISE else ".2f"
            )
    return table


def filled(table_name: str, types: Any, columns: Mapping[str, Any]) -> Rows:
    """Rows of columns as they are in a file, in their declared types.

    Raises
    ------
    InputError
        If a column has values of another kind.
    """
    length = len(next(iter(columns.values()), ()))
    rows = np.zeros(length, types)
    for name in rows.dtype.names or ():
        try:
            rows[name] = column_values(columns[name], rows.dtype[name])
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"{table_name} in the file has values in column {name} that are no "
                f"{rows.dtype[name]} ({error}); save the table anew."
            ) from error
    return rows


def counted(obsids: NDArray[Any]) -> dict[int, int]:
    """How often each observation is there.

    Examples
    --------
    >>> counted(np.array([3, 1, 3]))
    {1: 1, 3: 2}
    """
    found, counts = np.unique(obsids, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def damaged(path: Path, error: object) -> InputError:
    """The sentence on a file that cannot be read."""
    return InputError(
        f"{path} cannot be read as tables of astromon ({error}); restore it from a copy."
    )
