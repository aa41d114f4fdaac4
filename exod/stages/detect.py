"""Detect: read an observation, search it, turn the runs into rows, commit them."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from exod.archive import Archive
from exod.archive.ledger import Status, input_files
from exod.archive.store import StorageOptions
from exod.config import Config
from exod.errors import ArchiveError, ExodError, InputError
from exod.pps import ObservationFiles, find_observations, read_hot_pixel_table
from exod.rows import Tables, rate_rows, run_rows, tables_from
from exod.scheduler import check_scheduler
from exod.scheduler import run as run_tasks
from exod.search import search_subset
from exod.stages.files import file_identity
from exod.stages.read import read_observation


@dataclass(frozen=True)
class Outcome:
    """What became of an observation: small enough to travel between processes."""

    obsid: str
    status: str
    reason: str
    n_runs: int = 0
    n_regions: int = 0
    n_events: int = 0
    seconds: float = 0.0
    searched: bool = True


def detect(paths: str | Path | Iterable[str | Path], config: Config | None = None) -> Tables:
    """Search one observation in memory, without an archive.

    Parameters
    ----------
    paths : path or iterable of path
        Its folder, or its event lists and source list.
    config : Config, optional
        Settings; the defaults if not given.

    Returns
    -------
    Tables
        The tables of `exod.schemas.TABLES`, as attributes and as items.

    Raises
    ------
    InputError
        If the paths hold no observation, several, or a damaged event list.

    Examples
    --------
    >>> import exod
    >>> tables = exod.detect("0001730201")  # doctest: +SKIP
    >>> tables.regions[["detid", "ra_deg", "dec_deg"]]  # doctest: +SKIP
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    observations, problems = find_observations(given)
    if problems:
        raise problems[0]
    if len(observations) != 1:
        names = ", ".join(files.obsid for files in observations) or "none"
        raise InputError(
            f"exod.detect searches one observation, but {given} hold {names}; "
            f"use `exod detect` with an archive for several."
        )
    return detect_observation(observations[0], config or Config())


def detect_observation(files: ObservationFiles, config: Config) -> Tables:
    """Search one observation.

    Parameters
    ----------
    files : ObservationFiles
        Its files.
    config : Config
        Settings.

    Returns
    -------
    Tables
        The tables of `exod.schemas.TABLES`.

    Raises
    ------
    InputError
        If an event list is damaged.
    """
    observation = read_observation(files, config)
    parts: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for subset in observation.subsets:
        parts["rates"].append(rate_rows(observation.obsid, subset))
        for run in search_subset(observation.obsid, subset, observation.sources, config):
            for name, frame in run_rows(observation.obsid, subset, run, config).items():
                parts[name].append(frame)
            parts["runs"][-1]["peak_memory_mb"] = peak_memory_mb()
    n_regions = sum(len(frame) for frame in parts["regions"])
    for name, frame in observation.rows(n_regions).items():
        parts[name].append(frame)
    return tables_from(parts)


def detect_to_archive(
    files: ObservationFiles,
    config: Config,
    root: str,
    storage_options: Mapping[str, Any] | None = None,
) -> Outcome:
    """Search one observation and commit the result, whatever it is, to the archive at `root`.

    A failure is recorded and returned, not raised, so that the other observations go on.
    """
    began = time.perf_counter()
    archive = Archive.create(root, config, storage_options)
    inputs = _inputs(files, config)
    tables: Mapping[str, pd.DataFrame] = {}
    status: Status = "FAILED"
    reason, trace = "", ""
    try:
        tables = detect_observation(files, config)
        status, reason = _status(tables)
    except ExodError as error:
        reason, trace = str(error), traceback.format_exc()
    except Exception as error:  # noqa: BLE001 - recorded, so that the other observations go on
        trace = traceback.format_exc()
        reason = f"Unexpected {type(error).__name__}: {error}; please report it with the traceback."
    seconds = time.perf_counter() - began
    archive.commit(
        files.obsid,
        status,
        tables,
        reason=reason,
        traceback=trace,
        inputs=inputs,
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(),
    )
    counts = {name: len(tables[name]) if tables else 0 for name in ("runs", "regions")}
    n_events = int(tables["observations"]["n_events"].sum()) if tables else 0
    return Outcome(
        files.obsid, status, reason, counts["runs"], counts["regions"], n_events, seconds
    )


def detect_many(
    observations: Sequence[ObservationFiles],
    config: Config,
    root: str,
    *,
    scheduler: str = "local",
    workers: int | None = None,
    force: bool = False,
    retry_failed: bool = False,
    on_start: Callable[[str], None] = lambda _link: None,
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
    scheduler, workers, on_start
        As in `exod.scheduler.run`.
    force : bool
        Search again what is done already.
    retry_failed : bool
        Search again what failed with the same files.
    storage_options : dict, optional
        Options of the archive's fsspec file system.

    Yields
    ------
    Outcome
        One an observation; those that need no search come first.

    Raises
    ------
    ArchiveError
        If the archive cannot be used.
    ConfigError
        If the scheduler is of no known kind, or the hot pixel table cannot be read.
    """
    check_scheduler(scheduler)
    if config.selection.hot_pixels not in {"find", "off"}:
        read_hot_pixel_table(Path(config.selection.hot_pixels))
    archive = Archive.create(root, config, storage_options)
    waiting = []
    for files, earlier in sort_out(archive, observations, force=force, retry_failed=retry_failed):
        if earlier is None:
            waiting.append(files)
        else:
            yield earlier
    if len(waiting) == 1 and scheduler == "local":
        scheduler = "sync"
    task = partial(
        detect_to_archive,
        config=config,
        root=root,
        # A task may be logged, and what is logged is its text.
        storage_options=StorageOptions(storage_options or {}),
    )
    for done in run_tasks(
        task,
        waiting,
        scheduler=scheduler,
        workers=workers,
        name=lambda files: f"detect-{files.obsid}",
        on_start=on_start,
    ):
        if done.result is not None:
            yield done.result
            continue
        known = isinstance(done.error, ExodError)
        reason = str(done.error) if known else f"The task ended in an error: {done.error!r}."
        with contextlib.suppress(ArchiveError):
            archive.commit(
                done.item.obsid, "FAILED", reason=reason, inputs=_inputs(done.item, config)
            )
        yield Outcome(done.item.obsid, "FAILED", reason)


def sort_out(
    archive: Archive,
    observations: Iterable[ObservationFiles],
    *,
    force: bool = False,
    retry_failed: bool = False,
) -> Iterator[tuple[ObservationFiles, Outcome | None]]:
    """Pair observations with their outcome in the ledger, None if they are to be searched."""
    for files in observations:
        if force:
            yield files, None
        else:
            yield files, _earlier_outcome(archive, files, retry_failed=retry_failed)


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
    if entry.fingerprint != archive.fingerprint or entry.inputs != input_files(
        _inputs(files, archive.config)
    ):
        return None
    return Outcome(
        files.obsid,
        entry.status,
        entry.reason,
        entry.rows("runs"),
        entry.rows("regions"),
        searched=False,
    )


def _status(tables: Mapping[str, pd.DataFrame]) -> tuple[Status, str]:
    """Ledger status and reason of a search that ended."""
    runs = tables["runs"]
    if runs.empty:
        return "SKIPPED", " ".join(tables["exposures"]["reason"]) or "There is no event list."
    if not runs["n_frames"].any():
        return "SKIPPED", "The exposures overlap for less than one time bin."
    notes = " ".join(tables["observations"]["notes"])
    return ("OK" if len(tables["regions"]) else "EMPTY"), notes


def _inputs(files: ObservationFiles, config: Config) -> list[dict[str, Any]]:
    """Name, size and checksum of the files, which tell whether a result is still valid."""
    paths = list(files.paths)
    if config.selection.hot_pixels not in {"find", "off"}:
        paths.append(Path(config.selection.hot_pixels))
    return [file_identity(path) for path in paths]


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in Mbyte."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss of a forked process starts at what its parent had; VmHWM does not.
        kilobytes = status.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]
        return int(kilobytes) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
