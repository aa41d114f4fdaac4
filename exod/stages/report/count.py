"""Count: committed and derived tables -> the numbers of the statistics report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from exod.archive import Archive
from exod.archive.ledger.entry import versions
from exod.archive.products import XMATCH
from exod.catalogue.report import inputs
from exod.catalogue.report.consistency import Consistency, check_tables
from exod.catalogue.report.highestframes import highest_frames
from exod.catalogue.report.numbers import About, Features, Numbers, SourceNumbers
from exod.catalogue.report.statistics import (
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
from exod.catalogue.report.survey import Survey, describe_survey
from exod.errors import ArchiveError
from exod.stages.report.extras import compared_with_extras, searched_observations
from exod.stages.report.giventables import read_xmm
from exod.stages.report.matched import (
    flux_samples,
    fluxes,
    object_types,
    read_match,
    regions_of,
    stars,
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


def gather(
    archive: Archive,
    *,
    top: int = TOP,
    light_curves: int = CURVES,
    extras: str | Path | None = None,
    xmm: str | Path | None = None,
) -> Numbers:
    """Count everything that the report says.

    Tables are read in parts, and of each only the columns that are counted. What the archive does
    not have is left out.

    Parameters
    ----------
    archive : Archive
        The archive.
    top, light_curves : int
        As in `write_report`.
    extras, xmm : path, optional
        As in `write_report`.

    Raises
    ------
    ArchiveError
        If something cannot be read.
    InputError
        If a table that is given cannot be read or lacks a column.
    """
    # What is wrong with them is told before anything is counted.
    given = {name: str(path) for name, path in (("extras", extras), ("xmm", xmm)) if path}
    theirs = read_xmm(xmm) if xmm else None
    status = archive.status()
    compared = compared_with_extras(archive, status, extras) if extras else None
    runs = archive.table("runs", columns=inputs.RUNS).compute()
    counted = _reduced(archive.table("regions", columns=inputs.REGIONS), region_counts)
    keys = archive.table("regions", columns=inputs.REGION_KEYS).compute()
    searched, good = searched_time(runs)
    sources = _sources(archive, top)
    matched = {name: read_match(archive, name) for name in archive.matched}
    return Numbers(
        about=_about(archive),
        status={str(name): int(n) for name, n in status["status"].value_counts().items()},
        n_runs=len(runs),
        n_regions=len(keys),
        searched=searched,
        good=good,
        survey=_survey(archive, status, runs),
        expected=expected_false(runs),
        runs=counted["runs"],
        histograms={name: Histogram(edges, counted[name]) for name, edges in _EDGES.items()},
        products=archive.products(),
        sources=sources,
        features=_features(archive) if archive.derived("features") else None,
        flags=_flags(archive) if archive.derived("flags") else None,
        matches={name: match.separations for name, match in matched.items()},
        types=object_types(matched, theirs),
        stars=stars(matched),
        fluxes=fluxes(archive, matched) if sources else None,
        flux_groups=flux_samples(matched, theirs),
        extras=compared,
        given=given,
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


def _survey(archive: Archive, status: pd.DataFrame, runs: pd.DataFrame) -> Survey:
    rows = archive.table("observations", columns=inputs.OBSERVATIONS).compute()
    # Observations that were not searched have rows too, without events.
    observations = rows[rows["obsid"].isin(searched_observations(status))]
    exposures = archive.table("exposures", columns=inputs.EXPOSURES).compute()
    return describe_survey(observations, exposures, runs)


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
    best = regions_of(archive, found["best_detid"]).add_prefix("best_")
    return found.merge(best, on="best_detid", how="left")


def _features(archive: Archive) -> Features:
    table = archive.derived_table("features", "features")
    present = set(table.columns)
    bins = all(name in present for name in inputs.SIGNIFICANT_BINS.values())
    ratios = {name: text for name, text in inputs.HARDNESS.items() if name in present}
    highest = all(name in present for name in inputs.HIGHEST)

    def count(rows: pd.DataFrame) -> Parts:
        found: dict[str, pd.DataFrame] = {}
        if bins:
            found |= good_and_bad(rows, inputs.SIGNIFICANT_BINS)
        if highest:
            found["highest"] = highest_frames(rows)
        if ratios:
            each = [histogram(rows[name], HARDNESS_EDGES) for name in ratios]
            found["hardness"] = pd.concat(each).set_axis(
                [ratios[name] for name, one in zip(ratios, each, strict=True) if len(one)]
            )
        return found

    columns = ["runid", *(inputs.SIGNIFICANT_BINS.values() if bins else ()), *ratios]
    columns += inputs.HIGHEST if highest else ()
    counted = _reduced(archive.derived_table("features", "features", columns=columns), count)
    hardness = Histogram(HARDNESS_EDGES, counted["hardness"]) if ratios else None
    return Features(counted.get("bins"), counted.get("regions"), hardness, counted.get("highest"))


def _flags(archive: Archive) -> pd.DataFrame:
    table = archive.derived_table("flags", "flags")
    names = [name for name in table.columns if name.startswith(inputs.FLAG)]
    counted = _reduced(table[names], lambda rows: {"flags": flag_counts(rows)})["flags"]
    # Adding sorts rows by name; flags are told in the order in which they were declared.
    return counted.loc[[*names, "(none)", "(all)"]]


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
