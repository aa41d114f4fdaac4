"""Whether anyone could have known that a file is damaged: by structure, checksums and ranges.

The rule is strict where a reader can be strict. What it lets pass is a sound file that says
something else: values within their range, in data or in headers without checksums.
"""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import numpy as np

from fuzz import layout
from fuzz.file_damage import Special
from fuzz.layout import Column, FaultError, Hdu

CCDS = {"EPN": 12, "EMOS1": 7, "EMOS2": 7}
PIXELS = {"EPN": (64, 200), "EMOS1": (600, 600), "EMOS2": (600, 600)}
"""CCDs, and columns and rows of a CCD (XMM-Newton Users' Handbook, section 3.3)."""

OVERSCAN = 5
"""RAWX and RAWY of MOS lists go so far beyond the pixels (TLMIN and TLMAX of pipeline lists)."""

SLACK, SLACK_OF_FRAMES = 10.0, 60.0
"""Seconds by which times of events, and frames, may lie outside TSTART and TSTOP."""

FIELD = 51840
NOWHERE = -99999999
EVENT_COLUMNS = ("TIME", "X", "Y", "PI", "CCDNR", "RAWX", "RAWY", "PATTERN", "FLAG")


def fault_in(files: dict[str, bytes | Special], with_times: bool = True) -> str:
    """The first fault that a strict reader finds in the files of an observation; or empty.

    The values of good times, frames and bad pixels count only if these were read.
    """
    for name, content in files.items():
        try:
            if isinstance(content, Special):
                raise FaultError(f"it is a {content.kind}")
            _check(name, _unpacked(content), with_times)
        except FaultError as fault:
            return f"{name}: {fault}"
    return ""


def what_changed(files: dict[str, bytes | Special], sound: dict[str, bytes]) -> str:
    """Where files without a fault differ from sound ones: "values", "headers", "extensions"."""
    differs = set()
    for name, content in files.items():
        if name not in sound or isinstance(content, Special):
            differs.add("files")
            continue
        unpacked = _unpacked(content)
        if unpacked != sound[name]:
            differs.add(_difference(unpacked, sound[name]))
    return next((kind for kind in ("files", "extensions", "headers") if kind in differs), "values")


def _difference(content: bytes, sound: bytes) -> str:
    mine, theirs = list(layout.hdus(content)), list(layout.hdus(sound))
    if [hdu.name for hdu in mine] != [hdu.name for hdu in theirs]:
        return "extensions"
    pairs = zip(mine, theirs, strict=True)
    headers = any(layout.cards(content, a) != layout.cards(sound, b) for a, b in pairs)
    return "headers" if headers else "values"


def _unpacked(content: bytes) -> bytes:
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise FaultError(f"gzip: {error}") from error


def _check(name: str, content: bytes, with_times: bool) -> None:
    hdus = list(layout.hdus(content))
    if "OBSMLI" in name:
        table = next((hdu for hdu in hdus if _has(hdu, "RA", "DEC")), None)
        if table is None:
            raise FaultError("there is no list of sources")
        _check_sources(content, table)
        return
    events = [hdu for hdu in hdus if hdu.name == "EVENTS" and hdu.is_table]
    looks_like = [hdu for hdu in hdus if hdu.name == "EVENTS" or _is_like_events(hdu)]
    if "EVLI" not in name and not looks_like:
        return  # It may be any other product.
    if len(events) != 1:
        raise FaultError(f"there are {len(events)} tables EVENTS")
    header = hdus[0].values | events[0].values
    _check_events(content, events[0], header)
    for hdu in hdus:
        if with_times and hdu.is_table and hdu.name[:6] in {"STDGTI", "EXPOSU", "BADPIX"}:
            _check_times(content, hdu, header)


def _is_like_events(hdu: Hdu) -> bool:
    names = {column.name for column in layout.columns(hdu)} if hdu.is_table else set()
    return len(names & set(EVENT_COLUMNS)) >= 5


def _has(hdu: Hdu, *names: str) -> bool:
    return hdu.is_table and set(names) <= {column.name for column in layout.columns(hdu)}


def _column(hdu: Hdu, name: str) -> Column:
    found = [column for column in layout.columns(hdu) if column.name == name]
    if len(found) != 1:
        raise FaultError(f"{hdu.name} has {len(found)} columns {name}")
    if found[0].code not in layout.DTYPES or found[0].repeat != 1:
        raise FaultError(f"the column {name} of {hdu.name} has not one number in a row")
    return found[0]


def numbers(content: bytes, hdu: Hdu, name: str) -> np.ndarray[Any, Any]:
    """A column as numbers, scaled; NaN where it has no value."""
    column = _column(hdu, name)
    raw = layout.stored(content, hdu, column)
    scale, zero, null = (
        hdu.values.get(f"{key}{column.number}", default)
        for key, default in (("TSCAL", 1), ("TZERO", 0), ("TNULL", None))
    )
    if not all(isinstance(v, int | float) and np.isfinite(v) for v in (scale, zero)):
        raise FaultError(f"TSCAL or TZERO of {name}")
    if null is not None and (type(null) is not int or raw.dtype.kind not in "iu"):
        raise FaultError(f"TNULL of {name}")
    with np.errstate(all="ignore"):
        values = raw.astype(float) * scale + zero
    return values if null is None else np.where(raw == null, np.nan, values)


def _within(
    name: str, values: np.ndarray[Any, Any], low: float, high: float, *, nan: bool = False
) -> None:
    inside = (values >= low) & (values <= high)
    if nan:
        inside |= np.isnan(values) | (values == NOWHERE)
    if not inside.all():
        raise FaultError(f"{name} outside {low:g} to {high:g} in {int((~inside).sum())} rows")


def _check_events(content: bytes, hdu: Hdu, header: dict[str, Any]) -> None:
    camera = header.get("INSTRUME")
    start, stop = header.get("TSTART"), header.get("TSTOP")
    if camera not in CCDS or not all(isinstance(t, int | float) for t in (start, stop)):
        raise FaultError("INSTRUME, TSTART or TSTOP")
    columns, rows = PIXELS[camera]
    over = 0 if camera == "EPN" else OVERSCAN
    values = {name: numbers(content, hdu, name) for name in EVENT_COLUMNS}
    _within("TIME", values["TIME"], start - SLACK, stop + SLACK)
    _within("PI", values["PI"], 0, 32767)
    _within("CCDNR", values["CCDNR"] % 10 if camera != "EPN" else values["CCDNR"], 1, CCDS[camera])
    _within("RAWX", values["RAWX"], 1 - over, columns + over)
    _within("RAWY", values["RAWY"], 1 - over, rows + over)
    _within("PATTERN", values["PATTERN"], 0, 31)
    for name in ("X", "Y"):
        _within(name, values[name], 0, FIELD, nan=True)
    for name in ("PI", "CCDNR", "RAWX", "RAWY", "PATTERN", "FLAG"):
        if not (np.trunc(values[name]) == values[name]).all():
            raise FaultError(f"{name} has fractions")


def _check_times(content: bytes, hdu: Hdu, header: dict[str, Any]) -> None:
    """Good times, frames and bad pixels."""
    start, stop = header["TSTART"] - SLACK_OF_FRAMES, header["TSTOP"] + SLACK_OF_FRAMES
    kind = hdu.name[:6]
    if kind == "STDGTI":
        first, last = numbers(content, hdu, "START"), numbers(content, hdu, "STOP")
        # Good times of a filter may be wider than the exposure.
        _within("START", first, -1e308, stop)
        _within("STOP", last, start, 1e308)
        if not (last >= first).all():
            raise FaultError(f"{hdu.name} has intervals that end before they begin")
    elif kind == "EXPOSU":
        _within("TIME", numbers(content, hdu, "TIME"), start, stop)
        if _has(hdu, "FRACEXP"):
            _within("FRACEXP", numbers(content, hdu, "FRACEXP"), 0, 1)
        if _has(hdu, "TIMEDEL"):
            _within("TIMEDEL", numbers(content, hdu, "TIMEDEL"), 0, stop - start)
    else:
        columns, rows = PIXELS[header["INSTRUME"]]
        _within("RAWX", numbers(content, hdu, "RAWX"), 0, columns + OVERSCAN)
        _within("RAWY", numbers(content, hdu, "RAWY"), 0, rows + OVERSCAN)
        _within("YEXTENT", numbers(content, hdu, "YEXTENT"), 0, rows)


def _check_sources(content: bytes, hdu: Hdu) -> None:
    _within("RA", numbers(content, hdu, "RA"), -180, 360)
    _within("DEC", numbers(content, hdu, "DEC"), -90, 90)
    _within("EP_DET_ML", numbers(content, hdu, "EP_DET_ML"), 0, 1e9)
    for name, high in (("EP_EXTENT", 1e4), ("EP_TOT", 1e6)):
        if _has(hdu, name):
            _within(name, numbers(content, hdu, name), 0, high, nan=True)
