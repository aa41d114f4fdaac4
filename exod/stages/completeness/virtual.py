"""Predict what a search finds: virtual bursts in the expectation of a searched field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd

from exod.completeness.burstphotons import Site
from exod.completeness.campaign import Campaign, Point
from exod.completeness.fields import burst_places, burst_starts, measured_sites, quiet_field
from exod.completeness.matching import ANY, kind_of
from exod.completeness.virtual import VirtualRun, virtual_injection, virtual_run
from exod.completeness.virtualcells import VirtualCells
from exod.completeness.virtualeclipses import eclipse_chances
from exod.config import Config
from exod.schemas.arrays import Mask
from exod.search.subset import Run, search_subset
from exod.simulate import SimulatedObservation, simulate
from exod.stages.inputs.memory import in_memory

VIRTUAL_BURSTS: Final = 200
"""Bursts of the prediction for each observation and point of the grid."""

_FIELDS: Final = 8
"""Searched fields that are kept, one for each level; they are small without their events."""


def searched(observation: SimulatedObservation, config: Config) -> Iterator[Run]:
    """Search a simulated observation in memory."""
    loaded = in_memory(observation, config)
    for subset in loaded.subsets:
        yield from search_subset(
            loaded.obsid, subset, loaded.sources, config, n_subsets=len(loaded.subsets)
        )


def detections(source: str, level: float, kind: str, found: Mask) -> dict[str, Any]:
    """Part of a row of the results: how many bursts were found."""
    return {
        "source": source,
        "level": level,
        "kind": kind,
        "trials": len(found),
        "detected": int(found.sum()),
    }


def predict(point: Point, campaign: Campaign) -> pd.DataFrame:
    """Predict the detections of a point by virtual injection into its field without bursts.

    Returns
    -------
    DataFrame
        One row a level and kind of run.
    """
    field = replace(point, amplitude=0.0, duration=0.0, off_axis=0.0)
    ring = replace(point, amplitude=0.0, duration=0.0)
    sites = _sites(ring, campaign.length, campaign.bursts, campaign.config)
    generator = np.random.default_rng(point.generator().integers(2**31, size=4))
    model = quiet_field(point, campaign.length)
    start = burst_starts(model, point.duration, VIRTUAL_BURSTS, generator)
    rows = []
    for level in campaign.levels:
        runs = searched_field(field, campaign.length, campaign.config_at(level))
        bursts = (sites, point.amplitude, point.duration, start, generator)
        found = virtual_injection(runs.runs, *bursts)
        for kind, own in (*zip(runs.kinds, found.T, strict=True), (ANY, found.any(axis=1))):
            rows.append(detections("predicted", level, kind, own))
    return pd.DataFrame(rows)


def predict_eclipses(point: Point, campaign: Campaign) -> pd.DataFrame:
    """Predict by formula which part of the eclipses of a point is found.

    Returns
    -------
    DataFrame
        One row a level and kind of run; for any run that of the best run, a lower limit. None for
        the conditional null hypothesis.
    """
    rows: list[dict[str, Any]] = []
    if campaign.config.null == "conditional":
        return pd.DataFrame(rows)
    ring = replace(point, amplitude=0.0, duration=0.0, depth=0.0)
    sites = _sites(ring, campaign.length, campaign.bursts, campaign.config)
    eclipse = (sites, point.amplitude, point.depth, point.duration)
    for level in campaign.levels:
        field = replace(ring, off_axis=0.0)
        found = searched_field(field, campaign.length, campaign.config_at(level))
        chances = {
            kind: float(eclipse_chances(run, *eclipse).mean())
            for kind, run in zip(found.kinds, found.runs, strict=True)
            if isinstance(run, VirtualCells)
        }
        for kind, chance in (*chances.items(), (ANY, max(chances.values()))):
            share = np.arange(VIRTUAL_BURSTS) < round(VIRTUAL_BURSTS * chance)
            rows.append(detections("predicted", level, kind, share))
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class SearchedField:
    """Runs of a field without bursts, and their kinds."""

    kinds: tuple[str, ...]
    runs: tuple[VirtualRun, ...]


@lru_cache(maxsize=_FIELDS)
def searched_field(field: Point, length: float, config: Config) -> SearchedField:
    """Runs of a field without bursts, which many points share."""
    observation = simulate(quiet_field(field, length), field.seed)
    pairs = [(kind_of(run), virtual_run(run, config)) for run in searched(observation, config)]
    kinds, runs = zip(*pairs, strict=True)
    return SearchedField(kinds, runs)


@lru_cache(maxsize=1)
def _sites(ring: Point, length: float, n: int, config: Config) -> tuple[Site, ...]:
    """Places at one off-axis angle of a field, which many points share."""
    model = quiet_field(ring, length)
    places = burst_places(model, ring.off_axis, n, ring.generator())
    return tuple(measured_sites(model, places, config, ring.seed))
