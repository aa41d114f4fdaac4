"""Sources by the errors of positions: one stays one, two stay two, and chains have an end."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.clustering_reference import around, reference_friends, skies
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.sky.sphere import separations_arcsec, unit_vectors
from exod.sources.clustering import cluster
from exod.sources.friends import FARTHEST, LONGEST, divided, friends

RADIUS = 20.0
REACH = np.sqrt(3) * LONGEST + FARTHEST + 2


def vectors(offsets: np.ndarray, centre: tuple[float, float] = (123.0, 80.0)) -> np.ndarray:
    return unit_vectors(*around(centre, *np.asarray(offsets, float).T).T)


@pytest.mark.parametrize("scatter", [1.0, 3.0, 5.0, 8.0])
def test_one_source_stays_one(scatter):
    """The rule of fixed radius divides one whose twenty detections scatter by 5 arcsec or more."""
    random = np.random.default_rng(int(scatter))
    whole, whole_before = 0, 0
    for _ in range(200):
        points = vectors(random.normal(0, scatter, (20, 2)))
        whole += friends(points, np.full(20, scatter), RADIUS).max() == 0
        whole_before += cluster(points, RADIUS).max() == 0
    assert whole >= 198
    if scatter >= 5:
        assert whole_before < 100


def test_one_source_of_good_and_bad_positions_stays_one():
    random = np.random.default_rng(5)
    whole = 0
    for _ in range(200):
        errors = random.uniform(1, 8, 20)
        points = vectors(random.normal(0, 1, (20, 2)) * errors[:, None])
        whole += friends(points, errors, RADIUS).max() == 0
    assert whole >= 198


@pytest.mark.parametrize("n", [1, 5, 10])
def test_two_sources_stay_two(n):
    random = np.random.default_rng(n)
    expected, apart = np.repeat([0, 1], n), 0
    for _ in range(200):
        offsets = random.normal(0, 1.5, (2 * n, 2)) + np.outer(expected, [15.0, 0.0])
        found = friends(vectors(offsets), np.full(2 * n, 1.5), RADIUS)
        apart += np.array_equal(found, expected)
    assert apart >= 190


@pytest.mark.parametrize("apart", [5.0, 8.0])
def test_precise_positions_stay_two_beside_a_wide_one(apart):
    """Chandra tells two sources apart; XMM-Newton sees one, between them."""
    random, n_apart = np.random.default_rng(int(apart)), 0
    for _ in range(50):
        sky = random.normal(0, 0.3, (5, 2))
        sky[2:4] += [apart, 0.0]
        sky[4] = random.normal([0.3 * apart, 0.0], 1.0)
        errors = np.array([0.5, 0.5, 0.5, 0.5, 2.5])
        found = friends(vectors(sky), errors, RADIUS)
        n_apart += np.array_equal(found[:4], [0, 0, 1, 1]) and found.max() == 1
    assert n_apart >= 49
    alone = friends(
        vectors([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0]]), np.array([0.5, 0.6, 3.0]), RADIUS
    )
    assert alone.max() == 0


@settings(max_examples=portion(25))
@given(skies(most=25), st.integers(0, 99), st.sampled_from([1, 7, 10**6]))
def test_any_sky_is_as_every_pair_tells(sky, seed, chunk):
    random = np.random.default_rng(seed)
    errors = random.choice([0.0, np.nan, 0.3, 2.0, 5.0, 9.0], len(sky))
    points = unit_vectors(sky[:, 0], sky[:, 1])
    found = friends(points, errors, RADIUS, chunk)
    expected = reference_friends(points, errors, RADIUS)
    same = found[:, None] == found
    assert np.array_equal(same, expected[:, None] == expected)


@settings(max_examples=portion(25))
@given(skies(most=40), st.integers(0, 99))
def test_what_is_far_does_not_matter(sky, seed):
    errors = np.random.default_rng(seed).choice([np.nan, 0.3, 2.0, 9.0], len(sky))
    points = unit_vectors(sky[:, 0], sky[:, 1])
    whole = friends(points, errors, RADIUS)
    for k in range(0, len(sky), 7):
        near = separations_arcsec(points, points[k : k + 1]) <= (REACH + 5.3) * RADIUS
        part = friends(points[near], errors[near], RADIUS)
        own = part == part[np.flatnonzero(near) == k]
        assert np.array_equal(np.flatnonzero(near)[own], np.flatnonzero(whole == whole[k]))


def test_a_chain_has_an_end():
    chain = vectors(np.stack([np.arange(100) * 5.0, np.zeros(100)], axis=1))
    found = friends(chain, np.full(100, 3.0), RADIUS)
    for label in range(found.max() + 1):
        own = chain[found == label]
        assert separations_arcsec(own[:1], own[-1:])[0] <= 2 * RADIUS
    assert np.array_equal(found, cluster(chain, RADIUS))


def test_what_the_fixed_radius_divides_is_told():
    offsets = np.random.default_rng(1).normal(0, 8.0, (20, 2))
    points = np.concatenate([vectors(offsets), vectors([[500.0, 0.0]])])
    labels = cluster(points, RADIUS)
    found = divided(labels, friends(points, np.full(21, 8.0), RADIUS))
    assert len(found) == labels.max() + 1 > 2
    assert found[: labels[19] + 1].all()
    assert not found[labels[20]]
    assert divided(np.empty(0, int), np.empty(0, int)).tolist() == []
