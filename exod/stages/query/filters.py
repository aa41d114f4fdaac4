"""Filters: regions with their features, flags and counterparts -> those that filters keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from exod.archive import Archive, open_archive
from exod.archive.questions.detections import Rows
from exod.archive.questions.sql import Question
from exod.archive.snapshot import MATCHES, Snapshot
from exod.errors import ArchiveError
from exod.schemas import FEATURES, FLAGS, REGIONS
from exod.schemas.columns import Column, Table
from exod.schemas.conditions import parse
from exod.sources.vetting.filterkinds import N_REGIONS
from exod.sources.vetting.filters import COUNTS, Filter, count_rows, framed, subset_rows, subsets
from exod.stages.query.rows import kind_of

if TYPE_CHECKING:
    import pandas as pd

_N_REGIONS: Final = Column(
    N_REGIONS, pa.int64(), "", "Regions of the observation, all runs together"
)


@dataclass(frozen=True)
class Filtered:
    """What filters keep of an archive: it is counted, and its rows are read when they are taken.

    Attributes
    ----------
    question : Question
        What gives the rows: columns of regions and of the other tables that were read.
    n_kept : int
        How many there are.
    n_regions : int
        Regions before.
    count_rows, subset_rows : list of dict
        The rows of `counts` and `subsets`.
    n_sources : int or None
        Unique sources of the rows that are kept, if regions were joined to sources.
    left_out : dict of str to tuple of str
        Observations that are left out, by the product that does not have them as they are now.
    """

    question: Question
    n_kept: int
    n_regions: int
    count_rows: list[dict[str, Any]]
    subset_rows: list[dict[str, Any]]
    n_sources: int | None = None
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def kept(self) -> pd.DataFrame:
        """The rows that are kept."""
        return self.question.computed()

    @property
    def counts(self) -> pd.DataFrame:
        """As `exod.sources.vetting.filters.apply` gives."""
        return framed(self.count_rows, COUNTS)

    @property
    def subsets(self) -> pd.DataFrame:
        """As `exod.sources.vetting.filters.subset_counts` gives, of the rows that are kept.

        The column sources has their unique sources, likewise.
        """
        return framed(self.subset_rows)


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
    kept, alone = counts[: len(own)], counts[len(own) : 2 * len(own)]
    chosen = counts[2 * len(own) :]
    table = Table("regions", "Regions that filters keep", tuple(rows.columns.values()), ())
    sources, behind = _sources(archive, every, chosen_tests)
    return Filtered(
        rows.selected(table, own, [rows.names["detid"]]),
        chosen[0],
        n_rows,
        count_rows(filters, n_rows, kept, alone),
        subset_rows(choices, chosen[0], chosen, sources),
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
