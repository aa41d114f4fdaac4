"""Connections of DuckDB to the tables of an archive: it reads the files that count, and no others.

Every statement, ours or a user's, runs on a connection that may open the files of its views only,
whose settings are locked before it is read, and which loads no extension.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import groupby
from typing import Final, Protocol

import duckdb
import pyarrow as pa

from exod.archive.dates import date_sql
from exod.archive.ledger.entry import StoredFile
from exod.archive.parquet import COMPACT, check_files, open_stored
from exod.archive.parts import Piece
from exod.archive.products import require_searched_columns
from exod.archive.store import Store
from exod.errors import ArchiveError, ConfigError
from exod.files.storage import one_line
from exod.schemas.columns import Column, Table
from exod.schemas.conditions.compiling import literal, quoted

POSITION: Final = ("#part", "#file", "#row")
"""Columns of the views of our own statements that tell the place of a row in the archive."""

_SETTINGS: Final = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "1GB",
    "threads": str(min(os.cpu_count() or 1, 8)),
}
"""Nothing of Python's, nothing from the network; what is larger is kept on disk meanwhile."""

GATHERED_FILES: Final = 1000
"""Of more small files so many at a time are copied into one: DuckDB takes 10 kB for each."""


def without_bar(connection: duckdb.DuckDBPyConnection) -> None:
    """Show no bar of progress: it would be among the rows that go to standard output."""
    # A notebook that could not show one refuses the setting.
    with suppress(duckdb.InvalidInputException):
        connection.execute("SET enable_progress_bar = false")


class TableSource(Protocol):
    """Tables by name in files of a store, as a `Snapshot` has them."""

    store: Store

    def table(self, name: str) -> Table:
        """The declaration of a table."""
        ...


@contextmanager
def connected(
    snapshot: TableSource,
    files: Mapping[str, Sequence[Piece]],
    views: Mapping[str, str] | None = None,
    statement: str = "",
    kept_bytes: int = 0,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with a view of each table, which can open the files of these and nothing else.

    Parameters
    ----------
    snapshot : TableSource
        The archive.
    files : Mapping of str to sequence of Piece
        The files of each table.
    views : Mapping of str to str, optional
        Further views of statements. If given, the connection is for statements of users: NaN is
        null everywhere. Otherwise tables are as they are in the files, with `POSITION`.
    statement : str
        If it is known, a statement with all names in quotes: tables have the columns that it names.
    kept_bytes : int
        What the connection is to keep in memory, besides what its statements may take.
    """
    memory = {"memory_limit": f"{1_000_000_000 + kept_bytes}B"}
    places = _Places(snapshot.store, [piece.file for own in files.values() for piece in own])
    paths: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="exod-sql-") as folder,
        duckdb.connect(config={**_SETTINGS, **memory}) as connection,
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
                columns = [
                    column
                    for column in table.columns
                    if not statement or column.name == "obsid" or quoted(column.name) in statement
                ]
                stored = list(dict.fromkeys(column.dates or column.name for column in columns))
                parts = [*_parts(places, own, stored, f"{folder}/{name}")]
                view = _view(name, columns, parts, plain=views is not None)
                try:
                    connection.execute(f"CREATE VIEW {quoted(name)} AS {view}")
                except duckdb.BinderException:
                    for path in sorted({piece.file.path for piece in own}):
                        require_searched_columns(snapshot.store, table, path)
                    raise
                paths += (path for _, some in parts for path in some)
            for name, view in (views or {}).items():
                connection.execute(f"CREATE VIEW {quoted(name)} AS {view}")
            connection.execute(f"SET temp_directory = {literal(folder)}")
            connection.execute(f"SET allowed_paths = [{', '.join(map(literal, paths))}]")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
        yield connection


def _parts(
    places: _Places,
    pieces: Sequence[Piece],
    columns: Sequence[str],
    target: str,
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Observations that do not count, and files of the others, of parts of a table in their order.

    Many small files are copied into few, whose names begin with `target`.
    """
    listed = ", ".join(map(quoted, columns)) or "NULL"
    large = f"{COMPACT}/"
    for number, ((without, is_large), alike) in enumerate(
        groupby(pieces, key=lambda piece: (piece.without, piece.path.startswith(large)))
    ):
        paths = [places.path(piece.file) for piece in alike]
        if is_large or len(paths) <= GATHERED_FILES:
            yield without, paths
            continue
        for start in range(0, len(paths), GATHERED_FILES):
            gathered = f"{target}-{number}-{start}.parquet"
            scan = _scan(paths[start : start + GATHERED_FILES])
            selected = " ".join(("SELECT", listed, "FROM", scan))
            # A connection keeps something of each file that it has read.
            with duckdb.connect(config=_SETTINGS) as connection:
                if places.system:
                    connection.register_filesystem(places.system)
                connection.execute(f"COPY ({selected}) TO {literal(gathered)} (FORMAT parquet)")
            paths[start] = gathered
        yield without, paths[::GATHERED_FILES]


def _scan(paths: Sequence[str]) -> str:
    # The statistics of the files leave NaN out, which says nothing of whether there is any.
    return f"read_parquet([{', '.join(map(literal, paths))}], can_have_nan = true)"


def _view(
    name: str,
    columns: Sequence[Column],
    parts: Sequence[tuple[tuple[str, ...], list[str]]],
    *,
    plain: bool,
) -> str:
    """The statement of a table: one part for the files of which the same observations count."""
    names = []
    for column in columns:
        value = quoted(column.name)
        if parts and column.dates:
            value = date_sql(column, quoted(column.dates))
        if column.none is not None:
            value = f"nullif({value}, {column.none})"
        names.append(f"{without_nan(column, value) if plain else value} AS {quoted(column.name)}")
    if not parts:
        position = [] if plain else [f"0 AS {quoted(place)}" for place in POSITION]
        return " ".join(("SELECT", ", ".join([*names, *position]), "FROM", quoted(f"no {name}")))
    selected = []
    for part, (without, paths) in enumerate(parts):
        numbers = zip((part, "file_index", "file_row_number"), POSITION, strict=True)
        position = [] if plain else [f"{number} AS {quoted(place)}" for number, place in numbers]
        words = ["SELECT", ", ".join([*names, *position]), "FROM", _scan(paths)]
        if without:
            words.append(f"WHERE obsid NOT IN ({', '.join(map(literal, without))})")
        selected.append(" ".join(words))
    return " UNION ALL ".join(selected)


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
