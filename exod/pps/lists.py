"""Read event lists, source lists and tables of hot pixels (method.md, Input files)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.io.registry import IORegistryError
from astropy.table import Table as AstropyTable

from exod.errors import ConfigError, ExposureRejected, InputError
from exod.instruments import CAMERAS
from exod.instruments.epic import IMAGE_PIXEL_ARCSEC
from exod.observation.events import EVENT_DTYPES, EventList, Exposure
from exod.pps import ingested
from exod.pps.fitsfile import Header, open_fits, read_column, read_header
from exod.pps.names import PPS_NAME, TIMING_PRODUCT, obsid_of_path
from exod.pps.remote import RemoteFile
from exod.sky.plane import TangentPlane, pixel_size

LARGEST_FIELD_ARCSEC: Final = 4 * 3600.0
"""No field of view is wider; that of XMM-Newton is 43 arcmin along a side."""

_FLAG_EXPRESSION = re.compile(r"FLAG\s*&\s*(0x[0-9a-fA-F]+)\s*\)\s*==\s*0")


def read_event_list(path: Path) -> tuple[Exposure, EventList]:
    """Read one EPIC event list.

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
        If it is sound but of another telescope or instrument, or not in imaging mode.
    """
    if path.suffix == ingested.SUFFIX:
        return ingested.read_events(path)
    with open_fits(path) as hdus:
        hdu = next((item for item in hdus if item.name == "EVENTS"), None)
        if not isinstance(hdu, fits.BinTableHDU):
            raise InputError(
                f"{path.name} has no table EVENTS; it is no event list, or not the whole of one: "
                f"fetch it again."
            )
        exposure = _read_exposure(path, Header(hdu.header, hdus[0].header), hdu.columns)
        columns = set(hdu.columns.names)
        missing = sorted(name.upper() for name in EVENT_DTYPES if name.upper() not in columns)
        if missing:
            raise InputError(
                f"{path.name} lacks the EVENTS columns {', '.join(missing)}: fetch it again."
            )
        table = hdu.data
        events = EventList(
            **{
                name: read_column(table, name.upper(), dtype)
                for name, dtype in EVENT_DTYPES.items()
            }
        )
    return exposure, events


def _read_exposure(path: Path, header: Header, columns: fits.ColDefs) -> Exposure:
    name = path.name
    telescope, instrument = header.text("TELESCOP"), header.text("INSTRUME")
    if telescope != "XMM":
        raise ExposureRejected(f"{name} is of the telescope {telescope or '(none)'}, not XMM.")
    if instrument not in CAMERAS:
        raise ExposureRejected(
            f"{name} is of the instrument {instrument or '(none)'}, not {', '.join(CAMERAS)}."
        )
    datamode, match = header.text("DATAMODE"), PPS_NAME.match(name)
    is_timing = match is not None and match["product"].upper() == TIMING_PRODUCT
    mode = datamode or ("TIMING" if is_timing else "IMAGING")
    if mode != "IMAGING":
        raise ExposureRejected(f"{name} was taken in {mode} mode, which has no images.")
    obsid = header.text("OBS_ID") or obsid_of_path(path)
    if not re.fullmatch(r"[0-9]{10}", obsid):
        raise InputError(f"{name} has the OBS_ID {obsid!r}, which is not ten digits.")
    camera = CAMERAS[instrument]
    plane = _read_plane(name, header, columns)
    flag = _FLAG_EXPRESSION.search(header.text(camera.flag_keyword))
    return Exposure(
        obsid=obsid,
        expid=header.text("EXPIDSTR"),
        instrument=instrument,
        submode=header.text("SUBMODE"),
        datamode=datamode,
        filter=header.text("FILTER"),
        revolution=int(header.number("REVOLUT", -1)),
        target=header.text("OBJECT"),
        date_obs=header.text("DATE-OBS"),
        elapsed=header.number("TELAPSE"),
        ra_pnt=header.number("RA_PNT"),
        dec_pnt=header.number("DEC_PNT"),
        pa_pnt=header.number("PA_PNT"),
        flag_mask=int(flag[1], 16) if flag else camera.flag_mask,
        plane=plane,
        sky_extent=_read_extent(name, header, columns, plane.pixel_arcsec) or camera.sky_extent,
        time_system=header.text("TIMESYS"),
        filename=name,
    )


def _read_plane(name: str, header: Header, columns: fits.ColDefs) -> TangentPlane:
    values = []
    for part in ("CRPX", "CRVL", "CDLT"):
        for axis in ("X", "Y"):
            number = header.number(f"REF{axis}{part}")
            if np.isnan(number) and axis in columns.names:
                number = header.number(f"T{part}{columns.names.index(axis) + 1}")
            values.append(number)
    if not np.isfinite(values).all():
        raise InputError(
            f"{name} has no sky projection: neither REFXCRPX, REFXCRVL, REFXCDLT (and Y) nor "
            f"TCRPX, TCRVL, TCDLT of the columns X and Y are in its headers."
        )
    plane = TangentPlane(*values)
    if not plane.pixel_arcsec > 0 or pixel_size(plane.x_delta) != plane.pixel_arcsec:
        raise InputError(
            f"{name} has sky pixels of {plane.x_delta:g} by {plane.y_delta:g} degrees; "
            f"they must be squares."
        )
    return plane


def _read_extent(name: str, header: Header, columns: fits.ColDefs, pixel_arcsec: float) -> int:
    """Sky pixels along the longer side of the field; 0 if the header does not say."""
    numbers = [columns.names.index(axis) + 1 for axis in ("X", "Y") if axis in columns.names]
    # REFXLMAX of MOS lists has lost bits: it is -13696 for 51840.
    keys = ("REFXLMAX", "REFYLMAX", *(f"TLMAX{number}" for number in numbers))
    extent = float(np.nanmax([0.0, *(header.number(key) for key in keys)]))
    if not extent * pixel_arcsec <= LARGEST_FIELD_ARCSEC:
        raise InputError(
            f"{name} has a field of {extent * pixel_arcsec / 3600:.3g} degrees, which is no "
            f"telescope's: its header is damaged; fetch it again."
        )
    return int(extent)


def list_extent(path: Path | RemoteFile) -> tuple[int, float, float]:
    """Rows of an event list, and the first and last time in seconds, from its header alone.

    Raises
    ------
    InputError
        If the file is unreadable or has no EVENTS extension.
    """
    if path.suffix == ingested.SUFFIX:
        return ingested.extent(path)
    header = read_header(path, "EVENTS")
    if header is None:
        raise InputError(f"{path.name} has no EVENTS extension; it is not an event list.")
    start, stop = header.number("TSTART", 0.0), header.number("TSTOP", 0.0)
    return int(header.number("NAXIS2", 0)), start, stop


def read_source_list(path: Path) -> pd.DataFrame:
    """Read an EPIC source list (OBSMLI).

    Returns
    -------
    DataFrame
        Columns ra_deg, dec_deg [deg], det_ml, extent_arcsec [arcsec; 0 for a point source],
        rate [ct/s; NaN if the list has no EP_TOT], a row for each source with a position.

    Raises
    ------
    InputError
        If the file is unreadable or no extension has RA, DEC and EP_DET_ML.

    Notes
    -----
    EP_EXTENT is in 4 arcsec image pixels unless its unit says arcsec (method.md, Source mask).
    """
    if path.suffix == ingested.SUFFIX:
        return ingested.read_sources(path)
    with open_fits(path) as hdus:
        hdu = next((h for h in hdus if _is_source_table(h)), None)
        if hdu is None:
            raise InputError(f"{path.name} has no table with the columns RA, DEC and EP_DET_ML.")
        names = hdu.columns.names
        data = {
            "ra_deg": read_column(hdu.data, "RA", "f8"),
            "dec_deg": read_column(hdu.data, "DEC", "f8"),
            "det_ml": read_column(hdu.data, "EP_DET_ML", "f8"),
        }
        size = len(data["ra_deg"])
        rate = read_column(hdu.data, "EP_TOT", "f8") if "EP_TOT" in names else np.full(size, np.nan)
        extent = np.zeros(size)
        if "EP_EXTENT" in names:
            in_arcsec = "arcsec" in (hdu.columns["EP_EXTENT"].unit or "").lower()
            extent = read_column(hdu.data, "EP_EXTENT", "f8")
            extent = np.nan_to_num(extent) * (1.0 if in_arcsec else IMAGE_PIXEL_ARCSEC)
    frame = pd.DataFrame({**data, "extent_arcsec": extent, "rate": rate})
    usable = np.isfinite(frame[["ra_deg", "dec_deg", "det_ml"]].to_numpy()).all(axis=1)
    return frame[usable & (frame["dec_deg"].abs() <= 90).to_numpy()].reset_index(drop=True)


def _is_source_table(hdu: Any) -> bool:
    names = getattr(getattr(hdu, "columns", None), "names", [])
    return {"RA", "DEC", "EP_DET_ML"} <= set(names)


def read_hot_pixel_table(path: Path) -> pd.DataFrame:
    """Read a table of hot pixels that a user gives in place of finding them.

    Parameters
    ----------
    path : Path
        FITS, ECSV or CSV file with the columns INSTRUME, CCDNR, RAWX, RAWY, REV1, REV2; a pixel
        is hot in revolutions after REV1 and before REV2.

    Raises
    ------
    ConfigError
        If it cannot be read or lacks a column.
    """
    wanted = ["INSTRUME", "CCDNR", "RAWX", "RAWY", "REV1", "REV2"]
    try:
        rows = AstropyTable.read(path)
        rows.convert_bytestring_to_unicode()  # FITS has text as bytes
        table = rows.to_pandas()
    except (OSError, ValueError, TypeError, LookupError, IORegistryError) as error:
        cause = str(error).split("\n")[0].rstrip(".")
        raise ConfigError(f"The hot pixel table {path} cannot be read: {cause}.") from error
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise ConfigError(f"The hot pixel table {path} lacks the columns {', '.join(missing)}.")
    return table[wanted]
