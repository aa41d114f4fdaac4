"""Filters: regions with their features, flags and counterparts -> those that filters keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.archive import Archive, open_archive
from exod.errors import ArchiveError, ConfigError
from exod.files.whole import whole_file
from exod.schemas import FEATURES, FLAGS, REGIONS
from exod.sources.recovery import RADIUS_ARCSEC, Recovery, histograms, kinds_of_runs, recovery
from exod.vetting.filterkinds import N_REGIONS
from exod.vetting.filters import Filter, added, apply, subset_counts

if TYPE_CHECKING:
    import dask.dataframe as dd

FORMATS: Final = (".csv", ".parquet")
"""Kinds of files that `save_rows` writes."""

"""Columns that regions have too."""


@dataclass(frozen=True)
class Filtered:
    """What filters keep of an archive.

    Attributes
    ----------
    kept : DataFrame
        Rows of regions, with the columns of the other tables that were read.
    counts : DataFrame
        As `exod.vetting.filters.apply` gives.
    subsets : DataFrame
        As `exod.vetting.filters.subset_counts` gives, of the rows that are kept.
    n_regions : int
        Regions before.
    left_out : dict of str to tuple of str
        Observations that are left out, by the product that does not have them as they are now.
    """

    kept: pd.DataFrame
    counts: pd.DataFrame
    subsets: pd.DataFrame
    n_regions: int
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def filter_archive(
    root: str,
    filters: Sequence[Filter],
    lists: Sequence[Sequence[Filter]] = (),
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> Filtered:
    """Apply filters to the regions of an archive.

    Parameters
    ----------
    root : str
        The archive.
    filters : sequence of Filter
        All of them must keep a region.
    lists : sequence of sequences of Filter
        For the counts of combinations: none or one filter from each.
    storage_options : dict, optional
        Options of the archive's fsspec file system.

    Raises
    ------
    ArchiveError
        If a product that a filter needs was never made.
    """
    import dask

    archive = open_archive(root, storage_options)
    every = [*filters, *(item for one in lists for item in one)]
    frame, left_out = open_regions(archive, [name for item in every for name in item.needs])
    tasks = [
        dask.delayed(_filtered)(part, list(filters), [list(one) for one in lists])
        for part in frame.to_delayed()
    ]
    results: Sequence[Filtered] = dask.compute(*tasks)
    subsets = results[0].subsets
    for result in results[1:]:
        subsets[["kept", "removed"]] += result.subsets[["kept", "removed"]]
    kept = pd.concat([result.kept for result in results], ignore_index=True)
    return Filtered(
        kept.sort_values("detid", ignore_index=True),
        added([result.counts for result in results]),
        subsets,
        sum(result.n_regions for result in results),
        left_out,
    )


def _filtered(
    rows: pd.DataFrame, filters: Sequence[Filter], lists: Sequence[Sequence[Filter]]
) -> Filtered:
    kept, counts = apply(filters, rows)
    return Filtered(kept, counts, subset_counts(kept, *lists), len(rows))


def open_regions(
    archive: Archive, needed: Iterable[str] = ()
) -> tuple[dd.DataFrame, dict[str, tuple[str, ...]]]:
    """Regions with what filters need of other tables, lazily.

    Parameters
    ----------
    archive : Archive
        The archive.
    needed : iterable of str
        Columns of features, flags and cross-matches, besides those of regions.

    Returns
    -------
    regions : dask.dataframe.DataFrame
        All columns of regions and ``n_regions_observation``; of features and flags all columns if
        one is needed; of a cross-match those that are needed.
    left_out : dict of str to tuple of str
        Observations whose regions are left out, by the product that does not have them as they
        are now.

    Raises
    ------
    ArchiveError
        If no table has a column, or a product was never made.
    """
    import dask

    wanted = set(needed) - set(REGIONS.schema.names) - {N_REGIONS}
    counts = {entry.obsid: entry.rows("regions") for entry in archive.entries()}
    frame = archive.regions
    frame = frame.assign(**{N_REGIONS: frame["obsid"].map(counts, meta=(N_REGIONS, "int64"))})
    left_out: dict[str, tuple[str, ...]] = {}
    with dask.config.set({"dataframe.convert-string": False}):
        for table in (FEATURES, FLAGS):
            if wanted & set(table.schema.names):
                extra = archive.derived_table(table.name, table.name)
                new = [name for name in extra.columns if name not in frame.columns]
                frame = frame.merge(extra[["detid", *new]], on="detid", how="left")
                wanted -= set(table.schema.names)
                left_out[table.name] = _outdated(archive, table.name)
        if wanted:
            members = archive.members[["detid", "region_num", "srcid"]]
            frame = frame.merge(members, on="detid", how="left")
            left_out["unique"] = _outdated(archive, "unique")
            for match in _matches(archive, wanted):
                frame = frame.merge(match, on="region_num", how="left")
    without = {obsid for obsids in left_out.values() for obsid in obsids}
    if without:
        frame = frame[~frame["obsid"].isin(sorted(without))]
    return frame, {product: obsids for product, obsids in left_out.items() if obsids}


def _outdated(archive: Archive, product: str) -> tuple[str, ...]:
    """Observations with regions that a product does not have as they are now."""
    derived = archive.derived(product)
    attempts = derived.attempts if derived else {}
    return tuple(
        entry.obsid
        for entry in archive.entries()
        if entry.rows("regions") and attempts.get(entry.obsid) != entry.attempt
    )


def _matches(archive: Archive, wanted: set[str]) -> Iterator[dd.DataFrame]:
    """The cross-matches that have the wanted columns."""
    left = set(wanted)
    for name in archive.matched:
        table = archive.matches(name)
        found = left & set(table.columns)
        if found:
            left -= found
            yield table[["region_num", *sorted(found)]]
    if left:
        raise ArchiveError(
            f"No cross-match of {archive.root} has the column {', '.join(sorted(left))}; match "
            f"with the catalogue first: `exod crossmatch {archive.root} --with NAME`."
        )


def save_rows(rows: pd.DataFrame, path: Path) -> Path:
    """Write rows as CSV or Parquet.

    Raises
    ------
    ConfigError
        If the name ends otherwise.
    ArchiveError
        If it cannot be written.
    """
    check_format(path)
    with whole_file(path, error=ArchiveError) as temporary:
        if path.suffix == ".csv":
            rows.to_csv(temporary, index=False)
        else:
            rows.to_parquet(temporary, index=False)
    return path


def check_format(path: Path) -> None:
    """Refuse a file that `save_rows` cannot write.

    Raises
    ------
    ConfigError
        If the name does not end as it should.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"Rows are written as {' or '.join(FORMATS)}, not as {path.name}.")


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
    histograms: NDArray[np.int64]
    edges: NDArray[np.float64]
    column: str
    radius_arcsec: float


def recovery_of_archive(
    root: str,
    radius_arcsec: float = RADIUS_ARCSEC,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> RecoveryOfArchive:
    """Count, observation by observation, which regions other runs find too.

    Parameters
    ----------
    root : str
        The archive.
    radius_arcsec : float
        Largest distance.
    storage_options : dict, optional
        Options of the archive's fsspec file system.

    Raises
    ------
    ArchiveError
        If the archive cannot be read.
    """
    import dask

    archive = open_archive(root, storage_options)
    entries = [entry for entry in archive.entries() if entry.rows("regions")]
    runs = kinds_of_runs(archive.table("runs", columns=["t_bin", "e_lo", "e_hi"]).compute())
    features = archive.derived("features")
    column = "n_mean" if features is not None else "intensity_mean"
    edges = np.geomspace(1e-3, 1e4, 43)
    total = recovery(REGIONS.frame(), runs, radius_arcsec)
    for entry in entries:
        regions = archive.observation(entry.obsid, "regions")["regions"]
        total += recovery(regions, runs, radius_arcsec)
    rows = open_regions(archive, [column])[0][["t_bin", "e_lo", "e_hi", column]]
    tasks = [dask.delayed(histograms)(part, runs, column, edges) for part in rows.to_delayed()]
    counts = np.sum(dask.compute(*tasks), axis=0)
    return RecoveryOfArchive(total, counts, edges, column, radius_arcsec)
