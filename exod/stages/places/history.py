"""History: limits of all sources in all observations -> how each varies, and how luminous it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import pandas as pd

from exod.archive import Archive, open_archive
from exod.archive.derived import Derived
from exod.archive.increments import deriving, write_part
from exod.archive.products import XMATCH, not_made, require_columns
from exod.archive.snapshot import Snapshot
from exod.schemas import DERIVED
from exod.schemas.arrays import Floats
from exod.schemas.columns import Column
from exod.schemas.derived import UNIQUE
from exod.schemas.longterm import HISTORY, LONGTERM
from exod.sky.healpix import sky_pixels
from exod.sources.longterm import SeenFluxes, amplitudes
from exod.sources.luminosities import luminosity, parallax_distance
from exod.stages.derive.batched import published

PRODUCT: Final = "history"

NEEDED: Final = ("unique", "features", "depth")
"""The products that it is made of, besides cross-matches."""

LEVEL: Final = 0.9
"""Probability of intervals and limits."""

_VERSION: Final = 2
_CHUNK: Final = 5_000
"""Sources at a time."""
_ORDER: Final = 8
"""Of the HEALPix pixels in whose order they are taken: 14 arcmin, half a field."""

_MEGAPARSEC: Final = 1e6
_NO_FLUX, _NO_DISTANCE = "Its best event has no flux.", "No counterpart has a sure distance."


@dataclass(frozen=True)
class HistoryMade:
    """What became of the product.

    Attributes
    ----------
    derived : Derived
        The version that is current now.
    made : bool
        Whether it was made now; otherwise it was up to date.
    """

    derived: Derived
    made: bool

    def count(self, what: str) -> int:
        """A number of its summary: rows, sources, variable or alerts."""
        return cast("int", self.derived.summary[what])


def make_history(
    archive: Archive | str, *, on_step: Callable[[str], None] = lambda _what: None
) -> HistoryMade:
    """Bring the product ``history`` of an archive up to date.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path; with the products unique, features and depth.
    on_step : callable
        Is told what is being done.

    Raises
    ------
    ArchiveError
        If one of these was not made yet, or something cannot be read or written.
    """
    archive = open_archive(archive)
    parts = {name: _made(archive, name).version for name in (*NEEDED, *_matches(archive))}
    parameters = {"version": _VERSION, "level": LEVEL, "parts": parts}
    earlier = archive.derived(PRODUCT)
    if earlier and earlier.is_made_with(parameters):
        return HistoryMade(earlier, made=False)
    sources = archive.unique[UNIQUE.schema.names].compute()
    sources = sources.sort_values("region_num", ignore_index=True)
    rows = _history(archive, sources, on_step)
    overall = _overall(archive, sources, rows)
    with deriving(archive.store, PRODUCT, DERIVED[PRODUCT]) as new:
        new.parameters, new.attempts = parameters, dict(_made(archive, "depth").attempts)
        new.files = [
            write_part(archive.store, new.folder, table, content, "all")
            for table, content in ((HISTORY, rows), (LONGTERM, overall))
        ]
        new.summary = {
            "rows": len(rows),
            "sources": len(overall),
            "variable": int((overall["var_sigma"] > 3).sum()),
            "alerts": int(overall["var_alert"].sum()),
        }
    return HistoryMade(published(archive, PRODUCT), made=True)


def history_of(archive: Archive, region_num: int) -> tuple[pd.Series[Any], pd.DataFrame]:
    """The row of a source in the table longterm, and its rows in history, in order of time.

    Raises
    ------
    ArchiveError
        If the product was not made yet.
    """
    own = [("region_num", "==", region_num)]
    overall = archive.derived_table(PRODUCT, "longterm", filters=own).compute()
    return overall.iloc[0], archive.derived_table(PRODUCT, "history", filters=own).compute()


def _made(archive: Archive, product: str) -> Derived:
    found = archive.derived(product)
    if found is None:
        raise not_made(archive.store, product, product)
    require_columns(archive.store, found)
    return found


def _matches(archive: Archive) -> list[str]:
    return [f"{XMATCH}{name}" for name in archive.matched]


def _history(
    archive: Archive, sources: pd.DataFrame, on_step: Callable[[str], None]
) -> pd.DataFrame:
    """Rows of the table history."""
    parts = [HISTORY.frame()]
    # Sources near each other are of the same observations, which are then read once.
    pixels = sky_pixels(sources["ra_deg"].to_numpy(), sources["dec_deg"].to_numpy(), _ORDER)
    near = sources.iloc[np.argsort(pixels, kind="stable")]
    for first in range(0, len(sources), _CHUNK):
        on_step(f"Asking for limits, {first:,} of {len(sources):,} sources")
        own = near.iloc[first : first + _CHUNK]
        found = archive.limits(own["ra_deg"].to_numpy(), own["dec_deg"].to_numpy(), level=LEVEL)
        number = own["region_num"].to_numpy()[found["place"].to_numpy(np.int64)]
        parts.append(found.assign(region_num=number))
    rows = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    if not len(rows):
        return HISTORY.frame()
    # Limits are of counts in the whole PSF, n and mu of those in the cells.
    with np.errstate(divide="ignore", invalid="ignore"):
        response = rows["counts_hi"] * rows["share"] / rows["flux_hi"]
    events = _events(archive)
    rows = rows.assign(
        mjd=rows["t_start_mjd"], mjd_stop=rows["t_stop_mjd"], response=response
    ).merge(events, how="left", on=["region_num", "obsid"])
    rows["found"] = rows["found"].fillna(value=False).astype(bool)
    ordered = rows.sort_values(list(HISTORY.sort_by), ignore_index=True)
    return HISTORY.frame(ordered[HISTORY.schema.names])


def _events(archive: Archive) -> pd.DataFrame:
    """Observations with events of each source, and the brightest flux of these."""
    members = archive.derived_table("unique", "members", columns=["detid", "obsid", "region_num"])
    peaks = archive.derived_table("features", "features", columns=["detid", "flux_peak"])
    joined = members.compute().merge(peaks.compute(), how="left", on="detid")
    # Eclipses have a negative one.
    joined["flux_peak"] = joined["flux_peak"].where(joined["flux_peak"] > 0)
    best = joined.groupby(["region_num", "obsid"], as_index=False)["flux_peak"].max()
    return best.assign(found=True)


def _overall(archive: Archive, sources: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table longterm."""
    columns = ("n", "mu", "response", "flux_lo", "flux", "flux_hi")
    seen = SeenFluxes(
        rows["region_num"].to_numpy(np.int64), *(rows[name].to_numpy(float) for name in columns)
    )
    found = amplitudes(seen)
    lit = (rows["flux_lo"] > 0) & rows["response"].notna()
    high = _taken(rows, "flux", found.brightest)
    is_lit = _taken(rows, "flux_lo", found.brightest) > 0
    low = _taken(rows, "flux", found.faintest)
    limit = _taken(rows, "flux_hi", found.faintest)
    table = pd.DataFrame(
        {
            "region_num": found.source,
            "n_measured": found.n_measured,
            "obsid_max": _names(rows, np.where(is_lit, found.brightest, -1)),
            "obsid_min": _names(rows, found.faintest),
            "flux_max": np.where(is_lit, high, np.nan),
            "flux_min": np.where(_taken(rows, "flux_lo", found.faintest) > 0, low, limit),
            "flux_ratio": found.ratio,
            "flux_ratio_lo": found.ratio_lo,
            "var_p_log": found.p_log,
            "var_sigma": found.sigma,
            "var_alert": found.is_alert,
        }
    )
    number = sources["region_num"]
    table = sources[["region_num", "srcid"]].merge(table, how="left", on="region_num")
    counts: dict[str, pd.Series] = {
        "n_seen": number.map(rows.groupby("region_num").size()),
        "n_lit": number.map(lit.groupby(rows["region_num"]).sum()),
        "n_measured": table["n_measured"],
    }
    counted = {name: values.fillna(0).astype(np.int32) for name, values in counts.items()}
    named = {name: table[name].fillna("") for name in ("obsid_max", "obsid_min")}
    alert = table["var_alert"].fillna(value=False).astype(bool)
    table = table.assign(**counted, **named, var_alert=alert)
    return LONGTERM.frame(table.assign(**_luminosities(archive, sources, table["flux_max"])))


def _taken(rows: pd.DataFrame, name: str, index: Any) -> Floats:
    """Values of a column in some rows; NaN where the row is -1."""
    values = np.append(rows[name].to_numpy(float), np.nan)
    return np.asarray(values[index])


def _names(rows: pd.DataFrame, index: Any) -> Any:
    return np.append(rows["obsid"].to_numpy(object), "")[index]


def _luminosities(archive: Archive, sources: pd.DataFrame, flux_max: pd.Series) -> dict[str, Any]:
    """Columns of distance and luminosity."""
    features = archive.derived_table("features", "features", columns=["detid", "flux_peak"])
    peak = features.compute().set_index("detid")["flux_peak"].reindex(sources["best_detid"])
    distance = np.full(len(sources), np.nan)
    name = np.full(len(sources), "", object)
    for product, values in _distances(archive, sources["region_num"]):
        better = np.isnan(distance) & np.isfinite(values)
        distance[better] = values[better]
        name[better] = product.removeprefix(XMATCH)
    lum_peak = luminosity(peak.where(peak > 0).to_numpy(float), distance)
    note = np.where(np.isnan(distance), _NO_DISTANCE, np.where(np.isnan(lum_peak), _NO_FLUX, ""))
    return {
        "distance_pc": distance,
        "distance_from": name,
        "lum_peak": lum_peak,
        "lum_max": luminosity(flux_max.to_numpy(float), distance),
        "lum_note": note,
    }


def _distances(archive: Archive, numbers: pd.Series) -> list[tuple[str, Floats]]:
    """Distances in parsec by catalogue, those of parallaxes first."""
    found: list[tuple[int, str, Floats]] = []
    snapshot = Snapshot(archive)
    for product in _matches(archive):
        columns = snapshot.table(f"matches_{product.removeprefix(XMATCH)}").columns
        parallax = _column_meaning(columns, "pos.parallax", "mas")
        error = _column_meaning(columns, "stat.error;pos.parallax", "mas")
        distance = _column_meaning(columns, "pos.distance", "Mpc")
        wanted = [column for column in (parallax, error, distance) if column]
        if not wanted:
            continue
        table = archive.derived_table(product, "xmatch", columns=["region_num", *wanted]).compute()
        rows = table.drop_duplicates("region_num").set_index("region_num").reindex(numbers)
        if parallax and error:
            values = parallax_distance(rows[parallax].to_numpy(float), rows[error].to_numpy(float))
            found.append((0, product, values))
        if distance:
            values = rows[distance].to_numpy(float) * _MEGAPARSEC
            found.append((1, product, np.where(values > 0, values, np.nan)))
    return [(product, values) for _, product, values in sorted(found, key=lambda one: one[:2])]


def _column_meaning(columns: tuple[Column, ...], ucd: str, unit: str) -> str:
    """Name of the column of a meaning; empty if there is none."""
    own = (column.name for column in columns if column.ucd.startswith(ucd) and column.unit == unit)
    return next(own, "")
