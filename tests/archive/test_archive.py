"""The archive: whole observations or nothing, whatever happens; lazy and exact reads."""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from helpers.archives import (
    INPUTS,
    OBSID,
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
    seed_of,
    stored,
)
from helpers.examples import portion
from helpers.processes import running, wait_for_changes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exod.archive import Archive, lazy, open_archive, parquet, parts
from exod.archive.store import Store
from exod.config import PRESETS, Config
from exod.errors import ArchiveError, ConfigError, InputError
from exod.files.seals import Seal, open_text
from exod.schemas import REGIONS, TABLES


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "root", Config())


# -------------------------------------------------------------------- making and opening


def test_an_archive_records_its_settings(archive: Archive) -> None:
    content = json.loads(Path(archive.root, "archive.json").read_text())
    assert content["config"]["cube"]["t_bin"] == [5, 50, 200]
    assert content["fingerprint"] == archive.fingerprint == Config().fingerprint()
    assert open_archive(archive.root).config == Config()


def test_making_it_again_keeps_what_is_there(archive: Archive) -> None:
    archive.commit(OBSID, "OK", make_tables())
    again = Archive.create(archive.root, Config())
    assert again.entry(OBSID) == archive.entry(OBSID)


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    Archive.create(tmp_path, Config.parse({"cube": {"t_bin": [5, 50]}}))
    asked = Config.parse({"cube": {"t_bin": [10]}, "detect": {"sigma": 5}})
    with pytest.raises(ArchiveError) as caught:
        Archive.create(tmp_path, asked)
    assert "cube.t_bin: archive has [5, 50], asked for [10]; " in str(caught.value)
    assert "detect.sigma: archive has 3, asked for 5; use another root." in str(caught.value)


@pytest.mark.parametrize("window", [1, 2])
def test_settings_that_came_later_have_their_defaults(tmp_path: Path, window: int) -> None:
    """Before the null hypothesis could be chosen, sliding windows ignored the rule."""
    config = Config.parse({"cube": {"window": window}})
    archive = Archive.create(tmp_path, config)
    marker = tmp_path / "archive.json"
    content = json.loads(marker.read_text())
    assert content["config"]["detect"].pop("null") == "auto"
    content["config"]["detect"]["rule"] = "exod2"
    content["fingerprint"] = "0123456789abcdef"
    marker.write_text(json.dumps(content))
    old = open_archive(archive.root)
    assert old.config == config
    assert Archive.create(tmp_path, config).fingerprint == old.fingerprint == "0123456789abcdef"
    asked = Config.parse({"cube": {"window": window}, "detect": {"null": "conditional"}})
    with pytest.raises(
        ArchiveError, match=r'detect\.null: archive has "auto", asked for "conditional"'
    ):
        Archive.create(tmp_path, asked)


@pytest.mark.parametrize("preset", PRESETS)
def test_settings_of_every_preset_are_read_as_they_were(tmp_path: Path, preset: str) -> None:
    config = Config.preset(preset)
    archive = Archive.create(tmp_path, config)
    assert open_archive(archive.root).config == Archive.create(tmp_path, config).config == config


def test_before_live_fractions_frames_were_whole(tmp_path: Path) -> None:
    whole = Config.parse({"cube": {"live_time": "frames"}})
    archive = Archive.create(tmp_path, whole)
    marker = tmp_path / "archive.json"
    content = json.loads(marker.read_text())
    assert content["config"]["cube"].pop("live_time") == "frames"
    marker.write_text(json.dumps(content))
    assert open_archive(archive.root).config == Archive.create(tmp_path, whole).config == whole
    with pytest.raises(
        ArchiveError, match=r'live_time: archive has "frames", asked for "fraction"'
    ):
        Archive.create(tmp_path, Config())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {**c, "format_version": 99}, "has format 99"),
        (lambda c: {**c, "config": {"cube": {"shape": "round"}}}, "does not know: .*cube.shape"),
        (lambda c: {**c, "config": 3}, "archive.json is damaged"),
        (lambda c: {"config": c["config"]}, "archive.json is damaged"),
        (lambda c: [], "archive.json is damaged"),
    ],
)
def test_a_strange_archive_is_refused(
    archive: Archive, change: Callable[[Any], Any], message: str
) -> None:
    file = Path(archive.root, "archive.json")
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(ArchiveError, match=message):
        Archive.open(archive.root)


def test_no_archive_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=f"There is no archive at {tmp_path}: it has no archive"):
        Archive.open(tmp_path)
    with pytest.raises(ArchiveError, match="There is no archive"):
        Archive.open(tmp_path / "nowhere")
    (tmp_path / "archive.json").write_bytes(b"\xff{")
    with pytest.raises(ArchiveError, match="damaged"):
        Archive.open(tmp_path)
    with pytest.raises(ArchiveError, match="cannot be used as an archive"):
        Archive.open("gopher://host/archive")


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArchiveError, match="cannot be made: Not a directory"):
        Archive.create(tmp_path / "file" / "root", Config())


def test_results_without_settings_are_not_adopted(archive: Archive) -> None:
    archive.commit(OBSID, "OK", make_tables())
    Path(archive.root, "archive.json").unlink()
    with pytest.raises(ArchiveError, match=r"it has no archive\.json"):
        Archive.create(archive.root, Config.parse({"detect": {"sigma": 5}}))


def test_disks_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: str) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    assert files_of(Archive.create(tmp_path, Config())) == {"archive.json"}


def test_an_archive_travels_to_other_processes(archive: Archive) -> None:
    copy = pickle.loads(pickle.dumps(archive))
    copy.commit(OBSID, "OK", make_tables(), reason="0")
    assert seed_of(archive) == 0
    assert (copy.root, copy.config) == (archive.root, archive.config)
    assert repr(copy) == f"Archive({archive.root!r})"


def test_importing_it_is_light() -> None:
    code = "import sys, exod.archive; print('dask' in sys.modules, 'distributed' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


# -------------------------------------------------------------------- committing


def test_what_is_committed_can_be_read(archive: Archive) -> None:
    tables = make_tables(n=5)
    archive.commit(OBSID, "OK", tables, inputs=INPUTS, seconds=12.5, peak_memory_mb=300)
    for name, frame in tables.items():
        found = archive.table(name).compute(scheduler="sync")
        expected = frame.sort_values(list(TABLES[name].sort_by), ignore_index=True)
        pd.testing.assert_frame_equal(plain(stored(found, name)), plain(expected))
        shown = [column.name for column in TABLES[name].shown.columns]
        assert found.columns.tolist() == getattr(archive, name).columns.tolist() == shown


def test_the_entry_says_what_happened(archive: Archive) -> None:
    tables = {"runs": make_rows(TABLES["runs"], 9), "regions": REGIONS.frame()}
    inputs = [SimpleNamespace(name="b", size=np.int64(2), checksum="y"), {**INPUTS[0]}]
    written = archive.commit(
        OBSID, "EMPTY", tables, inputs=inputs, seconds=np.float32(2.5), peak_memory_mb=np.int64(9)
    )
    entry = archive.entry(OBSID)
    assert entry == written
    assert (entry.status, entry.seconds, entry.peak_memory_mb) == ("EMPTY", 2.5, 9)
    assert (entry.finished - entry.started).total_seconds() == 2.5
    assert {file.name for file in entry.inputs} == {"b", INPUTS[0]["name"]}
    assert entry.fingerprint == archive.fingerprint
    assert {"exod", "python", "numpy", "astropy"} <= set(entry.versions)
    assert (entry.rows("runs"), entry.rows("regions"), entry.rows("cells")) == (9, 0, 0)
    assert entry.path("regions") is entry.path("cells") is None
    assert entry.files["runs"].bytes == Path(archive.root, entry.path("runs")).stat().st_size
    text = open_text(Path(archive.root, "ledger", f"{OBSID}.json").read_bytes()).decode()
    assert json.dumps(json.loads(text), sort_keys=True, indent=1) == text


def test_committing_again_replaces(archive: Archive) -> None:
    first = archive.commit(OBSID, "OK", make_tables(seed=1), reason="1")
    second = archive.commit(OBSID, "OK", make_tables(seed=2), reason="2")
    assert seed_of(archive) == 2
    assert first.attempt.startswith("0001-")
    assert second.attempt.startswith("0002-")
    assert len(archive.regions) == 3
    removed = archive.gc(older_than=0)
    assert removed == sorted(file.path for file in first.files.values())
    assert files_of(archive) == files_expected(archive)
    assert seed_of(archive) == 2


def test_failures_are_recorded_with_their_reason(archive: Archive) -> None:
    reason = "The file \udcff.FTZ is truncated."
    archive.commit(OBSID, "FAILED", reason=reason, traceback="Traceback ...")
    entry = archive.entry(OBSID)
    assert entry.reason == r"The file \udcff.FTZ is truncated."
    assert entry.traceback == "Traceback ..."
    assert archive.status()["n_runs"].tolist() == [0]
    assert len(archive.regions) == 0


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    digests = []
    for folder in ("a", "b"):
        archive = Archive.create(tmp_path / folder, Config())
        tables = {n: f.sample(frac=1, random_state=len(folder)) for n, f in make_tables().items()}
        if folder == "b":
            tables = {n: f[f.columns[::-1]].iloc[::-1] for n, f in reversed(tables.items())}
        entry = archive.commit(OBSID, "OK", tables)
        data = {n: Path(archive.root, entry.path(n)).read_bytes() for n in sorted(tables)}
        digests.append({n: hashlib.sha256(content).hexdigest() for n, content in data.items()})
    assert digests[0] == digests[1]


def test_files_carry_units_and_nothing_of_pandas(archive: Archive) -> None:
    entry = archive.commit(OBSID, "OK", make_tables())
    for name, table in TABLES.items():
        schema = pq.read_schema(f"{archive.root}/{entry.path(name)}")
        assert schema.equals(table.schema)
        assert schema.metadata == table.schema.metadata
        assert [field.metadata for field in schema] == [field.metadata for field in table.schema]


def arrays(*rows: Any) -> pd.DataFrame:
    frame = make_rows(TABLES["images"], len(rows))
    content = pd.Series(list(rows), dtype=object)
    return frame.assign(runid=[f"run {i}" for i in range(len(rows))], n=content, mu=content)


def test_arrays_in_rows_come_back(archive: Archive) -> None:
    rows = [np.array([1, 2]), [], (3.0,)]
    frame = arrays(*rows)
    frame["mu"] = pd.Series([[np.nan, np.inf], [0.5], np.zeros(2)], dtype=object)
    archive.commit(OBSID, "OK", {"images": frame})
    found = archive.images.compute(scheduler="sync")
    assert [list(row) for row in found["n"]] == [[1, 2], [], [3]]
    assert found["n"][0].dtype == np.int32
    np.testing.assert_array_equal(found["mu"][0], np.float32([np.nan, np.inf]))


@pytest.mark.parametrize("row", [None, 3, [2.5], [2**40], [1, None], np.zeros((2, 2)), ["a"]])
def test_arrays_that_do_not_fit_are_refused(archive: Archive, row: Any) -> None:
    with pytest.raises(ArchiveError, match="Table images of 0001730201 does not fit: column n: "):
        archive.commit(OBSID, "OK", {"images": arrays([1], row)})


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(0, 40),
    special=st.lists(st.sampled_from([np.nan, np.inf, -np.inf, -0.0, 5e-324]), max_size=5),
    name=st.sampled_from(sorted(TABLES)),
)
@settings(max_examples=portion(40), deadline=None)
def test_any_rows_come_back_exactly(seed: int, n: int, special: list[float], name: str) -> None:
    table = TABLES[name]
    frame = make_rows(table, n, seed=seed)
    floats = [c.name for c in table.columns if pa.types.is_floating(c.type)]
    for i, value in enumerate(special[: len(frame)]):
        frame.loc[i, floats] = value
    data = parquet.encode(table, frame, OBSID)
    if n == 0:
        assert data == b""
        return
    found = parquet.to_pandas(pq.read_table(pa.BufferReader(data)))
    expected = frame.sort_values(list(table.sort_by), ignore_index=True, kind="stable")
    pd.testing.assert_frame_equal(plain(found), plain(expected), check_exact=True)


def with_column(name: str, **changes: Any) -> dict[str, pd.DataFrame]:
    return {name: make_rows(TABLES[name], 2).assign(**changes)}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"stars": pd.DataFrame()}, "no table 'stars'; the tables are observations, exposures"),
        (with_column("cells", colour="red"), r"cells of 0001730201 .* columns: \['colour'\]"),
        ({"bti": make_rows(TABLES["bti"], 2).drop(columns="STOP")}, r"columns: \['STOP'\]"),
        (with_column("cells", y=[1, 70000]), "column y: .*70000"),
        (with_column("cells", n=[1.0, np.nan]), "column n: "),
        (with_column("bti", START=["a", "b"]), "column START: "),
        (with_column("cells", kind=["peak", None]), "column kind has 1 missing"),
        (with_column("bti", obsid=[OBSID, "0001730202"]), "rows of another observation"),
        (
            with_column("exposures", filter=pd.Series(["a", "\udcff"], dtype=object)),
            "column filter: ",
        ),
    ],
)
def test_unfit_tables_are_refused_before_anything_is_written(
    archive: Archive, tables: dict[str, pd.DataFrame], message: str
) -> None:
    with pytest.raises(ArchiveError, match=message):
        archive.commit(OBSID, "OK", {"runs": make_rows(TABLES["runs"], 1), **tables})
    assert files_of(archive) == {"archive.json"}


@pytest.mark.parametrize(
    "bad",
    [
        {"status": "GOOD"},
        {"seconds": float("nan")},
        {"peak_memory_mb": -1},
        {"inputs": [{"name": "a"}]},
        {"inputs": [3]},
    ],
)
def test_an_impossible_entry_is_refused(archive: Archive, bad: dict[str, Any]) -> None:
    with pytest.raises(ArchiveError, match=f"Observation {OBSID} cannot be committed: "):
        archive.commit(OBSID, **{"status": "OK", **bad})
    assert files_of(archive) == {"archive.json"}


@pytest.mark.parametrize("obsid", ["../../etc/x", "1730201", "00017302011", "", 1730201])
def test_an_obsid_is_checked_before_it_becomes_a_path(archive: Archive, obsid: Any) -> None:
    for use in (
        lambda: archive.commit(obsid, "OK"),
        lambda: archive.entry(obsid),
    ):
        with pytest.raises(InputError, match="must be ten digits"):
            use()


# -------------------------------------------------------------------- crashes


@pytest.mark.parametrize(
    "tidy",
    [pytest.param(True, marks=pytest.mark.drill, id="error"), pytest.param(False, id="power cut")],
)
def test_a_crash_at_any_step_leaves_the_old_state(archive: Archive, tidy: bool) -> None:
    names = ("runs", "regions", "lightcurves")
    archive.commit(OBSID, "OK", make_tables(seed=1, names=names), reason="1")
    new = make_tables(seed=2, names=names)
    seen = []
    for step in range(1000):
        with pytest.MonkeyPatch.context() as patch:
            if tidy:
                fail_at(patch, step, OSError(28, "No space left on device"))
            else:
                cut_power(patch, step)
            try:
                archive.commit(OBSID, "OK", new, reason="2")
            except ArchiveError as error:
                message = str(error)
            except PowerCut:
                message = ""
            else:
                break
        assert message.endswith(": No space left on device." if tidy else "")
        seen.append(seed_of(archive, names))
        if tidy:
            assert not any(name.endswith(".tmp") for name in files_of(archive))
        archive.gc(older_than=0)
        assert files_of(archive) == files_expected(archive)
        assert seed_of(archive, names) == seen[-1]
    # Folder, file, its name and that in the folder of 3 tables, and of the entry: 15 steps before
    # the new state is there, and 1 after it.
    assert seen == [1] * 15 + [2]
    assert seed_of(archive, names) == 2


def test_a_full_disk_is_one_sentence(archive: Archive) -> None:
    archive.commit(OBSID, "OK", make_tables(seed=1), reason="1")
    before = files_of(archive)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ArchiveError, match=r"cannot be committed to .*: File too large\."):
            archive.commit(OBSID, "OK", make_tables(seed=2), reason="2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_of(archive) == before
    assert seed_of(archive) == 1


COMMIT_OFTEN = """
from exod.archive import Archive
from helpers.archives import OBSID, make_tables
archive = Archive.open(sys.argv[1])
seeds = [int(seed) for seed in sys.argv[2].split(",")]
tables = {seed: make_tables(seed=seed) for seed in seeds}
print("ready", flush=True)
sys.stdin.read()
for i in range(int(sys.argv[3])):
    for seed in seeds:
        archive.commit(OBSID, "OK", tables[seed], reason=str(seed))
"""


def committing(
    archive: Archive, seeds: str, times: int
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return running(COMMIT_OFTEN, archive.root, seeds, times)


def begin(processes: list[subprocess.Popen[bytes]]) -> None:
    """Let those begin that are ready."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.drill
def test_killed_at_any_moment_nothing_is_lost(archive: Archive) -> None:
    archive.commit(OBSID, "OK", make_tables(seed=9), reason="9")
    random = np.random.default_rng(5)
    with ExitStack() as stack:
        processes = [stack.enter_context(committing(archive, "1,2", 10**6)) for _ in range(3)]
        begin(processes)
        for process in processes:
            wait_for_changes(lambda: files_of(archive), int(random.integers(1, 30)), process)
            process.kill()
            process.wait()
            assert seed_of(archive) in (1, 2, 9)
    archive.gc(older_than=0)
    assert files_of(archive) == files_expected(archive)
    assert seed_of(archive) in (1, 2)


@pytest.mark.drill
def test_of_two_processes_one_attempt_is_seen_whole(archive: Archive) -> None:
    archive.commit(OBSID, "OK", make_tables(seed=9), reason="9")
    seen = set()
    with committing(archive, "1", 8) as one, committing(archive, "2", 8) as other:
        begin([one, other])
        while one.poll() is None or other.poll() is None:
            seen.add(seed_of(archive))
        assert (one.returncode, other.returncode) == (0, 0)
    assert seen <= {1, 2, 9}
    assert seed_of(archive) in (1, 2)
    archive.gc(older_than=0)
    assert files_of(archive) == files_expected(archive)
    assert len(archive.regions) == 3


def test_gc_spares_the_young_and_the_unknown(archive: Archive) -> None:
    archive.commit(OBSID, "OK", make_tables())
    root = Path(archive.root)
    in_flight = root / "cells" / "0001730202-0001-abcdef01.parquet"
    in_flight.write_bytes(b"x")
    unfinished = root / "ledger" / ".0001730202.json.abcdef01.tmp"
    unfinished.write_bytes(b"x")
    strange = root / "cells" / "notes.txt"
    strange.write_bytes(b"x")
    for file in (unfinished, strange):
        os.utime(file, (0, 0))
    assert archive.gc() == ["ledger/.0001730202.json.abcdef01.tmp"]
    assert archive.gc(older_than=0) == ["cells/0001730202-0001-abcdef01.parquet"]
    assert strange.exists()


def test_gc_spares_what_was_replaced_just_now(archive: Archive) -> None:
    first = archive.commit(OBSID, "OK", make_tables(seed=1))
    lazy = archive.regions
    for file in first.files.values():
        os.utime(f"{archive.root}/{file.path}", (0, 0))
    archive.commit(OBSID, "OK", make_tables(seed=2))
    assert archive.gc() == []
    assert len(lazy.compute(scheduler="sync")) == 3
    archive.gc(older_than=0)
    with pytest.raises(ArchiveError, match=r"is gone; .* open the table again or, .*`exod verify "):
        lazy.compute(scheduler="sync")


# -------------------------------------------------------------------- the ledger


def test_an_empty_archive_has_the_right_columns(archive: Archive) -> None:
    status = archive.status()
    assert status.empty
    began = pd.Timestamp.now("UTC").floor("s")
    archive.commit(OBSID, "OK", make_tables(n=4), seconds=1.5)
    filled = archive.status()
    assert status.dtypes.equals(filled.dtypes)
    assert filled["obsid"].tolist() == [OBSID]
    row = filled.iloc[0]
    assert (row["n_runs"], row["n_regions"], row["n_cells"], row["seconds"]) == (4, 4, 4, 1.5)
    assert began <= row["finished"] <= pd.Timestamp.now("UTC")


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"obsid": "0001730201"}', b"[]"])
def test_a_damaged_entry_is_named_with_the_remedy(archive: Archive, damage: bytes) -> None:
    archive.commit(OBSID, "OK", make_tables(seed=1), inputs=INPUTS)
    file = Path(archive.root, "ledger", f"{OBSID}.json")
    file.write_bytes(damage)
    for use in (lambda: archive.entry(OBSID), archive.status, lambda: archive.regions, archive.gc):
        with pytest.raises(ArchiveError, match=f"{file} is damaged .*; delete it and process"):
            use()
    archive.commit(OBSID, "OK", make_tables(seed=2), reason="2")
    assert seed_of(archive) == 2


def test_an_entry_under_a_wrong_name_is_damage(archive: Archive) -> None:
    archive.commit(OBSID, "OK")
    folder = Path(archive.root, "ledger")
    (folder / "0001730202.json").write_bytes((folder / f"{OBSID}.json").read_bytes())
    with pytest.raises(ArchiveError, match="it is the entry of 0001730201"):
        archive.status()


def test_a_damaged_table_is_named(archive: Archive) -> None:
    entry = archive.commit(OBSID, "OK", make_tables())
    Path(archive.root, entry.path("regions")).write_bytes(b"PAR1 no more")
    with pytest.raises(ArchiveError, match=r"regions/0001730201-.* has 12 bytes .*exod verify"):
        archive.regions.compute(scheduler="sync")
    pq.write_table(pa.table({"obsid": [OBSID]}), f"{archive.root}/{entry.path('cells')}")
    with pytest.raises(ArchiveError, match=r"cells/0001730201-.* is not what was written"):
        archive.cells.compute(scheduler="sync")


# -------------------------------------------------------------------- lazy tables


@pytest.fixture
def no_computing() -> Iterator[None]:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=refuse):
        yield


@pytest.mark.usefixtures("no_computing")
def test_nothing_is_computed_or_read_until_asked(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.commit(OBSID, "OK", make_tables())

    def refuse(store: Store, name: str) -> None:
        raise AssertionError(f"{name} was opened")

    monkeypatch.setattr(Store, "open", refuse)
    for name in TABLES:
        lazy = getattr(archive, name)
        assert lazy._meta.dtypes.equals(TABLES[name].shown.frame().dtypes)
        lazy[lazy["obsid"] == OBSID]
    archive.cone(10, 20, 30)
    with pytest.raises(AssertionError, match="computed"):
        archive.regions.compute()


@pytest.mark.parametrize("name", TABLES)
def test_lazy_tables_have_the_declared_dtypes(archive: Archive, name: str) -> None:
    for n in (0, 2):
        if n:
            archive.commit(OBSID, "OK", make_tables(n=n))
        lazy = archive.table(name)
        found = lazy.compute(scheduler="sync")
        assert found.dtypes.equals(TABLES[name].shown.frame().dtypes)
        assert len(found) == len(make_rows(TABLES[name], n))
        assert not lazy.known_divisions
        assert lazy["obsid"].compute(scheduler="sync").tolist() == [OBSID] * len(found)


def test_an_unknown_table_lists_the_known(archive: Archive) -> None:
    with pytest.raises(ArchiveError, match="no table 'stars'; the tables are observations, "):
        archive.table("stars")


def test_many_small_files_share_a_partition(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PARTITION_FILES", 4)
    obsids = [f"00017302{i:02d}" for i in range(9)]
    for obsid in obsids:
        archive.commit(obsid, "OK", {"regions": make_rows(REGIONS, 2, obsid)})
    archive.commit("0009999901", "EMPTY", {"regions": REGIONS.frame()})
    assert archive.regions.npartitions == 3
    found = archive.regions.compute(scheduler="sync")
    assert found["obsid"].tolist() == [obsid for obsid in obsids for _ in range(2)]
    size = archive.entry(obsids[0]).files["regions"].bytes
    monkeypatch.setattr(parts, "PARTITION_BYTES", 2 * size + size // 2)
    assert archive.regions.npartitions == 5
    monkeypatch.setattr(parts, "PARTITION_BYTES", 1)
    assert archive.regions.npartitions == 9


def test_only_the_wanted_columns_are_read(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.commit(OBSID, "OK", make_tables())
    asked = []

    def read_part(*args: Any, columns: list[str] | None = None, **kwargs: Any) -> pd.DataFrame:
        asked.append(columns)
        return original(*args, columns=columns, **kwargs)

    original = lazy.read_part
    monkeypatch.setattr(lazy, "read_part", read_part)
    found = archive.regions[["detid", "ra_deg"]].compute(scheduler="sync")
    assert list(found.columns) == ["detid", "ra_deg"]
    assert asked == [["detid", "ra_deg"]]


def test_lazy_tables_do_not_depend_on_the_scheduler(archive: Archive) -> None:
    for i in range(5):
        obsid = f"000173020{i}"
        archive.commit(obsid, "OK", make_tables(obsid, seed=i))
    a = archive.cells.compute(scheduler="sync")
    b = archive.cells.compute(scheduler="threads")
    pd.testing.assert_frame_equal(a, b)


# -------------------------------------------------------------------- light curves and cones


def test_one_light_curve_costs_one_file_and_few_row_groups(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 250)
    frames = make_lightcurves(OBSID, runs=3, labels=12, frames=100)
    shuffled = frames.sample(frac=1, random_state=1)
    entry = archive.commit(OBSID, "OK", {"lightcurves": shuffled})
    archive.commit("0001730202", "OK", {"lightcurves": make_lightcurves("0001730202", 1, 1, 9)})
    opened = []
    open_file = Store.open
    monkeypatch.setattr(
        Store, "open", lambda store, name, seal: [opened.append(name), open_file(store, name)][1]
    )
    for detid, expected in frames.groupby("detid"):
        found = archive.lightcurve(detid)
        pd.testing.assert_frame_equal(stored(found, "lightcurves"), expected.reset_index(drop=True))
    assert set(opened) == {entry.path("lightcurves")}
    assert len(opened) == frames["detid"].nunique()

    file = pq.ParquetFile(f"{archive.root}/{entry.path('lightcurves')}")
    statistics = [file.metadata.row_group(i).column(0).statistics for i in range(15)]
    assert file.num_row_groups == 15
    for detid in frames["detid"].unique():
        assert sum(s.min <= detid <= s.max for s in statistics) <= 5


@pytest.mark.parametrize(
    "detid",
    ["", "nonsense", f"{OBSID}_0_5_0.2_12.0_99", f"{OBSID}_0_7_0.2_12.0_0", "0" * 10, OBSID],
)
def test_an_unknown_light_curve_is_an_error(archive: Archive, detid: str) -> None:
    for commit in (False, True):
        if commit:
            archive.commit(OBSID, "OK", {"lightcurves": make_lightcurves(OBSID, 1, 2, 9)})
        with pytest.raises(ArchiveError, match=f"has no light curve '{detid}'"):
            archive.lightcurve(detid)


def test_a_light_curve_replaced_while_it_is_read(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = {"lightcurves": make_lightcurves(OBSID, 1, 1, 9)}
    archive.commit(OBSID, "OK", tables)
    open_file = Store.open

    def replace_first(store: Store, name: str, seal: Seal) -> Any:
        monkeypatch.setattr(Store, "open", open_file)
        archive.commit(OBSID, "OK", tables)
        archive.gc(older_than=0)
        return open_file(store, name, seal)

    monkeypatch.setattr(Store, "open", replace_first)
    assert len(archive.lightcurve(f"{OBSID}_0_5_0.2_12.0_0")) == 9


def crowd(ra: float, dec: float, seed: int) -> pd.DataFrame:
    """Regions within some 40 arcsec of a position and everywhere else."""
    random = np.random.default_rng(seed)
    centre = SkyCoord(ra * units.deg, dec * units.deg)
    angle, distance = random.uniform(0, 360, 60), random.uniform(0, 40, 60)
    near = centre.directional_offset_by(angle * units.deg, distance * units.arcsec)
    far_dec = np.degrees(np.arcsin(random.uniform(-1, 1, 60)))
    frame = make_rows(REGIONS, 120)
    frame["ra_deg"] = np.concatenate([near.ra.deg, random.uniform(0, 360, 60)])
    frame["dec_deg"] = np.concatenate([near.dec.deg, far_dec])
    return frame


@given(
    ra=st.sampled_from([0.0, 1e-4, 359.9999, 123.4]) | st.floats(0, 360),
    dec=st.sampled_from([-90.0, 90.0, 89.9999, -89.99, 0.0]) | st.floats(-90, 90),
    radius=st.sampled_from([0.5, 20.0, 30.0, 3600.0 * 50]),
    seed=st.integers(0, 1000),
)
@settings(
    max_examples=portion(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_cone_is_right_everywhere(
    archive: Archive, ra: float, dec: float, radius: float, seed: int
) -> None:
    frame = crowd(ra, dec, seed)
    archive.commit(OBSID, "OK", {"regions": frame})
    found = archive.cone(ra, dec, radius).compute(scheduler="sync")
    centre = SkyCoord(ra * units.deg, dec * units.deg)
    all_separations = SkyCoord(
        frame["ra_deg"].to_numpy() * units.deg, frame["dec_deg"].to_numpy() * units.deg
    ).separation(centre)
    frame = frame.assign(separation_arcsec=all_separations.arcsec)
    surely = frame["separation_arcsec"] < radius - 1e-6
    perhaps = frame["separation_arcsec"] < radius + 1e-6
    assert set(frame["detid"][surely]) <= set(found["detid"]) <= set(frame["detid"][perhaps])
    expected = frame.set_index("detid")["separation_arcsec"][found["detid"]]
    np.testing.assert_allclose(found["separation_arcsec"], expected, atol=1e-6)


def test_a_cone_across_ra_zero(archive: Archive) -> None:
    frame = make_rows(REGIONS, 2).assign(ra_deg=[359.999, 0.001], dec_deg=0.0)
    archive.commit(OBSID, "OK", {"regions": frame})
    found = archive.cone(0, 0, 5).compute(scheduler="sync")
    np.testing.assert_allclose(found["separation_arcsec"], 3.6)
    assert list(found.columns) == [*(c.name for c in REGIONS.shown.columns), "separation_arcsec"]
    assert len(archive.cone(0, 0, 3.5)) == 0


@pytest.mark.parametrize("cone", [(math.nan, 0, 1), (0, 91, 1), (0, 0, -1), (0, math.nan, 1)])
def test_an_impossible_cone_is_refused(archive: Archive, cone: tuple[float, ...]) -> None:
    with pytest.raises(ArchiveError, match="A cone needs"):
        archive.cone(*cone)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("value", ["north", [1.0, 2.0], {}])
def test_a_cone_is_made_of_numbers(archive: Archive, place: int, value: Any) -> None:
    cone: list[Any] = [1.0, 2.0, 3.0]
    cone[place] = value
    with pytest.raises(ConfigError, match=r"of a cone is (one|a) number, not"):
        archive.cone(*cone)


# -------------------------------------------------------------------- other file systems


def test_the_same_code_works_on_a_url() -> None:
    root = "memory://bucket/archive"
    filesystem = fsspec.filesystem("memory")
    try:
        archive = Archive.create(root, Config())
        assert Archive.create(f"{root}/", Config()).root == archive.root == root
        archive.commit(OBSID, "OK", make_tables(seed=1), inputs=INPUTS)
        first = {file.path for file in archive.entry(OBSID).files.values()}
        archive.commit(OBSID, "OK", make_tables(seed=2), inputs=INPUTS)
        # Readers see dates besides, which are computed.
        cells = stored(archive.cells.compute(scheduler="sync"), "cells")
        assert_same_rows(cells, make_tables(seed=2)["cells"])
        detid = make_tables(seed=2)["lightcurves"]["detid"][0]
        assert len(archive.lightcurve(detid)) == 1
        assert archive.gc() == []
        assert archive.gc(older_than=0) == sorted(first)
        assert len(archive.regions) == 3
        with pytest.raises(ArchiveError, match="There is no archive"):
            Archive.open("memory://bucket/other")
    finally:
        filesystem.rm("/bucket", recursive=True)


def test_a_failed_upload_leaves_the_old_state(monkeypatch: pytest.MonkeyPatch) -> None:
    filesystem = fsspec.filesystem("memory")
    try:
        archive = Archive.create("memory://bucket/archive", Config())
        before = archive.commit(OBSID, "OK", make_tables(seed=1))
        files = set(filesystem.find("/bucket"))
        upload = type(filesystem).pipe_file
        uploads = iter(range(100))

        def pipe_file(*args: Any, **kwargs: Any) -> Any:
            if next(uploads) == 4:
                raise ConnectionError("lost the line")
            return upload(*args, **kwargs)

        monkeypatch.setattr(type(filesystem), "pipe_file", pipe_file)
        with pytest.raises(ArchiveError, match="lost the line"):
            archive.commit(OBSID, "OK", make_tables(seed=2))
        assert archive.entry(OBSID) == before
        assert set(filesystem.find("/bucket")) == files
    finally:
        filesystem.rm("/bucket", recursive=True)
