"""Commands about limits: what an archive knows of every place, and what it says of one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exod.cli.app import PlainConsole, app, end_if_failed, err, new_table, out, say, say_paths
from exod.cli.options import (
    Archive_,
    Input,
    Overwrite,
    PictureFormat,
    PictureSize,
    PictureStyle,
    Scheduler,
    Storage,
    Workers,
    drawing_of,
    numbers,
    storage_options,
)
from exod.cli.outcomes import watch_batches
from exod.errors import ConfigError, percent, plural

if TYPE_CHECKING:
    import pandas as pd

    from exod.plots.drawing import Drawing


@app.command()
def depth(
    root: Archive_,
    photons: Annotated[
        bool,
        typer.Option(help="Keep the photons: needed for --time, and most of the size."),
    ] = True,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
    source: Input = None,
) -> None:
    """Make what limits are read from: counts, background and live time of every place.

    Event lists are read again from where they were; what did not change is kept.

    Example: `exod depth results --workers 4`
    """
    from exod.archive import open_archive
    from exod.scheduler.plan import RETRIES, Plan
    from exod.stages.derive.depth import make_depth

    archive = open_archive(root, storage_options(storage))
    made = watch_batches(
        lambda watched, **told: make_depth(
            archive, watched, photons=photons, options=storage_options(source), **told
        ),
        Plan(scheduler, workers, retries=RETRIES),
        "Reading event lists",
        "read",
    )
    out.print(
        f"Depth of {plural(made.n_exposures, 'exposure')}: {plural(made.n_read, 'observation')} "
        f"read, {made.n_kept:,} kept."
    )
    end_if_failed([f"{obsid} failed: {why}" for obsid, why in sorted(made.failures.items())])


@app.command()
def limit(
    root: Archive_,
    at: Annotated[
        str,
        typer.Option(metavar="RA,DEC", help="The position in degrees, or as 17:34:42.5,-32:34:55."),
    ],
    time: Annotated[
        str | None,
        typer.Option(metavar="T", help="Start: UTC as 2001-03-09T14:00:00, MJD, mission seconds."),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(metavar="S", help="Length from --time on [100 with --time].")
    ] = None,
    band: Annotated[
        str | None, typer.Option(metavar="LO-HI", help="Energies in keV [the widest].")
    ] = None,
    level: Annotated[float, typer.Option(help="Probability of the interval or limit.")] = 0.9,
    radius: Annotated[
        float, typer.Option(metavar="ARCSEC", help="Cells whose centres are so near are counted.")
    ] = 20.0,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table to write, as .csv, .fits or .parquet [none]."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to put a picture into [none].")
    ] = None,
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
    overwrite: Overwrite = False,
    storage: Storage = None,
) -> None:
    """Say what each observation that covered a position has there: counts, limit, flux.

    An upper limit where the interval begins at 0, else a detection. Needs `exod depth`.

    Example: `exod limit results --at 263.677,-32.582`

    At a time: `exod limit results --at 263.677,-32.582 --time 2001-03-09T14:00:00 --duration 500`

    With a picture of all observations: `exod limit results --at 263.677,-32.582 --plot plots`
    """
    from exod.archive import open_archive
    from exod.archive.parquet import to_arrow
    from exod.observation.times import moment_seconds
    from exod.schemas.conditions.query import parse_position
    from exod.schemas.depth import LIMITS
    from exod.tablefiles.writing import check_target, write_table

    if to is not None:
        check_target(to, overwrite=overwrite)
    if duration is not None and time is None:
        raise ConfigError("--duration goes with --time, from which it counts.")
    length = 100.0 if duration is None else duration
    if not 0 < length < float("inf"):
        raise ConfigError(f"--duration is a number of seconds above 0, not {length:g}.")
    start = None if time is None else moment_seconds(time)
    drawing = drawing_of(form, size, style)
    place = parse_position(at)
    archive = open_archive(root, storage_options(storage))
    found = archive.limits(
        *place,
        start=start,
        stop=None if start is None else start + length,
        band=_band(band),
        level=level,
        radius_arcsec=radius,
    )
    if to is not None:
        write_table(to, LIMITS, [to_arrow(LIMITS, found, LIMITS.name)], overwrite=overwrite)
    if plot is not None:
        say_paths(_picture(found, place, level, plot, drawing))
    if found.empty:
        everything = archive.limits(*place) if start is not None else found
        out.print(_why_none(archive.root, at, everything, start))
    else:
        _show(found, level)
    if to is not None:
        say(f"{plural(len(found), 'row')} in {to}")


@app.command()
def coverage(
    root: Archive_,
    duration: Annotated[
        float | None,
        typer.Option(metavar="S", help="How long a source lasts [all of each observation]."),
    ] = None,
    band: Annotated[
        str | None, typer.Option(metavar="LO-HI", help="Energies in keV [the widest].")
    ] = None,
    level: Annotated[float, typer.Option(help="Probability of the upper limit.")] = 0.9,
    to: Annotated[Path, typer.Option(help="Folder of what is written.")] = Path("coverage"),
    overwrite: Overwrite = False,
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
    storage: Storage = None,
) -> None:
    """Map how deep an archive is: the area against the flux limit, and what was seen as a MOC.

    Writes a HEALPix map (FITS), the area by flux limit (CSV), a MOC (FITS) and a picture. Needs
    `exod depth`.

    Example: `exod coverage results --duration 100 --to coverage`
    """
    import numpy as np

    from exod.archive import open_archive
    from exod.stages.places.surveycoverage import archive_coverage, write_coverage

    drawing = drawing_of(form, size, style)
    archive = open_archive(root, storage_options(storage))
    chosen = _band(band)
    found = archive_coverage(archive, duration=duration, band=chosen, level=level)
    paths = write_coverage(found, to, drawing=drawing, overwrite=overwrite)
    table = new_table("", numbers=("Flux limit [erg/cm2/s]", "Area [deg2]"))
    for share in (0.1, 0.5, 0.9, 1.0) if len(found.limits) else ():
        place = int(np.searchsorted(found.areas, share * found.areas[-1] * (1 - 1e-9)))
        table.add_row(f"{found.limits[place]:.2e}", f"{found.areas[place]:.4g}")
    if len(found.limits):
        out.print(table)
    else:
        out.print(_why_no_depth(found.area, duration))
    say(f"{found.area:.4g} deg² were seen{found.left_out and '; ' + found.left_out}.")
    say_paths(paths)


def _why_no_depth(area: float, duration: float | None) -> str:
    """A sentence for an archive that has no flux limit anywhere."""
    if area and duration is not None:
        return f"No observation was live for {duration:g} s where its filter has a flux factor."
    return "No observation has a flux limit: none saw the sky through a filter with a factor."


def _band(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    ends = numbers("--band", text.split("-"), "0.2-12")
    if len(ends) != 2:
        raise ConfigError(f"--band takes a pair of energies as 0.2-12, not {text!r}.")
    return ends[0], ends[1]


def _picture(
    found: pd.DataFrame, place: tuple[float, float], level: float, folder: Path, drawing: Drawing
) -> list[Path]:
    from exod.plots.drawing import save_figures
    from exod.plots.places.longterms import limits_figure
    from exod.plots.style import position_text

    with drawing.applied():
        figure = limits_figure(position_text(*place), found, level)
    return save_figures([(f"limit_{place[0]:.4f}_{place[1]:+.4f}", figure)], folder, drawing)


def _why_none(root: str, at: str, everything: pd.DataFrame, start: float | None) -> str:
    """Why there is no limit; a sentence."""
    from exod.observation.times import utc_date

    if everything.empty:
        return f"No observation of {root} covered {at}."
    first, last = (
        utc_date(float(value))
        for value in (everything["t_start"].min(), everything["t_stop"].max())
    )
    date = "" if start is None else utc_date(start)
    when = f" at {date} UTC" if date else "" if start is None else " at that time"
    return (
        f"No observation of {root} saw {at}{when}: {plural(len(everything), 'observation')} "
        f"covered it, from {first} to {last}, or no CCD was live there then."
    )


def _show(found: pd.DataFrame, level: float) -> None:
    """A line for each observation."""
    from exod.observation.times import utc_date

    columns = ("Seconds", "Counts", "Expected", "log p", "Rate [ct/s]", "Flux [erg/cm2/s]")
    table = new_table("", "Observation", "Start (UTC)", numbers=columns)
    for row in found.to_dict("records"):
        table.add_row(
            str(row["obsid"]),
            utc_date(float(row["t_start"])),
            f"{row['seconds']:,.0f}",
            f"{row['n']:,.0f}",
            *(_number(row[name], form) for name, form in (("mu", ",.2f"), ("p_log", ".1f"))),
            _interval(row["rate"], row["rate_lo"], row["rate_hi"]),
            _interval(row["flux"], row["flux_lo"], row["flux_hi"]),
        )
    (out if out.is_terminal else PlainConsole(width=10_000, highlight=False)).print(table)
    if found["n"].isna().any():
        err.print(
            "The photons were not kept, so that counts of a part of the time are not known; run "
            "exod depth with --photons.",
            style="yellow",
        )
    if (found["mu"].isna() & found["n"].notna()).any():
        err.print(
            "The motion of the pointing took the place over an edge of what sees, and how much it "
            "saw in so short a time is not known; ask for a longer time.",
            style="yellow",
        )
    say(f"< is an upper limit with {percent(level)}, else the interval follows in brackets.")


def _number(value: float, form: str) -> str:
    return "not known" if math.isnan(value) else f"{value:{form}}"


def _interval(value: float, low: float, high: float) -> str:
    # There is no factor, or no counts.
    if math.isnan(high):
        return "not known"
    return f"{value:.2e} [{low:.2e}, {high:.2e}]" if low > 0 else f"< {high:.2e}"
