"""EXTraS: its sources and regions of the same observations -> how many each has of the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.archive.questions.detections import detections
from exod.archive.snapshot import Snapshot
from exod.catalogue.report import inputs
from exod.catalogue.report.comparisons import ExtrasComparison, compare_extras
from exod.schemas.columns import Table
from exod.stages.report.giventables import read_extras


def compared_with_extras(
    archive: Archive, status: pd.DataFrame, path: str | Path
) -> ExtrasComparison | None:
    """Compare the archive with a table of EXTraS; None if regions were not joined to sources.

    Parameters
    ----------
    archive : Archive
        The archive.
    status : DataFrame
        Its status.
    path : path
        The table.

    Raises
    ------
    InputError
        If the table cannot be read or lacks a column.
    """
    searched = searched_observations(status)
    theirs = read_extras(path, searched)
    if archive.derived("unique") is None:
        return None
    return ExtrasComparison(
        searched=len(searched),
        theirs=theirs.n_observations,
        common=theirs.rows["obsid"].nunique(),
        counts=compare_extras(theirs.rows, _regions(archive)),
        unknown=int(np.isnan(theirs.rows["p"].to_numpy(float)).sum()),
    )


def searched_observations(status: pd.DataFrame) -> list[str]:
    """The observations that were searched, whatever was found."""
    found: list[str] = status["obsid"][status["status"].isin(["OK", "EMPTY"])].tolist()
    return found


def _regions(archive: Archive) -> Iterator[pd.DataFrame]:
    """Regions with their sources, some at a time."""
    rows = detections(Snapshot(archive), parts=["members"])
    columns = tuple(rows.columns[name] for name in inputs.COMPARED)
    for frame in rows.selected(Table("regions", "Regions to compare", columns, ())).frames():
        sigma = frame[["sigma_peak", "sigma_eclipse"]].max(axis=1)
        yield frame.assign(sigma=sigma)
