"""Rows of the catalogue, put together from the tables of an archive.

References
----------
(method.md, Catalogue)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from exod.catalogue.columns import CatalogueTable
from exod.errors import ArchiveError


def detection_rows(
    table: CatalogueTable,
    regions: pd.DataFrame,
    members: pd.DataFrame,
    features: pd.DataFrame,
    flags: pd.DataFrame,
) -> pd.DataFrame:
    """Join regions with their source, features and flags.

    Parameters
    ----------
    table : CatalogueTable
        What `exod.catalogue.columns.detections` declares.
    regions, members, features, flags : DataFrame
        The tables of the archive, one row a region each.

    Returns
    -------
    DataFrame
        The columns of `table`, one row a region that has a source, sorted by source and detid.

    Raises
    ------
    ArchiveError
        If a table has a region twice, or a region that has a source lacks features or flags.
    """
    found = regions
    for name, other in (("members", members), ("features", features), ("flags", flags)):
        if other["detid"].duplicated().any():
            raise ArchiveError(f"The table {name} has {_example(other)} twice; make it again.")
        missing = found.loc[~found["detid"].isin(other["detid"]), "detid"]
        # A region without a source is not lost: the clustering says why it has none.
        if name != "members" and len(missing):
            raise ArchiveError(
                f"{len(missing)} detections have no {name}, for instance {missing.iloc[0]}; run "
                f"`exod {name}` again."
            )
        wanted = table.taken_from(name)
        found = found.merge(
            other[["detid", *wanted]].rename(columns=wanted), on="detid", how="inner"
        )
    found = found.rename(columns=table.taken_from("regions"))
    found = found.sort_values(["unique_reg_id", "detid"], ignore_index=True)
    return found[table.schema.names]


def _example(frame: pd.DataFrame) -> str:
    return str(frame.loc[frame["detid"].duplicated(), "detid"].iloc[0])


def source_rows(
    table: CatalogueTable, unique: pd.DataFrame, matches: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Join unique sources with their counterparts.

    Parameters
    ----------
    table : CatalogueTable
        What `exod.catalogue.columns.sources` declares.
    unique : DataFrame
        The table of the archive.
    matches : dict of str to DataFrame
        Cross-matches by the name of their catalogue, at most one row a source.

    Returns
    -------
    DataFrame
        The columns of `table`, one row a source, sorted by number; nulls where a source has no
        counterpart.

    Raises
    ------
    ArchiveError
        If a cross-match has a source twice, or one that does not exist.
    """
    found = unique
    for name, match in matches.items():
        problem = match_problem(match["region_num"].to_numpy(), unique["region_num"].to_numpy())
        if problem:
            raise ArchiveError(f"The cross-match with {name} {problem}; run it again.")
        wanted = table.taken_from(f"xmatch-{name}")
        extra = match[["region_num", *wanted]].rename(columns=wanted)
        found = found.merge(extra, on="region_num", how="left")
    found = found.sort_values("region_num", ignore_index=True)
    return found[table.schema.names]


def match_problem(matched: np.ndarray, sources: np.ndarray) -> str:
    """What is wrong with the sources of a cross-match; empty if nothing is.

    Parameters
    ----------
    matched, sources : int64 array
        Numbers of the sources that the match has, and of those that exist.

    Examples
    --------
    >>> match_problem(np.array([1, 7]), np.array([0, 1]))
    'has the source 7, which does not exist'
    """
    numbers, counts = np.unique(matched, return_counts=True)
    if (counts > 1).any():
        return f"has the source {numbers[counts > 1][0]} twice"
    unknown = np.setdiff1d(numbers, sources)
    return f"has the source {unknown[0]}, which does not exist" if len(unknown) else ""
