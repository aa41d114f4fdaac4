"""Limits and exposure maps of an observation whose pointing moved over the CCDs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from exod.config import Config
from exod.errors import ConfigError
from exod.pps import find_observations
from exod.sensitivity.depth.placelimits import limit_columns, place_sums
from exod.simulate.acisobservation import AcisModel, simulate_acis
from exod.simulate.lights.lightmodels import Constant
from exod.simulate.models import SourceModel
from exod.stages.derive.depth import observation_depths
from exod.stages.images.exposures import exposure_files
from exod.stages.inputs.simulate import write_acis

MODEL = AcisModel("900", 150.0, 2.0, 40.0, 1e8, 8000.0)
RATE = 0.1

OFFSETS = (5.0, 15.0, 300.0)
"""Pixels of constant sources from an edge that the motion takes them over, and one far inside."""


def places() -> list[tuple[float, float]]:
    chip, found = MODEL.view.aspect.chips[4], []
    for number, offset in enumerate(OFFSETS):
        pixel = np.array([1024.5 - offset, 350.0 + 250.0 * number])
        x, y = np.linalg.solve(chip.matrix[:, :2], pixel - chip.matrix[:, 2])
        ra, dec = MODEL.view.plane.to_sky(x, y)
        found.append((float(ra), float(dec)))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    sources = tuple(
        SourceModel(f"s{number}", *place, {"ACIS": RATE}, Constant())
        for number, place in enumerate(places())
    )
    path = tmp_path_factory.mktemp("dithered")
    write_acis(simulate_acis(replace(MODEL, sources=sources), 4), path)
    return path


def test_rates_near_edges_are_those_of_the_sources(folder):
    (files,), _ = find_observations([folder])
    (depth,) = observation_depths(files, Config.preset("deep"))
    ra, dec = np.array(places()).T
    whole = depth.bands.index((0.2, 12.0))
    sums = place_sums(depth, whole, ra, dec)
    assert sums.place.tolist() == [0, 1, 2]
    found = limit_columns(sums, 0.999)
    # Half, two thirds and all of the time.
    assert found["share"][0] < 0.75
    assert found["share"][0] < found["share"][1] < found["share"][2] < 1
    assert (found["rate_lo"] < RATE).all()
    assert (found["rate_hi"] > RATE).all()
    assert (found["rate_hi"] < 1.4 * RATE).all()
    assert np.isnan(found["flux"]).all()
    part = place_sums(depth, whole, ra[2], dec[2], MODEL.start + 1000, MODEL.start + 3000)
    assert part.longest == pytest.approx(2000, abs=4)
    assert part.n == pytest.approx(200, abs=60)


@pytest.mark.parametrize("seconds", [250.0, 500.0, 1000.0])
def test_what_was_seen_at_edges_in_less_than_a_period_is_not_known(folder, seconds):
    """The whole and the mean of the share are known, and that of parts is neither."""
    (files,), _ = find_observations([folder])
    (depth,) = observation_depths(files, Config.preset("deep"))
    ra, dec = np.array(places()).T
    starts = MODEL.start + np.arange(0.0, MODEL.duration - seconds, seconds)
    place = np.repeat(np.arange(3), len(starts))
    start = np.tile(starts, 3)
    whole = depth.bands.index((0.2, 12.0))
    sums = place_sums(depth, whole, ra[place], dec[place], start, start + seconds)
    assert sums.place.tolist() == list(range(len(place)))
    found = limit_columns(sums, 0.9999)
    known = place == 2
    # That there is no photon or some is sure.
    assert np.isfinite(found["p_log"]).tolist() == (known | (sums.n == 0)).tolist()
    for name in ("share", "counts_hi", "rate", "rate_lo", "rate_hi"):
        assert np.isfinite(found[name]).tolist() == known.tolist(), name
    assert not found["detected"][~known].any()
    assert np.isfinite(sums.n).all()
    assert (found["rate_lo"][known] <= RATE).all()
    assert (found["rate_hi"][known] >= RATE).all()


def test_a_period_and_more_is_known_at_edges(folder):
    (files,), _ = find_observations([folder])
    (depth,) = observation_depths(files, Config.preset("deep"))
    ra, dec = np.array(places()).T
    start = MODEL.start + 1000.0
    sums = place_sums(depth, depth.bands.index((0.2, 12.0)), ra, dec, start, start + 4000.0)
    found = limit_columns(sums, 0.999)
    assert (found["rate_lo"] < RATE).all()
    assert (found["rate_hi"] > RATE).all()


def test_map_has_sky_coordinates(folder, tmp_path):
    (files,), _ = find_observations([folder])
    path, picture = exposure_files(files, Config(), tmp_path, pixel_arcsec=20.0)
    assert path.name == "900_ACIS000_exposure.fits"
    assert picture.exists()
    with fits.open(path) as file:
        (layer,) = [hdu for hdu in file if hdu.name == "ON"]
        assert [hdu.name for hdu in file if hdu.name.startswith("BAND")] == []
        assert file[0].header["TELESCOP"] == "CHANDRA"
        x, y = WCS(layer.header).world_to_pixel_values(*np.array(places()).T)
        seconds = layer.data[np.rint(y).astype(int), np.rint(x).astype(int)]
    assert seconds[2] == pytest.approx(MODEL.duration, rel=0.01)
    assert 0.3 < seconds[0] / MODEL.duration < 0.9


def test_too_few_events_have_no_map(folder, tmp_path):
    (source,) = folder.rglob("*_evt2.fits.gz")
    with fits.open(source) as file:
        file["EVENTS"].data = file["EVENTS"].data[:50]
        file.writeto(tmp_path / source.name)
    (files,), _ = find_observations([tmp_path])
    why: list[str] = []
    with pytest.raises(ConfigError, match="No exposure"):
        list(exposure_files(files, Config(), tmp_path / "to", on_left_out=why.append))
    assert "tell how its pointing moved" in why[0]
