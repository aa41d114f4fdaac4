"""When and where a camera gives events: good times, frames and bad pixels of an exposure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.errors import ConfigError
from exod.observation.events import EventList
from exod.observation.livetime import common_intervals

Floats = NDArray[np.float64]

SURELY: Final = 25
"""Events expected in a time without any that is no chance: exp(-25) is 1e-11."""


@dataclass(frozen=True)
class Availability:
    """What of the light that arrives an exposure can turn into events.

    Attributes
    ----------
    start, stop : float
        First and last time, mission elapsed seconds.
    good_times : mapping of int to ndarray of float64, shape (n, 2)
        By CCDNR, ascending starts and stops; a CCD that is not there gives no events.
    frames : mapping of int to ndarray of float64, shape (n, 3)
        By CCDNR: start and stop of each frame, ascending, and the live share of the frame. A CCD
        that is not there is live in all of its good times.
    bad_pixels : ndarray of int64, shape (n,)
        Pixels that give no events, as `pixel_codes`.
    notes : tuple of str
        What was unusual, one sentence each.
    """

    start: float
    stop: float
    good_times: Mapping[int, Floats]
    frames: Mapping[int, Floats] = field(default_factory=dict)
    bad_pixels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.start < self.stop:
            raise ConfigError(
                f"An exposure from {self.start:.3f} to {self.stop:.3f} s has no length; there is "
                f"no time for which a source can be injected."
            )

    @classmethod
    def of_events(cls, events: EventList) -> Self:
        """Of an event list alone: from its first to its last event, on the CCDs that have events.

        Times without events that are too long for chance are lost, of the camera and of each CCD.

        Raises
        ------
        ConfigError
            If the list has no two times.
        """
        time = events.time[np.isfinite(events.time)]
        if not len(time):
            raise ConfigError("The event list is empty; there is nothing to inject a source into.")
        start, stop = float(time.min()), float(time.max())
        of_camera = times_with_events(time, start, stop)
        good_times = {}
        for ccdnr in np.unique(events.ccdnr).tolist():
            own = events.time[events.ccdnr == ccdnr]
            own = times_with_events(own[np.isfinite(own)], start, stop)
            good_times[ccdnr] = common_intervals(own, of_camera)
        return cls(start, stop, good_times)

    def gives_events(self, events: EventList, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Which photons the camera turns into events, shape (n_events,).

        Parameters
        ----------
        events : EventList
            Events of an ideal camera.
        generator : numpy.random.Generator
            Decides on photons in frames that are live in part.
        """
        chance = generator.random(len(events))
        kept = np.zeros(len(events), bool)
        for ccdnr in np.unique(events.ccdnr).tolist():
            mine = events.ccdnr == ccdnr
            time = events.time[mine]
            live = _live_share(self.good_times.get(ccdnr, np.empty((0, 2))), time).astype(float)
            if ccdnr in self.frames:
                live *= _live_share(self.frames[ccdnr], time)
            kept[mine] = chance[mine] < live
        codes = pixel_codes(events.ccdnr, events.rawx, events.rawy)
        return kept & ~np.isin(codes, self.bad_pixels)


def _live_share(intervals: Floats, time: Floats) -> Floats:
    """For each time 0 outside the intervals, inside their third column or 1."""
    if not len(intervals):
        return np.zeros(len(time))
    i = np.searchsorted(intervals[:, 0], time, "right") - 1
    inside = (i >= 0) & (time < intervals[i, 1])
    share = intervals[i, 2] if intervals.shape[1] > 2 else 1.0
    return np.where(inside, share, 0.0)


def times_with_events(time: ArrayLike, start: float, stop: float) -> Floats:
    """The interval from start to stop without the times that are empty, but not by chance.

    Parameters
    ----------
    time : array, shape (n_events,)
        Times of events, in any order.
    start, stop : float
        The interval; events may lie outside.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Starts and stops, ascending. With fewer than `SURELY` events, the whole interval.

    Examples
    --------
    >>> times_with_events(np.r_[0:100, 300:400], 0.0, 400.0)
    array([[  0.,  99.],
           [300., 400.]])
    """
    # Of a frame whose events have one time, one counts.
    time = np.unique(np.asarray(time, float))
    time = time[(time >= start) & (time <= stop)]
    whole = np.array([[start, stop]])
    if len(time) < SURELY or not stop > start:
        return whole
    # The rate of quiet times: flares would make gaps of it.
    width = SURELY * (stop - start) / len(time)
    counts = np.bincount(np.floor((time - start) / width).astype(int))
    rate = np.percentile(counts[counts > 0], 25) / width
    edges = np.concatenate([[start], time, [stop]])
    gaps = np.flatnonzero(np.diff(edges) * rate >= SURELY)
    # Intervals are half-open, and the last event before a gap lies in one.
    before = np.nextafter(edges[gaps], np.inf)
    intervals = np.stack([np.r_[start, edges[gaps + 1]], np.r_[before, stop]], axis=1)
    return intervals[intervals[:, 1] > intervals[:, 0]]


def pixel_codes(ccdnr: ArrayLike, rawx: ArrayLike, rawy: ArrayLike) -> NDArray[np.int64]:
    """One number for each pixel of a camera (arrays of one shape).

    Examples
    --------
    >>> pixel_codes([1, 12], [600, 3], [1, 2]).tolist()
    [1600001, 12003002]
    """
    ccdnr, rawx, rawy = (np.asarray(values, np.int64) for values in (ccdnr, rawx, rawy))
    return np.asarray((ccdnr * 1000 + rawx) * 1000 + rawy)
