"""The sliding search finds what plain loops over all windows find."""

from dataclasses import fields, replace

import numpy as np
import pytest
from helpers.examples import portion
from helpers.sliding_cases import (
    T_LO,
    Case,
    always,
    make_case,
    random_case,
    window_counts,
    window_probabilities,
)
from helpers.strategies import seeds
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.counts.bayes import log10_b_eclipse, log10_b_peak
from exod.counts.shares import LiveTime
from exod.search import sliding
from exod.search.nulls.null import Searched
from exod.search.regions import SignificantCells
from exod.search.sliding import (
    least_counts_of,
    significant_windows,
)


def search(case: Case, p_log: float, crowd: int = 1, whole=None):
    return significant_windows(
        case.cube, whole or case.cube, case.sums, case.expectation, case.shifts, p_log, crowd
    )


def assert_same(found: SignificantCells, expected: SignificantCells) -> None:
    for item in fields(SignificantCells):
        a, b = getattr(found, item.name), getattr(expected, item.name)
        assert a.dtype == b.dtype, item.name
        assert np.array_equal(a, b), item.name


# --- the search ------------------------------------------------------------------------------


def assert_found(case: Case, cells: SignificantCells, p_log: float) -> None:
    """The cells are those of the slow reference."""
    n = window_counts(case)
    mu, upper, lower = window_probabilities(case)
    start = np.rint((cells.start - T_LO) / case.cube.frames.t_bin).astype(int)
    assert np.array_equal(cells.frame, start // case.shifts)
    for is_peak, tail in ((True, upper), (False, lower)):
        hit = tail <= p_log
        mine = cells.is_peak == is_peak
        index = start[mine], cells.y[mine], cells.x[mine]
        assert {*zip(*(i.tolist() for i in index), strict=True)} == {
            *zip(*(i.tolist() for i in np.nonzero(hit)), strict=True)
        }
        assert mine.sum() == hit.sum()
        assert np.array_equal(cells.n[mine], n[index])
        assert cells.mu[mine] == pytest.approx(mu[index])
        assert cells.p_log[mine] == pytest.approx(tail[index], abs=1e-6)
        bayes = log10_b_peak if is_peak else log10_b_eclipse
        assert cells.b_log[mine] == pytest.approx(bayes(n[index], mu[index]), abs=1e-6)
    order = np.lexsort((cells.x, cells.y, start))
    assert np.array_equal(order, np.arange(len(cells)))


@settings(max_examples=portion(40))
@given(seeds, st.sampled_from([-3.41, -5.17, -8.23]))
def test_search_finds_what_plain_loops_find(seed, p_log):
    case = random_case(seed)
    assert_found(case, search(case, p_log).cells, p_log)


def test_the_random_cases_have_peaks_and_eclipses():
    """The comparisons would prove nothing without."""
    peaks = eclipses = several = 0
    for seed in range(60):
        case = random_case(seed)
        cells = search(case, -3.41).cells
        peaks += bool(cells.is_peak.any())
        eclipses += bool((~cells.is_peak).any())
        several += case.expectation.curve.n_classes > 1
    assert peaks > 20
    assert eclipses > 3
    assert several >= 5


@settings(max_examples=portion(25))
@given(seeds, st.integers(1, 300), st.sampled_from([1, 100, 10**7]), st.sampled_from([0, 2, 10**6]))
def test_chunks_do_not_matter(seed, events, dense, sparse):
    case = random_case(seed)
    expected = search(case, -3.41, crowd=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sliding, "EVENTS_PER_CHUNK", events)
        patch.setattr(sliding, "DENSE", dense)
        patch.setattr(sliding, "SPARSE", sparse)
        patch.setattr(sliding, "CELLS_PER_BLOCK", events)
        found = search(case, -3.41, crowd=3)
    assert_same(found.cells, expected.cells)
    assert np.array_equal(found.crowded, expected.crowded)


@settings(max_examples=portion(25))
@given(seeds, st.integers(1, 6))
def test_crowded_events_share_a_window_with_others(seed, crowd):
    """None is missed; windows that stick out of the image may add some."""
    case = random_case(seed)
    n = window_counts(case)
    rows, columns = n.shape[1:]
    y, x = np.divmod(case.cube.cell, max(case.cube.box.shape[1], 1))
    found = search(case, -3.0, crowd)
    for event in range(0, case.cube.n_sum, max(case.cube.n_sum // 50, 1)):
        frame = case.cube.frame[event]
        around = n[
            max(frame - case.shifts + 1, 0) : frame + 1,
            max(y[event] - case.width + 1, 0) : min(y[event], rows - 1) + 1,
            max(x[event] - case.width + 1, 0) : min(x[event], columns - 1) + 1,
        ]
        is_crowded = around.max(initial=0) >= crowd
        assert found.crowded[event] >= is_crowded
        if case.width == 1:
            assert found.crowded[event] == is_crowded


@settings(max_examples=portion(25))
@given(seeds)
def test_events_that_are_alone_need_not_be_looked_at(seed):
    """A peak has at least two counts."""
    case = random_case(seed)
    expected = search(case, -3.41, crowd=2)
    few = replace(
        case.cube,
        frame=case.cube.frame[expected.crowded],
        cell=case.cube.cell[expected.crowded],
        event=case.cube.event[expected.crowded],
    )
    assert_same(search(replace(case, cube=few), -3.41, whole=case.cube).cells, expected.cells)


def test_a_flare_that_fits_in_a_frame_hides_no_peak():
    """All of a class of time in one frame: any count more than its own is impossible."""
    generator = np.random.default_rng(2)
    quiet, flare = generator.random(9 * 400) * 100, 50 + 4 * generator.random(9 * 200)
    time = T_LO + np.concatenate([quiet, flare])
    cell = generator.integers(0, 9, len(time))
    case = make_case(time, cell, 3, always(100.0), 10.0)
    assert case.expectation.curve.n_classes > 1
    assert_found(case, search(case, -3.5).cells, -3.5)


@pytest.mark.parametrize("p_log", [-2.0, -2.5, -3.0])
def test_loose_thresholds(p_log):
    for seed in range(15):
        case = random_case(seed)
        assert_found(case, search(case, p_log).cells, p_log)


def test_least_counts_are_those_that_one_frame_could_hold():
    """Of 100 equal frames, all of k counts in one: 0.01^k."""
    generator = np.random.default_rng(1)
    time = T_LO + generator.random(5000) * 100
    case = make_case(time, generator.integers(0, 9, 5000), 3, always(100.0), 1.0)
    flat = np.full((case.expectation.curve.n_classes, 100), 0.01)
    assert [least_counts_of(case.sums, flat, p) for p in (-1.0, -4.0, -5.9, -6.1)] == [2, 2, 3, 4]
    assert least_counts_of(case.sums, np.ones((len(flat), 1)), -9.0) == 2


@pytest.mark.parametrize("shifts", [1, 2, 3])
def test_significant_frames_are_all_those_of_the_windows(shifts):
    case = random_case(8, n_frames=20, shifts=shifts)
    cells = search(case, -2.0).cells
    assert len(cells) > 2
    found = Searched(case.cube, case.expectation, cells, -cells.p_log, case.width, shifts)
    chosen = np.zeros(case.cube.frames.n, bool)
    for start in cells.start[:3]:
        middle = case.cube.frames.starts + case.cube.frames.t_bin / 2
        chosen |= (middle > start) & (middle < start + case.cube.frames.t_bin * shifts)
    assert np.array_equal(found.significant_frames(np.arange(len(cells))[:3]), chosen)


# --- degenerate cubes ------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("shifts", [1, 2])
@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("n_frames", [0, 1, 2, 50])
def test_few_events_and_few_frames(width, shifts, n, n_frames):
    time = T_LO + np.full(n, 0.25)
    span = max(n_frames * 1.0, 0.5)
    case = make_case(time, np.full(n, 4), 3, always(span), 1.0, width=width, shifts=shifts)
    cells = search(case, -3.0).cells
    if n == 2 and n_frames == 50:
        assert_found(case, cells, -3.0)
        assert cells.p_log == pytest.approx(2 * np.log10(0.02))
        assert cells.is_peak.all()
        assert len(cells) >= 1
    else:
        assert len(cells) == 0


def test_an_image_smaller_than_a_window_is_one_window():
    time = T_LO + np.array([0.5, 10.1, 10.2, 10.3, 30.0])
    case = make_case(time, np.array([5, 5, 6, 9, 10]), 4, always(100.0), 1.0, width=4)
    assert case.cube.box.shape == (2, 2)
    cells = search(case, -3.0).cells
    assert_found(case, cells, -3.0)
    assert (cells.y, cells.x, cells.n, cells.frame) == (0, 0, 3, 10)


def test_no_live_time():
    dead = LiveTime(np.array([T_LO, T_LO + 50.0]), np.zeros(1, bool))
    case = make_case(T_LO + np.arange(40.0), np.zeros(40, int), 3, dead, 1.0, width=2, shifts=2)
    assert case.cube.n_sum == 0
    assert len(search(case, -1.0).cells) == 0


def test_no_eclipse_while_the_cameras_are_off():
    """A gap of ten frames in a bright cell, and an eclipse of two frames: only that is found."""
    generator = np.random.default_rng(3)
    edges = T_LO + np.array([0.0, 40.0, 50.0, 100.0])
    time = T_LO + generator.random(9 * 40 * 100) * 100
    cell = generator.integers(0, 9, len(time))
    gone = (cell == 4) & (time >= T_LO + 70) & (time < T_LO + 72)
    live_time = LiveTime(edges, np.array([True, False, True]))
    case = make_case(time[~gone], cell[~gone], 3, live_time, 1.0)
    cells = search(case, -7.0).cells
    assert not cells.is_peak.any()
    assert list(zip(cells.frame, cells.y, cells.x, strict=True)) == [(70, 1, 1), (71, 1, 1)]
    assert_found(case, cells, -7.0)


@pytest.mark.parametrize("t_bin", [1.0, 0.125, 2.5, 64.0])
def test_events_on_the_edges_of_frames(t_bin):
    """An edge belongs to the frame that it begins, in every shift."""
    edges = T_LO + t_bin * np.arange(200)
    time = np.concatenate([edges, np.repeat(edges[57], 6)])
    case = make_case(time, np.zeros(len(time), int), 1, always(200 * t_bin), t_bin, shifts=2)
    cells = search(case, -3.0).cells
    assert_found(case, cells, -3.0)
    start = np.rint((cells.start - T_LO) / t_bin * 2).astype(int)
    assert start.tolist() == [113, 114]
    assert cells.n.tolist() == [7, 7]
