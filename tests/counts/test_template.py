"""The expectation: its views agree, its parts follow the method (method.md, Expectation)."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.strategies import grid_of, lively_cubes, seeds
from hypothesis import given
from hypothesis import strategies as st

from exod.counts.cube import CountCube
from exod.counts.grid import Box
from exod.counts.template import (
    Template,
    background_template,
    bright_cells,
    expect,
    mask_radius,
    source_discs,
    source_image,
)
from exod.observation.gti import Frames


def cube_of(counts, masked=None):
    frame, y, x = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0).T
    n = counts.shape[1]
    masked = np.zeros(len(counts), bool) if masked is None else masked
    frames, flat = Frames(0.0, 1.0, len(counts)), (y * n + x).astype(np.int32)
    return CountCube.from_events(frames, grid_of(n), frame.astype(np.int32), flat, masked)


@pytest.fixture
def flat_counts():
    return np.random.default_rng(8).poisson(3.0, (30, 12, 12))


def nothing_known(cube):
    return np.zeros(cube.box.shape, bool)


# --- views -----------------------------------------------------------------------------------


@given(lively_cubes(), seeds)
def test_all_views_agree(pair, seed):
    cube, expectation = pair
    generator = np.random.default_rng(seed)
    n = cube.frames.n
    dense = expectation.dense_block(0, n)
    assert dense.shape == cube.shape
    assert dense.dtype == np.float32
    whole = Box(0, cube.box.shape[0], 0, cube.box.shape[1])
    frame, cell = generator.integers(0, n, 20), generator.integers(0, cube.box.size or 1, 20)
    if cube.box.size:
        assert expectation.at(frame, cell) == pytest.approx(
            dense.reshape(n, -1)[frame, cell], rel=1e-6
        )
        exact = expectation.at(np.arange(n)[:, None], np.arange(cube.box.size)).reshape(cube.shape)
    else:
        exact = np.zeros(cube.shape)
    y, x = (np.sort(generator.integers(0, size + 1, 2)) for size in cube.box.shape)
    for box in (whole, Box(int(y[0]), int(y[1]), int(x[0]), int(x[1]))):
        expected = exact[:, *box.slices].sum(axis=(1, 2))
        assert expectation.light_curve(box) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    which = generator.random(n) < 0.5
    assert expectation.image() == pytest.approx(exact.sum(axis=0), rel=1e-9, abs=1e-12)
    image = expectation.image(which)
    assert image == pytest.approx(exact[which].sum(axis=0), rel=1e-9, abs=1e-12)
    assert (expectation.background_image(which) <= image + 1e-12).all()
    assert (expectation.largest() >= exact.max(axis=0) * (1 - 1e-12)).all()
    blocks = expectation.to_dask(cube).compute(scheduler="synchronous")
    assert np.array_equal(blocks, dense)


@given(lively_cubes())
def test_cells_without_a_template_expect_nothing(pair):
    cube, expectation = pair
    dense = expectation.dense_block(0, cube.frames.n)
    for template, frames in (
        (expectation.good, ~expectation.is_bad),
        (expectation.bad, expectation.is_bad),
    ):
        assert not dense[frames][:, template.shape == 0].any()
    assert not dense[cube.masked].any()
    assert not dense[cube.light_curve() == 0].any()


@given(lively_cubes())
def test_expectations_are_never_negative_or_nan(pair):
    cube, expectation = pair
    assert (expectation.dense_block(0, cube.frames.n) >= 0).all()
    assert (expectation.source >= 0).all()


# --- templates -------------------------------------------------------------------------------


@given(seeds, st.floats(0.05, 30), st.floats(0, 0.3))
def test_template_properties(seed, rate, masked):
    generator = np.random.default_rng(seed)
    image = generator.poisson(rate, (15, 13))
    mask = generator.random(image.shape) < masked
    template = background_template(image, mask)
    assert template.counts == image[~mask].sum()
    assert not template.shape[image == 0].any()
    assert template.shape.dtype == np.float64
    assert np.isfinite(template.shape).all()
    assert (template.shape >= 0).all()


def test_template_of_a_flat_image_is_flat():
    image = np.full((20, 20), 50)
    mask = np.zeros(image.shape, bool)
    mask[8:12, 8:12] = True
    image[mask] = 5000
    template = background_template(image, mask)
    inner = template.shape[2:-2, 2:-2]
    assert inner == pytest.approx(50 / image[~mask].sum(), rel=1e-5)


def test_template_sums_to_one_outside_the_mask(flat_counts):
    """Apart from the rim, where the blur loses to the outside, and the empty cells."""
    image = np.pad(flat_counts.sum(axis=0), 3)
    template = background_template(image, np.zeros(image.shape, bool))
    assert template.shape.sum() == pytest.approx(1, abs=0.1)


def test_template_has_the_gaussian_blur_of_half_a_cell():
    image = np.full((15, 15), 1)
    image[7, 7] = 100_001
    blurred = background_template(image, np.zeros(image.shape, bool)).shape
    weight = np.exp(-(np.arange(-2, 3.0) ** 2) / (2 * 0.5**2))
    weight /= weight.sum()
    shape = (blurred - 1 / image.sum()) * image.sum() / 1e5
    assert shape[5:10, 5:10] == pytest.approx(np.outer(weight, weight), abs=1e-4)


def test_template_of_nothing():
    template = background_template(np.zeros((4, 5), int), np.zeros((4, 5), bool))
    assert template.counts == 0
    assert not template.shape.any()
    masked = background_template(np.ones((4, 5), int), np.ones((4, 5), bool))
    assert masked.counts == 0
    assert not masked.shape.any()


def test_good_and_bad_time_have_their_own_templates(flat_counts):
    counts = flat_counts.copy()
    counts[20:, :, 6:] *= 4
    is_bad = np.arange(30) >= 20
    expectation = expect(cube_of(counts), is_bad, np.zeros((12, 12), bool))
    sides = [
        t.shape[:, 6:].sum() / t.shape[:, :6].sum() for t in (expectation.good, expectation.bad)
    ]
    assert sides[0] == pytest.approx(1, abs=0.15)
    assert sides[1] == pytest.approx(4, abs=0.6)


# --- sources ---------------------------------------------------------------------------------


def test_bright_cells_exceed_three_upper_quartiles():
    image = np.full((5, 5), 10)
    image[2, 2], image[3, 3], image[1, 1] = 31, 30, 1000
    known = np.zeros(image.shape, bool)
    known[1, 1] = True
    bright = bright_cells(image, known)
    assert bright[2, 2]
    assert bright[1, 1]
    assert bright.sum() == 2


def test_a_sparse_image_is_not_bright_as_a_whole():
    """Where most cells are empty, those with counts would all be masked, and none be tested."""
    generator = np.random.default_rng(1)
    counts = generator.poisson(0.01, (20, 20, 20))
    image = counts.sum(axis=0)
    nothing = np.zeros(image.shape, bool)
    assert np.percentile(image, 75) == 0
    image[3, 4] = 40
    assert np.argwhere(bright_cells(image, nothing)).tolist() == [[3, 4]]
    expectation = expect(cube_of(counts), np.zeros(20, bool), nothing)
    assert expectation.image().sum() > 0
    assert not bright_cells(np.zeros((3, 3), int), np.zeros((3, 3), bool)).any()


def test_everything_known_leaves_nothing_bright():
    assert not bright_cells(np.ones((3, 3), int), np.ones((3, 3), bool)).any()


def test_known_sources_do_not_raise_the_quartile():
    image = np.full((4, 4), 1)
    image[:2] = 100
    known = image == 100
    image[3, 3] = 4
    assert bright_cells(image, known)[3, 3]
    assert not bright_cells(image, np.zeros((4, 4), bool))[3, 3]


def test_source_image_is_the_excess_in_the_mask():
    image, mask = np.full((3, 3), 10), np.zeros((3, 3), bool)
    image[1, 1], mask[1, 1], mask[0, 0] = 110, True, True
    source = source_image(image, Template(np.full((3, 3), 0.2), 100.0), mask, 30.0)
    expected = np.zeros((3, 3))
    expected[1, 1] = 3.0
    assert source == pytest.approx(expected)
    assert not source_image(image, Template(np.ones((3, 3)), 1.0), mask, 0.0).any()


@pytest.mark.parametrize("n_bad", [10, 20])
def test_source_is_taken_from_the_longer_kind_of_time(flat_counts, n_bad):
    """A source twice as bright in bad time: whichever has more frames says how bright it is."""
    counts = flat_counts.copy()
    is_bad = np.arange(30) < n_bad
    counts[:, 6, 6] = np.where(is_bad, 400, 200)
    known = np.zeros((12, 12), bool)
    known[6, 6] = True
    expectation = expect(cube_of(counts), is_bad, known)
    assert expectation.source[6, 6] == pytest.approx(400 if n_bad == 20 else 200, rel=0.03)


def test_light_curve_of_the_background_leaves_sources_out(flat_counts):
    counts = flat_counts.copy()
    counts[:, 6, 6] = 500
    cube = cube_of(counts)
    expectation = expect(cube, np.zeros(30, bool), np.zeros((12, 12), bool))
    assert expectation.source_mask[6, 6]
    outside = counts[:, ~expectation.source_mask].sum(axis=1)
    assert expectation.level.tolist() == outside.tolist()


def test_frames_without_counts_have_no_expectation(flat_counts):
    counts = flat_counts.copy()
    counts[:, 6, 6] = 500
    counts[4] = 0
    masked = np.arange(30) == 9
    expectation = expect(cube_of(counts, masked), np.zeros(30, bool), np.zeros((12, 12), bool))
    assert np.flatnonzero(expectation.exposure == 0).tolist() == [4, 9]
    dense = expectation.dense_block(0, 30)
    assert np.flatnonzero(~dense.any(axis=(1, 2))).tolist() == [4, 9]


def test_a_steady_field_is_expected(flat_counts):
    """Counts agree with the expectation frame by frame and cell by cell, chi2 of about one."""
    counts = flat_counts.copy()
    counts[:, 6, 6] = np.random.default_rng(2).poisson(200, 30)
    expectation = expect(cube_of(counts), np.zeros(30, bool), np.zeros((12, 12), bool))
    mu = expectation.dense_block(0, 30)[:, 2:-2, 2:-2]
    chi2 = ((counts[:, 2:-2, 2:-2] - mu) ** 2 / mu).mean()
    assert chi2 == pytest.approx(1, abs=0.1)


# --- degenerate input ------------------------------------------------------------------------


@pytest.mark.parametrize("is_bad", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rate", [0.0, 1e-3, 2.0])
def test_nothing_warns_or_fails(is_bad, masked, rate):
    counts = np.random.default_rng(1).poisson(rate, (7, 5, 5))
    cube = cube_of(counts, np.full(7, masked))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expectation = expect(cube, np.full(7, is_bad), nothing_known(cube))
        everything = replace(expectation, source_mask=~nothing_known(cube))
        masked_all = expect(cube, np.full(7, is_bad), ~nothing_known(cube))
        image = expectation.image()
    assert image.shape == cube.box.shape
    assert everything.image().shape == cube.box.shape
    assert not masked_all.level.any()
    if masked or rate == 0:
        assert not image.any()


def test_no_frames():
    cube = cube_of(np.zeros((0, 3, 3), int))
    expectation = expect(cube, np.zeros(0, bool), nothing_known(cube))
    assert expectation.dense_block(0, 0).shape == (0, 0, 0)
    assert expectation.largest().shape == (0, 0)


# --- discs -----------------------------------------------------------------------------------


def test_radii():
    sources = pd.DataFrame(
        {
            "rate": [2.0, 1.0, 0.5, 0.1, 0.01, np.nan, 5.0, 0.01],
            "extent_arcsec": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 33.0, 12.0],
        }
    )
    assert mask_radius(sources, 20.0).tolist() == [80, 40, 40, 20, 20, 20, 33, 12]
    assert mask_radius(sources.iloc[:0], 20.0).shape == (0,)


@given(seeds, st.floats(0.3, 6))
def test_discs_are_circles_without_the_rim(seed, radius):
    generator = np.random.default_rng(seed)
    grid, box = grid_of(129), Box(20, 40, 50, 65)
    x, y = generator.uniform(48, 67, 3) * grid.width, generator.uniform(18, 42, 3) * grid.width
    mask = source_discs(box, grid, x, y, np.full(3, radius))
    expected = np.zeros(box.shape, bool)
    for row in range(1, box.shape[0] - 1):
        for column in range(1, box.shape[1] - 1):
            for cx, cy in zip((x - 80) / grid.width - 50, (y - 80) / grid.width - 20, strict=True):
                expected[row, column] |= (row - cy) ** 2 + (column - cx) ** 2 < radius**2
    assert np.array_equal(mask, expected)


def test_positions_without_a_place_are_ignored():
    box, grid = Box(0, 10, 0, 10), grid_of(129)
    x = np.array([np.nan, 1e9, -1e9, 2000.0, np.inf])
    y = np.array([2000.0, 2000.0, 2000.0, np.nan, 2000.0])
    assert not source_discs(box, grid, x, y, np.full(5, 3.0)).any()


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (1, 5), (5, 2), (2, 2)])
def test_discs_in_small_images(shape):
    box = Box(0, shape[0], 0, shape[1])
    mask = source_discs(box, grid_of(129), np.array([200.0]), np.array([200.0]), np.array([9.0]))
    assert mask.shape == shape
    assert not mask.any()
