"""Tables of FITS as they are stored: every type, every null, nothing scaled twice.

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
import pyarrow.compute as pc

from exod.pps.fits.fitstable import FitsColumn
from exod.schemas.columns import Column
from exod.tablefiles.plain import arrow_array, distinct, left_out, renamed
from exod.tablefiles.textcells import numbers

_NUMPY: Final = {
    **{"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8"},
    **{"E": ">f4", "D": ">f8", "C": ">c8", "M": ">c16"},
}
_MOST_BITS: Final = 64
_ASCII_FORM: Final = re.compile(r"\s*([AIFED])(\d+)")
_LINEAR: Final = (("TSCAL", 1), ("TZERO", 0))


@dataclass(frozen=True)
class StoredColumn:
    """A column as the header of a table describes it.

    Attributes
    ----------
    name : str
        Its name, other than that of all others.
    place : FitsColumn
        Where it is in a row, and how it is stored.
    has_two_values : bool
        Whether a byte stands for true or false: the header says with TLMIN and TLMAX that it is
        0 or 1, or null.
    description, ucd : str
        What the header tells of it.
    """

    name: str
    place: FitsColumn
    has_two_values: bool
    description: str
    ucd: str

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the columns that are made of it; none if it is left out."""
        if self.place.code in "CM":
            return (f"{self.name}.real", f"{self.name}.imag") if self.place.repeat == 1 else ()
        if self.place.code == "A":
            return (self.name,)
        if self.place.code == "X":
            return (self.name,) if 0 < self.place.repeat <= _MOST_BITS else ()
        return (self.name,) if self.place.code in "LBIJKED" and self.place.repeat == 1 else ()

    @property
    def note(self) -> str:
        """What becomes of it, if that is not clear by itself."""
        if not self.parts:
            several = "several values" if self.place.repeat else "nothing"
            what = "lists of values" if self.place.code in "PQ" else several
            return left_out(self.name, f"holds {what} in each row")
        if self.place.code in "CM":
            return f"The column {self.name} is kept as {' and '.join(self.parts)}."
        if self.place.code == "X" and self.place.repeat > 1:
            return f"The column {self.name} is kept as text of {self.place.repeat} digits, 0 and 1."
        return ""

    def arrays(self, rows: np.ndarray) -> Iterator[pa.Array]:
        """The values of rows, uint8 of shape (n, bytes a row), for each of `parts`."""
        first = self.place.offset
        stored = np.ascontiguousarray(rows[:, first : first + self.place.width])
        missing = np.zeros(len(rows), bool)
        if self.place.code == "A":
            yield arrow_array(_texts(stored), missing)
        elif self.place.code == "X":
            bits = np.unpackbits(stored, axis=1)[:, : self.place.repeat]
            if self.place.repeat == 1:
                yield pa.array(bits[:, 0] == 1)
            else:
                letters = np.where(bits == 1, b"1", b"0").astype("S1")
                yield arrow_array(_texts(letters.view("u1")), missing)
        elif self.place.code == "L":
            true = stored[:, 0] == ord("T")
            yield pa.array(true, mask=~true & (stored[:, 0] != ord("F")))
        else:
            values = stored.view(_NUMPY[self.place.code])[:, 0]
            if self.place.null is not None and self.place.code in "BIJK":
                missing = values == self.place.null
            if self.has_two_values:
                yield pa.array(values == 1, mask=missing)
                return
            values = self.place.scaled(values)
            for part in (values.real, values.imag) if self.place.code in "CM" else (values,):
                yield arrow_array(part, missing)


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
        place = FitsColumn.of(header, number, offset, "the table")
        limits = header.get(f"TLMIN{number}"), header.get(f"TLMAX{number}")
        found.append(
            StoredColumn(
                name=name,
                place=place,
                has_two_values=(place.code, place.repeat, *limits) == ("B", 1, 0, 1),
                description=str(header.comments[f"TTYPE{number}"] or "") if name in names else "",
                ucd=str(header.get(f"TUCD{number}", "")),
            )
        )
        offset += place.width
    if offset != header["NAXIS1"]:
        raise ValueError(f"its columns have {offset} bytes a row and NAXIS1 is {header['NAXIS1']}")
    return found


def _numbers(header: Any) -> range:
    return range(1, int(header["TFIELDS"]) + 1)


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
            about = column.place.unit, column.description, True, column.ucd
            for part, array in zip(column.parts, column.arrays(nothing), strict=False):
                yield Column(part, array.type, *about)

    def batches(
        self, names: Sequence[str], rows: int, as_text: Collection[str] = ()
    ) -> Iterator[pa.Table]:
        """Columns of the table, in batches of rows in their order; types are those of the file."""
        del as_text
        wanted = [column for column in self._stored if set(column.parts) & set(names)]
        if not self._rows:
            return
        shape = self._rows, self._width
        # Of rows as wide as those of catalogues only the columns that are wanted take memory.
        content = np.memmap(self._path, np.uint8, "r", self._start, shape)
        for first in range(0, self._rows, rows):
            found: dict[str, pa.Array] = {}
            for column in wanted:
                part = column.arrays(content[first : first + rows])
                found |= zip(column.parts, part, strict=True)
            yield pa.table({name: found[name] for name in names})


def ascii_table(path: Path, start: int, header: Any) -> pa.Table:
    """An ASCII table of a FITS file (FITS standard 4.0, section 7.2), with unit and meaning.

    Parameters
    ----------
    path : Path
        The file, not compressed.
    start : int
        Byte of its first row.
    header : astropy.io.fits.Header
        Of its extension.

    Raises
    ------
    ValueError, pyarrow.ArrowInvalid
        If the header does not fit, a number is none, or the file ends before its last row.
    """
    shape = int(header["NAXIS2"]), int(header["NAXIS1"])
    rows = np.fromfile(path, np.uint8, shape[0] * shape[1], offset=start).reshape(shape)
    fields, arrays = [], []
    for number, name in zip(_numbers(header), distinct(names_in(header)), strict=True):
        form = _ASCII_FORM.match(str(header.get(f"TFORM{number}", "")).upper())
        if form is None:
            raise ValueError(f"the column {name} has no TFORM that FITS knows")
        first = int(header[f"TBCOL{number}"]) - 1
        stored = _texts(rows[:, first : first + int(form[2])])
        text: Any = arrow_array(stored, np.zeros(shape[0], bool))
        null = header.get(f"TNULL{number}")
        if null is not None:
            text = pc.if_else(pc.equal(text, str(null).strip()), pa.scalar(None, pa.string()), text)
        scale, zero = (header.get(f"{key}{number}", usual) for key, usual in _LINEAR)
        if form[1] != "A":
            is_plain = form[1] == "I" and (scale, zero) == (1, 0)
            text = text.cast(pa.int64()) if is_plain else numbers(text)
        if (scale, zero) != (1, 0):
            text = pc.add(pc.multiply(text, float(scale)), float(zero))
        about = {"unit": str(header.get(f"TUNIT{number}", "")).strip()}
        fields.append(pa.field(name, text.type, metadata=about))
        arrays.append(text)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
