"""Drop-outs of CCDs, quadrants and cameras: what they make of a search.

`python -m benchmarks.live_time FOLDER --observations 12 --dropouts 29` simulates observations with
drop-outs of 10 to 400 s, half of them recorded, and searches them. Observations of constant sources
tell how many regions there are and how many chance is predicted to make: all of them, and those
whose significant frames overlap a drop-out. The same observations with faint bursts, with drop-outs
and without, tell whether bursts away from drop-outs are found as before. What was measured is kept
in FOLDER, and all of it goes into benchmarks/results_live_time.md.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from exod import __version__
from exod.config import Config
from exod.simulate import ObservationModel, default_observation, simulate
from exod.stages.detect.observation import detect
from exod.stages.inputs.simulate import write_observation

RESULTS = Path(__file__).with_name("results_live_time.md")

SEARCHES = {
    "published": ("published", []),
    "published, rate 10": ("published", ["detect.rule=exact", "detect.false_alarm_rate=10"]),
    "deep": ("deep", []),
    "deep, rate 3": ("deep", ["detect.false_alarm_rate=3"]),
    "deep, rate 10": ("deep", ["detect.false_alarm_rate=10"]),
}
BURST_SEARCHES = ("published", "deep")
CONSTANT = {"n_bursts": 0, "n_eclipses": 0, "n_hot_pixels": 0}
BURSTS = {"n_bursts": 60, "n_eclipses": 0, "n_hot_pixels": 0, "n_flares": 0}
BURST_DROPOUTS = 6
"""Drop-outs of each exposure of those with bursts, so that half of these are away from them."""

FAINTER = 0.4
"""Bursts have this part of the 30 to 100 counts of those of the simulator."""

NEAR_SECONDS = 200.0
"""Bursts that are closer to a drop-out than a long frame are not away from it."""

MATCH_ARCSEC = 20.0


def configuration(search: str, live: str) -> Config:
    """Settings of a search."""
    preset, overrides = SEARCHES[search]
    return Config.load(preset=preset, overrides=[*overrides, f"cube.live_time={live}"])


def written(folder: Path, model: ObservationModel, seed: int) -> Path:
    """The folder of a simulated observation, made where it is not there."""
    if not (folder / model.obsid).is_dir():
        write_observation(simulate(model, seed), folder)
    return folder / model.obsid


def gaps_of(model: ObservationModel) -> np.ndarray:
    """Start and stop of all drop-outs, shape (n, 2)."""
    gaps = [(d.start, d.stop) for exposure in model.exposures for d in exposure.dropouts]
    return np.array(gaps).reshape(-1, 2)


def overlaps(gaps: np.ndarray, starts: np.ndarray, lengths: np.ndarray | float) -> np.ndarray:
    """Which intervals overlap a gap."""
    hit = np.zeros(len(starts), bool)
    for start, stop in gaps:
        hit |= (starts < stop) & (starts + lengths > start)
    return hit


def constant(folder: Path, number: int, dropouts: int, live: str, search: str) -> dict[str, Any]:
    """Regions where nothing varies."""
    settings = {**CONSTANT, "n_flares": number % 2, "n_short_dropouts": dropouts}
    model = default_observation(f"09{number:08d}", number, **settings)
    gaps = gaps_of(model)
    data = written(folder / f"constant-{dropouts}", model, number)
    found = detect(data, configuration(search, live))
    runs, cells = found.runs, found.cells
    length = cells["runid"].map(runs.set_index("runid")["t_bin"]).to_numpy(float)
    at_gap = overlaps(gaps, cells["TIME_lo"].to_numpy(float), length)
    shares = [
        overlaps(gaps, run.t_lo + run.t_bin * np.arange(run.n_frames), run.t_bin).mean()
        for run in runs.itertuples()
    ]
    false = runs["false_peaks"] + runs["false_eclipses"]
    return {
        "gaps": len(gaps),
        "peaks": int((found.regions["kind"] == "peak").sum()),
        "eclipses": int((found.regions["kind"] == "eclipse").sum()),
        "predicted": float(false.sum()),
        "at gaps": int(cells[at_gap].groupby(["runid", "label"]).ngroups) if len(cells) else 0,
        "predicted at gaps": float((false * shares).sum()),
    }


def bursts(folder: Path, number: int, dropouts: int, live: str, search: str) -> dict[str, Any]:
    """Bursts away from drop-outs that are found, with drop-outs and without."""
    found = []
    for n in (0, dropouts):
        model = default_observation(f"08{number:08d}", number, **BURSTS, n_short_dropouts=n)
        fainter = [
            replace(s, rate={camera: FAINTER * rate for camera, rate in s.rate.items()})
            if s.light_curve.kind != "constant"
            else s
            for s in model.sources
        ]
        model = replace(model, sources=tuple(fainter))
        regions = detect(
            written(folder / f"bursts-{n}", model, number), configuration(search, live)
        ).regions
        ra, dec = (regions[name].to_numpy(float) for name in ("ra_deg", "dec_deg"))
        own = [s for s in model.sources if s.light_curve.kind != "constant"]
        distance = [
            np.hypot((ra - s.ra_deg) * np.cos(np.radians(dec)), dec - s.dec_deg) * 3600 for s in own
        ]
        found.append(np.array([bool((d < MATCH_ARCSEC).any()) for d in distance]))
    interval = np.array([s.light_curve.interval for s in own])
    gaps = gaps_of(model)
    start, length = interval[:, 0] - NEAR_SECONDS, np.diff(interval)[:, 0] + 2 * NEAR_SECONDS
    away = ~overlaps(gaps, start, length)
    without, with_gaps = found
    return {
        "bursts": len(own),
        "away": int(away.sum()),
        "found away": int(with_gaps[away].sum()),
        "found away, no drop-outs": int(without[away].sum()),
        "only with": int((with_gaps & ~without)[away].sum()),
        "only without": int((without & ~with_gaps)[away].sum()),
        "near": int((~away).sum()),
        "found near": int(with_gaps[~away].sum()),
        "found near, no drop-outs": int(without[~away].sum()),
    }


def measured(folder: Path, numbers: range, dropouts: int, live: str) -> Iterator[dict[str, Any]]:
    """One row a search of an observation; those of earlier calls are read."""
    kept = folder / "rows.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    yield from rows
    known = {(r["kind"], r["number"], r["dropouts"], r["live"], r["search"]) for r in rows}
    todo = [(constant, dropouts, search) for search in SEARCHES]
    todo += [(constant, 0, search) for search in SEARCHES if "rate" in search]
    todo += [(bursts, BURST_DROPOUTS, search) for search in BURST_SEARCHES]
    for number in numbers:
        for measure, n, search in todo:
            key = (measure.__name__, number, n, live, search)
            if key in known:
                continue
            names = ("kind", "number", "dropouts", "live", "search")
            row = dict(zip(names, key, strict=True)) | measure(folder, number, n, live, search)
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)
            yield row


def page(rows: list[dict[str, Any]]) -> str:
    """Sums as Markdown."""
    table = pd.DataFrame(rows)
    lines = [
        "# Drop-outs of the cameras",
        "",
        f"exod {__version__}, Python {platform.python_version()}. Made by "
        "`python -m benchmarks.live_time FOLDER`. Observations of 20 ks by pn and both MOS with "
        "drop-outs of 10 to 400 s (even in the logarithm) of single CCDs, quadrants of pn and "
        "whole cameras, every second one recorded in the good times, every second observation "
        "with a flare.",
        "",
        "## Where nothing varies",
        "",
        "Regions that were found and false alarms that were predicted, of all frames and of those "
        "that overlap a drop-out; the share of the frames of a run that do is the share of its "
        "false alarms. The rate is that of `detect.false_alarm_rate`; the searches without are the "
        "presets. Errors are Poisson.",
        "",
        "| search | live time | drop-outs | observations | found | predicted | ratio | at gaps "
        "| predicted | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    still = table[table["kind"] == "constant"]
    for (search, live, n), own in still.groupby(["search", "live", "dropouts"], sort=False):
        found = own["peaks"].sum() + own["eclipses"].sum()
        lines.append(
            f"| {search} | {live} | {own['gaps'].sum():,.0f} | {len(own)} | {found:.0f} "
            f"| {own['predicted'].sum():.2f} | {_ratio(found, own['predicted'].sum())} "
            + (
                f"| {own['at gaps'].sum():.0f} | {own['predicted at gaps'].sum():.2f} "
                f"| {_ratio(own['at gaps'].sum(), own['predicted at gaps'].sum())} |"
                if n
                else "| | | |"
            )
        )
    lines += [
        "",
        "## Bursts",
        "",
        f"Bursts of {30 * FAINTER:.0f} to {100 * FAINTER:.0f} counts in 3 to 150 s, the same with "
        "drop-outs and without. Those at least "
        f"{NEAR_SECONDS:.0f} s from any drop-out are away from them.",
        "",
        "| search | live time | away | found | found without drop-outs | only with | only without "
        "| near | found | found without drop-outs |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    names = ["away", "found away", "found away, no drop-outs", "only with", "only without"]
    names += ["near", "found near", "found near, no drop-outs"]
    lit = table[table["kind"] == "bursts"]
    for (search, live), own in lit.groupby(["search", "live"], sort=False):
        sums = " | ".join(f"{own[name].sum():.0f}" for name in names)
        lines.append(f"| {search} | {live} | {sums} |")
    return "\n".join(lines) + "\n"


def _ratio(found: float, predicted: float) -> str:
    if predicted < 5:
        return ""
    return f"{found / predicted:.2f} ± {np.sqrt(max(found, 1)) / predicted:.2f}"


def main() -> None:
    """Measure, write the page and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--observations", type=int, default=12)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--dropouts", type=int, default=29)
    parser.add_argument("--live-time", default="fraction", choices=["fraction", "frames"])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    numbers = range(arguments.first, arguments.first + arguments.observations)
    rows = list(measured(arguments.folder, numbers, arguments.dropouts, arguments.live_time))
    text = page(rows)
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
