"""The scan of a subset for bursts, photon by photon (docs/ideal.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from exod.schemas.arrays import Floats, Indices, Integers, Mask
from exod.search.nulls.photonsearch.photonimages import PIXEL_ARCSEC
from exod.search.nulls.photonsearch.photonmarks import ANGLE_STEP_ARCMIN, Marks, PhotonField

if TYPE_CHECKING:
    from exod.search.nulls.photonsearch.photonkernels import WantedWindows
    from exod.search.nulls.photonsearch.photonplaces import FieldTables, PhotonColumns, TileIndex

DURATIONS: Final = 28
SHORTEST: Final = 1.0
"""Lengths of windows: so many from one second to half of the live time, equal in the logarithm."""

LEAST: Final = 7.0
"""Likelihood ratio, less its trials, from which on a window is kept."""

ROOM: Final = 300_000
"""Windows of the scan that are kept at most."""

APART_ARCSEC: Final = 40.0
"""Windows that overlap in time are of one burst if they are closer than this."""

CORE_COUNTS: Final = 1000
"""Counts of a core for which what they need is kept in a table."""

SHARE_PARTS: Final = 256
SHARE_RATIO: Final = 1.5
"""In so many parts of time at most windows have a least share of the background of their own, in
those that are next to each other if it differs by so much."""

CORE_SHARE: Final = 0.45
"""Share of the likelihood ratio of a window that the counts of its core alone must have."""


@dataclass(frozen=True)
class Bursts:
    """Bursts, the strongest first; all arrays have shape (n,).

    Attributes
    ----------
    value : ndarray of float64
        Logarithm of the likelihood ratio, less that of the number of windows of this length.
    x, y : ndarray of float64
        Place, arcsec from the corner of the field.
    begin, length : ndarray of float64
        The window, live seconds.
    spectrum : ndarray of int64
        Which template.
    counts : ndarray of float64
        Counts in the whole point spread function.
    decay : ndarray of float64
        Decay time in seconds; 0 of a constant burst.
    alone : ndarray of bool
        Whether no stronger one of another length explains it.
    """

    value: Floats
    x: Floats
    y: Floats
    begin: Floats
    length: Floats
    spectrum: Integers
    counts: Floats
    decay: Floats
    alone: Mask

    def __len__(self) -> int:
        return len(self.value)

    def take(self, which: Mask | Indices) -> Bursts:
        """Some of them."""
        return Bursts(**{name: column[which] for name, column in vars(self).items()})

    def joined(self, other: Bursts) -> Bursts:
        """These, and others behind them."""
        columns = vars(other)
        return Bursts(**{n: np.concatenate([own, columns[n]]) for n, own in vars(self).items()})


def no_bursts() -> Bursts:
    """Nothing was found."""
    return bursts_of(np.zeros((0, 8)), np.zeros(0, bool))


def bursts_of(rows: Floats, alone: Mask) -> Bursts:
    """Of the rows of `photonrefine.refine`, and which of them are `alone`."""
    return Bursts(
        value=rows[:, 0],
        x=rows[:, 1],
        y=rows[:, 2],
        begin=rows[:, 3],
        length=rows[:, 4],
        spectrum=rows[:, 5].astype(np.int64),
        counts=rows[:, 6],
        decay=rows[:, 7],
        alone=alone,
    )


def durations(total: float) -> Floats:
    """Lengths of the windows in seconds, shape (n,).

    Examples
    --------
    >>> durations(20_000.0)[[0, 1, -1]].round(1).tolist()
    [1.0, 1.4, 10000.0]
    """
    longest = max(total / 2, SHORTEST)
    return np.geomspace(SHORTEST, longest, DURATIONS) if longest > SHORTEST else np.array([longest])


def most_expected(rough: Floats) -> Floats:
    """Expected counts up to which counts have a Poisson likelihood ratio, shape (n, n_counts).

    One photon makes no burst, however few are expected.

    Parameters
    ----------
    rough : ndarray of float64, shape (n,)
        Likelihood ratios.

    Examples
    --------
    >>> most_expected(np.array([2.0]))[0, [1, 2, 10]].round(3).tolist()
    [-1.0, 0.317, 4.932]
    """
    counts = np.arange(CORE_COUNTS, dtype=float)
    low, high = np.zeros((len(rough), CORE_COUNTS)), np.tile(counts, (len(rough), 1))
    for _ in range(50):
        mean = np.maximum((low + high) / 2, 1e-300)
        value = counts * (np.log(np.maximum(counts, 1e-300) / mean) - 1) + mean
        low = np.where(value >= rough[:, None], mean, low)
        high = np.where(value >= rough[:, None], high, mean)
    low[:, :2] = -1.0
    return low


def least_shares(share: Floats, lengths: Floats) -> tuple[Floats, Floats]:
    """Least share of the background that windows have, by when they start.

    Parameters
    ----------
    share : ndarray of float64, shape (n_seconds,)
        Share of all background photons before each second.
    lengths : ndarray of float64, shape (n_lengths,)
        Of the windows, seconds.

    Returns
    -------
    until : ndarray of float64, shape (n_lengths, n_parts)
        Windows that start before this (and not before the one before it) have at least ...
    least : ndarray of float64, shape (n_lengths, n_parts)
        ... this share. Parts behind the one without an end are empty.

    Examples
    --------
    >>> share = np.concatenate([[0.0], np.cumsum([0.1] * 4 + [0.3] * 2)])
    >>> until, least = least_shares(share, np.array([1.0]))
    >>> until[0, :2].tolist(), least[0, :2].round(6).tolist()
    ([4.0, inf], [0.1, 0.3])
    """
    until, least = (np.full((len(lengths), SHARE_PARTS), u) for u in (np.inf, 0.0))
    second = np.arange(len(share), dtype=float)
    for number, length in enumerate(lengths.tolist()):
        # Of starts within a second the share is a straight line, but where windows end at one.
        latest = max(len(share) - 1 - length, 0.0)
        edges = np.minimum(second[: int(latest) + 2], latest)
        bends = np.minimum(np.ceil(edges[1:]) - length % 1.0, latest)
        at, between = (
            np.interp(t + length, second, share) - np.interp(t, second, share)
            for t in (edges, bends)
        )
        own = np.minimum(np.minimum(at[:-1], at[1:]), between)
        step, part = -(-len(own) // SHARE_PARTS), 0
        lows = np.minimum.reduceat(own, np.arange(0, len(own), step)).tolist()
        low = high = lows[0]
        for k, value in enumerate(lows):
            if max(high, value) > SHARE_RATIO * min(low, value):
                until[number, part], least[number, part] = k * step, low
                low, high, part = value, value, part + 1
            low, high = min(low, value), max(high, value)
        least[number, part] = low
    return until, least


def shuffled(field: PhotonField, generator: np.random.Generator) -> PhotonField:
    """The same photons at other times: permuted among those of a kind and group in a class.

    Photons of constant sources, by chance as many as are expected, get any time of their class and
    group.
    """
    marks, levels = field.marks, field.levels
    time = marks.time.copy()
    edges, seconds = levels.steps[0], levels.seconds
    is_steady = generator.random(len(time)) < marks.steady
    for piece in np.unique(marks.piece):
        here = np.flatnonzero(marks.piece == piece)
        varying, own = here[~is_steady[here]], here[is_steady[here]]
        for kind in np.unique(marks.kind[varying]):
            alike = varying[marks.kind[varying] == kind]
            time[alike] = generator.permutation(time[alike])
        # Only what is of the piece has a length, so that readings are times in it.
        rising = np.flatnonzero(seconds[piece] > 0)
        if len(rising):
            total = np.cumsum(seconds[piece, rising])
            drawn = generator.random(len(own)) * total[-1]
            at = np.searchsorted(total, drawn, side="right").clip(0, len(rising) - 1)
            part = (total[at] - drawn) / seconds[piece, rising][at]
            at = rising[at]
            time[own] = edges[at + 1] - part.clip(0.0, 1.0) * (edges[at + 1] - edges[at])
    order = np.argsort(time, kind="stable")
    columns = {name: column[order] for name, column in vars(marks).items() if name != "time"}
    return replace(field, marks=Marks(time=time[order], **columns))


def scan_field(field: PhotonField, least: float = LEAST) -> Bursts:
    """Bursts of a field, the strongest first, none in the light of a stronger one."""
    from exod.search.nulls.photonsearch.photonkernels import scan
    from exod.search.nulls.photonsearch.photonplaces import ALIKE
    from exod.search.nulls.photonsearch.photonrefine import refine

    if len(field.marks.time) < 2 or field.levels.total <= 2 * SHORTEST:
        return no_bursts()
    tiles, tables = tiles_of(field), tables_of(field)
    photons, wanted = photons_of(field, tables.table[0]), wanted_windows(tables, least)
    found = np.empty((ROOM, 7))
    n = scan(photons, tiles, tables, wanted, found)
    rows = found[: min(n, ROOM)]
    if not len(rows):
        return no_bursts()
    rows = rows[np.lexsort((*rows.T[:0:-1], -rows[:, 0]))]
    rows = rows[unexplained(rows, ALIKE)]
    result = np.empty((len(rows), 8))
    refine(rows, photons, tiles, tables, result)
    result = result[np.lexsort((*result.T[:0:-1], -result[:, 0]))]
    result = result[unexplained(result, ALIKE)]
    return bursts_of(result, unexplained(result, np.inf))


def wanted_windows(tables: FieldTables, least: float = LEAST) -> WantedWindows:
    """Windows of all lengths with so large a likelihood ratio, less its trials."""
    from exod.search.nulls.photonsearch.photonkernels import WantedWindows

    lengths = durations(tables.total)
    rough = CORE_SHARE * (least + np.log(tables.total / lengths))
    until, shares = least_shares(tables.table[0], lengths)
    return WantedWindows(lengths, least, rough, most_expected(rough), until, shares)


def photons_of(field: PhotonField, share: Floats) -> PhotonColumns:
    """The photons as compiled loops take them; `share` is that of the background by second."""
    from exod.search.nulls.photonsearch.photonplaces import PhotonColumns

    marks = field.marks
    inverse = field.levels.inverse(marks.time, marks.kind, marks.piece, marks.steady)
    before = np.interp(marks.time, np.arange(len(share)), share)
    return PhotonColumns(
        marks.time, marks.x, marks.y, marks.camera, marks.v, marks.piece, inverse, before
    )


def tiles_of(field: PhotonField) -> TileIndex:
    """Which photons lie in which square."""
    from exod.search.nulls.photonsearch.photonplaces import TILE, TileIndex

    rows, columns = field.shape
    tile = (field.marks.y / TILE).astype(np.int32) * columns
    tile += (field.marks.x / TILE).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(np.bincount(tile, minlength=rows * columns))])
    return TileIndex(starts, np.argsort(tile, kind="stable").astype(np.int32), columns, rows)


def tables_of(field: PhotonField) -> FieldTables:
    """What is known of the field as compiled loops take it."""
    from exod.search.nulls.photonsearch.photonplaces import FieldTables

    return FieldTables(
        field.profiles,
        *field.axis,
        60 * ANGLE_STEP_ARCMIN,
        field.expected * field.brightness,
        PIXEL_ARCSEC,
        field.enclosed,
        field.levels.table(),
        field.levels.total,
    )


def unexplained(rows: Floats, ratio: float) -> Mask:
    """Windows, the strongest first, that no stronger one explains (`photonplaces.strongest`)."""
    from exod.search.nulls.photonsearch.photonplaces import strongest

    keep = np.zeros(len(rows), np.bool_)
    strongest(rows, APART_ARCSEC, ratio, keep)
    return keep
