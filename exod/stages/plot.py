"""Plot: draw observations of an archive, each a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from exod.archive import open_archive
from exod.files.storage import StorageOptions
from exod.plots import save_observation
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import Plan

LIGHT_CURVES = 50
"""Light curves drawn of an observation at most."""


def plot_many(
    root: str,
    obsids: Sequence[str],
    folder: str | Path,
    plan: Plan | None = None,
    *,
    light_curves: int = LIGHT_CURVES,
    storage_options: Mapping[str, Any] | None = None,
) -> Iterator[tuple[str, list[Path]]]:
    """Draw observations.

    Parameters
    ----------
    root : str
        The archive.
    obsids : sequence of str
        Observations, each with results.
    folder : path
        Where the pictures go.
    plan : Plan, optional
        Where and how; by default all cores of this machine.
    light_curves : int
        Light curves of each observation at most, the most significant.
    storage_options : dict, optional
        Options of the archive's fsspec file system.

    Yields
    ------
    obsid : str
        The observation.
    paths : list of Path
        Its pictures.

    Raises
    ------
    ArchiveError
        If an observation cannot be drawn.
    """
    options = StorageOptions(storage_options or {})
    task = partial(
        _plot, root=root, folder=Path(folder), light_curves=light_curves, options=options
    )
    for done in run_tasks(
        task,
        obsids,
        (plan or Plan()).fitting(len(obsids)),
        name=lambda obsid: f"plot-{obsid}",
    ):
        if done.result is None:
            raise done.error or RuntimeError(f"the task of {done.item} ended without a result")
        yield done.item, done.result


def _plot(
    obsid: str, root: str, folder: Path, light_curves: int, options: StorageOptions
) -> list[Path]:
    return save_observation(open_archive(root, options), obsid, folder, light_curves)
