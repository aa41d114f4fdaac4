"""Products: versions that appear whole or not at all, and are cleaned up after."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.query_archives import make_queried
from helpers.survey_archives import make_survey
from typer.testing import CliRunner

from exod.archive import Archive, open_archive
from exod.archive import snapshot as snapshots
from exod.archive.derived import DerivedFile, read_derived
from exod.archive.increments import deriving, write_part
from exod.archive.questions.detections import Rows
from exod.archive.snapshot import Snapshot
from exod.cli import app
from exod.errors import ArchiveError
from exod.schemas import DERIVED, FEATURES, FLAGS, TABLES, UNIQUE
from exod.schemas.columns import Column, Table

COUNTERPARTS = Table(
    "xmatch",
    "Counterparts",
    (
        Column("region_num", pa.int64(), "", "Source"),
        Column("gaia_source_id", pa.int64(), "", "Counterpart", nullable=True),
        Column("gaia_name", pa.string(), "", "Its name", nullable=True),
        Column("gaia_sep", pa.float64(), "arcsec", "Separation", nullable=True),
    ),
    ("region_num",),
)


@pytest.fixture
def archive(tmp_path) -> Archive:
    return make_survey(tmp_path / "archive", 2, 2)


def make_flags(obsids: list[str]) -> pd.DataFrame:
    flags = [column.name for column in FLAGS.columns if column.name.startswith("filt_")]
    rows = [{"detid": f"{o}_0_5_1_2_0", "runid": f"{o}_0_5_1_2", "obsid": o} for o in obsids]
    return FLAGS.frame(pd.DataFrame(rows).assign(**dict.fromkeys(flags, False)))


def test_a_version_is_seen_when_it_is_complete(archive):
    store = archive.store
    assert archive.derived("flags") is None
    with pytest.raises(ArchiveError, match="exod flags"):
        archive.flags  # noqa: B018
    with deriving(store, "flags", [FLAGS]) as new:
        new.files.append(write_part(store, new.folder, FLAGS, make_flags(["0700000001"]), "0"))
        new.parameters = {"sigma": 3}
        assert archive.derived("flags") is None
    assert archive.derived("flags").parameters == {"sigma": 3}
    assert list(archive.flags.compute()["obsid"]) == ["0700000001"]


def test_an_error_leaves_the_earlier_version(archive):
    store = archive.store
    with deriving(store, "flags", [FLAGS]):
        pass
    before = read_derived(store, "flags")
    files = set(store.names("flags"))
    with (  # noqa: PT012
        pytest.raises(RuntimeError, match="half way"),
        deriving(store, "flags", [FLAGS]) as new,
    ):
        write_part(store, new.folder, FLAGS, make_flags(["0700000001"]), "0")
        raise RuntimeError("half way")
    assert read_derived(store, "flags") == before
    assert set(store.names("flags")) == files
    assert len(archive.flags) == 0


def test_files_are_kept_and_rows_of_replaced_observations_do_not_count(archive):
    store = archive.store
    with deriving(store, "flags", [FLAGS]) as new:
        both = make_flags(["0700000001", "0700000101"])
        new.files.append(write_part(store, new.folder, FLAGS, both, "0"))
    with deriving(store, "flags", [FLAGS]) as new:
        old = read_derived(store, "flags").files[0]
        new.files.append(old.model_copy(update={"without": ("0700000101",)}))
    assert list(archive.flags.compute()["obsid"]) == ["0700000001"]
    assert archive.gc(older_than=0) == []
    with deriving(store, "flags", [FLAGS]):
        pass
    assert archive.gc(older_than=3600) == []
    assert archive.gc(older_than=0) != []
    assert len(archive.flags) == 0


def test_identifiers_that_may_be_missing_stay_exact(archive):
    big = 2**62 + 1
    frame = pd.DataFrame(
        {
            "region_num": [0, 1],
            "gaia_source_id": pd.array([big, None], "Int64"),
            "gaia_name": ["a", None],
            "gaia_sep": [1.5, np.nan],
        }
    )
    assert COUNTERPARTS.frame(frame)["gaia_source_id"].dtype == pd.Int64Dtype()
    with deriving(archive.store, "xmatch-gaia", [COUNTERPARTS]) as new:
        new.files.append(write_part(archive.store, new.folder, COUNTERPARTS, frame, "0"))
    found = archive.matches("gaia").compute()
    assert found["gaia_source_id"].dtype == pd.Int64Dtype()
    assert found["gaia_source_id"][0] == big
    assert found["gaia_source_id"].isna().tolist() == [False, True]
    assert archive.matched == ["gaia"]


def test_names_are_checked_before_they_are_paths(archive):
    for name in ("../unique", "xmatch-", "xmatch-a/b", "ledger"):
        with pytest.raises(ArchiveError, match="cannot be derived"):
            archive.derived(name)
    with pytest.raises(ArchiveError, match="cannot be the name"):
        write_part(archive.store, "flags/x", FLAGS, FLAGS.frame(), "../0")


def test_bad_pointers_and_rows_are_told(archive):
    with (
        pytest.raises(ArchiveError, match="lacks the column"),
        deriving(archive.store, "unique", DERIVED["unique"]) as new,
    ):
        write_part(archive.store, new.folder, UNIQUE, pd.DataFrame({"srcid": ["a"]}), "0")
    with deriving(archive.store, "flags", [FLAGS]):
        pass
    Path(archive.store.path("flags/current.json")).write_text("{")
    with pytest.raises(ArchiveError, match="is damaged"):
        open_archive(archive.root).flags  # noqa: B018


def test_outdated_observations_are_named(archive):
    entries = archive.entries()
    with deriving(archive.store, "flags", [FLAGS]) as new:
        new.attempts = {entries[0].obsid: entries[0].attempt, "0999999999": "0001-x"}
    assert archive.derived("flags").outdated(entries) == [entries[1].obsid, "0999999999"]


def test_surveys_have_what_the_search_writes(archive):
    assert set(archive.status()["status"]) == {"OK"}
    assert len(archive.regions) == 2 * 3 * 2
    assert len(archive.lightcurve(archive.regions.compute()["detid"].iloc[0])) > 10


def test_status_tells_what_is_behind(archive):
    entries = archive.entries()
    assert archive.products().empty
    with deriving(archive.store, "flags", [FLAGS]) as new:
        new.attempts = {entries[0].obsid: entries[0].attempt}
    with deriving(archive.store, "xmatch-gaia", [COUNTERPARTS]):
        pass
    with deriving(archive.store, "unique", DERIVED["unique"]) as new:
        new.attempts = {entry.obsid: entry.attempt for entry in entries}
    found = archive.products().set_index("product")
    assert found["behind"].to_dict() == {"flags": 1, "unique": 0, "xmatch-gaia": 1}
    shown = CliRunner().invoke(app, ["status", archive.root]).output
    assert "flags: 0 rows, 1 observation behind" in shown
    assert "unique: 0 rows, current" in shown
    assert "xmatch-gaia: 0 rows, older than the sources" in shown


def test_tables_of_a_search_of_an_earlier_version_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_queried(tmp_path / "archive", 1, 2)
    table = TABLES["lightcurves"]
    later = replace(table, columns=(*table.columns, Column("later", pa.float64(), "", "Of today")))
    monkeypatch.setattr(snapshots, "TABLES", {**TABLES, "lightcurves": later})
    told = (
        f"Table lightcurves of {archive.root} was written by an earlier version of exod, without "
        f"later; search again with `exod detect ... --archive {archive.root} --force`."
    )
    with pytest.raises(ArchiveError) as caught:
        Rows(Snapshot(archive), "lightcurves").selected(later).computed()
    assert str(caught.value) == told


def test_a_product_of_an_earlier_version_is_not_damaged(tmp_path: Path, command: Any) -> None:
    """It has fewer columns: the command that makes it again is told, and what needs none works."""
    archive = make_queried(tmp_path / "archive", 2, 2)
    before = archive.derived("features")
    assert before is not None
    fewer = replace(FEATURES, columns=FEATURES.columns[:-1])
    with deriving(archive.store, "features", ()) as new:
        rows = archive.features.compute(scheduler="sync")[fewer.schema.names]
        new.files.append(write_part(archive.store, new.folder, fewer, rows, "0"))
        new.attempts, new.parameters = before.attempts, before.parameters
    missing = FEATURES.columns[-1].name
    told = (
        f"Table features of {archive.root} was made by an earlier version of exod, without "
        f"{missing}; run `exod features {archive.root}`, which makes it again."
    )
    code, _, wrong = command("catalogue", archive.root, "--to", tmp_path / "release", "--no-hats")
    assert code == 1
    assert told in " ".join(wrong.split())
    code, _, wrong = command("explore", archive.root, "--make-only")
    assert code == 1
    assert told in " ".join(wrong.split())
    code, _, wrong = command("verify", archive.root)
    assert (code, wrong) == (0, "")
    with pytest.raises(ArchiveError, match=r"written by another version of exod.*make features of"):
        archive.features.compute(scheduler="sync")
    code, said, _ = command("query", archive.root, "--table", "detections", "--columns", "detid")
    assert (code, "detid" in said) == (0, True)


@pytest.mark.parametrize(
    ("part", "gone"),
    [
        ("50b4e289-0700000001-0700000301", {"0700000001", "0700000101", "0700000301"}),
        ("12345678-0700000101-0700000101", {"0700000101"}),
        ("0000a123-0700000101-28964", {"0700000101", "0700000301", "28963", "28964"}),
        ("50b4e289-28963-28964", {"28963", "28964"}),
        ("0700000001-0700000101.12", {"0700000001", "0700000101"}),
        ("000012", set()),
    ],
)
def test_observations_that_changed_do_not_count_where_a_part_may_have_them(part, gone):
    file = DerivedFile(
        path="features/1/features-1.parquet", table="features", part=part, rows=1, bytes=1
    )
    changed = ("0700000001", "0700000101", "0700000301", "28963", "28964")
    assert set(file.without_changed(changed).without) == gone
