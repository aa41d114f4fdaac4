"""Clustering: as fast as the sky at once, and ten million regions in bounded memory.

Run ``python -m benchmarks.clustering`` for the first two sections, with ``--regions 10000000`` also
for the third, which takes some minutes and 3 GB of disk. Observations are made up: fields of
30 arcmin, half of them seen before, with sources that have several regions each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.archive_scale import publish, random_rows
from exod.archive import Archive, open_archive
from exod.archive.parquet import to_arrow
from exod.config import Config
from exod.schemas import IMAGES, OBSERVATIONS, REGIONS, RUNS
from exod.sky.plane import TangentPlane
from exod.sky.sphere import chord, unit_vectors
from exod.sources.clustering import cluster
from exod.stages.derive.cluster import cluster_archive

RESULTS = Path(__file__).with_name("results_clustering.md")
CELLS = 90
"""Cells of 20 arcsec along a side of the images: 30 arcmin."""
CENTRE = 25921.0
PIXEL_DEG = 0.05 / 3600

_IN_NEW_PROCESS = """
import json, resource, sys, time
from exod.scheduler.plan import Plan
from exod.stages.derive.cluster import cluster_archive
import astropy_healpix, pandas, scipy.spatial
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
began = time.perf_counter()
found = cluster_archive(sys.argv[1], Plan(sys.argv[2]))
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps([seconds, before, peak, children, found.counts]))
"""


def simple_loop(vectors: np.ndarray, radius_arcsec: float) -> np.ndarray:
    """The rule as a plain program does it: one tree for the sky, a loop over the regions."""
    from scipy.spatial import cKDTree

    tree = cKDTree(vectors)
    candidates = tree.query_ball_point(vectors, chord(radius_arcsec), return_sorted=True)
    means = np.array([vectors[members].mean(axis=0) for members in candidates])
    chosen = np.empty(len(vectors), np.intp)
    for i, mine in enumerate(candidates):
        # Neighbours are mutual: the candidates of a region are those of its neighbours.
        chosen[i] = mine[np.argmin(((means[mine] - vectors[i]) ** 2).sum(axis=1))]
    return np.unique(chosen, return_inverse=True)[1]


def survey(n_regions: int, random: np.random.Generator) -> np.ndarray:
    """Positions (deg), shape (n, 2), of fields on the sky: as the survey has them."""
    n_fields = max(n_regions // 12, 1)
    places = np.stack(
        [
            random.uniform(0, 360, n_fields),
            np.degrees(np.arcsin(random.uniform(-1, 1, n_fields))),
        ],
        axis=1,
    )
    field = random.integers(0, n_fields, n_regions)
    source = random.integers(0, 6, n_regions)
    offsets = np.random.default_rng(1).uniform(-0.25, 0.25, (n_fields, 6, 2))[field, source]
    offsets = offsets + random.normal(0, 4 / 3600, (n_regions, 2))
    dec = np.clip(places[field, 1] + offsets[:, 1], -90, 90)
    ra = places[field, 0] + offsets[:, 0] / np.maximum(np.cos(np.radians(dec)), 1e-3)
    return np.stack([ra % 360, dec], axis=1)


def algorithm(n_regions: int) -> Iterator[tuple[str, float]]:
    """The sky at once against the plain loop."""
    vectors = unit_vectors(*survey(n_regions, np.random.default_rng(4)).T)
    times: dict[str, list[float]] = {"fast": [], "slow": []}
    for _ in range(3):
        began = time.perf_counter()
        fast = cluster(vectors, 20.0)
        times["fast"].append(time.perf_counter() - began)
        began = time.perf_counter()
        slow = simple_loop(vectors, 20.0)
        times["slow"].append(time.perf_counter() - began)
    same = len(np.unique(fast + 1j * slow)) == fast.max() + 1 == slow.max() + 1
    yield "regions", n_regions
    yield "sources", int(fast.max()) + 1
    yield "sources of the plain loop", int(slow.max()) + 1
    yield "same clusters (1: yes)", float(same)
    yield "this (s)", min(times["fast"])
    yield "plain loop (s)", min(times["slow"])
    yield "plain loop / this", min(times["slow"]) / min(times["fast"])


def make(root: str, n_observations: int, per_observation: int) -> None:
    """An archive whose observations have so many regions, written as the search writes them."""
    os.fsync = lambda _: None  # type: ignore[assignment]
    archive = Archive.create(root, Config())
    random = np.random.default_rng(7)
    kinds = made_tables(per_observation, random)
    for number in range(n_observations):
        if number % 2 == 0:
            ra, dec = random.uniform(0, 360), np.degrees(np.arcsin(random.uniform(-0.99, 0.99)))
            spots = random.uniform(-0.24, 0.24, (max(per_observation // 4, 1), 2))
        commit(archive, f"{number * 10 + 1:010d}", (ra, dec), spots, kinds, random)


def made_tables(n: int, random: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Rows of an observation, to be given places and names."""
    obsid = "0" * 10
    regions = random_rows(REGIONS, n, obsid, random)
    regions["pos_err_arcsec"] = random.uniform(1, 8, n)
    regions["fap_obs"] = random.random(n)
    low = int(CENTRE // 400) - CELLS // 2
    runs = random_rows(RUNS, 1, obsid, random).assign(subset=0, size_arcsec=20.0)
    runs = runs.assign(y_lo=low, y_hi=low + CELLS, x_lo=low, x_hi=low + CELLS)
    images = IMAGES.frame(
        pd.DataFrame(
            {"runid": [obsid], "obsid": [obsid]}
            | {name: [np.ones(CELLS**2)] for name in ("n", "mu", "n50", "n90")}
            | {"source_mask": [np.zeros(CELLS**2, bool)]}
        )
    )
    about = random_rows(OBSERVATIONS, 1, obsid, random)
    about = about.assign(date_obs="2010-01-01T00:00:00", x_ref=CENTRE, y_ref=CENTRE)
    about = about.assign(x_delta=-PIXEL_DEG, y_delta=PIXEL_DEG)
    return {"regions": regions, "runs": runs, "images": images, "observations": about}


def commit(
    archive: Archive,
    obsid: str,
    place: tuple[float, float],
    spots: np.ndarray,
    kinds: dict[str, pd.DataFrame],
    random: np.random.Generator,
) -> None:
    """Publish an observation at a place whose sources are at `spots` (deg from there)."""
    n = len(kinds["regions"])
    plane = TangentPlane(CENTRE, CENTRE, *place, -PIXEL_DEG, PIXEL_DEG)
    offsets = spots[random.integers(0, len(spots), n)] + random.normal(0, 4 / 3600, (n, 2))
    ra, dec = plane.to_sky(*(CENTRE + offsets / PIXEL_DEG).T)
    runid = f"{obsid}_0_50_0.2_12"
    names = {"obsid": obsid, "runid": runid}
    rows = {
        "regions": kinds["regions"].assign(
            **names, ra_deg=ra % 360, dec_deg=dec, detid=[f"{runid}_{i}" for i in range(n)]
        ),
        "runs": kinds["runs"].assign(**names),
        "images": kinds["images"].assign(**names),
        "observations": kinds["observations"].assign(
            obsid=obsid, ra_ref=place[0], dec_ref=place[1], ra_pnt=place[0], dec_pnt=place[1]
        ),
    }
    tables = (REGIONS, RUNS, IMAGES, OBSERVATIONS)
    arrow = {table.name: to_arrow(table, rows[table.name], obsid) for table in tables}
    publish(archive, obsid, arrow)


def whole_archive(n_observations: int, per_observation: int) -> Iterator[tuple[str, float]]:
    """An archive from its files to the product, then with one observation more."""
    with tempfile.TemporaryDirectory() as folder:
        root = f"{folder}/archive"
        make(root, n_observations, per_observation)
        seconds, before, peak, children, counts = _apart(root, "local")
        yield "observations", n_observations
        yield "regions", counts["n_regions"]
        yield "sources", counts["n_sources"]
        yield "partitions", counts["n_partitions_computed"]
        yield "all of it (s)", seconds
        yield "microseconds a region", 1e6 * seconds / counts["n_regions"]
        yield "peak memory of the main process above imports (MB)", peak - before
        yield "largest peak memory of a worker, with imports (MB)", children
        archive = open_archive(root)
        ledger = time.perf_counter()
        archive.entries()
        ledger = time.perf_counter() - ledger
        random = np.random.default_rng(99)
        spots = random.uniform(-0.24, 0.24, (max(per_observation // 4, 1), 2))
        kinds = made_tables(per_observation, random)
        commit(archive, "0999999999", (123.0, 20.0), spots, kinds, random)
        again, before, peak, _, counts = _apart(root, "local")
        yield "one observation more (s)", again
        yield "of it, reading the ledger (s)", ledger
        yield "partitions computed", counts["n_partitions_computed"]
        yield "partitions kept", counts["n_partitions_kept"]
        yield "peak memory above imports (MB)", peak - before
        yield "all of it / one more", seconds / again
        unchanged = time.perf_counter()
        cluster_archive(root)
        yield "nothing more (s)", time.perf_counter() - unchanged


def _apart(root: str, scheduler: str) -> tuple[float, float, float, float, dict[str, int]]:
    """Seconds, memory before and peak in MB, of this and of workers, and counts."""
    done = subprocess.run(
        [sys.executable, "-c", _IN_NEW_PROCESS, root, scheduler],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    seconds, before, peak, children, counts = json.loads(done.stdout)
    return seconds, before, peak, children, counts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--regions", type=int, default=0, help="Of the largest archive; 0: none.")
    arguments = parser.parse_args()
    sections = {
        "60,000 regions: the algorithm": lambda: algorithm(60_000),
        "60,000 regions of 2,000 observations": lambda: whole_archive(2_000, 30),
    }
    if arguments.regions:
        size = arguments.regions // 2_000
        title = f"{size * 2_000:,} regions of 2,000 observations"
        sections[title] = lambda: whole_archive(2_000, size)
    lines = ["# Clustering: benchmark results", ""]
    lines += ["Made by `python -m benchmarks.clustering`; compare ratios, not seconds."]
    for title, rows in sections.items():
        lines += ["", f"## {title}", "", f"Load before: {os.getloadavg()[0]:.1f}.", ""]
        lines += ["| what | value |", "|---|---|"]
        for what, value in rows():
            text = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
            lines.append(f"| {what} | {text} |")
            print(what, text, flush=True)
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
