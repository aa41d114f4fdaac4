"""Variability between observations: exact tests of pairs, against scipy and a loop over pairs."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from exod.sources import longterm
from exod.sources.longterm import BEYOND, SYSTEMATIC, SeenFluxes, amplitudes, pair_p_log


def seen_of(source: np.ndarray, n: np.ndarray, mu: np.ndarray, k: np.ndarray) -> SeenFluxes:
    """With simple intervals: what matters is that they are the same for all."""
    net, error = n - mu, 1.6 * np.sqrt(n + 1)
    low, high = np.maximum(net - error, 0.0), np.maximum(net, 0.0) + error
    return SeenFluxes(source, n, mu, k, low / k, net / k, high / k)


@given(st.tuples(*[st.integers(0, 60)] * 2), st.tuples(*[st.floats(0.0, 20.0)] * 2))
@settings(max_examples=60)
def test_no_flux_makes_the_pair_more_probable(n: tuple, mu: tuple) -> None:
    """The largest of binomial probabilities over a grid of fluxes that the sum allows."""
    k = (1.3, 0.7)
    total = sum(n)
    lowest = stats.gamma.ppf(BEYOND / 2, total) if total else 0.0
    expected = np.linspace(lowest, stats.gamma.isf(BEYOND / 2, total + 1), 200)
    flux = np.maximum(expected - sum(mu), 0) / sum(k)
    first = mu[0] + flux * k[0] * (1 + SYSTEMATIC)
    both = first + mu[1] + flux * k[1]
    share = np.divide(first, both, out=np.ones(200), where=both > 0)
    p = stats.binom.sf(n[0] - 1, total, share).max() if n[0] else 1.0
    pairs = [(np.array([float(a)]), np.array([float(b)])) for a, b in (n, mu, k)]
    (found,) = pair_p_log(*pairs)
    assert found == pytest.approx(np.log10(min(p + BEYOND, 1.0)), abs=1e-6)


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_sources_equal_a_loop_over_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    source = np.sort(random.integers(0, 5, 14))
    n, mu = random.poisson(random.choice([2.0, 40.0], 14)).astype(float), random.uniform(0, 9, 14)
    k = random.choice([0.5, 1.0, np.nan], 14)
    seen = seen_of(source, n, mu, k)
    found = amplitudes(seen)
    assert found.source.tolist() == np.unique(source).tolist()
    for place, number in enumerate(found.source):
        own = np.flatnonzero((source == number) & np.isfinite(k))
        assert found.n_measured[place] == len(own)
        if len(own) < 2:
            assert np.isnan([found.p_log[place], found.ratio[place]]).all()
            continue
        p_log = 0.0
        for one, other in permutations(own, 2):
            if (n[one] - mu[one]) / k[one] >= (n[other] - mu[other]) / k[other]:
                pair = [(v[[one]], v[[other]]) for v in (n, mu, k)]
                p_log = min(p_log, float(pair_p_log(*pair)[0]))
        pairs = len(own) * (len(own) - 1)
        assert found.p_log[place] == pytest.approx(min(p_log + np.log10(pairs), 0.0))
        least = seen.flux_lo[own].max() / seen.flux_hi[own].min()
        assert found.ratio_lo[place] == pytest.approx(least)
        lit = seen.flux_lo[own] > 0
        if lit.any():
            faintest = np.where(lit, seen.flux[own], seen.flux_hi[own]).min()
            expected = seen.flux[own][lit].max() / faintest
            assert found.ratio[place] == pytest.approx(expected)


def test_constant_sources_are_seldom_variable_and_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(2)
    source, k = np.repeat(np.arange(2000), 4), random.uniform(0.3, 2, 8000)
    mu = 2 * k * random.uniform(0.5, 3, 8000)
    flux = np.full(8000, 5.0)
    constant = amplitudes(seen_of(source, random.poisson(mu + flux * k).astype(float), mu, k))
    assert (constant.sigma > 2).mean() < 0.0455
    assert not constant.is_alert.any()
    flux[::4] *= 20
    n = random.poisson(mu + flux * k).astype(float)
    varying = amplitudes(seen_of(source, n, mu, k))
    assert (varying.sigma > 3).mean() > 0.99
    assert varying.is_alert.mean() > 0.5
    assert (varying.brightest % 4 == 0).all()
    # Of many observations the extreme ones are compared: the same pairs are the best.
    monkeypatch.setattr(longterm, "MOST", 2)
    few = amplitudes(seen_of(source, n, mu, k))
    assert (few.p_log >= varying.p_log - 1e-9).all()
    assert (few.sigma > 3).mean() > 0.95
