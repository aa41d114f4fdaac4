"""Counts that a search needs which knows the background and the spectrum of bursts: near the limit.

``python -m benchmarks.nearideal`` draws photons of a small square of sky, as the simulator has
them at an off-axis angle, and weighs them with

    lambda = sum over photons of the window of ln(1 + A w(t) / T) - A EEF,
    w = s_c phi_c(r) f_c(E) / b_c(E, t),

s_c the share of a camera in the counts of a burst, phi_c the point spread function, f_c the
spectrum of the burst and b_c the rate of the background, all known. A, place (3 arcsec apart),
start (a photon) and length T (28) are those of the largest lambda, less ln(T_obs / T). The
threshold is that which as many bursts of chance in a whole observation have as are wanted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, get_args

import numpy as np

from benchmarks.ideal import COUNTS, SEED, WANTED, Setup, half_found
from benchmarks.nearsky import SIDE, Rates, Sky, rates_at, shares_before, sky
from exod.completeness.campaign import Point
from exod.completeness.fields import burst_starts
from exod.schemas.arrays import Floats
from exod.search.nulls.photonsearch.photonchance import shape_of
from exod.search.nulls.photonsearch.photonplaces import ALIKE, RADIAL, REACH, keep_best, strongest
from exod.search.nulls.photonsearch.photonratio import jit
from exod.search.nulls.photonsearch.photonscan import APART_ARCSEC, durations
from exod.simulate import ObservationModel
from exod.simulate.weather import Background

APART: Final = 3.0
CORE: Final = 15.0
COUNTED_FROM: Final = 9.0
TYPICAL_ANGLE: Final = 6.0
"""Off-axis angle in arcmin at which chance is counted, for all of the field."""


class Known(NamedTuple):
    """What the scan knows: profiles by camera and radius, lengths of windows, seconds of all,
    background of a square arcsec before each second, counts of a burst within reach, and the
    likelihood ratio that is wanted."""

    profiles: Floats
    lengths: Floats
    total: float
    seconds: Floats
    enclosed: float
    least: float


class Near(NamedTuple):
    """Photons around a place: time, background before, weight, and which are in the core."""

    time: Floats
    before: Floats
    weight: Floats
    core: Any


@jit
def gather(sky: Sky, x: float, y: float, profiles: Any, near: Near) -> tuple[int, int]:
    """Photons around a place; how many, and how many in its core."""
    m, n_core = 0, 0
    for i in range(len(sky.time)):
        dx, dy = sky.x[i] - x, sky.y[i] - y
        r2 = dx * dx + dy * dy
        if r2 < REACH * REACH:
            density = profiles[sky.camera[i], int(np.sqrt(r2) * RADIAL + 0.5)]
            near.time[m], near.before[m] = sky.time[i], sky.before[i]
            near.weight[m] = sky.ratio[i] * density
            if r2 < CORE * CORE:
                near.core[n_core] = m
                n_core += 1
            m += 1
    return m, n_core


@jit
def value_of(weight: Any, length: float, a: float, enclosed: float) -> float:
    """Likelihood ratio of a burst of so many counts."""
    value, product = -a * enclosed, 1.0
    for k in range(len(weight)):
        product *= 1.0 + a * weight[k] / length
        if k % 8 == 7:
            value += np.log(product)
            product = 1.0
    return value + np.log(product)


@jit
def best_value(
    weight: Any, length: float, a: float, enclosed: float, wanted: float
) -> tuple[float, float]:
    """Largest likelihood ratio and its counts, or what is far below the wanted one."""
    for turn in range(12):
        slope, bend = -enclosed, 0.0
        for k in range(len(weight)):
            part = weight[k] / (length + a * weight[k])
            slope += part
            bend -= part * part
        curve = a * a * bend + a * slope
        step = -a * slope / curve if curve < 0 else 0.7
        a *= np.exp(min(max(step, -1.5), 1.5))
        if abs(step) < 0.02:
            break
        if turn == 1 and value_of(weight, length, a, enclosed) < wanted - 2.0:
            break
    return value_of(weight, length, a, enclosed), a


@jit
def windows_of_length(
    length: float, m: int, n_core: int, near: Near, known: Known, kept: Any, row: Any, n_kept: int
) -> int:
    """Keep the windows of a place that are so long and good enough; how many are kept."""
    trials, area = np.log(known.total / length), np.pi * CORE * CORE
    stop, last = 0, 0
    for i in range(n_core):
        first = near.core[i]
        end = near.time[first] + length
        if end > known.total:
            break
        while stop < n_core and near.time[near.core[stop]] <= end:
            stop += 1
        while last < m and near.time[last] <= end:
            last += 1
        n, at = stop - i, min(int(end), len(known.seconds) - 2)
        until = known.seconds[at] + (end - at) * (known.seconds[at + 1] - known.seconds[at])
        mean = max((until - near.before[first]) * area, 1e-9)
        if n < 2 or n <= mean or n * (np.log(n / mean) - 1) + mean < 0.4 * (known.least + trials):
            continue
        wanted, guess = known.least + trials, max(1.3 * (n - mean), 1.0)
        value, a = best_value(near.weight[first:last], length, guess, known.enclosed, wanted)
        if value >= wanted:
            row[0], row[3], row[4], row[6] = value - trials, near.time[first], length, a
            n_kept = keep_best(kept, n_kept, row)
    return n_kept


@jit
def scan_sky(sky: Sky, known: Known, places: Any, found: Any) -> int:
    """Windows at places, rows as of `photonkernels.scan`; how many."""
    room = len(sky.time)
    near = Near(np.empty(room), np.empty(room), np.empty(room), np.empty(room, np.int64))
    kept, row, n_found = np.empty((64, 7)), np.zeros(7), 0
    for place in range(len(places)):
        row[1], row[2] = places[place, 0], places[place, 1]
        m, n_core = gather(sky, row[1], row[2], known.profiles, near)
        n_kept = 0
        for length in known.lengths:
            n_kept = windows_of_length(length, m, n_core, near, known, kept, row, n_kept)
        for k in range(min(n_kept, len(found) - n_found)):
            found[n_found, :] = kept[k, :]
            n_found += 1
    return n_found


def windows(
    photons: Sky, rates: Rates, model: ObservationModel, total: float, places: Floats, least: float
) -> Floats:
    """Bursts at places, the strongest first, rows as of `photonkernels.scan`."""
    seconds = shares_before(np.arange(int(total) + 2.0), rates, model)
    found = np.empty((300_000, 7))
    known = Known(rates.profiles, durations(total), total, seconds, rates.enclosed, least)
    n = scan_sky(photons, known, places, found)
    rows = found[:n]
    rows = rows[np.argsort(-rows[:, 0])]
    for ratio in (ALIKE, np.inf):
        alone = np.zeros(len(rows), np.bool_)
        strongest(rows, APART_ARCSEC, ratio, alone)
        rows = rows[alone]
    return rows


def thresholds(squares: int, setup: Setup) -> Floats:
    """Lambda that chance reaches `WANTED` times in an observation."""
    rates = rates_at(TYPICAL_ANGLE, setup)
    line = np.arange(0.0, SIDE, APART)
    places = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    number, generator = 0, np.random.default_rng(SEED)
    for square in range(1, squares + 1):
        model = setup.field(Point(8.0, 50.0, 6.0, setup.back, square, SEED))
        photons = sky(rates, model, setup.length, (0.0, 1.0, 0.0), generator)
        rows = windows(photons, rates, model, setup.length, places, COUNTED_FROM)
        number += len(rows)
    expected = number / squares * rates.area / SIDE**2
    values = np.linspace(COUNTED_FROM, 40, 3101)
    curve = expected * shape_of(values) / shape_of(np.array(COUNTED_FROM))
    least = np.interp(-np.log(WANTED), -np.log(curve), values)
    print(
        f"{number} by chance in {squares} squares of {SIDE:g} arcsec, field as {rates.area:.3g} "
        f"square arcsec: lambda {', '.join(f'{x:.2f}' for x in least)}",
        flush=True,
    )
    return np.asarray(least)


def bursts_table(bursts: int, least: Floats, setup: Setup) -> None:
    """Print counts that are needed."""
    rates, total = rates_at(setup.off, setup), setup.length
    generator = np.random.default_rng(SEED)
    for duration, wanted in COUNTS.items():
        grid = np.array(wanted, float) * setup.factor
        values = np.zeros((len(grid), bursts))
        for row, counts in enumerate(grid.tolist()):
            for i in range(bursts):
                model = setup.field(Point(8.0, duration, setup.off, setup.back, 1 + i % 20, SEED))
                first = model.exposures[0].start
                start = burst_starts(model, duration, 1, generator)[0] - first
                start = min(start, total - duration)
                photons = sky(rates, model, total, (start, duration, counts), generator)
                line = np.arange(-12.0, 12.1, APART) + generator.uniform(0, APART)
                places = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2) + SIDE / 2
                rows = windows(photons, rates, model, total, places, float(least.min()) - 3)
                overlap = (rows[:, 3] < start + duration) & (rows[:, 3] + rows[:, 4] > start)
                values[row, i] = rows[overlap, 0].max(initial=0.0)
        parts = []
        n = np.full(len(grid), float(bursts))
        for level in least:
            found = (values > level).sum(axis=1).astype(float)
            share = (found / n).clip(0.5 / n, 1 - 0.5 / n)
            again = [
                half_found(grid, generator.binomial(bursts, share).astype(float), n)
                for _ in range(60)
            ]
            parts.append(f"{half_found(grid, found, n):.2f} +- {np.std(again):.2f}")
        print(f"{duration} s: {', '.join(parts)} ({n.sum():.0f} bursts)", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--squares", type=int, default=60)
    parser.add_argument("--bursts", type=int, default=200, help="for each length and counts")
    parser.add_argument("--off-axis", type=float, nargs="+", default=[6.0], help="arcmin")
    parser.add_argument("--background", choices=get_args(Background), default="quiet")
    parser.add_argument("--cameras", choices=("pn+mos", "mos"), default="pn+mos")
    parser.add_argument("--length", type=float, default=20_000.0, help="seconds")
    parser.add_argument("--factor", type=float, default=1.0, help="on the counts of bursts")
    given = parser.parse_args(arguments)
    setup = Setup(
        given.background, given.cameras, 6.0, given.length, given.factor, "ideal", (), None
    )
    least = thresholds(given.squares, setup)
    for off in given.off_axis:
        print(f"{off:g} arcmin:")
        bursts_table(given.bursts, least, setup._replace(off=off))


if __name__ == "__main__":
    main()
