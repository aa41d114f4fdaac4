"""Small event lists and source lists as files, made by astropy."""

from __future__ import annotations

import gzip

import numpy as np
from astropy.io import fits

from helpers.strategies import PLANE

OBSID = "0900000101"
M1 = f"P{OBSID}M1S001MIEVLI0000.FTZ"
PN = f"P{OBSID}PNS003PIEVLI0000.FTZ"
SOURCES = f"P{OBSID}EPX000OBSMLI0000.FTZ"

HEADER = {
    "TELESCOP": "XMM",
    "INSTRUME": "EMOS1",
    "OBS_ID": OBSID,
    "EXPIDSTR": "S001",
    "DATAMODE": "IMAGING",
    "SUBMODE": "PrimeFullWindow",
    "FILTER": "Medium",
    "REVOLUT": 2500,
    "OBJECT": "HD 159176",
    "DATE-OBS": "2013-02-28T01:02:03",
    "TELAPSE": 1234.5,
    "RA_PNT": 83.2,
    "DEC_PNT": -5.4,
    "PA_PNT": 93.66,
    "TIMESYS": "TT",
    "XMMEA_EM": "(FLAG & 0x766ba000) == 0",
}
PROJECTION = {
    "CRPX": (PLANE.x_ref, PLANE.y_ref),
    "CRVL": (PLANE.ra_ref, PLANE.dec_ref),
    "CDLT": (PLANE.x_delta, PLANE.y_delta),
}
FORMATS = {
    "TIME": "D",
    "RAWX": "I",
    "RAWY": "I",
    "DETX": "I",
    "X": "J",
    "Y": "J",
    "PI": "I",
    "FLAG": "J",
    "PATTERN": "B",
    "CCDNR": "B",
}


def values_of(n):
    """Rows that a camera can give."""
    numbers = {name: np.arange(n) + i for i, name in enumerate(FORMATS)}
    return {**numbers, "TIME": 6e8 + np.arange(n) / 7, "CCDNR": np.arange(n) % 7 + 1}


def event_hdus(
    n=5, header=HEADER, primary=None, projection="REF", drop=(), formats=FORMATS, values=None
):
    """HDUs of an event list; `projection` REF, T (columns) or none."""
    values = values or values_of(n)
    columns = [
        fits.Column(name, code, array=values[name])
        for name, code in formats.items()
        if name not in drop
    ]
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    table.header.update(header)
    for part, pair in PROJECTION.items():
        for axis, number in zip("XY", pair, strict=True):
            if projection == "REF":
                table.header[f"REF{axis}{part}"] = number
            elif projection == "T":
                table.header[f"T{part}{table.columns.names.index(axis) + 1}"] = number
    first = fits.PrimaryHDU()
    first.header.update(primary or {})
    return fits.HDUList([first, table])


def write(folder, name=M1, **changes):
    """Write an event list, compressed if its name says so."""
    path = folder / name
    plain = folder / "plain.tmp"
    event_hdus(**changes).writeto(plain)
    content = plain.read_bytes()
    plain.unlink()
    is_packed = name.lower().endswith((".ftz", ".gz"))
    path.write_bytes(gzip.compress(content, 1) if is_packed else content)
    return path


def without(*keys):
    """The header without some keywords."""
    return {key: value for key, value in HEADER.items() if key not in keys}


def source_hdu(header=None, unit="image pixels", extent=(0.0, 2.5, np.nan, 1.0), drop=(), **more):
    """A table of four sources; keywords are columns."""
    columns = {
        "RA": [10.0, 10.1, 10.2, np.nan],
        "DEC": [-5.0, -5.1, -5.2, -5.3],
        "EP_DET_ML": [100.0, 9.0, 7.0, 50.0],
        "EP_EXTENT": list(extent),
        "EP_TOT": [2.0, 0.5, np.nan, 0.01],
    } | more
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(
                name,
                "E" if name.startswith("EP") else "D",
                array=values,
                unit=unit if name == "EP_EXTENT" else None,
            )
            for name, values in columns.items()
            if name not in drop
        ],
        name="SRCLIST",
    )
    table.header.update(header or {})
    return table
