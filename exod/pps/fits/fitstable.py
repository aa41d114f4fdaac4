"""Columns of binary tables in FITS: where they are in a row, and their numbers, exactly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exod.pps.fits.keywords import Keywords

_FORMAT: Final = re.compile(r"(\d{0,9})([LXBIJKAEDCMPQ])")
_BYTES: Final = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8}
_BYTES_OF_OTHERS: Final = {"C": 8, "M": 16, "P": 8, "Q": 16}
_DTYPES: Final = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_MOST_BITS: Final = 64


@dataclass(frozen=True)
class Conversion:
    """What a column is to become.

    Attributes
    ----------
    dtype : str
        As numpy names it. Numbers beyond the range of an integer become its limits.
    missing : float
        Replaces what has no value, by TNULL or as NaN; by default NaN, or the lowest integer.
    as_bits : bool
        The values are bits, so that numbers from 0 beyond the sign bit are those with it.
    """

    dtype: str
    missing: float | None = None
    as_bits: bool = False


@dataclass(frozen=True)
class FitsColumn:
    """A column of a binary table (FITS standard 4.0, 7.3.2).

    Attributes
    ----------
    name : str
        TTYPE in capitals.
    number : int
        Place among the columns, from 1.
    code : str
        Letter of TFORM.
    repeat, offset, width : int
        Values (or bits) in a row, first byte in the row, and bytes.
    unit : str
        TUNIT; empty without one.
    null : int or None
        TNULL.
    scale, zero : float or int
        TSCAL and TZERO.
    """

    name: str
    number: int
    code: str
    repeat: int
    offset: int
    width: int
    unit: str
    null: int | None
    scale: float
    zero: float

    @classmethod
    def of(cls, header: Keywords, number: int, offset: int, table: str) -> FitsColumn:
        """The column of a number, from 1, whose first byte is `offset`."""
        form = str(header.get(f"TFORM{number}", "")).strip().upper()
        match = _FORMAT.match(form)
        if match is None:
            raise ValueError(f"{table} has the format {form!r} of column {number}")
        repeat, code = int(match[1] or 1), match[2]
        size = (_BYTES | _BYTES_OF_OTHERS).get(code, 0)
        null = header.get(f"TNULL{number}")
        if null is not None and (isinstance(null, bool) or not isinstance(null, int)):
            null = None
        scale, zero = (header.get(f"{key}{number}", value) for key, value in _LINEAR)
        if not all(isinstance(v, int | float) and np.isfinite(v) for v in (scale, zero)):
            raise ValueError(f"{table} has no numbers as TSCAL{number} and TZERO{number}")
        return cls(
            name=str(header.get(f"TTYPE{number}", "")).strip().upper(),
            number=number,
            code=code,
            repeat=repeat,
            offset=offset,
            width=-(-repeat // 8) if code == "X" else repeat * size,
            unit=str(header.get(f"TUNIT{number}") or "").strip(),
            null=null,
            scale=scale,
            zero=zero,
        )

    def numbers(self, rows: NDArray[np.uint8]) -> NDArray[Any]:
        """The stored numbers, shape (n_rows,), of rows of bytes, shape (n_rows, row_size)."""
        cells = rows[:, self.offset : self.offset + self.width]
        if self.code == "X" and 0 < self.repeat <= _MOST_BITS:
            # The first bit is the highest, and the last byte is filled up with zeros.
            total = np.zeros(len(rows), np.uint64)
            for byte in cells.T:
                total = (total << np.uint64(8)) | byte
            return np.asarray(total >> np.uint64(-self.repeat % 8))
        if self.code not in _DTYPES or self.repeat != 1:
            form = f"{self.repeat}{self.code}"
            raise ValueError(f"the column {self.name} has not one number in a row ({form})")
        layout = np.dtype(
            {
                "names": ["cell"],
                "formats": [_DTYPES[self.code]],
                "offsets": [self.offset],
                "itemsize": rows.shape[1],
            }
        )
        return np.asarray(rows.reshape(-1).view(layout)["cell"])

    def values(self, rows: NDArray[np.uint8], wanted: Conversion) -> NDArray[Any]:
        """The values as what is wanted, shape (n_rows,)."""
        stored = self.numbers(rows)
        target = np.dtype(wanted.dtype)
        has_null = self.null is not None and stored.dtype.kind in "iu"
        is_null = np.asarray(stored == self.null) if has_null else None
        found = self.scaled(stored)
        if target.kind == "f":
            return _with_missing(found.astype(target), is_null, wanted.missing, np.nan)
        limits = np.iinfo(target)
        if found.dtype.kind == "f":
            is_nan = np.isnan(found)
            is_null = is_nan if is_null is None else is_null | is_nan
            found = np.where(is_nan, 0, found)
            if not (np.trunc(found) == found).all():
                raise ValueError(f"the column {self.name} has fractions, not whole numbers")
        if wanted.as_bits:
            return self._bits(found, target)
        if not np.can_cast(found.dtype, target):
            found = np.clip(found, limits.min, limits.max)
        return _with_missing(found.astype(target), is_null, wanted.missing, limits.min)

    def scaled(self, stored: NDArray[Any]) -> NDArray[Any]:
        """TSCAL and TZERO applied, in whole numbers if that is exact."""
        if self.scale == 1 and self.zero == 0:
            return stored
        if stored.dtype.kind in "iu" and self.scale == 1 and float(self.zero).is_integer():
            zero = int(self.zero)
            if stored.dtype.itemsize == 8 and zero == 1 << 63:
                return stored.astype(np.int64).view(np.uint64) ^ np.uint64(1 << 63)
            if stored.dtype.itemsize < 8 and abs(zero) < 1 << 62:
                return np.asarray(stored.astype(np.int64) + zero)
        return np.asarray(stored * float(self.scale) + float(self.zero))

    def _bits(self, found: NDArray[Any], target: np.dtype[Any]) -> NDArray[Any]:
        """Bits in a signed number of the width of `target`; none may be lost."""
        highest, lowest = (1 << 8 * target.itemsize) - 1, np.iinfo(target).min
        if len(found) and (found.max() > highest or found.min() < lowest):
            raise ValueError(f"the column {self.name} has more than {8 * target.itemsize} bits")
        if np.can_cast(found.dtype, target):
            return found.astype(target)
        return np.asarray(found.astype(np.int64).astype(target))


_LINEAR: Final = (("TSCAL", 1), ("TZERO", 0))


def _with_missing(
    values: NDArray[Any], is_null: NDArray[np.bool_] | None, missing: float | None, default: float
) -> NDArray[Any]:
    if is_null is not None and is_null.any():
        values[is_null] = default if missing is None else missing
    return values


def read_columns(
    columns: Mapping[str, FitsColumn],
    wanted: Mapping[str, Conversion],
    pieces: Iterable[tuple[int, bytes]],
    row_size: int,
) -> dict[str, NDArray[Any]]:
    """Columns of a table whose rows come in pieces, so that the table is never in memory.

    Parameters
    ----------
    columns : dict of str to FitsColumn
        Where they are.
    wanted : dict of str to Conversion
        What they are to become.
    pieces : iterable of (int, bytes)
        Number of rows, and their bytes.
    row_size : int
        Bytes of a row.

    Returns
    -------
    dict of str to ndarray, shape (n_rows,)
    """
    parts: dict[str, list[NDArray[Any]]] = {
        name: [np.empty(0, wanted[name].dtype)] for name in columns
    }
    for n, content in pieces:
        rows = np.frombuffer(content, np.uint8).reshape(n, row_size)
        for name, column in columns.items():
            parts[name].append(column.values(rows, wanted[name]))
    return {name: np.concatenate(parts.pop(name)) for name in columns}
