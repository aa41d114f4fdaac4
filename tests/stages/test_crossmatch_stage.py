"""The product of a cross-match: whole, incremental, null where there is nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from helpers.fake_cds import HTML, FakeCds, Fault, gaia, simbad
from helpers.processes import LONGEST
from helpers.survey_archives import fill, make_survey

from exod.archive import Archive, open_archive
from exod.archive.increments import deriving, write_part
from exod.counterparts.service import Services
from exod.counterparts.wanted import Own, wanted_catalogues
from exod.errors import ArchiveError
from exod.schemas import DERIVED, MATCH, UNIQUE
from exod.stages.derive import crossmatch as stage
from exod.stages.derive.crossmatch import Crossmatched, MatchSettings, crossmatch

BIG = 2**62 + 1


def places(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions a degree apart, one of them at RA 0 and one at the pole."""
    ra, dec = np.arange(n) * 1.0, np.full(n, 10.0)
    dec[n - 1] = 90.0
    return ra, dec


def unique_rows(n: int, numbers=None) -> pd.DataFrame:
    ra, dec = places(n)
    numbers = range(n) if numbers is None else numbers
    rows = [
        {"region_num": number, "srcid": f"EXOD {i}", "ra_deg": ra[i], "dec_deg": dec[i]}
        | {"first_seen": 52000.0, "last_seen": 52100.0, "n_detections": 1}
        for i, number in enumerate(numbers)
    ]
    return fill(UNIQUE, rows)


def write_unique(archive: Archive, rows: pd.DataFrame) -> None:
    with deriving(archive.store, "unique", DERIVED["unique"]) as new:
        half = len(rows) // 2
        for part, some in (("b", rows[half:]), ("a", rows[:half])):
            new.files.append(write_part(archive.store, new.folder, UNIQUE, some, part))
        new.attempts = {entry.obsid: entry.attempt for entry in archive.entries()}


@pytest.fixture
def archive(tmp_path) -> Archive:
    made = make_survey(tmp_path / "archive", 1, 1)
    write_unique(made, unique_rows(10))
    return made


@pytest.fixture
def cds():
    service = FakeCds()
    ra, dec = places(10)
    # Two rows near each even source, and many around all of them.
    near = np.arange(0, 10, 2)
    star = np.concatenate([dec[near] - 2 / 3600, dec[near] - 5 / 3600])
    service.tables["vizier:I/355/gaiadr3"] = gaia(np.tile(ra[near], 2), star), "RAdeg", "DEdeg"
    service.tables["basic"] = simbad(ra[:3], dec[:3] + 1 / 3600), "ra", "dec"
    yield service
    service.close()


def settings(cds: FakeCds, tmp_path: Path, **options: object) -> MatchSettings:
    services = Services(**cds.addresses, attempts=1, wait=0.0, timeout=LONGEST)
    return MatchSettings(tmp_path / "cache", services, **options)


def run(archive: Archive, names: list[str], how: MatchSettings, own: Own | None = None):
    return list(crossmatch(archive, wanted_catalogues(names, own or Own()), how))


def test_every_source_has_a_row_and_nulls_say_that_there_is_nothing(archive, cds, tmp_path):
    (done,) = run(archive, ["gaia_dr3"], settings(cds, tmp_path))
    assert done == Crossmatched(
        "gaia_dr3", {"sources": 10, "matched": 5, "unmatched": 5, "looked_up": 10}
    )
    assert archive.matched == ["gaia_dr3"]
    found = archive.matches("gaia_dr3").compute().sort_values("region_num", ignore_index=True)
    assert list(found.columns[: len(MATCH)]) == [column.name for column in MATCH]
    assert found["region_num"].tolist() == list(range(10))
    assert found["srcid"].tolist() == [f"EXOD {i}" for i in range(10)]
    assert (found["mjd"] == 52050.0).all()
    there = found["region_num"] % 2 == 0
    ours = [name for name in found.columns if name.startswith("gaia_")]
    assert found.loc[~there, ours].isna().all().all()
    assert found["gaia_source_id"].dtype == pd.Int64Dtype()
    assert found.loc[there, "gaia_source_id"].tolist() == [BIG + i for i in range(5)]
    np.testing.assert_allclose(found.loc[there, "gaia_sep_arcsec"], 2.0, atol=1e-6)
    np.testing.assert_allclose(found.loc[there, "gaia_ddec_arcsec"], -2.0, atol=1e-6)
    assert (found.loc[there, "gaia_n_within"] == 2).all()
    assert ((found.loc[there, "gaia_p_chance"] > 0) & (found.loc[there, "gaia_p_chance"] < 1)).all()
    assert archive.derived("xmatch-gaia_dr3").summary["matched"] == 5
    assert archive.derived("xmatch-gaia_dr3").outdated(archive.entries()) == []


def test_reading_matches_computes_nothing(archive, cds, tmp_path):
    run(archive, ["simbad"], settings(cds, tmp_path))
    lazy = archive.matches("simbad")
    assert lazy.columns.tolist()[0] == "region_num"
    assert type(lazy).__module__.startswith("dask")


def test_only_new_and_moved_sources_are_asked_for(archive, cds, tmp_path):
    how = settings(cds, tmp_path)
    run(archive, ["gaia_dr3"], how)
    first = archive.matches("gaia_dr3").compute()
    asked = cds.sources_asked
    assert run(archive, ["gaia_dr3"], how)[0].summary["looked_up"] == 0
    assert cds.sources_asked == asked
    # A new one, one that moved, one seen again later, one with another name, one that is gone.
    rows = unique_rows(11)
    rows.loc[10, ["ra_deg", "dec_deg"]] = [4.0, 10.0]
    rows.loc[3, "dec_deg"] += 1e-6
    rows.loc[5, "last_seen"] = 55000.0
    rows.loc[6, "srcid"] = "EXOD other"
    rows.loc[9, "dec_deg"] = 90.0
    rows = rows[rows["region_num"] != 8]
    write_unique(archive, rows)
    (done,) = run(archive, ["gaia_dr3"], how)
    assert done.summary["looked_up"] == 3
    assert cds.sources_asked == asked + 3
    again = archive.matches("gaia_dr3").compute().set_index("region_num").sort_index()
    assert again.index.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10]
    assert again.loc[6, "srcid"] == "EXOD other"
    assert again.loc[10, "gaia_source_id"] == BIG + 2
    same = [0, 1, 2, 4, 7]
    before = first.set_index("region_num").loc[same]
    pd.testing.assert_frame_equal(again.loc[same], before)


def test_incremental_equals_anew(archive, cds, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "BLOCK", 4)
    how = settings(cds, tmp_path)
    write_unique(archive, unique_rows(10)[:7])
    run(archive, ["gaia_dr3"], how)
    assert len(archive.derived("xmatch-gaia_dr3").files) == 2
    kept = archive.derived("xmatch-gaia_dr3").of("xmatch")[0]
    write_unique(archive, unique_rows(10))
    assert run(archive, ["gaia_dr3"], how)[0].summary["looked_up"] == 3
    # What did not change is not written again either.
    assert archive.derived("xmatch-gaia_dr3").of("xmatch")[0] == kept
    some = archive.matches("gaia_dr3").compute().sort_values("region_num", ignore_index=True)
    anew = settings(cds, tmp_path, refresh=True)
    assert run(archive, ["gaia_dr3"], anew)[0].summary["looked_up"] == 10
    every = archive.matches("gaia_dr3").compute().sort_values("region_num", ignore_index=True)
    pd.testing.assert_frame_equal(some, every)


def test_another_declaration_or_table_matches_anew(archive, cds, tmp_path):
    how = settings(cds, tmp_path)
    table = tmp_path / "mine.csv"
    ra, dec = places(10)
    Table({"ra": ra, "dec": dec, "id": np.arange(10)}).write(table, format="ascii.csv")
    assert run(archive, [str(table)], how)[0].summary["looked_up"] == 10
    assert run(archive, [str(table)], how)[0].summary["looked_up"] == 0
    assert run(archive, [str(table)], how, Own(radius=5.0))[0].summary["looked_up"] == 10
    Table({"ra": ra, "dec": dec, "id": np.arange(10) + 1}).write(
        table, format="ascii.csv", overwrite=True
    )
    (done,) = run(archive, [str(table)], how, Own(radius=5.0))
    assert done.summary["looked_up"] == 10
    assert sorted(archive.matches("mine").compute()["mine_id"]) == list(range(1, 11))


def test_a_table_of_very_many_columns(archive, cds, tmp_path):
    ra, dec = places(10)
    numbers = {f"n{i}": np.arange(10) for i in range(150)}
    path = tmp_path / "wide.csv"
    Table({"ra": ra, "dec": dec} | numbers).write(path, format="ascii.csv")
    run(archive, [str(path)], settings(cds, tmp_path))
    write_unique(archive, unique_rows(11))
    (done,) = run(archive, [str(path)], settings(cds, tmp_path))
    assert done.summary["looked_up"] == 2
    assert archive.matches("wide").compute()["wide_n149"].sum() == 45


def test_a_catalogue_that_fails_does_not_keep_the_others(archive, cds, tmp_path):
    cds.faults = [Fault(), Fault(503, HTML)]
    done = run(
        archive,
        ["gaia_dr3", "simbad", "tycho2"],
        settings(cds, tmp_path),
    )
    assert [one.error is None for one in done] == [True, False, False]
    assert archive.matched == ["gaia_dr3"]
    assert "SIMBAD does not answer now" in str(done[1].error)
    assert run(archive, ["simbad"], settings(cds, tmp_path))[0].summary["matched"] == 3
    before = archive.derived("xmatch-simbad")
    cds.faults = [Fault(200, HTML)]
    assert run(archive, ["simbad"], settings(cds, tmp_path, refresh=True))[0].error
    assert archive.derived("xmatch-simbad") == before


def test_no_sources_make_an_empty_product(archive, cds, tmp_path):
    write_unique(archive, UNIQUE.frame())
    for one in run(archive, ["gaia_dr3", "simbad"], settings(cds, tmp_path)):
        assert one.summary == {"sources": 0, "matched": 0, "unmatched": 0, "looked_up": 0}
    found = archive.matches("gaia_dr3").compute()
    assert found.empty
    assert "gaia_source_id" in found.columns
    assert cds.asked == []


def test_a_source_without_a_position_has_no_match(archive, cds, tmp_path):
    rows = unique_rows(4)
    rows.loc[0, "ra_deg"] = np.nan
    write_unique(archive, rows)
    (done,) = run(archive, ["gaia_dr3"], settings(cds, tmp_path))
    assert done.summary["matched"] == 1
    assert run(archive, ["gaia_dr3"], settings(cds, tmp_path))[0].summary["looked_up"] == 0


def test_sources_must_be_there_first(tmp_path, cds):
    bare = make_survey(tmp_path / "bare", 1, 1)
    with pytest.raises(ArchiveError, match="exod cluster"):
        run(bare, ["simbad"], settings(cds, tmp_path))


# ---------------------------------------------------------------- the command


def test_command_line(archive, cds, tmp_path, command):
    services = json.dumps(cds.addresses | {"attempts": 1, "wait": 0})
    common = ["--services", services, "--cache", tmp_path / "cache"]
    code, out, err = command("crossmatch", archive.root, "--with", "simbad", *common)
    assert (code, err) == (0, "")
    assert "simbad: 3 of 10 sources matched, 10 looked up." in out
    cds.faults = [Fault(503, HTML)]
    code, out, err = command(
        "crossmatch", archive.root, "--with", "gaia_dr3", "--with", "simbad", *common
    )
    assert code == 1
    assert "simbad: 3 of 10" in out
    assert "gaia_dr3: CDS X-Match does not answer now (HTTP 503)" in err
    assert "exod: not matched with gaia_dr3." in err
    assert open_archive(archive.root).matched == ["simbad"]


def test_command_line_with_a_table_of_ones_own(archive, tmp_path, command):
    ra, dec = places(10)
    table = tmp_path / "stars.fits"
    Table({"lon": ra, "lat": dec, "pm1": ra * 0, "pm2": ra * 0 + 1e3, "k": np.arange(10)}).write(
        table
    )
    options = ["--ra", "lon", "--dec", "lat", "--name", "stars", "--cache", tmp_path / "cache"]
    motion = ["--epoch", 2011.3, "--pm-ra", "pm1", "--pm-dec", "pm2", "--radius", 30]
    code, _, err = command("crossmatch", archive.root, "--with", table, *options, *motion)
    assert (code, err) == (0, "")
    found = open_archive(archive.root).matches("stars").compute()
    # Ten years before the epoch of the table, the stars were 10 arcsec further south.
    np.testing.assert_allclose(found["stars_ddec_arcsec"].iloc[:9], -9.9, atol=0.1)
    assert found["stars_k"].dtype == pd.Int64Dtype()


def test_wrong_commands_are_told(archive, command):
    code, out, _ = command("crossmatch", "--list")
    assert code == 0
    assert all(name in out for name in ("simbad", "gaia_dr3", "4xmm_dr14", "chime_frb"))
    for arguments, sentence in (
        ([archive.root], "Give an archive and a catalogue"),
        (["--with", "simbad"], "Give an archive and a catalogue"),
        ([archive.root, "--with", "nothing"], "known are 2mass"),
        ([archive.root, "--with", "4xmm_dr14"], "4xmm_dr14=PATH"),
        ([archive.root, "--with", "simbad", "--services", "{"], "--services takes a JSON object"),
    ):
        code, _, err = command("crossmatch", *arguments)
        assert code == 2
        assert sentence in " ".join(err.split())


def test_what_is_left_out_is_told_and_recorded(archive, tmp_path, command):
    path = tmp_path / "mine.ecsv"
    ra, dec = places(10)
    Table({"ra": ra, "dec": dec, "pair": np.zeros((10, 2))}).write(path)
    code, said, _ = command("crossmatch", archive.root, "--with", path, "--cache", tmp_path)
    assert code == 0
    note = "The column pair is left out, since it holds several values a row."
    assert f"mine: {note}" in said
    made = open_archive(archive.root).derived("xmatch-mine")
    assert made is not None
    assert made.summary["notes"] == [note]
    assert made.summary["matched"] == 10
    # A table that was imported before says it again.
    assert (
        f"mine: {note}"
        in command("crossmatch", archive.root, "--with", path, "--cache", tmp_path)[1]
    )
