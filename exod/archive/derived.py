"""Products derived from many observations: immutable version folders and a pointer.

A product is a folder of the archive. Its tables are files in ``<product>/<version>/``, and
``<product>/current.json`` names those that count, which may be of earlier versions: what did not
change is not written again. Readers follow the pointer, which is replaced in one step, so that
they see one version or the next whole, whenever a process was killed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AwareDatetime, JsonValue

from exod.archive.ledger import Count, LedgerEntry, Record, problem, versions
from exod.archive.parquet import ROW_GROUP_ROWS, to_arrow, writer
from exod.archive.store import Store, reported
from exod.errors import ArchiveError
from exod.files.whole import is_temporary, unique_mark
from exod.schemas.columns import Column, Table

POINTER = "current.json"

_PRODUCT = re.compile(r"unique|features|flags|xmatch-[A-Za-z0-9_]{1,40}")
_VERSION = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")
_FILE = re.compile(rf"(({_PRODUCT.pattern})/{_VERSION.pattern})/[a-z_]+-[A-Za-z0-9_.-]+\.parquet")


class DerivedFile(Record):
    """One file of a product.

    Attributes
    ----------
    path : str
        Relative to the root.
    table : str
        Its table.
    part : str
        What part of the table it holds, in words of the product: a pixel of the sky, a batch of
        observations.
    rows, bytes : int
        Size.
    without : tuple of str
        Observations whose rows in this file do not count any more.
    """

    path: str
    table: str
    part: str
    rows: Count
    bytes: Count
    without: tuple[str, ...] = ()


class Derived(Record):
    """A version of a product as its pointer describes it.

    Attributes
    ----------
    product : str
        Its name.
    version : str
        When it was made, and a random number.
    finished : datetime
        UTC.
    exod : str
        Version of exod.
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
    finished: AwareDatetime
    exod: str
    files: tuple[DerivedFile, ...]
    attempts: dict[str, str]
    parameters: dict[str, JsonValue]
    summary: dict[str, JsonValue]

    def of(self, table: str) -> list[DerivedFile]:
        """The files of a table, in the order of their parts."""
        found = [file for file in self.files if file.table == table]
        return sorted(found, key=lambda file: (file.part, file.path))

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
            f"{product!r} cannot be derived from an archive; use unique, features, flags or "
            f"xmatch-NAME with a name of letters, digits and underscores."
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
    with reported(f"{store.path(name)} cannot be read"):
        try:
            content = store.read(name)
        except FileNotFoundError:
            return None
    try:
        return Derived.model_validate_json(content)
    except ValueError as error:
        raise ArchiveError(
            f"{store.path(name)} is damaged ({problem(error)}); delete it and make {product} again."
        ) from error


def derived_products(store: Store) -> list[str]:
    """Names of the products that an archive has, sorted."""
    folders = [name for name in store.names("") if _PRODUCT.fullmatch(name)]
    return [name for name in folders if store.exists(f"{name}/{POINTER}")]


@dataclass
class NewVersion:
    """A version in the making; see `deriving`.

    Attributes
    ----------
    product, version : str
        Its name and version.
    files : list of DerivedFile
        What it consists of so far; append what `write_part` returns, also in other processes, or
        files of the earlier version.
    attempts, parameters, summary : dict
        As in `Derived`.
    """

    product: str
    version: str
    files: list[DerivedFile] = field(default_factory=list)
    attempts: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Folder of the files that are written for it."""
        return f"{self.product}/{self.version}"


def write_part(
    store: Store, folder: str, table: Table, rows: pd.DataFrame | pa.Table, part: str
) -> DerivedFile:
    """Write a part of a table; nothing sees it before the version is published.

    Parameters
    ----------
    store : Store
        The archive.
    folder : str
        `NewVersion.folder`.
    table : Table
        The table, which may be declared at run time.
    rows : DataFrame or pyarrow.Table
        With the columns of the table in any order; rows are sorted as the table says.
    part : str
        Name of the part: letters, digits, ``_``, ``.`` and ``-``.

    Raises
    ------
    ArchiveError
        If the rows do not fit the table or cannot be written.
    """
    path = f"{folder}/{table.name}-{part}.parquet"
    if not _FILE.fullmatch(path):
        raise ArchiveError(f"{path!r} cannot be the name of a file.")
    content = rows if isinstance(rows, pa.Table) else to_arrow(table, rows, table.name)
    content = content.select(table.schema.names).cast(table.schema)
    content = content.sort_by([(name, "ascending") for name in table.sort_by])
    with reported(f"{store.path(path)} cannot be written"), store.writing(path) as sink:
        with writer(sink, table.schema) as file:
            file.write_table(content, row_group_size=ROW_GROUP_ROWS)
        size = sink.tell()
    return DerivedFile(path=path, table=table.name, part=part, rows=len(content), bytes=size)


@contextmanager
def deriving(store: Store, product: str, tables: Iterable[Table]) -> Iterator[NewVersion]:
    """Make a new version of a product; it is published when the block ends without an error.

    Every table without a file gets one without rows, so that its columns can be read. After an
    error the files of the new version are removed and the earlier one stays in use.

    Raises
    ------
    ArchiveError
        If something cannot be written.
    """
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{unique_mark()}"
    new = NewVersion(check_product(product), stamp)
    try:
        yield new
        present = {file.table for file in new.files}
        for table in tables:
            if table.name not in present:
                new.files.append(write_part(store, new.folder, table, table.frame(), "empty"))
        pointer = Derived(
            product=product,
            version=new.version,
            finished=datetime.now(UTC),
            exod=versions()["exod"],
            files=tuple(new.files),
            attempts=new.attempts,
            parameters=new.parameters,
            summary=new.summary,
        )
        content = json.dumps(pointer.model_dump(mode="json"), sort_keys=True, indent=1)
    except BaseException:
        with suppress(OSError):
            store.remove(store.names(new.folder))
            store.remove_folder(new.folder)
        raise
    with reported(f"{product} of {store.root} cannot be published"):
        store.publish({}, f"{product}/{POINTER}", content.encode())


def table_of(store: Store, file: DerivedFile) -> Table:
    """The declaration of a table with columns of its own, from one of its files.

    Raises
    ------
    ArchiveError
        If the file is missing or damaged.
    """
    try:
        with store.open(file.path) as source:
            schema = pq.read_schema(source)
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(f"{store.path(file.path)} cannot be read ({error}).") from error
    columns = tuple(map(Column.of_field, schema))
    text = (schema.metadata or {}).get(b"description", b"").decode()
    return Table(file.table, text, columns, ())


def unused_derived(store: Store) -> Mapping[str, float]:
    """Files of products that no pointer names, with the time since when (Unix).

    The youngest file of a version counts for all, since one in progress may take hours.

    Raises
    ------
    ArchiveError
        If a pointer is damaged.
    """
    unused: dict[str, float] = {}
    for product in [name for name in store.names("") if _PRODUCT.fullmatch(name)]:
        folders = [name for name in store.names(product) if not name.endswith(POINTER)]
        found = {folder: store.modified(folder) for folder in folders}
        # After the files: a version published in between is then in use.
        pointer = read_derived(store, product)
        used = {file.path for file in pointer.files} if pointer else set()
        for files in found.values():
            since = max(files.values(), default=0.0)
            if pointer:
                # A reader may still use what was replaced just now.
                since = max(since, pointer.finished.timestamp())
            ours = {name for name in files if _FILE.fullmatch(name) or is_temporary(name)}
            unused |= dict.fromkeys(ours - used, since)
    return unused
