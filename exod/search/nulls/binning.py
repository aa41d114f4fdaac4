"""Counts and expectation of every time bin and band of a subset in cells that do not overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from exod.counts.cube import CountCube
from exod.counts.partial import FramesLive
from exod.counts.template import Expectation
from exod.observation.gti import Frames, bad_time
from exod.schemas.arrays import Mask
from exod.search.nulls.null import CountedRun, Subset

MOSTLY: Final = 0.5
"""A CCD or camera was off in a frame if it was live for less than this part of it."""


def counted_runs(
    subset: Subset, expect: Callable[[CountCube, Mask, FramesLive | None], Expectation]
) -> Iterator[CountedRun[Expectation]]:
    """Bin the events of a subset, in the order of the settings.

    Parameters
    ----------
    subset : Subset
        Events and settings.
    expect : callable
        From a cube, its frames in bad time, shape (n_frames,), and when which CCDs were live, to
        the expectation.

    Yields
    ------
    CountedRun
        One at a time, so that only one cube is in memory.
    """
    events = subset.events
    for t_bin in subset.t_bins:
        frames = Frames.covering(events.t_lo, events.t_hi, t_bin)
        frame = frames.index(events.time)
        bad = bad_time(events.time, events.pi, frames, events.t_hi, events.n_monitors)
        off = subset.camera_off(frames, frame, bad.frames)
        masked = subset.masked(off, bad.frames)
        live = subset.live.fractions(frames) if subset.live else np.ones((1, frames.n))
        if subset.live:
            masked |= ~live.any(axis=0)
            off |= (live < MOSTLY).any(axis=0)
        for band in subset.bands:
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
            known = FramesLive(live, subset.live_group[cube.event]) if subset.live else None
            expectation = expect(cube, bad.frames, known)
            if expectation.partial:
                # Frames without counts have no expectation, but are not masked.
                known_mean = expectation.partial.frames & (expectation.exposure > 0)
                mean = np.where(known_mean, expectation.exposure, cube.exposure)
                cube = replace(cube, exposure=mean)
            yield CountedRun(band, int(used.sum()), bad, off, cube, expectation)
