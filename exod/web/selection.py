"""What a reader has chosen, as an address has it: the same text for pages, API and command line.

``sigma=14-63`` are bins, ``otype=3.7`` codes, ``flag=0.2`` and ``noflag=5`` bits of the flags that
are set and are not; ``where`` is a condition of `exod.schemas.conditions`, ``cone`` is
RA,DEC,ARCSEC, ``obsid`` one or more observations, ``sort`` a column, with ``-`` for largest first.
What an address says besides is for the pages, and is not looked at here; a name that is none of
theirs is refused, since a facet with a wrong name would choose all rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from exod.archive.questions.cone import box_sql, separation_sql
from exod.errors import ConfigError
from exod.schemas.conditions import Cone, parse
from exod.schemas.conditions.compiling import literal, quoted
from exod.schemas.conditions.grammar import Kind
from exod.schemas.facets import BINS, MISSING
from exod.schemas.kinds import OBSID_FORM, OBSID_WORDS

_BINS: Final = re.compile(r"([0-9]{1,2})-([0-9]{1,2})")
_CODES: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})*")

_OTHER_PAGES: Final = re.compile(
    r"/(source|name|detection|obs)/|/(compare|runs|columns|about|api|openapi\.json)/?$"
)
"""Addresses of pages that do not show what is chosen; statistics and vetting do."""

TABLES: Final = ("sources", "detections")

_CONDITIONS: Final = ("where", "cone", "obsid", "name")
"""What chooses rows by columns that the index does not have."""

OWN: Final = ("flag", "noflag", *_CONDITIONS, "sort")
"""What chooses rows besides facets."""

BESIDES: Final = frozenset(
    (
        *("table", "vetter", "sel", "x", "y", "x2", "y2", "count"),
        *("queue", "like", "source", "columns", "limit", "offset", "total"),
    )
)
"""What else addresses of pages and questions to the API say."""


@dataclass(frozen=True)
class RowChoice:
    """Rows of a table of the explorer.

    Attributes
    ----------
    table : str
        sources or detections.
    facets : dict of str to str
        Conditions on the index, by facet; flags are among them.
    others : tuple of str
        Conditions on the columns of the table.
    sort : str
        What rows are sorted by, in SQL; empty for their own order.
    quick_sort : str
        The same by the numbers of the index, in single precision, and the order of rows; empty if
        it has none of that column.
    """

    table: str
    facets: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    sort: str = ""
    quick_sort: str = ""

    def condition(self, without: str = "") -> str:
        """All conditions in SQL, of index ``i`` and rows ``d``, but for those of a facet."""
        chosen = [text for name, text in self.facets.items() if name != without]
        return " AND ".join([*chosen, *self.others]) or "true"

    @property
    def source(self) -> str:
        """What follows FROM: the index alone where that is enough."""
        return self.joined if self.others else self._index

    @property
    def joined(self) -> str:
        """What follows FROM for the rows themselves."""
        return f'{self._index} JOIN {quoted(self.table)} AS d ON i."#row" = d."#row"'

    @property
    def _index(self) -> str:
        return f"{quoted(f'{self.table}_index')} AS i"


def selection(about: Mapping[str, Any], table: str, state: Mapping[str, str]) -> RowChoice:
    """Read the state of an address.

    Parameters
    ----------
    about : dict
        What the product tells of the table: facets, flags, columns.
    table : str
        sources or detections.
    state : dict of str to str
        What the address says.

    Raises
    ------
    ConfigError
        If something of it cannot be: the facet or value is named.
    """
    known = [*(facet["name"] for facet in about["facets"]), *OWN]
    for name in state:
        if name not in BESIDES and name not in known:
            raise ConfigError(
                f"{name[:50]!r} is no facet or condition of {table}; there are {', '.join(known)}."
            )
    facets = {}
    for facet in about["facets"]:
        text = state.get(facet["name"], "")
        if text:
            facets[facet["name"]] = _facet(facet, text)
    flags = [_flags(about["flags"], state.get(name, ""), name) for name in ("flag", "noflag")]
    if any(flags):
        facets["flags"] = " AND ".join(filter(None, flags))
    others, sort = tuple(_others(about, state)), _sort(about, state)
    name = state.get("sort", "").removeprefix("-")
    # What has no order is in that of the rows, which the index knows.
    number = f"{quoted(f'{name}_f4')} {_way(state)} NULLS LAST, i." if name else ""
    quick = f'i.{number}"#row"' if not name or name in about["sortable"] else ""
    return RowChoice(table, facets, others, sort, quick)


def state_of(address: str) -> tuple[str, dict[str, str]]:
    """The table and the state that the address of a view has, of a server or of a site of files.

    Raises
    ------
    ConfigError
        If it is not the address of a catalogue.

    Examples
    --------
    >>> state_of("http://127.0.0.1:8765/?table=detections&sigma=14-63")
    ('detections', {'sigma': '14-63'})
    >>> state_of("https://example.org/exod/#/?where=sigma_peak+%3E+5")
    ('sources', {'where': 'sigma_peak > 5'})
    """
    parts = urlsplit(address)
    path, query = parts.path, parts.query
    if parts.fragment.startswith("/"):
        path, _, query = parts.fragment.partition("?")
    state = dict(parse_qsl(query))
    table = state.pop("table", TABLES[0])
    if table not in TABLES or _OTHER_PAGES.search(path):
        raise ConfigError(
            f"{address!r} is not the address of a catalogue's page, as "
            f"http://127.0.0.1:8765/?table=detections&sigma=14-63."
        )
    return table, state


def _facet(facet: Mapping[str, Any], text: str) -> str:
    name = f"i.{quoted(facet['name'])}"
    if facet["kind"] == "bins":
        found = _BINS.fullmatch(text)
        if not found or not int(found[1]) <= int(found[2]) < BINS:
            raise ConfigError(
                f"{facet['name']}={text[:50]} is no range of bins; write two numbers of 0 to "
                f"{BINS - 1}, as {facet['name']}=14-63."
            )
        return f"{name} BETWEEN {int(found[1])} AND {int(found[2])}"
    codes = _codes(facet["name"], text, len(facet["labels"]), MISSING)
    return f"{name} IN ({', '.join(map(str, codes))})"


def _codes(name: str, text: str, limit: int, *besides: int) -> list[int]:
    codes = [int(code) for code in text.split(".")] if _CODES.fullmatch(text) else [-1]
    if not all(0 <= code < limit or code in besides for code in codes):
        raise ConfigError(
            f"{name}={text[:50]} is no list of codes; write numbers below {limit} with points "
            f"between them, as {name}=0."
        )
    return codes


def _flags(names: Iterable[str], text: str, what: str) -> str:
    if not text:
        return ""
    mask = sum(1 << code for code in set(_codes(what, text, len([*names]))))
    return f'(i."flags" & {mask}) = {mask if what == "flag" else 0}'


def _others(about: Mapping[str, Any], state: Mapping[str, str]) -> Iterable[str]:
    # There are some 150 columns, and usually none of them is asked for.
    if not any(state.get(name) for name in _CONDITIONS):
        return
    kinds = {column["name"]: kind_of(column["type"]) for column in about["columns"]}
    names = {name: f"d.{quoted(name)}" for name in kinds}
    if state.get("where", "").strip():
        expression = parse(state["where"], kinds)
        yield f"({expression.sql(names)}) IS TRUE"
    if state.get("cone"):
        cone = Cone.parse(state["cone"])
        place = (names["ra_deg"], names["dec_deg"], cone.ra_deg, cone.dec_deg)
        yield f"{box_sql(*place, cone.radius_arcsec)}"
        yield f"{separation_sql(*place)} <= {literal(cone.radius_arcsec)}"
    if state.get("obsid"):
        obsids = state["obsid"].split(",")
        for obsid in obsids:
            if not re.fullmatch(OBSID_FORM, obsid):
                raise ConfigError(
                    f"{obsid[:50]!r} is not an observation identifier; {OBSID_WORDS}."
                )
        own = names.get("obsid", names.get("best_obsid"))
        yield f"{own} IN ({', '.join(map(literal, obsids))})"
    if state.get("name"):
        wanted = state["name"]
        wanted = wanted if wanted.startswith("EXOD") else f"EXOD {wanted}"
        yield f"starts_with({names['srcid']}, {literal(wanted)})"


def _sort(about: Mapping[str, Any], state: Mapping[str, str]) -> str:
    text = state.get("sort", "")
    if not text:
        return ""
    name = text.removeprefix("-")
    if name not in {column["name"] for column in about["columns"]}:
        raise ConfigError(f"There is no column {name[:50]!r} to sort by.")
    return f"d.{quoted(name)} {_way(state)} NULLS LAST, d.{quoted(about['key'])}"


def _way(state: Mapping[str, str]) -> str:
    return "DESC" if state["sort"].startswith("-") else "ASC"


def kind_of(type_: str) -> Kind:
    """What a column of an Arrow type holds, for conditions."""
    if type_ == "bool":
        return "boolean"
    if type_.startswith(("int", "uint")):
        return "whole"
    return "number" if type_ in {"float", "double"} else "text"
