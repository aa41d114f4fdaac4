"""Cutouts: the counts of cells around each detection in its run, and its significant cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exod.archive.questions.detections import Rows, detections
from exod.archive.snapshot import Snapshot
from exod.schemas.columns import Table
from exod.schemas.explorer import CUTOUTS, FIELDS
from exod.stages.explore.coverage import read_rows
from exod.stages.explore.fields import field_runs

HALF: Final = 20
"""Cells on either side of the one in which the best detection of a source is."""

SMALL_HALF: Final = 8
"""The same of other detections."""

CUTOUT_ROWS: Final = 64
"""Rows of a row group: a page reads one."""

CELL_ROWS: Final = 16_384
"""The same of significant cells."""

OUTSIDE: Final = -1
"""What cells have that are outside the image of the run."""


_OF_RUN: Final = ("subset", "y_lo", "y_hi", "x_lo", "x_hi", "size_arcsec")
_OF_CELL: Final = ("detid", "kind", "frame", "TIME_lo", "y", "x", "n", "mu", "B_log")


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


def cutout_rows(
    snapshot: Snapshot, on_field: Callable[[pa.Table], None] = lambda _rows: None
) -> Iterator[pa.Table]:
    """The cutouts of all detections, in the order of the archive's images.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.
    on_field : callable
        Is given rows of `exod.schemas.explorer.FIELDS`: images are read once.

    Returns
    -------
    iterator of pyarrow.Table
        Rows of `exod.schemas.explorer.CUTOUTS`: `HALF` cells on either side of the best detection
        of a source, `SMALL_HALF` of others.
    """
    wanted = _detections(snapshot)
    shown = frozenset(field_runs(snapshot)["runid"])
    images = Rows(snapshot, "images")
    about = {column.name: column for column in snapshot.table("runs").columns}
    keys = {"runid": "runid", "obsid": "obsid"}
    images.add_by("runs", keys, {name: about[name] for name in _OF_RUN})
    names = ("runid", "obsid", "n", *_OF_RUN)
    table = Table("images", "", tuple(images.columns[name] for name in names), ())
    for chunk in images.selected(table).chunks():
        runs = [run for run in chunk.to_pylist() if run["n"]]
        rows = [row for run in runs for row in _of_run(run, wanted.of(run["runid"]))]
        yield pa.Table.from_pylist(rows, schema=CUTOUTS.schema)
        fields = [{n: run[n] for n in FIELDS.schema.names} for run in runs if run["runid"] in shown]
        if fields:
            on_field(pa.Table.from_pylist(fields, schema=FIELDS.schema))


class _RegionsByRun(NamedTuple):
    """The detections in order of their runs, and where those of each begin and end."""

    rows: pa.Table
    ends: Mapping[str, tuple[int, int]]

    def of(self, runid: str) -> list[dict[str, Any]]:
        """Number, detection and cell of those of a run, and whether it is the best of a source."""
        start, stop = self.ends.get(runid, (0, 0))
        return list(self.rows.slice(start, stop - start).to_pylist())


def _detections(snapshot: Snapshot) -> _RegionsByRun:
    names = ("region_num", "runid", "detid", "y_centroid", "x_centroid")
    found = read_rows(detections(snapshot, ("members",)), *names)
    best = read_rows(Rows(snapshot, "sources"), "best_detid")["best_detid"]
    known = pc.and_(*(pc.is_finite(found[name]) for name in ("y_centroid", "x_centroid")))
    found = found.append_column("best", pc.is_in(found["detid"], best)).filter(known)
    found = found.sort_by([("runid", "ascending"), ("detid", "ascending")])
    runs = pc.run_end_encode(found["runid"].combine_chunks(), run_end_type=pa.int64())
    stops = runs.run_ends.to_pylist()
    return _RegionsByRun(
        found, dict(zip(runs.values.to_pylist(), pairwise([0, *stops]), strict=True))
    )


def _of_run(run: dict[str, Any], regions: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if not regions:
        return
    shape = run["y_hi"] - run["y_lo"], run["x_hi"] - run["x_lo"]
    image = np.asarray(run["n"], np.int32).reshape(shape)
    for region in regions:
        y, x = round(region["y_centroid"]), round(region["x_centroid"])
        half = HALF if region["best"] else SMALL_HALF
        yield {
            **{name: region[name] for name in ("region_num", "detid")},
            **{name: run[name] for name in ("obsid", "subset", "size_arcsec")},
            **{"y": y, "x": x},
            "n": cut_around(image, y - run["y_lo"], x - run["x_lo"], half).ravel(),
        }


def cell_rows(snapshot: Snapshot) -> tuple[Table, Iterator[pa.Table]]:
    """The significant cells of all detections, by these.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.

    Returns
    -------
    Table, iterator of pyarrow.Table
        The columns, with the detection in front, and the rows.
    """
    rows = Rows(snapshot, "cells")
    about = {column.name: column for column in snapshot.table("regions").columns}
    keys = {name: name for name in ("runid", "obsid", "label")}
    rows.add_by("regions", keys, {"detid": about["detid"]})
    columns = tuple(rows.columns[name] for name in _OF_CELL)
    table = Table("cells", "Significant cells of each detection", columns, ())
    order = [rows.names[name] for name in ("detid", "frame", "y", "x", "kind")]
    return table, rows.selected(table, order=order).chunks()
