"""NaN and null fulfil no condition, in any column of any table, in one file or in many.

Columns that are side by side take the conditions in turn.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.examples import every_third
from helpers.query_archives import make_queried
from helpers.survey_archives import fill

from exod.archive import Archive
from exod.archive.increments import deriving, write_part
from exod.archive.questions.connection import connected
from exod.archive.snapshot import PRODUCTS, Snapshot
from exod.config import Config
from exod.observation.times import mjd_of
from exod.schemas import DERIVED, TABLES, UNIQUE
from exod.schemas.columns import Column, Table
from exod.schemas.conditions import Query, parse
from exod.stages.query.rows import kind_of, select
from exod.stages.query.statements import connect


def floats(table: Table) -> list[str]:
    return [column.name for column in table.columns if pa.types.is_floating(column.type)]


def nullable(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.nullable]


DECLARED = {
    **{name: table.shown for name, table in TABLES.items()},
    **{
        "sources" if table is UNIQUE else table.name: table
        for tables in DERIVED.values()
        for table in tables
    },
}
VALUES = (math.nan, -1.0, 0.5, 2.0, math.nan, math.inf)
CONDITIONS = {
    "{} > 0.5": lambda x: x > 0.5,
    "{} >= 0.5": lambda x: x >= 0.5,
    "{} < 0.5": lambda x: x < 0.5,
    "0.5 >= {}": lambda x: x <= 0.5,
    "{} == 0.5": lambda x: x == 0.5,
    "{} != 0.5": lambda x: (x != 0.5) & x.notna(),
    "{0} == {0}": lambda x: x.notna(),
    "{} in (0.5, 2)": lambda x: x.isin([0.5, 2.0]),
    "{} not in (0.5, 2)": lambda x: ~x.isin([0.5, 2.0]) & x.notna(),
    "between({}, 0, 1)": lambda x: x.between(0, 1),
    "isnull({})": lambda x: x.isna(),
    "notnull({})": lambda x: x.notna(),
    "not {} > 0.5": lambda x: ~(x > 0.5),
    "not {} != 0.5": lambda x: ~((x != 0.5) & x.notna()),
    "{} * 2 > 1": lambda x: x * 2 > 1,
}
"""Conditions, and the rows of pandas that fulfil them."""
STATEMENTS = {
    "{} > 0.5": CONDITIONS["{} > 0.5"],
    "{} <> 0.5": CONDITIONS["{} != 0.5"],
    "{} NOT IN (0.5, 2)": CONDITIONS["{} not in (0.5, 2)"],
    "{} IS NULL": CONDITIONS["isnull({})"],
    "NOT {} > 0.5": lambda x: x <= 0.5,
}


def value(column: Column, row: int, obsid: str) -> Any:
    """A value that is NaN in some rows of floats, and null in some of what may be null."""
    if column.name == "obsid":
        return obsid
    if column.nullable and row % 3 == 0:
        return None
    if pa.types.is_floating(column.type):
        return VALUES[row % len(VALUES)]
    if pa.types.is_list(column.type):
        return np.array([row], column.type.value_type.to_pandas_dtype())
    if pa.types.is_string(column.type):
        return f"{obsid}_{row}"
    if pa.types.is_binary(column.type):
        return f"{obsid}_{row}".encode()
    return row % 2 == 0 if pa.types.is_boolean(column.type) else row


def filled(table: Table, obsid: str) -> pd.DataFrame:
    rows = {
        column.name: [value(column, row + place, obsid) for row in range(len(VALUES))]
        for place, column in enumerate(table.columns)
    }
    types = {column.name: column.dtype for column in table.columns}
    return pd.DataFrame({name: pd.Series(rows[name], dtype=types[name]) for name in rows})


def test_all_tables_are_known() -> None:
    assert DECLARED.keys() == {*TABLES, *PRODUCTS}


@pytest.fixture(scope="module", params=["one", "many"])
def archive(request, tmp_path_factory) -> Archive:
    """Of many observations two are in compacted files and two have files of their own."""
    archive = Archive.create(tmp_path_factory.mktemp("missing") / "archive", Config())
    obsids = [f"070000000{n}" for n in range(1 if request.param == "one" else 4)]
    for number, obsid in enumerate(obsids):
        if number == 2:
            archive.compact()
        archive.commit(obsid, "OK", {name: filled(table, obsid) for name, table in TABLES.items()})
    for product, tables in DERIVED.items():
        with deriving(archive.store, product, tables) as new:
            new.attempts = {entry.obsid: entry.attempt for entry in archive.entries()}
            new.files += [
                write_part(archive.store, new.folder, table, filled(table, obsid), obsid)
                for table in tables
                for obsid in obsids
            ]
    return archive


def expected(archive: Archive, table: Table) -> pd.DataFrame:
    obsids = [entry.obsid for entry in archive.entries()]
    rows = pd.concat([filled(table, obsid) for obsid in obsids])
    for column in table.columns:
        if column.dates and pa.types.is_floating(column.type):
            rows[column.name] = mjd_of(rows[column.dates].to_numpy())
    return rows


def counting(name: str, conditions: list[str], scanned: str) -> str:
    """Counts of the rows of a table that fulfil each condition, which `scanned` gives to files."""
    counts = [
        f'SELECT {number} AS number, count(*) AS n FROM "{name}" WHERE {condition}'
        for number, condition in enumerate(conditions)
        if scanned in condition
    ]
    filters = (f"count(*) FILTER (WHERE {condition})" for condition in conditions)
    counts.append(
        f"SELECT unnest(range({len(conditions)})) AS number, unnest([{', '.join(filters)}]) AS n "
        f'FROM "{name}"'
    )
    return (
        f"SELECT number, min(n), max(n) FROM ({' UNION ALL '.join(counts)}) GROUP BY 1 ORDER BY 1"
    )


@pytest.mark.parametrize(
    "name", every_third(name for name, table in DECLARED.items() if floats(table))
)
def test_nan_is_null_for_users_of_sql(archive, name):
    table = Snapshot(archive).table(name)
    rows = expected(archive, table)
    wanted = {
        statement.format(f'"{column}"'): int(test(rows[column]).sum())
        for place, column in enumerate(floats(table))
        for statement, test in [*STATEMENTS.items()][place % 2 :: 2]
    }
    with connect(archive, counting(name, [*wanted], " > 0.5")) as answer:
        found = [(*row.values(),)[1:] for row in pa.concat_tables(answer.chunks()).to_pylist()]
    assert dict(zip(wanted, found, strict=True)) == {key: (n, n) for key, n in wanted.items()}


@pytest.mark.parametrize(
    "name",
    every_third(name for name, table in DECLARED.items() if floats(table) or nullable(table)),
)
def test_conditions_are_those_of_pandas(archive, name):
    snapshot = Snapshot(archive)
    table = snapshot.table(name)
    rows = expected(archive, table)
    kinds = {column.name: kind_of(column) for column in table.columns}
    wanted = {
        condition.format(column): int(test(rows[column]).sum())
        for place, column in enumerate(floats(table))
        for condition, test in [*CONDITIONS.items()][place % 3 :: 3]
    }
    missing = {column: int(rows[column].isna().sum()) for column in nullable(table)}
    wanted |= {f"isnull({column})": count for column, count in missing.items()}
    wanted |= {f"not {column} == {column}": count for column, count in missing.items()}
    statement = counting(name, [parse(text, kinds).sql() for text in wanted], " <> ")
    with connected(snapshot, {name: snapshot.files(name)}) as connection:
        found = [row[1:] for row in connection.execute(statement).fetchall()]
    assert dict(zip(wanted, found, strict=True)) == {key: (n, n) for key, n in wanted.items()}


def test_lists_have_null_for_nan(tmp_path: Path):
    archive = Archive.create(tmp_path / "archive", Config())
    images = filled(TABLES["images"], "0700000000")
    images["mu"] = [np.array([1.0, math.nan])] * len(images)
    archive.commit("0700000000", "OK", {"images": images})
    statement = "SELECT count(*) AS n FROM images WHERE list_max(mu) > 5 OR mu[2] IS NOT NULL"
    with connect(archive, statement) as answer:
        assert [row["n"] for chunk in answer.chunks() for row in chunk.to_pylist()] == [0]


NONE = [(table, column) for table in TABLES.values() for column in table.columns if column.none]


@pytest.mark.parametrize(("table", "column"), NONE, ids=lambda one: one.name)
def test_what_stands_for_no_value_is_null_where_it_is_selected(
    tmp_path: Path, table: Table, column: Column
) -> None:
    archive, obsids = Archive.create(tmp_path / "a", Config()), ("0700000001", "28964")
    for obsid, value in zip(obsids, (5, column.none), strict=True):
        rows = fill(table, [{"obsid": obsid, column.name: value}])
        archive.commit(obsid, "EMPTY", {table.name: rows})
    with connect(archive, f"SELECT obsid, {column.name} FROM {table.name}") as answer:
        found = pa.concat_tables(answer.chunks()).to_pydict()
    assert dict(zip(found["obsid"], found[column.name], strict=True)) == dict(
        zip(obsids, (5, None), strict=True)
    )
    for where, expected in (
        (f"isnull({column.name})", "28964"),
        (f"{column.name} > -9", "0700000001"),
    ):
        question = select(archive, Query(table=table.name, where=where))
        assert question.table.columns[question.table.schema.names.index(column.name)].nullable
        assert question.computed()["obsid"].tolist() == [expected]


def test_products_say_what_stands_for_no_value(tmp_path: Path) -> None:
    archive = make_queried(tmp_path / "a")
    lineage = select(archive, Query(table="lineage")).computed()
    assert lineage["other"].isna().all()
