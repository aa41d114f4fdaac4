"""Lazy tables: dask's reader of Parquet over the files that count now.

Columns that nothing needs are not read, comparisons of a column with a value go to the statistics
of the files, and lengths come from the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dask.dataframe as dd
import numpy as np
import pyarrow as pa
from dask._task_spec import Task
from dask.dataframe.dask_expr._collection import new_collection
from dask.dataframe.dask_expr._reductions import Len
from dask.dataframe.dask_expr.io.parquet import _DNF, ReadParquet

from exod.archive.parquet import Conditions, Filters, checked
from exod.archive.parts import Part, no_rows, read_part
from exod.archive.store import Store
from exod.errors import ArchiveError
from exod.schemas.columns import Table


@dataclass(frozen=True, eq=False, repr=False)
class _ReadPlan:
    """What a lazy table reads.

    Attributes
    ----------
    store, table : Store, Table
        The archive, and which of its tables.
    parts : tuple of Part
        Its partitions.
    rows : Conditions
        Conditions that rows fulfil.
    divisions : tuple of str, optional
        Obsids at which partitions begin, and the last; obsid is then the index.
    """

    store: Store
    table: Table
    parts: tuple[Part, ...]
    rows: Conditions
    divisions: tuple[str, ...] = ()

    @cached_property
    def token(self) -> str:
        """Equal plans have equal tokens; dask's own would take longer than reading."""
        about = [self.store.root, self.table.name, self.rows, self.divisions]
        digest = hashlib.sha256(repr(about).encode())
        for part in self.parts:
            digest.update(repr((part.low, part.high)).encode())
            for piece in part.pieces:
                digest.update(repr((piece.path, piece.row_groups, piece.without)).encode())
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"{self.table.name} of {self.store.root}"

    def __dask_tokenize__(self) -> str:
        return self.token


class ReadTable(ReadParquet):
    """A table as an expression of dask."""

    _parameters = ("plan", "columns", "filters", "_partitions", "_series")
    _defaults = {"columns": None, "filters": None, "_partitions": None, "_series": False}  # noqa: RUF012
    _filter_passthrough = True

    @property
    def path(self) -> str:
        """Where the files are, for dask's writer."""
        return str(self.plan.store.root)

    @property
    def checksum(self) -> str:
        """What changes when the files do."""
        return str(self.plan.token)

    @cached_property
    def _funcname(self) -> str:
        return str(self.plan.table.name)

    @cached_property
    def _meta(self) -> Any:
        meta = no_rows(self.plan.table)
        if self.plan.divisions:
            meta = meta.set_index("obsid")
        names = self.operand("columns")
        if self._series:
            return meta[names[0]]
        return meta if names is None else meta[names]

    def _divisions(self) -> tuple[str | None, ...]:
        return self.plan.divisions or (None,) * (len(self.plan.parts) + 1)

    @property
    def _fusion_compression_factor(self) -> int:
        return 1

    def _filtered_task(self, name: Any, index: int) -> Task:
        return Task(
            name,
            _read,
            self.plan.parts[index],
            store=self.plan.store,
            table=self.plan.table,
            rows=_combined(self.plan.rows, self.operand("filters")),
            columns=self.columns,
            indexed=bool(self.plan.divisions),
            series=self._series,
            _data_producer=True,
        )

    def _get_lengths(self) -> tuple[int, ...] | None:
        if self.plan.rows or self.operand("filters"):
            return None
        found = tuple(self.plan.parts[i].rows for i in self._partitions)
        return None if None in found else found

    def _filter_passthrough_available(self, parent: Any, dependents: Any) -> bool:
        if not super()._filter_passthrough_available(parent, dependents):
            return False
        found = _DNF.extract_pq_filters(self, parent.predicate).to_list_tuple()
        return _means_the_same(self.plan.table, found)

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        found = super()._simplify_up(parent, dependents)
        if found is None and isinstance(parent, Len) and len(self.columns) > 1:
            # Text that repeats takes the least room.
            name = "obsid" if "obsid" in self.columns else self.columns[0]
            return Len(self.substitute_parameters({"columns": [name]}))
        return found


def _read(part: Part, *, indexed: bool, series: bool, columns: list[str], **about: Any) -> Any:
    wanted = [*columns, "obsid"] if indexed else columns
    frame = read_part(part, columns=wanted, **about)
    if indexed:
        frame = frame.set_index("obsid")
    return frame[columns[0]] if series else frame


def _combined(rows: Conditions, more: Conditions | None) -> Conditions:
    if not rows or not more:
        return rows or more or []
    return [[*one, *other] for one in rows for other in more]


def _means_the_same(table: Table, filters: Conditions) -> bool:
    """Whether the reader of files understands comparisons as pandas does."""
    fields = {column.name: column for column in table.columns}
    for name, sign, value in (condition for row in filters for condition in row):
        # To pandas a missing text differs from all; a number is rounded to single precision.
        if name not in fields or (sign == "!=" and fields[name].nullable):
            return False
        if fields[name].type == pa.float32() and float(np.float32(value)) != value:
            return False
    try:
        checked(table, filters)
    except ArchiveError:
        return False
    return True


def lazy_table(
    store: Store,
    table: Table,
    parts: list[Part],
    filters: Filters,
    columns: Sequence[str] | None = None,
    last: str | None = None,
) -> dd.DataFrame:
    """Make a dask dataframe of the rows of `parts` for which the filters hold.

    Parameters
    ----------
    store, table : Store, Table
        The archive and the table.
    parts : list of Part
        The partitions.
    filters, columns : sequence, optional
        As in `exod.archive.Archive.table`.
    last : str, optional
        The last obsid; obsid is then the index and parts are ranges of it.

    Raises
    ------
    ArchiveError
        If there is no such column, or a filter does not fit.
    """
    rows = checked(table, filters)
    unknown = sorted(set(columns or ()) - {column.name for column in table.columns})
    if unknown:
        raise ArchiveError(f"Table {table.name} has no columns {', '.join(unknown)}.")
    divisions = (*(str(part.low) for part in parts), last) if last else ()
    # One partition must exist: an empty one gives an empty frame.
    plan = _ReadPlan(store, table, tuple(parts) or (Part(),), rows, divisions)
    shown = None if columns is None else [n for n in columns if not (last and n == "obsid")]
    frame: dd.DataFrame = new_collection(ReadTable(plan, shown))
    return frame
