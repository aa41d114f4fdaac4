"""Files of an observation of Chandra: simulated event lists, and what programs make of them."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

POINTING = (150.0, 2.0, 40.0)
AXIS = 4096.5
PIXEL = 0.492


def event_list(
    obsid: int = 8007,
    sources: Any = ((10.0, 20.0, 300), (-100.0, 50.0, 80)),
    n_background: int = 3000,
    seed: int = 1,
    **header: Any,
) -> bytes:
    """An ACIS event list, gzipped; sources are x and y in pixels from the axis, and counts."""
    rng = np.random.default_rng(seed)
    sky = [rng.uniform(-500, 500, (n_background, 2))]
    sky += [np.array([x, y]) + rng.normal(0, 1.0, (n, 2)) for x, y, n in sources]
    places = np.concatenate(sky)
    n = len(places)
    turned = np.radians(25.0)
    rotation = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
    chip = np.rint(places @ rotation + 512 + rng.uniform(-16, 16, (n, 2)))
    columns = [
        fits.Column("time", "D", array=np.sort(rng.uniform(0, 1e4, n))),
        fits.Column("ccd_id", "I", array=np.full(n, 7)),
        fits.Column("chipx", "I", array=chip[:, 0]),
        fits.Column("chipy", "I", array=chip[:, 1]),
        fits.Column("x", "E", array=places[:, 0] + AXIS),
        fits.Column("y", "E", array=places[:, 1] + AXIS),
        fits.Column("energy", "E", array=rng.uniform(300, 8000, n)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    ra, dec, roll = POINTING
    for number, (kind, value, step) in enumerate((("RA---TAN", ra, -1), ("DEC--TAN", dec, 1)), 5):
        table.header[f"TCTYP{number}"] = kind
        table.header[f"TCRVL{number}"] = value
        table.header[f"TCRPX{number}"] = AXIS
        table.header[f"TCDLT{number}"] = step * PIXEL / 3600
    values = {
        **{"OBS_ID": str(obsid), "OBJECT": "NGC 1", "INSTRUME": "ACIS", "DETNAM": "ACIS-7"},
        **{"GRATING": "NONE", "SIM_Z": -190.14, "OBS_MODE": "POINTING", "READMODE": "TIMED"},
        **{"DTYCYCLE": 0, "DATE-OBS": "2008-10-04T00:44:07", "TSTART": 339468247.4},
        **{"ASCDSVER": "10.9.2", "CALDBVER": "4.9.4", "EXPOSURE": 9000.0, "TIMEDEL": 3.0},
        **{"SEQ_NUM": "400991", "TITLE": "A study", "OBSERVER": "A. Person"},
    }
    for kind in ("PNT", "NOM"):
        values |= {f"RA_{kind}": ra, f"DEC_{kind}": dec, f"ROLL_{kind}": roll}
    for name, value in (
        values | {k.upper().replace("__", "-"): v for k, v in header.items()}
    ).items():
        table.header[name] = value
    return packed(fits.HDUList([fits.PrimaryHDU(), table]))


def packed(hdus: Any) -> bytes:
    """HDUs as a gzip file."""
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


def place_events(workdir: Path, obsid: int = 8007, **options: Any) -> Path:
    """An event list where an observation expects it."""
    path = workdir / f"obs{obsid // 1000:02d}" / str(obsid) / "primary"
    path.mkdir(parents=True)
    path /= f"acisf{obsid:05d}N002_evt2.fits.gz"
    path.write_bytes(event_list(obsid, **options))
    return path


def source_list(path: Path, **columns: Any) -> None:
    """A list of sources as a program of CIAO writes it."""
    table = {
        "RA": [150.001, 150.01],
        "DEC": [2.001, 2.0],
        "X": [4100.0, 4000.0],
        "Y": [4110.0, 4096.0],
        "NET_COUNTS": [30.0, 40.0],
        "SNR": [4.5, 5.5],
        "PSFRATIO": [1.0, 2.0],
        "COMPONENT": [1, 2],
        "R": [[2.0, 3.0], [4.0, 1.0]],
    } | columns
    hdu = fits.BinTableHDU(Table({k: v for k, v in table.items() if v is not None}))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
