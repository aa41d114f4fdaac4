"""When and where a camera gives events: good times, frames and bad pixels of an exposure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.errors import ConfigError
from exod.observation.events import EventList

Floats = NDArray[np.float64]


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
    """

    start: float
    stop: float
    good_times: Mapping[int, Floats]
    frames: Mapping[int, Floats] = field(default_factory=dict)
    bad_pixels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        if not self.start < self.stop:
            raise ConfigError(
                f"An exposure from {self.start:.3f} to {self.stop:.3f} s has no length; there is "
                f"no time for which a source can be injected."
            )

    @classmethod
    def of_events(cls, events: EventList) -> Self:
        """Of an event list alone: from its first to its last event, on the CCDs that have events.

        Raises
        ------
        ConfigError
            If the list has no two times.
        """
        time = events.time[np.isfinite(events.time)]
        if not len(time):
            raise ConfigError("The event list is empty; there is nothing to inject a source into.")
        start, stop = float(time.min()), float(time.max())
        ccds = np.unique(events.ccdnr).tolist()
        return cls(start, stop, {ccdnr: np.array([[start, stop]]) for ccdnr in ccds})

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


def pixel_codes(ccdnr: ArrayLike, rawx: ArrayLike, rawy: ArrayLike) -> NDArray[np.int64]:
    """One number for each pixel of a camera (arrays of one shape).

    Examples
    --------
    >>> pixel_codes([1, 12], [600, 3], [1, 2]).tolist()
    [1600001, 12003002]
    """
    ccdnr, rawx, rawy = (np.asarray(values, np.int64) for values in (ccdnr, rawx, rawy))
    return np.asarray((ccdnr * 1000 + rawx) * 1000 + rawy)
