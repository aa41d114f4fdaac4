"""Products of observations that are read in batches, each a task that writes a part of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from exod.archive import Archive, LedgerEntry
from exod.archive.derived import Derived, DerivedFile
from exod.archive.increments import NewVersion, batches
from exod.errors import ArchiveError
from exod.files.whole import unique_mark
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import Plan
from exod.scheduler.tally import Tally

Obsids = tuple[str, ...]
"""Observations of a batch, sorted."""


@dataclass(frozen=True)
class BatchDone:
    """What became of a batch.

    Attributes
    ----------
    files : tuple of DerivedFile
        What was written.
    attempts : dict of str to str
        Attempt of each observation that was read.
    failures : dict of str to str
        Why the others were not, a sentence each.
    """

    files: tuple[DerivedFile, ...]
    attempts: dict[str, str]
    failures: dict[str, str]


@dataclass(frozen=True)
class BatchedMade:
    """What became of a product.

    Attributes
    ----------
    derived : Derived
        The version that is current now.
    n_read, n_kept, n_waiting : int
        Observations that were read, that an earlier version had already, and that are not done
        since the work was interrupted.
    failures : dict of str to str
        Observations left out, with the reason.
    """

    derived: Derived
    n_read: int
    n_kept: int
    n_waiting: int = 0
    failures: Mapping[str, str] = field(default_factory=dict)


def divided(
    entries: Iterable[LedgerEntry], table: str, most_rows: int, most_observations: int
) -> list[Obsids]:
    """The observations of each batch, as `exod.archive.increments.batches` divides them."""
    found = batches(entries, table, most_rows, most_observations)
    return [tuple(entry.obsid for entry in batch) for batch in found]


def task_name(what: str, batch: Obsids) -> str:
    """Name of the task of a batch: what it does, the first and the last observation."""
    return f"{what}-{batch[0]}-{batch[-1]}"


def run_batches(
    task: Callable[[Obsids], BatchDone], wanted: Sequence[Obsids], plan: Plan, what: str
) -> Iterator[BatchDone]:
    """Do the batches, each a task, in the order in which they end."""
    name = partial(task_name, what)
    tally = Tally(what, len(wanted), lambda batch: bool(batch.failures))
    for done in run_tasks(task, wanted, plan.fitting(len(wanted)), name=name, tally=tally):
        # No observation is to blame for the error of a batch.
        yield done.result or BatchDone((), {}, dict.fromkeys(done.item, done.reason))


def part_name(obsids: Iterable[str]) -> str:
    """Name of a part; a task that is tried again must not find that of the first try in its way."""
    obsids = list(obsids)
    return f"{unique_mark()}-{min(obsids)}-{max(obsids)}"


def collect(
    new: NewVersion, batches_done: Iterable[BatchDone], on_batch: Callable[[BatchDone], None]
) -> dict[str, str]:
    """Add what batches gave to a version in the making; why observations were left out."""
    failures: dict[str, str] = {}
    for done in batches_done:
        new.attempts |= done.attempts
        new.files += done.files
        failures |= done.failures
        on_batch(done)
    return failures


def published(archive: Archive, product: str) -> Derived:
    """The version that is current after one was published.

    Raises
    ------
    ArchiveError
        If somebody has removed it.
    """
    found = archive.derived(product)
    if found is None:
        raise ArchiveError(f"The {product} of {archive.root} are gone; run the same command again.")
    return found
