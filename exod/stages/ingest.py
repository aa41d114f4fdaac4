"""Ingest: turn event lists and source lists into Parquet files, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exod.errors import ExodError, ExposureRejected
from exod.pps import ObservationFiles, ingested, read_event_list, read_source_list
from exod.scheduler import run as run_tasks
from exod.stages.files import file_identity

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
    *,
    scheduler: str = "local",
    workers: int | None = None,
    on_start: Callable[[str], None] = lambda _link: None,
) -> Iterator[Ingested]:
    """Ingest observations, each a task.

    Parameters
    ----------
    observations : sequence of ObservationFiles
        What to ingest.
    root : path
        Archive; the files go to ``events/<obsid>/`` in it. A local folder.
    scheduler, workers, on_start
        As in `exod.scheduler.run`.

    Yields
    ------
    Ingested
        One an observation, in order of completion.
    """
    for done in run_tasks(
        partial(ingest_observation, root=Path(root)),
        observations,
        scheduler="sync" if len(observations) == 1 and scheduler == "local" else scheduler,
        workers=workers,
        name=lambda files: f"ingest-{files.obsid}",
        on_start=on_start,
    ):
        if done.result is not None:
            yield done.result
        else:
            yield Ingested(done.item.obsid, problems=(f"{done.item.obsid}: {done.error}",))


def ingest_observation(files: ObservationFiles, root: Path) -> Ingested:
    """Ingest the files of one observation; those that are there already are kept."""
    folder = root / FOLDER / files.obsid
    written = kept = n_events = 0
    problems = []
    for path in files.paths:
        target = folder / f"{ingested.product_name(path)}{ingested.SUFFIX}"
        origin = file_identity(path)
        if path.suffix == ingested.SUFFIX or ingested.origin_of(target) == origin:
            kept += 1
            continue
        try:
            if path in files.source_lists:
                ingested.write_sources(target, read_source_list(path), origin)
            else:
                n_events += _ingest_events(path, target, origin)
            written += 1
        except ExodError as error:
            problems.append(str(error))
    return Ingested(files.obsid, written, kept, n_events, tuple(problems))


def _ingest_events(path: Path, target: Path, origin: dict[str, object]) -> int:
    try:
        exposure, events = read_event_list(path)
    except ExposureRejected as error:
        ingested.write_rejected(target, str(error), origin)
        return 0
    ingested.write_events(target, exposure, events, origin)
    return len(events)
