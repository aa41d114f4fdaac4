"""Commands that simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from exod.cli.app import app, new_table, out
from exod.cli.options import (
    EXPLORER_PORT,
    PictureFormat,
    PictureSize,
    PictureStyle,
    drawing_of,
)
from exod.cli.outcomes import finish, summary


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Gets a folder an observation.")],
    obsid: Annotated[
        list[str] | None,
        typer.Option(help="Ten digits, of acis a number; repeatable [0900000101, 900]."),
    ] = None,
    instrument: Annotated[
        Literal["epic", "acis"], typer.Option(help="Of XMM-Newton, or of Chandra.")
    ] = "epic",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first; the next add one.")] = 1,
    duration: Annotated[float, typer.Option(min=2000, help="Length in seconds.")] = 20_000.0,
    cameras: Annotated[
        str, typer.Option(metavar="NAME,...", help="Cameras by INSTRUME; all by default.")
    ] = "",
    bursts: Annotated[int, typer.Option(min=0, help="Bursts.")] = 3,
    eclipses: Annotated[int, typer.Option(min=0, help="Eclipses of bright sources.")] = 1,
    flares: Annotated[int, typer.Option(min=0, help="Strong soft-proton flares.")] = 1,
    background: Annotated[
        str, typer.Option(help="quiet, or flaring: soft protons most of the time.")
    ] = "quiet",
    exposures: Annotated[
        int, typer.Option(min=1, max=9, help="Exposures of each camera, one after the other.")
    ] = 1,
    dropouts: Annotated[
        int,
        typer.Option(min=0, help="Drop-outs of a CCD, a quadrant or all of each exposure."),
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace observations that are there.")
    ] = False,
) -> None:
    """Simulate observations as PPS files, with a table of what is in them.

    Example: `exod simulate sim --obsid 0900000101 --seed 1 --background flaring --exposures 2`

    Once more with another seed: `exod simulate sim --obsid 0900000101 --seed 2 --overwrite`

    Of Chandra, with sources and bursts but what is of EPIC: `exod simulate sim --instrument acis`
    """
    from exod.errors import ConfigError
    from exod.stages.inputs.simulate import (
        refuse_existing,
        simulate_acis_files,
        simulate_files,
    )

    obsids = obsid or ["900" if instrument == "acis" else "0900000101"]
    if not overwrite:
        refuse_existing(folder, obsids)
    for number, name in enumerate(obsids):
        if instrument == "acis":
            if cameras or exposures > 1 or dropouts or background != "quiet":
                raise ConfigError(
                    "--cameras, --exposures, --dropouts and --background are of EPIC; leave them "
                    "out with --instrument acis."
                )
            paths = simulate_acis_files(
                folder, name, seed + number, duration=duration, n_bursts=bursts
            )
            out.print(f"{name}: {len(paths)} files in {paths[0].parent}", soft_wrap=True)
            continue
        paths = simulate_files(
            folder,
            name,
            seed + number,
            duration=duration,
            **({"cameras": tuple(cameras.split(","))} if cameras else {}),
            n_bursts=bursts,
            n_eclipses=eclipses,
            n_flares=flares,
            background=background,
            n_exposures=exposures,
            n_short_dropouts=dropouts,
        )
        out.print(f"{name}: {len(paths)} files in {paths[0].parent}", soft_wrap=True)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the demo.")] = Path(
        "demo"
    ),
    scheduler: Annotated[str, typer.Option(help="sync, local or tcp://host:port.")] = "local",
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
) -> None:
    """Simulate three observations offline, search them, draw what was found, make a catalogue.

    Example: `exod demo demo`
    """
    from exod.cli.progress import follow
    from exod.stages.demo import run_demo
    from exod.stages.report.page import REPORT

    drawing = drawing_of(form, size, style)
    result = run_demo(folder, scheduler, say=out.print, follow=follow, drawing=drawing)
    summary(result.outcomes, str(result.archive), result.seconds)
    table = new_table("What was put in and what was found", numbers=result.found.columns)
    for row in result.found.to_dict("records"):
        table.add_row(*(_cell(value) for value in row.values()))
    out.print(table)
    out.print(f"Tables:   {result.archive}   (exod status {result.archive})", soft_wrap=True)
    out.print(f"Pictures: {len(result.pictures)} in {result.pictures[0].parent}", soft_wrap=True)
    release = folder / result.release.folder.name
    out.print(f"Catalogue: {release}   (exod query {result.archive})", soft_wrap=True)
    out.print(f"Report:   {release / REPORT}", soft_wrap=True)
    _show(result.archive, folder / "explorer.png")
    finish(result.outcomes, [])


def _show(archive: Path, picture: Path) -> None:
    """Prepare the explorer's pages, take a picture of one, and say where they are."""
    from exod.archive import open_archive
    from exod.stages.explore.making import make_explorer

    make_explorer(str(archive))
    opened = f"exod explore {archive}"
    try:
        from exod.web.screenshot import screenshot
    except ModuleNotFoundError as error:
        out.print(f"Explorer: {opened}   (needs {error.name}: pip install 'exod[web]')")
        return
    problem = screenshot(open_archive(archive), "source/0", picture)
    shown = f"no picture: {problem}" if problem else f"its picture: {picture}"
    page = f"http://127.0.0.1:{EXPLORER_PORT}/source/0"
    out.print(f"Explorer: {opened}   then {page}   ({shown})", soft_wrap=True)


def _cell(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
