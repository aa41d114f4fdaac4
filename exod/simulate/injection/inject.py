"""Put sources photon by photon into event lists, real or simulated, before their selection.

The photons of a source pass vignetting, PSF, chip gaps, windows, frames, PATTERN and FLAG as in a
simulation (`exod.simulate.photons`, `exod.simulate.camera.readout`), and then what the exposure
itself adds: lost times, dead time and bad pixels (`exod.observation.availability`). The photons
of a source pile up with each other, not with the events that are there: nothing is taken out of a
list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.errors import ConfigError
from exod.instruments import CAMERAS
from exod.observation.events import EventList, Exposure
from exod.schemas.arrays import Floats, Indices, Integers, Mask
from exod.simulate.injection.strength import expected_counts
from exod.simulate.injection.targets import Target, events_of
from exod.simulate.models import SourceModel


@dataclass(frozen=True)
class InjectedList:
    """An event list with the events of sources.

    Attributes
    ----------
    exposure : Exposure
        Its header.
    events : EventList
        The rows of the list in their order, with the new ones among them: by time within their
        CCD if the list is ordered by CCD, else by time.
    origin : ndarray of int16, shape (n_events,)
        Index of the source of each row; -1 for the rows that were there.
    detx, dety : ndarray of int16, shape (n_new,)
        Detector coordinates of the new rows in 0.05 arcsec.
    """

    exposure: Exposure
    events: EventList
    origin: NDArray[np.int16]
    detx: NDArray[np.int16]
    dety: NDArray[np.int16]

    @property
    def is_new(self) -> Mask:
        """Whether each row was put in, shape (n_events,)."""
        return self.origin >= 0

    def counts(self, n_sources: int) -> Integers:
        """Good events that were put in for each source, shape (n_sources,)."""
        good = self.is_new & self.exposure.is_good(self.events)
        return np.bincount(self.origin[good], minlength=n_sources)


def inject(target: Target, sources: Sequence[SourceModel], seed: int) -> InjectedList:
    """Put sources into an event list.

    Parameters
    ----------
    target : Target
        The list.
    sources : sequence of SourceModel
        Those outside the field of view give no events.
    seed : int
        At least 0. Each source has its own random numbers in each exposure of an observation: the
        events of one do not depend on the others.

    Returns
    -------
    InjectedList
        The merged list, and which rows are new.

    Raises
    ------
    ConfigError
        If the seed is negative.
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must not be negative.")
    exposure = target.exposure
    stream = [int(exposure.obsid), seed, *f"{exposure.instrument}{exposure.expid}".encode()]
    parts = [
        events_of(target, source, index, np.random.default_rng([*stream, index]))
        for index, source in enumerate(sources)
    ]
    if not parts:
        no_rows = np.empty(0, np.int16)
        origin = np.full(len(target.events), -1, np.int16)
        return InjectedList(exposure, target.events, origin, no_rows, no_rows)
    new = EventList(
        *(np.concatenate([getattr(p.events, f.name) for p in parts]) for f in fields(EventList))
    )
    origin, detx, dety = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("origin", "detx", "dety")
    )
    order = np.lexsort((new.time, new.ccdnr))
    places = _places(target.events, new.take(order))
    by_place = np.argsort(places, kind="stable")
    order, places = order[by_place], places[by_place]
    new = new.take(order)
    merged = EventList(
        *(
            np.insert(getattr(target.events, f.name), places, getattr(new, f.name))
            for f in fields(EventList)
        )
    )
    origins = np.insert(np.full(len(target.events), -1, np.int16), places, origin[order])
    return InjectedList(exposure, merged, origins, detx[order], dety[order])


def inject_in_memory(
    targets: Sequence[Target], sources: Sequence[SourceModel], seed: int
) -> tuple[tuple[InjectedList, ...], pd.DataFrame]:
    """Put sources into all event lists of an observation, without files.

    Parameters
    ----------
    targets : sequence of Target
        The lists, for instance ``Target.of(*read_event_list(path))``, or
        ``Target.of(item.exposure, item.events)`` for those of a simulated observation.
    sources : sequence of SourceModel
        As of `inject`; see `with_counts` for sources of given counts.
    seed : int
        As of `inject`.

    Returns
    -------
    lists : tuple of InjectedList
        One a target, in their order.
    truth : pandas.DataFrame
        See `injection_table`.
    """
    lists = tuple(inject(target, sources, seed) for target in targets)
    return lists, injection_table(targets, sources, lists)


def injection_table(
    targets: Sequence[Target], sources: Sequence[SourceModel], lists: Sequence[InjectedList]
) -> pd.DataFrame:
    """What was put in: one row a source.

    Parameters
    ----------
    targets, lists : sequences of Target and InjectedList
        The lists before and after, in the same order.
    sources : sequence of SourceModel
        The sources.

    Returns
    -------
    pandas.DataFrame
        ``name``, ``kind`` of the light curve, ``ra_deg``, ``dec_deg``, ``energy_kev``,
        ``extent_arcsec``; ``t_start`` and ``t_stop`` of the event in mission elapsed seconds,
        within the exposures; by camera ``expected_<INSTRUME>``, the good events that are expected
        after all losses but pile-up, and ``counts_<INSTRUME>``, those that were put in;
        ``expected_total`` and ``counts_total``.
    """
    first = min(target.availability.start for target in targets)
    last = max(target.availability.stop for target in targets)
    counted = [injected.counts(len(sources)) for injected in lists]
    rows = []
    instruments = {target.exposure.instrument for target in targets}
    # EPIC has all of its cameras in the table.
    cameras = list(CAMERAS) if instruments & set(CAMERAS) else []
    cameras += sorted(instruments - set(CAMERAS))
    for i, source in enumerate(sources):
        expected, counts = dict.fromkeys(cameras, 0.0), dict.fromkeys(cameras, 0)
        for target, found in zip(targets, counted, strict=True):
            camera = target.exposure.instrument
            expected[camera] += expected_counts(target, source)
            counts[camera] += int(found[i])
        start, stop = np.clip(source.light_curve.interval, first, last).tolist()
        names = ("ra_deg", "dec_deg", "energy_kev", "extent_arcsec")
        row: dict[str, Any] = {"name": source.name, "kind": source.light_curve.kind}
        row |= {name: getattr(source, name) for name in names}
        row |= {"t_start": start, "t_stop": stop}
        row |= {f"expected_{camera}": value for camera, value in expected.items()}
        row |= {f"counts_{camera}": value for camera, value in counts.items()}
        row |= {"expected_total": sum(expected.values()), "counts_total": sum(counts.values())}
        rows.append(row)
    return pd.DataFrame(rows)


def _places(events: EventList, new: EventList) -> Indices:
    """Row before which each new event belongs, shape (n_new,)."""
    # Times within a frame are random, so that only the latest so far ascend.
    ccdnr = events.ccdnr.astype(int)
    if not np.all(np.diff(ccdnr) >= 0):
        return np.searchsorted(_latest(events.time), new.time, "right")
    places = np.empty(len(new), np.intp)
    for number in np.unique(new.ccdnr).tolist():
        first, last = np.searchsorted(ccdnr, [number, number + 1])
        mine = new.ccdnr == number
        latest = _latest(events.time[first:last])
        places[mine] = first + np.searchsorted(latest, new.time[mine], "right")
    return places


def _latest(time: Floats) -> Floats:
    """The latest time up to each row; rows without a time change nothing."""
    return np.asarray(np.maximum.accumulate(np.where(np.isfinite(time), time, -np.inf)))
