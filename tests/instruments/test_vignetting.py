"""Vignetting: against the pipeline's own columns, and what it must be by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.vignetting import CODES, listed
from exod.instruments import CAMERAS
from exod.instruments.vignetting import ENERGIES_KEV, MIRROR, VIGNETTING, Vignetting, node_weights


def test_it_is_that_of_lists_that_the_fit_did_not_use(data_dir):
    paths = sorted((data_dir / "obsmli").glob("*OBSMLI*"))[::3][:6]
    if not paths:
        pytest.skip("there are no source lists among the test data")
    lists = [listed(path) for path in paths]
    for camera in CODES:
        given = np.concatenate([one[camera]["seen"] for one in lists])
        near = np.concatenate([one[camera]["angle"] for one in lists]) <= 13
        place = [np.concatenate([one[camera][name] for one in lists]) for name in ("detx", "dety")]
        off = np.abs(VIGNETTING[camera].at_nodes(*place) / given - 1)[near]
        assert len(off) > 100
        assert (np.median(off, axis=0) < 0.002).all()
        assert (np.percentile(off, 95, axis=0) < 0.005).all()


def test_it_falls_with_angle_and_energy():
    assert (np.diff(MIRROR, axis=1) < 0).all()
    assert (np.diff(MIRROR[2:], axis=0)[:, 1:] < 0).all()


@given(st.sampled_from(sorted(CAMERAS)), st.floats(0.2, 12), st.floats(0, 6.3), st.floats(0, 18))
def test_between_the_energies_it_is_interpolated(camera, energy, azimuth, angle):
    light = VIGNETTING[camera]
    place = (
        light.axis[0] + angle * 1200 * np.cos(azimuth),
        light.axis[1] + angle * 1200 * np.sin(azimuth),
    )
    nodes = light.at_nodes(*place)
    assert float(light.at(*place, energy)) == pytest.approx(np.interp(energy, ENERGIES_KEV, nodes))
    assert node_weights(energy).sum() == pytest.approx(1)


def test_the_gratings_shade_one_side_of_mos():
    for camera, side in (("EMOS1", (0, -1)), ("EMOS2", (1, 0))):
        light = VIGNETTING[camera]
        shaded, clear = (
            light.at(light.axis[0] + s * 12000 * side[0], light.axis[1] + s * 12000 * side[1])
            for s in (1, -1)
        )
        assert shaded / clear == pytest.approx(0.75, abs=0.02)


def test_telescopes_together_are_each_by_itself():
    cameras = [*VIGNETTING, *VIGNETTING]
    x, y = np.random.default_rng(1).uniform(-15000, 15000, (2, len(cameras)))
    together = Vignetting.of_numbers(np.array([VIGNETTING[one].numbers for one in cameras]).T)
    for number, camera in enumerate(cameras):
        alone, place = VIGNETTING[camera], (x[number], y[number])
        assert together.angle_arcmin(x, y)[number] == alone.angle_arcmin(*place)
        np.testing.assert_array_equal(together.at_nodes(x, y)[number], alone.at_nodes(*place))
