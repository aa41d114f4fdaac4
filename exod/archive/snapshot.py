"""The tables of an archive by name, as they are at one moment: declarations and files.

Queries name a table as people do: ``sources`` are the unique sources, ``matches_NAME`` their
counterparts in a catalogue. The source lists of the observations, which the archive calls
``sources``, are ``known_sources`` here.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from exod.archive.compaction import Compacted, read_pointer
from exod.archive.derived import DerivedFile, derived_products, read_derived, table_of
from exod.archive.lazy import Part, compact_parts, derived_parts, lazy_table, small_parts
from exod.archive.ledger import LedgerEntry, read_entry
from exod.archive.ledger_table import read_ledger
from exod.archive.parquet import Conditions
from exod.archive.products import XMATCH
from exod.archive.store import Store
from exod.errors import ArchiveError, ConfigError, ExodError
from exod.schemas import DERIVED, TABLES
from exod.schemas.columns import Table

if TYPE_CHECKING:
    import dask.dataframe as dd

    from exod.archive.reading import ArchiveReader

MATCHES = "matches_"
"""How the names of cross-matches begin in queries."""

COMMANDS = {"unique": "cluster", "features": "features", "flags": "flags"}
"""Commands that make products."""

SEARCHED = {("known_sources" if name == "sources" else name): name for name in TABLES}
"""The tables of the search: name in queries, and in the archive."""

PRODUCTS = {
    ("sources" if table.name == "unique" else table.name): product
    for product, tables in DERIVED.items()
    for table in tables
}
"""The tables of products that have fixed names, with their product."""


@dataclass(frozen=True)
class File:
    """A file of a table, and the observations whose rows in it do not count."""

    path: str
    without: tuple[str, ...] = ()


class Snapshot:
    """What an archive holds now; everything that it hands out is of about the same moment.

    Parameters
    ----------
    archive : Archive
        The archive. Its ledger is read when a table of the search is asked for.
    """

    def __init__(self, archive: ArchiveReader) -> None:
        self.store: Store = archive.store

    @cached_property
    def _compacted(self) -> Compacted | None:
        return read_pointer(self.store)

    @cached_property
    def _entries(self) -> list[LedgerEntry]:
        return read_ledger(self.store).entries()

    @cached_property
    def _derived(self) -> dict[str, tuple[DerivedFile, ...]]:
        """Files of the tables of products, by the name of the table in queries."""
        found: dict[str, tuple[DerivedFile, ...]] = {}
        for product in derived_products(self.store):
            pointer = read_derived(self.store, product)
            if pointer is None:
                continue
            for name in sorted({file.table for file in pointer.files}):
                found[_shown(product, name)] = tuple(pointer.of(name))
        return found

    @property
    def names(self) -> list[str]:
        """Names of the tables that there are; detections are made of several of them."""
        return [*self._derived, *SEARCHED]

    def has(self, *names: str) -> bool:
        """Whether there are all of these tables now."""
        return all(name in SEARCHED or name in self._derived for name in names)

    def table(self, name: str) -> Table:
        """The declaration of a table.

        Raises
        ------
        ArchiveError
            If it belongs to a product that was not made yet, or its file cannot be read.
        ConfigError
            If there can be no such table.
        """
        if name in SEARCHED:
            return TABLES[SEARCHED[name]]
        return table_of(self.store, self._files(name)[0])

    def files(self, name: str) -> list[File]:
        """The files that make up a table."""
        if name not in SEARCHED:
            return [File(file.path, file.without) for file in self._files(name)]
        own, compacted = SEARCHED[name], self._compacted
        entries, found = self._entries, []
        if compacted:
            outdated = compacted.outdated(entries)
            for file in compacted.tables[own]:
                without = (obsid for obsid in outdated if file.first <= obsid <= file.last)
                found.append(File(file.path, tuple(without)))
            entries = [entry for entry in entries if not compacted.covers(entry)]
        return [*found, *(File(path) for entry in entries if (path := entry.path(own)))]

    def parts(self, name: str, obsids: Sequence[str] | None = None) -> list[Part]:
        """What partitions of a table read, as in `exod.archive.Archive.table`.

        Parameters
        ----------
        name : str
            The table.
        obsids : sequence of str, optional
            The observations that are wanted: others are left out where that needs no reading, so
            that there may be rows of them still.
        """
        if name not in SEARCHED:
            return list(derived_parts(self._files(name)))
        own, compacted = SEARCHED[name], self._compacted
        found: list[Part] = []
        if obsids is None:
            entries = self._entries
        else:
            read = (read_entry(self.store, obsid) for obsid in obsids)
            entries = [entry for entry in read if entry]
        if compacted:
            files, outdated = compacted.tables[own], compacted.outdated(entries)
            if obsids is not None:
                covered = [entry.obsid for entry in entries if compacted.covers(entry)]
                near = {file for obsid in covered for file in compacted.files_with(own, obsid)}
                files = tuple(file for file in files if file in near)
                outdated = [obsid for obsid in outdated if obsid in obsids]
            found += compact_parts(files, outdated)
            entries = [entry for entry in entries if not compacted.covers(entry)]
        found += small_parts(entry.files[own] for entry in entries if own in entry.files)
        return found

    def frame(
        self,
        name: str,
        columns: Sequence[str],
        rows: Conditions,
        obsids: Sequence[str] | None = None,
    ) -> dd.DataFrame:
        """A lazy dataframe of a table.

        Parameters
        ----------
        name : str
            The table.
        columns : sequence of str
            The columns to read.
        rows : Conditions
            Conditions that rows fulfil.
        obsids : sequence of str, optional
            As for `parts`.
        """
        table = self.table(name)
        return lazy_table(self.store, table, self.parts(name, obsids), rows)[list(columns)]

    def _files(self, name: str) -> tuple[DerivedFile, ...]:
        if name not in self._derived:
            raise self._missing(name)
        return self._derived[name]

    def _missing(self, name: str) -> ExodError:
        root, product = self.store.root, PRODUCTS.get(name)
        if name.startswith(MATCHES):
            catalogue = name.removeprefix(MATCHES)
            return ArchiveError(
                f"The sources of {root} were not matched with {catalogue!r} yet; run "
                f"`exod crossmatch {root} --with {catalogue}`."
            )
        if product:
            return ArchiveError(
                f"The archive {root} has no {name} yet; run `exod {COMMANDS[product]} {root}`."
            )
        names = [*self.names, "detections"]
        close = difflib.get_close_matches(name, names)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names)}."
        return ConfigError(f"There is no table {name!r}; {hint}")


def _shown(product: str, name: str) -> str:
    if product.startswith(XMATCH):
        catalogue = f"{MATCHES}{product.removeprefix(XMATCH)}"
        return catalogue if name == "xmatch" else f"{catalogue}_{name}"
    return "sources" if (product, name) == ("unique", "unique") else name
