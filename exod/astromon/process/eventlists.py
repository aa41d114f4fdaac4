"""Event lists of Chandra as arrays, and copies of them with fewer events."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from exod.errors import InputError
from exod.files.whole import write_whole
from exod.schemas.arrays import Floats

BROAD_EV: Final = (500.0, 7000.0)
"""The broad band of ACIS."""

_DAMAGE: Final = (OSError, EOFError, KeyError, IndexError, TypeError, ValueError)


@dataclass(frozen=True)
class ChandraEvents:
    """Events and where they are on the sky.

    Attributes
    ----------
    sky : ndarray, shape (n, 2)
        Sky pixels.
    energy : ndarray or None
        eV; None for HRC and lists without it.
    chip : ndarray or None
        Columns and rows on the CCD, shape (n, 2).
    ccd : ndarray or None
        Number of the CCD.
    header : astropy.io.fits.Header
        Of the events.
    projection : astropy.wcs.WCS
        From sky pixels, the first of which is 1, to right ascension and declination.
    """

    sky: Floats
    energy: Floats | None
    chip: Floats | None
    ccd: NDArray[np.int64] | None
    header: Any
    projection: Any

    def __len__(self) -> int:
        return len(self.sky)

    @property
    def in_band(self) -> NDArray[np.bool_]:
        """Which events are in the band of the images."""
        if self.energy is None:
            return np.ones(len(self), bool)
        return (self.energy >= BROAD_EV[0]) & (self.energy <= BROAD_EV[1])

    @property
    def pixel_arcsec(self) -> float:
        """Size of a sky pixel."""
        return float(abs(self.projection.wcs.cdelt[1]) * 3600.0)

    @property
    def axis(self) -> tuple[float, float]:
        """Where the pointing is, sky pixels."""
        pointing = [[float(self.header[name]) for name in ("RA_PNT", "DEC_PNT")]]
        x, y = self.projection.wcs_world2pix(pointing, 1)[0]
        return float(x), float(y)

    def radec(self, sky: Floats) -> Floats:
        """Right ascension and declination in degrees, shape (n, 2), of sky pixels."""
        if not len(sky):
            return np.zeros((0, 2))
        return np.asarray(self.projection.wcs_pix2world(sky, 1), float)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with fits.open(path, memmap=False) as hdus:
            yield hdus
    except _DAMAGE as error:
        raise InputError(
            f"{path} cannot be read as an event list ({error}); download it again."
        ) from error


def read_events(path: Path) -> ChandraEvents:
    """Read an event list.

    Raises
    ------
    InputError
        If it is damaged, or lacks what is needed.
    """
    with _opened(path) as hdus:
        header, data = hdus["EVENTS"].header, hdus["EVENTS"].data
        names = {name.lower() for name in data.columns.names}
        if missing := {"x", "y"} - names:
            raise InputError(f"{path} has no column {', '.join(sorted(missing))}.")
        has_chip = {"chipx", "chipy", "ccd_id"} <= names
        events = ChandraEvents(
            sky=np.column_stack([data["x"], data["y"]]).astype(float),
            energy=np.asarray(data["energy"], float) if "energy" in names else None,
            chip=np.column_stack([data["chipx"], data["chipy"]]).astype(float)
            if has_chip
            else None,
            ccd=np.asarray(data["ccd_id"], np.int64) if has_chip else None,
            header=header,
            projection=_projection(header),
        )
        if not all(np.isfinite(events.axis)):
            raise ValueError("its pointing is no direction")
        return events


def _projection(header: Any) -> Any:
    """The projection of the columns x and y."""
    numbers = {str(header[f"TTYPE{i}"]).strip().lower(): i for i in range(1, header["TFIELDS"] + 1)}
    columns = [numbers[name] for name in ("x", "y")]
    projection = WCS(naxis=2)
    projection.wcs.ctype = [header[f"TCTYP{i}"] for i in columns]
    projection.wcs.crval = [header[f"TCRVL{i}"] for i in columns]
    projection.wcs.crpix = [header[f"TCRPX{i}"] for i in columns]
    projection.wcs.cdelt = [header[f"TCDLT{i}"] for i in columns]
    projection.wcs.set()
    return projection


def write_chosen(path: Path, target: Path, chosen: NDArray[np.bool_]) -> None:
    """Write an event list with some of its events, everything else as it is.

    Raises
    ------
    InputError
        If the list cannot be read.
    """
    buffer = BytesIO()
    with _opened(path) as hdus:
        hdus["EVENTS"].data = hdus["EVENTS"].data[chosen]
        hdus.writeto(buffer, output_verify="silentfix")
    content = buffer.getvalue()
    packed = gzip.compress(content, compresslevel=4, mtime=0) if target.suffix == ".gz" else content
    write_whole(target, packed, error=InputError)
