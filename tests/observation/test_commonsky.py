"""Sky pixels of different grids on one, against the projections themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.strategies import PLANE, make_events, make_exposure, seeds
from hypothesis import given
from hypothesis import strategies as st

from exod.instruments.epic import SKY_EXTENT
from exod.observation.commonsky import on_common_sky
from exod.observation.events import SelectedEvents
from exod.sky.plane import TangentPlane


def exposure(
    number: int, plane: TangentPlane, sky: tuple, *, length: float = 1000.0, extent=SKY_EXTENT
) -> SelectedEvents:
    """An exposure with an event at each place of the sky, in the pixels of its own plane."""
    x, y = (np.rint(pixel) for pixel in plane.to_pixel(*sky))
    header = make_exposure(
        filename=f"P{number}", expid=f"S00{number}", plane=plane, sky_extent=extent
    )
    events = make_events(np.linspace(0, length, len(x)), x=x, y=y)
    return SelectedEvents(header, events, 0.0, length, len(x))


def places(generator: np.random.Generator, n: int = 50) -> tuple:
    x, y = generator.uniform(10_000, 40_000, (2, n))
    return PLANE.to_sky(x, y)


def separation_pixels(item: SelectedEvents, sky: tuple) -> np.ndarray:
    x, y = item.exposure.plane.to_pixel(*sky)
    return np.hypot(item.events.x - x, item.events.y - y)


planes = st.builds(
    lambda dx, dy, ra, dec, scale: replace(
        PLANE,
        x_ref=PLANE.x_ref + dx,
        y_ref=PLANE.y_ref + dy,
        ra_ref=PLANE.ra_ref + ra,
        dec_ref=PLANE.dec_ref + dec,
        x_delta=PLANE.x_delta * scale,
        y_delta=PLANE.y_delta * scale,
    ),
    st.floats(-9000, 9000),
    st.floats(-9000, 9000),
    st.floats(-0.1, 0.1),
    st.floats(-0.1, 0.1),
    st.sampled_from([1.0, 0.8, 1.25]),
)


@given(planes, seeds)
def test_events_keep_their_place_on_the_sky(other, seed):
    generator = np.random.default_rng(seed)
    sky = places(generator)
    items = [exposure(0, PLANE, sky, length=2000.0), exposure(1, other, sky)]
    found, left_out = on_common_sky(items)
    assert not left_out
    assert len({(i.exposure.plane, i.exposure.sky_extent) for i in found}) == 1
    for item in found:
        # Half a pixel from rounding in the list, of larger pixels perhaps, and half from the new.
        assert separation_pixels(item, sky).max() < 1.7
        assert 0 <= item.events.x.min() <= item.events.x.max() <= item.exposure.sky_extent
        assert 0 <= item.events.y.min() <= item.events.y.max() <= item.exposure.sky_extent


@given(planes, seeds)
def test_equal_grids_are_left_alone(plane, seed):
    sky = places(np.random.default_rng(seed))
    items = [exposure(number, plane, sky) for number in range(3)]
    found, left_out = on_common_sky(items)
    assert not left_out
    assert all(mine is theirs for mine, theirs in zip(found, items, strict=True))


@pytest.mark.parametrize("shift", [1e-9, 0.2])
def test_differences_below_a_pixel_move_no_event(shift):
    sky = places(np.random.default_rng(1))
    items = [exposure(0, PLANE, sky), exposure(1, replace(PLANE, x_ref=PLANE.x_ref + shift), sky)]
    found, _ = on_common_sky(items)
    for mine, theirs in zip(found, items, strict=True):
        assert mine.events is theirs.events
        assert mine.notes == ()
    assert found[0].exposure.plane == found[1].exposure.plane


@given(seeds, st.permutations(range(3)))
def test_the_grid_of_most_of_the_time_is_taken_whatever_the_names(seed, order):
    sky = places(np.random.default_rng(seed))
    other = replace(PLANE, dec_ref=PLANE.dec_ref + 4 / 60)
    lengths, grids = (1000.0, 700.0, 800.0), (other, PLANE, PLANE)
    items = [
        exposure(number, grids[kind], sky, length=lengths[kind])
        for number, kind in enumerate(order)
    ]
    found, _ = on_common_sky(items)
    for item, kind in zip(found, order, strict=True):
        assert item.exposure.plane == PLANE
        assert bool(item.notes) == (grids[kind] is other)
        if grids[kind] is PLANE:
            assert item.events is items[found.index(item)].events


def test_the_grid_grows_where_events_lie_outside():
    generator = np.random.default_rng(5)
    x, y = generator.uniform(0, SKY_EXTENT, (2, 4000))
    other = replace(PLANE, dec_ref=PLANE.dec_ref - 0.1, ra_ref=PLANE.ra_ref + 0.1)
    items = [
        exposure(0, PLANE, PLANE.to_sky(x, y), length=2000.0),
        exposure(1, other, other.to_sky(x, y)),
    ]
    found, _ = on_common_sky(items)
    extent = found[0].exposure.sky_extent
    assert SKY_EXTENT < extent < 1.3 * SKY_EXTENT
    for item, plane in zip(found, (PLANE, other), strict=True):
        assert separation_pixels(item, plane.to_sky(x, y)).max() < 1.5
        assert min(item.events.x.min(), item.events.y.min()) >= 0
        assert max(item.events.x.max(), item.events.y.max()) <= extent


def test_damaged_positions_do_not_make_the_grid_huge():
    sky = places(np.random.default_rng(2))
    other = exposure(1, replace(PLANE, dec_ref=PLANE.dec_ref + 0.05), sky)
    other.events.x[7] = 2**30
    found, _ = on_common_sky([exposure(0, PLANE, sky, length=2000.0), other])
    assert found[0].exposure.sky_extent == SKY_EXTENT


def test_another_part_of_the_sky_is_left_out_with_the_reason():
    sky = places(np.random.default_rng(3))
    far = replace(PLANE, dec_ref=PLANE.dec_ref + 3.0)
    items = [
        exposure(0, PLANE, sky, length=2000.0),
        exposure(1, far, far.to_sky(*[[25_000.0]] * 2)),
    ]
    found, ((left_out, reason),) = on_common_sky(items)
    assert [item.exposure.filename for item in found] == ["P0"]
    assert left_out is items[1]
    assert reason == "P1 is of another part of the sky than longer exposures."
