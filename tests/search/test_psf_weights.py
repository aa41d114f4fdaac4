"""Windows whose middle cell counts double: their tails, their search and their false alarms."""

from dataclasses import fields

import numpy as np
import pytest
from helpers.examples import portion
from helpers.sliding_cases import (
    T_LO,
    Case,
    always,
    live_of_window,
    make_case,
    random_case,
    window_counts,
)
from helpers.strategies import EPIC, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from exod.config import Config
from exod.counts import weights as weighted
from exod.counts.weights import WeightedChance
from exod.counts.windows import Chance, Windows
from exod.errors import ConfigError
from exod.observation.gti import Frames
from exod.search import sliding
from exod.search.regions import SignificantCells
from exod.search.sliding import significant_windows
from exod.sensitivity import windowalarms
from exod.sensitivity.overlaps import ClumpOverlap, HalfOverlap, overlap_of
from exod.sensitivity.windowneeds import Light, best_share, least_sums

# --- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 2, 4])
def test_weights_need_a_middle_cell(window):
    with pytest.raises(ConfigError, match="psf_weights needs window = 3"):
        Config.parse({"cube": {"window": window, "psf_weights": True}})


def test_weights_are_off_unless_wanted():
    assert not Config.preset("deep").cube.psf_weights
    assert Config.parse({"cube": {"window": 3, "psf_weights": True}}).cube.psf_weights


# --- windows ---------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 9), seeds)
def test_middles_are_the_cells_in_the_middle(rows, columns, seed):
    image = np.random.default_rng(seed).integers(0, 1000, (rows, columns))
    middles = Windows((rows, columns), 3, weighted=True).middles(image)
    padded = np.pad(image, ((0, 2), (0, 2)))
    for y, x in np.ndindex(rows, columns):
        starts = y <= max(rows - 3, 0) and x <= max(columns - 3, 0)
        assert middles[y * columns + x] == (padded[y + 1, x + 1] if starts else 0)
    assert middles[-1] == 0
    assert not any(t.is_middle.any() for t in Windows((rows, columns), 3).tilings)


# --- tails -----------------------------------------------------------------------------------


def chance_of(others: int, middle: int, share: float, n: int) -> WeightedChance:
    parts = (Chance(np.zeros(n), np.full(n, float(i)), np.full(n, share)) for i in (others, middle))
    return WeightedChance(*parts, np.full(n, float(others)), np.full(n, float(middle)))


def exact_tails(others: int, middle: int, share: float) -> np.ndarray:
    """P(A + 2 B >= s) for all s, by convolution."""
    twice = np.zeros(2 * middle + 1)
    twice[::2] = stats.binom.pmf(np.arange(middle + 1), middle, share)
    both = np.convolve(stats.binom.pmf(np.arange(others + 1), others, share), twice)
    return np.cumsum(both[::-1])[::-1]


@settings(max_examples=portion(60))
@given(st.integers(0, 400), st.integers(0, 90), st.floats(1e-4, 0.9))
def test_tails_are_those_of_the_sum(others, middle, share):
    tails = exact_tails(others, middle, share)
    s = np.flatnonzero(tails > 1e-200)
    s = s[s <= weighted.EXACT_UP_TO]
    found = chance_of(others, middle, share, len(s)).log10_tail(s.astype(float))
    assert found == pytest.approx(np.log10(tails[s]), abs=1e-6)


@pytest.mark.parametrize(
    ("others", "middle", "share"),
    [(8000, 1000, 0.02), (900, 100, 0.2), (3000, 2500, 0.04), (2000, 0, 0.1), (300, 300, 0.6)],
)
def test_large_sums_are_nearly_right(others, middle, share):
    tails = exact_tails(others, middle, share)
    s = np.flatnonzero((tails > 1e-12) & (tails < 0.1))
    s = s[s > weighted.EXACT_UP_TO]
    assert len(s) > 40
    found = chance_of(others, middle, share, len(s)).log10_tail(s.astype(float))
    assert found == pytest.approx(np.log10(tails[s]), abs=0.06)


def test_blocks_of_terms_do_not_matter(monkeypatch):
    s = np.arange(60.0)
    whole = chance_of(300, 40, 0.05, 60).log10_tail(s)
    monkeypatch.setattr(weighted, "TERMS", 100)
    assert chance_of(300, 40, 0.05, 60).log10_tail(s) == pytest.approx(whole, abs=1e-12)


def test_there_is_no_lower_tail():
    with pytest.raises(ValueError, match="too many"):
        chance_of(3, 3, 0.1, 1).log10_tail(np.ones(1), upper=False)


# --- search ----------------------------------------------------------------------------------


def search(case: Case, p_log: float) -> SignificantCells:
    return significant_windows(
        case.cube, case.cube, case.sums, case.expectation, case.shifts, p_log
    ).cells


def weighted_sums(case: Case) -> np.ndarray:
    """Counts of all windows and once more those of their middle cells."""
    counts = window_counts(case)
    rows, columns = case.cube.box.shape
    dense = np.zeros((case.cube.frames.n, rows + 3, columns + 3), int)
    np.add.at(dense, (case.cube.frame, *np.divmod(case.cube.cell, max(columns, 1))), 1)
    time = np.lib.stride_tricks.sliding_window_view(dense, case.shifts, axis=0).sum(-1)
    return counts + time[:, 1 : counts.shape[1] + 1, 1 : counts.shape[2] + 1]


def tail_of(case: Case, k: int, y: int, x: int, s: int) -> float:
    """log10 of P(S >= s), by convolution; NaN for a frame in several classes of time."""
    expectation = case.expectation
    frame = Frames(T_LO + k * case.cube.frames.t_bin, case.expectation.frames.t_bin, 1)
    level, exposure = (share[:, 0] for share in expectation.shares(frame))
    if (level > 0).sum() != 1:
        return np.nan
    number = int(np.argmax(level))
    own = [a[number, y : y + 3, x : x + 3] for a in (expectation.counts, expectation.source)]
    total, source = (np.array([a.sum() - a[1:2, 1:2].sum(), a[1:2, 1:2].sum()]) for a in own)
    mu = (total - source) * level[number] + source * exposure[number]
    if expectation.groups is None:
        a, b = (
            stats.binom(round(n), min(m / n, 1.0) if n else 0.0).pmf(np.arange(round(n) + 1))
            for n, m in zip(total, mu, strict=True)
        )
    else:
        live = [
            live_of_window(expectation, frame, *at)[number] for at in ((y, x, 3), (y + 1, x + 1, 1))
        ]
        mu = np.array([mu.sum() * live[0] - mu[1] * live[1], mu[1] * live[1]])
        a, b = (probabilities(n, min(m, n), s) for n, m in zip(total, mu, strict=True))
    twice = np.zeros(2 * len(b) - 1)
    twice[::2] = b
    with np.errstate(divide="ignore"):
        return float(np.log10(np.convolve(a, twice)[s:].sum()))


def probabilities(trials: float, mu: float, most: int) -> np.ndarray:
    """Of 0 to `most` counts, and of more than that, of trials that need not be whole."""
    tails = [1.0]
    for n in range(1, most + 2):
        enough = max(trials, float(n))
        tails.append(float(special.betainc(n, enough - n + 1, min(mu / enough, 1.0))))
    return -np.diff([*tails, 0.0])


@settings(max_examples=portion(25))
@given(seeds, st.sampled_from([-3.41, -5.17]))
def test_search_finds_what_plain_loops_find(seed, p_log):
    case = random_case(seed, n_frames=8, width=3, weighted=True)
    cells = search(case, p_log)
    peaks = cells.is_peak
    start = np.rint((cells.start - T_LO) / case.cube.frames.t_bin).astype(int)
    found = dict(
        zip(zip(start[peaks], cells.y[peaks], cells.x[peaks], strict=True),
            zip(cells.n[peaks], cells.p_log[peaks], strict=True), strict=True)
    )  # fmt: skip
    counts, sums = window_counts(case), weighted_sums(case)
    for place in zip(*np.nonzero(counts >= 2), strict=True):
        expected = tail_of(case, *place, sums[place])
        # Large sums are nearly right.
        error = 1e-4 if sums[place] <= weighted.EXACT_UP_TO else 0.1
        if np.isnan(expected) or abs(expected - p_log) < error:
            continue
        assert (place in found) == (expected <= p_log)
        if place in found:
            n, p = found[place]
            assert n == counts[place]
            assert p == pytest.approx(expected, abs=error)


@settings(max_examples=portion(15))
@given(seeds, st.integers(1, 300), st.sampled_from([1, 10**7]), st.sampled_from([0, 10**6]))
def test_chunks_do_not_matter(seed, events, dense, sparse):
    case = random_case(seed, width=3, weighted=True)
    whole = search(case, -3.7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sliding, "EVENTS_PER_CHUNK", events)
        patch.setattr(sliding, "DENSE", dense)
        patch.setattr(sliding, "SPARSE", sparse)
        found = search(case, -3.7)
    for item in fields(SignificantCells):
        assert np.array_equal(getattr(found, item.name), getattr(whole, item.name))


@settings(max_examples=portion(15))
@given(seeds)
def test_eclipses_are_not_weighted(seed):
    with_weights, without = (
        search(random_case(seed, width=3, weighted=own), -3.5) for own in (True, False)
    )
    for item in fields(SignificantCells):
        a, b = (getattr(c, item.name)[~c.is_peak] for c in (with_weights, without))
        assert np.array_equal(a, b)


# --- false alarms ----------------------------------------------------------------------------


def clumps(cells: SignificantCells, width: int, shifts: int) -> int:
    """Groups of windows of which cells touch, in space and time."""
    if not len(cells):
        return 0
    start = np.rint((cells.start - T_LO) * shifts) / shifts
    at = np.column_stack([start, cells.y / width, cells.x / width])
    pairs = KDTree(at).query_pairs(1 + 1e-6, p=np.inf, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), tuple(pairs.T)), (len(at), len(at)))
    return int(connected_components(graph)[0])


def calibration(mu: float, p_log: float, *, weights: bool, n: int, n_frames: int, side: int = 40):
    """Peaks found and expected in `n` cubes of a flat background, `mu` counts in a window."""
    generator = np.random.default_rng(1)
    found, expected = 0, 0.0
    for _ in range(n):
        total = generator.poisson(mu / 9 * side**2 * n_frames)
        time = T_LO + generator.uniform(0, n_frames, total)
        cell = generator.integers(0, side**2, total)
        live = always(float(n_frames))
        case = make_case(time, cell, side, live, 1.0, width=3, shifts=2, weighted=weights)
        cells = search(case, p_log)
        peaks = {name: values[cells.is_peak] for name, values in vars(cells).items()}
        found += clumps(SignificantCells(**peaks), 3, 2)
        curve = windowalarms.alarm_curve(case.expectation, case.sums, case.frames, 2)
        expected += curve.at(p_log)[0]
    return found, expected


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(
    ("mu", "n", "n_frames", "p_log"),
    [
        pytest.param(0.01, 4, 4000, -4.0, marks=pytest.mark.drill),
        (0.1, 8, 800, -4.3),
        (1.0, 8, 150, -4.3),
        pytest.param(10.0, 5, 100, -4.3, marks=pytest.mark.drill),
    ],
)
def test_as_many_false_regions_as_simulations_have(weights, mu, n, n_frames, p_log):
    found, expected = calibration(mu, p_log, weights=weights, n=n, n_frames=n_frames)
    assert expected > 30
    assert abs(found - expected) < 0.2 * expected + 2.5 * np.sqrt(expected)


def test_false_alarms_of_mixed_frames_go_with_the_others():
    """Frames in two classes of time count as those in one do."""
    generator = np.random.default_rng(4)
    n, side, span = 20_000, 14, 60.0
    bright = generator.random(n) < 0.6
    time = T_LO + np.where(bright, generator.uniform(20, 33.5, n), generator.uniform(0, span, n))
    cell = generator.integers(0, side**2, n)
    case = make_case(time, cell, side, always(span), 1.0, width=3, shifts=2, weighted=True)
    level = case.expectation.shares(case.frames)[0]
    assert ((level > 0).sum(0) > 1).any()
    plain = make_case(time, cell, side, always(span), 1.0, width=3, shifts=2)
    for p_log in (-4.0, -6.0):
        peaks = [
            windowalarms.alarm_curve(c.expectation, c.sums, c.frames, 2).at(p_log)[0]
            for c in (case, plain)
        ]
        assert peaks[0] == pytest.approx(peaks[1], rel=0.35)


def test_overlaps_by_a_half_are_worked_out():
    assert overlap_of(2, 2) == HalfOverlap(3)
    assert overlap_of(1, 2) == HalfOverlap(1)
    assert overlap_of(3, 1) == ClumpOverlap(3, 1, weighted=False)
    assert overlap_of(3, 2, weighted=True) == ClumpOverlap(3, 2, weighted=True)


def test_measured_overlaps_agree_with_those_worked_out():
    """Where windows are moved by half their width both are known."""
    mu = np.array([0.01, 0.1, 1.0, 10.0])
    k = np.array([3.0, 4.0, 9.0, 28.0])
    p = stats.poisson.sf(k - 1, mu)
    measured = ClumpOverlap(2, 2, weighted=False).alone(k, mu, p, upper=True)
    assert measured == pytest.approx(HalfOverlap(3).alone(k, mu, p, upper=True), rel=0.08)


# --- completeness ----------------------------------------------------------------------------


def test_least_sums_are_just_significant():
    total, share = np.array([30.0, 900.0, 2000.0]), np.array([0.001, 0.001, 0.005])
    least = least_sums(total, share, -8.0)
    for s, n, x in zip(least, total, share, strict=True):
        for k, enough in ((s, True), (s - 1, False)):
            trials = round(n * (1 - x) + 0.9 * k)
            tail = exact_tails(trials - round(trials / 9), round(trials / 9), x)[int(k)]
            assert (tail <= 1e-8) == enough


@pytest.mark.parametrize("probability", [0.5, 0.9])
def test_counts_that_a_burst_needs(probability):
    """Against bursts on a background, in the best of the windows around them."""
    generator, n_bursts = np.random.default_rng(2), 1500
    light = Light.of(EPIC, 10.0, 3, probability, weighted=True)
    assert light.share > best_share(EPIC, 10.0, 3)
    for mu, least in ((0.1, 9.0), (5.0, 24.0)):
        needed = float(light.needed(np.array([least]), np.array([mu * 10 / 9]))[0])
        cells = generator.poisson(mu / 9, (n_bursts, 9, 9))
        place = generator.uniform(-0.5, 0.5, (2, n_bursts))
        for burst, n in enumerate(generator.poisson(needed, n_bursts)):
            offset = EPIC.sample(generator, n) / 10 + place[:, burst, None]
            y, x = np.rint(offset).astype(int) + 4
            inside = (y >= 0) & (y < 9) & (x >= 0) & (x < 9)
            np.add.at(cells[burst], (y[inside], x[inside]), 1)
        view = np.lib.stride_tricks.sliding_window_view(cells, (3, 3), axis=(1, 2))
        sums = view.sum((-2, -1)) + view[..., 1, 1]
        found = (sums[:, 2:5, 2:5].max((1, 2)) >= least).mean()
        assert found == pytest.approx(probability, abs=0.08)
