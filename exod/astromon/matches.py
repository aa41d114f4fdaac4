"""Tables of matches: rows of observations, sources and counterparts side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from exod.astrometry.pairing import Columns, Pairs
from exod.astromon.moments import observed_at
from exod.astromon.tables import CATEGORIES, with_formats
from exod.errors import InputError
from exod.schemas.arrays import Indices

_OWN = ("id", "ra", "dec", "y_angle", "z_angle")
"""Columns that sources and counterparts have both, and that get a prefix therefore."""


def columns_of(table: Any, name: str, wanted: Sequence[str]) -> Columns:
    """Columns of a table or frame as plain arrays; what is masked is NaN, or empty text.

    Raises
    ------
    InputError
        If one is missing or is not of its kind.
    """
    there = table.colnames if isinstance(table, Table) else list(table.columns)
    if missing := [column for column in wanted if column not in there]:
        raise InputError(f"{name} lacks column {', '.join(missing)}.")
    return {column: _plain(table[column], name) for column in wanted}


def _plain(column: Any, name: str) -> Any:
    values = column if isinstance(column, np.ndarray) else np.asarray(column)
    if isinstance(values, np.ma.MaskedArray):
        fill = np.nan if values.dtype.kind == "f" else "" if values.dtype.kind in "US" else 0
        values = values.filled(fill)
    values = np.asarray(values)
    if values.dtype.kind == "S":
        return np.char.decode(values)
    if values.dtype.kind == "O":
        return values.astype(str)
    if values.dtype.kind not in "Uifub":
        raise InputError(f"{name} has a column that is neither text nor numbers.")
    return values


def matched_table(
    observations: Table, sources: Table, counterparts: Table, pairs: Pairs, name: str
) -> Table:
    """Pairs as a table: columns of all three tables, offsets and the name of the selection."""
    columns: dict[str, Any] = {}
    _take(columns, observations, pairs.observation, {}, ())
    _take(columns, sources, pairs.source, {own: f"x_{own}" for own in _OWN}, ("obsid", "name"))
    _take(
        columns,
        counterparts,
        pairs.counterpart,
        {own: f"c_{own}" for own in _OWN},
        ("obsid", "x_id"),
    )
    columns |= {"dz": pairs.dz, "dy": pairs.dy, "dr": pairs.dr, "cat_order": pairs.cat_order}
    columns["select_name"] = np.full(len(pairs.source), name)
    return Table(columns, copy=False)


def stored_table(
    selected: Table, observations: Table, sources: Table, counterparts: Table
) -> Table:
    """Stored matches with the columns of what they match, by obsid and source.

    Matches of which the observation, the source or the counterpart is not there are left out.
    """
    obsid = np.asarray(selected["obsid"])
    found = [
        _rows(observations, ("obsid",), obsid),
        _rows(sources, ("obsid", "id"), obsid, np.asarray(selected["x_id"])),
        _rows(counterparts, ("obsid", "id"), obsid, np.asarray(selected["c_id"])),
    ]
    order = np.lexsort((selected["c_id"], selected["x_id"], obsid))
    order = order[np.all([rows[order] >= 0 for rows in found], axis=0)]
    observation, source, counterpart = (rows[order] for rows in found)
    columns: dict[str, Any] = {}
    _take(columns, selected, order, {}, ())
    _take(columns, observations, observation, {}, ("obsid",))
    columns["category"] = categories(columns["category_id"])
    _take(
        columns,
        counterparts,
        counterpart,
        {own: f"c_{own}" for own in _OWN},
        ("obsid", "x_id", "id"),
    )
    _take(columns, sources, source, {own: f"x_{own}" for own in _OWN}, ("obsid", "id"))
    return Table(columns, copy=False)


def with_places(matches: Table) -> Table:
    """The same table with the time (UTC) and both positions, in a readable format."""
    matches["time"] = observed_at(matches["date_obs"])
    for side in ("c", "x"):
        matches[f"{side}_loc"] = SkyCoord(
            np.asarray(matches[f"{side}_ra"]), np.asarray(matches[f"{side}_dec"]), unit="deg"
        )
    return with_formats(matches)


def categories(category_id: Any) -> Any:
    """Names of categories of observations; what is not known is called that."""
    known = np.array(list(CATEGORIES))
    names = np.array([*CATEGORIES.values(), CATEGORIES[200]])
    place = np.searchsorted(known, category_id)
    hit = known[np.minimum(place, len(known) - 1)] == np.asarray(category_id)
    return names[np.where(hit, place, len(known))]


def _take(
    columns: dict[str, Any],
    table: Table,
    rows: Indices,
    names: dict[str, str],
    without: Sequence[str],
) -> None:
    """Add rows of a table to columns; those that are there already stay."""
    for name in table.colnames:
        called = names.get(name, name)
        if name not in without and called not in columns:
            columns[called] = table[name][rows]


def _rows(table: Table, key: tuple[str, ...], *wanted: Any) -> Indices:
    """Row of the first with each key; -1 where there is none."""
    parts = [
        np.concatenate([np.asarray(table[name]), values])
        for name, values in zip(key, wanted, strict=True)
    ]
    keys = parts[0].astype(np.int64)
    if len(parts) > 1:
        keys = (keys << 32) + parts[1]
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    rows = first[place[len(table) :]]
    return np.where(rows < len(table), rows, -1)
