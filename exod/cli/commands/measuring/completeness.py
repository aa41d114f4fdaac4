"""Command that measures the completeness of the search."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exod.cli.app import app, out, say_paths
from exod.cli.options import (
    Band,
    ConfigFile,
    Method,
    PictureFormat,
    PictureSize,
    PictureStyle,
    Preset,
    Scheduler,
    Set,
    Sigma,
    TBin,
    Workers,
    drawing_of,
    numbers,
    read_config,
)
from exod.cli.outcomes import end_if_stopped, finish, watch
from exod.errors import plural

if TYPE_CHECKING:
    from exod.completeness.campaign import Campaign
    from exod.scheduler.plan import Plan
    from exod.stages.detect.observation import Outcome


# Of bursts, and of eclipses.
_AMPLITUDES = ("5,8,12,20,35,60", "0.3,1,3")
_DURATIONS = ("2,5,10,20,50,100,200,500,1000", "20,50,200,500,1000")


@app.command()
def completeness(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Gets the results.")],
    amplitudes: Annotated[
        str | None,
        typer.Option(
            metavar="N,...",
            help="Expected counts of a burst, all cameras [5,8,12,20,35,60]; with --depths rates "
            "of the source, ct/s [0.3,1,3].",
        ),
    ] = None,
    durations: Annotated[
        str | None,
        typer.Option(
            metavar="S,...",
            help="Lengths in seconds [2,5,10,20,50,100,200,500,1000; with --depths "
            "20,50,200,500,1000].",
        ),
    ] = None,
    depths: Annotated[
        str,
        typer.Option(
            metavar="D,...",
            help="Eclipses of constant sources, not bursts: shares of the light that are lost.",
        ),
    ] = "",
    off_axis: Annotated[
        str, typer.Option(metavar="ARCMIN,...", help="Off-axis angles, up to 11.")
    ] = "2,6,10",
    backgrounds: Annotated[str, typer.Option(help="quiet, flaring or both.")] = "quiet,flaring",
    observations: Annotated[int, typer.Option(help="Observations a point of the grid.")] = 4,
    bursts: Annotated[
        int, typer.Option(help="Bursts in each, 90 arcsec apart; fewer without room.")
    ] = 25,
    length: Annotated[float, typer.Option(help="Length of an observation in seconds.")] = 20_000.0,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    method: Method = None,
    levels: Annotated[
        str,
        typer.Option(
            metavar="X,...",
            help="Thresholds: sigmas or false alarm rates [that of the settings].",
        ),
    ] = "",
    t_bin: TBin = None,
    band: Band = None,
    sigma: Sigma = None,
    preset: Preset = None,
    config: ConfigFile = None,
    settings: Set = None,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
) -> None:
    """Measure how many counts a burst needs to be found, with simulated observations.

    What is done with the same settings is not done again: to continue, or to add to the grid or
    another method, run the command with the same OUT.

    Example: `exod completeness sim --amplitudes 8,20,60 --durations 5,50 --off-axis 6
    --backgrounds quiet --observations 1`

    Eclipses: `exod completeness dim --depths 0.5,0.8,1 --durations 50,200,500 --off-axis 6
    --backgrounds quiet --observations 1 --bursts 10`
    """
    from exod.completeness.campaign import Campaign
    from exod.scheduler.plan import Plan
    from exod.stages.completeness.measure import write_results

    drawing = drawing_of(form, size, style)
    campaign = Campaign(
        amplitudes=_numbers("--amplitudes", amplitudes or _AMPLITUDES[bool(depths)]),
        durations=_numbers("--durations", durations or _DURATIONS[bool(depths)]),
        depths=_numbers("--depths", depths),
        off_axis=_numbers("--off-axis", off_axis),
        backgrounds=tuple(name.strip() for name in backgrounds.split(",") if name.strip()),  # type: ignore[misc]
        observations=observations,
        bursts=bursts,
        length=length,
        seed=seed,
        levels=_numbers("--levels", levels),
        config=read_config(config, settings, t_bin, band, sigma, preset, method),
    )
    outcomes = _run(campaign, folder, Plan(scheduler, workers))
    if any(outcome.status != "FAILED" for outcome in outcomes):
        say_paths(write_results(folder, shlex.join(["exod", *sys.argv[1:]]), drawing))
    finish(outcomes, [])


def _run(campaign: Campaign, folder: Path, plan: Plan) -> list[Outcome]:
    """Do the tasks and show how it goes."""
    from exod.stages.completeness.measure import run_campaign

    total = len(campaign.points())
    outcomes, stop = watch(partial(run_campaign, campaign, folder), total, plan)
    end_if_stopped(stop, len(outcomes), total)
    before = sum(not outcome.searched for outcome in outcomes)
    out.print(f"{plural(len(outcomes), 'observation')} searched, {before} of them before.")
    return outcomes


def _numbers(option: str, text: str) -> tuple[float, ...]:
    return tuple(numbers(option, filter(str.strip, text.split(",")), "5,10,20"))
