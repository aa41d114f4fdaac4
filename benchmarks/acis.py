"""False alarms and completeness of the search of ACIS, against what it predicts.

``nice python -m benchmarks.acis --folder FOLDER --minutes 9`` simulates observations with the four
CCDs of ACIS-I, searches them with `deep` and writes one file an observation, until the time is up;
the same command goes on from there. ``--write`` makes ``results_acis.md`` of what is done.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from benchmarks.false_alarms import levels, ratio_error, regions_of
from exod.completeness.burstphotons import Site
from exod.completeness.curves import wilson
from exod.completeness.matching import TrueBursts, match, regions_found
from exod.completeness.virtual import virtual_injection, virtual_run
from exod.completeness.virtualwindows import VirtualWindows
from exod.config import Config
from exod.instruments import ACIS
from exod.observation.events import select_events
from exod.observation.subsets import MergedEvents, merge_exposures
from exod.schemas.arrays import Mask
from exod.search.subset import Run, search_subset
from exod.simulate.acisobservation import (
    AcisModel,
    SimulatedAcis,
    acis_places,
    default_acis,
    simulate_acis,
)
from exod.simulate.lights.lightmodels import BoxBurst, Constant
from exod.simulate.models import SourceModel
from exod.stages.detect.read import remove_hot_pixels

RESULTS: Final = Path(__file__).with_name("results_acis.md")

RATES: Final = (0.3, 1.0, 3.0)
"""False regions an observation, all runs together; the search is done at the highest."""

LENGTH: Final = 10_000.0
RINGS: Final = {"on axis": (0.0, 1.5), "8 arcmin": (7.5, 8.5)}
APART_ARCSEC: Final = {"on axis": 15.0, "8 arcmin": 50.0}
"""Three windows, so that no two bursts share a region, which has one place only."""

COUNTS: Final = (5.0, 7.0, 10.0, 14.0, 20.0)
DURATIONS: Final = (50.0, 500.0)
BURSTS: Final = 12
VIRTUAL: Final = 240
SITE_COUNTS: Final = 3000.0


def config_of(rate: float) -> Config:
    """Settings of `deep` with this rate of false alarms."""
    return Config.load(preset="deep", overrides=[f"detect.false_alarm_rate={rate}"])


def subsets_of(simulated: SimulatedAcis, config: Config) -> tuple[MergedEvents, ...]:
    """The rings of an observation, as those of files are."""
    selected = select_events(simulated.exposure, simulated.as_read)
    return merge_exposures([remove_hot_pixels(selected, config)[0]]).subsets


def searched(
    simulated: SimulatedAcis, config: Config, chosen: tuple[float, float] = (0.0, np.inf)
) -> Iterator[tuple[MergedEvents, Run]]:
    """Runs of the rings of an observation that are not farther in or out than `chosen`, arcmin."""
    subsets = subsets_of(simulated, config)
    none = pd.DataFrame(columns=["ra_deg", "dec_deg", "extent_arcsec", "rate"], dtype=float)
    for subset in subsets:
        zone = subset.zone
        assert zone is not None
        if zone.outer_arcmin <= chosen[0] or zone.inner_arcmin >= chosen[1]:
            continue
        obsid = simulated.exposure.obsid
        for run in search_subset(obsid, subset, none, config, n_subsets=len(subsets)):
            yield subset, run


def false_alarms(number: int, beyond: float = 0.0) -> list[dict[str, Any]]:
    """Regions found and predicted in the rings `beyond` an angle, arcmin, where nothing varies."""
    model = default_acis(str(1000 + number), number, LENGTH, n_bursts=0)
    config, rows = config_of(max(RATES)), []
    for subset, run in searched(simulate_acis(model, number), config, (beyond, np.inf)):
        for level in levels(run, config, RATES, 4):
            found = regions_of(run, level.chosen, config.cube.window)
            rows.append(
                {
                    "rate": level.rate,
                    "ring": subset.zone.inner_arcmin if subset.zone else 0.0,
                    "t_bin": run.t_bin,
                    "predicted": level.predicted.total,
                    "found": sum(found),
                }
            )
    return rows


def completeness(number: int) -> list[dict[str, Any]]:
    """Bursts found in an observation, and the share that is predicted, of one ring and duration."""
    settings = [(ring, duration) for duration in DURATIONS for ring in RINGS]
    ring, duration = settings[number % len(settings)]
    generator = np.random.default_rng(number)
    model = default_acis(str(20_000 + number), number, LENGTH, n_bursts=0)
    places = acis_places(model, BURSTS, generator, RINGS[ring], APART_ARCSEC[ring])
    config, rows = config_of(0.3), []
    empty = [
        _windows(run, config)
        for _, run in searched(simulate_acis(model, number), config, RINGS[ring])
    ]
    sites = sites_of(model, places, number)
    for counts in COUNTS:
        starts = generator.uniform(model.start, model.start + LENGTH - duration, len(places))
        lit = with_bursts(model, places, starts, duration, counts)
        runs = [run for _, run in searched(simulate_acis(lit, number), config, RINGS[ring])]
        found = _found(runs, model, places, starts, duration)
        # So many bursts have a share in the threshold; what is predicted is at the one of the runs.
        empty = [
            replace(one, p_log=run.threshold.p_log) for one, run in zip(empty, runs, strict=True)
        ]
        starts = generator.uniform(model.start, model.start + LENGTH - duration, VIRTUAL)
        expected = virtual_injection(empty, sites, counts, duration, starts, generator).any(axis=1)
        rows.append(
            {
                "ring": ring,
                "duration": duration,
                "counts": counts,
                "bursts": len(places),
                "found": int(found.sum()),
                "virtual": len(expected),
                "predicted": int(expected.sum()),
            }
        )
    return rows


def with_bursts(
    model: AcisModel,
    places: list[tuple[float, float]],
    starts: np.ndarray,
    duration: float,
    counts: float,
) -> AcisModel:
    """The model with a burst at each place, after its sources."""
    bursts = []
    for number, ((x, y), start) in enumerate(zip(places, starts, strict=True)):
        ra, dec = (float(value) for value in model.view.plane.to_sky(x, y))
        light = BoxBurst(float(start), duration)
        bursts.append(SourceModel.burst(f"b{number}", ra, dec, {ACIS.name: counts}, light))
    return replace(model, sources=(*model.sources, *bursts))


def _windows(run: Run, config: Config) -> VirtualWindows:
    virtual = virtual_run(run, config)
    assert isinstance(virtual, VirtualWindows)
    return virtual


def _found(
    runs: list[Run],
    model: AcisModel,
    places: list[tuple[float, float]],
    starts: np.ndarray,
    duration: float,
) -> Mask:
    x, y = np.array(places).T
    bursts = TrueBursts(x, y, starts, starts + duration, model.view.plane.pixel_arcsec)
    return np.any([match(regions_found(run), bursts)[0] for run in runs], axis=0)


def sites_of(model: AcisModel, places: list[tuple[float, float]], seed: int) -> list[Site]:
    """How the light of a burst at each place is spread, from a steady source there."""
    bare = replace(model, sources=(), background_rate=0.0)
    sites = []
    for x, y in places:
        ra, dec = (float(value) for value in model.view.plane.to_sky(x, y))
        source = SourceModel("s", ra, dec, {ACIS.name: SITE_COUNTS / LENGTH}, Constant())
        simulated = simulate_acis(replace(bare, sources=(source,)), seed)
        events = select_events(simulated.exposure, simulated.as_read).events
        place = (events.x.astype(float), events.y.astype(float))
        sites.append(Site(x, y, *place, events.pi / 1000.0, len(events) / SITE_COUNTS))
    return sites


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--first", type=int, default=1, help="Number of the first observation.")
    parser.add_argument("--step", type=int, default=1, help="Of the numbers, for several at once.")
    parser.add_argument("--what", choices=["both", "alarms", "completeness"], default="both")
    parser.add_argument(
        "--beyond", type=float, default=0.0, help="False alarms farther out only, arcmin."
    )
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.write:
        RESULTS.write_text(report(options.folder))
        return
    until, number = time.monotonic() + 60 * options.minutes, options.first
    while time.monotonic() < until:
        alarms = partial(false_alarms, beyond=options.beyond)
        for what, measure in (("alarms", alarms), ("completeness", completeness)):
            path = options.folder / f"{what}-{number}.json"
            if options.what in ("both", what) and not path.exists():
                path.write_text(json.dumps(measure(number)))
        number += options.step


def report(folder: Path) -> str:
    """The tables of what is done."""
    alarms, bursts = (
        pd.DataFrame(
            [
                row | {"number": path.stem}
                for path in folder.glob(f"{what}-*.json")
                for row in json.loads(path.read_text())
            ]
        )
        for what in ("alarms", "completeness")
    )
    n_alarms, n_bursts = (
        len(list(folder.glob(f"{what}-*.json"))) for what in ("alarms", "completeness")
    )
    lines = [
        "# ACIS: false alarms and completeness",
        "",
        f"{n_alarms} simulated observations of {LENGTH / 1000:g} ks with constant sources only, "
        f"and {n_bursts} with bursts; preset `deep` (`python -m benchmarks.acis`).",
        "",
        "| false alarm rate | predicted | found | found / predicted | its error |",
        "|---|---|---|---|---|",
    ]
    for rate, own in alarms.groupby("rate"):
        predicted, found = own["predicted"].sum(), own["found"].sum()
        each = own.groupby("number")[["found", "predicted"]].sum()
        error = ratio_error(each["found"].to_numpy(float), each["predicted"].to_numpy(float))
        ratio = found / predicted
        lines.append(f"| {rate:g} | {predicted:.1f} | {found} | {ratio:.2f} | {error:.2f} |")
    lines += [
        "",
        "Errors are from the scatter of the observations, as several runs show the same region. By "
        f"ring, at {max(RATES):g}:",
        "",
        "| from | predicted | found | found / predicted | its error |",
        "|---|---|---|---|---|",
    ]
    for ring, own in alarms[alarms["rate"] == max(RATES)].groupby("ring"):
        each = own.groupby("number")[["found", "predicted"]].sum().astype(float)
        found, predicted = each["found"].to_numpy(), each["predicted"].to_numpy()
        lines.append(
            f"| {ring:g}' | {predicted.sum():.1f} | {found.sum():.0f} | "
            f"{found.sum() / predicted.sum():.2f} | {ratio_error(found, predicted):.2f} |"
        )
    lines += [
        "",
        "Completeness at a false alarm rate of 0.3: bursts of constant rate, counts of 0.5 to "
        "7 keV in the whole PSF.",
        "",
        "| place | duration | counts | injected | found | 68 % interval | predicted |",
        "|---|---|---|---|---|---|---|",
    ]
    for (ring, duration, counts), own in bursts.groupby(["ring", "duration", "counts"]):
        n, found = own["bursts"].sum(), own["found"].sum()
        low, high = wilson(np.array([found * 1.0]), np.array([n * 1.0]))
        share = own["predicted"].sum() / own["virtual"].sum()
        lines.append(
            f"| {ring} | {duration:g} s | {counts:g} | {n} | {found / n:.3f} | "
            f"{low[0]:.3f}-{high[0]:.3f} | {share:.3f} |"
        )
    both = bursts.groupby(["ring"])[["bursts", "found", "virtual", "predicted"]].sum()
    lines += ["", "All counts and durations together:", ""]
    for ring, row in both.iterrows():
        found, share = row["found"] / row["bursts"], row["predicted"] / row["virtual"]
        error = np.sqrt(found * (1 - found) / row["bursts"])
        lines.append(
            f"* {ring}: found {found:.3f} +- {error:.3f} of {row['bursts']}, predicted {share:.3f}."
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
