"""Drop-outs that no good time tells of, and what must not look like one."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.strategies import make_exposure

from exod.observation.dropouts import LiveGroups, live_groups
from exod.observation.gti import Frames
from exod.observation.livetime import LiveCurve, LiveTimes
from exod.observation.subsets import MergedEvents

SPAN = 4000.0
CCDS = {"EMOS1": range(1, 8), "EMOS2": range(1, 8), "EPN": range(1, 13)}
RATE = 0.4
SOURCE = 5
"""Counts a second of each CCD, and the cell of a source on CCD 1 of MOS and 4 of pn."""


def record(n_ccds, off=()):
    pieces = np.array([[-10.0, SPAN + 10, 1.0]])
    whole = LiveCurve(pieces)
    return LiveTimes(
        {ccd: whole.without(np.array(off)) if len(off) else whole for ccd in range(1, n_ccds + 1)}
    )


def subset(cameras=("EMOS1", "EMOS2", "EPN"), *, seed=1, source=0.0, without=None, recorded=True):
    """Events of a steady field; `without` says which are not there."""
    generator = np.random.default_rng(seed)
    time, camera, ccdnr, place = [], [], [], []
    for number, name in enumerate(cameras):
        for ccd in CCDS[name]:
            is_host = ccd == (4 if name == "EPN" else 1)
            for rate, low, high in ((RATE, 10, 40), (source * is_host, SOURCE, SOURCE + 1)):
                n = generator.poisson(rate * SPAN)
                time.append(SPAN * generator.random(n))
                camera.append(np.full(n, number))
                ccdnr.append(np.full(n, ccd))
                place.append(generator.integers(low, high, n))
    time, camera, ccdnr, place = map(np.concatenate, (time, camera, ccdnr, place))
    if without is not None:
        kept = ~without(time, camera, ccdnr, place)
        time, camera, ccdnr, place = time[kept], camera[kept], ccdnr[kept], place[kept]
    order = np.argsort(time)
    time, camera, ccdnr, place = time[order], camera[order], ccdnr[order], place[order]
    exposures = tuple(
        replace(
            make_exposure(name, filename=name),
            live=record(len(CCDS[name])) if recorded else LiveTimes(),
        )
        for name in cameras
    )
    zeros = np.zeros(len(time), np.int32)
    merged = MergedEvents(
        0,
        exposures,
        time,
        zeros,
        zeros,
        np.full(len(time), 1000, np.int16),
        ccdnr.astype(np.uint8),
        camera.astype(np.uint8),
        0.0,
        SPAN,
    )
    return merged, place


def groups_of(*arguments, **settings):
    events, place = subset(*arguments, **settings)
    return live_groups(events, place, place == SOURCE)


def off_time(groups, camera, ccd):
    """Seconds of the exposure in which a CCD was off."""
    curve = groups.curves[groups.number[camera, ccd]]
    return SPAN - float(curve.at(SPAN) - curve.at(0.0))


def between(time, start, stop):
    return (time >= start) & (time < stop)


@pytest.mark.parametrize("seed", range(4))
def test_a_steady_field_has_one_group_and_no_drop_out(seed):
    groups = groups_of(seed=seed, source=0.5)
    assert len(groups.curves) == 1
    assert (groups.fractions(Frames(0.0, 50.0, 80)) == 1).all()


def test_without_a_record_frames_are_used_whole():
    assert groups_of(recorded=False) is None


@pytest.mark.parametrize(
    ("length", "camera", "ccds"),
    [(90.0, 0, [3]), (40.0, 2, [4, 5, 6]), (25.0, 1, list(range(1, 8)))],
)
def test_a_ccd_a_quadrant_and_a_camera_drop_out(length, camera, ccds):
    def without(time, of, ccdnr, _):
        return between(time, 1000, 1000 + length) & (of == camera) & np.isin(ccdnr, ccds)

    groups = groups_of(without=without)
    assert len(groups.curves) == 2
    for ccd in ccds:
        # It is known to an event.
        assert off_time(groups, camera, ccd) == pytest.approx(length, abs=8)
    frames = groups.fractions(Frames(0.0, 10.0, 400))[groups.number[camera, ccds[0]]]
    # Frames that are live in part are that.
    assert frames[101] == 0.0
    assert off_time(groups, camera, 7 if camera != 1 else 1) in (
        pytest.approx(0.0),
        pytest.approx(length, abs=8),
    )


def test_all_cameras_drop_out_together():
    groups = groups_of(without=lambda time, *_: between(time, 1000, 1060))
    assert len(groups.curves) <= 3
    assert off_time(groups, 0, 1) == pytest.approx(60, abs=3)


def test_a_bright_source_that_is_eclipsed_is_no_drop_out():
    def without(time, _, ccdnr, place):
        return between(time, 1000, 1030) & (place == SOURCE)

    groups = groups_of(source=8.0, without=without)
    assert len(groups.curves) == 1


def test_a_burst_that_only_the_other_cameras_see_is_no_drop_out():
    """MOS 1 has no CCD there: its silence for a few seconds is chance."""
    events, place = subset(source=0.5)
    burst = np.sort(1000 + 5 * np.random.default_rng(3).random(400))
    order = np.argsort(np.concatenate([events.time, burst]), kind="stable")
    quiet = (events.source == 0) & (events.ccdnr == 1) & between(events.time, 995, 1010)

    def joined(values, more):
        full = np.full(len(burst), more, values.dtype)
        return np.concatenate([values, full])[order]

    dropped = np.concatenate([quiet, np.zeros(len(burst), bool)])[order]
    columns = {
        "time": np.concatenate([events.time, burst])[order],
        "x": joined(events.x, 0),
        "y": joined(events.y, 0),
        "pi": joined(events.pi, 1000),
        "ccdnr": joined(events.ccdnr, 4),
        "source": joined(events.source, 2),
    }
    merged = replace(events, **{name: values[~dropped] for name, values in columns.items()})
    place = joined(place, 20)[~dropped]
    assert len(live_groups(merged, place, place == SOURCE).curves) == 1


def test_a_source_in_other_cameras_tells_of_a_short_drop_out():
    def without(time, camera, ccdnr, _):
        return between(time, 1000, 1030) & (camera == 2) & (ccdnr == 4)

    groups = groups_of(source=2.0, without=without)
    assert len(groups.curves) == 2
    assert off_time(groups, 2, 4) == pytest.approx(30, abs=2)


def test_a_place_is_live_as_the_ccds_of_its_events_are():
    whole = LiveCurve(np.array([[0.0, 100.0, 0.9]]), 0.9)
    part = LiveCurve(np.array([[0.0, 40.0, 1.0], [60.0, 100.0, 1.0]]))
    groups = LiveGroups(np.zeros((1, 256), np.uint8), (whole, part, part), np.ones(1, bool))
    # The second group has 80 s, so that as many events in each are a larger rate.
    edges, live = groups.of_place(np.repeat(np.array([0, 1], np.uint8), 8))
    assert edges.tolist() == [0, 40, 60, 100]
    assert live == pytest.approx([1.0, 0.08 / 0.18, 1.0])
    assert all(not len(values) for values in groups.of_place(np.empty(0, np.uint8)))
