"""A unique source over all its observations, time bins and bands, from the tables of an archive."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from exod.archive import Archive
from exod.errors import ArchiveError, InputError, plural
from exod.plots.drawing import DEFAULT, Drawing, save_figures
from exod.plots.lightcurves.eventmarks import sigma_text
from exod.plots.places.sheets import ROWS, Panel, curve_sheets
from exod.plots.style import position_text
from exod.schemas.derived import UNIQUE
from exod.schemas.kinds import OBSID_FORM
from exod.sky.sphere import separations_arcsec, unit_vectors

MOST_LINES: Final = 5 * ROWS
"""Observations and time bins that are drawn at most; those with the most significant regions."""

NEAREST: Final = 3
"""Names that are told when one is unknown."""

_NAME: Final = re.compile(
    r"(?:EXOD\s*)?J(\d\d)(\d\d)(\d\d(?:\.\d*)?)([+-])(\d\d)(\d\d)(\d\d(?:\.\d*)?)[a-z]*"
)
_OTHER: Final = re.compile(rf"\d*$|{OBSID_FORM}_")
"""Observations and regions."""

_log = logging.getLogger(__name__)


def is_source_name(text: str) -> bool:
    """Whether a text is meant as the name of a source.

    Examples
    --------
    >>> names = ("EXOD J173442.5-323454", "J1734", "4XMM J1734", "0001730201")
    >>> [is_source_name(text) for text in names]
    [True, True, True, False]
    """
    return _OTHER.match(text.strip()) is None


def save_source(
    archive: Archive, name: str, folder: str | Path, drawing: Drawing = DEFAULT
) -> list[Path]:
    """The light curves of a source in all its observations, time bins and bands, on a sheet.

    Lines are observations and time bins, columns are bands. Only what the archive has is drawn;
    where the source was not found there is no light curve. Sources with more lines than fit get
    several sheets, and at most `MOST_LINES` lines; a log message says how many are left out.

    Parameters
    ----------
    archive : Archive
        Where the results are, with the product unique.
    name : str
        Name of the source, or how it alone begins, with or without ``EXOD``.
    folder : path
        Where the pictures go.
    drawing : Drawing
        Format, size and style.

    Returns
    -------
    list of Path
        The pictures.

    Raises
    ------
    InputError
        If there is no source of this name; the text has the nearest.
    ArchiveError
        If there are no sources yet, or a region of this one was replaced since.
    """
    source = find_source(archive, name)
    found = archive.derived_table(
        "unique", "members", filters=[("region_num", "==", int(source["region_num"]))]
    )
    members = found.compute()
    panels = list(_panels(archive, members))
    title = _title(source, members)
    stem = str(source["srcid"]).replace(" ", "_")
    sheets = curve_sheets(
        _strongest_lines(panels, str(source["srcid"])), title, "no region", _history(members)
    )
    return save_figures(_named(sheets, stem), Path(folder), drawing)


def _named(sheets: Iterator[Figure], stem: str) -> Iterator[tuple[str, Figure]]:
    for number, figure in enumerate(sheets, start=1):
        yield (stem if number == 1 else f"{stem}_{number}"), figure


def find_source(archive: Archive, name: str) -> pd.Series[Any]:
    """The row of a unique source, by its name or how it alone begins; see `save_source`."""
    wanted = " ".join(name.split())
    known = archive.derived_table("unique", "unique", columns=UNIQUE.schema.names).compute()
    rows = known[known["srcid"] == wanted]
    # Names that were taken over from another catalogue may be of any kind.
    if not known["srcid"].str.startswith(wanted).any() and not wanted.startswith("EXOD"):
        wanted = f"EXOD {wanted}"
    if rows.empty:
        rows = known[known["srcid"].str.startswith(wanted)]
    if len(rows) == 1:
        return rows.iloc[0]
    if len(rows):
        first = ", ".join(rows["srcid"].sort_values().iloc[:NEAREST])
        raise InputError(
            f"{plural(len(rows), 'source')} of {archive.root} have names that begin with "
            f"{wanted!r}, as {first}; give more of the name."
        )
    nearest = _nearest(known, wanted)
    verb = "is" if len(nearest) == 1 else "are"
    hint = f"the nearest {verb} {', '.join(nearest)}" if nearest else "it has no sources"
    raise InputError(f"{archive.root} has no source {wanted!r}; {hint}.")


def _nearest(known: pd.DataFrame, name: str) -> list[str]:
    """Names that are near on the sky, or if the name is no position, alike."""
    place = _NAME.fullmatch(name)
    if place is None:
        alike = difflib.get_close_matches(name, known["srcid"], NEAREST, 0.0)
        return [str(other) for other in alike]
    hours, minutes, seconds, sign, degrees, arcmin, arcsec = place.groups()
    ra = 15 * (float(hours) + float(minutes) / 60 + float(seconds) / 3600)
    dec = float(degrees) + float(arcmin) / 60 + float(arcsec) / 3600
    here = unit_vectors([ra], [-dec if sign == "-" else dec])
    away = separations_arcsec(unit_vectors(known["ra_deg"], known["dec_deg"]), here)
    order = np.argsort(away, kind="stable")[:NEAREST]
    return [f"{known['srcid'].iloc[i]} ({_distance(float(away[i]))})" for i in order]


def _distance(arcsec: float) -> str:
    if arcsec < 60:
        return f"{arcsec:.1f} arcsec"
    return f"{arcsec / 60:.1f} arcmin" if arcsec < 3600 else f"{arcsec / 3600:.1f} deg"


def _panels(archive: Archive, members: pd.DataFrame) -> Iterator[Panel]:
    """A light curve for each run with a region of the source, of the most significant one."""
    for obsid, own in members.groupby("obsid"):
        tables = archive.observation(str(obsid), "runs", "regions", "cells")
        regions = tables["regions"][tables["regions"]["detid"].isin(own["detid"])]
        if len(regions) < len(own):
            gone = sorted(set(own["detid"]) - set(regions["detid"]))
            raise ArchiveError(
                f"The sources of {archive.root} are older than its regions: {gone[0]} is gone; run "
                f"`exod cluster {archive.root}`."
            )
        strongest = regions.assign(sigma=regions[["sigma_peak", "sigma_eclipse"]].max(axis=1))
        strongest = strongest.sort_values("sigma", ascending=False, kind="stable")
        for _, region in strongest.drop_duplicates("runid").iterrows():
            run = tables["runs"].set_index("runid", drop=False).loc[region["runid"]]
            cells = tables["cells"]
            cells = cells[(cells["runid"] == region["runid"]) & (cells["label"] == region["label"])]
            yield Panel(
                run,
                archive.lightcurve(str(region["detid"])),
                sigma_text(run, region, cells),
                float(region["sigma"]),
                cells,
            )


def _strongest_lines(panels: list[Panel], name: str) -> list[Panel]:
    """Those of the lines that have the most significant regions, if there are too many."""
    strength: dict[Any, float] = {}
    for panel in panels:
        strength[panel.line] = max(panel.sigma, strength.get(panel.line, 0.0))
    kept = set(sorted(strength, key=lambda line: (-strength[line], line))[:MOST_LINES])
    if len(strength) > len(kept):
        _log.warning(
            "%s: %d of %d observations and time bins are not drawn, the least significant ones.",
            name,
            len(strength) - len(kept),
            len(strength),
        )
    return [panel for panel in panels if panel.line in kept]


def _history(members: pd.DataFrame) -> pd.DataFrame | None:
    """Days and significance of the regions, if they are of several observations."""
    if members["obsid"].nunique() < 2:
        return None
    peak, eclipse = (members[f"sigma_{kind}"].fillna(0.0) for kind in ("peak", "eclipse"))
    return pd.DataFrame(
        {
            "mjd": members["mjd"],
            "sigma": np.maximum(peak, eclipse),
            "kind": np.where(eclipse > peak, "eclipse", "peak"),
        }
    )


def _title(source: pd.Series[Any], members: pd.DataFrame) -> str:
    ra, dec = float(source["ra_deg"]), float(source["dec_deg"])
    where = f"{position_text(ra, dec)} ({ra:.5f}°, {dec:+.5f}°)".replace("-", "−")
    error = f"± {float(source['pos_err_arcsec']):.1f}″"
    seen = plural(members["obsid"].nunique(), "observation")
    unseen = int(source["n_undetected"])
    without = f", not in {plural(unseen, 'other')} that covered it" if unseen else ""
    found = f"{plural(len(members), 'region')} in {seen}{without}"
    return f"{source['srcid']} · {found}\n{where} {error}"
