"""A release: whole or not at all, what it says of itself, what it refuses."""

import hashlib
import json
import shutil
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.table import Table as AstropyTable
from helpers.catalogue_products import make_match, make_products
from helpers.survey_archives import make_survey, observation

from exod.archive import Archive, open_archive
from exod.catalogue.hats import using_lsdb
from exod.config import Config
from exod.errors import ArchiveError
from exod.scheduler.plan import Plan
from exod.stages.catalogue.release import Release, write_catalogue

HERE = Plan("sync")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Archive:
    """An archive with its products and a cross-match; not to be changed."""
    archive = make_survey(tmp_path_factory.mktemp("finished") / "archive", 3, 2)
    make_match(archive, make_products(archive)["unique"])
    return archive


@pytest.fixture(scope="module")
def released(finished, tmp_path_factory) -> Release:
    """A release of it; not to be changed."""
    return write(finished, tmp_path_factory.mktemp("released") / "release")


@pytest.fixture
def archive(finished, tmp_path) -> Archive:
    """A copy of the archive."""
    return open_archive(shutil.copytree(finished.root, tmp_path / "archive"))


@pytest.fixture
def folder(released, tmp_path) -> Path:
    """A copy of the release, beside the archive."""
    return shutil.copytree(released.folder, tmp_path / "release")


def write(archive, folder, **options):
    return write_catalogue(archive.root, folder, HERE, **{"hats": False, **options})


def test_release_has_what_it_says(finished, released):
    archive, made = finished, released
    assert made.folder.name == "release"
    names = {path.name for path in made.folder.iterdir()}
    tables = {f"{t}.{e}" for t in ("detections", "sources") for e in ("fits", "parquet")}
    assert names == tables | {"README.md", "columns.md", "MANIFEST.json"}
    assert [path.name for path in made.folder.parent.iterdir()] == ["release"]
    found = json.loads((made.folder / "MANIFEST.json").read_text())
    assert found["rows"] == {"detections": 18, "sources": len(archive.unique)}
    assert found["fingerprint"] == archive.fingerprint
    assert found["observations"] == 3
    assert found["products"]["unique"] == archive.derived("unique").version
    assert set(found["products"]) == {"unique", "features", "flags", "xmatch-gaia"}
    assert set(found["files"]) == names - {"MANIFEST.json"}
    for name, file in found["files"].items():
        content = (made.folder / name).read_bytes()
        assert file == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_tables_agree(finished, released):
    archive, folder = finished, released.folder
    for name in ("detections", "sources"):
        parquet = pq.read_table(folder / f"{name}.parquet")
        fits = AstropyTable.read(folder / f"{name}.fits")
        assert parquet.column_names == fits.colnames
        for column in ("srcid", "ra_deg"):
            found = np.ma.filled(fits[column]).tolist()
            assert found == parquet[column].to_pylist()
    sources = pd.read_parquet(folder / "sources.parquet")
    assert sources["gaia_source_id"].isna().any()
    assert fits.meta["VUNIQUE"] == archive.derived("unique").version
    assert fits.meta["SETTINGS"] == archive.fingerprint


def test_pages_tell_columns_checks_and_versions(released):
    made = released
    readme = (made.folder / "README.md").read_text()
    assert "18 detections" in readme
    assert "3 observations" in readme
    assert all(f"* {check.what}." in readme for check in made.checks)
    assert "There is no HATS: it was not asked for." in readme
    page = (made.folder / "columns.md").read_text()
    for line in (
        "| ra_deg | double | deg | pos.eq.ra;meta.main | Right ascension of the variable source |",
        "| gaia_pmra | double, may be null | mas/yr | pos.pm | Proper motion |",
        "| mu | float | ct | phot.count | Expected counts in the bounding box |",
    ):
        assert line in page


def test_release_with_hats(archive, tmp_path):
    made = write(archive, tmp_path / "release", hats=True)
    assert made.facts.without_hats == ""
    assert (made.folder / "hats" / "collection.properties").is_file()
    assert "lsdb.open_catalog" in (made.folder / "README.md").read_text()
    listed = json.loads((made.folder / "MANIFEST.json").read_text())["files"]
    assert "hats/sources/hats.properties" in listed
    assert any(name.endswith(".parquet") and "Npix" in name for name in listed)


def test_a_folder_with_something_in_it_is_refused(archive, tmp_path):
    folder = tmp_path / "release"
    folder.mkdir()
    write(archive, folder)
    with pytest.raises(ArchiveError, match=r"has a catalogue already; .* --replace"):
        write(archive, folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    (other / "MANIFEST.json").write_text("[1]")
    with pytest.raises(ArchiveError, match="exists and is no catalogue"):
        write(archive, other, replace=True)
    assert (other / "thesis.tex").read_text() == "years of work"
    (folder / "MANIFEST.json").write_text("{")
    with pytest.raises(ArchiveError, match="exists and is no catalogue"):
        write(archive, folder, replace=True)


def test_an_earlier_release_is_replaced_whole(archive, folder, tmp_path):
    (folder / "note.txt").write_text("mine")
    first = (folder / "MANIFEST.json").read_text()
    write(archive, folder, replace=True, without=["gaia"])
    assert not (folder / "note.txt").exists()
    assert (folder / "MANIFEST.json").read_text() != first
    assert "gaia_name" not in pq.read_schema(folder / "sources.parquet").names
    assert {p.name for p in tmp_path.iterdir()} == {"archive", "release"}


def test_an_error_leaves_the_earlier_release(archive, folder, tmp_path):
    before = {path: path.read_bytes() for path in folder.iterdir()}

    def broken(root: str, staging: Path) -> None:
        assert (staging / "sources.fits").is_file()
        raise RuntimeError("the pen broke")

    with pytest.raises(RuntimeError, match="the pen broke"):
        write(archive, folder, replace=True, further=[broken])
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert {p.name for p in tmp_path.iterdir()} == {"archive", "release"}


def test_the_earlier_release_comes_back_if_the_new_one_cannot_be_named(
    archive, folder, tmp_path, monkeypatch
):
    rename = Path.rename

    def failing(self, target):
        if self.name.endswith(".tmp"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ArchiveError, match="cannot be written: Input/output error"):
        write(archive, folder, replace=True)
    assert (folder / "MANIFEST.json").is_file()
    assert {p.name for p in tmp_path.iterdir()} == {"archive", "release"}


def test_what_else_is_written_belongs_to_the_release(archive, tmp_path):
    def page(root: str, folder: Path) -> None:
        (folder / "report.html").write_text(f"<html>{root}</html>")

    folder = write(archive, tmp_path / "release", further=[page]).folder
    assert archive.root in (folder / "report.html").read_text()
    assert "report.html" in json.loads((folder / "MANIFEST.json").read_text())["files"]
    assert "report.html" in (folder / "README.md").read_text()


def test_a_failed_check_stops_the_release(tmp_path):
    archive = make_survey(tmp_path / "archive", 2, 2)
    make_products(archive, unique=lambda frame: frame.assign(n_detections=1))
    with pytest.raises(ArchiveError, match=r"not released \(n_detections of every source adds up"):
        write(archive, tmp_path / "release")
    assert {p.name for p in tmp_path.iterdir()} == {"archive"}


def test_missing_and_old_products_are_told(tmp_path):
    archive = make_survey(tmp_path / "archive", 2, 2)
    with pytest.raises(ArchiveError, match="has no unique yet; run `exod cluster"):
        write(archive, tmp_path / "release")
    make_products(archive)
    more = observation("0799999999", (10.0, 10.0), [(10.0, 10.0)])
    archive.commit("0799999999", "OK", more)
    with pytest.raises(ArchiveError, match=r"behind by 1 observations, for instance 0799999999"):
        write(archive, tmp_path / "release")


def test_an_old_match_is_told(archive, tmp_path):
    make_products(archive)
    with pytest.raises(ArchiveError, match=r"with gaia is older .* --without gaia"):
        write(archive, tmp_path / "release")
    write(archive, tmp_path / "release", without=["gaia"])


def test_a_match_that_does_not_exist_cannot_be_left_out(archive, tmp_path):
    with pytest.raises(ArchiveError, match=r"not matched with simbad; .* gaia"):
        write(archive, tmp_path / "release", without=["simbad"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("searched", [0, 2])
def test_no_detections_are_a_valid_release(tmp_path, searched):
    archive = make_survey(tmp_path / "archive", searched, 0)
    make_match(archive, make_products(archive)["unique"])
    made = write(archive, tmp_path / "release", hats=True)
    assert made.facts.rows == {"detections": 0, "sources": 0}
    assert made.facts.observations == searched
    for name in ("detections", "sources"):
        assert len(pq.read_table(made.folder / f"{name}.parquet")) == 0
        assert len(AstropyTable.read(made.folder / f"{name}.fits")) == 0
    with using_lsdb() as lsdb:
        opened = lsdb.open_catalog(made.folder / "hats")
        assert len(opened.compute(progress_bar=False)) == 0
        assert {"gaia_name", "detections", "lightcurve"} <= set(opened.columns)


def test_regions_without_a_source_are_counted(tmp_path):
    archive = make_survey(tmp_path / "archive", 1, 3)
    first = archive.regions.compute()["detid"].iloc[0]

    def less(frame):
        if "n_detections" in frame:
            lost = members.loc[members["detid"] == first, "region_num"].iloc[0]
            minus = (frame["region_num"] == lost).astype("int32")
            return frame.assign(n_detections=frame["n_detections"] - minus)
        return frame[frame["detid"] != first]

    members = make_products(archive)["members"]
    make_products(archive, members=less, unique=less)
    made = write(archive, tmp_path / "release")
    assert made.facts.without_source == 1
    assert "belong to no source and are left out: 1." in (made.folder / "README.md").read_text()
    assert first not in pq.read_table(made.folder / "detections.parquet")["detid"].to_pylist()


def test_a_remote_archive_is_written_here(tmp_path):
    place = f"memory://{uuid.uuid4().hex}"
    archive = Archive.create(place, Config())
    obsid = "0700000001"
    archive.commit(obsid, "OK", observation(obsid, (10.0, 10.0), [(10.0, 10.0), (10.1, 10.0)]))
    make_products(archive)
    write(archive, tmp_path / "release", hats=True)
    assert len(pq.read_table(tmp_path / "release" / "detections.parquet")) == 6


def test_a_folder_that_cannot_be_written_is_told(archive, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="cannot be written"):
        write(archive, tmp_path / "file" / "release")


# -------------------------------------------------------------------- the command


def test_command_makes_what_is_missing(tmp_path, command, monkeypatch):
    def page(archive: Archive, folder: Path) -> None:
        (folder / "report.html").write_text(archive.root)

    monkeypatch.setattr("exod.stages.report.page.add_report", page)
    archive = make_survey(tmp_path / "archive", 2, 2)
    folder = tmp_path / "release"
    arguments = ("catalogue", archive.root, "--to", folder, "--scheduler", "sync", "--no-hats")
    code, said, complaint = command(*arguments)
    assert (code, complaint) == (0, "")
    assert "12 detections, 2 sources; " in said
    assert "There is no HATS: it was not asked for." in said
    assert (folder / "report.html").is_file()
    code, _, complaint = command(*arguments)
    assert code != 0
    assert "has a catalogue already" in complaint
    shutil.rmtree(folder)
    assert command(*arguments, "--no-report")[0] == 0
    assert not (folder / "report.html").exists()


def test_command_matches_first(tmp_path, command):
    archive = make_survey(tmp_path / "archive", 1, 2)
    table = tmp_path / "mine.csv"
    regions = archive.regions.compute()
    regions[["detid", "ra_deg", "dec_deg"]].iloc[:1].to_csv(table, index=False)
    folder = tmp_path / "release"
    arguments = ("catalogue", archive.root, "--to", folder, "--scheduler", "sync", "--no-hats")
    code, _, complaint = command(*arguments, "--no-report", "--with", "nothing_known")
    assert code != 0
    assert "nothing_known" in complaint
    assert not folder.exists()
    code, _, complaint = command(*arguments, "--no-report", "--with", table)
    assert (code, complaint) == (0, "")
    found = pd.read_parquet(folder / "sources.parquet")
    assert found["mine_detid"].notna().sum() == 1
