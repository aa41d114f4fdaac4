"""The command that maps exposure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exod.cli.app import app, out, say_paths
from exod.cli.onerun import Places, archive_of, one_observation
from exod.cli.options import (
    ConfigFile,
    Input,
    PictureFormat,
    PictureSize,
    PictureStyle,
    Set,
    Storage,
    drawing_of,
    read_config,
)
from exod.errors import ConfigError


@app.command()
def exposure(
    places: Places,
    to: Annotated[Path, typer.Option(help="Folder of the maps.")] = Path("exposure"),
    pixel: Annotated[
        float, typer.Option(metavar="ARCSEC", min=1, max=60, help="Width of a pixel.")
    ] = 4.0,
    config: ConfigFile = None,
    settings: Set = None,
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
    storage: Storage = None,
    source: Input = None,
) -> None:
    """Map for how long each place was seen, by camera and band, as FITS with sky coordinates.

    Seconds of live time, without vignetting (ON) and with that of 0.2-0.5, 0.5-1, 1-2, 2-4.5 and
    4.5-12 keV (BAND1 to BAND5); chips, gaps, windows, bad and hot pixels are in it.

    Example: `exod exposure 0001730201/ --to exposure`

    Of an observation of an archive: `exod exposure results 0001730201`
    """
    from exod.stages.images.exposures import exposure_files
    from exod.stages.places.recorded import recorded_files

    drawing = drawing_of(form, size, style)
    archive, obsids = archive_of(places, storage)
    if archive is None:
        chosen = read_config(config, settings, None, None, None)
        wanted = [(one_observation("exposure", places, source), chosen)]
    elif config or settings:
        raise ConfigError("--config and --set are for event files; an archive has its settings.")
    else:
        wanted = [(recorded_files(archive, obsid), archive.config) for obsid in obsids]
    for files, chosen in wanted:
        say_paths(
            exposure_files(
                files,
                chosen,
                to,
                pixel_arcsec=pixel,
                drawing=drawing,
                on_left_out=out.print,
            )
        )
