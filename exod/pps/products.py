"""Event lists and source lists with what those of the pipeline have, made of events and headers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

from exod.instruments import CAMERAS
from exod.instruments.epic import SKY_DELTA_DEG, EpicCamera
from exod.observation.availability import Availability
from exod.observation.events import NO_POSITION, EventList, Exposure
from exod.observation.times import TIME_ZERO_MJD, utc_date

Column16 = NDArray[np.int16]

PHA_PER_EV: Final = {"EPN": 0.19, "EMOS1": 0.3, "EMOS2": 0.3}
"""Rough gain, PHA channels per eV: median PHA / PI of 0916810801 (pn) and 0001730201 (MOS)."""

_TIME_CARDS = (
    ("TIMEUNIT", "s", "All times in s unless specified otherwise"),
    ("TIMESYS", "TT", "Terrestrial Time"),
    ("MJDREF", TIME_ZERO_MJD, "1998-01-01T00:00:00 (TT) as MJD"),
    ("TIMEREF", "LOCAL", "Reference location of photon arrival times"),
    ("TASSIGN", "SATELLITE", "Location of time assignment"),
    ("TIMEZERO", 0.0, "[s] Clock correction"),
)

_FLAG_COMMENT = {"XMMEA_EP": "Select good PN events", "XMMEA_EM": "Select good MOS events"}


def event_list_hdus(
    exposure: Exposure,
    events: EventList,
    detector: tuple[Column16, Column16],
    available: Availability,
) -> fits.HDUList:
    """An event list with the keywords, columns and extensions of a pipeline file.

    ``BADPIXnn`` and ``STDGTInn`` follow for each CCD nn: the pixels that are not sent to ground
    (those that are bad by themselves are for the search to find), and the good times.

    Parameters
    ----------
    exposure : Exposure
        The header.
    events : EventList
        The rows, in the order of the file.
    detector : tuple of ndarray of int16, shape (n_events,)
        DETX and DETY of the rows, in 0.05 arcsec.
    available : Availability
        Start, stop and good times.
    """
    common = _observation_cards(exposure) + _exposure_cards(exposure, events, available)
    # Pipeline MOS lists hold the revolution as text in the primary header, pn lists as a number.
    camera = CAMERAS[exposure.instrument]
    revolution = exposure.revolution if camera.is_pn else f"{exposure.revolution:04d}"
    primary = fits.PrimaryHDU(header=fits.Header(common))
    primary.header["REVOLUT"] = (revolution, "Satellite Revolution Number")
    columns = _event_columns(exposure, events, detector)
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    mask = f"(FLAG & {exposure.flag_mask:#x}) == 0"
    keyword = camera.flag_keyword
    table.header.extend(common)
    table.header["REVOLUT"] = (exposure.revolution, "Revolution number")
    table.header[keyword] = (mask, _FLAG_COMMENT[keyword])
    bad_pixels = [_bad_pixels(camera, n + 1) for n in range(camera.n_ccds)]
    good_times = [_good_times(available, n + 1) for n in range(camera.n_ccds)]
    return fits.HDUList([primary, table, *bad_pixels, *good_times])


def _bad_pixels(camera: EpicCamera, ccdnr: int) -> fits.BinTableHDU:
    """The first rows, if they are not sent to ground, as pieces of columns."""
    n_columns = camera.n_columns if camera.first_row > 1 else 0
    rawx = np.arange(1, n_columns + 1, dtype=np.int16)
    values = {"RAWX": 0, "RAWY": 1, "TYPE": 1, "YEXTENT": camera.first_row - 1, "BADFLAG": 1}
    columns = [
        _column(name, "I", rawx if name == "RAWX" else np.full_like(rawx, value))
        for name, value in values.items()
    ]
    table = fits.BinTableHDU.from_columns(columns, name=f"BADPIX{ccdnr:02d}")
    table.header["CCDID"] = (ccdnr, "CCD number")
    return table


def _good_times(available: Availability, ccdnr: int) -> fits.BinTableHDU:
    intervals = available.good_times[ccdnr]
    intervals = intervals[intervals[:, 0] < intervals[:, 1]]
    columns = [
        _column(name, "D", times, unit="s")
        for name, times in zip(("START", "STOP"), intervals.T, strict=True)
    ]
    table = fits.BinTableHDU.from_columns(columns, name=f"STDGTI{ccdnr:02d}")
    table.header.extend(
        [
            ("HDUCLASS", "OGIP", "Format conforms to the OGIP standard"),
            ("HDUCLAS1", "GTI", "Good time intervals"),
            ("HDUCLAS2", "STANDARD", "Standard good time intervals"),
            ("ONTIME", float(np.diff(intervals).sum()), "[s] Sum of the intervals"),
            *_TIME_CARDS,
        ]
    )
    return table


def _observation_cards(exposure: Exposure) -> list[tuple[str, Any, str]]:
    return [
        ("ORIGIN", "exod simulator", "Not an observation"),
        ("TELESCOP", "XMM", "XMM mission"),
        ("INSTRUME", exposure.instrument, "EPIC instrument"),
        ("OBS_ID", exposure.obsid, "Observation identifier"),
        ("OBJECT", exposure.target, "Name of observed object"),
        ("OBS_MODE", "POINTING", "Observation mode (pointing or slew)"),
        ("DATAMODE", exposure.datamode, "Instrument mode (IMAGING or TIMING)"),
        ("RA_PNT", exposure.ra_pnt, "[deg] Pointing RA of the optical axis"),
        ("DEC_PNT", exposure.dec_pnt, "[deg] Pointing Dec of the optical axis"),
        ("PA_PNT", exposure.pa_pnt, "[deg] Position angle of the pointing"),
        ("EQUINOX", 2000.0, "Equinox for sky coordinate x/y axes"),
        ("RADECSYS", "FK5", "World coord. system for this file"),
    ]


def _exposure_cards(
    exposure: Exposure, events: EventList, available: Availability
) -> list[tuple[str, Any, str]]:
    cards = [
        ("EXPIDSTR", exposure.expid, "Exposure identifier"),
        ("SUBMODE", exposure.submode, "Guest Observer mode"),
        ("FILTER", exposure.filter, "Filter ID"),
        ("DATE-OBS", exposure.date_obs, "Start time (UTC) of exposure"),
        ("DATE-END", utc_date(available.stop), "End time (UTC) of exposure"),
        ("TSTART", available.start, "[s] Start time of first frame"),
        ("TSTOP", available.stop, "[s] End time of last frame"),
        ("TELAPSE", exposure.elapsed, "[s] Full time interval for the exposure"),
        *_TIME_CARDS,
    ]
    plane, extent = exposure.plane, exposure.sky_extent
    sky = (
        ("X", "RA---TAN", plane.x_ref, plane.ra_ref, plane.x_delta, events.x),
        ("Y", "DEC--TAN", plane.y_ref, plane.dec_ref, plane.y_delta, events.y),
    )
    for axis, projection, pixel, value, delta, column in sky:
        name = f"REF{axis}"
        cards += [
            (f"{name}CTYP", projection, "WCS coord. type"),
            (f"{name}CRPX", int(pixel), "WCS axis reference pixel"),
            (f"{name}CRVL", value, "[deg] WCS coord. at reference pixel"),
            (f"{name}CDLT", delta, "[deg/pix] WCS increment at reference pixel"),
            (f"{name}LMIN", 1, "WCS minimum legal axis value"),
            (f"{name}LMAX", extent, "WCS maximum legal axis value"),
            (f"{name}DMIN", int(column.min(initial=extent)), "WCS minimum axis data value"),
            (f"{name}DMAX", int(column.max(initial=1)), "WCS maximum axis data value"),
            (f"{name}CUNI", "deg", "WCS physical units of axis"),
        ]
    return cards


def _event_columns(
    exposure: Exposure, events: EventList, detector: tuple[Column16, Column16]
) -> list[fits.Column]:
    """Columns in the order of pipeline files, which differs between MOS and pn."""
    detx, dety = detector
    is_pn, plane = CAMERAS[exposure.instrument].is_pn, exposure.plane
    position, channel, energy = (
        ("0.05 arcsec", "channel", "eV") if is_pn else ("pixel", "CHAN", "CHAN")
    )
    det = {"unit": position, "coord_ref_point": 0, "coord_ref_value": 0.0}
    det["coord_inc"] = SKY_DELTA_DEG
    x = _sky_column("RA---TAN", plane.x_ref, plane.ra_ref, plane.x_delta)
    y = _sky_column("DEC--TAN", plane.y_ref, plane.dec_ref, plane.y_delta)
    pha = np.rint(events.pi * PHA_PER_EV[exposure.instrument]).astype(np.int16)
    pha = np.minimum(pha, np.int16(4095))
    raw = "pixel" if is_pn else "PIXELS"
    columns = [
        _column("TIME", "D", events.time, unit="s"),
        _column("RAWX", "I", events.rawx, unit=raw),
        _column("RAWY", "I", events.rawy, unit=raw),
        _column("DETX", "I", detx, coord_type="DETX_ANG", coord_unit="deg", **det),
        _column("DETY", "I", dety, coord_type="DETY_ANG", coord_unit="deg", **det),
        _column("X", "J", events.x, unit=position, **x),
        _column("Y", "J", events.y, unit=position, **y),
        _column("PHA", "I", pha, unit=channel),
        _column("PI", "I", events.pi, unit=energy),
        _column("FLAG", "J", events.flag),
        _column("PATTERN", "B", events.pattern),
    ]
    if is_pn:
        unused = np.zeros(len(events), np.int16)
        columns.append(_column("PAT_ID", "I", unused))
        columns.append(_column("PAT_SEQ", "B", unused.astype(np.uint8)))
    columns.append(_column("CCDNR", "B", events.ccdnr))
    return columns


def _column(name: str, form: str, array: NDArray[Any], **keywords: Any) -> fits.Column:
    return fits.Column(name=name, format=form, array=array, **keywords)


def _sky_column(projection: str, pixel: float, value: float, delta: float) -> dict[str, Any]:
    return {
        "null": NO_POSITION,
        "coord_type": projection,
        "coord_unit": "deg",
        "coord_ref_point": int(pixel),
        "coord_ref_value": value,
        "coord_inc": delta,
    }


def source_list_hdus(exposure: Exposure, table: pd.DataFrame) -> fits.HDUList:
    """A source list with those columns of an OBSMLI file that the search uses.

    Parameters
    ----------
    exposure : Exposure
        Header of an event list of the observation.
    table : DataFrame
        The columns, named as in the file.
    """
    cards = [card for card in _observation_cards(exposure) if card[0] != "INSTRUME"]
    primary = fits.PrimaryHDU(header=fits.Header(cards))
    primary.header["INSTRUME"] = ("EPIC", "EPIC instruments together")
    primary.header["REVOLUT"] = (f"{exposure.revolution:04d}", "Satellite Revolution Number")
    columns = (
        ("SRC_NUM", "J", None),
        ("RA", "D", "deg"),
        ("DEC", "D", "deg"),
        ("RADEC_ERR", "E", "arcsec"),
        ("EP_DET_ML", "E", None),
        ("EP_EXTENT", "E", "image pixels"),
        ("EP_TOT", "E", "cnts/s"),
    )
    sources = fits.BinTableHDU.from_columns(
        [_column(name, form, table[name].to_numpy(), unit=unit) for name, form, unit in columns],
        name="SRCLIST",
    )
    return fits.HDUList([primary, sources])
