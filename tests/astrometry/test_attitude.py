"""Angles in the body frame against rotation matrices of scipy and the real tables of Chandra."""

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from exod.astrometry.attitude import (
    body_axes,
    near_neighbour_distances,
    radec_to_yagzag,
    yagzag_to_radec,
)

right_ascensions = st.floats(0, 360)
declinations = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 0.0]))
rolls = st.floats(-360, 720)


def rotation(ra: float, dec: float, roll: float) -> np.ndarray:
    """Rows X, Y, Z of the body by three turns, about z, y and x."""
    # A positive roll turns Y, which is east at first, towards north.
    return Rotation.from_euler("ZYX", [ra, -dec, roll], degrees=True).as_matrix().T


@given(right_ascensions, declinations, rolls)
def test_axes_are_three_turns(ra, dec, roll):
    np.testing.assert_allclose(body_axes((ra, dec, roll)), rotation(ra, dec, roll), atol=1e-12)


@given(right_ascensions, declinations, right_ascensions, declinations, rolls)
def test_angles_are_those_of_the_rotated_direction(ra, dec, ra_pointing, dec_pointing, roll):
    alpha, delta = np.radians([ra, dec])
    direction = [np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)]
    x, y, z = rotation(ra_pointing, dec_pointing, roll) @ direction
    wanted = np.arctan2([y, z], x)
    given_angles = np.radians(
        np.array(radec_to_yagzag(ra, dec, (ra_pointing, dec_pointing, roll))) / 3600
    )
    # Where x and y (or z) vanish the angle is undetermined: compare what is measured along.
    for angle, expected, across in zip(given_angles, wanted, (y, z), strict=True):
        np.testing.assert_allclose(
            np.exp(1j * angle) * np.hypot(x, across),
            np.exp(1j * expected) * np.hypot(x, across),
            atol=1e-11,
        )


@given(right_ascensions, declinations, rolls, st.floats(-80, 80), st.floats(-80, 80))
def test_there_and_back(ra, dec, roll, y_deg, z_deg):
    angles = y_deg * 3600, z_deg * 3600
    back = radec_to_yagzag(*yagzag_to_radec(*angles, (ra, dec, roll)), (ra, dec, roll))
    np.testing.assert_allclose(back, angles, atol=2e-6)


def test_no_direction_from_square_angles():
    ra, dec = yagzag_to_radec([90 * 3600, -91 * 3600, np.nan, 0], [0, 0, 0, 0], (10, 20, 30))
    assert np.isnan(ra[:3]).all()
    assert np.isnan(dec[:3]).all()
    assert (ra[3], dec[3]) == (pytest.approx(10), pytest.approx(20))


def test_one_attitude_for_each_direction():
    ra, dec, roll = np.array([0.0, 120.0]), np.array([90.0, -30.0]), np.array([10.0, 200.0])
    together = radec_to_yagzag(ra + 0.1, dec - 0.1, (ra, dec, roll))
    for row in range(2):
        alone = radec_to_yagzag(ra[row] + 0.1, dec[row] - 0.1, (ra[row], dec[row], roll[row]))
        np.testing.assert_array_equal([angle[row] for angle in together], alone)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), max_size=12))
def test_neighbours_by_all_pairs(places):
    array = np.array(places, float).reshape(-1, 2)
    wanted = [
        min((float(np.hypot(*(a - b))) for j, b in enumerate(array) if j != i), default=np.inf)
        for i, a in enumerate(array)
    ]
    np.testing.assert_allclose(near_neighbour_distances(*array.T), wanted, atol=1e-9)


def test_a_source_without_angles_is_nobodys_neighbour():
    distances = near_neighbour_distances([0.0, np.nan, 9.0], [0.0, 0.0, 12.0])
    np.testing.assert_array_equal(distances, [15.0, np.nan, 15.0])


def test_real_tables(data_dir):
    """The tables of Chandra keep angles in single precision, their last bit is 6e-5 arcsec."""
    folder = data_dir / "astromon"
    observations = Table.read(folder / "astromon_obs.ecsv").to_pandas().set_index("obsid")
    for name in ("astromon_xray_src", "astromon_cat_src"):
        sources = Table.read(folder / f"{name}.ecsv").to_pandas()
        attitude = tuple(
            observations.loc[sources["obsid"], angle].to_numpy() for angle in ("ra", "dec", "roll")
        )
        y, z = radec_to_yagzag(sources["ra"], sources["dec"], attitude)
        np.testing.assert_allclose(y, sources["y_angle"], atol=1e-4)
        np.testing.assert_allclose(z, sources["z_angle"], atol=1e-4)
        if "r_angle" not in sources:
            continue
        np.testing.assert_allclose(np.hypot(y, z), sources["r_angle"], atol=1e-4)
        for _, rows in sources.groupby("obsid"):
            np.testing.assert_allclose(
                near_neighbour_distances(rows["y_angle"], rows["z_angle"]),
                rows["near_neighbor_dist"],
                atol=2e-4,
            )
