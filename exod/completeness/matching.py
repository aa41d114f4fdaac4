"""What a search found, and which bursts it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from exod.counts.bayes import Kind
from exod.schemas.arrays import Floats, Mask
from exod.search.subset import Run, VariableRegion

MATCH_ARCSEC: Final = 20.0
"""A region within this distance of a burst has found it."""

LIGHT_ARCSEC: Final = 60.0
"""A region within this distance of a burst, at its time, is its light; others are false."""

ANY: Final = "any"
"""Kind of the rows for all runs together."""


@dataclass(frozen=True)
class FoundPlace:
    """A region of any search.

    Attributes
    ----------
    x, y : float
        Sky pixels.
    start, stop : ndarray of float64, shape (n_intervals,)
        When it is significant, mission elapsed times.
    """

    x: float
    y: float
    start: Floats
    stop: Floats


@dataclass(frozen=True)
class TrueBursts:
    """Bursts that were put in: arrays of shape (n_bursts,), sky pixels and seconds."""

    x: Floats
    y: Floats
    start: Floats
    stop: Floats
    pixel_arcsec: float


def kind_of(run: Run) -> str:
    """Name of a run among those of an observation: time bin and band.

    The same for every observation: what follows obsid and subset in the run's identifier.
    """
    return run.runid.split("_", 2)[2]


def regions_found(run: Run, kind: Kind = "peak") -> list[FoundPlace]:
    """Regions of a run with significant peaks, or eclipses."""
    places = []
    wanted = run.cells.is_peak if kind == "peak" else ~run.cells.is_peak
    for variable in run.regions:
        members = variable.region.members
        start = np.unique(run.cells.start[members[wanted[members]]])
        if len(start):
            places.append(FoundPlace(*_place(run, variable), start, start + run.t_bin))
    return places


def _place(run: Run, variable: VariableRegion) -> tuple[float, float]:
    """Fitted position, or the weighted centroid, as the table of regions has it."""
    if variable.position is not None:
        return variable.position.x, variable.position.y
    box, width, region = run.cube.box, run.cube.grid.width, variable.region
    return (box.x_lo + 0.5 + region.x_weighted) * width, (
        box.y_lo + 0.5 + region.y_weighted
    ) * width


def match(places: Sequence[FoundPlace], bursts: TrueBursts) -> tuple[Mask, int]:
    """Find out which bursts were found, and how many places are none.

    Returns
    -------
    found : ndarray of bool, shape (n_bursts,)
        Some place within 20 arcsec is significant while the burst lasts.
    n_false : int
        Places that are not the light of a burst.
    """
    found = np.zeros(len(bursts.x), bool)
    n_false = 0
    for place in places:
        distance = np.hypot(bursts.x - place.x, bursts.y - place.y) * bursts.pixel_arcsec
        overlap = (place.start[:, None] < bursts.stop) & (place.stop[:, None] > bursts.start)
        at_time = overlap.any(axis=0)
        found |= at_time & (distance < MATCH_ARCSEC)
        n_false += not np.any(at_time & (distance < LIGHT_ARCSEC))
    return found, n_false
