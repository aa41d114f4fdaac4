"""Commands that show how a search worked: diagnostic sheets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exod.cli.app import app, end_if_failed, err, say, say_paths
from exod.cli.options import (
    Archive_,
    ConfigFile,
    Input,
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
from exod.errors import ConfigError, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exod.config import Config
    from exod.plots.drawing import Drawing
    from exod.pps import ObservationFiles


@app.command()
def sheets(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ROOT-or-PATH-or-OBSID...",
            help="An archive, or folders or event lists; then observations there, by obsid.",
        ),
    ] = None,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Figures of the method's statistics; no data.")
    ] = False,
    to: Annotated[Path, typer.Option(help="Folder of the sheets.")] = Path("sheets"),
    t_bin: Annotated[
        str | None, typer.Option(metavar="S", help="One time bin in seconds [50, or the nearest].")
    ] = None,
    band: Annotated[
        str | None, typer.Option(metavar="LO-HI", help="One energy band in keV [the widest].")
    ] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    settings: Set = None,
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
    storage: Storage = None,
    source: Input = None,
) -> None:
    """Draw how a search works: template steps, masked frames, CCDs, energies, detector, offsets.

    Example: `exod sheets results 0001730201 --to sheets`
    """
    from exod.plots.diagnostics.methodfigures import method_figures
    from exod.plots.drawing import save_figures
    from exod.stages.diagnostics.archivesheets import archive_sheets
    from exod.stages.diagnostics.asking import found_files, one_run
    from exod.stages.places.asking import one_archive

    drawing = drawing_of(form, size, style)
    paths, obsids = _told_apart(names or [])
    if not paths and not statistics:
        raise ConfigError("Give an archive or event lists to draw, or --statistics.")
    if not paths:
        say_paths(save_figures(method_figures(), to, drawing))
        return
    archive = one_archive(paths, storage_options(storage))
    if archive is not None and (preset or config or settings):
        raise ConfigError("An archive has its settings; leave out --preset, --config, --set.")
    wanted = archive.config if archive else read_config(config, settings, None, None, None, preset)
    wanted = one_run(wanted, read_config(None, None, t_bin, band, None).cube, t_bin, band)
    # What is not there is said before anything is drawn.
    with err.status("Looking for observations"):
        files, problems = found_files(archive or paths, obsids, storage_options(source))
    if statistics:
        say_paths(save_figures(method_figures(), to, drawing))
    if archive is not None:
        with err.status("Reading the archive"):
            say_paths(save_figures(archive_sheets(archive), to, drawing))
    _draw_observations(files, [str(problem) for problem in problems], wanted, to, drawing)


def _told_apart(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Paths, and observations by obsid: identifiers that are no folder here, or not the first."""
    from exod.schemas.kinds import OBSID_FORM

    paths: list[str] = []
    obsids: list[str] = []
    for name in names:
        is_obsid = re.fullmatch(OBSID_FORM, name) and (paths or not Path(name).exists())
        (obsids if is_obsid else paths).append(name)
    if obsids and not paths:
        raise ConfigError(f"Say where observation {obsids[0]} is: an archive, or its folder.")
    return existing(paths), obsids


def _draw_observations(
    files: Sequence[ObservationFiles],
    failures: list[str],
    config: Config,
    folder: Path,
    drawing: Drawing,
) -> None:
    """Draw each observation; one that cannot be drawn does not stop the others."""
    from exod.errors import ExodError
    from exod.plots.drawing import save_figures
    from exod.stages.diagnostics.observationsheets import observation_sheets

    for number, one in enumerate(files, start=1):
        try:
            with err.status(f"Drawing {one.obsid}, {number} of {len(files)}"):
                paths = save_figures(observation_sheets(one, config), folder, drawing)
        except ExodError as error:
            failures.append(f"{one.obsid} cannot be drawn: {error}")
        else:
            say_paths(paths)
    end_if_failed(failures)


@app.command()
def pick(
    root: Archive_,
    to: Annotated[
        Path, typer.Option(metavar="BOXES.csv", help="File of boxes; the page is beside it.")
    ] = Path("boxes.csv"),
    boxes: Annotated[
        Path | None, typer.Option(help="CSV or TOML of boxes to begin with [those of the flags].")
    ] = None,
    storage: Storage = None,
) -> None:
    """Make a page to draw hot regions of the detector on with the mouse; it needs no network.

    Example: `exod pick results --to boxes.csv`
    """
    from exod.archive import open_archive
    from exod.stages.derive.flaginputs import read_boxes
    from exod.stages.diagnostics.picking import page_and_boxes, write_picker

    file = page_and_boxes(to)[1]
    begin = read_boxes(boxes) if boxes else None
    page, n = write_picker(open_archive(root, storage_options(storage)), to, begin)
    say(f"{page} shows {plural(n, 'region')}: open it in a browser, draw, and save {file.name}.")
    say(f"Then: exod flags {root} --boxes {file.name}")
