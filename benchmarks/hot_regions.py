"""Hot detector regions in simulated catalogues: how often by chance, and which spots are found.

``python -m benchmarks.hot_regions`` prints the tables of docs/filters.md. Catalogues are uniform in
a disc of 15 arcmin; spots are of 5 arcsec (standard deviation along each axis) at random places
outside the pointing, a region in each of so many observations.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np

from exod.sources.vetting.hotregions import (
    GRIDS,
    HotSearch,
    count_places,
    hot_boxes,
    hot_cells,
    inside,
    occupied,
)

FIELD = 18_000.0
SPREAD = 100.0
PLACES = 12 * 4**10
SIZES = (1_000, 6_000, 60_000)
"""Regions of one time bin; the published catalogue has 60,127 in all nine runs."""
SPOTS = (6, 8, 12, 20, 40, 80)


def disc(random: np.random.Generator, n: int, low: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Uniform positions in the field, farther than `low` from the pointing."""
    r = np.sqrt(random.uniform(low**2, FIELD**2, n))
    angle = random.uniform(0, 2 * np.pi, n)
    return r * np.cos(angle), r * np.sin(angle)


def false_cells(n_catalogues: int = 100) -> None:
    """Hot cells of uniform catalogues against what was asked for."""
    print("| regions | asked for | hot cells a catalogue | ratio |\n|---|---|---|---|")
    for n in SIZES:
        search = HotSearch(false_boxes=1.0, min_places=2, min_ratio=1.0, neighbour_p=0.0)
        found = 0
        for seed in range(n_catalogues):
            random = np.random.default_rng(seed)
            pairs = occupied(*disc(random, n), random.integers(0, PLACES, n), search)
            for grid in GRIDS:
                found += int(hot_cells(count_places(pairs, search, grid), search, grid)[0].sum())
        rate = found / n_catalogues
        print(f"| {n:,} | {search.false_boxes:g} | {rate:.2f} | {rate / search.false_boxes:.2f} |")


def default_boxes(n_catalogues: int = 100) -> None:
    """Boxes of uniform catalogues with the default settings."""
    print("\n| regions | catalogues | with a hot region | seconds each |\n|---|---|---|---|")
    for n in SIZES:
        search, some, began = HotSearch(), 0, perf_counter()
        for seed in range(n_catalogues):
            random = np.random.default_rng(seed)
            pairs = occupied(*disc(random, n), random.integers(0, PLACES, n), search)
            some += len(hot_boxes(pairs, search)) > 0
        seconds = (perf_counter() - began) / n_catalogues
        print(f"| {n:,} | {n_catalogues} | {some} | {seconds:.2f} |")


def recovery(n_catalogues: int = 40) -> None:
    """Injected spots: found, how many of their regions are flagged, and how many others."""
    search = HotSearch()
    print("\n| regions | of a spot | spots found | its regions flagged | others flagged |")
    print("|---|---|---|---|---|")
    for n in SIZES:
        for size in SPOTS:
            found, own, others = 0, 0.0, 0
            for seed in range(n_catalogues):
                random = np.random.default_rng(seed)
                (x, y), centre = disc(random, n), disc(random, 1, low=3_000.0)
                spot = [c + random.normal(0, SPREAD, size) for c in centre]
                x, y = np.r_[x, spot[0]], np.r_[y, spot[1]]
                pairs = occupied(x, y, random.integers(0, PLACES, n + size), search)
                boxes = hot_boxes(pairs, search).assign(t_bin=np.nan)
                flags = inside(x, y, np.full(n + size, 5.0), boxes)
                found += len(boxes) > 0
                own += float(flags[n:].mean())
                others += int(flags[:n].sum())
            print(
                f"| {n:,} | {size} | {found / n_catalogues:.0%} | {own / n_catalogues:.0%} "
                f"| {others / n_catalogues:.1f} |"
            )


if __name__ == "__main__":
    false_cells()
    default_boxes()
    recovery()
