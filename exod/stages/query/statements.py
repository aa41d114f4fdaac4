"""SQL of users on an archive: one SELECT on a view of each table, in which NaN is null.

DuckDB takes NaN for the largest of all numbers, so that ``duration > 100`` would find regions
whose duration is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from exod.archive.questions.connection import connected, explained, said
from exod.archive.questions.detections import DETECTIONS, PARTS, detections
from exod.archive.questions.sql import BATCH_ROWS, Patience, patient
from exod.archive.snapshot import MATCHES, PRODUCTS, Snapshot
from exod.errors import ConfigError, ExodError
from exod.schemas.columns import Column, Table
from exod.schemas.conditions.compiling import quoted

if TYPE_CHECKING:
    from exod.archive.reading import ArchiveReader


@dataclass(frozen=True)
class Answer:
    """The answer to a statement; valid until its connection is closed.

    Attributes
    ----------
    table : Table
        Its columns, without units: a statement may compute anything.
    reader : pyarrow.RecordBatchReader
        What gives the rows.
    patience : Patience
        How long to wait for them.
    """

    table: Table
    reader: pa.RecordBatchReader
    patience: Patience

    def chunks(self) -> Iterator[pa.Table]:
        """The rows, some at a time; once.

        Raises
        ------
        ConfigError
            If DuckDB cannot compute them.
        ArchiveError
            If it cannot read a file.
        """
        with explained():
            while batch := self.patience.wait(lambda: next(self.reader, None)):
                yield _plain(batch, self.table.schema)


@contextmanager
def connect(archive: ArchiveReader, statement: str, timeout: float = 0.0) -> Iterator[Answer]:
    """Ask a statement; nothing but its types is computed before its rows are taken.

    Parameters
    ----------
    archive : Archive
        The archive.
    statement : str
        One SELECT. Tables have the names that `exod query` gives them.
    timeout : float
        Seconds that DuckDB may take, all rows together; 0 for no limit.

    Yields
    ------
    Answer

    Raises
    ------
    ConfigError
        If the statement is no SELECT, has an error, or takes too long.
    ArchiveError
        If a table is asked for that was not made yet, or a file is damaged.
    """
    _check(statement)
    snapshot = Snapshot(archive)
    names = [name for name in snapshot.names if _mentions(statement, name)]
    files = {name: tuple(snapshot.files(name)) for name in names}
    views: dict[str, str] = {}
    if _mentions(statement, DETECTIONS) and snapshot.has(*PARTS):
        rows = detections(snapshot)
        files |= rows.files
        listed = ", ".join(f"{own} AS {quoted(name)}" for name, own in rows.names.items())
        views[DETECTIONS] = f"SELECT {listed} FROM {rows.source}"  # noqa: S608
    with (
        connected(snapshot, files, views) as connection,
        patient(connection, timeout) as patience,
        ExitStack() as opened,
    ):
        try:
            found = opened.enter_context(answered(connection, patience, statement))
        except ConfigError as error:
            if isinstance(error.__cause__, duckdb.CatalogException):
                raise _absent(snapshot, statement, error.__cause__) from error
            raise
        yield found


@contextmanager
def answered(
    connection: duckdb.DuckDBPyConnection, patience: Patience, statement: str
) -> Iterator[Answer]:
    """The answer to a statement on a connection that may ask it.

    Raises
    ------
    ConfigError
        If the statement has an error, or takes too long.
    ArchiveError
        If a file cannot be read.
    """
    with explained():
        reader = patience.wait(lambda: connection.sql(statement).to_arrow_reader(BATCH_ROWS))
    with reader:
        columns = _columns(reader.schema)
        yield Answer(Table("answer", " ".join(statement.split()), columns, ()), reader, patience)


def list_tables(archive: ArchiveReader) -> list[tuple[str, list[str]]]:
    """Names and columns of the tables that a statement can name."""
    snapshot = Snapshot(archive)
    found = [(name, snapshot.table(name).schema.names) for name in snapshot.names]
    if snapshot.has(*PARTS):
        found.insert(0, (DETECTIONS, [*detections(snapshot).names]))
    return found


def _check(statement: str) -> None:
    """One SELECT only: what else could change files, even those that are read."""
    with explained():
        found = duckdb.extract_statements(statement)
    if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
        raise ConfigError(
            "An archive answers one SELECT and nothing else, since it is not changed."
        )


def _absent(snapshot: Snapshot, statement: str, error: Exception) -> ExodError:
    """The error for a table that there is not, or not yet."""
    wanted = [name for name in PRODUCTS if _mentions(statement, name)]
    wanted += re.findall(rf"\b{MATCHES}\w+", statement)
    if _mentions(statement, DETECTIONS):
        wanted += PARTS
    for name in wanted:
        if not snapshot.has(name):
            try:
                snapshot.table(name)
            except ExodError as missing:
                return missing
    tables = ", ".join(snapshot.names)
    return ConfigError(
        f"The statement cannot be answered: {said(error)}; the tables are {tables}, and detections."
    )


def _mentions(statement: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", statement, re.IGNORECASE) is not None


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
    return kind if any(test(kind) for test in simple) else pa.string()


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
