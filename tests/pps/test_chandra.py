"""Event lists of Chandra: what is read, refused, and found in real ones."""

from __future__ import annotations

import gzip
import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from helpers.chandra_files import place_events
from hypothesis import given, settings
from hypothesis import strategies as st

import exod
from exod.config import Config
from exod.errors import ExposureRejected, InputError
from exod.instruments import ACIS
from exod.observation.events import EVENT_DTYPES, NO_POSITION, EventList
from exod.observation.identifiers import obsid_of_row, validate_obsid
from exod.pps import find_observations, read_event_list
from exod.schemas.kinds import OBSID_FORM
from exod.simulate.acisobservation import AcisModel, simulate_acis
from exod.simulate.lights.lightmodels import Constant
from exod.simulate.models import SourceModel


def placed(folder: Path, **header) -> Path:
    return place_events(folder, **{"TELESCOP": "CHANDRA", "TSTART": 0.0, "TSTOP": 1e4, **header})


def test_columns(tmp_path):
    path = placed(tmp_path, TIMEDEL=3.1)
    exposure, events = read_event_list(path)
    with fits.open(path) as file:
        rows = file["EVENTS"].data
        assert np.abs(events.time - rows["time"]).max() <= 1.55
        assert (events.x == np.rint(rows["x"])).all()
        assert (events.pi == np.rint(rows["energy"])).all()
        assert (events.ccdnr == rows["ccd_id"] + 1).all()
    assert exposure.obsid == "8007"
    assert exposure.camera.frame_time == 3.1
    assert exposure.plane.pixel_arcsec == pytest.approx(0.492)
    assert exposure.pa_pnt == 40.0
    assert exposure.notes == ()


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        ({"INSTRUME": "HRC"}, "of the instrument HRC of Chandra"),
        ({"GRATING": "HETG"}, "with the grating HETG"),
        ({"READMODE": "CONTINUOUS"}, "continuous clocking"),
        ({"CONTENT": "EVT1"}, "list EVT1; only those of level 2"),
        ({"OBS_MODE": "SECONDARY_SLEW", "TIMEDEL": 0.0}, "TIMEDEL is 0"),
        ({"OBS_ID": "Merged"}, "OBS_ID 'Merged'"),
    ],
)
def test_refused(tmp_path, header, cause):
    with pytest.raises((InputError, ExposureRejected), match=cause) as caught:
        read_event_list(placed(tmp_path, **header))
    assert str(caught.value).count(". ") == 0


def mask_file(path: Path, obsid: str, x: tuple[int, int]) -> None:
    columns = [
        fits.Column("CHIPX", "2I", array=[x]),
        fits.Column("CHIPY", "2I", array=[(-2000, 2000)]),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="MASK")
    table.header["CCD_ID"], table.header["OBS_ID"] = 7, obsid
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(buffer)
    path.write_bytes(gzip.compress(buffer.getvalue()))


def test_masks(tmp_path):
    path = placed(tmp_path)
    mask = path.parent.parent / "secondary" / "acisf08007_000N002_msk1.fits.gz"
    mask.parent.mkdir()
    mask_file(mask, "8007", (-2000, 2000))
    _, events = read_event_list(path)
    assert len(events)
    mask_file(mask, "8008", (-2000, 2000))
    with pytest.raises(InputError, match="is of observation 8008, not of 8007"):
        read_event_list(path)
    mask_file(mask, "8007", (1, 20))
    with pytest.raises(InputError, match=r"leaves out [\d,]+ of the [\d,]+ events"):
        read_event_list(path)


def bad_pixels(path: Path, columns: list[tuple[int, int]], since: float, obsid="8007") -> None:
    parts = [
        fits.Column("CHIPX", "2I", array=columns),
        fits.Column("CHIPY", "2I", array=[(1, 1024)] * len(columns)),
        fits.Column("TIME", "D", array=[since] * len(columns)),
    ]
    table = fits.BinTableHDU.from_columns(parts, name="BADPIX")
    table.header["CCD_ID"], table.header["OBS_ID"] = 7, obsid
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)


def test_bad_pixels(tmp_path):
    path = placed(tmp_path)
    beside = path.parent / "acisf08007_000N002_bpix1.fits"
    bad_pixels(beside, [(1, 2)], 0.0)
    _, events = read_event_list(path)
    assert len(events)
    some = int(np.median(events.rawx))
    for wrong in ({"obsid": "8008"}, {}):
        bad_pixels(beside, [(1, 2), (some, some + 40)], -1.0, **wrong)
        with pytest.raises(InputError, match=r"of observation 8008, not|leaves out [\d,]+ of the"):
            read_event_list(path)
    bad_pixels(beside, [(1, 2), (some, some + 40)], 5000.0)
    read_event_list(path)


def test_photons_are_not_searched(tmp_path):
    """The search of photons is for wider images: the reason is in the ledger."""
    tables = exod.detect(placed(tmp_path), Config.load(preset="ideal"))
    assert tables.runs.empty
    (reason,) = tables.exposures["reason"]
    assert "search it with the preset deep" in reason


def test_found_beside_others(tmp_path):
    path = placed(tmp_path)
    shutil.copy(path, path.parent / "mine.fits.gz")
    mask_file(path.parent / "acisf08007_000N002_msk1.fits.gz", "8007", (1, 1024))
    found, problems = find_observations([tmp_path])
    assert not problems
    assert [(item.obsid, len(item.event_lists)) for item in found] == [("8007", 2)]


def test_identifiers():
    assert f"(?:[0-9]{{10}}|{ACIS.observatory.obsid})" == OBSID_FORM
    assert validate_obsid("28964") == obsid_of_row("28964_0_50_0.5_7.0_1") == "28964"
    for wrong in ("0", "028964", "123456", "../28964", "28964\n"):
        with pytest.raises(InputError, match="not an observation identifier"):
            validate_obsid(wrong)


def events_of(rows) -> EventList:
    """Events on one CCD from rows of time, column, row and energy."""
    time, x, y, pi = np.array(rows, float).reshape(-1, 4).T
    values = {"time": time, "rawx": x, "rawy": y, "pi": pi, "ccdnr": np.ones(len(time))}
    columns = {
        name: values.get(name, np.zeros(len(time))).astype(kind)
        for name, kind in EVENT_DTYPES.items()
    }
    return EventList(**columns)


def test_afterglows_are_left_out():
    glow = [(9.0, 614, 985, 1319), (12.0, 614, 985, 814), (18.0, 615, 985, 571)]
    burst = [(9.0, 200, 200, 900), (12.0, 200, 200, 2000), (18.0, 201, 200, 571)]
    usable = ACIS.is_usable(events_of(glow + burst), "TIMED")
    assert usable.tolist() == [False] * 3 + [True] * 3
    # A bright source makes such triples by chance.
    around = [(t, 610 + t % 3, 984, 3000) for t in range(100)]
    assert ACIS.is_usable(events_of(glow + around), "TIMED").all()


rows = st.tuples(st.integers(0, 40), st.integers(1, 4), st.integers(1, 4), st.integers(500, 509))


@given(st.lists(rows, max_size=25))
@settings(max_examples=60, deadline=None)
def test_afterglows_one_by_one(given_rows):
    """What is left out is part of a falling triple; and no events at all are no error."""
    events = events_of(given_rows)
    for i in np.flatnonzero(~ACIS.is_usable(events, "TIMED")):
        near = (np.abs(events.rawx - events.rawx[i]) <= 1) & (
            np.abs(events.rawy - events.rawy[i]) <= 1
        )
        near &= np.abs(events.time - events.time[i]) <= 8 * ACIS.frame_time
        assert near.sum() >= 3


@pytest.mark.parametrize("rate", [0.3, 1.0, 4.0])
def test_bright_sources_are_no_afterglows(rate):
    """Many of their events fall in energy by chance, in pixels and frames side by side."""
    model = AcisModel("900", 150.0, 2.0, 40.0, 1e8, 3000.0, background_rate=0.0)
    source = SourceModel("bright", 150.0, 2.0, {"ACIS": rate}, Constant())
    events = simulate_acis(replace(model, sources=(source,)), 1).as_read
    assert len(events) > 800 * rate * 3
    assert ACIS.is_usable(events, "TIMED").mean() > 0.995


@pytest.fixture
def real(data_dir) -> Path:
    return data_dir / "chandra"


@pytest.mark.realdata
def test_real_lists(real):
    exposure, events = read_event_list(real / "acisf29128N001_evt2.fits.gz")
    assert exposure.frame_time == pytest.approx(3.14104)
    assert sorted(exposure.live.curves) == [1, 2, 3, 4]
    assert exposure.live.curves[2].seconds == pytest.approx(9584.798, abs=0.01)
    assert len(events) == 47222
    assert (events.x != NO_POSITION).all()
    exposure, events = read_event_list(real / "chandra_test.fits")
    assert len(events) == 4612
    assert any("hot pixels" in note for note in exposure.notes)
    _, other = read_event_list(real / "chandra_noener_test.fits")
    assert np.median(np.abs(other.pi - events.pi)) < 15


@pytest.mark.realdata
def test_images_of_the_source_catalogue_are_no_event_lists(real):
    others = [*real.glob("acisf*_reg*.fits"), *real.glob("*_psf3.fits")]
    assert len(others) == 5
    for path in others:
        with pytest.raises(InputError, match="has no table EVENTS") as caught:
            read_event_list(path)
        assert str(caught.value).count(". ") == 0


@pytest.mark.realdata
@pytest.mark.parametrize(("obsid", "t_bin"), [("28964", 1500), ("29128", 600)])
def test_flares_are_found(real, obsid, t_bin):
    flares = pd.read_csv(real / "flares.csv", dtype={"obsid": str}).set_index("obsid")
    flare = flares.loc[obsid]
    overrides = [f"cube.t_bin=[{t_bin}]", "cube.bands=[[0.2, 12.0]]", "detect.false_alarm_rate=0.3"]
    (path,) = real.glob(f"acisf{obsid}N*_evt2.fits.gz")
    tables = exod.detect(path, Config.load(preset="deep", overrides=overrides))
    # Its rings have the CCDs together, two and four of the six that can be read.
    assert tables.coverage.time == pytest.approx(1)
    assert tables.coverage.area == pytest.approx({"28964": 2 / 6, "29128": 4 / 6}[obsid])
    found = tables.regions
    dx = (found["ra_deg"] - flare["ra_deg"]) * np.cos(np.radians(flare["dec_deg"]))
    distance = np.hypot(dx, found["dec_deg"] - flare["dec_deg"]) * 3600
    best = found[distance <= np.hypot(1.73 * found["pos_err_arcsec"], flare["pos_err_95_arcsec"])]
    ratio = (best["t_stop"] - best["t_start"]) / flare["duration_s"]
    assert ratio.between(1 / 1.5, 1.5).any()
    assert (found["e_lo"] == 0.5).all()
    assert (found["e_hi"] == 7.0).all()
    # A source at an edge of a CCD, which the dither takes off and back every 2000 s.
    dithered = (83.73299, -5.38677)
    at_edge = np.hypot(found["ra_deg"] - dithered[0], found["dec_deg"] - dithered[1]) * 3600 < 5
    assert not at_edge.any()
