"""Sources by a sliding cell, against sums photon by photon and simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.astrometry.ccdreadout import counts_per_frame, largest_around, on_streak
from exod.astrometry.centroids import windowed_centroid
from exod.astrometry.slidingcell import (
    cell_signal,
    chandra_spread,
    detect_cells,
    frame_of,
    square_share,
)

AXIS = (4096.5, 4096.5)
PIXEL = 0.492


def field(seed, sources, counts, background=0.01, half=360.0):
    """Photons of Gaussian sources, given as offsets from the axis in pixels, and a background."""
    rng = np.random.default_rng(seed)
    photons = [rng.uniform(-half, half, (rng.poisson(background * (2 * half) ** 2), 2))]
    for offset in sources:
        spread = chandra_spread(np.hypot(*offset) * PIXEL / 60) / PIXEL
        photons.append(np.array(offset) + rng.normal(0.0, spread, (rng.poisson(counts), 2)))
    return np.concatenate(photons) + AXIS


@given(
    counts=st.integers(0, 10_000),
    around=st.integers(0, 10_000),
    half=st.integers(1, 20),
)
def test_the_signal_is_that_of_the_manual(counts, around, half):
    d = 2 * half + 1
    b = int(frame_of(d))
    assert b % 2 == 1
    assert b > d
    excess, snr = cell_signal(counts, around, d, b)
    by_hand = counts * (b**2 - d**2) - around * d**2
    sigma_c, sigma_q = 1 + (counts + 0.75) ** 0.5, 1 + (around + 0.75) ** 0.5
    assert excess == by_hand
    error = (sigma_c**2 * (b**2 - d**2) ** 2 + sigma_q**2 * d**4) ** 0.5
    assert snr == pytest.approx(by_hand / error)


def test_the_net_counts_undo_the_shares_of_cell_and_frame():
    source, level, spread, d = 1000.0, 3.0, 1.4, 5
    b = int(frame_of(d))
    alpha, beta = square_share(d, spread), square_share(b, spread)
    inside = alpha * source + level * d**2
    around = (beta - alpha) * source + level * (b**2 - d**2)
    excess, _ = cell_signal(inside, around, d, b)
    assert excess / (alpha * b**2 - beta * d**2) == pytest.approx(source)


@pytest.mark.parametrize("seed", range(3))
def test_sources_are_found_where_they_are(seed):
    rng = np.random.default_rng(100 + seed)
    steps = np.arange(-250, 251, 100)
    offsets = np.array([(i, j) for i in steps for j in steps]) + rng.uniform(-9, 9, (36, 2))
    photons = field(seed, offsets, 60)
    found = detect_cells(*photons.T, AXIS, PIXEL)
    places = np.column_stack([found.x, found.y]) - AXIS
    distance = np.hypot(*(places[:, None] - offsets[None]).transpose(2, 0, 1))
    assert len(found) == 36
    assert (distance.min(axis=0) * PIXEL < 0.5).all()
    pulls = (places - offsets[distance.argmin(axis=1)]) / found.error[:, None]
    assert 0.75 < pulls.std() < 1.25
    assert found.net_counts.mean() == pytest.approx(60, rel=0.1)
    assert (np.diff(found.snr) <= 0).all()
    assert (found.snr >= 3.0).all()


def test_an_even_background_has_no_sources():
    n_found = sum(len(detect_cells(*field(seed, [], 0, 0.02).T, AXIS, PIXEL)) for seed in range(4))
    assert n_found == 0


def test_the_order_of_the_photons_does_not_matter():
    photons = field(3, [(10.0, 20.0), (100.0, -80.0)], 80)
    first = detect_cells(*photons.T, AXIS, PIXEL)
    shuffled = np.random.default_rng(1).permutation(photons)
    second = detect_cells(*shuffled.T, AXIS, PIXEL)
    np.testing.assert_allclose(first.x, second.x, atol=1e-9)
    np.testing.assert_array_equal(first.snr, second.snr)


@pytest.mark.parametrize("photons", [[], [[np.nan, 3.0]], [[5.0, 5.0]]])
def test_nothing_is_nothing(photons):
    places = np.array(photons, float).reshape(-1, 2)
    assert len(detect_cells(*places.T, AXIS, PIXEL)) == 0


def test_photons_all_over_the_sky_are_refused():
    with pytest.raises(ValueError, match="pixels"):
        detect_cells([0.0, 1e6], [0.0, 0.0], AXIS, PIXEL)


@settings(max_examples=portion(30))
@given(seed=st.integers(0, 10**6), shift=st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
def test_the_centroid_goes_with_the_photons(seed, shift):
    photons = np.random.default_rng(seed).normal(0.0, 1.0, (50, 2))
    here, size = windowed_centroid(photons, (0.0, 0.0), 1.0, 5.0)
    there, moved_size = windowed_centroid(photons + shift, shift, 1.0, 5.0)
    np.testing.assert_allclose(there, here + shift, atol=1e-9)
    assert moved_size == pytest.approx(size, nan_ok=True)


def streaked(n_streak, seed=0):
    """A CCD, turned on the sky and dithered, with a source and what its readout leaves."""
    rng = np.random.default_rng(seed)
    turned = np.radians(33.0)
    rotation = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
    flat = rng.uniform(1, 1024, (20_000, 2))
    bright = np.array([400.3, 500.0]) + rng.normal(0.0, 1.0, (2000, 2))
    row = rng.uniform(1, 1024, n_streak)
    column = 400.3 + rng.normal(0.0, 1.0, n_streak)
    still = np.concatenate([flat, bright, np.column_stack([column, row])])
    dither = rng.uniform(-16, 16, still.shape)
    sky = (still - 512.0) @ rotation + 4096.5
    sources = (np.array([[400.3, 500.0], [400.9, 800.0], [600.0, 300.0]]) - 512.0) @ rotation
    return sources + 4096.5, sky, still + dither, np.full(len(still), 7)


def test_streaks_of_bright_sources():
    assert on_streak(*streaked(120)).tolist() == [True, True, False]
    assert on_streak(*streaked(0)).tolist() == [False, False, False]
    assert on_streak(np.zeros((0, 2)), *streaked(120)[1:]).tolist() == []


def test_pile_up_is_the_largest_island_around():
    rng = np.random.default_rng(4)
    image = rng.poisson(2.0, (12, 15))
    per_frame = counts_per_frame(image, 50.0)
    padded = np.pad(image, 1)
    by_hand = [[padded[i : i + 3, j : j + 3].sum() / 50 for j in range(15)] for i in range(12)]
    np.testing.assert_allclose(per_frame, by_hand)
    largest = largest_around(per_frame)
    rows, columns = np.indices(image.shape)
    for place in ((0, 0), (5, 6), (11, 14)):
        near = np.hypot(rows - place[0], columns - place[1]) <= 3
        assert largest[place] == per_frame[near].max()
