"""Partitions of the sky hold every row once, and their margins all that touches them."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix
from hypothesis import given
from hypothesis import strategies as st

from exod.sky.healpix import (
    WHOLE_SKY,
    Partition,
    farthest_corner_deg,
    located,
    margin,
    occupied,
    pixel_centres,
    refined,
    sky_pixels,
    with_margin,
)

partitions = st.integers(0, 9).flatmap(
    lambda order: st.builds(Partition, st.just(order), st.integers(0, 12 * 4**order - 1))
)


@given(
    st.integers(0, 4),
    st.lists(st.tuples(st.integers(0, 12 * 4**4 - 1), st.integers(0, 9)), max_size=60),
    st.integers(1, 40),
)
def test_the_sky_is_covered_once_by_the_largest_pixels_within_the_limit(
    finest: int, rows: list[tuple[int, int]], limit: int
) -> None:
    pixels = np.array([pixel for pixel, _ in rows], np.int64) >> 2 * (4 - finest)
    weight = np.array([row for _, row in rows], np.int64)
    counts = np.zeros(12 * 4**finest, np.int64)
    np.add.at(counts, pixels, weight)
    found = refined(WHOLE_SKY, pixels, weight, finest, limit)
    owner = np.concatenate([np.arange(*partition.span(finest)) for partition in found])
    np.testing.assert_array_equal(owner, np.arange(len(counts)))
    for partition in found:
        inside = counts[slice(*partition.span(finest))].sum()
        assert inside <= limit or partition.order == finest
        if partition.order:
            parent = Partition(partition.order - 1, partition.pixel // 4)
            assert counts[slice(*parent.span(finest))].sum() > limit
    at = located(found, pixels, finest)
    for pixel, index in zip(pixels.tolist(), at.tolist(), strict=True):
        assert pixel in range(*found[index].span(finest))
    some = occupied(found, pixels, finest)
    assert some == [found[i] for i in sorted(set(at.tolist()))]


@given(partitions, st.integers(0, 4))
def test_margins_are_those_of_hats(partition: Partition, deeper: int) -> None:
    pixel_math = pytest.importorskip("hats.pixel_math")
    order = partition.order + deeper
    expected = pixel_math.get_margin(*partition, deeper)
    np.testing.assert_array_equal(margin(partition, order), np.sort(expected))
    inside = np.arange(*partition.span(order))
    every = np.union1d(inside, expected)
    np.testing.assert_array_equal(with_margin(partition, order), every)


def test_no_corner_of_a_pixel_is_farther_than_thought() -> None:
    for order in (0, 1, 3):
        grid = HEALPix(2**order, order="nested")
        pixels = np.arange(grid.npix)
        corner = grid.boundaries_lonlat(pixels, 5)
        centre = SkyCoord(*pixel_centres(pixels, order), unit="deg")
        apart = centre[:, None].separation(SkyCoord(*corner)).to_value(u.deg)
        assert apart.max() <= farthest_corner_deg(order) + 1e-9
        assert apart.max() == pytest.approx(farthest_corner_deg(order), rel=1e-6)


@given(partitions)
def test_the_centre_of_a_pixel_is_in_it(partition: Partition) -> None:
    ra, dec = pixel_centres(partition.pixel, partition.order)
    assert sky_pixels(ra, dec, partition.order) == partition.pixel
