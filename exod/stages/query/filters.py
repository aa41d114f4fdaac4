"""Filters: regions with their features, flags and counterparts -> those that filters keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive import Archive, open_archive
from exod.archive.parquet import to_arrow
from exod.archive.questions.detections import Rows
from exod.archive.snapshot import MATCHES, Snapshot
from exod.errors import ArchiveError
from exod.schemas import FEATURES, FLAGS, REGIONS
from exod.schemas.arrays import Floats, Integers
from exod.schemas.columns import Column, Table
from exod.schemas.conditions import parse
from exod.sources.recovery import RADIUS_ARCSEC, Recovery, histograms, kinds_of_runs, recovery
from exod.stages.query.rows import kind_of
from exod.tablefiles.writing import write_table
from exod.vetting.filterkinds import N_REGIONS
from exod.vetting.filters import Filter, count_table, subset_table, subsets

_N_REGIONS: Final = Column(
    N_REGIONS, pa.int64(), "", "Regions of the observation, all runs together"
)


@dataclass(frozen=True)
class Filtered:
    """What filters keep of an archive.

    Attributes
    ----------
    table : Table
        The columns of regions and of the other tables that were read.
    kept : DataFrame
        Their rows.
    counts : DataFrame
        As `exod.vetting.filters.apply` gives.
    subsets : DataFrame
        As `exod.vetting.filters.subset_counts` gives, of the rows that are kept; with the column
        sources, their unique sources, if regions were joined to sources.
    n_sources : int or None
        Unique sources of the rows that are kept, likewise.
    n_regions : int
        Regions before.
    left_out : dict of str to tuple of str
        Observations that are left out, by the product that does not have them as they are now.
    """

    table: Table
    kept: pd.DataFrame
    counts: pd.DataFrame
    subsets: pd.DataFrame
    n_regions: int
    n_sources: int | None = None
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def filter_archive(
    archive: Archive | str,
    filters: Sequence[Filter],
    lists: Sequence[Sequence[Filter]] = (),
) -> Filtered:
    """Apply filters to the regions of an archive.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path.
    filters : sequence of Filter
        All of them must keep a region.
    lists : sequence of sequences of Filter
        For the counts of combinations: none or one filter from each.

    Raises
    ------
    ArchiveError
        If a product that a filter needs was never made.
    """
    archive = open_archive(archive)
    every = [*filters, *(item for one in lists for item in one)]
    rows = open_regions(archive, [name for item in every for name in item.needs])
    tests = tests_of(rows, every)
    own = [tests[item] for item in filters]
    choices = subsets(*lists)
    chosen_tests = [
        _rows_with_filters([*own, *(tests[item] for item in choice)]) for choice in choices
    ]
    counted = [
        *(_rows_with_filters(own[: i + 1]) for i in range(len(own))),
        *own,
        *chosen_tests,
    ]
    n_rows, *counts = rows.counts(counted)
    kept, alone, chosen = np.split(counts, [len(own), 2 * len(own)])
    table = Table("regions", "Regions that filters keep", tuple(rows.columns.values()), ())
    sources, behind = _sources(archive, every, chosen_tests)
    return Filtered(
        table,
        rows.selected(table, own, [rows.names["detid"]]).computed(),
        count_table(filters, n_rows, kept.tolist(), alone.tolist()),
        subset_table(choices, int(chosen[0]), chosen.tolist(), sources),
        n_rows,
        None if sources is None else sources[0],
        rows.behind | behind,
    )


def tests_of(rows: Rows, filters: Iterable[Filter]) -> dict[Filter, str]:
    """What each filter asks of rows, in SQL."""
    kinds = {name: kind_of(column) for name, column in rows.columns.items()}
    return {item: f"({parse(item.text, kinds).sql(rows.names)})" for item in filters}


def _sources(
    archive: Archive, filters: Sequence[Filter], tests: Sequence[str]
) -> tuple[list[int] | None, dict[str, tuple[str, ...]]]:
    """Unique sources of the rows of each test, and what is left out; None without sources."""
    if archive.derived("unique") is None:
        return None, {}
    rows = open_regions(archive, [name for item in filters for name in item.needs])
    if "members" not in rows.files:
        rows.add_part("members")
    return rows.counts(tests, "region_num")[1:], rows.behind


def _rows_with_filters(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "TRUE"


def open_regions(archive: Archive, needed: Iterable[str] = ()) -> Rows:
    """Regions with what filters need of other tables; nothing is read yet.

    Parameters
    ----------
    archive : Archive
        The archive.
    needed : iterable of str
        Columns of features, flags and cross-matches, besides those of regions.

    Returns
    -------
    Rows
        All columns of regions and ``n_regions_observation``; of features and flags all columns if
        one is needed; of a cross-match those that are needed.

    Raises
    ------
    ArchiveError
        If no table has a column, or a product was never made.
    """
    snapshot = Snapshot(archive)
    rows = Rows(snapshot, REGIONS.name)
    rows.add_count(_N_REGIONS)
    wanted = set(needed) - set(rows.columns)
    for table in (FEATURES, FLAGS):
        if wanted & set(table.schema.names):
            rows.add_part(table.name)
            wanted -= set(rows.columns)
    if wanted:
        rows.add_part("members")
        for name in snapshot.names:
            found = wanted & set(snapshot.table(name).schema.names)
            if name.startswith(MATCHES) and found:
                rows.add_matches(name, found)
                wanted -= found
    if wanted:
        raise ArchiveError(
            f"No cross-match of {archive.root} has the column {', '.join(sorted(wanted))}; match "
            f"with the catalogue first: `exod crossmatch {archive.root} --with NAME`."
        )
    return rows


def save_rows(found: Filtered, path: Path) -> Path:
    """Write what filters keep; raises as `exod.tablefiles.writing.write_table`."""
    rows = to_arrow(found.table, found.kept, "kept")
    write_table(path, found.table, [rows], overwrite=True)
    return path


@dataclass(frozen=True)
class RecoveryOfArchive:
    """Recovery of runs in a whole archive.

    Attributes
    ----------
    recovery : Recovery
        Counts of regions recovered.
    histograms : ndarray of int64, shape (n_runs, n_bins)
        Regions of each run by `column`.
    edges : ndarray of float64, shape (n_bins + 1,)
        Edges of the bins.
    column : str
        ``n_mean`` if there are features, else ``intensity_mean``.
    radius_arcsec : float
        Largest distance.
    """

    recovery: Recovery
    histograms: Integers
    edges: Floats
    column: str
    radius_arcsec: float


def recovery_of_archive(
    archive: Archive | str, radius_arcsec: float = RADIUS_ARCSEC
) -> RecoveryOfArchive:
    """Count, observation by observation, which regions other runs find too.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path.
    radius_arcsec : float
        Largest distance.

    Raises
    ------
    ArchiveError
        If the archive cannot be read.
    """
    archive = open_archive(archive)
    entries = [entry for entry in archive.entries() if entry.rows("regions")]
    runs = kinds_of_runs(archive.table("runs", columns=["t_bin", "e_lo", "e_hi"]).compute())
    features = archive.derived("features")
    column = "n_mean" if features is not None else "intensity_mean"
    edges = np.geomspace(1e-3, 1e4, 43)
    total = recovery(REGIONS.frame(), runs, radius_arcsec)
    for entry in entries:
        regions = archive.observation(entry.obsid, "regions")["regions"]
        total += recovery(regions, runs, radius_arcsec)
    rows = open_regions(archive, [column])
    wanted = tuple(rows.columns[name] for name in ("t_bin", "e_lo", "e_hi", column))
    frames = rows.selected(Table("regions", "Their counts", wanted, ())).frames()
    counts = sum(histograms(frame, runs, column, edges) for frame in frames)
    return RecoveryOfArchive(total, np.asarray(counts), edges, column, radius_arcsec)
