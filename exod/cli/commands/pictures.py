"""Commands that show: pictures and cubes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from exod.cli.app import app, out
from exod.cli.options import (
    Archive_,
    ConfigFile,
    PictureFormat,
    PictureSize,
    PictureStyle,
    Preset,
    Set,
    Storage,
    drawing_of,
    existing,
    read_config,
    storage_options,
)
from exod.errors import ConfigError


@app.command()
def plot(
    root: Archive_,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="DETID-or-OBSID-or-NAME...", help="Regions, observations or unique sources."
        ),
    ],
    to: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("plots"),
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
    storage: Storage = None,
) -> None:
    """Draw regions (light curve and image), whole observations, or sources on a sheet.

    The sheet of a source has its light curves in all observations, time bins and bands.

    Example: `exod plot results 0001730201_0_50_0.2_12.0_0 --to plots --format pdf`

    A source: `exod plot results "EXOD J173442.5-323454"`
    """
    from exod.archive import open_archive
    from exod.plots import save_detection, save_observation
    from exod.plots.places.sources import is_source_name, save_source

    drawing = drawing_of(form, size, style)
    archive = open_archive(root, storage_options(storage))
    for name in names:
        save: Callable[..., list[Path]] = save_source
        if not is_source_name(name):
            save = save_observation if name.isdigit() else save_detection
        for path in save(archive, name, to, drawing=drawing):
            out.print(str(path), soft_wrap=True)


@app.command()
def cube(
    path: Annotated[list[str], typer.Argument(help="Folder of one observation, or its files.")],
    to: Annotated[Path, typer.Option(help="Zarr group to write, by custom *.zarr.")],
    subset: Annotated[int, typer.Option(min=0, help="Group of overlapping exposures.")] = 0,
    t_bin: Annotated[
        str | None, typer.Option(metavar="S", help="One time bin in seconds [50].")
    ] = None,
    band: Annotated[
        str | None, typer.Option(metavar="LO-HI", help="One energy band in keV [0.2-12].")
    ] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Export the count cube and the expectation of one run to Zarr v3, axes (time, y, x).

    Example: `exod cube 0001730201/ --to cube.zarr --t-bin 50 --band 0.2-12`
    """
    from exod.pps import find_observations
    from exod.stages.cube import export_cube, with_one_run

    wanted = read_config(config, settings, t_bin, band, None, preset)
    given = [name for name, value in (("t_bin", t_bin), ("bands", band)) if value is not None]
    wanted = with_one_run(wanted, given)
    observations, problems = find_observations(existing(path))
    if problems:
        raise problems[0]
    if len(observations) != 1:
        raise ConfigError(f"exod cube takes one observation, not {len(observations)}.")
    runid = export_cube(observations[0], wanted, to, subset)
    out.print(f"{runid} written to {to}", soft_wrap=True)
