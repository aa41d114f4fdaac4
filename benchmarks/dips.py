"""Dips of drawn light curves: how many chance makes, and how long eclipses are found.

``python -m benchmarks.dips`` draws the photons of constant sources without background and looks for
dips in them as the preset ``ideal`` does, then of sources that are eclipsed once, wholly.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

import numpy as np

from exod.schemas.arrays import Floats
from exod.search.nulls.photonsearch.sources.photoncurves import SourceTimes
from exod.search.nulls.photonsearch.sources.photondips import DipChance, find_dips

SOURCES: Final = 60
"""Sources of an observation."""

WANTED: Final = (3.0, 1.0, 0.3, 0.1, 0.02)
"""False dips of an observation; the last is a fifth of the usual false alarms."""

FOR_CHANCE: Final = 5

PHOTONS: Final = (30, 60, 100, 300)
SHARES: Final = np.arange(0.02, 0.5, 0.02)
"""Lengths of eclipses as shares of the observation."""


def drawn(n: int, length: float, random: np.random.Generator) -> SourceTimes:
    """Photons of a source that is eclipsed for a share of the observation."""
    share = np.sort(random.random(random.poisson(n)))
    begin = random.uniform(0, 1 - length)
    share = share[(share < begin) | (share > begin + length)]
    return SourceTimes(0.0, 0.0, share * 2e4, share, 0.0)


def values(sources: Sequence[SourceTimes]) -> Floats:
    """Lambda of the best dip of each source, 0 without one."""
    found = [find_dips([source], 2e4).value for source in sources]
    return np.array([value[0] if len(value) else 0.0 for value in found])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--observations", type=int, default=200)
    parser.add_argument("--eclipses", type=int, default=200, help="for each number and length")
    given = parser.parse_args(arguments)
    random = np.random.default_rng(1)
    for n in PHOTONS:
        # What chance makes is asked of a few observations, as it is much alike in all of them.
        chances = [
            DipChance.of([drawn(n, 0.0, random) for _ in range(SOURCES)], random)
            for _ in range(FOR_CHANCE)
        ]
        grid = np.linspace(5.0, 40.0, 3501)
        curve = np.mean([chance.above(grid) for chance in chances], axis=0)
        least = np.interp(-np.log(WANTED), -np.log(curve), grid)
        found = np.zeros(len(WANTED))
        for _ in range(given.observations):
            sources = [drawn(n, 0.0, random) for _ in range(SOURCES)]
            found += (values(sources)[:, None] > least).sum(axis=0)
        for rate, number_of in zip(WANTED, found.tolist(), strict=True):
            expected = rate * given.observations
            error = np.sqrt(max(number_of, 1.0)) / expected
            print(
                f"{n} photons, {rate} expected: {number_of:.0f} of {expected:.0f}, "
                f"{number_of / expected:.2f} +- {error:.2f}",
                flush=True,
            )
        share = [
            np.mean(values([drawn(n, length, random) for _ in range(given.eclipses)]) > least[-1])
            for length in SHARES
        ]
        half = np.interp(0.5, np.maximum.accumulate(share), SHARES)
        print(
            f"{n} photons: half of the eclipses of {half:.3f} of the time are found at {WANTED[-1]}"
        )


if __name__ == "__main__":
    main()
