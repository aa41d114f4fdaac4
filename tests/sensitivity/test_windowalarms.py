"""False alarms of the sliding search: sums of binomial tails, and as many as simulations have."""

import numpy as np
import pytest
from helpers.examples import portion
from helpers.sliding_cases import T_LO, always, make_case, random_case
from helpers.strategies import seeds
from hypothesis import given, settings
from scipy import special, stats

from exod.counts.shares import LiveTime
from exod.search.regions import SignificantCells, find_regions
from exod.search.sliding import significant_windows
from exod.sensitivity import windowalarms
from exod.sensitivity.overlaps import HalfOverlap, together
from exod.sensitivity.windowalarms import AlarmCurve, alarm_curve


def curve_of(case):
    return alarm_curve(case.expectation, case.sums, case.frames, case.shifts)


# --- curves ----------------------------------------------------------------------------------


@pytest.mark.drill
@settings(max_examples=portion(30))
@given(seeds)
def test_curves_rise_with_p(seed):
    curve = curve_of(random_case(seed))
    assert (np.diff(curve.p_log) >= 0).all()
    for number in (curve.peaks, curve.eclipses, curve.total):
        assert (np.diff(number) >= 0).all()
        assert (number >= 0).all()
        assert np.isfinite(number).all()
    assert np.array_equal(curve.total, curve.peaks + curve.eclipses)
    values = [sum(curve.at(p)) for p in np.linspace(-25, 0, 60)]
    assert values == sorted(values)


@settings(max_examples=portion(30))
@given(seeds)
def test_threshold_and_number_are_inverse(seed):
    """The threshold has at most the wanted number; the next possible p has more."""
    curve = curve_of(random_case(seed))
    if not len(curve.p_log):
        return
    for wanted in np.geomspace(curve.total[0] / 100, curve.total[-1] * 0.99, 15):
        p_log = curve.threshold(wanted)
        assert sum(curve.at(p_log)) <= wanted * (1 + 1e-9)
        above = curve.p_log[curve.p_log > p_log]
        if len(above):
            assert sum(curve.at(above[0])) > wanted
    # Beyond the first point in proportion to p.
    first = curve.p_log[0]
    assert curve.threshold(curve.total[0] / 100) == pytest.approx(first - 2)
    assert sum(curve.at(first - 2)) == pytest.approx(curve.total[0] / 100)


def test_a_curve_without_windows():
    empty = AlarmCurve(np.empty(0), np.empty(0), np.empty(0))
    assert empty.at(-3.0) == (0, 0)
    assert empty.threshold(0.1) <= -15
    dead = LiveTime(np.array([T_LO, T_LO + 50.0]), np.zeros(1, bool))
    case = make_case(np.empty(0), np.empty(0, int), 3, dead, 1.0, width=2, shifts=2)
    assert sum(curve_of(case).at(-3.0)) == 0


@pytest.mark.parametrize("shifts", [1, 2])
def test_no_frame_and_one_frame(shifts):
    time, cell = T_LO + np.arange(90) / 100, np.arange(90) % 9
    for span, n in ((0.95, 0), (1.0, 1)):
        case = make_case(time, cell, 3, always(span), 1.0, shifts=shifts)
        assert case.frames.n == n
        assert sum(curve_of(case).at(-0.1)) == 0


def direct(case, p_log):
    """Sum of tails over single windows and frames of one class: peaks and eclipses."""
    peaks = eclipses = 0.0
    level, _ = case.expectation.shares(case.frames)
    totals = case.sums.counts
    for number, frame in zip(*np.nonzero(level), strict=True):
        for total in totals[number][totals[number] > 0].astype(int):
            law = stats.binom(total, min(level[number, frame], 1.0))
            n = np.arange(total + 1)
            upper, lower = law.sf(n - 1), law.cdf(n)
            mean, spread = law.mean(), 2 * np.sqrt(law.mean())
            peaks += upper[(n > mean + spread) & (upper <= 10**p_log)].max(initial=0)
            eclipses += lower[(n < mean - spread) & (lower <= 10**p_log)].max(initial=0)
    return peaks, eclipses


@pytest.mark.parametrize(("n", "seed"), [(90, 0), (900, 1), (9000, 2)])
def test_curve_is_the_sum_of_tails(n, seed, monkeypatch):
    """Cells and frames that do not overlap, all in groups of their own."""
    monkeypatch.setattr(windowalarms, "TOTAL_GROUPS", 10**6)
    monkeypatch.setattr(windowalarms, "SHARE_GROUPS", 10**6)
    generator = np.random.default_rng(seed)
    time = T_LO + generator.random(n) * 24
    case = make_case(time, generator.integers(0, 9, n), 3, always(24.0), 1.0)
    curve = curve_of(case)
    for p_log in (-1.0, -3.0, -4.0, -6.0, -9.0):
        peaks, eclipses = curve.at(p_log)
        expected = direct(case, p_log)
        assert peaks == pytest.approx(expected[0], rel=1e-6)
        # Many counts are followed in strides: of a tail every few counts.
        assert eclipses == pytest.approx(expected[1], rel=1e-6, abs=1e-15)


def test_groups_of_alike_windows_change_little():
    generator = np.random.default_rng(3)
    bright = generator.random(60_000) < 0.5
    time = T_LO + np.where(
        bright, generator.uniform(30, 45, 60_000), generator.uniform(0, 100, 60_000)
    )
    cell = np.clip(generator.normal(200, 60, 60_000).astype(int), 0, 399)
    case = make_case(time, cell, 20, always(100.0), 1.0)
    assert case.expectation.curve.n_classes > 1
    few = curve_of(case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windowalarms, "TOTAL_GROUPS", 10**6)
        patch.setattr(windowalarms, "SHARE_GROUPS", 10**6)
        all_of_them = curve_of(case)
    for p_log in (-4.0, -6.0, -8.0):
        assert sum(few.at(p_log)) == pytest.approx(sum(all_of_them.at(p_log)), rel=0.1)


# --- overlap ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mu", [1e-4, 0.02, 0.7, 5.0, 40.0])
def test_shifted_windows_are_significant_together(mu):
    """Half the counts stay, binomial; the new half is Poisson."""
    for k in (1, 2, 5, 20, 63, 64, 200):
        stay = np.arange(k + 1)
        expected = stats.binom.pmf(stay, k, 0.5) @ stats.poisson.sf(k - stay - 1, mu / 2)
        found = together(np.array([float(k)]), np.array([mu]))
        if k > mu:
            assert found == pytest.approx(expected, rel=0.05, abs=0.03)


def test_a_single_window_is_a_region():
    """Without overlap, a tail is a tail."""
    arguments = [np.array([a]) for a in (4.0, 100.0, 0.01, 1.0)]
    tail, regions = windowalarms._tail(*arguments, HalfOverlap(0), upper=True)
    assert tail == pytest.approx(stats.binom.sf(3, 100, 0.01))
    assert regions == tail
    _, fewer = windowalarms._tail(*arguments, HalfOverlap(3), upper=True)
    both = together(np.array([4.0]), np.array([1.0]))
    assert fewer == pytest.approx(tail * (1 - both) ** 3)
    arguments = [np.array([a]) for a in (2.0, 100.0, 0.2, 20.0)]
    low, _ = windowalarms._tail(*arguments, HalfOverlap(0), upper=False)
    assert low == pytest.approx(special.bdtr(2, 100, 0.2))


# --- simulations -----------------------------------------------------------------------------


def only(cells, which):
    """Some of the significant windows."""
    return SignificantCells(**{name: values[which] for name, values in vars(cells).items()})


def simulated(seed, image, p_log, *, n, n_frames, width, shifts, flare=0.0):
    """Regions found and expected in `n` simulations of windows without any variable source.

    `image` is the mean of each cell in a frame; a fifth of the time has `flare` times more.
    """
    generator = np.random.default_rng(seed)
    found, expected = np.zeros(2), np.zeros(2)
    side = len(image)
    span = float(n_frames)
    for _ in range(n):
        cells = [
            np.repeat(np.arange(side**2), generator.poisson(image.ravel() * length))
            for length in (span, flare * span / 5)
        ]
        parts = zip((span, span / 5), cells, strict=True)
        time = T_LO + np.concatenate([generator.uniform(0, t, len(c)) for t, c in parts])
        case = make_case(
            time, np.concatenate(cells), side, always(span), 1.0, width=width, shifts=shifts
        )
        significant = significant_windows(
            case.cube, case.cube, case.sums, case.expectation, shifts, p_log
        ).cells
        for kind, which in enumerate((significant.is_peak, ~significant.is_peak)):
            found[kind] += len(find_regions(only(significant, which), case.cube.image(), width))
        expected += curve_of(case).at(p_log)
    return found, expected


HILL = np.exp(-((np.arange(20)[:, None] - 9.5) ** 2 + (np.arange(20) - 9.5) ** 2) / 60)
FLAT = np.ones((14, 14))
OVERLAPS = [(1, 1), (1, 2), (2, 1), (2, 2)]


def assert_agree(found, expected, width):
    """Within three sigma; how often neighbouring windows go together is known to a quarter."""
    allowed = 3 * np.sqrt(expected) + (0.25 if width > 1 else 0.05) * expected
    assert abs(found - expected) < allowed, (found, expected)


@pytest.mark.parametrize(("width", "shifts"), OVERLAPS)
@pytest.mark.parametrize(
    ("mean", "p_log"), [(0.02, -3.8), pytest.param(0.3, -4.0, marks=pytest.mark.drill)]
)
def test_as_many_peaks_as_simulations_have(width, shifts, mean, p_log):
    settings = {"n": 100, "n_frames": 100, "width": width, "shifts": shifts}
    found, expected = simulated(1, mean * HILL, p_log, **settings)
    assert expected[0] > 50
    assert_agree(found[0], expected[0], width)


@pytest.mark.parametrize(("width", "shifts"), [(1, 2), (2, 2)])
@pytest.mark.parametrize("flare", [3.0, pytest.param(10.0, marks=pytest.mark.drill)])
def test_as_many_alarms_with_a_flare(width, shifts, flare):
    """Also where frames lie in two classes of time."""
    settings = {"n": 40, "n_frames": 100, "width": width, "shifts": shifts}
    found, expected = simulated(2, 0.2 * HILL, -4.0, flare=flare, **settings)
    assert expected[0] > 30
    assert_agree(found[0], expected[0], width)


@pytest.mark.parametrize(("width", "shifts"), [(1, 1), pytest.param(2, 2, marks=pytest.mark.drill)])
def test_as_many_eclipses_as_simulations_have(width, shifts):
    settings = {"n": 12, "n_frames": 100, "width": width, "shifts": shifts}
    found, expected = simulated(3, 20 * FLAT, -3.9, **settings)
    assert expected[1] > 12
    assert_agree(found[1], expected[1], width)
    assert_agree(found[0], expected[0], width)
