"""Which exposures are searched together, and when (method.md, Merging exposures).

Exposures that overlap are searched in what all of them have in common. Where that would leave out
much of what they have, as with a short exposure among long ones or with exposures that overlap in
a chain, time is divided into stretches, each searched with the exposures that are on in all of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.observation.availability import times_with_events
from exod.observation.events import SelectedEvents

ENOUGH: Final = 0.75
"""Share of the camera time, seconds times cameras, that the time common to all exposures must have
to be all that is searched. A camera that starts somewhat later than the others leaves more."""

WORTHWHILE: Final = 0.15
"""Camera time that another stretch must add, as a share of the longest exposure: each has its own
background, which needs counts, and its own false alarms."""

LONG_GAP: Final = 0.05
"""Gaps that are this share of an exposure at least divide it; shorter ones are masked frames."""

STRAY: Final = 1e-3
"""Share of the events of the busiest group of CCDs below which another group never worked."""


@dataclass(frozen=True)
class Stretch:
    """Exposures that are searched together.

    Attributes
    ----------
    exposures : tuple of SelectedEvents
        One a camera, in order of file name.
    start, stop : float
        The time to search, in seconds; infinite where the exposures themselves are the limit.
    """

    exposures: tuple[SelectedEvents, ...]
    start: float = -np.inf
    stop: float = np.inf


@dataclass(frozen=True)
class Segment:
    """A time in which an exposure is on without a long gap.

    Attributes
    ----------
    item : SelectedEvents
        The exposure.
    start, stop : float
        In seconds.
    is_whole : bool
        Whether all CCDs that it ever has are on, as far as they drop out in groups.
    """

    item: SelectedEvents
    start: float
    stop: float
    is_whole: bool

    @property
    def camera(self) -> str:
        """The camera."""
        return self.item.exposure.instrument


def stretches(component: Sequence[SelectedEvents]) -> list[Stretch]:
    """Divide the time of exposures that overlap, directly or through others.

    Parameters
    ----------
    component : sequence of SelectedEvents
        In any order, which does not matter.

    Returns
    -------
    list of Stretch
        In order of time. A single one, without limits of its own, if the time common to the
        longest exposure of each camera is `ENOUGH`; else those with most of the camera time.
    """
    ordered = sorted(component, key=longest_first)
    usual = longest_of_each_camera(ordered)
    parts = [part for item in ordered for part in segments(item)]
    if _common_time(usual, parts) >= ENOUGH * camera_time(parts):
        return [Stretch(usual)]
    return _divided(parts) or [Stretch(usual)]


def longest_first(item: SelectedEvents) -> tuple[float, str]:
    """A key that sorts exposures by length, then by file name."""
    return item.time_min - item.time_max, item.exposure.filename


def longest_of_each_camera(ordered: Iterable[SelectedEvents]) -> tuple[SelectedEvents, ...]:
    """The first exposure of each camera, in order of file name."""
    first: dict[str, SelectedEvents] = {}
    for item in ordered:
        first.setdefault(item.exposure.instrument, item)
    return tuple(sorted(first.values(), key=lambda item: item.exposure.filename))


def segments(item: SelectedEvents) -> list[Segment]:
    """The parts of an exposure in which the same CCDs are on, as far as they drop out in groups."""
    events = item.events
    groups = working_groups(events.ccdnr, item.exposure.camera.dropout_groups)
    parts = [np.isin(events.ccdnr, group) for group in groups] or [np.ones(len(events), bool)]
    gaps = [_long_gaps(events.time[own], item.time_min, item.time_max) for own in parts]
    edges = np.unique([item.time_min, item.time_max, *(e for gap in gaps for e in gap.ravel())])
    found = []
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        middle = (start + stop) / 2
        off = sum(bool(((gap[:, 0] < middle) & (middle < gap[:, 1])).any()) for gap in gaps)
        if off < len(parts):
            found.append(Segment(item, start, stop, off == 0))
    return found


def working_groups(
    ccdnr: NDArray[np.integer], groups: tuple[tuple[int, ...], ...]
) -> tuple[tuple[int, ...], ...]:
    """The groups of CCDs that have more than a few stray events.

    Parameters
    ----------
    ccdnr : ndarray, shape (n_events,)
        CCDs of the events.
    groups : tuple of tuples of int
        As `exod.instruments.Instrument.dropout_groups`.

    Examples
    --------
    >>> working_groups(np.array([1, 2, 3, 3, 5]), ((1, 2), (3, 4), (6, 7)))
    ((1, 2), (3, 4))
    """
    counts = np.bincount(ccdnr, minlength=1 + max((max(group) for group in groups), default=0))
    totals = [int(counts[list(group)].sum()) for group in groups]
    least = max(STRAY * max(totals, default=0), 1)
    return tuple(group for group, total in zip(groups, totals, strict=True) if total >= least)


def _long_gaps(time: NDArray[np.float64], start: float, stop: float) -> NDArray[np.float64]:
    """Starts and stops of the long times without events, shape (n, 2)."""
    on = times_with_events(time, start, stop)
    gaps = np.concatenate([[start], on.ravel(), [stop]]).reshape(-1, 2)
    return gaps[np.diff(gaps)[:, 0] > LONG_GAP * (stop - start)]


def camera_time(parts: Iterable[Segment]) -> float:
    """Seconds in which each camera is on, all cameras together."""
    by_camera: dict[str, list[Segment]] = defaultdict(list)
    for part in parts:
        by_camera[part.camera].append(part)
    total = 0.0
    for own in by_camera.values():
        latest = -np.inf
        for part in sorted(own, key=lambda part: part.start):
            total += max(part.stop - max(part.start, latest), 0.0)
            latest = max(latest, part.stop)
    return total


def _common_time(exposures: tuple[SelectedEvents, ...], parts: list[Segment]) -> float:
    """Camera time in which all of some exposures are on with all CCDs."""
    edges = _edges(parts)
    length = np.diff(edges)
    for item in exposures:
        own = [part for part in parts if part.item is item and part.is_whole]
        on = np.zeros(len(length), bool)
        for part in own:
            on |= (edges[:-1] >= part.start) & (edges[1:] <= part.stop)
        length = length * on
    return float(length.sum()) * len(exposures)


def _edges(parts: Iterable[Segment]) -> NDArray[np.float64]:
    return np.unique([edge for part in parts for edge in (part.start, part.stop)])


def _divided(parts: list[Segment]) -> list[Stretch]:
    """The stretches with most camera time, those that are `WORTHWHILE` only; in order of time."""
    edges = _edges(parts)
    cost = WORTHWHILE * max(part.stop - part.start for part in parts)
    best = np.zeros(len(edges))
    chosen: list[list[Stretch]] = [[] for _ in edges]
    for last in range(1, len(edges)):
        best[last], chosen[last] = best[last - 1], chosen[last - 1]
        # Of equal ones the longest wins.
        for first in range(last):
            start, stop = float(edges[first]), float(edges[last])
            on = [part for part in parts if part.start <= start and stop <= part.stop]
            own = longest_of_each_camera(part.item for part in on)
            value = best[first] + (stop - start) * len(own) - cost
            if own and value > best[last] + 1e-6:
                best[last], chosen[last] = value, [*chosen[first], Stretch(own, start, stop)]
    return chosen[-1]
