"""SQL on an archive through DuckDB: a view for each table, over the files that count now.

A user's statement is one SELECT. It sees the views and nothing else: DuckDB may open the files of
the views only, and its settings are locked before it reads the statement. NaN is null in the
views, since DuckDB takes it for the largest of all numbers.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from exod.archive.snapshot import MATCHES, PRODUCTS, Snapshot
from exod.errors import ArchiveError, ConfigError, ExodError
from exod.files.storage import one_line
from exod.schemas.columns import Column, Table

if TYPE_CHECKING:
    from exod.archive.reading import ArchiveReader

BATCH_ROWS = 100_000
"""Rows that are handed on at a time."""

DETECTIONS = "detections"
_PARTS = ("regions", "members", "features", "flags")
_OF_MEMBERS = ("unique_reg_id", "srcid")

_NEVER_NAN = ("ra_deg", "dec_deg", "t_bin", "e_lo", "e_hi", "time")
"""Conditions on these go to the statistics of files, which one on a computed value cannot."""


@dataclass(frozen=True)
class Answer:
    """The answer to a statement; valid until its connection is closed.

    Attributes
    ----------
    table : Table
        Its columns, without units: a statement may compute anything.
    reader : pyarrow.RecordBatchReader
        What gives the rows.
    """

    table: Table
    reader: pa.RecordBatchReader

    def chunks(self) -> Iterator[pa.Table]:
        """The rows, some at a time; once.

        Raises
        ------
        ConfigError
            If DuckDB cannot compute them.
        ArchiveError
            If it cannot read a file.
        """
        with _explained():
            for batch in self.reader:
                yield _plain(batch, self.table.schema)


@contextmanager
def connect(archive: ArchiveReader, statement: str) -> Iterator[Answer]:
    """Ask a statement; nothing but its types is computed before its rows are taken.

    Parameters
    ----------
    archive : Archive
        The archive.
    statement : str
        One SELECT. Tables have the names that `exod query` gives them.

    Yields
    ------
    Answer

    Raises
    ------
    ConfigError
        If DuckDB is not installed, or the statement is no SELECT or has an error.
    ArchiveError
        If a table is asked for that was not made yet, or a file is damaged.
    """
    duckdb = _duckdb()
    _check(duckdb, statement)
    snapshot = Snapshot(archive)
    # Nothing of Python's, nothing from the network.
    settings = {
        "python_enable_replacements": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    with (
        tempfile.TemporaryDirectory(prefix="exod-sql-") as folder,
        duckdb.connect(config=settings) as connection,
    ):
        with _explained():
            paths = _make_views(connection, snapshot, statement)
            # Answers larger than memory are kept here meanwhile.
            connection.execute(f"SET temp_directory = {_text(folder)}")
            connection.execute(f"SET allowed_paths = [{', '.join(map(_text, paths))}]")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
        with _explained(snapshot, statement):
            reader = connection.sql(statement).to_arrow_reader(BATCH_ROWS)
        with reader:
            columns = _columns(reader.schema)
            yield Answer(Table("answer", " ".join(statement.split()), columns, ()), reader)


def list_tables(archive: ArchiveReader) -> list[tuple[str, list[str]]]:
    """Names and columns of the tables that a statement can name."""
    snapshot = Snapshot(archive)
    found = [(name, list(snapshot.table(name).schema.names)) for name in snapshot.names]
    if snapshot.has(*_PARTS):
        names = [name for _, own in _detection_columns(snapshot) for name in own]
        found.insert(0, (DETECTIONS, names))
    return found


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise ConfigError("SQL needs DuckDB, which is not installed; install exod[sql].") from None
    return duckdb


def _check(duckdb: Any, statement: str) -> None:
    """One SELECT only: what else could change files, even those that are read."""
    with _explained():
        found = duckdb.extract_statements(statement)
    if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
        raise ConfigError(
            "An archive answers one SELECT and nothing else, since it is not changed."
        )


@contextmanager
def _explained(snapshot: Snapshot | None = None, statement: str = "") -> Iterator[None]:
    """Turn what DuckDB raises into a sentence."""
    duckdb = _duckdb()
    try:
        yield
    except duckdb.IOException as error:
        raise ArchiveError(f"A file of the archive cannot be read: {_said(error)}.") from error
    except duckdb.Error as error:
        if snapshot is not None and isinstance(error, duckdb.CatalogException):
            raise _absent(snapshot, statement, error) from error
        raise ConfigError(f"The statement cannot be answered: {_said(error)}.") from error


def _said(error: Exception) -> str:
    # Without the picture of the place.
    return one_line(ValueError(str(error).split("\n\n", maxsplit=1)[0]))


def _absent(snapshot: Snapshot, statement: str, error: Exception) -> ExodError:
    """The error for a table that there is not, or not yet."""
    wanted = [name for name in PRODUCTS if _mentions(statement, name)]
    wanted += re.findall(rf"\b{MATCHES}\w+", statement)
    if _mentions(statement, DETECTIONS):
        wanted += _PARTS
    for name in wanted:
        if not snapshot.has(name):
            try:
                snapshot.table(name)
            except ExodError as missing:
                return missing
    tables = ", ".join(snapshot.names)
    return ConfigError(
        f"The statement cannot be answered: {_said(error).rstrip('?!')}; the tables are {tables}, "
        f"and detections."
    )


# ------------------------------------------------------------------------ views


def _mentions(statement: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", statement, re.IGNORECASE) is not None


def _make_views(connection: Any, snapshot: Snapshot, statement: str) -> list[str]:
    """Make the views that the statement may name; the files that they read."""
    names = [name for name in snapshot.names if _mentions(statement, name)]
    of_all = _mentions(statement, DETECTIONS) and snapshot.has(*_PARTS)
    if of_all:
        names = list(dict.fromkeys([*names, *_PARTS]))
    store, found = snapshot.store, []
    if not store.is_local:
        connection.register_filesystem(store.filesystem)
    for name in names:
        table = snapshot.table(name)
        files = sorted(snapshot.files(name), key=lambda file: file.without)
        selections = []
        for without, alike in groupby(files, key=lambda file: file.without):
            paths = [_path(snapshot, file.path) for file in alike]
            selections.append(_selection(table, paths, without))
            found += paths
        if not selections:
            connection.register(f"no_{name}", table.schema.empty_table())
            selections = [" ".join(("SELECT * FROM", _name(f"no_{name}")))]
        connection.execute(f'CREATE VIEW "{name}" AS {" UNION ALL ".join(selections)}')
    if of_all:
        connection.execute(f"CREATE VIEW {DETECTIONS} AS {_joined(snapshot)}")
    return found


def _path(snapshot: Snapshot, name: str) -> str:
    store = snapshot.store
    path = store.path(name)
    if not store.is_local:
        # As DuckDB gets it back from the file system, and compares it.
        path = store.filesystem.unstrip_protocol(path)
    if re.search(r"[*?\[]", path):
        raise ArchiveError(
            f"DuckDB takes *, ? and [ in {store.root} for a pattern; give the archive another name."
        )
    return path


def _selection(table: Table, paths: Sequence[str], without: Sequence[str]) -> str:
    columns = ", ".join(map(_expression, table.columns))
    words = ["SELECT", columns, f"FROM read_parquet([{', '.join(map(_text, paths))}])"]
    if without:
        words.append(f"WHERE obsid NOT IN ({', '.join(map(_text, without))})")
    return " ".join(words)


def _expression(column: Column) -> str:
    name = _name(column.name)
    if pa.types.is_floating(column.type) and column.name not in _NEVER_NAN:
        return f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END AS {name}"
    return name


def _detection_columns(snapshot: Snapshot) -> list[tuple[str, list[str]]]:
    """The tables that make up the detections, and the columns that each gives."""
    seen: set[str] = set()
    found = []
    for name in _PARTS:
        names = _OF_MEMBERS if name == "members" else snapshot.table(name).schema.names
        found.append((name, [item for item in names if item not in seen]))
        seen |= set(names)
    return found


def _joined(snapshot: Snapshot) -> str:
    columns = ", ".join(
        f"{table}.{_name(column)}"
        for table, names in _detection_columns(snapshot)
        for column in names
    )
    joins = (f"JOIN {name} ON {name}.detid = regions.detid" for name in _PARTS[1:])
    return " ".join(("SELECT", columns, "FROM regions", *joins))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


# ------------------------------------------------------------------------ answers


def _columns(schema: pa.Schema) -> tuple[Column, ...]:
    if len(set(schema.names)) < len(schema.names):
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        raise ConfigError(
            f"Two columns of the answer are called {twice[0]}; name one of them with AS."
        )
    return tuple(Column(field.name, _simple(field.type), "", "", nullable=True) for field in schema)


def _simple(kind: pa.DataType) -> pa.DataType:
    """The type that files can have for a type of DuckDB's."""
    types = pa.types
    if types.is_decimal(kind):
        # Sums of whole numbers are decimals.
        return pa.int64() if kind.scale == 0 else pa.float64()
    simple = (types.is_boolean, types.is_integer, types.is_floating, types.is_list)
    if any(test(kind) for test in simple) and kind != pa.uint64():
        return kind
    return pa.string() if kind != pa.uint64() else pa.int64()


def _plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    columns = []
    for field, values in zip(schema, batch.columns, strict=True):
        try:
            columns.append(values.cast(field.type))
        except pa.ArrowException as error:
            raise ConfigError(
                f"Column {field.name} of the answer, of type {values.type}, cannot be given as "
                f"{field.type}; CAST it to DOUBLE or VARCHAR."
            ) from error
    return pa.Table.from_arrays(columns, schema=schema)
