"""Multi-order coverage maps: areas of the sky as HEALPix pixels of several orders, in FITS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from exod.files.whole import whole_file


def uniq_pixels(pixels: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """Pixels of one order as the largest that they fill, in the scheme NUNIQ, sorted.

    Parameters
    ----------
    pixels : ndarray of int64
        Pixels of `order`, nested.
    order : int
        Their order.

    Examples
    --------
    >>> uniq_pixels(np.array([4, 5, 6, 7, 9]), 1).tolist()
    [5, 25]
    """
    found = []
    pixels = np.unique(pixels)
    for own in range(order, 0, -1):
        parent, n = np.unique(pixels // 4, return_counts=True)
        rest = ~np.isin(pixels // 4, parent[n == 4])
        found.append(pixels[rest] + 4 * 4**own)
        pixels = parent[n == 4]
    return np.sort(np.concatenate([*found, pixels + 4]))


def write_moc(
    path: Path, pixels: NDArray[np.int64], order: int, *, overwrite: bool = False
) -> None:
    """Write an area of the sky as a MOC (IVOA Recommendation MOC 2.0, section 4.3).

    Parameters
    ----------
    path : Path
        The file.
    pixels : ndarray of int64
        HEALPix pixels of the area, nested, in celestial coordinates (ICRS).
    order : int
        Their order.
    overwrite : bool
        Whether a file of this name may be replaced.

    Raises
    ------
    FileExistsError
        If it may not.
    ExodError
        If it cannot be written.
    """
    uniq = uniq_pixels(pixels, order)
    hdu = fits.BinTableHDU.from_columns([fits.Column("UNIQ", "1K", array=uniq)], name="MOC")
    keywords = {
        "MOCVERS": ("2.0", "Version of the standard"),
        "MOCDIM": ("SPACE", "What is covered"),
        "PIXTYPE": ("HEALPIX", "Pixels of the sky"),
        "ORDERING": ("NUNIQ", "Order and pixel in one number"),
        "COORDSYS": ("C", "ICRS"),
        "MOCORD_S": (order, "Finest order"),
        "MOCORDER": (order, "The same, as MOC 1.1 says it"),
        "MOCTOOL": ("exod", "Program"),
    }
    for keyword, value in keywords.items():
        hdu.header[keyword] = value
    hdu.add_checksum(when="Checksum of the header and the data unit")
    with whole_file(path, overwrite=overwrite) as temporary:
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(temporary)
