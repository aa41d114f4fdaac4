"""Place, start, length, profile and spectrum of bursts made better: compiled (docs/ideal.md)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from exod.search.nulls.photonsearch.photonplaces import (
    REACH,
    SPECTRA,
    FieldTables,
    PhotonColumns,
    TileIndex,
    angle_of,
    around_of,
    expected_at,
    gather,
    local,
    room_for,
    room_of,
    window_value,
)
from exod.search.nulls.photonsearch.photonratio import Around, jit

FARTHEST: Final = 8.0
"""A place moves by so much at most, arcsec."""

NEIGHBOURS: Final = 6
"""A start moves to one of so many photons before or behind it at most."""


@jit
def refine(
    rows: Any, photons: PhotonColumns, tiles: TileIndex, field: FieldTables, result: Any
) -> None:
    """Improve place, start, length, profile and spectrum of each window.

    Rows of `result` are those of `rows` with the decay time, 0 for a constant burst, at their end.
    """
    most = room_of(tiles)
    own, scratch, indices = room_for(most), np.empty(most, np.int64), np.arange(most)
    around = around_of(most, field.table.shape[0] - 2)
    state, reach = np.empty(8), REACH + 10.0
    for r in range(len(rows)):
        state[:7] = rows[r, :]
        state[7] = 0.0
        middle = (state[1], state[2])
        low_x, low_y = state[1] - reach, state[2] - reach
        n = gather(low_x, low_y, low_x + 2 * reach, low_y + 2 * reach, photons, tiles, own, scratch)
        angle, here = angle_of(state[1], state[2], field), expected_at(state[1], state[2], field)
        for _ in range(2):
            better_place(state, middle, indices, n, own, angle, here, field, around)
            m = local(state[1], state[2], indices, n, own, field.profiles, angle, around)
            better_window(state, m, here, field, around)
        result[r, :] = state


@jit
def better_place(
    state: Any,
    middle: tuple[float, float],
    indices: Any,
    n: int,
    photons: PhotonColumns,
    angle: int,
    here: float,
    field: FieldTables,
    around: Around,
) -> None:
    """A step along each axis as long as it helps, then a smaller one."""
    step = 2.0
    while step > 0.2:
        moved = False
        for direction in range(4):
            x1 = state[1] + step * ((direction == 0) - (direction == 1))
            y1 = state[2] + step * ((direction == 2) - (direction == 3))
            if np.hypot(x1 - middle[0], y1 - middle[1]) > FARTHEST:
                continue
            m = local(x1, y1, indices, n, photons, field.profiles, angle, around)
            value, a = window_value(
                around, m, int(state[5]), state[3], state[4], state[7], here, field
            )
            if value > state[0] + 1e-6:
                state[0], state[1], state[2], state[6] = value, x1, y1, a
                moved = True
        if not moved:
            step *= 0.5


@jit
def better_window(state: Any, m: int, here: float, field: FieldTables, around: Around) -> None:
    """Start, length, profile and spectrum: seven lengths of a constant burst, four of a decay."""
    begin0, length0, decay0 = state[3], state[4], state[7]
    base = length0 if decay0 == 0.0 else 2.0 * decay0
    at = np.searchsorted(around.time[:m], begin0, side="left")
    for s in range(SPECTRA):
        for i in range(max(at - NEIGHBOURS, 0), min(at + NEIGHBOURS + 1, m)):
            begin = around.time[i]
            if abs(begin - begin0) > 0.6 * length0:
                continue
            for shape in range(11):
                decay = 0.0
                if shape < 7:
                    length = base * 1.19 ** (shape - 3)
                    trial = length
                else:
                    decay = base * 0.25 * 1.41 ** (shape - 7)
                    length = 4.0 * decay
                    trial = 2.0 * decay
                length = min(length, field.total - begin)
                if length <= 0.5 or trial > 0.55 * field.total:
                    continue
                value, a = window_value(around, m, s, begin, length, decay, here, field)
                if value > state[0] + 1e-6:
                    state[0], state[3], state[4], state[5] = value, begin, length, s
                    state[6], state[7] = a, decay
