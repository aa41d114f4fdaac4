"""Dates of mission elapsed times, which are computed when a table is read and are in no file.

So archives that were made before a date was declared have it too, and a leap second that is
announced later needs nothing to be written again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exod.observation.times import DAY_SECONDS, TIME_ZERO_MJD, leap_steps, mjd_of, utc_texts
from exod.schemas.columns import Column, Table
from exod.schemas.conditions.compiling import literal

Rows = list[list[tuple[str, str, Any]]]


@dataclass(frozen=True)
class DatedReading:
    """What to read of a file, and what becomes of it.

    Attributes
    ----------
    schema : pyarrow.Schema
        That of the file.
    names : list of str
        The columns to read.
    rows : list, optional
        The conditions that hold for the rows to read.
    """

    schema: pa.Schema
    names: list[str]
    rows: Rows | None
    _dates: tuple[Column, ...] = ()
    _later: Rows | None = None
    _wanted: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Table, names: Sequence[str], rows: Rows | None) -> DatedReading:
        """Plan to read columns of a table; conditions on dates wait until these are computed."""
        dates = {column.name: column for column in table.columns if column.dates}
        if not dates:
            return cls(table.schema, list(names), rows)
        stored = [column for column in table.columns if not column.dates]
        schema = table.schema.empty_table().select([column.name for column in stored]).schema
        conditions = {name for row in rows or () for name, _, _ in row}
        later = rows if conditions & dates.keys() else None
        needed = {*names, *(conditions if later else ())}
        computed = tuple(dates[name] for name in dates if name in needed)
        needed |= {column.dates for column in computed}
        inside = [column.name for column in stored if column.name in needed]
        return cls(schema, inside, None if later else rows, computed, later, tuple(names))

    def finished(self, found: pa.Table) -> pa.Table:
        """The rows that were read, with their dates."""
        for column in self._dates:
            seconds = found[column.dates].to_numpy()
            is_text = pa.types.is_string(column.type)
            values = utc_texts(seconds) if is_text else mjd_of(seconds)
            found = found.append_column(column.field, pa.array(values, column.type))
        if self._later:
            found = found.filter(pq.filters_to_expression(self._later))
        return found.select(self._wanted) if self._wanted else found


def date_sql(column: Column, seconds: str) -> str:
    """SQL of a date, as `DatedReading` computes it.

    Parameters
    ----------
    column : Column
        The date.
    seconds : str
        SQL of the mission elapsed seconds.
    """
    if not pa.types.is_string(column.type):
        return f"({literal(TIME_ZERO_MJD)} + {seconds} / {literal(DAY_SECONDS)})"
    steps = leap_steps()
    begin, late, following = (
        f"CAST({literal(str(numbers.tolist()))} AS BIGINT[])"
        for numbers in (steps.begin, steps.late, np.append(steps.begin[1:], steps.last + 1001))
    )
    utc = f"epoch_ms(TIMESTAMP '1998-01-01') + exact - {late}[step]"
    # Planning takes time for each constant and each branch, so there are texts of lists.
    return (
        f"list_transform([TRY_CAST(floor({seconds} * 1000 + 0.5) AS BIGINT)], lambda exact: CASE "
        f"WHEN exact >= {steps.begin[0]} AND exact < {steps.last} THEN "
        f"list_transform([len(list_filter({begin}, lambda old: old <= exact))], lambda step: CASE "
        f"WHEN {following}[step] - exact <= 1000 THEN "
        f"strftime(epoch_ms({utc} - 1000), '%Y-%m-%dT%H:%M:60.%g') "
        f"ELSE strftime(epoch_ms({utc}), '%Y-%m-%dT%H:%M:%S.%g') END)[1] ELSE '' END)[1]"
    )
