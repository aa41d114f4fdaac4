"""Tables as Parquet files: checked against their schema, and equal rows give equal bytes."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from exod.archive.dates import DatedReading
from exod.archive.ledger.entry import StoredFile
from exod.archive.store import Store
from exod.errors import ArchiveError
from exod.files.seals import KEPT_BYTES, DamagedError
from exod.files.storage import one_line
from exod.schemas import TABLES, Table
from exod.schemas.columns import NULLABLE, pandas_dtype

if TYPE_CHECKING:
    import pandas as pd


ROW_GROUP_ROWS = 20_000
"""Rows of a row group: a light curve of 100 ks in 5 s frames is one or two of them."""
_PART_BYTES = 1 << 22
COMPACT = "compact"
"""Folder of the files that hold many observations."""

Filters = Sequence[Any]
"""Conditions (column, operator, value) that all hold, or lists of them of which one holds."""
Conditions = list[list[tuple[str, str, Any]]]
"""Checked filters: of the lists one holds, and of a list every condition."""


class FileReplacedError(ArchiveError):
    """A file is gone since something newer replaced it and `gc` ran."""


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


def checked(table: Table, filters: Filters) -> Conditions:
    """Bring filters into one form; none are an empty list.

    Raises
    ------
    ArchiveError
        If a column or an operator does not exist, or a value does not fit its column.
    """
    if not filters:
        return []
    import pandas as pd
    import pyarrow.dataset as ds

    try:
        lists = [filters] if isinstance(filters[0][0], str) else filters
        found = [[(str(name), str(sign), value) for name, sign, value in row] for row in lists]
        for name, sign, value in (condition for row in found for condition in row):
            # Statistics of a file leave NaN out, so what they rule out may hold for it.
            if sign in ("!=", "not in") and pa.types.is_floating(_type(table, name)):
                raise ValueError(f"{sign} would lose NaN of {name}; select after reading")
            if any(pd.isna(item) for item in (value if sign in ("in", "not in") else [value])):
                raise ValueError(f"{name} cannot be compared with {value}; select after reading")
        # Nothing is read; a filter of no rows would wait for threads.
        ds.Scanner.from_batches(
            iter(()), schema=table.schema, filter=pq.filters_to_expression(found)
        )
    except (pa.ArrowException, ValueError, TypeError, LookupError) as error:
        raise ArchiveError(f"Table {table.name} cannot be filtered so: {error}.") from error
    return found


def _type(table: Table, name: str) -> pa.DataType:
    return next((column.type for column in table.columns if column.name == name), pa.null())


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
    # What was read has dates, which are computed again.
    dates = [column.name for column in table.computed if column.name in frame.columns]
    if dates:
        frame = frame.drop(columns=dates)
    if set(frame.columns) != set(names) or len(frame.columns) != len(names):
        difference = sorted(map(str, set(frame.columns) ^ set(names))) or "one is there twice"
        raise ArchiveError(
            f"Table {table.name} of {obsid} and its schema differ in the columns: {difference}."
        )
    rows = to_arrow(table, frame, f"{table.name} of {obsid}")
    if not len(frame):
        return b""
    if rows["obsid"].unique().to_pylist() != [obsid]:
        raise ArchiveError(f"Table {table.name} of {obsid} has rows of another observation.")
    sink = pa.BufferOutputStream()
    write_sorted(sink, table, rows)
    return bytes(sink.getvalue())


def to_arrow(table: Table, frame: pd.DataFrame, what: str) -> pa.Table:
    """Rows with exactly the types of a table.

    Parameters
    ----------
    table : Table
        The table.
    frame : DataFrame
        With its columns, in any order.
    what : str
        What the rows are called if they do not fit.

    Raises
    ------
    ArchiveError
        If a column is not there, or a value is missing or does not fit its type.
    """
    given = dict(frame.items())
    try:
        columns = [_arrow_column(given[field.name], field) for field in table.schema]
    except KeyError as error:
        raise ArchiveError(f"Table {what} lacks the column {error}.") from error
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ArchiveError(f"Table {what} does not fit: {error}.") from error
    return pa.Table.from_arrays(columns, schema=table.schema)


def write_sorted(sink: Any, table: Table, rows: pa.Table, groups: str = "") -> None:
    """Write rows of a table to a Parquet file, sorted as the table says.

    Each value of the column `groups`, if there is one, has row groups of its own.
    """
    keys = [(name, "ascending") for name in table.sort_by]
    # Sorted a row group at a time, there is no second copy of a large table.
    rows = rows.combine_chunks()
    order = pc.sort_indices(rows, sort_keys=keys)
    ends = [*range(ROW_GROUP_ROWS, len(rows), ROW_GROUP_ROWS), len(rows)]
    if groups:
        values = rows[groups].take(order).to_pylist()
        ends = np.cumsum(list(Counter(values).values())).tolist()
    with writer(sink, table.schema) as file:
        for start, end in itertools.pairwise([0, *ends]):
            some = rows.take(order.slice(start, end - start))
            file.write_table(some, row_group_size=ROW_GROUP_ROWS)


def writer(sink: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a Parquet file to write, the same way for every file of an archive."""
    # Floating-point and packed values hardly repeat: a dictionary of them takes time and space.
    repeating = [
        field.name
        for field in schema
        if not (pa.types.is_floating(field.type) or pa.types.is_binary(field.type))
    ]
    return pq.ParquetWriter(
        sink, schema, compression="zstd", use_dictionary=repeating, write_page_checksum=True
    )


def _arrow_column(values: pd.Series, field: pa.Field) -> pa.Array:
    """Convert to the declared type; NaN stays NaN, and nothing wraps round or is cut off."""
    try:
        if pa.types.is_list(field.type):
            column = _list_array(values, field.type)
        elif pa.types.is_string(field.type) or field.nullable:
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
    file: StoredFile | None,
    table: Table,
    columns: Sequence[str] | None = None,
    rows: Conditions | None = None,
    row_groups: tuple[int, int] | None = None,
) -> pa.Table:
    """Rows of a file, all or those for which the conditions hold.

    Parameters
    ----------
    store : Store
        Where the file is.
    file : StoredFile, optional
        The file; without one there are no rows.
    table : Table
        Its table; dates among its columns are computed.
    columns : sequence of str, optional
        The columns to read; conditions may be about others.
    rows : Conditions, optional
        What `checked` returns. Row groups whose statistics rule them out are not read; dates have
        no statistics.
    row_groups : (int, int), optional
        First row group and one past the last.

    Raises
    ------
    FileReplacedError
        If the file is gone.
    ArchiveError
        If it is damaged, another one, or has other columns than the table.
    """
    names = list(table.schema.names if columns is None else columns)
    if file is None:
        return table.schema.empty_table().select(names)
    path, plan = file.path, DatedReading.of(table, names, rows)
    with _explained(store, path):
        if not file.seal.sha256:
            check_unsealed(store, file)
        with store.open(path, file.seal) as source:
            found = _rows_of(source, plan.schema, plan.names, plan.rows, row_groups)
    if found is None and file.seal.sha256:
        raise ArchiveError(
            f"{store.path(path)} was written by another version of exod, with other columns than "
            f"table {table.name} has now; make {path.split('/')[0]} of {store.root} again."
        )
    if found is None:
        raise store.damaged(path, f"it does not have the columns of table {table.name}")
    return plan.finished(found)


def row_groups(file: pq.ParquetFile, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, a row group at a time; `iter_batches` keeps what it has read."""
    for number in range(file.num_row_groups):
        yield from file.read_row_group(number, columns=columns).to_batches()


def check_files(store: Store, files: Sequence[StoredFile]) -> None:
    """Compare files with their seals before they are read otherwise.

    Raises
    ------
    FileReplacedError
        If one is gone.
    DamagedError
        If one is not what was written.
    """

    def check(some: Sequence[StoredFile]) -> None:
        for file in some:
            with _explained(store, file.path):
                if not file.seal.sha256:
                    check_unsealed(store, file)
                else:
                    store.sealed_content(file.path, file.seal)

    store.in_threads(check, files)


def open_stored(store: Store, file: StoredFile, kept_bytes: int = KEPT_BYTES) -> io.IOBase:
    """Open a file to read at any place, and to be closed; raises as `check_files`.

    Of a large one so many bytes stay in memory.
    """
    with _explained(store, file.path):
        if file.seal.is_read_whole:
            return io.BytesIO(store.sealed_content(file.path, file.seal))
        if file.seal.blocks:
            return store.sealed_file(file.path, file.seal, kept_bytes)
        check_unsealed(store, file)
        return io.BytesIO(store.read(file.path))


def fault_of(store: Store, file: StoredFile) -> str:
    """What is wrong with a file, which is read whole; empty if nothing is.

    Without a digest every page of it is decoded and compared with its own checksum, if it has one;
    size and rows that are not known are -1.
    """
    try:
        if not file.seal.sha256:
            if file.seal.size >= 0:
                check_unsealed(store, file)
            with store.open(file.path) as source:
                parquet = pq.ParquetFile(source, page_checksum_verification=True)
                for number in range(parquet.num_row_groups):
                    parquet.read_row_group(number)
            return ""
        with store.open(file.path) as source:
            return file.seal.fault_of_parts(iter(lambda: source.read(_PART_BYTES), b""))
    except DamagedError as error:
        return error.fault
    except FileNotFoundError:
        return "it is gone"
    except (OSError, pa.ArrowException) as error:
        return f"it cannot be read ({one_line(error)})"


@contextmanager
def _explained(store: Store, path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        cause, remedy = _gone(store, path)
        raise FileReplacedError(f"{store.path(path)} is gone; {cause}, so {remedy}.") from error
    except (OSError, pa.ArrowException) as error:
        raise store.unreadable(path, one_line(error)) from error


def check_unsealed(store: Store, file: StoredFile) -> None:
    """Compare a file of which no digest is known with what is known: size, rows, observations.

    Raises
    ------
    DamagedError
        If it is another file.
    OSError, ArrowException
        If it cannot be read.
    """
    with store.open(file.path) as source:
        size = source.seek(0, os.SEEK_END)
        if size != file.seal.size:
            raise store.damaged(file.path, f"it has {size} bytes and had {file.seal.size}")
        metadata = pq.ParquetFile(source).metadata
    if metadata.num_rows != file.rows:
        fault = f"it has {metadata.num_rows} rows and had {file.rows}"
        raise store.damaged(file.path, fault)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = (group.column(place) for place in range(group.num_columns))
        known = next((c.statistics for c in columns if c.path_in_schema == "obsid"), None)
        if known and not (file.first <= known.min and known.max <= file.last):
            raise store.damaged(file.path, f"it has rows of observation {known.min}")


def _rows_of(
    source: Any,
    schema: pa.Schema,
    names: list[str],
    rows: Conditions | None,
    row_groups: tuple[int, int] | None,
) -> pa.Table | None:
    """Rows of an open file; None if it has another schema."""
    groups = range(*row_groups) if row_groups else None
    if not rows:
        # Of a small file this takes a third of the time of a fragment.
        file = pq.ParquetFile(source, page_checksum_verification=True)
        if not file.schema_arrow.equals(schema):
            return None
        found = file.read_row_groups(groups or range(file.num_row_groups), columns=names)
        return found.select(names)
    # It loads pandas, which takes half the time of a short command.
    import pyarrow.dataset as ds

    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    kind = ds.ParquetFileFormat(default_fragment_scan_options=options)
    fragment = kind.make_fragment(source, row_groups=groups)
    if not fragment.physical_schema.equals(schema):
        return None
    # Partitions are read side by side already, and what is read has the lock of Python.
    return fragment.to_table(
        columns=names, filter=pq.filters_to_expression(rows), use_threads=False
    )


def _is_compact(path: str) -> bool:
    return path.startswith(f"{COMPACT}/")


_AGAIN: Final = "open the table again or, if that does not help"


def _gone(store: Store, path: str) -> tuple[str, str]:
    if _is_compact(path):
        return "the archive was probably compacted again", f"{_AGAIN}, {_remedy(store, path)}"
    remedy = f"{_AGAIN}, `exod verify {store.root}` says what to do"
    return "its observation was probably processed again", remedy


def _remedy(store: Store, path: str) -> str:
    if _is_compact(path):
        return f"run `exod compact {store.root} --force`"
    return "process its observation again"


def arrow_rows(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows of values that JSON has, as Arrow; what a row lacks is null.

    pyarrow's own conversion loads pandas, which takes half the time of a short command.
    """
    if not rows:
        return pa.Table.from_batches([], schema)
    text = "\n".join(map(json.dumps, rows)).encode()
    found: pa.Table = pj.read_json(
        pa.BufferReader(text),
        pj.ReadOptions(use_threads=False, block_size=len(text)),
        pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
    )
    return found


def arrow_texts(values: Iterable[str]) -> pa.Array:
    """Text as Arrow, without pandas."""
    texts = list(values)
    content, sizes = "".join(texts).encode(), [*map(len, texts)]
    if len(content) > sum(sizes):
        sizes = [len(text.encode()) for text in texts]
    ends = np.cumsum([0, *sizes], dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(content))


def to_pandas(rows: pa.Table) -> pd.DataFrame:
    """Arrow rows with the pandas dtypes of `exod.schemas`.

    Columns of whole numbers or booleans that may hold nulls become pandas' nullable ones, since
    NaN would turn the identifiers of Gaia into rounded floating-point numbers.
    """
    text = {pa.string(): pandas_dtype(pa.string())}
    frame: pd.DataFrame = rows.to_pandas(types_mapper=text.get, ignore_metadata=True)
    for field in rows.schema:
        if field.nullable and field.type in NULLABLE:
            dtype = pandas_dtype(field.type, nullable=True)
            exact = rows[field.name].to_pandas(types_mapper={field.type: dtype}.get)
            frame[field.name] = exact.set_axis(frame.index)
    return frame
