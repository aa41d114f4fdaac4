"""Answers to ADQL in files: VOTable, CSV, TSV or FITS, bounded in rows, bytes, time and number."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Final

import duckdb
import pyarrow as pa

from exod.archive.parquet import to_pandas
from exod.archive.questions.sql import patient
from exod.errors import ArchiveError, ConfigError
from exod.schemas.columns import Column, Table
from exod.stages.query.statements import answered
from exod.tablefiles import votable
from exod.tablefiles.csvtext import csv_text
from exod.tablefiles.writing import write_table
from exod.web.product import Product
from exod.web.vo.adql import Translated, translated
from exod.web.vo.tapschema import check_named, schema_tables, shown_tables

MOST_ROWS: Final = 1_000_000
USUAL_ROWS: Final = 20_000
"""Rows of an answer at most, and if a reader does not say how many."""

MOST_BYTES: Final = 1_000_000_000
"""Of an answer; what is longer is cut as if it had more rows than are allowed."""

MOST_RUNNING: Final = 2
"""Statements that are computed at once; each may use 1 GB."""

PATIENCE_SECONDS: Final = 10.0
"""How long a statement may be computed while its reader waits."""


@dataclass(frozen=True)
class Format:
    """A format of answers.

    Attributes
    ----------
    suffix, media_type : str
        The ending of its files and what they are.
    """

    suffix: str
    media_type: str


VOTABLE: Final = Format(".vot", votable.MEDIA_TYPE)
_FORMATS: Final = {
    **dict.fromkeys(("votable", "text/xml", votable.MEDIA_TYPE, "votable/td"), VOTABLE),
    **dict.fromkeys(("csv", "text/csv"), Format(".csv", "text/csv")),
    **dict.fromkeys(
        ("tsv", "text/tab-separated-values"), Format(".tsv", "text/tab-separated-values")
    ),
    **dict.fromkeys(("fits", "application/fits"), Format(".fits", "application/fits")),
}


def format_of(text: str) -> Format:
    """The format that a reader asks for.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    wanted = text.partition(";")[0].strip().lower() or "votable"
    if wanted not in _FORMATS:
        raise ConfigError(f"There is no format {text[:50]!r}; there are votable, csv, tsv, fits.")
    return _FORMATS[wanted]


class Ending:
    """By which a statement is ended from another thread.

    Attributes
    ----------
    is_wanted : bool
        Whether it is to end.
    """

    def __init__(self) -> None:
        self.is_wanted = False
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._lock = Lock()

    @contextmanager
    def of(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """The time in which this connection is what is ended."""
        with self._lock:
            self._connection = connection
        try:
            yield
        finally:
            with self._lock:
                self._connection = None

    def end(self) -> None:
        """End the statement."""
        self.is_wanted = True
        with self._lock:
            if self._connection:
                self._connection.interrupt()


class Desk:
    """Lets few statements run at once, and few wait; everybody else is told to come back."""

    def __init__(self, running: int = MOST_RUNNING, waiting: int = 4) -> None:
        self._running = BoundedSemaphore(running)
        self._places = BoundedSemaphore(running + waiting)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A turn, for which one may wait as long as it takes."""
        with self._running:
            yield

    @contextmanager
    def place(self) -> Iterator[None]:
        """A turn, for which not too many wait.

        Raises
        ------
        ArchiveError
            If too many wait already.
        """
        if not self._places.acquire(blocking=False):
            raise ArchiveError("The server answers many other questions now; ask again later.")
        try:
            with self._running:
                yield
        finally:
            self._places.release()


@dataclass(frozen=True)
class AskedQuery:
    """A statement with what a reader wants of its answer.

    Attributes
    ----------
    text : str
        ADQL.
    format : Format
        How it is to be answered.
    rows : int
        Rows at most.
    seconds : float
        How long it may be computed.
    """

    text: str
    format: Format = VOTABLE
    rows: int = USUAL_ROWS
    seconds: float = PATIENCE_SECONDS


def answer(product: Product, asked: AskedQuery, path: Path, ended: Ending | None = None) -> int:
    """Write the answer to a statement into a file.

    Parameters
    ----------
    product : Product
        What is asked.
    asked : AskedQuery
        The statement.
    path : Path
        The file; it ends as the format does.
    ended : Ending, optional
        By which somebody else can end it.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    ConfigError
        If the statement is wrong, or takes more time or memory than it may.
    ArchiveError
        If a file of the archive cannot be read.
    """
    tables = shown_tables(product)
    own = schema_tables(tables)
    # One row more tells whether there are more.
    try:
        statement = translated(asked.text, tables, own, asked.rows + 1)
    except ConfigError:
        check_named(product, asked.text)
        raise
    ended = ended or Ending()
    named = [name for name in statement.tables if name in tables]
    with (
        product.connected(named, plain=True) as connection,
        _bounded(),
        ended.of(connection),
    ):
        for name in set(statement.tables) - set(tables):
            connection.register(name, own[name.removeprefix("TAP_SCHEMA.")][1])
        remedy = "ask for less, with TOP or a narrower condition"
        with (
            patient(connection, asked.seconds, remedy) as patience,
            # As a table within another one, columns of one name get different ones.
            answered(connection, patience, f"SELECT * FROM ({statement.sql})") as found,  # noqa: S608
        ):
            columns = _described(found.table.columns, statement, tables)
            table = replace(found.table, columns=columns, description=_one_line(asked.text))
            cut = _Cut(found.chunks(), asked.rows, ended, lambda: _size(path))
            _write(path, table, cut, asked)
            return cut.rows


@contextmanager
def _bounded() -> Iterator[None]:
    try:
        yield
    except ArchiveError as error:
        if isinstance(error.__cause__, duckdb.OutOfMemoryException):
            raise ConfigError(
                "The statement needs more memory than it may use; ask for less."
            ) from error
        raise


def _described(
    columns: tuple[Column, ...], statement: Translated, tables: dict[str, Table]
) -> tuple[Column, ...]:
    """The columns of an answer with what is known of them, where nothing was computed."""
    known = {
        column.name.lower(): column
        for name in reversed(statement.tables)
        if name in tables
        for column in tables[name].columns
    }
    found = []
    for column in columns:
        name = column.name.lower()
        if name in known and name not in statement.computed and column.type == known[name].type:
            found.append(replace(known[name], nullable=True))
        else:
            found.append(column)
    return tuple(found)


class _Cut:
    """The rows of an answer up to as many as are wanted.

    Attributes
    ----------
    rows : int
        Rows that were handed on.
    is_cut : bool
        Whether there were more.
    """

    def __init__(
        self, chunks: Iterator[pa.Table], limit: int, ended: Ending, size: Callable[[], int]
    ) -> None:
        self._chunks, self._limit, self._ended, self._size = chunks, limit, ended, size
        self.rows, self.is_cut = 0, False

    def __iter__(self) -> Iterator[pa.Table]:
        for chunk in self._chunks:
            if self._ended.is_wanted:
                raise ConfigError("The statement was ended by its reader.")
            kept = chunk.slice(0, self._limit - self.rows)
            self.rows += kept.num_rows
            if kept.num_rows:
                yield kept
            if kept.num_rows < chunk.num_rows or self._size() > MOST_BYTES:
                self.is_cut = True
                return


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _write(path: Path, table: Table, cut: _Cut, asked: AskedQuery) -> None:
    if asked.format.suffix == ".fits":
        write_table(path, table, cut)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if asked.format is VOTABLE:
            infos = {"QUERY_STATUS": ("OK", ""), "QUERY": (_one_line(asked.text), "")}
            file.write(votable.opening(table.columns, infos, description=table.description))
            for chunk in cut:
                file.write(votable.body(chunk))
            file.write(votable.closing(votable.overflow(cut.rows) if cut.is_cut else {}))
            return
        shown = _tabbed if asked.format.suffix == ".tsv" else str
        file.write(shown(csv_text(table.frame())))
        for chunk in cut:
            file.write(shown(csv_text(to_pandas(chunk), header=False)))


def _tabbed(text: str) -> str:
    sink = io.StringIO()
    csv.writer(sink, "excel-tab", lineterminator="\n").writerows(csv.reader(io.StringIO(text)))
    return sink.getvalue()


def _one_line(text: str) -> str:
    return " ".join(text.split())
