"""Survey: many observations, a task each; what is done is left, what fails is tried again."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Final

from exod.archive import Archive
from exod.archive.ledger.running import SearchRecord, search_recorded
from exod.config import Config
from exod.errors import (
    ArchiveError,
    DownloadError,
    ExodError,
    InputError,
    without_credentials,
)
from exod.files.storage import StorageOptions
from exod.pps import ObservationFiles, find_observations
from exod.scheduler import Done, machine_memory
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import RETRIES, Plan
from exod.scheduler.tally import Tally
from exod.stages.detect.observation import (
    FINAL,
    Outcome,
    detect_to_archive,
    input_paths,
    observation_inputs,
    outcome_of,
)
from exod.stages.inputs.filestamps import are_unchanged, recorded_paths
from exod.tablefiles.pixeltable import hot_pixel_table, read_hot_pixel_table

HOPELESS: Final = 5
"""Observations in a row that the archive did not take, after which it is useless to go on."""

_LOOK_THREADS: Final = 16
_LOOK_AHEAD: Final = 64


def detect_many(
    observations: Sequence[ObservationFiles],
    config: Config,
    root: str,
    plan: Plan | None = None,
    *,
    force: bool = False,
    retry_failed: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Generator[Outcome, None, None]:
    """Search observations, each a task, and commit them to the archive at `root`.

    Parameters
    ----------
    observations : sequence of ObservationFiles
        What to search.
    config : Config
        Settings; an archive that was made with others is refused.
    root : str
        The archive; made if it does not exist.
    plan : Plan, optional
        Where and how; by default all cores of this machine.
    force : bool
        Search again what is done already.
    retry_failed : bool
        Search again what failed with the same files.
    storage_options : dict, optional
        Options of the archive's fsspec file system.

    Yields
    ------
    Outcome
        One an observation, in order of completion; also of those that need no search.

    Raises
    ------
    ArchiveError
        If the archive cannot be used.
    ConfigError
        If the hot pixel table cannot be read.
    """
    plan = replace((plan or Plan()).fitting(len(observations)), retries=RETRIES)
    if pixels := hot_pixel_table(config.selection.hot_pixels):
        read_hot_pixel_table(pixels)
    archive = Archive.create(root, config, storage_options)
    task = partial(
        detect_to_archive,
        config=config,
        root=root,
        # A task may be logged, and what is logged is its text.
        storage_options=StorageOptions(storage_options or {}),
        memory=(plan.memory or machine_memory()) if plan.scheduler == "sync" else None,
    )
    tally = Tally("detect", len(observations), lambda outcome: outcome.status == "FAILED")
    with search_recorded(archive.store, tally) as record:
        waiting = sort_out(archive, observations, force=force, retry_failed=retry_failed)
        yield from _searched(archive, task, waiting, _recorded(plan, record), tally, record)
    # The outcomes are committed, and readers do without the copy.
    with suppress(ArchiveError):
        archive.keep_ledger()


def _recorded(plan: Plan, record: SearchRecord) -> Plan:
    """The same plan; the record of the search has the link of the dashboard."""

    def on_start(link: str) -> None:
        record.dashboard = link
        record.write()
        plan.on_start(link)

    return replace(plan, on_start=on_start)


def _searched(
    archive: Archive,
    task: Callable[[ObservationFiles], Outcome],
    waiting: Iterator[tuple[ObservationFiles, Outcome | None]],
    plan: Plan,
    tally: Tally,
    record: SearchRecord,
) -> Iterator[Outcome]:
    """The outcomes as they come; those that need no search with the next one that did."""
    earlier: list[Outcome] = []

    def to_search() -> Iterator[ObservationFiles]:
        for files, outcome in waiting:
            if outcome is None:
                yield files
            else:
                tally.before += 1
                earlier.append(outcome)

    refused = 0
    for done in run_tasks(
        task,
        to_search(),
        plan,
        n_items=tally.total,
        name=lambda files: f"detect-{files.obsid}",
        is_final=lambda error: isinstance(error, FINAL),
        tally=tally,
    ):
        record.keep()
        yield from _taken(earlier)
        yield done.result or _failed(archive, done)
        refused = refused + 1 if isinstance(done.error, ArchiveError) else 0
        if refused >= HOPELESS:
            raise ArchiveError(
                f"The last {refused} observations could not be committed, so the search ends here; "
                f"mend that, then run the same command with --retry-failed. Of the last one: "
                f"{done.error}"
            )
    yield from _taken(earlier)


def _taken(outcomes: list[Outcome]) -> Iterator[Outcome]:
    while outcomes:
        yield outcomes.pop(0)


def _failed(archive: Archive, done: Done[ObservationFiles, Outcome]) -> Outcome:
    """Record, if that is possible, that an observation could not be searched."""
    error, files = done.error, done.item
    if isinstance(error, ExodError):
        reason = str(error)
    else:
        reason = f"Unexpected {type(error).__name__}: {error}; please report it with the traceback."
    reason = without_credentials(reason)
    outcome = Outcome(files.obsid, "FAILED", reason, tries=done.tries)
    # It is told in any case, and without an entry it is searched the next time.
    with suppress(ArchiveError, DownloadError):
        archive.commit(
            files.obsid,
            "FAILED",
            reason=reason,
            traceback="".join(traceback.format_exception(error)),
            inputs=observation_inputs(files, archive.config),
            tries=done.tries,
        )
    return outcome


def sort_out(
    archive: Archive,
    observations: Iterable[ObservationFiles],
    *,
    force: bool = False,
    retry_failed: bool = False,
) -> Iterator[tuple[ObservationFiles, Outcome | None]]:
    """Pair observations with their outcome in the ledger, None if they are to be searched."""
    if force:
        yield from ((files, None) for files in observations)
        return
    look = partial(_earlier_outcome, archive, retry_failed=retry_failed)
    waiting = iter(observations)
    with ThreadPoolExecutor(_LOOK_THREADS) as pool:
        while batch := list(islice(waiting, _LOOK_AHEAD)):
            yield from zip(batch, pool.map(look, batch), strict=True)


def _earlier_outcome(
    archive: Archive, files: ObservationFiles, *, retry_failed: bool
) -> Outcome | None:
    """The outcome in the ledger, if the same files need no search."""
    try:
        entry = archive.entry(files.obsid)
    except ArchiveError:
        return None  # A damaged entry is replaced.
    if entry is None or (entry.status == "FAILED" and retry_failed):
        return None
    if entry.fingerprint != archive.fingerprint:
        return None
    if not are_unchanged(input_paths(files, archive.config), entry.inputs):
        return None
    return outcome_of(entry, searched=False)


def failed_observations(
    archive: Archive,
    obsids: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> tuple[list[ObservationFiles], list[InputError]]:
    """Find the files of the observations that failed, where they were.

    Parameters
    ----------
    archive : Archive
        With its ledger.
    obsids : sequence of str
        Only these, if any.
    options : dict, optional
        Of the fsspec file systems of URLs.

    Returns
    -------
    observations : list of ObservationFiles
        In order of obsid.
    problems : list of InputError
        One for each file that is gone, and each observation whose files nobody knows.
    """
    paths: list[str] = []
    problems: list[InputError] = []
    unknown = set(obsids)
    for entry in archive.entries():
        if obsids and entry.obsid not in unknown:
            continue
        unknown.discard(entry.obsid)
        if entry.status != "FAILED":
            continue
        known = recorded_paths(archive.entry(entry.obsid), archive.config)
        paths += known
        if not known:
            problems.append(
                InputError(
                    f"The ledger does not say where the files of {entry.obsid} are; use exod "
                    f"detect PATH --archive {archive.root} --retry-failed."
                )
            )
    problems += [InputError(f"{obsid} is not in {archive.root}.") for obsid in sorted(unknown)]
    observations, missing = find_observations(paths, options)
    return observations, problems + missing
