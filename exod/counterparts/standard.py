"""Columns of a catalogue as the cross-match wants them, whatever the catalogue calls them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io.votable.ucd import check_ucd

from exod.counterparts.columnunits import angle_factor, value_factor
from exod.counterparts.matching import Positions
from exod.counterparts.registry import RESULTS, TYPES, Catalogue, CatalogueColumn
from exod.errors import InputError
from exod.schemas.columns import Column
from exod.tablefiles.textcells import numbers, without_missing

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


def with_positions(catalogue: Catalogue, there: Collection[Column]) -> Catalogue:
    """The catalogue with positions that the UCDs of a table tell, if none is called as it says."""
    names, found = [column.name for column in there], {}
    for axis, called in (("ra", catalogue.ra), ("dec", catalogue.dec)):
        main = [c.name for c in there if c.ucd.lower() == f"pos.eq.{axis};meta.main"]
        if not catalogue.columns and find(called, names) is None and len(main) == 1:
            found[axis] = (*called, *main)
    return catalogue.model_copy(update=found)


def with_columns(
    catalogue: Catalogue, there: Collection[Column]
) -> tuple[Catalogue, tuple[str, ...]]:
    """The catalogue with all columns that a table has, if it declares none, and notes.

    Names of results cannot be those of columns too, nor can two differ in capital letters alone,
    which neither FITS nor DuckDB tell: what comes later has a number behind its name.
    """
    if catalogue.columns:
        return catalogue, ()
    taken = {column.name.lower() for column in RESULTS}
    columns, notes = list[CatalogueColumn](), list[str]()
    for column in there:
        name = start = re.sub(r"\W", "_", column.name, flags=re.ASCII)
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{start}_{number}"
        taken.add(name.lower())
        if number > 1:
            notes.append(f"The column {column.name} is called {catalogue.prefix}{name}.")
        text = column.description or f"Column {column.name} of the table"
        columns.append(
            CatalogueColumn(
                name=name,
                type=_type_of(column.type),  # type: ignore[arg-type]
                unit=column.unit,
                description=text,
                ucd=_ucd_of(column),
                called=(column.name,),
                optional=True,
            )
        )
    return catalogue.model_copy(update={"columns": tuple(columns)}), tuple(notes)


def _ucd_of(column: Column) -> str:
    """The UCD of a column of a table that may have any, as one that is not the main one here."""
    found = column.ucd.removesuffix(";meta.main")
    return found if check_ucd(found, check_controlled_vocabulary=True) else ""


def _type_of(kind: pa.DataType) -> str:
    """The type of a declaration for one of the plain types that files are read as."""
    for name, known in TYPES.items():
        if kind == known:
            return name
    if pa.types.is_integer(kind):
        return "int16" if kind.bit_width == 8 else "int32" if kind.bit_width == 16 else "int64"
    return "float64" if pa.types.is_floating(kind) else "string"


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
        If one is missing that is not optional for what answers.
    """
    asked = {RA: catalogue.ra, DEC: catalogue.dec}
    if catalogue.motion:
        asked |= {PM_RA: catalogue.motion.ra, PM_DEC: catalogue.motion.dec}
    asked |= {column.name: column.names for column in catalogue.columns}
    may_lack = {True, "copy"} if catalogue.method in {"table", "hats"} else {True}
    optional = {column.name for column in catalogue.columns if column.optional in may_lack}
    found = {name: find(names, there) for name, names in asked.items()}
    missing: list[Sequence[str]] = []
    for name in (name for name, is_there in found.items() if is_there is None):
        # A position may be a column that is asked for, too, by fewer names or in another order.
        is_told = any(set(asked[name]) <= set(names) for names in missing)
        if name not in optional and not is_told:
            missing.append(asked[name])
    if missing:
        lacking = ", ".join(" or ".join(names) for names in missing)
        listed = ", ".join(sorted(there)[:30])
        raise InputError(
            f"{origin} lacks the columns {lacking} of {catalogue.name}; it has {listed}."
        )
    return {name: is_there for name, is_there in found.items() if is_there is not None}


def conversions(
    which: dict[str, str], catalogue: Catalogue, unit: Mapping[str, str], origin: str
) -> tuple[dict[str, float], tuple[str, ...]]:
    """What the columns of a table are multiplied by, and notes.

    Parameters
    ----------
    which : dict of str to str
        Of `wanted`.
    catalogue : Catalogue
        The declaration.
    unit : mapping of str to str
        Units of the columns of the table, empty if not known: then positions are in degrees.
    origin : str
        What the table is called in messages.

    Raises
    ------
    InputError
        If positions or motions have a unit that cannot be converted.
    """
    factors: dict[str, float] = {}
    for name, to, usual in _angles(catalogue):
        what = f"{origin}: the column {which[name]}"
        factors[name] = angle_factor(unit.get(which[name], ""), to, usual, what)
    notes = []
    for column in catalogue.columns:
        here = unit.get(which.get(column.name, ""), "")
        factor, note = value_factor(here, column.unit, f"The column {which.get(column.name)}")
        if factor != 1.0 and not column.type.startswith("float"):
            note = f"The column {which[column.name]} is kept in {here}, not in {column.unit}."
        factors[column.name] = factor if column.type.startswith("float") else 1.0
        notes += [note] if note else []
    return factors, tuple(notes)


def _angles(catalogue: Catalogue) -> Iterator[tuple[str, str, float]]:
    """Positions and motions with the unit that is wanted and the factor of no unit."""
    yield RA, "deg", 1.0
    yield DEC, "deg", 1.0
    if catalogue.motion:
        usual = 1e-3 if catalogue.motion.unit == "mas/yr" else 1.0
        yield PM_RA, "arcsec/yr", usual
        yield PM_DEC, "arcsec/yr", usual


def standard(
    table: pa.Table,
    which: dict[str, str],
    catalogue: Catalogue,
    factors: Mapping[str, float],
    origin: str,
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
    factors : mapping of str to float
        Of `conversions`; columns that are not in it stay as they are.
    origin : str
        What the table is called in messages.

    Raises
    ------
    InputError
        If a column cannot be of its type.
    """
    arrays = {ROW: table[ROW].cast(pa.int64())}
    for name, _, usual in _angles(catalogue):
        factor = factors.get(name, usual)
        array = _cast(table[which[name]], pa.float64(), which[name], origin)
        arrays[name] = pa.array(array.to_numpy(zero_copy_only=False) * factor)
    for column in catalogue.columns:
        kind = TYPES[column.type]
        name = catalogue.prefix + column.name
        if column.name not in which:
            arrays[name] = pa.nulls(len(table), kind)
            continue
        array = _cast(table[which[column.name]], kind, which[column.name], origin)
        factor = factors.get(column.name, 1.0)
        arrays[name] = array if factor == 1.0 else pc.multiply(array, factor).cast(kind)
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
            # Text from services and files: T or F for yes and no.
            array = without_missing(array)
            if pa.types.is_floating(kind):
                array = numbers(array)
            if kind == pa.bool_():
                array = pc.replace_substring_regex(array, "^[Tt]$", "true")
                array = pc.replace_substring_regex(array, "^[Ff]$", "false")
        found = array.cast(kind, safe=not pa.types.is_floating(kind))
    except pa.ArrowException as error:
        raise InputError(
            f"{origin}: the column {name} cannot be {kind} ({str(error).splitlines()[0]})."
        ) from error
    return found
