"""Searching observations to an archive: same result anywhere, resumed, never half written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from helpers.faults import FAST, GOOD, OTHER, copy, digest, digests, event_lists, set_keys
from helpers.processes import EXOD, LONGEST, start_interruptible, wait_until

import exod
from exod.archive import Archive, open_archive
from exod.archive.ledger.table import SAVED, read_saved
from exod.cli.outcomes import FINISHING
from exod.config import Config
from exod.errors import ArchiveError, ConfigError, ExodError
from exod.pps import ObservationFiles, find_observations
from exod.scheduler import Done
from exod.scheduler.plan import Plan
from exod.schemas import TABLES
from exod.stages.detect import observation as stage
from exod.stages.detect import survey
from exod.stages.detect.observation import Outcome
from exod.stages.detect.survey import detect_many
from exod.stages.inputs.simulate import simulate_files

HERE = Plan("sync")
CONFIG = Config.load(overrides=["cube.t_bin=[200]", "cube.bands=[[0.2,12]]"])


def search(paths: list[Path], root: Path, plan: Plan = HERE, **options: Any) -> list[Outcome]:
    observations, problems = find_observations(paths)
    assert not problems
    return list(detect_many(observations, CONFIG, str(root), plan, **options))


def test_memory_and_archive_agree(small: Path, tmp_path: Path) -> None:
    tables = exod.detect(small / GOOD, CONFIG)
    assert set(tables) == set(TABLES)
    for name, table in TABLES.items():
        assert list(tables[name].columns) == [column.name for column in table.columns]
        assert getattr(tables, name) is tables[name]
    search([small / GOOD], tmp_path)
    stored = digests(tmp_path)
    archive = open_archive(tmp_path)
    for name, found in stored.items():
        # The archive keeps its own order of rows and text type, and computes dates.
        frame = archive.table(name).compute()[list(tables[name].columns)]
        assert len(frame) == len(tables[name]), name
        columns = [c for c in ("runid", "detid", "frame", "y", "x", "time", "ra_deg") if c in frame]
        if columns:
            both = [
                part.sort_values(columns, kind="stable").reset_index(drop=True)
                for part in (frame, tables[name])
            ]
            assert digest(both[0]) == digest(both[1]), (name, found)


@pytest.mark.drill
@pytest.mark.slow
def test_schedulers_agree(small: Path, tmp_path: Path) -> None:
    links: list[str] = []
    here = search([small], tmp_path / "sync")
    away = search([small], tmp_path / "local", Plan(workers=2, on_start=links.append))
    assert [o.status for o in here] == ["OK", "OK"]
    assert sorted(o.obsid for o in away) == [GOOD, OTHER]
    assert digests(tmp_path / "sync") == digests(tmp_path / "local")
    assert re.match(r"http://127\.0\.0\.1:\d+/status", links[0])


def test_one_observation_needs_no_processes(small: Path, tmp_path: Path) -> None:
    links: list[str] = []
    search([small / GOOD], tmp_path, Plan(on_start=links.append))
    assert not links


def test_files_repeat_byte_for_byte(small: Path, tmp_path: Path) -> None:
    search([small / GOOD], tmp_path / "a")
    search([small / GOOD], tmp_path / "b")
    for name in set(TABLES) - {"runs"}:  # which say how long they took
        first, second = (
            [path.read_bytes() for path in (tmp_path / root / name).glob("*.parquet")]
            for root in "ab"
        )
        assert first == second


def attempts(root: Path) -> dict[str, str]:
    return dict(open_archive(root).status()[["obsid", "attempt"]].itertuples(index=False))


def test_resume(small: Path, tmp_path: Path) -> None:
    search([small], tmp_path)
    before = attempts(tmp_path)
    again = search([small], tmp_path)
    assert [o.searched for o in again] == [False, False]
    assert [o.status for o in again] == ["OK", "OK"]
    assert [o.n_regions for o in again] == list(open_archive(tmp_path).status()["n_regions"])
    assert attempts(tmp_path) == before
    forced = search([small], tmp_path, force=True)
    assert [o.searched for o in forced] == [True, True]
    assert not set(attempts(tmp_path).values()) & set(before.values())


def test_changed_files_are_searched_again(small: Path, tmp_path: Path) -> None:
    changed = copy(small / GOOD, tmp_path)
    search([changed, small / OTHER], tmp_path / "archive")
    set_keys(event_lists(changed)[0], OBJECT="another target")
    again = search([changed, small / OTHER], tmp_path / "archive")
    assert {o.obsid: o.searched for o in again} == {GOOD: True, OTHER: False}
    event_lists(changed)[1].unlink()
    again = search([changed, small / OTHER], tmp_path / "archive")
    assert {o.obsid: o.searched for o in again} == {GOOD: True, OTHER: False}


def test_failed_is_tried_again_when_asked_or_mended(small: Path, tmp_path: Path) -> None:
    bad = copy(small / GOOD, tmp_path)
    path = event_lists(bad)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    root = tmp_path / "archive"
    tried = [
        search([bad], root)[0],
        search([bad], root)[0],
        search([bad], root, retry_failed=True)[0],
    ]
    assert [o.status for o in tried] == ["FAILED"] * 3
    assert [o.searched for o in tried] == [True, False, True]
    entry = open_archive(root).entry(GOOD)
    assert entry is not None
    assert "Traceback" in entry.traceback
    path.write_bytes(whole)
    assert search([bad], root)[0].status == "OK"
    entry = open_archive(root).entry(GOOD)
    assert entry is not None
    assert (entry.reason, entry.traceback) == ("", "")


def test_damaged_ledger_entry_is_replaced(small: Path, tmp_path: Path) -> None:
    search([small], tmp_path)
    before = digests(tmp_path)
    (tmp_path / "ledger" / f"{GOOD}.json").write_text('{"obsid": "09')
    again = search([small], tmp_path)
    assert {o.obsid: o.searched for o in again} == {GOOD: True, OTHER: False}
    assert digests(tmp_path) == before


def test_a_search_keeps_the_ledger_in_one_file(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exod.archive.ledger.table.BEHIND", 1)
    search([small / GOOD], tmp_path)
    kept = tmp_path / SAVED
    assert len(read_saved(open_archive(tmp_path).store)) == 1
    # It is a copy: a search is not in vain if it cannot be written.
    kept.unlink()
    kept.mkdir()
    (outcome,) = search([small / GOOD], tmp_path, force=True)
    assert outcome.searched


def test_other_settings_are_refused(small: Path, tmp_path: Path) -> None:
    search([small / GOOD], tmp_path)
    observations, _ = find_observations([small])
    other = Config.load(overrides=["detect.sigma=5"])
    with pytest.raises(ArchiveError, match=r"detect\.sigma: archive has 3, asked for 5"):
        list(detect_many(observations, other, str(tmp_path), HERE))
    marker = tmp_path / "archive.json"
    content = json.loads(marker.read_text())
    marker.write_text(json.dumps({**content, "format_version": 99}))
    with pytest.raises(ArchiveError, match="format 99"):
        search([small / GOOD], tmp_path)


def test_settings_are_checked_before_anything_is_made(small: Path, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with pytest.raises(ConfigError, match="use sync, local or tcp"):
        search([small], root, Plan("slurm"))
    observations, _ = find_observations([small])
    config = Config.load(overrides=[f"selection.hot_pixels='{tmp_path}/none.csv'"])
    with pytest.raises(
        ConfigError, match=r"hot pixel table cannot be used: There is no file .*none\.csv"
    ):
        list(detect_many(observations, config, str(root), HERE))
    assert not root.exists()


def test_defects_are_recorded(small: Path, tmp_path: Path, monkeypatch: Any) -> None:
    sound = stage.detect_observation

    def fail(files: ObservationFiles, config: Config) -> Any:
        if files.obsid == GOOD:
            raise ZeroDivisionError("a defect")
        return sound(files, config)

    monkeypatch.setattr(stage, "detect_observation", fail)
    outcomes = search([small], tmp_path)
    assert [o.status for o in outcomes] == ["FAILED", "OK"]
    assert outcomes[0].reason.startswith("Unexpected ZeroDivisionError: a defect")
    entry = open_archive(tmp_path).entry(GOOD)
    assert entry is not None
    assert "a defect" in entry.traceback


def test_result_that_cannot_be_committed(small: Path, tmp_path: Path, monkeypatch: Any) -> None:
    commit = Archive.commit

    def refuse(self: Archive, obsid: str, status: Any, *arguments: Any, **options: Any) -> Any:
        if (obsid, status) == (GOOD, "OK"):
            raise ArchiveError("The disk is full.")
        return commit(self, obsid, status, *arguments, **options)

    monkeypatch.setattr(Archive, "commit", refuse)
    outcomes = search([small], tmp_path)
    assert (outcomes[0].status, outcomes[0].reason) == ("FAILED", "The disk is full.")
    assert list(open_archive(tmp_path).status()["status"]) == ["FAILED", "OK"]


def test_killed_worker(small: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """What the scheduler says of the observation that kills workers; see test_scheduler."""

    def run(function: Any, items: Any, plan: Plan, **options: Any) -> Any:
        for item in items:
            if item.obsid == GOOD:
                yield Done(item, None, ExodError("Each of 3 worker processes died during it."))
            else:
                yield Done(item, function(item), None)

    monkeypatch.setattr(survey, "run_tasks", run)
    outcomes = {o.obsid: o for o in search([small], tmp_path)}
    assert outcomes[OTHER].status == "OK"
    assert outcomes[GOOD].status == "FAILED"
    ledger = open_archive(tmp_path).status()
    assert list(ledger["status"]) == ["FAILED", "OK"]
    assert ledger["reason"][0] == "Each of 3 worker processes died during it."
    again = {o.obsid: o.searched for o in search([small], tmp_path)}
    assert again == {GOOD: False, OTHER: False}


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six observations that take a moment each."""
    folder = tmp_path_factory.mktemp("several")
    options: dict[str, Any] = {"duration": 4000.0, "cameras": ("EMOS1", "EMOS2")}
    for number in range(6):
        simulate_files(folder, f"09000003{number:02d}", number, **options)
    return folder


@pytest.fixture(scope="module")
def undisturbed(several: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a search of the six finds that nobody interrupts."""
    root = tmp_path_factory.mktemp("undisturbed") / "archive"
    search_all(several, root)
    return digests(root)


def search_all(data: Path, root: Path) -> None:
    config = Config.load(overrides=["cube.t_bin=[50]", "cube.bands=[[0.2,12]]"])
    observations, _ = find_observations([data])
    list(detect_many(observations, config, str(root), HERE))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheduler", "signals", "end"),
    [
        pytest.param("local", ["SIGINT"], 130, marks=pytest.mark.drill),
        ("sync", ["SIGTERM"], 143),
    ],
)
def test_interrupted(
    scheduler: str,
    signals: list[str],
    end: int,
    several: Path,
    undisturbed: dict[str, Any],
    tmp_path: Path,
) -> None:
    """What has begun is finished and committed; the same command does the rest."""
    root, error, output, code = interrupted(several, tmp_path, scheduler, signals)
    done = attempts(root)
    assert 1 <= len(done) < 6
    assert code == end
    assert "Finishing what has begun" in output
    assert error.strip() == (
        f"exod: interrupted with {len(done)} of 6 observations done; what is done is kept, and "
        f"the same command continues."
    )
    # All that was begun is there, whole, and nothing beside it.
    assert open_archive(root).gc(0) == []
    search_all(several, root)
    assert attempts(root).items() >= done.items()
    assert digests(root) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["sync", pytest.param("local", marks=pytest.mark.drill)])
def test_interrupted_twice(scheduler: str, several: Path, tmp_path: Path) -> None:
    """The second Ctrl-C waits for nothing."""
    root, error, _, code = interrupted(several, tmp_path, scheduler, ["SIGINT", "SIGINT"])
    assert code == 130
    # It may come when what had begun is just finished.
    assert re.fullmatch(
        r"(exod: interrupted(| with \d of 6 observations done); what is done is kept, and the same "
        r"command continues\.\n)?",
        error,
    )
    open_archive(root).gc(0)
    assert not list(root.rglob("*.tmp"))


def interrupted(
    data: Path, folder: Path, scheduler: str, signals: list[str]
) -> tuple[Path, str, str, int | None]:
    """Archive, errors, output and exit code of a search that gets signals before its end.

    On a busy machine they may come too late. Then there is another search.
    """
    for number in range(5):
        root = folder / str(number) / "archive"
        root.parent.mkdir()
        found = interrupt(data, root, scheduler, signals)
        if len(attempts(root)) < 6:
            break
    return root, *found


def interrupt(
    data: Path, root: Path, scheduler: str, signals: list[str]
) -> tuple[str, str, int | None]:
    """Errors, output and exit code of a search that gets signals after its first commit."""
    command = [EXOD, "detect", data, "--archive", root, "--scheduler", scheduler, "--workers", "1"]
    command += ["--t-bin", "50", "--band", "0.2-12"]
    said = root.with_name("said")
    with (
        said.open("wb") as out,
        start_interruptible(
            command, stdout=out, stderr=PIPE, text=True, start_new_session=True
        ) as process,
    ):
        assert wait_until(lambda: list(root.glob("ledger/*.json")), process)
        for name in signals:
            if name == "SIGTERM":
                process.terminate()
            else:
                # As a terminal does: to every process of the command.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGINT)
            # The next comes when this one has been heard.
            wait_until(lambda: FINISHING in said.read_text(), process)
        _, error = process.communicate(timeout=LONGEST)
    return error, said.read_text(), process.returncode


def test_unexpected_errors_are_tried_again(small: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """What happens twice and then not any more is forgotten; what always happens is recorded."""
    sound = stage.detect_observation
    calls: Counter[str] = Counter()

    def fail(files: ObservationFiles, config: Config) -> Any:
        calls[files.obsid] += 1
        if files.obsid == OTHER or calls[files.obsid] < 3:
            raise OSError("the network is away")
        return sound(files, config)

    monkeypatch.setattr(stage, "detect_observation", fail)
    outcomes = {outcome.obsid: outcome for outcome in search([small], tmp_path)}
    assert calls == {GOOD: 3, OTHER: 3}
    assert (outcomes[GOOD].status, outcomes[OTHER].status) == ("OK", "FAILED")
    assert outcomes[OTHER].tries == 3
    entry = open_archive(tmp_path).entry(OTHER)
    assert entry is not None
    assert entry.tries == 3
    assert "the network is away" in entry.traceback
    assert [Path(file.path).name for file in entry.inputs] == [file.name for file in entry.inputs]


def test_damaged_files_are_read_once(small: Path, tmp_path: Path, monkeypatch: Any) -> None:
    bad = copy(small / GOOD, tmp_path)
    event_lists(bad)[0].write_bytes(b"")
    calls = []
    sound = stage.detect_observation
    monkeypatch.setattr(
        stage, "detect_observation", lambda *given: calls.append(1) or sound(*given)
    )
    (outcome,) = search([bad], tmp_path / "archive")
    assert (outcome.status, outcome.tries, len(calls)) == ("FAILED", 1, 1)


def test_an_archive_that_takes_nothing_ends_the_search(tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(self: Archive, obsid: str, *arguments: Any, **options: Any) -> Any:
        raise ArchiveError(f"Observation {obsid} cannot be committed: the disk is full.")

    monkeypatch.setattr(Archive, "commit", refuse)
    observations = [ObservationFiles(f"{number:010d}", (), ()) for number in range(20)]
    told = []
    with pytest.raises(ArchiveError, match="The last 5 observations could not be committed"):
        told.extend(detect_many(observations, CONFIG, str(tmp_path), HERE))
    assert [outcome.tries for outcome in told] == [3] * 5


def test_what_cannot_fit_is_refused(small: Path, tmp_path: Path) -> None:
    outcomes = search([small], tmp_path, Plan("sync", memory=200 * 2**20))
    assert [outcome.status for outcome in outcomes] == ["FAILED", "FAILED"]
    assert re.fullmatch(
        r"It needs about \d+ MB \([\d,]+ rows\) and a process here may take 200 MB: use fewer "
        r"--workers, a larger --memory or longer time bins, then --retry-failed\.",
        outcomes[0].reason,
    )
    assert [o.status for o in search([small], tmp_path, retry_failed=True)] == ["OK", "OK"]


@pytest.mark.drill
@pytest.mark.slow
def test_what_does_not_fit_a_worker_is_refused_there(small: Path, tmp_path: Path) -> None:
    outcomes = search([small], tmp_path, Plan(workers=1, memory=350 * 2**20))
    assert [outcome.status for outcome in outcomes] == ["FAILED", "FAILED"]
    assert all("may take 350 MB" in outcome.reason for outcome in outcomes)


def test_memory_is_predicted_and_measured(small: Path, tmp_path: Path) -> None:
    (outcome,) = search([small / GOOD], tmp_path)
    entry = open_archive(tmp_path).entry(GOOD)
    assert entry is not None
    assert outcome.predicted_memory_mb == entry.predicted_memory_mb > 0
    assert outcome.peak_memory_mb == entry.peak_memory_mb > 0


def test_touched_files_are_compared_by_content(small: Path, tmp_path: Path) -> None:
    touched = copy(small / GOOD, tmp_path)
    root = tmp_path / "archive"
    search([touched], root)
    for path in touched.iterdir():
        os.utime(path)
    assert not search([touched], root)[0].searched
    # Also in another place.
    assert not search([touched.rename(tmp_path / "elsewhere")], root)[0].searched


def test_files_that_did_not_change_are_not_read(
    small: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    search([small], tmp_path)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert [outcome.searched for outcome in search([small], tmp_path)] == [False, False]


def test_retry(small: Path, tmp_path: Path, command: Any) -> None:
    data = tmp_path / "data"
    bad = copy(small / GOOD, data)
    copy(small / OTHER, data)
    path = event_lists(bad)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    root = tmp_path / "archive"
    assert command("detect", data, "--archive", root, *FAST)[0] == 1
    code, out, _ = command("retry", root, "--scheduler", "sync")
    assert (code, out.count("FAILED:")) == (1, 1)
    path.write_bytes(whole)
    code, out, _ = command("retry", root, "--scheduler", "sync")
    assert code == 0
    assert f"[1/1] {GOOD} OK" in out
    code, out, _ = command("retry", root)
    assert (code, out) == (0, f"Nothing failed in {root}.\n")
    code, _, said = command("retry", root, "0000000001")
    assert code == 1
    assert said.startswith("exod: 0000000001 is not in ")


def test_links_are_found_again(small: Path, tmp_path: Path, command: Any) -> None:
    """A link has the name that counts; what it points to may be called anything."""
    folder = tmp_path / GOOD
    folder.mkdir()
    for number, path in enumerate(copy(small / GOOD, tmp_path / "store").iterdir()):
        (folder / path.name).symlink_to(path.rename(tmp_path / "store" / f"object-{number}"))
    root = tmp_path / "archive"
    command("detect", folder, "--archive", root, *FAST, "--memory", "200MB")
    assert command("retry", root, "--scheduler", "sync")[0] == 0
    assert not search([folder], root)[0].searched


def test_retry_without_the_files(small: Path, tmp_path: Path, command: Any) -> None:
    bad = copy(small / GOOD, tmp_path)
    path = event_lists(bad)[0]
    path.write_bytes(b"")
    root = tmp_path / "archive"
    command("detect", bad, "--archive", root, *FAST)
    path.unlink()
    code, _, said = command("retry", root, "--scheduler", "sync")
    assert code == 1
    assert f"exod: {path} does not exist." in said.splitlines()
