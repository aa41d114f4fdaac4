"""Footprints: which positions cells covered, and where on the sky that is."""

import numpy as np
import pytest
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.counts.grid import Box
from exod.sky.healpix import is_among, sky_pixels
from exod.sky.plane import TangentPlane
from exod.sky.sphere import unit_vectors
from exod.sources.footprints import Footprint, covered_by, packed, union, unpacked

POINTINGS = ((45.0, 0.0), (0.0, 41.81), (120.0, 89.9), (200.0, -90.0), (359.99, -20.0))


def plane(ra: float, dec: float) -> TangentPlane:
    return TangentPlane(25921.0, 25921.0, ra, dec, -0.05 / 3600, 0.05 / 3600)


@st.composite
def footprints(draw: st.DrawFn) -> Footprint:
    size = draw(st.sampled_from([15.0, 20.0, 60.0, 300.0]))
    n = int(min(40, 1800 / size))
    low = int(25921 * 0.05 / size) - n // 2
    y, x = low + draw(st.integers(-3, 3)), low + draw(st.integers(-3, 3))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    mask = random.random((draw(st.integers(1, n)), draw(st.integers(1, n)))) < draw(
        st.sampled_from([0.02, 0.5, 1.0])
    )
    box = Box(y, y + mask.shape[0], x, x + mask.shape[1])
    return Footprint(box, mask, size, plane(*draw(st.sampled_from(POINTINGS))))


def somewhere_in(footprint: Footprint, n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sky positions in and around the box, and whether their cell is covered."""
    random = np.random.default_rng(1)
    box = footprint.box
    y = random.uniform(box.y_lo - 2, box.y_hi + 2, n)
    x = random.uniform(box.x_lo - 2, box.x_hi + 2, n)
    expected = np.zeros(n, bool)
    for i in range(n):
        row, column = int(np.floor(y[i])) - box.y_lo, int(np.floor(x[i])) - box.x_lo
        if 0 <= row < footprint.mask.shape[0] and 0 <= column < footprint.mask.shape[1]:
            expected[i] = footprint.mask[row, column]
    ra, dec = footprint.plane.to_sky(x * footprint.width, y * footprint.width)
    return ra % 360, dec, expected


@settings(max_examples=portion(50))
@given(footprints())
def test_positions_in_covered_cells_are_covered(footprint):
    ra, dec, expected = somewhere_in(footprint)
    assert np.array_equal(footprint.covers(ra, dec), expected)


@settings(max_examples=portion(50))
@given(footprints())
def test_pixels_hold_every_covered_position(footprint):
    ra, dec, expected = somewhere_in(footprint)
    pixels = footprint.pixels(8)
    assert is_among(sky_pixels(ra[expected], dec[expected], 8), pixels).all()
    assert footprint.mask.any() or not len(pixels)


@settings(max_examples=portion(30))
@given(st.lists(footprints(), max_size=3))
def test_pairs_are_those_of_each_footprint_alone(some):
    positions = [somewhere_in(footprint, 40) for footprint in some]
    ra = np.concatenate([np.empty(0), *(p[0] for p in positions)])
    dec = np.concatenate([np.empty(0), *(p[1] for p in positions)])
    expected = {
        (i, number)
        for number, footprint in enumerate(some)
        for i in range(len(ra))
        if _near(footprint, ra[i], dec[i]) and footprint.covers(ra[i : i + 1], dec[i : i + 1])[0]
    }
    position, number = covered_by(some, ra, dec)
    assert set(zip(position.tolist(), number.tolist(), strict=True)) == expected
    assert len(position) == len(expected)


def _near(footprint: Footprint, ra: float, dec: float) -> bool:
    """Far away, and behind the plane, a projection means nothing."""
    about = footprint.plane
    product = unit_vectors(ra, dec) @ unit_vectors(about.ra_ref, about.dec_ref)
    return bool(product > np.cos(np.radians(5)))


def test_union_of_images():
    a = np.array([[True, False], [False, False]])
    b = np.array([[False, True]])
    found = union([(Box(0, 2, 0, 2), a), (Box(3, 4, 1, 3), b)], 20.0, plane(1.0, 2.0))
    assert found.box == Box(0, 4, 0, 3)
    assert np.argwhere(found.mask).tolist() == [[0, 0], [3, 2]]
    assert union([(Box(0, 2, 0, 2), ~np.ones((2, 2), bool))], 20.0, plane(1.0, 2.0)) is None
    assert union([], 20.0, plane(1.0, 2.0)) is None


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 2**32))
def test_packing_keeps_every_cell(rows, columns, seed):
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.5
    assert np.array_equal(unpacked(packed(mask), mask.shape), mask)
    assert packed(mask).dtype == np.uint8


def test_nothing_covers_and_nothing_is_covered():
    everything = Footprint(Box(0, 2, 0, 2), np.ones((2, 2), bool), 20.0, plane(10.0, 10.0))
    for some, positions in (([], [1.0]), ([everything], [])):
        found = covered_by(some, np.array(positions), np.array(positions))
        assert [len(item) for item in found] == [0, 0]


def test_positions_behind_the_plane_are_not_covered():
    everything = Footprint(Box(0, 130, 0, 130), np.ones((130, 130), bool), 20.0, plane(10.0, 0.0))
    assert everything.covers(np.array([10.0, 190.0, 100.0]), np.zeros(3)).tolist() == [
        True,
        False,
        False,
    ]
    assert everything.circle()[1] == pytest.approx(65 * 20 * np.sqrt(2), rel=0.05)
