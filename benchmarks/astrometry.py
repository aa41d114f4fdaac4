"""Cross-matches of astromon's tables, and frames fitted to simulated references.

Tables are matched vectorised, row by row, and lazily, in one run. Frames of real source lists that
have one of the pipeline are fitted to references of known truth, some of them counterparts.

Run ``python -m benchmarks.astrometry --observations 5000`` or, for frames,
``python -m benchmarks.astrometry --lists ../shared/data/obsmli --realisations 5``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits
from astropy.table import Table, vstack

from exod.astrometry.attitude import radec_to_yagzag, yagzag_to_radec
from exod.astrometry.framefit import FrameFit, fit_frame
from exod.astrometry.rectification import Frame, header_frame
from exod.astromon import db
from exod.astromon.cross_match import compute_cross_matches
from exod.astromon.tables import DTYPES

PARTS = ("astromon_obs", "astromon_xray_src", "astromon_cat_src")
MANY = {"catalogs": ["2MASS", "USNO-B1.0", "Tycho2"], "snr": 0, "r_angle": 1e4, "dr": 1e4}
SOURCES = 18


def tables(first: int, n: int) -> list[Table]:
    """Observations of 18 sources with two counterparts each, a few of Tycho2."""
    random = np.random.default_rng(first)
    made = [np.zeros(n * size, DTYPES[name]) for name, size in zip(PARTS, (1, 18, 36), strict=True)]
    observations, sources, counterparts = made
    observations["obsid"] = first + np.arange(n)
    observations["grating"], observations["detector"] = "NONE", "ACIS-S"
    observations["date_obs"], observations["target"] = "2013-02-11T07:39:09", "NGC 1624"
    sources["obsid"] = np.repeat(observations["obsid"], SOURCES)
    sources["id"] = np.tile(np.arange(SOURCES), n)
    for name in ("y_angle", "z_angle"):
        sources[name] = random.uniform(-170, 170, len(sources))
    sources["r_angle"] = np.hypot(sources["y_angle"], sources["z_angle"])
    sources["snr"] = random.exponential(6, len(sources))
    sources["near_neighbor_dist"] = random.uniform(0, 60, len(sources))
    pick = np.repeat(np.arange(len(sources)), 2)
    counterparts["obsid"], counterparts["x_id"] = sources["obsid"][pick], sources["id"][pick]
    counterparts["id"] = np.tile(np.arange(36), n)
    counterparts["catalog"] = random.choice(MANY["catalogs"], len(pick), p=[0.5, 0.4, 0.1])
    for name in ("y_angle", "z_angle"):
        counterparts[name] = sources[name][pick] + random.normal(0, 0.7, len(pick))
    found = [Table(rows) for rows in made]
    for table in found:
        table.convert_bytestring_to_unicode()
    return found


def row_by_row(
    given: list[Table], catalogs: list[str], snr: float, r_angle: float, dr: float
) -> int:
    """How many matches there are, from plain rows, one after the other."""
    gratings = {row["obsid"]: row["grating"] for row in given[0]}
    good = {
        (row["obsid"], row["id"]): (row["y_angle"], row["z_angle"])
        for row in given[1]
        if row["snr"] > snr
        and row["near_neighbor_dist"] > 6
        and row["r_angle"] < (r_angle if gratings[row["obsid"]] == "NONE" else 24)
    }
    best: dict[tuple[int, int], tuple[int, float]] = {}
    for row in given[2]:
        key = row["obsid"], row["x_id"]
        if key in good and row["catalog"] in catalogs:
            y, z = good[key]
            apart = float(np.hypot(y - row["y_angle"], z - row["z_angle"]))
            if apart < dr:
                found = catalogs.index(row["catalog"]), apart
                best[key] = min(best.get(key, found), found)
    return len(best)


LAZY = """
import json, sys, time
import dask
from dask.distributed import Client, LocalCluster
from exod.astromon import db
from exod.astromon.cross_match import compute_cross_matches

def peak():
    lines = open("/proc/self/status")
    return next(int(line.split()[1]) for line in lines if "VmHWM" in line) / 1024

file, rows, to = sys.argv[1], int(sys.argv[2]), sys.argv[5]
options, workers = map(json.loads, sys.argv[3:5])
import dask.dataframe, pyarrow.dataset, pyarrow.parquet
dask.config.set(scheduler="synchronous")
cluster = workers and LocalCluster(workers, threads_per_worker=1, dashboard_address=None)
client = cluster and Client(cluster)
before = peak()
began = time.perf_counter()
frames = [db.lazy(name, file, rows=rows) for name in sys.argv[6:]]
found = compute_cross_matches(None, *frames, **options)
found.to_parquet(to)
seconds = time.perf_counter() - began
of_workers = max(client.run(peak).values()) if client else 0
counts = sum(
    pyarrow.parquet.read_metadata(path).num_rows for path in pyarrow.dataset.dataset(to).files
)
print(json.dumps([counts, found.npartitions, seconds, before, peak(), of_workers]))
if client:
    client.close(timeout=30)
    cluster.close(timeout=30)
"""


def lazily(folder: Path, n: int) -> Iterator[tuple[int, list[float]]]:
    """Without workers and with two: matches, partitions, seconds, memory (MB).

    Memory is that of a process of its own before anything is read, its peak, and the largest peak
    of a worker.
    """
    parts = [tables(1 + start, min(5000, n - start)) for start in range(0, n, 5000)]
    for number, name in enumerate(PARTS):
        db.save(name, vstack([part[number] for part in parts]), folder, ignore_obsid=True)
    for workers in (0, 2):
        options = [json.dumps(MANY), json.dumps(workers), str(folder / f"matches{workers}")]
        command = [sys.executable, "-c", LAZY, str(folder), "50000", *options, *PARTS]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        yield workers, json.loads(done.stdout)


class Field(NamedTuple):
    """Positions of a source list in degrees, errors of an axis in arcsec, and the true frame."""

    ra: np.ndarray
    dec: np.ndarray
    error: np.ndarray
    frame: Frame


def fields_of(folder: Path) -> list[Field]:
    """Source lists that have a frame of the pipeline, which is taken for the truth."""
    found = []
    for path in sorted(folder.glob("*OBSMLI*")):
        with warnings.catch_warnings():
            # The units of the pipeline are not all those of the FITS standard.
            warnings.simplefilter("ignore")
            with fits.open(path) as file:
                rows, header = file["SRCLIST"].data, {**file[0].header, **file["SRCLIST"].header}
                ra, dec, radial = (np.array(rows[n], float) for n in ("RA", "DEC", "RADEC_ERR"))
        frame = header_frame(header).frame
        if frame:
            found.append(Field(ra, dec, radial / np.sqrt(2), frame))
    return found


def fitted(field: Field, density: float, matched: float, seed: list[int]) -> tuple[FrameFit, float]:
    """The fit to chance references (a square arcmin) and counterparts, and its CPU seconds."""
    random = np.random.default_rng([*seed, int(density), int(100 * matched)])
    centre = (field.frame.ra_deg, field.frame.dec_deg, 0.0)
    has = random.random(len(field.ra)) < matched
    half = 16.0 * 60.0
    n_chance = random.poisson(density * (2 * half / 60.0) ** 2)
    places = [
        np.concatenate(
            [angle[has] + random.normal(0, field.error[has]), random.uniform(-half, half, n_chance)]
        )
        for angle in radec_to_yagzag(*field.frame.apply(field.ra, field.dec), centre)
    ]
    references = yagzag_to_radec(*places, centre)
    began = time.process_time()
    fit = fit_frame(field.ra, field.dec, field.error, *references, 0.05, centre=centre[:2])
    return fit, time.process_time() - began


def frames(folder: Path, first: int, realisations: int) -> None:
    """How many frames are right to an arcsec, which are believed, and how long they take.

    Fields with chance references only are four times as many, of seeds of their own.
    """
    fields = fields_of(folder)
    seeds = [[first + r, k] for r in range(realisations) for k in range(len(fields))]
    names = "east_arcsec", "north_arcsec", "rotation_deg"
    print(f"{len(fields)} fields, {realisations} realisations from {first}\n")
    print("| references | matched | right | worst | accepted | of these wrong ", end="")
    print("| median error | pulls: rms | robust | ms | slowest |\n|" + "---|" * 11)
    for density, matched in ((5, 0.5), (20, 0.5), (50, 0.5), (100, 0.5), (20, 0.25)):
        found = [fitted(fields[seed[1]], density, matched, seed) for seed in seeds]
        truth = [[getattr(fields[k].frame, name) for name in names] for _, k in seeds]
        frames = [[getattr(fit.frame, name) for name in names] for fit, _ in found]
        differences = np.array(frames) - truth
        errors = np.sqrt([np.diag(fit.frame.covariance) for fit, _ in found if fit.frame])
        ok = np.array([fit.ok for fit, _ in found])
        off = np.hypot(*differences[:, :2].T)
        right = (off < 1).reshape(realisations, -1).sum(axis=1)
        pulls = (differences / errors)[ok, :2]
        milliseconds = 1e3 * np.array([seconds for _, seconds in found])
        columns = [
            f"{density} | {matched} | {right.mean():.1f} | {right.min()}",
            f"{ok.sum() / realisations:.1f} | {(ok & (off >= 1)).sum() / realisations:.1f}",
            f"{np.median(off):.2f} | {np.sqrt((pulls**2).mean()):.2f}",
            f"{np.median(np.abs(pulls)) / 0.6745:.2f}",
            f"{milliseconds.mean():.0f} | {milliseconds.max():.0f}",
        ]
        print(f"| {' | '.join(columns)} |", flush=True)
    print("\n| chance references | fields | accepted |\n|---|---|---|")
    seeds = [[first + 1000 + r, k] for r in range(4 * realisations) for k in range(len(fields))]
    for density in (5, 20, 50, 100):
        n = sum(fitted(fields[seed[1]], density, 0.0, seed)[0].ok for seed in seeds)
        print(f"| {density} | {len(seeds)} | {n} |", flush=True)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--observations", type=int, default=5000)
    parser.add_argument("--lists", type=Path, help="source lists whose frames are fitted")
    parser.add_argument("--realisations", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    given = parser.parse_args()
    if given.lists:
        frames(given.lists, given.first_seed, given.realisations)
    else:
        crossmatches(given.observations)


def crossmatches(n: int) -> None:
    """Cross-matches of n observations, and of ten times as many lazily."""
    given = tables(1, n)
    print("| what | matches | seconds | row by row | ratio |\n|---|---|---|---|---|")
    for what, options in (
        ("standard", {"catalogs": ["ICRS", "Tycho2"], "snr": 3, "r_angle": 120.0, "dr": 3.0}),
        ("all", MANY),
    ):
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            found = compute_cross_matches("simple", *given, **options)
            seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        slow = row_by_row(given, **options)
        reference = time.perf_counter() - began
        assert slow == len(found)
        quick = sorted(seconds)[1]
        print(f"| {what} | {slow:,} | {quick:.2f} | {reference:.2f} | {quick / reference:.3f} |")
    print(
        "\n| observations | workers | matches | partitions | seconds | MB before | peak | worker |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for times in (1, 3, 10):
        with tempfile.TemporaryDirectory() as name:
            for workers, (counts, parts, *numbers) in lazily(Path(name) / "tables", times * n):
                text = " | ".join(f"{number:.0f}" for number in numbers)
                print(f"| {times * n:,} | {workers} | {counts:,} | {parts} | {text} |", flush=True)


if __name__ == "__main__":
    main()
