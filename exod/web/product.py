"""The files of the product ``explorer``, as pages, API and published sites read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import duckdb

from exod.archive import Archive
from exod.archive.derived import EXPLORER, Derived, DerivedFile, table_of
from exod.archive.parts import derived_pieces
from exod.archive.questions.connection import connected
from exod.errors import ArchiveError
from exod.schemas.columns import Table


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

    def table(self, name: str) -> Table:
        """The columns of a table that is in a file."""
        return table_of(self.store, next(f for f in self._pointer.files if f.table == name))

    def about(self, name: str) -> dict[str, Any]:
        """What is known of a table: its key, facets, flags, sortable columns and columns.

        Raises
        ------
        ArchiveError
            If there is none of that name.
        """
        tables: dict[str, Any] = self._pointer.summary["tables"]  # type: ignore[assignment]
        if name not in tables:
            raise ArchiveError(f"There is no table {name!r}; there are {', '.join(tables)}.")
        return dict(tables[name])

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """A file of it, to be read from any place; what is read is compared with its checksum.

        Raises
        ------
        ArchiveError
            If there is none of that name, or it is damaged.
        """
        if name not in self.files:
            raise ArchiveError(f"The pages have no file {name!r}.")
        file = self.files[name]
        with self.store.open(file.path, file.stored.seal) as source:
            yield source

    @contextmanager
    def connected(self, *, plain: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """DuckDB with a view of each file, by the name of its table; it can open nothing else.

        Parameters
        ----------
        plain : bool
            Whether it is for statements of users: views have no `POSITION`.
        """
        with connected(self, self._pieces, {} if plain else None) as connection:
            yield connection
