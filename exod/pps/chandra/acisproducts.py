"""Event lists of level 2 as the archive of Chandra has them, made of events and headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from exod.observation.events import EventList, Exposure
from exod.observation.times import TIME_ZERO_MJD
from exod.pps.chandra.acislists import LEVEL, PI_EV, TELESCOPE

_DETECTORS: Final = "ACIS-0123"

_COLUMNS: Final = {
    **{"time": "D", "ccd_id": "I", "chipx": "I", "chipy": "I", "x": "E", "y": "E"},
    **{"energy": "E", "pi": "J", "grade": "I"},
}


def acis_event_list_hdus(exposure: Exposure, events: EventList) -> fits.HDUList:
    """An event list of level 2 of a simulated observation.

    Parameters
    ----------
    exposure : Exposure
        The header.
    events : EventList
        In order of time; times are those of the middle of frames.
    """
    frame_time = exposure.camera.frame_time
    frame = np.rint((events.time - exposure.start) / frame_time - 0.5).astype(np.int32)
    values = acis_values(events, events.time, {"TIMEDEL": frame_time}) | {"time": events.time}
    columns = [
        *(fits.Column(name, kind, array=values[name]) for name, kind in _COLUMNS.items()),
        fits.Column("expno", "J", array=frame),
        fits.Column("status", "32X", array=np.zeros((len(events), 32), bool)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    table.header.extend(_cards(exposure, frame_time))
    plane = exposure.plane
    axes = (
        ("RA---TAN", plane.x_ref, plane.ra_ref, plane.x_delta),
        ("DEC--TAN", plane.y_ref, plane.dec_ref, plane.y_delta),
    )
    for number, (kind, pixel, value, step) in enumerate(axes, start=5):
        table.header[f"TCTYP{number}"] = kind
        table.header[f"TCRPX{number}"] = pixel
        table.header[f"TCRVL{number}"] = value
        table.header[f"TCDLT{number}"] = step
        table.header[f"TCUNI{number}"] = "deg"
        table.header[f"TLMIN{number}"], table.header[f"TLMAX{number}"] = 0.5, 8192.5
    good = [
        fits.Column(name, "D", "s", array=np.array([time]))
        for name, time in (("START", exposure.start), ("STOP", exposure.stop))
    ]
    intervals = []
    for ccdnr in np.unique(events.ccdnr).tolist():
        interval = fits.BinTableHDU.from_columns(good, name="GTI")
        interval.header["CCD_ID"] = ccdnr - 1
        intervals.append(interval)
    return fits.HDUList([fits.PrimaryHDU(), table, *intervals])


def acis_values(
    events: EventList, times: NDArray[np.float64], header: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """Values of the columns of an event list of level 2, by name.

    Times are those of the middle of the frames, on the grid of `times` and TIMEDEL of the header.
    """
    frame = float(header["TIMEDEL"])
    number = np.rint((events.time - times[0]) / frame)
    return {
        "time": times[0] + number * frame,
        "ccd_id": events.ccdnr.astype(np.int16) - 1,
        "chipx": events.rawx,
        "chipy": events.rawy,
        "x": events.x,
        "y": events.y,
        "energy": events.pi,
        "pi": np.floor(events.pi / PI_EV) + 1,
        "grade": events.pattern,
    }


def _cards(exposure: Exposure, frame_time: float) -> list[tuple[str, Any, str]]:
    return [
        ("ORIGIN", "exod simulator", "Not an observation"),
        ("CONTENT", LEVEL, "What data product"),
        ("TELESCOP", TELESCOPE, "Telescope"),
        ("INSTRUME", exposure.instrument, "Instrument"),
        ("DETNAM", _DETECTORS, "Detector"),
        ("GRATING", "NONE", "Grating"),
        ("OBS_ID", exposure.obsid, "Observation id"),
        ("OBI_NUM", int(exposure.expid), "Observation interval number"),
        ("OBS_MODE", "POINTING", "Observation mode"),
        ("READMODE", exposure.submode, "Read mode"),
        ("DATAMODE", exposure.datamode, "Data mode"),
        ("OBJECT", exposure.target, "Source name"),
        ("RA_PNT", exposure.ra_pnt, "[deg] Pointing RA"),
        ("DEC_PNT", exposure.dec_pnt, "[deg] Pointing Dec"),
        ("ROLL_PNT", exposure.pa_pnt, "[deg] Pointing roll"),
        ("RADESYS", "ICRS", "Celestial coordinate system"),
        ("DATE-OBS", exposure.date_obs, "Start time (UTC)"),
        ("TSTART", exposure.start, "[s] Observation start time"),
        ("TSTOP", exposure.stop, "[s] Observation end time"),
        ("TIMEDEL", frame_time, "[s] Frame"),
        ("TIMEPIXR", 0.5, "Times are those of the middle of frames"),
        ("TIMESYS", exposure.time_system, "Time system"),
        ("TIMEUNIT", "s", "Units of time"),
        ("MJDREF", TIME_ZERO_MJD, "MJD zero point for times"),
        ("TIMEZERO", 0.0, "[s] Clock correction"),
    ]
