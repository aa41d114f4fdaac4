"""Photons of a small square of sky whose rates are known, for `benchmarks.nearideal`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.ideal import SEED, Setup
from exod.completeness.campaign import Point
from exod.completeness.fields import burst_places, with_bursts
from exod.config import Config
from exod.observation.events import Exposure
from exod.schemas.arrays import Floats
from exod.search.nulls.photonsearch.photonmarks import profile_table
from exod.search.nulls.photonsearch.photonplaces import RADIAL, REACH
from exod.simulate import ObservationModel, simulate
from exod.simulate.lights.lightmodels import LightModel
from exod.stages.inputs.memory import in_memory

STEPS: Final = np.geomspace(200.0, 12_000.0, 41)
"""Edges of the steps of the spectra, eV."""

SIDE: Final = 180.0
"""Width of the square of sky in arcsec; what leaves it on one side comes in on the other."""

LONG: Final = 60_000.0
"""Seconds of the observations that rates are measured in."""


class Rates(NamedTuple):
    """What is known, arrays by camera and energy step.

    `quiet` counts of the background in a second and square arcsec, and `flare` those where the
    flares of the model are 1; `burst` counts of a burst of one count; `profiles` by camera and
    radius; `enclosed` counts of a burst within reach; `area` of a field that has as many photons
    of the background as there are, square arcsec.
    """

    quiet: Floats
    flare: Floats
    burst: Floats
    profiles: Floats
    enclosed: float
    area: float


class Sky(NamedTuple):
    """Photons of a square in order of time: over `ratio` times profile, a burst adds one count."""

    time: Floats
    x: Floats
    y: Floats
    camera: Any
    ratio: Floats
    before: Floats


def spectra_of(
    model: ObservationModel, off: float | None, seed: int
) -> tuple[Floats, tuple[Exposure, ...]]:
    """Events by camera and energy of one square arcsec at an angle (of all the field if None)."""
    (events,) = in_memory(simulate(model, seed), Config.preset("ideal")).subsets
    pixel, plane = events.plane.pixel_arcsec, events.plane
    dx, dy = (events.x - plane.x_ref) * pixel, (events.y - plane.y_ref) * pixel
    away = np.hypot(dx, dy) / 60
    counts = np.zeros((len(events.exposures), len(STEPS) - 1))
    for c in range(len(counts)):
        own = events.source == c
        area = 1.0
        if off is not None:
            own &= np.abs(away - off) < 1
            place = np.stack([dx[own] // 20, dy[own] // 20], axis=1)
            number = np.unique(place, axis=0, return_counts=True)[1]
            # Squares of 20 arcsec, without those that are cut by rims of chips.
            area = 400.0 * own.sum() / number[number > np.median(number) / 2].mean()
        counts[c] = np.histogram(np.clip(events.pi[own], 201, 11_999), STEPS)[0] / area
    return counts, events.exposures


def emptied(model: ObservationModel) -> ObservationModel:
    """Without sources and defects, all cameras on for as long."""
    first = model.exposures[0].start
    exposures = tuple(
        replace(e, start=first, duration=LONG, hot_pixels=(), dropouts=()) for e in model.exposures
    )
    return replace(model, exposures=exposures, sources=())


def rates_at(off: float, setup: Setup) -> Rates:
    """Measure rates of the simulator at an off-axis angle."""
    point = Point(8.0, 50.0, off, "quiet", 1, SEED)
    empty = emptied(setup._replace(back="quiet", length=LONG).field(point))
    quiet, exposures = spectra_of(replace(empty, flares=()), off, 1)
    everything = spectra_of(replace(empty, flares=()), None, 1)[0].sum()
    other = setup._replace(back="flaring", length=LONG).field(replace(point, background="flaring"))
    flaring = replace(emptied(other), background_scale=0.0)
    flare = spectra_of(flaring, off, 2)[0]
    first = flaring.exposures[0].start
    seconds = sum(f.amplitude * f.integral(first, first + LONG) for f in flaring.flares)
    dark = replace(empty, background_scale=0.0, flares=())
    places = burst_places(empty, off, 20, point.generator())
    starts = np.full(len(places), empty.exposures[0].start)
    lit = with_bursts(dark, places, starts, LONG, 3000.0)
    burst = spectra_of(lit, None, 3)[0] / (3000.0 * len(places))
    table = profile_table(exposures, REACH, RADIAL)
    profiles = table[:, min(int(off + 0.5), table.shape[1] - 1)]
    radius = np.arange(profiles.shape[1]) / RADIAL
    within = ((2 * np.pi * radius * profiles)[:, radius < REACH]).sum(axis=1) / RADIAL
    quiet = np.maximum(quiet, 0.3 / 400 / 100) / LONG
    enclosed = float(burst.sum(axis=1) @ within)
    area = everything / LONG / quiet.sum()
    return Rates(quiet, flare / seconds, burst, profiles, enclosed, float(area))


def flares_at(time: Floats, flares: Sequence[LightModel]) -> Floats:
    """Sum of flares, each with its peak."""
    return np.sum([f.amplitude * f.rate(time) for f in flares] or [0 * time], axis=0)


def sky(
    rates: Rates,
    model: ObservationModel,
    total: float,
    burst: tuple[float, float, float],
    generator: np.random.Generator,
) -> Sky:
    """Photons of a square, with a burst (start, length, counts) in its middle.

    Times are those of the model less its start.
    """
    n_cameras, n_steps = rates.quiet.shape
    first = model.exposures[0].start
    parts = []

    def add(spectrum: Floats, time: Floats, x: Floats, y: Floats) -> None:
        which = generator.choice(n_cameras * n_steps, len(time), p=spectrum / spectrum.sum())
        parts.append((time, x, y, *np.divmod(which, n_steps)))

    n = generator.poisson(rates.quiet.sum() * SIDE**2 * total)
    add(rates.quiet.ravel(), generator.uniform(0, total, n), *generator.uniform(0, SIDE, (2, n)))
    for flare in model.flares:
        rate = flare.amplitude * rates.flare.sum() * SIDE**2
        time = flare.sample(generator, rate, first, first + total) - first
        add(rates.flare.ravel(), time, *generator.uniform(0, SIDE, (2, len(time))))
    begin, length, counts = burst
    n = generator.poisson(counts * rates.burst.sum())
    time = begin + length * generator.random(n)
    add(rates.burst.ravel(), time, np.zeros(n), np.zeros(n))
    time, x, y, camera, step = (np.concatenate(column) for column in zip(*parts, strict=True))
    radius = np.arange(rates.profiles.shape[1]) / RADIAL
    for c, profile in enumerate(rates.profiles):
        mine = np.flatnonzero((np.arange(len(time)) >= len(time) - n) & (camera == c))
        inside = np.cumsum(2 * np.pi * radius * profile) / RADIAL
        drawn = generator.random(len(mine))
        # What falls beyond reach is far from the burst.
        away = np.where(drawn < inside[-1], np.interp(drawn, inside, radius), SIDE / 2)
        angle = generator.uniform(0, 2 * np.pi, len(mine))
        x[mine], y[mine] = SIDE / 2 + away * np.cos(angle), SIDE / 2 + away * np.sin(angle)
    rate = rates.quiet[camera, step] + rates.flare[camera, step] * flares_at(
        time + first, model.flares
    )
    ratio = rates.burst[camera, step] / rate
    order = np.argsort(time)
    # Photons near a side are there at the other side as well.
    copies = [(dx, dy) for dx in (-SIDE, 0.0, SIDE) for dy in (-SIDE, 0.0, SIDE)]
    columns = [
        np.concatenate([u[order] + shift for shift in shifts])
        for u, shifts in (
            (x, [dx for dx, _ in copies]),
            (y, [dy for _, dy in copies]),
        )
    ]
    near = (np.abs(np.array(columns) - SIDE / 2) < SIDE / 2 + REACH).all(axis=0)
    again = [np.tile(u[order], len(copies))[near] for u in (time, camera, ratio)]
    order = np.argsort(again[0], kind="stable")
    at = again[0][order]
    before = shares_before(at, rates, model)
    xs, ys = (u[near][order] for u in columns)
    return Sky(at, xs, ys, again[1][order], again[2][order], before)


def shares_before(time: Floats, rates: Rates, model: ObservationModel) -> Floats:
    """Counts of the background of a square arcsec before each time."""
    first = model.exposures[0].start
    counts = rates.quiet.sum() * np.asarray(time)
    for flare in model.flares:
        grown = flare.cumulative(first + np.asarray(time)) - flare.cumulative(first)
        counts = counts + flare.amplitude * rates.flare.sum() * grown
    return np.asarray(counts)
