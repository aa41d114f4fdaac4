"""Sheets of an archive: its derived tables -> detector plane, energies, offsets."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.catalogue.report.inputs import SEPARATION, prefix_of
from exod.errors import plural
from exod.plots.counterparts import draw_offsets
from exod.plots.diagnostics import Sheet, Sheets
from exod.plots.diagnostics.detectorplane import detector_sheet
from exod.plots.diagnostics.energies import regions_sheet

_COUNTS: Final = ("n_soft", "n_hard", "n_soft_event", "n_hard_event")

_log = logging.getLogger(__name__)


def archive_sheets(archive: Archive) -> Sheets:
    """Draw what all observations of an archive have together, as far as it was derived.

    Parameters
    ----------
    archive : Archive
        With features, flags or cross-matches; a log message says what is left out without them.

    Yields
    ------
    name : str
        Of a file, without an ending.
    figure : Figure
        The sheet.
    """
    if archive.derived("flags") is None:
        _log.warning("There are no flags, so there is no detector plane; run `exod flags`.")
    else:
        yield "detector_plane", _detector(archive)
    if archive.derived("features") is None:
        _log.warning("There are no features, so energies are not drawn; run `exod features`.")
    else:
        yield "region_energies", _energies(archive)
    for name in archive.matched:
        figure = _offsets(archive, name)
        if figure is not None:
            yield f"offsets_{name}", figure


def _detector(archive: Archive) -> Sheet:
    columns = ["t_bin", "X_det", "Y_det"]
    regions = archive.derived_table("flags", "detector", columns=columns).compute()
    boxes = archive.derived_table("flags", "hot_regions").compute()
    # Boxes about a pivot of their own are at another place in each observation.
    fixed = boxes["origin"].isin(["found", "given"])
    hot = plural(int(fixed.sum()), "hot region")
    title = f"{plural(len(regions), 'region')} on the detector, turned by −PA_PNT; {hot}"
    if not fixed.all():
        title += f" ({int((~fixed).sum()):,} about another pivot not drawn)"
    return detector_sheet(title, regions, boxes[fixed])


def _energies(archive: Archive) -> Sheet:
    features = archive.derived_table("features", "features", columns=["detid", *_COUNTS]).compute()
    kinds = archive.table("regions", columns=["detid", "kind"]).compute()
    rows = features.merge(kinds, on="detid")
    return regions_sheet(f"Soft against hard counts of {plural(len(rows), 'region')}", rows)


def _offsets(archive: Archive, name: str) -> Sheet | None:
    """Offsets of the counterparts in a catalogue; none if it was matched without."""
    table = archive.matches(name)
    prefix = prefix_of(table.columns)
    wanted = [f"{prefix}{end}" for end in ("dra_arcsec", "ddec_arcsec", "p_chance", SEPARATION)]
    if not set(wanted[:2]) <= set(table.columns):
        return None
    rows = table[[column for column in wanted if column in table.columns]].compute()
    east, north, chance, separation = (
        pd.to_numeric(rows[column], errors="coerce").to_numpy(float, na_value=np.nan)
        if column in rows
        else np.full(len(rows), np.nan)
        for column in wanted
    )
    derived = archive.derived(f"xmatch-{name}")
    given = derived.parameters.get("radius_arcsec") if derived else None
    largest = float(np.nanmax(separation, initial=1.0))
    radius = float(given) if isinstance(given, int | float) else float(np.ceil(largest))
    return draw_offsets(name, east, north, chance, radius)
