"""Events against simulated truth, blocks against astropy, intervals against their coverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.stats import Events, bayesian_blocks
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, special

from benchmarks.bursts import Setting, measure
from exod.counts.bayes import Kind
from exod.search.blocks import P0, block_edges, change_point
from exod.search.bursts import CREDIBILITY, Event, describe_event, excess_interval
from exod.search.clocks import ExpectedCounts

T0 = 6.5e8
"""A mission elapsed time in 2018."""


def constant(rate: float, span: float = 20_000.0, t_bin: float = 50.0) -> ExpectedCounts:
    edges = np.arange(0.0, span + t_bin / 2, t_bin)
    return ExpectedCounts(edges, np.full(len(edges) - 1, rate * t_bin))


def photons(rate: float, generator: np.random.Generator, span: float = 20_000.0) -> NDArray:
    return np.sort(generator.uniform(0, span, generator.poisson(rate * span)))


def with_burst(background: NDArray, start: float, duration: float, n: int) -> NDArray:
    """A box of equidistant photons, half a gap from its ends."""
    burst = start + duration * (np.arange(n) + 0.5) / n
    return np.sort(np.concatenate([background, burst]))


@pytest.mark.parametrize(
    "setting",
    [
        Setting(2e-4, 1, 30, 2.0, 5.0),
        Setting(2e-4, 1, 30, 2.0, 200.0),
        Setting(2e-4, 1, 30, 1000.0, 200.0),
        Setting(2e-4, 50, 30, 10.0, 50.0),
        Setting(5e-3, 1, 30, 50.0, 50.0),
        Setting(5e-3, 1, 100, 1000.0, 200.0),
        Setting(5e-3, 50, 30, 2.0, 5.0),
        Setting(5e-3, 50, 100, 50.0, 50.0),
    ],
    ids=str,
)
def test_bursts_are_measured_within_a_fifth_of_their_duration(setting: Setting) -> None:
    scores, _ = measure(setting, 60)
    assert len(scores) >= 40
    assert np.mean([score.accurate for score in scores]) >= 0.9


def test_start_is_within_a_spacing_as_often_as_it_can_be() -> None:
    # The first photon is an exponential gap after the start: 1 - e^-2 = 0.865 at best.
    scores, _ = measure(Setting(2e-4, 1, 100, 10.0, 50.0), 300)
    assert np.mean([score.start_in_spacing for score in scores]) == pytest.approx(
        1 - np.exp(-2), abs=3 * 0.02
    )


@pytest.mark.parametrize("flares", [False, True])
def test_a_flare_of_the_background_is_no_event(flares: bool) -> None:
    generator = np.random.default_rng(4)
    expected = constant(0.02)
    mu = expected.mu * np.where(flares & (np.arange(400) > 200) & (np.arange(400) < 240), 50, 1)
    expected = ExpectedCounts(expected.edges, mu)
    n = generator.poisson(mu)
    background = np.sort(np.repeat(expected.edges[:-1], n) + 50 * generator.random(n.sum()))
    event = describe_event(with_burst(background, 11_010, 20, 80), expected, (11e3, 11_050), "peak")
    assert event is not None
    assert event.start == pytest.approx(11_010, abs=1.5)
    assert event.stop == pytest.approx(11_030, abs=1.5)
    assert event.mu == pytest.approx(20 if flares else 0.4, rel=0.1)
    assert event.excess == pytest.approx(80, abs=15)


@pytest.mark.parametrize("seed", [(10_000.0, 10_200.0), (10_050.0, 10_055.0), (9_000.0, 12_000.0)])
def test_the_event_does_not_depend_on_the_seed(seed: tuple[float, float]) -> None:
    background = photons(0.01, np.random.default_rng(1))
    event = describe_event(with_burst(background, 10_020, 100, 400), constant(0.01), seed, "peak")
    assert event is not None
    assert event.start == pytest.approx(10_020, abs=0.5)
    assert event.duration == pytest.approx(100, abs=1.5)
    assert event.peak_rate == pytest.approx(4, rel=0.02)


def test_a_long_event_is_followed_out_of_a_short_seed() -> None:
    time = with_burst(photons(0.01, np.random.default_rng(1)), 5000, 8000, 20_000)
    event = describe_event(time, constant(0.01), (9000.0, 9005.0), "peak")
    assert event is not None
    assert event.start == pytest.approx(5000, abs=1)
    assert event.stop == pytest.approx(13_000, abs=1)


@pytest.mark.parametrize("shape", ["FRED", "Gaussian"])
def test_a_rise_and_decay_is_one_event(shape: str) -> None:
    generator = np.random.default_rng(2)
    burst = (
        generator.exponential(100, 400) if shape == "FRED" else 100 + generator.normal(0, 60, 400)
    )
    time = np.sort(np.concatenate([photons(0.01, generator), 10_000 + burst]))
    event = describe_event(time, constant(0.01), (10_000.0, 10_050.0), "peak")
    assert event is not None
    assert event.excess > 0.9 * 400
    # Down to a tenth of the maximum: 2.3 scale lengths, or 2 x 2.15 standard deviations.
    assert 200 < event.duration < 500
    brightest = 4.0 if shape == "FRED" else 400 / (60 * np.sqrt(2 * np.pi))
    assert event.peak_rate == pytest.approx(brightest, rel=0.35)


@pytest.mark.parametrize("depth", [1.0, 0.7])
def test_eclipse(depth: float) -> None:
    generator, rate = np.random.default_rng(3), 0.5
    time = photons(rate, generator)
    hidden = (time > 10_020) & (time < 10_420) & (generator.random(len(time)) < depth)
    event = describe_event(time[~hidden], constant(rate), (10_050.0, 10_400.0), "eclipse")
    assert event is not None
    assert event.start == pytest.approx(10_020, abs=4 * event.start_err)
    assert event.stop == pytest.approx(10_420, abs=4 * event.stop_err)
    assert event.start_err < 15
    assert event.excess_lo <= event.excess <= event.excess_hi < 0
    assert event.excess == pytest.approx(-depth * rate * 400, abs=30)
    assert event.peak_rate == pytest.approx(-depth * rate, abs=0.06)


def test_an_eclipse_that_never_ends_lasts_until_the_data_end() -> None:
    time = photons(0.5, np.random.default_rng(3))
    event = describe_event(time[time < 15_000], constant(0.5), (16_000.0, 16_050.0), "eclipse")
    assert event is not None
    assert event.start == pytest.approx(15_000, abs=10)
    assert event.stop == pytest.approx(20_000, abs=10)
    assert event.n == 0


def test_masked_frames_do_not_make_blocks() -> None:
    generator, expected = np.random.default_rng(5), constant(0.5)
    mu = expected.mu.copy()
    mu[195:202] = 0  # 9750 to 10100
    time = with_burst(photons(0.5, generator), 9700, 500, 2000)
    event = describe_event(time, ExpectedCounts(expected.edges, mu), (9700.0, 9750.0), "peak")
    assert event is not None
    assert event.start == pytest.approx(9700, abs=2)
    assert event.stop == pytest.approx(10_200, abs=2)
    assert event.n == pytest.approx(150 * 4.5, abs=30)
    assert event.mu == pytest.approx(150 * 0.5, abs=2)
    assert event.peak_rate == pytest.approx(4, rel=0.1)


def test_error_of_start_and_stop() -> None:
    generator, pulls = np.random.default_rng(6), []
    for _ in range(200):
        burst = np.sort(10_010 + 40 * generator.random(50))
        time = np.sort(np.concatenate([photons(0.02, generator), burst]))
        event = describe_event(time, constant(0.02), (10_000.0, 10_050.0), "peak")
        assert event is not None
        pulls.append(
            [
                (event.start - 10_010) / event.start_err,
                (event.stop - 10_050) / event.stop_err,
                (event.duration - 40) / event.duration_err,
            ]
        )
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.25
    assert np.std(pulls, axis=0) == pytest.approx(1, abs=0.25)


def test_psf_fraction_scales_the_source_but_not_the_region() -> None:
    time, seed = with_burst(np.empty(0), 10_010, 20, 40), (10_000.0, 10_050.0)
    whole = describe_event(time, constant(0.02), seed, "peak")
    part = describe_event(time, constant(0.02), seed, "peak", psf_fraction=0.5)
    assert whole is not None
    assert part == replace(
        whole,
        **{
            name: 2 * getattr(whole, name)
            for name in ("excess", "excess_lo", "excess_hi", "peak_rate", "peak_rate_err")
        },
    )


@pytest.mark.parametrize(("n", "mu"), [(0, 0.0), (0, 3.0), (3, 10.0), (7, 2.0), (40, 2000.0)])
def test_excess_interval_is_the_shortest_of_its_credibility(n: int, mu: float) -> None:
    low, high = excess_interval(n, mu, "peak")

    def density(excess: float) -> float:
        return float(np.exp(special.xlogy(n, (mu + excess) / (mu + n + 1e-9)) - excess + low))

    inside, _ = integrate.quad(density, low, high)
    outside = [integrate.quad(density, high, high + 60)[0], integrate.quad(density, 0, low)[0]]
    assert inside / (inside + sum(outside)) == pytest.approx(CREDIBILITY, abs=1e-4)
    if low > 0:
        assert density(low) == pytest.approx(density(high), rel=1e-3)


@pytest.mark.parametrize("kind", ["peak", "eclipse"])
def test_excess_interval_covers(kind: Kind) -> None:
    generator, n_trials, mu = np.random.default_rng(7), 1500, 20.0
    excess = (
        generator.uniform(0, 40, n_trials)
        if kind == "peak"
        else -generator.uniform(0, mu, n_trials)
    )
    n = generator.poisson(mu + excess)
    intervals = np.array([excess_interval(int(k), mu, kind) for k in n])
    covered = (intervals[:, 0] <= excess) & (excess <= intervals[:, 1])
    assert covered.mean() == pytest.approx(CREDIBILITY, abs=3 * np.sqrt(0.68 * 0.32 / n_trials))


@given(st.integers(0, 5000), st.floats(0, 5000), st.sampled_from(["peak", "eclipse"]))
@example(0, 5000.0, "peak")
@example(5000, 1e-300, "eclipse")
def test_excess_interval_is_finite_and_contains_the_best(n: int, mu: float, kind: Kind) -> None:
    low, high = excess_interval(n, mu, kind)
    best = max(n - mu, 0.0) if kind == "peak" else min(n - mu, 0.0)
    assert np.isfinite([low, high]).all()
    assert low <= best <= high


@given(st.lists(st.floats(1.0, 999.0), min_size=2, max_size=60), st.floats(1e-4, 0.5))
@example([360.0] * 3, 0.5)
def test_blocks_are_those_of_astropy(values: list[float], p0: float) -> None:
    position, counts = np.unique(np.round(values, 3), return_counts=True)
    cells = np.concatenate([[0.0], position, [1000.0]])
    reference = bayesian_blocks(cells, np.concatenate([[0], counts, [0]]), fitness="events", p0=p0)
    photons = np.repeat(position, counts)
    ours = block_edges(photons, 0.0, 1000.0, p0)
    if len(ours) > len(cells):
        # Every cell is a block. Astropy has room for one edge less, and leaves the second one out.
        penalty = Events(p0=p0).p0_prior(len(cells))
        assert fitness(ours, photons) - fitness(reference, photons) >= penalty - 1e-6
        ours = np.delete(ours, 1)
    # Of symmetric photons two divisions can be equally good.
    assert len(ours) == len(reference)
    assert fitness(ours, photons) == pytest.approx(fitness(reference, photons), abs=1e-6)


def fitness(edges: NDArray, photons: NDArray) -> float:
    n = np.histogram(photons, edges)[0]
    return special.xlogy(n, n / np.diff(edges)).sum()


def test_blocks_of_many_photons_are_found_in_groups() -> None:
    time = np.sort(np.random.default_rng(8).uniform(0, 1000, 50_000))
    time = np.concatenate([time[time < 400], time[time > 400][::2]])
    edges = block_edges(time, 0.0, 1000.0, P0)
    assert edges == pytest.approx([0, 400, 1000], abs=2)


@given(st.floats(1e-9, 1e9), st.booleans())
def test_change_point_is_the_integral_of_the_likelihood(unit: float, rises: bool) -> None:
    photons = np.array([1.0, 4.0, 4.5, 5.5])
    log_ratio, rise = (np.full(4, 2.0), 1.3) if rises else (np.full(4, -2.0), -1.3)
    s = np.linspace(0, 6, 60_001)
    after = len(photons) - np.searchsorted(photons, s)
    likelihood = np.exp(after * log_ratio[0] + rise * s)
    mean = np.average(s, weights=likelihood)
    std = np.sqrt(np.average((s - mean) ** 2, weights=likelihood))
    result = change_point(photons * unit, log_ratio, rise / unit, 0.0, 6 * unit)
    assert np.array(result) / unit == pytest.approx([mean, std], rel=1e-3)


@st.composite
def observations(draw: st.DrawFn) -> tuple[NDArray, ExpectedCounts, tuple[float, float]]:
    """Any photons, also simultaneous, with any expectation, also masked, and any seed."""
    n_frames = draw(st.integers(1, 30))
    edges = T0 + np.cumsum(
        [0.0, *draw(st.lists(st.floats(0.5, 200), min_size=n_frames, max_size=n_frames))]
    )
    levels = st.one_of(st.just(0.0), st.floats(1e-9, 100.0))
    mu = np.array(draw(st.lists(levels, min_size=n_frames, max_size=n_frames)))
    fractions = np.array(draw(st.lists(st.floats(0, 1), max_size=80)))
    repeats = draw(st.integers(1, 4))
    time = np.sort(np.repeat(edges[0] + fractions * (edges[-1] - edges[0]), repeats))
    first = draw(st.integers(0, n_frames - 1))
    last = draw(st.integers(first + 1, n_frames))
    return time, ExpectedCounts(edges, mu), (float(edges[first]), float(edges[last]))


@given(observations(), st.sampled_from(["peak", "eclipse"]))
def test_any_event_is_consistent(
    observation: tuple[NDArray, ExpectedCounts, tuple[float, float]], kind: Kind
) -> None:
    time, expected, seed = observation
    event = describe_event(time, expected, seed, kind)
    if event is None:
        return
    assert expected.edges[0] <= event.start <= event.stop <= expected.edges[-1]
    assert event.duration == event.stop - event.start
    assert np.isfinite([event.start_err, event.stop_err, event.duration_err]).all()
    assert min(event.start_err, event.stop_err) >= 0
    inside = (time >= event.start) & (time <= event.stop)
    assert event.n == (inside & (expected.mu[expected.frame(time)] > 0)).sum()
    assert event.excess == event.n - event.mu
    assert event.excess_lo <= event.excess <= event.excess_hi
    assert (event.excess > 0) == (kind == "peak")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**20))
def test_a_shift_of_the_clock_shifts_the_event(seed: int, shift: int) -> None:
    generator = np.random.default_rng(seed)
    expected = constant(0.02, 2000.0)
    burst = 1000 + 20 * generator.random(30)
    time = np.sort(np.concatenate([photons(0.02, generator, 2000.0), burst]))
    time = np.round(time * 1024) / 1024  # exact after the shift, too
    here = describe_event(time, expected, (1000.0, 1050.0), "peak")
    moved = ExpectedCounts(expected.edges + shift, expected.mu)
    there = describe_event(time + shift, moved, (1000.0 + shift, 1050.0 + shift), "peak")
    assert here is not None
    assert there is not None
    assert (there.start - shift, there.stop - shift) == pytest.approx((here.start, here.stop))
    assert numbers(there)[2:] == pytest.approx(numbers(here)[2:], rel=1e-6)


def numbers(event: Event) -> list[float]:
    names = ("start", "stop", "start_err", "stop_err", "duration", "n", "mu", "excess", "peak_rate")
    return [getattr(event, name) for name in names]


SEED = (100.0, 150.0)


@given(observations(), st.lists(st.floats(0, 1), max_size=12), st.data())
def test_what_happens_within_frames_keeps_what_they_have(
    observation: tuple[NDArray, ExpectedCounts, tuple[float, float]],
    cuts: list[float],
    data: st.DataObject,
) -> None:
    _, frames, _ = observation
    shares = st.sampled_from([0.0, 0.25, 1.0])
    live = np.array(data.draw(st.lists(shares, min_size=len(frames.mu), max_size=len(frames.mu))))
    frames = ExpectedCounts(frames.edges, np.where(live > 0, frames.mu, 0.0), live)
    first, last = frames.edges[[0, -1]]
    edges = np.unique([first - 1, *(first + np.array(cuts) * (last - first)), last + 1])
    n = len(edges) - 1
    fine = frames.finer(edges, np.array(data.draw(st.lists(shares, min_size=n, max_size=n))))
    assert np.isin(frames.edges, fine.edges).all()
    assert fine.counts.at(frames.edges) == pytest.approx(frames.counts.readings)
    assert fine.live.at(frames.edges) == pytest.approx(frames.live.readings)
    whole = frames.live_fraction == 1
    own = frames.frame((fine.edges[:-1] + fine.edges[1:]) / 2)
    assert np.bincount(own, minlength=len(whole))[whole].max(initial=1) == 1


def test_a_gap_within_a_frame_is_no_eclipse() -> None:
    """A source that is 8 per cent fainter for 4 ks of frames of 3 ks, which have a gap of 50 s."""
    generator = np.random.default_rng(3)
    time = photons(1.0, generator, 21_000.0)
    faint = (time > 8000) & (time < 12_000) & (generator.random(len(time)) < 0.08)
    time = time[~faint & ~((time > 10_000) & (time < 10_050))]
    live = np.where(np.arange(7) == 3, 1 - 50 / 3000, 1.0)
    frames = ExpectedCounts(np.linspace(0.0, 21_000.0, 8), 3000 * live, live)
    fine = frames.finer(np.array([0.0, 10_000.0, 10_050.0, 21_000.0]), np.array([1.0, 0.0, 1.0]))
    event = describe_event(time, fine, (8000.0, 12_000.0), "eclipse")
    assert event is not None
    assert (event.start, event.stop) == pytest.approx((8000, 12_000), abs=1000)
    taken = describe_event(time, frames, (8000.0, 12_000.0), "eclipse")
    assert taken is not None
    assert taken.duration < 100


@pytest.mark.parametrize("kind", ["peak", "eclipse"])
def test_nothing_can_be_said_without_data(kind: Kind) -> None:
    masked = ExpectedCounts(constant(0.1, 1000.0).edges, np.zeros(20))
    assert describe_event(np.array([120.0]), masked, SEED, kind) is None


def test_no_photons() -> None:
    assert describe_event(np.empty(0), constant(0.1, 1000.0), SEED, "peak") is None
    event = describe_event(np.empty(0), constant(0.1, 1000.0), SEED, "eclipse")
    assert event is not None
    assert (event.n, event.excess) == (0, -event.mu)


def test_as_many_photons_as_expected_are_no_event() -> None:
    time = np.arange(5.0, 1000.0, 10.0)
    assert describe_event(time, constant(0.1, 1000.0), SEED, "peak") is None
    assert describe_event(time, constant(0.1, 1000.0), SEED, "eclipse") is None


@pytest.mark.parametrize("n", [1, 50])
def test_photons_at_one_time(n: int) -> None:
    event = describe_event(np.full(n, 120.0), constant(0.001, 1000.0), SEED, "peak")
    assert event is not None
    assert event.n == n
    assert event.start <= 120.0 <= event.stop


@pytest.mark.parametrize(
    ("time", "seed", "fraction", "message"),
    [
        ([3.0, 2.0], SEED, 1.0, "order"),
        ([2.0, np.nan], SEED, 1.0, "finite"),
        ([2.0], (150.0, 100.0), 1.0, "interval"),
        ([2.0], (np.nan, 100.0), 1.0, "interval"),
        ([2.0], (2000.0, 2050.0), 1.0, "overlaps"),
        ([2.0], SEED, 0.0, "PSF"),
        ([2.0], SEED, np.nan, "PSF"),
    ],
)
def test_wrong_input(
    time: list[float], seed: tuple[float, float], fraction: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        describe_event(np.array(time), constant(0.1, 1000.0), seed, "peak", psf_fraction=fraction)


@pytest.mark.parametrize(
    ("edges", "mu", "message"),
    [
        ([0.0, 1.0], [1.0, 1.0], "edges"),
        ([0.0], [], "at least 1"),
        ([0.0, 2.0, 1.0], [1.0, 1.0], "increasing"),
        ([0.0, np.nan], [1.0], "finite"),
        ([0.0, 1.0], [-1.0], "negative"),
        ([0.0, 1.0], [np.nan], "finite"),
    ],
)
def test_wrong_expectation(edges: list[float], mu: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExpectedCounts(np.array(edges), np.array(mu))
