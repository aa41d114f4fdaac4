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
from exod.schemas.arrays import Floats, Indices, Mask

FALSE_DROPOUTS: Final = 0.01
"""Drop-outs that chance alone makes in a subset."""

LEVEL_SECONDS: Final = 100.0
QUIET_PERCENTILE: Final = 25.0
"""Without another camera, the level is taken to be that of a quiet quarter of the time, in bins of
100 s."""

MOSTLY_THAT: Final = 0.75
"""A gap of a CCD that lies by this share in one of its camera or quadrant is no other."""

TIMES_OF_FRAMES: Final = 0.01
"""Times are those of frames where so many events, of all, share theirs with another one."""

_SURE: Final = 2.0
"""Standard deviations by which what others have is lowered, to be sure."""


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

    def of_place(self, group: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """When a place was live, from the groups of its events.

        Parameters
        ----------
        group : ndarray of uint8, shape (n_events,)
            Group of each of its events; a group counts by its events in a second.

        Returns
        -------
        edges : ndarray of float64, shape (n + 1,)
            Times between which nothing changes, ascending, mission elapsed time in seconds; none
            without events.
        live : ndarray of float64, shape (n,)
            Live fraction between them, of all groups that have events.
        """
        counts = np.bincount(group, minlength=len(self.curves))
        own = [
            (number, curve)
            for number, curve in zip(counts.tolist(), self.curves, strict=True)
            if number and len(curve.pieces)
        ]
        if not own:
            return np.empty(0), np.empty(0)
        edges = np.unique(np.concatenate([curve.pieces[:, :2].ravel() for _, curve in own]))
        live, total = np.zeros(len(edges) - 1), 0.0
        for number, curve in own:
            seconds = np.diff(curve.at(edges))
            rate = number / float(seconds.sum())
            live += rate * seconds / np.diff(edges)
            total += rate
        return edges, live / total


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
    cameras see, looks like a drop-out. A unit goes on for as long after its last event, and is back
    as long before its next, as it takes to expect one.
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
        code = events.source.astype(np.int32) * 256 + events.ccdnr
        present = np.flatnonzero(np.bincount(code, minlength=1))
        # Narrow numbers are sorted much faster.
        index = np.zeros(present.max(initial=0) + 1, np.uint16)
        index[present] = np.arange(len(present))
        self.ccd = index[code]
        self.names = [divmod(int(value), 256) for value in present]
        self.camera = np.array([camera for camera, _ in self.names])
        self.recorded = recorded
        self.resolution = np.array(
            [_resolution(events, number) for number in range(len(events.exposures))]
        )
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
        first, last = np.searchsorted(time, [self.events.t_lo, self.events.t_hi])
        seen: set[tuple[int, ...]] = set()
        found: list[tuple[Indices, float, float]] = []
        for unit in self._sets:
            if tuple(unit) in seen:
                continue
            seen.add(tuple(unit))
            inside = self._events_of(unit)
            place = np.concatenate([[first - 1], inside, [max(last, first)]])
            when = np.concatenate([[self.events.t_lo], time[inside], [self.events.t_hi]])
            share = (len(place) - 2) / max(len(time) + 2 - len(place), 1)
            length = np.diff(when)
            with np.errstate(divide="ignore"):
                wide = np.diff(place) >= 1 + np.divide(enough / 2, share)
                wide |= length >= np.divide(enough, self.rate[unit].sum())
            chosen = np.flatnonzero(wide & (length > 0))
            starts, stops, length = when[chosen], when[chosen + 1], length[chosen]
            gaps = np.stack([place[chosen] + 1, place[chosen + 1]])
            live = np.array([curve.at(stops) - curve.at(starts) for curve in self.curves])
            # The events before are those of a whole frame, if all have its time.
            known = self.resolution[self.camera[unit]].max()
            expected = self._expected(unit, gaps, live, enough)
            silent = expected * np.maximum(1 - known / length, 0.0) >= enough
            wait = length[silent] / expected[silent]
            begin = starts[silent] + np.maximum(wait, known)
            for start, stop in zip(begin.tolist(), (stops[silent] - wait).tolist(), strict=True):
                if any(
                    min(stop, end) - max(start, begin) >= MOSTLY_THAT * (stop - start)
                    and np.isin(unit, larger).all()
                    for larger, begin, end in found
                ):
                    continue
                found.append((unit, start, stop))
                yield found[-1]

    def _expected(self, unit: Indices, gaps: Indices, live: Floats, enough: float) -> Floats:
        """Counts that a unit should have between two of its events, shape (n_gaps,).

        Parameters
        ----------
        unit : ndarray of int
            Its CCDs.
        gaps : ndarray of int, shape (2, n_gaps)
            First of the events of others in between, and the one behind the last.
        live : ndarray of float64, shape (n_ccds, n_gaps)
            Live seconds of each CCD in that time.
        enough : float
            Where its background gives as many, sources are not asked.
        """
        own = self.rate[unit] @ live[unit]
        usual = self.rate[:, None] * live
        others = usual > 0
        others[unit] = False
        n = np.array([np.diff(np.searchsorted(index, gaps), axis=0)[0] for index in self._quieter])
        relative = np.divide(n, usual, out=np.zeros(usual.shape), where=others)
        # The gaps are those with most counts of others, in part by chance.
        total = np.where(others, n, 0).sum(axis=0)
        relative *= np.maximum(1 - _SURE / np.sqrt(np.maximum(total, 1)), 0.0)
        levels = np.array(
            [
                _medians(relative[self.camera == camera], others[self.camera == camera])
                for camera in np.unique(self.camera)
            ]
        )
        same = levels[np.unique(self.camera) == self.camera[unit[0]]][0]
        highest = levels.max(axis=0)
        elsewhere = np.where(highest < 0, self._quiet, np.minimum(highest, 1.0))
        expected = own * np.where(same > 0, same, elsewhere)
        few = (own > 0) & (expected < enough)
        if few.any():
            expected[few] += self._source_counts(unit, gaps[:, few], live[:, few])
        return np.where(own > 0, expected, 0.0)

    def _is_among(self, unit: Indices) -> Mask:
        """CCDs that are in a unit, shape (n_ccds,)."""
        among = np.zeros(len(self.names), bool)
        among[unit] = True
        return among

    def _events_of(self, unit: Indices) -> Indices:
        """Events of a unit, in order of time."""
        if len(unit) == 1:
            return self._own[unit[0]]
        return np.flatnonzero(self._is_among(unit)[self.ccd])

    @cached_property
    def _own(self) -> list[Indices]:
        """Events of each CCD."""
        order = np.argsort(self.ccd, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.ccd, minlength=len(self.names)))[:-1])

    @cached_property
    def _quieter(self) -> list[Indices]:
        """Events of each CCD outside the cells of sources."""
        return [own[~self.is_source[own]] for own in self._own]

    @cached_property
    def _quiet(self) -> float:
        """Level of a quiet quarter of the time, relative to the mean."""
        events = self.events
        bins = Frames.covering(events.t_lo, events.t_hi, LEVEL_SECONDS)
        index = bins.index(events.time[~self.is_source])
        n = np.bincount(index[(index >= 0) & (index < bins.n)], minlength=1)
        n = n[n > 0]
        return float(min(np.percentile(n, QUIET_PERCENTILE) / n.mean(), 1.0)) if len(n) else 0.0

    def _source_counts(self, unit: Indices, gaps: Indices, live: Floats) -> Floats:
        """Counts of sources that other cameras see at the time, where the unit does."""
        index, place = self._of_sources
        mine = self._is_among(unit)[self.ccd[index]]
        is_seen = np.zeros(int(place.max(initial=0)) + 1, bool)
        is_seen[place[mine]] = True
        other = (self.camera[self.ccd[index]] != self.camera[unit[0]]) & is_seen[place]
        own, total = int(mine.sum()), int(other.sum())
        if not total:
            return np.zeros(gaps.shape[1])
        n = np.diff(np.searchsorted(index[other], gaps), axis=0)[0].astype(float)
        part = (live[unit] / np.maximum(self.seconds[unit], 1e-9)[:, None]).mean(axis=0)
        return np.asarray(own * np.minimum(np.maximum(n - _SURE * np.sqrt(n), 0.0) / total, part))

    @cached_property
    def _of_sources(self) -> tuple[Indices, Indices]:
        """Events in cells of sources, and these cells."""
        index = np.flatnonzero(self.is_source & (self.place >= 0))
        return index, self.place[index].astype(np.intp)


def _resolution(events: MergedEvents, number: int) -> float:
    """Seconds of a frame, if all events of one have the same time in an exposure; otherwise 0."""
    time = events.time[events.source == number]
    together = np.count_nonzero(np.diff(time) == 0)
    is_of_frame = together > TIMES_OF_FRAMES * len(time)
    return events.exposures[number].camera.frame_time if is_of_frame else 0.0


def _medians(values: Floats, which: Mask) -> Floats:
    """Median of those of each column that count, shape (n_columns,); -1 where none does."""
    ordered, n = np.sort(np.where(which, values, np.inf), axis=0), which.sum(axis=0)
    low, high = (
        np.take_along_axis(ordered, np.maximum(middle, 0)[None], axis=0)[0]
        for middle in ((n - 1) // 2, n // 2)
    )
    return np.where(n > 0, (low + high) / 2, -1.0)
