"""Compiled loops of the search that weighs every photon (docs/ideal.md).

Everything else calls them through `exod.search.nulls.photonscan`. What is in here is long and takes
many arrays, since compiled code is quick where it is a loop, and not where it is an object.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from exod.search.nulls.photonratio import PRIOR, jit, likelihood, shares_inside

REACH: Final = 30.0
"""Photons farther than this from a place, arcsec, say nothing about it."""

CORE: Final = 15.0
"""A window starts at a photon within this of a place, arcsec."""

STEP: Final = 4.0
"""Distance of the places that are looked at, arcsec."""

TILE: Final = 60.0
"""Places of a square of this width, arcsec, share the photons that are looked through."""

RADIAL: Final = 4.0
"""Nodes of the table of profiles in an arcsec."""

SPECTRA: Final = 3
"""Templates of the spectrum of a burst."""

KEPT: Final = 64
"""Windows of a place that do not overlap and are kept."""

ALIKE: Final = 6.0
"""Windows that overlap are told apart if one is so many times longer than the other."""

FEW: Final = 48
"""Photons up to which a window is first looked at one by one, with one guess of its counts."""

SLACK: Final = 2.5
"""What that first look may be below the likelihood ratio."""


@jit
def gather(
    low_x: float,
    low_y: float,
    high_x: float,
    high_y: float,
    starts: Any,
    members: Any,
    columns: int,
    rows: int,
    width: float,
    found: Any,
) -> int:
    """Indices of the photons of the cells that touch a rectangle, ascending; how many."""
    n = 0
    first_x, last_x = max(int(low_x / width), 0), min(int(high_x / width), columns - 1)
    first_y, last_y = max(int(low_y / width), 0), min(int(high_y / width), rows - 1)
    for row in range(first_y, last_y + 1):
        start = starts[row * columns + first_x]
        stop = starts[row * columns + last_x + 1]
        for k in range(start, stop):
            found[n] = members[k]
            n += 1
    found[:n].sort()
    return n


@jit
def local(
    x0: float,
    y0: float,
    indices: Any,
    n: int,
    x: Any,
    y: Any,
    camera: Any,
    v: Any,
    profiles: Any,
    angle: int,
    chosen: Any,
    weight: Any,
    squared: Any,
) -> int:
    """Photons within `REACH` of a place and their weights for each spectrum; how many."""
    count = 0
    limit = REACH * REACH
    for k in range(n):
        i = indices[k]
        dx, dy = x[i] - x0, y[i] - y0
        r2 = dx * dx + dy * dy
        if r2 < limit:
            density = profiles[camera[i], angle, int(np.sqrt(r2) * RADIAL + 0.5)]
            chosen[count] = i
            squared[count] = r2
            for s in range(SPECTRA):
                weight[s, count] = density * v[i, s]
            count += 1
    return count


@jit
def keep_best(kept: Any, n: int, row: Any) -> int:
    """Put a window among those of a place, in place of weaker ones like it that it overlaps."""
    begin, end = row[3], row[3] + row[4]
    overlapping = False
    for k in range(n):
        alike = row[4] < ALIKE * kept[k, 4] and kept[k, 4] < ALIKE * row[4]
        if alike and begin < kept[k, 3] + kept[k, 4] and end > kept[k, 3]:
            if row[0] <= kept[k, 0]:
                return n
            if not overlapping:
                kept[k, :] = row
                overlapping = True
            else:
                kept[k, 0] = -1.0
    if overlapping:
        m = 0
        for k in range(n):
            if kept[k, 0] >= 0.0:
                if m != k:
                    kept[m, :] = kept[k, :]
                m += 1
        return m
    if n < len(kept):
        kept[n, :] = row
        return n + 1
    weakest = 0
    for k in range(n):
        if kept[k, 0] < kept[weakest, 0]:
            weakest = k
    if row[0] > kept[weakest, 0]:
        kept[weakest, :] = row
    return n


@jit
def scan(
    time: Any,
    x: Any,
    y: Any,
    camera: Any,
    v: Any,
    inverse: Any,
    level: Any,
    piece: Any,
    starts: Any,
    members: Any,
    columns: int,
    rows: int,
    profiles: Any,
    axis_x: float,
    axis_y: float,
    angle_step: float,
    expected: Any,
    expected_width: float,
    enclosed: float,
    lengths: Any,
    table: Any,
    total_time: float,
    least: float,
    fewest: Any,
    found: Any,
) -> int:
    """Windows of all places whose likelihood ratio, less its trials, is at least `least`.

    Rows of `found` are: value, x, y, begin, length, spectrum, counts. Returns how many there are;
    those that `found` has no room for are left out.
    """
    n_pieces = table.shape[0] - 1
    most = 0
    for ty in range(rows):
        for tx in range(columns):
            total = 0
            for row in range(max(ty - 1, 0), min(ty + 2, rows)):
                first, last = max(tx - 1, 0), min(tx + 2, columns)
                total += starts[row * columns + last] - starts[row * columns + first]
            most = max(most, total)
    indices, chosen = np.empty(most, np.int64), np.empty(most, np.int64)
    weight, squared = np.empty((SPECTRA, most)), np.empty(most)
    c, d, one = np.empty(most), np.empty(most), np.empty((2, SPECTRA, most + 1))
    core, core_time = np.empty(most, np.int64), np.empty(most)
    core_level = np.empty(most)
    near_time, near_inverse = np.empty(most), np.empty(most)
    near_piece = np.empty(most, np.int64)
    sums = np.empty((SPECTRA, n_pieces))
    inside, window = np.empty(n_pieces), np.empty(7)
    kept = np.empty((KEPT, 7))
    n_found = 0
    across = int(TILE / STEP)
    bins = fewest.shape[1]
    for ty in range(rows):
        for tx in range(columns):
            x_lo, y_lo = tx * TILE, ty * TILE
            n = gather(
                x_lo - REACH,
                y_lo - REACH,
                x_lo + TILE + REACH,
                y_lo + TILE + REACH,
                starts,
                members,
                columns,
                rows,
                TILE,
                indices,
            )
            if n < 2:
                continue
            for place in range(across * across):
                x0 = x_lo + (place % across + 0.5) * STEP
                y0 = y_lo + (place // across + 0.5) * STEP
                away = np.hypot(x0 - axis_x, y0 - axis_y)
                angle = min(int(away / angle_step + 0.5), profiles.shape[1] - 1)
                m = local(
                    x0, y0, indices, n, x, y, camera, v, profiles, angle, chosen, weight, squared
                )
                n_core = 0
                for k in range(m):
                    if squared[k] < CORE * CORE:
                        core[n_core] = k
                        core_time[n_core] = time[chosen[k]]
                        core_level[n_core] = level[chosen[k]]
                        n_core += 1
                if n_core < 2:
                    continue
                log_core = np.log(n_core)
                iy = min(int(y0 / expected_width), expected.shape[0] - 1)
                ix = min(int(x0 / expected_width), expected.shape[1] - 1)
                here = max(expected[iy, ix], 1e-3)
                keep = here / (here + PRIOR)
                ready = False
                n_kept = 0
                for number in range(len(lengths)):
                    length = lengths[number]
                    need = least + np.log(total_time / length)
                    log_length = np.log(length)
                    j = 0
                    for i in range(n_core):
                        begin = core_time[i]
                        if begin + length > total_time + 1e-3:
                            break
                        while j < n_core and core_time[j] <= begin + length:
                            j += 1
                        log_mean = min(log_core, log_core + log_length + core_level[i])
                        which = min(max(int((log_mean + 14.0) * 4.0), 0), bins - 1)
                        if j - i < fewest[number, which]:
                            continue
                        mean = np.exp(log_mean)
                        if not ready:
                            ready = True
                            sums[:] = 0.0
                            for s in range(SPECTRA):
                                one[0, s, 0] = one[1, s, 0] = 0.0
                                for k in range(m):
                                    q = chosen[k]
                                    w = weight[s, k]
                                    sums[s, piece[q]] += w
                                    one[0, s, k + 1] = one[0, s, k] + w * inverse[q]
                                    one[1, s, k + 1] = one[1, s, k] + (w * inverse[q]) ** 2
                            for k in range(m):
                                q = chosen[k]
                                near_time[k], near_inverse[k] = time[q], inverse[q]
                                near_piece[k] = piece[q]
                        begin_index = int(core[i])
                        end_index = np.searchsorted(near_time[:m], begin + length, side="right")
                        portion = shares_inside(table, begin, length, inside)
                        for s in range(SPECTRA):
                            sum_in = one[0, s, end_index] - one[0, s, begin_index]
                            known = 0.0
                            for k in range(n_pieces):
                                known += inside[k] * sums[s, k]
                            known = keep * known + (1.0 - keep) * enclosed
                            ratio = sum_in / length / max(known, 1e-9)
                            if ratio <= 1.0:
                                continue
                            if end_index - begin_index <= FEW:
                                # A burst of the counts that the core has more, without its best A.
                                a = 1.3 * max(j - i - mean, 0.5 * (j - i))
                                rough, product = -a * known, 1.0
                                for k in range(begin_index, end_index):
                                    product *= 1.0 + a * weight[s, k] * near_inverse[k] / length
                                    if (k - begin_index) % 8 == 7:
                                        rough += np.log(product)
                                        product = 1.0
                                rough += np.log(product)
                            else:
                                square_in = one[1, s, end_index] - one[1, s, begin_index]
                                rough = np.log(ratio) - 1.0 + 1.0 / ratio
                                rough *= sum_in * sum_in / square_in / (1.0 - 0.9 * portion)
                            if rough < need - SLACK:
                                continue
                            value, a = likelihood(
                                near_time,
                                weight[s],
                                near_inverse,
                                near_piece,
                                m,
                                begin_index,
                                end_index,
                                begin,
                                length,
                                0.0,
                                inside,
                                portion,
                                here,
                                enclosed,
                                c,
                                d,
                            )
                            if value >= need:
                                window[0] = value - np.log(total_time / length)
                                window[1], window[2], window[3], window[4] = x0, y0, begin, length
                                window[5], window[6] = s, a
                                n_kept = keep_best(kept, n_kept, window)
                for k in range(n_kept):
                    if n_found < len(found):
                        found[n_found, :] = kept[k, :]
                    n_found += 1
    return n_found


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
        begin, end = rows[i, 3], rows[i, 3] + rows[i, 4]
        # Of many counts the wings of the profile show, as far as a photon in ten square arcsec.
        far = max(radius, min(300.0, 6.0 * np.sqrt(max(rows[i, 6], 1.0))))
        for j in range(i + 1, n):
            if not alone[j]:
                continue
            alike = rows[i, 4] < ratio * rows[j, 4] and rows[j, 4] < ratio * rows[i, 4]
            if alike and begin < rows[j, 3] + rows[j, 4] and end > rows[j, 3]:
                dx, dy = rows[i, 1] - rows[j, 1], rows[i, 2] - rows[j, 2]
                if dx * dx + dy * dy < far * far:
                    alone[j] = False


@jit
def refine(
    rows: Any,
    time: Any,
    x: Any,
    y: Any,
    camera: Any,
    v: Any,
    inverse: Any,
    piece: Any,
    starts: Any,
    members: Any,
    columns: int,
    rows_of_tiles: int,
    profiles: Any,
    axis_x: float,
    axis_y: float,
    angle_step: float,
    expected: Any,
    expected_width: float,
    enclosed: float,
    table: Any,
    total_time: float,
    result: Any,
) -> None:
    """Improve place, start, length, profile and spectrum of each window.

    Rows of `result` are those of `rows` with the decay time, 0 for a constant burst, at their end.
    """
    most = 16
    for r in range(len(rows)):
        total = 0
        tx, ty = int(rows[r, 1] / TILE), int(rows[r, 2] / TILE)
        for row in range(max(ty - 1, 0), min(ty + 2, rows_of_tiles)):
            first, last = max(tx - 1, 0), min(tx + 2, columns)
            total += starts[row * columns + last] - starts[row * columns + first]
        most = max(most, total)
    indices, chosen = np.empty(most, np.int64), np.empty(most, np.int64)
    weight, squared = np.empty((SPECTRA, most)), np.empty(most)
    c, d = np.empty(most), np.empty(most)
    near_time, near_inverse = np.empty(most), np.empty(most)
    near_piece = np.empty(most, np.int64)
    n_pieces = table.shape[0] - 1
    inside = np.empty(n_pieces)
    state = np.empty(8)
    for r in range(len(rows)):
        state[:7] = rows[r, :]
        state[7] = 0.0
        reach = REACH + 10.0
        n = gather(
            state[1] - reach,
            state[2] - reach,
            state[1] + reach,
            state[2] + reach,
            starts,
            members,
            columns,
            rows_of_tiles,
            TILE,
            indices,
        )
        x_mid, y_mid = state[1], state[2]
        away = np.hypot(x_mid - axis_x, y_mid - axis_y)
        angle = min(int(away / angle_step + 0.5), profiles.shape[1] - 1)
        iy = min(int(y_mid / expected_width), expected.shape[0] - 1)
        ix = min(int(x_mid / expected_width), expected.shape[1] - 1)
        here = max(expected[iy, ix], 1e-3)

        for _ in range(2):
            # The place: a step along each axis as long as it helps, then a smaller one.
            step = 2.0
            while step > 0.2:
                moved = False
                for direction in range(4):
                    x1 = state[1] + step * ((direction == 0) - (direction == 1))
                    y1 = state[2] + step * ((direction == 2) - (direction == 3))
                    if np.hypot(x1 - x_mid, y1 - y_mid) > 8.0:
                        continue
                    value, a = _value_at(
                        x1,
                        y1,
                        state[3],
                        state[4],
                        state[7],
                        int(state[5]),
                        indices,
                        n,
                        time,
                        x,
                        y,
                        camera,
                        v,
                        inverse,
                        piece,
                        profiles,
                        angle,
                        table,
                        here,
                        enclosed,
                        total_time,
                        chosen,
                        weight,
                        squared,
                        near_time,
                        near_inverse,
                        near_piece,
                        inside,
                        c,
                        d,
                    )
                    if value > state[0] + 1e-6:
                        state[0], state[1], state[2], state[6] = value, x1, y1, a
                        moved = True
                if not moved:
                    step *= 0.5
            # Start, length and profile.
            m = local(
                state[1],
                state[2],
                indices,
                n,
                x,
                y,
                camera,
                v,
                profiles,
                angle,
                chosen,
                weight,
                squared,
            )
            for k in range(m):
                q = chosen[k]
                near_time[k], near_inverse[k], near_piece[k] = time[q], inverse[q], piece[q]
            begin0, length0, decay0 = state[3], state[4], state[7]
            at = np.searchsorted(near_time[:m], begin0, side="left")
            first = max(at - 6, 0)
            last = min(at + 7, m)
            for s in range(SPECTRA):
                for i in range(first, last):
                    begin = near_time[i]
                    if abs(begin - begin0) > 0.6 * length0:
                        continue
                    for shape in range(11):
                        # Seven lengths of a box, four of a decay.
                        decay = 0.0
                        base = length0 if decay0 == 0.0 else 2.0 * decay0
                        if shape < 7:
                            length = base * 1.19 ** (shape - 3)
                            trial = length
                        else:
                            decay = base * 0.25 * 1.41 ** (shape - 7)
                            length = 4.0 * decay
                            trial = 2.0 * decay
                        length = min(length, total_time - begin)
                        if length <= 0.5 or trial > 0.55 * total_time:
                            continue
                        end = np.searchsorted(near_time[:m], begin + length, side="right")
                        portion = shares_inside(table, begin, length, inside)
                        value, a = likelihood(
                            near_time,
                            weight[s],
                            near_inverse,
                            near_piece,
                            m,
                            i,
                            end,
                            begin,
                            length,
                            decay,
                            inside,
                            portion,
                            here,
                            enclosed,
                            c,
                            d,
                        )
                        value -= np.log(total_time / trial)
                        if value > state[0] + 1e-6:
                            state[0], state[3], state[4], state[5] = value, begin, length, s
                            state[6], state[7] = a, decay
        result[r, :] = state


@jit
def _value_at(
    x0: float,
    y0: float,
    begin: float,
    length: float,
    decay: float,
    s: int,
    indices: Any,
    n: int,
    time: Any,
    x: Any,
    y: Any,
    camera: Any,
    v: Any,
    inverse: Any,
    piece: Any,
    profiles: Any,
    angle: int,
    table: Any,
    here: float,
    enclosed: float,
    total_time: float,
    chosen: Any,
    weight: Any,
    squared: Any,
    near_time: Any,
    near_inverse: Any,
    near_piece: Any,
    inside: Any,
    c: Any,
    d: Any,
) -> tuple[float, float]:
    """Likelihood ratio, less its trials, of a window at a place, and counts."""
    m = local(x0, y0, indices, n, x, y, camera, v, profiles, angle, chosen, weight, squared)
    for k in range(m):
        q = chosen[k]
        near_time[k], near_inverse[k], near_piece[k] = time[q], inverse[q], piece[q]
    first = np.searchsorted(near_time[:m], begin, side="left")
    last = np.searchsorted(near_time[:m], begin + length, side="right")
    portion = shares_inside(table, begin, length, inside)
    value, a = likelihood(
        near_time,
        weight[s],
        near_inverse,
        near_piece,
        m,
        first,
        last,
        begin,
        length,
        decay,
        inside,
        portion,
        here,
        enclosed,
        c,
        d,
    )
    trial = length if decay == 0.0 else 2.0 * decay
    return value - np.log(total_time / trial), a
