"""Products derived from many observations: immutable version folders and a pointer.

A product is a folder of the archive. Its tables are files in ``<product>/<version>/``, and
``<product>/current.json`` names those that count, which may be of earlier versions: what did not
change is not written again. Readers follow the pointer, which is replaced in one step, so that
they see one version or the next whole, whenever a process was killed. New versions are made by
`exod.archive.increments`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from exod.archive.ledger.entry import Count, LedgerEntry, Record, StoredFile
from exod.archive.ledger.pointers import VERSION, Pointer, load_pointer, unused_files
from exod.archive.store import Store
from exod.errors import ArchiveError
from exod.files.seals import Seal
from exod.files.storage import one_line
from exod.schemas import DERIVED, TABLES
from exod.schemas.columns import Column, Table
from exod.schemas.kinds import OBSID_FORM

POINTER = "current.json"

EXPLORER = "explorer"
"""The product that is for the explorer's pages only: its tables repeat those of others."""

_PRODUCT = re.compile(
    r"unique|features|flags|frames|depth|history|explorer|xmatch-[A-Za-z0-9_]{1,40}"
)
_DECLARED = {table.name: table for table in chain(TABLES.values(), *DERIVED.values())}

FILE = re.compile(rf"(({_PRODUCT.pattern})/{VERSION})/[a-z_]+-[A-Za-z0-9_.-]+\.parquet")
_SPAN = re.compile(rf"(?:^|-)({OBSID_FORM})-({OBSID_FORM})(?=\.|$)")
"""First and last observation, in the names of parts that are batches of observations."""


class DerivedFile(Record):
    """One file of a product.

    Attributes
    ----------
    path : str
        Relative to the root.
    table : str
        Its table.
    part : str
        What part of the table it holds, in words of the product: a pixel of the sky, or a batch
        of observations, whose first and last are in the name with a ``-`` between them.
    rows, bytes : int
        Size.
    sha256, blocks : str
        As in `exod.files.seals.Seal`.
    without : tuple of str
        Observations whose rows in this file do not count any more.
    """

    path: str
    table: str
    part: str
    rows: Count
    bytes: Count
    sha256: str = ""
    blocks: str = ""
    without: tuple[str, ...] = ()

    @property
    def stored(self) -> StoredFile:
        """The file, as its readers know it."""
        return StoredFile(self.path, self.rows, Seal(self.bytes, self.sha256, self.blocks))

    def without_changed(self, changed: Iterable[str]) -> DerivedFile:
        """The same file, but for the observations that have changed.

        Only those count that lie between the first and the last observation of its part.
        """
        span = _SPAN.search(self.part)
        gone = {obsid for obsid in changed if span and span[1] <= obsid <= span[2]}
        return self.model_copy(update={"without": tuple(sorted({*self.without, *gone}))})


class Derived(Pointer):
    """A version of a product as its pointer describes it.

    Attributes
    ----------
    product : str
        Its name.
    version : str
        When it was made, and a random number.
    files : tuple of DerivedFile
        The files of its tables; every table has one at least.
    attempts : dict of str to str
        The attempt of each observation that went into it.
    parameters : dict
        What it was made with; a version with other parameters is made anew.
    summary : dict
        Numbers that a user wants to see.
    """

    product: str
    version: str
    files: tuple[DerivedFile, ...]
    attempts: dict[str, str]
    parameters: dict[str, JsonValue]
    summary: dict[str, JsonValue]

    @property
    def paths(self) -> set[str]:
        """The files that it names."""
        return {file.path for file in self.files}

    def of(self, table: str) -> list[DerivedFile]:
        """The files of a table, in the order of their parts."""
        found = [file for file in self.files if file.table == table]
        return sorted(found, key=lambda file: (file.part, file.path))

    def is_made_with(self, parameters: Mapping[str, Any]) -> bool:
        """Whether it was made with these parameters, whatever else it notes."""
        return all(self.parameters.get(name) == value for name, value in parameters.items())

    def outdated(self, entries: Iterable[LedgerEntry]) -> list[str]:
        """Observations, sorted, that it has otherwise than the ledger, or not at all."""
        now = {entry.obsid: entry.attempt for entry in entries}
        both = now.keys() | self.attempts.keys()
        return sorted(obsid for obsid in both if now.get(obsid) != self.attempts.get(obsid))


def check_product(product: str) -> str:
    """Return the name of a product if it can be one, before it becomes a path.

    Raises
    ------
    ArchiveError
        If it cannot.
    """
    if not _PRODUCT.fullmatch(product):
        raise ArchiveError(
            f"{product!r} cannot be derived from an archive; use unique, features, flags, "
            f"frames, depth, history, explorer or xmatch-NAME of letters, digits and underscores."
        )
    return product


def read_derived(store: Store, product: str) -> Derived | None:
    """Read the pointer of a product; None if it was never made.

    Raises
    ------
    ArchiveError
        If the pointer is damaged or cannot be read, or there can be no such product.
    """
    name = f"{check_product(product)}/{POINTER}"
    return load_pointer(store, name, Derived, f"delete it and make {product} again")


def derived_products(store: Store) -> list[str]:
    """Names of the products that an archive has, sorted."""
    folders = [name for name in store.names("") if _PRODUCT.fullmatch(name)]
    return [name for name in folders if store.exists(f"{name}/{POINTER}")]


def table_of(store: Store, file: DerivedFile) -> Table:
    """The declaration of a table with columns of its own, from one of its files.

    Raises
    ------
    ArchiveError
        If the file is missing or damaged.
    """
    try:
        with store.open(file.path, file.stored.seal) as source:
            schema = pq.read_schema(source)
    except (OSError, pa.ArrowException) as error:
        raise store.unreadable(file.path, one_line(error)) from error
    known = _DECLARED.get(file.table)
    none = {column.name: column.none for column in known.columns} if known else {}
    columns = tuple(replace(Column.of_field(own), none=none.get(own.name)) for own in schema)
    text = (schema.metadata or {}).get(b"description", b"").decode()
    return Table(file.table, text, columns, ())


def unused_derived(store: Store) -> dict[str, float]:
    """Files of products, as `exod.archive.ledger.pointers.unused_files`.

    Raises
    ------
    ArchiveError
        If a pointer is damaged.
    """
    unused: dict[str, float] = {}
    for product in [name for name in store.names("") if _PRODUCT.fullmatch(name)]:
        folders = [name for name in store.names(product) if not name.endswith(POINTER)]
        unused |= unused_files(store, folders, FILE, partial(read_derived, store, product))
    return unused
