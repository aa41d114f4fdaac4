"""Chip geometry, rotation to the sky, vignetting and submodes."""

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from exod.errors import ConfigError
from exod.instruments import CAMERAS, EMOS1, EMOS2, EPN
from exod.instruments.detector import DETECTORS, POINTING_PIXEL, read_out
from exod.instruments.vignetting import VIGNETTING
from exod.simulate.camera.protons import proton_vignetting

MOS_LISTS = ("P0001730201M1S002MIEVLI.FTZ", "P0001730201M2S003MIEVLI.FTZ")
PN_LISTS = ("0916810801_PN1_src.evt", "0932190801_PN1_src.evt")

cameras = st.sampled_from(sorted(CAMERAS))


def read_real(path):
    """EVENTS data, instrument and position angle of a real list; skips if it is not there."""
    if not path.exists():
        pytest.skip(f"{path.name} is not among the test data")
    with fits.open(path) as hdus:
        header = hdus["EVENTS"].header
        return hdus["EVENTS"].data, hdus[0].header["INSTRUME"], header["PA_PNT"]


@given(cameras, st.data())
def test_pixel_survives_the_focal_plane(name, data):
    detector = DETECTORS[name]
    camera = detector.camera
    ccdnr = data.draw(st.integers(1, camera.n_ccds))
    rawx = data.draw(st.integers(1, camera.n_columns))
    rawy = data.draw(st.integers(1, camera.n_rows))
    shift = data.draw(st.tuples(*[st.floats(-0.49, 0.49)] * 2))
    place = detector.detector_from_raw(ccdnr, rawx + shift[0], rawy + shift[1])
    found = [int(column[0]) for column in detector.raw_from_detector(*place)]
    if camera.is_pn or found[0] == ccdnr:
        assert found == [ccdnr, rawx, rawy]
    else:
        assert 0 < found[0] < ccdnr, "only a chip of lower number may lie on top"


@given(cameras, st.floats(0, 360), st.floats(-18000, 18000), st.floats(-18000, 18000))
def test_sky_and_back(name, pa, detx, dety):
    detector = DETECTORS[name]
    sky = detector.sky_from_detector(detx, dety, pa)
    assert np.allclose(detector.detector_from_sky(*sky, pa), (detx, dety), atol=1e-6)
    offset = np.hypot(*(np.array(sky) - POINTING_PIXEL)) * 0.05 / 60
    assert offset == pytest.approx(float(detector.off_axis_arcmin(detx, dety)))


@given(cameras, st.floats(0, 360))
def test_a_place_on_the_detector_stays_put_when_the_sky_is_derotated(name, pa):
    """The rotation by -PA_PNT by which hot regions are found (method.md, Hot regions)."""

    def derotated(angle):
        x, y = DETECTORS[name].sky_from_detector(4000.0, -7000.0, angle)
        dx, dy, a = x - POINTING_PIXEL, y - POINTING_PIXEL, np.deg2rad(angle)
        return dx * np.cos(-a) - dy * np.sin(-a), dx * np.sin(-a) + dy * np.cos(-a)

    assert np.allclose(derotated(pa), derotated(0.0), atol=1e-6)


@pytest.mark.parametrize("name", sorted(CAMERAS))
def test_gaps_and_outside_have_no_chip(name):
    detector = DETECTORS[name]
    grid = np.linspace(-21000, 21000, 701)
    detx, dety = (axis.ravel() for axis in np.meshgrid(grid, grid))
    ccdnr, rawx, rawy = detector.raw_from_detector(detx, dety)
    assert set(np.unique(ccdnr)) == set(range(detector.camera.n_ccds + 1))
    assert not rawx[ccdnr == 0].any()
    assert not rawy[ccdnr == 0].any()
    in_field = detector.in_field(detx, dety)
    lost = np.mean(ccdnr[in_field] == 0)
    assert 0.005 < lost < 0.10
    far = np.array([30000.0])
    assert not detector.raw_from_detector(far, far)[0].any()


def test_pn_boresight_is_on_ccd_4():
    """The target of a pn observation lies at CCD 4, RAWX 38, RAWY 190 (SRCPOSX, SRCPOSY)."""
    ccdnr, rawx, rawy = DETECTORS["EPN"].raw_from_detector([24.0], [-232.0])
    assert (int(ccdnr[0]), int(rawx[0])) == (4, 38)
    assert abs(int(rawy[0]) - 190) <= 1


def test_protons_are_lost_less_than_light():
    angle = np.linspace(0, 16, 50)
    light = VIGNETTING["EPN"]
    detx = light.axis[0] + angle * 1200
    assert proton_vignetting(0.0) == 1
    assert np.all(proton_vignetting(angle[1:]) > light.at(detx, light.axis[1])[1:])


def test_summed_pixels_agree_with_every_pixel():
    detector, light = DETECTORS["EPN"], VIGNETTING["EPN"]
    x, y = np.meshgrid(np.arange(1, 65), np.arange(1, 201))
    places = [detector.detector_from_raw(ccdnr, x, y) for ccdnr in range(1, 13)]
    seen = sum(detector.in_field(*place).sum() for place in places)
    weight = sum((light.at(*place) * detector.in_field(*place)).sum() for place in places)
    assert detector.field_pixels == pytest.approx(seen, rel=0.01)
    assert detector.weigh_pixels(light.at) == pytest.approx(weight, rel=0.01)


def test_windows_of_submodes():
    assert (read_out(EPN, "PrimeFullWindow").windows[1:, 2] == 13).all()
    assert (read_out(EPN, "PrimeLargeWindow").windows[1:, 2] == 101).all()
    small = read_out(EMOS1, "PrimePartialW2")
    assert small.frame_time[1] == 0.3
    assert (small.frame_time[2:] == 2.6).all()
    assert small.windows[1].tolist() == [251, 350, 251, 350]
    with pytest.raises(ConfigError, match="FastTiming"):
        read_out(EPN, "FastTiming")
    with pytest.raises(ConfigError, match="EMOS2"):
        read_out(EMOS2, "PrimeLargeWindow")


@pytest.mark.parametrize("filename", MOS_LISTS)
def test_chips_of_real_mos_lists(data_dir, filename):
    data, name, _ = read_real(data_dir / "xmm" / "0001730201" / filename)
    detx, dety = DETECTORS[name].detector_from_raw(data["CCDNR"], data["RAWX"], data["RAWY"])
    for found, real in ((detx, data["DETX"]), (dety, data["DETY"])):
        residual = real - found
        assert np.abs(residual).max() < 13, "half a pixel is 11"
        assert abs(residual.mean()) < 0.5


@pytest.mark.parametrize("filename", PN_LISTS)
def test_chips_of_real_pn_lists(data_dir, filename):
    data, name, _ = read_real(data_dir / "pn_regions" / filename)
    detx, dety = DETECTORS[name].detector_from_raw(data["CCDNR"], data["RAWX"], data["RAWY"])
    for found, real in ((detx, data["DETX"]), (dety, data["DETY"])):
        residual = real - found
        assert np.abs(residual).max() < 50, "half a pixel is 41"
        assert abs(residual.mean()) < 8


@pytest.mark.parametrize("filename", MOS_LISTS + PN_LISTS)
def test_rotation_of_real_lists(data_dir, filename):
    folder = "xmm/0001730201" if filename in MOS_LISTS else "pn_regions"
    data, name, pa = read_real(data_dir / folder / filename)
    x, y = DETECTORS[name].sky_from_detector(data["DETX"], data["DETY"], pa)
    for found, real in ((x, data["X"]), (y, data["Y"])):
        residual = real - found
        assert np.sqrt(np.mean(residual**2)) < 5, "0.25 arcsec"
        assert np.abs(residual).max() < 20, "1 arcsec"


@pytest.mark.parametrize("filename", MOS_LISTS)
def test_field_of_view_of_real_mos_lists(data_dir, filename):
    data, name, _ = read_real(data_dir / "xmm" / "0001730201" / filename)
    outside = (data["FLAG"] & 0x10000) != 0
    agreed = DETECTORS[name].in_field(data["DETX"], data["DETY"]) == ~outside
    assert agreed.mean() > 0.98
