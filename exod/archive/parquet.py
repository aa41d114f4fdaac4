"""Tables as Parquet files: checked against their schema, and equal rows give equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive.ledger import TableFile
from exod.archive.store import Store
from exod.errors import ArchiveError
from exod.schemas import TABLES, Table

STRING = pd.StringDtype("pyarrow", na_value=float("nan"))
"""Text columns in pandas; obsid stays text."""

ROW_GROUP_ROWS = 20_000
"""Rows of a row group: a light curve of 100 ks in 5 s frames is one or two of them."""
PARTITION_BYTES = 32_000_000
PARTITION_FILES = 256
"""Largest size and number of files of a partition; 32 MB become some 0.3 GB in memory."""


class FileReplacedError(ArchiveError):
    """A file is gone since its observation was processed again and `gc` ran."""


def declared(name: str) -> Table:
    """Look up the table of that name.

    Raises
    ------
    ArchiveError
        If there is none; the text lists the names.
    """
    if name not in TABLES:
        raise ArchiveError(f"There is no table {name!r}; the tables are {', '.join(TABLES)}.")
    return TABLES[name]


def encode(table: Table, frame: pd.DataFrame, obsid: str) -> bytes:
    """Write the rows of one observation as a Parquet file; no bytes if there are no rows.

    Equal rows give equal bytes: rows are sorted and pandas' own metadata are left out.

    Raises
    ------
    ArchiveError
        If columns differ from the schema, a value does not fit its type, one is missing, or a row
        is of another observation.
    """
    names = [column.name for column in table.columns]
    if not len(frame) and frame.columns.empty:
        return b""
    if set(frame.columns) != set(names) or len(frame.columns) != len(names):
        difference = sorted(map(str, set(frame.columns) ^ set(names))) or "one is there twice"
        raise ArchiveError(
            f"Table {table.name} of {obsid} and its schema differ in the columns: {difference}."
        )
    try:
        columns = [_arrow_column(frame[field.name], field) for field in table.schema]
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ArchiveError(f"Table {table.name} of {obsid} does not fit: {error}.") from error
    if not len(frame):
        return b""
    rows = pa.Table.from_arrays(columns, schema=table.schema)
    if rows["obsid"].unique().to_pylist() != [obsid]:
        raise ArchiveError(f"Table {table.name} of {obsid} has rows of another observation.")
    rows = rows.sort_by([(name, "ascending") for name in table.sort_by])
    # Floating-point values hardly repeat: a dictionary of them takes time and space.
    repeating = [field.name for field in rows.schema if not pa.types.is_floating(field.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows, sink, compression="zstd", use_dictionary=repeating, row_group_size=ROW_GROUP_ROWS
    )
    return bytes(sink.getvalue())


def _arrow_column(values: pd.Series, field: pa.Field) -> pa.Array:
    """Convert to the declared type; NaN stays NaN, and nothing wraps round or is cut off."""
    try:
        if pa.types.is_list(field.type):
            column = _list_array(values, field.type)
        elif pa.types.is_string(field.type):
            column = pa.array(values, field.type)
        else:
            column = pa.array(values.to_numpy(), field.type, from_pandas=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ValueError(f"column {field.name}: {error}") from error
    if column.null_count and not field.nullable:
        raise ValueError(f"column {field.name} has {column.null_count} missing values")
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _list_array(values: pd.Series, type_: pa.ListType) -> pa.ListArray:
    """Rows of arrays; pyarrow's own conversion of them cuts 2.5 off to 2."""
    rows = [np.asarray(row) for row in values]
    if any(row.ndim != 1 for row in rows):
        raise ValueError("each row must be a one-dimensional array")
    offsets = np.cumsum([0, *map(len, rows)])
    content = np.concatenate(rows) if rows else np.empty(0)
    flat = pa.array(content, type_.value_type, from_pandas=False)
    if flat.null_count:
        raise ValueError("an array has missing values")
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat, type=type_)


def read_file(
    store: Store,
    path: str,
    table: Table,
    columns: list[str] | None = None,
    rows: list[tuple[str, str, Any]] | None = None,
) -> pa.Table:
    """Rows of a file, all or those for which every condition (column, operator, value) holds.

    Raises
    ------
    FileReplacedError
        If the file is gone.
    ArchiveError
        If it is damaged or has other columns than the table.
    """
    try:
        with store.open(path) as source:
            found: pa.Table = pq.read_table(source, columns=columns, filters=rows)
    except FileNotFoundError as error:
        raise FileReplacedError(
            f"{store.path(path)} is gone; its observation was probably processed again, "
            f"so open the table again."
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(
            f"{store.path(path)} cannot be read ({error}); process its observation again."
        ) from error
    names = columns or table.schema.names
    if not found.schema.equals(pa.schema([table.schema.field(name) for name in names])):
        raise ArchiveError(f"{store.path(path)} does not have the columns of table {table.name}.")
    return found


def to_pandas(rows: pa.Table) -> pd.DataFrame:
    """Arrow rows with the pandas dtypes of `exod.schemas`."""
    frame: pd.DataFrame = rows.to_pandas(
        types_mapper={pa.string(): STRING}.get, ignore_metadata=True
    )
    return frame


def groups(files: Iterable[TableFile]) -> Iterator[tuple[str, ...]]:
    """Paths of the files, as many in a group as a partition may have."""
    group: list[str] = []
    size = 0
    for file in files:
        if file.path is None:
            continue
        if group and (size + file.bytes > PARTITION_BYTES or len(group) == PARTITION_FILES):
            yield tuple(group)
            group, size = [], 0
        group.append(file.path)
        size += file.bytes
    if group:
        yield tuple(group)


def read_group(
    paths: Sequence[str], *, store: Store, name: str, columns: list[str] | None = None
) -> pd.DataFrame:
    """One partition of a lazy table: its files one after the other."""
    table = TABLES[name]
    if not paths:
        return table.frame() if columns is None else table.frame()[columns]
    return to_pandas(pa.concat_tables(read_file(store, path, table, columns) for path in paths))
