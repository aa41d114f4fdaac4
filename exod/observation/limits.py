"""Values that no camera gives: what damaged files have, counted and dropped, or refused."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.errors import InputError, plural
from exod.observation.events import NO_POSITION, EventList, Exposure
from exod.observation.times import TimeFrame

MAX_SHARE: Final = 0.01
"""Largest share of the rows of an event list that may have impossible values. Event lists of the
pipeline have none; a few may be spoiled by a transfer, many mean that rows or columns moved."""

FIELD_RADIUS_ARCMIN: Final = 15.0
"""All light that a camera sees is within this of its axis (XMM-Newton Users' Handbook, 3.1)."""

SUN_LIGHT_TIME: Final = 600.0
"""Barycentred times may be so far outside TSTART and TSTOP, which tasks leave as they were: light
takes 499 s from the Sun, and the satellite and relativity add seconds."""


def without_impossible(exposure: Exposure, events: EventList) -> tuple[EventList, list[str]]:
    """Drop events that the camera cannot have given.

    Parameters
    ----------
    exposure : Exposure
        Header of the event list.
    events : EventList
        All rows.

    Returns
    -------
    events : EventList
        Those with possible values, or without a time.
    notes : list of str
        How many were dropped, and why.

    Raises
    ------
    InputError
        If they are more than `MAX_SHARE` of the rows.
    """
    limits = exposure.camera.limits
    bad = {name: _outside(getattr(events, name), *limits[name]) for name in limits}
    for name in ("x", "y"):
        values = getattr(events, name)
        bad[name] = _outside(values, 0, exposure.sky_extent) & (values != NO_POSITION)
    # Sky pixels are counted from 0 or 1, but two zeros are what erased bytes are.
    bad["x"] |= (events.x == 0) & (events.y == 0)
    bad["time"] = _outside_exposure(exposure, events.time)
    pointing = _pointed_elsewhere(exposure, events)
    counts = {name.upper(): int(mask.sum()) for name, mask in bad.items()}
    if not any(counts.values()):
        return events, pointing
    impossible = np.logical_or.reduce(list(bad.values()))
    n = int(impossible.sum())
    found = ", ".join(f"{name} of {count:,}" for name, count in counts.items() if count)
    name, share = exposure.filename, n / len(events)
    if share > MAX_SHARE:
        raise InputError(
            f"{name} has values that {exposure.instrument} cannot give in {n:,} of {len(events):,} "
            f"events ({found}): it is damaged; fetch it again."
        )
    return events.take(~impossible), [
        *pointing,
        f"{name}: {plural(n, 'event')} with values that {exposure.instrument} cannot give "
        f"({found}) {'was' if n == 1 else 'were'} dropped.",
    ]


def _outside(values: NDArray[np.integer], low: int, high: int) -> NDArray[np.bool_]:
    return np.asarray((values < low) | (values > high))


def _outside_exposure(exposure: Exposure, time: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which times are before TSTART or after TSTOP by more than a frame."""
    clock = exposure.clock
    slack = 2 * exposure.camera.frame_time
    slack += SUN_LIGHT_TIME if clock.is_barycentred else 0.0
    if clock.difference(TimeFrame(clock.system, clock.reference)):
        return np.zeros(len(time), bool)  # It may be said of another zero than TSTART.
    # Comparisons with NaN are False: an unknown start excludes nothing.
    outside = (time < exposure.start - slack) | (time > exposure.stop + slack)
    return np.asarray(outside & np.isfinite(time))


def _pointed_elsewhere(exposure: Exposure, events: EventList) -> list[str]:
    """A note if the events are not around the place that the camera looked at."""
    there = (events.x != NO_POSITION) & (events.y != NO_POSITION)
    if not there.any() or not np.isfinite([exposure.ra_pnt, exposure.dec_pnt]).all():
        return []
    ra, dec = exposure.plane.to_sky(np.median(events.x[there]), np.median(events.y[there]))
    distance = _separation_arcmin(float(ra), float(dec), exposure.ra_pnt, exposure.dec_pnt)
    if distance <= FIELD_RADIUS_ARCMIN:
        return []
    return [
        f"{exposure.filename} has its events {distance:.0f} arcmin from RA_PNT, DEC_PNT: one of "
        f"them, or the projection of X and Y, is wrong; positions may be."
    ]


def _separation_arcmin(ra: float, dec: float, ra_pnt: float, dec_pnt: float) -> float:
    """Angle between two positions in degrees; NaN counts as the opposite of the sky."""
    ra, dec, ra_pnt, dec_pnt = np.radians([ra, dec, ra_pnt, dec_pnt]).tolist()
    square = np.sin((dec - dec_pnt) / 2) ** 2
    square += np.cos(dec) * np.cos(dec_pnt) * np.sin((ra - ra_pnt) / 2) ** 2
    square = min(float(square), 1.0) if np.isfinite(square) else 1.0
    return float(np.degrees(2 * np.arcsin(np.sqrt(square)))) * 60


def out_of_order(exposure: Exposure, events: EventList) -> list[str]:
    """A note of events whose times step back, as damage makes them.

    Within a CCD the times of a list only grow, but within a frame.

    Parameters
    ----------
    exposure : Exposure
        Header of the event list.
    events : EventList
        All rows in the order of the file.

    Returns
    -------
    list of str
        Empty if there are none, or so many that the list is in another order.
    """
    same = events.ccdnr[1:] == events.ccdnr[:-1]
    with np.errstate(invalid="ignore"):
        back = np.diff(events.time) < -2 * exposure.camera.frame_time
    n = int((same & back).sum())
    if not 0 < n <= MAX_SHARE * len(events):
        return []
    return [f"{exposure.filename}: the time of {plural(n, 'event')} is out of order; damaged?"]
