"""How far a search is: counts, failures by reason, rate and time left, and records of what runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.archive import Archive
from exod.archive.ledger.progress import ProgressWatch, archive_progress, changes, progress_of
from exod.archive.ledger.running import RunningSearch, running_searches, search_recorded
from exod.config import Config
from exod.errors import ArchiveError
from exod.scheduler.tally import Tally

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
STATUSES = ("OK", "EMPTY", "SKIPPED", "FAILED")


def ledger(rows: list[tuple[str, float]], reasons: dict[int, str] | None = None) -> pd.DataFrame:
    """A ledger of observations: their status, and how many seconds before `NOW` they ended."""
    frame = pd.DataFrame(
        {
            "obsid": [f"{number:010d}" for number in range(len(rows))],
            "status": [status for status, _ in rows],
            "reason": [(reasons or {}).get(number, "") for number in range(len(rows))],
            "seconds": [float(number) for number in range(len(rows))],
            "peak_memory_mb": [100.0 + number for number in range(len(rows))],
        }
    )
    times = [NOW - timedelta(seconds=before) for _, before in rows]
    return frame.assign(finished=pd.Series(times, dtype="datetime64[us, UTC]"))


def search(total: int, began: float, before: int = 0) -> RunningSearch:
    return RunningSearch(
        stage="detect",
        total=total,
        before=before,
        began=NOW - timedelta(seconds=began),
        news=NOW,
        host=socket.gethostname(),
        process=os.getpid(),
    )


def test_a_search_that_runs() -> None:
    rows = [("OK", 90000.0)] * 10 + [("EMPTY", 50.0)] * 20 + [("FAILED", 10.0)] * 10
    found = progress_of(ledger(rows), [search(1000, 60.0, before=10)], NOW, "results")
    assert (found.total, found.before, found.done, found.failed) == (1000, 10, 30, 10)
    assert found.left == 960
    # 30 in a minute.
    assert found.per_hour == pytest.approx(1800)
    assert found.seconds_left == pytest.approx(960 * 2)
    assert found.counts == {"OK": 10, "EMPTY": 20, "SKIPPED": 0, "FAILED": 10}
    assert (found.stage, found.began) == ("detect", "2026-01-02T11:59:00Z")


def test_the_rate_is_that_of_the_last_ones() -> None:
    slow = [("OK", 100000.0 - 100 * number) for number in range(300)]
    fast = [("OK", 400.0 - 2 * number) for number in range(200)]
    found = progress_of(ledger(slow + fast), [search(10000, 100001.0)], NOW, "results")
    assert found.per_hour == pytest.approx(3600 / 2, rel=0.02)


def test_nothing_runs() -> None:
    rows = [("OK", 90000.0 - number) for number in range(5)]
    rows += [("OK", 5000.0 - 10 * number) for number in range(11)]
    found = progress_of(ledger(rows), [], NOW, "results")
    assert not found.is_running
    assert (found.total, found.left, found.seconds_left) == (0, 0, 0.0)
    # Eleven, and the first of them took 5 s.
    assert found.per_hour == pytest.approx(3600 * 11 / 105)
    assert found.news == "2026-01-02T10:38:20Z"


@pytest.mark.parametrize(("pause", "rate"), [(10.0, 4 / 90), (600.0, 1 / 5)])
def test_searches_are_told_apart_by_pauses(pause: float, rate: float) -> None:
    """Whatever the order in which outcomes came: one that takes long ends after later ones."""
    ends = [30.0, 55.0, 75.0, 75.0 + pause + 5.0]
    frame = ledger([("OK", 5000.0 - end) for end in ends])
    found = progress_of(frame.assign(seconds=[30.0, 20.0, 75.0, 5.0]), [], NOW, "results")
    assert found.per_hour == pytest.approx(3600 * rate)


def test_an_empty_ledger() -> None:
    found = progress_of(ledger([]), [search(5, 1.0)], NOW, "results")
    assert (found.done, found.left, found.per_hour, found.seconds_left) == (0, 5, None, None)
    assert (found.news, found.failures, found.slowest) == ("", (), ())


def test_failures_by_reason() -> None:
    reasons = {
        0: "It needs about 1200 MB (12,000 rows).",
        1: "/data/a/P0001.FTZ is damaged.",
        2: "It needs about 99 MB (5 rows).",
    }
    found = progress_of(ledger([("FAILED", 1.0)] * 3 + [("OK", 1.0)], reasons), [], NOW, "my data")
    first, second = found.failures
    assert (first.count, first.reason) == (2, reasons[0])
    assert first.command == "exod retry 'my data' 0000000000 0000000002"
    assert second.command == "exod retry 'my data' 0000000001"
    alone = progress_of(ledger([("FAILED", 1.0)] * 3), [], NOW, "results").failures
    assert [(group.count, group.command) for group in alone] == [(3, "exod retry results")]


@given(
    rows=st.lists(st.tuples(st.sampled_from(STATUSES), st.integers(0, 200))),
    began=st.integers(0, 200),
    total=st.integers(0, 60),
)
def test_counts(rows: list[tuple[str, int]], began: int, total: int) -> None:
    given_rows = [(status, float(before)) for status, before in rows]
    reasons = {number: f"Reason {'abc'[number % 3]}." for number in range(len(rows))}
    found = progress_of(ledger(given_rows, reasons), [search(total, began)], NOW, "results")
    own = [status for status, before in rows if before <= began]
    assert found.done == len(own)
    assert found.failed == own.count("FAILED")
    assert found.left == max(total - len(own), 0)
    statuses = Counter(status for status, _ in rows)
    assert found.counts == {name: statuses[name] for name in STATUSES}
    assert sum(group.count for group in found.failures) == statuses["FAILED"]
    assert [one.seconds for one in found.slowest] == sorted(
        (float(number) for number in range(1, len(rows))), reverse=True
    )[:10]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "results", Config())


def test_record_of_a_search(archive: Archive) -> None:
    tally = Tally("detect", 7)
    with search_recorded(archive.store, tally) as record:
        tally.before = 3
        record.keep()
        found = archive_progress(archive)
        assert (found.stage, found.total, found.before, found.left) == ("detect", 7, 3, 4)
        archive.commit("0000000001", "EMPTY")
        assert archive_progress(archive).done == 1
        assert archive.gc(3600) == []
    assert running_searches(archive.store) == []
    assert sorted(path.name for path in Path(archive.root).glob("search-*")) == []


def test_record_of_a_search_that_was_killed(archive: Archive) -> None:
    script = (
        "import os, sys; from exod.archive import open_archive\n"
        "from exod.archive.ledger.running import SearchRecord; from exod.scheduler.tally "
        "import Tally\n"
        "SearchRecord(open_archive(sys.argv[1]).store, Tally('detect', 5)).write(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, archive.root], check=False)
    assert len(list(Path(archive.root).glob("search-*.json"))) == 1
    assert not archive_progress(archive).is_running
    with search_recorded(archive.store, Tally("detect", 1)):
        assert len(list(Path(archive.root).glob("search-*.json"))) == 1


def test_search_elsewhere() -> None:
    other = search(5, 0.0).model_copy(update={"host": "elsewhere", "process": 1})
    assert other.is_alive(NOW + timedelta(minutes=59))
    assert not other.is_alive(NOW + timedelta(minutes=61))


def test_what_cannot_be_written_is_left(archive: Archive) -> None:
    Path(archive.root).chmod(0o500)
    try:
        with search_recorded(archive.store, Tally("detect", 1)):
            pass
    finally:
        Path(archive.root).chmod(0o700)


def test_damaged_record(archive: Archive) -> None:
    Path(archive.root, "search-00000000.json").write_text("{")
    assert not archive_progress(archive).is_running
    assert archive.gc(0) == ["search-00000000.json"]


def test_a_look_counts_only_what_is_new(archive: Archive) -> None:
    watch = ProgressWatch(archive)
    assert watch.look() is not None
    assert watch.look() is None
    archive.commit("0000000001", "OK")
    found = watch.look()
    assert found is not None
    assert found.counts["OK"] == 1
    assert watch.look() is None


def test_changes_end_with_the_search(archive: Archive) -> None:
    tally = Tally("detect", 2)
    steps = iter(["0000000001", "", "0000000002"])
    with search_recorded(archive.store, tally) as record:

        def go_on() -> bool:
            step = next(steps, None)
            if step is None:
                record.remove()
            elif step:
                archive.commit(step, "EMPTY")
            return True

        found = list(changes(archive, go_on))
    assert [one.done for one in found] == [0, 1, 2, 0]
    assert [one.is_running for one in found] == [True, True, True, False]


def test_changes_end_when_asked(archive: Archive) -> None:
    with search_recorded(archive.store, Tally("detect", 2)):
        assert len(list(changes(archive, lambda: False))) == 1


def test_damaged_ledger(archive: Archive) -> None:
    Path(archive.root, "ledger", "0000000001.json").write_text("{")
    with pytest.raises(ArchiveError, match="0000000001"):
        ProgressWatch(archive).look()
