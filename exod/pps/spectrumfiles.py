"""Spectra as files: those of the pipeline and ours, with area and light curves beside them.

References
----------
Arnaud, George & Tennant 1992 (OGIP/92-007, spectra); George et al. 1992 (CAL/GEN/92-002, areas).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

from exod.errors import InputError
from exod.files.storage import one_line
from exod.files.whole import whole_file
from exod.schemas.arrays import Floats

Keywords = Mapping[str, tuple[str | int | float | bool, str]]
"""Keywords with their value and comment."""

_SHAPE_COLUMNS: Final = (("SHAPE", "16A"), ("X", "E"), ("Y", "E"), ("R", "2E"), ("ROTANG", "E"))

_REGION: Final[Keywords] = MappingProxyType(
    {
        "EXTNAME": ("REGION", "The name of this table"),
        "HDUVERS": ("1.0.0", ""),
        "HDUCLASS": ("ASC", ""),
        "HDUCLAS1": ("REGION", ""),
        "HDUCLAS2": ("STANDARD", ""),
        "MTYPE1": ("pos", ""),
        "MFORM1": ("X,Y", ""),
    }
)
_GTI: Final[Keywords] = MappingProxyType(
    {
        "EXTNAME": ("STDGTI", "The name of this table"),
        "HDUCLASS": ("OGIP", "Format conforms to OGIP standard"),
        "HDUCLAS1": ("GTI", "Table contains good time intervals"),
        "HDUCLAS2": ("STANDARD", "Standard good time intervals"),
    }
)
_STANDARD: Final[Keywords] = MappingProxyType(
    {
        "EXTNAME": ("SPECTRUM", "The name of this table"),
        "HDUCLASS": ("OGIP", "Format conforms to OGIP/GSFC conventions"),
        "HDUCLAS1": ("SPECTRUM", "File contains a spectrum"),
        "HDUCLAS2": ("TOTAL", "File contains gross counts"),
        "HDUCLAS3": ("COUNT", "SpectrumFile is stored as counts"),
        "HDUCLAS4": ("TYPE:I", "One spectrum"),
        "HDUVERS": ("1.2.1", "Version of format"),
        "HDUVERS1": ("1.1.0", "Version of format"),
        "PHAVERSN": ("1992a", "Version of format"),
        "AREASCAL": (1.0, "Nominal scaling factor for data"),
        "CORRSCAL": (1.0, "Nominal scaling factor for correction file"),
        "CORRFILE": ("NONE", "Correction file"),
        "POISSERR": (True, "Poisson errors appropriate"),
        "SYS_ERR": (0, "Global systematic error"),
        "CHANTYPE": ("PI", "Type of channel data"),
        "SPECPIX": (0, "The rebinned channel of SPECVAL"),
    }
)


@dataclass(frozen=True)
class SpectrumFile:
    """A spectrum as it is in a file.

    Attributes
    ----------
    counts : ndarray of int64, shape (n_channels,)
        Counts by channel, from 0 on.
    grouping, quality : ndarray of int64, shape (n_channels,), or None
        As OGIP/92-007 has them; None if the whole spectrum is good and not grouped.
    header : dict
        Further keywords of the spectrum; EXPOSURE and BACKSCAL have to be among them.
    shapes : sequence of (str, float, float, float, float)
        SHAPE, X, Y, two sizes: where its events are from.
    good_times : ndarray of float64, shape (n, 2)
        When they are from, mission elapsed seconds.
    """

    counts: NDArray[np.int64]
    grouping: NDArray[np.int64] | None
    quality: NDArray[np.int64] | None
    header: Keywords
    shapes: Sequence[tuple[str, float, float, float, float]]
    good_times: Floats


def write_spectrum(
    path: Path, spectrum: SpectrumFile, shared: Keywords, *, overwrite: bool
) -> Path:
    """Write a spectrum as a PHA file of type I, with REGION and STDGTI beside it.

    Parameters
    ----------
    path : Path
        The file.
    spectrum : SpectrumFile
        The spectrum.
    shared : dict
        Keywords of all parts.
    overwrite : bool
        Whether it may take the place of another file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExodError, FileExistsError
        If it cannot be written.
    """
    n = len(spectrum.counts)
    columns = [
        fits.Column("CHANNEL", "I", array=np.arange(n)),
        fits.Column("COUNTS", "J", "count", array=spectrum.counts),
    ]
    about: dict[str, Any] = {
        **_STANDARD,
        **spectrum.header,
        "DETCHANS": (n, "Total number of detector channels available"),
        "TLMIN1": (0, "First channel"),
        "TLMAX1": (n - 1, "Last channel"),
    }
    for name, values in (("GROUPING", spectrum.grouping), ("QUALITY", spectrum.quality)):
        if values is None:
            about[name] = (0, "No grouping" if name == "GROUPING" else "All channels are good")
        else:
            columns.append(fits.Column(name, "I", array=values))
    shapes = [(name, x, y, (one, other), 0.0) for name, x, y, one, other in spectrum.shapes]
    arrays = list(zip(*shapes, strict=True))
    places = [
        fits.Column(name, form, array=np.array(values))
        for (name, form), values in zip(_SHAPE_COLUMNS, arrays, strict=True)
    ]
    times = [
        fits.Column(name, "D", "s", array=values)
        for name, values in zip(("START", "STOP"), spectrum.good_times.T, strict=True)
    ]
    parts: list[Any] = [fits.PrimaryHDU()]
    parts += [_table(columns, about), _table(places, _REGION), _table(times, _GTI)]
    for part in parts:
        for keyword, value in shared.items():
            part.header[keyword] = value
        # The date that astropy would add makes equal files differ.
        part.add_checksum(when="Checksum of the header and the data unit")
    with whole_file(path, overwrite=overwrite) as temporary:
        fits.HDUList(parts).writeto(temporary)
    return path


def _table(columns: list[fits.Column], header: Mapping[str, Any]) -> fits.BinTableHDU:
    table = fits.BinTableHDU.from_columns(columns)
    for keyword, value in header.items():
        table.header[keyword] = value
    return table


def read_product(path: Path, extension: str) -> tuple[pd.DataFrame, fits.Header]:
    """A table of a product of a source: its spectrum, area or light curve.

    Parameters
    ----------
    path : Path
        SRSPEC, BGSPEC, SRCARF or SRCTSR of the pipeline, or a spectrum of ours.
    extension : str
        SPECTRUM, SPECRESP or RATE.

    Returns
    -------
    rows : DataFrame
        Its columns, each of one number a row.
    header : Header
        Its header.

    Raises
    ------
    InputError
        If the file cannot be read, or has no such table.
    """
    try:
        with fits.open(path, memmap=False) as file:
            hdu = file[extension]
            rows = {
                name: np.asarray(hdu.data[name]).astype(hdu.data[name].dtype.newbyteorder("="))
                for name in hdu.columns.names
            }
            return pd.DataFrame(rows), hdu.header
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} has no readable table {extension} ({one_line(error)}); fetch it again."
        ) from error
