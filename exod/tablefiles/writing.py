"""Tables as files for other programs: CSV, ECSV, FITS, Parquet, VOTable and JSON lines.

Rows are written as they come, so that a table may be larger than memory; for ECSV, which astropy
writes, it has to fit. A file appears whole under its name or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exod.archive.parquet import to_pandas, writer
from exod.errors import ConfigError
from exod.files.whole import check_place, scratch_file, whole_file
from exod.schemas.columns import Column, Table
from exod.tablefiles import votable
from exod.tablefiles.csvtext import csv_text

if TYPE_CHECKING:
    import astropy.table

Chunks = Iterable[pa.Table]


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that cannot be written as asked, before anything is computed.

    Raises
    ------
    ConfigError
        If its name ends unlike any format, or it exists and is not to be overwritten.
    ExodError
        If it cannot be written there.
    """
    if path.suffix.lower() not in _WRITERS:
        raise ConfigError(f"{path} ends in no known format; use {', '.join(_WRITERS)}.")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give the name of a file.")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists; give another name, or --overwrite.")
    check_place(path)


def write_table(
    path: Path,
    table: Table,
    chunks: Chunks,
    *,
    overwrite: bool = False,
    header: Mapping[str, tuple[str | int | float, str]] = MappingProxyType({}),
) -> int:
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
    header : dict
        Keywords with value and comment, for the header of the table if it becomes FITS.

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
            if suffix == ".fits":
                _write_fits(temporary, table, counter, header)
            else:
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


def write_parquet(path: Path, table: Table, chunks: Chunks) -> None:
    """Parquet; unit, meaning and UCD are in the metadata of each column."""
    with path.open("wb") as file, writer(file, table.schema) as sink:
        for chunk in chunks:
            sink.write_table(chunk.cast(table.schema))


def _write_fits(
    path: Path,
    table: Table,
    chunks: Chunks,
    header: Mapping[str, tuple[str | int | float, str]] = MappingProxyType({}),
) -> None:
    from exod.tablefiles.fits import write_fits

    with scratch_file(path) as rows:
        write_parquet(rows, table, chunks)
        write_fits(path, table, rows, own=header)


def _write_csv(path: Path, table: Table, chunks: Chunks) -> None:
    """CSV; a missing value is an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(csv_text(table.frame()))
        for chunk in chunks:
            file.write(csv_text(to_pandas(chunk), header=False))


def _write_json_lines(path: Path, table: Table, chunks: Chunks) -> None:
    """One JSON object a row; a missing value is null."""
    floats = {column.name for column in table.columns if pa.types.is_floating(column.type)}
    with path.open("w", encoding="utf-8") as file:
        for chunk in chunks:
            for row in chunk.to_pylist():
                for name in floats:
                    # JSON has no NaN.
                    value = row[name]
                    row[name] = value if value is None or np.isfinite(value) else None
                file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _write_ecsv(path: Path, table: Table, chunks: Chunks) -> None:
    """CSV with units and meanings in its head, for astropy."""
    found = _astropy_table(table, chunks)
    found.write(path, format="ascii.ecsv", delimiter=",")


def _write_votable(path: Path, table: Table, chunks: Chunks) -> None:
    """VOTable, for TOPCAT and the Virtual Observatory; a missing value is an empty cell."""
    table, chunks = votable.signed(table, chunks)
    with path.open("w", encoding="utf-8", newline="") as file:
        head = votable.opening(table.columns, name=table.name, description=table.description)
        file.write(head)
        for chunk in chunks:
            file.write(votable.body(chunk))
        file.write(votable.closing())


def _astropy_table(table: Table, chunks: Chunks) -> astropy.table.Table:
    """The rows in memory, masked where values are missing."""
    import astropy.table

    rows = pa.concat_tables([table.schema.empty_table(), *chunks])
    columns = [_astropy_column(column, rows[column.name]) for column in table.columns]
    return astropy.table.Table(columns, meta={"description": table.description})


def _astropy_column(column: Column, values: pa.ChunkedArray) -> astropy.table.Column:
    from astropy.table import Column as Plain
    from astropy.table import MaskedColumn

    about = {
        "name": column.name,
        "unit": column.unit or None,
        "description": column.description,
        "meta": {"ucd": column.ucd},
    }
    if pa.types.is_string(column.type):
        # XML has no place for control characters and half characters.
        shown = pc.replace_substring_regex(
            values.fill_null(""), r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{FFFE}\x{FFFF}]", "?"
        )
        content = np.array(shown.to_pylist(), dtype="U" if len(shown) else "U1")
    else:
        small = {"int8": pa.int16(), "uint16": pa.int32(), "uint32": pa.int64()}
        wide = values.cast(small.get(str(column.type), column.type))
        content = wide.fill_null(False if pa.types.is_boolean(column.type) else 0).to_numpy()
    if not column.nullable:
        return Plain(content, **about)
    return MaskedColumn(content, mask=values.is_null().to_numpy(), **about)


_WRITERS: Final[Mapping[str, Callable[[Path, Table, Chunks], Any]]] = MappingProxyType(
    {
        ".csv": _write_csv,
        ".ecsv": _write_ecsv,
        ".fits": _write_fits,
        ".parquet": write_parquet,
        ".vot": _write_votable,
        ".xml": _write_votable,
        ".jsonl": _write_json_lines,
    }
)
"""How each format is written, by the ending of the file."""
