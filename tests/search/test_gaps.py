"""Cameras, quadrants and CCDs that are off for a while, and frames of half the light: no regions.

Sources are bright, so that a gap of which the search does not know is an eclipse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Final

import numpy as np
import pytest

from exod.config import Config
from exod.observation.livetime import LiveTimes, live_curve
from exod.search.subset import Run, search_subset
from exod.simulate import ObservationModel, SimulatedObservation, default_observation, simulate
from exod.simulate.models import DropOut
from exod.simulate.observation import SimulatedExposure
from exod.stages.inputs.memory import in_memory

LENGTH: Final = 6000.0
DIM: Final = (4000.0, 4110.0)
"""In this time frames have half of the light."""

OFF: Final = {
    "camera": (1010.0, 1060.0),
    "quadrant": (1620.0, 1690.0),
    "CCD": (2310.0, 2370.0),
    "all": (3020.0, 3065.0),
}
"""Parts of frames of 50 and of 100 s."""

RARELY: Final = ("detect.rule=exact", "detect.false_alarm_rate=0.02")

CASES: Final = {
    "fixed": [],
    "fixed, conditional": ["detect.null=conditional"],
    "sliding": ["cube.window=2", "cube.frame_shifts=2", "cube.size_arcsec=15"],
}


def with_gaps(model: ObservationModel, recorded: bool) -> ObservationModel:
    """Everything is off for a while, pn more often; some of it is recorded."""
    pn, mos = model.exposures
    begin = pn.start

    def off(ccds: tuple[int, ...], name: str, recorded: bool) -> DropOut:
        start, stop = OFF[name]
        return DropOut(ccds, begin + start, begin + stop, recorded)

    every = tuple(range(1, 13))
    in_pn = (
        off(every, "camera", recorded),
        off((1, 2, 3), "quadrant", recorded),
        off((4,), "CCD", True),
        off(every, "all", True),
    )
    in_mos = (off(tuple(range(1, 8)), "all", True),)
    exposures = (replace(pn, dropouts=in_pn), replace(mos, dropouts=in_mos))
    return replace(model, exposures=exposures)


def dimmed(exposure: SimulatedExposure, start: float, stop: float) -> SimulatedExposure:
    """Its frames keep half of the light for a while, as FRACEXP tells."""
    time = exposure.events.time
    lost = (time >= start) & (time < stop) & (np.random.default_rng(1).random(len(time)) < 0.5)
    frames = np.array(
        [
            (exposure.start, start, 1.0),
            (start, stop, 0.5),
            (stop, exposure.stop, 1.0),
        ]
    )
    curves = {
        ccdnr: live_curve(curve.pieces[:, :2], frames)
        for ccdnr, curve in exposure.exposure.live.curves.items()
    }
    live = LiveTimes({ccdnr: curve for ccdnr, curve in curves.items() if curve is not None})
    kept = {
        field.name: value[~lost]
        for field in fields(exposure)
        if isinstance(value := getattr(exposure, field.name), np.ndarray)
    }
    events, header = exposure.events.take(~lost), replace(exposure.exposure, live=live)
    return replace(exposure, events=events, exposure=header, **kept)


@pytest.fixture(scope="module", params=[True, False], ids=["recorded", "not recorded"])
def observation(request: pytest.FixtureRequest) -> SimulatedObservation:
    cameras, none = ("EPN", "EMOS1"), dict.fromkeys(("n_bursts", "n_eclipses", "n_flares"), 0)
    model = default_observation(
        "0900000401", 5, LENGTH, cameras, n_sources=10, n_hot_pixels=0, **none
    )
    bright = [replace(source, rate={"EPN": 2.0, "EMOS1": 0.7}) for source in model.sources]
    found = simulate(with_gaps(replace(model, sources=tuple(bright)), request.param), 5)
    start = model.exposures[0].start
    lists = [dimmed(one, *(start + edge for edge in DIM)) for one in found.event_lists]
    return replace(found, event_lists=tuple(lists))


def runs(observation: SimulatedObservation, *overrides: str) -> Iterator[Run]:
    settings = ["cube.t_bin=[50,100]", "cube.bands=[[0.2,12]]", *RARELY, *overrides]
    config = Config.load(overrides=settings)
    found = in_memory(observation, config)
    for subset in found.subsets:
        yield from search_subset(found.obsid, subset, found.sources, config)


@pytest.mark.parametrize("case", CASES)
def test_gaps_make_no_regions(observation: SimulatedObservation, case: str) -> None:
    found = [region for run in runs(observation, *CASES[case]) for region in run.regions]
    assert not found


def test_whole_frames_make_eclipses_of_gaps(observation: SimulatedObservation) -> None:
    kinds = {
        region.event.kind
        for run in runs(observation, "cube.live_time=frames")
        for region in run.regions
    }
    assert "eclipse" in kinds
