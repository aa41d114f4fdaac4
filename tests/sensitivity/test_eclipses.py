"""Eclipses by formula: against simulated counts, and limits."""

import numpy as np
import pytest
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.counts.bayes import Thresholds
from exod.sensitivity.eclipses import eclipse_probability

SHARES = np.array([[[0.02, 0.05, 0.02], [0.05, 0.6, 0.12], [0.02, 0.05, 0.02]]])


def chance(rate=0.5, t_bin=200.0, depth=0.7, duration=400.0, limits=None, background=0.3):
    found = eclipse_probability(
        SHARES, background, rate, t_bin, 2e4, depth, duration, limits or Thresholds(3)
    )
    return float(found[0])


@pytest.mark.parametrize(
    ("rate", "t_bin", "depth", "duration"),
    [(0.5, 200.0, 0.7, 400.0), (0.3, 200.0, 1.0, 150.0), (2.0, 50.0, 0.6, 120.0)],
)
def test_formula_is_that_of_simulated_counts(rate, t_bin, depth, duration):
    """Counts of a whole exposure are drawn and expected from their mean, as the search does."""
    generator, limits, trials, n_frames = np.random.default_rng(1), Thresholds(3), 2000, 100
    start = (40 + generator.random(trials)) * t_bin
    edges = t_bin * np.arange(n_frames + 1)
    taken = np.clip(edges[None, 1:], start[:, None], start[:, None] + duration) - np.clip(
        edges[None, :-1], start[:, None], start[:, None] + duration
    )
    light = rate * (t_bin - depth * taken)
    n = generator.poisson(0.3 + light[:, :, None, None] * SHARES[0])
    mu = n.mean(axis=1, keepdims=True)
    few = limits.is_eclipse(n, np.broadcast_to(mu, n.shape)) & (taken > 0)[:, :, None, None]
    measured = few.any(axis=(1, 2, 3)).mean()
    formula = eclipse_probability(
        SHARES, 0.3, rate, t_bin, n_frames * t_bin, depth, duration, limits
    )[0]
    assert 0.02 < formula < 0.999
    assert measured == pytest.approx(formula, abs=0.05)


@settings(max_examples=portion(25))
@given(
    rate=st.floats(0.05, 3),
    depth=st.floats(0.05, 0.9),
    duration=st.floats(20, 2000),
    more=st.floats(1.0, 1.1),
)
def test_it_is_a_chance_and_rises_with_the_depth(rate, depth, duration, more):
    low, high = (chance(rate, depth=d, duration=duration) for d in (depth, depth * more))
    assert 0 <= low <= 1
    # The mean of the exposure falls with the depth, and the threshold has steps.
    assert high >= low - 0.1


def test_where_nothing_can_be_an_eclipse_none_is_found():
    """At 3 sigma even an empty frame needs an expectation of 13.1."""
    assert chance(rate=13.0 / 0.6 / 200.0, depth=1.0, background=0.0) == 0.0
    assert chance(rate=25.0 / 0.6 / 200.0, depth=1.0, background=0.0) > 0.9
    assert chance(depth=0.9) > chance(depth=0.9, limits=Thresholds(5))
