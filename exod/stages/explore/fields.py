"""What the pages of observations show of the search: fields, outlines, bad time, how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from exod.archive import Archive
from exod.archive.questions.detections import Rows
from exod.archive.snapshot import Snapshot
from exod.errors import without_places
from exod.schemas import BTI
from exod.schemas.arrays import Mask
from exod.schemas.explorer import OUTLINES, SEARCHES
from exod.sources.footprints import Footprint
from exod.stages.explore.coverage import footprints_of, read_columns

FIELD_ROWS: Final = 16
"""Rows of a row group: a page reads one or two."""

_STRENGTH: Final = ["n_regions", "n_events"]


def field_runs(snapshot: Snapshot) -> pd.DataFrame:
    """The run of each subset of an observation whose image the pages show: with most regions.

    Returns
    -------
    DataFrame
        obsid, subset, runid, t_bin; among runs with as many regions that with most photons.
    """
    names = ("obsid", "subset", "runid", "t_bin", *_STRENGTH)
    runs = read_columns(Rows(snapshot, "runs"), *names)
    order = runs.sort_values([*_STRENGTH, "runid"], ascending=[False, False, True])
    first = order.drop_duplicates(["obsid", "subset"]).sort_values(["obsid", "subset"])
    return first.drop(columns=_STRENGTH).reset_index(drop=True)


def bad_time_rows(snapshot: Snapshot) -> Iterator[pa.Table]:
    """Bad time of the run of each observation with the shortest frames, which tell it best."""
    runs = read_columns(Rows(snapshot, "runs"), "obsid", "runid", "t_bin")
    shortest = runs.sort_values(["t_bin", "runid"]).drop_duplicates("obsid")
    wanted = pa.array(shortest["runid"].to_numpy(object), pa.string())
    for chunk in Rows(snapshot, BTI.name).selected(BTI).chunks():
        yield chunk.filter(pc.is_in(chunk["runid"], value_set=wanted))


def search_rows(archive: Archive) -> Iterator[pa.Table]:
    """Rows of `exod.schemas.explorer.SEARCHES`: how the search of each observation ended."""
    entries = sorted(archive.entries(), key=lambda entry: entry.obsid)
    rows = [
        {
            "obsid": entry.obsid,
            "status": entry.status,
            "reason": without_places(entry.reason, archive.root),
            "attempt": entry.attempt,
            "seconds": entry.seconds,
            "peak_memory_mb": entry.peak_memory_mb,
            "finished": f"{entry.finished:%Y-%m-%dT%H:%M:%SZ}",
        }
        for entry in entries
    ]
    yield pa.Table.from_pylist(rows, schema=SEARCHES.schema)


def outline_rows(snapshot: Snapshot) -> Iterator[pa.Table]:
    """Rows of `exod.schemas.explorer.OUTLINES`: where the fields end, in the order of the sky."""
    known = read_columns(Rows(snapshot, "observations"), "obsid", "pa_pnt").set_index("obsid")
    # A field across partitions of the sky has a row in each.
    seen: set[tuple[str, int]] = set()
    for fields, footprints in footprints_of(snapshot):
        rows = []
        for row, footprint in zip(fields, footprints, strict=True):
            key = row["obsid"], row["subset"]
            if key not in seen and row["obsid"] in known.index:
                rows.append(_outline_row(row, footprint, float(known.loc[row["obsid"], "pa_pnt"])))
            seen.add(key)
        yield pa.Table.from_pylist(rows, schema=OUTLINES.schema)


def _outline_row(row: dict[str, Any], footprint: Footprint, pa_pnt: float) -> dict[str, Any]:
    plane, box, lines = footprint.plane, footprint.box, outline(footprint.mask)
    return {
        **{name: row[name] for name in ("obsid", "subset", "size_arcsec")},
        "x_pnt": plane.x_ref / footprint.width,
        "y_pnt": plane.y_ref / footprint.width,
        "pa_pnt": pa_pnt,
        **{name: lines[:, place] + box.x_lo for place, name in ((0, "x_from"), (2, "x_to"))},
        **{name: lines[:, place] + box.y_lo for place, name in ((1, "y_from"), (3, "y_to"))},
    }


def outline(mask: Mask) -> NDArray[np.int16]:
    """The lines between cells that are covered and those that are not.

    Parameters
    ----------
    mask : bool array, shape (y, x)
        Whether each cell is covered; those beyond its ends are not.

    Returns
    -------
    int16 array, shape (n, 4)
        Of each line x and y of its beginning and its end, in cells: those along x first.

    Examples
    --------
    >>> outline(np.array([[True, True]])).tolist()
    [[0, 0, 2, 0], [0, 1, 2, 1], [0, 0, 0, 1], [2, 0, 2, 1]]
    """
    along_x = _lines(mask)
    # Those along y are those of the turned mask.
    along_y = _lines(mask.T)[:, [1, 0, 3, 2]]
    return np.concatenate([along_x, along_y]).astype(np.int16)


def _lines(mask: Mask) -> NDArray[np.int64]:
    """Lines along x, each as long as it can be."""
    edges = np.diff(np.pad(mask, 1), axis=0)[:, 1:-1]
    ends = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    # Both are in order of y, then x, so that beginnings and ends come in pairs.
    y, start = np.nonzero(ends == 1)
    _, stop = np.nonzero(ends == -1)
    return np.stack([start, y, stop, y], axis=1)
