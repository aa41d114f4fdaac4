"""Exposures that overlap in time, and their merged event lists (method.md, Merging exposures)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exod.instruments import Observatory, Zone
from exod.observation.aspect import Aspect, aspect_of_events
from exod.observation.commonsky import on_common_sky
from exod.observation.events import EventList, Exposure, SelectedEvents
from exod.observation.gti import is_hard
from exod.observation.stretches import Stretch, longest_first, stretches
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
        Start and end of what is searched, in seconds: the latest start and the earliest stop of
        the exposures, or of a stretch of them.
    details : mapping of str to ndarray, shape (n_events,)
        Other columns of `EventList`, where they were asked for; a search needs none of them.
    zone : Zone or None
        The ring of the field that the events are of; None if they are of all of it.
    aspect : Aspect or None
        How the pointing moved over the CCDs; None if it did not, or that cannot be told.
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
    details: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    zone: Zone | None = None
    aspect: Aspect | None = None

    @property
    def plane(self) -> TangentPlane:
        """Projection of the sky pixels, common to the exposures of an observation."""
        return self.exposures[0].plane

    @property
    def sky_extent(self) -> int:
        """Sky pixels along X and along Y, common to the exposures of an observation."""
        return self.exposures[0].sky_extent

    @cached_property
    def n_monitors(self) -> int:
        """Exposures with events in the energies in which flares are seen."""
        return len(np.unique(self.source[is_hard(self.pi)]))

    @cached_property
    def observatory(self) -> Observatory:
        """The observatory that carries the cameras, as it sees the zone."""
        observatory = self.exposures[0].camera.observatory
        return observatory if self.zone is None else observatory.at(self.zone.off_axis_arcmin)

    def observatory_at(self, x: float, y: float) -> Observatory:
        """The observatory as it sees a sky pixel."""
        if self.zone is None:
            return self.observatory
        first = self.exposures[0]
        offset = np.subtract(self.plane.to_pixel(first.ra_pnt, first.dec_pnt), (x, y))
        return self.observatory.at(float(np.hypot(*offset)) * self.plane.pixel_arcsec / 60)

    @property
    def cell_scale(self) -> float:
        """Width of cells over that of the settings."""
        return 1.0 if self.zone is None else self.zone.cell_scale

    @property
    def shortest_bin(self) -> float:
        """Shorter frames are not searched, seconds."""
        if not self.observatory.whole_frames:
            return 0.0
        return max(exposure.camera.frame_time for exposure in self.exposures)

    def energies(self, band: tuple[float, float]) -> tuple[float, float]:
        """The part of a band that is searched, keV; its upper end may be the lower one."""
        return self.observatory.searched(band)

    def take(self, which: NDArray[np.bool_]) -> MergedEvents:
        """The same with the events that a mask, shape (n_events,), selects."""
        columns = ("time", "x", "y", "pi", "ccdnr", "source")
        return replace(
            self,
            **{name: getattr(self, name)[which] for name in columns},
            details={name: values[which] for name, values in self.details.items()},
        )


def merge_subset(
    number: int,
    exposures: Sequence[SelectedEvents],
    start: float = -np.inf,
    stop: float = np.inf,
    details: Sequence[str] = (),
) -> MergedEvents:
    """Merge the exposures of a subset (method.md, Merging exposures).

    Ties in time are ordered by exposure, so the result does not depend on the order of arrival.
    With `start` and `stop`, events before and from then on are left out. The columns `details` are
    kept, too.
    """
    ordered = sorted(exposures, key=lambda item: item.exposure.filename)
    rows = [slice(*np.searchsorted(item.events.time, [start, stop])) for item in ordered]

    def joined(column: str) -> NDArray[Any]:
        parts = zip(ordered, rows, strict=True)
        return np.concatenate([getattr(item.events, column)[own] for item, own in parts])

    time = joined("time")
    order = np.argsort(time, kind="stable")
    lengths = [own.stop - own.start for own in rows]
    source = np.repeat(np.arange(len(ordered), dtype=np.uint8), lengths)
    camera = ordered[0].exposure.camera
    dithers = camera.observatory.dithers and len(ordered) == 1
    return MergedEvents(
        number=number,
        exposures=tuple(item.exposure for item in ordered),
        time=time[order],
        x=joined("x")[order],
        y=joined("y")[order],
        pi=joined("pi")[order],
        ccdnr=joined("ccdnr")[order],
        source=source[order],
        t_lo=max(start, *(item.time_min for item in ordered)),
        t_hi=min(stop, *(item.time_max for item in ordered)),
        details={name: joined(name)[order] for name in details},
        aspect=aspect_of_events(ordered[0].events, camera) if dithers else None,
    )


def by_zone(events: MergedEvents) -> list[MergedEvents]:
    """The events of each ring of the field that has any; all as they are if there are no rings."""
    first = events.exposures[0]
    zones = first.camera.observatory.zones
    if not zones:
        return [events]
    x, y = events.plane.to_pixel(first.ra_pnt, first.dec_pnt)
    radius = np.hypot(events.x - x, events.y - y) * events.plane.pixel_arcsec
    found = []
    for zone in zones:
        inside = radius >= 60 * zone.inner_arcmin - zone.margin_arcsec
        inside &= radius < 60 * zone.outer_arcmin + zone.margin_arcsec
        if inside.any():
            found.append(replace(events.take(inside), zone=zone))
    return found


def of_one_clock(
    exposures: Sequence[SelectedEvents],
) -> tuple[list[SelectedEvents], list[tuple[SelectedEvents, str]]]:
    """Leave out exposures whose times cannot be compared with those of the others.

    Parameters
    ----------
    exposures : sequence of SelectedEvents
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
        return list(exposures), []
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
    exposures: Sequence[SelectedEvents],
) -> tuple[list[Stretch], list[tuple[SelectedEvents, str]]]:
    """Group the exposures of an observation that overlap in time (method.md, Merging exposures).

    Parameters
    ----------
    exposures : sequence of SelectedEvents
        In any order.

    Returns
    -------
    subsets : list of Stretch
        The stretches of the connected components of the overlap graph, in order of their first
        file name, those of one component in order of time.
    left_out : list of (SelectedEvents, str)
        Exposures that are in none of them, with the reason.

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
    subsets: list[tuple[str, int, Stretch]] = []
    for component in components:
        found = stretches(component)
        used = {id(item) for stretch in found for item in stretch.exposures}
        kept = [item for item in component if id(item) in used]
        left_out += [
            (item, _reason(item, kept))
            for item in sorted(component, key=longest_first)
            if id(item) not in used
        ]
        first = min(item.exposure.filename for item in kept)
        subsets += [(first, number, stretch) for number, stretch in enumerate(found)]
    return [stretch for *_, stretch in sorted(subsets, key=lambda item: item[:2])], left_out


def _reason(item: SelectedEvents, kept: Sequence[SelectedEvents]) -> str:
    """Why an exposure is not searched, while others that overlap it are."""
    longer = [other for other in kept if other.exposure.instrument == item.exposure.instrument]
    if longer:
        return f"{longer[0].exposure.filename} is a longer exposure of the same camera."
    return (
        f"{item.exposure.filename} lasts {item.time_max - item.time_min:.0f} s, and more is "
        f"searched of the other cameras without it."
    )


@dataclass(frozen=True)
class Merged:
    """The exposures of an observation as the search takes them.

    Attributes
    ----------
    subsets : tuple of MergedEvents
        Groups of overlapping exposures.
    selected : tuple of SelectedEvents
        The exposures in them, without their events.
    left_out : tuple of (SelectedEvents, str)
        Exposures in none of them, with the reason.
    """

    subsets: tuple[MergedEvents, ...]
    selected: tuple[SelectedEvents, ...]
    left_out: tuple[tuple[SelectedEvents, str], ...]

    @property
    def all_exposures(self) -> list[SelectedEvents]:
        """The exposures in them and those left out, in order of file name."""
        items = [*self.selected, *(item for item, _ in self.left_out)]
        return sorted(items, key=lambda item: item.exposure.filename)


def merge_exposures(exposures: Sequence[SelectedEvents], details: Sequence[str] = ()) -> Merged:
    """Bring the exposures of an observation of one clock onto one sky, group and merge them.

    The columns `details` of their events are kept, too.
    """
    of_time, other_clocks = of_one_clock(exposures)
    alike, elsewhere = on_common_sky(of_time)
    groups, shorter = split_subsets(alike)
    merged = (
        merge_subset(number, group.exposures, group.start, group.stop, details)
        for number, group in enumerate(groups)
    )
    zones = (zone for subset in merged for zone in by_zone(subset))
    subsets = tuple(replace(subset, number=number) for number, subset in enumerate(zones))
    used = {id(item): item for group in groups for item in group.exposures}
    selected = tuple(replace(item, events=EventList.empty()) for item in used.values())
    return Merged(subsets, selected, (*other_clocks, *elsewhere, *shorter))
