"""Hardness ratios against brute-force integration, simulation, and cell by cell counting."""

import numpy as np
import pytest
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from exod.search.bursts import CREDIBILITY
from exod.sources.vetting.hardness import (
    best_sisters,
    box_counts,
    event_counts,
    excess_hardness,
    hardness_ratio,
    soft_and_hard,
)

COUNTS = st.one_of(st.integers(0, 5), st.integers(0, 5000))


def arrays(*values: float) -> list[np.ndarray]:
    return [np.array([value], float) for value in values]


@given(COUNTS, COUNTS)
@settings(max_examples=portion(200), deadline=None)
def test_interval_is_the_shortest_of_its_probability(soft, hard):
    ratio, low, high = (float(value[0]) for value in hardness_ratio(*arrays(soft, hard)))
    posterior = stats.beta(hard + 1, soft + 1)
    ends = [(1 + end) / 2 for end in (low, high)]
    assert -1 <= low < high <= 1
    assert posterior.cdf(ends[1]) - posterior.cdf(ends[0]) == pytest.approx(CREDIBILITY, abs=1e-6)
    if soft + hard == 0:
        assert np.isnan(ratio)
        return
    assert ratio == pytest.approx((hard - soft) / (hard + soft))
    assert low <= ratio <= high
    below = np.linspace(0, 1 - CREDIBILITY, 2001)
    shortest = (posterior.ppf(below + CREDIBILITY) - posterior.ppf(below)).min()
    assert ends[1] - ends[0] <= shortest * (1 + 1e-6)


@pytest.mark.parametrize(("soft", "hard"), [(0, 0), (3, 0), (2, 7), (40, 11)])
def test_interval_equals_integration_over_two_poisson_rates(soft, hard):
    """The ratio of two rates with flat priors, on a grid of hardness ratio and total rate."""
    ratio = np.linspace(-1, 1, 8_001)[1:-1]
    total = np.linspace(0, soft + hard + 40 * np.sqrt(soft + hard + 1), 1_000)[1:, None]
    h, s = total * (1 + ratio) / 2, total * (1 - ratio) / 2
    # The prior of the total does not matter: its posterior and that of HR are independent.
    log_density = hard * np.log(h) + soft * np.log(s) - total
    density = integrate.trapezoid(np.exp(log_density - log_density.max()), total, axis=0)
    density /= density.sum()
    low, high = hardness_ratio(*arrays(soft, hard))[1:]
    inside = density[(ratio >= low[0]) & (ratio <= high[0])]
    assert inside.sum() == pytest.approx(CREDIBILITY, abs=2e-3)
    outside = density[(ratio < low[0]) | (ratio > high[0])]
    assert inside.min() >= outside.max() * 0.99


def test_interval_covers_the_truth_on_average_over_the_prior():
    random = np.random.default_rng(1)
    truth = random.uniform(-1, 1, 20_000)
    for total in (3, 30, 300):
        hard = random.binomial(total, (1 + truth) / 2)
        _, low, high = hardness_ratio(total - hard, hard)
        covered = ((low <= truth) & (truth <= high)).mean()
        assert covered == pytest.approx(CREDIBILITY, abs=0.015)


def test_unknown_counts_have_no_ratio():
    found = np.array(hardness_ratio([np.nan, 3.0], [2.0, np.nan]))
    assert np.isnan(found).all()
    assert [len(value) for value in hardness_ratio([], [])] == [0, 0, 0]
    assert [len(value) for value in excess_hardness([], [], [], [])] == [0, 0, 0]
    assert np.isnan(np.array(excess_hardness([np.nan], [1.0], [2.0], [1.0]))).all()


def brute_force(soft: int, mu_soft: float, hard: int, mu_hard: float) -> np.ndarray:
    """Quantiles of the posterior from a grid of both excesses."""

    def marginal(n: int, mu: float) -> tuple[np.ndarray, np.ndarray]:
        edges = np.linspace(0, max(n - mu, 0) + 12 * np.sqrt(n + 1) + 12, 3001)
        middle = (edges[1:] + edges[:-1]) / 2
        log_density = n * np.log(middle + mu) - middle
        density = np.exp(log_density - log_density.max())
        return middle, density / density.sum()

    (s, p_s), (h, p_h) = marginal(soft, mu_soft), marginal(hard, mu_hard)
    ratio = (h[:, None] - s) / (h[:, None] + s)
    counts, edges = np.histogram(ratio, np.linspace(-1, 1, 4001), weights=p_h[:, None] * p_s)
    tail = (1 - CREDIBILITY) / 2
    return np.interp([0.5, tail, 1 - tail], np.cumsum(counts), edges[1:])


@pytest.mark.parametrize(
    "case",
    [
        (12, 2.0, 31, 1.0),
        (0, 0.1, 8, 0.1),
        pytest.param((5, 4.0, 5, 6.0), marks=pytest.mark.drill),
        pytest.param((3, 9.0, 2, 0.5), marks=pytest.mark.drill),
        (900, 300.0, 40, 9.0),
    ],
)
def test_excess_equals_integration_over_both_excesses(case):
    found = np.array(excess_hardness(*arrays(*case)))[:, 0]
    assert found == pytest.approx(brute_force(*case), abs=0.012)


@given(COUNTS, COUNTS)
@settings(max_examples=portion(50), deadline=None)
def test_excess_without_background_is_a_beta_distribution(soft, hard):
    found = np.array(excess_hardness(*arrays(soft, 0, hard, 0)))[:, 0]
    tail = (1 - CREDIBILITY) / 2
    probability = stats.beta(hard + 1, soft + 1).cdf((1 + found) / 2)
    assert probability == pytest.approx([0.5, tail, 1 - tail], abs=0.01)


def test_excess_covers_the_truth_on_average_over_the_prior():
    random = np.random.default_rng(2)
    soft, hard = random.uniform(0, 40, (2, 4000))
    mu_soft, mu_hard = random.uniform(0, 10, (2, 4000))
    n_soft, n_hard = random.poisson(soft + mu_soft), random.poisson(hard + mu_hard)
    _, low, high = excess_hardness(n_soft, mu_soft, n_hard, mu_hard)
    truth = (hard - soft) / (hard + soft)
    assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(CREDIBILITY, abs=0.03)


def test_far_fewer_counts_than_expected_are_no_excess():
    """Where the tail of the gamma function underflows its exponential takes over, smoothly."""
    around = [np.array([0.0, 0.0]), np.array([660.0, 675.0])]
    ratio, low, high = excess_hardness(*around, *arrays(100, 1))
    assert np.isfinite([ratio, low, high]).all()
    assert ratio == pytest.approx([0.98, 0.98], abs=0.01)
    assert low[0] == pytest.approx(low[1], abs=1e-3)


@given(st.integers(0, 1000))
@settings(max_examples=portion(50), deadline=None)
def test_counts_in_boxes_equal_slices_of_the_full_grid(seed):
    random = np.random.default_rng(seed)
    y, x, height, width = random.integers(0, 12, 4)
    grid = np.zeros((30, 30), int)
    grid[y : y + height, x : x + width] = random.poisson(2, (height, width))
    low = random.integers(0, 25, (20, 2))
    high = low + random.integers(0, 6, (20, 2))
    boxes = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)
    image = grid[y : y + height, x : x + width]
    found = box_counts(image, (int(y), int(x)), boxes)
    expected = [grid[a:b, c:d].sum() for a, b, c, d in boxes]
    assert found.tolist() == expected


@given(st.integers(0, 1000), st.integers(0, 300), st.integers(0, 20))
@settings(max_examples=portion(50), deadline=None)
def test_sisters_have_most_cells_in_common(seed, n, m):
    random = np.random.default_rng(seed)

    def boxes(count: int) -> np.ndarray:
        low = random.integers(0, 10, (count, 2))
        high = low + random.integers(1, 5, (count, 2))
        return np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)

    def cells(box: np.ndarray) -> set[tuple[int, int]]:
        return {(y, x) for y in range(box[0], box[1]) for x in range(box[2], box[3])}

    own, others = boxes(n), boxes(m)
    found = best_sisters(own, others)
    sets = [cells(box) for box in others]
    for box, sister in zip(own, found, strict=True):
        ranks = [(-len(cells(box) & s), len(s), i) for i, s in enumerate(sets) if cells(box) & s]
        assert sister == (min(ranks)[2] if ranks else -1)


@given(st.integers(0, 1000))
@settings(max_examples=portion(100), deadline=None)
def test_counts_of_events_equal_a_loop_over_frames(seed):
    random = np.random.default_rng(seed)
    lengths, t_bin = random.integers(0, 12, 4), 5.0
    offsets = np.cumsum([0, *lengths])
    time = np.concatenate([1000.0 * i + t_bin * np.arange(k) for i, k in enumerate(lengths)])
    n, mu = random.poisson(3, len(time)), random.choice([0.0, 1.0, 2.5], len(time))
    curve = random.integers(0, 4, 10)
    start = 1000.0 * random.integers(0, 4, 10) + random.uniform(-20, 70, 10)
    stop = start + random.uniform(0, 30, 10)
    found = event_counts(offsets, time, n, mu, curve, start - t_bin, stop)
    for event in range(10):
        expected = [0, 0.0, 0]
        for row in range(*offsets[curve[event] : curve[event] + 2]):
            touches = time[row] <= stop[event] and time[row] + t_bin > start[event]
            if touches and mu[row] > 0:
                expected = [expected[0] + n[row], expected[1] + mu[row], expected[2] + 1]
        if not expected[2]:
            assert np.isnan([found[0][event], found[1][event]]).all()
        else:
            assert found[0][event] == expected[0]
            assert found[1][event] == pytest.approx(expected[1])


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        ([(0.2, 12.0)], None),
        ([(0.2, 2.0), (1.0, 12.0)], None),
        ([(2.0, 12.0), (0.2, 12.0), (0.2, 2.0)], ((0.2, 2.0), (2.0, 12.0))),
        ([(0.2, 0.5), (0.5, 2.0), (2.0, 12.0)], ((0.5, 2.0), (2.0, 12.0))),
        ([(0.5, 1.0), (1.0, 2.0), (2.0, 4.0)], ((0.5, 1.0), (1.0, 2.0))),
    ],
)
def test_bands_that_are_compared(bands, expected):
    assert soft_and_hard(bands) == expected
