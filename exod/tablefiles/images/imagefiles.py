"""FITS files of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from astropy.io import fits

from exod.counts.frameimages import ImageLayer
from exod.files.whole import whole_file

Header = Mapping[str, tuple[str | int | float, str]]
"""Keywords with their value and comment."""


def write_images(
    path: Path,
    layers: Sequence[ImageLayer],
    coordinates: fits.Header,
    header: Header = MappingProxyType({}),
) -> Path:
    """Write images as one FITS file, the first as its primary one, the others as extensions.

    Parameters
    ----------
    path : Path
        The file; it appears whole, and takes the place of one that is there.
    layers : sequence of ImageLayer
        The images; true and false become 1 and 0.
    coordinates : Header
        World coordinates of all of them.
    header : dict
        Further keywords of all of them. What ASCII does not have becomes ``?``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExodError
        If it cannot be written.
    """
    units = fits.HDUList()
    for number, layer in enumerate(layers):
        values = np.asarray(layer.values)
        values = values.astype(np.uint8) if values.dtype == bool else values
        hdu = fits.ImageHDU(values) if number else fits.PrimaryHDU(values)
        hdu.header["EXTNAME"] = layer.name
        hdu.header["CONTENT"] = _ascii(layer.meaning)
        if layer.unit:
            hdu.header["BUNIT"] = layer.unit
        hdu.header.update(coordinates)
        for keyword, (value, comment) in header.items():
            hdu.header[keyword] = (_ascii(value) if isinstance(value, str) else value, comment)
        # The date that astropy would add makes files of equal images differ.
        hdu.add_checksum(when="Checksum of the header and the data unit")
        units.append(hdu)
    with whole_file(path) as temporary:
        units.writeto(temporary)
    return path


def _ascii(text: str) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)
