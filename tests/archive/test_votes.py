"""Votes as files: of processes that write at once, and of processes that are killed."""

import errno
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.processes import running

from exod.archive.store import Store
from exod.archive.votes import COMPACTED, EVENTS, LAST_CLOCK, VoteLog
from exod.errors import ArchiveError
from exod.files.whole import is_temporary
from exod.schemas import LINEAGE
from exod.schemas.votes import VOTES
from exod.sources.vetting.verdicts import VoteTally, vote_states

WRITER = """
from random import Random
from exod.archive.store import Store
from exod.archive.votes import VoteLog
root, vetter, seed, count = sys.argv[1:]
random, log = Random(int(seed)), VoteLog(Store.at(root))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(count)):
    number, label = random.randrange(30), random.choice(["real", "artefact", "unsure", "none"])
    print(log.add(vetter, region_num=number, label=label), vetter, number, label, flush=True)
"""


def opened(folder: Path) -> VoteLog:
    return VoteLog(Store.at(folder))


def acknowledged(process: Any, count: int = 0) -> list[tuple[str, ...]]:
    """So many lines; without a number, all that come until the process has ended."""
    lines = [process.stdout.readline() for _ in range(count)] or process.stdout.readlines()
    # The last line of a killed process may be half a line.
    return [tuple(line.decode().split()) for line in lines if line.endswith(b"\n")]


def begin(process: Any) -> None:
    process.stdin.write(b"go\n")
    process.stdin.flush()


@pytest.mark.parametrize(
    ("who", "n"),
    [
        (["ada", "ada"], 50),
        pytest.param(["ada", "bo", "cy", "ada"], 250, marks=pytest.mark.drill),
    ],
)
def test_processes_vote_at_once(tmp_path, who, n):
    """Two of them for the same person, who has two pages open."""
    writers = [running(WRITER, tmp_path, name, seed, n) for seed, name in enumerate(who)]
    with ExitStack() as stack:
        processes = [stack.enter_context(writer) for writer in writers]
        for process in processes:
            begin(process)
        watching, tally = opened(tmp_path), VoteTally.of_nothing()
        while any(process.poll() is None for process in processes):
            watching.compact()
            tally.add(watching.since(tally.n_events))
        found = [acknowledged(process) for process in processes]
    assert [len(lines) for lines in found] == [n] * len(who)
    rows = opened(tmp_path).votes()
    told = set(zip(rows.event, rows.vetter, rows.region_num.astype(str), rows.label, strict=True))
    assert told == {line for lines in found for line in lines}
    states = vote_states(rows, LINEAGE.frame())
    # A server that followed them, and copied what it had meanwhile, has come to the same.
    watching.refresh()
    tally.add(watching.since(tally.n_events))
    pd.testing.assert_frame_equal(tally.states(), states)
    state = {(row.vetter, row.region_num): row.event for row in states.itertuples()}
    last = [{(line[1], int(line[2])): line for line in lines} for lines in found]
    for vetter, number in {pair for lines in last for pair in lines}:
        events = [lines[vetter, number] for lines in last if (vetter, number) in lines]
        event = state.get((vetter, number))
        assert event in {None if line[3] == "none" else line[0] for line in events}
    # Whoever reads, and whenever: a vote that was seen is never overtaken by one before it.
    for lines in found:
        clocks = rows.set_index("event").loc[[line[0] for line in lines], "clock"]
        assert clocks.is_monotonic_increasing
        assert clocks.is_unique


@pytest.mark.parametrize("count", [1, 7, 23])
def test_a_killed_process_loses_no_vote(tmp_path, count):
    with running(WRITER, tmp_path, "ada", 5, 100_000) as process:
        begin(process)
        found = acknowledged(process, count)
        process.kill()
        found += acknowledged(process)
    assert len(found) >= count
    rows = opened(tmp_path).votes()
    assert {line[0] for line in found} <= set(rows["event"])
    # One more may be there of which nobody was told.
    assert len(rows) - len(found) in (0, 1)
    assert rows["clock"].to_list() == list(range(1, len(rows) + 1))
    opened(tmp_path).add("ada", region_num=1, label="real")
    assert len(opened(tmp_path).votes()) == len(rows) + 1


KILLED = """
import os, signal, pathlib
from exod.archive.store import Store
from exod.archive.votes import VoteLog
root, name, when = sys.argv[1:]
log = VoteLog(Store.at(root))
log.add("ada", region_num=1, label="real")
home = os if hasattr(os, name) else pathlib.Path
do = getattr(home, name)
def stop(*args, **options):
    if when == "before": os.kill(os.getpid(), signal.SIGKILL)
    do(*args, **options)
    os.kill(os.getpid(), signal.SIGKILL)
print("ready", flush=True)
setattr(home, name, stop)
log.add("ada", region_num=2, label="real")
"""


@pytest.mark.parametrize(
    ("step", "when", "count"),
    [("fsync", "before", 1), ("fsync", "after", 1), ("hardlink_to", "before", 1),
     ("hardlink_to", "after", 2)],
)  # fmt: skip
def test_a_vote_is_there_whole_or_not_at_all(tmp_path, step, when, count):
    """Killed at each step of writing; what was acknowledged before is untouched."""
    with running(KILLED, tmp_path, step, when) as process:
        assert process.wait() == -signal.SIGKILL
    assert any(map(is_temporary, Store.at(tmp_path).names(EVENTS)))
    assert opened(tmp_path).votes()["region_num"].to_list() == [1, 2][:count]


def test_compaction_changes_nothing(tmp_path):
    log = opened(tmp_path)
    for number in range(5):
        log.add("ada", region_num=number, label="real", note=f"note {number}", seconds=2.0)
    before = opened(tmp_path).rows()
    assert [opened(tmp_path).compact() for _ in range(2)] == [5, 5]
    assert len(log.rows()) == 5
    assert len(Store.at(tmp_path).names(COMPACTED)) == 1
    assert opened(tmp_path).rows().equals(before)
    log.add("bo", region_num=1, label="none", seconds=0.5)
    opened(tmp_path).compact()
    assert len(Store.at(tmp_path).names(COMPACTED)) == 2
    assert opened(tmp_path).rows().equals(log.rows())
    # Readers take what was copied from the copies.
    for name in Store.at(tmp_path).names(EVENTS):
        Path(tmp_path, name).unlink()
    assert opened(tmp_path).rows().equals(log.rows())
    assert opened(tmp_path).add("bo", region_num=1, label="real")
    assert opened(tmp_path).votes()["clock"].to_list() == [1, 2, 3, 4, 5, 1, 2]


def test_a_damaged_copy_does_not_matter(tmp_path):
    log = opened(tmp_path)
    log.add("ada", region_num=1, label="real", seconds=1.0)
    log.compact()
    (name,) = Store.at(tmp_path).names(COMPACTED)
    Path(tmp_path, name).write_bytes(b"PAR1")
    assert opened(tmp_path).rows().equals(log.rows())


def test_a_damaged_vote_is_named(tmp_path):
    event = opened(tmp_path).add("ada", region_num=1, label="real")
    path = tmp_path / EVENTS / f"{event}.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ArchiveError, match=f"{event}.* is damaged: .*; put it back from a copy"):
        opened(tmp_path).votes()


@pytest.mark.parametrize("fault", ["half", "empty", "unknown", "missing", "unreadable"])
def test_a_tolerant_log_sets_damage_aside(tmp_path, fault):
    """And no vote that comes meanwhile is overtaken when the file is put back."""
    log = VoteLog(Store.at(tmp_path), tolerant=True)
    first = log.add("ada", region_num=1, label="real")
    second = opened(tmp_path).add("ada", region_num=1, label="unsure")
    path = tmp_path / EVENTS / f"{second}.parquet"
    whole = path.read_bytes()
    if fault == "unreadable":
        path.unlink()
        path.mkdir()
    elif fault in ("half", "empty"):
        path.write_bytes(whole[: len(whole) // 2 if fault == "half" else 0])
    else:
        table = pq.read_table(path)
        column = pa.array(["burst" if fault == "unknown" else None])
        place = table.schema.get_field_index("label")
        name = "label"
        pq.write_table(table.set_column(place, name, column), path)
    assert log.votes()["event"].to_list() == [first]
    assert list(log.damaged) == [f"{EVENTS}/{second}.parquet"]
    with pytest.raises(ArchiveError):
        opened(tmp_path).votes()
    third = log.add("ada", region_num=1, label="artefact")
    if fault == "unreadable":
        path.rmdir()
    path.write_bytes(whole)
    assert log.votes()["event"].to_list() == [first, second, third]
    assert log.damaged == {}


def test_events_of_later_versions_and_of_wrong_clocks(tmp_path):
    """More columns than are known, the largest clock there is, and a time in the future."""
    event = opened(tmp_path).add("ada", region_num=1, label="real")
    path = tmp_path / EVENTS / f"{event}.parquet"
    row = pq.read_table(path).to_pylist()[0] | {"event": f"{'f' * 12}-{'0' * 16}", "time": 9e5}
    table = pa.Table.from_pylist([row | {"clock": LAST_CLOCK}], VOTES.schema)
    table = table.append_column("mood", pa.array(["good"]))
    pq.write_table(table, path.with_name(f"{row['event']}.parquet"))
    log = opened(tmp_path)
    log.add("ada", region_num=2, label="real")
    assert sorted(opened(tmp_path).votes()["clock"]) == [1, LAST_CLOCK, LAST_CLOCK]
    assert log.compact() == 3


def test_a_full_disk_takes_no_vote(tmp_path, monkeypatch):
    log = opened(tmp_path)
    log.add("ada", region_num=1, label="real")

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(ArchiveError, match=r"A vote cannot be written .*No space left"):
            log.add("ada", region_num=1, label="artefact")
    assert len(Store.at(tmp_path).names(EVENTS)) == 1
    log.add("ada", region_num=1, label="unsure", note="x" * 1_000_000)
    assert opened(tmp_path).votes()["label"].to_list() == ["real", "unsure"]


def test_a_log_sees_the_votes_of_others(tmp_path):
    one, other = opened(tmp_path), opened(tmp_path)
    one.add("ada", region_num=1, label="real")
    assert len(other.votes()) == 1
    other.add("ada", region_num=1, label="artefact", note="<b>x</b>\n\x00")
    assert one.votes()["clock"].to_list() == [1, 2]
    assert one.votes()["note"].to_list() == ["", "<b>x</b>\n\x00"]
    assert one.size == 2


def test_nobody_voted_yet(tmp_path):
    log = opened(tmp_path)
    assert (len(log.votes()), log.compact()) == (0, 0)
    assert list(tmp_path.iterdir()) == []
