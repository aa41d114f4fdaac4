"""Query: a question becomes one statement, whose rows are read when they are taken."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from exod.archive.questions.cone import box_sql, separation_sql
from exod.archive.questions.detections import (
    DESCRIPTION,
    DETECTIONS,
    PARTS,
    REGIONS,
    Rows,
    detections,
)
from exod.archive.questions.sql import Question
from exod.archive.snapshot import MATCHES, PRODUCTS, Snapshot
from exod.errors import ConfigError
from exod.observation.identifiers import obsid_of_row
from exod.schemas import DERIVED, TABLES
from exod.schemas.columns import Column, Table
from exod.schemas.conditions import Expression, Kind, Query, parse, unknown
from exod.schemas.conditions.compiling import literal
from exod.schemas.derived import BESIDE
from exod.schemas.kinds import OBSID_FORM

if TYPE_CHECKING:
    from exod.archive.reading import ArchiveReader

CONE_COLUMN = Column("cone_arcsec", pa.float64(), "arcsec", "Distance from the centre of the cone")

_FLAG = "filt_"
_OBSERVATION = re.compile(OBSID_FORM)


def select(archive: ArchiveReader, query: Query) -> Question:
    """The rows that a query asks for, lazily: pointers and the ledger are read, and no rows.

    DuckDB leaves out files and parts of files by their statistics, where the conditions let it;
    files of other observations are not opened where an identifier is asked for.

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
    return PlannedQuery(archive, query).question()


def table_name(snapshot: Snapshot, query: Query) -> str:
    """The table that a query is about.

    Without a name it is ``sources``, if they were made, and ``regions`` otherwise. Observations
    and flags are asked of ``detections``, if all of their parts were made.
    """
    if query.table:
        known = re.sub(r"^matches:", MATCHES, query.table)
        return "sources" if known == "unique" else known
    if query.obsids or query.flags or query.no_flags:
        return DETECTIONS if snapshot.has(*PARTS) else REGIONS
    wants_sources = query.name or query.matches
    return "sources" if wants_sources or snapshot.has("sources") else REGIONS


class PlannedQuery:
    """A query with what is known of its answer before any row is read; arguments as of `select`.

    Attributes
    ----------
    table : Table
        The columns of the answer.
    added : tuple of str
        Those that counterparts and a cone add to the columns of the table that is asked.
    """

    def __init__(self, archive: ArchiveReader, query: Query) -> None:
        self.snapshot, self.query = Snapshot(archive), query
        self.name = table_name(self.snapshot, query)
        self.what, self.elsewhere = f"Table {self.name}", places(self.name)
        self.rows = self._opened()
        hidden = self._join_flags()
        added = [name for catalogue in query.matches for name in self._join_matches(catalogue)]
        if query.cone:
            self._add_distance()
            added.insert(0, CONE_COLUMN.name)
        known = self.rows.columns
        shown = list(query.columns) or [name for name in known if name not in hidden]
        for name in [*shown, *([query.sort_column] if query.sort else [])]:
            if name not in known:
                raise unknown(name, known, self.what, self.elsewhere.get(name, ""))
        self.table = self._answer(shown)
        self.added = tuple(name for name in added if name in shown)

    def _opened(self) -> Rows:
        base = REGIONS if self.name == DETECTIONS else self.name
        obsids = self._obsids(self.snapshot.table(base)) if base in TABLES else None
        if self.name == DETECTIONS:
            return detections(self.snapshot, obsids=obsids)
        rows = Rows(self.snapshot, base, obsids)
        asked = set(re.findall(r"\w+", " ".join(query_texts(self.query))))
        for later in BESIDE["unique"] if base == "sources" else ():
            # A join takes long, so that only those are made that are needed.
            wanted = asked & {column.name for column in later.columns.values()}
            if wanted and self.snapshot.has(later.table.name):
                rows.add_later(later)
        return rows

    def _obsids(self, table: Table) -> list[str] | None:
        """Observations that can have such rows; None for all."""
        known = {column.name: kind_of(column) for column in table.columns}
        keys = {name: known[name] for name in ("obsid", "runid", "detid") if name in known}
        found: set[str] | None = None
        for text in self.query.conditions():
            for name in keys:
                values = Expression(text, known).values(name)
                if values is not None:
                    here = {obsid_of_row(str(value)) for value in values}
                    here = {obsid for obsid in here if _OBSERVATION.fullmatch(obsid)}
                    found = here if found is None else found & here
        return None if found is None else sorted(found)

    def _join_flags(self) -> set[str]:
        """Make flags known if they are asked for; the columns that are for conditions only."""
        known = self.rows.columns
        wanted = self.query.flags or self.query.no_flags
        if not wanted or any(name.startswith(_FLAG) for name in known):
            return set()
        if "detid" not in known:
            raise ConfigError(
                f"Table {self.name} has no flags, which are of regions; use detections."
            )
        before = set(known)
        self.rows.add_part("flags")
        return set(known) - before

    def _join_matches(self, catalogue: str) -> list[str]:
        if "region_num" not in self.rows.columns:
            raise ConfigError(
                f"Table {self.name} has no sources whose counterparts could be added; use sources, "
                f"members or detections."
            )
        return self.rows.add_matches(f"{MATCHES}{catalogue}")

    def _add_distance(self) -> None:
        own, cone = self.snapshot.table(self.rows.base).schema.names, self.query.cone
        if cone is None or not {"ra_deg", "dec_deg"} <= set(own):
            raise ConfigError(
                f"Table {self.name} has no positions for a cone; use sources, detections, "
                f"regions or members."
            )
        place = self.rows.names["ra_deg"], self.rows.names["dec_deg"]
        self.rows.add(CONE_COLUMN, separation_sql(*place, cone.ra_deg, cone.dec_deg))

    def _conditions(self) -> Iterator[str]:
        kinds = {name: kind_of(column) for name, column in self.rows.columns.items()}
        texts = self.query.conditions()
        texts += [self._flag(name) for name in self.query.flags]
        texts += [f"not {self._flag(name)}" for name in self.query.no_flags]
        for text in texts:
            yield parse(text, kinds, self.what, self.elsewhere).sql(self.rows.names)
        if self.query.cone:
            cone, names = self.query.cone, self.rows.names
            circle = cone.ra_deg, cone.dec_deg, cone.radius_arcsec
            yield box_sql(names["ra_deg"], names["dec_deg"], *circle)
            yield f"{names[CONE_COLUMN.name]} <= {literal(cone.radius_arcsec)}"

    def _flag(self, name: str) -> str:
        full = name if name.startswith(_FLAG) else f"{_FLAG}{name}"
        known = self.rows.columns
        flags = [flag.removeprefix(_FLAG) for flag in known if flag.startswith(_FLAG)]
        if full not in known:
            close = difflib.get_close_matches(full.removeprefix(_FLAG), flags)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {flags}."
            raise ConfigError(f"There is no flag {name!r}; {hint}")
        return full

    def _answer(self, shown: Iterable[str]) -> Table:
        description = self.snapshot.table(self.rows.base).description
        if self.name == DETECTIONS:
            description = DESCRIPTION
        return Table(self.name, description, tuple(self.rows.columns[name] for name in shown), ())

    def question(self, only: Sequence[str] | None = None) -> Question:
        """The statement, which reads some columns of the answer only if they are given."""
        query, table = self.query, self.table if only is None else self._answer(only)
        order = []
        if query.sort:
            # Missing values, of which NaN is one, come last in both directions.
            way = "DESC" if query.sort.startswith("-") else "ASC"
            order = [f"{self.rows.value(query.sort_column)} {way} NULLS LAST"]
        return self.rows.selected(table, [*self._conditions()], order, query.limit)


def query_texts(query: Query) -> list[str]:
    """What may name a column."""
    return [*query.columns, query.sort or "", *query.conditions()]


def kind_of(column: Column) -> Kind:
    """What a column holds, as conditions tell it."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "whole"
    return "number" if pa.types.is_floating(kind) else "list"


def places(besides: str) -> dict[str, str]:
    """Which tables have a column, for each column, but for the table `besides`."""
    tables = {name: table.shown for name, table in TABLES.items()}
    for name, product in PRODUCTS.items():
        own = "unique" if name == "sources" else name
        tables[name] = next(table for table in DERIVED[product] if table.name == own)
    found: dict[str, list[str]] = {}
    order = ("sources", REGIONS, *tables)
    for name in dict.fromkeys(order):
        for column in tables[name].columns if name != besides else ():
            found.setdefault(column.name, []).append(name)
    return {column: " and ".join(names[:3]) for column, names in found.items()}
