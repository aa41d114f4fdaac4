"""The files of the product ``explorer``, as pages, API and published sites read them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from threading import Lock
from typing import IO, Any, Final
from weakref import finalize

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive import Archive
from exod.archive.derived import EXPLORER, Derived, DerivedFile, table_of
from exod.archive.parquet import row_groups
from exod.archive.parts import derived_pieces
from exod.archive.questions.connection import TableSource, connected
from exod.errors import ArchiveError
from exod.files.rowreader import RowReader
from exod.files.storage import one_line
from exod.instruments import observatories_of
from exod.schemas.columns import Table
from exod.schemas.conditions.compiling import quoted
from exod.schemas.explorer import OWNER
from exod.stages.explore.density import DENSITY, density_files

KEPT_INDEX: Final = 'memory.main."{}_index"'
"""What follows FROM for the index of a table in memory, whatever a connection calls so besides."""

INDEX_BYTES: Final = 128
"""Of a row of an index in memory, at most."""


def indexed(table: str) -> tuple[str, str]:
    """A table and its index, as `Product.connected` calls them."""
    return table, f"{table}_index"


class Product:
    """One version of the product; a newer one is a new object.

    Attributes
    ----------
    archive : Archive
        The archive.
    version : str
        The version.
    files : dict of str to DerivedFile
        Its files by the names that readers know, as ``detections.index.parquet``.

    Raises
    ------
    ArchiveError
        If it was not made yet, or its pointer is damaged.
    """

    def __init__(self, archive: Archive) -> None:
        pointer = archive.derived(EXPLORER)
        if pointer is None:
            raise ArchiveError(
                f"The pages of {archive.root} were not prepared; run `exod explore {archive.root}`."
            )
        self.archive = archive
        self._pointer: Derived = pointer
        self.store = archive.store
        self.version = pointer.version
        self._pieces = {file.table: derived_pieces([file]) for file in pointer.files}
        self.files: Mapping[str, DerivedFile] = {
            f"{file.table.replace('_index', '.index')}.parquet": file for file in pointer.files
        }
        self._lock, self._kept, self._readers = Lock(), ExitStack(), dict[str, RowReader]()
        self._indexes: dict[str, duckdb.DuckDBPyConnection] = {}
        self._declared: dict[str, Table] = {}
        finalize(self, self._kept.close)

    @property
    def tag(self) -> str:
        """What is another text if an answer about it may be another one."""
        return self.version

    @property
    def meta(self) -> dict[str, Any]:
        """What the pages have to know of it: tables with their facets and columns, and files."""
        rows = {file.table: file.rows for file in self._pointer.files}
        summary: dict[str, Any] = dict(self._pointer.summary)
        summary["tables"] = {
            name: {**about, "rows": rows[name]} for name, about in summary["tables"].items()
        }
        return {
            "format": 1,
            "version": self.version,
            "made": f"{self._pointer.finished:%Y-%m-%dT%H:%M:%SZ}",
            "exod": self._pointer.exod,
            "archive": self.store.root.rstrip("/").rpartition("/")[2],
            "observations": len(self._pointer.attempts),
            "products": self._pointer.parameters["parts"],
            "files": {
                name: {"bytes": file.bytes, "sha256": file.sha256, "rows": file.rows}
                for name, file in self.files.items()
            },
            **summary,
        }

    @cached_property
    def telescopes(self) -> str:
        """The observatories whose observations it has."""
        return " and ".join(one.title for one in observatories_of(self._pointer.attempts))

    @property
    def meta_text(self) -> bytes:
        """The same as JSON."""
        return json.dumps(self.meta, allow_nan=False).encode()

    @cached_property
    def density(self) -> Mapping[str, bytes]:
        """The files of the HiPS of the sources, by their place in its folder."""
        with self.opened("sky.parquet") as source, pq.ParquetFile(source) as file:
            tiles = pa.Table.from_batches(row_groups(file), DENSITY.schema)
        made = f"{self._pointer.finished:%Y-%m-%dT%H:%MZ}"
        return density_files([tiles], self.meta["archive"], made)

    def table(self, name: str) -> Table:
        """The columns of a table that is in a file."""
        # The footer of its file, where they stand, grows with the rows.
        if name not in self._declared:
            file = next(file for file in self._pointer.files if file.table == name)
            self._declared[name] = table_of(self.store, file)
        return self._declared[name]

    def about(self, name: str) -> dict[str, Any]:
        """What is known of a table: its key, facets, flags, sortable columns and columns.

        Raises
        ------
        ArchiveError
            If there is none of that name.
        """
        tables = self._tables
        if name not in tables:
            raise ArchiveError(f"There is no table {name!r}; there are {', '.join(tables)}.")
        return dict(tables[name])

    @property
    def _tables(self) -> dict[str, Any]:
        tables: dict[str, Any] = self._pointer.summary["tables"]  # type: ignore[assignment]
        return tables

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """A file of it, to be read from any place; what is read is compared with its checksum.

        Raises
        ------
        ArchiveError
            If there is none of that name, or it is damaged or gone.
        """
        if name not in self.files:
            raise ArchiveError(f"The pages have no file {name!r}.")
        file = self.files[name]
        with ExitStack() as stack:
            try:
                source = stack.enter_context(self.store.open(file.path, file.stored.seal))
            except OSError as error:
                reason = error.strerror or one_line(error)
                raise self.store.unreadable(file.path, reason) from error
            yield source

    @property
    def plain(self) -> TableSource:
        """The same tables, as statements of users see them: no lists, no pictures."""
        return _PlainTables(self)

    @contextmanager
    def connected(
        self, tables: Iterable[str], *, plain: bool = False
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """DuckDB with a view of some files, by the names of their tables; it opens nothing else.

        Parameters
        ----------
        tables : iterable of str
            The tables, with ``_index`` for indexes: only their files have to be whole. Those that
            the product does not have are left out.
        plain : bool
            Whether it is for statements of users: views have no `POSITION`, and no lists.

        Raises
        ------
        ArchiveError
            If a file of them is damaged.
        """
        wanted = {name: self._pieces[name] for name in tables if name in self._pieces}
        source = self.plain if plain else self
        with connected(source, wanted, {} if plain else None) as connection:
            yield connection

    @contextmanager
    def counting(self, table: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """As `connected` with a table and its index, which is in memory, with `OWNER`; opened once.

        Raises
        ------
        ArchiveError
            If a file is damaged.
        """
        with self._lock:
            if table not in self._indexes:
                opened = self._kept.enter_context(self._with_index(table))
                self._indexes[table] = opened
            cursor = self._indexes[table].cursor()
        try:
            yield cursor
        except duckdb.Error:
            # The connection knows whether it was a file that was damaged meanwhile.
            with self._lock:
                self._indexes.clear()
                self._kept.__exit__(*sys.exc_info())
                self._readers.clear()
            raise
        finally:
            cursor.close()

    @contextmanager
    def _with_index(self, table: str) -> Iterator[duckdb.DuckDBPyConnection]:
        index, kept = quoted(f"{table}_index"), quoted(f"{table} kept")
        row = 'i."#row"::UINTEGER AS "#row"'
        what = f'{row}, i.* EXCLUDE ("#part", "#file", "#row"), d.{quoted(OWNER)}'
        # They have the same rows in the same order.
        both = (index, "AS i POSITIONAL JOIN", quoted(table), "AS d")
        made = ("CREATE TABLE", kept, "AS SELECT", what, "FROM", *both)
        # To plan a question to a view takes as long as to count some ten thousand rows.
        named = ("ALTER TABLE", kept, "RENAME TO", index)
        wanted = {name: self._pieces[name] for name in indexed(table)}
        rows = self.files[f"{table}.parquet"].rows
        with connected(self, wanted, kept_bytes=INDEX_BYTES * rows) as connection:
            for statement in (made, ("DROP VIEW", index), named):
                connection.execute(" ".join(statement))
            yield connection

    def rows_at(self, name: str, numbers: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Rows of a file by their numbers, in the order of these.

        Raises
        ------
        ArchiveError
            If there is no such file, or it is damaged.
        """
        with self._lock:
            return self._reader(name).at(np.asarray(numbers, np.int64), columns)

    def rows_where(self, name: str, key: str, value: str | int, columns: Sequence[str]) -> pa.Table:
        """The rows of a file with a value of a column.

        Raises
        ------
        ArchiveError
            If there is no such file, or it is damaged.
        """
        table = name.removesuffix(".parquet")
        if key == OWNER and table in self._tables:
            index = quoted(f"{table}_index")
            words = ('SELECT "#row" FROM', index, "WHERE", OWNER, "= ? ORDER BY 1")
            with self.counting(table) as connection:
                found = connection.execute(" ".join(words), [value]).fetchall()
            return self.rows_at(name, [number for (number,) in found], columns)
        with self._lock:
            return self._reader(name).where(key, value, columns)

    def _reader(self, name: str) -> RowReader:
        if name not in self._readers:
            source = self._kept.enter_context(self.opened(name))
            self._readers[name] = RowReader(self._kept.enter_context(pq.ParquetFile(source)))
        return self._readers[name]


class _PlainTables:
    def __init__(self, product: Product) -> None:
        self.store, self._product = product.store, product

    def table(self, name: str) -> Table:
        """A table without its columns of lists and pictures."""
        table = self._product.table(name)
        kept = (c for c in table.columns if not pa.types.is_nested(c.type))
        plain = tuple(c for c in kept if not pa.types.is_binary(c.type))
        return Table(name, table.description, plain, table.sort_by)
