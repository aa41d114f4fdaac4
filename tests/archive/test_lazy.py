"""Lazy tables: what dask asks for is all that is read, and answers are those of pandas."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.archives import assert_same_rows, make_lightcurves, make_tables, plain, stored
from helpers.examples import portion
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exod.archive import Archive, compaction, parts
from exod.archive.increments import write_part
from exod.archive.lazy import lazy_table
from exod.archive.parts import derived_parts
from exod.archive.store import Store
from exod.config import Config
from exod.errors import ArchiveError
from exod.schemas import REGIONS, TABLES
from exod.schemas.columns import Column, Table

OBSIDS = [f"00017302{i:02d}" for i in range(6)]
NAMES = ("observations", "regions", "lightcurves")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive.create(tmp_path / "root", Config())
    for i, obsid in enumerate(OBSIDS):
        made.commit(obsid, "OK", make_tables(obsid, i, 4, NAMES))
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Files that were read, and which columns of each."""
    found: list[tuple[str, list[str]]] = []
    original = parts.read_file

    def counted(store: Store, path: str, table: Table, columns: Any, *more: Any) -> Any:
        found.append((path, list(columns)))
        return original(store, path, table, columns, *more)

    monkeypatch.setattr(parts, "read_file", counted)
    return found


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were opened."""
    names: list[str] = []
    open_file = Store.open

    def counted(store: Store, name: str, *about: Any) -> Any:
        names.append(name)
        return open_file(store, name, *about)

    monkeypatch.setattr(Store, "open", counted)
    return names


# -------------------------------------------------------------------- only what is asked for


def test_a_comparison_of_obsid_opens_the_files_that_can_have_it(
    archive: Archive, opened: list[str]
) -> None:
    lazy = archive.regions
    for condition, expected in (
        (lazy["obsid"] == OBSIDS[2], OBSIDS[2:3]),
        (lazy["obsid"] >= OBSIDS[4], OBSIDS[4:]),
        ((lazy["obsid"] > OBSIDS[1]) & (lazy["obsid"] < OBSIDS[4]), OBSIDS[2:4]),
        ((lazy["obsid"] == OBSIDS[0]) | (lazy["obsid"] == OBSIDS[5]), [OBSIDS[0], OBSIDS[5]]),
        (lazy["obsid"] == "0000000000", []),
    ):
        opened.clear()
        found = lazy[condition].compute(scheduler="sync")
        assert sorted(name[8:18] for name in opened) == expected
        assert sorted(found["obsid"].unique()) == expected


def test_a_comparison_skips_row_groups_of_large_files(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "GROUP_ROWS", 100)
    for obsid in OBSIDS:
        archive.commit(obsid, "OK", {"lightcurves": make_lightcurves(obsid, 1, 2, 100)})
    (file,) = archive.compact().tables["lightcurves"]
    assert len(file.row_groups) == 12
    rows: list[int] = []
    to_pandas = parts.to_pandas
    monkeypatch.setattr(parts, "to_pandas", lambda t: (rows.append(len(t)), to_pandas(t))[1])
    lazy = archive.lightcurves
    found = lazy[lazy.obsid == OBSIDS[3]].compute(scheduler="sync")
    assert rows == [200]
    pd.testing.assert_frame_equal(
        stored(found, "lightcurves"),
        make_lightcurves(OBSIDS[3], 1, 2, 100).sort_values(
            list(TABLES["lightcurves"].sort_by), ignore_index=True
        ),
    )


def test_only_columns_that_are_needed_are_read(archive: Archive, asked: list[Any]) -> None:
    lazy = archive.regions
    lazy[lazy["label"] > 1][["detid"]].compute(scheduler="sync")
    assert {tuple(columns) for _, columns in asked} == {("detid",)}
    asked.clear()
    lazy["t_bin"].mean().compute(scheduler="sync")
    assert {tuple(columns) for _, columns in asked} == {("t_bin",)}


@pytest.mark.parametrize("compacted", [False, True])
def test_a_length_is_known_without_opening_a_file(
    archive: Archive, asked: list[Any], opened: list[str], compacted: bool
) -> None:
    if compacted:
        archive.compact()
        opened.clear()
    assert len(archive.regions) == 24
    assert len(archive.regions[["detid"]]) == 24
    assert opened == []
    assert len(archive.table("regions", filters=[("label", "<", 2)])) == 12
    assert {tuple(columns) for _, columns in asked} == {("obsid",)}
    asked.clear()
    archive.commit(OBSIDS[0], "EMPTY")
    assert len(archive.regions) == 20
    # Rows that do not count any more have to be left out.
    assert {tuple(columns) for _, columns in asked} == ({("obsid",)} if compacted else set())


# -------------------------------------------------------------------- the same as in pandas


STRANGE = Table(
    "strange",
    "Columns of every kind",
    (
        Column("detid", pa.string(), "", "Key"),
        Column("text", pa.string(), "", "Text, may be missing", nullable=True),
        Column("whole", pa.int64(), "", "May be missing", nullable=True),
        Column("small", pa.int16(), "", "Never missing"),
        Column("single", pa.float32(), "", "Single precision"),
        Column("double", pa.float64(), "", "With NaN"),
        Column("truth", pa.bool_(), "", "Never missing"),
    ),
    ("detid",),
)


@pytest.fixture(scope="module")
def strange() -> Iterator[Any]:
    random = np.random.default_rng(5)
    n = 40
    frame = STRANGE.frame(
        pd.DataFrame(
            {
                "detid": [f"{i:02d}" for i in range(n)],
                "text": random.choice(np.array(["a", "b", None], object), n),
                "whole": pd.array(random.choice(np.array([0, 1, 2, None], object), n), "Int64"),
                "small": random.integers(-2, 3, n),
                "single": random.choice(np.float32([0.1, 0.5, np.nan, -0.0]), n),
                "double": random.choice([0.1, 0.5, np.nan, -0.0, np.inf], n),
                "truth": random.random(n) < 0.5,
            }
        )
    )
    with tempfile.TemporaryDirectory() as root:
        store = Archive.create(root, Config()).store
        folder = "unique/20260101T000000-01234567"
        pieces = [
            write_part(store, folder, STRANGE, frame.iloc[i : i + 8], str(i))
            for i in range(0, n, 8)
        ]
        yield lambda: lazy_table(store, STRANGE, derived_parts(pieces), []), frame


VALUES: dict[str, Any] = {
    "text": st.sampled_from(["a", "b", "", "c"]),
    "whole": st.sampled_from([0, 1, 1.5, 3]),
    "small": st.sampled_from([-2, 0, 2, 0.5, 10**6]),
    "single": st.sampled_from([0.1, 0.5, 0, np.float32(0.1), np.float64(0.1)]),
    "double": st.sampled_from([0.1, 0.5, 0, -0.0, float("inf"), np.float32(0.5)]),
    "truth": st.sampled_from([True, False]),
}
SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
comparisons = st.sampled_from(sorted(VALUES)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.sampled_from(["==", "!="] if name == "truth" else sorted(SIGNS)),
        VALUES[name],
    )
)
predicates = st.recursive(
    comparisons,
    lambda inner: st.tuples(st.sampled_from("&|"), inner, inner) | st.tuples(st.just("~"), inner),
    max_leaves=4,
)


def mask(frame: Any, predicate: Any) -> Any:
    if predicate[0] == "~":
        return ~mask(frame, predicate[1])
    if predicate[0] in "&|":
        a, b = (mask(frame, part) for part in predicate[1:])
        return a & b if predicate[0] == "&" else a | b
    name, sign, value = predicate
    return SIGNS[sign](frame[name], value)


@given(predicate=predicates)
@example(predicate=("single", "<=", 0.1))
@settings(max_examples=portion(50), deadline=None)
def test_any_selection_is_that_of_pandas(strange: Any, predicate: Any) -> None:
    make, frame = strange
    expected = frame[mask(frame, predicate).fillna(False).astype(bool)]
    lazy = make()
    found = lazy[mask(lazy, predicate)]
    rows = found.compute(scheduler="sync").reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, expected.reset_index(drop=True))
    assert len(found) == len(expected)
    column = make()
    column = column[mask(column, predicate)]["detid"].compute(scheduler="sync")
    assert column.tolist() == expected["detid"].tolist()


# -------------------------------------------------------------------- divisions


def merged(archive: Archive) -> Any:
    curves = archive.table("lightcurves", columns=["detid", "n"], index="obsid")
    about = archive.table("regions", columns=["label", "t_bin"], index="obsid")
    return curves.merge(about, left_index=True, right_index=True)


def shuffles(lazy: Any) -> bool:
    return any("shuffle" in str(key) for key in lazy.optimize().dask)


def test_a_merge_by_observation_does_not_shuffle(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PARTITION_BYTES", 20_000)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was computed")

    assert archive.lightcurves.npartitions > 1
    for step in range(3):
        if step == 1:
            archive.compact()
        elif step == 2:
            archive.commit(OBSIDS[1], "OK", make_tables(OBSIDS[1], 7, 4, NAMES))
        with dask.config.set(scheduler=refuse):
            lazy = merged(archive)
            table = archive.table("lightcurves", index="obsid")
        assert table.known_divisions
        assert table.npartitions > 1
        assert not shuffles(lazy)
        by_column = archive.lightcurves.merge(archive.regions, on="obsid")
        assert shuffles(by_column) or archive.lightcurves.npartitions == 1
        found = lazy.compute(scheduler="sync")
        left = archive.lightcurves.compute(scheduler="sync")
        right = archive.regions.compute(scheduler="sync")[["obsid", "label", "t_bin"]]
        expected = left[["obsid", "detid", "n"]].merge(right, on="obsid").set_index("obsid")
        assert_same_rows(found.reset_index(), expected.reset_index())
        assert found.index.is_monotonic_increasing
        for number in range(table.npartitions):
            rows = table.partitions[number].compute(scheduler="sync")
            low, high = table.divisions[number : number + 2]
            last = number == table.npartitions - 1
            assert ((rows.index >= low) & ((rows.index < high) | last)).all()


@pytest.mark.parametrize(
    "limit", [20_000, *(pytest.param(n, marks=pytest.mark.drill) for n in (1, 60_000, 10**9))]
)
def test_by_observation_a_table_does_not_depend_on_compactions(limit: int) -> None:
    random = np.random.default_rng(limit)
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PARTITION_BYTES", limit)
        patch.setattr(compaction, "GROUP_ROWS", 7)
        patch.setattr(compaction, "SKY_GROUP_ROWS", 3)
        archive = Archive.create(root, Config())
        for _ in range(12):
            obsid = str(random.choice(OBSIDS))
            n = int(random.integers(0, 9))
            tables = make_tables(obsid, int(random.integers(99)), n, NAMES)
            archive.commit(obsid, "OK" if n else "EMPTY", tables)
            if random.random() < 0.4:
                archive.compact(0.01)
        before = {name: archive.table(name, index="obsid") for name in NAMES}
        kept = {name: table.compute(scheduler="sync") for name, table in before.items()}
        archive.compact(anew=True)
        for name in NAMES:
            after = archive.table(name, index="obsid")
            assert after.divisions == before[name].divisions
            rows = after.compute(scheduler="sync")
            if name != "regions":
                pd.testing.assert_frame_equal(plain(rows), plain(kept[name]))
            assert_same_rows(rows.reset_index(), kept[name].reset_index())
            assert len(after) == len(rows)


def test_an_index_of_nothing_and_of_something_else(tmp_path: Path, archive: Archive) -> None:
    empty = Archive.create(tmp_path / "empty", Config())
    assert len(empty.table("regions", index="obsid").compute(scheduler="sync")) == 0
    with pytest.raises(ArchiveError, match="index of a table can be obsid, not 'detid'"):
        archive.table("regions", index="detid")
    some = archive.table("regions", columns=["obsid", "label"], index="obsid")
    assert list(some.columns) == ["label"]
    assert some.compute(scheduler="sync").index.name == "obsid"
    near = archive.table("regions", index="obsid", filters=[("obsid", "==", OBSIDS[1])])
    assert set(near.compute(scheduler="sync").index) == {OBSIDS[1]}
    assert near._meta.columns.tolist() == [n for n in REGIONS.shown.schema.names if n != "obsid"]
