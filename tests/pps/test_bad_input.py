"""Each fault gives a sentence, a ledger status and an exit code, and stops nothing else."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from helpers.examples import every_third, portion
from helpers.faults import (
    FAST,
    GOOD,
    OTHER,
    copy,
    digests,
    edit,
    event_lists,
    set_column,
    set_keys,
    set_rows,
    source_list,
    unpack,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import exod
from exod.archive import open_archive
from exod.cli import main
from exod.errors import ExodError, InputError
from exod.pps import find_observations, read_event_list


@pytest.fixture(scope="session")
def undisturbed(small: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tables of the sound observation when it is searched alone."""
    root = tmp_path_factory.mktemp("undisturbed") / "archive"
    argv, sys.argv = sys.argv, ["exod", "detect", str(small / OTHER), "--archive", str(root), *FAST]
    try:
        with pytest.raises(SystemExit):
            main()
    finally:
        sys.argv = argv
    return digests(root)


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def truncate_plain(path: Path) -> None:
    data = unpack(path)
    path.write_bytes(data[: len(data) // 2])


def flip_a_bit(path: Path) -> None:
    # Stored, not compressed: only the checksum at the end tells.
    data = bytearray(gzip.compress(unpack(path), 0))
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def drop_events(path: Path) -> None:
    edit(path, lambda hdus: fits.HDUList([hdus[0]]))


def rename_events(path: Path) -> None:
    edit(path, lambda hdus: hdus["EVENTS"].header.set("EXTNAME", "EVENTZ"))


def image_events(path: Path) -> None:
    image = fits.ImageHDU(np.zeros((3, 3)), name="EVENTS")
    edit(path, lambda hdus: fits.HDUList([hdus[0].copy(), image]))


def drop_column(path: Path) -> None:
    def change(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].columns.del_col("PATTERN")

    edit(path, change)


def drop_projection(path: Path) -> None:
    content = unpack(path)
    for key in (b"REFXCRPX", b"REFXCRVL", b"TCRPX", b"TCRVL"):
        content = content.replace(key, b"Z" + key[1:])
    path.write_bytes(content)


DAMAGED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated gzip": (truncate, "end-of-stream"),
    "truncated": (truncate_plain, "truncated"),
    "wrong checksum": (flip_a_bit, "CRC"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "not FITS": (lambda path: path.write_text("<html>404</html>" * 1000), "not FITS"),
    "gzip of nothing": (lambda path: path.write_bytes(gzip.compress(b"")), "mpty"),
    "no EVENTS": (drop_events, "no table EVENTS"),
    "EVENTS renamed": (rename_events, "no table EVENTS"),
    "EVENTS an image": (image_events, "no table EVENTS"),
    "column missing": (drop_column, "PATTERN"),
    "no projection": (drop_projection, "no sky projection"),
    "wild TIME": (
        lambda path: set_column(path, "TIME", lambda time: time + 1e6 * (np.arange(len(time)) % 9)),
        "TIME of ",
    ),
    "malformed OBS_ID": (lambda path: set_keys(path, OBS_ID="12"), "OBS_ID"),
    "a broken link": (lambda path: (path.unlink(), path.symlink_to("gone.FTZ")), "does not exist"),
}


@pytest.mark.parametrize("fault", every_third(DAMAGED))
def test_damaged_event_list(
    fault: str, small: Path, tmp_path: Path, command: Any, undisturbed: dict[str, str]
) -> None:
    spoil, cause = DAMAGED[fault]
    bad = copy(small / GOOD, tmp_path)
    path = event_lists(bad)[0]
    spoil(path)
    root = tmp_path / "archive"
    code, _, err = command("detect", bad, small / OTHER, "--archive", root, *FAST)
    assert code == 1
    lines = err.strip().splitlines()
    assert len(lines) == 1
    assert re.search(cause, lines[0])
    assert path.name in lines[0]
    assert lines[0].startswith(f"exod: {GOOD} failed: ")
    ledger = open_archive(root).status().set_index("obsid")
    assert ledger.loc[GOOD, "status"] == "FAILED"
    assert ledger.loc[GOOD, "reason"] in lines[0]
    assert digests(root, OTHER) == undisturbed
    assert not (open_archive(root).runs.compute()["obsid"] == GOOD).any()
    assert not list(root.rglob("*.tmp"))


def keep_no_event(path: Path) -> None:
    set_column(path, "PATTERN", lambda pattern: np.full_like(pattern, 31))


def no_time(path: Path) -> None:
    set_column(path, "TIME", lambda time: np.full_like(time, np.nan))


def as_timing(path: Path) -> None:
    set_keys(path, DATAMODE=None)
    path.rename(path.with_name(path.name.replace("MIEVLI", "TIEVLI")))


def as_rgs(path: Path) -> None:
    set_keys(path, INSTRUME="RGS1")


LEFT_OUT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "zero rows": (lambda path: set_rows(path, lambda rows: rows[:0]), "has no events"),
    "zero rows left": (keep_no_event, "no events left"),
    "no times": (no_time, "no event with a time"),
    "timing mode": (lambda path: set_keys(path, DATAMODE="TIMING"), "TIMING mode"),
    "burst mode": (lambda path: set_keys(path, DATAMODE="BURST"), "BURST mode"),
    "TIEVLI": (as_timing, "TIMING mode"),
    "submode": (lambda path: set_keys(path, SUBMODE="FastUncompressed"), "FastUncompressed"),
    "no submode": (lambda path: set_keys(path, SUBMODE=None), "not supported"),
    "telescope": (lambda path: set_keys(path, TELESCOP="CHANDRA"), "CHANDRA"),
    "no telescope": (lambda path: set_keys(path, TELESCOP=None), "not XMM"),
    "instrument": (as_rgs, "RGS1"),
    "other OBS_ID": (lambda path: set_keys(path, OBS_ID="0123456789"), "0123456789"),
}


@pytest.mark.parametrize("how_many", [1, pytest.param(2, marks=pytest.mark.drill)])
@pytest.mark.parametrize("fault", every_third(LEFT_OUT))
def test_exposure_left_out(
    fault: str, how_many: int, small: Path, tmp_path: Path, command: Any
) -> None:
    spoil, cause = LEFT_OUT[fault]
    bad = copy(small / GOOD, tmp_path)
    for path in event_lists(bad)[:how_many]:
        spoil(path)
    root = tmp_path / "archive"
    code, out, err = command("detect", bad, "--archive", root, *FAST)
    assert (code, err) == (0, "")
    archive = open_archive(root)
    exposures = archive.exposures.compute()
    left_out = exposures[~exposures["used"]]
    assert len(left_out) == how_many
    assert left_out["reason"].str.contains(cause).all()
    assert set(exposures["filename"]) == {path.name for path in event_lists(bad)}
    entry = archive.entry(GOOD)
    assert entry is not None
    if how_many == 2:
        assert entry.status == "SKIPPED"
        assert re.search(cause, entry.reason)
        assert re.search(cause, out)
    else:
        assert entry.status in {"OK", "EMPTY"}
        assert (archive.runs.compute()["n_exposures"] == 1).all()


def test_some_times_missing(small: Path, tmp_path: Path) -> None:
    bad = copy(small / GOOD, tmp_path)
    missing = np.s_[100:103]

    def lose(time: Any) -> Any:
        time[missing] = np.nan, np.inf, np.nan
        return time

    set_column(event_lists(bad)[0], "TIME", lose)
    tables = exod.detect(bad, exod.Config.load(overrides=["cube.t_bin=[200]"]))
    assert "3 events without a time were dropped" in tables.observations["notes"].item()
    assert tables.runs["n_sum"].min() > 0


def test_order_of_rows_does_not_matter(small: Path, tmp_path: Path) -> None:
    config = exod.Config.load(overrides=["cube.t_bin=[200]"])
    bad = copy(small / GOOD, tmp_path)
    for path in event_lists(bad):
        set_rows(path, lambda rows: rows[np.random.default_rng(1).permutation(len(rows))])
    shuffled, ordered = exod.detect(bad, config), exod.detect(small / GOOD, config)
    for name in ("runs", "cells", "bti"):
        volatile = [c for c in ("seconds", "peak_memory_mb") if c in ordered[name]]
        assert shuffled[name].drop(columns=volatile).equals(ordered[name].drop(columns=volatile))


def test_exposures_that_do_not_overlap_are_two_subsets(small: Path, tmp_path: Path) -> None:
    bad = copy(small / GOOD, tmp_path)
    path = event_lists(bad)[1]
    set_column(path, "TIME", lambda time: time + 10_000)
    with fits.open(path) as hdus:
        start, stop = (hdus["EVENTS"].header[key] + 10_000 for key in ("TSTART", "TSTOP"))
    set_keys(path, TSTART=start, TSTOP=stop)
    tables = exod.detect(bad, exod.Config.load(overrides=["cube.t_bin=[200]"]))
    assert sorted(tables.runs["subset"].unique()) == [0, 1]
    assert (tables.runs["n_exposures"] == 1).all()
    assert tables.exposures["used"].all()


@pytest.mark.parametrize("fault", ["absent", "truncated", "other table", "empty"])
def test_source_list_falls_back(fault: str, small: Path, tmp_path: Path, command: Any) -> None:
    bad = copy(small / GOOD, tmp_path)
    path = source_list(bad)
    if fault == "absent":
        path.unlink()
    elif fault == "truncated":
        truncate(path)
    elif fault == "empty":
        path.write_bytes(b"")
    else:
        edit(path, drop_det_ml)
    root = tmp_path / "archive"
    code, _, err = command("detect", bad, "--archive", root, *FAST)
    assert (code, err) == (0, "")
    archive = open_archive(root)
    notes = archive.observations.compute()["notes"].item()
    assert "only bright cells mask the background model" in notes
    assert (fault == "absent") != (path.name in notes)
    assert archive.known_sources.compute().empty
    assert (archive.runs.compute()["n_sum"] > 0).all()


def drop_det_ml(hdus: fits.HDUList) -> None:
    for hdu in hdus[1:]:
        if "EP_DET_ML" in hdu.columns.names:
            hdu.columns.del_col("EP_DET_ML")


def test_impossible_sources_are_dropped(small: Path, tmp_path: Path) -> None:
    bad = copy(small / GOOD, tmp_path)

    def spoil(hdus: fits.HDUList) -> None:
        hdu = next(hdu for hdu in hdus[1:] if "EP_DET_ML" in hdu.columns.names)
        hdu.data = rows = hdu.data[np.arange(9) % len(hdu.data)]
        rows["EP_DET_ML"] = 100
        rows["RA"][0], rows["DEC"][1], rows["DEC"][2] = np.nan, np.inf, 1e9
        rows["RA"][3], rows["EP_EXTENT"][4], rows["EP_TOT"][5] = -1e4, np.nan, np.nan

    edit(source_list(bad), spoil)
    tables = exod.detect(bad, exod.Config.load(overrides=["cube.t_bin=[200]"]))
    assert len(tables.known_sources) >= 3
    assert np.isfinite(tables.known_sources[["ra_deg", "dec_deg"]]).all().all()


@pytest.mark.realdata
def test_real_source_lists_are_read_in_silence(
    real_sources: dict[Path, Any], small: Path, tmp_path: Path, command: Any
) -> None:
    """Units that astropy does not know give hundreds of warnings; here warnings are errors."""
    real = list(real_sources)
    template = tmp_path / event_lists(small / GOOD)[0].name
    shutil.copy(event_lists(small / GOOD)[0], template)
    set_rows(template, lambda rows: rows[rows["TIME"] < rows["TIME"][0] + 300])
    content = template.read_bytes()
    config = exod.Config.load(overrides=["cube.t_bin=[100]", "cube.bands=[[0.2,12]]"])
    folders = []
    for path in real[::10]:
        obsid = path.name[1:11]
        folders.append(tmp_path / obsid)
        folders[-1].mkdir()
        shutil.copy(path, folders[-1])
        event_list = folders[-1] / template.name.replace(GOOD, obsid)
        event_list.write_bytes(content.replace(f"'{GOOD}'".encode(), f"'{obsid}'".encode()))
        tables = exod.detect(folders[-1], config)
        assert tables.observations["source_list"].item() == path.name
        assert tables.observations["notes"].item() == ""
    code, _, err = command("detect", *folders[:2], "--archive", tmp_path / "archive", *FAST)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    "where", ["other name", pytest.param("other folder", marks=pytest.mark.drill)]
)
def test_duplicate_exposure(where: str, small: Path, tmp_path: Path, command: Any) -> None:
    bad = copy(small / GOOD, tmp_path)
    path = event_lists(bad)[0]
    if where == "other name":
        twin = path.with_name(path.name.replace("MIEVLI0000", "MIEVLI9999"))
    else:
        (bad / "copy").mkdir()
        twin = bad / "copy" / path.name
    shutil.copy(path, twin)
    root = tmp_path / "archive"
    code, _, err = command("detect", bad, "--archive", root, *FAST)
    assert (code, err) == (0, "")
    archive = open_archive(root)
    exposures = archive.exposures.compute()
    assert sorted(exposures["used"]) == [False, True, True]
    assert exposures[~exposures["used"]]["reason"].str.contains("is the same exposure as").all()
    assert digests(root, GOOD)["runs"] == digest_of(small / GOOD, tmp_path, command)["runs"]


def digest_of(folder: Path, tmp_path: Path, command: Any) -> dict[str, str]:
    command("detect", folder, "--archive", tmp_path / "sound", *FAST)
    return digests(tmp_path / "sound")


def test_spoiled_twin_does_not_displace_the_sound_one(
    small: Path, tmp_path: Path, command: Any
) -> None:
    bad = copy(small / GOOD, tmp_path)
    path = event_lists(bad)[0]
    twin = path.with_name(path.name.replace("MIEVLI0000", "MIEVLI00"))
    shutil.copy(path, twin)
    set_rows(twin, lambda rows: rows[:0])
    assert event_lists(bad).index(twin) == 0 or twin.name > path.name
    command("detect", bad, "--archive", tmp_path / "archive", *FAST)
    exposures = open_archive(tmp_path / "archive").exposures.compute()
    assert exposures["used"].sum() == 2


def test_a_file_given_twice_is_one(small: Path) -> None:
    folder = small / GOOD
    again = folder / ".." / GOOD
    observations, problems = find_observations([folder, again, event_lists(folder)[0]])
    assert not problems
    assert len(observations) == 1
    assert len(observations[0].event_lists) == 2


def test_event_list_of_another_observation_in_the_folder(
    small: Path, tmp_path: Path, command: Any, undisturbed: dict[str, str]
) -> None:
    """Its name says whose it is, so it goes there; no observation gets what is not its own."""
    bad = copy(small / GOOD, tmp_path)
    for path in [*event_lists(small / OTHER), source_list(small / OTHER)]:
        shutil.copy(path, bad)
    root = tmp_path / "archive"
    code, _, _ = command("detect", bad, "--archive", root, *FAST)
    assert code == 0
    assert digests(root, OTHER) == undisturbed
    assert len(open_archive(root).exposures.compute()) == 4


def test_other_observation_under_a_name_of_this_one(small: Path, tmp_path: Path) -> None:
    bad = copy(small / GOOD, tmp_path)
    stray = event_lists(small / OTHER)[0]
    shutil.copy(stray, bad / stray.name.replace(OTHER, GOOD).replace("S001", "U009"))
    tables = exod.detect(bad, exod.Config.load(overrides=["cube.t_bin=[200]"]))
    left_out = tables.exposures[~tables.exposures["used"]]
    assert f"is of observation {OTHER}, not of {GOOD}" in left_out["reason"].item()
    assert (tables.runs["n_exposures"] == 2).all()


def shorten(path: Path, seconds: float) -> None:
    set_rows(path, lambda rows: rows[rows["TIME"] < rows["TIME"].min() + seconds])


def test_shorter_than_one_of_the_bins(small: Path, tmp_path: Path, command: Any) -> None:
    bad = copy(small / GOOD, tmp_path)
    event_lists(bad)[1].unlink()
    shorten(event_lists(bad)[0], 120)
    root = tmp_path / "archive"
    code, _, err = command("detect", bad, "--archive", root, "--scheduler", "sync")
    assert (code, err) == (0, "")
    archive = open_archive(root)
    runs = archive.runs.compute().set_index("t_bin")
    assert len(runs) == 9
    assert (runs.loc[[5.0, 50.0], "n_frames"] > 0).all()
    assert (runs.loc[200.0, "n_frames"] == 0).all()
    assert runs.loc[200.0, "notes"].str.contains("less than one time bin").all()
    assert archive.status()["status"].item() in {"OK", "EMPTY"}


def test_shorter_than_all_bins(small: Path, tmp_path: Path, command: Any) -> None:
    bad = copy(small / GOOD, tmp_path)
    for path in event_lists(bad):
        shorten(path, 150)
    root = tmp_path / "archive"
    code, out, err = command("detect", bad, "--archive", root, *FAST)
    assert (code, err) == (0, "")
    assert "overlap for less than one time bin" in out
    assert open_archive(root).status()["status"].item() == "SKIPPED"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(small: Path, tmp_path: Path, command: Any) -> None:
    bad = copy(small / GOOD, tmp_path)
    event_lists(bad)[0].chmod(0)
    root = tmp_path / "archive"
    code, _, err = command("detect", bad, small / OTHER, "--archive", root, *FAST)
    assert code == 1
    assert "may not be read" in err
    assert list(open_archive(root).status()["status"]) == ["FAILED", "OK"]


def test_file_that_may_not_be_read(
    small: Path, tmp_path: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, also for root: what counts is the error."""
    open_path, closed = Path.open, event_lists(small / GOOD)[0]

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == closed:
            raise PermissionError(13, "Permission denied", str(self))
        return open_path(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    root = tmp_path / "archive"
    code, _, err = command("detect", small, "--archive", root, *FAST)
    assert code == 1
    assert f"{closed} may not be read" in err
    assert list(open_archive(root).status()["status"]) == ["FAILED", "OK"]


def test_folder_without_event_lists(small: Path, tmp_path: Path, command: Any) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    images = tmp_path / "images"
    images.mkdir()
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(images / "image.fits")
    root = tmp_path / "archive"
    code, _, err = command("detect", empty, images, small / OTHER, "--archive", root, *FAST)
    assert code == 1
    lines = err.strip().splitlines()
    assert len(lines) == 2
    assert all("holds no event lists" in line for line in lines)
    assert str(empty) in lines[0]
    assert str(images) in lines[1]
    assert list(open_archive(root).status()["obsid"]) == [OTHER]
    code, _, err = command("detect", images, "--archive", tmp_path / "none", *FAST)
    assert code == 1
    assert "holds no event lists" in err


def test_folder_with_a_source_list_only(small: Path, tmp_path: Path, command: Any) -> None:
    bad = copy(small / GOOD, tmp_path)
    for path in event_lists(bad):
        path.unlink()
    code, out, _ = command("detect", bad, "--archive", tmp_path / "archive", *FAST)
    assert code == 0
    assert "SKIPPED" in out
    assert "no event list" in out


def test_remains_of_other_programs_are_no_input(small: Path, tmp_path: Path, command: Any) -> None:
    bad = copy(small / GOOD, tmp_path)
    (bad / f"._{event_lists(bad)[0].name}").write_bytes(b"\0\5\26\7 metadata of macOS")
    (bad / "folder.fits").mkdir()
    code, _, err = command("detect", bad, "--archive", tmp_path / "archive", *FAST)
    assert (code, err) == (0, "")


@pytest.mark.parametrize("kind", ["folder", "link to its folder"])
def test_folder_under_the_name_of_a_list(
    kind: str, small: Path, tmp_path: Path, command: Any
) -> None:
    bad = copy(small / GOOD, tmp_path)
    path = event_lists(bad)[0]
    path.unlink()
    path.mkdir() if kind == "folder" else path.symlink_to(".")
    code, _, err = command("detect", bad, "--archive", tmp_path / "archive", *FAST)
    assert code == 1
    assert f"{path.name} is a folder, not a file" in err


@pytest.mark.parametrize("spoil", [rename_events, image_events])
def test_table_of_events_that_is_not_called_so(
    spoil: Callable[[Path], None], small: Path, tmp_path: Path, command: Any
) -> None:
    bad = copy(small / GOOD, tmp_path)
    path = event_lists(bad)[0].rename(bad / "mine.fits")
    spoil(path)
    root = tmp_path / "archive"
    code, _, err = command("detect", bad, "--archive", root, *FAST)
    assert (code, err) == (0, "")
    assert "mine.fits may be an event list" in open_archive(root).observations["notes"].compute()[0]


def test_empty_bytes_behind_the_last_extension(small: Path, tmp_path: Path) -> None:
    path = event_lists(copy(small / GOOD, tmp_path))[0]
    path.write_bytes(unpack(path) + bytes(4000))
    exposure, _ = read_event_list(path)
    assert "4,000 empty bytes follow the last extension" in " ".join(exposure.notes)


def test_column_that_is_there_twice(small: Path, tmp_path: Path) -> None:
    path = event_lists(copy(small / GOOD, tmp_path))[0]
    path.write_bytes(unpack(path).replace(b"'DETX    '", b"'X       '", 1))
    with pytest.raises(InputError, match="more than one column X"):
        read_event_list(path)


def test_two_tables_of_events(small: Path, tmp_path: Path) -> None:
    path = event_lists(copy(small / GOOD, tmp_path))[0]
    path.write_bytes(unpack(path).replace(b"'BADPIX07'", b"'EVENTS  '"))
    exposure, _ = read_event_list(path)
    assert "more than one extension EVENTS" in " ".join(exposure.notes)


@pytest.mark.parametrize("spoiled", ["keyword", "letter", "filling"])
def test_what_a_header_must_not_have(spoiled: str, small: Path, tmp_path: Path) -> None:
    path = event_lists(copy(small / GOOD, tmp_path))[0]
    content = bytearray(unpack(path))
    if spoiled == "keyword":
        content[content.index(b"REFXDMIN") + 4] = ord("(")
    elif spoiled == "letter":
        content[content.index(b"Not an observation")] = 0xE2
    else:
        content[content.index(b"END" + b" " * 77) + 80] = 0
    path.write_bytes(bytes(content))
    exposure, _ = read_event_list(path)
    assert "characters that FITS does not know" in " ".join(exposure.notes)


def test_unknown_kind_of_extension(small: Path, tmp_path: Path) -> None:
    path = event_lists(copy(small / GOOD, tmp_path))[0]
    path.write_bytes(unpack(path).replace(b"'BINTABLE'", b"'INTABLE '", 1))
    with pytest.raises(InputError, match="unknown kind 'INTABLE'"):
        read_event_list(path)


def test_event_lists_with_other_names(small: Path, tmp_path: Path, command: Any) -> None:
    """Known by their headers, or failing that by the folder."""
    bad = tmp_path / "my files"
    bad.mkdir()
    for number, path in enumerate(event_lists(small / GOOD)):
        shutil.copy(path, bad / f"camera{number}.fits.gz")
    root = tmp_path / "archive"
    code, _, _ = command("detect", bad, "--archive", root, *FAST)
    assert code == 0
    assert list(open_archive(root).status()["obsid"]) == [GOOD]

    (bad / "camera1.fits.gz").write_bytes(b"nonsense")
    code, out, err = command("detect", bad, "--archive", tmp_path / "archive2", *FAST)
    assert (code, err) == (0, "")
    assert "camera1.fits.gz cannot be read" in out
    assert list(open_archive(tmp_path / "archive2").status()["status"]) == ["OK"]

    folder = tmp_path / GOOD
    bad.rename(folder)
    set_keys(folder / "camera0.fits.gz", OBS_ID=None)
    code, out, err = command("detect", folder, "--archive", tmp_path / "archive3", *FAST)
    assert (code, err) == (0, "")
    assert "camera1.fits.gz cannot be read" in out
    (folder / "camera0.fits.gz").unlink()
    code, _, err = command("detect", folder, "--archive", tmp_path / "archive3", *FAST)
    assert code == 1
    assert f"{GOOD} failed: camera1.fits.gz cannot be read" in err
    assert list(open_archive(tmp_path / "archive3").status()["status"]) == ["FAILED"]


def test_in_memory_search_raises(small: Path, tmp_path: Path) -> None:
    bad = copy(small / GOOD, tmp_path)
    truncate(event_lists(bad)[0])
    with pytest.raises(InputError, match="cannot be read"):
        exod.detect(bad)
    with pytest.raises(InputError, match="searches one observation"):
        exod.detect(small)
    with pytest.raises(InputError, match="does not exist"):
        exod.detect(tmp_path / "nothing")


@settings(max_examples=portion(60))
@given(data=st.data())
def test_changed_bytes_never_escape(
    data: st.DataObject, small: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the bytes, a file is read or refused with a sentence."""
    path = event_lists(small / GOOD)[0]
    content = bytearray(unpack(path)[: 2880 * 30])
    end = content.rfind(b"END" + b" " * 77)
    places = data.draw(st.lists(st.integers(0, end - 1), min_size=1, max_size=10))
    for place in places:
        content[place] = data.draw(st.sampled_from(b"0 9'=/AZ\x00") | st.integers(0, 127))
    spoiled = tmp_path_factory.mktemp("spoiled") / path.name
    spoiled.write_bytes(content)
    try:
        read_event_list(spoiled)
    except ExodError as error:
        assert path.name in str(error)  # noqa: PT017 - most are refused, but not all
