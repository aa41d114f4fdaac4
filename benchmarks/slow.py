"""Probabilities of slow variability of the sources of observations, with their times and shuffled.

``python -m benchmarks.slow 0001730201/`` says for each scale how probable it is that probabilities
as even as those of the sources are drawn from 0 to 1 (Kolmogorov-Smirnov).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import kstest

from exod.config import Config
from exod.pps import find_observations, local_copies
from exod.search.nulls.photonsearch.photonmarks import PhotonField
from exod.search.nulls.photonsearch.photonnull import PhotonNull
from exod.search.nulls.photonsearch.photonscan import shuffled
from exod.search.nulls.photonsearch.sources.photoncurves import all_sources
from exod.search.nulls.photonsearch.sources.photonvariability import slow_variability
from exod.search.subset import null_hypothesis
from exod.stages.detect.read import read_observation

Probabilities = dict[str, list[float]]
"""By scale, and the least of all scales."""


def nulls(folder: Path) -> Iterator[PhotonNull]:
    """What the preset makes of each subset of the observations of a folder."""
    config = Config.preset("ideal")
    for files in find_observations([folder])[0]:
        with local_copies(files) as here:
            observation = read_observation(here, config)
        for events in observation.subsets:
            null = null_hypothesis(events, observation.sources, config)
            if not isinstance(null, PhotonNull):
                raise TypeError("The preset ideal weighs photons.")
            yield null


def add_to(found: Probabilities, field: PhotonField, null: PhotonNull) -> None:
    """Add those of the sources of a field."""
    for source in all_sources(field, null.known_places(field)):
        slow = slow_variability(source, field.levels.total)
        for scale, value in zip(slow.scale.tolist(), slow.probability.tolist(), strict=True):
            found[f"{scale:.0f} s"].append(value)
        if len(slow.scale):
            found["least"].append(slow.least_probability)
            found["blocks"].append(float(slow.blocks > 1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--shuffles", type=int, default=20)
    given = parser.parse_args(arguments)
    generator = np.random.default_rng(1)
    seen, drawn = (defaultdict[str, list[float]](list) for _ in range(2))
    for folder in given.folders:
        for null in nulls(folder):
            for counts in null.counting.bands():
                field = null.field(counts)
                add_to(seen, field, null)
                for _ in range(given.shuffles):
                    add_to(drawn, shuffled(field, generator), null)
    for name, found in (("as they came", seen), ("shuffled", drawn)):
        for scale, values in found.items():
            p = np.array(values)
            if scale == "blocks":
                print(f"{name}, more than one block: {int(p.sum())} of {len(p)}")
                continue
            print(
                f"{name}, {scale}: {len(p)} sources, KS {kstest(p, 'uniform').pvalue:.2g}, "
                f"{np.mean(p < 0.05):.3f} below 0.05, {np.mean(p < 0.01):.3f} below 0.01"
            )


if __name__ == "__main__":
    main()
