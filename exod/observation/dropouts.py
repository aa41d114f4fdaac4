"""CCDs of a subset that are live together, and those that drop out (method.md, Live time)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.observation.gti import Frames
from exod.observation.livetime import LiveCurve
from exod.observation.subsets import MergedEvents
from exod.schemas.arrays import Floats, Indices, Integers, Mask

FALSE_DROPOUTS: Final = 0.01
"""Drop-outs that chance alone makes in a subset."""

LEVEL_SECONDS: Final = 100.0
QUIET_PERCENTILE: Final = 25.0
"""Without another camera, the level is taken to be that of a quiet quarter of the time, in bins of
100 s."""

MOSTLY_THAT: Final = 0.75
"""A gap of a CCD that lies by this share in one of its camera or quadrant is no other."""

_SURE: Final = 2.0
"""Standard deviations by which counts of a source in other cameras are lowered, to be sure."""


@dataclass(frozen=True)
class LiveGroups:
    """CCDs of a subset by when they are live.

    Attributes
    ----------
    number : ndarray of uint8, shape (n_exposures, 256)
        Group of the CCDs of each exposure.
    curves : tuple of LiveCurve
        Of each group, in terms of the usual live share of its CCDs.
    is_recorded : ndarray of bool, shape (n_exposures,)
        Exposures whose files record when they were live; the others count as live throughout.
    """

    number: NDArray[np.uint8]
    curves: tuple[LiveCurve, ...]
    is_recorded: Mask

    def of_events(self, events: MergedEvents) -> NDArray[np.uint8]:
        """Group of each event, shape (n_events,)."""
        return self.number[events.source, events.ccdnr]

    def fractions(self, frames: Frames) -> Floats:
        """Live fraction of each group and frame, shape (n_groups, n_frames)."""
        return np.array([curve.fractions(frames) for curve in self.curves])


def live_groups(
    events: MergedEvents, place: NDArray[np.integer], is_source: Mask
) -> LiveGroups | None:
    """Group the CCDs of a subset by when they were live, as recorded and as their events show.

    Parameters
    ----------
    events : MergedEvents
        The events.
    place : ndarray of int, shape (n_events,)
        Cell of each event on the sky; negative for none.
    is_source : ndarray of bool, shape (n_events,)
        Events in cells of sources, which tell little of whether a CCD works.

    Returns
    -------
    LiveGroups or None
        None if no exposure has a record.

    Notes
    -----
    A unit (all cameras, a camera, CCDs that drop out together, a CCD) is off between two of its
    events if it has none where so many were expected that chance leaves out as many in 0.01
    subsets: more than ``ln(n_events / 0.01)``. They are expected from its background and the level
    of the other CCDs of its camera, the median of which no burst can change; where these are
    silent too, of the other camera that is highest, at most the mean; if all cameras are silent,
    of a quiet quarter of the time. Sources add what the other cameras see of them at that time,
    and not more than they have on average, so that neither a burst nor an eclipse, which all
    cameras see, looks like a drop-out.
    """
    recorded = np.array([exposure.live.is_known for exposure in events.exposures], bool)
    if not recorded.any() or events.t_hi <= events.t_lo:
        return None
    units = _Units(events, place, is_source, recorded)
    off: dict[int, list[tuple[float, float]]] = {}
    for unit, start, stop in units.dropouts():
        for ccd in unit.tolist():
            off.setdefault(ccd, []).append((start, stop))
    number = np.zeros((len(events.exposures), 256), np.uint8)
    curves: list[LiveCurve] = []
    for ccd, (exposure, ccdnr) in enumerate(units.names):
        curve = units.curves[ccd].without(np.array(off.get(ccd, [])).reshape(-1, 2))
        same = next((i for i, other in enumerate(curves) if other == curve), len(curves))
        if same == len(curves):
            curves.append(curve)
        number[exposure, ccdnr] = same
    return LiveGroups(number, tuple(curves), recorded)


class _Units:
    """The CCDs with events of a subset, and what they have in common."""

    def __init__(
        self,
        events: MergedEvents,
        place: NDArray[np.integer],
        is_source: Mask,
        recorded: Mask,
    ) -> None:
        self.events, self.place, self.is_source = events, place, is_source
        code = events.source.astype(np.int64) * 256 + events.ccdnr
        present = np.flatnonzero(np.bincount(code, minlength=1))
        index = np.zeros(present.max(initial=0) + 1, np.int64)
        index[present] = np.arange(len(present))
        self.ccd: Integers = index[code]
        self.names = [divmod(int(value), 256) for value in present]
        self.camera = np.array([camera for camera, _ in self.names])
        self.recorded = recorded
        self._witnesses: tuple[Indices, Mask, int, int] | None = None
        self.curves = [self._curve(*name) for name in self.names]
        n = len(self.names)
        self.background = np.bincount(self.ccd[~is_source], minlength=n).astype(float)
        ends = np.array([events.t_lo, events.t_hi])
        self.seconds = np.array([float(np.diff(curve.at(ends))[0]) for curve in self.curves])
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = self.background / self.seconds
        self.rate = np.where(self.seconds > 0, rate, 0.0)

    def _curve(self, exposure: int, ccdnr: int) -> LiveCurve:
        """Its record within the subset, in terms of its usual live share."""
        t_lo, t_hi = self.events.t_lo, self.events.t_hi
        known = self.events.exposures[exposure].live.curves.get(ccdnr)
        if known is None:
            return LiveCurve(np.array([[t_lo, t_hi, 1.0]]))
        outside = np.array([[-np.inf, t_lo], [t_hi, np.inf]])
        pieces = known.without(outside).pieces.copy()
        pieces[:, 2] /= known.usual
        return LiveCurve(pieces)

    @property
    def _sets(self) -> Iterator[Indices]:
        """What can drop out together, among the exposures with a record."""
        events = self.events
        if self.recorded.all():
            yield np.arange(len(self.names))
        for number, exposure in enumerate(events.exposures):
            own = np.flatnonzero(self.camera == number)
            if not len(own) or not self.recorded[number]:
                continue
            yield own
            ccds = np.array([ccdnr for _, ccdnr in self.names])
            for group in exposure.camera.dropout_groups:
                if np.isin(ccds[own], group).any():
                    yield own[np.isin(ccds[own], group)]
            yield from own[:, None]

    def dropouts(self) -> Iterator[tuple[Indices, float, float]]:
        """Units that are silent where they should not be, and when."""
        time = self.events.time
        enough = float(np.log(max(len(time), 1) / FALSE_DROPOUTS))
        seen: set[tuple[int, ...]] = set()
        found: list[tuple[Indices, float, float]] = []
        for unit in self._sets:
            if tuple(unit) in seen:
                continue
            seen.add(tuple(unit))
            mine = np.zeros(len(self.names), bool)
            mine[unit] = True
            inside = np.flatnonzero(mine[self.ccd])
            first, last = np.searchsorted(time, [self.events.t_lo, self.events.t_hi])
            before = np.concatenate([[first - 1], inside])
            after = np.concatenate([inside, [max(last, first)]])
            starts = np.concatenate([[self.events.t_lo], time[inside]])
            stops = np.concatenate([time[inside], [self.events.t_hi]])
            share = len(inside) / max(len(time) - len(inside), 1)
            wide = (after - before - 1) * share >= enough / 2
            wide |= (stops - starts) * self.rate[unit].sum() >= enough
            chosen = np.flatnonzero(wide & (stops > starts))
            live = np.array(
                [curve.at(stops[chosen]) - curve.at(starts[chosen]) for curve in self.curves]
            )
            possible = self.rate[unit] @ live[unit] > 0
            for i, own in zip(chosen[possible].tolist(), live.T[possible], strict=True):
                start, stop = float(starts[i]), float(stops[i])
                if any(
                    min(stop, last) - max(start, first) >= MOSTLY_THAT * (stop - start)
                    and np.isin(unit, larger).all()
                    for larger, first, last in found
                ):
                    continue
                gap = slice(int(before[i]) + 1, int(after[i]))
                if self._expected(unit, gap, own, enough) >= enough:
                    start = float(np.nextafter(start, np.inf))
                    found.append((unit, start, stop))
                    yield found[-1]

    def _expected(self, unit: Indices, gap: slice, live: Floats, enough: float) -> float:
        """Counts that a unit should have between two of its events; `gap` are those of others.

        `live` are the live seconds of each CCD in that time.
        """
        own = float(self.rate[unit] @ live[unit])
        is_source = self.is_source[gap]
        n = np.bincount(self.ccd[gap][~is_source], minlength=len(self.names))
        usual = self.rate * live
        others = usual > 0
        others[unit] = False
        relative = np.divide(n, usual, out=np.zeros(len(n)), where=others)
        own_camera = self.camera == self.camera[unit[0]]
        same = relative[others & own_camera]
        level = float(np.median(same)) if len(same) else 0.0
        if not level:
            levels = [
                float(np.median(relative[others & (self.camera == camera)]))
                for camera in np.unique(self.camera[others])
            ]
            level = min(max(levels), 1.0) if levels else self._quiet
        expected = own * level
        if expected < enough:
            expected += self._source_counts(unit, gap, live)
        return expected

    @cached_property
    def _quiet(self) -> float:
        """Level of a quiet quarter of the time, relative to the mean."""
        events = self.events
        bins = Frames.covering(events.t_lo, events.t_hi, LEVEL_SECONDS)
        index = bins.index(events.time[~self.is_source])
        n = np.bincount(index[(index >= 0) & (index < bins.n)], minlength=1)
        n = n[n > 0]
        return float(min(np.percentile(n, QUIET_PERCENTILE) / n.mean(), 1.0)) if len(n) else 0.0

    def _source_counts(self, unit: Indices, gap: slice, live: Floats) -> float:
        """Counts of sources that other cameras see at the time, where the unit does."""
        if self._witnesses is None or self._witnesses[0] is not unit:
            mine = np.isin(self.ccd, unit) & self.is_source & (self.place >= 0)
            other = self.camera[self.ccd] != self.camera[unit[0]]
            other &= self.is_source & np.isin(self.place, np.unique(self.place[mine]))
            self._witnesses = unit, other, int(mine.sum()), int(other.sum())
        _, other, own, total = self._witnesses
        if not total:
            return 0.0
        n = float(other[gap].sum())
        part = float((live[unit] / np.maximum(self.seconds[unit], 1e-9)).mean())
        return own * min(max(n - _SURE * np.sqrt(n), 0.0) / total, part)
