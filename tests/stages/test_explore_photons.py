"""Photons near sources: those of the event lists, and what becomes of them when lists are gone."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.faults import GOOD, OTHER

from exod.archive import Archive, open_archive
from exod.archive.derived import Derived, DerivedFile
from exod.config import Config
from exod.errors import InputError
from exod.pps import find_observations
from exod.scheduler.plan import Plan
from exod.stages.detect.observation import detect_to_archive
from exod.stages.detect.read import read_observation
from exod.stages.explore.photons import (
    RECORDED,
    CoveredField,
    PhotonsKept,
    gather_photons,
    in_bad_time,
)

HERE = Plan("sync")


@pytest.fixture(scope="module")
def lists(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    for obsid in (GOOD, OTHER):
        shutil.copytree(small / obsid, folder / obsid)
    return folder


@pytest.fixture(scope="module")
def archive(lists: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    root = str(tmp_path_factory.mktemp("found") / "archive")
    config = Config.load(overrides=["cube.t_bin=[40,250]", "cube.bands=[[0.2,12]]"])
    for files in find_observations([lists])[0]:
        detect_to_archive(files, config, root)
    return open_archive(root)


def fields_of(archive: Archive) -> list[CoveredField]:
    """Three places in each field, two of them close together."""
    fields = []
    for about in archive.observations.compute(scheduler="sync").itertuples():
        ra = about.ra_ref + np.array([0.0, 0.005, 0.1])
        dec = np.full(3, about.dec_ref)
        fields.append(CoveredField(about.obsid, np.array([4, 1, 9]), ra, dec))
    return fields


def gathered(archive: Archive, place: str, tmp_path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    near = gather_photons(archive, fields_of(archive), place, tmp_path / "near.parquet", HERE)
    rows = pa.concat_tables(near.chunks()).to_pandas()
    assert len(rows) == near.rows
    return rows, near.left_out


def by_hand(archive: Archive, lists: Path) -> pd.DataFrame:
    bti, runs = archive.bti.compute(scheduler="sync"), archive.runs.compute(scheduler="sync")
    parts = []
    for item in fields_of(archive):
        (files,), _ = find_observations([lists / item.obsid])
        (events,) = read_observation(files, archive.config).subsets
        runid = runs[(runs["obsid"] == item.obsid) & (runs["t_bin"] == 40)]["runid"].item()
        bad = bti[bti["runid"] == runid]
        for number, ra, dec in zip(item.region_num, item.ra_deg, item.dec_deg, strict=True):
            x, y = events.plane.to_pixel(ra, dec)
            dx, dy = events.x - x, events.y - y
            own = np.hypot(dx, dy) <= 1200
            time = events.time[own]
            parts.append(
                pd.DataFrame(
                    {
                        "region_num": number,
                        "obsid": item.obsid,
                        "camera": [events.exposures[k].instrument for k in events.source[own]],
                        "time": time,
                        "pi": events.pi[own],
                        "dx": np.rint(dx[own]).astype(np.int16),
                        "dy": np.rint(dy[own]).astype(np.int16),
                        "in_bti": [
                            bool(((bad["START"] <= t) & (t < bad["STOP"])).any()) for t in time
                        ],
                    }
                )
            )
    order = ["region_num", "time", "camera", "pi", "dx", "dy"]
    return pd.concat(parts).sort_values(order, ignore_index=True)


def test_photons_are_those_of_the_event_lists(archive, lists, tmp_path):
    rows, left_out = gathered(archive, RECORDED, tmp_path)
    assert not left_out
    assert len(rows) > 100
    assert set(rows["obsid"]) == {GOOD, OTHER}
    pd.testing.assert_frame_equal(rows, by_hand(archive, lists), check_dtype=False)
    assert rows["region_num"].is_monotonic_increasing


def test_bad_time_is_that_of_the_shortest_frames_of_the_subset():
    runs = pd.DataFrame({"runid": ["a", "b", "c"], "subset": [1, 1, 0], "t_bin": [50.0, 5.0, 1.0]})
    intervals = [("b", 30.0, 40.0), ("b", 10.0, 20.0), ("a", 0.0, 90.0), ("c", 0.0, 90.0)]
    bti = pd.DataFrame(intervals, columns=["runid", "START", "STOP"])
    time = np.array([5.0, 10.0, 19.9, 20.0, 35.0, 41.0])
    found = in_bad_time(time, 1, runs, bti)
    assert found.tolist() == [False, True, True, False, True, False]
    assert not in_bad_time(time, 2, runs, bti).any()


def test_event_lists_that_moved_and_that_are_gone(archive, lists, tmp_path):
    rows, _ = gathered(archive, RECORDED, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(lists / GOOD, elsewhere / GOOD)
    some, left_out = gathered(archive, str(elsewhere), tmp_path)
    expected = rows[rows["obsid"] == GOOD].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, expected)
    assert list(left_out) == [OTHER]
    assert OTHER in left_out[OTHER]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="no event lists"):
        gathered(archive, str(tmp_path / "nothing"), tmp_path)


def test_recorded_lists_that_are_gone_are_named(small, tmp_path):
    shutil.copytree(small / GOOD, tmp_path / GOOD)
    (files,), _ = find_observations([tmp_path / GOOD])
    config = Config.load(overrides=["cube.t_bin=[250]", "cube.bands=[[0.2,12]]"])
    detect_to_archive(files, config, str(tmp_path / "archive"))
    found = open_archive(str(tmp_path / "archive"))
    shutil.rmtree(tmp_path / GOOD)
    near = gather_photons(found, fields_of(found), RECORDED, tmp_path / "near.parquet", HERE)
    assert near.rows == 0
    assert list(near.left_out) == [GOOD]
    assert "not where its search read them" in near.left_out[GOOD]


def test_when_event_lists_are_read_again():
    """Not while sources, observations and place are the same, unless some had been left out."""
    attempts = {GOOD: "0001-a"}
    about = {"table": "photons", "part": "all", "rows": 3, "bytes": 10, "sha256": "0" * 64}
    file = DerivedFile(path="explorer/v/photons-all.parquet", **about)
    parameters = {"parts": {"unique": "u"}, "photons": RECORDED}
    made = {"product": "explorer", "version": "v", "finished": datetime.now(UTC), "exod": "1"}
    made |= {"files": (file,), "attempts": attempts, "parameters": parameters}

    def earlier(*left_out: str) -> Derived:
        summary = PhotonsKept(RECORDED, left_out=dict.fromkeys(left_out, "gone")).summary
        return Derived(**made, summary={"photons": summary})

    same = PhotonsKept.of(earlier(), None, attempts, "u")
    assert (same.place, same.files, same.is_complete) == (RECORDED, (file,), True)
    assert PhotonsKept.of(earlier(), RECORDED, attempts, "u").is_complete
    assert PhotonsKept.of(earlier(GOOD), None, attempts, "u").left_out.keys() == {GOOD}
    for again in (
        PhotonsKept.of(earlier(GOOD), RECORDED, attempts, "u"),
        PhotonsKept.of(earlier(), "/elsewhere", attempts, "u"),
        PhotonsKept.of(earlier(), None, {GOOD: "0002-a"}, "u"),
        PhotonsKept.of(earlier(), None, attempts, "other"),
        PhotonsKept.of(None, RECORDED, attempts, "u"),
    ):
        assert not again.is_complete
        assert again.files == ()
    assert PhotonsKept.of(None, None, attempts, "u").is_complete
    assert "/elsewhere" not in str(PhotonsKept("/elsewhere").summary)
