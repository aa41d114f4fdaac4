"""What the headers of an event list say of its exposure, and whether it can be searched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from exod.errors import ExposureRejected, InputError
from exod.instruments import CAMERAS
from exod.instruments.epic import EpicCamera
from exod.observation.events import Exposure
from exod.observation.times import PIPELINE_TIME, TIME_ZERO_MJD, TimeFrame
from exod.pps.fits.fitsfile import Header
from exod.pps.fits.fitshdu import Hdu
from exod.pps.names import PPS_NAME, TIMING_PRODUCT, obsid_of_path
from exod.sky.plane import TangentPlane, pixel_size

J2000: Final = 2000.0

LARGEST_FIELD_ARCSEC: Final = 4 * 3600.0
"""No field of view is wider; that of XMM-Newton is 43 arcmin along a side."""

OPEN_FILTERS: Final = ("OPEN", "THIN1", "THIN2", "MEDIUM", "THICK")
"""FILTER of exposures of the sky (XMM-Newton Users' Handbook, section 3.3.6)."""

_NOT_OPEN: Final = {
    "CLOSED": "with the filter wheel closed",
    "UNDEFINED": "while the filter wheel moved",
    "UNKNOWN": "with the filter wheel nobody knows where",
}
_CALIBRATION: Final = "CAL"
"""The positions CalClosed, CalOpen, CalThin1, ... light the camera by a radioactive source."""

_TELESCOPES: Final = ("XMM", "XMM-NEWTON")
_KNOWN_CLOCKS: Final = (PIPELINE_TIME, TimeFrame("TDB", "SOLARSYSTEM"), TimeFrame("TDB"))
_FLAG_EXPRESSION = re.compile(r"FLAG\s*&\s*(0x[0-9a-fA-F]+)\s*\)\s*==\s*0")
_MOST_BITS: Final = 32
_REVOLUTIONS: Final = 99_999


def read_exposure(path: Path, header: Header, events: Hdu) -> Exposure:
    """The exposure of an event list.

    Parameters
    ----------
    path : Path
        The file, for its name and those of its folders.
    header : Header
        Keywords of its extension EVENTS, and of the primary header.
    events : Hdu
        The extension.

    Raises
    ------
    InputError
        If the identifier or the projection is missing or impossible.
    ExposureRejected
        If it is of another telescope or instrument, is no image of the sky, or was taken during a
        slew or through a closed filter.
    """
    name = path.name
    notes: list[str] = []
    camera = _camera(name, header)
    datamode = _datamode(name, header)
    obsid = header.text("OBS_ID") or obsid_of_path(path)
    if not re.fullmatch(r"[0-9]{10}", obsid):
        raise InputError(f"{name} has the OBS_ID {obsid!r}, which is not ten digits.")
    check_pointing(name, header, obsid, notes)
    _check_filter(name, header, notes)
    plane = read_plane(name, header, events)
    revolution = header.number("REVOLUT", -1)
    return Exposure(
        obsid=obsid,
        expid=header.text("EXPIDSTR"),
        instrument=camera.name,
        submode=header.text("SUBMODE"),
        datamode=datamode,
        filter=header.text("FILTER"),
        revolution=int(revolution) if 0 <= revolution <= _REVOLUTIONS else -1,
        target=header.text("OBJECT"),
        date_obs=header.text("DATE-OBS"),
        elapsed=header.number("TELAPSE"),
        ra_pnt=header.number("RA_PNT"),
        dec_pnt=header.number("DEC_PNT"),
        pa_pnt=header.number("PA_PNT"),
        flag_mask=_flag_mask(name, header, camera, notes),
        plane=plane,
        sky_extent=read_extent(name, header, events, plane.pixel_arcsec) or camera.sky_extent,
        time_system=header.text("TIMESYS"),
        filename=name,
        clock=read_clock(name, header, events, notes),
        start=header.number("TSTART"),
        stop=header.number("TSTOP"),
        notes=tuple(notes),
    )


def _camera(name: str, header: Header) -> EpicCamera:
    telescope, instrument = header.text("TELESCOP"), header.text("INSTRUME")
    if telescope.upper() not in _TELESCOPES:
        raise ExposureRejected(f"{name} is of the telescope {telescope or '(none)'}, not XMM.")
    if instrument.upper() not in CAMERAS:
        raise ExposureRejected(
            f"{name} is of the instrument {instrument or '(none)'}, not {', '.join(CAMERAS)}."
        )
    return CAMERAS[instrument.upper()]


def _datamode(name: str, header: Header) -> str:
    datamode, match = header.text("DATAMODE"), PPS_NAME.match(name)
    is_timing = match is not None and match["product"].upper() == TIMING_PRODUCT
    mode = datamode or ("TIMING" if is_timing else "IMAGING")
    if mode.upper() != "IMAGING":
        raise ExposureRejected(f"{name} was taken in {mode} mode, which has no images.")
    return datamode


def check_pointing(name: str, header: Header, obsid: str, notes: list[str]) -> None:
    """Refuse slews; those of XMM-Newton are numbered from 9000000000 on."""
    mode = header.text("OBS_MODE").upper()
    if mode.startswith("SLEW") or (not mode and re.fullmatch(r"9[0-9]{9}", obsid)):
        raise ExposureRejected(
            f"{name} was taken during a slew (OBS_MODE {mode or 'missing'}), when sources cross "
            f"the field in seconds; slews are not searched."
        )
    if mode not in {"", "POINTING"}:
        notes.append(f"{name} has the OBS_MODE {mode}, which is not known; it was searched.")


def _check_filter(name: str, header: Header, notes: list[str]) -> None:
    """Refuse exposures that do not see the sky."""
    given = header.text("FILTER")
    kind = re.sub(r"[\s_-]", "", given).upper()
    if kind in _NOT_OPEN:
        raise ExposureRejected(f"{name} was taken {_NOT_OPEN[kind]} (FILTER {given}).")
    if kind.startswith(_CALIBRATION):
        raise ExposureRejected(f"{name} was lit by the calibration source (FILTER {given}).")
    if kind and kind not in OPEN_FILTERS:
        notes.append(f"{name} has the FILTER {given}, which is not known; it was searched.")


def _flag_mask(name: str, header: Header, camera: EpicCamera, notes: list[str]) -> int:
    text = header.text(camera.flag_keyword)
    match = _FLAG_EXPRESSION.search(text)
    mask = int(match[1], 16) if match else 0
    if 0 < mask < 1 << _MOST_BITS:
        return mask
    if text:
        notes.append(
            f"{name} selects events by {camera.flag_keyword} = {text!r}, which is not understood; "
            f"those without a bit of {camera.flag_mask:#x} in FLAG were used."
        )
    return camera.flag_mask


def read_clock(name: str, header: Header, events: Hdu, notes: list[str]) -> TimeFrame:
    """How times count; keywords that are missing have the values of all pipeline lists."""
    day = header.number("MJDREF")
    if np.isnan(day):
        whole, part = header.number("MJDREFI"), header.number("MJDREFF", 0.0)
        day = TIME_ZERO_MJD if np.isnan(whole) else whole + part
    column = events.columns.get("TIME")
    unit = (column.unit if column else "") or header.text("TIMEUNIT") or "s"
    if unit.lower() not in {"s", "sec", "second", "seconds"}:
        raise ExposureRejected(f"{name} counts its times in {unit}, not in seconds.")
    clock = TimeFrame(
        system=header.text("TIMESYS").upper() or "TT",
        reference=header.text("TIMEREF").upper() or "LOCAL",
        zero_mjd=day,
        offset=header.number("TIMEZERO", 0.0),
    )
    if clock not in _KNOWN_CLOCKS:
        notes.append(
            f"{name} counts its times differently from pipeline lists "
            f"({clock.difference(PIPELINE_TIME)}); they were taken as they are."
        )
    return clock


def read_plane(name: str, header: Header, events: Hdu) -> TangentPlane:
    """The projection of X and Y.

    Raises
    ------
    InputError
        If it is missing or impossible.
    ExposureRejected
        If it is no tangent plane in right ascension and declination of J2000.
    """
    values = []
    for part in ("CRPX", "CRVL", "CDLT"):
        for axis in ("X", "Y"):
            number = header.number(f"REF{axis}{part}")
            if np.isnan(number) and axis in events.columns:
                number = header.number(f"T{part}{events.columns[axis].number}")
            values.append(number)
    if not np.isfinite(values).all():
        raise InputError(
            f"{name} has no sky projection: neither REFXCRPX, REFXCRVL, REFXCDLT (and Y) nor "
            f"TCRPX, TCRVL, TCDLT of the columns X and Y are in its headers."
        )
    plane = TangentPlane(*values)
    reach = LARGEST_FIELD_ARCSEC / 3600
    offsets = (plane.x_ref * plane.x_delta, plane.y_ref * plane.y_delta)
    if not (-360 <= plane.ra_ref <= 360 and -90 <= plane.dec_ref <= 90) or not (
        max(map(abs, offsets)) <= reach
    ):
        raise InputError(
            f"{name} has RA {plane.ra_ref:g}, Dec {plane.dec_ref:g} degrees at the sky pixel "
            f"{plane.x_ref:g}, {plane.y_ref:g}: its header is damaged; fetch it again."
        )
    _check_projection(name, header, events)
    if not 0 < abs(plane.x_delta) * 3600 <= LARGEST_FIELD_ARCSEC or not (
        pixel_size(plane.x_delta) == plane.pixel_arcsec > 0
    ):
        raise InputError(
            f"{name} has sky pixels of {plane.x_delta:g} by {plane.y_delta:g} degrees; "
            f"they must be squares."
        )
    return plane


def _check_projection(name: str, header: Header, events: Hdu) -> None:
    """Refuse sky pixels that are no tangent plane in right ascension and declination of J2000."""
    for axis, usual in (("X", "RA---TAN"), ("Y", "DEC--TAN")):
        projection = header.text(f"REF{axis}CTYP")
        if not projection and axis in events.columns:
            projection = header.text(f"TCTYP{events.columns[axis].number}")
        if projection and projection.upper() != usual:
            raise ExposureRejected(
                f"{name} has the sky projection {projection}; only tangent planes in RA and Dec "
                f"are searched."
            )
    frame = (header.text("RADECSYS") or header.text("RADESYS")).upper()
    equinox = header.number("EQUINOX", 2000.0)
    if frame not in {"", "FK5", "ICRS"} or (frame != "ICRS" and equinox != J2000):
        raise ExposureRejected(
            f"{name} has positions in {frame or 'RA and Dec'} of {equinox:g}; only J2000 is "
            f"searched."
        )


def read_extent(name: str, header: Header, events: Hdu, pixel_arcsec: float) -> int:
    """Sky pixels along the longer side of the field; 0 if the header does not say."""
    numbers = [events.columns[axis].number for axis in ("X", "Y") if axis in events.columns]
    # REFXLMAX of MOS lists has lost bits: it is -13696 for 51840.
    keys = ("REFXLMAX", "REFYLMAX", *(f"TLMAX{number}" for number in numbers))
    extent = float(np.nanmax([0.0, *(header.number(key) for key in keys)]))
    if not extent * pixel_arcsec <= LARGEST_FIELD_ARCSEC:
        raise InputError(
            f"{name} has a field of {extent * pixel_arcsec / 3600:.3g} degrees, which is no "
            f"telescope's: its header is damaged; fetch it again."
        )
    return int(extent)
