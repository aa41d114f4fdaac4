"""What a search will take, from headers alone; and saying so without doing it."""

from __future__ import annotations

import json
import shutil

import pytest
from helpers.faults import FAST, GOOD, event_lists

from exod.config import Config
from exod.pps import find_observations, list_extent, read_event_list
from exod.stages.detect.observation import detect_to_archive, peak_memory_mb
from exod.stages.detect.predict import predict, total_seconds
from exod.stages.inputs.ingest import ingest_observation


def test_extent_is_that_of_the_events(small, tmp_path):
    (files, _) = find_observations([small])[0]
    ingest_observation(files, tmp_path)
    (again,) = find_observations([tmp_path])[0]
    for path, ingested in zip(files.event_lists, again.event_lists, strict=True):
        _, events = read_event_list(path)
        rows, start, stop = list_extent(path)
        assert rows == len(events) == list_extent(ingested)[0]
        assert start <= events.time.min()
        assert stop >= events.time.max()
        assert list_extent(ingested)[1:] == (events.time.min(), events.time.max())


def test_prediction_grows_with_the_work(small):
    files = find_observations([small])[0][0]
    one = predict(files, Config.parse({"cube": {"t_bin": [50], "bands": [[0.2, 12.0]]}}))
    nine = predict(files, Config())
    fine = predict(files, Config.parse({"cube": {"t_bin": [1]}}))
    assert one.n_rows == nine.n_rows > 0
    assert one.seconds < nine.seconds
    assert nine.memory_mb < fine.memory_mb
    assert total_seconds([one, nine], 2) == (one.seconds + nine.seconds) / 2


def test_a_damaged_list_has_no_prediction(small, tmp_path):
    folder = tmp_path / GOOD
    shutil.copytree(small / GOOD, folder)
    event_lists(folder)[0].write_bytes(b"")
    prediction = predict(find_observations([folder])[0][0], Config())
    assert event_lists(folder)[0].name in prediction.problem
    assert prediction.n_rows == 0


def test_memory_is_an_upper_limit(small, tmp_path):
    files = find_observations([small])[0][0]
    before = peak_memory_mb()
    detect_to_archive(files, Config(), str(tmp_path / "archive"))
    grown = peak_memory_mb() - before
    assert grown < predict(files, Config()).memory_mb


def test_sliding_windows_need_more(small):
    files = find_observations([small])[0][0]
    published, deep = (predict(files, Config.preset(name)) for name in ("published", "deep"))
    assert deep.seconds > published.seconds
    assert deep.memory_mb > published.memory_mb


def test_dry_run_says_and_does_nothing(small, tmp_path, command):
    archive = tmp_path / "archive"
    code, out, err = command("detect", small, "--archive", archive, *FAST, "--dry-run")
    assert (code, err) == (0, "")
    assert GOOD in out
    assert "2 observations to search, 0 done before" in out
    assert not archive.exists()
    command("detect", small / GOOD, "--archive", archive, *FAST)
    code, out, _ = command("detect", small, "--archive", archive, *FAST, "--dry-run")
    assert "1 observation to search, 1 done before" in out


def test_log_has_a_line_for_each_observation(small, tmp_path, command):
    log = tmp_path / "log.json"
    archive = tmp_path / "archive"
    for _ in range(2):
        command("detect", small, "--archive", archive, *FAST, "--log-json", log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["searched"] for line in lines] == [True, True, False, False]
    assert {line["status"] for line in lines} <= {"OK", "EMPTY"}
    assert len({line["obsid"] for line in lines}) == 2


@pytest.mark.parametrize("log", ["missing/log.json", "."])
def test_a_log_that_cannot_be_written_is_a_sentence(small, tmp_path, command, log):
    code, _, err = command(
        "detect", small / GOOD, "--archive", tmp_path / "a", *FAST, "--log-json", tmp_path / log
    )
    assert code == 1
    assert "cannot be written" in err
