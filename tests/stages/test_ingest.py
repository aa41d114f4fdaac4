"""Ingested event lists: the same search as from the pipeline's files, read faster."""

from __future__ import annotations

import shutil
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

import exod
from exod.config import Config
from exod.errors import ExodError, ExposureRejected, InputError
from exod.observation.events import EVENT_DTYPES, EventList
from exod.pps import find_observations, ingested, read_event_list, read_source_list
from exod.stages.detect.observation import detect_to_archive
from exod.stages.detect.predict import predict
from exod.stages.inputs.ingest import ingest_many, ingest_observation
from exod.stages.inputs.simulate import simulate_files

OBSID = "0900000777"
MEASURED = ["seconds", "peak_memory_mb"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A simulated observation as pipeline files."""
    path = tmp_path_factory.mktemp("pps")
    simulate_files(path, OBSID, 3, duration=2500.0, cameras=("EMOS1", "EMOS2"))
    return path


@pytest.fixture(scope="module")
def events_folder(folder, tmp_path_factory) -> Path:
    """The same, ingested."""
    root = tmp_path_factory.mktemp("root")
    (done,) = ingest_many(find_observations([folder])[0], root)
    assert done.written == 3
    assert not done.problems
    return root / "events"


def test_the_search_is_the_same(folder, events_folder):
    from_fits, from_parquet = exod.detect(folder), exod.detect(events_folder)
    assert len(from_fits.regions)
    for name, table in from_fits.items():
        ours = from_parquet[name]
        pd.testing.assert_frame_equal(
            table.drop(columns=MEASURED, errors="ignore"),
            ours.drop(columns=MEASURED, errors="ignore"),
        )


def test_every_row_is_kept_in_order_of_time(folder, events_folder):
    for path in find_observations([folder])[0][0].event_lists:
        exposure, events = read_event_list(path)
        file = events_folder / OBSID / f"{path.name}.parquet"
        same_exposure, rows = read_event_list(file)
        assert same_exposure == exposure
        order = np.argsort(events.time, kind="stable")
        for column in fields(EventList):
            values = getattr(rows, column.name)
            assert values.dtype == EVENT_DTYPES[column.name]
            assert np.array_equal(values, getattr(events, column.name)[order])


def test_row_groups_are_ten_minutes(events_folder):
    for path in events_folder.glob("*/*IEVLI*"):
        file = pq.ParquetFile(path)
        statistics = [
            file.metadata.row_group(i).column(0).statistics for i in range(file.num_row_groups)
        ]
        assert len(statistics) == 5
        assert all(s.max - s.min < ingested.ROW_GROUP_SECONDS for s in statistics)
        assert all(a.max <= b.min for a, b in pairwise(statistics))


def test_sources_are_kept(folder, events_folder):
    (files,) = find_observations([folder])[0]
    (again,) = find_observations([events_folder])[0]
    pd.testing.assert_frame_equal(
        read_source_list(files.source_lists[0])[0], read_source_list(again.source_lists[0])[0]
    )


def test_what_is_there_is_kept_and_what_changed_is_replaced(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "pps")
    (files,) = find_observations([tmp_path / "pps"])[0]
    root = tmp_path / "root"
    assert ingest_observation(files, root).written == 3
    assert ingest_observation(files, root).kept == 3
    with fits.open(files.event_lists[0]) as hdus:
        hdus["EVENTS"].data = hdus["EVENTS"].data[:100]
        hdus.writeto(tmp_path / "shorter.fits")
    shutil.copy(tmp_path / "shorter.fits", files.event_lists[0])
    done = ingest_observation(files, root)
    assert (done.written, done.kept, done.n_events) == (1, 2, 100)
    assert not list(root.rglob("*.tmp"))


def test_a_damaged_list_is_a_problem_and_the_others_are_ingested(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "pps")
    (files,) = find_observations([tmp_path / "pps"])[0]
    data = files.event_lists[0].read_bytes()
    files.event_lists[0].write_bytes(data[: len(data) // 2])
    done = ingest_observation(files, tmp_path / "root")
    assert done.written == 2
    assert len(done.problems) == 1
    assert files.event_lists[0].name in done.problems[0]


def test_a_rejected_list_says_why(folder, tmp_path):
    (files,) = find_observations([folder])[0]
    changed = tmp_path / "pps" / OBSID / files.event_lists[0].name
    changed.parent.mkdir(parents=True)
    with fits.open(files.event_lists[0]) as hdus:
        for hdu in hdus[:2]:
            hdu.header["DATAMODE"] = "TIMING"
        hdus.writeto(tmp_path / "timing.fits")
    shutil.copy(tmp_path / "timing.fits", changed)
    (timing,) = find_observations([tmp_path / "pps"])[0]
    assert ingest_observation(timing, tmp_path / "root").written == 1
    with pytest.raises(ExposureRejected, match="TIMING"):
        read_event_list(tmp_path / "root" / "events" / OBSID / f"{changed.name}.parquet")
    tables = exod.detect(tmp_path / "root" / "events")
    assert tables.exposures["filename"].tolist() == [changed.name]
    assert "TIMING" in tables.exposures["reason"][0]
    (files,), _ = find_observations([tmp_path / "root" / "events"])
    assert predict(files, Config()).n_rows == 0
    outcome = detect_to_archive(files, Config(), str(tmp_path / "archive"))
    assert outcome.status == "SKIPPED"


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing more", b"PAR1" * 100])
def test_a_damaged_file_is_an_error(events_folder, tmp_path, content):
    path = tmp_path / f"P{OBSID}M1S001MIEVLI0000.FTZ.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match="ingest its observation again"):
        read_event_list(path)
    assert ingested.origin_of(path) is None


def test_a_file_of_others_is_an_error(tmp_path):
    path = tmp_path / f"P{OBSID}M1S001MIEVLI0000.FTZ.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(InputError, match="not written by exod ingest"):
        read_event_list(path)
    other = tmp_path / "other.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(other)
    observations, _ = find_observations([tmp_path])
    assert [path.name for path in observations[0].event_lists] == [path.name]


def test_a_full_disk_is_a_sentence(folder, tmp_path, monkeypatch):
    (files,) = find_observations([folder])[0]

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = ingest_observation(files, tmp_path)
    assert done.written == 0
    assert all("No space left" in problem for problem in done.problems)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@given(st.lists(st.one_of(st.floats(0, 5000), st.just(float("nan"))), max_size=30))
def test_any_times_survive(tmp_path_factory, folder, times):
    (files,) = find_observations([folder])[0]
    exposure, events = read_event_list(files.event_lists[0])
    few = events.take(np.arange(len(times)))
    few = EventList(**{**vars(few), "time": np.array(times, float)})
    path = tmp_path_factory.mktemp("times") / "list.parquet"
    ingested.write_events(path, exposure, few, {})
    _, rows = ingested.read_events(path)
    assert np.array_equal(rows.time, np.sort(np.array(times, float)), equal_nan=True)


def test_an_unwritable_folder_is_a_sentence(folder, tmp_path):
    (tmp_path / "events").write_text("in the way")
    (files,) = find_observations([folder])[0]
    with pytest.raises(ExodError, match="cannot be written"):
        ingested.write_rejected(tmp_path / "events" / "x" / "a.parquet", "why", {})
    assert len(ingest_observation(files, tmp_path).problems) == 3
