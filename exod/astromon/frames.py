"""Matches of data frames, those of Dask part by part: whole observations stay together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table

from exod.astromon import db
from exod.astromon.stored import OBSERVATION
from exod.astromon.tables import DTYPES, as_table

Whole = Callable[[Table, Table, Table], Table]
"""Matches of the tables of observations, sources and counterparts."""


def matched_frames(given: Mapping[str, Any], match: Whole, dbfile: Any = None) -> Any:
    """Matches of frames, as a frame of their kind; of Dask frames nothing is computed.

    Parameters
    ----------
    given : mapping
        The three tables by name: Dask frames, frames of pandas, tables, or nothing.
    match : callable
        Makes the matches of tables.
    dbfile : path, optional
        The file of those that are not given.
    """
    if any(hasattr(table, "npartitions") for table in given.values()):
        return _lazily(given, match, dbfile)
    frames = (
        _frame(db.get_table(name, dbfile) if table is None else table)
        for name, table in given.items()
    )
    return _match(*frames, match=match)


def _lazily(given: Mapping[str, Any], match: Whole, dbfile: Any) -> Any:
    import dask.dataframe as dd

    frames = [db.lazy(name, dbfile) if table is None else table for name, table in given.items()]
    lazy = [frame for frame in frames if hasattr(frame, "npartitions")]
    if len(lazy) > 1:
        frames = [_together(frame, lazy) for frame in frames]
    whole = [frame if hasattr(frame, "npartitions") else _frame(frame) for frame in frames]
    return dd.map_partitions(
        partial(_match, match=match),
        *whole,
        meta=_match(*map(_nothing, frames, given), match=match),
        align_dataframes=False,
        enforce_metadata=False,
    ).clear_divisions()


def _together(frame: Any, lazy: list[Any]) -> Any:
    """A frame whose partitions hold the same observations as those of the others."""
    if not hasattr(frame, "npartitions"):
        return frame
    if not all(one.known_divisions and one.index.name == OBSERVATION for one in lazy):
        # Rows of an observation come together wherever they are; nothing is computed for it.
        return frame.shuffle("obsid", npartitions=max(one.npartitions for one in lazy))
    if all(one.divisions == frame.divisions for one in lazy):
        return frame
    most = max(lazy, key=lambda one: one.npartitions)
    low = min(one.divisions[0] for one in lazy)
    high = max(one.divisions[-1] for one in lazy)
    divisions = sorted({low, *most.divisions[1:-1], high})
    return frame.repartition(divisions=[low, *divisions[1:-1], high], force=True)


def _match(
    observations: pd.DataFrame, sources: pd.DataFrame, counterparts: pd.DataFrame, *, match: Whole
) -> pd.DataFrame:
    tables = (_table(frame) for frame in (observations, sources, counterparts))
    matches = match(*tables)
    matches["time"] = matches["time"].datetime64.astype("datetime64[ns]")
    matches.remove_columns(["c_loc", "x_loc"])
    return matches.to_pandas(index=False)


def _table(frame: pd.DataFrame) -> Table:
    if frame.index.name == "obsid":
        # What astropy makes of a table that is indexed by it.
        frame = frame.reset_index(drop="obsid" in frame)
    return Table({str(name): _values(frame[name]) for name in frame})


def _values(column: pd.Series) -> Any:
    values = column.to_numpy()
    return np.asarray(values, str) if values.dtype.kind == "O" else values


def _frame(table: Any) -> pd.DataFrame:
    if isinstance(table, pd.DataFrame):
        return table
    return Table(table, copy=False).to_pandas(index=False)


def _nothing(frame: Any, name: str) -> pd.DataFrame:
    """No rows, with the columns of a frame."""
    empty = frame._meta if hasattr(frame, "npartitions") else _frame(frame).iloc[:0]
    declared = as_table(np.zeros(0, DTYPES[name])).to_pandas()
    if empty.index.name == "obsid" and "obsid" not in empty:
        empty = empty.reset_index()
    return empty.astype({c: declared[c].dtype for c in declared if c in empty})
