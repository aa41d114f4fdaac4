"""What it brings, and costs, that the middle cell of a window counts double.

``python -m benchmarks.psf_weights`` prints the first tables of
benchmarks/results_psf_weights.md: the counts with which half of the bursts are found at equal false
alarms, and times of the search.
"""

from __future__ import annotations

from itertools import product
from time import perf_counter

import numpy as np
from scipy.special import gammaln

from exod.config import Config
from exod.instruments.king import KingProfile
from exod.search.subset import search_subset
from exod.sensitivity.profiles import cell_shares
from exod.simulate import default_observation, simulate
from exod.stages.inputs.memory import in_memory

PROFILE = KingProfile(5.5, 1.5)
BACKGROUNDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Counts of 400 square arcsec in a frame."""

FALSE_PER_AREA = 1e-10
"""False windows for 15 x 15 arcsec and frame: 0.1 in 20 ks of 1 s."""

WINDOWS = {
    "2 x 2 of 15″": (15.0, np.ones((2, 2))),
    "3 x 3 of 10″": (10.0, np.ones((3, 3))),
    "3 x 3 of 10″, weighted": (10.0, np.array([[1, 1, 1], [1, 2, 1], [1, 1, 1]])),
}
PLACES = (np.arange(4) + 0.5) / 4 - 0.5


def law(means: np.ndarray, weights: np.ndarray, size: int) -> np.ndarray:
    """Probabilities of a sum of Poisson numbers with weights 1 and 2."""
    n = np.arange(size)
    result = np.zeros(size)
    result[0] = 1.0
    for weight in np.unique(weights):
        mean = max(float(means[weights == weight].sum()), 1e-300)
        own = np.zeros(size)
        own[:: int(weight)] = np.exp(n * np.log(mean) - mean - gammaln(n + 1))[
            : -(-size // int(weight))
        ]
        result = np.convolve(result, own)[:size]
    return result


def half_found(mu: float, size: float, weights: np.ndarray) -> float:
    """Counts of a burst for 50 % detection in its best window, mean over places in a cell."""
    cell = mu * size**2 / 400
    top = int(2.5 * cell * weights.sum() + 150)
    tail = np.cumsum(law(np.full(weights.shape, cell), weights, top)[::-1])[::-1]
    # As many windows as cells: the smaller the cells, the more windows.
    allowed = FALSE_PER_AREA * (size / 15) ** 2
    least = int(np.argmax(tail <= allowed))
    # Between two thresholds as between two false alarm probabilities.
    step = np.log(tail[least - 1] / allowed) / np.log(tail[least - 1] / tail[least])
    needed = []
    for dx, dy in product(PLACES, PLACES):
        shares = cell_shares(PROFILE, dx, dy, size, reach=len(weights))[0]
        stack = np.lib.stride_tricks.sliding_window_view(shares, weights.shape)
        best = stack.reshape(-1, *weights.shape)
        best = best[np.argmax((best * weights).sum((1, 2)))]
        pair = [_solve(cell, best, weights, k, top) for k in (least - 1, least)]
        needed.append(pair[0] + step * (pair[1] - pair[0]))
    return float(np.mean(needed))


def _solve(cell: float, shares: np.ndarray, weights: np.ndarray, least: int, top: int) -> float:
    low, high = 0.0, 150.0
    for _ in range(18):
        n = (low + high) / 2
        found = law(cell + n * shares, weights, top)[:least].sum() < 0.5
        low, high = (low, n) if found else (n, high)
    return high


def search_times() -> list[tuple[str, float, int]]:
    """Seconds of the search of a simulated observation of 20 ks, and regions found."""
    deep = Config.preset("deep").model_dump(mode="json")
    choices = {
        "2 x 2 of 15″": {},
        "3 x 3 of 10″": {"size_arcsec": 10.0, "window": 3},
        "3 x 3 of 10″, weighted": {"size_arcsec": 10.0, "window": 3, "psf_weights": True},
    }
    rows = []
    quiet = {"n_bursts": 0, "n_eclipses": 0, "n_flares": 0}
    simulation = simulate(default_observation("0000000001", 1, duration=20_000.0, **quiet), 1)
    for name, changes in choices.items():
        config = Config.parse({**deep, "cube": {**deep["cube"], **changes}})
        loaded = in_memory(simulation, config)
        seconds = []
        for _ in range(2):
            began = perf_counter()
            runs = list(search_subset(loaded.obsid, loaded.subsets[0], loaded.sources, config))
            seconds.append(perf_counter() - began)
        rows.append((name, min(seconds), sum(len(run.regions) for run in runs)))
    return rows


def main() -> None:
    """Measure and print."""
    print("| counts in 400 square arcsec and frame | " + " | ".join(WINDOWS) + " |")
    print("|" + "---|" * (len(WINDOWS) + 1))
    for mu in BACKGROUNDS:
        needed = [half_found(mu, *window) for window in WINDOWS.values()]
        print(f"| {mu:g} | " + " | ".join(f"{n:.1f}" for n in needed) + " |", flush=True)
    print("\n| windows | search, s | regions |\n|---|---|---|")
    for name, seconds, regions in search_times():
        print(f"| {name} | {seconds:.2f} | {regions} |", flush=True)


if __name__ == "__main__":
    main()
