"""The light curves of the explorer: those of one source are together, in few groups of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exod.archive.derived import Derived
from exod.archive.parquet import to_pandas
from exod.archive.questions.detections import Rows, detections, listed
from exod.archive.snapshot import Snapshot
from exod.schemas.columns import Column, Table
from exod.schemas.explorer import NEIGHBOURS
from exod.stages.explore.coverage import read_columns
from exod.stages.explore.merging import ORDER, ChangedCurves, EarlierFile
from exod.stages.explore.writing import fits

LIGHT_CURVE_ROWS: Final = 16_384
"""Rows of a row group: one is read for most sources, and the footer of a survey stays small."""

_COLUMNS: Final = ("detid", "time", "n", "mu", "live", "bti", "bccd", "B_peak_log", "B_eclipse_log")


CURVES_KNOWN: Final = "curves_known"
"""The parameter that says whether the detections tell what all its light curves depend on."""

_OF_DETECTION: Final = ("region_num", "srcid", "t_bin", "t_start", "t_stop", "hr_event")
"""What rows of a light curve, and its numbers, depend on besides the observation."""


def light_curve_rows(
    snapshot: Snapshot, obsids: Sequence[str] | None = None
) -> tuple[Table, Iterator[pa.Table]]:
    """The light curves of all regions with a source, sorted by source, region and time.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.
    obsids : sequence of str, optional
        The observations that are wanted; all if not given.

    Returns
    -------
    Table, iterator of pyarrow.Table
        The columns, with the number of the source in front, and the rows, some at a time.
    """
    rows = Rows(snapshot, "lightcurves", obsids)
    number: Column = next(c for c in snapshot.table("members").columns if c.name == "region_num")
    rows.add_by("members", {"detid": "detid"}, {"region_num": number})
    wanted = ("region_num", *_COLUMNS)
    columns = tuple(rows.columns[name] for name in wanted)
    table = Table("lightcurves", "Light curves of all regions of each source", columns, ())
    order = [rows.names[name] for name, _ in ORDER]
    some = [] if obsids is None else [f"{rows.names['obsid']} IN ({listed(obsids)})"]
    return table, rows.selected(table, some, order=order).chunks()


def detections_with_curves(snapshot: Snapshot) -> pd.DataFrame | None:
    """What light curves of the archive depend on, a row a detection; None if some are not told.

    Of regions without features there are light curves, and no detections.
    """
    if any(map(snapshot.behind, ("unique", "features"))):
        return None
    names = ("detid", "obsid", *_OF_DETECTION)
    found = read_columns(detections(snapshot, ("members", "features")), *names)
    (members,) = Rows(snapshot, "members").counts([])
    return found if len(found) == members else None


def changed_curves(
    now: pd.DataFrame, before: pd.DataFrame, attempts: Mapping[str, str], earlier: Mapping[str, str]
) -> ChangedCurves | None:
    """The light curves that are not as they are in an earlier version of the product.

    Parameters
    ----------
    now, before : DataFrame
        What `detections_with_curves` finds, and found then.
    attempts, earlier : dict of str to str
        The attempts of the observations of the archive now and then.

    Returns
    -------
    ChangedCurves or None
        None if so much has changed that nothing is worth keeping.
    """
    found = now.set_index("detid").reindex(before["detid"])
    same = np.ones(len(before), bool)
    for name in ("obsid", *_OF_DETECTION):
        kind = object if name in ("obsid", "srcid") else float
        was, value = (rows[name].to_numpy(kind) for rows in (before, found))
        same &= (was == value) | (pd.isna(was) & pd.isna(value))
    every = attempts.keys() | earlier.keys()
    changed = {obsid for obsid in every if attempts.get(obsid) != earlier.get(obsid)}
    is_known = now["detid"].isin(before["detid"][same])
    changed |= {*before["obsid"][~same], *now["obsid"][~is_known]}
    if 2 * len(changed) > len(attempts):
        return None
    old, new = (rows[rows["obsid"].isin(changed)] for rows in (before, now))
    numbers = np.union1d(old["region_num"].to_numpy(np.int64), new["region_num"].to_numpy(np.int64))
    gone = pa.array(old["detid"].to_numpy(object), pa.string())
    return ChangedCurves(tuple(sorted(changed)), gone, numbers)


@contextmanager
def earlier_curves(
    snapshot: Snapshot,
    now: pd.DataFrame | None,
    earlier: Derived | None,
    attempts: Mapping[str, str],
) -> Iterator[tuple[EarlierFile, ChangedCurves] | None]:
    """The light curves of an earlier version of the product, and which have changed since.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.
    now : DataFrame, optional
        What `detections_with_curves` has found.
    earlier : Derived, optional
        The earlier version.
    attempts : dict of str to str
        The attempts of the observations of the archive.

    Yields
    ------
    (EarlierFile, ChangedCurves) or None
        None if nothing is worth keeping, or it is not known what has changed.
    """
    if now is None or earlier is None or not earlier.parameters.get(CURVES_KNOWN):
        yield None
        return
    (file,) = earlier.of("detections")
    with snapshot.store.open(file.path, file.stored.seal) as source:
        before = pq.read_table(source, columns=["detid", "obsid", *_OF_DETECTION])
    found = changed_curves(now, to_pandas(before), attempts, earlier.attempts)
    (file,) = earlier.of("lightcurves")
    with EarlierFile.opened(snapshot.store, file) as opened:
        fitting = fits(opened, light_curve_rows(snapshot, ())[0])
        is_good = fitting and not opened.is_in_pieces(LIGHT_CURVE_ROWS)
        yield (opened, found) if found and is_good else None


def earlier_neighbours(snapshot: Snapshot, earlier: Derived, changed: ChangedCurves) -> pa.Table:
    """The numbers of the light curves of an earlier version of the product that still count."""
    (file,) = earlier.of(NEIGHBOURS.name)
    with snapshot.store.open(file.path, file.stored.seal) as source:
        rows = pq.read_table(source)
    return rows.filter(pc.invert(pc.is_in(rows["detid"], value_set=changed.gone)))
