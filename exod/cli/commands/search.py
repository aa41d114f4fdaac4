"""Commands that search observations."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exod.cli.app import app, complain, err, say
from exod.cli.options import (
    Archive_,
    Band,
    ConfigFile,
    Data,
    Input,
    Listed,
    Memory,
    Method,
    Paths,
    PictureFormat,
    PictureSize,
    PictureStyle,
    Preset,
    Scheduler,
    Set,
    Sigma,
    Storage,
    TBin,
    Workers,
    drawing_of,
    input_paths,
    memory_bytes,
    read_config,
    storage_options,
)
from exod.cli.outcomes import dry_run, end_if_stopped, finish, summary, watch

if TYPE_CHECKING:
    from exod.archive import Archive
    from exod.config import Config
    from exod.errors import InputError
    from exod.plots.drawing import Drawing
    from exod.pps import ObservationFiles
    from exod.scheduler.plan import Plan
    from exod.stages.detect.observation import Outcome

LogJson = Annotated[
    Path | None, typer.Option(help="Append a line of JSON for each observation to this file.")
]


@app.command()
def detect(
    archive: Annotated[str, typer.Option(help="Archive to write to; made if it does not exist.")],
    paths: Paths = None,
    listed: Listed = None,
    data: Data = None,
    t_bin: TBin = None,
    band: Band = None,
    sigma: Sigma = None,
    method: Method = None,
    preset: Preset = None,
    config: ConfigFile = None,
    settings: Set = None,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    memory: Memory = None,
    force: Annotated[bool, typer.Option("--force", help="Search again what is done.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Search again what failed.")
    ] = False,
    plots: Annotated[Path | None, typer.Option(help="Save pictures in this folder.")] = None,
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
    storage: Storage = None,
    source: Input = None,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, its time and memory.")
    ] = False,
    log_json: LogJson = None,
) -> None:
    """Search observations for variable sources.

    Event lists in; regions, light curves, cells, bad time intervals and runs out. What is done
    with the same files and settings is not done again: to continue, run the same command.

    Example: `exod detect 0001730201/ --archive results --t-bin 5,50,200 --sigma 3`

    Deeper, with half a false alarm an observation: `exod detect 0001730201/ --archive deep
    --preset deep --set detect.false_alarm_rate=0.5`

    As EXOD I did, by the variability of each cell: `exod detect 0001730201/ --archive exod1
    --method exod1`

    From the public archive: `exod detect --from obsids.txt --data
    s3://nasa-heasarc/xmm/data/rev0 --archive results`
    """
    from exod.archive import open_archive
    from exod.pps import find_observations
    from exod.scheduler.plan import Plan

    wanted = read_config(config, settings, t_bin, band, sigma, preset, method)
    options = storage_options(storage)
    plan = Plan(scheduler, workers, memory_bytes(memory))
    # A style that cannot be read is told before the search, not after it.
    drawing = drawing_of(form, size, style) if plots is not None else None
    places = input_paths(paths or [], listed, data)
    with err.status("Looking for observations"):
        observations, problems = find_observations(places, storage_options(source))
    if dry:
        _complain_all(problems)
        which = {"force": force, "retry_failed": retry_failed}
        dry_run(observations, wanted, archive, workers, plan.memory, options, **which)
        raise typer.Exit(1 if problems else 0)
    outcomes = _search(
        observations,
        problems,
        wanted,
        archive,
        plan,
        log_json,
        force=force,
        retry_failed=retry_failed,
        storage_options=options,
    )
    if plots is not None and drawing is not None:
        drawable = [outcome.obsid for outcome in outcomes if outcome.n_runs]
        opened = open_archive(archive, options)
        _plot_observations(opened, drawable, plots, Plan(scheduler, workers), drawing)
    finish(outcomes, problems)


@app.command()
def retry(
    root: Archive_,
    obsids: Annotated[
        list[str] | None,
        typer.Argument(metavar="OBSID...", help="Only these of the observations that failed."),
    ] = None,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    memory: Memory = None,
    storage: Storage = None,
    source: Input = None,
    log_json: LogJson = None,
) -> None:
    """Search again what failed in an archive, from the files where they were, with its settings.

    Example: `exod retry results --workers 1`
    """
    from exod.archive import open_archive
    from exod.scheduler.plan import Plan
    from exod.stages.detect.survey import failed_observations

    options = storage_options(storage)
    plan = Plan(scheduler, workers, memory_bytes(memory))
    opened = open_archive(root, options)
    observations, problems = failed_observations(opened, obsids or [], storage_options(source))
    if not observations and not problems:
        say(f"Nothing failed in {root}.")
        return
    outcomes = _search(
        observations,
        problems,
        opened.config,
        root,
        plan,
        log_json,
        retry_failed=True,
        storage_options=options,
    )
    finish(outcomes, problems)


def _complain_all(problems: Sequence[InputError]) -> None:
    for problem in problems:
        complain(f"exod: {problem}")


def _search(
    observations: Sequence[ObservationFiles],
    problems: Sequence[InputError],
    config: Config,
    archive: str,
    plan: Plan,
    log_json: Path | None,
    **options: Any,
) -> list[Outcome]:
    """Search observations, show how it goes, say what became of them."""
    from exod.stages.detect.survey import detect_many

    _complain_all(problems)
    if not observations:
        raise typer.Exit(1)
    began = time.monotonic()
    work = partial(detect_many, observations, config, archive, **options)
    outcomes, stop = watch(work, len(observations), plan, log_json)
    summary(outcomes, archive, time.monotonic() - began)
    end_if_stopped(stop, len(outcomes), len(observations))
    return outcomes


def _plot_observations(
    archive: Archive, obsids: list[str], folder: Path, plan: Plan, drawing: Drawing
) -> None:
    """Draw observations of an archive and say where the pictures are."""
    from exod.stages.plot import plot_many

    drawn = 0
    for obsid, paths in plot_many(archive, obsids, folder, plan, drawing=drawing):
        drawn += len(paths)
        say(f"{obsid}: {len(paths)} pictures in {folder}")
    say(f"Pictures: {drawn} in {folder}")
