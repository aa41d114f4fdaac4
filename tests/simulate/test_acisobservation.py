"""The simulator of ACIS, and sources put into its lists."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from exod.errors import ConfigError
from exod.instruments.acis import PSF
from exod.observation.events import EventList
from exod.pps import read_event_list
from exod.simulate import BoxBurst, Constant, Target, inject_in_memory
from exod.simulate.acisobservation import (
    BACKGROUND_RATE,
    FRAME_SECONDS,
    AcisModel,
    acis_places,
    default_acis,
    simulate_acis,
)
from exod.simulate.injection.requests import parse_source
from exod.simulate.models import SourceModel
from exod.stages.inputs.inject import inject_files
from exod.stages.inputs.simulate import write_acis

MODEL = AcisModel("900", 150.0, 2.0, 40.0, 1e8, 5000.0)


def source_at(x: float, y: float, rate: float, light=None) -> SourceModel:
    ra, dec = (float(value) for value in MODEL.view.plane.to_sky(x, y))
    return SourceModel("one", ra, dec, {"ACIS": rate}, light or Constant())


def same(one: EventList, other: EventList) -> bool:
    return all(
        np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(EventList)
    )


def test_background():
    simulated = simulate_acis(MODEL, 1)
    expected = 4 * BACKGROUND_RATE * MODEL.duration
    assert len(simulated.events) == pytest.approx(expected, rel=5 / np.sqrt(expected))
    assert same(simulated.events, simulate_acis(MODEL, 1).events)
    assert not same(simulated.events, simulate_acis(MODEL, 2).events)
    frame = (simulated.events.time - MODEL.start) / FRAME_SECONDS - 0.5
    assert np.abs(frame - np.rint(frame)).max() < 1e-4
    assert np.ptp(simulated.as_read.time - simulated.events.time) < FRAME_SECONDS


@pytest.mark.parametrize("off_axis", [0.0, 8.0])
def test_psf_and_counts(off_axis):
    (place,) = acis_places(MODEL, 1, np.random.default_rng(1), (off_axis, off_axis + 0.2))
    model = replace(MODEL, sources=(source_at(*place, 0.8),), background_rate=0.0)
    simulated = simulate_acis(model, 1)
    expected = 0.8 * MODEL.duration
    assert len(simulated.events) == pytest.approx(expected, rel=5 / np.sqrt(expected) + 0.03)
    (row,) = simulated.truth.to_dict("records")
    assert row["counts_ACIS"] == len(simulated.events)
    assert row["expected_ACIS"] == pytest.approx(expected)
    x, y = simulated.events.x - place[0], simulated.events.y - place[1]
    half = PSF.half_light(model.view.off_axis(*place))
    # Events are in whole pixels.
    assert np.median(np.hypot(x, y)) * 0.492 == pytest.approx(half, abs=0.2)


def test_settings_are_checked():
    for obsid in ("0", "0900000101", "123456", "x"):
        with pytest.raises(ConfigError, match="number, up to 99999"):
            default_acis(obsid, 1)
    with pytest.raises(ConfigError, match="duration"):
        default_acis("900", 1, duration=10.0)
    with pytest.raises(ConfigError, match="seed"):
        simulate_acis(MODEL, -1)
    with pytest.raises(ConfigError, match="no room"):
        acis_places(MODEL, 2, np.random.default_rng(1), (40.0, 41.0))


def test_files_are_read_as_simulated(tmp_path):
    simulated = simulate_acis(default_acis("900", 1, duration=2000.0, n_sources=2), 1)
    path, truth = write_acis(simulated, tmp_path)
    exposure, events = read_event_list(path)
    assert same(events, simulated.as_read)
    for name in ("obsid", "instrument", "submode", "frame_time", "ra_pnt", "start", "stop"):
        assert getattr(exposure, name) == getattr(simulated.exposure, name)
    assert len(truth.read_text().splitlines()) == 6
    request = parse_source("off_axis=4,azimuth=20,counts=50,light=box:start=500,duration=300")
    (done,) = inject_files([path], tmp_path / "to", [request], 1)
    (row,) = done.truth.to_dict("records")
    assert row["expected_total"] == pytest.approx(50, rel=0.02)
    assert "expected_EPN" not in row
    _, more = read_event_list(done.paths[0])
    assert len(more) - len(events) == row["counts_total"] == row["counts_ACIS"]
    inside = (more.time > 500 + exposure.start) & (more.time < 800 + exposure.start)
    gained = np.count_nonzero(inside) - np.count_nonzero(
        (events.time > 500 + exposure.start) & (events.time < 800 + exposure.start)
    )
    assert gained == pytest.approx(row["counts_total"], abs=6)


def test_injection_in_memory():
    simulated = simulate_acis(replace(MODEL, background_rate=0.3), 1)
    target = Target.of(simulated.exposure, simulated.as_read)
    (place,) = acis_places(MODEL, 1, np.random.default_rng(2), (6.0, 7.0))
    light = BoxBurst(MODEL.start + 1000, 400.0)
    (injected,), truth = inject_in_memory([target], [source_at(*place, 0.5, light)], 1)
    assert truth["expected_total"].item() == pytest.approx(200, rel=0.02)
    assert truth["counts_total"].item() == pytest.approx(200, abs=60)
    new = injected.events.take(injected.is_new)
    # Some are along a streak.
    assert np.hypot(np.median(new.x) - place[0], np.median(new.y) - place[1]) < 3
    gone = SourceModel("gone", 10.0, 10.0, {"ACIS": 1.0})
    (none,), _ = inject_in_memory([target], [gone], 1)
    assert not none.is_new.any()
