"""Ingest: turn event lists and source lists into Parquet files, once."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exod.archive.store import Store, reported
from exod.errors import ExodError, ExposureRejected
from exod.files.storage import StorageOptions
from exod.pps import (
    ObservationFiles,
    RemoteFile,
    ingested,
    local_copies,
    read_event_list,
    read_listed_sources,
)
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import RETRIES, Plan
from exod.stages.inputs.filestamps import file_identity

FOLDER = "events"
"""Folder of the ingested files in an archive."""


@dataclass(frozen=True)
class Ingested:
    """What became of the files of an observation.

    Attributes
    ----------
    obsid : str
        The observation.
    written, kept : int
        Files written now, and files that were there already.
    n_events : int
        Rows written.
    problems : tuple of str
        Files that could not be ingested, a sentence each.
    """

    obsid: str
    written: int = 0
    kept: int = 0
    n_events: int = 0
    problems: tuple[str, ...] = ()


def ingest_many(
    observations: Sequence[ObservationFiles],
    root: str | Path,
    plan: Plan | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Generator[Ingested, None, None]:
    """Ingest observations, each a task.

    Parameters
    ----------
    observations : sequence of ObservationFiles
        What to ingest.
    root : path or URL
        Archive; the files go to ``events/<obsid>/`` in it.
    plan : Plan, optional
        Where and how; by default all cores of this machine.
    storage_options : dict, optional
        Options of the archive's fsspec file system.

    Yields
    ------
    Ingested
        One an observation, in order of completion.
    """
    options = StorageOptions(storage_options or {})
    for done in run_tasks(
        partial(ingest_observation, root=str(root), storage_options=options),
        observations,
        replace((plan or Plan()).fitting(len(observations)), retries=RETRIES),
        name=lambda files: f"ingest-{files.obsid}",
    ):
        if done.result is not None:
            yield done.result
        else:
            yield Ingested(done.item.obsid, problems=(f"{done.item.obsid}: {done.error}",))


def ingest_observation(
    files: ObservationFiles, root: str | Path, storage_options: Mapping[str, Any] | None = None
) -> Ingested:
    """Ingest the files of one observation; those that are there already are kept."""
    store = Store.at(root, storage_options)
    origins = {path: _origin(path) for path in files.paths}
    missing = [path for path in files.paths if not _is_there(path, store, files.obsid, origins)]
    wanted = ObservationFiles(
        files.obsid,
        tuple(path for path in files.event_lists if path in missing),
        tuple(path for path in files.source_lists if path in missing),
    )
    written = n_events = 0
    problems = []
    with local_copies(wanted) as local, TemporaryDirectory(prefix="exod-ingest-") as temporary:
        for path, copy in zip(wanted.paths, local.paths, strict=True):
            name = _name(path, files.obsid)
            target = Path(store.path(name)) if store.is_local else Path(temporary, path.name)
            try:
                if path in files.source_lists:
                    found = read_listed_sources(copy, files.obsid)
                    ingested.write_sources(
                        target, found.sources, found.notes, found.keywords, origins[path]
                    )
                else:
                    n_events += _ingest_events(copy, target, origins[path])
                if not store.is_local:
                    _upload(target, store, name)
                written += 1
            except ExodError as error:
                problems.append(str(error))
    kept = len(files.paths) - len(missing)
    return Ingested(files.obsid, written, kept, n_events, tuple(problems))


def _name(path: Path | RemoteFile, obsid: str) -> str:
    return f"{FOLDER}/{obsid}/{ingested.product_name(path)}{ingested.SUFFIX}"


def _origin(path: Path | RemoteFile) -> dict[str, Any]:
    """What tells whether the file is the one that was ingested; a remote one is not read for it."""
    known = file_identity(path)
    keys = ("name", "size", "checksum" if isinstance(path, Path) else "stamp")
    return {key: known[key] for key in keys}


def _is_there(
    path: Path | RemoteFile, store: Store, obsid: str, origins: Mapping[Any, dict[str, Any]]
) -> bool:
    if path.suffix == ingested.SUFFIX:
        return True
    name = _name(path, obsid)
    if store.is_local:
        return ingested.origin_of(Path(store.path(name))) == origins[path]
    there = RemoteFile(f"{store.root}/{name}", store.options)
    return store.exists(name) and ingested.origin_of(there) == origins[path]


def _upload(path: Path, store: Store, name: str) -> None:
    with reported(f"{store.path(name)} cannot be written"), store.writing(name) as file:
        file.write(path.read_bytes())


def _ingest_events(path: Path, target: Path, origin: dict[str, Any]) -> int:
    try:
        exposure, events = read_event_list(path)
    except ExposureRejected as error:
        ingested.write_rejected(target, str(error), origin)
        return 0
    ingested.write_events(target, exposure, events, origin)
    return len(events)
