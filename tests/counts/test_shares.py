"""Expected counts given the counts of each cell: they add up, whatever the time is cut into."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.examples import portion
from helpers.sliding_cases import T_LO, always, make_case, random_case
from helpers.strategies import seeds
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.counts.grid import Box
from exod.counts.shares import (
    COUNTS_PER_KNOT,
    MIN_COUNTS_PER_CELL,
    LevelCurve,
    LiveTime,
    level_curve,
)
from exod.counts.template import Expectation
from exod.observation.gti import Frames


@st.composite
def live_times(draw) -> LiveTime:
    """Intervals of any length, on and off."""
    generator = np.random.default_rng(draw(seeds))
    n = draw(st.integers(1, 6))
    edges = 100.0 + np.concatenate([[0.0], np.cumsum(generator.random(n) * 20)])
    return LiveTime(edges, generator.random(n) < 0.6)


@st.composite
def curves(draw) -> LevelCurve:
    """Any pieces of any classes; all numbers of classes occur."""
    generator = np.random.default_rng(draw(seeds))
    n = draw(st.integers(1, 8))
    knots = np.concatenate([[0.0], np.cumsum(generator.random(n) + 0.01)])
    _, kind = np.unique(generator.integers(0, 3, n), return_inverse=True)
    return LevelCurve(knots, kind.astype(np.intp), generator.random(n) * 10 + 0.01)


# --- live time -------------------------------------------------------------------------------


@given(live_times(), seeds)
def test_live_time_is_the_time_with_the_cameras_on(live_time, seed):
    time = np.random.default_rng(seed).uniform(90, 230, 30)
    for t, seconds, alive in zip(time, live_time.at(time), live_time.contains(time), strict=True):
        inside = expected = 0.0
        for start, stop, on in zip(
            live_time.edges[:-1], live_time.edges[1:], live_time.live, strict=True
        ):
            expected += on * np.clip(t - start, 0, stop - start)
            inside += on and start <= t < stop
        assert seconds == pytest.approx(expected)
        assert alive == bool(inside)


def test_edges_belong_to_what_they_begin():
    live_time = LiveTime(np.array([0.0, 1.0, 2.0, 3.0]), np.array([True, False, True]))
    inside = live_time.contains(np.array([0.0, 1.0, 2.0, 3.0]))
    assert inside.tolist() == [True, False, True, False]


# --- level -----------------------------------------------------------------------------------


@given(curves(), seeds)
def test_shares_are_integrals_of_the_level(curve, seed):
    generator = np.random.default_rng(seed)
    edges = np.sort(generator.random((12, 2)) * curve.live[-1] * 1.2, axis=1)
    level, exposure = curve.shares(edges)
    overlap = np.clip(
        np.minimum(edges[:, 1:], curve.live[None, 1:])
        - np.maximum(edges[:, :1], curve.live[None, :-1]),
        0,
        None,
    )
    length = np.diff(curve.live)
    for number in range(curve.n_classes):
        own = curve.kind == number
        for share, weight in ((level, curve.rate), (exposure, np.ones(len(length)))):
            expected = overlap[:, own] @ weight[own] / (length @ (weight * own))
            assert share[number] == pytest.approx(expected, abs=1e-12)


@given(curves(), st.integers(1, 30))
def test_shares_add_up_to_one(curve, n):
    edges = np.linspace(0, curve.live[-1], n + 1)
    for share in curve.shares(np.column_stack([edges[:-1], edges[1:]])):
        assert share.shape == (curve.n_classes, n)
        assert share.sum(1) == pytest.approx(1)


@given(curves(), seeds)
def test_class_of_a_time_is_that_of_its_piece(curve, seed):
    live = np.random.default_rng(seed).random(20) * curve.live[-1]
    for t, kind in zip(live, curve.kind_at(live), strict=True):
        piece = max(i for i in range(len(curve.kind)) if curve.live[i] <= t)
        assert kind == curve.kind[piece]
    assert curve.kind_at(curve.live[-1:]) == curve.kind[-1]


def steps(rates, length=1000.0, seed=0):
    """Sorted times with a rate for each stretch of `length` seconds."""
    generator = np.random.default_rng(seed)
    parts = [
        generator.uniform(i * length, (i + 1) * length, generator.poisson(rate * length))
        for i, rate in enumerate(rates)
    ]
    return np.sort(np.concatenate([*parts, []])), length * len(rates)


def test_constant_background_is_one_class():
    time, total = steps([5.0, 5.0])
    curve = level_curve(time, total, 100)
    assert curve.n_classes == 1
    counts = np.histogram(time, curve.live)[0]
    assert counts[:-1] == pytest.approx(COUNTS_PER_KNOT, abs=1)
    assert counts[-1] < 513
    assert (curve.rate * np.diff(curve.live)).sum() == pytest.approx(len(time))


def test_a_flare_is_a_class_of_its_own():
    time, total = steps([2.0, 2.0, 20.0, 2.0])
    curve = level_curve(time, total, 100)
    kind = curve.kind_at(np.array([500.0, 1500.0, 2500.0, 3500.0]))
    assert kind[0] == kind[1] == kind[3] < kind[2]
    level, exposure = curve.shares(np.array([[2000.0, 3000.0]]))
    flare = kind[2]
    assert level[flare, 0] == pytest.approx(1, abs=0.05)
    assert level[:flare].sum() < 0.2
    assert exposure[flare, 0] == pytest.approx(1, abs=0.1)


@given(st.lists(st.floats(0.0, 30.0), min_size=1, max_size=6), st.integers(1, 4000), seeds)
def test_classes_have_counts_enough(rates, n_cells, seed):
    time, total = steps(rates, 100.0, seed)
    curve = level_curve(time, total, n_cells)
    kind = curve.kind_at(time)
    counts = np.bincount(kind, minlength=curve.n_classes)
    assert curve.n_classes == 1 or counts.min() >= MIN_COUNTS_PER_CELL * n_cells
    assert set(curve.kind) == set(range(curve.n_classes))
    assert (np.diff(curve.live) > 0).all()
    assert curve.live[[0, -1]].tolist() == [0.0, total]


def test_small_classes_join():
    time, total = steps([2.0, 2.0, 20.0, 2.0])
    n = [level_curve(time, total, n_cells).n_classes for n_cells in (10, 1000, 10**5)]
    assert n == sorted(n, reverse=True)
    assert n[0] >= 2
    assert n[-1] == 1


@pytest.mark.parametrize("total", [0.0, 10.0])
@pytest.mark.parametrize("n", [0, 1])
def test_no_time_or_no_events(total, n):
    curve = level_curve(np.zeros(n), total, 5)
    assert curve.n_classes == 1
    level, exposure = curve.shares(np.array([[0.0, total / 2]]))
    assert np.isfinite([level, exposure]).all()
    assert exposure[0, 0] == pytest.approx(0.5 if total else 0.0)


# --- expected counts -------------------------------------------------------------------------


def whole(case, n):
    """The expectation in n frames that cover everything, as if every CCD were live in them."""
    edges = case.expectation.live_time.edges
    frames = Frames(T_LO, float(edges[-1] - T_LO) / n, n)
    return replace(case.expectation, frames=frames, is_bad=np.zeros(n, bool), groups=None)


@settings(max_examples=portion(40))
@given(seeds, st.integers(1, 20))
def test_frames_together_expect_the_counts_of_each_cell(seed, n):
    expectation = whole(random_case(seed), n)
    assert expectation.image() == pytest.approx(expectation.counts.sum(0), rel=1e-6, abs=1e-6)
    total = expectation.dense_block(0, n).sum(0)
    assert total == pytest.approx(expectation.counts.sum(0), rel=1e-4, abs=1e-4)


@settings(max_examples=portion(40))
@given(seeds)
def test_all_ways_to_ask_agree(seed):
    expectation = random_case(seed).expectation
    n, shape = expectation.frames.n, expectation.source_mask.shape
    dense = expectation.dense_block(0, n)
    assert dense.shape == (n, *shape)
    generator = np.random.default_rng(seed)
    cells = np.arange(expectation.source_mask.size)
    at = expectation.at(np.arange(n)[:, None], cells[None, :]).reshape(dense.shape)
    assert dense == pytest.approx(at, rel=1e-5)
    assert (at >= 0).all()
    if not len(cells):
        return
    frame, cell = generator.integers(0, n, 9), generator.integers(0, len(cells), 9)
    assert np.array_equal(expectation.at(frame, cell), at.reshape(n, -1)[frame, cell])
    y, x = (np.sort(generator.integers(0, size + 1, 2)) for size in shape)
    box = Box(int(y[0]), int(y[1]), int(x[0]), int(x[1]))
    expected = at[(slice(None), *box.slices)].sum((1, 2))
    assert expectation.light_curve(box) == pytest.approx(expected, abs=1e-9)
    which = generator.random(n) < 0.5
    assert expectation.image(which) == pytest.approx(at[which].sum(0), abs=1e-9)


@settings(max_examples=portion(20))
@given(seeds)
def test_background_is_what_is_left_without_sources(seed):
    expectation = random_case(seed).expectation
    alone = replace(expectation, source=np.zeros_like(expectation.source))
    background = expectation.background_image()
    assert (background <= expectation.image() + 1e-9).all()
    outside = ~expectation.source_mask
    assert background[outside] == pytest.approx(alone.image()[outside])
    assert not expectation.source[:, outside].any()
    assert (expectation.source <= expectation.counts).all()


def test_sources_follow_the_exposure_and_the_background_its_level():
    """A flare of ten times the background: the source does not rise with it."""
    generator = np.random.default_rng(5)
    background = [generator.uniform(a, b, n) for a, b, n in ((0, 100, 4900), (40, 60, 9800))]
    time = np.concatenate([*background, generator.uniform(0, 100, 2000)])
    cell = np.concatenate([generator.integers(0, 49, 14700), np.full(2000, 24)])
    known = np.zeros((7, 7), bool)
    known[3, 3] = True
    case = make_case(T_LO + time, cell, 7, always(100.0), 10.0, known=known)
    source = case.expectation.at(np.array([1, 4]), np.array([24, 24]))
    other = case.expectation.at(np.array([1, 4]), np.array([10, 10]))
    # 1 ct/s and 11 ct/s in 49 cells, 20 ct/s of the source.
    assert source == pytest.approx([210, 310], rel=0.1)
    assert other == pytest.approx([10, 110], rel=0.25)


@settings(max_examples=portion(20))
@given(seeds)
def test_no_expectation_while_the_cameras_are_off(seed):
    case = random_case(seed)
    live_time, frames = case.expectation.live_time, case.frames
    live = np.diff(live_time.at(np.append(frames.starts, frames.starts[-1] + frames.t_bin)))
    mu = case.expectation.light_curve(Box(0, *case.cube.box.shape[:1], 0, case.cube.box.shape[1]))
    assert (mu[live == 0] == 0).all()
    if case.cube.n_sum:
        assert mu[live > 0.5 * frames.t_bin].all()


def test_constant_expectation_equals_that_of_the_published_search():
    """On a flat, constant background both are the mean counts of a cell."""
    generator = np.random.default_rng(6)
    case = make_case(
        T_LO + generator.random(90_000) * 100,
        generator.integers(0, 9, 90_000),
        3,
        always(100.0),
        1.0,
    )
    assert case.expectation.dense_block(0, 100) == pytest.approx(np.full((100, 3, 3), 100), rel=0.2)
    # What `exod.search.regions` and `exod.plots` ask of either.
    for name in ("at", "light_curve", "image", "background_image", "dense_block", "to_dask"):
        assert callable(getattr(Expectation, name))


def test_lazy_expectation_computes_when_asked(monkeypatch):
    case = random_case(8, n_frames=12, shifts=1)
    cube = replace(case.cube, chunk_frames=5)
    lazy = case.expectation.to_dask(cube)
    assert lazy.shape == cube.shape
    assert lazy.chunks[0] == (5, 5, 2)
    assert np.array_equal(
        lazy.compute(scheduler="synchronous"), case.expectation.dense_block(0, 12)
    )
