"""Tables as files for other programs: CSV, ECSV, FITS, Parquet, VOTable and JSON lines.

Rows are written as they come, so that a table may be larger than memory. A file appears whole
under its name or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.io import fits

from exod.archive.parquet import writer
from exod.errors import ConfigError
from exod.files.whole import whole_file
from exod.schemas.columns import Column, Table
from exod.tablefiles.text import (
    UCDS,
    Chunks,
    write_csv,
    write_ecsv,
    write_json_lines,
    write_votable,
)


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that cannot be written as asked, before anything is computed.

    Raises
    ------
    ConfigError
        If its name ends unlike any format, it exists and is not to be overwritten, or its folder
        does not exist.
    """
    if path.suffix.lower() not in _WRITERS:
        raise ConfigError(f"{path} ends in no known format; use {', '.join(_WRITERS)}.")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give the name of a file.")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists; give another name, or --overwrite.")
    if not path.parent.is_dir():
        raise ConfigError(f"There is no folder {path.parent}; make it first.")


def write_table(path: Path, table: Table, chunks: Chunks, *, overwrite: bool = False) -> int:
    """Write a table in the format that the ending of the file names.

    Parameters
    ----------
    path : Path
        File; ``.csv``, ``.ecsv``, ``.fits``, ``.parquet``, ``.vot``, ``.xml`` or ``.jsonl``.
    table : Table
        Its columns; units, meanings and UCDs go where the format has a place for them.
    chunks : iterable of pyarrow.Table
        Its rows, with exactly these columns.
    overwrite : bool
        Whether a file of this name may be replaced.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    ConfigError
        If the file must not be written, or a column does not fit the format.
    ExodError
        If it cannot be written.
    """
    check_target(path, overwrite=overwrite)
    suffix = path.suffix.lower()
    lists = [c.name for c in table.columns if pa.types.is_nested(c.type)]
    if lists and suffix not in (".parquet", ".jsonl"):
        raise ConfigError(
            f"Columns with a list in each row ({', '.join(lists)}) fit Parquet and JSON lines "
            f"only; write .parquet, or choose others with --columns."
        )
    counter = _Counted(chunks)
    try:
        with whole_file(path, overwrite=overwrite) as temporary:
            _WRITERS[suffix](temporary, table, counter)
    except FileExistsError:
        raise ConfigError(f"{path} exists; give another name, or --overwrite.") from None
    return counter.rows


class _Counted:
    """Chunks, counted while they pass."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks, self.rows = chunks, 0

    def __iter__(self) -> Iterator[pa.Table]:
        for chunk in self._chunks:
            self.rows += chunk.num_rows
            yield chunk


def _write_parquet(path: Path, table: Table, chunks: Chunks) -> None:
    with path.open("wb") as file, writer(file, table.schema) as sink:
        for chunk in chunks:
            sink.write_table(chunk.cast(table.schema))


def _write_fits(path: Path, table: Table, chunks: Chunks) -> None:
    """The number of rows and the length of text must be known first: rows wait in a file."""
    spool = path.with_suffix(".parquet")
    try:
        lengths = dict.fromkeys(table.schema.names, 1)
        rows = 0
        with spool.open("wb") as file, writer(file, table.schema) as sink:
            for chunk in chunks:
                sink.write_table(chunk.cast(table.schema))
                rows += chunk.num_rows
                for column in table.columns:
                    if pa.types.is_string(column.type) and chunk.num_rows:
                        longest = pc.max(pc.utf8_length(chunk[column.name])).as_py() or 1
                        lengths[column.name] = max(lengths[column.name], longest)
        layout = [_fits_column(column, lengths[column.name]) for column in table.columns]
        with path.open("wb") as target, pq.ParquetFile(spool) as source:
            target.write(fits.PrimaryHDU().header.tostring().encode())
            target.write(_fits_header(table, layout, rows).tostring().encode())
            size = 0
            for batch in source.iter_batches():
                size += target.write(_fits_rows(batch, layout).tobytes())
            target.write(b"\0" * (-size % 2880))
    finally:
        with suppress(FileNotFoundError):
            spool.unlink()


_FITS_TYPES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "bool": ("L", "i1"),
        "uint8": ("B", "u1"),
        "int8": ("I", ">i2"),
        "int16": ("I", ">i2"),
        "uint16": ("J", ">i4"),
        "int32": ("J", ">i4"),
        "uint32": ("K", ">i8"),
        "int64": ("K", ">i8"),
        "float": ("E", ">f4"),
        "double": ("D", ">f8"),
    }
)
"""FITS format and numpy dtype of each Arrow type but text."""


def _fits_column(column: Column, length: int) -> fits.Column:
    kind = str(column.type)
    code = f"{length}A" if pa.types.is_string(column.type) else _FITS_TYPES[kind][0]
    null = None
    if column.nullable and code in ("I", "J", "K"):
        null = int(np.iinfo(_FITS_TYPES[kind][1]).min)
    return fits.Column(column.name, code, unit=column.unit or None, null=null)


def _fits_header(table: Table, layout: list[fits.Column], rows: int) -> fits.Header:
    header = fits.BinTableHDU.from_columns(layout, nrows=0).header
    header["NAXIS2"] = rows
    header["EXTNAME"] = table.name.upper()
    header["HISTORY"] = _ascii(table.description)
    for number, column in enumerate(table.columns, start=1):
        header[f"TCOMM{number}"] = _ascii(column.description)
        if column.name in UCDS:
            header[f"TUCD{number}"] = UCDS[column.name]
    return header


def _fits_rows(batch: pa.RecordBatch, layout: list[fits.Column]) -> np.ndarray:
    names = [f"f{number}" for number in range(len(layout))]
    kinds = []
    for field, column in zip(batch.schema, layout, strict=True):
        text = pa.types.is_string(field.type)
        kinds.append(f"S{column.format[:-1]}" if text else _FITS_TYPES[str(field.type)][1])
    found = np.zeros(len(batch), dtype=list(zip(names, kinds, strict=True)))
    for name, values, column in zip(names, batch.columns, layout, strict=True):
        found[name] = _fits_values(values, column)
    return found


def _fits_values(values: pa.Array, column: fits.Column) -> Any:
    if pa.types.is_string(values.type):
        return [_ascii(item or "").encode() for item in values.to_pylist()]
    if pa.types.is_boolean(values.type):
        # A zero byte is null.
        codes = pc.if_else(values, ord("T"), ord("F"))
        return pc.fill_null(codes, 0).to_numpy(zero_copy_only=False)
    if values.null_count and column.null is not None:
        values = values.cast(pa.int64()).fill_null(column.null)
    return values.to_numpy(zero_copy_only=False)


def _ascii(text: str) -> str:
    """FITS knows printable ASCII only."""
    plain = text.encode("ascii", "replace").decode()
    return "".join(letter if " " <= letter <= "~" else "?" for letter in plain)


_WRITERS: Final[Mapping[str, Callable[[Path, Table, Chunks], None]]] = MappingProxyType(
    {
        ".csv": write_csv,
        ".ecsv": write_ecsv,
        ".fits": _write_fits,
        ".parquet": _write_parquet,
        ".vot": write_votable,
        ".xml": write_votable,
        ".jsonl": write_json_lines,
    }
)
"""How each format is written, by the ending of the file."""
