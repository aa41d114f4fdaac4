"""Sky coordinates against the formulae of the gnomonic projection."""

import numpy as np
import pytest
from helpers.strategies import PLANE
from hypothesis import given
from hypothesis import strategies as st

from exod.errors import InputError
from exod.observation.identifiers import validate_obsid
from exod.sky.plane import TangentPlane

DELTA = 1.38888888888889e-05
pixels = st.floats(0, 51840)


@given(st.floats(0, 359.99), st.floats(-89.5, 89.5), pixels, pixels)
def test_there_and_back(ra, dec, x, y):
    plane = TangentPlane(25921, 25921, ra, dec, -DELTA, DELTA)
    sky = plane.to_sky(x, y)
    assert 0 <= sky[0] <= 360
    back = plane.to_pixel(*sky)
    assert back == pytest.approx((x, y), abs=1e-4)


@given(pixels, pixels)
def test_gnomonic_projection(x, y):
    """Calabretta & Greisen 2002, A&A 395, 1077, equations 12, 14, 15 and 54."""
    xi, eta = np.radians((x - 25921) * -DELTA), np.radians((y - 25921) * DELTA)
    ra0, dec0 = np.radians([PLANE.ra_ref, PLANE.dec_ref])
    down = np.cos(dec0) - eta * np.sin(dec0)
    ra = ra0 + np.arctan2(xi, down)
    dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(down, xi))
    assert PLANE.to_sky(x, y) == pytest.approx(np.degrees([ra, dec]), abs=1e-9)


def test_reference_pixel_is_the_reference_position():
    assert PLANE.to_sky(25921, 25921) == pytest.approx((83.2, -5.4))


def test_east_is_left_and_north_is_up():
    ra, dec = PLANE.to_sky([25921, 25921 - 1200, 25921], [25921, 25921, 25921 + 1200])
    assert ra[1] > ra[0]
    assert dec[2] - dec[0] == pytest.approx(1 / 60, rel=1e-6)  # 1200 pixels of 0.05 arcsec


def test_shapes():
    ra, dec = PLANE.to_sky(np.full((2, 3), 25921.0), np.full((2, 3), 25000.0))
    assert ra.shape == dec.shape == (2, 3)
    assert PLANE.to_sky(25921.0, 25921.0)[0].shape == ()
    assert PLANE.to_sky([], [])[0].shape == (0,)


def test_behind_the_plane_is_nan():
    x, y = PLANE.to_pixel([83.2, 263.2], [-5.4, 5.4])
    assert np.isfinite([x[0], y[0]]).all()
    assert np.isnan([x[1], y[1]]).all()


@pytest.mark.parametrize("obsid", ["0001730201", "0900000101", "9" * 10, "1", "28964"])
def test_observation_identifiers(obsid):
    assert validate_obsid(obsid) == obsid


@pytest.mark.parametrize(
    "obsid",
    [
        "",
        "0",
        "123456",
        "12a",
        "000173020",
        "00017302011",
        "000173020a",
        "../../etc/",
        " 001730201",
        "0001730201\n",
        "٠٠٠١٧٣٠٢٠١",
        1730201,
        None,
    ],
)
def test_other_identifiers_are_refused(obsid):
    with pytest.raises(InputError, match="must be ten digits"):
        validate_obsid(obsid)
