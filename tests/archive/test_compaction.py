"""Compaction: the same rows whatever happens, and only what is asked for is read."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import dask
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.archives import (
    PowerCut,
    assert_same_rows,
    cut_power,
    fail_at,
    files_expected,
    files_of,
    make_lightcurves,
    make_rows,
    make_tables,
    plain,
    stored,
)
from helpers.examples import portion
from helpers.processes import running, wait_for_changes
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.archive import Archive, compaction, parquet
from exod.archive.ledger.table import SAVED
from exod.archive.questions.cone import box, sky_pixels, within
from exod.archive.store import Store
from exod.config import Config
from exod.errors import ArchiveError
from exod.files.seals import Seal, open_text
from exod.schemas import LIGHTCURVES, REGIONS, TABLES

OBSIDS = [f"00017302{i:02d}" for i in range(8)]
NAMES = ("observations", "regions", "lightcurves", "images")
TINY_MB = 0.008


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "root", Config())


@pytest.fixture(autouse=True)
def unchanged_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is written where it is not asked for."""
    empty = tmp_path / "here"
    empty.mkdir()
    monkeypatch.chdir(empty)
    yield
    assert list(empty.iterdir()) == []


@pytest.fixture
def own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left behind by an end without tidying is not in the folder of all programs."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups and files of few rows, several pieces of the sky."""
    shrink(monkeypatch)


def shrink(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(compaction, "GROUP_ROWS", 7)
    patch.setattr(compaction, "GROUP_TABLES", 2)
    patch.setattr(compaction, "SKY_GROUP_ROWS", 3)
    patch.setattr(compaction, "SKY_GROUPS", 2)


def fill(archive: Archive, n: int = 5, names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """Commit observations, the last two without rows; what readers must show."""
    shown: dict[str, Any] = {}
    for i, obsid in enumerate(OBSIDS):
        tables = make_tables(obsid, i, n, names) if i < len(OBSIDS) - 2 else {}
        archive.commit(obsid, "OK" if tables else "SKIPPED", tables)
        shown[obsid] = tables
    return shown


def expected(shown: dict[str, Any], name: str) -> pd.DataFrame:
    frames = [tables[name] for tables in shown.values() if name in tables]
    return pd.concat([TABLES[name].frame(), *frames])


def assert_shows(archive: Archive, shown: dict[str, Any], names: tuple[str, ...] = NAMES) -> None:
    for name in names:
        stored = TABLES[name].schema.names
        found = archive.table(name, columns=stored).compute(scheduler="sync")
        assert found.dtypes.equals(TABLES[name].frame().dtypes)
        assert_same_rows(found, expected(shown, name))


def compact_files(archive: Archive) -> set[str]:
    pointer = compaction.read_pointer(archive._store)
    if pointer is None:
        return set()
    return {f.path for files in pointer.tables.values() for f in files} | {
        compaction.POINTER,
        SAVED,
    }


def assert_tidy(archive: Archive) -> None:
    archive.gc(older_than=0)
    assert files_of(archive) == files_expected(archive) | compact_files(archive)


# -------------------------------------------------------------------- the same rows


steps = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.sampled_from(OBSIDS[:4]), st.integers(0, 99)),
        st.tuples(st.just("fail"), st.sampled_from(OBSIDS[:4]), st.just(0)),
        st.tuples(st.sampled_from(["compact", "anew", "gc", "look"]), st.just(""), st.just(0)),
    ),
    max_size=14,
)


@given(steps=steps, n=st.integers(0, 12))
@settings(max_examples=portion(12), deadline=None)
def test_any_history_shows_what_was_committed_last(steps: list[Any], n: int) -> None:
    names = ("regions", "lightcurves")
    shown: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        archive = Archive.create(root, Config())
        for action, obsid, seed in [*steps, ("compact", "", 0), ("look", "", 0)]:
            if action == "commit":
                shown[obsid] = make_tables(obsid, seed, n, names)
                archive.commit(obsid, "OK", shown[obsid])
            elif action == "fail":
                shown[obsid] = {}
                archive.commit(obsid, "FAILED", reason="no luck")
            elif action in ("compact", "anew"):
                archive.compact(TINY_MB, anew=action == "anew")
            elif action == "gc":
                assert_tidy(archive)
            else:
                assert_shows(archive, shown, names)


def test_every_table_is_the_same_before_and_after(archive: Archive) -> None:
    shown = fill(archive, names=tuple(TABLES))
    before = {name: archive.table(name).compute(scheduler="sync") for name in TABLES}
    compacted = archive.compact()
    assert set(compacted.attempts) == set(OBSIDS)
    for name, frame in before.items():
        found = archive.table(name)
        assert found.npartitions == 1
        assert len(found) == len(frame)
        rows = found.compute(scheduler="sync")
        if name == "regions":
            assert_same_rows(rows[REGIONS.schema.names], expected(shown, name))
        else:
            pd.testing.assert_frame_equal(plain(rows), plain(frame))


def test_new_and_replaced_observations_are_read_from_their_own_files(archive: Archive) -> None:
    shown = fill(archive)
    archive.compact()
    for obsid in (OBSIDS[0], OBSIDS[-1], "0999999901"):
        shown[obsid] = make_tables(obsid, 77, 4, NAMES)
        archive.commit(obsid, "OK", shown[obsid])
    archive.commit(OBSIDS[1], "FAILED")
    shown[OBSIDS[1]] = {}
    assert_shows(archive, shown)
    Path(archive.root, "ledger", f"{OBSIDS[2]}.json").unlink()
    del shown[OBSIDS[2]]
    assert_shows(archive, shown)
    archive.compact()
    assert_shows(archive, shown)
    assert_tidy(archive)
    assert_shows(archive, shown)


@pytest.mark.parametrize("names", [(), ("observations", "lightcurves")])
def test_archives_without_regions(archive: Archive, names: tuple[str, ...]) -> None:
    if names:
        fill(archive, names=names)
    compacted = archive.compact()
    assert compacted.tables["regions"] == ()
    assert len(archive.regions) == 0
    assert len(archive.cone(10, 20, 30)) == 0
    assert len(archive.observations) == (len(OBSIDS) - 2 if names else 0)
    assert list(archive.regions.columns) == REGIONS.shown.schema.names


# -------------------------------------------------------------------- layers


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the large files that were written."""
    names: list[str] = []
    writing = Store.writing

    def counted(store: Store, name: str) -> Any:
        names.append(name)
        return writing(store, name)

    monkeypatch.setattr(Store, "writing", counted)
    return names


def test_what_is_added_is_written_and_nothing_else(archive: Archive, written: list[str]) -> None:
    shown = {obsid: make_tables(obsid, i, 9, NAMES) for i, obsid in enumerate(OBSIDS)}
    for obsid in OBSIDS[:7]:
        archive.commit(obsid, "OK", shown[obsid])
    first = archive.compact().layers
    written.clear()
    assert archive.compact().layers == first
    assert written == []
    archive.commit(OBSIDS[7], "OK", shown[OBSIDS[7]])
    *kept, new = archive.compact().layers
    assert tuple(kept) == first
    assert list(new.attempts) == [OBSIDS[7]]
    assert sum(file.rows for file in new.tables["regions"]) == 9
    assert {name.rpartition("/")[0] for name in written} == {new.version}
    assert_shows(archive, shown)
    assert archive.gc(older_than=0) == []
    # One of seven is replaced, then two: a third of the large layer does not count any more.
    for count, obsid in enumerate(OBSIDS[:2], 1):
        shown[obsid] = {}
        archive.commit(obsid, "EMPTY")
        layers = archive.compact().layers
        assert (first[0] in layers) == (count == 1)
        assert_shows(archive, shown)
    assert_tidy(archive)
    assert_shows(archive, shown)


def test_an_archive_that_grows_is_rewritten_few_times(archive: Archive) -> None:
    obsids = [f"{i:010d}" for i in range(40)]
    tables = make_tables(obsids[0], 1, 1, ("bti",))
    rows = layers = 0
    for obsid in obsids:
        frame = tables["bti"].assign(obsid=obsid)
        archive.commit(obsid, "EMPTY", {"bti": frame})
        before = compaction.read_pointer(archive.store)
        after = archive.compact()
        old = before.layers if before else ()
        new = [layer for layer in after.layers if layer not in old]
        rows += sum(file.rows for layer in new for file in layer.tables["bti"])
        layers = max(layers, len(after.layers))
    # Anew each time: 820 rows. Layers grow by a factor of four or more.
    assert rows < 5 * len(obsids)
    assert 1 < layers <= 4
    assert sorted(archive.bti.compute(scheduler="sync")["obsid"]) == obsids


# -------------------------------------------------------------------- layout


@pytest.mark.usefixtures("small_groups")
def test_files_are_sorted_and_as_the_pointer_says(archive: Archive) -> None:
    fill(archive, n=9)
    compacted = archive.compact(TINY_MB)
    for name, files in compacted.tables.items():
        tables = []
        for file in files:
            stored = pq.ParquetFile(f"{archive.root}/{file.path}")
            found, schema = stored.schema_arrow, TABLES[name].schema
            assert found.equals(schema)
            assert found.metadata == schema.metadata
            assert [field.metadata for field in found] == [field.metadata for field in schema]
            assert stored.metadata.num_rows == file.rows
            assert stored.num_row_groups == len(file.row_groups)
            assert Path(archive.root, file.path).stat().st_size == file.bytes
            assert all(
                stored.metadata.row_group(i).column(0).statistics.has_min_max
                for i in range(len(file.row_groups))
            )
            rows = stored.read()
            tables.append(rows)
            obsids = rows["obsid"].to_pylist()
            assert (min(obsids), max(obsids)) == (file.first, file.last)
        if name == "regions":
            assert len(files) > 1
            pixels = np.concatenate([sky_pixels(rows) for rows in tables])
            assert (np.diff(pixels) >= 0).all()
        elif files:
            assert len(files) > 1 or name in ("observations", "images")
            obsids = [obsid for rows in tables for obsid in rows["obsid"].to_pylist()]
            assert obsids == sorted(obsids)
            # An observation is in one file.
            assert all(a.last < b.first for a, b in pairwise(files))


@given(
    seed=st.integers(0, 1000),
    sky_rows=st.integers(1, 50),
    sky_groups=st.integers(1, 3),
)
@settings(max_examples=portion(8), deadline=None)
def test_the_order_of_the_sky_does_not_depend_on_memory(
    seed: int, sky_rows: int, sky_groups: int
) -> None:
    frames = []
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "SKY_GROUP_ROWS", sky_rows)
        patch.setattr(compaction, "SKY_GROUPS", sky_groups)
        archive = Archive.create(root, Config())
        for obsid in OBSIDS[:4]:
            frame = make_rows(REGIONS, 20, obsid, seed).assign(dec_deg=-3.5)
            frame["ra_deg"] %= 1
            frame.loc[0, ["ra_deg", "dec_deg"]] = np.nan
            archive.commit(obsid, "OK", {"regions": frame})
            frames.append(frame)
        (file,) = archive.compact().tables["regions"]
        found = pq.read_table(f"{root}/{file.path}").to_pandas()
    assert [rows for rows, _, _ in file.row_groups][:-1] == [sky_rows] * ((80 - 1) // sky_rows)
    rows = pd.concat(frames, ignore_index=True)
    rows["sky"] = sky_pixels(pa.Table.from_pandas(rows[["ra_deg", "dec_deg"]]))
    expected = rows.sort_values(["sky", *REGIONS.sort_by], ignore_index=True)
    assert found["detid"].tolist() == expected["detid"].tolist()
    assert_same_rows(found, expected.drop(columns="sky"))


@pytest.mark.usefixtures("small_groups")
def test_each_file_is_read_once(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(archive)
    opened: list[str] = []
    open_file = Store.open

    def counting(store: Store, name: str, seal: Seal) -> Any:
        opened.append(name)
        return open_file(store, name, seal)

    monkeypatch.setattr(Store, "open", counting)
    archive.compact()
    files = [file.path for entry in archive.entries() for file in entry.files.values()]
    assert sorted(opened) == sorted(path for path in files if path)


def test_a_copy_that_has_no_room_is_told(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = fill(archive)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("exod.archive.compaction.tempfile.TemporaryFile", full)
        with pytest.raises(ArchiveError, match="cannot be compacted: No space left on device"):
            archive.compact()
    assert compaction.read_pointer(archive.store) is None
    assert_tidy(archive)
    assert_shows(archive, shown)


@pytest.mark.usefixtures("small_groups")
def test_a_large_file_becomes_several_partitions(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = fill(archive, n=20)
    (file,) = archive.compact().tables["lightcurves"]
    monkeypatch.setattr("exod.archive.parts.PARTITION_BYTES", file.bytes // 3)
    assert archive.lightcurves.npartitions in (3, 4)
    assert_shows(archive, shown)
    # Each piece of every table leaves out what was replaced.
    archive.commit(OBSIDS[0], "EMPTY")
    shown[OBSIDS[0]] = {}
    assert_shows(archive, shown)


# -------------------------------------------------------------------- crashes


@pytest.mark.parametrize(
    "tidy",
    [pytest.param(True, marks=pytest.mark.drill, id="error"), pytest.param(False, id="power cut")],
)
@pytest.mark.usefixtures("small_groups", "own_scratch")
def test_a_crash_at_any_step_changes_no_rows(archive: Archive, tidy: bool) -> None:
    names = ("regions", "lightcurves")
    shown = fill(archive, n=2, names=names)
    archive.compact()
    for obsid in OBSIDS[:3]:
        shown[obsid] = make_tables(obsid, 50, 2, names)
        archive.commit(obsid, "OK", shown[obsid])
    first = compaction.read_pointer(archive._store)
    seen, said = [], set()
    for step in range(1000):
        with pytest.MonkeyPatch.context() as patch:
            if tidy:
                fail_at(patch, step, OSError(28, "No space left on device"))
            else:
                cut_power(patch, step)
            try:
                archive.compact()
            except ArchiveError as error:
                said.add(str(error).partition(archive.root)[2])
            except PowerCut:
                said.add("")
            else:
                break
        seen.append(compaction.read_pointer(archive._store) == first)
        if tidy:
            assert not {n for n in files_of(archive) if n.endswith(".tmp")}
        assert_shows(archive, shown, names[:1])
        if step % 3 == 0:
            assert_tidy(archive)
    assert said == {" cannot be compacted: No space left on device." if tidy else ""}
    # Of two files each 1 folder made and 4 flushed to disk, and the pointer.
    assert len(seen) > 10
    # The last step is after the new pointer is in place.
    assert seen == [True] * (len(seen) - 1) + [False]
    assert_tidy(archive)
    assert_shows(archive, shown, names)


COMPACT_FOREVER = f"""
from exod.archive import Archive
archive = Archive.open(sys.argv[1])
print("ready", flush=True)
while True:
    archive.compact({TINY_MB})
"""


@pytest.mark.drill
@pytest.mark.usefixtures("own_scratch")
def test_killed_at_any_moment_nothing_is_lost(archive: Archive) -> None:
    names = ("regions", "lightcurves")
    shown = fill(archive, n=30, names=names)
    for obsid, changes in zip(OBSIDS[:3], (0, 1, 1), strict=True):
        with running(COMPACT_FOREVER, archive.root) as process:
            shown[obsid] = make_tables(obsid, 90, 30, names)
            archive.commit(obsid, "OK", shown[obsid])
            wait_for_changes(lambda: files_of(archive), changes, process)
            assert process.poll() is None
        assert_shows(archive, shown, names)
    assert_tidy(archive)
    assert_shows(archive, shown, names)


@pytest.mark.parametrize("remove", [False, True], ids=["commit", "commit and gc"])
@pytest.mark.usefixtures("small_groups")
def test_observations_processed_again_during_compaction(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, remove: bool
) -> None:
    shown = fill(archive)
    writing = Store.writing
    pending = iter([*OBSIDS[1:6], "0999999901"])

    def commit_first(store: Store, name: str) -> Any:
        obsid = next(pending, None)
        if obsid:
            old = archive.entry(obsid)
            shown[obsid] = make_tables(obsid, 60, 6, NAMES)
            archive.commit(obsid, "OK", shown[obsid])
            if old and remove:
                archive._store.remove(file.path for file in old.files.values())
        return writing(store, name)

    monkeypatch.setattr(Store, "writing", commit_first)
    compacted = archive.compact(TINY_MB)
    assert next(pending, None) is None
    assert "0999999901" not in compacted.attempts
    rows = {name: sum(file.rows for file in files) for name, files in compacted.tables.items()}
    assert (rows["images"] < 30) == remove
    assert_shows(archive, shown)
    assert_tidy(archive)
    archive.compact()
    assert_shows(archive, shown)


def test_a_file_that_should_be_there_stops_it(archive: Archive) -> None:
    fill(archive)
    path = archive.entry(OBSIDS[0]).path("regions")
    Path(archive.root, path).unlink()
    with pytest.raises(ArchiveError, match=r"regions/0001730200-.* is gone"):
        archive.compact()
    assert compaction.read_pointer(archive._store) is None
    assert list(Path(archive.root, "compact").iterdir()) == []


def test_a_compaction_that_is_removed_meanwhile_is_not_used(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = fill(archive)
    check = compaction._check_presence
    monkeypatch.setattr(
        compaction, "_check_presence", lambda *args: (archive.gc(older_than=0), check(*args))
    )
    with pytest.raises(ArchiveError, match=r"was removed while it was needed; run `exod compact"):
        archive.compact()
    assert_shows(archive, shown)


# -------------------------------------------------------------------- damage


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[]", b"tables"])
def test_a_damaged_pointer_is_named_with_the_remedy(
    archive: Archive, damage: bytes, command: Callable[..., tuple[int, str, str]]
) -> None:
    shown = fill(archive)
    archive.compact()
    pointer = Path(archive.root, "compact.json")
    if damage == b"tables":
        content = json.loads(pointer.read_text())
        damage = json.dumps({**content, "tables": {}}).encode()
    pointer.write_bytes(damage)
    detid = shown[OBSIDS[0]]["lightcurves"]["detid"][0]
    for use in (
        lambda: archive.regions,
        lambda: archive.cone(0, 0, 1),
        lambda: archive.lightcurve(detid),
        archive.gc,
    ):
        with pytest.raises(ArchiveError, match=r"compact.json is damaged .*; run `exod compact .*"):
            use()
    assert len(archive.observation(OBSIDS[0])["regions"]) == 5
    code, said, _ = command("compact", archive.root)
    assert code == 0
    assert said.startswith("8 observations in 4 files, 0.")
    assert_shows(archive, shown)
    assert_tidy(archive)


def test_a_missing_or_damaged_compact_file_is_named_with_the_remedy(
    archive: Archive, command: Callable[..., tuple[int, str, str]]
) -> None:
    shown = fill(archive)
    detid = shown[OBSIDS[0]]["lightcurves"]["detid"][0]
    for change, message in (
        (lambda file: file.unlink(), "is gone; .*open the table again or, .* compact .* --force`"),
        (lambda file: file.write_bytes(b"PAR1 no more"), "is not what was written: .*exod verify"),
    ):
        (file,) = archive.compact(anew=True).tables["lightcurves"]
        assert len(archive.lightcurve(detid)) == 1
        change(Path(archive.root, file.path))
        for use in (archive.lightcurves.compute, lambda: archive.lightcurve(detid)):
            with pytest.raises(ArchiveError, match=message):
                use()
    assert command("compact", archive.root, "--force")[0] == 0
    assert_shows(archive, shown)
    (file,) = archive.compact().tables["lightcurves"]
    Path(archive.root, file.path).unlink()
    # That a file is missing is seen without being told.
    archive.compact()
    assert_shows(archive, shown)


# -------------------------------------------------------------------- gc


def test_gc_spares_what_is_used_or_young(archive: Archive) -> None:
    shown = fill(archive)
    (first,) = archive.compact().layers
    for file in Path(archive.root, first.version).iterdir():
        os.utime(file, (0, 0))
    assert archive.gc() == []
    # Replaced just now: a reader may use it.
    lazy = archive.regions
    archive.compact(anew=True)
    assert archive.gc() == []
    assert len(lazy.compute(scheduler="sync")) == len(expected(shown, "regions"))
    # One file of a compaction in progress is young, and so all of it are.
    running = Path(archive.root, "compact", "20300101T000000-abcdef01")
    running.mkdir()
    for name in ("regions-0.parquet", "cells-0.parquet", "notes.txt"):
        (running / name).write_bytes(b"x")
    os.utime(running / "regions-0.parquet", (0, 0))
    strange = Path(archive.root, "compact", "mine")
    strange.mkdir()
    pointer = Path(archive.root, compaction.POINTER)
    content = json.loads(open_text(pointer.read_bytes()))
    pointer.write_text(json.dumps({**content, "finished": "2001-01-01T00:00:00Z"}))
    assert {name.rpartition("/")[0] for name in archive.gc()} == {first.version}
    assert not Path(archive.root, first.version).exists()
    removed = archive.gc(older_than=0)
    assert {name.rpartition("/")[0] for name in removed} == {f"compact/{running.name}"}
    assert (running / "notes.txt").exists()
    assert strange.exists()
    with pytest.raises(ArchiveError, match="open the table again"):
        lazy.compute(scheduler="sync")
    assert_shows(archive, shown)


def test_gc_removes_a_pointer_that_was_not_finished(archive: Archive) -> None:
    rest = Path(archive.root, ".compact.json.abcdef01.tmp")
    rest.write_bytes(b"x")
    assert archive.gc() == []
    os.utime(rest, (0, 0))
    assert archive.gc() == [rest.name]


# -------------------------------------------------------------------- only what is asked for


class Counting:
    """An open file, and how many bytes were read from it."""

    def __init__(self, name: str, file: Any, counted: dict[str, int]) -> None:
        self.name, self.file, self.counted = name, file, counted

    def read(self, size: int = -1) -> bytes:
        data: bytes = self.file.read(None if size < 0 else size)
        self.counted[self.name] += len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        if name == "read_buffer":
            raise AttributeError(name)
        return getattr(self.file, name)


class Opening:
    """What `Store.open` returns, with a file that counts."""

    def __init__(self, name: str, opened: Any, counted: dict[str, int]) -> None:
        self.name, self.opened, self.counted = name, opened, counted

    def __enter__(self) -> Counting:
        return Counting(self.name, self.opened.__enter__(), self.counted)

    def __exit__(self, *args: Any) -> Any:
        return self.opened.__exit__(*args)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Bytes read of each file that was opened."""
    counted: dict[str, int] = {}
    open_file = Store.open

    def counting(store: Store, name: str, seal: Seal) -> Opening:
        counted.setdefault(name, 0)
        return Opening(name, open_file(store, name, seal), counted)

    monkeypatch.setattr(Store, "open", counting)
    return counted


def test_nothing_is_computed_or_read_until_asked(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(archive)
    archive.compact()
    archive.commit(OBSIDS[0], "OK", make_tables(OBSIDS[0], 5))

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("not lazy")

    monkeypatch.setattr(Store, "open", refuse)
    with dask.config.set(scheduler=refuse):
        for name in TABLES:
            empty = TABLES[name].shown.frame()
            assert getattr(archive, name)._meta.dtypes.equals(empty.dtypes)
        found = archive.table("regions", columns=["t_bin"], filters=[("label", ">", 3)])
        assert list(found.columns) == ["t_bin"]
        archive.cone(10, 20, 30)


def test_one_light_curve_without_a_scan(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, read: dict[str, int]
) -> None:
    monkeypatch.setattr(compaction, "GROUP_ROWS", 400)
    curves = {o: make_lightcurves(o, runs=2, labels=5, frames=200) for o in OBSIDS}
    for obsid, frame in curves.items():
        archive.commit(obsid, "OK", {"lightcurves": frame.sample(frac=1, random_state=1)})
    files = archive.compact(0.02).tables["lightcurves"]
    assert len(files) > 2
    for obsid in OBSIDS:
        for detid, rows in list(curves[obsid].groupby("detid"))[::3]:
            read.clear()
            found = stored(archive.lightcurve(detid), "lightcurves")
            pd.testing.assert_frame_equal(found, rows.reset_index(drop=True))
            (name,) = read
            assert name in {file.path for file in files}
            metadata = pq.ParquetFile(f"{archive.root}/{name}").metadata
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            assert len(groups) >= 5
            statistics = [group.column(0).statistics for group in groups]
            hits = [s.min <= detid <= s.max for s in statistics]
            assert 1 <= sum(hits) <= 2
            content = sum(group.total_byte_size for group in groups)
            wanted = sum(g.total_byte_size for g, hit in zip(groups, hits, strict=True) if hit)
            taken = read[name]
            read.clear()
            with pytest.raises(ArchiveError, match="has no light curve"):
                archive.lightcurve(f"{obsid}_0_1_0.2_12.0_0")
            # The end of the file says where everything is: all that is read if nothing fits.
            assert 0 < taken - read[name] <= 1.2 * wanted < content / 2
    # Processed again, it comes from its own file.
    archive.commit(OBSIDS[0], "OK", {"lightcurves": curves[OBSIDS[0]].iloc[:200]})
    read.clear()
    assert len(archive.lightcurve(f"{OBSIDS[0]}_0_5_0.2_12.0_0")) == 200
    assert list(read) == [archive.entry(OBSIDS[0]).path("lightcurves")]


def test_filters_columns_and_cones_reduce_what_is_read(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, read: dict[str, int]
) -> None:
    monkeypatch.setattr(compaction, "SKY_GROUP_ROWS", 100)
    random = np.random.default_rng(7)
    frames = []
    for obsid in OBSIDS:
        frame = make_rows(REGIONS, 250, obsid, int(obsid))
        frame["ra_deg"] = random.uniform(0, 360, 250)
        frame["dec_deg"] = np.degrees(np.arcsin(random.uniform(-1, 1, 250)))
        archive.commit(obsid, "OK", {"regions": frame})
        frames.append(frame)
    everything = pd.concat(frames)
    (file,) = archive.compact().tables["regions"]

    def cost(compute: Callable[[], Any]) -> tuple[int, Any]:
        read.clear()
        found = compute()
        assert set(read) == {file.path}
        return read[file.path], found

    whole, _ = cost(lambda: archive.regions.compute(scheduler="sync"))
    few, _ = cost(lambda: archive.regions[["detid"]].compute(scheduler="sync"))
    asked, found = cost(
        lambda: archive.table("regions", columns=["detid"]).compute(scheduler="sync")
    )
    assert list(found.columns) == ["detid"]
    assert 0 < asked == few < whole / 2
    cone, found = cost(lambda: archive.cone(123.0, 20.0, 3600.0).compute(scheduler="sync"))
    assert set(found["detid"]) == set(within(everything, 123.0, 20.0, 3600.0)["detid"])
    none, found = cost(
        lambda: archive.table("regions", filters=[("dec_deg", ">", 91)]).compute(scheduler="sync")
    )
    assert found.empty
    # The end of the file says where everything is: all that is read if nothing fits.
    assert 0 < cone - none < (whole - none) / 2


@given(
    ra=st.sampled_from([-0.001, 0.0, 360.0, 359.9999, 180.0, 725.0]) | st.floats(0, 360),
    dec=st.sampled_from([-90.0, 90.0, 89.99, -89.9, 0.0]) | st.floats(-90, 90),
    radius=st.sampled_from([0.0, 1.0, 600.0, 3600.0 * 30, 3600.0 * 100]) | st.floats(0, 1e6),
    seed=st.integers(0, 1000),
)
@settings(max_examples=portion(60), deadline=None)
def test_the_box_of_a_circle_holds_it(ra: float, dec: float, radius: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    near = np.clip(dec + random.normal(0, 1, 200) * radius / 3600, -90, 90)
    everywhere = np.degrees(np.arcsin(random.uniform(-1, 1, 200)))
    frame = pd.DataFrame(
        {
            "ra_deg": np.concatenate(
                [(ra + random.normal(0, 1, 200) * radius / 1800) % 360, random.uniform(0, 360, 200)]
            ),
            "dec_deg": np.concatenate([near, everywhere]),
        }
    )
    frame.loc[0] = (ra % 360, dec)
    chosen = np.zeros(len(frame), bool)
    for conditions in box(ra, dec, radius):
        chosen |= np.logical_and.reduce([holds(frame[c], s, v) for c, s, v in conditions])
    inside = within(frame, ra, dec, radius)
    assert chosen[inside.index].all()


def holds(column: pd.Series, sign: str, value: Any) -> pd.Series:
    """A condition as pandas understands it."""
    methods: dict[str, Callable[[], pd.Series]] = {
        "==": lambda: column == value,
        "!=": lambda: column != value,
        "<": lambda: column < value,
        "<=": lambda: column <= value,
        ">": lambda: column > value,
        ">=": lambda: column >= value,
        "in": lambda: column.isin(value),
        "not in": lambda: ~column.isin(value),
    }
    return methods[sign]()


floats = st.sampled_from([0.0, -0.0, 5.0, 5.5, -np.inf, np.inf])
texts = st.sampled_from([*OBSIDS[:4], "", "zzz"])
comparison = st.sampled_from(["==", "<", "<=", ">", ">="])
conditions = st.one_of(
    st.tuples(st.sampled_from(["t_bin", "sigma_peak"]), comparison, floats),
    st.tuples(st.just("sigma_peak"), st.just("in"), st.lists(floats, min_size=1, max_size=3)),
    st.tuples(st.just("label"), comparison | st.just("!="), st.integers(0, 9)),
    st.tuples(st.just("obsid"), comparison | st.just("!="), texts),
    st.tuples(
        st.just("obsid"), st.sampled_from(["in", "not in"]), st.lists(texts, min_size=1, max_size=3)
    ),
)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Archive, pd.DataFrame]:
    """An archive with NaN and zeros, partly in compact files."""
    archive = Archive.create(tmp_path_factory.mktemp("mixed"), Config())
    random = np.random.default_rng(11)
    frames = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "SKY_GROUP_ROWS", 4)
        for step in (0, 1):
            for obsid in OBSIDS[step * 3 : 4 + step]:
                frame = make_rows(REGIONS, 9, obsid, int(obsid) + step)
                frame["t_bin"] = random.choice([0.0, -0.0, 5.0, 50.0], 9)
                frame["sigma_peak"] = random.choice([np.nan, 5.0, 5.5, np.inf], 9)
                frames[obsid] = frame
                archive.commit(obsid, "OK", {"regions": frame})
            if step == 0:
                archive.compact()
    return archive, pd.concat(frames.values())


@given(filters=st.lists(st.lists(conditions, min_size=1, max_size=3), min_size=1, max_size=3))
@settings(max_examples=portion(30), deadline=None)
def test_filters_mean_what_they_mean_in_pandas(
    mixed: tuple[Archive, pd.DataFrame], filters: list[Any]
) -> None:
    archive, everything = mixed
    chosen = np.zeros(len(everything), bool)
    for row in filters:
        chosen |= np.logical_and.reduce([holds(everything[c], s, v) for c, s, v in row])
    lazy = archive.table("regions", columns=["detid"], filters=filters)
    assert sorted(lazy.compute(scheduler="sync")["detid"]) == sorted(everything["detid"][chosen])


def test_one_list_of_filters_needs_no_second_list(mixed: tuple[Archive, pd.DataFrame]) -> None:
    archive, everything = mixed
    simple = archive.table("regions", filters=[("label", "<", 4), ("t_bin", ">=", 5)])
    nested = archive.table("regions", filters=[[("label", "<", 4), ("t_bin", ">=", 5)]])
    found = simple.compute(scheduler="sync")
    pd.testing.assert_frame_equal(found, nested.compute(scheduler="sync"))
    assert len(simple) == len(found) == len(everything.query("label < 4 and t_bin >= 5")) > 0


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ([("colour", "==", 1)], "colour"),
        ([("label", "~", 1)], "not a valid operator"),
        ([("label", "==", "a")], "no kernel"),
        ([("obsid", "==", 1730201)], "obsid|equal"),
        ([("t_bin", "!=", 5.0)], "!= would lose NaN of t_bin"),
        ([("t_bin", "not in", [5.0])], "not in would lose NaN of t_bin"),
        ([("t_bin", "==", float("nan"))], "t_bin cannot be compared with nan"),
        ([("t_bin", "in", [5.0, None])], "cannot be compared"),
        ([("t_bin", "in", 5.0)], "not iterable"),
        ([("t_bin",)], "unpack"),
        ("t_bin == 5", "unpack"),
        ([[]], "malformed|empty|range"),
    ],
)
def test_filters_that_do_not_fit_are_refused(archive: Archive, filters: Any, message: str) -> None:
    with pytest.raises(ArchiveError, match=f"Table regions cannot be filtered so: .*({message})"):
        archive.table("regions", filters=filters)


def test_unknown_columns_are_refused(archive: Archive) -> None:
    with pytest.raises(ArchiveError, match="Table regions has no columns colour, size"):
        archive.table("regions", columns=["detid", "size", "colour"])


# -------------------------------------------------------------------- elsewhere


def test_the_same_code_works_on_a_url() -> None:
    filesystem = fsspec.filesystem("memory")
    try:
        archive = Archive.create("memory://bucket/archive", Config())
        shown = fill(archive)
        first = archive.compact(TINY_MB)
        archive.compact(TINY_MB, anew=True)
        shown[OBSIDS[0]] = make_tables(OBSIDS[0], 8, 3, NAMES)
        archive.commit(OBSIDS[0], "OK", shown[OBSIDS[0]])
        assert_shows(archive, shown)
        assert len(archive.table("regions", filters=[("obsid", "==", OBSIDS[1])])) == 5
        for obsid in OBSIDS[:2]:
            detid = shown[obsid]["lightcurves"]["detid"][0]
            assert len(archive.lightcurve(detid)) == 1
        assert archive.gc() == []
        removed = archive.gc(older_than=0)
        old = {f.path for files in first.tables.values() for f in files}
        assert {name for name in removed if name.startswith("compact")} == old
        assert_shows(archive, shown)
    finally:
        filesystem.rm("/bucket", recursive=True)


def test_the_command(archive: Archive, command: Callable[..., tuple[int, str, str]]) -> None:
    code, said, _ = command("compact", archive.root, "--file-mb", 100)
    assert (code, said) == (0, "0 observations in 0 files, 0.0 MB.\n")
    assert command("compact", archive.root, "--file-mb", 0)[0] == 2
    code, _, error = command("compact", f"{archive.root}/nowhere")
    assert code == 1
    assert error.startswith("exod: There is no archive")


def test_one_kind_of_parquet_file(archive: Archive) -> None:
    fill(archive)
    (file,) = archive.compact().tables["lightcurves"]
    own = archive.entry(OBSIDS[0]).path("lightcurves")
    groups = [
        pq.ParquetFile(f"{archive.root}/{path}").metadata.row_group(0) for path in (own, file.path)
    ]
    for i, name in enumerate(LIGHTCURVES.schema.names):
        a, b = (group.column(i) for group in groups)
        assert (a.path_in_schema, a.compression, a.encodings) == (name, "ZSTD", b.encodings)
    assert parquet.ROW_GROUP_ROWS < compaction.GROUP_ROWS


def test_a_layer_from_before_a_table_was_added_has_no_rows_of_it() -> None:
    tables = {name: () for name in TABLES if name not in compaction.YOUNGER_TABLES}
    layer = compaction.Layer(version="a", attempts={}, tables=tables)
    assert set(layer.tables) == set(TABLES)
    assert not layer.tables["variability"]


@pytest.mark.drill
@pytest.mark.slow
def test_the_benchmark_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import archive_scale

    apart = archive_scale.apart

    def here(function: str, root: Path) -> tuple[Any, float]:
        """One in a process of its own, which shows that this works; the others need none."""
        if function == "count":
            return apart(function, root)
        return getattr(archive_scale, function)(root), 0.0

    monkeypatch.setattr(archive_scale, "apart", here)
    monkeypatch.setattr(archive_scale, "REPEATS", 1)
    monkeypatch.setattr(archive_scale, "INTERLEAVED", 1)
    found = dict(archive_scale.measure(tmp_path / "archive", observations=60, processes=1))
    assert found["observations"] == 60
    assert found["regions"] > 0
    assert found["files after"] < found["files before"] / 10
    assert all(value >= 0 for value in found.values())
