"""Candidates of supernova shock breakouts in real event lists, found by each preset.

``python -m benchmarks.breakouts LISTS TABLE`` puts a burst for each row of a table of known bursts
into the event lists of an observation, at random places and times, and searches it with each
preset at the same number of false alarms. Columns of the table: name, t90_min_s (a range),
t_total_s, rates by camera (rate_pn, rate_m1, rate_m2) and net_counts_all. A burst is constant for
the geometric mean of its range and has nine tenths of rate times t_total, as seen; with ``--net``
of net_counts_all, as much of it as the cameras of the lists have of the rates. With ``--keep FILE``
each round is measured once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from exod.completeness.fields import SEPARATION_ARCSEC
from exod.config import Config
from exod.observation.subsets import MergedEvents
from exod.pps import find_observations
from exod.search.runs import VariableRegion
from exod.search.subset import search_subset
from exod.simulate import BoxBurst, SourceModel, Target, inject_in_memory, with_counts
from exod.stages.detect.read import read_observation
from exod.stages.inputs.inject import read_targets
from exod.stages.inputs.memory import lists_in_memory

PRESETS: Final = ("published", "deep", "ideal")
RATE: Final = 0.1
"""False alarms of an observation."""

NEAR_ARCSEC: Final = 30.0
FARTHEST_ARCMIN: Final = 12.0
CAMERAS: Final = {"EPN": "rate_pn", "EMOS1": "rate_m1", "EMOS2": "rate_m2"}


def bursts_of(
    table: pd.DataFrame, targets: Sequence[Target], random: np.random.Generator, *, net: bool
) -> list[SourceModel]:
    """A burst for each row, anywhere and at any time, with the counts of the row."""
    first = max(target.availability.start for target in targets)
    last = min(target.availability.stop for target in targets)
    ra0, dec0 = targets[0].exposure.ra_pnt, targets[0].exposure.dec_pnt
    made: list[SourceModel] = []
    while len(made) < len(table):
        row = table.iloc[len(made)]
        low, high = (float(edge) for edge in row["t90_min_s"].split("-"))
        length = np.sqrt(low * high)
        dx, dy = random.uniform(-FARTHEST_ARCMIN, FARTHEST_ARCMIN, 2) / 60
        start = random.uniform(first, last - length)
        ra, dec = ra0 + dx / np.cos(np.radians(dec0)), dec0 + dy
        near = [np.hypot((b.ra_deg - ra) * np.cos(np.radians(dec)), b.dec_deg - dec) for b in made]
        if np.hypot(dx, dy) > FARTHEST_ARCMIN / 60 or min(near, default=1) < (
            SEPARATION_ARCSEC / 3600
        ):
            continue
        rate = {
            target.exposure.instrument: float(row[CAMERAS[target.exposure.instrument]])
            for target in targets
        }
        burst = SourceModel(row["name"], ra, dec, rate, BoxBurst(start, length))
        every = float(row["t_total_s"])
        if net:
            every = float(row["net_counts_all"]) / float(row[list(CAMERAS.values())].sum())
        made.append(with_counts(burst, targets, 0.9 * sum(rate.values()) * every))
    return made


def is_found(region: VariableRegion, burst: SourceModel, events: MergedEvents) -> bool:
    """Whether a region is at a burst, and at its time."""
    if region.position is None or region.event is None:
        return False
    x, y = events.plane.to_pixel(burst.ra_deg, burst.dec_deg)
    away = np.hypot(region.position.x - x, region.position.y - y) * events.plane.pixel_arcsec
    curve = burst.light_curve
    if not isinstance(curve, BoxBurst):
        raise TypeError("Bursts are constant.")
    overlap = region.event.start < curve.start + curve.duration and region.event.stop > curve.start
    return bool(away < NEAR_ARCSEC and overlap)


def one_round(lists: str, table: pd.DataFrame, number: int, *, net: bool) -> dict[str, list[bool]]:
    """Which of the bursts each preset finds."""
    (files,), _ = find_observations([lists])
    targets = list(read_targets(files)[0].values())
    sources = read_observation(files, Config.preset("published")).sources
    bursts = bursts_of(table, targets, np.random.default_rng(number), net=net)
    injected = inject_in_memory(targets, bursts, number)[0]
    result = {}
    for preset in PRESETS:
        config = Config.load(preset=preset, overrides=[f"detect.false_alarm_rate={RATE}"])
        observation = lists_in_memory(injected, sources, config)
        found = np.zeros(len(bursts), bool)
        for events in observation.subsets:
            runs = search_subset(files.obsid, events, sources, config)
            for region in (region for run in runs for region in run.regions):
                found |= [is_found(region, burst, events) for burst in bursts]
        result[preset] = found.tolist()
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("lists", help="folder of the event lists of an observation")
    parser.add_argument("table", help="table of known bursts")
    parser.add_argument("--net", action="store_true", help="counts are net_counts_all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="file of what was measured")
    given = parser.parse_args(arguments)
    table = pd.read_csv(given.table)
    kept = {}
    if given.keep and given.keep.exists():
        kept = dict(json.loads(line) for line in given.keep.read_text().splitlines())
    for number in range(given.rounds):
        if number not in kept:
            kept[number] = one_round(given.lists, table, number, net=given.net)
            if given.keep:
                with given.keep.open("a") as file:
                    file.write(json.dumps([number, kept[number]]) + "\n")
        every = {preset: np.array([one[preset] for one in kept.values()]) for preset in PRESETS}
        counted = {preset: found.sum(axis=1) for preset, found in every.items()}
        text = ", ".join(
            f"{preset} median {np.median(n):.1f}, mean {n.mean():.1f}"
            for preset, n in counted.items()
        )
        print(f"{len(kept)} rounds of {len(table)}: {text}", flush=True)
    for i, name in enumerate(table["name"]):
        print(name, *(f"{preset} {every[preset][:, i].mean():.2f}" for preset in PRESETS))


if __name__ == "__main__":
    main()
