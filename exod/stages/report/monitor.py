"""Monitor: offsets from the sky, their statistics and alerts, as tables and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pandas as pd

from exod import __version__
from exod.catalogue.report.offsets.offsetnumbers import (
    WITHIN,
    OffsetNumbers,
    Wording,
    offset_numbers,
)
from exod.catalogue.report.offsets.offsetsections import offset_sections
from exod.catalogue.report.page import render
from exod.errors import InputError
from exod.files.text import read_text
from exod.files.whole import write_whole
from exod.plots.drawing import DEFAULT, Drawing
from exod.plots.offsets import offset_pictures
from exod.stages.report.offsetsources import chandra_offsets, read_offsets

PAGE: Final = "index.html"
"""Name of the page of the monitor in its folder."""

CAL: Final = (5.0, 5.0)
"""Least signal to noise and years of the page cal."""

MTA: Final = (3.0, None)
"""Least signal to noise and years of the page mta, which has all."""


@dataclass(frozen=True)
class Monitored:
    """What the monitor has found.

    Attributes
    ----------
    numbers : OffsetNumbers
        What the page says.
    new : DataFrame
        Alerts that the alert file did not have.
    gone : DataFrame
        Alerts of the alert file that are none any more.
    """

    numbers: OffsetNumbers
    new: pd.DataFrame
    gone: pd.DataFrame


def monitor(
    source: str,
    folder: Path,
    *,
    snr: float = 3.0,
    years: float | None = None,
    calalign: Path | None = None,
    temperatures: Path | None = None,
    alert_file: Path | None = None,
    drawing: Drawing = DEFAULT,
    storage_options: Mapping[str, Any] | None = None,
) -> Monitored:
    """Describe offsets on a page and in tables.

    Parameters
    ----------
    source : str
        File or folder of tables of astromon, or an archive with offsets.
    folder : Path
        Where the page, statistics.csv, radii.csv, half_years.csv and alerts.csv go.
    snr : float
        Least signal to noise of the sources of Chandra.
    years : float, optional
        How many years before the last offset are described; alerts look at all.
    calalign, temperatures : Path, optional
        As of `exod.stages.report.offsetsources.read_offsets`.
    alert_file : Path, optional
        JSON of alerts; those that it has are not new, and those that it alone has are withdrawn.
    drawing : Drawing
        Style of the pictures.
    storage_options : dict, optional
        Of the archive.

    Raises
    ------
    InputError
        If a file cannot be read.
    ArchiveError
        If the archive has no offsets.
    ExodError
        If something cannot be written.
    """
    # Before anything is written, so that a damaged file is told at once.
    known = read_alerts(alert_file) if alert_file and alert_file.exists() else []
    offsets, words = read_offsets(
        source,
        snr=snr,
        calalign=calalign,
        temperatures=temperatures,
        storage_options=storage_options,
    )
    numbers = offset_numbers(offsets, words, years=years)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    seen = [{**alert, "told": now} for alert in _alerts(numbers)]
    standing = [alert for alert in known if "withdrawn" not in alert]
    new = [alert for alert in seen if not _is_among(alert, standing)]
    # Without any offset nothing can be said against an alert.
    gone = [alert for alert in standing if len(offsets) and not _is_among(alert, seen, ("all",))]
    told = [{**alert, "withdrawn": now} if alert in gone else alert for alert in known]
    withdrawn = tuple(alert for alert in told if "withdrawn" in alert)
    numbers = replace(numbers, withdrawn=withdrawn)
    page = _page("Offsets from the sky", source, numbers, drawing)
    for name, table in tables_of(numbers).items():
        write_whole(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g"))
    write_whole(folder / PAGE, page)
    # Last, since what it has is not told again.
    if alert_file is not None:
        write_whole(alert_file, json.dumps({"alerts": [*told, *new]}, indent=1) + "\n")
    return Monitored(numbers, pd.DataFrame(new), pd.DataFrame(gone))


def write_pages(
    dbfile: Any, folder: Path, *, calalign: Path | None = None, drawing: Drawing = DEFAULT
) -> dict[str, OffsetNumbers]:
    """Write the pages cal.html and mta.html of tables of astromon.

    Parameters
    ----------
    dbfile : path or None
        The file; by default that of the environment.
    folder : Path
        Where the pages go.
    calalign : Path, optional
        Folder of alignment files.
    drawing : Drawing
        Style of the pictures.

    Returns
    -------
    dict of str to OffsetNumbers
        What each page says.
    """
    found, drawn = {}, {}
    titles = {"cal": "Offsets for calibration", "mta": "Offsets for monitoring and trends"}
    for name, (snr, years) in {"cal": CAL, "mta": MTA}.items():
        offsets, words = chandra_offsets(dbfile, snr=snr, calalign=calalign)
        if years is not None:
            more = f"{words.selection} Shown are the {years:g} years before the last offset."
            words = Wording(more, words.before, words.after, words.correction)
        found[name] = offset_numbers(offsets, words, years=years)
        shown = "the default file" if dbfile is None else str(dbfile)
        drawn[name] = _page(titles[name], shown, found[name], drawing)
    for name, page in drawn.items():
        write_whole(folder / f"{name}.html", page)
    return found


def tables_of(numbers: OffsetNumbers) -> dict[str, pd.DataFrame]:
    """Statistics, radii and half-year medians of both versions, and the alerts."""
    versions = {"before": numbers.before, "after": numbers.after}
    there = {name: version for name, version in versions.items() if version is not None}
    radii = [
        radial.quantiles.rename_axis("percent")
        .reset_index()
        .assign(version=name, detector=detector, n=radial.n)
        for name, version in there.items()
        for detector, radial in version.radial.items()
    ]
    columns = ["percent", "radius", "low", "high", "version", "detector", "n"]
    history = [
        bins.assign(version=name, detector=detector)
        for name, version in there.items()
        for detector, bins in version.history.items()
    ]
    return {
        "statistics": pd.concat([one.rms.assign(version=name) for name, one in there.items()]),
        "radii": pd.concat(radii) if radii else pd.DataFrame(columns=columns),
        "half_years": pd.concat(history),
        "alerts": numbers.alerts,
    }


def read_alerts(path: Path) -> list[dict[str, Any]]:
    """Alerts of an alert file.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        found = json.load(StringIO(read_text(path, "The alert file")))["alerts"]
        return [_checked(alert) for alert in found]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path} is no alert file ({error}); remove it, or give another with --alert-file."
        ) from error


def _checked(alert: Any) -> dict[str, Any]:
    """An alert of a file, of which a date, a detector and an axis must be known."""
    named = {"detector": alert["detector"], "axis": alert["axis"]}
    if not all(isinstance(value, str) for value in named.values()):
        raise ValueError(f"an alert is of detector {named['detector']!r}, axis {named['axis']!r}")
    if not 0 < (year := float(alert["year"])) < 9999:
        raise ValueError(f"an alert is of the year {year!r}")
    return {**alert, "year": year}


def _alerts(numbers: OffsetNumbers) -> list[dict[str, Any]]:
    return [
        {str(key): value for key, value in row.items()} for row in numbers.alerts.to_dict("records")
    ]


def _is_among(
    alert: Mapping[str, Any], others: list[dict[str, Any]], detectors: tuple[str, ...] = ()
) -> bool:
    """Whether one of the others is of the axis and detector (or of these), at nearly the time."""
    return any(
        abs(alert["year"] - other["year"]) < WITHIN
        and alert.get("axis") == other.get("axis")
        and other.get("detector") in (alert.get("detector"), *detectors)
        for other in others
    )


def _page(title: str, source: str, numbers: OffsetNumbers, drawing: Drawing) -> str:
    with drawing.applied():
        pictures = offset_pictures(numbers)
    made = f"{source}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, exod {__version__}"
    return render(title, made, offset_sections(numbers, pictures))
