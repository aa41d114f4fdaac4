"""Detect: read an observation, search it, turn the runs into rows, commit them."""

from __future__ import annotations

import resource
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from exod.archive import Archive
from exod.archive.ledger.entry import FullEntry, Status
from exod.config import Config
from exod.errors import ConfigError, InputError, TooLargeError
from exod.pps import ObservationFiles, RemoteFile, find_observations, local_copies
from exod.scheduler import memory_limit
from exod.search.ccdeffects import LeftOut, left_out_notes
from exod.search.coverage import coverage
from exod.search.observationrows import observation_rows
from exod.search.rows import (
    RowBlock,
    Tables,
    frame_of,
    rate_rows,
    run_rows,
    tables_from,
    with_observation_alarms,
)
from exod.search.subset import search_subset
from exod.sensitivity.cellalarms import AlarmsByStrength
from exod.stages.detect.predict import predict
from exod.stages.detect.read import read_observation
from exod.stages.inputs.filestamps import file_identity
from exod.tablefiles.pixeltable import hot_pixel_table

FINAL = (InputError, ConfigError, TooLargeError)
"""Errors that another try would meet again."""


@dataclass(frozen=True)
class Outcome:
    """What became of an observation: small enough to travel between processes.

    Attributes
    ----------
    obsid, status, reason : str
        As in the ledger.
    n_runs, n_regions, n_events : int
        Rows of the tables, and events searched.
    seconds : float
        What it took.
    peak_memory_mb, predicted_memory_mb : float
        Peak memory of the process, and what was expected, in MB; 0 if it did not come to that.
    searched : bool
        Whether it was searched now, and not before.
    tries : int
        How often it was tried.
    time_share : float or None
        Share of the exposure time that was searched; None if that is not known.
    """

    obsid: str
    status: str
    reason: str
    n_runs: int = 0
    n_regions: int = 0
    n_events: int = 0
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    predicted_memory_mb: float = 0.0
    searched: bool = True
    tries: int = 1
    time_share: float | None = None


def detect(
    paths: str | Path | Iterable[str | Path],
    config: Config | None = None,
    options: Mapping[str, Any] | None = None,
) -> Tables:
    """Search one observation in memory, without an archive.

    Parameters
    ----------
    paths : path, URL or iterable of these
        Its folder, or its event lists and source list.
    config : Config, optional
        Settings; the defaults if not given.
    options : dict, optional
        Of the fsspec file system of URLs.

    Returns
    -------
    Tables
        The tables of `exod.schemas.TABLES`, as attributes and as items.

    Raises
    ------
    InputError
        If the paths hold no observation, several, or a damaged event list.
    DownloadError
        If a URL cannot be read.

    Examples
    --------
    >>> import exod
    >>> tables = exod.detect("0001730201")  # doctest: +SKIP
    >>> tables.regions[["detid", "ra_deg", "dec_deg"]]  # doctest: +SKIP
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    observations, problems = find_observations(given, options)
    if problems:
        raise problems[0]
    if len(observations) != 1:
        names = ", ".join(files.obsid for files in observations) or "none"
        raise InputError(
            f"exod.detect searches one observation, but {given} hold {names}; "
            f"use `exod detect` with an archive for several."
        )
    with local_copies(observations[0]) as files:
        return detect_observation(files, config or Config())


def detect_observation(files: ObservationFiles[Path], config: Config) -> Tables:
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
    of_runs: dict[str, list[RowBlock]] = defaultdict(list)
    alarms: list[AlarmsByStrength] = []
    live: dict[int, list[float]] = defaultdict(list)
    left_out: list[LeftOut] = []
    for subset in observation.subsets:
        with_live = config.cube.live_time != "frames"
        parts["rates"].append(rate_rows(observation.obsid, subset, with_live=with_live))
        for run in search_subset(
            observation.obsid,
            subset,
            observation.sources,
            config,
            n_subsets=len(observation.subsets),
        ):
            alarms.append(run.alarms)
            live[subset.number].append(run.live_share)
            left_out.append(run.left_out)
            for name, rows in run_rows(observation.obsid, subset, run, config).items():
                of_runs[name] += rows
            of_runs["runs"][-1].columns["peak_memory_mb"] = peak_memory_mb()
    # Likelihood ratios of photons have one threshold for all runs; probabilities one for each.
    shared = config.detect.false_alarm_rate is not None and config.detect.method == "search"
    regions = with_observation_alarms(frame_of(of_runs["regions"]), alarms, equal_shares=shared)
    parts |= {name: [frame_of(rows)] for name, rows in of_runs.items() if name != "regions"}
    parts["regions"] = [regions]
    n_regions = len(regions)
    covered = coverage(observation, live)
    notes = [covered.note] if covered.note and observation.subsets else []
    notes += left_out_notes(left_out)
    for name, frame in observation_rows(observation, n_regions, notes).items():
        parts[name].append(frame)
    tables = tables_from(parts)
    tables.coverage = covered
    return tables


def detect_to_archive(
    files: ObservationFiles,
    config: Config,
    root: str,
    storage_options: Mapping[str, Any] | None = None,
    memory: float | None = None,
) -> Outcome:
    """Search one observation and commit the result, whatever it is, to the archive at `root`.

    What is wrong with the observation itself is recorded and returned, not raised, so that the
    others go on.

    Parameters
    ----------
    files : ObservationFiles
        Its files, here or elsewhere.
    config : Config
        Settings.
    root : str
        The archive; made if it does not exist.
    storage_options : dict, optional
        Options of the archive's fsspec file system.
    memory : float, optional
        Bytes that it may take; by default what the worker may, if this is one.

    Returns
    -------
    Outcome
        What was committed.

    Raises
    ------
    DownloadError, ArchiveError
        If files cannot be fetched or nothing can be committed: another try may succeed.
    """
    began = time.perf_counter()
    reset_peak_memory()
    archive = Archive.create(root, config, storage_options)
    inputs: list[dict[str, Any]] = []
    tables = Tables()
    status: Status = "FAILED"
    reason, trace = "", ""
    predicted = 0.0
    try:
        with local_copies(files) as local:
            inputs = observation_inputs(files, config, local)
            predicted = _admitted(local, config, memory or memory_limit())
            tables = detect_observation(local, config)
        status, reason = _status(tables)
    except FINAL as error:
        reason, trace = str(error), traceback.format_exc()
    entry = archive.commit(
        files.obsid,
        status,
        tables,
        reason=reason,
        traceback=trace,
        inputs=inputs,
        seconds=time.perf_counter() - began,
        peak_memory_mb=peak_memory_mb(),
        predicted_memory_mb=predicted,
        time_share=tables.coverage.time,
        area_share=tables.coverage.area,
    )
    n_events = int(tables["observations"]["n_events"].sum()) if tables else 0
    return outcome_of(entry, n_events=n_events)


def outcome_of(entry: FullEntry, *, n_events: int = 0, searched: bool = True) -> Outcome:
    """What an entry of the ledger says."""
    return Outcome(
        entry.obsid,
        entry.status,
        entry.reason,
        entry.rows("runs"),
        entry.rows("regions"),
        n_events,
        entry.seconds,
        entry.peak_memory_mb,
        entry.predicted_memory_mb,
        searched,
        entry.tries,
        entry.time_share,
    )


def _admitted(files: ObservationFiles[Path], config: Config, limit: float | None) -> float:
    """Predicted memory of the search in MB.

    Raises
    ------
    TooLargeError
        If it is more than the `limit` in bytes.
    """
    prediction = predict(files, config)
    if limit and prediction.memory_mb * 2**20 > limit:
        raise TooLargeError(
            f"It needs about {prediction.memory_mb:.0f} MB ({prediction.n_rows:,} rows) and a "
            f"process here may take {limit / 2**20:.0f} MB: use fewer --workers, a larger --memory "
            f"or longer time bins, then --retry-failed."
        )
    return prediction.memory_mb


def _status(tables: Mapping[str, pd.DataFrame]) -> tuple[Status, str]:
    """Ledger status and reason of a search that ended."""
    runs = tables["runs"]
    if runs.empty:
        return "SKIPPED", " ".join(tables["exposures"]["reason"]) or "There is no event list."
    notes = " ".join(tables["observations"]["notes"])
    if not (runs["mu_sum"] > 0).any():
        return "SKIPPED", " ".join(dict.fromkeys([*runs["notes"], notes])).strip()
    return ("OK" if len(tables["regions"]) else "EMPTY"), notes


def input_paths(files: ObservationFiles, config: Config) -> list[Path | RemoteFile]:
    """All files that the result depends on."""
    paths = list(files.paths)
    if pixels := hot_pixel_table(config.selection.hot_pixels):
        paths.append(pixels)
    return paths


def observation_inputs(
    files: ObservationFiles, config: Config, copies: ObservationFiles[Path] | None = None
) -> list[dict[str, Any]]:
    """What the ledger keeps of them, with checksums where there are local copies."""
    here: tuple[Path | None, ...] = copies.paths if copies else (None,) * len(files.paths)
    return [
        file_identity(path, copy)
        for path, copy in zip_longest(input_paths(files, config), here, fillvalue=None)
        if path is not None
    ]


def reset_peak_memory() -> None:
    """Let `peak_memory_mb` start at what this process takes now, where the system can do that."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mb() -> float:
    """Largest resident memory of this process since `reset_peak_memory`, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss of a forked process starts at what its parent had; VmHWM does not.
        kilobytes = status.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]
        return int(kilobytes) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
