"""The photons around a place, for compiled loops (docs/ideal.md)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from exod.search.nulls.photonsearch.photonratio import Around, jit, likelihood, shares_inside

REACH: Final = 30.0
"""Photons farther than this from a place, arcsec, say nothing about it."""

TILE: Final = 60.0
"""Places of a square of this width, arcsec, share the photons that are looked through."""

RADIAL: Final = 4.0
"""Nodes of the table of profiles in an arcsec."""

SPECTRA: Final = 3
"""Templates of the spectrum of a burst."""

ALIKE: Final = 6.0
"""Windows that overlap are told apart if one is so many times longer than the other."""


class PhotonColumns(NamedTuple):
    """All photons in order of time, shape (n,), as `photonmarks.Marks`.

    Attributes
    ----------
    time, x, y, camera, v, piece
        As there.
    inverse : ndarray of float64
        Background of the photon's kind and group in its class over its level then, seconds.
    before : ndarray of float64
        Share of all background photons that come before it.
    """

    time: Any
    x: Any
    y: Any
    camera: Any
    v: Any
    piece: Any
    inverse: Any
    before: Any


class TileIndex(NamedTuple):
    """Photons by squares of `TILE`: those of square i are ``members[starts[i]:starts[i + 1]]``."""

    starts: Any
    members: Any
    columns: int
    rows: int


class FieldTables(NamedTuple):
    """What is known of the field, as `photonmarks.PhotonField`.

    Attributes
    ----------
    profiles, axis_x, axis_y, expected, enclosed
        As there.
    angle_step, expected_width : float
        Steps of `profiles` and `expected`, arcsec.
    table : ndarray of float64, shape (1 + n_pieces, n_seconds)
        As `photonmarks.Levels.table`.
    total : float
        Live time of everything, seconds.
    """

    profiles: Any
    axis_x: float
    axis_y: float
    angle_step: float
    expected: Any
    expected_width: float
    enclosed: float
    table: Any
    total: float


@jit
def room_of(tiles: TileIndex) -> int:
    """Most photons of a square and those beside it."""
    most = 16
    for ty in range(tiles.rows):
        for tx in range(tiles.columns):
            total = 0
            for row in range(max(ty - 1, 0), min(ty + 2, tiles.rows)):
                first, last = max(tx - 1, 0), min(tx + 2, tiles.columns)
                begin = tiles.starts[row * tiles.columns + first]
                total += tiles.starts[row * tiles.columns + last] - begin
            most = max(most, total)
    return most


@jit
def around_of(room: int, n_pieces: int) -> Around:
    """Room for so many photons around a place."""
    return Around(
        np.empty(room, np.int64),
        np.empty((SPECTRA, room)),
        np.empty(room),
        np.empty(room),
        np.empty(room, np.int64),
        np.empty(n_pieces),
        np.empty(n_pieces, np.int64),
        np.empty(1, np.int64),
        np.empty(room),
        np.empty(room),
    )


@jit
def room_for(most: int) -> PhotonColumns:
    """Room for so many photons."""
    return PhotonColumns(
        np.empty(most),
        np.empty(most),
        np.empty(most),
        np.empty(most, np.int64),
        np.empty((most, SPECTRA)),
        np.empty(most, np.int64),
        np.empty(most),
        np.empty(most),
    )


@jit
def gather(
    low_x: float,
    low_y: float,
    high_x: float,
    high_y: float,
    photons: PhotonColumns,
    tiles: TileIndex,
    own: PhotonColumns,
    found: Any,
) -> int:
    """Photons of a rectangle in order of time, into `own`; how many.

    They lie side by side there, as loops over all of a field lose their time to memory. `found` is
    scratch.
    """
    n = 0
    first_x, last_x = max(int(low_x / TILE), 0), min(int(high_x / TILE), tiles.columns - 1)
    first_y, last_y = max(int(low_y / TILE), 0), min(int(high_y / TILE), tiles.rows - 1)
    for row in range(first_y, last_y + 1):
        start = tiles.starts[row * tiles.columns + first_x]
        stop = tiles.starts[row * tiles.columns + last_x + 1]
        for k in range(start, stop):
            i = tiles.members[k]
            if low_x < photons.x[i] < high_x and low_y < photons.y[i] < high_y:
                found[n] = i
                n += 1
    found[:n].sort()
    for k in range(n):
        i = found[k]
        own.time[k], own.x[k], own.y[k] = photons.time[i], photons.x[i], photons.y[i]
        own.camera[k], own.piece[k] = photons.camera[i], photons.piece[i]
        own.inverse[k], own.before[k] = photons.inverse[i], photons.before[i]
        own.v[k, :] = photons.v[i, :]
    return n


@jit
def angle_of(x0: float, y0: float, field: FieldTables) -> int:
    """Which profiles are those of a place."""
    away = np.hypot(x0 - field.axis_x, y0 - field.axis_y)
    return min(int(away / field.angle_step + 0.5), field.profiles.shape[1] - 1)


@jit
def expected_at(x0: float, y0: float, field: FieldTables) -> float:
    """Background counts, constant sources included, that are weighed together for a place."""
    iy = min(int(y0 / field.expected_width), field.expected.shape[0] - 1)
    ix = min(int(x0 / field.expected_width), field.expected.shape[1] - 1)
    return max(field.expected[iy, ix], 1e-3)


@jit
def local(
    x0: float,
    y0: float,
    indices: Any,
    n: int,
    photons: PhotonColumns,
    profiles: Any,
    angle: int,
    around: Around,
) -> int:
    """Photons within `REACH` of a place and their weights for each spectrum; how many."""
    m, n_pieces = 0, 0
    limit = REACH * REACH
    x, y, v, camera, when = photons.x, photons.y, photons.v, photons.camera, photons.time
    background, piece_of = photons.inverse, photons.piece
    weight, time, inverse, kind = around.weight, around.time, around.inverse, around.piece
    inside, pieces, chosen, away = around.inside, around.pieces, around.chosen, around.c
    # There is no branch in the loop, as none could be foreseen.
    for k in range(n):
        i = indices[k]
        dx, dy = x[i] - x0, y[i] - y0
        chosen[m] = i
        away[m] = dx * dx + dy * dy
        m += away[m] < limit
    for k in range(m):
        away[k] = np.sqrt(away[k]) * RADIAL + 0.5
    for k in range(m):
        i = chosen[k]
        density = profiles[camera[i], angle, int(away[k])]
        for s in range(SPECTRA):
            weight[s, k] = density * v[i, s]
        time[k], inverse[k], kind[k] = when[i], background[i], piece_of[i]
    inside[:] = 0.0
    for k in range(m):
        piece = kind[k]
        if inside[piece] == 0.0:
            inside[piece] = 1.0
            pieces[n_pieces] = piece
            n_pieces += 1
    around.n_pieces[0] = n_pieces
    return m


@jit
def alike(row: Any, other: Any, ratio: float) -> bool:
    """Whether two windows overlap, with lengths within a factor `ratio`."""
    near = row[4] < ratio * other[4] and other[4] < ratio * row[4]
    return near and row[3] < other[3] + other[4] and row[3] + row[4] > other[3]


@jit
def keep_best(kept: Any, n: int, row: Any) -> int:
    """Put a window among those of a place, in place of weaker ones like it that it overlaps."""
    for k in range(n):
        if row[0] <= kept[k, 0] and alike(row, kept[k], ALIKE):
            return n
    m = 0
    for k in range(n):
        if not alike(row, kept[k], ALIKE):
            if m != k:
                kept[m, :] = kept[k, :]
            m += 1
    if m < len(kept):
        kept[m, :] = row
        return m + 1
    weakest = np.argmin(kept[:m, 0])
    if row[0] > kept[weakest, 0]:
        kept[weakest, :] = row
    return m


@jit
def strongest(rows: Any, radius: float, ratio: float, alone: Any) -> None:
    """Mark those of sorted windows (strongest first) that no stronger one near them explains.

    One explains another if they overlap in time, their lengths are within a factor `ratio`, and
    they lie within `radius`, or as far from each other as the light of the stronger one reaches.
    """
    n = len(rows)
    for i in range(n):
        alone[i] = True
    for i in range(n):
        if not alone[i]:
            continue
        # Of many counts the wings of the profile show, as far as a photon in ten square arcsec.
        far = max(radius, min(300.0, 6.0 * np.sqrt(max(rows[i, 6], 1.0))))
        for j in range(i + 1, n):
            if alone[j] and alike(rows[i], rows[j], ratio):
                dx, dy = rows[i, 1] - rows[j, 1], rows[i, 2] - rows[j, 2]
                if dx * dx + dy * dy < far * far:
                    alone[j] = False


@jit
def window_value(
    around: Around,
    m: int,
    s: int,
    begin: float,
    length: float,
    decay: float,
    here: float,
    field: FieldTables,
) -> tuple[float, float]:
    """Likelihood ratio, less its trials, of a window at the place of `around`, and counts."""
    first = np.searchsorted(around.time[:m], begin, side="left")
    last = np.searchsorted(around.time[:m], begin + length, side="right")
    portion = shares_inside(field.table, begin, length, decay, around)
    value, a = likelihood(
        around, s, m, first, last, begin, length, decay, portion, here, field.enclosed
    )
    trial = length if decay == 0.0 else 2.0 * decay
    return value - np.log(field.total / trial), a
