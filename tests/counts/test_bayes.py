"""Bayes factors against exact arithmetic; thresholds against their definition."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from helpers.examples import portion
from helpers.strategies import sigmas
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from exod.counts.bayes import (
    MU_REFERENCE,
    Thresholds,
    amplitude_limit,
    log10_b_eclipse,
    log10_b_peak,
    n_eclipse,
    n_peak,
    sigma_equivalent,
    threshold,
)

counts = st.one_of(st.integers(0, 30), st.integers(0, 2000), st.integers(0, 10**6))
expectations = st.floats(-30, 8).map(lambda exponent: 10**exponent)


def exact_log10_b(n: int, mu: float) -> tuple[float, float]:
    """log10 B_peak and log10 B_eclipse to far more digits than a float has.

    B_peak is the finite sum n!/(n-j)! mu^-j, by Horner's rule. B_eclipse is 1/Poisson - B_peak
    where that does not cancel, otherwise its series.
    """
    with localcontext(prec=60, Emax=10**15, Emin=-(10**15)):
        exact = Decimal(mu)
        peak, inverse = Decimal(1), exact.exp()
        for k in range(1, n + 1):
            peak = 1 + peak * k / exact
            inverse = inverse * k / exact
        if mu > n:
            eclipse = inverse - peak
        else:
            eclipse, term, k = Decimal(0), Decimal(1), n
            while term > eclipse * Decimal("1e-40"):
                k += 1
                term = term * exact / k
                eclipse += term
        return float(peak.log10()), float(eclipse.log10())


MUS = [1e-30, 1e-12, 1e-7, 0.0035, 0.5, 1.0, 13.145, 100.0, 745.0, 999.0, 2e4, 1e6, 1e8]


@pytest.mark.parametrize("mu", MUS)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 40, 170, 1000, 1150])
def test_exact_arithmetic(n, mu):
    peak, eclipse = exact_log10_b(n, mu)
    error = 1e-14 * max(n, mu)  # of mu log mu - mu - log n! in double precision
    assert log10_b_peak(n, mu) == pytest.approx(peak, rel=1e-11, abs=1e-13 + error)
    assert log10_b_eclipse(n, mu) == pytest.approx(eclipse, rel=1e-11, abs=1e-13 + error)


@pytest.mark.parametrize("mu", [1e-30, 9.9e5, 1e6, 1.01e6, 1e8])
def test_exact_arithmetic_for_a_million_counts(mu):
    peak, eclipse = exact_log10_b(10**5, mu / 10)
    assert log10_b_peak(10**5, mu / 10) == pytest.approx(peak, rel=1e-10, abs=1e-8)
    assert log10_b_eclipse(10**5, mu / 10) == pytest.approx(eclipse, rel=1e-10, abs=1e-8)
    for function in (log10_b_peak, log10_b_eclipse):
        assert np.isfinite(function(10**6, mu))


def test_mu_that_is_not_positive_is_nan():
    for function in (log10_b_peak, log10_b_eclipse):
        assert np.isnan(function([0, 3, 3], [0.0, 0.0, -1.0])).all()
        assert np.isnan(function(3, np.nan))


def test_broadcasting():
    n, mu = np.arange(4)[:, None], np.array([0.1, 1.0, 10.0])
    for function in (log10_b_peak, log10_b_eclipse):
        table = function(n, mu)
        assert table.shape == (4, 3)
        assert table[2, 1] == function(2, 1.0)
    assert log10_b_peak([], []).shape == (0,)


@given(counts, expectations, st.floats(1.001, 10))
def test_b_is_monotone_in_mu(n, mu, factor):
    assert log10_b_peak(n, mu * factor) <= log10_b_peak(n, mu) * (1 + 1e-11) + 1e-9
    assert log10_b_eclipse(n, mu * factor) >= log10_b_eclipse(n, mu) - 1e-9


@given(counts, expectations, st.integers(1, 100))
def test_b_is_monotone_in_n(n, mu, more):
    scale = 1e-14 * max(n, mu)
    assert log10_b_peak(n + more, mu) >= log10_b_peak(n, mu) - 1e-11 - scale
    assert log10_b_eclipse(n + more, mu) <= log10_b_eclipse(n, mu) + 1e-11 + scale


@given(counts, expectations)
def test_b_is_always_a_number(n, mu):
    assert log10_b_peak(n, mu) >= 0
    assert np.isfinite(log10_b_eclipse(n, mu))


# --- thresholds ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sigma", "kind", "published"),
    [
        (3, "peak", 5.94096891658419),
        (5, "peak", 13.278830271385576),
        (3, "eclipse", 5.708917345972507),
        (5, "eclipse", 12.380488516107011),
    ],
)
def test_published_thresholds(sigma, kind, published):
    assert threshold(sigma, kind) == pytest.approx(published, abs=1e-10)


def test_published_consequences():
    """An eclipse without counts needs mu > 13.145, a peak a count (method.md, Significance)."""
    exact = Thresholds(3.0, "exact")
    assert exact.eclipse_limit(np.array(0)) == pytest.approx(13.145, abs=5e-4)
    assert exact.peak_limit(np.array(0)) == 0
    assert Thresholds(3.0, "exod2").peak_limit(np.array(1)) == 0


@settings(max_examples=portion(300))
@given(sigmas, st.data())
def test_thresholds_are_b_against_the_threshold(sigma, data):
    mu = data.draw(st.floats(-8, 3).map(lambda exponent: min(10**exponent, MU_REFERENCE)))
    near = st.integers(-5, 5).map(lambda d: max(int(mu + sigma * np.sqrt(2 * mu)) + d, 0))
    below = st.integers(-5, 5).map(lambda d: max(int(mu - sigma * np.sqrt(2 * mu)) + d, 0))
    n = np.array(data.draw(st.one_of(st.integers(0, 10), st.integers(0, 3000), near, below)))
    exact, exod2 = Thresholds(sigma, "exact"), Thresholds(sigma, "exod2")
    wanted = threshold(sigma, "peak")
    peak, fewer = log10_b_peak(n, mu), log10_b_peak(max(n - 1, 0), mu)
    assume(min(abs(peak - wanted), abs(fewer - wanted)) > 1e-8)
    assert exact.is_peak(n, mu) == (peak >= wanted and mu > 1e-7)
    assert exod2.is_peak(n, mu) == (n >= 2 and fewer >= wanted and mu > 1e-7)
    wanted = threshold(sigma, "eclipse")
    eclipse = log10_b_eclipse(n, mu)
    assume(abs(eclipse - wanted) > 1e-8)
    assert exact.is_eclipse(n, mu) == exod2.is_eclipse(n, mu) == (eclipse >= wanted)


@given(sigmas, st.floats(1050, 1e7), st.integers(-3000, 3000))
def test_gaussian_relation_above_the_reference(sigma, mu, offset):
    for rule, more in (("exact", 0), ("exod2", 1)):
        for base in (n_peak(sigma, mu), n_eclipse(sigma, mu)):
            n = np.array(max(int(base) + offset, 0))
            assume(abs(n - n_peak(sigma, mu)) > 1e-4 and abs(n - n_eclipse(sigma, mu)) > 1e-4)
            thresholds = Thresholds(sigma, rule)
            assert thresholds.is_peak(n, mu) == (n - more > n_peak(sigma, mu) + 1e-6)
            assert thresholds.is_eclipse(n, mu) == (n < n_eclipse(sigma, mu))


@given(sigmas, st.sampled_from(["exact", "exod2"]), st.integers(0, 10**6), st.floats(-1, 1e-7))
def test_next_to_no_expectation_is_never_significant(sigma, rule, n, mu):
    thresholds = Thresholds(sigma, rule)
    assert not thresholds.is_peak(np.array(n), mu)
    assert not thresholds.is_eclipse(np.array(n), mu)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0, 5.0, 10.0])
@pytest.mark.parametrize("rule", ["exact", "exod2"])
def test_limits_rise_with_n(sigma, rule):
    n = np.arange(6000)
    thresholds = Thresholds(sigma, rule)
    assert (np.diff(thresholds.peak_limit(n)) >= 0).all()
    assert (np.diff(thresholds.eclipse_limit(n)) > 0).all()
    assert (thresholds.peak_limit(n) < thresholds.eclipse_limit(n)).all()


def test_arrays_and_scalars_agree():
    n, mu = np.arange(50), np.geomspace(1e-8, 5000, 50)
    thresholds = Thresholds(3.0)
    for test in (thresholds.is_peak, thresholds.is_eclipse):
        table = test(n[:, None], mu)
        assert table.shape == (50, 50)
        assert table[20, 10] == test(np.array(20), mu[10])


# --- sigma equivalents -----------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "low", "high"), [("peak", 1.61, 48.976), ("eclipse", 1.6, 42.0)])
def test_sigma_equivalent_is_clipped(kind, low, high):
    sigma = sigma_equivalent([-np.inf, 0.0, low - 1e-6, high + 1e-6, 1e6, np.inf], kind)
    assert sigma.tolist() == [0, 0, 0, 10, 10, 10]
    assert 0 < sigma_equivalent(low + 1e-6, kind) < sigma_equivalent(high - 1e-6, kind) <= 10
    assert np.isnan(sigma_equivalent([np.nan], kind)).all()


@given(st.floats(-5, 60), st.floats(0, 20), st.sampled_from(["peak", "eclipse"]))
def test_sigma_equivalent_is_monotone(b, more, kind):
    assert sigma_equivalent(b + more, kind) >= sigma_equivalent(b, kind)


@given(st.floats(1.5, 9.6), st.sampled_from(["peak", "eclipse"]))
def test_sigma_equivalent_inverts_the_curve(sigma, kind):
    if kind == "peak":
        b = log10_b_peak(n_peak(sigma, MU_REFERENCE), MU_REFERENCE)
    else:
        b = log10_b_eclipse(n_eclipse(sigma, MU_REFERENCE), MU_REFERENCE)
    assert sigma_equivalent(b, kind) == pytest.approx(sigma, abs=1e-3)
    assert sigma_equivalent(threshold(sigma, kind), kind) >= sigma - 1e-3
    assert sigma_equivalent(threshold(sigma, kind), kind) <= sigma + 0.05


# --- counts at given expectations --------------------------------------------------------------


@given(sigmas, st.sampled_from(["exod2", "exact"]), st.floats(-6.5, 3.7))
def test_least_peak_and_most_eclipse_against_a_scan(sigma, rule, log_mu):
    thresholds, mu = Thresholds(sigma, rule), 10**log_mu
    n = np.arange(int(2 * mu + 20 * sigma * np.sqrt(mu) + 30 * sigma + 50))
    peaks = np.flatnonzero(thresholds.is_peak(n, mu))
    eclipses = np.flatnonzero(thresholds.is_eclipse(n, mu))
    assert thresholds.least_peak(mu) == peaks[0]
    assert thresholds.most_eclipse(mu) == (eclipses[-1] if len(eclipses) else -1)


@pytest.mark.parametrize("sigma", [2.0, 3.0, 5.0])
@pytest.mark.parametrize("rule", ["exod2", "exact"])
def test_limits_of_counts_at_the_limits_of_mu(sigma, rule):
    """Just below and just above each mu at which one count more is needed."""
    thresholds, n = Thresholds(sigma, rule), np.arange(1, 1300)
    peak, eclipse = thresholds.peak_limit(n), thresholds.eclipse_limit(n)
    some = peak > 2e-7
    below, above = peak[some] * (1 - 1e-9), peak[some] * (1 + 1e-9)
    assert np.array_equal(thresholds.least_peak(below), n[some])
    assert np.array_equal(thresholds.least_peak(above), n[some] + 1)
    assert np.array_equal(thresholds.most_eclipse(eclipse * (1 + 1e-9)), n)
    assert np.array_equal(thresholds.most_eclipse(eclipse * (1 - 1e-9)), n - 1)


@given(sigmas, st.lists(st.floats(-6.5, 5.0), min_size=2, max_size=8))
def test_limits_of_counts_rise_with_mu(sigma, log_mu):
    thresholds, mu = Thresholds(sigma), 10 ** np.sort(log_mu)
    least, most = thresholds.least_peak(mu), thresholds.most_eclipse(mu)
    assert (np.diff(least) >= 0).all()
    assert (np.diff(most) >= 0).all()
    assert (least > mu).all()
    assert (most < mu).all()


# --- amplitudes ------------------------------------------------------------------------------


@settings(max_examples=portion(50))
@given(st.integers(0, 200), st.floats(0.01, 100), st.floats(0.05, 0.999))
def test_peak_amplitude_against_the_posterior(n, mu, credibility):
    limit = float(amplitude_limit(n, mu, credibility, "peak"))
    grid = np.linspace(0, max(n, mu) + 20 * np.sqrt(n + 10) + 40, 40_001)
    posterior = stats.poisson.pmf(n, mu + grid)
    below = integrate.cumulative_simpson(posterior, x=grid, initial=0)
    assert np.interp(limit, grid, below / below[-1]) == pytest.approx(credibility, abs=1e-5)


@settings(max_examples=portion(50))
@given(st.integers(0, 200), st.floats(0.5, 300), st.floats(0.05, 0.999))
def test_eclipse_amplitude_against_the_posterior(n, mu, credibility):
    limit = float(amplitude_limit(n, mu, credibility, "eclipse"))
    grid = np.linspace(0, mu, 40_001)
    posterior = stats.poisson.pmf(n, mu - grid)
    assume(posterior.max() > 1e-250)
    below = integrate.cumulative_simpson(posterior, x=grid, initial=0)
    assert 0 <= limit <= mu
    assert np.interp(limit, grid, below / below[-1]) == pytest.approx(credibility, abs=1e-4)


@given(st.integers(0, 100), st.floats(0.1, 100), st.sampled_from(["peak", "eclipse"]))
def test_amplitude_limits_rise_with_credibility(n, mu, kind):
    levels = [float(amplitude_limit(n, mu, f, kind)) for f in (0.01, 0.5, 0.9, 0.99)]
    assert levels == sorted(levels)
    assert levels[0] >= -1e-9
