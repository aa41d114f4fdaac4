"""Recovery: regions of an archive -> which runs find the regions of the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exod.archive import Archive, open_archive
from exod.schemas import REGIONS
from exod.schemas.arrays import Floats, Integers
from exod.schemas.columns import Table
from exod.sources.recovery import RADIUS_ARCSEC, Recovery, histograms, kinds_of_runs, recovery
from exod.stages.query.filters import open_regions


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
