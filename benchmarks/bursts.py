"""How well the start, stop and counts of simulated box bursts are measured.

``python -m benchmarks.bursts`` prints the tables of docs/events.md. The background of a region of 3
x 3 cells is quiet or flares; its expectation is taken, with its noise, from the rest of the
detector; the seed is what a search with frames of some length, at any alignment, finds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from time import perf_counter
from unittest.mock import patch

import numpy as np

from exod.counts.bayes import Thresholds
from exod.schemas.arrays import Floats
from exod.search.blocks import block_edges, change_point
from exod.search.bursts import Event, describe_event
from exod.search.clocks import ExpectedCounts

SPAN = 20_000.0
"""Length of the simulated observation, s."""

CELLS = 9
DETECTOR_CELLS = 13_000
"""Cells of 20 arcsec in the field of view of EPIC."""

THRESHOLDS = Thresholds(3.0)


@dataclass(frozen=True)
class Setting:
    """A point of the grid: rate in ct/s of a cell, factor of the flare, burst, frame length."""

    rate: float
    flare: float
    counts: int
    duration: float
    t_bin: float


GRID = tuple(
    Setting(*values)
    for values in product(
        (2e-4, 5e-3), (1.0, 50.0), (30, 100), (2.0, 10.0, 50.0, 200.0, 1000.0), (5.0, 50.0, 200.0)
    )
)


def background(setting: Setting, edges: Floats) -> Floats:
    """Expected counts of a cell in each frame: a flare of 1000 s (sigma) in the middle."""
    centre = (edges[1:] + edges[:-1]) / 2
    flare = (setting.flare - 1) * np.exp(-0.5 * ((centre - SPAN / 2) / 1000.0) ** 2)
    return np.asarray(setting.rate * np.diff(edges) * (1 + flare))


def trial(
    setting: Setting, generator: np.random.Generator
) -> tuple[Floats, ExpectedCounts, tuple[float, float] | None, float]:
    """Photons, expectation, the seed if the search finds the burst, and the true start."""
    fine = np.arange(0, SPAN + 1, 1.0)
    start = SPAN / 2 - setting.duration / 2 + generator.uniform(-1500, 1500)
    of_second = generator.poisson(background(setting, fine) * CELLS)
    time = np.repeat(fine[:-1], of_second) + generator.random(of_second.sum())
    burst = start + setting.duration * generator.random(setting.counts)
    time = np.sort(np.concatenate([time, burst]))
    edges = np.arange(-generator.random() * setting.t_bin, SPAN, setting.t_bin)
    detector = generator.poisson(background(setting, edges) * DETECTOR_CELLS)
    expected = ExpectedCounts(edges, detector * (CELLS / DETECTOR_CELLS))
    return time, expected, seed_of(time, expected, start, start + setting.duration), start


def seed_of(
    time: Floats, expected: ExpectedCounts, start: float, stop: float
) -> tuple[float, float] | None:
    """The richest run of significant frames that overlaps the burst."""
    counts = np.histogram(time, expected.edges)[0]
    found = THRESHOLDS.is_peak(counts, expected.mu)
    change = np.flatnonzero(np.diff(np.concatenate([[False], found, [False]]).astype(int)))
    runs = [
        (counts[i:j].sum(), (float(expected.edges[i]), float(expected.edges[j])))
        for i, j in change.reshape(-1, 2)
        if expected.edges[i] < stop and expected.edges[j] > start
    ]
    return max(runs)[1] if runs else None


def best_possible(
    setting: Setting, time: Floats, expected: ExpectedCounts, start: float
) -> tuple[float, float]:
    """Start and stop from the true rates, each with the other end of the box known."""
    rate, middle = setting.counts / setting.duration, start + setting.duration / 2
    ends = []
    for sign in (1, -1):
        low, high = sorted((middle - sign * 1.5 * setting.duration, middle))
        photons = time[(time > low) & (time < high)]
        speed = np.maximum(expected.counts.speed[expected.frame(photons)], 1e-9)
        log_ratio = sign * np.log1p(rate / speed)
        ends.append(change_point(photons, log_ratio, sign * rate, low, high)[0])
    return ends[0], ends[1]


@dataclass(frozen=True)
class Score:
    """What a measured event got right, and what `best_possible` would have."""

    accurate: bool
    accurate_at_best: bool
    start_in_spacing: bool
    start_in_spacing_at_best: bool
    start_in_error: bool
    duration_in_error: bool


def is_accurate(setting: Setting, off_start: float, off_duration: float) -> bool:
    """Start within a fifth of the duration, or a spacing of the photons; duration likewise."""
    allowed = 0.2 * setting.duration
    spacing = setting.duration / setting.counts
    return abs(off_start) <= max(allowed, spacing) and abs(off_duration) <= allowed


def score(setting: Setting, event: Event | None, best: tuple[float, float], start: float) -> Score:
    """Compare with the truth; no event is wrong in everything."""
    spacing = setting.duration / setting.counts
    off_best = best[0] - start
    off, off_duration, start_err, duration_err = np.inf, np.inf, 0.0, 0.0
    if event is not None:
        off, off_duration = event.start - start, event.duration - setting.duration
        start_err, duration_err = event.start_err, event.duration_err
    return Score(
        accurate=is_accurate(setting, off, off_duration),
        accurate_at_best=is_accurate(setting, off_best, best[1] - best[0] - setting.duration),
        start_in_spacing=abs(off) <= spacing,
        start_in_spacing_at_best=abs(off_best) <= spacing,
        start_in_error=abs(off) <= start_err,
        duration_in_error=abs(off_duration) <= duration_err,
    )


def measure(setting: Setting, n_trials: int, seed: int = 1) -> tuple[list[Score], Floats]:
    """Scores of the bursts that the search finds, and each one's seconds and peak rate.

    The peak rate is relative to the true one. Shape (n_found, 2); NaN if there is no event.
    """
    generator = np.random.default_rng(seed)
    scores, others = [], []
    for _ in range(n_trials):
        time, expected, frames, start = trial(setting, generator)
        if frames is None:
            continue
        began = perf_counter()
        event = describe_event(time, expected, frames, "peak")
        seconds = perf_counter() - began
        rate = event.peak_rate * setting.duration / setting.counts if event else np.nan
        scores.append(score(setting, event, best_possible(setting, time, expected, start), start))
        others.append((seconds, rate))
    return scores, np.array(others).reshape(-1, 2)


def rows(n_trials: int) -> Iterator[tuple[Setting, int, Floats, Floats]]:
    """Setting, number found, fractions of `Score` among these, and the others of `measure`."""
    for setting in GRID:
        scores, others = measure(setting, n_trials)
        if len(scores) >= n_trials / 2:  # other bursts are not what the search finds
            table = np.array([list(vars(score).values()) for score in scores], float)
            yield setting, len(scores), table.mean(axis=0), others


def print_accuracy(n_trials: int) -> None:
    """A row for each setting."""
    names = ["ct/s a cell", "flare", "counts", "duration", "frames", "found", "accurate", "at best"]
    names += ["start in 1 spacing", "at best", "start in error", "duration in error", "ms"]
    print("| " + " | ".join(names) + " |")
    print("|---" * len(names) + "|")
    for setting, found, fractions, others in rows(n_trials):
        values = " | ".join(f"{value:g}" for value in vars(setting).values())
        shares = " | ".join(f"{100 * share:.0f}" for share in fractions)
        seconds = np.median(others[:, 0])
        print(f"| {values} | {found} | {shares} | {seconds * 1e3:.1f} |", flush=True)


def print_p0(n_trials: int) -> None:
    """A row for each parameter of the prior of the blocks."""
    print("| p0 | accurate | settings below 90 % | mean peak rate |\n|---|---|---|---|")
    for p0 in (0.1, 0.01, 0.003, 0.001, 0.0001):
        with patch("exod.search.bursts.block_edges", partial(block_edges, p0=p0)):
            table = list(rows(n_trials))
        accurate = np.array([fractions[0] for *_, fractions, _ in table])
        rates = np.concatenate([others[:, 1] for *_, others in table])
        print(
            f"| {p0:g} | {100 * accurate.mean():.1f} % | {(accurate < 0.9).sum()} of {len(table)}"
            f" | {np.nanmean(rates):.2f} |",
            flush=True,
        )


def main() -> None:
    """Print the tables."""
    n_trials = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print_accuracy(n_trials)
    print()
    print_p0(max(n_trials // 4, 1))


if __name__ == "__main__":
    main()
