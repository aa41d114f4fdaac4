"""Completeness: simulate observations with bursts, search them, count what is found.

Each task is one observation at one point of the grid; its rows are one Parquet file, which appears
whole or not at all. What is there with the same settings is not done again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from exod import __version__
from exod.completeness.campaign import Campaign, Point
from exod.completeness.curves import counts_needed, summarise
from exod.completeness.fields import (
    burst_places,
    burst_starts,
    quiet_field,
    selected_photons,
    with_bursts,
    with_eclipses,
)
from exod.completeness.matching import ANY, TrueBursts, kind_of, match, regions_found
from exod.completeness.report import eclipse_report, report
from exod.errors import ConfigError, ExodError
from exod.files.whole import whole_file, write_whole
from exod.scheduler import Done
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import RETRIES, Plan
from exod.simulate import SimulatedObservation, simulate
from exod.stages.completeness.virtual import detections, predict, predict_eclipses, searched
from exod.stages.detect.observation import Outcome
from exod.tablefiles.csvtext import csv_text

if TYPE_CHECKING:
    from exod.plots.drawing import Drawing

TASKS: Final = "tasks"
"""Folder of the files of tasks, in that of the results."""

_KEY: Final = b"exod"


def run_campaign(
    campaign: Campaign, folder: str | Path, plan: Plan | None = None
) -> Generator[Outcome, None, None]:
    """Do what is missing of a campaign.

    Parameters
    ----------
    campaign : Campaign
        The settings.
    folder : path
        Where the results go.
    plan : Plan, optional
        Where and how; by default all cores of this machine.

    Yields
    ------
    Outcome
        One a task, in order of completion; also of those that were done before.

    Raises
    ------
    ConfigError
        If a task was done with other settings.
    """
    tasks = Path(folder) / TASKS
    try:
        tasks.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExodError(f"The folder {tasks} cannot be made: {error}.") from error
    missing = []
    for point in campaign.points():
        path = task_path(tasks, campaign, point)
        if path.exists():
            _require_same(path, campaign)
            yield Outcome(point.text, "OK", "", searched=False)
        else:
            missing.append(point)
    task = partial(do_point, campaign=campaign, tasks=tasks)
    plan = replace((plan or Plan()).fitting(len(missing)), retries=RETRIES)
    done: Done[Point, Outcome]
    for done in run_tasks(
        task,
        missing,
        plan,
        name=lambda point: f"completeness-{point.name}",
        is_final=lambda error: isinstance(error, ExodError),
    ):
        yield done.result or Outcome(done.item.text, "FAILED", done.reason, tries=done.tries)


def task_path(tasks: Path, campaign: Campaign, point: Point) -> Path:
    """The file of a task."""
    return tasks / f"{campaign.method}-{point.name}.parquet"


def _require_same(path: Path, campaign: Campaign) -> None:
    """Refuse a file that was made with other settings."""
    try:
        known = json.loads((pq.read_schema(path).metadata or {})[_KEY])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise ExodError(
            f"The file {path} cannot be read ({error}); remove it and run the same command."
        ) from error
    if known["fingerprint"] == campaign.fingerprint:
        return
    old = known["settings"]
    changed = [
        f"{name} is {json.dumps(value)} and was {json.dumps(old.get(name))}"
        for name, value in campaign.settings.items()
        if name != "config" and value != old.get(name)
    ]
    if old.get("config") != campaign.settings["config"]:
        changed.append("the settings of the search differ")
    raise ConfigError(
        f"{path} was made with other settings ({'; '.join(changed)}); use another folder, or "
        f"remove this one."
    )


def do_point(point: Point, campaign: Campaign, tasks: Path) -> Outcome:
    """Do one task and write its file."""
    began = time.perf_counter()
    rows, n_regions = measure(point, campaign)
    if campaign.method == "search" and not campaign.config.cube.psf_weights:
        predicted = predict_eclipses if point.depth else predict
        rows = pd.concat([rows, predicted(point, campaign)], ignore_index=True)
    rows.insert(0, "method", campaign.method)
    for number, (name, value) in enumerate(point.columns().items()):
        rows.insert(1 + number, name, value)
    seconds = time.perf_counter() - began
    _write(rows.assign(seconds=seconds), task_path(tasks, campaign, point), campaign)
    return Outcome(
        point.text,
        "OK",
        "",
        n_runs=rows["kind"].nunique() - 1,
        n_regions=n_regions,
        seconds=seconds,
    )


def _write(rows: pd.DataFrame, path: Path, campaign: Campaign) -> None:
    """Write a file with the facts that `collect` asks for."""
    facts = {
        "fingerprint": campaign.fingerprint,
        "settings": campaign.settings,
        "version": __version__,
    }
    table = pa.Table.from_pandas(rows, preserve_index=False)
    table = table.replace_schema_metadata({_KEY: json.dumps(facts).encode()})
    with whole_file(path) as temporary:
        pq.write_table(table, temporary)


@dataclass(frozen=True)
class _Injected:
    """A simulated observation, its bursts, and their counts: simulated and selected."""

    observation: SimulatedObservation
    bursts: TrueBursts
    injected: int
    selected: int


def measure(point: Point, campaign: Campaign) -> tuple[pd.DataFrame, int]:
    """Simulate and search the observation of a point.

    Returns
    -------
    rows : DataFrame
        One row a level and kind of run.
    n_regions : int
        Regions found at all levels.
    """
    made = _inject(point, campaign)
    rows: list[dict[str, Any]] = []
    n_regions = 0
    for level in campaign.levels:
        results = {}
        for run in searched(made.observation, campaign.config_at(level)):
            places = regions_found(run, "eclipse" if point.depth else "peak")
            results[kind_of(run)] = match(places, made.bursts)
            n_regions += len(places)
        found = np.logical_or.reduce([own for own, _ in results.values()])
        results[ANY] = found, sum(n_false for _, n_false in results.values())
        for kind, (own, n_false) in results.items():
            row = detections("injected", level, kind, own)
            row |= {"injected": made.injected, "selected": made.selected, "n_false": n_false}
            rows.append(row)
    return pd.DataFrame(rows), n_regions


def _inject(point: Point, campaign: Campaign) -> _Injected:
    generator = point.generator()
    model = quiet_field(point, campaign.length)
    places = burst_places(model, point.off_axis, campaign.bursts, generator)
    starts = burst_starts(model, point.duration, len(places), generator)
    if point.depth:
        model = with_eclipses(model, places, starts, point)
    else:
        model = with_bursts(model, places, starts, point.duration, point.amplitude)
    observation = simulate(model, int(generator.integers(2**31)))
    is_burst = np.arange(len(model.sources)) >= len(model.sources) - len(places)
    x, y = np.array(places).T
    return _Injected(
        observation,
        TrueBursts(x, y, starts, starts + point.duration, model.plane.pixel_arcsec),
        int(observation.truth["counts_total"][is_burst].sum()),
        len(selected_photons(observation, is_burst, campaign.config)[0]),
    )


def collect(folder: str | Path) -> pd.DataFrame:
    """The rows of all tasks in a folder.

    Returns
    -------
    DataFrame
        One row a task, level, kind of run and source (injected or predicted).

    Raises
    ------
    ExodError
        If there is none, or one cannot be read.
    """
    paths = sorted((Path(folder) / TASKS).glob("*.parquet"))
    if not paths:
        raise ExodError(f"There are no results of tasks in {Path(folder) / TASKS}.")
    try:
        return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    except (OSError, pa.ArrowException) as error:
        raise ExodError(
            f"The results in {Path(folder) / TASKS} cannot be read: {error}."
        ) from error


def write_results(folder: str | Path, command: str, drawing: Drawing | None = None) -> list[Path]:
    """Write tables, picture and report of the tasks that are done.

    Parameters
    ----------
    folder : path
        Of the campaign.
    command : str
        What made it, for the report.
    drawing : Drawing, optional
        Format, size and style of the picture.

    Returns
    -------
    list of Path
        completeness.parquet, completeness.csv, the picture of bursts completeness.png and of
        eclipses eclipses.png (or of another format), if there are any, and completeness.md.
    """
    # matplotlib takes a second to load, and tasks do not draw.
    from exod.plots.drawing import DEFAULT, save_figure
    from exod.plots.efficiency.completeness import completeness_figure, eclipse_figure

    folder = Path(folder)
    table = summarise(collect(folder))
    bursts, eclipses = (table[table["depth"].gt(0) == is_eclipse] for is_eclipse in (False, True))
    paths = [folder / f"completeness.{ending}" for ending in ("parquet", "csv")]
    with whole_file(paths[0]) as temporary:
        table.to_parquet(temporary, index=False)
    write_whole(paths[1], csv_text(table))
    drawing, texts = drawing or DEFAULT, []
    with drawing.applied():
        if len(bursts):
            paths.append(save_figure(completeness_figure(bursts), folder / "completeness", drawing))
            texts.append(report(bursts, counts_needed(bursts), command, paths[-1].name))
        if len(eclipses):
            paths.append(save_figure(eclipse_figure(eclipses), folder / "eclipses", drawing))
            texts.append(eclipse_report(eclipses, command, paths[-1].name))
    paths.append(folder / "completeness.md")
    write_whole(paths[-1], "\n".join(texts))
    return paths
