"""The variability image of EXOD I."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.strategies import grid_of_size
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from exod.completeness.exod1 import (
    MAX_AREA,
    MAX_REGIONS,
    p_constant,
    variability_image,
    variable_places,
)
from exod.counts.cube import CountCube
from exod.observation.gti import Frames


def cube_of(n: np.ndarray, chunk_frames: int | None = None) -> CountCube:
    """A cube with these counts, axes (time, y, x), at the corner of the field."""
    grid = grid_of_size(20.0)
    frame, y, x = (np.repeat(axis, n[n > 0]).astype(np.int32) for axis in np.nonzero(n))
    flat = (y * grid.n + x).astype(np.int32)
    masked = np.zeros(len(n), bool)
    frames = Frames(0.0, 10.0, len(n))
    return CountCube.from_events(frames, grid, frame, flat, masked, chunk_frames=chunk_frames)


def field(mean: float = 1.0, shape: tuple[int, int, int] = (200, 40, 40)) -> np.ndarray:
    return np.random.default_rng(1).poisson(mean, shape)


def variability_image_dense(cube: CountCube, use: np.ndarray) -> np.ndarray:
    """From the dense cube; slow."""
    n = cube.to_dask().compute()[use].astype(float)
    if not len(n):
        return np.zeros(cube.box.shape)
    return np.asarray((n.max(axis=0) - n.mean(axis=0)) * n.std(axis=0))


@given(seed=st.integers(0, 50), mean=st.floats(0.05, 3), chunk=st.integers(1, 12))
def test_image_is_that_of_the_dense_cube(seed, mean, chunk):
    generator = np.random.default_rng(seed)
    cube = cube_of(generator.poisson(mean, (11, 4, 5)), chunk)
    use = generator.random(11) < 0.7
    np.testing.assert_allclose(
        variability_image(cube, use), variability_image_dense(cube, use), atol=1e-9
    )


def test_a_burst_is_the_most_variable_place():
    n = field()
    n[77, 20, 11] += 30
    places = variable_places(cube_of(n), np.ones(200, bool))
    first, width = places[0], grid_of_size(20.0).width
    assert first.brightest == 77
    assert first.x == pytest.approx(11.5 * width)
    assert first.y == pytest.approx(20.5 * width)
    assert all(place.variability < first.variability / 2 for place in places[1:])


def test_frames_that_are_left_out_do_not_count():
    n = field()
    n[77, 20, 11] += 30
    use = np.ones(200, bool)
    use[77] = False
    assert all(place.brightest != 77 for place in variable_places(cube_of(n), use))


def test_many_regions_raise_the_threshold():
    n = field()
    for i in range(30):
        n[i, 3 + 6 * (i // 6), 3 + 6 * (i % 6)] += 20 + i
    cube, use = cube_of(n), np.ones(200, bool)
    # At this level all 30 would be regions.
    places = variable_places(cube, use, level=2.0)
    assert 5 <= len(places) <= MAX_REGIONS
    assert places[0].brightest == 29


def test_large_regions_are_dropped():
    n = field()
    n[50, 10:18, 10:18] += 30
    assert MAX_AREA < 8 * 8
    assert not any(
        place.box.y_lo <= 12 < place.box.y_hi and place.box.x_lo <= 12 < place.box.x_hi
        for place in variable_places(cube_of(n), np.ones(200, bool))
    )


@pytest.mark.parametrize("use", [np.ones(5, bool), np.zeros(5, bool)])
def test_nothing_in_nothing(use):
    assert variable_places(cube_of(np.zeros((5, 3, 3), int)), use) == []


def test_probability_is_that_of_scipy():
    """scipy compares both sides of each step with the continuous curve; here both are steps."""
    n = np.random.default_rng(2).poisson(2.0, 500)
    n[:60] += 6
    assert p_constant(n) < 1e-3
    assert p_constant(n) >= stats.kstest(n, stats.poisson(n.mean()).cdf).pvalue


def test_constant_light_curves_are_seldom_called_variable():
    generator = np.random.default_rng(3)
    found = [p_constant(generator.poisson(1.5, 300)) for _ in range(200)]
    assert np.mean(np.array(found) < 0.05) <= 0.05
    assert np.isnan(p_constant(np.zeros(10, int)))


def test_one_bright_frame_does_not_show_in_the_distribution():
    n = np.random.default_rng(4).poisson(0.02, 4000)
    n[100] += 30
    assert p_constant(n) > 0.5
