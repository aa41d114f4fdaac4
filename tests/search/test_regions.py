"""Significant cells against the dense reference; regions against another labelling."""

from dataclasses import fields, replace

import numpy as np
import pytest
from helpers.dense_search import significant_cells_dense
from helpers.examples import portion
from helpers.strategies import grid_of, lively_cubes, seeds, sigmas
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from exod.counts.bayes import Thresholds, log10_b_eclipse, log10_b_peak
from exod.counts.cube import CountCube
from exod.counts.grid import Box
from exod.counts.template import Expectation, Template
from exod.observation.gti import Frames
from exod.search.regions import (
    SignificantCells,
    find_regions,
    significant_cells,
)


def assert_same(found, expected):
    for item in fields(SignificantCells):
        a, b = getattr(found, item.name), getattr(expected, item.name)
        assert a.dtype == b.dtype, item.name
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), item.name


def flat_expectation(shape, mu, n_frames):
    """`mu` in every cell of every frame."""
    return Expectation(
        good=Template(np.full(shape, 1.0), 1.0),
        bad=Template(np.zeros(shape), 0.0),
        source=np.zeros(shape),
        source_mask=np.zeros(shape, bool),
        level=np.full(n_frames, mu),
        exposure=np.ones(n_frames),
        is_bad=np.zeros(n_frames, bool),
    )


def cube_of(counts, masked=None, chunk_frames=None):
    """A cube whose box is all of `counts` (frame, y, x); its corners must not be empty."""
    frame, y, x = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0).T
    n = counts.shape[1]
    return CountCube.from_events(
        Frames(0.0, 1.0, len(counts)),
        grid_of(n),
        frame.astype(np.int32),
        (y * n + x).astype(np.int32),
        np.zeros(len(counts), bool) if masked is None else masked,
        chunk_frames=chunk_frames,
    )


# --- cells -----------------------------------------------------------------------------------


@settings(max_examples=portion(150))
@given(lively_cubes(), sigmas, st.sampled_from(["exod2", "exact"]))
def test_fast_search_equals_the_dense_one(pair, sigma, rule):
    cube, expectation = pair
    thresholds = Thresholds(sigma, rule)
    found = significant_cells(cube, expectation, thresholds)
    assert_same(found, significant_cells_dense(cube, expectation, thresholds))


@given(lively_cubes(), st.lists(st.integers(1, 30), min_size=1, max_size=3))
def test_cells_do_not_depend_on_chunks(pair, sizes):
    cube, expectation = pair
    thresholds = Thresholds(2.0)
    expected = significant_cells(cube, expectation, thresholds)
    for size in sizes:
        other = replace(cube, chunk_frames=size)
        assert_same(significant_cells(other, expectation, thresholds), expected)


@given(lively_cubes(), sigmas)
def test_exact_rule_finds_all_that_the_published_one_does(pair, sigma):
    cube, expectation = pair
    published, exact = (
        {*zip(c.frame.tolist(), c.y.tolist(), c.x.tolist(), c.is_peak.tolist(), strict=True)}
        for c in (
            significant_cells(cube, expectation, Thresholds(sigma, rule))
            for rule in ("exod2", "exact")
        )
    )
    assert published <= exact


def test_the_strategy_finds_peaks_and_eclipses():
    """The comparisons above would prove nothing if their cubes held no significant cells."""
    peaks, eclipses, runs = 0, 0, []

    @settings(max_examples=portion(60), database=None, derandomize=True)
    @given(lively_cubes())
    def count(pair):
        nonlocal peaks, eclipses
        cells = significant_cells(*pair, Thresholds(2.0))
        peaks += cells.is_peak.any()
        eclipses += (~cells.is_peak).any()
        runs.append(len(cells))

    count()
    assert peaks > len(runs) / 4
    assert eclipses > len(runs) / 12


@pytest.mark.parametrize("cells_per_block", [1, 7, 10**6])
def test_eclipses_in_blocks(cells_per_block, monkeypatch):
    monkeypatch.setattr("exod.search.regions.CELLS_PER_BLOCK", cells_per_block)
    generator = np.random.default_rng(5)
    counts = generator.poisson(20.0, (40, 4, 4))
    counts[[3, 17, 18], 2, 1] = 0
    counts[39, 0, 0] = 0
    cube = cube_of(counts, chunk_frames=9)
    expectation = flat_expectation((4, 4), 20.0, 40)
    cells = significant_cells(cube, expectation, Thresholds(3.0))
    assert_same(cells, significant_cells_dense(cube, expectation, Thresholds(3.0)))
    eclipses = list(zip(cells.frame, cells.y, cells.x, strict=True))
    assert eclipses == [(3, 2, 1), (17, 2, 1), (18, 2, 1), (39, 0, 0)]
    assert not cells.is_peak.any()
    assert cells.b_log == pytest.approx(float(log10_b_eclipse(0, 20.0)))


def test_one_peak():
    counts = np.ones((5, 3, 3), int)
    counts[2, 1, 1] = 15
    cube, expectation = cube_of(counts), flat_expectation((3, 3), 1.0, 5)
    cells = significant_cells(cube, expectation, Thresholds(3.0))
    assert (cells.frame, cells.y, cells.x, cells.n) == (2, 1, 1, 15)
    assert cells.mu == [1.0]
    assert cells.b_log == pytest.approx(float(log10_b_peak(15, 1.0)))


def test_the_published_rule_asks_for_one_count_more():
    limit = int(np.ceil(np.argmax(Thresholds(3.0, "exact").peak_limit(np.arange(100)) > 1.0)))
    for n, rules in ((limit - 1, ""), (limit, "exact"), (limit + 1, "exact exod2")):
        counts = np.ones((1, 3, 3), int)
        counts[0, 1, 1] = n
        for rule in ("exact", "exod2"):
            expectation = flat_expectation((3, 3), 1.0, 1)
            cells = significant_cells(cube_of(counts), expectation, Thresholds(3.0, rule))
            assert len(cells) == (rule in rules.split())


def test_masked_frames_hold_neither_peaks_nor_eclipses():
    counts = np.full((4, 3, 3), 40)
    counts[1], counts[2, 1, 1] = 0, 200
    masked = np.array([False, True, True, False])
    cube, expectation = cube_of(counts, masked), flat_expectation((3, 3), 40.0, 4)
    assert len(significant_cells(cube, expectation, Thresholds(3.0))) == 0
    assert len(significant_cells_dense(cube, expectation, Thresholds(3.0))) == 0


@pytest.mark.parametrize("n_frames", [0, 1, 5])
def test_no_counts_at_all(n_frames):
    cube = cube_of(np.zeros((n_frames, 3, 3), int))
    expectation = flat_expectation(cube.box.shape, 0.0, n_frames)
    cells = significant_cells(cube, expectation, Thresholds(3.0))
    assert len(cells) == 0
    assert_same(cells, significant_cells_dense(cube, expectation, Thresholds(3.0)))
    assert find_regions(cells, cube.image()) == []


# --- regions ---------------------------------------------------------------------------------


def cells_at(frame, y, x):
    frame, y, x = (np.asarray(a, np.int32) for a in (frame, y, x))
    ones = np.ones(len(frame))
    return SignificantCells(frame, y, x, ones.astype("i4"), ones, ones > 0, ones, ones, ones)


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 0.7), seeds)
def test_regions_are_connected_components(n_y, n_x, density, seed):
    generator = np.random.default_rng(seed)
    cube = generator.random((3, n_y, n_x)) < density / 2
    cells = cells_at(*np.nonzero(cube))
    image = generator.integers(0, 5, (n_y, n_x))
    labels, n = ndimage.label(cube.any(axis=0), np.ones((3, 3)))
    regions = find_regions(cells, image)
    assert [region.label for region in regions] == list(range(n))
    members = [region.members for region in regions]
    assert sorted(np.concatenate([*members, []]).astype(int)) == list(range(len(cells)))
    for region in regions:
        y, x = cells.y[region.members], cells.x[region.members]
        (label,) = np.unique(labels[y, x])
        component = labels == label
        assert {*zip(y, x, strict=True)} == {*zip(*np.nonzero(component), strict=True)}
        assert region.box == Box(y.min(), y.max() + 1, x.min(), x.max() + 1)
        centre = ndimage.center_of_mass(component)
        assert (region.y_centroid, region.x_centroid) == pytest.approx(centre)
        weight = image * component
        weighted = ndimage.center_of_mass(weight) if weight.any() else centre
        assert (region.y_weighted, region.x_weighted) == pytest.approx(weighted)
        assert region.intensity_mean == pytest.approx(image[component].mean())
        area = np.pi / 4 * region.equivalent_diameter**2
        assert area == pytest.approx(component.sum())


def test_labels_follow_x_then_y():
    regions = find_regions(cells_at([0, 1, 2], [5, 0, 3], [0, 4, 4]), np.ones((6, 6), int))
    assert [(region.box.y_lo, region.box.x_lo) for region in regions] == [(5, 0), (0, 4), (3, 4)]


def test_diagonal_neighbours_are_one_region():
    (region,) = find_regions(cells_at([0, 7], [1, 2], [1, 2]), np.ones((4, 4), int))
    assert region.members.tolist() == [0, 1]
    assert region.box == Box(1, 3, 1, 3)


def test_a_cell_significant_in_many_frames_is_one_region():
    (region,) = find_regions(cells_at([0, 3, 9], [2, 2, 2], [1, 1, 1]), np.ones((4, 4), int))
    assert region.members.tolist() == [0, 1, 2]
    assert region.equivalent_diameter == pytest.approx(2 / np.sqrt(np.pi))


def test_regions_without_counts_have_a_centroid():
    (region,) = find_regions(cells_at([0, 0], [1, 1], [1, 2]), np.zeros((4, 4), int))
    assert (region.y_weighted, region.x_weighted) == (1.0, 1.5)
