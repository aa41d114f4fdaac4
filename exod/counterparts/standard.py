"""Columns of a catalogue as the cross-match wants them, whatever the catalogue calls them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from astropy import units
from astropy.io.votable.ucd import check_ucd

from exod.counterparts.matching import Positions
from exod.counterparts.registry import TYPES, Catalogue, CatalogueColumn
from exod.errors import InputError
from exod.schemas.columns import Column

RA: Final = "_ra"
DEC: Final = "_dec"
PM_RA: Final = "_pm_ra"
PM_DEC: Final = "_pm_dec"
ROW: Final = "_row"
"""Names of what every catalogue has: position in degrees, motion in arcsec a year, row number."""


def find(names: Iterable[str], there: Collection[str]) -> str | None:
    """The first of several names that there is; upper and lower case count if both are there."""
    lower = {name.lower(): name for name in reversed(list(there))}
    for name in names:
        if name in there:
            return name
        if name.lower() in lower:
            return lower[name.lower()]
    return None


def with_columns(catalogue: Catalogue, there: Collection[Column]) -> Catalogue:
    """The catalogue with all columns that a table has, if it declares none."""
    if catalogue.columns:
        return catalogue
    taken: set[str] = set()
    columns = []
    for column in there:
        kind = _type_of(column.type)
        name = re.sub(r"\W", "_", column.name, flags=re.ASCII)
        if kind is None or name in taken:
            continue
        taken.add(name)
        text = column.description or f"Column {column.name} of the table"
        columns.append(
            CatalogueColumn(
                name=name,
                type=kind,  # type: ignore[arg-type]
                unit=column.unit,
                description=text,
                ucd=_ucd_of(column),
                called=(column.name,),
                optional=True,
            )
        )
    # Names of results cannot be those of columns too.
    reserved = {"sep_arcsec", "dra_arcsec", "ddec_arcsec", "n_within", "density_arcmin2"}
    reserved |= {"p_chance"}
    kept = tuple(column for column in columns if column.name not in reserved)
    return catalogue.model_copy(update={"columns": kept})


def _ucd_of(column: Column) -> str:
    """The UCD of a column of a table that may have any, as one that is not the main one here."""
    found = column.ucd.removesuffix(";meta.main")
    return found if check_ucd(found, check_controlled_vocabulary=True) else ""


def _type_of(kind: pa.DataType) -> str | None:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "string"
    for name, known in TYPES.items():
        if kind == known:
            return name
    if pa.types.is_integer(kind):
        small = kind in (pa.int8(), pa.uint8())
        return "int16" if small else "int32" if kind == pa.uint16() else "int64"
    return "float64" if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else None


def wanted(catalogue: Catalogue, there: Collection[str], origin: str) -> dict[str, str]:
    """Which column of a table is which.

    Parameters
    ----------
    catalogue : Catalogue
        With the columns to keep.
    there : collection of str
        Columns of the table.
    origin : str
        What the table is called in messages.

    Returns
    -------
    dict of str to str
        Name in the table of `RA`, `DEC`, `PM_RA`, `PM_DEC` and of the columns to keep.

    Raises
    ------
    InputError
        If one is missing that is not optional.
    """
    asked = {RA: catalogue.ra, DEC: catalogue.dec}
    if catalogue.motion:
        asked |= {PM_RA: catalogue.motion.ra, PM_DEC: catalogue.motion.dec}
    asked |= {column.name: column.names for column in catalogue.columns}
    optional = {column.name for column in catalogue.columns if column.optional}
    found = {name: find(names, there) for name, names in asked.items()}
    missing = [
        " or ".join(asked[name])
        for name, is_there in found.items()
        if is_there is None and name not in optional
    ]
    if missing:
        listed = ", ".join(sorted(there)[:30])
        raise InputError(
            f"{origin} lacks the columns {', '.join(missing)} of {catalogue.name}; it has {listed}."
        )
    return {name: is_there for name, is_there in found.items() if is_there is not None}


def standard(
    table: pa.Table, which: dict[str, str], catalogue: Catalogue, unit: dict[str, str], origin: str
) -> pa.Table:
    """Rows of a table with the names and types of the cross-match; those without a position go.

    Columns to keep have the prefix of the catalogue, so that none is called as one of ours.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of the catalogue, with the column `ROW`.
    which : dict of str to str
        Of `wanted`.
    catalogue : Catalogue
        The declaration.
    unit : dict of str to str
        Units of the columns of the table, empty if not known: then positions are in degrees.
    origin : str
        What the table is called in messages.

    Raises
    ------
    InputError
        If a column cannot be of its type.
    """
    arrays = {ROW: table[ROW].cast(pa.int64())}
    for name in (RA, DEC):
        factor = _factor(unit.get(which[name], ""), "deg", 1.0)
        arrays[name] = _numbers(table[which[name]], which[name], factor, origin)
    if catalogue.motion:
        usual = 1e-3 if catalogue.motion.unit == "mas/yr" else 1.0
        for name in (PM_RA, PM_DEC):
            factor = _factor(unit.get(which[name], ""), "arcsec/yr", usual)
            arrays[name] = _numbers(table[which[name]], which[name], factor, origin)
    for column in catalogue.columns:
        kind = TYPES[column.type]
        name = catalogue.prefix + column.name
        if column.name not in which:
            arrays[name] = pa.nulls(len(table), kind)
            continue
        arrays[name] = _cast(table[which[column.name]], kind, which[column.name], origin)
    found = pa.table(arrays)
    ra, dec = (found[name].to_numpy() for name in (RA, DEC))
    good = np.isfinite(ra) & np.isfinite(dec) & (np.abs(np.nan_to_num(dec)) <= 90.0)
    return found.filter(pa.array(good))


def nothing(catalogue: Catalogue) -> pa.Table:
    """No rows, with the columns of `standard`."""
    plain = [ROW, RA, DEC] + ([PM_RA, PM_DEC] if catalogue.motion else [])
    fields = [pa.field(name, pa.int64() if name == ROW else pa.float64()) for name in plain]
    kept = zip(catalogue.kept, catalogue.columns, strict=True)
    fields += [pa.field(name, TYPES[column.type]) for name, column in kept]
    return pa.schema(fields).empty_table()


def positions(rows: pd.DataFrame, catalogue: Catalogue) -> Positions:
    """Positions of rows that `standard` gave."""
    ra, dec = (rows[name].to_numpy(np.float64) for name in (RA, DEC))
    if catalogue.motion is None or catalogue.epoch is None:
        return Positions(ra, dec)
    pm_ra, pm_dec = (rows[name].to_numpy(np.float64) for name in (PM_RA, PM_DEC))
    return Positions(ra, dec, np.full(len(rows), catalogue.epoch), pm_ra, pm_dec)


def _factor(unit: str, to: str, usual: float) -> float:
    if not unit:
        return usual
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", units.UnitsWarning)
            return float(units.Unit(unit).to(to))
    except (ValueError, TypeError, units.UnitConversionError):
        return usual


def _numbers(values: pa.ChunkedArray, name: str, factor: float, origin: str) -> pa.Array:
    array = _cast(values, pa.float64(), name, origin)
    plain = array.to_numpy(zero_copy_only=False) * factor
    return pa.array(plain)


def _cast(values: pa.ChunkedArray, kind: pa.DataType, name: str, origin: str) -> pa.Array:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.nulls(0, kind)
    try:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if pa.types.is_floating(array.type):
            array = pc.if_else(pc.is_nan(array), None, array)
        if pa.types.is_string(array.type) and kind != pa.string():
            # Text from services and files: empty where there is nothing, T or F for yes and no.
            array = pc.utf8_trim_whitespace(array)
            array = pc.if_else(pc.equal(array, ""), None, array)
            if kind == pa.bool_():
                array = pc.replace_substring_regex(array, "^[Tt]$", "true")
                array = pc.replace_substring_regex(array, "^[Ff]$", "false")
        found = array.cast(kind, safe=not pa.types.is_floating(kind))
    except pa.ArrowException as error:
        raise InputError(
            f"{origin}: the column {name} cannot be {kind} ({str(error).splitlines()[0]})."
        ) from error
    return found
