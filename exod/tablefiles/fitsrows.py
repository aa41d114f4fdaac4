"""Binary tables of FITS as they are stored: every type, every null, nothing scaled twice.

`astropy.io.fits` compares TNULL with scaled numbers and takes a missing truth value for false, so
that the rows are read here and only the headers there.

References
----------
FITS standard 4.0, sections 7.3.2 (TFORM, TNULL, TSCAL, TZERO) and 7.3.3 (data).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from exod.schemas.columns import Column
from exod.tablefiles.plain import arrow_array, distinct, left_out, renamed

_FORM: Final = re.compile(r"\s*(\d*)([LXBIJKAEDCMPQ])(.*)")
_BYTES: Final = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16}
_NUMPY: Final = {
    **{"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8"},
    **{"E": ">f4", "D": ">f8", "C": ">c8", "M": ">c16"},
}
_UNSIGNED: Final = {
    ("B", -(2**7)): "i1",
    ("I", 2**15): "u2",
    ("J", 2**31): "u4",
    ("K", 2**63): "u8",
}
"""TZERO by which a stored type holds another one."""
_EXACT: Final = 2**62
_MOST_BITS: Final = 64


@dataclass(frozen=True)
class StoredColumn:
    """A column as the header of a table describes it.

    Attributes
    ----------
    name : str
        Its name, other than that of all others.
    code : str
        Letter of its type in TFORM.
    repeat : int
        Values a row.
    offset, width : int
        Its bytes in a row.
    scale, zero : float or int
        TSCAL and TZERO.
    null : int, optional
        The stored whole number that stands for a missing value.
    unit, description, ucd : str
        What the header tells of it.
    """

    name: str
    code: str
    repeat: int
    offset: int
    width: int
    scale: float
    zero: float
    null: int | None
    unit: str
    description: str
    ucd: str

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the columns that are made of it; none if it is left out."""
        if self.code in "CM":
            return (f"{self.name}.real", f"{self.name}.imag") if self.repeat == 1 else ()
        if self.code == "A":
            return (self.name,)
        if self.code == "X":
            return (self.name,) if 0 < self.repeat <= _MOST_BITS else ()
        return (self.name,) if self.code in "LBIJKED" and self.repeat == 1 else ()

    @property
    def note(self) -> str:
        """What becomes of it, if that is not clear by itself."""
        if not self.parts:
            several = "several values" if self.repeat else "nothing"
            what = "lists of values" if self.code in "PQ" else several
            return left_out(self.name, f"holds {what} in each row")
        if self.code in "CM":
            return f"The column {self.name} is kept as {' and '.join(self.parts)}."
        if self.code == "X" and self.repeat > 1:
            return f"The column {self.name} is kept as text of {self.repeat} digits, 0 and 1."
        return ""

    def arrays(self, rows: np.ndarray) -> Iterator[pa.Array]:
        """The values of rows, uint8 of shape (n, bytes a row), for each of `parts`."""
        stored = np.ascontiguousarray(rows[:, self.offset : self.offset + self.width])
        missing = np.zeros(len(rows), bool)
        if self.code == "A":
            yield arrow_array(_texts(stored), missing)
        elif self.code == "X":
            bits = np.unpackbits(stored, axis=1)[:, : self.repeat]
            if self.repeat == 1:
                yield pa.array(bits[:, 0] == 1)
            else:
                letters = np.where(bits == 1, b"1", b"0").astype("S1")
                yield arrow_array(_texts(letters.view("u1")), missing)
        elif self.code == "L":
            true = stored[:, 0] == ord("T")
            yield pa.array(true, mask=~true & (stored[:, 0] != ord("F")))
        else:
            values = stored.view(_NUMPY[self.code])[:, 0]
            if self.null is not None:
                missing = values == self.null
            values = self._scaled(values)
            for part in (values.real, values.imag) if self.code in "CM" else (values,):
                yield arrow_array(part, missing)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if self.scale == 1 and self.zero == 0:
            return values
        if self.code in "BIJK" and self.scale == 1 and float(self.zero).is_integer():
            zero = int(self.zero)
            kind = _UNSIGNED.get((self.code, zero))
            if kind is not None:
                # The first bit is turned over, which is what the addition does without overflow.
                width = np.dtype(kind).itemsize
                turned = values.astype(f"=u{width}") ^ np.array(1 << (8 * width - 1), f"u{width}")
                return turned.view(kind)
            if self.code != "K" and abs(zero) < _EXACT:
                return values.astype(np.int64) + zero
        wide = values.astype("c16" if self.code in "CM" else "f8")
        return wide * self.scale + self.zero


def _texts(stored: np.ndarray) -> np.ndarray:
    """Bytes of shape (n, width) as an array of bytes objects."""
    if not stored.shape[1]:
        return np.full(len(stored), None, object)
    return np.ascontiguousarray(stored).view(f"S{stored.shape[1]}")[:, 0]


def names_in(header: Any) -> list[str]:
    """Names of the columns of a table, from its header."""
    return [str(header.get(f"TTYPE{number}", "")) for number in _numbers(header)]


def stored_columns(header: Any) -> list[StoredColumn]:
    """The columns of a binary table.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of its extension.

    Raises
    ------
    ValueError
        If a column is of no type of FITS, or they do not fill a row.
    """
    names = names_in(header)
    found, offset = [], 0
    for number, name in zip(_numbers(header), distinct(names), strict=True):
        form = _FORM.match(str(header.get(f"TFORM{number}", "")))
        if form is None:
            raise ValueError(f"the column {name} has no TFORM that FITS knows")
        repeat, code = int(form[1] or 1), form[2]
        if code in "PQ":
            width = repeat * (8 if code == "P" else 16)
        else:
            width = -(-repeat // 8) if code == "X" else repeat * _BYTES[code]
        null = header.get(f"TNULL{number}")
        whole = code in "BIJK" and isinstance(null, int) and not isinstance(null, bool)
        found.append(
            StoredColumn(
                *(name, code, repeat, offset, width),
                scale=_number(header, f"TSCAL{number}", 1),
                zero=_number(header, f"TZERO{number}", 0),
                null=null if whole else None,
                unit=str(header.get(f"TUNIT{number}", "")).strip(),
                description=str(header.comments[f"TTYPE{number}"] or "") if name in names else "",
                ucd=str(header.get(f"TUCD{number}", "")),
            )
        )
        offset += width
    if offset != header["NAXIS1"]:
        raise ValueError(f"its columns have {offset} bytes a row and NAXIS1 is {header['NAXIS1']}")
    return found


def _numbers(header: Any) -> range:
    return range(1, int(header["TFIELDS"]) + 1)


def _number(header: Any, keyword: str, usual: int) -> float:
    value = header.get(keyword, usual)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{keyword} is {value!r}, which is no number")
    return value


class FitsRows:
    """A binary table of a FITS file.

    Parameters
    ----------
    path : Path
        The file, not compressed.
    start : int
        Byte of its first row.
    header : astropy.io.fits.Header
        Of its extension.

    Attributes
    ----------
    columns : tuple of Column
        Those with one value a row.
    notes : list of str
        What became of others.

    Raises
    ------
    ValueError
        If the header does not fit, or the file ends before its last row.
    """

    def __init__(self, path: Path, start: int, header: Any) -> None:
        self._path, self._start = path, start
        self._rows, self._width = int(header["NAXIS2"]), int(header["NAXIS1"])
        self._stored = stored_columns(header)
        missing = start + self._rows * self._width - path.stat().st_size
        if self._rows < 0:
            raise ValueError(f"NAXIS2 is {self._rows}")
        if missing > 0:
            raise ValueError(f"{missing:,} bytes of its rows are missing")
        self.notes = renamed(names_in(header), [column.name for column in self._stored])
        self.notes += [column.note for column in self._stored if column.note]
        self.columns = tuple(self._declared())

    def _declared(self) -> Iterator[Column]:
        nothing = np.zeros((0, self._width), np.uint8)
        for column in self._stored:
            about = column.unit, column.description, True, column.ucd
            for part, array in zip(column.parts, column.arrays(nothing), strict=False):
                yield Column(part, array.type, *about)

    def batches(
        self, names: Sequence[str], rows: int, as_text: Collection[str] = ()
    ) -> Iterator[pa.Table]:
        """Columns of the table, in batches of rows in their order; types are those of the file."""
        del as_text
        wanted = [column for column in self._stored if set(column.parts) & set(names)]
        for first in range(0, self._rows, rows):
            number = min(rows, self._rows - first)
            place = self._start + first * self._width
            content = np.fromfile(self._path, np.uint8, number * self._width, offset=place)
            content = content.reshape(number, self._width)
            found: dict[str, pa.Array] = {}
            for column in wanted:
                found |= zip(column.parts, column.arrays(content), strict=True)
            yield pa.table({name: found[name] for name in names})
