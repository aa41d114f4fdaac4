"""How soon a step of offsets is an alert, and how often there is one without a step.

Run ``python benchmarks/drift_alerts.py``; it takes some minutes. The figures are in
docs/astrometry.md.
"""

from __future__ import annotations

import numpy as np

from exod.astrometry.drift import ALERT_PROBABILITY, find_steps

YEARS, OFFSETS, SCATTER, WILD = 5.0, 400, 0.35, 0.05
SIZE = 0.3
"""Of the step, arcsec."""

LOOKS = 12
"""Times a year that the monitor runs."""


def series(random: np.random.Generator, at: float = np.inf) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of one axis, with a step, normal scatter and outliers of up to 3 arcsec."""
    time = np.sort(random.uniform(0, YEARS, OFFSETS))
    values = random.normal(0, SCATTER, OFFSETS)
    wild = random.random(OFFSETS) < WILD
    values[wild] = random.uniform(-3, 3, wild.sum())
    return time, values + SIZE * (time >= at)


def found(time: np.ndarray, values: np.ndarray, at: float, until: float = np.inf) -> bool:
    """Whether what is known until then has a step within half a year of the true one."""
    seen = time < until
    return any(abs(step.year - at) < 0.5 for step in find_steps(time[seen], values[seen]))


def steps(trials: int) -> None:
    """Print how often a step is found in the whole series, and so many years after it."""
    random = np.random.default_rng(1)
    delays = (0.5, 1.0, 1.5, np.inf)
    counts = np.zeros(len(delays))
    for _ in range(trials):
        at = random.uniform(1.0, YEARS - 1.5)
        time, values = series(random, at)
        counts += [found(time, values, at, at + delay) for delay in delays]
    for delay, count in zip(delays, counts, strict=True):
        print(f"{delay} years after it: {count:.0f} of {trials}")


def false_alerts(trials: int) -> None:
    """Print alerts, told once each, of both axes in monitored years without a step."""
    random, alerts = np.random.default_rng(2), 0
    for _ in range(trials):
        for _axis in "yz":
            time, values = series(random)
            told: list[float] = []
            for look in np.arange(1.0, YEARS + 1e-9, 1 / LOOKS):
                seen = time < look
                for step in find_steps(time[seen], values[seen]):
                    if all(abs(step.year - other) >= 0.5 for other in told):
                        told.append(step.year)
            alerts += len(told)
    years = trials * (YEARS - 1.0)
    print(f"{alerts} false alerts in {years:g} monitored years")


if __name__ == "__main__":
    print(f"probability {ALERT_PROBABILITY:g}")
    steps(200)
    false_alerts(50)
