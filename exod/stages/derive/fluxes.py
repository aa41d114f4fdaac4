"""Fluxes of the events of regions: counts, cameras, filters and places in, erg/cm^2 out."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import pandas as pd

from exod.archive import LedgerEntry
from exod.archive.parquet import read_file, to_pandas
from exod.archive.store import Store
from exod.config import Band
from exod.instruments.detector import DETECTORS
from exod.instruments.vignetting import VIGNETTING
from exod.observation.commonsky import sky_plane
from exod.schemas import EXPOSURES, OBSERVATIONS, RUNS
from exod.schemas.arrays import Floats
from exod.schemas.columns import Table
from exod.sensitivity.eddington import without_eddington
from exod.sensitivity.fluxes import Conversions, allowed_by_hardness, shape_error
from exod.sources.vetting.eventbands import Columns, Pair
from exod.tablefiles.shipped import catalogs_folder

NEEDED: Final = (
    *("ra_deg", "dec_deg", "duration", "event_n", "event_mu", "excess", "excess_lo", "excess_hi"),
    *("peak_rate", "peak_rate_err"),
)
"""Columns of the regions that fluxes are made of."""

NOTE: Final = "flux_note"

_EXPOSURES: Final = ["instrument", "filter", "subset", "used", "time_min", "time_max"]
_RUNS: Final = ["runid", "subset", "t_lo", "t_hi", "n_exposures"]
_FACTORS: Final = ("factor", "factor_soft", "factor_hard")
_NO_PLACE: Final = "The position is not known."

_SLACK: Final = 1.0
"""Seconds by which a run may be longer than the selected events of its exposures."""


@cache
def conversions() -> Conversions:
    """The table of conversion factors that exod comes with."""
    with (catalogs_folder() / "epic_ecf.csv").open(encoding="utf-8") as file:
        return Conversions.of(pd.read_csv(file))


def event_factors(
    store: Store, entry: LedgerEntry, regions: pd.DataFrame, bands: Pair | None
) -> Columns:
    """What `with_fluxes` needs of the regions of an observation.

    Returns
    -------
    dict of str to ndarray
        The columns `NEEDED`, ``instrument`` and ``flux_note``, shape (n_regions,), and counts for
        each erg/cm^2 in its own, the soft and the hard band for each shape of spectrum, shape
        (n_regions, n_shapes).
    """
    table = conversions()
    place = regions[["ra_deg", "dec_deg"]].to_numpy(float)
    notes, cameras = (np.full(len(regions), "", object) for _ in range(2))
    factors = np.full((len(_FACTORS), len(regions), len(table.shapes)), np.nan)
    about = _rows(store, entry, OBSERVATIONS, ["ra_pnt", "dec_pnt", "pa_pnt"])
    exposures = _rows(store, entry, EXPOSURES, _EXPOSURES)
    runs = _rows(store, entry, RUNS, _RUNS).set_index("runid")
    pointing = about.to_numpy(float)[0] if len(about) else np.full(3, np.nan)
    energies = regions[["e_lo", "e_hi"]].to_numpy(float)
    for runid, rows in regions.groupby("runid").indices.items():
        own = _cameras_of(exposures, runs, str(runid))
        cameras[rows] = "" if own is None else "+".join(sorted(own["instrument"]))
        low, high = energies[rows[0]]
        for number, band in enumerate(((low, high), *(bands or ()))):
            why = _why_not(table, own, pointing, band)
            if not why and own is not None:
                factors[number, rows] = _factors(table, own, band, pointing, place[rows])
            elif not number:
                notes[rows] = why
    notes = np.where((notes == "") & ~np.isfinite(place).all(axis=1), _NO_PLACE, notes)
    columns: Columns = {name: regions[name].to_numpy(float) for name in NEEDED}
    columns |= {"instrument": cameras, NOTE: notes}
    return columns | dict(zip(_FACTORS, factors, strict=True))


def _rows(store: Store, entry: LedgerEntry, table: Table, columns: list[str]) -> pd.DataFrame:
    """Columns of a table of the observation."""
    return to_pandas(read_file(store, entry.file(table.name), table, columns))


def _cameras_of(exposures: pd.DataFrame, runs: pd.DataFrame, runid: str) -> pd.DataFrame | None:
    """The exposures of a run; None if it cannot be told which they are."""
    if runid not in runs.index:
        return None
    run = runs.loc[runid]
    on = exposures[exposures["used"].to_numpy(bool)]
    on = on[(on["time_min"] <= run["t_lo"] + _SLACK) & (on["time_max"] >= run["t_hi"] - _SLACK)]
    if len(on) > run["n_exposures"]:
        on = on[on["subset"] == run["subset"]]
    fits = len(on) == run["n_exposures"] and on["instrument"].is_unique
    return on if fits else None


def _why_not(table: Conversions, own: pd.DataFrame | None, pointing: Floats, band: Band) -> str:
    """Why a run has no fluxes; empty if it has."""
    if own is None or not len(own):
        return "It is not known which exposures the run is of."
    for camera, name in zip(own["instrument"], own["filter"], strict=True):
        if why := table.why_not(camera, name, band):
            return why
    return "" if np.isfinite(pointing).all() else "The pointing is not known."


def _factors(
    table: Conversions, own: pd.DataFrame, band: Band, pointing: Floats, place: Floats
) -> Floats:
    """Counts of all cameras for each erg/cm^2 at places (RA, Dec), shape (n, n_shapes)."""
    ra_pnt, dec_pnt, pa_pnt = pointing
    x, y = sky_plane(ra_pnt, dec_pnt).to_pixel(place[:, 0], place[:, 1])
    total = np.zeros((len(place), len(table.shapes)))
    for camera, name in zip(own["instrument"], own["filter"], strict=True):
        detx, dety = DETECTORS[camera].detector_from_sky(x, y, pa_pnt)
        total += table.counts(camera, name, band, VIGNETTING[camera].at_nodes(detx, dety))
    return total


def with_fluxes(columns: Columns) -> Columns:
    """Columns with fluxes instead of what they are made of; hardness ratios have to be there."""
    given = {name: columns[name] for name in (*NEEDED, *_FACTORS)}
    rest = {name: values for name, values in columns.items() if name not in given}
    factor, soft, hard = (given[name] for name in _FACTORS)
    reference = conversions().reference
    counts = factor[:, reference]
    allowed = allowed_by_hardness(soft, hard, rest["hr_event_lo"], rest["hr_event_hi"])
    excess, net = given["excess"], given["event_n"] - given["event_mu"]
    # The share of the PSF in the box is what turned one into the other.
    share = np.divide(net, excess, out=np.full(len(net), np.nan), where=excess > 0)
    corrected = without_eddington(np.where(excess > 0, given["event_n"], np.nan), given["event_mu"])
    fluxes = {
        "flux_factor": counts,
        "fluence": excess / counts,
        "fluence_lo": given["excess_lo"] / counts,
        "fluence_hi": given["excess_hi"] / counts,
        **{
            f"fluence_corr{end}": values / share / counts
            for end, values in zip(("", "_lo", "_hi"), corrected, strict=True)
        },
        "flux_event": excess / counts / np.where(given["duration"] > 0, given["duration"], np.nan),
        "flux_peak": given["peak_rate"] / counts,
        "flux_peak_err": given["peak_rate_err"] / counts,
        "flux_sys": shape_error(factor, reference, allowed),
    }
    unmeasured = (rest[NOTE] == "") & ~np.isfinite(excess)
    return rest | fluxes | {NOTE: np.where(unmeasured, "The event was not measured.", rest[NOTE])}
