"""New versions of derived products: what has changed is computed, the rest is kept as it is.

A stage says what is to be computed of the observations that have changed; here stand which these
are, how they are divided into tasks, what is kept of the earlier version, and how the new one is
published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from exod.archive.derived import FILE, POINTER, Derived, DerivedFile, check_product
from exod.archive.ledger.entry import LedgerEntry, versions
from exod.archive.ledger.pointers import new_version
from exod.archive.parquet import to_arrow, write_sorted
from exod.archive.store import Store, reported
from exod.errors import ArchiveError
from exod.files.seals import SMALL_BLOCK
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import Plan
from exod.schemas.columns import Table

if TYPE_CHECKING:
    import pandas as pd


Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Changes:
    """What has changed since the earlier version of a product.

    Attributes
    ----------
    earlier : Derived, optional
        The earlier version.
    anew : bool
        Whether nothing of it counts: there is none, or it was made with other parameters.
    entries : list of LedgerEntry
        The ledger.
    obsids : frozenset of str
        Observations that it has otherwise than the ledger, or not at all; all of the ledger if
        it is made anew.
    """

    earlier: Derived | None
    anew: bool
    entries: list[LedgerEntry]
    obsids: frozenset[str]

    @classmethod
    def since(
        cls,
        earlier: Derived | None,
        entries: Iterable[LedgerEntry],
        parameters: Mapping[str, Any],
        *,
        force: bool = False,
    ) -> Changes:
        """Compare a version with the ledger, and its parameters with those that are asked for.

        Parameters
        ----------
        earlier : Derived, optional
            The version that is current.
        entries : iterable of LedgerEntry
            The observations that the new version is to have.
        parameters : dict
            What it is to be made with.
        force : bool
            Whether to make it anew in any case.
        """
        entries = list(entries)
        anew = force or earlier is None or not earlier.is_made_with(parameters)
        every = [entry.obsid for entry in entries]
        changed = every if anew or earlier is None else earlier.outdated(entries)
        return cls(earlier, anew, entries, frozenset(changed))

    @property
    def are_none(self) -> bool:
        """Whether the earlier version is up to date."""
        return not self.anew and not self.obsids

    @property
    def todo(self) -> list[LedgerEntry]:
        """The observations to compute."""
        return [entry for entry in self.entries if entry.obsid in self.obsids]

    @property
    def attempts(self) -> dict[str, str]:
        """The attempts of the observations that have not changed."""
        unchanged = (entry for entry in self.entries if entry.obsid not in self.obsids)
        return {entry.obsid: entry.attempt for entry in unchanged}

    def kept(self, table: str) -> list[DerivedFile]:
        """The files of the earlier version, in order, without the observations that changed."""
        if self.anew or self.earlier is None:
            return []
        return [file.without_changed(self.obsids) for file in self.earlier.of(table) if file.rows]


def batches(
    entries: Iterable[LedgerEntry], table: str, most_rows: int, most_observations: int
) -> Iterator[tuple[LedgerEntry, ...]]:
    """Divide observations into batches, each for a task.

    Parameters
    ----------
    entries : iterable of LedgerEntry
        The observations, sorted.
    table : str
        The table whose rows make the work.
    most_rows, most_observations : int
        Of a batch; a single observation may have more rows.
    """
    batch: list[LedgerEntry] = []
    rows = 0
    for entry in entries:
        more = entry.rows(table)
        if batch and (rows + more > most_rows or len(batch) == most_observations):
            yield tuple(batch)
            batch, rows = [], 0
        batch.append(entry)
        rows += more
    if batch:
        yield tuple(batch)


def compute_all(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    plan: Plan,
    name: Callable[[Item], str],
) -> list[Result]:
    """Do all items, each a task with a name of its own; without one there can be no version.

    Returns
    -------
    list
        The results, in the order of the items.

    Raises
    ------
    ArchiveError
        If the work was interrupted.
    Exception
        What the first task raised that failed.
    """
    found: dict[str, Result] = {}
    for done in run_tasks(function, items, plan.fitting(len(items)), name=name):
        if done.error is not None:
            raise done.error
        if done.result is not None:
            found[name(done.item)] = done.result
    if len(found) < len(items):
        raise ArchiveError(
            f"The work was interrupted with {len(found)} of {len(items)} tasks done; the earlier "
            f"version stays in use: run the same command again."
        )
    return [found[name(item)] for item in items]


@dataclass
class NewVersion:
    """A version in the making; see `deriving`.

    Attributes
    ----------
    folder : str
        Folder of the files that are written for it.
    files : list of DerivedFile
        What it consists of so far; append what `write_part` returns, also in other processes, or
        files of the earlier version.
    attempts, parameters, summary : dict
        As in `Derived`.
    """

    folder: str
    files: list[DerivedFile] = field(default_factory=list)
    attempts: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Its name."""
        return self.folder.rpartition("/")[2]


def write_part(
    store: Store,
    folder: str,
    table: Table,
    rows: pd.DataFrame | pa.Table,
    part: str,
    groups: str = "",
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
    groups : str
        Column whose values have row groups of their own, of which some are read; it is the first
        that rows are sorted by.

    Raises
    ------
    ArchiveError
        If the rows do not fit the table or cannot be written.
    """
    path = f"{folder}/{table.name}-{part}.parquet"
    if not FILE.fullmatch(path):
        raise ArchiveError(f"{path!r} cannot be the name of a file.")
    content = rows if isinstance(rows, pa.Table) else to_arrow(table, rows, table.name)
    content = content.select(table.schema.names).cast(table.schema)
    block = SMALL_BLOCK if groups else None
    with reported(f"{store.path(path)} cannot be written"), store.writing(path, block) as sink:
        write_sorted(sink, table, content, groups)
    seal = sink.seal()
    return DerivedFile(
        path=path,
        table=table.name,
        part=part,
        rows=len(content),
        bytes=seal.size,
        sha256=seal.sha256,
        blocks=seal.blocks,
    )


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
    with new_version(store, check_product(product)) as folder:
        new = NewVersion(folder)
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
        content = pointer.to_json()
    with reported(f"{product} of {store.root} cannot be published"):
        store.publish({}, f"{product}/{POINTER}", content)
