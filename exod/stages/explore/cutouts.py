"""Finders: the counts of cells around each source, in the run of its best detection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from exod.archive.questions.detections import Rows
from exod.archive.snapshot import Snapshot
from exod.schemas.columns import Column, Table

HALF: Final = 20
"""Cells on either side of the one in which the source is."""

CUTOUT_ROWS: Final = 64
"""Rows of a row group: a page reads one."""

OUTSIDE: Final = -1
"""What cells have that are outside the image of the run."""


_BOX: Final = ("y_lo", "y_hi", "x_lo", "x_hi", "size_arcsec")


def cut_around(image: np.ndarray, y: int, x: int, half: int = HALF) -> np.ndarray:
    """The cells around one.

    Parameters
    ----------
    image : int array, shape (y, x)
        Counts.
    y, x : int
        The cell in the middle; it may be outside the image.
    half : int
        Cells on either side.

    Returns
    -------
    int32 array, shape (2 * half + 1, 2 * half + 1)
        `OUTSIDE` where there is no image.

    Examples
    --------
    >>> cut_around(np.array([[1, 2], [3, 4]]), 0, 1, half=1)
    array([[-1, -1, -1],
           [ 1,  2, -1],
           [ 3,  4, -1]], dtype=int32)
    """
    found = np.full((2 * half + 1, 2 * half + 1), OUTSIDE, np.int32)
    rows = np.arange(y - half, y + half + 1)
    columns = np.arange(x - half, x + half + 1)
    there = (rows >= 0) & (rows < image.shape[0])
    beside = (columns >= 0) & (columns < image.shape[1])
    found[np.ix_(there, beside)] = image[np.ix_(rows[there], columns[beside])]
    return found


def cutout_rows(snapshot: Snapshot) -> tuple[Table, Iterator[pa.Table]]:
    """The finders of all sources, in the order of the archive's images.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.

    Returns
    -------
    Table, iterator of pyarrow.Table
        Of each source its number, detection, size of a cell, and the counts of
        (2 * `HALF` + 1) squared cells in order of y, then x.
    """
    columns = (
        Column("region_num", pa.int64(), "", "Number of the unique source", ucd="meta.record"),
        Column("detid", pa.string(), "", "Its best detection"),
        Column("size_arcsec", pa.float64(), "arcsec", "Width of a cell"),
        Column("n", pa.list_(pa.int32()), "ct", "Counts; -1 outside the image of the run"),
    )
    table = Table(
        "cutouts", "Counts around each source, in the run of its best detection", columns, ()
    )
    return table, _cutouts(snapshot, table)


def _cutouts(snapshot: Snapshot, table: Table) -> Iterator[pa.Table]:
    wanted = _best(snapshot)
    images = Rows(snapshot, "images")
    about = {column.name: column for column in snapshot.table("runs").columns}
    keys = {"runid": "runid", "obsid": "obsid"}
    images.add_by("runs", keys, {name: about[name] for name in _BOX})
    names = ("runid", "n", *_BOX)
    question = images.selected(
        Table("images", "", tuple(images.columns[name] for name in names), ())
    )
    found = False
    for chunk in question.chunks():
        rows = [own for run in chunk.to_pylist() for own in _of_run(run, wanted[run["runid"]])]
        if rows or not found:
            found = True
            yield pa.Table.from_pylist(rows, schema=table.schema)


def _best(snapshot: Snapshot) -> dict[str, list[dict[str, Any]]]:
    """Number, detection and cell of each source, by the run of its best detection."""
    sources = Rows(snapshot, "sources")
    about = {column.name: column for column in snapshot.table("regions").columns}
    names = ("runid", "detid", "y_centroid", "x_centroid")
    sources.add_by("regions", {"detid": "best_detid"}, {name: about[name] for name in names})
    columns = [sources.columns[name] for name in ("region_num", *names)]
    table = Table("sources", "", tuple(replace(c, nullable=True) for c in columns), ())
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for chunk in sources.selected(table).chunks():
        for row in chunk.to_pylist():
            found[row["runid"]].append(row)
    return found


def _of_run(run: dict[str, Any], sources: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if not sources or not run["n"]:
        return
    shape = run["y_hi"] - run["y_lo"], run["x_hi"] - run["x_lo"]
    image = np.asarray(run["n"], np.int32).reshape(shape)
    for source in sources:
        if source["y_centroid"] is None or source["x_centroid"] is None:
            continue
        y = round(source["y_centroid"]) - run["y_lo"]
        x = round(source["x_centroid"]) - run["x_lo"]
        yield {
            "region_num": source["region_num"],
            "detid": source["detid"],
            "size_arcsec": run["size_arcsec"],
            "n": cut_around(image, y, x).ravel(),
        }
