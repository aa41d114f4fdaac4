"""FITS tables: units, meanings, UCDs, nulls and checksums, and reading them back.

A table of ten million detections has 10 GB and `astropy.io.fits` writes what is in memory, so that
it makes the headers here and the rows are written batch by batch, from a Parquet file: its footer
tells how many they are, which the header has to say before them.

References
----------
Pence et al. 2010, A&A 524, A42 (FITS 3.0: binary tables, TNULL), appendix J of the FITS standard
4.0 (checksums).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.io import fits

from exod.archive.parquet import row_groups
from exod.schemas.columns import Column, Table
from exod.tablefiles.fitsheads import Header, ascii_text, column_header, fits_unit, time_frame

_BLOCK: Final = 2880
_INTEGERS: Final = {"int32": "J", "uint16": "J", "int64": "K", "uint32": "K", "uint64": "K"}
"""Formats of whole numbers; those of the others is I."""
_WIDER: Final = {"I": "J", "J": "K"}
_HALF: Final = 2**63
"""TZERO of unsigned numbers of 64 bits, which are stored as signed ones."""
_NUMPY: Final[Mapping[str, str]] = MappingProxyType(
    {"L": "i1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
)
_NO_BOOLEAN: Final = 255
"""The null of a true or false that may be missing. FITS has one of its logical columns, a zero
byte, which readers take for false; a byte with TNULL they do not."""
_ALL_ONES: Final = 2**32 - 1
_SAMPLE_ROWS: Final = 1000


def write_fits(
    path: Path,
    table: Table,
    rows: Path,
    header: Header = MappingProxyType({}),
    own: Header = MappingProxyType({}),
) -> None:
    """Write a Parquet file as a FITS file with one binary table.

    Parameters
    ----------
    path : Path
        The file; it must not exist.
    table : Table
        Its columns.
    rows : Path
        The Parquet file, with exactly these columns. Null text becomes empty text, null floats
        become NaN, null whole numbers one that no row has (TNULL: the smallest of their type, if
        it is free), and a column of true and false that may have nulls one of 1, 0 and 255
        (TNULL; TLMIN and TLMAX say that it has two values). Text becomes ASCII, and numbers beyond
        ``int64`` their digits if some are missing.
    header : dict
        Further keywords of both headers; those of a table that holds times say how they count.
    own : dict
        Further keywords of the header of the table alone, as those of its columns.
    """
    with pq.ParquetFile(rows) as source, path.open("w+b") as target:
        layout = [_fits_column(column, source) for column in table.columns]
        primary = fits.PrimaryHDU()
        primary.header["TITLE"] = ascii_text(table.description)
        name = ascii_text(table.name).upper()
        hdu = fits.BinTableHDU.from_columns(layout, nrows=0, name=name)
        hdu.header["NAXIS2"] = source.metadata.num_rows
        for number, column in enumerate(table.columns, start=1):
            if layout[number - 1].null == _NO_BOOLEAN and layout[number - 1].format == "B":
                hdu.header[f"TLMIN{number}"], hdu.header[f"TLMAX{number}"] = 0, 1
            hdu.header.update(column_header(column, number))
        hdu.header.update({**time_frame(table), **own})
        for part in (primary, hdu):
            part.header.update(header)
        primary.add_checksum()
        target.write(primary.header.tostring().encode())
        start = target.tell()
        target.write(_with_checksums(hdu.header, 0))
        first = target.tell()
        for batch in row_groups(source):
            target.write(_records(batch, layout).tobytes())
        target.write(b"\0" * (-target.tell() % _BLOCK))
        total = _sum(target, first, target.tell())
        target.seek(start)
        target.write(_with_checksums(hdu.header, total))


def _fits_column(column: Column, rows: pq.ParquetFile) -> fits.Column:
    kind, null, zero = column.type, None, None
    if pa.types.is_string(kind):
        form = f"{_longest(rows, column.name)}A"
    elif pa.types.is_boolean(kind):
        form, null = ("B", _NO_BOOLEAN) if column.nullable else ("L", None)
    elif pa.types.is_floating(kind):
        form = "E" if kind == pa.float32() else "D"
    else:
        form, null, zero = _whole_numbers(column, rows)
    unit = fits_unit(column.unit)
    return fits.Column(name=ascii_text(column.name), format=form, null=null, unit=unit, bzero=zero)


def _whole_numbers(column: Column, rows: pq.ParquetFile) -> tuple[str, int | None, int | None]:
    """Format, TNULL and TZERO of a column of whole numbers."""
    form = _INTEGERS.get(str(column.type), "I")
    if not column.nullable and column.type != pa.uint64():
        return form, None, None
    low, high, has_nulls = _extent(rows, column.name)
    if high >= _HALF:
        # With both, astropy would compare TNULL with what TZERO was added to.
        return (f"{len(str(high))}A", None, None) if has_nulls else (form, None, _HALF)
    if not column.nullable:
        return form, None, None
    limits = np.iinfo(_NUMPY[form])
    for free in (int(limits.min), int(limits.max)):
        if not low <= free <= high:
            return form, free, None
    if form in _WIDER:
        wider = _WIDER[form]
        return wider, int(np.iinfo(_NUMPY[wider]).min), None
    return form, _absent(rows, column.name, int(limits.min)), None


def _extent(rows: pq.ParquetFile, name: str) -> tuple[int, int, bool]:
    """Smallest and largest number of a column, or 0, and whether some are missing."""
    low, high, has_nulls = 0, 0, False
    for batch in row_groups(rows, [name]):
        ends = pc.min_max(batch[0]).as_py()
        if ends["min"] is not None:
            low, high = min(low, ends["min"]), max(high, ends["max"])
        has_nulls = has_nulls or batch[0].null_count > 0
    return low, high, has_nulls


def _absent(rows: pq.ParquetFile, name: str, first: int) -> int:
    """A number from `first` on that is in no row: of as many as there are rows, and one more."""
    taken: set[int] = set()
    for batch in row_groups(rows, [name]):
        steps = (value - first for value in batch[0].drop_null().unique().to_pylist())
        taken.update(step for step in steps if step <= rows.metadata.num_rows)
    return first + next(step for step in count() if step not in taken)


def _longest(rows: pq.ParquetFile, name: str) -> int:
    """Length of the longest text of a column in ASCII, 1 at least."""
    longest = 1
    for batch in row_groups(rows, [name]):
        lengths = (len(ascii_text(text)) for text in batch[0].unique().to_pylist() if text)
        longest = max(longest, *lengths, 1)
    return longest


def _records(batch: pa.RecordBatch, layout: list[fits.Column]) -> np.ndarray:
    """Rows as they are in the file."""
    kinds = [
        f"S{column.format[:-1]}" if column.format.endswith("A") else _NUMPY[column.format]
        for column in layout
    ]
    names = [f"f{number}" for number in range(len(layout))]
    found = np.zeros(len(batch), dtype=list(zip(names, kinds, strict=True)))
    for name, values, column in zip(names, batch.columns, layout, strict=True):
        found[name] = _values(values, column)
    return found


def _values(values: pa.Array, column: fits.Column) -> Any:
    if column.format.endswith("A"):
        return [ascii_text(text or "").encode() for text in values.cast(pa.string()).to_pylist()]
    if column.format == "L":
        values = pc.if_else(values, ord("T"), ord("F"))
    elif column.bzero:
        # The first bit is turned over, which takes off what TZERO adds.
        return (values.to_numpy(zero_copy_only=False) ^ np.uint64(_HALF)).view(np.int64)
    elif column.null is not None:
        values = values.cast(pa.int64()).fill_null(column.null)
    return values.to_numpy(zero_copy_only=False)


# -------------------------------------------------------------------- checksums


def _with_checksums(header: fits.Header, total: int) -> bytes:
    """The header, with the sum of the data and its checksum."""
    header["CHECKSUM"] = ("0" * 16, "Checksum of the header and the data unit")
    header["DATASUM"] = (str(total), "Checksum of the data unit")
    header["CHECKSUM"] = _encoded(_folded(total, header.tostring().encode()))
    return header.tostring().encode()


def _sum(file: BinaryIO, start: int, stop: int) -> int:
    """The sum, in ones' complement, of a part of a file in numbers of 32 bits."""
    total, size = 0, 1024 * _BLOCK
    file.seek(start)
    for place in range(start, stop, size):
        total = _folded(total, file.read(min(size, stop - place)))
    return total


def _folded(total: int, content: bytes) -> int:
    total += int(np.frombuffer(content, ">u4").sum(dtype=np.uint64))
    while total > _ALL_ONES:
        total = (total & _ALL_ONES) + (total >> 32)
    return total


def _encoded(total: int) -> str:
    """Sixteen letters and digits that make the sum of a unit with this sum all ones.

    Each byte of the complement is the sum of four characters from ``0`` on; of two that would be
    punctuation one is raised and the other lowered.
    """
    columns = []
    for byte in (_ALL_ONES - total).to_bytes(4, "big"):
        quarter = ord("0") + byte // 4
        four = [quarter + byte % 4, quarter, quarter, quarter]
        while not bytes(four).isalnum():
            for pair in (0, 2):
                if not bytes(four[pair : pair + 2]).isalnum():
                    four[pair], four[pair + 1] = four[pair] + 1, four[pair + 1] - 1
        columns.append(four)
    text = "".join(chr(code) for row in zip(*columns, strict=True) for code in row)
    return text[-1] + text[:-1]


# -------------------------------------------------------------------- reading back


def fits_problem(path: Path, table: Table, n_rows: int) -> str:
    """What is wrong with a FITS file that `write_fits` made; empty if nothing is.

    The file is read again: its structure and checksums are verified, its columns, units and
    number of rows compared, and astropy must make a table of its first rows without a warning.
    """
    from astropy.table import Table as AstropyTable

    # astropy tells what is odd by warnings, which as errors would leave the file open.
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            with path.open("rb") as file, fits.open(file, memmap=True) as found:
                found.verify("exception")
                damaged = next((hdu.name for hdu in found if not _sums_are_right(file, hdu)), None)
                if damaged is not None:
                    return f"is damaged (checksum of {damaged})"
                rows, columns = found[1].header["NAXIS2"], found[1].columns
                AstropyTable.read(_first_rows(file, found[1]))
        except (OSError, ValueError, LookupError, fits.VerifyError) as error:
            return f"cannot be read again ({error})"
    if told:
        return f"is damaged ({told[0].message})"
    if columns.names != table.schema.names:
        return "has other columns than it should"
    for column in table.columns:
        unit, expected = columns[column.name].unit, fits_unit(column.unit)
        if unit != expected:
            return f"has the unit {unit} of {column.name}, not {expected}"
    return "" if rows == n_rows else f"has {rows} rows, not {n_rows}"


def _first_rows(file: BinaryIO, hdu: Any) -> fits.BinTableHDU:
    """The table with its first rows only: astropy maps all of a file into memory otherwise."""
    header = hdu.header.copy()
    header["NAXIS2"] = min(header["NAXIS2"], _SAMPLE_ROWS)
    file.seek(hdu.fileinfo()["datLoc"])
    rows = file.read(header["NAXIS1"] * header["NAXIS2"])
    content = header.tostring().encode() + rows
    return fits.BinTableHDU.fromstring(content + b"\0" * (-len(content) % _BLOCK))


def _sums_are_right(file: BinaryIO, hdu: Any) -> bool:
    where = hdu.fileinfo()
    start, middle = where["hdrLoc"], where["datLoc"]
    data = _sum(file, middle, middle + where["datSpan"])
    whole = _folded(_sum(file, start, middle), data.to_bytes(4, "big"))
    return str(data) == hdu.header.get("DATASUM") and whole == _ALL_ONES
