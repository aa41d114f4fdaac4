"""Many observations of Chandra: statuses, records, resumption, rows, the command."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from astropy.table import Table
from helpers.chandra_files import place_events

from exod.astromon import db
from exod.astromon.forms.storage import storage_at
from exod.astromon.process.manyobservations import (
    RECORD,
    ProcessSettings,
    process_many,
    wanted_obsids,
)
from exod.errors import ConfigError
from exod.scheduler.plan import Plan

HERE = Plan("sync")


@pytest.fixture
def work(tmp_path: Path) -> ProcessSettings:
    """Four observations: with sources, without, of a kind that is skipped, damaged."""
    place_events(tmp_path / "work", 8007)
    place_events(tmp_path / "work", 8008, sources=(), n_background=300)
    place_events(tmp_path / "work", 8009, obs_mode="SECONDARY")
    damaged = place_events(tmp_path / "work", 8010)
    damaged.write_bytes(damaged.read_bytes()[:3000])
    for obsid in (8007, 8008, 8009, 8010):
        folder = tmp_path / "work" / "obs08" / str(obsid)
        (folder / "seq_summary.json").write_text(json.dumps({"category_id": 50}))
    return ProcessSettings(tmp_path / "work", use_ciao=False, archive_dir=tmp_path / "kept")


OBSIDS = ["8007", "8008", "8009", "8010"]


def test_statuses_rows_and_resumption(work, tmp_path):
    tables = tmp_path / "astromon.db3"
    done = list(process_many(OBSIDS, work, HERE, dbfile=tables))
    assert [(one.obsid, one.status, one.n_sources) for one in done] == [
        ("8007", "OK", 2),
        ("8008", "EMPTY", 0),
        ("8009", "SKIPPED", 0),
        ("8010", "FAILED", 0),
    ]
    assert done[2].reason == "It is skipped: does not fulfill observation requirements."
    assert "cannot be read as an event list" in done[3].reason
    observations = db.get_table("astromon_obs", tables)
    assert observations["obsid"].tolist() == [8007, 8008]
    assert observations["detector"].tolist() == ["ACIS-S", "ACIS-S"]
    assert observations["category_id"].tolist() == [50, 50]
    assert observations["version"][0] == pytest.approx(10.0902)
    sources = db.get_table("astromon_xray_src", tables)
    assert sources["obsid"].tolist() == [8007, 8007]
    assert (tmp_path / "kept" / "obs08" / "8007" / "sources" / "8007_celldetect.src").exists()

    image = tmp_path / "work" / "obs08" / "8007" / "images" / "8007_broad_thresh.img"
    before = image.stat().st_mtime_ns
    again = list(process_many(OBSIDS, work, HERE, dbfile=tables))
    assert [one.is_new for one in again] == [False] * 4
    assert [one.status for one in again] == [one.status for one in done]
    assert image.stat().st_mtime_ns == before
    retried = list(process_many(OBSIDS, work, HERE, retry_failed=True))
    assert [one.obsid for one in retried if one.is_new] == ["8010"]
    forced = list(process_many(["8007"], work, HERE, force=True))
    assert forced[0].is_new
    assert image.stat().st_mtime_ns > before


def test_other_events_and_other_settings_are_processed_again(work, tmp_path):
    list(process_many(["8007"], work, HERE))
    folder = tmp_path / "work" / "obs08" / "8007"
    place_events(tmp_path / "other", 8007, sources=((0.0, 0.0, 500),))
    new = next((tmp_path / "other").rglob("*evt2*")).read_bytes()
    (folder / "primary" / "acisf08007N002_evt2.fits.gz").write_bytes(new)
    (again,) = process_many(["8007"], work, HERE)
    assert (again.is_new, again.n_sources) == (True, 1)
    (folder / RECORD).write_text("{}")
    (again,) = process_many(["8007"], work, HERE)
    assert again.is_new


def test_rows_that_were_not_saved_are_saved_later(work, tmp_path):
    list(process_many(["8007"], work, HERE))
    list(process_many(["8007"], work, HERE, dbfile=tmp_path / "tables"))
    assert len(db.get_table("astromon_xray_src", tmp_path / "tables")) == 2


def test_no_rows_stay_of_sources_that_are_there_no_more(work, tmp_path):
    """A later event list without sources: the rows of the former go, those of others stay."""
    list(process_many(["8007"], work, HERE, dbfile=tmp_path / "tables"))
    other = Table(db.get_table("astromon_xray_src", tmp_path / "tables"), copy=True)
    other["obsid"] = 9
    db.save("astromon_xray_src", other, tmp_path / "tables")
    place_events(tmp_path / "later", 8007, sources=(), n_background=300)
    new = next((tmp_path / "later").rglob("*evt2*")).read_bytes()
    folder = tmp_path / "work" / "obs08" / "8007"
    (folder / "primary" / "acisf08007N002_evt2.fits.gz").write_bytes(new)
    (again,) = process_many(["8007"], work, HERE, dbfile=tmp_path / "tables")
    assert again.status == "EMPTY"
    assert db.get_table("astromon_xray_src", tmp_path / "tables")["obsid"].tolist() == [9, 9]
    assert db.get_table("astromon_obs", tmp_path / "tables")["obsid"].tolist() == [8007]


def put(work, obsid, **more):
    """Other events in the place of those of an observation."""
    with TemporaryDirectory() as other:
        new = place_events(Path(other), obsid, **more)
        there = work.workdir / "obs08" / str(obsid) / "primary" / new.name
        there.write_bytes(new.read_bytes())


def of_sources(file) -> dict[str, list[int]]:
    """Observations of the rows of each table that there is."""
    names = ("obs", "xray_src", "cat_src", "xcorr")
    there = storage_at(file).names()
    return {
        name: sorted(db.get_table(f"astromon_{name}", file)["obsid"].tolist())
        for name in names
        if f"astromon_{name}" in there
    }


@pytest.mark.parametrize("name", ["tables.db3", "tables.h5"])
def test_rows_of_sources_that_are_gone_go(work, tmp_path, name):
    """An observation that becomes EMPTY or is skipped, with tables at hand or without."""
    file = tmp_path / name
    place_events(work.workdir, 8011)
    category = json.dumps({"category_id": 50})
    (work.workdir / "obs08" / "8011" / "seq_summary.json").write_text(category)
    list(process_many(["8007", "8011"], work, HERE, dbfile=file))
    for table in ("cat_src", "xcorr"):
        rows = db.create_table(f"astromon_{table}")
        for obsid in (8007, 8011, 9999):
            rows.add_row(dict.fromkeys(rows.colnames, "0") | {"obsid": obsid})
        db.save(f"astromon_{table}", rows, file)
    # The same sources once more: what was made of them stays.
    list(process_many(["8007", "8011"], work, HERE, dbfile=file, force=True))
    every = [8007, 8011, 9999]
    assert of_sources(file) == {
        "obs": [8007, 8011],
        "xray_src": [8007, 8007, 8011, 8011],
        **{"cat_src": every, "xcorr": every},
    }
    put(work, 8007, sources=(), n_background=300)
    (now,) = process_many(["8007"], work, HERE, dbfile=file)
    assert now.status == "EMPTY"
    assert of_sources(file) == {
        "obs": [8007, 8011],
        "xray_src": [8011, 8011],
        **{"cat_src": [8011, 9999], "xcorr": [8011, 9999]},
    }
    put(work, 8007)
    list(process_many(["8007"], work, HERE))
    list(process_many(["8007"], work, HERE, dbfile=file))
    assert of_sources(file)["xray_src"] == [8007, 8007, 8011, 8011]
    put(work, 8011, obs_mode="SECONDARY")
    (now,) = process_many(["8011"], work, HERE, dbfile=file)
    assert now.status == "SKIPPED"
    assert of_sources(file) == {
        "obs": [8007],
        "xray_src": [8007, 8007],
        **{"cat_src": [9999], "xcorr": [9999]},
    }


@pytest.mark.parametrize("scheduler", ["local"])
def test_on_processes(work, scheduler):
    done = list(process_many(OBSIDS[:2], work, Plan(scheduler, 1)))
    assert sorted((one.obsid, one.status) for one in done) == [("8007", "OK"), ("8008", "EMPTY")]


def test_lists_of_observations(tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("8007\n# a comment\n\n8008 # another\n")
    assert wanted_obsids(["8009", "08007"], listed) == ["8009", "8007", "8008"]
    with pytest.raises(ConfigError, match="No observation is given"):
        wanted_obsids([])
    with pytest.raises(ConfigError, match="'x' is no obsid of Chandra"):
        wanted_obsids(["x"])


def test_the_command(work, tmp_path, command):
    options = ["--workdir", work.workdir, "--no-ciao", "--scheduler", "sync"]
    code, said, _ = command("astromon", "process", "8007", "8009", *options, "--db", tmp_path / "t")
    assert code == 0
    assert "[1/2] 8007 OK: 2 sources, native" in said
    assert "1 OK, 1 SKIPPED; 2 sources." in said
    code, said, complained = command("astromon", "process", "8007", "8010", *options)
    assert code == 1
    assert "8007 OK: 2 sources, done before" in said
    assert "exod: 8010 failed: " in complained
    code, _, complained = command("astromon", "process", *options)
    assert (code, complained.count("\n")) == (2, 1)
    assert command("astromon", "process", "nine", *options)[0] == 2
