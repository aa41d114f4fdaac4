"""What is known of an exposure as a row of the table depth, and back: all of it, or some tiles.

Cells are in tiles of 16 x 16, so that a question about a place unpacks a few. Images and photons
of the tiles are columns of their own, and all that is small is packed into a third: a question
reads two or three values, which takes a tenth of the time that a column for each number takes.
"""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from operator import mul
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exod.counts.grid import Box, Grid
from exod.observation.gti import Frames
from exod.observation.livetime import LiveCurve
from exod.schemas.arrays import Floats, Integers
from exod.sensitivity.depth.depthmaps import (
    AREA_STEPS,
    NODE_CELLS,
    CellPhotons,
    ExposureDepth,
)
from exod.sky.plane import TangentPlane

TILE: Final = 16
"""Cells along the side of a tile."""

Row = dict[str, Any]
Content = tuple[tuple[slice, slice], bytes]
"""Place of a tile in a box, and what is packed of it."""


_HEAD: Final = {
    "plane": "<f8",
    "cells": "<i4",
    "bands": "<f8",
    "factor": "<f8",
    "frames": "<f8",
    "level": "<f4",
    "bad": "?",
    "live": "<f8",
    "nodes": "<f4",
    "runs": "<f8",
    "image_ends": "<i4",
    "photon_ends": "<i4",
    "pointing": "<f8",
    "names": "u1",
    "totals": "<f8",
}
"""What the packed head of an exposure has, in this order: the projection; cells of the grid, its
sky pixels, and y_lo, y_hi, x_lo, x_hi of the box; ends of the bands in keV; `ExposureDepth.factor`;
t_lo and t_bin of the frames of the level; the level and its bad frames; CCD, usual live share,
start, stop and live share of each live piece; `ExposureDepth.nodes`; the runs; where the tiles
end in the two columns; the pointing; obsid, instrument and exposure with spaces between; and the
level times the live time of each CCD that was live, by band, in good and in bad time."""

_WIDTHS: Final = tuple(np.dtype(dtype).itemsize for dtype in _HEAD.values())

_VERSIONS: Final = (len(_HEAD), len(_HEAD) - 1, len(_HEAD) - 3)
"""Parts of this and of earlier versions: without the totals, which are worked out then, and with
the pointing and the names in columns of the table."""

_NAMES: Final = ("obsid", "instrument", "expid")
_POINTING: Final = ("ra_pnt", "dec_pnt", "pa_pnt")
COLUMNS_OF_OLD: Final = (*_NAMES, *_POINTING)
"""What is to be read besides where `head_of` finds no ``names``."""


def depth_row(depth: ExposureDepth, runs: Floats) -> Row:
    """A row of the table depth; `runs` are those of `exod.sensitivity.depth.burstneeds`."""
    plane, box = depth.plane, depth.box
    live = [
        [ccdnr, curve.usual, *piece]
        for ccdnr, curve in sorted(depth.live.items())
        for piece in curve.pieces.tolist()
    ]
    images, photons = zip(*(_packed(depth, tile) for tile in _tiles(box)), strict=True)
    head = {
        "plane": dataclasses.astuple(plane),
        "cells": [depth.grid.n, depth.grid.sky_extent, *_edges(box)],
        "bands": depth.bands,
        "factor": depth.factor,
        "frames": [depth.frames.t_lo, depth.frames.t_bin],
        "level": depth.level,
        "bad": depth.is_bad,
        "live": live,
        "nodes": depth.nodes,
        "runs": runs,
        "image_ends": np.cumsum([len(part) for part in images]),
        "photon_ends": np.cumsum([len(part) for part in photons]),
        "pointing": depth.pointing,
        "names": packed_names(depth),
        "totals": [
            [depth.level_total(ccdnr, band) for band in range(len(depth.bands))]
            for ccdnr in sorted(depth.live)
        ],
    }
    return {
        **{name: getattr(depth, name) for name in _NAMES},
        "head": packed_head(head),
        "images": b"".join(images),
        "photons": b"".join(photons),
    }


def packed_head(head: Mapping[str, Any]) -> bytes:
    """The head of a row: how many values each part has, then the parts."""
    parts = [np.asarray(head[name]).astype(dtype).ravel() for name, dtype in _HEAD.items()]
    sizes = np.array([len(part) for part in parts], "<i4")
    return b"".join(part.tobytes() for part in (sizes, *parts))


def packed_names(depth: ExposureDepth) -> NDArray[np.uint8]:
    """The part ``names`` of the head."""
    return np.frombuffer(" ".join(getattr(depth, name) for name in _NAMES).encode(), np.uint8)


def head_of(packed: bytes) -> dict[str, NDArray[Any]]:
    """The parts of the head of a row, each of one dimension; an earlier version has fewer."""
    for count in _VERSIONS:
        if len(packed) < 4 * count:
            continue
        sizes = np.frombuffer(packed, "<i4", count).tolist()
        if 4 * count + sum(map(mul, sizes, _WIDTHS)) == len(packed):
            break
    found, start = {}, 4 * count
    for (name, dtype), size, width in zip(_HEAD.items(), sizes, _WIDTHS, strict=False):
        found[name] = np.frombuffer(packed, dtype, size, start)
        start += size * width
    return found


def identity_of(head: Mapping[str, NDArray[Any]]) -> Row:
    """The columns of a row that its head has as well."""
    names = head["names"].tobytes().decode().split(" ")
    return dict(zip(COLUMNS_OF_OLD, (*names, *head["pointing"].tolist()), strict=True))


def depth_of(
    row: Mapping[str, Any],
    wanted: Box | None = None,
    *,
    band: int | None = None,
    with_photons: bool = True,
) -> ExposureDepth:
    """The exposure of a row, in the tiles that have something of a box, or in all.

    Parameters
    ----------
    row : mapping
        Of the table depth; its head may be unpacked already, see `head_of`.
    wanted : Box, optional
        Cells of the whole grid.
    band : int, optional
        The only one that is wanted, which takes less time than all of them.
    with_photons : bool
        Whether the photons are wanted.
    """
    head = row["head"] if isinstance(row["head"], dict) else head_of(row["head"])
    identity = identity_of(head) if "names" in head else row
    plane = projection(head)
    n, extent, *edges = head["cells"].tolist()
    whole = Box(*edges)
    bands = head["bands"].reshape(-1, 2)
    n_bands, own = len(bands), slice(None) if band is None else slice(band, band + 1)
    level = head["level"].reshape(n_bands, -1)[own].astype(float)
    node_shape = tuple(-(-side // NODE_CELLS) for side in whole.shape)
    chosen, box = _chosen_tiles(whole, wanted or whole)
    images = _images_of(row["images"], head["image_ends"], chosen, box, (n_bands, own))
    photons = None
    if with_photons and len(row["photons"]):
        photons = _photons_of(row["photons"], head["photon_ends"], chosen, box, band)
    t_lo, t_bin = head["frames"].tolist()
    pieces = head["live"].reshape(-1, 5)
    live = LiveRows(pieces)
    totals = head["totals"].reshape(-1, n_bands, 2)[:, own] if "totals" in head else ()
    return ExposureDepth(
        identity["obsid"],
        identity["expid"],
        identity["instrument"],
        (identity["ra_pnt"], identity["dec_pnt"], identity["pa_pnt"]),
        (float(pieces[:, 2].min()), float(pieces[:, 3].max())),
        plane,
        Grid(n, extent, plane.pixel_arcsec),
        box,
        tuple(map(tuple, bands[own].tolist())),
        head["factor"].reshape(n_bands, -1)[own],
        Frames(t_lo, t_bin, level.shape[1]),
        level,
        head["bad"],
        live,
        head["nodes"].reshape(2, n_bands, *node_shape)[:, own].astype(float),
        whole,
        *images,
        photons,
        dict(zip(live, totals, strict=False)),
    )


def projection(head: Mapping[str, Any]) -> TangentPlane:
    """Projection of an exposure by its head; those used last are ready."""
    return _plane(*head["plane"].tolist())


@lru_cache(maxsize=1024)
def _plane(*numbers: float) -> TangentPlane:
    return TangentPlane(*numbers)


def _edges(box: Box) -> tuple[int, int, int, int]:
    return box.y_lo, box.y_hi, box.x_lo, box.x_hi


class LiveRows(Mapping[int, LiveCurve]):
    """When the CCDs were live, by rows of the part ``live`` of a head; a curve is made if asked.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, 5)
        CCD, usual live share, start, stop and live share, in this order.
    """

    def __init__(self, rows: Floats) -> None:
        ccdnr = rows[:, 0].astype(int).tolist()
        first = [i for i, number in enumerate(ccdnr) if not i or number != ccdnr[i - 1]]
        ends = itertools.pairwise([*first, len(ccdnr)])
        self._rows, self._curves = rows, dict[int, LiveCurve]()
        self._own = {ccdnr[start]: slice(start, stop) for start, stop in ends}

    def __getitem__(self, ccdnr: int) -> LiveCurve:
        """The curve of a CCD."""
        if ccdnr not in self._curves:
            own = self._rows[self._own[ccdnr]]
            self._curves[ccdnr] = LiveCurve(own[:, 2:], float(own[0, 1]))
        return self._curves[ccdnr]

    def __contains__(self, ccdnr: object) -> bool:
        """Whether a CCD was live; no curve is made of it."""
        return ccdnr in self._own

    def __iter__(self) -> Iterator[int]:
        """The CCDs in order."""
        return iter(self._own)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._own)


# -------------------------------------------------------------------- tiles


def _tiles(box: Box) -> Iterator[Box]:
    """The tiles of a box, in order of y, then x."""
    for y in range(box.y_lo, box.y_hi, TILE):
        for x in range(box.x_lo, box.x_hi, TILE):
            yield Box(y, min(y + TILE, box.y_hi), x, min(x + TILE, box.x_hi))


def _packed(depth: ExposureDepth, tile: Box) -> tuple[bytes, bytes]:
    """Images of a tile, and its photons; no bytes for none."""
    own = tile.shifted(-depth.box.y_lo, -depth.box.x_lo).slices
    area = np.rint(depth.area[own] * AREA_STEPS).astype(np.uint8)
    n, constant = depth.n[(..., *own)], depth.constant[(..., *own)].astype("<f4")
    if not (area.any() or n.any()):
        return b"", b""
    planes = (_planes(n.astype("<u4")), _planes(constant))
    images = b"".join((area.tobytes(), depth.ccd[own].tobytes(), *planes))
    if depth.photons is None:
        return zlib.compress(images), b""
    cells = np.arange(depth.box.size).reshape(depth.box.shape)[own].ravel()
    first, stop = depth.photons.first[cells], depth.photons.first[cells + 1]
    counts = stop - first
    index = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    ticks = depth.photons.tick[index]
    step = np.diff(ticks, prepend=0)
    starts = (np.cumsum(counts) - counts)[counts > 0]
    step[starts] = ticks[starts]
    kinds = depth.photons.kind[index]
    parts = (_planes(counts.astype("<u4")), _planes(step.astype("<u4")), kinds.tobytes())
    return zlib.compress(images), zlib.compress(b"".join(parts))


def _planes(values: NDArray[Any]) -> bytes:
    """First all lowest bytes, then the next ones: so they compress."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1, 4).T.tobytes()


def _of_planes(content: bytes, dtype: str) -> NDArray[Any]:
    return _joined_planes(np.frombuffer(content, np.uint8).reshape(4, -1), dtype)


def _joined_planes(planes: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    """Numbers of planes of their bytes, shape (4, n)."""
    return planes.T.copy().view(dtype).ravel()


Images = tuple[Floats, NDArray[np.uint8], NDArray[np.int64], Floats]
Tiles = list[tuple[int, Box]]
"""Tiles of a box by their number."""


def _chosen_tiles(whole: Box, wanted: Box) -> tuple[Tiles, Box]:
    """The tiles that have something of a box, and the box of these."""
    y_lo, y_hi, x_lo, x_hi = (
        min(max(edge, low), high)
        for edge, low, high in (
            ((wanted.y_lo - whole.y_lo) // TILE, 0, -(-whole.shape[0] // TILE)),
            (-((whole.y_lo - wanted.y_hi) // TILE), 0, -(-whole.shape[0] // TILE)),
            ((wanted.x_lo - whole.x_lo) // TILE, 0, -(-whole.shape[1] // TILE)),
            (-((whole.x_lo - wanted.x_hi) // TILE), 0, -(-whole.shape[1] // TILE)),
        )
    )
    if y_hi <= y_lo or x_hi <= x_lo:
        return [], Box(whole.y_lo, whole.y_lo, whole.x_lo, whole.x_lo)
    box = Box(
        whole.y_lo + TILE * y_lo,
        min(whole.y_lo + TILE * y_hi, whole.y_hi),
        whole.x_lo + TILE * x_lo,
        min(whole.x_lo + TILE * x_hi, whole.x_hi),
    )
    across = -(-whole.shape[1] // TILE)
    numbers = (y * across + x for y in range(y_lo, y_hi) for x in range(x_lo, x_hi))
    return list(zip(numbers, _tiles(box), strict=True)), box


def _contents(content: bytes, ends: Integers, tiles: Tiles, box: Box) -> Iterator[Content]:
    """What is packed of the tiles that have something: their place in the box, and the bytes."""
    for number, tile in tiles:
        start, stop = int(ends[number - 1]) if number else 0, int(ends[number])
        if stop > start:
            place = tile.shifted(-box.y_lo, -box.x_lo).slices
            yield place, zlib.decompress(content[start:stop])


def _images_of(
    content: bytes, ends: Integers, tiles: Tiles, box: Box, bands: tuple[int, slice]
) -> Images:
    """Area, CCD, counts and sources of the box of tiles.

    Of so many bands, some are wanted.
    """
    n_bands, wanted = bands
    n_wanted = len(range(n_bands)[wanted])
    area, ccd = np.zeros(box.shape), np.zeros(box.shape, np.uint8)
    n, constant = np.zeros((n_wanted, *box.shape), np.int64), np.zeros((n_wanted, *box.shape))
    for place, raw in _contents(content, ends, tiles, box):
        values = np.frombuffer(raw, np.uint8).reshape(2 + 8 * n_bands, *area[place].shape)
        area[place], ccd[place] = values[0] / AREA_STEPS, values[1]
        planes = values[2:].reshape(2, 4, n_bands, -1)[:, :, wanted].reshape(2, 4, -1)
        shape = n_wanted, *values.shape[1:]
        n[(..., *place)] = _joined_planes(planes[0], "<u4").reshape(shape)
        constant[(..., *place)] = _joined_planes(planes[1], "<f4").reshape(shape)
    return area, ccd, n, constant


def _photons_of(
    content: bytes, ends: Integers, tiles: Tiles, box: Box, band: int | None
) -> CellPhotons:
    """The photons of the box of tiles, in order of its cells; `band` is the first, if given."""
    index = np.arange(box.size).reshape(box.shape)
    parts = [
        (index[place].ravel(), *_tile_photons(raw, index[place].size))
        for place, raw in _contents(content, ends, tiles, box)
    ]
    none = np.empty(0, np.int64)
    cells, counts, ticks, kinds = (
        np.concatenate([none, *values])
        for values in (zip(*parts, strict=True) if parts else ((), (), (), ()))
    )
    of_cell = np.zeros(box.size, np.int64)
    of_cell[cells] = counts
    first = np.concatenate([[0], np.cumsum(of_cell)])
    order = np.argsort(np.repeat(cells, counts), kind="stable")
    kinds = kinds[order] if band is None else kinds[order] >> band & 1
    return CellPhotons(first, ticks[order], kinds.astype(np.uint8))


def _tile_photons(raw: bytes, size: int) -> tuple[Integers, Integers, NDArray[np.uint8]]:
    """Counts of each cell, times and kinds."""
    counts = _of_planes(raw[: 4 * size], "<u4").astype(np.int64)
    total = int(counts.sum())
    step = _of_planes(raw[4 * size : 4 * size + 4 * total], "<u4").astype(np.int64)
    kind = np.frombuffer(raw, np.uint8, total, 4 * size + 4 * total)
    sums = np.cumsum(step)
    before = np.concatenate([[0], sums])[np.cumsum(counts) - counts]
    return counts, sums - np.repeat(before, counts), kind
