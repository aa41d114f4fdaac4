"""Read event lists and source lists (method.md, Input files)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.errors import ExposureRejected, InputError, plural
from exod.instruments.epic import IMAGE_PIXEL_ARCSEC
from exod.observation.events import EVENT_DTYPES, NO_POSITION, EventList, Exposure
from exod.observation.limits import out_of_order
from exod.pps import ingested
from exod.pps.chandra.acislists import acis_columns, is_of_chandra, read_acis_exposure
from exod.pps.chandra.masks import check_masks
from exod.pps.fits.fitsfile import Header, open_fits, read_header, reported
from exod.pps.fits.fitshdu import Hdu
from exod.pps.fits.fitstable import Conversion
from exod.pps.fits.headers import read_exposure
from exod.pps.fits.livetables import LiveTables
from exod.pps.names import PPS_NAME, is_pipeline_name
from exod.pps.remote import RemoteFile

_WANTED: Final = {
    name.upper(): Conversion(
        dtype, NO_POSITION if name in {"x", "y"} else None, as_bits=name == "flag"
    )
    for name, dtype in EVENT_DTYPES.items()
}
_SOURCE_COLUMNS: Final = ("RA", "DEC", "EP_DET_ML")
_FRAME_KEYWORDS: Final = (
    *("RA_PNT", "DEC_PNT", "POSCOROK", "REFCAT", "NMATCHES", "LIK_HOOD"),
    *("RAOFFSET", "DEOFFSET", "ROT_CORR", "RAOFFERR", "DEOFFERR", "ROT_ERR"),
)
"""What `exod.astrometry.rectification.header_frame` reads."""

_ARCSEC: Final = {
    "": IMAGE_PIXEL_ARCSEC,
    "pixel": IMAGE_PIXEL_ARCSEC,
    "image pixel": IMAGE_PIXEL_ARCSEC,
    "arcsec": 1.0,
    "arcsecond": 1.0,
    "arcmin": 60.0,
    "arcminute": 60.0,
    "deg": 3600.0,
    "degree": 3600.0,
}
"""Size of the units of EP_EXTENT."""

LARGEST_DET_ML: Final = 1e9
LARGEST_RATE: Final = 1e6
"""Lists of the pipeline reach a likelihood of 4e5 (53 lists), and the telemetry of 64 kbit/s holds
fewer counts a second."""

LARGEST_EXTENT_ARCSEC: Final = 900.0
"""No source is larger than the field; the pipeline gives up to 80 arcsec."""


def read_event_list(path: Path) -> tuple[Exposure, EventList]:
    """Read one event list, of EPIC or ACIS.

    Parameters
    ----------
    path : Path
        FITS file, plain or gzip, or what `exod ingest` made of it.

    Returns
    -------
    exposure : Exposure
        From the EVENTS header, with the primary header as fallback.
    events : EventList
        All rows, in the order of the file.

    Raises
    ------
    InputError
        If the file is unreadable or lacks the EVENTS extension, a column or the projection.
    ExposureRejected
        If it is sound but no image of the sky, as `exod.pps.fits.headers` judges, and of Chandra
        `exod.pps.chandra.acislists`.
    """
    if path.suffix == ingested.SUFFIX:
        return ingested.read_events(path)
    columns, live = None, LiveTables()
    with open_fits(path) as file:
        for hdu in file.extensions():
            if hdu.name == "EVENTS" and hdu.columns and columns is None:
                header = Header(hdu.keywords, file.primary)
                is_chandra = is_of_chandra(header)
                if is_chandra:
                    exposure = read_acis_exposure(path, header, hdu)
                    columns = acis_columns(path, hdu, exposure.camera.frame_time)
                else:
                    exposure = read_exposure(path, header, hdu)
                    columns = _event_columns(path, hdu)
            else:
                live.add(hdu)
        if columns is None and PPS_NAME.match(path.name) and not is_pipeline_name(path.name):
            raise ExposureRejected(f"{path.name} is named like an event list but holds none.")
        if columns is None:
            raise InputError(
                f"{path.name} has no table EVENTS; it is no event list, or not the whole of one: "
                f"fetch it again."
            )
    camera = exposure.camera
    columns["ccdnr"] = np.minimum(camera.ccd_numbers(columns["ccdnr"]), 255).astype(np.uint8)
    events = EventList(**columns)
    if is_chandra:
        check_masks(path, exposure.obsid, events)
    times, unusual = live.live_times(exposure, events)
    notes = (*exposure.notes, *(f"{path.name}: {note}" for note in file.notes), *unusual)
    notes = (*notes, *out_of_order(exposure, events))
    return replace(exposure, notes=notes, live=times), events


def _event_columns(path: Path, hdu: Hdu) -> dict[str, NDArray[Any]]:
    """The columns of a table EVENTS, by name in small letters."""
    missing = sorted(set(_WANTED) - set(hdu.columns))
    if missing:
        raise InputError(
            f"{path.name} lacks the EVENTS columns {', '.join(missing)}: fetch it again."
        )
    return {name.lower(): values for name, values in hdu.read(_WANTED).items()}


def list_extent(path: Path | RemoteFile) -> tuple[int, float, float]:
    """Rows of an event list, and the first and last time in seconds, from its header alone.

    Raises
    ------
    InputError
        If the file is unreadable or has no EVENTS extension.
    """
    if path.suffix == ingested.SUFFIX:
        return ingested.extent(path)
    found = read_header(path, "EVENTS")
    if found is None:
        raise InputError(f"{path.name} has no EVENTS extension; it is not an event list.")
    header, hdu = found
    with reported(path):
        return hdu.n_rows, header.number("TSTART"), header.number("TSTOP")


@dataclass(frozen=True, eq=False)
class ListedSources:
    """A source list with what it says of its positions.

    Attributes
    ----------
    sources : DataFrame
        The columns of `read_source_list`, and error_arcsec, RADEC_ERR: the root of the summed
        squares of the errors along the axes, without that of the frame; NaN if unknown. Positions
        are those that were measured, RA and DEC, whatever RA_CORR says.
    notes : tuple of str
        What was left out, one sentence each.
    keywords : dict
        Those of its frame, as `exod.astrometry.rectification.header_frame` takes them.
    """

    sources: pd.DataFrame
    notes: tuple[str, ...]
    keywords: dict[str, Any]


def read_source_list(path: Path, obsid: str = "") -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read an EPIC source list (OBSMLI).

    Parameters
    ----------
    path : Path
        FITS file, plain or gzip, or what `exod ingest` made of it.
    obsid : str
        The observation that it must be of, if its header says that.

    Returns
    -------
    sources : DataFrame
        Columns ra_deg, dec_deg [deg], det_ml, extent_arcsec [arcsec; 0 for a point source],
        rate [ct/s; NaN if the list has no EP_TOT], a row for each possible source.
    notes : tuple of str
        What was left out, one sentence each.

    Raises
    ------
    InputError
        If the file is unreadable, of another observation, or no extension has RA, DEC and
        EP_DET_ML.

    Notes
    -----
    EP_EXTENT is in 4 arcsec image pixels unless its unit says another (method.md, Source mask).
    """
    found = read_listed_sources(path, obsid)
    return found.sources.drop(columns="error_arcsec"), found.notes


def read_listed_sources(path: Path | RemoteFile, obsid: str = "") -> ListedSources:
    """Read an EPIC source list with the errors of its positions and its frame.

    Parameters
    ----------
    path, obsid
        As `read_source_list` takes them.

    Raises
    ------
    InputError
        As `read_source_list` does.
    """
    if path.suffix == ingested.SUFFIX:
        return ListedSources(*ingested.read_sources(path))
    with open_fits(path) as file:
        hdu = next((hdu for hdu in file.extensions() if is_source_table(hdu)), None)
        if hdu is None:
            raise InputError(f"{path.name} has no table with the columns RA, DEC and EP_DET_ML.")
        header = Header(hdu.keywords, file.primary)
        said = header.text("OBS_ID")
        if obsid and said and said != obsid:
            raise InputError(f"{path.name} is of observation {said}, not of {obsid}.")
        arcsec = _source_units(path.name, hdu)
        names = [*_SOURCE_COLUMNS, *({"EP_EXTENT", "EP_TOT", "RADEC_ERR"} & set(hdu.columns))]
        columns = hdu.read({name: Conversion("f8") for name in names})
    frame = _source_rows(columns, hdu.n_rows, arcsec)
    notes = [f"{path.name}: {note}" for note in file.notes]
    possible = _is_possible(frame)
    if n := int((~possible).sum()):
        notes.append(
            f"{path.name}: {plural(n, 'source')} without a possible position, EP_DET_ML, "
            f"EP_EXTENT or EP_TOT {'was' if n == 1 else 'were'} left out."
        )
    said_of_frame = {name: header.get(name) for name in _FRAME_KEYWORDS}
    keywords = {name: value for name, value in said_of_frame.items() if value is not None}
    return ListedSources(frame[possible].reset_index(drop=True), tuple(notes), keywords)


def _source_rows(columns: dict[str, NDArray[Any]], size: int, arcsec: float) -> pd.DataFrame:
    extent = np.nan_to_num(columns.get("EP_EXTENT", np.zeros(size)), nan=0.0)
    beyond = 2 * LARGEST_EXTENT_ARCSEC  # In any unit, and far from overflow.
    unknown = np.full(size, np.nan)
    error = columns.get("RADEC_ERR", unknown)
    return pd.DataFrame(
        {
            "ra_deg": columns["RA"],
            "dec_deg": columns["DEC"],
            "det_ml": columns["EP_DET_ML"],
            "extent_arcsec": np.clip(extent, -beyond, beyond) * arcsec,
            "rate": columns.get("EP_TOT", unknown),
            "error_arcsec": np.where((error > 0) & np.isfinite(error), error, np.nan),
        }
    )


def _is_possible(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows can be sources, shape (n_rows,); those of zeros only are behind the last one."""
    ra, dec, det_ml = (frame[name].to_numpy() for name in ("ra_deg", "dec_deg", "det_ml"))
    # Comparisons with NaN are False.
    possible = (ra >= -180) & (ra <= 360) & (np.abs(dec) <= 90)
    possible &= (det_ml >= 0) & (det_ml <= LARGEST_DET_ML)
    possible &= frame["extent_arcsec"].between(0, LARGEST_EXTENT_ARCSEC).to_numpy()
    # Without a rate it is NaN.
    possible &= (frame["rate"].isna() | frame["rate"].between(0, LARGEST_RATE)).to_numpy()
    return np.asarray(possible & ((ra != 0) | (dec != 0) | (det_ml != 0)))


def is_source_table(hdu: Hdu) -> bool:
    """Whether it has the columns of an EPIC source list."""
    return set(_SOURCE_COLUMNS) <= set(hdu.columns)


def _source_units(name: str, hdu: Hdu) -> float:
    """Arcsec of the unit of EP_EXTENT; positions must be in degrees."""
    for axis in ("RA", "DEC"):
        unit = hdu.columns[axis].unit
        if unit.lower().rstrip("s") not in {"", "deg", "degree"}:
            raise InputError(f"{name} has {axis} in {unit}, not in degrees.")
    unit = hdu.columns["EP_EXTENT"].unit if "EP_EXTENT" in hdu.columns else ""
    if unit.lower().rstrip("s") not in _ARCSEC:
        raise InputError(f"{name} has EP_EXTENT in {unit}, which is no unit of angles.")
    return _ARCSEC[unit.lower().rstrip("s")]
