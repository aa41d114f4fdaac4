"""Observations without CIAO: steps on simulated and real event lists, and what cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from helpers.chandra_files import AXIS, PIXEL, POINTING, place_events

from exod.astromon.observation import Observation, Skipped, SkippedWithWarning
from exod.astromon.process.programs import CiaoError
from exod.errors import InputError
from exod.sky.sphere import separations_arcsec, unit_vectors


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def fetch(*_, **__):
        raise AssertionError("the network is asked")

    monkeypatch.setattr("exod.astromon.process.chandraarchive.ChandraArchive.fetch", fetch)

    def summary(folder, parameters, **_):
        return {"category_id": 200, "Title": parameters.get("title", "")}

    monkeypatch.setattr("exod.astromon.observation.sequence_summary", summary)


@pytest.fixture
def made(tmp_path):
    def make(**options) -> Observation:
        place_events(tmp_path / "work", **options)
        return Observation(8007, tmp_path / "work", "archive", use_ciao=False)

    return make


@pytest.fixture
def chandra_events(data_dir):
    """Puts a real event list where an observation expects it."""

    def place(obsid: int, workdir: Path) -> Path:
        folder = workdir / f"obs{obsid // 1000:02d}" / str(obsid) / "primary"
        folder.mkdir(parents=True)
        name = next((data_dir / "chandra").glob(f"acisf{obsid}N*_evt2.fits.gz"))
        return Path(shutil.copy(name, folder))

    return place


def separation(ra, dec, other_ra, other_dec):
    """Great circles in arcsec."""
    return separations_arcsec(unit_vectors(ra, dec), unit_vectors(other_ra, other_dec))


def sky_to_radec(x, y):
    projection = WCS(naxis=2)
    projection.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    projection.wcs.crval, projection.wcs.crpix = POINTING[:2], [AXIS, AXIS]
    projection.wcs.cdelt = [-PIXEL / 3600, PIXEL / 3600]
    return projection.wcs_pix2world(np.add(x, AXIS), np.add(y, AXIS), 1)


def test_from_events_to_sources(made):
    observation = made()
    observation.process()
    names = {str(p.relative_to(observation.workdir)) for p in observation.workdir.rglob("*.*")}
    assert names == {
        *("primary/acisf08007N002_evt2.fits.gz", "primary/acisf08007N002_evt2_filtered.fits.gz"),
        *("images/8007_broad_thresh.img", "images/8007_pileup.img", "images/8007_pileup_max.img"),
        "sources/8007_celldetect.src",
    }
    sources = observation.get_sources()
    assert sources["id"].tolist() == [1, 2]
    ra, dec = sky_to_radec([10.0, -100.0], [20.0, 50.0])
    assert (separation(sources["ra"], sources["dec"], ra, dec) < 0.2).all()
    share = (7000 - 500) / (8000 - 300)
    np.testing.assert_allclose(sources["net_counts"] / share, [300, 80], rtol=0.15)
    assert 0.03 < sources["pileup"][0] < 0.09
    assert sources["pileup"][1] < sources["pileup"][0]
    assert set(sources["caldb_version"]) == {"4.9.4"}
    assert (sources["near_neighbor_dist"] > 50).all()
    assert not sources["acis_streak"].any()
    centres = observation.calculate_centroids()
    np.testing.assert_allclose(centres["x"], [AXIS + 10, AXIS - 100], atol=0.5)
    observation.filter_sources(radius=20)
    assert len(observation.get_sources("filtered")) == 1


def test_the_image_says_where_its_pixels_are(made):
    observation = made()
    observation.process()
    with fits.open(observation.workdir / "images" / "8007_broad_thresh.img") as hdus:
        image, projection = hdus[0].data, WCS(hdus[0].header)
    row, column = np.unravel_index(image.argmax(), image.shape)
    ra, dec = projection.wcs_pix2world(column, row, 0)
    there = sky_to_radec(10.0, 20.0)
    assert separation(ra, dec, *there) < 1.5 * PIXEL * 2**0.5
    filtered = observation.workdir / "primary" / "acisf08007N002_evt2_filtered.fits.gz"
    with fits.open(filtered) as hdus:
        events = hdus["EVENTS"].data
        away = np.hypot(events["x"] - AXIS, events["y"] - AXIS)
        in_band = (events["energy"] >= 500) & (events["energy"] <= 7000)
        assert away.max() <= 360.0
        assert image.sum() == in_band.sum()


def test_steps_that_are_done_are_left_alone(made):
    observation = made()
    observation.process()
    image = observation.workdir / "images" / "8007_broad_thresh.img"
    before = image.stat().st_mtime_ns
    observation.process()
    assert image.stat().st_mtime_ns == before


def test_no_sources_are_an_empty_table(made):
    observation = made(sources=(), n_background=200)
    observation.process()
    sources = observation.get_sources()
    assert len(sources) == 0
    assert "near_neighbor_dist" in sources.colnames
    assert len(observation.calculate_centroids()) == 0


def test_no_events_near_the_axis(made):
    with pytest.raises(SkippedWithWarning, match="no events"):
        made(sources=((900.0, 0.0, 50),), n_background=0).process()


def test_hrc(made):
    observation = made(instrume="HRC", detnam="HRC-I", sim_z=126.98)
    observation.process()
    assert observation.get_obspar()["detector"] == "HRC-I"
    assert not list(observation.workdir.rglob("*pileup*"))
    assert (observation.workdir / "images" / "8007_wide_thresh.img").exists()


def test_what_needs_ciao(made):
    observation = made()
    with pytest.raises(CiaoError, match="wavdetect needs CIAO"):
        observation.run_wavdetect("baseline")
    with pytest.raises(CiaoError, match="chandra_repro needs CIAO"):
        observation.repro()
    with pytest.raises(CiaoError, match="dmcoords needs CIAO"):
        observation.dmcoords("x")


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_damaged_events_are_one_sentence(made, size):
    observation = made()
    path = next(observation.workdir.glob("primary/*"))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"evt2\.fits\.gz cannot be read as an event list"):
        observation.process()
    assert [p for p in observation.workdir.rglob("*") if p.is_file()] == [path]


def test_events_without_what_is_needed(made):
    observation = made(ra_pnt=np.float64(1.0), tctyp5="nothing")
    with pytest.raises(InputError, match="cannot be read as an event list"):
        observation.process()
    shutil.rmtree(observation.workdir)
    other = made(obs_id="9")
    with pytest.raises(InputError, match="is of obsid 9, not of 8007"):
        other.process()


@pytest.mark.parametrize("obsid", [28964, 29128])
def test_real_events(chandra_events, tmp_path, obsid):
    """Sources are where the photons are: as medians, which know nothing of cells and windows."""
    path = chandra_events(obsid, tmp_path / "work")
    observation = Observation(obsid, tmp_path / "work", "archive", use_ciao=False)
    observation.filter_events(radius=600)
    observation.make_images()
    observation.run_celldetect()
    sources = observation.get_sources()
    assert len(sources) >= {28964: 2, 29128: 150}[obsid]
    with fits.open(path) as hdus:
        events, header = hdus["EVENTS"].data, hdus["EVENTS"].header
        used = (events["energy"] > 500) & (events["energy"] < 7000)
        x, y = events["x"][used].astype(float), events["y"][used].astype(float)
    table = fits.getdata(observation.workdir / "sources" / f"{obsid}_celldetect.src")
    bright = (sources["net_counts"] > 50) & (sources["near_neighbor_dist"] > 15)
    bright &= sources["r_angle"] < 400
    assert bright.sum() >= {28964: 0, 29128: 20}[obsid]
    for row in table[np.asarray(bright)]:
        near = np.hypot(x - row["X"], y - row["Y"]) < 6
        offset = np.hypot(np.median(x[near]) - row["X"], np.median(y[near]) - row["Y"])
        assert offset * PIXEL < 0.5
    assert {header["CALDBVER"].strip()} == set(sources["caldb_version"])


def test_the_whole_process_of_a_real_field(chandra_events, tmp_path):
    chandra_events(29128, tmp_path / "work")
    observation = Observation(29128, tmp_path / "work", "archive", use_ciao=False)
    observation.process()
    sources = observation.get_sources()
    assert 70 <= len(sources) <= 110
    # Theta 1 Orionis C, SIMBAD; the aspect of this observation is 0.9 arcsec off.
    away = separation(sources["ra"], sources["dec"], 83.818599, -5.389681)
    assert away.min() < 1.2
    assert sources["pileup"].max() > 0.1


def test_several_intervals_are_skipped(tmp_path):
    place_events(tmp_path / "work", 82)
    observation = Observation(82, tmp_path / "work", "archive", use_ciao=False)
    with pytest.raises(Skipped):
        observation.process()
