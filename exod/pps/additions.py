"""Rows added to event lists, and when and where the camera gave events, from their extensions.

Everything but the new rows, their number and a HISTORY card stays byte for byte as it is.
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from exod.errors import InputError
from exod.instruments import CAMERAS
from exod.instruments.epic import EpicCamera
from exod.observation.availability import (
    Availability,
    common_intervals,
    joined_intervals,
    pixel_codes,
    times_with_events,
)
from exod.observation.events import EVENT_DTYPES, EventList
from exod.pps import ingested
from exod.pps.fitsfile import Header, open_fits, read_content, reported
from exod.pps.fitshdu import Hdu
from exod.pps.fitstable import Conversion

Floats = NDArray[np.float64]

_EXTENSION = re.compile(r"(STDGTI|EXPOSU|BADPIX)(\d\d)")
_FILTER = re.compile(r"GTI\d*")
_APPLIED: Final = 0.99
"""Share of the events of a CCD within good times that have been applied to it."""

_BLOCK: Final = 2880
_FLOAT: Final = Conversion("f8")
_Reader = Callable[[Hdu, EpicCamera], NDArray[Any]]
_BAD_PIXELS_TWICE: Final = 2
"""How often a table may list all pixels; its rows may overlap."""
_READ_OUT: Final = 0.1
"""A gap between two frames is their read-out if it is at most this share of the first; 0.07 in pn
full frame (TIMEDEL and TIME in EXPOSU05 of 0916810801), 0 in MOS, and 0.5 or more after a lost
frame."""

_PHA_MAX: Final = 4095
"""Largest channel of the PHA column (TLMAX of pn lists, TDMAX of MOS lists)."""

_PHA_PER_EV: Final = 0.25
"""Gain of a list that has no PHA above 0; between those of MOS (0.3) and pn (0.19)."""


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
    start = stop = np.nan
    with open_fits(path) as file:
        camera = CAMERAS[str(file.primary.get("INSTRUME", "")).strip().upper()]
        for hdu in file.extensions():
            if hdu.name == "EVENTS":
                header = Header(hdu.header, file.primary)
                start, stop = header.number("TSTART"), header.number("TSTOP")
            match = _EXTENSION.fullmatch(hdu.name)
            ccdnr = int(camera.ccd_numbers(int(match[2]))) if match else 0
            if match and ccdnr in of_events.good_times:
                rows = _READERS[match[1]](hdu, camera)
                earlier = tables[match[1]].get(ccdnr, rows[:0])
                tables[match[1]][ccdnr] = _in_order(np.concatenate([earlier, rows]))
            elif _FILTER.fullmatch(hdu.name) and {"START", "STOP"} <= set(hdu.columns):
                filters.append(_good_times(hdu, camera))
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
    return Availability(start, stop, good_times, tables["EXPOSU"], bad_pixels)


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


def _good_times(hdu: Hdu, _: EpicCamera) -> Floats:
    """Rows of start and stop, in order."""
    rows = np.stack(list(hdu.read(dict.fromkeys(("START", "STOP"), _FLOAT)).values()), axis=1)
    return _in_order(rows[np.isfinite(rows).all(axis=1) & (rows[:, 1] > rows[:, 0])])


def _frames(hdu: Hdu, _: EpicCamera) -> Floats:
    """Rows of start, stop and live share, in order; TIME is the middle of a frame.

    A frame lasts until the next one: photons of the read-out between them are out-of-time events.
    """
    optional = {"TIMEDEL": Header(hdu.header, hdu.header).number("TIMEDEL", 0.0), "FRACEXP": 1.0}
    there = ["TIME", *(name for name in optional if name in hdu.columns)]
    columns = hdu.read(dict.fromkeys(there, _FLOAT))
    time = columns["TIME"]
    length, share = (columns.get(name, np.full(len(time), optional[name])) for name in optional)
    rows = np.stack([time - length / 2, time + length / 2, np.clip(share, 0, 1)], axis=1)
    rows = _in_order(rows[np.isfinite(rows).all(axis=1)])
    starts, stops = rows[1:, 0], rows[:-1, 1]
    between = starts - stops < _READ_OUT * (stops - rows[:-1, 0])
    rows[:-1, 1] = np.where(between, starts, stops)
    return rows


def _bad_pixels(hdu: Hdu, camera: EpicCamera) -> NDArray[np.int64]:
    """RAWX and RAWY of every bad pixel, shape (n, 2); a row of the table is a piece of a column."""
    columns = hdu.read(dict.fromkeys(("RAWX", "RAWY", "YEXTENT"), Conversion("i8")))
    rawx, rawy = columns["RAWX"], columns["RAWY"]
    extent = np.clip(columns["YEXTENT"], 1, camera.n_rows)
    if extent.sum() > _BAD_PIXELS_TWICE * camera.n_columns * camera.n_rows:
        raise InputError(f"{hdu.name} lists more pixels than {camera.name} has: fetch it again.")
    first = np.repeat(rawy, extent)
    step = np.arange(len(first)) - np.repeat(np.cumsum(extent) - extent, extent)
    return np.stack([np.repeat(rawx, extent), first + step], axis=1)


_READERS: Final[Mapping[str, _Reader]] = {
    "STDGTI": _good_times,
    "EXPOSU": _frames,
    "BADPIX": _bad_pixels,
}


def with_new_rows(
    path: Path,
    events: EventList,
    is_new: NDArray[np.bool_],
    detector: tuple[NDArray[np.int16], NDArray[np.int16]],
    history: list[str],
) -> bytes:
    """The content of an event list with new rows.

    Parameters
    ----------
    path : Path
        FITS file, plain or gzip; the rows that are not new are its rows.
    events : EventList
        All rows. Columns it lacks get: PHA the gain of the list; TIME_RAW the offset to TIME of
        the row before; PAT_ID and PAT_SEQ 0; any other the value of the row before, which is of
        the same time and mostly of the same CCD.
    is_new : ndarray of bool, shape (n_events,)
        Which rows are new.
    detector : tuple of ndarray of int16, shape (n_new,)
        DETX and DETY of the new rows, in 0.05 arcsec.
    history : list of str
        Texts of HISTORY cards of the extension EVENTS.

    Returns
    -------
    bytes
        Compressed if the file is, with equal bytes for equal input.

    Raises
    ------
    InputError
        If the file is unreadable or a table with a heap, which event lists do not have.
    """
    if path.suffix == ingested.SUFFIX:
        raise InputError(f"{path.name} is an ingested list; give the FITS file that it is made of.")
    content = read_content(path)
    with path.open("rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    with reported(path), fits.open(io.BytesIO(content)) as hdus:
        hdu = hdus["EVENTS"]
        place, header, columns = hdu.fileinfo(), hdu.header.copy(), hdu.columns
    if header.get("PCOUNT", 0):
        raise InputError(f"{path.name} has columns of variable length; no rows can be added to it.")
    n_rows, width = header["NAXIS2"], header["NAXIS1"]
    first = place["datLoc"]
    old = np.frombuffer(content, np.uint8, n_rows * width, first).reshape(n_rows, width)
    rows = np.empty((len(events), width), np.uint8)
    rows[~is_new] = old
    rows[is_new] = _new_rows(old, columns, events, is_new, detector)
    header["NAXIS2"] = len(rows)
    for name in ("CHECKSUM", "DATASUM"):
        header.remove(name, ignore_missing=True)
    for text in history:
        header.add_history(text)
    pieces = [content[: place["hdrLoc"]], header.tostring().encode("ascii"), rows.tobytes()]
    pieces.append(bytes(-rows.size % _BLOCK))
    pieces.append(content[first + place["datSpan"] :])
    return _packed(b"".join(pieces)) if is_compressed else b"".join(pieces)


def _packed(content: bytes) -> bytes:
    """Compressed without a name or a time, so that equal content gives equal bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", 6, packed, mtime=0) as file:
        file.write(content)
    return packed.getvalue()


def _new_rows(
    old: NDArray[np.uint8],
    columns: fits.ColDefs,
    events: EventList,
    is_new: NDArray[np.bool_],
    detector: tuple[NDArray[np.int16], NDArray[np.int16]],
) -> NDArray[np.uint8]:
    """Bytes of the new rows, shape (n_new, width), in the layout of the table."""
    layout = columns.dtype.newbyteorder(">")
    table = old.view(layout)[:, 0]
    places = np.flatnonzero(is_new)
    before = np.clip(places - np.arange(len(places)) - 1, 0, None)
    new = events.take(places)
    values: dict[str, Any] = {name.upper(): getattr(new, name) for name in EVENT_DTYPES}
    values |= dict(zip(("DETX", "DETY"), detector, strict=True)) | {"PAT_ID": 0, "PAT_SEQ": 0}
    if "PHA" in columns.names:
        gain = _gain(_physical(table, columns, "PHA"), _physical(table, columns, "PI"))
        values["PHA"] = np.minimum(np.rint(new.pi * gain), _PHA_MAX)
    if "TIME_RAW" in columns.names:
        offset = _physical(table, columns, "TIME_RAW") - _physical(table, columns, "TIME")
        values["TIME_RAW"] = new.time + offset[before]
    rows = table[before].copy()
    for column in columns:
        if column.name in values:
            zero, scale = column.bzero or 0, column.bscale or 1
            stored = (np.asarray(values[column.name]) - zero) / scale
            whole = layout[column.name].kind in "iu"
            rows[column.name] = np.rint(stored) if whole else stored
    return np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)


def _physical(table: NDArray[Any], columns: fits.ColDefs, name: str) -> Floats:
    """A column as numbers, TSCAL and TZERO applied."""
    column = columns[name]
    return np.asarray(table[name] * float(column.bscale or 1) + float(column.bzero or 0))


def _gain(pha: Floats, pi: Floats) -> float:
    """Median channels per eV of the events of a list."""
    usable = (pha > 0) & (pi > 0)
    return float(np.median(pha[usable] / pi[usable])) if usable.any() else _PHA_PER_EV
