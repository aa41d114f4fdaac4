"""Tables of the archive that pages show as they are, without folders of the search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from exod.archive.questions.detections import Rows
from exod.archive.snapshot import Snapshot
from exod.errors import without_places
from exod.schemas.columns import Table

WHOLE: Final = (
    *("observations", "exposures", "runs", "lineage"),
    *("rates", "hot_pixels", "hot_regions"),
)
"""The tables."""

_WORDS: Final = ("filename", "reason", "notes")
"""Columns in which folders may be named."""


def whole_rows(snapshot: Snapshot, name: str) -> tuple[Table, Iterator[pa.Table]]:
    """A table and its rows.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.
    name : str
        One of `WHOLE`.
    """
    rows = Rows(snapshot, name)
    table = Table(name, snapshot.table(name).description, tuple(rows.columns.values()), ())
    chunks = rows.selected(table).chunks()
    return table, (for_readers(chunk, snapshot.store.root) for chunk in chunks)


def for_readers(rows: pa.Table, root: str) -> pa.Table:
    """The same rows for readers at other machines.

    Parameters
    ----------
    rows : pyarrow.Table
        Rows of any table.
    root : str
        The archive.

    Examples
    --------
    >>> rows = pa.table({"reason": ["/data/survey/a.FTZ is no FITS file.", None]})
    >>> for_readers(rows, "/data/results")["reason"].to_pylist()
    ['a.FTZ is no FITS file.', None]
    """
    for place, field in enumerate(rows.schema):
        if field.name in _WORDS and pc.any(pc.match_substring(rows[field.name], "/")).as_py():
            texts = [text and without_places(text, root) for text in rows[field.name].to_pylist()]
            rows = rows.set_column(place, field, pa.array(texts, field.type))
    return rows
