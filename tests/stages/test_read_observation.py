"""What is read of an observation, and what is said of the rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from helpers.faults import (
    GOOD,
    OTHER,
    copy,
    edit,
    event_lists,
    set_column,
    set_keys,
    set_rows,
    source_list,
    unpack,
)

from exod.config import Config
from exod.errors import InputError
from exod.observation.observations import Observation
from exod.pps import find_observations, ingested, read_event_list
from exod.stages.detect.read import read_observation

CONFIG = Config.load(overrides=["selection.hot_pixels=off"])


def read(folder: Path) -> Observation:
    (files,), problems = find_observations([folder])
    assert problems == []
    return read_observation(files, CONFIG)


@pytest.fixture(scope="module")
def sound(small: Path) -> Observation:
    return read(small / GOOD)


# --- source lists ----------------------------------------------------------------------------


def as_list_of_sas(path: Path) -> None:
    """emldetect calls the columns differently."""

    def rename(hdus: fits.HDUList) -> None:
        for hdu in hdus[1:]:
            hdu.columns.change_name("EP_DET_ML", "DET_ML")

    edit(path, rename)


def of_another(path: Path) -> None:
    set_keys(path, OBS_ID=OTHER)


def without_positions(path: Path) -> None:
    def spoil(hdus: fits.HDUList) -> None:
        hdus[1].data["RA"] = np.nan

    edit(path, spoil)


def in_radians(path: Path) -> None:
    def change(hdus: fits.HDUList) -> None:
        hdus[1].columns["RA"].unit = "rad"

    edit(path, change)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (as_list_of_sas, "no table with the columns RA, DEC and EP_DET_ML"),
        (of_another, f"is of observation {OTHER}"),
        (without_positions, "has no source with a position"),
        (in_radians, "RA in rad, not in degrees"),
        (lambda path: path.write_bytes(b""), "empty"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_the_first_usable_source_list(
    is_first: bool, spoil: Any, reason: str, small: Path, sound: Observation, tmp_path: Path
) -> None:
    folder = copy(small / GOOD, tmp_path)
    path = source_list(folder)
    other = path.with_name(path.name.replace("OBSMLI0000", "OBSMLI0001")) if is_first else path
    if is_first:
        shutil.copy(path, other)
    spoil(path)
    observation = read(folder)
    assert any(reason in note and path.name in note for note in observation.notes)
    if is_first:
        assert observation.source_list == other.name
        assert observation.sources.equals(sound.sources)
    else:
        assert observation.sources.empty


def test_the_list_of_the_pipeline_comes_first(
    small: Path, sound: Observation, tmp_path: Path
) -> None:
    folder = copy(small / GOOD, tmp_path)
    mine = folder / "A_list_of_mine.fits"
    shutil.copy(source_list(folder), mine)
    set_keys(mine, OBS_ID=GOOD)
    observation = read(folder)
    assert observation.source_list == source_list(small / GOOD).name
    assert observation.notes == (f"{observation.source_list} was used, not {mine.name}.",)


def test_lists_of_one_name_are_told_apart(small: Path, tmp_path: Path) -> None:
    (files,), _ = find_observations([small / GOOD])
    first = source_list(small / GOOD)
    second = Path(shutil.copy(first, tmp_path))
    observation = read_observation(replace(files, source_lists=(first, second)), CONFIG)
    assert f"{first.name} was used, not the other of this name, {second}." in observation.notes


# --- other files -----------------------------------------------------------------------------


def test_what_only_looks_like_a_list_is_a_note(
    small: Path, sound: Observation, tmp_path: Path
) -> None:
    folder = copy(small / GOOD, tmp_path)
    stem = event_lists(folder)[0].name.partition(".")[0]
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(folder / f"{stem}_image.fits")
    (folder / "rate.fits").write_bytes(b"")
    (folder / "pipe.fits").symlink_to("/dev/zero")
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(folder / "image.fits")
    observation = read(folder)
    assert observation.n_selected == sound.n_selected
    assert len(observation.notes) == 3
    for name in ("_image.fits", "rate.fits", "pipe.fits"):
        assert sum(name in note for note in observation.notes) == 1


# --- event lists -----------------------------------------------------------------------------


def test_a_ccd_through_its_redundant_node(small: Path, tmp_path: Path) -> None:
    counts = []
    for add in (0, 10):
        folder = copy(small / GOOD, tmp_path / str(add))
        for path in event_lists(folder):
            set_keys(path, SUBMODE="PrimePartialW2")
            set_column(path, "CCDNR", lambda ccdnr, add=add: np.where(ccdnr == 1, 1 + add, ccdnr))
        counts.append(read(folder).n_selected)
    assert counts[0] == counts[1]


def test_barycentred_and_other_lists_are_not_merged(
    small: Path, sound: Observation, tmp_path: Path
) -> None:
    folder = copy(small / GOOD, tmp_path)
    first, second = event_lists(folder)
    set_keys(first, TIMESYS="TDB", TIMEREF="SOLARSYSTEM")
    set_column(first, "TIME", lambda time: time + 300.0)
    observation = read(folder)
    (rejected,) = observation.rejected
    assert rejected.filename == first.name
    assert "TIMESYS TDB instead of TT, TIMEREF SOLARSYSTEM instead of LOCAL" in rejected.reason
    assert [item.exposure.filename for item in observation.selected] == [second.name]
    set_keys(second, TIMESYS="TDB", TIMEREF="SOLARSYSTEM")
    set_column(second, "TIME", lambda time: time + 300.0)
    assert read(folder).rejected == ()


def test_rows_that_no_camera_gives(small: Path, sound: Observation, tmp_path: Path) -> None:
    folder = copy(small / GOOD, tmp_path)
    path = event_lists(folder)[0]

    def spoil(rows: Any) -> None:
        rows["RAWX"][10], rows["CCDNR"][20], rows["TIME"][30] = 20_000, 200, 1.0

    set_rows(path, spoil)
    observation = read(folder)
    assert any("3 events with values that EMOS1 cannot give" in n for n in observation.notes)
    lost = sound.n_selected[path.name] - observation.n_selected[path.name]
    assert 0 <= lost <= 3
    set_column(path, "RAWX", lambda rawx: np.where(np.arange(len(rawx)) % 50, rawx, 20_000))
    with pytest.raises(InputError, match="RAWX of"):
        read(folder)


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("size", [1, 8])
def test_ingested_lists_are_checked(place: float, size: int, small: Path, tmp_path: Path) -> None:
    """Flipped bits, in rows and in what the file says of itself."""
    exposure, events = read_event_list(event_lists(small / GOOD)[0])
    path = tmp_path / "list.FTZ.parquet"
    ingested.write_events(path, exposure, events, {"name": "list.FTZ"})
    assert ingested.read_events(path)[0] == exposure
    content = bytearray(path.read_bytes())
    start = int(place * len(content))
    content[start : start + size] = bytes(byte ^ 0x55 for byte in content[start : start + size])
    path.write_bytes(content)
    with pytest.raises(InputError, match="ingest its observation again"):
        ingested.read_events(path)


def test_a_list_that_is_whole_again_is_read(small: Path, tmp_path: Path) -> None:
    folder = copy(small / GOOD, tmp_path)
    path = event_lists(folder)[0]
    content = unpack(path)
    path.write_bytes(content[:-2880])
    with pytest.raises(InputError, match="truncated"):
        read(folder)
    path.write_bytes(content)
    assert len(read(folder).selected) == 2


def test_commands_say_that_there_is_no_event_list(
    small: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    half = tmp_path / GOOD
    half.mkdir()
    shutil.copy(next((small / GOOD).glob("*OBSMLI*")), half)
    for name, *options in (("image",), ("sheets",), ("video",), ("lightcurve", "--at", "10,10")):
        code, _, wrong = command(name, half, *options)
        assert code == 1, name
        assert wrong.endswith("can be searched: There is no event list.\n") or wrong.endswith(
            "cannot be searched: There is no event list.\n"
        )
