"""Plot: draw observations of an archive, each a task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from exod.archive import Archive, open_archive
from exod.plots import Drawing, save_observation
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import Plan

LIGHT_CURVES = 50
"""Light curves drawn of an observation at most."""


def plot_many(
    archive: Archive | str,
    obsids: Sequence[str],
    folder: str | Path,
    plan: Plan | None = None,
    *,
    light_curves: int = LIGHT_CURVES,
    drawing: Drawing | None = None,
) -> Iterator[tuple[str, list[Path]]]:
    """Draw observations.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path.
    obsids : sequence of str
        Observations, each with results.
    folder : path
        Where the pictures go.
    plan : Plan, optional
        Where and how; by default all cores of this machine.
    light_curves : int
        Light curves of each observation at most, the most significant.
    drawing : Drawing, optional
        Format, size and style of the pictures.

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
    task = partial(
        save_observation,
        open_archive(archive),
        folder=folder,
        max_light_curves=light_curves,
        drawing=drawing or Drawing(),
    )
    fitting = (plan or Plan()).fitting(len(obsids))
    for done in run_tasks(task, obsids, fitting, name=lambda obsid: f"plot-{obsid}"):
        yield done.item, done.value()
