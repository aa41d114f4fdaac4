"""Intervals and limits of counts, against an independent implementation and by their coverage."""

import numpy as np
import pytest
from astropy.stats import poisson_conf_interval
from hypothesis import example, given
from hypothesis import strategies as st

from exod.sensitivity.depth.upperlimits import chance_log, counts_interval


@given(n=st.integers(1, 90), share=st.floats(0.01, 0.95), level=st.sampled_from([0.683, 0.9, 0.99]))
@example(n=1, share=0.5, level=0.9)
def test_the_interval_is_that_of_kraft_burrows_and_nousek(n, share, level):
    # Where more is expected than counted, the other implementation often fails.
    mu = n * share
    expected = poisson_conf_interval(
        n, interval="kraft-burrows-nousek", background=mu, confidence_level=level
    )
    assert counts_interval(n, mu, level) == pytest.approx(expected.ravel(), abs=2e-5, rel=2e-5)


@given(mu=st.floats(0, 2000), level=st.floats(0.1, 0.999))
def test_without_counts_the_limit_does_not_depend_on_the_background(mu, level):
    low, high = counts_interval(0, mu, level)
    assert low == 0
    assert high == pytest.approx(-np.log(1 - level), rel=1e-6)


def test_intervals_hold_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(1)
    true = generator.uniform(0, 60, 40_000)
    mu = 10 ** generator.uniform(-2, 2, len(true))
    low, high = counts_interval(generator.poisson(true + mu), mu, 0.9)
    assert np.mean((low <= true) & (true <= high)) == pytest.approx(0.9, abs=0.01)


def test_what_is_not_known_has_no_interval():
    low, high = counts_interval([np.nan, 1, -1], [1.0, np.nan, 1.0])
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize(("n", "mu"), [(1, 0.5), (4, 2.5), (30, 12.0)])
def test_the_chance_is_a_sum_of_poisson_probabilities(n, mu):
    terms = np.exp(-mu) * np.cumprod(np.concatenate([[1.0], mu / np.arange(1, n)]))
    assert chance_log(n, mu) == pytest.approx(np.log10(1 - terms.sum()), abs=1e-6)
