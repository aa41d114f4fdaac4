"""The ledger at once: always what the entries say, and only news is read."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.archives import PowerCut, fail_at, make_tables, settle
from helpers.examples import portion
from helpers.object_store import no_settings, options, running_store
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.archive import Archive, LedgerEntry
from exod.archive.ledger import table
from exod.archive.ledger.entry import TableFile
from exod.archive.ledger.table import SAVED, keep_ledger, read_ledger, read_saved, save_ledger
from exod.archive.store import Store
from exod.config import Config
from exod.files.seals import open_text, seal_text

OBSIDS = [f"00017302{i:02d}" for i in range(6)]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive.create(tmp_path / "root", Config())
    for i, obsid in enumerate(OBSIDS):
        made.commit(obsid, "OK", make_tables(obsid, i, i, ("runs", "regions")), seconds=i)
    return made


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    """As a new process starts."""
    table._remembered.clear()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the entries that were read."""
    names: list[str] = []
    read = Store.read

    def counted(store: Store, name: str) -> bytes:
        if name.startswith("ledger/"):
            names.append(name[7:17])
        return read(store, name)

    monkeypatch.setattr(Store, "read", counted)
    return names


def truth(archive: Archive) -> list[LedgerEntry]:
    """The entries, each read from its file."""
    obsids = sorted(path.stem for path in Path(archive.root, "ledger").glob("*.json"))
    found = [archive.entry(obsid) for obsid in obsids]
    names = set(LedgerEntry.model_fields)
    return [LedgerEntry(**entry.model_dump(include=names)) for entry in found if entry]


# -------------------------------------------------------------------- only news is read


def test_after_a_compaction_no_entry_is_opened(archive: Archive, opened: list[str]) -> None:
    settle(archive)
    archive.compact()
    forget()
    opened.clear()
    assert len(archive.regions) == sum(range(6))
    assert len(archive.status()) == len(archive.entries()) == 6
    assert opened == []
    archive.commit(OBSIDS[2], "EMPTY")
    archive.commit("0999999901", "OK")
    Path(archive.root, "ledger", f"{OBSIDS[0]}.json").unlink()
    settle(archive)
    for _ in range(2):
        opened.clear()
        forget()
        assert archive.entries() == truth(archive)
        assert sorted(opened[:2]) == [OBSIDS[2], "0999999901"]
        assert len(opened) == 2 + 6
    opened.clear()
    assert len(archive.regions) == 15 - 2
    assert opened == []


def test_an_archive_never_compacted_is_read_once(archive: Archive, opened: list[str]) -> None:
    settle(archive)
    for _ in range(3):
        archive.entries()
    assert sorted(opened) == OBSIDS
    opened.clear()
    archive.commit(OBSIDS[3], "EMPTY")
    opened.clear()
    assert archive.entries() == read_ledger(archive.store, listed=True).entries()
    assert set(opened) == {OBSIDS[3]}


def test_an_unchanged_folder_is_not_even_listed(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(archive)
    archive.compact()
    forget()

    def refuse(*args: Any) -> None:
        raise AssertionError("listed")

    monkeypatch.setattr(Store, "stamps", refuse)
    assert len(archive.regions) == 15
    with pytest.raises(AssertionError, match="listed"):
        archive.gc()


def test_in_a_bucket_one_listing_says_what_changed(
    opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_settings(), running_store("exod-ledger") as url:
        archive = Archive.create("s3://exod-ledger/archive", Config(), options(url))
        for i, obsid in enumerate(OBSIDS):
            archive.commit(obsid, "OK", make_tables(obsid, i, i, ("regions",)))
        archive.compact()
        forget()
        opened.clear()
        assert len(archive.regions) == 15
        assert opened == []
        archive.commit(OBSIDS[5], "EMPTY")
        opened.clear()
        assert len(archive.regions) == 10
        assert opened == [OBSIDS[5]]
        assert len(archive.regions) == 10
        assert opened == [OBSIDS[5]]


# -------------------------------------------------------------------- never stale


def slower(content: bytes) -> bytes:
    """An entry of the same size in which the observation took longer."""
    return seal_text(open_text(content).replace(b'"seconds": 1.0', b'"seconds": 7.5'))


def test_a_change_that_only_the_inode_shows_is_seen(archive: Archive) -> None:
    settle(archive)
    archive.compact()
    file = Path(archive.root, "ledger", f"{OBSIDS[1]}.json")
    before, folder = file.stat(), file.parent.stat()
    new = file.with_suffix(".new")
    new.write_bytes(slower(file.read_bytes()))
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(file)
    assert file.stat().st_size == before.st_size
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert file.parent.stat().st_mtime_ns != folder.st_mtime_ns
    for _ in range(2):
        assert archive.status().set_index("obsid").loc[OBSIDS[1], "seconds"] == 7.5
        settle(archive)
        forget()


def test_a_time_that_is_not_certain_is_not_trusted(archive: Archive) -> None:
    """Of two changes within a tick of the clock one would go unnoticed."""
    archive.compact()
    folder = Path(archive.root, "ledger")
    times = folder.stat()
    file = folder / f"{OBSIDS[1]}.json"
    entry = file.stat()
    with file.open("rb+") as stream:
        changed = slower(stream.read())
        stream.seek(0)
        stream.write(changed)
    os.utime(file, ns=(entry.st_atime_ns, entry.st_mtime_ns))
    os.utime(folder, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert archive.status().set_index("obsid").loc[OBSIDS[1], "seconds"] == 7.5
    forget()
    assert archive.entries() == truth(archive)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.sampled_from(OBSIDS[:4])),
        st.tuples(st.just("delete"), st.sampled_from(OBSIDS[:4])),
        st.tuples(st.sampled_from(["save", "keep", "settle", "forget", "lose"]), st.just("")),
    ),
    max_size=14,
)


@given(steps=steps)
@settings(max_examples=portion(25), deadline=None)
def test_any_history_gives_what_the_entries_say(steps: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        archive = Archive.create(root, Config())
        for step, (action, obsid) in enumerate(steps):
            if action == "commit":
                archive.commit(obsid, "SKIPPED", reason=f"Step {step}.", seconds=step)
            elif action == "delete":
                Path(root, "ledger", f"{obsid}.json").unlink(missing_ok=True)
            elif action == "save":
                save_ledger(archive.store)
            elif action == "keep":
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr("exod.archive.ledger.table.BEHIND", 2)
                    archive.keep_ledger()
            elif action == "settle":
                settle(archive)
            elif action == "forget":
                forget()
            else:
                Path(root, SAVED).unlink(missing_ok=True)
            assert archive.entries() == truth(archive)


# -------------------------------------------------------------------- a copy, no more


@pytest.mark.parametrize(
    "damage", [b"", b"PAR1", b"\xff" * 100, "cut", "another version", "gone"], ids=str
)
def test_a_damaged_copy_loses_nothing(archive: Archive, damage: Any) -> None:
    settle(archive)
    archive.compact()
    file = Path(archive.root, SAVED)
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    elif damage == "another version":
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"obsid": OBSIDS[:1]}), sink)
        table = sink.getvalue().to_pybytes()
        file.write_bytes(hashlib.sha256(table).digest() + table)
    else:
        file.write_bytes(content[:-9] if damage == "cut" else damage)
    forget()
    assert archive.entries() == truth(archive)


def with_other_tables(archive: Archive, lost: list[str], more: list[str]) -> None:
    """The copy as a version of exod would have kept it that knew other tables."""
    file = Path(archive.root, SAVED)
    rows = pq.read_table(pa.BufferReader(file.read_bytes()[32:]))
    rows = rows.drop_columns([n for n in rows.schema.names if n.partition(".")[0] in lost])
    for name in more:
        for what in table._ABOUT:
            rows = rows.append_column(f"{name}.{what}", pa.array([7] * len(rows), pa.int64()))
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    content = sink.getvalue().to_pybytes()
    file.write_bytes(hashlib.sha256(content).digest() + content)
    forget()


def test_a_copy_of_before_a_table_was_added_is_used(archive: Archive, opened: list[str]) -> None:
    settle(archive)
    archive.compact()
    with_other_tables(archive, ["variability", "cells"], [])
    del opened[:]
    assert archive.entries() == read_ledger(archive.store, listed=True).entries()
    assert opened == []
    assert archive.entries() == truth(archive)


@given(
    lost=st.lists(st.sampled_from(["runs", "regions", "cells", "bti"]), unique=True),
    more=st.lists(st.sampled_from(["spectra", "a_table.of_old"]), unique=True),
    having=st.sets(st.sampled_from(OBSIDS)),
)
@settings(max_examples=portion(10), deadline=None)
def test_a_copy_of_a_version_with_other_tables_loses_no_file(
    lost: list[str], more: list[str], having: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as root:
        archive = Archive.create(root, Config())
        for obsid in OBSIDS:
            names = ("runs", "regions") if obsid in having else ()
            archive.commit(obsid, "OK", make_tables(obsid, 2, 2, names))
        settle(archive)
        forget()
        save_ledger(archive.store)
        with_other_tables(archive, lost, more)
        known = read_saved(archive.store)
        certain = having if {"runs", "regions"} & set(lost) else set()
        assert known.rows["obsid"].to_pylist() == sorted(set(OBSIDS) - certain)
        assert archive.entries() == truth(archive)
        # A copy that was read is not taken for another.
        archive.commit(OBSIDS[0], "OK", make_tables(OBSIDS[0], 1, 3, ("regions",)))
        forget()
        assert archive.entries() == truth(archive)


def test_an_entry_of_a_version_with_more_tables_is_read(archive: Archive) -> None:
    file = Path(archive.root, "ledger", f"{OBSIDS[2]}.json")
    entry = json.loads(open_text(file.read_bytes()))
    path = entry["files"]["runs"]["path"].replace("runs/", "spectra/")
    entry["files"]["spectra"] = {**entry["files"]["runs"], "path": path}
    file.write_bytes(seal_text(json.dumps(entry).encode()))
    forget()
    assert archive.status()["n_regions"].tolist() == list(range(6))
    assert [dict(entry.files).keys() for entry in archive.entries()] == [{"runs", "regions"}] * 6


@given(place=st.integers(0, 10**9), bit=st.integers(0, 7))
@settings(max_examples=portion(60), deadline=None)
def test_no_single_bit_loses_an_entry(place: int, bit: int) -> None:
    archive, expected, content = saved()
    damaged = bytearray(content)
    damaged[place % len(content)] ^= 1 << bit
    Path(archive.root, SAVED).write_bytes(damaged)
    forget()
    assert archive.entries() == expected
    Path(archive.root, SAVED).write_bytes(content)


made: list[Any] = []


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as root:
        archive = Archive.create(root, Config())
        for obsid in OBSIDS[:3]:
            archive.commit(obsid, "SKIPPED", reason="Nothing to search.")
        settle(archive)
        save_ledger(archive.store)
        made[:] = [archive, truth(archive), Path(root, SAVED).read_bytes()]
        yield


def saved() -> Any:
    return made


def test_an_archive_that_cannot_be_written_is_read(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("written")

    for name in ("publish", "writing", "create", "remove"):
        monkeypatch.setattr(Store, name, refuse)
    assert archive.entries() == truth(archive)
    assert len(archive.regions) == 15


def test_it_is_kept_anew_only_if_many_entries_are_new(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(archive.root, SAVED)
    monkeypatch.setattr(table, "BEHIND", 7)
    archive.keep_ledger()
    assert not file.exists()
    monkeypatch.setattr(table, "BEHIND", 2)
    settle(archive)
    archive.keep_ledger()
    content = file.read_bytes()
    archive.commit(OBSIDS[0], "EMPTY")
    settle(archive)
    archive.keep_ledger()
    assert file.read_bytes() == content
    archive.commit(OBSIDS[1], "EMPTY")
    settle(archive)
    archive.keep_ledger()
    assert read_saved(archive.store).entries() == truth(archive)


def test_an_archive_without_entries_keeps_none(tmp_path: Path) -> None:
    Archive.create(tmp_path, Config()).keep_ledger()
    assert not Path(tmp_path, SAVED).exists()


def test_entries_of_a_whole_mission_take_little_room() -> None:
    names = [name for name in table.SCHEMA.names if name.endswith((".rows", ".bytes"))]
    about = {"status": "OK", "reason": "", "finished": "2026-01-01T00:00:00Z", "seconds": 1.5}
    rows = [
        {"obsid": f"{i:010d}", "attempt": f"{i:04d}-01234567", **about}
        | dict.fromkeys(names, 300 + i)
        for i in range(2000)
    ]
    ledger = table.LedgerTable(table.arrow_rows(rows, table.SCHEMA))
    ledger.entries()
    tracemalloc.start()
    entries = ledger.entries()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Those with a dictionary of their tables take 4,600.
    assert size / len(entries) < 1500
    entry = pickle.loads(pickle.dumps(entries[7]))
    assert (entry, type(entry.files)) == (entries[7], dict)
    assert entry.files["runs"] == TableFile("runs/0000000007-0007-01234567.parquet", 307, 307)


@pytest.mark.parametrize("keep", [save_ledger, keep_ledger])
def test_a_crash_while_it_is_saved_leaves_the_old_copy(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, keep: Callable[[Store], None]
) -> None:
    monkeypatch.setattr(table, "BEHIND", 1)
    settle(archive)
    save_ledger(archive.store)
    old = Path(archive.root, SAVED).read_bytes()
    archive.commit(OBSIDS[0], "EMPTY")
    for step in range(100):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Store, "remove", lambda self, names: None)
            fail_at(patch, step, PowerCut())
            try:
                keep(archive.store)
            except PowerCut:
                pass
            else:
                break
        assert len(read_saved(archive.store)) == 6
        assert archive.entries() == truth(archive)
    assert step > 1
    assert Path(archive.root, SAVED).read_bytes() != old
    archive.gc(older_than=0)
    assert not list(Path(archive.root).glob(".*.tmp"))
