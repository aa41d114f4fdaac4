"""Drop-outs of CCDs, quadrants and cameras: what they make of a search without variable sources.

`python -m benchmarks.live_time FOLDER --observations 23 --dropouts 15` simulates observations of
constant sources with drop-outs of 10 to 400 s, half of them recorded, searches them and compares
the regions that are found with those that chance is predicted to make: all of them, and those
whose significant frames overlap a drop-out.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from exod.config import Config
from exod.simulate import default_observation
from exod.stages.detect.observation import detect
from exod.stages.inputs.simulate import simulate_files

SEARCHES = {
    "published": ("published", []),
    "fixed cells": ("published", ["detect.rule=exact", "detect.false_alarm_rate=10"]),
    "deep": ("deep", []),
    "sliding windows": ("deep", ["detect.false_alarm_rate=10"]),
}
SETTINGS = {"n_bursts": 0, "n_eclipses": 0, "n_hot_pixels": 0}


def measure(folder: Path, number: int, dropouts: int, searches: list[str], live: str):
    """Rows of one observation, one a search."""
    obsid = f"09{number:08d}"
    settings = {**SETTINGS, "n_flares": number % 2, "n_short_dropouts": dropouts}
    paths = simulate_files(folder, obsid, number, **settings)
    model = default_observation(obsid, number, **settings)
    gaps = [(d.start, d.stop) for exposure in model.exposures for d in exposure.dropouts]
    for name in searches:
        preset, overrides = SEARCHES[name]
        config = Config.load(preset=preset, overrides=[*overrides, f"cube.live_time={live}"])
        began = time.perf_counter()
        found = detect(paths[0].parent, config)
        runs, cells = found.runs, found.cells
        length = cells["runid"].map(runs.set_index("runid")["t_bin"]) if len(cells) else []
        at_gap = np.zeros(len(cells), bool)
        for start, stop in gaps:
            begin = cells["TIME_lo"].to_numpy(float)
            at_gap |= (begin < stop) & (begin + np.asarray(length, float) > start)
        kinds = found.regions["kind"]
        by_gap = cells[at_gap].groupby(["runid", "label"]).ngroups if len(cells) else 0
        share = [
            np.mean([overlaps(gaps, run.t_lo + run.t_bin * np.arange(run.n_frames), run.t_bin)])
            for run in runs.itertuples()
        ]
        false = runs["false_peaks"] + runs["false_eclipses"]
        yield {
            "search": name,
            "dropouts": len(gaps),
            "peaks": int((kinds == "peak").sum()),
            "predicted_peaks": float(runs["false_peaks"].sum()),
            "eclipses": int((kinds == "eclipse").sum()),
            "predicted_eclipses": float(runs["false_eclipses"].sum()),
            "at_gaps": by_gap,
            "predicted_at_gaps": float((false * share).sum()),
            "seconds": time.perf_counter() - began,
        }


def overlaps(gaps, starts, t_bin):
    """Which frames overlap a gap."""
    hit = np.zeros(len(starts), bool)
    for start, stop in gaps:
        hit |= (starts < stop) & (starts + t_bin > start)
    return hit


def main() -> None:
    """Measure and print sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--observations", type=int, default=23)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--dropouts", type=int, default=15)
    parser.add_argument("--search", action="append", choices=list(SEARCHES))
    parser.add_argument("--live-time", default="fraction")
    arguments = parser.parse_args()
    rows = []
    for number in range(arguments.first, arguments.first + arguments.observations):
        names = arguments.search or list(SEARCHES)
        rows += measure(arguments.folder, number, arguments.dropouts, names, arguments.live_time)
        table = pd.DataFrame(rows).groupby("search", sort=False).sum()
        print(f"after {number}:\n{table.round(2).to_string()}", flush=True)


if __name__ == "__main__":
    main()
