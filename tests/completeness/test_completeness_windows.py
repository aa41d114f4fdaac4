"""How many counts a burst needs in sliding windows: formula, virtual and simulated injections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.strategies import EPIC, grid_of_size, site_of

from exod.completeness.burstphotons import Site
from exod.completeness.campaign import Campaign
from exod.completeness.curves import agreement, summarise
from exod.completeness.matching import ANY
from exod.completeness.virtual import virtual_injection
from exod.completeness.virtualwindows import VirtualWindows
from exod.config import Config
from exod.counts.cube import CountCube
from exod.counts.grid import Box
from exod.counts.shares import ConditionalExpectation, LevelCurve, LiveTime
from exod.counts.windows import WindowCounts, Windows, log10_tail
from exod.observation.gti import Frames
from exod.sensitivity.windowneeds import Light, best_share, least_counts, window_detection_counts
from exod.stages.completeness.measure import measure
from exod.stages.completeness.virtual import predict

SIZE = 15.0
LENGTH = 20_000.0
WIDTH, SHIFTS = 2, 2


def searched(
    counts: float,
    t_bin: float,
    *,
    p_log: float = -8.0,
    side: int = 40,
    dead: float = 0.0,
    bright: float = 2.0,
    band: tuple[float, float] = (0.2, 12.0),
) -> VirtualWindows:
    """A run in which every cell has the same counts, in two classes; `dead` seconds at the end."""
    frames = Frames.covering(0.0, LENGTH, t_bin)
    none = np.empty(0, np.int32)
    cube = CountCube.from_events(frames, grid_of_size(SIZE), none, none, np.zeros(frames.n, bool))
    cube = replace(cube, box=Box(60, 60 + side, 50, 50 + side))
    live = LENGTH - dead
    # A fifth of the time has another level.
    curve = LevelCurve(
        np.array([0.0, 0.6, 0.8, 1.0]) * live, np.array([0, 1, 0]), np.array([1.0, bright, 1.0])
    )
    weight = np.array([0.8, 0.2 * bright])
    images = np.multiply.outer(counts * weight / weight.sum(), np.ones((side, side)))
    expectation = ConditionalExpectation(
        images,
        np.zeros_like(images),
        np.zeros((side, side), bool),
        curve,
        LiveTime(np.array([0.0, live, LENGTH + 1.0]), np.array([True, False])),
        frames,
        np.zeros(frames.n, bool),
    )
    return VirtualWindows(band, cube, expectation, p_log, WIDTH, SHIFTS)


def sites(n: int, generator: np.random.Generator) -> list[Site]:
    """Places all over the middle of the box of `searched`, far from any gap."""
    width = grid_of_size(SIZE).width
    x, y = generator.uniform(60, 80, n) * width, generator.uniform(70, 90, n) * width
    energies = np.full(2000, 1.0)
    return [site_of(float(a), float(b), energies, generator) for a, b in zip(x, y, strict=True)]


def found_share(run: VirtualWindows, counts: float, duration: float, n: int = 2000) -> float:
    """Share of virtual bursts that a run finds."""
    generator = np.random.default_rng(7)
    start = generator.uniform(100.0, LENGTH - duration - 100.0, n)
    found = virtual_injection([run], sites(100, generator), counts, duration, start, generator)
    return float(found.mean())


@pytest.mark.parametrize("total", [3.0, 50.0, 4000.0])
@pytest.mark.parametrize("share", [1e-4, 0.01, 0.2])
def test_least_counts_are_the_least(total, share):
    k = least_counts(np.array([total]), np.array([share]), -8.0)[0]

    def tail(n: float) -> float:
        trials = total * (1 - share) + n
        return float(
            log10_tail(*(np.array([a]) for a in (n, trials, trials * share)), upper=True)[0]
        )

    assert tail(k) <= -8.0 < tail(k - 1)


def test_light_in_the_best_window():
    assert best_share(EPIC, SIZE, 1) < best_share(EPIC, SIZE, 2) < best_share(EPIC, SIZE, 3) < 1
    light = Light.of(EPIC, SIZE, 2, 0.5)
    assert np.all(np.diff(light.counts) > 0)
    # Many counts: hardly more than the share of the best window tells.
    assert light.counts[-1] * light.share == pytest.approx(len(light.counts) - 1 / 3, rel=0.03)
    # Few: any of the windows may be the one.
    assert light.counts[3] * light.share < 0.97 * (4 - 1 / 3)
    least = np.arange(len(light.counts) - 3.0, len(light.counts) + 5)
    steps = np.diff(light.needed(least, np.zeros(len(least))))
    assert steps == pytest.approx(steps.mean(), rel=0.2)
    assert light.needed(np.array([5.0]), np.array([50.0])) == [0.0]


@pytest.mark.parametrize(
    ("counts", "t_bin"), [(20.0, 2.5), (20.0, 100.0), (20.0, 1500.0), (0.5, 40.0)]
)
def test_bursts_with_the_counts_of_the_map_are_found_as_often(counts, t_bin):
    """Of bursts shorter than half a frame."""
    run = searched(counts, t_bin, bright=1.2)
    sums = WindowCounts.of(
        run.expectation.counts, run.expectation.source, Windows(run.cube.box.shape, WIDTH)
    )
    needed = window_detection_counts(
        run.expectation, sums, run.p_log, run.cube.grid.size_arcsec, EPIC
    )
    for image, probability in zip(needed.images, (0.5, 0.9), strict=True):
        middle = float(image[20, 20])
        low, high = (found_share(run, f * middle, 0.3 * t_bin) for f in (0.95, 1.05))
        assert low < probability + 0.04
        assert high > probability - 0.04


def test_brute_force_finds_the_same():
    """Against windows that are summed one by one, with the burst among their counts."""
    run = searched(20.0, 100.0)
    generator = np.random.default_rng(3)
    places, n = sites(1, generator), 400
    start = generator.uniform(1000.0, 18_000.0, n)
    fast = virtual_injection([run], places, 13.0, 60.0, start, generator).mean()
    site, width = places[0], run.cube.grid.width
    cells = np.arange(-2, 3)
    level = 1 / 1.2 / LENGTH * np.array([1.0, 2.0])
    hits = 0
    for begin in start:
        m = generator.poisson(13.0)
        drawn = generator.integers(0, 2000, m)
        column, row = (
            np.floor(photons[drawn] / width).astype(int) - int(place // width)
            for photons, place in ((site.photon_x, site.x), (site.photon_y, site.y))
        )
        time = begin + 60.0 * generator.random(m)
        hits += _any_window(run, cells, level, (row, column, time), begin, generator)
    assert fast == pytest.approx(hits / n, abs=0.09)


def _any_window(run, cells, level, photons, begin, generator) -> bool:
    """Whether any window of any frame that overlaps the burst is significant."""
    row, column, time = photons
    half = run.cube.frames.t_bin / 2
    edges = half * np.arange(begin // half - 1, (begin + 60.0) // half + 3)
    bright = (edges[:-1] >= 0.6 * LENGTH) & (edges[:-1] < 0.8 * LENGTH)
    mean = 20.0 * half * np.where(bright, level[1], level[0])
    n = generator.poisson(np.broadcast_to(mean[:, None, None], (len(mean), 5, 5)))
    own = np.histogramdd(
        (time, row, column), bins=(edges, np.append(cells, 3) - 0.5, np.append(cells, 3) - 0.5)
    )[0]
    n = n + own
    for i in range(len(mean) - 1):
        expected = mean[i] + mean[i + 1]
        for j in range(4):
            for k in range(4):
                inside = n[i : i + 2, j : j + 2, k : k + 2].sum()
                outside = (
                    own[:, j : j + 2, k : k + 2].sum() - own[i : i + 2, j : j + 2, k : k + 2].sum()
                )
                of_class = 80.0 * (0.4 if bright[i] else 0.8) / 1.2
                trials = of_class - 4 * expected + inside + outside
                share = 4 * expected / of_class
                tail = log10_tail(
                    *(np.array([a]) for a in (inside, trials, trials * share)), upper=True
                )
                if bright[i] == bright[i + 1] and tail[0] <= run.p_log:
                    return True
    return False


def test_lower_thresholds_and_more_counts_find_more():
    shares = [found_share(searched(20.0, 40.0, p_log=p), 9.0, 10.0) for p in (-12.0, -8.0, -5.0)]
    assert shares == sorted(shares)
    shares = [found_share(searched(20.0, 40.0), n, 10.0) for n in (3.0, 8.0, 30.0)]
    assert shares[0] < 0.05
    assert shares[2] > 0.99


def test_nothing_is_found_in_dead_time_and_outside():
    run, generator = searched(20.0, 40.0, dead=5000.0), np.random.default_rng(1)
    start = np.array([1000.0, LENGTH - 4000.0])
    found = virtual_injection([run], sites(1, generator), 500.0, 10.0, start, generator)
    assert found.tolist() == [[True], [False]]
    far = site_of(30.0, 30.0, np.ones(100), generator)
    assert not virtual_injection([run], [far], 500.0, 10.0, start, generator).any()


def test_runs_share_photons():
    """Together they find less than independent ones would."""
    generator = np.random.default_rng(4)
    runs = [searched(20.0, t_bin) for t_bin in (15.0, 40.0, 100.0)]
    runs.append(searched(20.0, 40.0, band=(2.0, 12.0)))
    start = generator.uniform(100.0, 19_000.0, 2000)
    found = virtual_injection(runs, sites(50, generator), 9.0, 15.0, start, generator)
    single = found[:, :3].mean(0)
    independent = 1 - np.prod(1 - single)
    assert single.max() <= found.any(axis=1).mean() < independent - 0.05
    # All the photons have 1 keV.
    assert not found[:, 3].any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "amplitude", "duration"),
    [
        ("deep", 14.0, 200.0),
        pytest.param("deep", 9.0, 10.0, marks=pytest.mark.drill),
        pytest.param("published", 14.0, 50.0, marks=pytest.mark.drill),
    ],
)
def test_injection_agrees_with_prediction(preset, amplitude, duration):
    """Within 5 points or two standard deviations in any run, with thresholds set by a rate."""
    overrides = ["detect.false_alarm_rate=1", "cube.bands=[[0.2, 12]]"]
    if preset == "deep":
        overrides.append("cube.t_bin=[6, 40, 250, 1500]")
    campaign = Campaign(
        amplitudes=(amplitude,),
        durations=(duration,),
        off_axis=(6.0,),
        backgrounds=("quiet",),
        observations=4,
        length=8000.0,
        config=Config.load(overrides=overrides, preset=preset),
    )
    rows = [
        rows.assign(**point.columns(), method="search", seconds=0.0)
        for point in campaign.points()
        for rows in (measure(point, campaign)[0], predict(point, campaign))
    ]
    both = agreement(summarise(pd.concat(rows, ignore_index=True)))
    allowed = np.maximum(0.05, 2 * both["error"])
    assert (both["difference"].abs() <= allowed).mean() > 0.6
    any_run = both[both["kind"] == ANY].iloc[0]
    assert abs(any_run["difference"]) <= max(0.05, 2 * any_run["error"])
