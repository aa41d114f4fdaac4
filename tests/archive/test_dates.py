"""Dates that are computed when a table is read: the same by every way of reading."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.survey_archives import observation

from exod.archive import Archive
from exod.config import Config
from exod.observation.times import leap_steps, mjd_of, utc_texts
from exod.schemas import REGIONS, TABLES
from exod.schemas.conditions import Query
from exod.stages.query.rows import select
from exod.stages.query.statements import connect

OF_TIME = ("time.start", "time.end")
DATES = [column.name for column in REGIONS.computed]
OBSIDS = ("0000000101", "0000000201")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Archive:
    """Events at leap seconds and at any time, some without one."""
    archive = Archive.create(tmp_path_factory.mktemp("dates") / "archive", Config())
    random = np.random.default_rng(1)
    edges = leap_steps().begin[-3:] / 1000
    for obsid in OBSIDS:
        tables = observation(obsid, (10.0, 20.0), [(10.0, 20.0)] * 8, light_curves=False)
        starts = np.concatenate([edges - 1, edges - 0.25, edges, random.uniform(-1e9, 2e9, 15)])
        starts[-2:] = np.nan, 1e300
        regions = tables["regions"].assign(t_start=starts)
        stops = starts[: len(regions)] + random.uniform(0, 3, len(regions))
        tables["regions"] = regions.assign(t_stop=stops)
        archive.commit(obsid, "OK", tables)
    return archive


def computed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["detid", *DATES]].sort_values("detid", ignore_index=True)


@pytest.fixture(scope="module")
def expected(archive) -> pd.DataFrame:
    paths = [archive.store.path(archive.entry(obsid).path("regions")) for obsid in OBSIDS]
    rows = pa.concat_tables([pq.read_table(path) for path in paths])
    assert not set(DATES) & set(rows.schema.names)
    frame = pd.DataFrame({"detid": rows["detid"].to_pylist()})
    for end in ("t_start", "t_stop"):
        seconds = rows[end].to_numpy()
        frame[f"{end}_mjd"], frame[f"{end}_utc"] = mjd_of(seconds), utc_texts(seconds)
    return computed(frame)


def assert_equal(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        computed(found.fillna({name: "" for name in DATES if name.endswith("utc")})),
        expected,
        check_dtype=False,
    )


def test_every_way_of_reading_computes_the_same(archive, expected):
    assert_equal(archive.regions.compute(scheduler="sync"), expected)
    assert_equal(archive.table("regions", index="obsid").compute(scheduler="sync"), expected)
    parts = [archive.observation(obsid)["regions"] for obsid in OBSIDS]
    assert_equal(pd.concat(parts), expected)
    assert_equal(archive.cone(10.0, 20.0, 60.0).compute(scheduler="sync"), expected)
    question = select(archive, Query(table="regions", columns=("detid", *DATES)))
    assert_equal(pd.concat(question.frames()), expected)
    with connect(archive, f"SELECT detid, {', '.join(DATES)} FROM regions") as answer:
        assert_equal(pa.concat_tables(answer.chunks()).to_pandas(), expected)


def test_conditions_on_dates_select(archive, expected):
    limit = float(expected["t_start_mjd"].quantile(0.4))
    wanted = set(expected["detid"][expected["t_start_mjd"] > limit])
    assert 0 < len(wanted) < len(expected)
    filters = [("t_start_mjd", ">", limit), ("label", ">=", 0)]
    found = archive.table("regions", columns=["detid"], filters=filters)
    assert set(found.compute(scheduler="sync")["detid"]) == wanted
    table = archive.regions
    lazy = table[table.t_start_mjd > limit]["detid"].compute(scheduler="sync")
    assert set(lazy) == wanted
    asked = select(archive, Query(table="regions", where=f"t_start_mjd > {limit!r}"))
    # To DuckDB numbers that are not known are none.
    assert set(asked.computed()["detid"]) == wanted
    leap = [("t_start_utc", "==", "2016-12-31T23:59:60.000")]
    assert len(archive.table("regions", filters=leap)) == len(OBSIDS)


@pytest.mark.parametrize(
    "name", ["bti", "cells", "exposures", "hot_pixels", "lightcurves", "rates", "regions", "runs"]
)
def test_each_time_of_a_table_has_its_day(archive, name):
    """Whatever a search writes in mission elapsed seconds has a day beside it."""
    table = TABLES[name]
    seconds = [c.name for c in table.columns if c.unit == "s" and c.ucd.startswith(OF_TIME)]
    days = {c.dates: c.name for c in table.computed if c.unit == "d"}
    assert seconds
    assert list(days) == seconds
    frames = [archive.observation(obsid, name)[name] for obsid in OBSIDS]
    rows = pd.concat(frames)
    assert [rows.columns[rows.columns.get_loc(start) + 1] for start in days] == list(days.values())
    for start, day in days.items():
        np.testing.assert_array_equal(rows[day], mjd_of(rows[start]))
    assert len(select(archive, Query(table=name, columns=tuple(days.values()))).computed()) == len(
        rows
    )


def test_every_table_with_times_is_tested():
    with_times = {
        table.name
        for table in TABLES.values()
        if any(c.unit == "s" and c.ucd.startswith(OF_TIME) for c in table.columns)
    }
    assert with_times == {table.name for table in TABLES.values() if table.computed}


def test_rows_that_were_read_can_be_committed_again(archive, tmp_path):
    other = Archive.create(tmp_path / "other", Config())
    rows = archive.observation(OBSIDS[0])
    other.commit(OBSIDS[0], "OK", {name: frame for name, frame in rows.items() if len(frame)})
    pd.testing.assert_frame_equal(other.observation(OBSIDS[0])["regions"], rows["regions"])
