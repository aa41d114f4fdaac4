"""Counts without what chance adds to faint sources."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from exod.sensitivity.eddington import LEAST, SLOPE, without_eddington


@given(st.integers(1, 300), st.floats(0, 50))
def test_quantiles_are_those_of_the_posterior(n, mu):
    """Against an integral of another kind, from the lower end to each quantile."""
    found = [float(values[0]) for values in without_eddington([n], [mu])]
    peak = max(n - mu, LEAST)
    scale = n * np.log(peak + mu) - peak - SLOPE * np.log(peak)

    def density(s):
        return np.exp(n * np.log(s + mu) - s - SLOPE * np.log(s) - scale)

    edges = np.linspace(LEAST, peak + 15 * np.sqrt(n + 1) + 10, 60)
    total = sum(quad(density, a, b)[0] for a, b in pairwise(edges))
    for value, level in zip(found, (0.5, 0.158655, 0.841345), strict=True):
        own = np.append(edges[edges < value], value)
        below = sum(quad(density, a, b)[0] for a, b in pairwise(own))
        assert below / total == pytest.approx(level, abs=0.01)


def test_a_population_with_the_prior_is_covered_and_not_too_bright():
    generator = np.random.default_rng(16)
    true = LEAST * generator.random(20_000) ** (-1 / (SLOPE - 1))
    n = generator.poisson(true + 0.5)
    seen = n >= 6
    median, low, high = without_eddington(n[seen], np.full(seen.sum(), 0.5))
    inside = (true[seen] >= low) & (true[seen] <= high)
    assert inside.mean() == pytest.approx(0.683, abs=0.03)
    assert np.mean(true[seen] < median) == pytest.approx(0.5, abs=0.03)
    # Without the correction most are too bright.
    assert np.mean(true[seen] < n[seen] - 0.5) > 0.65


def test_what_is_unknown_stays_so():
    found = np.array(without_eddington([np.nan, 5, -1, 5], [1, np.nan, 1, 0.5]))
    assert np.isnan(found[:, :3]).all()
    assert np.isfinite(found[:, 3]).all()
