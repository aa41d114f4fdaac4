"""Write simulated observations as files like those of the XMM-Newton pipeline (PPS)."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

from exod.files.whole import whole_file
from exod.instruments.cameras import MJDREF_TT, NULL_SKY_PIXEL, SKY_EXTENT, Camera
from exod.observation.events import Exposure
from exod.simulate import SimulatedExposure, SimulatedObservation, simulate
from exod.simulate.camera.availability import Availability
from exod.simulate.camera.detector import PN_FIRST_ROW
from exod.simulate.models import SKY_DELTA_DEG, ExposureModel
from exod.simulate.observation import utc_date
from exod.simulate.scenario import default_observation

PHA_PER_EV: Final = {"EPN": 0.19, "EMOS1": 0.3, "EMOS2": 0.3}
"""Rough gain, PHA channels per eV: median PHA / PI of 0916810801 (pn) and 0001730201 (MOS)."""

_TIME_CARDS = (
    ("TIMEUNIT", "s", "All times in s unless specified otherwise"),
    ("TIMESYS", "TT", "Terrestrial Time"),
    ("MJDREF", MJDREF_TT, "1998-01-01T00:00:00 (TT) as MJD"),
    ("TIMEREF", "LOCAL", "Reference location of photon arrival times"),
    ("TASSIGN", "SATELLITE", "Location of time assignment"),
    ("TIMEZERO", 0.0, "[s] Clock correction"),
)

_FLAG_COMMENT = {"XMMEA_EP": "Select good PN events", "XMMEA_EM": "Select good MOS events"}


def simulate_files(folder: str | Path, obsid: str, seed: int, **options: Any) -> list[Path]:
    """Simulate a realistic observation and write its files.

    Parameters
    ----------
    folder : path
        Gets a folder named after the observation.
    obsid : str
        Ten digits.
    seed : int
        Seed of everything random; equal arguments give equal files.
    **options
        As of `exod.simulate.scenario.default_observation`.

    Returns
    -------
    list of Path
        The files, event lists first.

    Raises
    ------
    ExodError
        If a setting is impossible or a file cannot be written.
    """
    return write_observation(simulate(default_observation(obsid, seed, **options), seed), folder)


def write_observation(
    observation: SimulatedObservation, folder: str | Path, *, compression: int = 1
) -> list[Path]:
    """Write the event lists, the source list and the truth of an observation.

    Every file appears whole under its name or not at all, and equal observations give equal bytes.

    Parameters
    ----------
    observation : SimulatedObservation
        What `exod.simulate.simulate` returned.
    folder : path
        Gets a folder named after the observation with ``P*IEVLI0000.FTZ`` for each exposure,
        ``P*EPX000OBSMLI0000.FTZ``, ``<obsid>_truth.csv`` and ``<obsid>_hot_pixels.csv``.
    compression : int
        gzip level, 1 (fast) to 9 (small).

    Returns
    -------
    list of Path
        The files, event lists first.

    Raises
    ------
    ExodError
        If a file cannot be written.
    """
    obsid = observation.model.obsid
    target = Path(folder) / obsid
    lists = zip(observation.event_lists, observation.model.exposures, strict=True)
    content: dict[str, Callable[[IO[bytes]], None]] = {
        simulated.exposure.filename: partial(_write_event_list, simulated, settings, compression)
        for simulated, settings in lists
    }
    sources = source_list_hdus(observation)
    content[f"P{obsid}EPX000OBSMLI0000.FTZ"] = partial(_write_fits, sources, compression)
    content[f"{obsid}_truth.csv"] = partial(_write_csv, observation.truth)
    content[f"{obsid}_hot_pixels.csv"] = partial(_write_csv, observation.hot_pixels)
    for name, fill in content.items():
        with whole_file(target / name) as temporary, temporary.open("wb") as file:
            fill(file)
    return [target / name for name in content]


def _write_event_list(
    simulated: SimulatedExposure, settings: ExposureModel, compression: int, file: IO[bytes]
) -> None:
    _write_fits(event_list_hdus(simulated, settings), compression, file)


def _write_fits(hdus: fits.HDUList, compression: int, file: IO[bytes]) -> None:
    # No name and no time in the gzip header, so that equal content gives equal bytes.
    with gzip.GzipFile("", "wb", compression, file, mtime=0) as compressed:
        hdus.writeto(compressed)


def _write_csv(table: pd.DataFrame, file: IO[bytes]) -> None:
    file.write(table.to_csv(index=False, lineterminator="\n").encode())


def event_list_hdus(simulated: SimulatedExposure, settings: ExposureModel) -> fits.HDUList:
    """An event list with the keywords, columns and extensions of a pipeline file.

    ``BADPIXnn`` and ``STDGTInn`` follow for each CCD nn: the pixels that are not sent to ground
    (bad ones of the simulation are for the search to find), and the time without its drop-outs.
    """
    exposure = simulated.exposure
    common = _observation_cards(exposure) + _exposure_cards(simulated)
    # Pipeline MOS lists hold the revolution as text in the primary header, pn lists as a number.
    revolution = exposure.revolution if exposure.camera.is_pn else f"{exposure.revolution:04d}"
    primary = fits.PrimaryHDU(header=fits.Header(common))
    primary.header["REVOLUT"] = (revolution, "Satellite Revolution Number")
    events = fits.BinTableHDU.from_columns(_event_columns(simulated), name="EVENTS")
    mask = f"(FLAG & {exposure.flag_mask:#x}) == 0"
    keyword = exposure.camera.flag_keyword
    events.header.extend(common)
    events.header["REVOLUT"] = (exposure.revolution, "Revolution number")
    events.header[keyword] = (mask, _FLAG_COMMENT[keyword])
    camera = exposure.camera
    bad_pixels = [_bad_pixels(camera, n + 1) for n in range(camera.n_ccds)]
    good_times = [_good_times(settings, n + 1) for n in range(camera.n_ccds)]
    return fits.HDUList([primary, events, *bad_pixels, *good_times])


def _bad_pixels(camera: Camera, ccdnr: int) -> fits.BinTableHDU:
    """The first rows of pn as pieces of columns; MOS has no such pixels."""
    rawx = np.arange(1, camera.n_rawx + 1, dtype=np.int16) if camera.is_pn else np.empty(0, "i2")
    values = {"RAWX": 0, "RAWY": 1, "TYPE": 1, "YEXTENT": PN_FIRST_ROW - 1, "BADFLAG": 1}
    columns = [
        _column(name, "I", rawx if name == "RAWX" else np.full_like(rawx, value))
        for name, value in values.items()
    ]
    table = fits.BinTableHDU.from_columns(columns, name=f"BADPIX{ccdnr:02d}")
    table.header["CCDID"] = (ccdnr, "CCD number")
    return table


def _good_times(settings: ExposureModel, ccdnr: int) -> fits.BinTableHDU:
    intervals = Availability.of_model(settings).good_times[ccdnr]
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


def _exposure_cards(simulated: SimulatedExposure) -> list[tuple[str, Any, str]]:
    exposure = simulated.exposure
    cards = [
        ("EXPIDSTR", exposure.expid, "Exposure identifier"),
        ("SUBMODE", exposure.submode, "Guest Observer mode"),
        ("FILTER", exposure.filter, "Filter ID"),
        ("DATE-OBS", exposure.date_obs, "Start time (UTC) of exposure"),
        ("DATE-END", utc_date(simulated.stop), "End time (UTC) of exposure"),
        ("TSTART", simulated.start, "[s] Start time of first frame"),
        ("TSTOP", simulated.stop, "[s] End time of last frame"),
        ("TELAPSE", exposure.elapsed, "[s] Full time interval for the exposure"),
        *_TIME_CARDS,
    ]
    plane, events = exposure.plane, simulated.events
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
            (f"{name}LMAX", SKY_EXTENT, "WCS maximum legal axis value"),
            (f"{name}DMIN", int(column.min(initial=SKY_EXTENT)), "WCS minimum axis data value"),
            (f"{name}DMAX", int(column.max(initial=1)), "WCS maximum axis data value"),
            (f"{name}CUNI", "deg", "WCS physical units of axis"),
        ]
    return cards


def _event_columns(simulated: SimulatedExposure) -> list[fits.Column]:
    """Columns in the order of pipeline files, which differs between MOS and pn."""
    exposure, events = simulated.exposure, simulated.events
    is_pn, plane = exposure.camera.is_pn, exposure.plane
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
        _column("DETX", "I", simulated.detx, coord_type="DETX_ANG", coord_unit="deg", **det),
        _column("DETY", "I", simulated.dety, coord_type="DETY_ANG", coord_unit="deg", **det),
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
        "null": NULL_SKY_PIXEL,
        "coord_type": projection,
        "coord_unit": "deg",
        "coord_ref_point": int(pixel),
        "coord_ref_value": value,
        "coord_inc": delta,
    }


def source_list_hdus(observation: SimulatedObservation) -> fits.HDUList:
    """A source list with those columns of an OBSMLI file that the search uses."""
    exposure, table = observation.exposures[0], observation.source_list
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
