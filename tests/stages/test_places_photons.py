"""The photons of regions, row for row against a selection by hand."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from helpers.faults import GOOD, copy

from exod.archive import Archive, open_archive
from exod.config import Config
from exod.errors import InputError
from exod.pps import find_observations
from exod.stages.detect.observation import detect_to_archive
from exod.stages.detect.read import read_observation
from exod.stages.places.photons import TAKEN, region_photons

CONFIGS = {
    "published": ["cube.t_bin=[20,200]", "cube.bands=[[0.2,12],[0.2,2]]", "detect.sigma=1.2"],
    "deep": ["cube.t_bin=[40,250]", "cube.bands=[[0.2,12]]", "detect.false_alarm_rate=30"],
}


@pytest.fixture(scope="module", params=CONFIGS)
def archive(
    request: pytest.FixtureRequest, small: Path, tmp_path_factory: pytest.TempPathFactory
) -> Archive:
    root = str(tmp_path_factory.mktemp(request.param) / "archive")
    config = Config.load(overrides=CONFIGS[request.param], preset=request.param)
    (files,), _ = find_observations([small / GOOD])
    detect_to_archive(files, config, root)
    return open_archive(root)


def by_hand(archive: Archive, small: Path, region: pd.Series, take: str) -> pd.DataFrame:
    """The photons that a loop over the merged events finds."""
    config = archive.config
    (files,), _ = find_observations([small / GOOD])
    (events,) = read_observation(files, config).subsets
    cells = archive.cells.compute()
    cells = cells[(cells["runid"] == region["runid"]) & (cells["label"] == region["label"])]
    curve = archive.lightcurve(region["detid"])
    (n,) = archive.runs.compute().loc[lambda runs: runs["runid"] == region["runid"], "n_frames"]
    grid_cells = int(events.sky_extent / (config.cube.size_arcsec / 0.05))
    width, t_bin = config.cube.window, region["t_bin"]
    frame = np.floor((events.time - events.t_lo) / t_bin).astype(int)
    fine = np.floor((events.time - events.t_lo) / (t_bin / config.cube.frame_shifts)).astype(int)
    y, x = (
        np.minimum(pixel.astype(int) * grid_cells // 51840, grid_cells - 1)
        for pixel in (events.y, events.x)
    )
    good = (events.pi > 1000 * region["e_lo"]) & (events.pi < 1000 * region["e_hi"])
    good &= (frame >= 0) & (frame < n)
    if config.null == "template":
        good[good] = ~curve["bccd"].to_numpy()[frame[good]]
    if take == "box":
        own = (y >= region["y_lo"]) & (y < region["y_hi"])
        own &= (x >= region["x_lo"]) & (x < region["x_hi"])
    else:
        own = np.zeros(len(y), bool)
        for cell in cells.to_dict("records"):
            here = (y >= cell["y"]) & (y < cell["y"] + width)
            here &= (x >= cell["x"]) & (x < cell["x"] + width)
            if take == "cells":
                shifts = config.cube.frame_shifts
                first = round((cell["TIME_lo"] - events.t_lo) / (t_bin / shifts))
                here &= (fine >= first) & (fine < first + shifts)
            own |= here
    keep = good & own
    columns = {"TIME": events.time, "X": events.x, "Y": events.y, "PI": events.pi}
    columns |= {"CCDNR": events.ccdnr, "frame": frame, "cell_y": y, "cell_x": x}
    return pd.DataFrame({name: values[keep] for name, values in columns.items()})


def test_row_for_row(archive: Archive, small: Path) -> None:
    regions = archive.regions.compute().sort_values("area_bbox", kind="stable")
    assert regions["area_bbox"].iloc[-1] > 1
    for _, region in pd.concat([regions.head(1), regions.tail(2)]).iterrows():
        lengths = []
        for take in TAKEN:
            found = region_photons(archive, region["detid"], take).rows
            expected = by_hand(archive, small, region, take)
            for name in expected:
                np.testing.assert_array_equal(found[name], expected[name], name)
            lengths.append(len(found))
        assert 0 < lengths[0] <= lengths[1] <= lengths[2]
        curve = archive.lightcurve(region["detid"])
        assert found["frame"].value_counts().to_dict() == {
            frame: count for frame, count in enumerate(curve["n"]) if count
        }


def test_each_photon_is_a_row_of_its_event_list(archive: Archive, small: Path) -> None:
    detid = archive.regions.compute().sort_values("area_bbox", kind="stable")["detid"].iloc[-1]
    found = region_photons(archive, detid, "box").rows
    assert found["instrument"].nunique() > 1
    lists = []
    for path in sorted((small / GOOD).glob("*EVLI*")):
        with fits.open(path) as file:
            header, table = file["EVENTS"].header, Table(file["EVENTS"].data)
        rows = table[[name for name in found if name in table.colnames]].to_pandas()
        lists.append(rows.assign(instrument=header["INSTRUME"], expid=header["EXPIDSTR"]))
    events = pd.concat(lists)
    named = [name for name in found if name in events]
    assert {"RAWX", "RAWY", "PATTERN", "FLAG"} < set(named)
    rows = found[named].merge(events.drop_duplicates(named), on=named, validate="many_to_one")
    assert len(rows) == len(found)
    assert len(found[["RAWX", "RAWY"]].drop_duplicates()) > 5


def test_cells_have_the_counts_that_were_tested(archive: Archive) -> None:
    regions = archive.regions.compute()
    cells = archive.cells.compute()
    alone = cells.groupby(["runid", "label"]).filter(lambda rows: len(rows) == 1)
    assert len(alone)
    for cell in alone.head(3).to_dict("records"):
        (detid,) = regions.loc[
            (regions["runid"] == cell["runid"]) & (regions["label"] == cell["label"]), "detid"
        ]
        assert len(region_photons(archive, detid).rows) == cell["n"]


def test_a_file_that_others_open(
    archive: Archive, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    detid = archive.regions.compute()["detid"].iloc[0]
    for ending in ("fits", "parquet", "csv"):
        to = tmp_path / f"photons.{ending}"
        code, said, _ = command("events", archive.root, detid, "--to", to, "--take", "box")
        assert code == 0
    expected = region_photons(archive, detid, "box")
    assert said == f"{len(expected.rows):,} rows in {to}\n".replace("\n", "") + "\n"
    pd.testing.assert_frame_equal(
        pq.read_table(tmp_path / "photons.parquet").to_pandas(), expected.rows, check_dtype=False
    )
    with fits.open(tmp_path / "photons.fits", checksum=True) as file:
        header, rows = file["EVENTS"].header, Table(file["EVENTS"].data)
        assert (header["MJDREF"], header["TIMESYS"], header["TIMEUNIT"]) == (50814.0, "TT", "s")
        assert (header["OBS_ID"], header["DETID"], header["TAKEN"]) == (GOOD, detid, "box")
        assert header["TTYPE1"] == "TIME"
        times = expected.rows["TIME"]
        assert header["TSTART"] <= times.min() <= times.max() <= header["TSTOP"]
        assert header["TELESCOP"] == "XMM"
        cameras = set(expected.rows["instrument"])
        assert header.get("INSTRUME") == (cameras.pop() if len(cameras) == 1 else None)
        x, y = (rows.colnames.index(name) + 1 for name in "XY")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            wcs = WCS(header, keysel=["pixel"], colsel=[x, y])
        ra, dec = wcs.wcs_pix2world(rows["X"], rows["Y"], 1)
    away = np.hypot((ra - rows["ra_deg"]) * np.cos(np.radians(dec)), dec - rows["dec_deg"])
    assert away.max() * 3600 < 0.01
    for name in ("TIME", "X", "Y", "PI"):
        np.testing.assert_array_equal(rows[name], expected.rows[name])


def test_part_of_the_time(archive: Archive) -> None:
    detid = archive.regions.compute().sort_values("area_bbox")["detid"].iloc[-1]
    whole = region_photons(archive, detid, "box").rows
    start, stop = whole["TIME"].iloc[[2, 9]]
    part = region_photons(archive, detid, "box", between=(start, stop)).rows
    pd.testing.assert_frame_equal(part, whole[2:9].reset_index(drop=True))
    with pytest.raises(InputError, match=f"No photon of {detid} came between 1 and 2 s; its run"):
        region_photons(archive, detid, between=(1, 2))


def test_one_clear_sentence(
    archive: Archive, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    detid = archive.regions.compute()["detid"].iloc[0]
    to = ("--to", tmp_path / "photons.fits")
    for arguments, code, sentence in (
        (("nothing", *to), 1, "has no region 'nothing'"),
        ((f"{GOOD}_0_20_0.2_12.0_9999", *to), 1, "has no region"),
        ((detid, *to, "--take", "all"), 2, "taken of cells, region, box, not of 'all'"),
        ((detid, *to, "--between", "2,1"), 2, "is empty"),
        ((detid, *to, "--between", "1,2"), 1, "No photon of"),
        ((detid, "--to", tmp_path / "photons.txt"), 2, "ends in no known format"),
    ):
        found, _, said = command("events", archive.root, *arguments)
        assert (found, said.count("\n")) == (code, 1)
        assert sentence in said
    assert list(tmp_path.iterdir()) == []


def test_event_lists_that_are_gone(small: Path, tmp_path: Path) -> None:
    folder = copy(small / GOOD, tmp_path)
    (files,), _ = find_observations([folder])
    overrides = ["cube.t_bin=[200]", "cube.bands=[[0.2,12]]", "detect.sigma=1.2"]
    root = str(tmp_path / "archive")
    detect_to_archive(files, Config.load(overrides=overrides), root)
    detid = open_archive(root).regions.compute()["detid"].iloc[0]
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="are not where its search read them"):
        region_photons(open_archive(root), detid)


@pytest.mark.parametrize("archive", ["published"], indirect=True)
def test_spectra_hold_the_photons_of_the_event(
    archive: Archive, small: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    regions = archive.regions.compute()
    regions = regions[(regions["kind"] == "peak") & regions["t_start"].notna()]
    region = regions.sort_values("event_n").iloc[-1]
    detid, to = region["detid"], tmp_path / "spectra"
    arguments = ("spectrum", archive.root, detid, "--to", to, "--group", "2")
    code, said, _ = command(*arguments)
    assert code == 0
    assert "during" in said
    total = 0
    for path in sorted(to.glob("*[0-9].pha")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with (
                fits.open(path, checksum=True) as file,
                fits.open(path.with_name(file["SPECTRUM"].header["BACKFILE"])) as beside,
            ):
                file.verify("exception")
                header, rows = file["SPECTRUM"].header, Table(file["SPECTRUM"].data)
                good = np.array(file["STDGTI"].data.tolist())
                below = beside["SPECTRUM"].header
                place = file["REGION"].data[0]
        assert header["DETCHANS"] == len(rows) == header["TLMAX1"] + 1 == 2400
        assert rows["CHANNEL"].tolist() == list(range(2400))
        # Nothing else is there but what events in the box and in the time are.
        (path_,) = (small / GOOD).glob(f"*{'M1' if header['INSTRUME'] == 'EMOS1' else 'M2'}*EVLI*")
        inside = (rows["QUALITY"] != 1) | (rows["COUNTS"] == 0)
        assert inside.all()
        assert header["EXPOSURE"] <= header["ONTIME"] * 1.000001
        assert header["ONTIME"] == pytest.approx(np.diff(good, axis=1).sum())
        assert header["ONTIME"] == pytest.approx(region["t_stop"] - region["t_start"], rel=0.05)
        assert 0 < header["BACKSCAL"] <= place["R"][0] * place["R"][1] * 1.0001
        assert below["BACKSCAL"] > header["BACKSCAL"]
        assert below["EXPOSURE"] == pytest.approx(header["EXPOSURE"], rel=0.01)
        low, high = (1000 * region[name] / 5 for name in ("e_lo", "e_hi"))
        own = (rows["CHANNEL"] >= low) & (rows["CHANNEL"] < high)
        total += int(rows["COUNTS"][own].sum())
        with fits.open(path_) as file:
            assert file["EVENTS"].header["FILTER"] == header["FILTER"]
    assert total == region["event_n"]
    code, _, told = command(*arguments)
    assert (code, told.count("\n")) == (2, 1)
    assert "is there already" in told
    code, _, told = command(*arguments, "--overwrite", "--background", "beyond")
    assert (code, told.count("\n")) == (2, 1)
