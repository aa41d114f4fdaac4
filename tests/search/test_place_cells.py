"""The cells of a place, and what they count, against sums over the dense cube."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.strategies import grid_of, lively_cubes, seeds
from hypothesis import given
from hypothesis import strategies as st

from exod.counts.bayes import log10_b_eclipse, log10_b_peak
from exod.counts.cube import EventsByCell
from exod.counts.grid import Box, box_or_mask
from exod.observation.gti import BadTime
from exod.search.lightcurves import light_curve
from exod.search.nulls.null import CountedRun
from exod.search.places import (
    cells_near,
    cells_within,
    light_curve_at,
    photons_in,
    photons_of_windows,
)


def random_box(generator, shape):
    low = [int(generator.integers(0, n)) for n in shape]
    high = [int(generator.integers(a + 1, n + 1)) for a, n in zip(low, shape, strict=True)]
    return Box(low[0], high[0], low[1], high[1])


def counted(cube, expectation):
    bad = BadTime(np.empty((0, 2)), expectation.is_bad)
    return CountedRun((0.2, 12.0), cube.n_sum, bad, cube.masked, cube, expectation)


@given(lively_cubes(), seeds)
def test_any_cells_against_the_dense_cube(pair, seed):
    cube, expectation = pair
    generator = np.random.default_rng(seed)
    mask = generator.random(cube.box.shape) < generator.choice([0.0, 0.1, 0.6])
    curve = light_curve_at(counted(cube, expectation), box_or_mask(mask))
    dense = cube.to_dask().compute(scheduler="synchronous")
    n = dense[:, mask].sum(axis=1, dtype=int)
    mu = expectation.dense_block(0, cube.frames.n)[:, mask].sum(axis=1, dtype=float)
    assert curve.n.tolist() == n.tolist()
    assert curve.mu == pytest.approx(mu, rel=1e-5, abs=1e-12)
    some = mu > 0
    for values, function in (
        (curve.B_peak_log, log10_b_peak),
        (curve.B_eclipse_log, log10_b_eclipse),
    ):
        assert values[some] == pytest.approx(function(n, mu)[some], rel=1e-4, abs=1e-4)
        assert np.isnan(values[~some]).all()
    chosen = photons_in(cube, box_or_mask(mask))
    assert chosen.tolist() == [i for i, cell in enumerate(cube.cell) if mask.ravel()[cell]]
    assert len(chosen) == n.sum()


@given(lively_cubes(), seeds)
def test_the_cells_of_a_box_give_what_a_region_has_to_the_last_bit(pair, seed):
    cube, expectation = pair
    if not cube.box.size:
        return
    box = random_box(np.random.default_rng(seed), cube.box.shape)
    mask = np.zeros(cube.box.shape, bool)
    mask[box.slices] = True
    assert box_or_mask(mask) == box
    by_cell = EventsByCell(cube, np.ones(cube.box.shape, bool))
    expected = light_curve(cube, expectation, cube.masked, by_cell, box)
    found = light_curve_at(counted(cube, expectation), box_or_mask(mask))
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), values)


@given(
    st.integers(2, 40),
    seeds,
    st.floats(-3000, 55000),
    st.floats(-3000, 55000),
    st.one_of(st.none(), st.floats(0, 400)),
)
def test_cells_near_a_place(side, seed, x, y, radius):
    grid = grid_of(side)
    box = random_box(np.random.default_rng(seed), (side, side))
    cells = cells_near(grid, box, x, y, radius)
    found = np.zeros((side, side), bool)
    inner = found[box.slices]
    inner[cells.slices if isinstance(cells, Box) else cells] = True
    own = grid.flat_index(np.array([np.floor(x)], "i4"), np.array([np.floor(y)], "i4"))[0]
    for row in range(box.y_lo, box.y_hi):
        for column in range(box.x_lo, box.x_hi):
            away = np.hypot((column + 0.5) * grid.width - x, (row + 0.5) * grid.width - y)
            is_near = bool(radius) and away * 0.05 <= radius
            assert found[row, column] == (is_near or row * side + column == own)


def test_a_place_that_is_no_pixel_has_no_cell():
    grid = grid_of(10)
    for x, y in ((np.nan, 5.0), (5.0, np.nan), (np.nan, np.nan), (-1.0, 5.0), (1e9, 5.0)):
        cells = cells_near(grid, Box(0, 10, 0, 10), x, y)
        assert isinstance(cells, Box)
        assert cells.size == 0


@given(seeds)
def test_a_box_in_a_cropped_image(seed):
    generator = np.random.default_rng(seed)
    box, cropped = random_box(generator, (12, 12)), random_box(generator, (12, 12))
    whole = np.zeros((12, 12), bool)
    whole[box.slices] = True
    part = np.zeros(cropped.shape, bool)
    part[cells_within(box, cropped).slices] = True
    np.testing.assert_array_equal(part, whole[cropped.slices])


@given(lively_cubes(), seeds, st.integers(1, 3), st.integers(1, 3))
def test_photons_of_windows(pair, seed, width, shifts):
    cube, _ = pair
    if not cube.box.size:
        return
    generator = np.random.default_rng(seed)
    rows, columns = cube.box.shape
    n = int(generator.integers(0, 6))
    first, y, x = (generator.integers(0, size, n) for size in (cube.frames.n, rows, columns))
    found = photons_of_windows(cube, first, y, x, width=width, shifts=shifts)
    row, column = np.divmod(cube.cell, columns)
    expected = [
        i
        for i in range(cube.n_sum)
        if any(
            a <= cube.frame[i] < a + shifts
            and b <= row[i] < b + width
            and c <= column[i] < c + width
            for a, b, c in zip(first, y, x, strict=True)
        )
    ]
    assert found.tolist() == expected
