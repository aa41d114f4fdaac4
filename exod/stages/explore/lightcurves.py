"""The light curves of the explorer: those of one source are together, in few groups of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from exod.archive.questions.detections import Rows
from exod.archive.snapshot import Snapshot
from exod.schemas.columns import Column, Table

LIGHT_CURVE_ROWS: Final = 16_384
"""Rows of a row group: one is read for most sources, and the footer of a survey stays small."""

_COLUMNS: Final = ("detid", "time", "n", "mu", "live", "bti", "bccd", "B_peak_log", "B_eclipse_log")


def light_curve_rows(snapshot: Snapshot) -> tuple[Table, Iterator[pa.Table]]:
    """The light curves of all regions with a source, sorted by source, region and time.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.

    Returns
    -------
    Table, iterator of pyarrow.Table
        The columns, with the number of the source in front, and the rows, some at a time.
    """
    rows = Rows(snapshot, "lightcurves")
    number: Column = next(c for c in snapshot.table("members").columns if c.name == "region_num")
    rows.add_by("members", {"detid": "detid"}, {"region_num": number})
    wanted = ("region_num", *_COLUMNS)
    columns = tuple(rows.columns[name] for name in wanted)
    table = Table("lightcurves", "Light curves of all regions of each source", columns, ())
    order = [rows.names[name] for name in ("region_num", "detid", "time")]
    return table, rows.selected(table, order=order).chunks()
