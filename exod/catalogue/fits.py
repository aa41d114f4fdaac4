"""FITS tables: units, meanings, UCDs, nulls and checksums, and reading them back.

References
----------
Pence et al. 2010, A&A 524, A42 (FITS 3.0: binary tables, TNULL); FITS checksum convention.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy import units
from astropy.io import fits

from exod.catalogue.columns import CatalogueTable, Entry
from exod.schemas.columns import Column

Header = Mapping[str, tuple[str | int | float, str]]
"""Keywords with their value and comment."""

_INTEGERS = {pa.int8(): "I", pa.int16(): "I", pa.int32(): "J", pa.int64(): "K", pa.uint8(): "I"}
_NUMPY: Mapping[str, Any] = {"I": np.int16, "J": np.int32, "K": np.int64}
_NO_BOOLEAN = 255
"""The null of a true or false that may be missing: FITS has no null of its logical columns."""


def write_fits(path: Path, table: CatalogueTable, rows: pa.Table, header: Header) -> None:
    """Write a table of the catalogue as a FITS file with one binary table.

    Parameters
    ----------
    path : Path
        The file; it must not exist.
    table : CatalogueTable
        Its columns.
    rows : pyarrow.Table
        With exactly these columns. Null text becomes empty text, null floats become NaN, null
        whole numbers the smallest of their type (TNULL), and a column of true and false that
        may have nulls one of 1, 0 and 255 (TNULL). Text becomes ASCII.
    header : dict
        Further keywords of both headers.
    """
    columns = [_column(entry, rows[entry.name]) for entry in table.entries]
    hdu = fits.BinTableHDU.from_columns(columns, name=table.name.upper())
    for number, entry in enumerate(table.entries, start=1):
        hdu.header[f"TUCD{number}"] = entry.ucd
        hdu.header[f"TCOMM{number}"] = _ascii(_meaning(entry.column))
    primary = fits.PrimaryHDU()
    primary.header["TITLE"] = _ascii(table.description)
    for part in (primary, hdu):
        for keyword, card in header.items():
            part.header[keyword] = card
    fits.HDUList([primary, hdu]).writeto(path, checksum=True)


def _column(entry: Entry, values: pa.ChunkedArray) -> fits.Column:
    form, null, array = _encoded(values, nullable=entry.column.nullable)
    return fits.Column(
        name=entry.name, format=form, null=null, unit=fits_unit(entry.column.unit), array=array
    )


def _encoded(values: pa.ChunkedArray, *, nullable: bool) -> tuple[str, int | None, np.ndarray]:
    """Format, null and values of a column."""
    kind = values.type
    if pa.types.is_boolean(kind):
        if not nullable:
            return "L", None, values.to_numpy()
        filled = pc.fill_null(values.cast(pa.uint8()), _NO_BOOLEAN)
        return "B", _NO_BOOLEAN, filled.to_numpy()
    if pa.types.is_floating(kind):
        single = kind == pa.float32()
        wanted = values if single else values.cast(pa.float64())
        return "E" if single else "D", None, wanted.to_numpy()
    if kind in _INTEGERS:
        form = _INTEGERS[kind]
        dtype = _NUMPY[form]
        null = int(np.iinfo(dtype).min) if nullable else None
        wide = values.cast(pa.int64())
        filled = wide if null is None else pc.fill_null(wide, null)
        return form, null, filled.to_numpy().astype(dtype)
    text = pc.fill_null(values.cast(pa.string()), "").to_pylist()
    encoded = np.array([_ascii(item) for item in text], dtype="S")
    return f"{max(encoded.itemsize, 1)}A", None, encoded


def _ascii(text: str) -> str:
    """Text as FITS can hold it: accents are dropped, and ``?`` stands for what has no ASCII."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return kept.encode("ascii", "replace").decode()


def fits_unit(unit: str) -> str | None:
    """A unit in the notation of FITS; None if there is none or FITS does not know it.

    Examples
    --------
    >>> fits_unit("ct/s"), fits_unit("erg/cm2/s"), fits_unit("furlong")
    ('ct/s', 'erg s-1 cm-2', None)
    """
    with warnings.catch_warnings():
        # More than one slash, which is rewritten here.
        warnings.simplefilter("ignore", units.UnitsWarning)
        try:
            if unit.count("/") < 2 and units.Unit(unit, format="fits"):
                return unit or None
        except ValueError:
            pass
        try:
            return str(units.Unit(unit).to_string("fits"))
        except ValueError:
            return None


def _meaning(column: Column) -> str:
    told = fits_unit(column.unit) or not column.unit
    return column.description if told else f"{column.description} ({column.unit})"


def fits_problem(path: Path, table: CatalogueTable, n_rows: int) -> str:
    """What is wrong with a FITS file of the catalogue; empty if nothing is.

    The file is read again: its structure and checksums are verified, its columns, units and
    number of rows compared, and astropy must make a table of it without a warning.
    """
    from astropy.table import Table

    # astropy tells of wrong checksums by warnings, which as errors would leave the file open.
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            with fits.open(path, checksum=True) as file:
                file.verify("exception")
                wrong = [hdu.name for hdu in file if _checksums(hdu) != (1, 1)]
            found = Table.read(path, hdu=1)
        except (OSError, ValueError, fits.VerifyError) as error:
            return f"cannot be read again ({error})"
    if told or wrong:
        return f"is damaged ({told[0].message if told else f'checksum of {wrong[0]}'})"
    if found.colnames != table.names:
        return "has other columns than it should"
    for entry in table.entries:
        expected = fits_unit(entry.column.unit)
        unit = found[entry.name].unit
        if (expected is None) != (unit is None) or (expected and units.Unit(expected) != unit):
            return f"has the unit {unit} of {entry.name}, not {expected}"
    return "" if len(found) == n_rows else f"has {len(found)} rows, not {n_rows}"


def _checksums(hdu: Any) -> tuple[int, int]:
    return hdu.verify_checksum(), hdu.verify_datasum()
