"""The PSF of the simulator: sampling, and agreement with the tables of encircled energy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulator import FRACTIONS, encircled_energy, fit_camera
from exod.instruments import CAMERAS
from exod.instruments.king import KingProfile, king_fraction, king_radius
from exod.instruments.pointspread import ENERGIES_KEV, NORMALISATION_ARCSEC, POINT_SPREADS

cameras = st.sampled_from(sorted(CAMERAS))


@pytest.fixture(scope="module")
def tables(data_dir):
    folder = data_dir / "psf"
    if not folder.is_dir():
        pytest.skip("the tables of encircled energy are not among the test data")
    return folder


@given(st.floats(1, 15), st.floats(1.1, 3), st.floats(0, 0.999))
def test_king_radius_inverts_the_fraction(core, slope, fraction):
    radius = king_radius(fraction, core, slope)
    assert king_fraction(radius, core, slope) == pytest.approx(fraction, abs=1e-9)
    assert KingProfile(core, slope).fraction(radius) == pytest.approx(fraction, abs=1e-9)


@given(cameras, st.floats(0.2, 12), st.floats(0, 16))
def test_encircled_energy_is_a_cumulative_distribution(camera, energy, off_axis):
    radius = np.linspace(0, 400, 200)
    share = POINT_SPREADS[camera].encircled(radius, energy, off_axis)
    assert share[0] == 0
    assert share[-1] == pytest.approx(1, abs=1e-9)
    assert (np.diff(share) >= 0).all()
    assert 0 < POINT_SPREADS[camera].axis_ratio(energy, off_axis) <= 1


@pytest.mark.parametrize("camera", sorted(CAMERAS))
@pytest.mark.parametrize(("energy", "off_axis"), [(1.0, 0.0), (6.0, 10.0)])
def test_samples_follow_the_ellipses(camera, energy, off_axis):
    spread, azimuth = POINT_SPREADS[camera], 0.7
    generator = np.random.default_rng(5)
    x, y = spread.sample(generator, np.full(40_000, energy), off_axis, azimuth)
    radial = x * np.cos(azimuth) + y * np.sin(azimuth)
    tangential = y * np.cos(azimuth) - x * np.sin(azimuth)
    ratio = float(spread.axis_ratio(energy, off_axis))
    radius = np.hypot(radial / np.sqrt(ratio), tangential * np.sqrt(ratio))
    for limit in (3.0, 10.0, 30.0, 100.0):
        share = (radius < limit).mean()
        expected = float(spread.encircled(limit, energy, off_axis))
        assert share == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 40_000))
    assert radius.max() <= NORMALISATION_ARCSEC * spread.relative_size(off_axis) * (1 + 1e-9)
    found = np.median(np.abs(radial)) / np.median(np.abs(tangential))
    assert found == pytest.approx(ratio, rel=0.04)


@pytest.mark.parametrize("camera", sorted(CAMERAS))
def test_hard_photons_have_wider_wings(camera):
    spread = POINT_SPREADS[camera]
    assert spread.encircled(60.0, 8.0) < spread.encircled(60.0, 1.0) - 0.03


@pytest.mark.realdata
@pytest.mark.parametrize("camera", sorted(CAMERAS))
def test_constants_are_those_of_a_fit(tables, camera):
    found, spread = fit_camera(tables, camera), POINT_SPREADS[camera]
    assert found["core"] == pytest.approx(spread.core, abs=0.02)
    assert found["slope"] == pytest.approx(spread.slope, abs=0.005)
    assert found["stretch"] == pytest.approx(spread.stretch, abs=0.02)
    assert found["size"] == pytest.approx(spread.size, abs=0.002)
    assert found["misfit"].max() < 0.0065


@pytest.mark.realdata
@pytest.mark.parametrize("camera", sorted(CAMERAS))
def test_encircled_energy_agrees_all_over_the_field(tables, camera):
    for energy in ENERGIES_KEV:
        table = encircled_energy(tables, camera, energy)
        share = POINT_SPREADS[camera].encircled(table["radius"], energy, table["angle"][:, None])
        misfit = share - FRACTIONS
        assert abs(misfit.mean()) < 0.02
        assert misfit.std() < 0.025
        ratio = POINT_SPREADS[camera].axis_ratio(energy, table["angle"][:, None])
        assert abs((ratio - table["ratio"]).mean()) < 0.05
