"""Motion of the pointing and places of CCDs, from events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from exod.instruments import ACIS
from exod.observation.aspect import LEAST_EVENTS, Aspect, aspect_of_events
from exod.observation.events import EventList
from exod.pps import read_event_list
from exod.simulate.acisobservation import AcisModel, simulate_acis

MODEL = AcisModel("900", 150.0, 2.0, 40.0, 1e8, 6000.0, background_rate=0.3)


@pytest.fixture(scope="module")
def events() -> EventList:
    return simulate_acis(MODEL, 3).as_read


@pytest.fixture(scope="module")
def aspect(events) -> Aspect:
    found = aspect_of_events(events, ACIS)
    assert found is not None
    return found


def test_motion_is_that_of_the_model(aspect):
    # The zero of the motion is part of the maps of the CCDs.
    true = np.stack(MODEL.view.aspect.motion_at(aspect.time)).T
    difference = aspect.motion - true
    assert np.abs(difference - difference.mean(axis=0)).std() < 0.3
    assert aspect.reach == pytest.approx(16 / 0.492 * np.hypot(1, 0.5), rel=0.35)


def test_places_are_on_their_ccds(events, aspect):
    ccdnr, column, row = aspect.pixels(events.x, events.y, events.time)
    assert (ccdnr == events.ccdnr).mean() > 0.998
    same = ccdnr == events.ccdnr
    assert np.abs(column - events.rawx)[same].mean() < 0.5
    assert np.abs(row - events.rawy)[same].mean() < 0.5


def test_bad_columns(events, aspect):
    """Columns without events are no part of a CCD; those of chance are few."""
    assert not any(chip.bad.any() for chip in aspect.chips.values())
    lost = (events.ccdnr == 4) & (events.rawx >= 500) & (events.rawx <= 509)
    found = aspect_of_events(events.take(~lost), ACIS)
    assert found is not None
    assert np.flatnonzero(found.chips[4].bad).tolist() == list(range(500, 510))
    ccdnr, _, _ = found.pixels(events.x, events.y, events.time)
    assert (ccdnr[lost] == 0).mean() > 0.8
    assert (ccdnr[~lost] == events.ccdnr[~lost]).mean() > 0.995


def test_share_that_was_seen(aspect):
    view = MODEL.view
    radii, time = np.array([0.5, 2.0]), aspect.time
    middle = aspect.seen(view.axis[0], view.axis[1], radii, time)
    assert (middle == 1).all()
    outside = aspect.seen(view.axis[0] + 3000, view.axis[1], radii, time)
    assert (outside == 0).all()
    chip = view.aspect.chips[4]
    # In the middle of a side the source is there half of the time.
    edge = np.linalg.solve(chip.matrix[:, :2], np.array([1024.5, 512.0]) - chip.matrix[:, 2])
    share = aspect.seen(*edge, radii, time)
    assert 0.3 < share.mean() < 0.7
    assert share.max() == 1
    assert share.min() == 0


def test_windows_keep_their_edges(events):
    inside = (events.rawy >= 300) & (events.rawy <= 500)
    found = aspect_of_events(events.take(inside), ACIS)
    assert found is not None
    for chip in found.chips.values():
        # Chance leaves the last rows empty.
        assert chip.low == pytest.approx([1, 300], abs=3)
        assert chip.high == pytest.approx([1024, 500], abs=3)


def test_what_cannot_be_told(events):
    assert aspect_of_events(EventList.empty(), ACIS) is None
    assert aspect_of_events(events.take(np.arange(LEAST_EVENTS // 2)), ACIS) is None
    mixed = np.random.default_rng(1).permutation(len(events))
    assert aspect_of_events(replace(events, rawx=events.rawx[mixed]), ACIS) is None
    assert aspect_of_events(replace(events, rawx=np.ones_like(events.rawx)), ACIS) is None


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["acisf28964N002_evt2.fits.gz", "acisf29128N001_evt2.fits.gz"])
def test_real_lists(data_dir, name):
    exposure, events = read_event_list(data_dir / "chandra" / name)
    found = aspect_of_events(events, exposure.camera)
    assert found is not None
    # A few beside bad columns are taken for being in them: places are right within half a pixel.
    ccdnr = found.pixels(events.x, events.y, events.time)[0]
    assert (ccdnr == events.ccdnr).mean() > 0.997
    assert set(ccdnr[ccdnr != events.ccdnr]) <= {0}
    assert all(0 < chip.bad.sum() < 100 for chip in found.chips.values())
    assert 14 < found.reach * 0.492 < 20


def test_places_come_back(aspect):
    generator = np.random.default_rng(2)
    ccdnr = generator.integers(1, 5, 50)
    column, row = generator.uniform(1, 1024, (2, 50))
    time = generator.uniform(aspect.time[0], aspect.time[-1], 50)
    x, y = aspect.places(ccdnr, column, row, time)
    again = aspect.pixels(x, y, time)
    assert np.array_equal(again[0], ccdnr)
    assert np.allclose(again[1], column, atol=1e-6)
    assert np.allclose(again[2], row, atol=1e-6)


def test_photons_of_columns(events, aspect):
    photons = aspect.photons.within((1.0, 3.0))
    begin, end = np.array([[MODEL.start + 500], [MODEL.start + 2000]])
    own = (events.ccdnr == 2) & (events.pi > 1000) & (events.pi < 3000)
    own &= (events.time >= begin) & (events.time < end)
    expected = np.bincount(events.rawx[own], minlength=1100)
    found = photons.around(np.array([2]), np.array([520]), 400, begin, end)
    assert found.tolist() == [expected[120:921].tolist()]
    assert found.sum() > 30
    assert not photons.around(np.array([0]), np.array([520]), 400, begin, end).any()
    # No columns before the first one.
    assert photons.around(np.array([2]), np.array([1]), 2, begin, end)[0, :2].tolist() == [0, 0]
