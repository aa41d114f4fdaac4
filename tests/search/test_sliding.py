"""Windows that slide: their cells, their expectation and the tails of their counts."""

import numpy as np
import pytest
from helpers.examples import portion
from helpers.sliding_cases import (
    T_LO,
    random_case,
)
from helpers.strategies import seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from exod.counts.windows import Chance, WindowCounts, Windows, log10_tail
from exod.observation.gti import Frames
from exod.search.sliding import covers

sides = st.integers(1, 9)
widths = st.integers(1, 4)


# --- windows ---------------------------------------------------------------------------------


def inside_of(position: int, shape: tuple[int, int], width: int) -> set[int]:
    """Cells of the window that starts at a position."""
    y, x = divmod(position, shape[1])
    return {
        row * shape[1] + column
        for row in range(y, min(y + width, shape[0]))
        for column in range(x, min(x + width, shape[1]))
    }


@given(sides, sides, widths)
def test_tilings_hold_each_cell_once_and_each_window_once(rows, columns, width):
    windows = Windows((rows, columns), width)
    seen = []
    for tiling in windows.tilings:
        position = tiling.positions[tiling.number]
        for start in set(position.tolist()) - {windows.outside}:
            assert set(np.flatnonzero(position == start)) == inside_of(
                start, (rows, columns), width
            )
            seen.append(start)
    last = max(rows - width, 0), max(columns - width, 0)
    expected = [y * columns + x for y in range(last[0] + 1) for x in range(last[1] + 1)]
    assert sorted(seen) == expected


@given(sides, sides, widths, seeds)
def test_sums_are_those_of_the_cells(rows, columns, width, seed):
    image = np.random.default_rng(seed).integers(0, 1000, (rows, columns))
    windows = Windows((rows, columns), width)
    sums = windows.sums(image)
    assert sums.shape == (rows * columns + 1,)
    assert sums[windows.outside] == 0
    last = max(rows - width, 0), max(columns - width, 0)
    for y, x in np.ndindex(rows, columns):
        starts = y <= last[0] and x <= last[1]
        expected = image[y : y + width, x : x + width].sum() if starts else 0
        assert sums[y * columns + x] == pytest.approx(expected, abs=1e-9)


@given(seeds)
def test_distinct_counts_are_those_of_all_windows_that_have_any(seed):
    generator = np.random.default_rng(seed)
    images = generator.poisson(0.3, (2, 5, 7)) * generator.choice([0.0, 1.0, 0.7])
    sums = WindowCounts.of(images, np.zeros_like(images), Windows((5, 7), 2))
    for counts, distinct in zip(sums.counts, sums.distinct, strict=True):
        again = np.zeros_like(counts)
        again[distinct.windows] = distinct.counts[distinct.index]
        np.testing.assert_array_equal(again, np.maximum(counts, 0.0))
        assert (np.diff(distinct.counts) > 0).all()
        np.testing.assert_array_equal(distinct.number, np.bincount(distinct.index))


@given(st.floats(1, 100), st.floats(0.1, 1.2), st.integers(1, 4), st.floats(0, 1))
def test_a_frame_covers_what_fits_at_any_phase(long, ratio, shifts, phase):
    """An interval that starts just after one of the starts is the hardest to cover."""
    short = long * ratio
    step = long / shifts
    begin = step * phase
    fits = any(
        k * step <= begin + 1e-9 and begin + short <= k * step + long + 1e-9
        for k in range(-shifts, shifts + 1)
    )
    if covers(long, short, shifts):
        assert fits
    hardest = step + short > long + 1e-9
    assert covers(long, short * (1 - 1e-9), shifts) != hardest or abs(step + short - long) < 1e-6


# --- tails -----------------------------------------------------------------------------------


@settings(max_examples=portion(150))
@given(st.integers(1, 3000), st.floats(1e-7, 0.95), st.floats(1e-9, 1))
def test_tails_are_binomial(trials, share, quantile):
    n = min(max(int(stats.binom.ppf(quantile, trials, share)), 0), trials)
    arguments = [np.array([float(a)]) for a in (n, trials, trials * share)]
    exact = stats.binom.logsf(n - 1, trials, share), stats.binom.logcdf(n, trials, share)
    for upper, expected in zip((True, False), np.array(exact) / np.log(10), strict=True):
        if expected > -285:
            assert log10_tail(*arguments, upper=upper)[0] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("n", "trials", "share", "upper"),
    [
        (400, 3000, 0.001, True),
        (200, 200, 1e-4, True),
        (0, 3000, 0.6, False),
        (5, 4000, 0.3, False),
    ],
)
def test_tails_below_the_smallest_number(n, trials, share, upper):
    """The largest term stands for the tail where that is below 1e-290."""
    k = np.arange(n, trials + 1) if upper else np.arange(n + 1)
    exact = special.logsumexp(stats.binom.logpmf(k, trials, share)) / np.log(10)
    assert exact < -290
    arguments = [np.array([float(a)]) for a in (n, trials, trials * share)]
    assert log10_tail(*arguments, upper=upper)[0] == pytest.approx(exact, abs=0.1)


def test_more_counts_than_trials_are_possible():
    """Approximate trials may be fewer than the counts; the probability is then still a number."""
    tail = log10_tail(np.array([5.0]), np.array([3.2]), np.array([0.5]), upper=True)
    assert tail[0] == pytest.approx(5 * np.log10(0.1))


# --- expectation of windows ------------------------------------------------------------------


@settings(max_examples=portion(30))
@given(seeds)
def test_frames_together_expect_the_counts_of_each_window(seed):
    case = random_case(seed)
    edges = case.expectation.live_time.edges
    frames = Frames(T_LO, float(edges[-1] - T_LO) / 7, 7)
    shares = case.expectation.shares(frames)
    position = np.arange(case.sums.windows.outside)[:, None]
    expected = case.sums.expected(*shares, np.arange(7)[None, :], position)
    assert expected.sum(2) == pytest.approx(case.sums.counts[:, :-1], abs=1e-5)


@settings(max_examples=portion(30))
@given(seeds)
def test_chance_of_a_frame_in_one_class_is_binomial(seed):
    case = random_case(seed)
    level, exposure = case.expectation.shares(case.frames)
    (single,) = np.nonzero((level > 0).sum(0) == 1)
    position = np.arange(case.sums.windows.outside)
    for frame in single:
        expected = case.sums.expected(level, exposure, np.full(len(position), frame), position)
        chance = case.sums.chance(expected, position)
        number = np.argmax(level[:, frame])
        own = case.sums.counts[number, :-1]
        some = (expected.sum(0) > 1e-3) & (expected.sum(0) < own * 0.999)
        assert chance.trials[some] == pytest.approx(own[some], rel=1e-4)
        assert chance.share[some] == pytest.approx(expected.sum(0)[some] / own[some], rel=1e-4)
        assert chance.sure[some] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("counts", "shares"),
    [
        ((30, 200), (0.4, 0.01)),
        ((300, 2000), (0.05, 0.002)),
        ((12, 400), (1.0, 0.01)),
        ((60, 40, 300), (0.3, 0.1, 0.02)),
    ],
)
def test_chance_of_several_classes_is_nearly_that_of_their_sum(counts, shares):
    """The exact distribution of the sum of binomial numbers, a class of time each."""
    exact = np.ones(1)
    for n, share in zip(counts, shares, strict=True):
        exact = np.convolve(exact, stats.binom.pmf(np.arange(n + 1), n, share))
    arrays = (np.array(a, float)[:, None] for a in (counts, shares))
    chance = Chance.of_classes(*arrays)
    k = np.arange(len(exact))
    mean = (exact * k).sum()
    assert chance.sure + chance.trials * chance.share == pytest.approx(mean)
    assert chance.sigma**2 == pytest.approx((exact * (k - mean) ** 2).sum())
    upper, lower = np.cumsum(exact[::-1])[::-1], np.cumsum(exact)
    checked = 0
    for n in k:
        for tail, is_upper in ((upper[n], True), (lower[n], False)):
            if 1e-10 < tail < 0.1:
                found = chance.log10_tail(np.array([float(n)]), upper=is_upper)
                assert found == pytest.approx(np.log10(tail), rel=0.08, abs=0.05)
                checked += 1
    assert checked > 10


def test_counts_that_are_sure_are_no_surprise():
    chance = Chance.of_classes(np.array([[7.0], [5.0]]), np.array([[1.0], [0.0]]))
    assert (chance.sure, chance.sigma) == (7, 0)
    assert chance.log10_tail(np.array([7.0]), upper=True) == 0
    assert chance.take(np.array([False])).sure.size == 0
