"""How soon a step of offsets is an alert, how soon it could be, and how many there are by chance.

Run ``python -m benchmarks.drift_alerts``; it takes some minutes. The figures are in
docs/astrometry.md. The monitor looks each month. What could be are the steps of largest likelihood,
the noise being known exactly, with thresholds that give as many alerts by chance in the same
simulations as are allowed; less and less is left to be found.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

import numpy as np

from exod.astrometry.drift import ALERTS_PER_YEAR, LEAST, find_steps
from exod.schemas.arrays import Floats

YEARS = 5.0
SCATTER, WILD, REACH = 0.35, 0.05, 3.0
"""Standard deviation of offsets (arcsec), share of outliers, and how far these reach (arcsec)."""

RATE, SIZE = 80.0, 0.3
"""Observations a year and step (arcsec) of the comparison with what could be."""

RATES, SIZES = (10.0, 20.0, 40.0, 80.0, 160.0, 320.0), (0.15, 0.3, 0.45, 0.6, 0.9)
LOOKS = np.arange(1, 19) / 12
"""When the monitor looks, years after a step; without one, as often from the first year on."""

WITHIN = 0.5
"""How far the date of an alert may be from the step, years; nearer ones are one alert."""

LEVELS = np.linspace(-1.2, 1.2, 97)
ZERO, STEP = 48, round(SIZE / 0.025)
"""Levels that are tried (arcsec), which of them is zero, and how many a step is."""


def series(
    random: np.random.Generator, rate: float, at: float, size: float
) -> tuple[Floats, Floats]:
    """Times, and offsets of one axis with a step, normal scatter and outliers."""
    time = np.sort(random.uniform(0, YEARS, round(rate * YEARS)))
    values = random.normal(0, SCATTER, len(time))
    wild = random.random(len(time)) < WILD
    values[wild] = random.uniform(-REACH, REACH, wild.sum())
    return time, values + size * (time >= at)


def likelihoods(values: Floats) -> Floats:
    """Log likelihoods of the first values together, shape (n + 1, levels)."""
    core = np.exp(-0.5 * ((values[:, None] - LEVELS) / SCATTER) ** 2) / SCATTER
    density = (1 - WILD) * core / np.sqrt(2 * np.pi) + WILD / (2 * REACH)
    return np.concatenate([np.zeros((1, len(LEVELS))), np.log(density).cumsum(axis=0)])


def nothing_known(before: Floats, after: Floats) -> Floats:
    """Neither the level before nor that after."""
    return before.max(axis=1) + after.max(axis=1)


def size_known(before: Floats, after: Floats) -> Floats:
    """The size, but not the sign and the level before."""
    up, down = before[:, :-STEP] + after[:, STEP:], before[:, STEP:] + after[:, :-STEP]
    return np.maximum(up.max(axis=1), down.max(axis=1))


def level_known(before: Floats, after: Floats) -> Floats:
    """The level before is zero."""
    return before[:, ZERO] + after.max(axis=1) - (before + after)[:, ZERO] + (before + after).max(1)


def all_known(before: Floats, after: Floats) -> Floats:
    """The level before is zero, and that after is known, so that only the time is not."""
    both = before + after
    return before[:, ZERO] + after[:, ZERO + STEP] - both[:, ZERO] + both.max(axis=1)


KNOWN: dict[str, Callable[[Floats, Floats], Floats]] = {
    "noise known": nothing_known,
    "and the level before": level_known,
    "noise and size known": size_known,
    "all but the time known": all_known,
}


def best(time: Floats, sums: Floats, look: float, gain: Callable[..., Floats]) -> Floats:
    """Gain in likelihood and date of the best step in what is seen until then."""
    n = int(np.searchsorted(time, look))
    places = np.arange(LEAST, n - LEAST + 1)
    if not len(places):
        return np.array([0.0, np.nan])
    gains = gain(sums[places], sums[n] - sums[places]) - sums[n].max()
    place = int(gains.argmax())
    return np.array([gains[place], time[places[place] - 1 : places[place] + 1].mean()])


def alerts(dates: Iterable[float]) -> list[float]:
    """Dates that are told: those that are near none that was."""
    told: list[float] = []
    for date in dates:
        if all(abs(date - other) >= WITHIN for other in told):
            told.append(date)
    return told


def by_rule(time: Floats, values: Floats, looks: Floats) -> list[list[float]]:
    """Dates of the steps that the monitor finds at each look."""
    seen = [time < look for look in looks]
    return [[step.year for step in find_steps(time[part], values[part])] for part in seen]


def delay(dates: list[list[float]], at: float) -> float:
    """Years from the step to the first alert that is dated near it."""
    near = [any(abs(date - at) < WITHIN for date in some) for some in dates]
    return float(LOOKS[near.index(True)]) if any(near) else np.inf


def shares(delays: list[float]) -> str:
    """Per cent of steps that are alerts within 3, 6, 9 and 12 months."""
    return " | ".join(f"{100 * np.mean(np.array(delays) <= end + 1e-9):.1f}" for end in _ENDS)


_ENDS = (0.25, 0.5, 0.75, 1.0)


def what_could_be(trials: int, years: int) -> None:
    """Print delays of ideal alerts, their thresholds from monitored years without a step."""
    random, looks = np.random.default_rng(1), np.arange(1.0, YEARS + 1e-9, 1 / 12)
    quiet: dict[str, list[Floats]] = {name: [] for name in KNOWN}
    for _ in range(2 * round(years / (YEARS - 1))):
        time, values = series(random, RATE, np.inf, 0.0)
        sums = likelihoods(values)
        for name, gain in KNOWN.items():
            quiet[name].append(np.array([best(time, sums, look, gain) for look in looks]))
    delays: dict[str, list[float]] = {name: [] for name in KNOWN}
    thresholds = {name: threshold(found, years) for name, found in quiet.items()}
    for _ in range(trials):
        at = random.uniform(1.0, YEARS - 1.5)
        time, values = series(random, RATE, at, SIZE)
        sums = likelihoods(values)
        for name, gain in KNOWN.items():
            found = [best(time, sums, at + look, gain) for look in LOOKS]
            dates = [[date] if value > thresholds[name] else [] for value, date in found]
            delays[name].append(delay(dates, at))
    for name in KNOWN:
        print(f"{name} | {shares(delays[name])}", flush=True)


def threshold(found: list[Floats], years: int) -> float:
    """The lowest gain at which there are as few alerts as are allowed."""
    for value in np.arange(2.0, 20.0, 0.02):
        told = sum(len(alerts(one[one[:, 0] > value, 1])) for one in found)
        if told <= ALERTS_PER_YEAR * years:
            return float(value)
    return np.inf


def what_is(trials: int, rate: float, size: float, seed: int) -> list[float]:
    """Delays of the alerts of the monitor."""
    random, delays = np.random.default_rng(seed), []
    for _ in range(trials):
        at = random.uniform(1.0, YEARS - 1.5)
        time, values = series(random, rate, at, size)
        delays.append(delay(by_rule(time, values, at + LOOKS), at))
    return delays


def by_chance(years: int, rate: float, seed: int, per_year: int = 12) -> int:
    """Alerts of both axes in monitored years without a step."""
    random, told = np.random.default_rng(seed), 0
    looks = np.arange(1.0, YEARS + 1e-9, 1 / per_year)
    for _ in range(2 * round(years / (YEARS - 1))):
        found = by_rule(*series(random, rate, np.inf, 0.0), looks)
        told += len(alerts(date for dates in found for date in dates))
    return told


def dated(trials: int) -> int:
    """How many steps are found within half a year of their date, in the whole series."""
    random, found = np.random.default_rng(4), 0
    for _ in range(trials):
        at = random.uniform(1.0, YEARS - 1.5)
        steps = find_steps(*series(random, RATE, at, SIZE))
        found += any(abs(step.year - at) < WITHIN for step in steps)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=800)
    parser.add_argument("--years", type=int, default=1000)
    given = parser.parse_args()
    trials, years = given.trials, given.years
    print(f'Step of {SIZE}", {RATE:g} observations a year; alerts (%) within 3, 6, 9, 12 months')
    print(f"the monitor | {shares(what_is(trials, RATE, SIZE, 2))}", flush=True)
    what_could_be(trials, years)
    print(f"in the whole series {dated(trials)} of {trials} are dated to half a year", flush=True)
    weekly = by_chance(years, RATE, 5, per_year=52)
    print(f"{weekly} alerts by chance in {years} years of weekly looks", flush=True)
    print("\nAlerts by chance, and alerts (%) half a year after steps of so many arcsec")
    print(f"| Observations a year | in {years} years | {' | '.join(map(str, SIZES))} |")
    for rate in RATES:
        found = [
            100 * np.mean(np.array(what_is(trials // 2, rate, size, 3)) <= 0.5) for size in SIZES
        ]
        text = " | ".join(f"{share:.0f}" for share in found)
        print(f"| {rate:g} | {by_chance(years, rate, 3)} | {text} |", flush=True)


if __name__ == "__main__":
    main()
