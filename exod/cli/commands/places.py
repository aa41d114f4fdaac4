"""Commands about a place: its light curves, and the photons of a region."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from exod.cli.app import PlainConsole, app, end_if_failed, err, new_table, out, say, say_paths
from exod.cli.options import (
    Archive_,
    Between,
    ConfigFile,
    Input,
    Overwrite,
    PictureFormat,
    PictureSize,
    PictureStyle,
    Preset,
    Set,
    Storage,
    drawing_of,
    existing,
    numbers,
    read_config,
    storage_options,
    time_range,
)
from exod.errors import ConfigError, InputError, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from exod.schemas.columns import Table
    from exod.stages.places.curves import PlaceCurve
    from exod.tablefiles.fitsheads import Header

ToTable = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Table to write, as .csv, .fits or .parquet [none]."),
]


@app.command()
def lightcurve(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="ROOT-or-PATH...",
            help="An archive, whose event lists are where they were, or folders or event lists.",
        ),
    ],
    at: Annotated[
        str,
        typer.Option(metavar="RA,DEC", help="The position in degrees, or as 17:34:42.5,-32:34:55."),
    ] = "",
    like: Annotated[
        str, typer.Option(metavar="DETID", help="The box of a region in place of a position.")
    ] = "",
    t_bin: Annotated[
        str | None,
        typer.Option(metavar="S,...", help="Time bins in seconds [of a region there, or 50]."),
    ] = None,
    band: Annotated[
        str | None,
        typer.Option(
            metavar="LO-HI,...", help="Energy bands in keV [of a region there, or 0.2-12]."
        ),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(
            metavar="ARCSEC",
            help="Sum the cells whose centres are so near; 0 for that of the position alone "
            "[the box of a region there, or the cell].",
        ),
    ] = None,
    between: Between = None,
    obsid: Annotated[
        list[str] | None, typer.Option(help="Only this observation; repeatable.")
    ] = None,
    to: ToTable = None,
    overwrite: Overwrite = False,
    plots: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("plots"),
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
    preset: Preset = None,
    config: ConfigFile = None,
    settings: Set = None,
    storage: Storage = None,
    source: Input = None,
) -> None:
    """Show the light curve of any position, whether something was found there or not.

    Counts, expected counts, Bayes factors and flags of each frame, as a picture and a table. One
    time bin and band give a light curve, several a sheet.

    Example: `exod lightcurve results --at 263.6771,-32.5820 --to place.csv`

    From event lists: `exod lightcurve 0001730201/ --at 17:34:42.5,-32:34:55 --t-bin 10,100`
    """
    from exod.schemas.conditions.query import parse_position
    from exod.schemas.places import PLACE_CURVES
    from exod.stages.places.asking import asked_curves, one_archive, place_of, region_curves
    from exod.stages.places.curves import curve_rows
    from exod.stages.places.pictures import draw_curves

    drawing = drawing_of(form, size, style)
    _check_table(to, overwrite=overwrite)
    if bool(at) == bool(like):
        raise ConfigError("Give a position, --at RA,DEC, or a region of an archive, --like DETID.")
    if radius is not None and like:
        raise ConfigError("--radius goes with --at; --like takes the box of its region.")
    runs: dict[str, Any] = {
        "t_bin": _t_bins(t_bin),
        "bands": _bands(band),
        "options": storage_options(source),
    }
    during = time_range(between)
    archive = one_archive(paths, storage_options(storage))
    if archive is None and like:
        raise ConfigError(f"--like takes a region of an archive, which {paths[0]} is not.")
    if like and obsid:
        raise ConfigError("--like says which observation; leave out --obsid, or give --at RA,DEC.")
    if archive is not None and (preset or config or settings):
        raise ConfigError(
            f"The settings of {paths[0]} are those of its search; give the event lists in place of "
            f"the archive to choose others than --t-bin and --band."
        )
    failures: list[str] = []
    with err.status("Reading events") as status:
        if archive is not None and like:
            place, curves = region_curves(archive, like, between=during, **runs)
        else:
            place = place_of(*parse_position(at), radius, during)
            wanted = read_config(config, settings, None, None, None, preset)
            given = archive or existing(paths)
            curves = []
            found = asked_curves(given, place, obsids=obsid or (), config=wanted, **runs)
            for name, own in found:
                if isinstance(own, InputError):
                    failures.append(str(own))
                    continue
                curves += own
                status.update(f"Reading events: {name} is done")
        pictures = draw_curves(curves, place, plots, drawing)
    _show_curves(curves)
    if to is not None:
        _write(to, PLACE_CURVES, curve_rows(curves), overwrite=overwrite)
    say_paths(pictures)
    end_if_failed(failures)


@app.command()
def events(
    root: Archive_,
    detid: Annotated[str, typer.Argument(metavar="DETID", help="A region.")],
    to: Annotated[
        Path, typer.Option(metavar="FILE", help="Table to write, as .fits, .parquet or .csv.")
    ],
    take: Annotated[
        str,
        typer.Option(
            metavar="cells|region|box",
            help="Significant cells in their frames; those cells in all frames; the box of the "
            "light curve in all frames.",
        ),
    ] = "cells",
    between: Between = None,
    overwrite: Overwrite = False,
    storage: Storage = None,
    source: Input = None,
) -> None:
    """Write the photons of a region, which are read again from where its event lists were.

    As FITS it is an event list, with the times and the projection that DS9 and TOPCAT look for.

    Example: `exod events results 0001730201_0_50_0.2_12.0_0 --to photons.fits --take box`
    """
    from exod.archive import open_archive
    from exod.schemas.places import PHOTONS
    from exod.stages.places.photons import region_photons

    _check_table(to, overwrite=overwrite)
    during = time_range(between)
    archive = open_archive(root, storage_options(storage))
    with err.status("Reading events"):
        found = region_photons(
            archive, detid, take, between=during, options=storage_options(source)
        )
    _write(to, PHOTONS, found.rows, overwrite=overwrite, header=found.header)


def _t_bins(text: str | None) -> list[float] | None:
    return None if text is None else numbers("--t-bin", text.split(","), "5,50,200")


def _bands(text: str | None) -> list[tuple[float, float]] | None:
    if text is None:
        return None
    pairs = [numbers("--band", pair.split("-"), "0.2-2,2-12") for pair in text.split(",")]
    if any(len(pair) != 2 for pair in pairs):
        raise ConfigError(f"--band takes pairs of energies as 0.2-2,2-12, not {text!r}.")
    return [(pair[0], pair[1]) for pair in pairs]


def _check_table(to: Path | None, *, overwrite: bool) -> None:
    if to is not None:
        from exod.tablefiles.writing import check_target

        check_target(to, overwrite=overwrite)


def _write(
    to: Path,
    table: Table,
    rows: pd.DataFrame,
    *,
    overwrite: bool,
    header: Header | None = None,
) -> None:
    from exod.archive.parquet import to_arrow
    from exod.tablefiles.writing import write_table

    content = to_arrow(table, rows, table.name)
    count = write_table(to, table, [content], overwrite=overwrite, header=header or {})
    say(f"{plural(count, 'row')} in {to}")


def _show_curves(curves: Sequence[PlaceCurve]) -> None:
    """A line for each light curve: what was summed, and what stands out."""
    import numpy as np

    columns = ("Frames", "Counts", "Expected", "log B peak", "log B eclipse")
    table = new_table("", "Run", "Cells", numbers=columns)
    for item in curves:
        curve = item.curve
        best = (
            f"{np.nanmax(b_log):.2f}" if np.isfinite(b_log).any() else ""
            for b_log in (curve.B_peak_log, curve.B_eclipse_log)
        )
        sums = f"{curve.n.sum():,}", f"{curve.mu.sum(dtype=float):,.1f}"
        cells = f"{item.n_cells} ({item.taken})"
        table.add_row(item.runid, escape(cells), f"{len(curve.time):,}", *sums, *best)
    for column in table.columns[:2]:
        column.overflow = "fold"
    # What reads a pipe wants a line a row.
    (out if out.is_terminal else PlainConsole(width=10_000, highlight=False)).print(table)
    for note in (item.note for item in curves if item.note):
        err.print(note, style="yellow", markup=False, soft_wrap=True)
