"""What is known of an exposure as a row of the table depth, and back: all of it, or some tiles.

Cells are in tiles of 16 x 16, so that a question about a place unpacks a few. A tile has two
parts: its images, and its photons.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exod.counts.grid import Box, Grid
from exod.observation.gti import Frames
from exod.observation.livetime import LiveCurve
from exod.schemas.arrays import Floats
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


def depth_row(depth: ExposureDepth, runs: Floats) -> Row:
    """A row of the table depth; `runs` are those of `exod.sensitivity.depth.burstneeds`."""
    plane, box = depth.plane, depth.box
    live = [
        [ccdnr, curve.usual, *piece]
        for ccdnr, curve in sorted(depth.live.items())
        for piece in curve.pieces.tolist()
    ]
    parts = [part for tile in _tiles(box) for part in _packed(depth, tile)]
    return {
        "obsid": depth.obsid,
        "expid": depth.expid,
        "instrument": depth.instrument,
        **dict(zip(("ra_pnt", "dec_pnt", "pa_pnt"), depth.pointing, strict=True)),
        "plane": np.array(list(_numbers(plane))),
        "cells": np.array([depth.grid.n, depth.grid.sky_extent, *_edges(box)]),
        "bands": np.ravel(depth.bands),
        "factor": depth.factor.ravel(),
        "t_lo": depth.frames.t_lo,
        "t_bin": depth.frames.t_bin,
        "level": depth.level.astype(np.float32).ravel(),
        "bad": depth.is_bad,
        "live": np.ravel(live),
        "nodes": depth.nodes.astype(np.float32).ravel(),
        "runs": runs.ravel(),
        "tile_ends": np.cumsum([len(part) for part in parts]),
        "tiles": b"".join(parts),
    }


def _numbers(plane: TangentPlane) -> tuple[float, ...]:
    """The numbers of a projection."""
    return (
        plane.x_ref,
        plane.y_ref,
        plane.ra_ref,
        plane.dec_ref,
        plane.x_delta,
        plane.y_delta,
    )


def depth_of(
    row: Mapping[str, Any], wanted: Box | None = None, *, with_photons: bool = True
) -> ExposureDepth:
    """The exposure of a row, in the tiles that have something of a box, or in all.

    Parameters
    ----------
    row : mapping
        Of the table depth; lists as arrays.
    wanted : Box, optional
        Cells of the whole grid.
    with_photons : bool
        Whether the photons are wanted.
    """
    plane = projection(row)
    n, extent, *edges = (int(value) for value in row["cells"])
    whole = Box(*edges)
    bands = tuple((float(low), float(high)) for low, high in np.reshape(row["bands"], (-1, 2)))
    level = np.asarray(row["level"], float).reshape(len(bands), -1)
    node_shape = tuple(-(-side // NODE_CELLS) for side in whole.shape)
    box, images, photons = _unpacked(
        row, whole, wanted or whole, len(bands), with_photons=with_photons
    )
    return ExposureDepth(
        str(row["obsid"]),
        str(row["expid"]),
        str(row["instrument"]),
        (float(row["ra_pnt"]), float(row["dec_pnt"]), float(row["pa_pnt"])),
        plane,
        Grid(n, extent, plane.pixel_arcsec),
        box,
        bands,
        np.reshape(row["factor"], (len(bands), -1)).astype(float),
        Frames(float(row["t_lo"]), float(row["t_bin"]), level.shape[1]),
        level,
        np.asarray(row["bad"], bool),
        _curves(np.reshape(row["live"], (-1, 5)).astype(float)),
        np.asarray(row["nodes"], float).reshape(2, len(bands), *node_shape),
        whole,
        *images,
        photons,
    )


def projection(row: Mapping[str, Any]) -> TangentPlane:
    """Projection of a row of the table depth; those used last are ready."""
    return _plane(*(float(value) for value in row["plane"]))


@lru_cache(maxsize=1024)
def _plane(*numbers: float) -> TangentPlane:
    return TangentPlane(*numbers)


def _edges(box: Box) -> tuple[int, int, int, int]:
    return box.y_lo, box.y_hi, box.x_lo, box.x_hi


def _curves(rows: Floats) -> dict[int, LiveCurve]:
    return {
        int(ccdnr): LiveCurve(rows[rows[:, 0] == ccdnr, 2:], float(rows[rows[:, 0] == ccdnr, 1][0]))
        for ccdnr in np.unique(rows[:, 0])
    }


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
    return np.frombuffer(content, np.uint8).reshape(4, -1).T.copy().view(dtype).ravel()


Images = tuple[Floats, NDArray[np.uint8], NDArray[np.int64], Floats]


def _unpacked(
    row: Mapping[str, Any], whole: Box, wanted: Box, n_bands: int, *, with_photons: bool
) -> tuple[Box, Images, CellPhotons | None]:
    """The tiles of a box: their box, area, CCD, counts and sources, and photons."""
    tiles = list(_tiles(whole))
    chosen = [
        number
        for number, tile in enumerate(tiles)
        if tile.y_lo < wanted.y_hi
        and wanted.y_lo < tile.y_hi
        and tile.x_lo < wanted.x_hi
        and wanted.x_lo < tile.x_hi
    ]
    if not chosen:
        box = Box(whole.y_lo, whole.y_lo, whole.x_lo, whole.x_lo)
    else:
        first, last = tiles[chosen[0]], tiles[chosen[-1]]
        box = Box(first.y_lo, last.y_hi, first.x_lo, last.x_hi)
    area, ccd = np.zeros(box.shape), np.zeros(box.shape, np.uint8)
    n, constant = np.zeros((n_bands, *box.shape), np.int64), np.zeros((n_bands, *box.shape))
    ends = np.concatenate([[0], np.asarray(row["tile_ends"], np.int64)])
    content, photons, has_photons = row["tiles"], [], False
    for number in chosen:
        images, own = (
            content[ends[2 * number + part] : ends[2 * number + part + 1]] for part in (0, 1)
        )
        if not images:
            continue
        tile = tiles[number]
        place = tile.shifted(-box.y_lo, -box.x_lo).slices
        raw, size = zlib.decompress(images), tile.size
        area[place] = np.frombuffer(raw, np.uint8, size).reshape(tile.shape) / AREA_STEPS
        ccd[place] = np.frombuffer(raw, np.uint8, size, size).reshape(tile.shape)
        middle = 2 * size + 4 * n_bands * size
        shape = (n_bands, *tile.shape)
        n[(..., *place)] = _of_planes(raw[2 * size : middle], "<u4").reshape(shape)
        constant[(..., *place)] = _of_planes(raw[middle:], "<f4").reshape(shape)
        has_photons |= bool(own)
        if with_photons and own:
            cells = np.arange(box.size).reshape(box.shape)[place].ravel()
            photons.append((cells, *_photons_of(zlib.decompress(own), size)))
    kept = _joined(photons, box) if with_photons and (has_photons or not chosen) else None
    return box, (area, ccd, n, constant), kept


def _photons_of(
    raw: bytes, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Counts of each cell, times and kinds."""
    counts = _of_planes(raw[: 4 * size], "<u4").astype(np.int64)
    total = int(counts.sum())
    step = _of_planes(raw[4 * size : 4 * size + 4 * total], "<u4").astype(np.int64)
    kind = np.frombuffer(raw, np.uint8, total, 4 * size + 4 * total)
    sums = np.cumsum(step)
    before = np.concatenate([[0], sums])[np.cumsum(counts) - counts]
    return counts, sums - np.repeat(before, counts), kind


def _joined(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Any]], box: Box
) -> CellPhotons:
    """The photons of tiles in order of the cells of the box."""
    none = np.empty(0, np.int64)
    cells, counts, ticks, kinds = (
        np.concatenate([none, *values])
        for values in (zip(*parts, strict=True) if parts else ((), (), (), ()))
    )
    of_cell = np.zeros(box.size, np.int64)
    of_cell[cells] = counts
    first = np.concatenate([[0], np.cumsum(of_cell)])
    order = np.argsort(np.repeat(cells, counts), kind="stable")
    return CellPhotons(first, ticks[order], kinds[order].astype(np.uint8))
