"""The search that weighs every photon: counts that it needs, what chance makes, and positions.

``python -m benchmarks.ideal bursts`` simulates constant bursts at an off-axis angle and prints the
counts that are needed to find half of them and how far off they are found;
``python -m benchmarks.ideal chance`` compares observations without bursts with their own photons at
other times. Each observation takes 10 to 20 seconds of a core, twice that if the background flares.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, get_args

import numpy as np
from scipy.optimize import minimize
from scipy.special import ndtr

from exod.completeness.campaign import Point
from exod.completeness.fields import burst_places, burst_starts, quiet_field, with_bursts
from exod.config import Config
from exod.schemas.arrays import Floats
from exod.search.nulls.photonsearch.photonnull import PhotonNull, burst_spans
from exod.search.nulls.photonsearch.photonscan import Bursts, scan_field, shuffled
from exod.search.subset import null_hypothesis
from exod.simulate import ObservationModel, simulate
from exod.simulate.weather import Background
from exod.stages.inputs.memory import in_memory

LENGTH: Final = 20_000.0
BURSTS: Final = 20
NEAR_ARCSEC: Final = 20.0
"""A burst is found if a region overlaps it in time and lies within this."""

SEED: Final = 1
THRESHOLDS: Final = (14.2, 15.65, 16.9)
"""Likelihood ratios, less trials, that chance reaches 1, 0.3 and 0.1 times (docs/ideal.md)."""

COUNTS: Final[dict[float, tuple[float, ...]]] = {
    5: (4.5, 6, 8),
    50: (6, 8, 11),
    200: (8, 11, 15),
    500: (10, 13.5, 18),
    1000: (12, 16, 22),
}
"""Counts of the bursts by their lengths in seconds."""

FLARING: Final = 1.5
"""Factor on the counts where the background flares."""


class Trial(NamedTuple):
    """A burst: its strength (0 if not found), distance in arcsec, counts as measured and length."""

    value: float
    away: float
    counts: float
    length: float


def scanned(model: ObservationModel, seed: int) -> Iterator[tuple[PhotonNull, Bursts, Bursts]]:
    """The hypothesis, the bursts and those of shuffled photons, of each subset."""
    config = Config.preset("ideal")
    observation = in_memory(simulate(model, seed), config)
    for events in observation.subsets:
        null = null_hypothesis(events, observation.sources, config)
        if not isinstance(null, PhotonNull):
            raise TypeError("The preset ideal weighs photons.")
        (counts,) = null.counting.bands()
        field = null.field(counts)
        bursts, other = (
            found.take(found.alone)
            for found in (
                scan_field(field),
                scan_field(shuffled(field, np.random.default_rng(seed))),
            )
        )
        yield null, bursts, other


def trials(
    number: int, duration: float, counts: float, off: float, back: Background
) -> list[Trial]:
    """Simulate bursts in an observation and look for them."""
    point = Point(counts, duration, off, back, number, SEED)
    model, generator = quiet_field(point, LENGTH), point.generator()
    places = burst_places(model, off, BURSTS, generator)
    starts = burst_starts(model, duration, len(places), generator)
    best = [Trial(0.0, np.nan, np.nan, np.nan)] * len(places)
    model = with_bursts(model, places, starts, duration, counts)
    for null, bursts, _ in scanned(model, number):
        (of_band,) = null.counting.bands()
        corner = null.field(of_band).corner
        pixel = null.subset.events.plane.pixel_arcsec
        spans = burst_spans(bursts, of_band.expectation.live_time)
        for i, ((x, y), start) in enumerate(zip(places, starts, strict=True)):
            away = np.hypot(bursts.x + corner[0] - x * pixel, bursts.y + corner[1] - y * pixel)
            overlap = (spans[:, 0] < start + duration) & (spans[:, 1] > start)
            own = np.flatnonzero((away < NEAR_ARCSEC) & overlap)
            if len(own) and bursts.value[own[0]] > best[i].value:
                j = own[0]
                best[i] = Trial(bursts.value[j], away[j], bursts.counts[j], bursts.length[j])
    return best


def half_found(counts: Floats, found: Floats, n: Floats) -> float:
    """Counts at which a log-normal curve through shares of found bursts is a half."""

    def cost(shape: Floats) -> float:
        share = ndtr((np.log(counts) - shape[0]) / np.exp(shape[1])).clip(1e-6, 1 - 1e-6)
        return -float((found * np.log(share) + (n - found) * np.log(1 - share)).sum())

    start = [np.log(counts).mean(), np.log(0.4)]
    return float(np.exp(minimize(cost, start, method="Nelder-Mead").x[0]))


def bursts_table(observations: int, off: float, back: Background) -> None:
    """Print counts needed and distances."""
    every: list[Trial] = []
    for duration, wanted in COUNTS.items():
        grid = np.array(wanted, float) * (FLARING if back == "flaring" else 1.0)
        values: list[list[float]] = []
        for counts in grid:
            made = [
                trial
                for number in range(1, observations + 1)
                for trial in trials(number, duration, float(counts), off, back)
            ]
            values.append([trial.value for trial in made])
            every += made
        n = np.array([len(v) for v in values], float)
        needed = [
            half_found(grid, np.array([sum(x > least for x in v) for v in values], float), n)
            for least in THRESHOLDS
        ]
        text = " ".join(f"{c:.1f}" for c in needed)
        print(f"{duration} s: {text} ({n.sum():.0f} bursts)", flush=True)
    found = [t for t in every if t.value > THRESHOLDS[1]]
    print(f"Positions: half of {len(found)} within {np.median([t.away for t in found]):.1f} arcsec")


def chance_table(observations: int, back: Background) -> None:
    """Print bursts that are none, in observations and in their shuffled photons."""
    real: list[float] = []
    other: list[float] = []
    for number in range(1, observations + 1):
        model = quiet_field(Point(8.0, 50.0, 6.0, back, number, SEED), LENGTH)
        for _, bursts, made in scanned(model, number):
            real += bursts.value.tolist()
            other += made.value.tolist()
    for least in np.arange(10.0, 18.0):
        counted = (sum(value > least for value in values) for values in (real, other))
        print(f"lambda > {least:.0f}: observed {next(counted)}, shuffled {next(counted)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("bursts", "chance"))
    parser.add_argument("--observations", type=int, default=3)
    parser.add_argument("--off-axis", type=float, default=6.0, help="arcmin")
    parser.add_argument("--background", choices=get_args(Background), default="quiet")
    given = parser.parse_args(arguments)
    if given.what == "bursts":
        bursts_table(given.observations, given.off_axis, given.background)
    else:
        chance_table(given.observations, given.background)


if __name__ == "__main__":
    main()
