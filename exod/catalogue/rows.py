"""Rows of the catalogue, put together from the tables of an archive, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from exod.archive.questions.detections import PARTS, Rows, detections
from exod.archive.snapshot import MATCHES, Snapshot
from exod.catalogue.columns import BEST, CatalogueTable, best_columns, corrected_columns
from exod.errors import ArchiveError
from exod.schemas.columns import Table


def detection_rows(snapshot: Snapshot, table: CatalogueTable) -> Iterator[pa.Table]:
    """Detections, sorted by source and detid.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.
    table : CatalogueTable
        What `exod.catalogue.columns.detections` declares.
    """
    rows = detections(snapshot)
    if any(origin == "positions" for origin, _ in table.origins):
        rows.add_by("positions", {"detid": "detid"}, {c.name: c for c in corrected_columns()})
    return _selected(rows, table, ("region_num", "detid"))


def source_rows(
    snapshot: Snapshot, table: CatalogueTable, matches: Iterable[str], *, ordered: bool = True
) -> Iterator[pa.Table]:
    """Unique sources with what is known of their best detection and with their counterparts.

    Of counterparts and of history there is null where there is none.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.
    table : CatalogueTable
        What `exod.catalogue.columns.sources` declares.
    matches : iterable of str
        Catalogues that the sources were matched with.
    ordered : bool
        Whether they are sorted by number; otherwise in any order, which takes much less.
    """
    rows = Rows(snapshot, "sources")
    for name, columns in best_columns().items():
        rows.add_by(name, {"detid": "best_detid"}, {f"{BEST}{c.name}": c for c in columns})
    if any(origin == "longterm" for origin, _ in table.origins):
        rows.add_matches("longterm")
    for name in matches:
        rows.add_matches(f"{MATCHES}{name}")
    return _selected(rows, table, ("region_num",) if ordered else None)


def _selected(rows: Rows, table: CatalogueTable, order: Sequence[str] | None) -> Iterator[pa.Table]:
    # One number has one name in the archive, and may have two in the catalogue.
    there = [name for _, name in table.origins]
    columns = tuple(rows.columns[name] for name in dict.fromkeys(there))
    wanted = Table(f"{table.name} of the catalogue", "", columns, ())
    names = None if order is None else [rows.names[name] for name in order]
    for chunk in rows.selected(wanted, order=names).chunks():
        values = (chunk[name] for name in there)
        cells = zip(values, table.schema, strict=True)
        arrays = [cell.cast(field.type) for cell, field in cells]
        yield pa.Table.from_arrays(arrays, schema=table.schema)


def count_detections(snapshot: Snapshot) -> int:
    """The number of regions that have a source.

    Raises
    ------
    ArchiveError
        If some of them lack features or flags.
    """
    found = _count(snapshot, "members")
    for name in PARTS:
        lack = found - _count(snapshot, "members", name) if name != "members" else 0
        if lack > 0:
            raise ArchiveError(f"{lack} detections have no {name}; run `exod {name}` again.")
    return found


def _count(snapshot: Snapshot, *parts: str) -> int:
    rows = detections(snapshot, dict.fromkeys(parts))
    only = Table("detections", "", (rows.columns["detid"],), ())
    return sum(map(len, rows.selected(only).chunks()))


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
