"""Whether the tables of an archive agree with one another: rules, and the rows that break them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import duckdb
import pandas as pd
import pyarrow as pa

from exod.archive.products import XMATCH
from exod.archive.questions.connection import without_bar


@dataclass(frozen=True)
class Consistency:
    """One check.

    Attributes
    ----------
    name : str
        What should hold.
    passed : bool
        Whether it does.
    detail : str
        Numbers behind the answer.
    """

    name: str
    passed: bool
    detail: str


class _Rule(NamedTuple):
    """What should hold, the rows that break it, tables with what their rows are, what is wrong."""

    name: str
    wrong: str
    told: Mapping[str, str]
    text: str


def check_tables(tables: Mapping[str, pd.DataFrame]) -> list[Consistency]:
    """Compare tables of an archive with one another.

    Parameters
    ----------
    tables : dict of str to DataFrame
        entries (obsid and n_regions, as the ledger has them), runs (runid and n_regions) and
        regions (detid, runid and obsid); those of the products that there are, of unique
        (region_num, srcid, n_detections and best_detid, with members: detid, region_num and
        srcid), features and flags (detid) and cross-matches, by product (region_num).
    """
    with duckdb.connect() as connection:
        without_bar(connection)
        for name, frame in tables.items():
            connection.register(name, pa.Table.from_pandas(frame, preserve_index=False))
        return [_checked(connection, rule, tables) for rule in _rules(tables)]


def _checked(
    connection: duckdb.DuckDBPyConnection, rule: _Rule, tables: Mapping[str, pd.DataFrame]
) -> Consistency:
    wrong = len(connection.sql(rule.wrong))
    number = ", ".join(f"{len(tables[table]):,} {noun}" for table, noun in rule.told.items())
    return Consistency(
        rule.name, not wrong, f"{number}; {wrong:,} {rule.text}" if wrong else number
    )


def _rules(tables: Iterable[str]) -> Iterator[_Rule]:
    """The rules about the tables that there are."""
    regions, runs = {"regions": "regions"}, {"runs": "runs"}
    yield _once("Every region has an identifier of its own", "detid", regions)
    yield _once("Every run is there once", "runid", runs)
    yield _Rule(
        "The ledger counts the regions that are in the table",
        _miscounted("entries", "n_regions", "regions", "obsid"),
        {"entries": "observations", **regions},
        "observations differ",
    )
    yield _Rule(
        "Every run counts the regions that are in the table",
        _miscounted("runs", "n_regions", "regions", "runid"),
        runs,
        "runs differ",
    )
    without = _without("regions", "runs", "runid")
    yield _Rule("Every region belongs to a run", without, regions, "regions have no run")
    if "unique" in tables:
        yield from _source_rules()
    for match in (name for name in tables if name.startswith(XMATCH)):
        name, rows = match.removeprefix(XMATCH), {match: "rows"}
        missing, foreign = (_without(*pair) for pair in (("unique", match), (match, "unique")))
        yield _Rule(f"Every source was matched with {name}", missing, rows, "sources were not")
        yield _Rule(f"Every row of {name} is of a source", foreign, rows, "rows have no source")
        yield _once(f"Every row of {name} is there once", "region_num", rows)
    for product in (name for name in ("features", "flags") if name in tables):
        yield from _region_rules(product, f"row of {product}")
        yield _once(f"Every row of {product} is there once", "detid", {product: "rows"})


def _source_rules() -> Iterator[_Rule]:
    sources, members = {"unique": "sources"}, {"members": "members"}
    yield _once("Every source has a number of its own", "region_num", sources)
    yield _once("Every source has a name of its own", "srcid", sources)
    lost = _without("members", "unique")
    yield _Rule("Every member belongs to a source", lost, members, "members have no source")
    yield _once("Every region is a member of one source only", "detid", members)
    yield _Rule(
        "Members and sources have the same names",
        'SELECT detid FROM members SEMI JOIN "unique" ON members.region_num = "unique".region_num '
        'ANTI JOIN "unique" AS same USING (region_num, srcid)',
        members,
        "names differ",
    )
    yield from _region_rules("members", "member of a source")
    yield _Rule(
        "Every source counts its members",
        _miscounted("unique", "n_detections", "members", "region_num"),
        sources,
        "sources differ",
    )
    yield _Rule(
        "The best region of every source is one of its members",
        'SELECT srcid FROM "unique" ANTI JOIN members ON best_detid = detid '
        'AND "unique".region_num = members.region_num',
        sources,
        "sources name another",
    )


def _region_rules(table: str, row: str) -> Iterator[_Rule]:
    """Of a table that has one row a region."""
    missing, foreign = _without("regions", table, "detid"), _without(table, "regions", "detid")
    yield _Rule(f"Every region is a {row}", missing, {"regions": "regions"}, "regions are not")
    yield _Rule(f"Every {row} is a region", foreign, {table: "rows"}, "rows have no region")


def _once(name: str, key: str, told: Mapping[str, str]) -> _Rule:
    """No two rows of a table have the same key."""
    (table,) = told
    first = f"row_number() OVER (PARTITION BY {key}) = 1"
    return _Rule(name, f'FROM "{table}" QUALIFY NOT {first}', told, "are repeated")


def _without(table: str, other: str, key: str = "region_num") -> str:
    """Rows of a table whose key another does not have."""
    return f'FROM "{table}" ANTI JOIN "{other}" USING ({key})'


def _miscounted(table: str, number: str, other: str, key: str) -> str:
    """Keys of which a table says another number of rows of another than there are."""
    # A key that is there twice is found by another rule.
    said = f'SELECT {key}, any_value({number}) AS said FROM "{table}" GROUP BY {key}'  # noqa: S608
    rows = f'SELECT {key}, count(*) AS n FROM "{other}" GROUP BY {key}'  # noqa: S608
    differ = "coalesce(said, 0) <> coalesce(n, 0)"
    return f"FROM ({said}) FULL JOIN ({rows}) USING ({key}) WHERE {differ}"


def failed(checks: Iterable[Consistency]) -> int:
    """How many checks did not pass."""
    return sum(not check.passed for check in checks)
