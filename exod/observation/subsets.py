"""Exposures that overlap in time, and their merged event lists (method.md, Merging exposures)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exod.instruments import Observatory
from exod.observation.events import Exposure, SelectedEvents
from exod.observation.times import PIPELINE_TIME
from exod.sky.plane import TangentPlane


@dataclass(frozen=True)
class MergedEvents:
    """Events of the overlapping exposures of a subset, merged in order of time.

    Attributes
    ----------
    number : int
        Number of the subset in the observation.
    exposures : tuple of Exposure
        The exposures, one a camera, in order of file name.
    time, x, y, pi : ndarray, shape (n_events,)
        As in `EventList`.
    ccdnr, source : ndarray of uint8, shape (n_events,)
        CCD number, and index into `exposures`.
    t_lo, t_hi : float
        Latest start and earliest stop of the exposures, in seconds.
    """

    number: int
    exposures: tuple[Exposure, ...]
    time: NDArray[np.float64]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    pi: NDArray[np.int16]
    ccdnr: NDArray[np.uint8]
    source: NDArray[np.uint8]
    t_lo: float
    t_hi: float

    @property
    def plane(self) -> TangentPlane:
        """Projection of the sky pixels, common to the exposures of an observation."""
        return self.exposures[0].plane

    @property
    def sky_extent(self) -> int:
        """Sky pixels along X and along Y, common to the exposures of an observation."""
        return self.exposures[0].sky_extent

    @property
    def observatory(self) -> Observatory:
        """The observatory that carries the cameras."""
        return self.exposures[0].camera.observatory


def merge_subset(number: int, exposures: list[SelectedEvents]) -> MergedEvents:
    """Merge the exposures of a subset (method.md, Merging exposures).

    Ties in time are ordered by exposure, so the result does not depend on the order of arrival.
    """
    ordered = sorted(exposures, key=lambda item: item.exposure.filename)
    time = np.concatenate([item.events.time for item in ordered])
    order = np.argsort(time, kind="stable")

    def merged(column: str) -> NDArray[Any]:
        return np.concatenate([getattr(item.events, column) for item in ordered])[order]

    source = np.repeat(np.arange(len(ordered), dtype=np.uint8), [len(i.events) for i in ordered])
    return MergedEvents(
        number=number,
        exposures=tuple(item.exposure for item in ordered),
        time=time[order],
        x=merged("x"),
        y=merged("y"),
        pi=merged("pi"),
        ccdnr=merged("ccdnr"),
        source=source[order],
        t_lo=max(item.time_min for item in ordered),
        t_hi=min(item.time_max for item in ordered),
    )


def of_one_clock(
    exposures: list[SelectedEvents],
) -> tuple[list[SelectedEvents], list[tuple[SelectedEvents, str]]]:
    """Leave out exposures whose times cannot be compared with those of the others.

    Parameters
    ----------
    exposures : list of SelectedEvents
        Of one observation.

    Returns
    -------
    kept : list of SelectedEvents
        Those with the clock of the pipeline if there are any, else with that of most of them.
    left_out : list of (SelectedEvents, str)
        The others, with the reason.
    """
    clocks = Counter(item.exposure.clock for item in exposures)
    if len(clocks) <= 1:
        return exposures, []
    common = PIPELINE_TIME if PIPELINE_TIME in clocks else clocks.most_common(1)[0][0]
    kept = [item for item in exposures if item.exposure.clock == common]
    others = [item for item in exposures if item.exposure.clock != common]
    first = kept[0].exposure.filename
    return kept, [
        (
            item,
            f"{item.exposure.filename} counts its times differently from {first} "
            f"({item.exposure.clock.difference(common)}), so they cannot be merged.",
        )
        for item in others
    ]


def split_subsets(
    exposures: list[SelectedEvents],
) -> tuple[list[list[SelectedEvents]], list[tuple[SelectedEvents, str]]]:
    """Group the exposures of an observation that overlap in time (method.md, Merging exposures).

    Parameters
    ----------
    exposures : list of SelectedEvents
        In any order.

    Returns
    -------
    subsets : list of list of SelectedEvents
        Connected components of the overlap graph, at most one exposure a camera (the longest), in
        order of their first file name.
    left_out : list of (SelectedEvents, str)
        Exposures that a longer one of the same camera replaces, with the reason.

    Notes
    -----
    Overlapping intervals on a line: sorted by start, a component ends where the next start lies
    after every stop so far. Intervals are closed.
    """
    components: list[list[SelectedEvents]] = []
    latest = -np.inf
    for item in sorted(exposures, key=lambda item: (item.time_min, item.exposure.filename)):
        if item.time_min > latest:
            components.append([])
        components[-1].append(item)
        latest = max(latest, item.time_max)
    left_out: list[tuple[SelectedEvents, str]] = []
    subsets = []
    for component in components:
        longest: dict[str, SelectedEvents] = {}
        for item in sorted(component, key=_longest_first):
            kept = longest.setdefault(item.exposure.instrument, item)
            if kept is not item:
                reason = f"{kept.exposure.filename} is a longer exposure of the same camera."
                left_out.append((item, reason))
        subsets.append(sorted(longest.values(), key=lambda item: item.exposure.filename))
    return sorted(subsets, key=lambda subset: subset[0].exposure.filename), left_out


def _longest_first(item: SelectedEvents) -> tuple[float, str]:
    return item.time_min - item.time_max, item.exposure.filename
