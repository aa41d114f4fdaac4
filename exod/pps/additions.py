"""Rows added to event lists.

Everything but the new rows, their number and a HISTORY card stays byte for byte as it is.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from exod.errors import InputError
from exod.observation.events import EVENT_DTYPES, EventList
from exod.pps import ingested
from exod.pps.chandra.acisproducts import acis_values
from exod.pps.fits.fitsfile import read_content, reported
from exod.schemas.arrays import Floats

_BLOCK: Final = 2880
_PHA_MAX: Final = 4095
"""Largest channel of the PHA column (TLMAX of pn lists, TDMAX of MOS lists)."""

_PHA_PER_EV: Final = 0.25
"""Gain of a list that has no PHA above 0; between those of MOS (0.3) and pn (0.19)."""


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
    rows[is_new] = _new_rows(old, columns, events, is_new, detector, header)
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
    header: fits.Header,
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
    if "ccd_id" in columns.names:
        values = acis_values(new, table["time"], header)
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
