"""Tables in files: FITS, CSV, ECSV, VOTable and Parquet, read in batches of a few columns."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from astropy.utils.exceptions import AstropyWarning

from exod.errors import InputError
from exod.schemas.columns import Column

ROWS: Final = 200_000
"""Rows of a batch."""

FORMATS: Final = {
    ".fits": "fits",
    ".fit": "fits",
    ".ftz": "fits",
    ".csv": "csv",
    ".ecsv": "ascii.ecsv",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""What the ends of names mean; ``.gz`` may follow."""

_NULLS: Final = ["", "NaN", "nan", "NULL", "null", "None", "N/A", "NA", "--", "<NA>"]
_FAULTS: Final = (OSError, ValueError, KeyError, TypeError, EOFError, pa.ArrowException)


class ForeignTable:
    """A table in a file.

    Parameters
    ----------
    path : Path
        The file; the end of its name tells the format.

    Attributes
    ----------
    columns : tuple of Column
        Those with one value a row, with unit and meaning where the file has them.

    Raises
    ------
    InputError
        If the file is missing, of no known format, damaged or without a table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        ends = [end.lower() for end in path.suffixes if end.lower() != ".gz"]
        self.format = FORMATS.get(ends[-1] if ends else "", "")
        if not path.is_file():
            raise InputError(f"There is no file {path}.")
        if not self.format:
            raise InputError(
                f"{path} is of no known format; its name must end in {', '.join(FORMATS)}."
            )
        self._whole: pa.Table | None = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)
                self.columns = self._open()
        except _FAULTS as error:
            raise self._damaged(error) from error

    def batches(self, names: Sequence[str], rows: int = ROWS) -> Iterator[pa.Table]:
        """Some columns of the table, in batches of rows in their order.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)
                yield from self._batches(list(names), rows)
        except _FAULTS as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        reason = " ".join(str(error).split())[:200]
        return InputError(f"{self.path} cannot be read as {self.format} ({reason}).")

    def _open(self) -> tuple[Column, ...]:
        if self.format == "fits":
            return self._open_fits()
        if self.format == "parquet":
            return tuple(_scalar(pq.read_schema(self.path)))
        self._whole = self._read_csv() if self.format == "csv" else self._read_astropy()
        return tuple(_scalar(self._whole.schema))

    def _batches(self, names: list[str], rows: int) -> Iterator[pa.Table]:
        if self.format == "fits":
            yield from self._fits_batches(names, rows)
        elif self._whole is not None:
            for start in range(0, len(self._whole), rows):
                yield self._whole.select(names).slice(start, rows)
        else:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size=rows, columns=names):
                    # The order of columns is that of the file otherwise.
                    yield pa.Table.from_batches([batch]).select(names)

    def _read_csv(self) -> pa.Table:
        # Types are inferred from all rows: an identifier stays whole, whatever is missing.
        convert = pc.ConvertOptions(
            null_values=_NULLS,
            strings_can_be_null=True,
            true_values=["true", "True", "TRUE", "T"],
            false_values=["false", "False", "FALSE", "F"],
        )
        return pc.read_csv(self.path, convert_options=convert)

    def _read_astropy(self) -> pa.Table:
        from astropy.table import Table

        return arrow_of(Table.read(self.path, format=self.format))

    def _open_fits(self) -> tuple[Column, ...]:
        from astropy.io import fits

        found = []
        with fits.open(self.path, memmap=True) as hdus:
            self._hdu = next(
                (i for i, hdu in enumerate(hdus) if isinstance(hdu, fits.BinTableHDU)), -1
            )
            if self._hdu < 0:
                raise ValueError("it has no binary table")
            data = hdus[self._hdu].data
            header = hdus[self._hdu].header
            for number, column in enumerate(data.columns, start=1):
                sample = data[column.name][:1]
                if sample.ndim != 1 or sample.dtype.kind not in "biufSU":
                    continue
                kind = _array(np.asarray(sample), np.zeros(len(sample), bool)).type
                text = str(header.comments[f"TTYPE{number}"] or "")
                told = column.unit or "", text, True, str(header.get(f"TUCD{number}", ""))
                found.append(Column(column.name, kind, *told))
        return tuple(found)

    def _fits_batches(self, names: list[str], rows: int) -> Iterator[pa.Table]:
        from astropy.io import fits

        with fits.open(self.path, memmap=True) as hdus:
            data = hdus[self._hdu].data
            nulls = {column.name: column.null for column in data.columns}
            for start in range(0, len(data), rows):
                part = data[start : start + rows]
                arrays = []
                for name in names:
                    values = np.asarray(part[name])
                    null = nulls[name]
                    missing = values == null if null is not None else np.zeros(len(values), bool)
                    arrays.append(_array(values, missing))
                yield pa.Table.from_arrays(arrays, names=names)


def arrow_of(table: Any) -> pa.Table:
    """An astropy table as Arrow: columns with one value a row, units in their metadata."""
    fields, arrays = [], []
    for name in table.colnames:
        column = table[name]
        if column.ndim != 1:
            continue
        about = {"unit": str(column.unit or ""), "description": column.description or ""}
        about["ucd"] = str(column.meta.get("ucd", ""))
        array = _array(np.ma.getdata(column), np.ma.getmaskarray(column))
        fields.append(pa.field(name, array.type, metadata=about))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _array(values: np.ndarray, missing: np.ndarray) -> pa.Array:
    """An Arrow array of what astropy gives: native bytes, text stripped, NaN and masked null."""
    if values.dtype.kind in "SUO":
        texts: list[Any] = [
            None if gone or value is None else _text(value)
            for value, gone in zip(values.tolist(), missing.tolist(), strict=True)
        ]
        return pa.array(texts, pa.string())
    values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
    return pa.array(values, mask=missing)


def _text(value: object) -> str | None:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip() or None


def _scalar(schema: pa.Schema) -> Iterator[Column]:
    for field in schema:
        column = Column.of_field(field.with_nullable(nullable=True))
        if not pa.types.is_nested(column.type):
            yield column
