"""Commands that follow offsets over the years."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exod.cli.app import app, new_table, out, say
from exod.cli.commands.astrometry.groups import (
    Alignments,
    Database,
    SignalToNoise,
    astromon,
)
from exod.cli.options import (
    PictureStyle,
    Storage,
    drawing_of,
    storage_options,
)
from exod.errors import plural

if TYPE_CHECKING:
    import pandas as pd

    from exod.catalogue.report.offsets.offsetnumbers import OffsetNumbers


@app.command()
def monitor(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="An archive with offsets, or tables of astromon."),
    ],
    to: Annotated[Path, typer.Option(help="Folder of the page and the tables.")] = Path("monitor"),
    alert_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSON of alerts; those it has are not told again, or withdrawn."
        ),
    ] = None,
    snr: SignalToNoise = 3.0,
    years: Annotated[
        float | None, typer.Option(min=0.1, help="Years before the last offset to show [all].")
    ] = None,
    calalign: Alignments = None,
    temperatures: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table with columns obsid and temperature_c."),
    ] = None,
    style: PictureStyle = None,
    storage: Storage = None,
) -> None:
    """Watch offsets from the sky: statistics, drift and alerts on a page and in tables.

    Example: `exod monitor results --to monitor --alert-file alerts.json`
    """
    from exod.stages.report.monitor import PAGE
    from exod.stages.report.monitor import monitor as watch

    with out.status("Watching"):
        found = watch(
            source,
            to,
            snr=snr,
            years=years,
            calalign=calalign,
            temperatures=temperatures,
            alert_file=alert_file,
            drawing=drawing_of("png", style=style),
            storage_options=storage_options(storage),
        )
    _tell_page(to / PAGE, found.numbers)
    for alert in found.new.to_dict("records"):
        change = f"changed by {alert['size']:+.2f} arcsec in {alert['year']:.2f}"
        say(f"New alert: {alert['axis']} of {_whose(alert)} {change}.", style="yellow")
    for alert in found.gone.to_dict("records"):
        say(
            f"Alert withdrawn: the offsets known now show no step of {alert.get('axis')} of "
            f"{_whose(alert)} in {alert['year']:.2f}.",
            style="yellow",
        )


def _whose(alert: Mapping[Hashable, Any]) -> str:
    detector = str(alert.get("detector"))
    return "all detectors" if detector == "all" else detector


@astromon.command()
def pages(
    dbfile: Database = None,
    to: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("pages"),
    calalign: Alignments = None,
    style: PictureStyle = None,
) -> None:
    """Write the pages cal.html and mta.html about the offsets of Chandra.

    Example: `exod astromon pages astromon.h5 --to pages`
    """
    from exod.stages.report.monitor import write_pages

    with out.status("Drawing"):
        found = write_pages(dbfile, to, calalign=calalign, drawing=drawing_of("png", style=style))
    for name, numbers in found.items():
        _tell_page(to / f"{name}.html", numbers)


@astromon.command()
def rms(
    dbfile: Database = None,
    snr: SignalToNoise = 3.0,
    weighted: Annotated[
        bool,
        typer.Option("--weighted", help="Weight offsets by their errors and chance."),
    ] = False,
) -> None:
    """Print rms and 90 % radius of the offsets of Chandra, by years and detector.

    Example: `exod astromon rms astromon.h5`
    """
    from exod.catalogue.report.offsets.offsetnumbers import offset_numbers
    from exod.stages.report.offsetsources import chandra_offsets

    numbers = offset_numbers(*chandra_offsets(dbfile, snr=snr, weighted=weighted))
    out.print(_rms_table(numbers.before.rms))


def _rms_table(statistics: pd.DataFrame) -> object:
    heads = ("Offsets", "rms (arcsec)", "90 % (arcsec)", "> 1 arcsec (%)")
    table = new_table("Offsets from the sky", "Period", "Detector", numbers=heads)
    for row in statistics.to_dict("records"):
        shown = [
            f"{row[name]:.{digits}f}" for name, digits in (("rms", 3), ("q90", 3), ("beyond", 1))
        ]
        cells = shown if row["n"] else ["-"] * 3
        table.add_row(str(row["period"]), str(row["detector"]), f"{row['n']:,}", *cells)
    return table


def _tell_page(page: Path, numbers: OffsetNumbers) -> None:
    offsets = plural(len(numbers.before.offsets), "offset")
    say(f"{page}: {offsets}, {plural(len(numbers.alerts), 'alert')}.")
