"""Reading what was derived from an archive: sources, features, flags and counterparts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from exod.archive.derived import EXPLORER, Derived, derived_products, read_derived, table_of
from exod.archive.ledger.entry import LedgerEntry
from exod.archive.parquet import Filters
from exod.archive.parts import derived_parts, derived_pieces
from exod.archive.store import Store, reported
from exod.errors import ArchiveError
from exod.schemas import DERIVED, TABLES
from exod.schemas.columns import Table
from exod.schemas.derived import BESIDE, LaterColumns

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd

    from exod.archive.lazy import LaterRows

XMATCH = "xmatch-"
"""How the names of cross-matches begin."""


_MAIN = {EXPLORER: "detections"}
"""The tables whose rows are counted, of products that have none of their own name."""


def command_of(product: str) -> str:
    """The command that makes a product.

    Examples
    --------
    >>> [command_of(product) for product in ("unique", "frames", "explorer", "flags")]
    ['cluster', 'rectify', 'explore', 'flags']
    """
    return {"unique": "cluster", "frames": "rectify", EXPLORER: "explore"}.get(product, product)


def not_made(store: Store, product: str, what: str) -> ArchiveError:
    """The error for a product that was not made yet, of which `what` is asked."""
    if product.startswith(XMATCH):
        catalogue = product.removeprefix(XMATCH)
        return ArchiveError(
            f"The sources of {store.root} were not matched with {catalogue!r} yet; run "
            f"`exod crossmatch {store.root} --with {catalogue}`."
        )
    command = f"exod {command_of(product)} {store.root}"
    return ArchiveError(f"The archive {store.root} has no {what} yet; run `{command}`.")


def require_columns(store: Store, found: Derived) -> None:
    """Refuse a product that another version of exod made, with fewer columns than today.

    Raises
    ------
    ArchiveError
        If there is a table of which a column is missing, with the command that makes it again.
    """
    for table in DERIVED.get(found.product, ()):
        for file in found.of(table.name)[:1]:
            there = {column.name for column in table_of(store, file).columns}
            missing = [column.name for column in table.columns if column.name not in there]
            if missing:
                command = f"exod {command_of(found.product)} {store.root}"
                raise ArchiveError(
                    f"Table {table.name} of {store.root} was made by an earlier version of exod, "
                    f"without {missing[0]}; run `{command}`, which makes it again."
                )


def require_searched_columns(store: Store, table: Table, path: str) -> None:
    """Refuse a file of the search that another version of exod wrote, with fewer columns.

    Raises
    ------
    ArchiveError
        If a column of the table is missing, with what writes it again.
    """
    with reported(store.path(path)), store.open(path) as source:
        there = set(pq.read_schema(source).names)
    stored = dict.fromkeys(column.dates or column.name for column in table.columns)
    missing = [name for name in stored if name not in there]
    if missing:
        again = f"exod detect ... --archive {store.root} --force"
        raise ArchiveError(
            f"Table {table.name} of {store.root} was written by an earlier version of exod, "
            f"without {missing[0]}; search again with `{again}`."
        )


class LazyTable:
    """A table of the search, or of a product, as an attribute."""

    def __init__(self, name: str, product: str = "") -> None:
        self.name, self.product = name, product
        tables = DERIVED[product] if product else TABLES.values()
        table = next(item for item in tables if item.name == name)
        self.__doc__ = f"{table.description} (lazy dask dataframe)."

    def __get__(self, archive: ProductReader | None, owner: type[ProductReader]) -> dd.DataFrame:
        if archive is None:
            # On the class it is its own documentation, as a property would be.
            return self
        if self.product:
            return archive.derived_table(self.product, self.name)
        return archive.table(self.name)


class ProductReader(ABC):
    """The part of an archive that shows products; a product is read as its last version was."""

    _store: Store

    @abstractmethod
    def entries(self) -> list[LedgerEntry]:
        """Read the whole ledger, sorted by obsid."""

    @abstractmethod
    def table(
        self, name: str, *, columns: Sequence[str] | None = None, filters: Filters = ()
    ) -> dd.DataFrame:
        """Open a table of all observations, lazily."""

    unique = LazyTable("unique", "unique")
    members = LazyTable("members", "unique")
    lineage = LazyTable("lineage", "unique")
    features = LazyTable("features", "features")
    flags = LazyTable("flags", "flags")
    frames = LazyTable("frames", "frames")
    offsets = LazyTable("offsets", "frames")
    positions = LazyTable("positions", "frames")

    @property
    def store(self) -> Store:
        """The files of the archive, for the stages that derive products."""
        return self._store

    def derived(self, product: str) -> Derived | None:
        """The current version of a product; None if it was never made.

        Parameters
        ----------
        product : str
            ``unique``, ``features``, ``flags``, ``frames`` or ``xmatch-NAME``.

        Raises
        ------
        ArchiveError
            If there can be no such product, or its pointer is damaged.
        """
        return read_derived(self._store, product)

    def derived_table(
        self,
        product: str,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        filters: Filters = (),
    ) -> dd.DataFrame:
        """Open a table of a product, lazily.

        Parameters
        ----------
        product, name : str
            The product and its table.
        columns, filters : sequence, optional
            As in `exod.archive.Archive.table`.

        Returns
        -------
        dask.dataframe.DataFrame
            Its rows, of the version that is current now. Unique sources have the fluxes of
            their best event and their history besides (`exod.schemas.derived.BESIDE`), which are
            null until the products features and history are made.

        Raises
        ------
        ArchiveError
            If the product was not made yet, or a column or filter does not fit.
        """
        found = self._made(product)
        files = found.of(name)
        if not files:
            raise ArchiveError(f"{product} of {self._store.root} has no table {name!r}.")
        known = (table for table in DERIVED.get(product, ()) if table.name == name)
        table = next(known, None) or table_of(self._store, files[0])
        from exod.archive.lazy import lazy_table

        beside = tuple(self._beside(own) for own in BESIDE.get(name, ()))
        parts = derived_parts(files)
        return lazy_table(self._store, table, parts, filters, columns, beside=beside)

    def _beside(self, about: LaterColumns) -> LaterRows:
        """The rows of another product; none if it was not made, or by an earlier version."""
        from exod.archive.lazy import LaterRows

        found = self.derived(about.product)
        files = found.of(about.table.name) if found else []
        table = table_of(self._store, files[0]) if files else about.table
        if not set(table.schema.names).issuperset(about.columns):
            files = []
        return LaterRows(about, table, tuple(derived_pieces(files)))

    def _made(self, product: str) -> Derived:
        found = self.derived(product)
        if found is None:
            what = "unique sources" if product == "unique" else product
            raise not_made(self._store, product, what)
        return found

    def matches(self, catalogue: str) -> dd.DataFrame:
        """Counterparts of the unique sources in a catalogue, lazy; nulls where there is none.

        Parameters
        ----------
        catalogue : str
            Name of the catalogue, as in `exod crossmatch --with`.

        Raises
        ------
        ArchiveError
            If the sources were not matched with it yet.
        """
        return self.derived_table(f"{XMATCH}{catalogue}", "xmatch")

    @property
    def matched(self) -> list[str]:
        """Names of the catalogues that the sources were matched with, sorted."""
        products = derived_products(self._store)
        return [name.removeprefix(XMATCH) for name in products if name.startswith(XMATCH)]

    def products(self) -> pd.DataFrame:
        """Summarise the products, one row each, sorted by name.

        Returns
        -------
        DataFrame
            Columns product, rows (of its main table), finished (UTC) and behind: observations
            that were searched, or searched again, since. Cross-matches follow the sources, not
            the observations, so theirs is 1 if the sources are newer, else 0.
        """
        import pandas as pd

        entries = self.entries()
        sources = self.derived("unique")
        rows = []
        for product in derived_products(self._store):
            found = self._made(product)
            behind = len(found.outdated(entries))
            if product.startswith(XMATCH):
                behind = int(sources is not None and sources.finished > found.finished)
            main = _MAIN.get(product, "xmatch" if product.startswith(XMATCH) else product)
            n_rows = sum(file.rows for file in found.of(main))
            rows.append((product, n_rows, found.finished, behind))
        return pd.DataFrame(rows, columns=["product", "rows", "finished", "behind"])
