"""Rows of one table with columns of others, partition by partition, for queries."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive.cone import within
from exod.archive.parquet import Conditions
from exod.archive.parts import Part, read_part
from exod.archive.store import Store
from exod.queries import Cone, Expression
from exod.schemas.columns import Column, Table

_FEW = 1000
"""So many keys are looked for one by one; of more, only their range."""


@dataclass(frozen=True)
class Side:
    """A table whose columns are added to the rows of another.

    Attributes
    ----------
    store, table, parts : Store, Table, tuple of Part
        What to read.
    key, own_key : str
        The column by which rows are joined, in the other table and in this one.
    columns : tuple of Column
        The columns that are added.
    rows : Conditions
        What rows of this table must fulfil; only if those without a partner are left out.
    inner : bool
        Whether rows without a partner are left out; otherwise these columns are null there.
    """

    store: Store
    table: Table
    parts: tuple[Part, ...]
    key: str
    own_key: str
    columns: tuple[Column, ...]
    rows: Conditions
    inner: bool

    def added_to(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows with the columns of this table, in the same order."""
        names = [self.own_key, *(column.name for column in self.columns)]
        wanted = [[*row, *self._near(frame)] for row in self.rows or [[]]]
        read = [
            read_part(part, store=self.store, table=self.table, rows=wanted, columns=names)
            for part in (self.parts if len(frame) else ())
        ]
        side = pd.concat(read or [self.table.frame()[names]], ignore_index=True)
        # A dtype that can hold nulls before there are any, so that identifiers stay exact.
        side = side.astype({column.name: column.dtype for column in self.columns})
        side = side.rename(columns={self.own_key: self.key})
        return frame.merge(side, on=self.key, how="inner" if self.inner else "left")

    def _near(self, frame: pd.DataFrame) -> list[tuple[str, str, Any]]:
        """Conditions that leave out most rows without a partner, by the statistics of files."""
        own = set(self.table.schema.names)
        found: list[tuple[str, str, Any]] = []
        for name in dict.fromkeys(("obsid", "runid", self.key)):
            here = self.own_key if name == self.key else name
            if name not in frame or here not in own or not len(frame):
                continue
            values = frame[name].dropna().unique().tolist()
            if 0 < len(values) <= _FEW:
                found.append((here, "in", values))
            elif values:
                found += [(here, ">=", min(values)), (here, "<=", max(values))]
        return found


@dataclass(frozen=True)
class Steps:
    """What is done with each partition of a table, in this order.

    Attributes
    ----------
    early : tuple of Expression
        Conditions on the table itself.
    cone : Cone, optional
        Rows within it, with their distance from its centre as cone_arcsec.
    sides : tuple of Side
        What is added.
    late : tuple of Expression
        Conditions on all of that.
    columns : tuple of str
        The columns that are left.
    """

    early: tuple[Expression, ...]
    cone: Cone | None
    sides: tuple[Side, ...]
    late: tuple[Expression, ...]
    columns: tuple[str, ...]

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of a partition that the query asks for."""
        frame = _fulfilling(frame, self.early)
        if self.cone:
            place = self.cone.ra_deg, self.cone.dec_deg, self.cone.radius_arcsec
            inside = within(frame, *place)
            # The members of sources have a separation_arcsec of their own.
            frame = frame.loc[inside.index].assign(cone_arcsec=inside["separation_arcsec"])
        for side in self.sides:
            frame = side.added_to(frame)
        return _fulfilling(frame, self.late)[list(self.columns)]


def _fulfilling(frame: pd.DataFrame, expressions: Iterable[Expression]) -> pd.DataFrame:
    for expression in expressions:
        frame = frame[expression.mask(frame)]
    return frame.reset_index(drop=True)


def pushed(column: Column, sign: str, value: Any) -> list[tuple[str, str, Any]]:
    """A condition of `Expression.conditions` as filters of Parquet files.

    Parameters
    ----------
    column : Column
        The column.
    sign, value : str, object
        The condition.

    Returns
    -------
    list of (str, str, object)
        Filters that all rows fulfil which fulfil the condition; none if it cannot be expressed
        exactly: a number that the type of the column rounds, unequal for floating-point columns,
        whose statistics say nothing of NaN.

    Examples
    --------
    >>> pushed(Column("n", pa.int16(), "", ""), ">", 2.0)
    [('n', '>', 2)]
    >>> pushed(Column("mu", pa.float32(), "", ""), ">", 0.1)
    []
    >>> pushed(Column("obsid", pa.string(), "", ""), "startswith", "070")
    [('obsid', '>=', '070'), ('obsid', '<', '071')]
    """
    name = column.name
    if sign == "startswith":
        if not value.isascii() or value[-1:] in ("", "\x7f"):
            return []
        return [(name, ">=", value), (name, "<", value[:-1] + chr(ord(value[-1]) + 1))]
    if pa.types.is_floating(column.type) and sign in ("!=", "not in"):
        return []
    if pa.types.is_boolean(column.type):
        # A null is not true, so that it fulfils `not` and is lost by a filter.
        plain = sign == "==" and not column.nullable
        return [(name, sign, value)] if plain else []
    values = value if isinstance(value, list) else [value]
    exact = [_exact(column.type, item) for item in values]
    if any(item is None for item in exact):
        return []
    return [(name, sign, exact if isinstance(value, list) else exact[0])]


def _exact(kind: pa.DataType, value: Any) -> Any:
    """A constant in the type of a column; None if it is not exactly the same."""
    if isinstance(value, str):
        return value
    if not math.isfinite(value) or (isinstance(value, float) and abs(value) > 2**53):
        return None
    if pa.types.is_integer(kind):
        limits = np.iinfo(kind.to_pandas_dtype())
        return int(value) if value == int(value) and limits.min <= value <= limits.max else None
    if pa.types.is_floating(kind) and abs(value) <= 2**53:
        rounded = float(kind.to_pandas_dtype()(value))
        return rounded if rounded == value else None
    return None
