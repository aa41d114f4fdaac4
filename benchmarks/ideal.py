"""The search that weighs every photon: counts that it needs, what chance makes, and positions.

``python -m benchmarks.ideal bursts`` simulates constant bursts at an off-axis angle and prints the
counts that are needed to find half of them and how far off they are found;
``python -m benchmarks.ideal chance`` counts bursts in observations without any, where so many are
expected. Each observation takes 10 to 40 seconds of a core at 20 ks. With ``--keep FILE`` what was
measured is kept in a file, a line for each observation, and measured once. ``--preset`` looks for
the same bursts with another search.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any, Final, NamedTuple, get_args

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import ndtr

from exod.completeness.campaign import Point
from exod.completeness.fields import burst_places, burst_starts, quiet_field, with_bursts
from exod.config import Config
from exod.observation.subsets import MergedEvents
from exod.schemas.arrays import Floats
from exod.search.nulls.photonsearch.photonchance import COUNTED_FROM
from exod.search.nulls.photonsearch.photonmarks import PhotonField
from exod.search.nulls.photonsearch.photonnull import PhotonNull, burst_spans, chance_of
from exod.search.nulls.photonsearch.photonscan import Bursts, scan_field
from exod.search.subset import null_hypothesis, search_subset
from exod.simulate import ObservationModel, simulate
from exod.simulate.weather import Background
from exod.stages.inputs.memory import in_memory

LENGTH: Final = 20_000.0
BURSTS: Final = 20
NEAR_ARCSEC: Final = 20.0
"""A burst is found if a region overlaps it in time and lies within this."""

SEED: Final = 1
THRESHOLDS: Final = (14.2, 15.65, 16.9)
"""Likelihood ratios, less trials, that chance reaches `WANTED` times in a quiet observation of
20 ks with pn and both MOS (docs/ideal.md)."""

WANTED: Final = (1.0, 0.3, 0.1)
LOOSE: Final = 3.0
"""False alarms of an observation; other searches than that of photons look once, with the last."""

RATES: Final = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Bursts by chance in an observation for which thresholds are set."""

COUNTS: Final[dict[float, tuple[float, ...]]] = {
    5: (4.5, 6, 8),
    50: (6, 8, 11),
    200: (8, 11, 15),
    500: (10, 13.5, 18),
    1000: (12, 16, 22),
}
"""Counts of the bursts by their lengths in seconds."""


class Trial(NamedTuple):
    """A burst: its strength (0 if not found), distance in arcsec, counts as measured and length."""

    value: float
    away: float
    counts: float
    length: float


class Setup(NamedTuple):
    """Observations that are simulated, and how they are searched.

    Background, cameras, off-axis angle in arcmin, seconds, factor on `COUNTS`, preset, thresholds
    and file.
    """

    back: Background
    cameras: str
    off: float
    length: float
    factor: float
    preset: str
    least: tuple[float, ...]
    keep: Path | None

    def field(self, point: Point) -> ObservationModel:
        """An observation without bursts."""
        model = quiet_field(point, self.length)
        if self.cameras == "pn+mos":
            return model
        mos = tuple(e for e in model.exposures if e.instrument != "EPN")
        return replace(model, exposures=mos)

    def measured(self, key: Sequence[object], measure: Callable[[], Any]) -> Any:
        """What is kept of a measurement; or measure it, and keep that."""
        name = json.dumps([self.preset, self.back, self.cameras, self.length, *key])
        if self.keep is None:
            return measure()
        kept = self.keep.read_text().splitlines() if self.keep.exists() else []
        for line in map(json.loads, kept):
            if line[0] == name:
                return line[1]
        value = measure()
        with self.keep.open("a") as file:
            file.write(json.dumps([name, value]) + "\n")
        return value


def scanned(model: ObservationModel, seed: int) -> Iterator[tuple[PhotonNull, PhotonField, Bursts]]:
    """The hypothesis, its photons, and the bursts, of each subset."""
    config = Config.preset("ideal")
    observation = in_memory(simulate(model, seed), config)
    for events in observation.subsets:
        null = null_hypothesis(events, observation.sources, config)
        if not isinstance(null, PhotonNull):
            raise TypeError("The preset ideal weighs photons.")
        (counts,) = null.counting.bands()
        field = null.field(counts)
        bursts = scan_field(field)
        yield null, field, bursts.take(bursts.alone)


def found_photons(events: MergedEvents, null: PhotonNull) -> Iterator[tuple[Trial, Floats]]:
    """Bursts by their photons, without distance, with place in sky pixels, start and stop."""
    (of_band,) = null.counting.bands()
    field = null.field(of_band)
    bursts = scan_field(field)
    bursts = bursts.take(bursts.alone)
    spans = burst_spans(bursts, of_band.expectation.live_time)
    for i in range(len(bursts)):
        at = (np.array([bursts.x[i], bursts.y[i]]) + field.corner) / events.plane.pixel_arcsec
        burst = Trial(
            float(bursts.value[i]), np.nan, float(bursts.counts[i]), float(bursts.length[i])
        )
        yield burst, np.concatenate([at, spans[i]])


def found_regions(
    events: MergedEvents, sources: pd.DataFrame, config: Config
) -> Iterator[tuple[Trial, Floats]]:
    """The same of the regions of a search; their value is minus the logarithm of false alarms."""
    runs = list(search_subset("0900000101", events, sources, config))
    for run in runs:
        for region in run.regions:
            if region.position is None or region.event is None:
                continue
            alarms = sum(other.alarms.at(region.strength) for other in runs)
            position, event = region.position, region.event
            burst = Trial(-np.log(alarms), np.nan, position.counts, event.stop - event.start)
            yield burst, np.array([position.x, position.y, event.start, event.stop])


def trials(number: int, duration: float, counts: float, setup: Setup) -> list[Trial]:
    """Simulate bursts in an observation and look for them."""
    point = Point(counts, duration, setup.off, setup.back, number, SEED)
    model, generator = setup.field(point), point.generator()
    places = burst_places(model, setup.off, BURSTS, generator)
    starts = burst_starts(model, duration, len(places), generator)
    best = [Trial(0.0, np.nan, np.nan, np.nan)] * len(places)
    lit = simulate(with_bursts(model, places, starts, duration, counts), number)
    config = Config.preset(setup.preset)
    if config.detect.method != "photons":
        override = f"detect.false_alarm_rate={LOOSE}"
        config = Config.load(preset=setup.preset, overrides=[override])
    observation = in_memory(lit, config)
    for events in observation.subsets:
        null = null_hypothesis(events, observation.sources, config)
        if isinstance(null, PhotonNull):
            found = found_photons(events, null)
        else:
            found = found_regions(events, observation.sources, config)
        for burst, (x, y, begin, end) in found:
            for i, (place, start) in enumerate(zip(places, starts, strict=True)):
                away = np.hypot(x - place[0], y - place[1]) * events.plane.pixel_arcsec
                if away < NEAR_ARCSEC and begin < start + duration and end > start:
                    best[i] = max(best[i], burst._replace(away=float(away)))
    return best


def half_found(counts: Floats, found: Floats, n: Floats) -> float:
    """Counts at which a log-normal curve through shares of found bursts is a half."""

    def cost(shape: Floats) -> float:
        share = ndtr((np.log(counts) - shape[0]) / np.exp(shape[1])).clip(1e-6, 1 - 1e-6)
        return -float((found * np.log(share) + (n - found) * np.log(1 - share)).sum())

    start = [np.log(counts).mean(), np.log(0.4)]
    return float(np.exp(minimize(cost, start, method="Nelder-Mead").x[0]))


def bursts_table(observations: int, setup: Setup) -> None:
    """Print counts needed and distances."""
    every: list[Trial] = []
    random = np.random.default_rng(SEED)
    for duration, wanted in COUNTS.items():
        grid = np.array(wanted, float) * setup.factor
        values: list[list[float]] = []
        for counts in grid.tolist():
            made = [
                Trial(*trial)
                for number in range(1, observations + 1)
                for trial in setup.measured(
                    ["bursts", setup.off, duration, counts, number],
                    partial(trials, number, duration, counts, setup),
                )
            ]
            values.append([trial.value for trial in made])
            every += made
        n = np.array([len(v) for v in values], float)
        parts = []
        for least in setup.least:
            found = np.array([sum(x > least for x in v) for v in values], float)
            share = (found / n).clip(0.5 / n, 1 - 0.5 / n)
            again = [
                half_found(grid, random.binomial(n.astype(int), share).astype(float), n)
                for _ in range(60)
            ]
            parts.append(f"{half_found(grid, found, n):.1f} +- {np.std(again):.1f}")
        print(f"{duration} s: {', '.join(parts)} ({n.sum():.0f} bursts)", flush=True)
    found_ones = [t for t in every if t.value > setup.least[1]]
    away = np.median([t.away for t in found_ones])
    print(f"Positions: half of {len(found_ones)} within {away:.1f} arcsec")


def false_bursts(number: int, setup: Setup) -> dict[str, Any]:
    """Bursts of an observation without any, what chance should make, and the seconds it took."""
    model = setup.field(Point(8.0, 50.0, setup.off, setup.back, number, SEED))
    values, least, began = [], [], process_time()
    for null, field, bursts in scanned(model, number):
        chance = chance_of(field)
        values.append(bursts.value[bursts.value > COUNTED_FROM].round(3).tolist())
        least.append([chance.threshold(rate / null.subset.n_subsets) for rate in RATES])
    return {"values": values, "least": least, "seconds": round(process_time() - began, 1)}


def chance_table(observations: int, setup: Setup) -> None:
    """Print bursts that are none, in observations, and how many were expected."""
    found = np.zeros(len(RATES))
    seconds = []
    for number in range(1, observations + 1):
        one = setup.measured(["chance", number], partial(false_bursts, number, setup))
        seconds.append(one["seconds"])
        for values, least in zip(one["values"], one["least"], strict=True):
            found += (np.array(values, float)[:, None] > np.array(least)).sum(axis=0)
    print(f"{observations} observations, median {np.median(seconds):.1f} s of the processor each")
    for rate, n in zip(RATES, found.tolist(), strict=True):
        expected = rate * observations
        error = np.sqrt(max(n, 1.0)) / expected
        print(
            f"{rate} expected: {n:.0f} found of {expected:.0f}, {n / expected:.2f} +- {error:.2f}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("bursts", "chance"))
    parser.add_argument("--observations", type=int, default=3)
    parser.add_argument("--off-axis", type=float, default=6.0, help="arcmin")
    parser.add_argument("--background", choices=get_args(Background), default="quiet")
    parser.add_argument("--cameras", choices=("pn+mos", "mos"), default="pn+mos")
    parser.add_argument("--length", type=float, default=LENGTH, help="seconds")
    parser.add_argument("--keep", type=Path, help="file of what was measured")
    parser.add_argument("--factor", type=float, default=1.0, help="on the counts of bursts")
    parser.add_argument("--preset", default="ideal")
    parser.add_argument(
        "--least", type=float, nargs=3, help="likelihood ratios at 1, 0.3 and 0.1 false alarms"
    )
    given = parser.parse_args(arguments)
    usual = THRESHOLDS if given.preset == "ideal" else tuple(-np.log(WANTED))
    setup = Setup(
        given.background,
        given.cameras,
        given.off_axis,
        given.length,
        given.factor,
        given.preset,
        tuple(given.least or usual),
        given.keep,
    )
    table = bursts_table if given.what == "bursts" else chance_table
    table(given.observations, setup)


if __name__ == "__main__":
    main()
