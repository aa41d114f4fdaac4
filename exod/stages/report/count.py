"""Count: committed and derived tables -> the numbers of the statistics report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.archive.ledger.entry import versions
from exod.archive.products import XMATCH
from exod.errors import ArchiveError
from exod.report import inputs
from exod.report.consistency import Consistency, check_tables
from exod.report.counterparts import (
    Separations,
    absolute_magnitudes,
    flux_pairs,
    separations,
    type_counts,
)
from exod.report.numbers import About, Features, Numbers, SourceNumbers
from exod.report.statistics import (
    DURATION_EDGES,
    EXCESS_EDGES,
    HARDNESS_EDGES,
    LOG_B_EDGES,
    SEPARATION_EDGES,
    Histogram,
    Parts,
    added,
    expected_false,
    flag_counts,
    good_and_bad,
    histogram,
    most_significant,
    region_counts,
    searched_time,
    source_counts,
)

if TYPE_CHECKING:
    import dask.dataframe as dd

TOP: Final = 50
"""Sources that are listed."""

CURVES: Final = 12
"""Sources whose light curves are shown."""

_EDGES: Final = {
    "log_b_peak": LOG_B_EDGES,
    "log_b_eclipse": LOG_B_EDGES,
    "duration": DURATION_EDGES,
    "excess": EXCESS_EDGES,
}


@dataclass(frozen=True)
class _Match:
    """What is read of a cross-match; columns has the wanted ones by their meaning."""

    rows: pd.DataFrame
    columns: Mapping[str, str]
    separations: Separations | None

    def has(self, *names: str) -> bool:
        return all(name in self.columns for name in names)

    def floats(self, name: str) -> Any:
        return _floats(self.rows[self.columns[name]])


def gather(archive: Archive, *, top: int = TOP, light_curves: int = CURVES) -> Numbers:
    """Count everything that the report says.

    Tables are read in parts, and of each only the columns that are counted. What the archive does
    not have is left out.

    Parameters
    ----------
    archive : Archive
        The archive.
    top, light_curves : int
        As in `write_report`.

    Raises
    ------
    ArchiveError
        If something cannot be read.
    """
    status = archive.status()
    runs = archive.table("runs", columns=inputs.RUNS).compute()
    counted = _reduced(archive.table("regions", columns=inputs.REGIONS), region_counts)
    keys = archive.table("regions", columns=inputs.REGION_KEYS).compute()
    searched, good = searched_time(runs)
    sources = _sources(archive, top)
    matched = {name: _match(archive, name) for name in archive.matched}
    return Numbers(
        about=_about(archive),
        status={str(name): int(n) for name, n in status["status"].value_counts().items()},
        n_runs=len(runs),
        n_regions=len(keys),
        searched=searched,
        good=good,
        expected=expected_false(runs),
        runs=counted["runs"],
        histograms={name: Histogram(edges, counted[name]) for name, edges in _EDGES.items()},
        products=archive.products(),
        sources=sources,
        features=_features(archive) if archive.derived("features") else None,
        flags=_flags(archive) if archive.derived("flags") else None,
        matches={name: match.separations for name, match in matched.items()},
        types=_types(matched),
        stars=_stars(matched),
        fluxes=_fluxes(archive, matched) if sources else None,
        checks=_checks(archive, status, runs, keys),
        curves=_curves(archive, sources, light_curves),
    )


def _about(archive: Archive) -> About:
    return About(
        root=archive.root,
        made=datetime.now(UTC),
        versions=versions(),
        fingerprint=archive.fingerprint,
        settings=archive.config.model_dump(mode="json"),
    )


def _floats(values: pd.Series) -> Any:
    """Floats of a column that may hold nulls."""
    return values.to_numpy("float64", na_value=np.nan)


def _reduced(frame: dd.DataFrame, count: Callable[[pd.DataFrame], Parts]) -> Parts:
    """Count every partition of a table and add the counts up; one partition is in memory a time.

    The counts of a table without rows are those of a partition without rows.
    """
    import dask

    # The parts are small, but reading is not: the partition itself must not be kept.
    tasks = [dask.delayed(count)(part) for part in frame.to_delayed()]
    parts = dask.compute(*tasks)
    return {name: added(part[name] for part in parts) for name in parts[0]}


def _sources(archive: Archive, top: int) -> SourceNumbers | None:
    """What is said of unique sources; None if there is no such table."""
    if archive.derived("unique") is None:
        return None
    unique = archive.derived_table("unique", "unique", columns=inputs.UNIQUE)
    members = archive.derived_table("unique", "members", columns=["separation_arcsec"])
    counted = _reduced(unique, source_counts)
    distances = _reduced(
        members, lambda rows: {"all": histogram(rows["separation_arcsec"], SEPARATION_EDGES)}
    )
    return SourceNumbers(
        n=int(counted["observations"]["n"].sum()),
        sky=counted["sky"],
        observations=counted["observations"],
        top=_top(archive, top),
        separations=Histogram(SEPARATION_EDGES, distances["all"]),
    )


def _top(archive: Archive, top: int) -> pd.DataFrame:
    """The most significant sources with their best regions."""
    import dask

    unique = archive.derived_table("unique", "unique", columns=inputs.TOP)
    parts = dask.compute(*[dask.delayed(most_significant)(p, top) for p in unique.to_delayed()])
    found = most_significant(pd.concat(parts, ignore_index=True), top)
    best = _regions_of(archive, found["best_detid"]).add_prefix("best_")
    return found.merge(best, on="best_detid", how="left")


def _regions_of(archive: Archive, detids: pd.Series) -> pd.DataFrame:
    """Rows of regions with these identifiers; files of other observations are not read."""
    wanted = set(detids.astype(str))
    obsids = sorted({detid[:10] for detid in wanted})
    # A condition with thousands of values is slower than reading.
    filters = [("obsid", "in", obsids)] if 0 < len(obsids) <= TOP else ()
    rows = archive.table("regions", columns=inputs.BEST_REGION, filters=filters)
    kept = rows[rows["detid"].isin(list(wanted))].compute()
    return kept.drop_duplicates("detid", ignore_index=True)


def _features(archive: Archive) -> Features:
    table = archive.derived_table("features", "features")
    present = set(table.columns)
    bins = all(name in present for name in inputs.SIGNIFICANT_BINS.values())
    ratios = {name: text for name, text in inputs.HARDNESS.items() if name in present}

    def count(rows: pd.DataFrame) -> Parts:
        found: dict[str, pd.DataFrame] = {}
        if bins:
            found |= good_and_bad(rows, inputs.SIGNIFICANT_BINS)
        if ratios:
            each = [histogram(rows[name], HARDNESS_EDGES) for name in ratios]
            found["hardness"] = pd.concat(each).set_axis(
                [ratios[name] for name, one in zip(ratios, each, strict=True) if len(one)]
            )
        return found

    columns = ["runid", *(inputs.SIGNIFICANT_BINS.values() if bins else ()), *ratios]
    counted = _reduced(archive.derived_table("features", "features", columns=columns), count)
    hardness = Histogram(HARDNESS_EDGES, counted["hardness"]) if ratios else None
    return Features(counted.get("bins"), counted.get("regions"), hardness)


def _flags(archive: Archive) -> pd.DataFrame:
    table = archive.derived_table("flags", "flags")
    names = [name for name in table.columns if name.startswith(inputs.FLAG)]
    counted = _reduced(table[names], lambda rows: {"flags": flag_counts(rows)})["flags"]
    # Adding sorts rows by name; flags are told in the order in which they were declared.
    return counted.loc[[*names, "(none)", "(all)"]]


def _match(archive: Archive, name: str) -> _Match:
    product = f"{XMATCH}{name}"
    table = archive.derived_table(product, "xmatch")
    present = list(table.columns)
    prefix = inputs.prefix_of(present)
    if prefix is None:
        return _Match(table[["region_num"]].compute(), {}, None)
    wanted = inputs.catalogue_columns(present, prefix)
    measured = [f"{prefix}{end}" for end in (inputs.SEPARATION, "density_arcmin2", "p_chance")]
    own = [column for column in measured if column in present]
    rows = table[["region_num", *own, *wanted.values()]].compute()
    nothing = pd.Series(np.nan, index=rows.index)
    distance, density, chance = (_floats(rows.get(column, nothing)) for column in measured)
    derived = archive.derived(product)
    radius = derived.parameters.get("radius_arcsec") if derived else None
    known = float(radius) if isinstance(radius, int | float) else None
    return _Match(rows, wanted, separations(distance, density, chance, known))


def _types(matched: Mapping[str, _Match]) -> pd.Series | None:
    match = matched.get(inputs.CATALOGUES["simbad"])
    if match is None or not match.has("type"):
        return None
    return type_counts(match.rows[match.columns["type"]])


def _stars(matched: Mapping[str, _Match]) -> pd.DataFrame | None:
    match = matched.get(inputs.CATALOGUES["gaia"])
    if match is None or not match.has("magnitude", "parallax"):
        return None
    if match.has("colour"):
        colour = match.floats("colour")
    elif match.has("blue", "red"):
        colour = match.floats("blue") - match.floats("red")
    else:
        return None
    error = match.floats("parallax_error") if match.has("parallax_error") else None
    return absolute_magnitudes(match.floats("magnitude"), colour, match.floats("parallax"), error)


def _fluxes(archive: Archive, matched: Mapping[str, _Match]) -> pd.DataFrame | None:
    match = matched.get(inputs.CATALOGUES["xmm"])
    if match is None or not match.has("flux"):
        return None
    rows = match.rows[match.floats("flux") > 0]
    unique = archive.derived_table("unique", "unique", columns=["region_num", "best_detid"])
    best = unique.compute()
    best = best[best["region_num"].isin(rows["region_num"])]
    regions = _regions_of(archive, best["best_detid"])
    return flux_pairs(rows, best, regions, match.columns["flux"])


def _checks(
    archive: Archive, status: pd.DataFrame, runs: pd.DataFrame, keys: pd.DataFrame
) -> list[Consistency]:
    tables = {"entries": status[["obsid", "n_regions"]], "runs": runs, "regions": keys}
    wanted = [
        ("unique", "unique", inputs.UNIQUE_KEYS),
        ("unique", "members", inputs.MEMBERS),
        *((f"{XMATCH}{name}", "xmatch", ("region_num",)) for name in archive.matched),
        ("features", "features", ("detid",)),
        ("flags", "flags", ("detid",)),
    ]
    for product, table, columns in wanted:
        if archive.derived(product):
            rows = archive.derived_table(product, table, columns=columns).compute()
            tables[product if table == "xmatch" else table] = rows
    return check_tables(tables)


def _curves(
    archive: Archive, sources: SourceNumbers | None, n: int
) -> dict[str, pd.DataFrame | str]:
    """Light curves of the best regions of the first sources, or why there is none."""
    found: dict[str, pd.DataFrame | str] = {}
    detids: Iterable[str] = [] if sources is None else sources.top["best_detid"].head(n).astype(str)
    for detid in detids:
        try:
            found[detid] = archive.lightcurve(detid)
        except ArchiveError as error:
            found[detid] = str(error)
    return found
