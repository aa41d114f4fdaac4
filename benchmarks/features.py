"""Features of light curves: against a plain loop, of gigabytes, and of one more observation.

Run ``python -m benchmarks.features``; the results are in benchmarks/results_features.md. Light
curves are simulated. Files are written as the search does it, except that nothing is flushed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import signal, stats

from exod.archive import Archive, open_archive
from exod.config import Config
from exod.counts.bayes import log10_b_eclipse, log10_b_peak, sigma_equivalent, threshold
from exod.scheduler.plan import Plan
from exod.schemas import IMAGES, LIGHTCURVES, REGIONS, RUNS, Table
from exod.sources.vetting.features import Curves, features
from exod.stages.derive.features import make_features
from exod.stages.detect.observation import peak_memory_mb

CURVES_OF_MISSION = 60_000
BYTES_OF_MISSION = 29e9
ROW_BYTES = 60.0
"""Light curves of the published catalogue, and of a row with its index in the tables of EXOD2."""

FRAMES = 8_000
CELLS = 160
BANDS = ((0.2, 2.0), (2.0, 12.0), (0.2, 12.0))

_APART = """
import json, sys
from benchmarks import features
print(json.dumps(features.stream(sys.argv[1])))
"""


# -------------------------------------------------------------------- a plain loop


def light_curves(n_curves: int, frames: int, seed: int = 1) -> pd.DataFrame:
    """Simulated light curves with a burst each, one after the other."""
    random = np.random.default_rng(seed)
    mu = np.repeat(random.choice([0.02, 0.5, 10.0], n_curves), frames)
    mu = mu * np.exp(random.normal(0, 0.1, len(mu)))
    n = random.poisson(mu)
    n[np.arange(n_curves) * frames + random.integers(frames, size=n_curves)] += 20
    mu = mu.astype(np.float32)
    b_log = {"B_peak_log": log10_b_peak(n, mu), "B_eclipse_log": log10_b_eclipse(n, mu)}
    flags = {name: random.random(len(mu)) < 0.1 for name in ("bti", "bccd")}
    curve = np.repeat(np.arange(n_curves), frames)
    return pd.DataFrame({"label": curve, "n": n.astype(np.int32), "mu": mu} | flags | b_log)


def plain(curve: pd.DataFrame) -> dict[str, Any]:
    """Features of one light curve as one would write them with pandas and scipy."""
    mu, found = curve["mu"].astype(float), {}
    test = stats.ks_2samp(curve["n"], mu)
    found = {"length": len(curve), "ks_stat": test.statistic, "ks_pval": test.pvalue}
    for name, values in (("n", curve["n"]), ("mu", mu)):
        found |= {f"{name}_{what}": getattr(values, what)() for what in ("max", "min", "sum")}
        found |= {f"{name}_mean": values.mean(), f"{name}_std": values.std()}
        found |= {f"{name}_skew": stats.skew(values), f"{name}_kurt": stats.kurtosis(values)}
    for name in ("bti", "bccd"):
        found |= {f"n_{name}": curve[name].sum(), f"ratio_{name}": curve[name].mean()}
    found["n_max_index"] = int(curve["n"].to_numpy().argmax())
    for kind, limit in (("peak", 6.4), ("eclipse", 5.5)):
        b_log = curve[f"B_{kind}_log"]
        found[f"max_B_{kind}_log"] = b_log.max()
        found[f"sigma_{kind}"] = float(sigma_equivalent(b_log.max(), kind))
        padded = np.r_[-np.inf, b_log.fillna(-np.inf), -np.inf]
        found[f"n_local_{kind}s"] = int((padded[signal.find_peaks(padded)[0]] > limit).sum())
        for sigma in (3, 5):
            high, name = b_log >= threshold(sigma, kind), f"n_{sigma}_sig_{kind}_bins"
            found |= {name: high.sum(), f"{name}_bti": (high & curve["bti"]).sum()}
            found[f"{name}_gti"] = (high & ~curve["bti"]).sum()
    varies = np.flatnonzero((curve["B_peak_log"] > 6.4) | (curve["B_eclipse_log"] > 5.5))
    found["n_peaks"] = int((np.diff(varies) > 100).sum()) + bool(len(varies))
    return found


def at_once(frame: pd.DataFrame, frames: int) -> pd.DataFrame:
    offsets = np.arange(0, len(frame) + 1, frames)
    names = ("n", "mu", "bti", "bccd", "B_peak_log", "B_eclipse_log")
    columns = (frame[name].to_numpy() for name in names)
    return pd.DataFrame(features(Curves(offsets, np.full(len(offsets) - 1, 50.0), *columns)))


def against_a_loop(n_curves: int, frames: int) -> Iterator[tuple[str, float]]:
    """Light curves a second of both; they must agree."""
    frame = light_curves(n_curves, frames)
    looped, slow = timed(
        lambda: pd.DataFrame([plain(curve) for _, curve in frame.groupby("label")])
    )
    found, fast = min((timed(lambda: at_once(frame, frames)) for _ in range(3)), key=lambda x: x[1])
    for name in looped:
        np.testing.assert_allclose(found[name], looped[name], rtol=1e-8, atol=1e-10, err_msg=name)
    what = f"{n_curves:,} light curves of {frames:,} frames"
    yield f"{what}: plain loop, light curves a second", n_curves / slow
    yield f"{what}: at once, light curves a second", n_curves / fast
    yield f"{what}: ratio", slow / fast


# -------------------------------------------------------------------- gigabytes


def fill(table: Table, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a table; what is not given is empty text, 0 or False."""
    missing = [column for column in table.columns if column.name not in rows]
    empty = {
        c.name: "" if str(c.type) == "string" else 0 for c in missing if "list" not in str(c.type)
    }
    lists = {c.name: [np.empty(0)] * len(rows) for c in missing if "list" in str(c.type)}
    return table.frame(rows.assign(**empty, **lists))


def commit(archive: Archive, obsid: str, frame: pd.DataFrame, n_curves: int) -> None:
    """An observation with the first of these light curves, in three runs of 5 s frames."""
    frame = frame[frame["label"] < n_curves]
    frames = len(frame) // n_curves
    random = np.random.default_rng(int(obsid))
    keys = pd.DataFrame(
        [(f"{obsid}_0_5_{lo:g}_{hi:g}", lo, hi) for lo, hi in BANDS],
        columns=["runid", "e_lo", "e_hi"],
    ).assign(obsid=obsid, subset=0, t_bin=5.0)
    runs = keys.assign(y_lo=0, y_hi=CELLS, x_lo=0, x_hi=CELLS)
    images = keys[["runid", "obsid"]].assign(n=list(random.poisson(9, (3, CELLS * CELLS))))
    regions = keys.iloc[np.arange(n_curves) % 3].sort_values("runid", ignore_index=True)
    y, x = random.integers(0, CELLS - 2, (2, n_curves))
    regions = regions.assign(label=np.arange(n_curves), kind="peak", t_start=100.0, t_stop=130.0)
    regions = regions.assign(y_lo=y, y_hi=y + 2, x_lo=x, x_hi=x + 2)
    regions["detid"] = regions["runid"] + "_" + regions["label"].astype(str)
    own = regions.iloc[np.repeat(np.arange(n_curves), frames)].reset_index(drop=True)
    rows = frame.assign(
        time=5.0 * np.tile(np.arange(frames), n_curves),
        **{name: own[name] for name in ("detid", "runid", "obsid", "label")},
    )
    tables = {"runs": fill(RUNS, runs), "images": fill(IMAGES, images)}
    tables |= {"regions": fill(REGIONS, regions), "lightcurves": LIGHTCURVES.frame(rows)}
    archive.commit(obsid, "OK", tables)


def stream(root: str) -> tuple[int, float, float]:
    """Regions, seconds and peak memory in MB above the imports; for a process of its own."""
    import pyarrow.dataset  # noqa: F401 - counts as an import

    before = peak_memory_mb()
    made, seconds = timed(lambda: make_features(root, Plan("sync")))
    return made.n_rows, seconds, peak_memory_mb() - before


def streaming(folder: Path, n_observations: int, n_curves: int) -> Iterator[tuple[str, float]]:
    """More and more light curves, at last of one observation: memory must not follow."""
    frame = light_curves(3 * n_curves, FRAMES, 2)
    archives = {
        "one observation": [n_curves],
        "all observations": [n_curves] * n_observations,
        "one observation with three times as many": [3 * n_curves],
    }
    for number, (what, sizes) in enumerate(archives.items()):
        archive = Archive.create(folder / str(number), Config())
        for index, size in enumerate(sizes):
            commit(archive, f"{800000001 + index:010d}", frame, size)
        done = subprocess.run(
            [sys.executable, "-c", _APART, archive.root], check=True, capture_output=True, text=True
        )
        n_rows, seconds, peak = json.loads(done.stdout)
        size = sum(file.stat().st_size for file in (folder / str(number)).glob("lightcurves/*"))
        yield f"{what}: light curves", n_rows
        yield f"{what}: million frames", n_rows * FRAMES / 1e6
        yield f"{what}: GB at {ROW_BYTES:g} bytes a frame", n_rows * FRAMES * ROW_BYTES / 1e9
        yield f"{what}: GB of Parquet", size / 1e9
        yield f"{what}: seconds, one process", seconds
        yield f"{what}: peak memory above imports (MB)", peak
        if what == "all observations":
            whole = BYTES_OF_MISSION / (n_rows * FRAMES * ROW_BYTES)
            yield "29 GB at this speed, one process (minutes)", whole * seconds / 60
            yield (
                "60,000 light curves of 8,000 frames likewise (minutes)",
                (CURVES_OF_MISSION / n_rows * seconds / 60),
            )


# -------------------------------------------------------------------- one more


def one_more(folder: Path, n_observations: int) -> Iterator[tuple[str, float]]:
    """A large archive of small observations, and another one."""
    frame = light_curves(3, 8)
    archive = Archive.create(folder / "many", Config())
    for number in range(n_observations):
        commit(archive, f"{800000001 + number:010d}", frame, 3)
    made, first = timed(lambda: make_features(archive.root, Plan("sync")))
    commit(archive, "0900000001", frame, 3)
    again, second = timed(lambda: make_features(archive.root, Plan("sync")))
    _, reading = timed(lambda: open_archive(archive.root).entries())
    _, nothing = timed(lambda: make_features(archive.root, Plan("sync")))
    yield "observations", made.n_read
    yield "features of all (s)", first
    yield "observations read after one more", again.n_read
    yield "features of one more (s)", second
    yield "of that, reading the ledger (s)", reading
    yield "nothing new (s)", nothing
    yield "all / one more", first / second


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What a function returns, and the seconds it took."""
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--observations", type=int, default=20, help="Of the gigabytes.")
    parser.add_argument("--many", type=int, default=2_000, help="Small observations.")
    arguments = parser.parse_args()
    os.fsync = lambda _: None  # type: ignore[assignment]
    print(f"Load before: {os.getloadavg()[0]:.1f}\n\n| what | value |\n|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        parts = (
            against_a_loop(1_000, 2_000),
            against_a_loop(3_000, 175),
            streaming(Path(folder), arguments.observations, 250),
            one_more(Path(folder), arguments.many),
        )
        for part in parts:
            for what, value in part:
                shown = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
                print(f"| {what} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
