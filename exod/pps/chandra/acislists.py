"""Read event lists of ACIS (level 2, evt2)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exod.errors import ExposureRejected, InputError
from exod.instruments import ACIS
from exod.observation.events import NO_POSITION, Exposure
from exod.observation.times import spread_over_frames
from exod.pps.chandra.names import obsid_of_name
from exod.pps.fits.fitsfile import Header
from exod.pps.fits.fitshdu import Hdu
from exod.pps.fits.fitstable import Conversion
from exod.pps.fits.headers import check_pointing, read_clock, read_extent, read_plane
from exod.schemas.arrays import Floats

TELESCOPE: Final = "CHANDRA"
LEVEL: Final = "EVT2"
"""CONTENT of lists that can be searched."""

PI_EV: Final = 14.6
"""Width of a channel of PI (Chandra Proposers' Observatory Guide, chapter 6)."""

_NEEDED: Final = {
    "TIME": Conversion("f8"),
    "CCD_ID": Conversion("i8"),
    "X": Conversion("f8"),
    "Y": Conversion("f8"),
}
_OPTIONAL: Final = {
    "ENERGY": Conversion("f8"),
    "PI": Conversion("i8", 0),
    "CHIPX": Conversion("i2"),
    "CHIPY": Conversion("i2"),
    "GRADE": Conversion("u1"),
    "STATUS": Conversion("i4", as_bits=True),
}


def is_of_chandra(header: Header) -> bool:
    """Whether a list says that it is of a camera of Chandra."""
    camera = header.text("INSTRUME").upper()
    return header.text("TELESCOP").upper() == TELESCOPE and camera in {ACIS.name, "HRC"}


def read_acis_exposure(path: Path, header: Header, events: Hdu) -> Exposure:
    """The exposure of an event list of Chandra; parameters as of `exod.pps.fits.headers`.

    Raises
    ------
    InputError
        If the identifier, the frame time or the projection is missing or impossible.
    ExposureRejected
        If it is of another camera or level, was taken with a grating or in continuous clocking,
        or is merged of several observations.
    """
    name = path.name
    notes: list[str] = []
    _check_kind(name, header)
    obsid = header.text("OBS_ID").lstrip("0") or obsid_of_name(name)
    if not re.fullmatch(ACIS.observatory.obsid, obsid):
        raise InputError(f"{name} has the OBS_ID {obsid!r}, which is no number up to 99999.")
    check_pointing(name, header, obsid, notes)
    frame_time = header.number("TIMEDEL")
    if not 0 < frame_time <= LONGEST_FRAME:
        raise InputError(f"{name} does not say its frame time: TIMEDEL is {frame_time:g}.")
    if not {"CHIPX", "CHIPY"} <= set(events.columns):
        notes.append(
            f"{name} has no CHIPX and CHIPY, so that hot pixels and dither cannot be found."
        )
    plane = read_plane(name, header, events)
    return Exposure(
        obsid=obsid,
        expid=f"{int(header.number('OBI_NUM', 0)):03d}",
        instrument=ACIS.name,
        submode=header.text("READMODE"),
        datamode=header.text("DATAMODE"),
        filter="",
        revolution=-1,
        target=header.text("OBJECT"),
        date_obs=header.text("DATE-OBS"),
        elapsed=header.number("TSTOP") - header.number("TSTART"),
        ra_pnt=header.number("RA_PNT"),
        dec_pnt=header.number("DEC_PNT"),
        pa_pnt=header.number("ROLL_PNT"),
        flag_mask=ACIS.flag_mask,
        plane=plane,
        sky_extent=read_extent(name, header, events, plane.pixel_arcsec) or ACIS.sky_extent,
        time_system=header.text("TIMESYS"),
        filename=name,
        clock=read_clock(name, header, events, notes),
        start=header.number("TSTART"),
        stop=header.number("TSTOP"),
        notes=tuple(notes),
        frame_time=frame_time,
    )


LONGEST_FRAME: Final = 11.0
"""Frames last up to 10 s (Chandra Proposers' Observatory Guide, chapter 6), and their transfer."""


def _check_kind(name: str, header: Header) -> None:
    """Refuse what is not of level 2, of ACIS alone, and an image of the sky."""
    instrument, content = header.text("INSTRUME").upper(), header.text("CONTENT").upper()
    if instrument != ACIS.name:
        raise ExposureRejected(
            f"{name} is of the instrument {instrument or '(none)'} of Chandra, not {ACIS.name}."
        )
    grating, mode = header.text("GRATING").upper(), header.text("READMODE").upper()
    if grating not in {"", "NONE"}:
        raise ExposureRejected(
            f"{name} was taken with the grating {grating}, which spreads sources into spectra; "
            f"such lists are not searched."
        )
    if mode == "CONTINUOUS":
        raise ExposureRejected(
            f"{name} was taken in continuous clocking (READMODE {mode}), which has no images."
        )
    if content not in {"", LEVEL}:
        raise ExposureRejected(
            f"{name} is a list {content}; only those of level 2 (evt2), whose events have good "
            f"grades and status, are searched."
        )


def acis_columns(path: Path, hdu: Hdu, frame_time: float) -> dict[str, NDArray[Any]]:
    """The columns of `exod.observation.events.EventList`.

    All events of a frame have the time of its middle; here they are spread over it, so that short
    bins have what is theirs on average.

    Raises
    ------
    InputError
        If a column is missing.
    """
    optional = {name: how for name, how in _OPTIONAL.items() if name in hdu.columns}
    missing = sorted(set(_NEEDED) - set(hdu.columns))
    if not {"ENERGY", "PI"} & set(optional):
        missing.append("ENERGY")
    if missing:
        raise InputError(
            f"{path.name} lacks the EVENTS columns {', '.join(missing)}: fetch it again."
        )
    found = hdu.read({**_NEEDED, **optional})
    x, y = (_whole(found[axis]) for axis in ("X", "Y"))
    energy = found["ENERGY"] if "ENERGY" in found else found["PI"] * PI_EV
    nothing = np.zeros(hdu.n_rows, np.int64)
    return {
        "time": spread_over_frames(found["TIME"], frame_time),
        "x": x,
        "y": y,
        "pi": np.clip(np.nan_to_num(np.rint(energy)), 0, 32_766).astype(np.int16),
        "ccdnr": np.clip(found["CCD_ID"] + 1, 0, 255).astype(np.uint8),
        "rawx": found["CHIPX"] if "CHIPX" in found else _within_chip(x),
        "rawy": found["CHIPY"] if "CHIPY" in found else _within_chip(y),
        "pattern": found.get("GRADE", nothing).astype(np.uint8),
        "flag": found.get("STATUS", nothing).astype(np.int32),
    }


def _whole(pixel: Floats) -> NDArray[np.int32]:
    """Sky pixels by number, `NO_POSITION` where there is none."""
    known = np.isfinite(pixel) & (np.abs(pixel) < -NO_POSITION)
    return np.where(known, np.rint(np.where(known, pixel, 0)), NO_POSITION).astype(np.int32)


def _within_chip(pixel: NDArray[np.int32]) -> NDArray[np.int16]:
    """Sky pixels instead of those of a CCD, which a list does not have."""
    return (1 + np.mod(pixel, ACIS.n_columns)).astype(np.int16)
