"""Query: rows of an archive, read lazily, filtered and joined partition by partition."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from exod.archive.cone import box
from exod.archive.parquet import Conditions, to_arrow
from exod.archive.snapshot import MATCHES, PRODUCTS, SEARCHED, Snapshot
from exod.errors import ConfigError
from exod.queries import Expression, Kind, Query, parse, unknown
from exod.schemas import DERIVED, TABLES
from exod.schemas.columns import Column, Table
from exod.stages.query.joins import Side, Steps, pushed

if TYPE_CHECKING:
    import dask.dataframe as dd

    from exod.archive.reading import ArchiveReader

DETECTIONS = "detections"
"""Regions with their source, features and flags: those that all of these products have."""

CONE_COLUMN = Column("cone_arcsec", pa.float64(), "arcsec", "Distance from the centre of the cone")

_PARTS_OF_DETECTIONS = ("members", "features", "flags")
_OF_MEMBERS = ("unique_reg_id", "srcid")
_FLAG = "filt_"


@dataclass(frozen=True)
class Selection:
    """The rows that a query asks for; nothing is read before they are.

    Attributes
    ----------
    frame : dask.dataframe.DataFrame
        The rows, lazily; the order and the limit of the query are not applied.
    table : Table
        Their columns, with units and meanings.
    query : Query
        The question.
    added : tuple of str
        The columns that counterparts and the cone add.
    """

    frame: dd.DataFrame
    table: Table
    query: Query
    added: tuple[str, ...] = ()

    def frames(self) -> Iterator[pd.DataFrame]:
        """The rows as frames of one partition each, sorted and limited as the query says.

        A limit without an order ends the reading early. An order with a limit keeps as many rows
        in memory; an order without one keeps all.
        """
        import dask

        names = [column.name for column in self.table.columns]
        parts: Iterator[pd.DataFrame] = (
            dask.compute(part, scheduler="sync")[0] for part in self.frame.to_delayed()
        )
        if self.query.limit == 0:
            parts = iter([self.frame._meta])
        found = _sorted(parts, self.query) if self.query.sort else _limited(parts, self.query.limit)
        for frame in found:
            yield frame[names].reset_index(drop=True)

    def chunks(self) -> Iterator[pa.Table]:
        """As `frames`, with the Arrow types of the columns."""
        for frame in self.frames():
            yield to_arrow(self.table, frame, self.table.name)


def _limited(frames: Iterable[pd.DataFrame], limit: int | None) -> Iterator[pd.DataFrame]:
    left = limit
    for frame in frames:
        yield frame if left is None else frame.head(left)
        if left is not None:
            left -= len(frame)
            if left <= 0:
                return


def _sorted(frames: Iterable[pd.DataFrame], query: Query) -> Iterator[pd.DataFrame]:
    kept: list[pd.DataFrame] = []
    for frame in frames:
        kept.append(frame)
        if query.limit is not None:
            kept = [_ordered(kept, query).head(query.limit)]
    yield _ordered(kept, query)


def _ordered(frames: list[pd.DataFrame], query: Query) -> pd.DataFrame:
    ascending = not query.sort.startswith("-")
    rows = pd.concat(frames, ignore_index=True)
    return rows.sort_values(query.sort_column, ascending=ascending, kind="stable")


def select(archive: ArchiveReader, query: Query) -> Selection:
    """The rows that a query asks for, lazily: pointers and the ledger are read, and no rows.

    Conditions that are simple enough are given to the reading of Parquet files, which then leaves
    out observations, files and row groups; all are applied to what is read.

    Parameters
    ----------
    archive : Archive
        The archive.
    query : Query
        What is asked.

    Raises
    ------
    ConfigError
        If the table has no such column, or the query does not fit it in another way.
    ArchiveError
        If a product is needed that was not made yet, or a file is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from exod.archive import Archive
    >>> from exod.config import Config
    >>> archive = Archive.create(tempfile.mkdtemp(), Config())
    >>> found = select(archive, Query(where="t_bin == 5 and sigma_peak > 5", columns=("detid",)))
    >>> found.frame.compute().shape
    (0, 1)
    """
    return _Planner(archive, query).selection()


def table_name(snapshot: Snapshot, query: Query) -> str:
    """The table that a query is about.

    Without a name it is ``sources``, if they were made, and ``regions`` otherwise. Observations
    and flags are asked of ``detections``, if all of their parts were made.
    """
    if query.table:
        known = re.sub(r"^matches:", MATCHES, query.table)
        return "sources" if known == "unique" else known
    if query.obsids or query.flags or query.no_flags:
        return DETECTIONS if snapshot.has(*_PARTS_OF_DETECTIONS) else "regions"
    wants_sources = query.name or query.matches
    return "sources" if wants_sources or snapshot.has("sources") else "regions"


class _Planner:
    """Turns a query into what is read and what is done with it."""

    def __init__(self, archive: ArchiveReader, query: Query) -> None:
        self.snapshot, self.query = Snapshot(archive), query
        self.name = table_name(self.snapshot, query)
        self.base_name = "regions" if self.name == DETECTIONS else self.name
        self.base = self.snapshot.table(self.base_name)
        self.known = {column.name: column for column in self.base.columns}
        self.own = set(self.known)
        self.sides: list[Side] = []
        if self.name == DETECTIONS:
            self._join("members", "detid", "detid", only=_OF_MEMBERS)
            self._join("features", "detid", "detid")
            self._join("flags", "detid", "detid")
        hidden = self._join_flags()
        for catalogue in query.matches:
            self._join_matches(catalogue)
        if query.cone:
            if not {"ra_deg", "dec_deg"} <= self.own:
                raise ConfigError(
                    f"Table {self.name} has no positions for a cone; use sources, detections, "
                    f"regions or members."
                )
            self.known[CONE_COLUMN.name] = CONE_COLUMN
        self.shown = list(query.columns) or [name for name in self.known if name not in hidden]
        elsewhere = places(self.name)
        for name in [*self.shown, *([query.sort_column] if query.sort else [])]:
            if name not in self.known:
                raise unknown(name, self.known, f"Table {self.name}", elsewhere.get(name, ""))
        self.expressions = self._expressions(elsewhere)

    def _join(
        self, name: str, key: str, own_key: str, *, only: Iterable[str] = (), inner: bool = True
    ) -> None:
        table = self.snapshot.table(name)
        wanted = set(only) or set(table.schema.names)
        added = tuple(
            column if inner else replace(column, nullable=True)
            for column in table.columns
            if column.name in wanted and column.name not in self.known
        )
        parts = tuple(self.snapshot.parts(name))
        store = self.snapshot.store
        self.sides.append(Side(store, table, parts, key, own_key, added, [], inner))
        self.known |= {column.name: column for column in added}

    def _join_flags(self) -> set[str]:
        """Make flags known if they are asked for; the columns that are for conditions only."""
        wanted = self.query.flags or self.query.no_flags
        if not wanted or any(name.startswith(_FLAG) for name in self.known):
            return set()
        if "detid" not in self.known:
            raise ConfigError(
                f"Table {self.name} has no flags, which are of regions; use detections."
            )
        before = set(self.known)
        self._join("flags", "detid", "detid")
        return set(self.known) - before

    def _join_matches(self, catalogue: str) -> None:
        key = next((name for name in ("region_num", "unique_reg_id") if name in self.known), None)
        if key is None:
            raise ConfigError(
                f"Table {self.name} has no sources whose counterparts could be added; use sources, "
                f"members or detections."
            )
        self._join(f"{MATCHES}{catalogue}", key, "region_num", inner=False)

    def _expressions(self, elsewhere: Mapping[str, str]) -> list[Expression]:
        kinds = {name: kind_of(column) for name, column in self.known.items()}
        texts = self.query.conditions()
        texts += [self._flag(name) for name in self.query.flags]
        texts += [f"not {self._flag(name)}" for name in self.query.no_flags]
        return [parse(text, kinds, f"Table {self.name}", elsewhere) for text in texts]

    def _flag(self, name: str) -> str:
        full = name if name.startswith(_FLAG) else f"{_FLAG}{name}"
        flags = [flag.removeprefix(_FLAG) for flag in self.known if flag.startswith(_FLAG)]
        if full not in self.known:
            close = difflib.get_close_matches(full.removeprefix(_FLAG), flags)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {flags}."
            raise ConfigError(f"There is no flag {name!r}; {hint}")
        return full

    def _filters(self, names: Iterable[str]) -> list[tuple[str, str, Any]]:
        wanted = set(names)
        return [
            condition
            for expression in self.expressions
            for name, sign, value in expression.conditions()
            if name in wanted
            for condition in pushed(self.known[name], sign, value)
        ]

    def selection(self) -> Selection:
        """The lazy frame and its columns."""
        query, keys = self.query, {"obsid", "runid", *(side.key for side in self.sides)}
        needed = {*self.shown, query.sort_column}
        needed |= {name for item in self.expressions for name in item.columns}
        sides = tuple(self._reduced(side, needed | keys) for side in self.sides)
        if query.cone:
            needed |= {"ra_deg", "dec_deg"}
        if sides:
            needed |= keys
        early = [item for item in self.expressions if self.own.issuperset(item.columns)]
        late = [item for item in self.expressions if item not in early]
        left = [*self.shown, *({query.sort_column} - {"", *self.shown})]
        steps = Steps(tuple(early), query.cone, sides, tuple(late), tuple(left))
        read = [name for name in self.base.schema.names if name in needed]
        # A table without any column would have no rows either.
        read = read or self.base.schema.names[:1]
        frame = self.snapshot.frame(self.base_name, read, self._rows(), self._obsids())
        found = frame.map_partitions(steps, meta=steps(self.base.frame()[read]))
        columns = tuple(self.known[name] for name in self.shown)
        outer = [column.name for side in sides if not side.inner for column in side.columns]
        added = tuple(name for name in (CONE_COLUMN.name, *outer) if name in self.shown)
        return Selection(found, Table(self.name, self._description(), columns, ()), query, added)

    def _description(self) -> str:
        return _DETECTIONS if self.name == DETECTIONS else self.base.description

    def _reduced(self, side: Side, needed: set[str]) -> Side:
        columns = tuple(column for column in side.columns if column.name in needed)
        filters = self._filters(c.name for c in side.columns) if side.inner else []
        return replace(side, columns=columns, rows=[filters] if filters else [])

    def _rows(self) -> Conditions:
        filters = self._filters(self.own)
        if self.query.cone is None:
            return [filters] if filters else []
        cone = self.query.cone
        return [[*area, *filters] for area in box(cone.ra_deg, cone.dec_deg, cone.radius_arcsec)]

    def _obsids(self) -> list[str] | None:
        """Observations that can have such rows; None for all."""
        if self.base_name not in SEARCHED:
            return None
        found: set[str] | None = None
        for expression in self.expressions:
            for name, sign, value in expression.conditions():
                if name not in ("obsid", "runid", "detid") or sign not in ("==", "in"):
                    continue
                values = value if isinstance(value, list) else [value]
                here = {text[:10] for text in values if re.fullmatch(r"\d{10}", text[:10])}
                found = here if found is None else found & here
        return None if found is None else sorted(found)


_DETECTIONS = "Regions with their source, features and flags"


def kind_of(column: Column) -> Kind:
    """What a column holds, as conditions tell it."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_boolean(kind):
        return "boolean"
    return "number" if pa.types.is_integer(kind) or pa.types.is_floating(kind) else "list"


def places(besides: str) -> dict[str, str]:
    """Which tables have a column, for each column, but for the table `besides`."""
    tables = {name: TABLES[own] for name, own in SEARCHED.items()}
    for name, product in PRODUCTS.items():
        own = "unique" if name == "sources" else name
        tables[name] = next(table for table in DERIVED[product] if table.name == own)
    found: dict[str, list[str]] = {}
    order = ("sources", "regions", *tables)
    for name in dict.fromkeys(order):
        for column in tables[name].columns if name != besides else ():
            found.setdefault(column.name, []).append(name)
    return {column: " and ".join(names[:3]) for column, names in found.items()}
