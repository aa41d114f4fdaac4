"""Features: light curves and images of each observation -> a row for each region.

Observations are read in batches, each a task that writes a part of the table. What an earlier
version has of observations that did not change is kept as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, cast

import numpy as np
import pandas as pd

from exod.archive import Archive, LedgerEntry, open_archive
from exod.archive.derived import DerivedFile
from exod.archive.increments import Changes, NewVersion, deriving, write_part
from exod.archive.parquet import FileReplacedError, read_file, to_pandas
from exod.archive.store import Store
from exod.errors import ArchiveError
from exod.scheduler.plan import Plan
from exod.schemas import DERIVED, FEATURES
from exod.sources.vetting.episodes import ECLIPSE_LIMIT, PEAK_LIMIT
from exod.sources.vetting.eventbands import Columns, Pair, with_ratios
from exod.sources.vetting.hardness import soft_and_hard
from exod.stages.derive.batched import (
    BatchDone,
    BatchedMade,
    Obsids,
    collect,
    divided,
    part_name,
    published,
    run_batches,
)
from exod.stages.derive.fluxes import with_fluxes
from exod.stages.derive.observation_features import observation_features

PRODUCT: Final = "features"

BATCH_ROWS: Final = 10_000_000
BATCH_OBSERVATIONS: Final = 500
"""Frames of light curves and observations of a batch at most; a single one may have more."""

SMALL_ROWS: Final = 2_000
SMALL_FILES: Final = 50
"""More files than that with fewer rows than that become one."""

_VERSION: Final = 4
"""Of what the features mean; with another one they are made anew."""


class FeaturesMade(BatchedMade):
    """What became of the features of an archive."""

    @property
    def n_rows(self) -> int:
        """Regions in the version that is current."""
        return cast("int", self.derived.summary["regions"])


def make_features(
    archive: Archive | str,
    plan: Plan | None = None,
    *,
    on_total: Callable[[int], None] = lambda _n: None,
    on_batch: Callable[[BatchDone], None] = lambda _done: None,
) -> FeaturesMade:
    """Bring the product ``features`` of an archive up to date.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path.
    plan : Plan, optional
        Where and how; by default all cores of this machine.
    on_total : callable
        Is told how many observations are to be read.
    on_batch : callable
        Is told of each batch that ended.

    Returns
    -------
    FeaturesMade
        Observations whose files are damaged are left out, and tried again the next time.

    Raises
    ------
    ArchiveError
        If the archive cannot be opened, the earlier version is damaged, or nothing can be written.
    """
    plan = plan or Plan()
    archive = open_archive(archive)
    entries = archive.entries()
    bands = soft_and_hard(archive.config.cube.bands)
    parameters = _parameters(bands)
    changes = Changes.since(archive.derived(PRODUCT), entries, parameters)
    todo = changes.todo
    on_total(len(todo))
    if changes.earlier and changes.are_none:
        return FeaturesMade(changes.earlier, 0, len(entries))
    with deriving(archive.store, PRODUCT, DERIVED[PRODUCT]) as new:
        new.parameters, new.attempts = parameters, changes.attempts
        new.files, n_rows = _still_right(archive.store, changes.kept(FEATURES.name), new.folder)
        n_files, n_kept = len(new.files), len(new.attempts)
        failures = collect(new, _run(archive, todo, new, bands, plan), on_batch)
        n_rows += sum(file.rows for file in new.files[n_files:])
        new.summary = {"regions": n_rows, "observations": len(new.attempts)}
    n_read = len(new.attempts) - n_kept
    waiting = len(todo) - n_read - len(failures)
    return FeaturesMade(published(archive, PRODUCT), n_read, n_kept, waiting, failures)


def _parameters(bands: Pair | None) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "peak_limit": PEAK_LIMIT,
        "eclipse_limit": ECLIPSE_LIMIT,
        "soft_and_hard": [list(band) for band in bands] if bands else [],
    }


# -------------------------------------------------------------------- batches


def _run(
    archive: Archive, todo: Sequence[LedgerEntry], new: NewVersion, bands: Pair | None, plan: Plan
) -> Iterator[BatchDone]:
    """Read the observations in batches, each a task; those without regions take none."""
    empty = {entry.obsid: entry.attempt for entry in todo if not entry.rows("regions")}
    if empty:
        yield BatchDone((), empty, {})
    some = (entry for entry in todo if entry.obsid not in empty)
    wanted = divided(some, "lightcurves", BATCH_ROWS, BATCH_OBSERVATIONS)
    task = partial(_derive, archive=archive, folder=new.folder, bands=bands)
    yield from run_batches(task, wanted, plan, "features")


def _derive(batch: Obsids, archive: Archive, folder: str, bands: Pair | None) -> BatchDone:
    """Read the observations of a batch and write their part of the table."""
    attempts: dict[str, str] = {}
    failures: dict[str, str] = {}
    parts = []
    for obsid in batch:
        try:
            attempts[obsid], columns = _observation(archive, obsid, bands)
        except ArchiveError as error:
            failures[obsid] = str(error)
        else:
            parts.append(columns)
    if not attempts:
        return BatchDone((), attempts, failures)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    rows = pd.DataFrame(with_fluxes(with_ratios(joined)))
    file = write_part(archive.store, folder, FEATURES, rows, part_name(batch))
    return BatchDone((file,), attempts, failures)


def _observation(archive: Archive, obsid: str, bands: Pair | None) -> tuple[str, Columns]:
    """Attempt of an observation and its columns."""
    for last in (False, True):
        entry = archive.entry(obsid)
        if entry is None:
            raise ArchiveError(f"The archive {archive.root} has no observation {obsid} any more.")
        try:
            return entry.attempt, observation_features(archive.store, entry, bands)
        except FileReplacedError as error:
            # It may have been processed again between the reads of the entry and the files.
            if last:
                path = str(error).partition(" is gone")[0]
                raise ArchiveError(f"{path} is gone; process observation {obsid} again.") from error
    raise AssertionError("the loop above returns or raises")


# -------------------------------------------------------------------- what is kept


def _still_right(
    store: Store, kept: Sequence[DerivedFile], folder: str
) -> tuple[list[DerivedFile], int]:
    """Files that are kept and the rows in them that count.

    What is mostly outdated is written again, and many small files become one.
    """
    live = {
        file: len(_rows(store, file, ["obsid"])) if file.without else file.rows for file in kept
    }
    small = [file for file in kept if file.rows < SMALL_ROWS and 2 * live[file] >= file.rows]
    join = small if len(small) > SMALL_FILES else []
    again = [file for file in kept if live[file] and 2 * live[file] < file.rows] + join
    files = [file for file in kept if 2 * live[file] >= file.rows and file not in join]
    if again:
        rows = pd.concat([_rows(store, file) for file in again], ignore_index=True)
        files.append(write_part(store, folder, FEATURES, rows, part_name(rows["obsid"])))
    return files, sum(live.values())


def _rows(store: Store, file: DerivedFile, columns: list[str] | None = None) -> pd.DataFrame:
    """Rows of a file that count."""
    condition = [[("obsid", "not in", list(file.without))]] if file.without else None
    try:
        return to_pandas(read_file(store, file.stored, FEATURES, columns, condition))
    except ArchiveError as error:
        raise ArchiveError(
            f"{store.path(file.path)} of the features is damaged or gone; delete "
            f"{store.path(f'{PRODUCT}/current.json')} and make them again."
        ) from error
