"""Commands that show: pictures, images, videos and cubes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from exod.cli.app import app, out, say_paths
from exod.cli.onerun import (
    OneBand,
    OneTimeBin,
    Pixel,
    Places,
    RunOptions,
    Subset,
    archive_of,
    one_observation,
)
from exod.cli.options import (
    Archive_,
    Between,
    ConfigFile,
    Input,
    PictureFormat,
    PictureSize,
    PictureStyle,
    Preset,
    Set,
    Storage,
    drawing_of,
    storage_options,
    time_range,
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
    from exod.plots.places.sources import find_source, is_source_name, save_source
    from exod.plots.saving import check_name

    drawing = drawing_of(form, size, style)
    archive = open_archive(root, storage_options(storage))
    # What is wrong in the last name is said before the first is drawn.
    for name in names[1:]:
        check: Callable[..., Any] = find_source if is_source_name(name) else check_name
        check(archive, name)
    for name in names:
        save: Callable[..., list[Path]] = save_source
        if not is_source_name(name):
            save = save_observation if name.isdigit() else save_detection
        say_paths(save(archive, name, to, drawing=drawing))


@app.command()
def image(
    places: Places,
    to: Annotated[Path, typer.Option(help="Folder of the images.")] = Path("images"),
    kinds: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="KIND,...",
            help="field (sky), statistics (over time), ccd (detector), cube (3-D), or all.",
        ),
    ] = "field",
    t_bin: OneTimeBin = None,
    band: OneBand = None,
    between: Between = None,
    pixel: Pixel = None,
    subset: Subset = 0,
    preset: Preset = None,
    config: ConfigFile = None,
    settings: Set = None,
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
    storage: Storage = None,
    source: Input = None,
) -> None:
    """Write images of the field as FITS with sky coordinates, regions for DS9, and pictures.

    Example: `exod image results 0001730201`, then `ds9 images/*_field.fits -regions images/*.reg`

    From event files, an hour in CCD pixels: `exod image 0001730201/ --kind ccd
    --between 2001-03-09T13:00,2001-03-09T14:00`
    """
    from exod.stages.images.imaging import KINDS, WantedImages, images_of_archive, images_of_files

    drawing = drawing_of(form, size, style)
    chosen = tuple(filter(None, map(str.strip, kinds.split(","))))
    chosen = KINDS if "all" in chosen else chosen
    wanted = WantedImages(chosen, time_range(between), subset, drawing)
    given = RunOptions(preset, config, settings, t_bin, band, pixel)
    archive, obsids = archive_of(places, storage)
    if archive is not None:
        for obsid in obsids:
            paths = images_of_archive(archive, obsid, given.of_archive(archive), to, wanted)
            say_paths(paths)
    else:
        say_paths(
            images_of_files(one_observation("image", places, source), given.of_files(), to, wanted)
        )


@app.command()
def video(
    places: Places,
    to: Annotated[
        Path | None, typer.Option(help="The video, .mp4 (made by ffmpeg) or .gif [RUN.mp4].")
    ] = None,
    t_bin: OneTimeBin = None,
    band: OneBand = None,
    between: Between = None,
    pixel: Pixel = None,
    per_second: Annotated[
        float, typer.Option("--rate", min=0.1, max=60, help="Frames a second.")
    ] = 10.0,
    subset: Subset = 0,
    preset: Preset = None,
    config: ConfigFile = None,
    settings: Set = None,
    size: PictureSize = None,
    style: PictureStyle = None,
    storage: Storage = None,
    source: Input = None,
) -> None:
    """Write the count cube of one run as a video, a picture a frame.

    Example: `exod video 0001730201/ --to cube.gif --t-bin 100 --between
    2001-03-09T13:00,2001-03-09T14:00`
    """
    from exod.cli.progress import advancing
    from exod.stages.images.video import make_video
    from exod.stages.places.recorded import recorded_files

    drawing, span = drawing_of("png", size, style), time_range(between)
    given = RunOptions(preset, config, settings, t_bin, band, pixel)
    archive, obsids = archive_of(places, storage)
    if archive is None:
        files, wanted = one_observation("video", places, source), given.of_files()
    elif len(obsids) == 1:
        files, wanted = recorded_files(archive, obsids[0]), given.of_archive(archive)
    else:
        raise ConfigError(f"exod video takes one observation, not {len(obsids)}.")
    path = make_video(
        files,
        wanted,
        to,
        lambda n: advancing(n, "Drawing", out),
        subset=subset,
        span=span,
        per_second=per_second,
        drawing=drawing,
    )
    say_paths([path])


@app.command()
def cube(
    path: Annotated[list[str], typer.Argument(help="Folder of one observation, or its files.")],
    to: Annotated[Path, typer.Option(help="Zarr group to write, by custom *.zarr.")],
    subset: Subset = 0,
    t_bin: OneTimeBin = None,
    band: OneBand = None,
    preset: Preset = None,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Export the count cube and the expectation of one run to Zarr v3, axes (time, y, x).

    Example: `exod cube 0001730201/ --to cube.zarr --t-bin 50 --band 0.2-12`
    """
    from exod.stages.cube import export_cube

    wanted = RunOptions(preset, config, settings, t_bin, band).of_files()
    runid = export_cube(one_observation("cube", path), wanted, to, subset)
    out.print(f"{runid} written to {to}", soft_wrap=True)
