"""How much of the time and of the detectors of an observation was searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from exod.errors import percent
from exod.observation.observations import Observation
from exod.observation.stretches import Segment, camera_time

NOTED: Final = 0.9
"""Shares below this are told in a note."""


@dataclass(frozen=True)
class Coverage:
    """Shares of what the exposures of an observation have that could be searched.

    Attributes
    ----------
    time : float
        Camera time, seconds times cameras, without masked frames and without what is left out of
        subsets, averaged over the runs; 0 to 1. What remains after the last whole frame counts as
        the frames do.
    area : float
        CCDs with events of those that are read at a time, averaged over the cameras and the
        searched time; 0 to 1.
    """

    time: float = 0.0
    area: float = 0.0

    @property
    def note(self) -> str:
        """A sentence if some of it is missing; else empty, as of a search that was none.

        Examples
        --------
        >>> Coverage(0.81, 1.0).note
        'Of the exposure time 81 % was searched, of the CCDs 100 %.'
        """
        if not self.time or min(self.time, self.area) >= NOTED:
            return ""
        time, area = (percent(share, ".0f") for share in (self.time, self.area))
        return f"Of the exposure time {time} was searched, of the CCDs {area}."


def coverage(observation: Observation, live: Mapping[int, Sequence[float]]) -> Coverage:
    """What the runs of an observation searched.

    Parameters
    ----------
    observation : Observation
        What was read.
    live : mapping of int to sequence of float
        By number of the subset, the share of its frames that each of its runs searched.
    """
    known = [*observation.selected, *(r.selected for r in observation.rejected if r.selected)]
    total = camera_time(
        Segment(item, item.time_min, item.time_max, is_whole=True) for item in known
    )
    # The parts of a field are searched in subsets of the same time, and have its CCDs together.
    ccds: dict[tuple[str, float, float], set[int]] = {}
    for subset in observation.subsets:
        for number, exposure in enumerate(subset.exposures):
            own = np.unique(subset.ccdnr[subset.source == number]).tolist()
            key = exposure.filename, subset.t_lo, subset.t_hi
            ccds[key] = ccds.get(key, set()) | set(own)
    time = area = 0.0
    for subset in observation.subsets:
        share = float(np.mean(live.get(subset.number, ()) or (0.0,)))
        seconds = share * max(subset.t_hi - subset.t_lo, 0.0)
        time += seconds * len(subset.exposures)
        for exposure in subset.exposures:
            n_ccds = len(ccds[exposure.filename, subset.t_lo, subset.t_hi])
            most = exposure.camera.most_read or exposure.camera.n_ccds
            area += seconds * min(n_ccds / most, 1.0)
    return Coverage(min(time / total, 1.0) if total else 0.0, area / time if time else 0.0)
