"""False alarms of the published search: exact tails, and as many as simulations have."""

import numpy as np
import pytest
from helpers.examples import portion
from helpers.strategies import grid_of, lively_cubes, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from exod.counts.bayes import Thresholds, log10_b_eclipse, log10_b_peak
from exod.counts.cube import CountCube
from exod.counts.template import expect
from exod.observation.gti import Frames
from exod.search.regions import SignificantCells, find_regions, significant_cells
from exod.sensitivity import cellalarms as falsealarms
from exod.sensitivity.cellalarms import (
    AlarmsByStrength,
    BayesLimits,
    alarms_by_strength,
    expected_false_alarms,
)

pairs_of = falsealarms.tests_of
"""By a name that is not collected as a test."""

# --- tails -----------------------------------------------------------------------------------


@settings(max_examples=portion(200))
@given(st.integers(100, 10**6), st.floats(1e-4, 0.4), st.floats(1e-4, 0.4), st.integers(1, 60))
def test_upper_tails_are_hypergeometric(counts, marked, drawn, least):
    total, level = np.ceil(counts * marked), np.ceil(counts * drawn)
    if total * level / counts > falsealarms._FEW:
        level = max(np.floor(falsealarms._FEW * counts / total), 1.0)
    arguments = np.array([total]), np.array([level]), float(counts), np.array([float(least)])
    (tail,) = falsealarms._upper_tail(*arguments)
    exact = stats.hypergeom.sf(least - 1, counts, int(total), int(level))
    if least > min(total, level):
        assert tail == 0
    elif least > total * level / counts:
        # Terms are summed until they are 1e-4 of the tail; scipy's own is less exact far out.
        assert tail == pytest.approx(exact, rel=2e-3, abs=1e-13)
    else:
        assert exact * 0.5 < tail <= 1


@given(st.floats(35, 2000), st.floats(0.001, 0.3), st.floats(0, 6))
def test_tails_of_many_counts_are_binomial(mean, share, sigmas):
    total = round(mean / share)
    arguments = np.array([float(total)]), np.array([share * 1e7]), 1e7
    least = np.ceil(total * share + sigmas * np.sqrt(total * share))
    most = np.floor(total * share - sigmas * np.sqrt(total * share))
    (upper,) = falsealarms._upper_tail(*arguments, np.array([least]))
    (lower,) = falsealarms._lower_tail(*arguments, np.array([most]))
    assert upper == pytest.approx(stats.binom.sf(least - 1, total, share), rel=1e-6)
    expected = stats.binom.cdf(most, total, share) if most >= 0 else 0.0
    assert lower == pytest.approx(expected, rel=1e-6)


def test_no_lower_tail_below_zero_counts():
    arguments = np.array([50.0]), np.array([10.0]), 1000.0
    assert falsealarms._lower_tail(*arguments, np.array([-1.0])) == 0
    assert falsealarms._lower_tail(*arguments, np.array([50.0])) == 1


# --- limits ----------------------------------------------------------------------------------


@given(st.floats(0.5, 60.0), st.floats(-6.5, 3.0))
def test_limits_of_a_bayes_factor(b_log, log_mu):
    """A scan over n, at the expectation of the grid that stands for this one."""
    mu = float(falsealarms._MU_GRID[np.searchsorted(falsealarms._MU_GRID, 10**log_mu)])
    assert mu == pytest.approx(10**log_mu, rel=0.01)
    n = np.arange(int(3 * mu + 20 * b_log + 50))
    limits = BayesLimits(b_log)
    peaks = np.flatnonzero(log10_b_peak(n, mu) >= b_log)
    eclipses = np.flatnonzero(log10_b_eclipse(n, mu) >= b_log)
    assert limits.least_peak(np.array([10**log_mu])) == peaks[0]
    assert limits.most_eclipse(np.array([10**log_mu])) == (eclipses[-1] if len(eclipses) else -1)


# --- tests of a run --------------------------------------------------------------------------


def direct(cube, expectation, limits, *, hypergeometric=True):
    """Sums over single cells and frames of the open cells: peaks and eclipses."""
    peaks = eclipses = 0.0
    for is_bad, template in ((False, expectation.good), (True, expectation.bad)):
        frames = (expectation.is_bad == is_bad) & (expectation.exposure > 0)
        level = expectation.level[frames]
        image = cube.image(frames).ravel()
        counts = level.sum()
        for cell in np.flatnonzero((template.shape.ravel() > 0) & ~expectation.source_mask.ravel()):
            mu = template.shape.ravel()[cell] * level
            least, most = limits.least_peak(mu), limits.most_eclipse(mu)
            law = stats.hypergeom(int(counts), int(image[cell]), level.astype(int))
            peaks += law.sf(least - 1).sum()
            eclipses += law.cdf(most)[most >= 0].sum()
    return peaks, eclipses


def poisson_cube(generator, rate, n_frames, n_bad=0, flare=1.0):
    """Counts of a constant image, brighter by a factor in the last frames, which are bad time."""
    level = np.where(np.arange(n_frames) >= n_frames - n_bad, flare, 1.0)
    counts = generator.poisson(level[:, None, None] * rate)
    side = len(rate)
    frame, y, x = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0).T
    return CountCube.from_events(
        Frames(0.0, 1.0, n_frames),
        grid_of(side),
        frame.astype(np.int32),
        (y * side + x).astype(np.int32),
        np.zeros(n_frames, bool),
    ), np.arange(n_frames) >= n_frames - n_bad


@pytest.mark.parametrize(("mean", "sigma"), [(0.3, 2.0), (2.0, 3.0), (20.0, 2.0)])
def test_expected_cells_are_the_sum_over_cells_and_frames(mean, sigma):
    generator = np.random.default_rng(int(10 * mean))
    rate = mean * np.linspace(0.5, 1.5, 64).reshape(8, 8)
    cube, is_bad = poisson_cube(generator, rate, 60, 15, 3.0)
    expectation = expect(cube, is_bad, np.zeros((8, 8), bool))
    limits = Thresholds(sigma, "exact")
    found = [group.false_cells(limits) for group in pairs_of(cube, expectation)]
    groups = pairs_of(cube, expectation)
    peaks = sum(g.n_cells @ f[0] for g, f in zip(groups, found, strict=True))
    eclipses = sum(g.n_cells @ f[1] for g, f in zip(groups, found, strict=True))
    expected = direct(cube, expectation, limits)
    assert not expectation.source_mask.any()
    assert peaks == pytest.approx(expected[0], rel=0.05)
    # Groups of alike cells share their limits, and tails of few counts are binomial.
    assert eclipses == pytest.approx(expected[1], rel=0.15, abs=1e-6)
    assert mean < 20 or eclipses > 0.1


@settings(max_examples=portion(40))
@given(lively_cubes(), st.floats(1.0, 6.0).map(lambda s: round(s, 1)))
def test_every_pair_of_cell_and_frame_is_counted(pair, sigma):
    cube, expectation = pair
    groups = pairs_of(cube, expectation)
    tested = sum(group.n_cells.sum() * group.n_frames.sum() for group in groups)
    expected = 0
    for is_bad, template in ((False, expectation.good), (True, expectation.bad)):
        frames = (expectation.is_bad == is_bad) & (expectation.exposure > 0)
        if expectation.level[frames].any():
            counted = ~expectation.source_mask | (cube.image(frames) > 0)
            expected += frames.sum() * ((template.shape > 0) & counted).sum()
    assert tested == expected
    alarms = expected_false_alarms(groups, Thresholds(sigma))
    assert alarms.peaks >= 0
    assert alarms.eclipses >= 0
    assert np.isfinite(alarms.total)
    assert alarms.total == alarms.peaks + alarms.eclipses


@settings(max_examples=portion(20))
@given(lively_cubes())
def test_fewer_alarms_at_higher_thresholds(pair):
    groups = pairs_of(*pair)
    totals = [expected_false_alarms(groups, Thresholds(s)).total for s in (2.0, 3.0, 5.0, 8.0)]
    assert totals == sorted(totals, reverse=True)
    curve = alarms_by_strength(groups, [12.0, 4.0, 8.0, 4.0])
    assert curve.strength.tolist() == [4.0, 8.0, 12.0]
    assert (np.diff(curve.number) <= 0).all()


def test_many_false_cells_in_a_neighbourhood_are_one_region():
    generator = np.random.default_rng(7)
    cube, is_bad = poisson_cube(generator, np.full((9, 9), 1.0), 300)
    groups = pairs_of(cube, expect(cube, is_bad, np.zeros((9, 9), bool)))
    assert expected_false_alarms(groups, BayesLimits(0.1)).peaks == pytest.approx(9, rel=0.01)


# --- alarms by strength ----------------------------------------------------------------------


def test_alarms_by_strength_between_and_beyond():
    curve = AlarmsByStrength(np.array([5.0, 7.0]), np.array([1.0, 0.01]))
    assert curve.at(5.0) == pytest.approx(1.0)
    assert curve.at(6.0) == pytest.approx(0.1)
    assert curve.at(7.0) == pytest.approx(0.01)
    assert curve.at(9.0) == pytest.approx(1e-4)
    assert curve.at(1.0) == pytest.approx(1.0)
    assert AlarmsByStrength(np.empty(0), np.empty(0)).at(3.0) == 0


def test_a_region_at_the_threshold_is_as_likely_as_any():
    """Exactly the false alarms at the strength that they are asked for."""
    generator = np.random.default_rng(8)
    cube, is_bad = poisson_cube(generator, np.full((9, 9), 0.5), 300)
    groups = pairs_of(cube, expect(cube, is_bad, np.zeros((9, 9), bool)))
    for b_log in (3.0, 6.0):
        exact = expected_false_alarms(groups, BayesLimits(b_log)).total
        assert alarms_by_strength(groups, [b_log]).at(b_log) == pytest.approx(exact)


# --- simulations -----------------------------------------------------------------------------


def only(cells, which):
    """Some of the significant cells."""
    return SignificantCells(**{name: values[which] for name, values in vars(cells).items()})


def simulated(seed, rate, sigma, *, n, n_frames, n_bad=0, flare=1.0, known=None, rule="exact"):
    """Regions found and expected in `n` simulations without any variable source."""
    generator = np.random.default_rng(seed)
    limits = Thresholds(sigma, rule)
    known = np.zeros(rate.shape, bool) if known is None else known
    found, expected = np.zeros(2), np.zeros(2)
    for _ in range(n):
        cube, is_bad = poisson_cube(generator, rate, n_frames, n_bad, flare)
        assert cube.box.shape == rate.shape
        expectation = expect(cube, is_bad, known)
        cells = significant_cells(cube, expectation, limits)
        alarms = expected_false_alarms(pairs_of(cube, expectation), limits)
        for kind, which in enumerate((cells.is_peak, ~cells.is_peak)):
            found[kind] += len(find_regions(only(cells, which), cube.image()))
        expected += alarms.peaks, alarms.eclipses
    return found, expected


def assert_agree(found, expected, *, systematic=0.05):
    """Within three sigma of the simulations, and what groups of alike cells cost."""
    assert abs(found - expected) < 3 * np.sqrt(expected) + systematic * expected, (found, expected)


SLOPE = np.linspace(0.4, 1.6, 24)[:, None] * np.ones(24)
HILL = np.exp(-((np.arange(20)[:, None] - 9.5) ** 2 + (np.arange(20) - 9.5) ** 2) / 32)
"""Little is lost over the edges when the template is smoothed."""


@pytest.mark.parametrize(
    ("mean", "sigma", "rule", "least"),
    [(0.2, 2.0, "exact", 100), (1.0, 2.3, "exact", 50), (0.2, 1.5, "exod2", 30)],
)
def test_as_many_peaks_as_simulations_have(mean, sigma, rule, least):
    found, expected = simulated(1, mean * SLOPE, sigma, n=30, n_frames=150, rule=rule)
    assert expected[0] > least
    assert_agree(found[0], expected[0])


def test_as_many_eclipses_as_simulations_have():
    found, expected = simulated(2, 40.0 * HILL, 2.0, n=30, n_frames=80)
    assert expected[1] > 30
    assert_agree(found[1], expected[1])


def test_as_many_alarms_with_a_flare():
    found, expected = simulated(3, 0.5 * SLOPE, 2.2, n=20, n_frames=150, n_bad=50, flare=6.0)
    assert expected[0] > 50
    assert_agree(found[0], expected[0])


def test_as_many_alarms_with_bright_sources():
    """Cells of sources have their own thresholds; here they make most of the false alarms."""
    rate, known = np.full((16, 16), 0.2), np.zeros((16, 16), bool)
    known[2:-1:4, 2:-1:4] = True
    rate[known] = 25.0
    runs = {"n": 150, "n_frames": 100}
    found, expected = simulated(4, rate, 2.3, known=known, **runs)
    none, background = simulated(4, np.full((16, 16), 0.2), 2.3, **runs)
    assert expected.sum() - background.sum() > 20
    assert_agree(found.sum(), expected.sum())
    assert_agree(none.sum(), background.sum())


@settings(max_examples=portion(5))
@given(seeds)
def test_order_of_frames_does_not_matter(seed):
    generator = np.random.default_rng(seed)
    rate = generator.lognormal(0, 0.3, (6, 6))
    cube, is_bad = poisson_cube(generator, rate, 40, 10, 2.0)
    order = generator.permutation(40)
    rank = np.argsort(order)[cube.frame]
    by_frame = np.argsort(rank, kind="stable")
    other = CountCube.from_events(
        cube.frames,
        cube.grid,
        rank[by_frame].astype(np.int32),
        cube.cell[by_frame],
        np.zeros(40, bool),
    )
    totals = [
        expected_false_alarms(
            pairs_of(c, expect(c, bad, np.zeros((6, 6), bool))), Thresholds(2.0)
        ).total
        for c, bad in ((cube, is_bad), (other, is_bad[order]))
    ]
    assert totals[0] == pytest.approx(totals[1], rel=1e-9)
