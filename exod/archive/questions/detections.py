"""The detection row, defined once: a region with its source, its features and its flags.

`exod query`, `exod sql`, `exod filter`, `exod catalogue` and ``archive.detections`` all join what
`PARTS` names to the regions, by detid. A row is there if every part that is asked for has the
region as it is now: left out are regions without a source, and all regions of an observation that
was searched anew since a part was made (`behind`). So nothing in a detection is null because a row
of a part is missing. Labels of vetters, if flags were made with them, are False where there is no
verdict. Counterparts are added to what is there: they are null where there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from exod.archive.parts import Piece
from exod.archive.questions.connection import POSITION, connected, explained, without_nan
from exod.archive.questions.sql import Question, of_today
from exod.archive.snapshot import PRODUCTS, Snapshot
from exod.schemas.columns import Column, Table
from exod.schemas.conditions.compiling import literal, quoted
from exod.schemas.derived import LaterColumns
from exod.schemas.votes import VETTED

DETECTIONS: Final = "detections"
REGIONS: Final = "regions"
DESCRIPTION: Final = "Regions with their source, features and flags"

PARTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"members": ("region_num", "srcid"), "features": (), "flags": ()}
)
"""The tables that make detections of regions, with the columns that they give; all if none."""

_KEYS: Final = ("detid", "obsid")
"""By these a part is joined; the second lets conditions on it skip files of the part too."""


class Rows:
    """The rows of a table with columns of others, from which a question selects.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.
    base : str
        The table whose rows they are.
    obsids : sequence of str, optional
        The observations that are wanted: files of others are left out where that is known.

    Attributes
    ----------
    columns : dict of str to Column
        All columns.
    names : dict of str to str
        What they are called in SQL.
    behind : dict of str to tuple of str
        Observations that are left out, by the product that does not have them as they are now.
    """

    def __init__(self, snapshot: Snapshot, base: str, obsids: Sequence[str] | None = None) -> None:
        self.snapshot, self.base, self._obsids = snapshot, base, obsids
        self.behind: dict[str, tuple[str, ...]] = {}
        self.columns: dict[str, Column] = {}
        self.names: dict[str, str] = {}
        self.files: dict[str, tuple[Piece, ...]] = {}
        self._source = [quoted(base)]
        self._conditions: list[str] = []
        self._open(base, obsids)
        for column in snapshot.table(base).columns:
            self.add(column.selected, f"{quoted(base)}.{quoted(column.name)}")

    def _open(self, name: str, obsids: Sequence[str] | None = None) -> None:
        self.files[name] = tuple(self.snapshot.files(name, obsids))

    def add(self, column: Column, expression: str) -> None:
        """Add a column that is computed from others."""
        self.columns[column.name] = column
        self.names[column.name] = expression

    def add_part(self, name: str) -> None:
        """Join a part of the detections: only regions that it has as they are now are left."""
        self._join("JOIN", name, [(key, key) for key in _KEYS], PARTS[name], nullable=False)
        product = PRODUCTS[name]
        behind = self.snapshot.behind(product, self._obsids)
        if behind:
            self.behind[product] = behind
            self._conditions.append(f"{quoted(self.base)}.obsid NOT IN ({listed(behind)})")
        if self._obsids:
            # Nothing new, but DuckDB does not conclude it.
            self._conditions.append(f"{quoted(name)}.obsid IN ({listed(self._obsids)})")

    def add_matches(self, name: str, only: Iterable[str] = ()) -> list[str]:
        """Join a cross-match by the number of a source; the names of its columns."""
        return self._join("LEFT JOIN", name, [("region_num", "region_num")], only, nullable=True)

    def add_measured(self, name: str, only: Iterable[str]) -> None:
        """Add columns of a table that has rows of some regions; those of the others are null."""
        self._join("LEFT JOIN", name, [(key, key) for key in _KEYS], only, nullable=True)

    def add_by(self, name: str, keys: Mapping[str, str], columns: Mapping[str, Column]) -> None:
        """Join a table of which each row has one row.

        Parameters
        ----------
        name : str
            The table.
        keys : dict of str to str
            Columns of it, and those of the rows that are equal.
        columns : dict of str to Column
            What is added, under the name that it gets.
        """
        own = quoted(name)
        equal = (f"{own}.{quoted(there)} = {self.names[here]}" for there, here in keys.items())
        self._source.append(f"JOIN {own} ON {' AND '.join(equal)}")
        for shown, column in columns.items():
            self.add(replace(column, name=shown), f"{own}.{quoted(column.name)}")
        self._open(name)

    def add_later(self, later: LaterColumns) -> None:
        """Add columns of a product that is made later; null where it has no row."""
        own = quoted(later.table.name)
        equal = f"{own}.{quoted(later.own_key)} = {self.names[later.key]}"
        self._source.append(f"LEFT JOIN {own} ON {equal}")
        for name, column in later.columns.items():
            self.add(column, f"{own}.{quoted(name)}")
        self._open(later.table.name)

    def add_labels(self, table: Table) -> None:
        """Add the labels of a table that has rows of some regions; the others have none."""
        own = quoted(table.name)
        equal = (f"{own}.{quoted(key)} = {quoted(self.base)}.{quoted(key)}" for key in _KEYS)
        self._source.append(f"LEFT JOIN {own} ON {' AND '.join(equal)}")
        for column in table.columns:
            if pa.types.is_boolean(column.type):
                self.add(column, f"coalesce({own}.{quoted(column.name)}, false)")
        self._open(table.name)

    def add_count(self, column: Column) -> None:
        """Add the number of regions of the observation, all runs together."""
        own, base = quoted(f"#{column.name}"), quoted(self.base)
        counts = ("SELECT obsid, count(*) AS n FROM", base, "GROUP BY obsid")
        equal = f"{own}.obsid = {self.names['obsid']}"
        self._source.append(f"JOIN ({' '.join(counts)}) AS {own} ON {equal}")
        self.add(column, f"{own}.n")

    def _join(
        self,
        how: str,
        name: str,
        keys: Iterable[tuple[str, str]],
        only: Iterable[str],
        *,
        nullable: bool,
    ) -> list[str]:
        own, wanted = quoted(name), set(only)
        equal = (f"{own}.{quoted(there)} = {self.names[here]}" for there, here in keys)
        self._source.append(f"{how} {own} ON {' AND '.join(equal)}")
        added = [
            replace(column, nullable=column.nullable or nullable)
            for column in self.snapshot.table(name).columns
            if column.name not in self.columns and (not wanted or column.name in wanted)
        ]
        for column in added:
            self.add(column, f"{own}.{quoted(column.name)}")
        self._open(name)
        return [column.name for column in added]

    @property
    def source(self) -> str:
        """What follows FROM, with the conditions that leave out what is behind."""
        where = f" WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
        return f"{' '.join(self._source)}{where}"

    def counts(self, conditions: Iterable[str], name: str = "") -> list[int]:
        """The number of rows, and of those for which each condition holds.

        With the name of a column it is the number of its different values in these rows.
        """
        what = f"count(DISTINCT {self.names[name]})" if name else "count(*)"
        filters = (f"{what} FILTER (WHERE {condition})" for condition in conditions)
        text = " ".join(("SELECT", ", ".join((what, *filters)), "FROM", self.source))
        opened = connected(self.snapshot, self.files, statement=text)
        with opened as connection, explained(), of_today(self.snapshot, self.files):
            return list(connection.execute(text).fetchall()[0])

    def value(self, name: str) -> str:
        """A column in SQL, with null for NaN."""
        return without_nan(self.columns[name], self.names[name])

    def _shown(self, column: Column) -> str:
        """A column as it is shown: where it may be null, NaN is."""
        known = not column.nullable or not pa.types.is_floating(column.type)
        return self.names[column.name] if known else self.value(column.name)

    def selected(
        self,
        table: Table,
        conditions: Iterable[str] = (),
        order: Sequence[str] | None = (),
        limit: int | None = None,
    ) -> Question:
        """The rows for which all conditions hold, with the columns of a table.

        Parameters
        ----------
        table : Table
            Some of `columns`, in any order.
        conditions : iterable of str
            In SQL, with the `names`.
        order : sequence of str
            What rows are sorted by, in SQL, before their place in the archive; none if any order
            will do, since sorting whole rows takes long.
        limit : int, optional
            Largest number of rows.
        """
        shown = (f"{self._shown(column)} AS {quoted(column.name)}" for column in table.columns)
        every = [*self._conditions, *conditions]
        where = f" WHERE {' AND '.join(every)}" if every else ""
        text = " ".join(("SELECT", ", ".join(shown), "FROM", *self._source)) + where
        ordered = ""
        if order is not None and (order or len(self._source) > 1):
            # The rows of one table come in their order; a join may change it.
            place = (f"{quoted(self.base)}.{quoted(name)}" for name in POSITION)
            ordered = f" ORDER BY {', '.join((*order, *place))}"
        ordered += "" if limit is None else f" LIMIT {limit}"
        return Question(self.snapshot, table, text, ordered, self.base, self.files)


def listed(values: Iterable[str]) -> str:
    """Texts in SQL, with commas between them; NULL if there are none.

    Examples
    --------
    >>> listed(["a", "b's"])
    "'a', 'b''s'"
    """
    return ", ".join(map(literal, values)) or "NULL"


def detections(
    snapshot: Snapshot, parts: Iterable[str] = PARTS, obsids: Sequence[str] | None = None
) -> Rows:
    """Regions with those parts of the detections.

    Raises
    ------
    ArchiveError
        If a part was not made yet.
    """
    rows = Rows(snapshot, REGIONS, obsids)
    for name in parts:
        rows.add_part(name)
    if VETTED.name in snapshot.names and "flags" in rows.files:
        rows.add_labels(VETTED)
    return rows


def all_detections(snapshot: Snapshot) -> Question:
    """All detections with all their columns.

    Raises
    ------
    ArchiveError
        If a part was not made yet.
    """
    rows = detections(snapshot)
    return rows.selected(Table(DETECTIONS, DESCRIPTION, tuple(rows.columns.values()), ()))
