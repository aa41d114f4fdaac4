"""Areas and live times of extractions against geometry; groups against a loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.instruments.detector import DETECTORS
from exod.observation.availability import pixel_codes
from exod.observation.commonsky import sky_plane
from exod.sensitivity.exposuremaps import SeenTime
from exod.sensitivity.extraction import Extraction, grouped, seen_area

PLANE = sky_plane(120.0, -30.0)
CENTRE = 25921.0
LIVE = {ccd: 900.0 + ccd for ccd in range(1, 8)}


def seen(
    lost: np.ndarray | None = None, share: float = 1.0, live: dict[int, float] = LIVE
) -> SeenTime:
    lost = np.empty(0, np.int64) if lost is None else lost
    return SeenTime("EMOS1", "PrimeFullWindow", 0.0, live, lost, np.full(len(lost), share))


def test_area_of_a_box_and_of_a_ring_on_one_chip() -> None:
    box = Extraction(box=(CENTRE - 400, CENTRE + 400, CENTRE - 200, CENTRE + 200))
    assert seen_area(seen(), box, PLANE, PLANE) == (800 * 400, 901.0)
    hole = np.array([[CENTRE + 2000, CENTRE, 300.0]])
    ring = Extraction(ring=(CENTRE, CENTRE, 1200.0, 3600.0), holes=hole)
    area, exposure = seen_area(seen(), ring, PLANE, PLANE)
    assert area == pytest.approx(np.pi * (3600**2 - 1200**2 - 300**2), rel=2e-3)
    assert exposure == pytest.approx(901.0)
    assert [row[0] for row in ring.shapes] == ["ANNULUS", "!CIRCLE"]
    assert seen_area(seen(), Extraction(box=(0, 10, 0, 10)), PLANE, PLANE) == (0, 0)


def test_lost_pixels_and_live_times_of_two_chips() -> None:
    # A column of the central chip for half of the time: 1.1 of 40 arcsec.
    mos = DETECTORS["EMOS1"]
    (ccd,), (column,), _ = mos.raw_from_detector(*mos.detector_from_sky(CENTRE, CENTRE, 0.0))
    rows = np.arange(1, 601)
    lost = pixel_codes(np.full(600, ccd), np.full(600, column), rows)
    box = Extraction(box=(CENTRE - 300, CENTRE + 500, CENTRE - 300, CENTRE + 500))
    whole, _ = seen_area(seen(), box, PLANE, PLANE)
    less, _ = seen_area(seen(lost, 0.5), box, PLANE, PLANE)
    assert (whole - less) / whole == pytest.approx(0.5 * 22.02 / 800, rel=0.1)
    wide = Extraction(ring=(CENTRE, CENTRE, -1.0, 14000.0))
    area, exposure = seen_area(seen(), wide, PLANE, PLANE)
    one, only = seen_area(seen(live={1: 901.0}), wide, PLANE, PLANE)
    assert 0.1 < one / area < 0.5
    assert only == 901.0 < exposure < 907.0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 9))
def test_groups_have_enough_counts(counts: list[int], minimum: int) -> None:
    usable = np.ones(len(counts), bool)
    usable[0] = len(counts) == 1
    grouping, quality = grouped(np.array(counts), usable, minimum)
    starts = np.flatnonzero(usable & (grouping == 1))
    groups = np.split(np.arange(len(counts)), starts)[1:]
    for number, group in enumerate(groups):
        total = sum(counts[channel] for channel in group)
        is_last = number == len(groups) - 1
        assert total >= minimum or is_last
        # None is longer than it has to be.
        assert is_last or total - counts[group[-1]] < minimum
        assert set(quality[group]) == {2 if total < minimum else 0}
    assert (quality[~usable] == 1).all()
