"""Hypothesis strategies for events, cubes and expectations, and their slow references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from exod.completeness.burstphotons import Site
from exod.counts.cube import CountCube
from exod.counts.grid import Grid
from exod.counts.partial import FramesLive
from exod.counts.template import Expectation, expect
from exod.instruments import CAMERAS
from exod.instruments.epic import SKY_EXTENT, SKY_PIXEL_ARCSEC, XMM
from exod.observation.events import (
    EVENT_DTYPES,
    NO_POSITION,
    EventList,
    Exposure,
    SelectedEvents,
)
from exod.observation.gti import Frames
from exod.sensitivity.profiles import typical_profile
from exod.sky.plane import TangentPlane

PLANE = TangentPlane(25921, 25921, 83.2, -5.4, -1.38888888888889e-05, 1.38888888888889e-05)
OBSID = "0900000101"

EPIC = typical_profile(XMM)


def grid_of(n: int) -> Grid:
    """A grid of `n` cells along each side of the sky pixels of XMM-Newton."""
    return Grid(n, SKY_EXTENT, SKY_PIXEL_ARCSEC)


def grid_of_size(size_arcsec: float) -> Grid:
    """A grid of cells of at least this size on them."""
    return Grid.of_size(size_arcsec, SKY_EXTENT, SKY_PIXEL_ARCSEC)


seeds = st.integers(0, 2**32 - 1)
sigmas = st.one_of(
    st.sampled_from([2.0, 3.0, 5.0]), st.floats(1.0, 10.0).map(lambda s: round(s, 2))
)
"""Few different values, since each one costs a table of limits."""


def make_exposure(instrument: str = "EMOS1", **changes) -> Exposure:
    """A sound header; keywords replace its values."""
    camera = CAMERAS[instrument]
    exposure = Exposure(
        obsid=OBSID,
        expid="S001",
        instrument=instrument,
        submode="PrimeFullWindow",
        datamode="IMAGING",
        filter="Thin1",
        revolution=2500,
        target="test",
        date_obs="2013-02-28T00:00:00",
        elapsed=1000.0,
        ra_pnt=83.2,
        dec_pnt=-5.4,
        pa_pnt=30.0,
        flag_mask=camera.flag_mask,
        plane=PLANE,
        sky_extent=SKY_EXTENT,
        time_system="TT",
        filename=f"P{OBSID}{camera.short}S001MIEVLI0000.FTZ",
    )
    return replace(exposure, **changes)


def make_events(time, **columns) -> EventList:
    """Good events of MOS1 or pn at `time`; keywords replace columns."""
    n = len(time)
    defaults = {"x": 25921, "y": 25921, "pi": 1000, "ccdnr": 2, "rawx": 30, "rawy": 100}
    defaults |= {"pattern": 0, "flag": 0}
    values = {"time": time, **defaults, **columns}
    return EventList(
        **{
            name: np.broadcast_to(np.asarray(values[name], dtype), (n,)).copy()
            for name, dtype in EVENT_DTYPES.items()
        }
    )


def make_selected(
    instrument: str, filename: str, time_min: float, time_max: float, events=None
) -> SelectedEvents:
    """A selected exposure of which only the interval matters."""
    exposure = make_exposure(instrument, filename=filename, expid=filename[-4:])
    events = make_events([time_min, time_max]) if events is None else events
    return SelectedEvents(exposure, events, time_min, time_max, len(events))


def random_events(generator: np.random.Generator, n: int, span: float = 1000.0) -> EventList:
    """Any values that a file may hold, good or bad, in any order."""
    null = generator.random((2, n)) < 0.1
    x, y = np.where(null, NO_POSITION, generator.integers(0, 51841, (2, n)))
    return EventList(
        time=generator.uniform(0, span, n),
        x=x.astype("i4"),
        y=y.astype("i4"),
        pi=generator.integers(150, 12100, n).astype("i2"),
        ccdnr=generator.integers(1, 13, n).astype("u1"),
        rawx=generator.integers(1, 65, n).astype("i2"),
        rawy=generator.integers(1, 201, n).astype("i2"),
        pattern=generator.integers(0, 15, n).astype("u1"),
        flag=(generator.choice([0, 0, 0, 0x1, 0x20000, 0x10000, 0x400000], n)).astype("i4"),
    )


@st.composite
def cubes(draw, max_frames: int = 30, max_side: int = 9, max_events: int = 300) -> CountCube:
    """Cubes of random events, some outside the frames or the grid, some frames masked."""
    generator = np.random.default_rng(draw(seeds))
    n_frames = draw(st.integers(1, max_frames))
    grid = grid_of(draw(st.integers(1, max_side)))
    n = draw(st.integers(0, max_events))
    frame = np.sort(generator.integers(-1, n_frames + 1, n)).astype(np.int32)
    spread = draw(st.integers(1, grid.n * grid.n))
    first = draw(st.integers(0, grid.n * grid.n - spread))
    flat = generator.integers(first, first + spread, n).astype(np.int32)
    flat[generator.random(n) < 0.05] = -1
    masked = generator.random(n_frames) < draw(st.sampled_from([0.0, 0.2, 1.0]))
    frames = Frames(1e8, draw(st.sampled_from([5.0, 50.0, 3.7])), n_frames)
    used = generator.random(n) < 0.9 if draw(st.booleans()) else None
    chunk = draw(st.one_of(st.none(), st.integers(1, n_frames + 3)))
    return CountCube.from_events(frames, grid, frame, flat, masked, used, chunk)


def random_live(generator: np.random.Generator, cube: CountCube) -> FramesLive:
    """Groups of CCDs, some of which are off in some frames of a cube, or for a part of them."""
    n_groups = int(generator.integers(1, 4))
    live = np.ones((n_groups, cube.frames.n))
    some = generator.random(live.shape) < generator.choice([0.1, 0.5])
    live[some] = generator.choice([0.0, 0.3, generator.random()], int(some.sum()))
    return FramesLive(live, generator.integers(0, n_groups, cube.n_sum).astype(np.uint8))


@st.composite
def lively_cubes(draw) -> tuple[CountCube, Expectation]:
    """Cubes with bright cells, bursts and eclipses, and an expectation of them.

    The expectation is that of the counts or, since it then explains much of them, random.
    """
    generator = np.random.default_rng(draw(seeds))
    n_frames, n_side = draw(st.integers(1, 25)), draw(st.integers(3, 8))
    rate = generator.choice([0.0, 0.01, 0.3, 2.0], (n_side, n_side), p=[0.1, 0.4, 0.3, 0.2])
    for level in (40.0, 300.0, 1500.0):
        if draw(st.booleans()):
            rate[tuple(generator.integers(0, n_side, 2))] = level
    counts = generator.poisson(np.broadcast_to(rate, (n_frames, n_side, n_side)))
    for _ in range(draw(st.integers(0, 3))):
        frame, y, x = (int(generator.integers(0, n)) for n in counts.shape)
        counts[frame, y, x] += int(generator.choice([3, 10, 50]))
        counts[int(generator.integers(0, n_frames)), rate == rate.max()] //= 20
    counts[generator.random(n_frames) < 0.1] = 0
    frame, y, x = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0).T
    masked = generator.random(n_frames) < draw(st.sampled_from([0.0, 0.2]))
    is_bad = generator.random(n_frames) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    cube = CountCube.from_events(
        Frames(1e8, 50.0, n_frames),
        grid_of(n_side),
        frame.astype(np.int32),
        (y * n_side + x).astype(np.int32),
        masked,
        chunk_frames=draw(st.one_of(st.none(), st.integers(1, n_frames + 2))),
    )
    live = random_live(generator, cube) if draw(st.booleans()) else None
    expectation = expect(cube, is_bad, generator.random(cube.box.shape) < 0.1, live)
    if draw(st.booleans()):
        noise = [generator.lognormal(0, 0.5, cube.box.shape) for _ in range(3)]
        expectation = replace(
            expectation,
            good=replace(expectation.good, shape=expectation.good.shape * noise[0]),
            bad=replace(expectation.bad, shape=expectation.bad.shape * noise[1]),
            source=expectation.source * noise[2],
        )
    return cube, expectation


def site_of(x: float, y: float, energy_kev, generator: np.random.Generator) -> Site:
    """A place far from any gap between chips, with a photon of the profile for each energy."""
    offset = EPIC.sample(generator, len(energy_kev)) / SKY_PIXEL_ARCSEC
    return Site(x, y, x + offset[0], y + offset[1], energy_kev)
