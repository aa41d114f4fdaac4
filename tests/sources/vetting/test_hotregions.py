"""Hot regions of the detector: found where they are, and nowhere else."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exod.errors import InputError
from exod.instruments.detector import DETECTORS
from exod.instruments.detector import POINTING_PIXEL as SIMULATED_POINTING
from exod.sources.vetting.detectorframe import POINTING_PIXEL, about_pivot, detector_position
from exod.sources.vetting.hotregions import (
    GRIDS,
    HotSearch,
    boxes_of,
    count_places,
    hot_boxes,
    hot_cells,
    inside,
    merged,
    occupied,
)

SEARCH = HotSearch()
N_PLACES = 12 * 4**10
FIELD = 18_000.0
"""15 arcmin in sky pixels."""


def disc(random, n, radius=FIELD):
    """Uniform positions in a disc."""
    r, angle = radius * np.sqrt(random.uniform(size=n)), random.uniform(0, 2 * np.pi, n)
    return r * np.cos(angle), r * np.sin(angle)


def boxes(x, y, place=None, search=SEARCH, *, seed=0):
    if place is None:
        place = np.random.default_rng(seed).integers(0, N_PLACES, len(x))
    return hot_boxes(occupied(x, y, place, search), search).assign(t_bin=np.nan)


def flagged(x, y, **options):
    return inside(x, y, np.full(len(x), 5.0), boxes(x, y, **options))


# -------------------------------------------------------------------- the detector's frame


@pytest.mark.parametrize("camera", ["EPN", "EMOS1"])
def test_a_point_of_the_detector_stays_where_it_is(camera):
    """Sky pixels of the simulator, for any position angle, are turned back to one place."""
    detector = DETECTORS[camera]
    detx, dety = np.array([5000.0, -300.0]), np.array([-7000.0, 200.0])
    places = []
    for angle in (0.0, 17.0, 123.4, 359.0):
        x, y = detector.sky_from_detector(detx, dety, angle)
        places.append(detector_position(x, y, angle, SIMULATED_POINTING, SIMULATED_POINTING))
    assert np.allclose(places, places[0], atol=1e-6)
    assert np.abs(places[0]).max() > 1000


@given(*[st.floats(0, 50_000) for _ in range(2)], st.floats(-720, 720))
def test_turning_keeps_distances_and_is_that_of_method_9(x, y, angle):
    found = detector_position(x, y, angle, 25921.0, 25921.0)
    a, dx, dy = np.deg2rad(angle), x - 25921.0, y - 25921.0
    expected = dx * np.cos(-a) - dy * np.sin(-a), dx * np.sin(-a) + dy * np.cos(-a)
    assert np.allclose(found, expected)
    assert np.isclose(np.hypot(*found), np.hypot(dx, dy))


def test_unknown_angles_and_pointings():
    x, _ = detector_position([1.0, np.nan], [1.0, 2.0], [np.nan, 0.0], 0.0, 0.0)
    assert np.isnan(x).all()
    assert np.allclose(detector_position(POINTING_PIXEL, POINTING_PIXEL, 33.0, np.nan, np.nan), 0)


# -------------------------------------------------------------------- counting

positions = st.lists(
    st.tuples(st.integers(-1500, 1500), st.integers(-1500, 1500), st.integers(0, 3)), max_size=40
)
COARSE = HotSearch(cell_arcsec=20.0, radius_arcsec=60.0)


@given(positions)
def test_places_are_counted_once_a_cell(rows):
    x, y, place = np.array(rows, float).reshape(-1, 3).T
    pairs = occupied(x, y, place.astype(int), COARSE)
    side = COARSE.side
    for grid in GRIDS:
        expected = [[set() for _ in range(side // 2 + 1)] for _ in range(side // 2 + 1)]
        for a, b, p in rows:
            i, j = int((b + 1200) // 200), int((a + 1200) // 200)
            if 0 <= i < side and 0 <= j < side:
                expected[(i + grid[0]) // 2][(j + grid[1]) // 2].add(p)
        found = count_places(pairs, COARSE, grid)
        assert found.tolist() == [[len(cell) for cell in row] for row in expected]


@given(positions, st.integers(1, 5))
def test_parts_and_order_do_not_matter(rows, n_parts):
    table = np.array(rows, float).reshape(-1, 3)
    whole = occupied(table[:, 0], table[:, 1], table[:, 2].astype(int), COARSE)
    parts = [table[k::n_parts] for k in reversed(range(n_parts))]
    together = merged(occupied(p[:, 0], p[:, 1], p[:, 2].astype(int), COARSE) for p in parts)
    assert together.tolist() == whole.tolist()


def test_places_must_be_numbers_of_pixels():
    with pytest.raises(InputError, match="Places on the sky"):
        occupied([0.0], [0.0], [-1], SEARCH)
    with pytest.raises(InputError, match="cannot be searched"):
        HotSearch(inner_cells=7)


# -------------------------------------------------------------------- boxes


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_boxes_hold_each_hot_cell_once_and_nothing_else(hot):
    cover = np.zeros(hot.shape, int)
    for y_lo, y_hi, x_lo, x_hi in boxes_of(hot):
        cover[y_lo:y_hi, x_lo:x_hi] += 1
    assert (cover == hot).all()


edge = st.floats(-100, 100)


@given(
    st.lists(st.tuples(edge, edge, edge, edge, st.sampled_from([5.0, 50.0, np.nan])), max_size=5),
    st.lists(st.tuples(edge, edge, st.sampled_from([5.0, 50.0])), max_size=20),
)
def test_what_is_inside(edges, points):
    table = pd.DataFrame(edges, columns=["x_lo", "x_hi", "y_lo", "y_hi", "t_bin"], dtype=float)
    x, y, t_bin = np.array(points, float).reshape(-1, 3).T
    expected = [
        any(
            a <= px < b and c <= py < d and (width != width or width == bins)
            for a, b, c, d, width in edges
        )
        for px, py, bins in points
    ]
    assert inside(x, y, t_bin, table).tolist() == expected
    assert not inside(np.full(2, np.nan), np.zeros(2), np.full(2, 5.0), table).any()


# -------------------------------------------------------------------- the search


@pytest.mark.parametrize("n", [0, 1, 4])
def test_few_regions_are_no_hot_region(n):
    found = boxes(np.full(n, 5000.0), np.full(n, 5000.0), np.arange(n))
    assert len(found) == 0
    assert found.columns[:4].tolist() == ["x_lo", "x_hi", "y_lo", "y_hi"]


@pytest.mark.parametrize("offset", [0.0, 100.0, 200.0, 317.0])
def test_a_spot_is_found_wherever_it_is_in_its_cell(offset):
    random = np.random.default_rng(int(offset))
    x, y = disc(random, 5000)
    hot_x, hot_y = (centre + offset + random.normal(0, 60, 25) for centre in (8000.0, -6000.0))
    found = flagged(np.r_[x, hot_x], np.r_[y, hot_y])
    assert found[5000:].mean() > 0.9
    assert found[:5000].sum() < 10


@pytest.mark.parametrize("n", [2_000, 20_000])
def test_chance_makes_few_hot_cells(n):
    """At a rate that can be measured: fewer cells, of all grids, than asked for."""
    search = HotSearch(false_boxes=2.0, min_places=2, min_ratio=1.0, neighbour_p=0.0)
    found = 0
    for seed in range(8):
        random = np.random.default_rng(seed)
        pairs = occupied(*disc(random, n), random.integers(0, N_PLACES, n), search)
        found += sum(
            int(hot_cells(count_places(pairs, search, grid), search, grid)[0].sum())
            for grid in GRIDS
        )
    assert found <= 8 * 2.0


def test_nothing_is_hot_in_uniform_catalogues():
    for seed, n in enumerate([300, 3000, 30_000] * 3):
        assert len(boxes(*disc(np.random.default_rng(seed), n), seed=seed)) == 0


def test_edges_of_chips_and_vignetting_are_not_hot():
    """A chip with twenty times the regions of the others; fewer towards the edge of the field."""
    random = np.random.default_rng(2)
    x, y = disc(random, 60_000)
    chip = (np.abs(x - 6000) < 4000) & (np.abs(y) < 7000)
    likely = np.where(chip, 1.0, 0.05) * (1 - 0.6 * (np.hypot(x, y) / FIELD) ** 2)
    kept = random.uniform(size=len(x)) < likely
    assert len(boxes(x[kept], y[kept])) == 0


def test_targets_are_not_hot_but_spots_elsewhere_are():
    """A quarter of 400 observations has its target near the pointing."""
    random = np.random.default_rng(4)
    x, y = disc(random, 1200)
    target = random.normal(0, 300, (2, 100))
    spot = random.normal(0, 50, (2, 15)) + np.array([[9000.0], [3000.0]])
    found = flagged(np.r_[x, target[0], spot[0]], np.r_[y, target[1], spot[1]])
    assert found[1300:].all()
    assert found[:1300].sum() < 5
    without = HotSearch(target_radius_arcsec=0.0)
    assert flagged(np.r_[x, target[0]], np.r_[y, target[1]], search=without)[1200:].sum() > 50


def test_one_source_seen_again_and_again_is_not_hot():
    """The same field at the same position angle: one place on the sky, or two at the edge."""
    random = np.random.default_rng(5)
    x, y = (centre + random.normal(0, 60, 200) for centre in (7000.0, 7000.0))
    assert not flagged(x, y, place=random.integers(70, 72, 200)).any()
    assert flagged(x, y, place=np.arange(200)).mean() > 0.9


def test_a_hot_column_does_not_hide_itself():
    random = np.random.default_rng(6)
    x, y = disc(random, 5000)
    column = np.full(600, 4000.0), random.uniform(-9000, -3000, 600)
    found = flagged(np.r_[x, column[0]], np.r_[y, column[1]])
    assert found[5000:].mean() > 0.9
    assert found[:5000].mean() < 0.02


@given(st.data())
def test_positions_about_a_pivot_are_those_of_the_published_formula(data):
    number = st.floats(0, 51840)
    x, y, x_ref, y_ref = (data.draw(number) for _ in range(4))
    pivot = data.draw(st.tuples(number, number) | st.just((25719.0, 25719.0)))
    angle = data.draw(st.floats(0, 360))
    there = detector_position(x, y, angle, x_ref, y_ref)
    found = about_pivot(*there, angle, x_ref, y_ref, pivot)
    # X' = dX cos(-a) - dY sin(-a), Y' = dX sin(-a) + dY cos(-a), a in radians.
    a, dx, dy = math.radians(angle), x - pivot[0], y - pivot[1]
    expected = (
        dx * math.cos(-a) - dy * math.sin(-a),
        dx * math.sin(-a) + dy * math.cos(-a),
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)
