"""When and where the camera gave events, from the extensions of an event list."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exod.errors import InputError, plural
from exod.instruments import CAMERAS
from exod.instruments.epic import EpicCamera
from exod.observation.availability import (
    Availability,
    pixel_codes,
    times_with_events,
)
from exod.observation.events import EventList
from exod.observation.livetime import common_intervals, joined_intervals
from exod.pps.fits.fitsfile import Header, open_fits
from exod.pps.fits.fitshdu import Hdu
from exod.pps.fits.fitstable import Conversion
from exod.schemas.arrays import Floats

_EXTENSION = re.compile(r"(STDGTI|EXPOSU|BADPIX)(\d\d)")
_FILTER = re.compile(r"GTI\d*")
_APPLIED: Final = 0.99
"""Share of the events of a CCD within good times that have been applied to it."""

_FLOAT: Final = Conversion("f8")
_Reader = Callable[[Hdu, EpicCamera], tuple[NDArray[Any], int]]
_SLACK: Final = 60.0
"""Seconds by which good times and frames may lie outside TSTART and TSTOP, which are those of the
first and last frame of any CCD."""

_BAD_PIXELS_TWICE: Final = 2
"""How often a table may list all pixels; its rows may overlap."""

_READ_OUT: Final = 0.1
"""A gap between two frames is their read-out if it is at most this share of the first; 0.07 in pn
full frame (TIMEDEL and TIME in EXPOSU05 of 0916810801), 0 in MOS, and 0.5 or more after a lost
frame."""


def read_availability(path: Path, events: EventList) -> Availability:
    """When and where an exposure gave events.

    Parameters
    ----------
    path : Path
        Event list. Its extensions ``STDGTInn`` (good times of CCD nn), ``EXPOSUnn`` (frames and
        their live share) and ``BADPIXnn`` are used where they are there, and so are other tables
        of good times, as ``GTI00003`` of a list that was filtered.
    events : EventList
        Its events. CCDs without any are taken to be off, and so are long times without any;
        without good times, the exposure lasts from TSTART to TSTOP, or if events lie outside,
        from the first to the last.

    Raises
    ------
    InputError
        If the file is unreadable.
    ConfigError
        If there are no events.
    """
    of_events = Availability.of_events(events)
    tables: dict[str, dict[int, Any]] = {"STDGTI": {}, "EXPOSU": {}, "BADPIX": {}}
    filters: list[Floats] = []
    impossible: Counter[str] = Counter()
    start = stop = np.nan
    with open_fits(path) as file:
        camera = CAMERAS[str(file.primary.get("INSTRUME", "")).strip().upper()]
        for hdu in file.extensions():
            if hdu.name == "EVENTS":
                header = Header(hdu.keywords, file.primary)
                start, stop = header.number("TSTART"), header.number("TSTOP")
            match = _EXTENSION.fullmatch(hdu.name)
            ccdnr = int(camera.ccd_numbers(int(match[2]))) if match else 0
            if match and ccdnr in of_events.good_times:
                rows, n_impossible = _READERS[match[1]](hdu, camera)
                impossible[hdu.name] += n_impossible
                earlier = tables[match[1]].get(ccdnr, rows[:0])
                tables[match[1]][ccdnr] = _in_order(np.concatenate([earlier, rows]))
            elif match and not 1 <= ccdnr <= camera.n_ccds:
                impossible[hdu.name] += hdu.n_rows
            elif _FILTER.fullmatch(hdu.name) and {"START", "STOP"} <= set(hdu.columns):
                rows, n_impossible = good_times_of(hdu)
                impossible[hdu.name] += n_impossible
                filters.append(rows)
    for ccdnr, rows in (*tables["STDGTI"].items(), *tables["EXPOSU"].items()):
        # Comparisons with NaN are False: an unknown start excludes nothing.
        outside = (rows[:, 1] < start - _SLACK) | (rows[:, 0] > stop + _SLACK)
        impossible[f"CCD {ccdnr}"] += int(outside.sum())
    if not (start <= of_events.start and of_events.stop <= stop):
        start, stop = of_events.start, of_events.stop
    whole = np.array([[start, stop]])
    good_times = {}
    for ccdnr in of_events.good_times:
        time = events.time[events.ccdnr == ccdnr]
        own = tables["STDGTI"].get(ccdnr, whole)
        own = common_intervals(own, times_with_events(time, start, stop))
        own = common_intervals(own, times_with_events(events.time, start, stop))
        good_times[ccdnr] = common_intervals(own, _filter_of(filters, time, whole))
    rows = np.concatenate(list(good_times.values()))
    if tables["STDGTI"] and len(rows):
        start, stop = float(rows.min()), float(rows.max())
    codes = [
        pixel_codes(np.full(len(rows), ccdnr), *rows.T) for ccdnr, rows in tables["BADPIX"].items()
    ]
    bad_pixels = np.concatenate([np.empty(0, np.int64), *codes])
    notes = _notes(path.name, impossible, file.notes)
    return Availability(start, stop, good_times, tables["EXPOSU"], bad_pixels, notes)


def _notes(name: str, impossible: Mapping[str, int], others: Sequence[str]) -> tuple[str, ...]:
    """What is unusual: numbers of impossible rows by extension or CCD, and notes of the file."""
    rows = [
        f"{where} has {plural(n, 'row')} of good times, frames or bad pixels that cannot be "
        f"right; damaged?"
        for where, n in impossible.items()
        if n
    ]
    return tuple(f"{name}: {note}" for note in (*rows, *others))


def _filter_of(filters: list[Floats], time: Floats, whole: Floats) -> Floats:
    """The good times by which the events of a CCD were filtered.

    Tables of a filter do not say of which CCD they are. It is the shortest of those that hold
    practically all events of the CCD; a table that does not was not applied.
    """
    time = time[np.isfinite(time)]
    applied = []
    for intervals in map(joined_intervals, filters):
        edges = intervals.ravel()
        # Both ends belong to it.
        inside = (np.searchsorted(edges, time, "left") % 2 == 1) | np.isin(time, edges)
        if inside.mean() >= _APPLIED:
            applied.append(intervals)
    return min(applied, key=lambda rows: float(np.diff(rows).sum()), default=whole)


def _in_order(rows: Floats) -> Floats:
    return rows[np.argsort(rows[:, 0], kind="stable")]


def good_times_of(hdu: Hdu, _: object = None) -> tuple[Floats, int]:
    """Rows of start and stop, in order, and how many others there are."""
    rows = np.stack(list(hdu.read(dict.fromkeys(("START", "STOP"), _FLOAT)).values()), axis=1)
    possible = np.isfinite(rows).all(axis=1) & (rows[:, 1] >= rows[:, 0])
    return _in_order(rows[possible & (rows[:, 1] > rows[:, 0])]), int((~possible).sum())


def frames_of(hdu: Hdu, _: object = None) -> tuple[Floats, int]:
    """Rows of start, stop and live share, in order, and how many cannot be right.

    TIME is the middle of a frame.

    A frame lasts until the next one: photons of the read-out between them are out-of-time events.
    """
    optional = {
        "TIMEDEL": Header(hdu.keywords, hdu.keywords).number("TIMEDEL", 0.0),
        "FRACEXP": 1.0,
    }
    there = ["TIME", *(name for name in optional if name in hdu.columns)]
    columns = hdu.read(dict.fromkeys(there, _FLOAT))
    time = columns["TIME"]
    length, share = (columns.get(name, np.full(len(time), optional[name])) for name in optional)
    rows = np.stack([time - length / 2, time + length / 2, np.clip(share, 0, 1)], axis=1)
    finite = np.isfinite(rows).all(axis=1)
    n_impossible = int((~(finite & (length >= 0) & (share >= 0) & (share <= 1))).sum())
    rows = _in_order(rows[finite])
    starts, stops = rows[1:, 0], rows[:-1, 1]
    between = starts - stops < _READ_OUT * (stops - rows[:-1, 0])
    rows[:-1, 1] = np.where(between, starts, stops)
    return rows, n_impossible


def _bad_pixels(hdu: Hdu, camera: EpicCamera) -> tuple[NDArray[np.int64], int]:
    """RAWX and RAWY of every bad pixel, shape (n, 2), and how many rows lie outside the CCD.

    A row of the table is a piece of a column.
    """
    columns = hdu.read(dict.fromkeys(("RAWX", "RAWY", "YEXTENT"), Conversion("i8")))
    rawx, rawy = columns["RAWX"], columns["RAWY"]
    extent = np.clip(columns["YEXTENT"], 1, camera.n_rows)
    inside = (rawx >= 0) & (rawx <= camera.n_columns) & (rawy >= 0)
    inside &= (rawy + extent - 1 <= camera.n_rows) & (extent >= columns["YEXTENT"])
    if extent.sum() > _BAD_PIXELS_TWICE * camera.n_columns * camera.n_rows:
        raise InputError(f"{hdu.name} lists more pixels than {camera.name} has: fetch it again.")
    first = np.repeat(rawy, extent)
    step = np.arange(len(first)) - np.repeat(np.cumsum(extent) - extent, extent)
    pixels = np.stack([np.repeat(rawx, extent), first + step], axis=1)
    return pixels, int((~inside).sum())


_READERS: Final[Mapping[str, _Reader]] = {
    "STDGTI": good_times_of,
    "EXPOSU": frames_of,
    "BADPIX": _bad_pixels,
}
