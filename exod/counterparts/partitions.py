"""Matching with a catalogue that is divided into parts of the sky.

Each source is looked up in every part that its circle touches, whichever part it is in itself, so
that no counterpart is lost at a border, with any radius and without copies of rows at borders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from typing import Final

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from exod.archive.parquet import to_pandas
from exod.counterparts.chance import nearest_of, outer_distances, with_chance
from exod.counterparts.matching import Positions, match_rows, merge
from exod.counterparts.registry import Catalogue
from exod.counterparts.standard import ROW, nothing, positions
from exod.files.ahead import done_ahead
from exod.schemas.arrays import Integers
from exod.sky.healpix import farthest_corner_deg, pixel_centres
from exod.sky.sphere import chord, unit_vectors

_KEPT: Final = 2_000_000
"""Rows whose positions are kept for the second reading: about 250 MB."""


@dataclass(frozen=True)
class Partitions:
    """A catalogue that is divided into HEALPix pixels.

    Attributes
    ----------
    catalogue : Catalogue
        Its declaration, with the columns that it has.
    fingerprint : str
        Of its content and declaration.
    pixels : list of (int, int)
        Order and number (nested) of each part; order -1 is the whole sky.
    read : callable
        Rows of a part; see `exod.counterparts.standard`.
    fastest_arcsec_yr : float
        The largest proper motion of its rows, or more.
    notes : tuple of str
        What the user should know: columns and rows that are left out, or not as expected.
    """

    catalogue: Catalogue
    fingerprint: str
    pixels: list[tuple[int, int]]
    read: Callable[[tuple[int, int]], pd.DataFrame]
    fastest_arcsec_yr: float = 0.0
    notes: tuple[str, ...] = ()


def match_partitions(sources: Positions, parts: Partitions) -> pd.DataFrame:
    """The nearest row of each source in a divided catalogue.

    Parameters
    ----------
    sources : Positions
        Finite positions.
    parts : Partitions
        The catalogue.

    Returns
    -------
    DataFrame
        As of `exod.counterparts.matching.match_rows` and `with_chance`, with the columns of the
        catalogue.
    """
    catalogue = parts.catalogue
    radius = catalogue.radius_arcsec
    kept = catalogue.kept
    # Stars that move far may have left the part that they are in.
    blocks = [_none(parts)]
    read: dict[tuple[int, int], Positions] = {}
    touched = touched_parts(sources, parts.pixels, radius + farthest_moved(sources, parts))
    for pixel, near, rows in read_ahead(parts, touched):
        there = positions(rows, catalogue)
        if sum(map(len, read.values())) + len(there) <= _KEPT:
            read[pixel] = there
        found = match_rows(sources.take(near), there, radius)
        values = rows[[ROW, *kept]].iloc[found["row"]].reset_index(drop=True)
        found = found.assign(source=near[found["source"]]).drop(columns="row")
        blocks.append(pd.concat([found, values], axis=1))
    best = merge([block for block in blocks if len(block)] or blocks[:1], tie=ROW)
    matched = sources.take(best["source"].to_numpy(np.int64))
    outer = np.full((len(best), catalogue.neighbours), np.inf)
    reach = catalogue.density_radius_arcsec
    for pixel, near in touched_parts(matched, parts.pixels, reach):
        others = read.get(pixel) or positions(parts.read(pixel), catalogue)
        more = outer_distances(matched.take(near), others, radius, reach, catalogue.neighbours)
        outer[near] = nearest_of(outer[near], more)
    return with_chance(best, outer, radius, reach)


def _none(parts: Partitions) -> pd.DataFrame:
    """No match at all, with the columns of one."""
    empty = Positions(np.empty(0), np.empty(0))
    found = match_rows(empty, empty, 1.0).drop(columns="row")
    rows = to_pandas(nothing(parts.catalogue))
    return pd.concat([found, rows[[ROW, *parts.catalogue.kept]]], axis=1)


def farthest_moved(sources: Positions, parts: Partitions) -> float:
    """How far a row may have moved between its epoch and that of a source, in arcsec."""
    catalogue = parts.catalogue
    if catalogue.motion is None or catalogue.epoch is None or sources.year is None:
        return 0.0
    years = np.abs(sources.year[np.isfinite(sources.year)] - catalogue.epoch)
    return float(years.max(initial=0.0)) * parts.fastest_arcsec_yr


def read_ahead(
    parts: Partitions, touched: Iterable[tuple[tuple[int, int], Integers]]
) -> Iterator[tuple[tuple[int, int], Integers, pd.DataFrame]]:
    """Parts with their sources and rows; a thread reads the next one meanwhile."""

    def read(part: tuple[tuple[int, int], Integers]) -> pd.DataFrame:
        return parts.read(part[0])

    kept, todo = tee(touched)
    rows = done_ahead(read, todo, threads=1, waiting=2)
    for (pixel, near), found in zip(kept, rows, strict=True):
        yield pixel, near, found


def touched_parts(
    sources: Positions, pixels: list[tuple[int, int]], reach_arcsec: float
) -> Iterator[tuple[tuple[int, int], Integers]]:
    """The parts that circles around sources touch, each with these sources."""
    if not len(sources):
        return
    tree = cKDTree(unit_vectors(sources.ra_deg, sources.dec_deg))
    for pixel in pixels:
        order, number = pixel
        if order < 0:
            yield pixel, np.arange(len(sources))
            continue
        centre = unit_vectors(*pixel_centres(number, order))
        reach = chord(farthest_corner_deg(order) * 3600.0 + reach_arcsec) * (1.0 + 1e-9)
        near = np.sort(np.asarray(tree.query_ball_point(centre, float(reach)), np.int64))
        if near.size:
            yield pixel, near
