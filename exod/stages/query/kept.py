"""Kept: regions that filters keep -> their unique sources and their light curves, as questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa

from exod.archive import Archive
from exod.archive.questions.detections import Rows
from exod.archive.questions.sql import Question
from exod.schemas import LIGHTCURVES
from exod.schemas.columns import Column, Table
from exod.sources.vetting.filters import Filter
from exod.stages.query.filters import open_regions, tests_of

KEPT: Final = (
    Column("n_kept", pa.int64(), "", "Regions of the source that the filters keep"),
    Column("n_kept_observations", pa.int64(), "", "Observations with such a region"),
)
"""Columns of the sources that filters keep, besides those of all sources."""


def sources_kept(archive: Archive, filters: Sequence[Filter]) -> Question:
    """The unique sources with a region that all filters keep, by their number.

    Parameters
    ----------
    archive : Archive
        The archive.
    filters : sequence of Filter
        All of them must keep a region.

    Returns
    -------
    Question
        The columns of sources, and `KEPT`; nothing is read before its rows are taken.

    Raises
    ------
    ArchiveError
        If the regions were not joined to sources, or a product that a filter needs was not made.
    """
    (kept,) = _kept(archive, filters, ["detid", "obsid", "region_num"])
    sources = Rows(kept.snapshot, "sources")
    columns = tuple(sources.columns.values())
    all_sources = sources.selected(Table("sources", "", columns, ())).text
    numbers = "count(*) AS n_kept, count(DISTINCT obsid) AS n_kept_observations"
    counted = f"SELECT region_num, {numbers} FROM ({kept.text}) GROUP BY region_num"  # noqa: S608
    text = f"SELECT * FROM ({all_sources}) JOIN ({counted}) USING (region_num)"  # noqa: S608
    about = "Unique sources with a region that filters keep"
    first, *others = columns
    table = Table("sources", about, (first, *others, *KEPT), ("region_num",))
    names = ", ".join(table.schema.names)
    text = f"SELECT {names} FROM ({text})"  # noqa: S608
    files = {**kept.files, **sources.files}
    return Question(kept.snapshot, table, text, " ORDER BY region_num", "sources", files)


def light_curves_kept(archive: Archive, filters: Sequence[Filter]) -> Question:
    """The light curves of the regions that all filters keep, as the table lightcurves has them.

    Parameters
    ----------
    archive : Archive
        The archive.
    filters : sequence of Filter
        All of them must keep a region. Their observations are looked up: the files of others are
        not opened.

    Returns
    -------
    Question
        Its rows come in order of run, region and time, some at a time: there may be more of them
        than fit in memory.

    Raises
    ------
    ArchiveError
        If a product that a filter needs was not made.
    """
    kept, observations = _kept(archive, filters, ["detid"], ["obsid"])
    obsids = {obsid for rows in observations.chunks() for obsid in rows["obsid"].to_pylist()}
    curves = Rows(kept.snapshot, LIGHTCURVES.name, sorted(obsids))
    every = curves.selected(LIGHTCURVES.shown).text
    text = f"SELECT * FROM ({every}) WHERE detid IN ({kept.text})"  # noqa: S608
    files = {**kept.files, **curves.files}
    ordered = " ORDER BY runid, label, time"
    return Question(kept.snapshot, LIGHTCURVES.shown, text, ordered, LIGHTCURVES.name, files)


def _kept(
    archive: Archive, filters: Sequence[Filter], *choices: Sequence[str]
) -> Iterator[Question]:
    """The regions that all filters keep: a question for each choice of their columns."""
    rows = open_regions(archive, [name for item in filters for name in item.needs])
    if any("region_num" in names for names in choices) and "members" not in rows.files:
        rows.add_part("members")
    tests = tests_of(rows, filters)
    for names in choices:
        table = Table("kept", "", tuple(rows.columns[name] for name in names), ())
        yield rows.selected(table, [tests[item] for item in filters])
