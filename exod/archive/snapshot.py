"""The tables of an archive by name, as they are at one moment: declarations and files.

Queries name a table as people do: ``sources`` are the unique sources, ``matches_NAME`` their
counterparts in a catalogue. The pipeline's source lists are ``known_sources``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from exod.archive.derived import (
    EXPLORER,
    Derived,
    DerivedFile,
    derived_products,
    read_derived,
    table_of,
)
from exod.archive.parts import Holdings, Piece, derived_pieces, holdings
from exod.archive.products import XMATCH, not_made, require_columns
from exod.archive.store import Store
from exod.errors import ArchiveError, ConfigError, ExodError
from exod.schemas import DERIVED, TABLES
from exod.schemas.columns import Table

if TYPE_CHECKING:
    import duckdb

    from exod.archive.products import ProductReader

MATCHES = "matches_"
"""How the names of cross-matches begin in queries."""

PRODUCTS = {
    ("sources" if table.name == "unique" else table.name): product
    for product, tables in DERIVED.items()
    for table in tables
}
"""The tables of products that have fixed names, with their product."""


class Snapshot:
    """What an archive holds now; everything that it hands out is of about the same moment.

    Parameters
    ----------
    archive : Archive
        The archive. Its ledger is read when a table of the search is asked for.
    """

    def __init__(self, archive: ProductReader) -> None:
        self.store: Store = archive.store
        self._running: list[duckdb.DuckDBPyConnection] = []
        self._stopped = False

    @contextmanager
    def stoppable(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """In the block `stop` ends the statement of a connection, in whatever thread it is.

        Raises
        ------
        ArchiveError
            If it was stopped before.
        """
        if self._stopped:
            raise ArchiveError(f"Reading {self.store.root} was interrupted.")
        self._running.append(connection)
        try:
            yield
        finally:
            self._running.remove(connection)

    def stop(self) -> None:
        """End all statements about it, those that are asked from now on too."""
        self._stopped = True
        for connection in list(self._running):
            connection.interrupt()

    @cached_property
    def _holdings(self) -> Holdings:
        return holdings(self.store)

    @cached_property
    def _products(self) -> dict[str, Derived]:
        found = ((name, read_derived(self.store, name)) for name in derived_products(self.store))
        return {name: pointer for name, pointer in found if pointer}

    @cached_property
    def _derived(self) -> dict[str, tuple[DerivedFile, ...]]:
        """Files of the tables of products, by the name of the table in queries."""
        return {
            _shown(product, name): tuple(pointer.of(name))
            for product, pointer in self._products.items()
            if product != EXPLORER
            for name in sorted({file.table for file in pointer.files})
        }

    @property
    def names(self) -> list[str]:
        """Names of the tables that there are; detections are made of several of them."""
        return [*self._derived, *TABLES]

    def has(self, *names: str) -> bool:
        """Whether there are all of these tables now."""
        return all(name in TABLES or name in self._derived for name in names)

    def table(self, name: str) -> Table:
        """The declaration of a table.

        Raises
        ------
        ArchiveError
            If it belongs to a product that was not made yet, or its file cannot be read.
        ConfigError
            If there can be no such table.
        """
        if name in TABLES:
            return TABLES[name].shown
        return table_of(self.store, self._files(name)[0])

    def files(self, name: str, obsids: Sequence[str] | None = None) -> list[Piece]:
        """The files that make up a table.

        Parameters
        ----------
        name : str
            The table.
        obsids : sequence of str, optional
            The observations that are wanted: others are left out where that needs no reading, so
            that there may be rows of them still.
        """
        if name not in TABLES:
            return derived_pieces(self._files(name))
        return self._holdings.pieces(name, obsids)

    def behind(self, product: str, obsids: Sequence[str] | None = None) -> tuple[str, ...]:
        """Observations with regions that a product does not have as they are now."""
        attempts = self._products[product].attempts
        columns = self._holdings.ledger.select(["obsid", "attempt", "regions.rows"])
        wanted = None if obsids is None else set(obsids)
        return tuple(
            obsid
            for obsid, attempt, rows in zip(*(c.to_pylist() for c in columns), strict=True)
            if rows and attempts.get(obsid) != attempt and (wanted is None or obsid in wanted)
        )

    def require_columns(self, names: Iterable[str]) -> None:
        """Refuse tables of products that another version of exod made, with fewer columns.

        Raises
        ------
        ArchiveError
            If a column is missing, with the command that makes the product again.
        """
        for product in sorted({PRODUCTS[name] for name in names if name in PRODUCTS}):
            require_columns(self.store, self._products[product])

    def _files(self, name: str) -> tuple[DerivedFile, ...]:
        if name not in self._derived:
            raise self._missing(name)
        return self._derived[name]

    def _missing(self, name: str) -> ExodError:
        if name.startswith(MATCHES):
            return not_made(self.store, f"{XMATCH}{name.removeprefix(MATCHES)}", name)
        if name in PRODUCTS:
            return not_made(self.store, PRODUCTS[name], name)
        names = [*self.names, "detections"]
        close = difflib.get_close_matches(name, names)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names)}."
        return ConfigError(f"There is no table {name!r}; {hint}")


def _shown(product: str, name: str) -> str:
    if product.startswith(XMATCH):
        catalogue = f"{MATCHES}{product.removeprefix(XMATCH)}"
        return catalogue if name == "xmatch" else f"{catalogue}_{name}"
    return "sources" if (product, name) == ("unique", "unique") else name
