"""What the search that weighs every photon costs, part by part.

``python -m benchmarks.photon_cost --length 20000 --background flaring`` simulates an observation
with bursts and prints the seconds of the processor that each part of its search takes, beside a
loop of 20 million additions in Python, which says how fast the machine is at that moment.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any, Final, get_args

import numpy as np

from benchmarks.ideal import Setup
from exod.completeness.campaign import Point
from exod.completeness.fields import burst_places, burst_starts, with_bursts
from exod.config import Config
from exod.search.nulls.photonsearch.photonkernels import CORE, STEP, WantedWindows, scan
from exod.search.nulls.photonsearch.photonmarks import PhotonField
from exod.search.nulls.photonsearch.photonnull import PhotonNull
from exod.search.nulls.photonsearch.photonscan import (
    ROOM,
    photons_of,
    scan_field,
    shuffled,
    tables_of,
    tiles_of,
    wanted_windows,
)
from exod.search.subset import null_hypothesis, search_subset
from exod.simulate import simulate
from exod.simulate.weather import Background
from exod.stages.inputs.memory import in_memory

BURST: Final = (11.0, 200.0)
"""Counts and seconds of the bursts."""


def timed(name: str, work: Callable[[], Any]) -> Any:
    """What some work gives; its seconds are printed."""
    began = process_time()
    result = work()
    print(f"{name}: {process_time() - began:.2f} s", flush=True)
    return result


def additions() -> None:
    """A loop of 20 million additions."""
    total = 0
    for number in range(20_000_000):
        total += number


def peak_mb() -> float:
    """Most memory that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def parts_of_scan(field: PhotonField) -> None:
    """Print what the parts of one scan take: each line has those before it, too."""
    tables, tiles = tables_of(field), tiles_of(field)
    photons, found = photons_of(field, tables.table[0]), np.empty((ROOM, 7))
    wanted = wanted_windows(tables)
    none = WantedWindows(*(u if np.isscalar(u) else u[:0] for u in wanted))
    timed("photons of cores", lambda: scan(photons, tiles, tables, none, found))
    rough = wanted._replace(least=np.inf)
    timed("with windows and a first look", lambda: scan(photons, tiles, tables, rough, found))
    timed("with likelihood ratios", lambda: scan(photons, tiles, tables, wanted, found))
    n = len(field.marks.time)
    starts = n * np.pi * CORE**2 / STEP**2 * len(wanted.lengths)
    print(f"{n} photons, at most {starts:.3g} windows of places")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--background", choices=get_args(Background), default="quiet")
    parser.add_argument("--length", type=float, default=20_000.0, help="seconds")
    given = parser.parse_args(arguments)
    setup = Setup(given.background, "pn+mos", 6.0, given.length, 1.0, "ideal", (), None)
    counts, duration = BURST
    point = Point(counts, duration, setup.off, setup.back, 1, 1)
    model, generator = setup.field(point), point.generator()
    places = burst_places(model, setup.off, 20, generator)
    starts = burst_starts(model, duration, len(places), generator)
    config = Config.preset("ideal")
    lit = simulate(with_bursts(model, places, starts, duration, counts), 1)
    observation = in_memory(lit, config)
    for events in observation.subsets:
        null = null_hypothesis(events, observation.sources, config)
        if not isinstance(null, PhotonNull):
            raise TypeError("The preset ideal weighs photons.")
        timed("20 million additions", additions)
        (of_band,) = null.counting.bands()
        field = timed("background of the photons", lambda n=null, b=of_band: n.field(b))
        # Once before, so that nothing is compiled while it is measured.
        scan_field(field)
        parts_of_scan(field)
        timed("a scan with refinement", lambda f=field: scan_field(f))
        timed("shuffled times", lambda f=field: shuffled(f, np.random.default_rng(1)))
        before = peak_mb()
        timed(
            "a whole search",
            lambda e=events: list(search_subset("0900000101", e, observation.sources, config)),
        )
        print(f"memory {before:.0f} MB before that and at most {peak_mb():.0f} MB with it")


if __name__ == "__main__":
    main()
