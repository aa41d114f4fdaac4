"""Columns of any kind as Arrow columns with one value a row; what has no such form is told.

Tables of other programs hold times, positions on the sky, records and lists. What can be said in
numbers and text is kept, under the name of the column or one that continues it; of everything else
there is a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_KEPT: Final = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_string,
)
_AS_TEXT: Final = (
    pa.types.is_null,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_timestamp,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_duration,
)
_AS_BYTES: Final = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_binary_view,
)
_WHOLE_DIGITS: Final = 18
"""Digits that every whole number of 64 bits has room for."""


def left_out(name: str, reason: str) -> str:
    """The note of a column that is not kept."""
    return f"The column {name} is left out, since it {reason}."


def distinct(names: Iterable[str]) -> list[str]:
    """Names of columns, each other than those before it; nameless ones get their number.

    Examples
    --------
    >>> distinct(["a", "", "a", "a_2", " b"])
    ['a', 'column2', 'a_2', 'a_2_2', 'b']
    """
    found: list[str] = []
    for number, given in enumerate(names, start=1):
        name, tries = given.strip() or f"column{number}", 1
        start = name
        while name in found:
            tries += 1
            name = f"{start}_{tries}"
        found.append(name)
    return found


def renamed(names: Iterable[str], now: Iterable[str]) -> list[str]:
    """Notes of the columns that have another name now."""
    return [
        f"The column {old.strip() or '(without a name)'} is called {new}."
        for old, new in zip(names, now, strict=True)
        if old.strip() != new
    ]


# -------------------------------------------------------------------- tables of Arrow


def plain_arrow(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """A table with plain columns only, and notes; records become a column for each field.

    Parameters
    ----------
    table : pyarrow.Table
        With any columns, of different names.
    """
    notes: list[str] = []
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    fields, arrays = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        array = _plain(column)
        if array is None:
            notes.append(left_out(field.name, f"holds values of the type {field.type}"))
            continue
        fields.append(pa.field(field.name, array.type, metadata=field.metadata))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields)), notes


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    column = _unwrapped(column)
    kind = column.type
    if any(is_kind(kind) for is_kind in _AS_BYTES):
        return pa.chunked_array([pa.array(map(_decoded, column.to_pylist()), pa.string())])
    other = _other_type(kind)
    return column if other == kind else None if other is None else column.cast(other)


def _unwrapped(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values of a column that stores them in another way."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        storage = [chunk.storage for chunk in column.chunks]
        return _unwrapped(pa.chunked_array(storage, kind.storage_type))
    if pa.types.is_dictionary(kind):
        return _unwrapped(column.cast(kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        return _unwrapped(pc.run_end_decode(column))
    return column


def _other_type(kind: pa.DataType) -> pa.DataType | None:
    """The plain type that a type becomes; None if there is none."""
    if any(is_kind(kind) for is_kind in _AS_TEXT):
        return pa.string()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal(kind):
        return pa.int64() if not kind.scale and kind.precision <= _WHOLE_DIGITS else pa.float64()
    return kind if any(is_kind(kind) for is_kind in _KEPT) else None


def _decoded(value: bytes | None) -> str | None:
    if value is None:
        return None
    text = value.partition(b"\0")[0]
    try:
        return text.decode().strip() or None
    except UnicodeDecodeError:
        return text.decode("latin-1").strip() or None


# -------------------------------------------------------------------- tables of astropy


def arrow_of(table: Any) -> tuple[pa.Table, list[str]]:
    """An astropy table as Arrow with plain columns, units in their metadata, and notes."""
    fields, arrays, notes = [], [], []
    for name in table.colnames:
        for part, values, note in _parts(name, table[name]):
            notes += [note] if note else []
            if values is None:
                continue
            array = arrow_array(np.ma.getdata(values), np.ma.getmaskarray(values))
            if array is None:
                notes.append(left_out(part, "holds neither numbers nor text"))
                continue
            fields.append(pa.field(part, array.type, metadata=_about(values)))
            arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields)), notes


def _about(values: Any) -> dict[str, str]:
    """Unit, meaning and UCD of a column."""
    meta = getattr(values, "meta", None) or {}
    return {
        "unit": str(getattr(values, "unit", None) or ""),
        "description": str(getattr(values, "description", None) or ""),
        "ucd": str(meta.get("ucd", "")),
    }


_Part = tuple[str, Any, str]
"""A name, the values of a column (None if there are none), and a note or nothing."""


def _parts(name: str, column: Any) -> Iterator[_Part]:
    """What becomes of a column: itself, others in its place, or nothing."""
    for kind, parts in _mixins().items():
        if isinstance(column, kind):
            yield from parts(name, column)
            return
    dtype, size = getattr(column, "dtype", None), getattr(column, "ndim", 0)
    if dtype is None or dtype.kind == "V":
        yield name, None, left_out(name, f"is of the kind {type(column).__name__}")
    elif size != 1:
        yield name, None, left_out(name, "holds several values a row")
    elif dtype.kind == "c":
        yield from complex_parts(name, column)
    else:
        yield name, column, ""


def complex_parts(name: str, values: Any) -> Iterator[_Part]:
    """Real and imaginary part of complex numbers, as columns of their own."""
    yield f"{name}.real", values.real, f"The column {name} is kept as {name}.real and {name}.imag."
    yield f"{name}.imag", values.imag, ""


def _mixins() -> dict[type, Callable[[str, Any], Iterator[_Part]]]:
    from astropy.coordinates import SkyCoord
    from astropy.time import Time, TimeDelta
    from astropy.units import Quantity

    return {SkyCoord: _sky, TimeDelta: _duration, Time: _time, Quantity: _quantity}


def _sky(name: str, column: Any) -> Iterator[_Part]:
    from astropy.table import MaskedColumn

    if column.ndim != 1:
        yield name, None, left_out(name, "holds several values a row")
        return
    try:
        places = column.icrs
    except (AttributeError, TypeError, ValueError) as error:
        yield name, None, left_out(name, f"cannot be turned to ICRS ({error})")
        return
    note = f"The column {name} is kept as {name}.ra and {name}.dec, ICRS."
    for part, ucd in (("ra", "pos.eq.ra"), ("dec", "pos.eq.dec")):
        value, mask = _unmasked(getattr(places, part).to_value("deg"))
        about = {"unit": "deg", "meta": {"ucd": ucd}}
        yield f"{name}.{part}", MaskedColumn(value, mask=mask, **about), note
        note = ""


def _time(name: str, column: Any) -> Iterator[_Part]:
    if column.ndim != 1:
        yield name, None, left_out(name, "holds several values a row")
        return
    mask = np.ma.getmaskarray(column.masked_array) if hasattr(column, "masked_array") else None
    if mask is None:
        mask = np.asarray(column.mask) if column.masked else np.zeros(len(column), bool)
    texts = np.array([None if gone else time.isot for time, gone in zip(column, mask, strict=True)])
    yield name, texts.astype(object), f"The column {name} is kept as text, {column.scale.upper()}."


def _duration(name: str, column: Any) -> Iterator[_Part]:
    from astropy.table import MaskedColumn

    if column.ndim != 1:
        yield name, None, left_out(name, "holds several values a row")
        return
    value, mask = _unmasked(column.to_value("sec"))
    yield name, MaskedColumn(value, mask=mask, unit="s"), ""


def _quantity(name: str, column: Any) -> Iterator[_Part]:
    from astropy.table import MaskedColumn

    if column.ndim != 1:
        yield name, None, left_out(name, "holds several values a row")
        return
    value, mask = _unmasked(column.value)
    text = column.info.description
    yield name, MaskedColumn(value, mask=mask, unit=column.unit, description=text), ""


def _unmasked(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values and mask of what astropy may have masked in one of its ways."""
    mask = getattr(values, "mask", np.zeros(np.shape(values), bool))
    plain = getattr(values, "unmasked", np.ma.getdata(values))
    return np.asarray(plain), np.broadcast_to(np.asarray(mask), np.shape(plain))


def arrow_array(values: np.ndarray, missing: np.ndarray) -> pa.Array | None:
    """An Arrow array of NumPy values: native bytes, text stripped, NaN and masked null.

    None if the values are neither numbers, truth values nor text.
    """
    if values.dtype.kind in "SUO":
        found: list[str | None] = []
        for value, gone in zip(values.tolist(), missing.tolist(), strict=True):
            if gone or value is None:
                found.append(None)
            elif isinstance(value, bytes):
                found.append(_decoded(value))
            elif isinstance(value, (str, int, float, bool)):
                found.append(str(value).strip() or None)
            else:
                return None
        return pa.array(found, pa.string())
    if values.dtype.kind == "M":
        return pa.array(values.astype("M8[us]"), mask=missing | np.isnat(values)).cast(pa.string())
    if values.dtype.kind not in "biuf":
        return None
    values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
        # Arrow has no floating-point numbers of 16 and 128 bits that everything else reads.
        values = values.astype({2: "f4", 16: "f8"}.get(values.dtype.itemsize, values.dtype))
    return pa.array(values, mask=missing)
