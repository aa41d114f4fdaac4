"""Clusters equal those of a plain reference, whatever the sky, the partitions and the memory."""

import math
from itertools import pairwise

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from helpers.clustering_reference import (
    CENTRES,
    around,
    as_lists,
    partitions,
    reference_clusters,
    skies,
)
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.sky.healpix import (
    DEEPEST,
    WHOLE_SKY,
    Partition,
    is_among,
    located,
    order_for,
    overlapping,
    refined,
    sky_pixels,
    with_margin,
    with_neighbours,
)
from exod.sky.sphere import chord, is_position, positions, separations_arcsec, unit_vectors
from exod.sources.clustering import (
    assign,
    cluster,
    means,
    near_pairs,
    nearest_candidates,
)


@given(skies())
def test_clusters_equal_the_reference(sky):
    vectors = unit_vectors(*sky.T)
    assert as_lists(cluster(vectors, 20.0)) == reference_clusters(vectors, 20.0)


@given(skies(radius=600.0), st.sampled_from([50.0, 600.0]))
def test_any_radius(sky, radius):
    vectors = unit_vectors(*sky.T)
    assert as_lists(cluster(vectors, radius)) == reference_clusters(vectors, radius)


@given(skies(), st.integers(1, 200))
def test_memory_can_be_as_small_as_wanted(sky, pairs):
    vectors = unit_vectors(*sky.T)
    assert np.array_equal(cluster(vectors, 20.0, pairs), cluster(vectors, 20.0))


@given(skies(), st.integers(0, 2**32))
def test_fast_and_slow_assignment_agree(sky, seed):
    vectors = unit_vectors(*sky.T)[np.random.default_rng(seed).permutation(len(sky))]
    pairs = near_pairs(vectors, vectors, 20.0)
    candidates = [pairs.j[pairs.i == i].tolist() for i in range(len(vectors))]
    assert np.array_equal(nearest_candidates(vectors, 20.0), assign(vectors, candidates))


@settings(max_examples=portion(60))
@given(skies(radius=600.0), st.data())
def test_partitions_with_margins_agree_with_the_whole_sky(sky, data):
    """Clusters with their mean in a partition are found in it alone, to the last bit."""
    radius, order = 600.0, order_for(4 * 600.0, 8)
    parts = data.draw(partitions(order))
    vectors = unit_vectors(*sky.T)
    labels = cluster(vectors, radius)
    whole = means(vectors, labels, labels.max(initial=-1) + 1)
    pixels = sky_pixels(*sky.T, order) if len(sky) else np.empty(0, np.int64)
    found = []
    for part in parts:
        core = np.arange(*part.span(order))
        rows = np.flatnonzero(is_among(pixels, with_neighbours(core, order)))
        local = cluster(vectors[rows], radius)
        middles = means(vectors[rows], local, local.max(initial=-1) + 1)
        if not len(rows):
            continue
        inside = is_among(sky_pixels(*positions(middles), order), core)
        for number in np.flatnonzero(inside):
            members = rows[local == number]
            found.append(members.tolist())
            assert np.array_equal(middles[number], whole[labels[members[0]]])
    assert sorted(found) == as_lists(labels)


def test_worked_example_of_the_method():
    points = np.array(
        [[0, 0, 0], [0, 0, 1], [0, 1, 0], [5, 0, 0], [4, 0, 0], [0, 2, 0], [0, 3, 0]], float
    )
    two = [[0, 1, 2], [1, 3, 6]]
    assert np.allclose(points[two[0]].mean(axis=0), [0, 1 / 3, 1 / 3])
    assert np.allclose(points[two[1]].mean(axis=0), [5 / 3, 1, 1 / 3])
    assert assign(points, two).tolist() == [0, 0, 0, 1, -1, -1, 1]
    assert assign(points, two[::-1]).tolist() == [1, 1, 1, 0, -1, -1, 0]


def test_equal_distances_go_to_the_first():
    points = np.array([[0.0, 0, 0], [2.0, 0, 0], [1.0, 0, 0]])
    assert assign(points, [[0, 2], [1, 2]]).tolist() == [0, 1, 0]
    assert assign(points, [[1, 2], [0, 2]]).tolist() == [1, 0, 0]


def test_the_radius_is_included():
    a, b = unit_vectors([0.0, 0.0], [0.0, 20.0 / 3600])
    exact = 2 * math.degrees(math.asin(math.sqrt(((a - b) ** 2).sum()) / 2)) * 3600
    assert len(near_pairs(a[None], b[None], exact * (1 + 1e-12)).i) == 1
    assert len(near_pairs(a[None], b[None], exact * (1 - 1e-9)).i) == 0
    assert chord(20.0) == pytest.approx(math.radians(20 / 3600), rel=1e-8)


def test_none_and_one():
    assert cluster(np.empty((0, 3)), 20.0).tolist() == []
    assert cluster(unit_vectors([1.0], [2.0]), 20.0).tolist() == [0]
    assert len(near_pairs(np.empty((0, 3)), np.empty((0, 3)), 20.0).i) == 0


def test_no_duplicated_region_and_none_lost():
    random = np.random.default_rng(2)
    sky = around((266.4, -29.0), *random.normal(0, 200, (2, 3000)))
    labels = cluster(unit_vectors(*sky.T), 20.0)
    assert set(labels) == set(range(labels.max() + 1))
    assert len(labels) == 3000


def test_many_at_one_place_are_one_cluster_in_little_memory():
    sky = around((83.6, 22.0), *np.random.default_rng(1).uniform(-5, 5, (2, 2000)))
    labels = cluster(unit_vectors(*sky.T), 20.0, pairs_per_chunk=50_000)
    assert set(labels) == {0}


@given(st.lists(st.tuples(st.floats(0, 360), st.floats(-90, 90)), min_size=2, max_size=20))
def test_positions_and_separations_are_those_of_astropy(sky):
    ra, dec = np.array(sky).T
    vectors = unit_vectors(ra, dec)
    assert np.allclose(vectors, SkyCoord(ra, dec, unit="deg").cartesian.xyz.value.T, atol=1e-15)
    again = SkyCoord(*positions(vectors), unit="deg")
    expected = SkyCoord(ra, dec, unit="deg")
    assert again.separation(expected).max() < 1e-6 * units.arcsec
    assert ((positions(vectors)[0] >= 0) & (positions(vectors)[0] < 360)).all()
    away = separations_arcsec(vectors[:-1], vectors[1:])
    theirs = expected[:-1].separation(expected[1:]).arcsec
    # Near the antipode the chord says little about the angle.
    assert np.allclose(away, theirs, atol=1e-6, rtol=1e-6) or theirs.max() > 179 * 3600


def test_what_is_no_position():
    ra = [1.0, np.nan, 1.0, np.inf, 1.0, 720.0]
    dec = [1.0, 1.0, np.nan, 1.0, 90.1, -90.0]
    assert is_position(ra, dec).tolist() == [True, False, False, False, False, True]


@pytest.mark.realdata
def test_real_sources_have_as_many_clusters_as_the_reference(real_sources):
    """Positions of sources that the pipeline found in 53 observations."""
    lists = real_sources.values()
    sky = np.concatenate([rows[["ra_deg", "dec_deg"]].to_numpy() for rows in lists])
    assert len(sky) > 1000
    vectors = unit_vectors(*sky.T)
    labels = cluster(vectors, 20.0)
    assert as_lists(labels) == _by_group(vectors)


def _by_group(vectors):
    """The reference for each group of sources that are linked by neighbours: the rest is far."""
    limit = chord(20.0)
    squared = ((vectors[:, None, :] - vectors[None, :, :]) ** 2).sum(axis=-1)
    near = squared <= limit * limit
    group = np.arange(len(vectors))
    for i in range(len(vectors)):
        linked = np.unique(group[near[i]])
        group[np.isin(group, linked)] = linked[0]
    found = []
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        found += [rows[members].tolist() for members in reference_clusters(vectors[rows], 20.0)]
    return sorted(found)


# ---------------------------------------------------------------- parts of the sky


@given(st.integers(0, 10), st.floats(0, 360), st.floats(-90, 90), st.data())
def test_neighbours_make_a_margin(order, ra, dec, data):
    """Whatever is nearer than the margin is in the pixel or one beside it."""
    width = 0.5 * math.degrees(math.sqrt(math.pi / 3)) * 3600 / 2**order
    angle = data.draw(st.floats(0, 2 * math.pi))
    away = 0.999 * min(width, 3600.0 * 20) * np.array([math.cos(angle), math.sin(angle)])
    other = around((ra, dec), away[:1], away[1:])
    pixels = with_neighbours(sky_pixels(ra, dec, order), order)
    assert is_among(sky_pixels(*other.T, order), pixels).all()


@given(st.integers(0, 3), st.integers(0, 12 * 4**3 - 1), st.integers(0, 3))
def test_margins_are_the_neighbours(order, pixel, depth):
    part = Partition(order, pixel % (12 * 4**order))
    inside = np.arange(*part.span(order + depth))
    expected = with_neighbours(inside, order + depth)
    assert np.array_equal(with_margin(part, order + depth), expected)


def test_pixels_at_corners_have_seven_neighbours():
    assert sorted({len(with_neighbours(np.array([p]), 3)) for p in range(768)}) == [8, 9]
    assert len(with_neighbours(np.empty(0, np.int64), 3)) == 0


@given(partitions(4), st.integers(0, 12 * 4**4 - 1), st.integers(0, 4))
def test_partitions_cover_the_sky_once(parts, pixel, order):
    spans = [part.span(DEEPEST) for part in parts]
    assert spans[0][0] == 0
    assert spans[-1][1] == 12 * 4**DEEPEST
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    at = located(parts, np.array([pixel]), 4)[0]
    assert parts[at].span(4)[0] <= pixel < parts[at].span(4)[1]
    coarse = pixel >> 2 * (4 - order)
    lo, hi = coarse << 2 * (DEEPEST - order), (coarse + 1) << 2 * (DEEPEST - order)
    expected = [i for i, (a, b) in enumerate(spans) if a < hi and lo < b]
    assert overlapping(parts, np.array([coarse]), order).tolist() == expected
    assert Partition.parse(parts[at].name) == parts[at]


@given(st.dictionaries(st.integers(0, 12 * 4**3 - 1), st.integers(1, 30)), st.integers(1, 50))
def test_partitions_are_divided_until_they_are_small(counts, limit):
    pixels = np.array([*counts], np.int64)
    rows = np.array([*counts.values()], np.int64)
    parts = refined(WHOLE_SKY, pixels, rows, 3, limit)
    at = located(parts, pixels, 3)
    for i, part in enumerate(parts):
        assert rows[at == i].sum() <= limit or part.order == 3
        if part.order:
            parent = Partition(part.order - 1, part.pixel // 4)
            low, high = parent.span(3)
            assert rows[(pixels >= low) & (pixels < high)].sum() > limit
    assert refined(parts, pixels, rows, 3, limit) == parts


def test_adversarial_places_are_where_they_should_be():
    """The chosen centres touch more than one base pixel, or a pole, or RA 0."""
    near = [
        len(set(sky_pixels(*around(c, *np.array([[-9, 9, 0, 0], [0, 0, -9, 9]])).T, 3)))
        for c in CENTRES
    ]
    assert sum(n > 1 for n in near) >= 5
