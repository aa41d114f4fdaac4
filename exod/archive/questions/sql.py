"""Questions of our own to the tables of an archive, and how long to wait for an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import duckdb
import pyarrow as pa

from exod.archive.parquet import COMPACT, arrow_rows, to_pandas
from exod.archive.parts import Piece
from exod.archive.questions.connection import connected, explained
from exod.archive.snapshot import Snapshot
from exod.errors import ArchiveError, ConfigError
from exod.files.storage import one_line
from exod.schemas.columns import Table

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd

Result = TypeVar("Result")

INTERRUPT_SECONDS: Final = 0.1
"""How often a statement is told to end, until it does."""

BATCH_ROWS: Final = 20_000
LIST_ROWS: Final = 100
"""Rows that are handed on at a time; of images few."""

_REMEDY: Final = "ask for less, or give it more time with --timeout"

PARTITION_FILES: Final = 256
"""Files of single observations in a partition of a lazy dataframe."""


@contextmanager
def of_today(snapshot: Snapshot, names: Iterable[str]) -> Iterator[None]:
    """If a statement of ours does not fit the tables, ask whether earlier versions made them."""
    try:
        yield
    except duckdb.BinderException:
        snapshot.require_columns(names)
        raise


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
    """

    snapshot: Snapshot
    table: Table
    text: str
    ordered: str
    base: str
    files: Mapping[str, tuple[Piece, ...]]

    def chunks(self) -> Iterator[pa.Table]:
        """The rows in their order with the types of `table`, some at a time, once at least.

        Raises
        ------
        ArchiveError
            If a file cannot be read.
        """
        found = False
        statement = self.text + self.ordered
        opened = connected(self.snapshot, self.files, statement=statement)
        with (
            opened as connection,
            self.snapshot.stoppable(connection),
            explained(),
            of_today(self.snapshot, self.files),
        ):
            lists = any(pa.types.is_list(column.type) for column in self.table.columns)
            rows = LIST_ROWS if lists else BATCH_ROWS
            with connection.sql(statement).to_arrow_reader(rows) as reader:
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


class Patience:
    """Waits for what a connection computes, in another thread, so that it can be interrupted.

    Ctrl-C and the end of the time end the statement, and not only the waiting for it.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, seconds: float, remedy: str = _REMEDY
    ) -> None:
        self._connection, self._remedy = connection, remedy
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
                f"The statement takes longer than {self._seconds:g} s; {self._remedy}."
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
def patient(
    connection: duckdb.DuckDBPyConnection, seconds: float, remedy: str = _REMEDY
) -> Iterator[Patience]:
    """A `Patience` of some seconds, 0 for any number, that ends with the block.

    If the time is over, `remedy` says what can be done about it.
    """
    patience = Patience(connection, seconds, remedy)
    try:
        yield patience
    finally:
        patience.close()
