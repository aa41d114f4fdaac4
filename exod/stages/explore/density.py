"""How many sources there are where: a HiPS, whose tiles a viewer of the sky lays over images.

Tiles have the layout of the IVOA's HiPS 1.0, with the nested pixels of `CELL_ORDERS` more orders in
a tile: the row of an image is x, the column y of the pixel in the tile, whose bits are interleaved
in its number. A colour is the logarithm of a count, on the scale of all tiles of an order; where
there are none a tile is transparent.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from exod.schemas.columns import Column, Table

TILE_ORDER: Final = 3
"""The finest order of tiles."""

CELL_ORDERS: Final = 6
"""A tile has two to this power squared cells."""

DENSITY_ORDER: Final = TILE_ORDER + CELL_ORDERS
"""Of the pixels that are counted."""

CELLS: Final = 1 << CELL_ORDERS
WIDTH: Final = 512
"""Of a tile, in pixels of its image."""

DENSITY_ROWS: Final = 1_024
"""Rows of a row group: all are read together."""

LEVELS: Final = 15

_OVERVIEW: Final = f"Norder{TILE_ORDER}/Allsky.png"

PALETTE: Final = bytes.fromhex(
    "000000 00224e 042b6b 1f3a6e 394a6c 4b586d 5b676e 6c7672 7d8478"
    "8e9378 a1a376 b4b371 c8c468 dcd55b f0e74c feee3c".replace(" ", "")
)
"""Cividis in so many steps; the first is transparent."""

DENSITY: Final = Table(
    "sky",
    "How many sources there are where: tiles of a HiPS, whose images pages make",
    (
        Column("path", pa.string(), "", "Where a tile is in the folder of the HiPS"),
        Column(
            "cells", pa.binary(), "", "Colours, a byte a cell; without a row a tile is transparent"
        ),
    ),
    (),
)


class Density:
    """Counts of pixels, gathered from rows in the order of the pixels or in any other."""

    def __init__(self) -> None:
        self._counts = np.zeros(12 << 2 * DENSITY_ORDER, np.int32)

    def add(self, pixels: NDArray[np.int64]) -> None:
        """Count rows by their pixels of `DENSITY_ORDER`."""
        found, counts = np.unique(pixels, return_counts=True)
        self._counts[found] += counts.astype(np.int32)

    def rows(self) -> Iterator[pa.Table]:
        """Rows of `DENSITY`: all tiles that are not empty."""
        counts = self._counts
        for order in range(TILE_ORDER, -1, -1):
            used, tiles = tiles_of(counts)
            colours = levels(tiles, int(tiles.max(initial=0)))
            paths = [tile_path(order, number) for number in used.tolist()]
            cells = [one.tobytes() for one in colours]
            yield pa.table([paths, cells], schema=DENSITY.schema)
            counts = counts.reshape(-1, 4).sum(axis=1)


def tiles_of(counts: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
    """Counts of the cells of all tiles that are not empty.

    Parameters
    ----------
    counts : integer array, shape (n_tiles * 4096,)
        Counts of pixels, nested.

    Returns
    -------
    numbers : int64 array, shape (n,)
        Of the tiles, ascending.
    cells : integer array, shape (n, 64, 64)
        In order of the tile, x and y.
    """
    cells = counts.reshape(-1, CELLS**2)
    used = np.flatnonzero(cells.any(axis=1))
    bits, places = np.arange(CELLS), np.arange(CELL_ORDERS)
    spread = (((bits[:, None] >> places) & 1) << 2 * places).sum(axis=1)
    return used, cells[used][:, spread[:, None] + 2 * spread[None, :]]


def levels(counts: NDArray[np.integer], largest: int) -> NDArray[np.uint8]:
    """Colours of counts: 0 of none, 1 of one, `LEVELS` of the largest.

    Examples
    --------
    >>> levels(np.array([0, 1, 10, 100]), 100)
    array([ 0,  1,  8, 15], dtype=uint8)
    """
    scale = (LEVELS - 1) / np.log(largest) if largest > 1 else 0.0
    found = 1 + np.round(scale * np.log(np.maximum(counts, 1)))
    return np.where(counts > 0, found, 0).astype(np.uint8)


def image(cells: NDArray[np.uint8], size: int = WIDTH // CELLS) -> bytes:
    """A PNG in which each cell has `size` squared pixels.

    Parameters
    ----------
    cells : uint8 array, shape (rows, columns)
        Numbers of colours in `PALETTE`; `size` times columns is even.
    size : int
        Width of a cell.
    """
    wide = np.repeat(cells, size, axis=1)
    packed = (wide[:, ::2] << 4) | wide[:, 1::2]
    # Each row is told by what is added to the one above it: of a cell all but the first are 0.
    lines = np.zeros((len(cells), size, packed.shape[1] + 1), np.uint8)
    lines[:, :, 0] = 2
    lines[:, 0, 1:] = np.diff(packed, axis=0, prepend=np.zeros((1, packed.shape[1]), np.uint8))
    head = struct.pack(">IIBBBBB", wide.shape[1], len(cells) * size, 4, 3, 0, 0, 0)
    parts = (
        *((b"IHDR", head), (b"PLTE", PALETTE), (b"tRNS", b"\0")),
        *((b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def tile_path(order: int, number: int) -> str:
    """Where a tile is in a HiPS.

    Examples
    --------
    >>> tile_path(3, 700)
    'Norder3/Dir0/Npix700.png'
    """
    return f"Norder{order}/Dir{number // 10_000 * 10_000}/Npix{number}.png"


def density_files(tiles: Iterable[pa.Table], title: str, made: str) -> Mapping[str, bytes]:
    """The files of the HiPS by their place in its folder; an image is made when it is asked for.

    Parameters
    ----------
    tiles : iterable of pyarrow.Table
        Rows of `DENSITY`.
    title, made : str
        Of what, and when: a date of ISO 8601 in UTC.

    Returns
    -------
    dict of str to bytes
        None at all if there is no source.
    """
    cells: dict[str, bytes] = {}
    for rows in tiles:
        cells |= dict(zip(rows["path"].to_pylist(), rows["cells"].to_pylist(), strict=True))
    if not cells:
        return {}
    about = {
        "creator_did": "ivo://exod/density",
        "obs_title": f"Density of sources in {title}",
        "hips_version": "1.4",
        "hips_release_date": made,
        "hips_status": "private master unclonable",
        "hips_frame": "equatorial",
        "hips_order": str(TILE_ORDER),
        "hips_order_min": "0",
        "hips_tile_width": str(WIDTH),
        "hips_tile_format": "png",
        "dataproduct_type": "image",
    }
    text = "".join(f"{name:20} = {' '.join(value.split())}\n" for name, value in about.items())
    return _DensityTiles(text.encode(), cells)


class _DensityTiles(Mapping[str, bytes]):
    def __init__(self, properties: bytes, cells: Mapping[str, bytes]) -> None:
        self._cells = cells
        paths = [tile_path(o, n) for o in range(TILE_ORDER + 1) for n in range(12 << 2 * o)]
        self._makers = {
            "properties": lambda _path: properties,
            _OVERVIEW: lambda _path: image(self._overview(), 1),
            **dict.fromkeys(paths, self._tile),
        }

    def __getitem__(self, path: str) -> bytes:
        return self._makers[path](path)

    def __contains__(self, path: object) -> bool:
        return path in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def _tile(self, path: str) -> bytes:
        empty = bytes(CELLS**2)
        found = np.frombuffer(self._cells.get(path, empty), np.uint8)
        return image(found.reshape(CELLS, CELLS))

    def _overview(self) -> NDArray[np.uint8]:
        every = [tile_path(TILE_ORDER, number) for number in range(12 << 2 * TILE_ORDER)]
        used = np.flatnonzero([path in self._cells for path in every])
        tiles = b"".join(self._cells[every[number]] for number in used)
        return _overview(used, np.frombuffer(tiles, np.uint8).reshape(-1, CELLS, CELLS))


def _overview(numbers: NDArray[np.int64], tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """All tiles in one image, 27 of them in a row, as HiPS has it."""
    every = 12 << 2 * TILE_ORDER
    across = int(np.sqrt(every))
    down = -(-every // across)
    found = np.zeros((down * across, CELLS, CELLS), np.uint8)
    found[numbers] = tiles
    whole = found.reshape(down, across, CELLS, CELLS).swapaxes(1, 2)
    return np.ascontiguousarray(whole.reshape(down * CELLS, across * CELLS))


def _chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check
