"""Lazy tables: dask's reader of Parquet over the files that count now.

Columns that nothing needs are not read, comparisons of a column with a value go to the statistics
of the files, and lengths come from the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from dask._task_spec import Task
from dask.dataframe.dask_expr._collection import new_collection
from dask.dataframe.dask_expr._reductions import Len
from dask.dataframe.dask_expr.io.parquet import _DNF, ReadParquet

from exod.archive.parquet import Conditions, Filters, checked, read_file, to_pandas
from exod.archive.parts import Part, Piece, no_rows, read_part
from exod.archive.store import Store
from exod.errors import ArchiveError
from exod.schemas.columns import Table
from exod.schemas.derived import LaterColumns

_FEW: Final = 10_000
"""Up to so many rows, only theirs are looked for in the other files."""


@dataclass(frozen=True)
class LaterRows:
    """Columns of another product, with what holds its rows.

    Attributes
    ----------
    about : LaterColumns
        The columns.
    table : Table
        The table as its files have it, which an earlier version may have written.
    pieces : tuple of Piece
        The rows; none if the product was not made, or without these columns.
    """

    about: LaterColumns
    table: Table
    pieces: tuple[Piece, ...] = ()

    def added(self, frame: pd.DataFrame, names: Sequence[str], store: Store) -> pd.DataFrame:
        """A frame with some of the columns, which are null where there is no row."""
        about = self.about
        own = {shown.name: name for name, shown in about.columns.items()}
        wanted = [about.own_key, *(own[name] for name in names)]
        keys = pa.array(frame[about.key])
        few: Conditions = [[(about.own_key, "in", keys.to_pylist())]]
        rows = [
            read_file(store, piece.file, self.table, wanted, few if len(keys) <= _FEW else None)
            for piece in (self.pieces if len(keys) else ())
        ]
        schema = pa.schema([about.columns[own[name]].field for name in names])
        nothing = about.table.schema.empty_table().select(wanted)
        found = pa.concat_tables(rows) if rows else nothing
        place = pc.index_in(keys, found[about.own_key].combine_chunks())
        taken = found.select(wanted[1:]).take(place)
        values = [
            column.cast(field.type) for column, field in zip(taken.columns, schema, strict=True)
        ]
        shown = to_pandas(pa.Table.from_arrays(values, schema=schema))
        return frame.assign(**{name: shown[name].set_axis(frame.index) for name in names})


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
    beside : tuple of LaterRows
        Columns of other products.
    """

    store: Store
    table: Table
    parts: tuple[Part, ...]
    rows: Conditions
    divisions: tuple[str, ...] = ()
    beside: tuple[LaterRows, ...] = ()

    @cached_property
    def shown(self) -> Table:
        """The table with the columns of other products."""
        others = [column for one in self.beside for column in one.about.columns.values()]
        return replace(self.table, columns=(*self.table.columns, *others))

    @cached_property
    def token(self) -> str:
        """Equal plans have equal tokens; dask's own would take longer than reading."""
        about = [self.store.root, self.table.name, self.rows, self.divisions]
        digest = hashlib.sha256(repr(about).encode())
        digest.update(repr([piece.path for one in self.beside for piece in one.pieces]).encode())
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
        meta = no_rows(self.plan.shown)
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
            beside=self.plan.beside,
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


def _read(
    part: Part,
    *,
    indexed: bool,
    series: bool,
    columns: list[str],
    beside: tuple[LaterRows, ...],
    **about: Any,
) -> Any:
    others = []
    for one in beside:
        names = [shown.name for shown in one.about.columns.values() if shown.name in columns]
        others += [(one, names)] if names else []
    keys = [one.about.key for one, _ in others] + ["obsid"] * indexed
    added = {name for _, names in others for name in names}
    frame = read_part(
        part, columns=[n for n in dict.fromkeys([*columns, *keys]) if n not in added], **about
    )
    for one, names in others:
        frame = one.added(frame, names, about["store"])
    if indexed:
        frame = frame.set_index("obsid")
    if others:
        frame = frame[columns]
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
    beside: tuple[LaterRows, ...] = (),
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
    beside : tuple of LaterRows
        Columns of other products, which filters cannot be about.

    Raises
    ------
    ArchiveError
        If there is no such column, or a filter does not fit.
    """
    rows = checked(table, filters)
    divisions = (*(str(part.low) for part in parts), last) if last else ()
    # One partition must exist: an empty one gives an empty frame.
    plan = _ReadPlan(store, table, tuple(parts) or (Part(),), rows, divisions, beside)
    unknown = sorted(set(columns or ()) - set(plan.shown.schema.names))
    if unknown:
        raise ArchiveError(f"Table {table.name} has no columns {', '.join(unknown)}.")
    shown = None if columns is None else [n for n in columns if not (last and n == "obsid")]
    frame: dd.DataFrame = new_collection(ReadTable(plan, shown))
    return frame
