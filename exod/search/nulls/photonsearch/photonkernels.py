"""The scan of all places for bursts, photon by photon: compiled (docs/ideal.md).

Everything else calls it through `exod.search.nulls.photonsearch.photonscan`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from exod.search.nulls.photonsearch.photonplaces import (
    REACH,
    SPECTRA,
    TILE,
    FieldTables,
    PhotonColumns,
    TileIndex,
    angle_of,
    around_of,
    expected_at,
    gather,
    keep_best,
    local,
    room_for,
    room_of,
)
from exod.search.nulls.photonsearch.photonratio import PRIOR, Around, jit, likelihood, shares_inside

CORE: Final = 15.0
"""A window starts at a photon within this of a place, arcsec."""

STEP: Final = 6.0
"""Distance of the places that are looked at, arcsec."""

BLOCK: Final = 12.0
"""Places of a square of this width, arcsec, share the photons of their cores."""

KEPT: Final = 64
"""Windows of a place that do not overlap and are kept."""

FEW: Final = 48
"""Photons up to which a window is first looked at one by one, with one guess of its counts."""

SLACK: Final = 2.5
"""What that first look may be below the likelihood ratio."""


class WantedWindows(NamedTuple):
    """Windows that are looked for.

    Attributes
    ----------
    lengths : ndarray of float64, shape (n_lengths,)
        Seconds.
    least : float
        Likelihood ratio, less its trials.
    rough : ndarray of float64, shape (n_lengths,)
        Likelihood ratio that the counts of the core alone must have.
    most : ndarray of float64, shape (n_lengths, n_counts)
        Expected counts of the core up to which so many counts have it.
    until, shares : ndarray of float64, shape (n_lengths, n_parts)
        Least share of all background photons that windows have which start before each time.
    """

    lengths: Any
    least: float
    rough: Any
    most: Any
    until: Any
    shares: Any


class Core(NamedTuple):
    """Photons of the core of a place, and sums over all around it; arrays have room for more.

    Attributes
    ----------
    time, before : ndarray of float64
        Live time, and share of all background photons before it.
    block : ndarray of int64, shape (2, >= n)
        Photons around the places of a block, and those of their cores.
    one : ndarray of float64, shape (2, n_spectra, >= n + 1)
        Running sums of what a burst of one count has over the background, and of its square.
    sums : ndarray of float64, shape (n_spectra, n_pieces)
        Weights in each piece.
    kept, window : ndarray of float64, shape (n, 7) and (7,)
        Windows of the place, as rows of `scan`; and scratch.
    """

    time: Any
    before: Any
    block: Any
    one: Any
    sums: Any
    kept: Any
    window: Any


@jit
def scan(
    photons: PhotonColumns, tiles: TileIndex, field: FieldTables, wanted: WantedWindows, found: Any
) -> int:
    """Windows of all places whose likelihood ratio, less its trials, is as wanted.

    Rows of `found` are: value, x, y, begin, length, spectrum, counts. Returns how many there are;
    those that `found` has no room for are left out.
    """
    most, n_pieces = room_of(tiles), field.table.shape[0] - 2
    around = around_of(most, n_pieces)
    core = Core(
        np.empty(most),
        np.empty(most),
        np.empty((2, most), np.int64),
        np.empty((2, SPECTRA, most + 1)),
        np.empty((SPECTRA, n_pieces)),
        np.empty((KEPT, 7)),
        np.empty(7),
    )
    own, scratch, indices = room_for(most), np.empty(most, np.int64), np.arange(most)
    n_found, across = 0, int(TILE / BLOCK)
    for tile in range(tiles.rows * tiles.columns):
        x_lo, y_lo = (tile % tiles.columns) * TILE, (tile // tiles.columns) * TILE
        x_hi, y_hi = x_lo + TILE + REACH, y_lo + TILE + REACH
        n = gather(x_lo - REACH, y_lo - REACH, x_hi, y_hi, photons, tiles, own, scratch)
        if n < 2:
            continue
        for block in range(across * across):
            x1, y1 = x_lo + (block % across) * BLOCK, y_lo + (block // across) * BLOCK
            wide = near_block(x1, y1, REACH, own, indices, n, core.block[0])
            narrow = near_block(x1, y1, CORE, own, core.block[0], wide, core.block[1])
            if narrow < 2:
                continue
            n_found = scan_block(
                x1, y1, wide, narrow, own, field, wanted, around, core, found, n_found
            )
    return n_found


@jit
def near_block(
    x1: float, y1: float, reach: float, photons: PhotonColumns, indices: Any, n: int, near: Any
) -> int:
    """Those of some photons that are within reach of the square of a block; how many.

    There is no branch in the loop, as none could be foreseen.
    """
    m = 0
    x, y = photons.x, photons.y
    for k in range(n):
        i = indices[k]
        dx, dy = x[i] - x1, y[i] - y1
        near[m] = i
        m += (dx > -reach) & (dx < BLOCK + reach) & (dy > -reach) & (dy < BLOCK + reach)
    return m


@jit
def scan_block(
    x1: float,
    y1: float,
    wide: int,
    narrow: int,
    photons: PhotonColumns,
    field: FieldTables,
    wanted: WantedWindows,
    around: Around,
    core: Core,
    found: Any,
    n_found: int,
) -> int:
    """Add the windows of the places of a block to those that were found; how many there are."""
    across = int(BLOCK / STEP)
    for place in range(across * across):
        x0 = x1 + (place % across + 0.5) * STEP
        y0 = y1 + (place // across + 0.5) * STEP
        n_core = core_of(x0, y0, photons, narrow, core)
        if n_core < 2:
            continue
        for k in range(place_windows(x0, y0, wide, n_core, photons, field, wanted, around, core)):
            if n_found < len(found):
                found[n_found, :] = core.kept[k, :]
            n_found += 1
    return n_found


@jit
def core_of(x0: float, y0: float, photons: PhotonColumns, narrow: int, core: Core) -> int:
    """Times of the photons in the core of a place; how many."""
    n = 0
    x, y, near, time, before = photons.x, photons.y, core.block[1], core.time, core.before
    when, share = photons.time, photons.before
    for k in range(narrow):
        i = near[k]
        dx, dy = x[i] - x0, y[i] - y0
        time[n], before[n] = when[i], share[i]
        n += dx * dx + dy * dy < CORE * CORE
    return n


@jit
def place_windows(
    x0: float,
    y0: float,
    wide: int,
    n_core: int,
    photons: PhotonColumns,
    field: FieldTables,
    wanted: WantedWindows,
    around: Around,
    core: Core,
) -> int:
    """Windows of a place, into `core.kept`; how many."""
    here, angle = expected_at(x0, y0, field), angle_of(x0, y0, field)
    ready, n_kept, m = False, 0, 0
    time, before, share, window = core.time, core.before, field.table[0], core.window
    window[1], window[2] = x0, y0
    for number in range(len(wanted.lengths)):
        length, rough, most = wanted.lengths[number], wanted.rough[number], wanted.most[number]
        until, shares = wanted.until[number], wanted.shares[number]
        latest, part, fewest, i, j = field.total + 1e-3 - length, -1, 0, -1, 0
        while True:
            i, part, fewest = next_start(
                i + 1, n_core, length, part, fewest, until, shares, core, most
            )
            if i >= n_core or time[i] > latest:
                break
            begin, end, j = time[i], time[i] + length, max(j, i + fewest)
            while j < n_core and time[j] <= end:
                j += 1
            mean = n_core * max(before_at(end, share) - before[i], 0.0)
            if not enough(j - i, mean, most, rough):
                continue
            if not ready:
                ready = True
                m = local(x0, y0, core.block[0], wide, photons, field.profiles, angle, around)
                prepare(m, around, core)
            # A burst of the counts that the core has more, without its best A.
            guess = 1.3 * max(j - i - mean, 0.5 * (j - i))
            window[3], window[4] = begin, length
            n_kept = weigh(m, guess, here, wanted.least, n_kept, field, around, core)
    return n_kept


@jit
def next_start(
    i: int,
    n: int,
    length: float,
    part: int,
    fewest: int,
    until: Any,
    shares: Any,
    core: Core,
    most: Any,
) -> tuple[int, int, int]:
    """The next photon of a core, from `i` on, in whose window there are enough others.

    No window with fewer counts is worth it, however little of the background it has. Returns also
    in which part of time it starts, and those fewest counts; ``n`` if there is no such photon.
    """
    time = core.time
    while i < n:
        if part < 0 or time[i] >= until[part]:
            part += 1
            while time[i] >= until[part]:
                part += 1
            fewest = fewest_counts(n * shares[part], most, fewest)
        stop = until[part]
        while i < n and time[i] < stop:
            last = i + fewest - 1
            if last < n and time[last] - time[i] <= length:
                return i, part, fewest
            i += 1
    return n, part, fewest


@jit
def weigh(
    m: int,
    guess: float,
    here: float,
    least: float,
    n_kept: int,
    field: FieldTables,
    around: Around,
    core: Core,
) -> int:
    """Keep the window `core.window` with the spectra for which it is good enough; how many are."""
    window, time, inverse = core.window, around.time[:m], around.inverse
    begin, length = window[3], window[4]
    trials, keep = np.log(field.total / length), here / (here + PRIOR)
    first = np.searchsorted(time, begin, side="left")
    last = np.searchsorted(time, begin + length, side="right")
    portion = shares_inside(field.table, begin, length, 0.0, around)
    for s in range(SPECTRA):
        known = keep * known_counts(core.sums[s], around) + (1.0 - keep) * field.enclosed
        sums = core.one[:, s]
        rough = first_look(
            around.weight[s], inverse, sums, first, last, length, portion, known, guess
        )
        if rough < least + trials - SLACK:
            continue
        value, a = likelihood(
            around, s, m, first, last, begin, length, 0.0, portion, here, field.enclosed
        )
        if value >= least + trials:
            window[0], window[5], window[6] = value - trials, s, a
            n_kept = keep_best(core.kept, n_kept, window)
    return n_kept


@jit
def enough(counts: int, mean: float, most: Any, rough: float) -> bool:
    """Whether so many counts of a core, of so many expected, are worth to be looked at."""
    if counts < len(most):
        return mean <= most[counts]
    ratio = counts / max(mean, 1e-9)
    return ratio > 1.0 and counts * (np.log(ratio) - 1.0) + mean >= rough


@jit
def fewest_counts(mean: float, most: Any, guess: int) -> int:
    """Least counts of a core that are worth to be looked at if so many are expected, at least.

    They are looked for upwards and downwards from a guess, or from `mean` if that is more.
    """
    counts = min(max(guess, int(mean), 2), len(most))
    while counts < len(most) and mean > most[counts]:
        counts += 1
    while counts > 2 and mean <= most[counts - 1]:
        counts -= 1
    return counts


@jit
def before_at(time: float, share: Any) -> float:
    """Share of all background photons before a live time."""
    at = min(max(time, 0.0), len(share) - 1)
    i = min(int(at), len(share) - 2)
    return share[i] + (at - i) * (share[i + 1] - share[i])


@jit
def prepare(m: int, around: Around, core: Core) -> None:
    """Sums over the photons around a place."""
    inverse, pieces = around.inverse, around.piece
    for s in range(SPECTRA):
        weight, one, square, sums = around.weight[s], core.one[0, s], core.one[1, s], core.sums[s]
        total = squares = one[0] = square[0] = 0.0
        for k in range(m):
            ratio = weight[k] * inverse[k]
            total += ratio
            squares += ratio * ratio
            one[k + 1], square[k + 1] = total, squares
        sums[:] = 0.0
        for k in range(m):
            sums[pieces[k]] += weight[k]


@jit
def known_counts(sums: Any, around: Around) -> float:
    """Weights of all photons around, by the share of a window that each could see."""
    inside, pieces = around.inside, around.pieces
    known = 0.0
    for number in range(around.n_pieces[0]):
        known += inside[pieces[number]] * sums[pieces[number]]
    return known


@jit
def first_look(
    weight: Any,
    inverse: Any,
    sums: Any,
    first: int,
    last: int,
    length: float,
    portion: float,
    known: float,
    guess: float,
) -> float:
    """About the likelihood ratio of a window, quickly; far below 0 without an excess."""
    sum_in = sums[0, last] - sums[0, first]
    ratio = sum_in / length / max(known, 1e-9)
    if ratio <= 1.0:
        return -1e9
    if last - first > FEW:
        square_in = sums[1, last] - sums[1, first]
        rough = np.log(ratio) - 1.0 + 1.0 / ratio
        return rough * sum_in * sum_in / square_in / (1.0 - 0.9 * portion)
    rough, product, scale = -guess * known, 1.0, guess / length
    for k in range(first, last):
        product *= 1.0 + scale * weight[k] * inverse[k]
        if (k - first) % 8 == 7:
            rough += np.log(product)
            product = 1.0
    return rough + np.log(product)
