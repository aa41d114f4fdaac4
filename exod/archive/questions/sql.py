"""Questions to the tables of an archive in SQL: DuckDB reads the files that count, and no others.

Every statement, ours or a user's, runs on a connection that may open the files of its views only,
whose settings are locked before it is read, and which loads no extension.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeVar

import duckdb
import pyarrow as pa

from exod.archive.dates import date_sql
from exod.archive.ledger.entry import StoredFile
from exod.archive.parquet import COMPACT, arrow_rows, check_files, open_stored, to_pandas
from exod.archive.parts import Piece
from exod.archive.snapshot import Snapshot
from exod.archive.store import Store
from exod.errors import ArchiveError, ConfigError
from exod.files.storage import one_line
from exod.schemas.columns import Column, Table
from exod.schemas.conditions.compiling import literal, quoted

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd

Result = TypeVar("Result")

INTERRUPT_SECONDS: Final = 0.1
"""How often a statement is told to end, until it does."""

BATCH_ROWS: Final = 20_000
LIST_ROWS: Final = 100
"""Rows that are handed on at a time; of images few."""

PARTITION_FILES: Final = 256
"""Files of single observations in a partition of a lazy dataframe."""

POSITION: Final = ("#part", "#file", "#row")
"""Columns of the views of our own statements that tell the place of a row in the archive."""

_SETTINGS: Final = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "1GB",
}
"""Nothing of Python's, nothing from the network; what is larger is kept on disk meanwhile."""


def without_bar(connection: duckdb.DuckDBPyConnection) -> None:
    """Show no bar of progress: it would be among the rows that go to standard output."""
    # A notebook that could not show one refuses the setting.
    with suppress(duckdb.InvalidInputException):
        connection.execute("SET enable_progress_bar = false")


@dataclass(frozen=True)
class Question:
    """A statement of our own about tables of an archive; nothing is read before its rows are taken.

    Attributes
    ----------
    snapshot : Snapshot
        The archive.
    table : Table
        The columns of the answer.
    text : str
        The statement, up to its order.
    ordered : str
        Its order and limit.
    base : str
        The table whose rows it selects.
    files : Mapping of str to tuple of Piece
        The files of the tables that it names.
    added : tuple of str
        The columns that counterparts and a cone add to those of the base table.
    """

    snapshot: Snapshot
    table: Table
    text: str
    ordered: str
    base: str
    files: Mapping[str, tuple[Piece, ...]]
    added: tuple[str, ...] = ()

    def chunks(self) -> Iterator[pa.Table]:
        """The rows in their order with the types of `table`, some at a time, once at least.

        Raises
        ------
        ArchiveError
            If a file cannot be read.
        """
        found = False
        with connected(self.snapshot, self.files) as connection, explained():
            lists = any(pa.types.is_list(column.type) for column in self.table.columns)
            rows = LIST_ROWS if lists else BATCH_ROWS
            with connection.sql(self.text + self.ordered).to_arrow_reader(rows) as reader:
                for batch in reader:
                    found = True
                    yield self._declared(batch)
        if not found:
            yield arrow_rows([], self.table.schema)

    def _declared(self, batch: pa.RecordBatch) -> pa.Table:
        schema = self.table.schema
        try:
            columns = [
                values.cast(field.type) for field, values in zip(schema, batch.columns, strict=True)
            ]
        except pa.ArrowException as error:
            raise ArchiveError(
                f"A file of {self.snapshot.store.root} does not have the columns of table "
                f"{self.table.name}: {one_line(error)}."
            ) from error
        return pa.Table.from_arrays(columns, schema=schema)

    def frames(self) -> Iterator[pd.DataFrame]:
        """As `chunks`, with the pandas dtypes of `exod.schemas`."""
        return map(to_pandas, self.chunks())

    def computed(self) -> pd.DataFrame:
        """All rows in one frame."""
        return to_pandas(pa.concat_tables(self.chunks()))

    @property
    def frame(self) -> dd.DataFrame:
        """The rows as a dask dataframe without order and limit, by files of the base table."""
        import dask
        import dask.dataframe as dd

        pieces = [replace(self, files={**self.files, self.base: files}) for files in self._pieces()]
        with dask.config.set({"dataframe.convert-string": False}):
            frame: dd.DataFrame = dd.from_map(
                Question.computed,
                [replace(piece, ordered="") for piece in pieces],
                meta=self.table.frame(),
                label=self.table.name,
            )
        return frame

    def _pieces(self) -> list[tuple[Piece, ...]]:
        """The files of each partition; a compact one has its own."""
        files = self.files[self.base]
        large = [(file,) for file in files if file.path.startswith(f"{COMPACT}/")]
        small = files[len(large) :]
        steps = range(0, len(small), PARTITION_FILES)
        return [*large, *(small[step : step + PARTITION_FILES] for step in steps)] or [()]


@contextmanager
def connected(
    snapshot: Snapshot,
    files: Mapping[str, Sequence[Piece]],
    views: Mapping[str, str] | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with a view of each table, which can open the files of these and nothing else.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.
    files : Mapping of str to sequence of Piece
        The files of each table.
    views : Mapping of str to str, optional
        Further views of statements. If given, the connection is for statements of users: NaN is
        null everywhere. Otherwise tables are as they are in the files, with `POSITION`.
    """
    places = _Places(snapshot.store, [piece.file for own in files.values() for piece in own])
    with (
        tempfile.TemporaryDirectory(prefix="exod-sql-") as folder,
        duckdb.connect(config=_SETTINGS) as connection,
        places.explained(),
    ):
        with explained():
            without_bar(connection)
            if places.system:
                connection.register_filesystem(places.system)
            for name, own in files.items():
                table = snapshot.table(name)
                if not own:
                    connection.register(f"no {name}", table.schema.empty_table())
                view = _view(places, name, table, own, plain=views is not None)
                connection.execute(f"CREATE VIEW {quoted(name)} AS {view}")
            for name, view in (views or {}).items():
                connection.execute(f"CREATE VIEW {quoted(name)} AS {view}")
            paths = [places.path(piece.file) for own in files.values() for piece in own]
            connection.execute(f"SET temp_directory = {literal(folder)}")
            connection.execute(f"SET allowed_paths = [{', '.join(map(literal, paths))}]")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
        yield connection


class Patience:
    """Waits for what a connection computes, in another thread, so that it can be interrupted.

    Ctrl-C and the end of the time end the statement, and not only the waiting for it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._left = seconds or None
        self._thread = ThreadPoolExecutor(1)

    def wait(self, action: Callable[[], Result]) -> Result:
        """What an action returns that uses the connection.

        Raises
        ------
        ConfigError
            If all of them together take longer than they may.
        """
        began = time.monotonic()
        future = self._thread.submit(action)
        try:
            done, _ = wait([future], self._left)
        except BaseException:
            self._end(future)
            raise
        if not done:
            self._end(future)
            raise ConfigError(
                f"The statement takes longer than {self._seconds:g} s; ask for less, or give it "
                f"more time with --timeout."
            )
        if self._left is not None:
            self._left = max(self._left - (time.monotonic() - began), 0.0)
        return future.result()

    def _end(self, future: Future[Any]) -> None:
        """End what is being computed, before anybody touches what it uses."""
        while not future.done():
            # One that comes before the statement has begun is lost.
            self._connection.interrupt()
            with suppress(TimeoutError, duckdb.Error):
                future.exception(INTERRUPT_SECONDS)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()


@contextmanager
def patient(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[Patience]:
    """A `Patience` of some seconds, 0 for any number, that ends with the block."""
    patience = Patience(connection, seconds)
    try:
        yield patience
    finally:
        patience.close()


def _view(places: _Places, name: str, table: Table, files: Sequence[Piece], *, plain: bool) -> str:
    """The statement of a table: one part for the files of which the same observations count."""
    dated = {
        column.name: quoted(column.dates) for column in table.columns if files and column.dates
    }
    columns = [
        date_sql(column, dated[column.name]) if column.name in dated else quoted(column.name)
        for column in table.columns
    ]
    if plain:
        columns = [
            without_nan(column, value) for column, value in zip(table.columns, columns, strict=True)
        ]
    columns = [
        f"{value} AS {quoted(column.name)}"
        for column, value in zip(table.columns, columns, strict=True)
    ]
    if not files:
        position = [] if plain else [f"0 AS {quoted(place)}" for place in POSITION]
        return " ".join(("SELECT", ", ".join([*columns, *position]), "FROM", quoted(f"no {name}")))
    parts = []
    for part, (without, alike) in enumerate(groupby(files, key=lambda file: file.without)):
        paths = ", ".join(literal(places.path(piece.file)) for piece in alike)
        numbers = zip((part, "file_index", "file_row_number"), POSITION, strict=True)
        position = [] if plain else [f"{number} AS {quoted(place)}" for number, place in numbers]
        # The statistics of the files leave NaN out, which says nothing of whether there is any.
        scan = f"read_parquet([{paths}], can_have_nan = true)"
        words = ["SELECT", ", ".join([*columns, *position]), "FROM", scan]
        if without:
            words.append(f"WHERE obsid NOT IN ({', '.join(map(literal, without))})")
        parts.append(" ".join(words))
    return " UNION ALL ".join(parts)


def without_nan(column: Column, name: str) -> str:
    """SQL of a column in which NaN, also in lists, is null."""
    if pa.types.is_floating(column.type):
        return f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END"
    if pa.types.is_list(column.type) and pa.types.is_floating(column.type.value_type):
        return f"list_transform({name}, lambda v: CASE WHEN isnan(v) THEN NULL ELSE v END)"
    return name


class _Places:
    """Where DuckDB reads files, so that it gets what was written and nothing else.

    It does not compare checksums. So small files on a disk are compared before it opens them, and
    of others it gets what a `SealedFile` has compared.

    Parameters
    ----------
    store : Store
        The archive.
    files : sequence of StoredFile
        The files.

    Attributes
    ----------
    system : SealedFileSystem or None
        What DuckDB reads by names that begin with its prefix.

    Raises
    ------
    ArchiveError
        If a file is damaged or gone, or DuckDB cannot open files by such names.
    """

    def __init__(self, store: Store, files: Sequence[StoredFile]) -> None:
        self._store = store
        small = [file for file in files if store.is_local and not file.seal.blocks]
        if small and re.search(r"[*?\[]", store.root):
            raise ArchiveError(
                f"DuckDB takes *, ? and [ in {store.root} for a pattern; give the archive another "
                f"name."
            )
        check_files(store, small)
        known = {file.path for file in small}
        others = [file for file in files if file.path not in known]
        opened = {file.path: (partial(open_stored, store, file), file.seal.size) for file in others}
        self._others = opened.keys()
        self.system = None
        if others:
            from exod.files.sealedsystem import SealedFileSystem

            self.system = SealedFileSystem(opened)

    def path(self, file: StoredFile) -> str:
        """What a file is called in a statement."""
        if file.path in self._others:
            return f"sealed://{file.path}"
        return self._store.path(file.path)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Of a file that is damaged say so, and not what DuckDB makes of it."""
        try:
            yield
        except Exception as error:
            if self.system and self.system.fault:
                raise self.system.fault from error
            raise


@contextmanager
def explained() -> Iterator[None]:
    """Turn what DuckDB raises into a sentence.

    Raises
    ------
    ArchiveError
        If a file cannot be read.
    ConfigError
        If the statement is wrong.
    """
    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
        raise ArchiveError(f"A file of the archive cannot be read: {said(error)}.") from error
    except duckdb.Error as error:
        raise ConfigError(f"The statement cannot be answered: {said(error)}.") from error


def said(error: Exception) -> str:
    """What DuckDB says, without the picture of the place."""
    return one_line(ValueError(str(error).split("\n\n", maxsplit=1)[0])).rstrip("?!.")
