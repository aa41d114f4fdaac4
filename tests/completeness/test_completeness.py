"""How many counts a burst needs: formula, virtual and simulated injections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.detection_formula import Bursts, detection_probability
from helpers.strategies import EPIC, grid_of_size, site_of

from exod.completeness.virtual import virtual_injection
from exod.completeness.virtualcells import VirtualCells
from exod.counts.bayes import Thresholds
from exod.counts.cube import CountCube
from exod.counts.grid import Box
from exod.counts.template import Expectation, Template
from exod.instruments.king import KingProfile
from exod.observation.gti import Frames
from exod.sensitivity.cellneeds import counts_for_detection, detection_counts, own_share
from exod.sensitivity.profiles import cell_shares

SIZE = 20.0


def flat_expectation(
    mu: float, n_frames: int = 1000, side: int = 30, *, source: float = 0.0
) -> Expectation:
    """Every cell expects `mu` in every frame; the middle cell has a constant source."""
    cells = side * side
    shape = np.full((side, side), 1 / cells)
    steady = np.zeros((side, side))
    steady[side // 2, side // 2] = source
    return Expectation(
        good=Template(shape, mu * cells * n_frames),
        bad=Template(np.zeros((side, side)), 0.0),
        source=steady,
        source_mask=steady > 0,
        level=np.full(n_frames, mu * cells),
        exposure=np.ones(n_frames),
        is_bad=np.zeros(n_frames, bool),
    )


def test_shares_of_cells_are_those_of_photons():
    offsets = EPIC.sample(np.random.default_rng(1), 400_000) / SIZE
    dx, dy = 0.3, -0.4
    column, row = np.rint(offsets[0] + dx), np.rint(offsets[1] + dy)
    shares = cell_shares(EPIC, [dx], [dy], SIZE)[0]
    for y in (-1, 0, 1):
        for x in (-1, 0, 1):
            share = np.mean((column == x) & (row == y))
            assert shares[y + 1, x + 1] == pytest.approx(share, abs=0.003)


def test_shares_agree_with_the_closed_form():
    """For a slope of 1.5 the integral over a rectangle is a solid angle."""
    a = 0.5 * SIZE / 5.5
    expected = 4 / (2 * np.pi) * np.arctan(a * a / np.sqrt(1 + 2 * a * a))
    middle = cell_shares(KingProfile(5.5, 1.5), [0.0], [0.0], SIZE)[0, 1, 1]
    assert middle == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("mu", [0.002, 0.1, 2.0, 40.0])
@pytest.mark.parametrize("probability", [0.5, pytest.param(0.9, marks=pytest.mark.drill)])
def test_bursts_with_the_counts_of_the_map_are_found_as_often(mu, probability):
    expectation = flat_expectation(mu, n_frames=10_000, side=100)
    thresholds = Thresholds(3.0)
    needed = counts_for_detection(expectation, thresholds, probability, SIZE, EPIC)[10, 10]
    generator = np.random.default_rng(5)
    n = 5_000
    dx, dy = generator.uniform(-0.5, 0.5, (2, n))
    light = needed * cell_shares(EPIC, dx, dy, SIZE)
    counts = generator.poisson(mu + light)
    found = thresholds.is_peak(counts, mu).any(axis=(1, 2)).mean()
    assert found == pytest.approx(probability, abs=0.02)


def test_few_frames_need_more_counts():
    """A burst that is a good part of all that was seen raises what is expected of it."""
    thresholds = Thresholds(3.0)
    many, few = (
        counts_for_detection(flat_expectation(0.1, n), thresholds, 0.5, SIZE, EPIC)[0, 0]
        for n in (100_000, 20)
    )
    assert few > 1.3 * many


def test_levels_are_averaged_over_the_frames():
    thresholds = Thresholds(3.0)
    quiet, bright = flat_expectation(0.1, 100_000), flat_expectation(0.4, 100_000)
    level = np.concatenate([quiet.level[:75_000], bright.level[:25_000]])
    mixed = replace(quiet, good=Template(quiet.good.shape, level.sum()), level=level)
    needed = [
        counts_for_detection(e, thresholds, 0.5, SIZE, EPIC)[3, 3] for e in (quiet, bright, mixed)
    ]
    assert needed[2] == pytest.approx(0.75 * needed[0] + 0.25 * needed[1], rel=0.01)


def test_constant_sources_hide_bursts():
    thresholds = Thresholds(3.0)
    image = counts_for_detection(flat_expectation(0.01, source=5.0), thresholds, 0.9, SIZE, EPIC)
    assert image[15, 15] > 2 * image[0, 0]
    assert image.dtype == np.float32


def test_no_expectation_is_nan():
    expectation = flat_expectation(0.01)
    expectation.good.shape[4, 5] = 0.0
    found = detection_counts(expectation, Thresholds(3.0), SIZE, EPIC)
    assert np.isnan(found.images[0]).sum() == 1
    assert found.medians[1] == pytest.approx(float(found.images[1][0, 0]))
    nothing = replace(expectation, exposure=np.zeros(1000))
    assert np.isnan(detection_counts(nothing, Thresholds(3.0), SIZE, EPIC).medians).all()


def test_higher_thresholds_need_more_counts():
    expectation = flat_expectation(0.05)
    needed = [
        counts_for_detection(expectation, Thresholds(sigma), 0.9, SIZE, EPIC)[0, 0]
        for sigma in (2.0, 3.0, 4.0, 5.0)
    ]
    assert np.all(np.diff(needed) > 1)


def test_own_share_is_a_share():
    share = own_share(EPIC, SIZE)
    assert 0 < share.blurred < share.cell < 1


def searched(
    expectation: Expectation, t_bin: float, band: tuple[float, float] = (0.2, 12.0)
) -> VirtualCells:
    """A run with such an expectation, in the middle of the field."""
    n_frames, (n_rows, n_columns) = len(expectation.level), expectation.source.shape
    none = np.empty(0, np.int32)
    cube = CountCube.from_events(
        Frames(0.0, t_bin, n_frames), grid_of_size(SIZE), none, none, np.zeros(n_frames, bool)
    )
    cube = replace(cube, box=Box(50, 50 + n_rows, 40, 40 + n_columns))
    return VirtualCells(band, cube, expectation, Thresholds(3.0))


def random_places(n: int, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Sky pixels all over the middle of the box of `searched`."""
    generator = np.random.default_rng(seed)
    width = grid_of_size(SIZE).width
    return generator.uniform(50, 60, n) * width, generator.uniform(60, 70, n) * width


def test_short_bursts_agree_with_the_map():
    run = searched(flat_expectation(0.05, n_frames=4000, side=60), 50.0)
    thresholds = Thresholds(3.0)
    needed = counts_for_detection(
        run.expectation, thresholds, 0.5, run.cube.grid.size_arcsec, EPIC
    )[30, 30]
    x, y = random_places(300)
    start = 50.0 * np.arange(300) + 10.0
    bursts = Bursts(np.full(300, needed), start, np.full(300, 1.0), x, y)
    found = detection_probability(run.cube, run.expectation, thresholds, bursts, EPIC)
    assert found.mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("duration", [2.0, 60.0])
@pytest.mark.parametrize(("mu", "n_frames"), [(0.05, 4000), (0.4, 40)])
def test_virtual_bursts_agree_with_the_formula(duration, mu, n_frames):
    """Also where the burst is a good part of what its own expectation is made of."""
    run = searched(flat_expectation(mu, n_frames=n_frames, side=60), 50.0)
    generator = np.random.default_rng(3)
    n, counts = 3000, 18.0
    x, y = random_places(100)
    energies = np.full(2000, 1.0)
    sites = [site_of(float(a), float(b), energies, generator) for a, b in zip(x, y, strict=True)]
    start = generator.uniform(100.0, 50.0 * n_frames - 200.0, n)
    found = virtual_injection([run], sites, counts, duration, start, generator)
    some = slice(0, 300)
    bursts = Bursts(
        np.full(300, counts), start[some], np.full(300, duration), np.tile(x, 3), np.tile(y, 3)
    )
    expected = detection_probability(run.cube, run.expectation, run.thresholds, bursts, EPIC)
    assert found.mean() == pytest.approx(expected.mean(), abs=0.04)


def test_runs_share_photons():
    """Two bands that together are a third find bursts that this one finds, and hardly more."""
    halves = [flat_expectation(0.02, 2000, 60), flat_expectation(0.02, 2000, 60)]
    whole = flat_expectation(0.04, 2000, 60)
    runs = [
        searched(halves[0], 50.0, (0.2, 2.0)),
        searched(halves[1], 50.0, (2.0, 12.0)),
        searched(whole, 50.0),
    ]
    generator = np.random.default_rng(4)
    x, y = random_places(50)
    energies = generator.choice([1.0, 4.0], 3000)
    sites = [site_of(float(a), float(b), energies, generator) for a, b in zip(x, y, strict=True)]
    start = generator.uniform(100.0, 90_000.0, 2000)
    found = virtual_injection(runs, sites, 16.0, 2.0, start, generator)
    soft, hard, full = found.T
    assert 0.3 < full.mean() < 0.9
    assert full[soft & hard].mean() > 0.97
    assert found.any(axis=1).mean() < full.mean() + 0.08


def test_bursts_outside_the_data_are_never_found():
    run = searched(flat_expectation(0.05, n_frames=100), 50.0)
    far = Bursts(*(np.array([v]) for v in (1e3, 10.0, 1.0, 30_000.0, 100.0)))
    late = Bursts(*(np.array([v]) for v in (1e3, 6000.0, 1.0, 20_000.0, 24_000.0)))
    for bursts in (far, late):
        assert detection_probability(run.cube, run.expectation, Thresholds(3.0), bursts, EPIC) == [
            0.0
        ]
    generator = np.random.default_rng(1)
    site = site_of(20_000.0, 24_000.0, np.ones(100), generator)
    start = np.array([6000.0, 1000.0])
    found = virtual_injection([run], [site], 1e3, 1.0, start, generator)
    assert found.tolist() == [[False], [True]]
