"""Shapes of ADQL against astropy, on random positions with the poles and right ascension 0."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from astropy.coordinates import angular_separation
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.errors import ConfigError
from exod.web.vo.adql import translated

RA = st.one_of(
    st.floats(0, 360, exclude_max=True), st.sampled_from([0.0, 1e-9, 180.0, 359.9999999])
)
DEC = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, -89.9999, 0.0, 89.9999, 90.0]))
RADIUS = st.one_of(st.floats(0, 180), st.floats(0, 0.01))
N = 200


@pytest.fixture(scope="module")
def sky():
    with duckdb.connect() as connection:
        yield connection


def asked(sky, condition: str, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """What a condition is for positions (n,)."""
    sky.execute("CREATE OR REPLACE TABLE sky (place INTEGER, ra_deg DOUBLE, dec_deg DOUBLE)")
    rows = np.rec.fromarrays([np.arange(len(ra)), ra, dec])
    sky.register("given", {"a": rows.f0, "b": rows.f1, "c": rows.f2})
    sky.execute("INSERT INTO sky SELECT a, b, c FROM given")
    found = translated(f"SELECT {condition} AS found FROM sky ORDER BY place", ["sky"], [])
    return np.array([row[0] for row in sky.execute(found.sql).fetchall()])


def around(seed: int, ra: float, dec: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Half of the positions anywhere, half near a place, over the poles and right ascension 0."""
    random = np.random.default_rng(seed)
    anywhere = random.normal(size=(N // 2, 3))
    ra_, dec_ = np.radians([ra, dec])
    centre = np.array([np.cos(dec_) * np.cos(ra_), np.cos(dec_) * np.sin(ra_), np.sin(dec_)])
    near = centre + random.normal(size=(N // 2, 3)) * np.radians(min(max(reach, 1e-3), 60))
    x, y, z = np.concatenate([anywhere, near]).T
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def apart(ra, dec, ra_, dec_):
    return np.degrees(angular_separation(*np.radians([ra, dec]), *np.radians([ra_, dec_])))


@settings(max_examples=portion(30), deadline=None)
@given(RA, DEC, RADIUS, st.integers(0, 1000), st.sampled_from(["columns", "turned", "swapped"]))
def test_circles_have_what_is_within_their_radius(sky, ra, dec, radius, seed, how):
    places = around(seed, ra, dec, radius)
    point = {"columns": "POINT(ra_deg, dec_deg)", "turned": "POINT('ICRS', ra_deg - 360, dec_deg)"}
    circle = f"CIRCLE({ra!r}, {dec!r}, {radius!r})"
    condition = f"CONTAINS({point.get(how, point['columns'])}, {circle})"
    if how == "swapped":
        # A circle around each row, and one position.
        condition = f"CONTAINS(POINT({ra!r}, {dec!r}), CIRCLE(POINT(ra_deg, dec_deg), {radius!r}))"
    found = asked(sky, condition, *places)
    distance = apart(ra, dec, *places)
    clear = np.abs(distance - radius) > 1e-9
    np.testing.assert_array_equal(found[clear], (distance <= radius)[clear])


@settings(max_examples=portion(15), deadline=None)
@given(RA, DEC, st.integers(0, 1000))
def test_distances_are_those_of_astropy(sky, ra, dec, seed):
    places = around(seed, ra, dec, 1e-3)
    for words in (
        f"DISTANCE(POINT(ra_deg, dec_deg), POINT({ra!r}, {dec!r}))",
        f"DISTANCE({ra!r}, {dec!r}, ra_deg, dec_deg)",
    ):
        found = asked(sky, words, *places)
        np.testing.assert_allclose(found, apart(ra, dec, *places), atol=1e-11)


@settings(max_examples=portion(8), deadline=None)
@given(RA, DEC, st.floats(0.01, 60), st.integers(3, 9), st.integers(0, 1000))
def test_polygons_have_what_is_left_of_all_their_sides(sky, ra, dec, reach, n, seed):
    # Corners on a circle make a convex polygon: inside is at one side of all great circles.
    corners = corners_around(ra, dec, reach, n, seed)
    places = around(seed, ra, dec, reach)
    listed = ", ".join(f"{float(v)!r}" for corner in corners for v in corner)
    polygon = f"POLYGON({listed})"
    found = asked(sky, f"CONTAINS(POINT(ra_deg, dec_deg), {polygon})", *places)
    ends = [vector(*corner) for corner in corners]
    heights = np.array(
        [np.cross(a, b) @ vector(*places) for a, b in zip(ends, [*ends[1:], ends[0]], strict=True)]
    )
    heights *= np.sign(np.cross(ends[0], ends[1]) @ vector(ra, dec))
    clear = np.abs(heights).min(axis=0) > 1e-10
    inside = (heights > 0).all(axis=0)
    np.testing.assert_array_equal(found[clear], inside[clear])
    # What a small circle touches lies within its radius of the polygon.
    touched = asked(sky, f"INTERSECTS(CIRCLE(ra_deg, dec_deg, 1e-9), {polygon})", *places)
    np.testing.assert_array_equal(touched[clear], inside[clear])
    all_of_it = asked(
        sky, f"CONTAINS({polygon}, CIRCLE({ra!r}, {dec!r}, {reach + 1e-6!r}))", *places
    )
    assert all_of_it.all()


def corners_around(ra, dec, reach, n, seed):
    found = []
    random = np.random.default_rng(seed)
    angles = np.sort((np.arange(n) + random.uniform(0, 0.6, n)) * 2 * np.pi / n)
    centre = vector(ra, dec)
    east = np.cross(centre, np.eye(3)[np.argmin(np.abs(centre))])
    east /= np.linalg.norm(east)
    north = np.cross(centre, east)
    r = np.radians(reach)
    for angle in angles:
        x, y, z = centre * np.cos(r) + np.sin(r) * (east * np.cos(angle) + north * np.sin(angle))
        found.append((np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))))
    return found


def vector(ra, dec):
    ra, dec = np.radians([ra, dec])
    return np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def test_a_polygon_may_have_a_notch(sky):
    notched = "POLYGON(0, 0, 4, 0, 4, 4, 2, 1, 0, 4)"
    found = asked(
        sky,
        f"CONTAINS(POINT(ra_deg, dec_deg), {notched})",
        np.array([0.5, 2.0, 3.5, 2.0, 359.9]),
        np.array([2.0, 3.0, 2.0, 0.5, 1.0]),
    )
    assert found.tolist() == [1, 0, 1, 1, 0]


def test_circles_touch_and_lie_in_shapes(sky):
    ra, dec = np.array([359.0, 1.0, 3.0, 0.0]), np.array([0.0, 0.0, 0.0, 0.5])
    circle = "CIRCLE(ra_deg, dec_deg, 1)"
    square = "BOX(0, 0, 2.8, 2.8)"
    for condition, expected in (
        (f"INTERSECTS({circle}, CIRCLE(0, 0, 1.5))", [1, 1, 0, 1]),
        (f"CONTAINS({circle}, CIRCLE(0, 0, 1.5))", [0, 0, 0, 1]),
        (f"INTERSECTS({circle}, {square})", [1, 1, 0, 1]),
        (f"INTERSECTS({square}, {circle})", [1, 1, 0, 1]),
        (f"CONTAINS({circle}, {square})", [0, 0, 0, 0]),
        (f"CONTAINS(CIRCLE(ra_deg, dec_deg, 0.3), {square})", [1, 1, 0, 1]),
        (f"INTERSECTS(POINT(ra_deg, dec_deg), {square})", [1, 1, 0, 1]),
    ):
        assert asked(sky, condition, ra, dec).tolist() == expected, condition


@pytest.mark.parametrize(
    "shape",
    [
        "BOX(0, 89, 4, 4)",
        "BOX(0, 0, 200, 4)",
        "CIRCLE(0, 0, -1)",
        "CIRCLE(0, 0, 200)",
        "CIRCLE(0, 0)",
    ],
)
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(ConfigError):
        translated(f"SELECT 1 WHERE 1 = CONTAINS(POINT(1, 2), {shape})", [], [])
