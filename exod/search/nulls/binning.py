"""Counts and expectation of every time bin and band of a subset in cells that do not overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from exod.counts.cube import CountCube
from exod.counts.template import Expectation
from exod.observation.gti import Frames, bad_time
from exod.schemas.arrays import Mask
from exod.search.nulls.null import CountedRun, Subset


def counted_runs(
    subset: Subset, expect: Callable[[CountCube, Mask], Expectation]
) -> Iterator[CountedRun[Expectation]]:
    """Bin the events of a subset, in the order of the settings.

    Parameters
    ----------
    subset : Subset
        Events and settings.
    expect : callable
        From a cube and its frames in bad time, shape (n_frames,), to the expectation.

    Yields
    ------
    CountedRun
        One at a time, so that only one cube is in memory.
    """
    events, settings = subset.events, subset.config.cube
    for t_bin in settings.t_bin:
        frames = Frames.covering(events.t_lo, events.t_hi, t_bin)
        frame = frames.index(events.time)
        bad = bad_time(events.time, events.pi, frames, events.t_hi, events.n_monitors)
        off = subset.camera_off(frames, frame, bad.frames)
        masked = subset.masked(off, bad.frames)
        for band in settings.bands:
            used = subset.in_band(band)
            cube = CountCube.from_events(
                frames,
                subset.grid,
                frame,
                subset.flat,
                masked,
                used,
                chunk_frames=subset.chunk_frames,
            )
            expectation = expect(cube, bad.frames)
            yield CountedRun(band, int(used.sum()), bad, off, cube, expectation)
