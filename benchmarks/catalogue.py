"""The catalogue: 60,000 detections as FITS and Parquet, and light curves of gigabytes to HATS.

Run ``python -m benchmarks.catalogue``; the results are in benchmarks/results_catalogue.md. Light
curves are simulated. Files are written as the search does it, except that nothing is flushed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from astropy.table import Table as AstropyTable

from benchmarks.features import fill, timed
from exod.archive import Archive, open_archive
from exod.archive.questions import sorting
from exod.catalogue.columns import CatalogueTable, detections
from exod.catalogue.hats import Collection, cut, plan_partitions
from exod.config import Config
from exod.scheduler.plan import Plan
from exod.schemas import LIGHTCURVES, OBSERVATIONS, REGIONS, RUNS
from exod.stages.catalogue import hats
from exod.stages.catalogue.release import write_catalogue
from exod.stages.derive.update import bring_up_to_date
from exod.stages.detect.observation import peak_memory_mb
from exod.tablefiles.fits import fits_problem, write_fits
from exod.tablefiles.writing import write_parquet

MISSION = 60_000
BYTES_OF_MISSION = 29e9
ROW_BYTES = 60.0
"""Detections of the published catalogue, its light curves, and a row in the tables of EXOD2."""

FRAMES = 8_000
CURVES = 30
"""Frames of a light curve, and light curves of an observation."""

_APART = """
import json, sys
from benchmarks import catalogue
print(json.dumps(getattr(catalogue, sys.argv[1])(*sys.argv[2:])))
"""


# -------------------------------------------------------------------- the tables


def random_rows(table: CatalogueTable, n_rows: int, start: int = 0) -> pa.Table:
    """Rows of the right types, numbered from `start`."""
    random = np.random.default_rng(1 + start)
    columns = []
    for field in table.schema:
        if pa.types.is_string(field.type):
            number = np.arange(start, start + n_rows).astype(str)
            text = np.char.add("0700000001_0_50_0.2_12_", number)
            columns.append(pa.array(text))
        elif pa.types.is_boolean(field.type):
            columns.append(pa.array(random.random(n_rows) < 0.1))
        elif pa.types.is_integer(field.type):
            columns.append(pa.array(random.integers(0, 100, n_rows)).cast(field.type))
        else:
            columns.append(pa.array(random.uniform(0, 80, n_rows)).cast(field.type))
    return pa.Table.from_arrays(columns, schema=table.schema)


def tables(folder: Path, n_rows: int) -> Iterator[tuple[str, float]]:
    """Seconds of both formats, and of astropy writing and reading the same rows."""
    table = detections()
    rows = random_rows(table, n_rows)
    plain = AstropyTable.from_pandas(rows.to_pandas())
    _, reference = timed(lambda: plain.write(folder / "plain.fits"))
    _, again = timed(lambda: AstropyTable.read(folder / "plain.fits"))
    rows_in = folder / "detections.parquet"
    _, parquet = timed(lambda: write_parquet(rows_in, table, [rows]))
    _, fits = timed(lambda: write_fits(folder / "detections.fits", table, rows_in))
    problem, checked = timed(lambda: fits_problem(folder / "detections.fits", table, n_rows))
    if problem:
        raise RuntimeError(problem)
    yield f"{n_rows:,} detections of {len(table.columns)} columns: FITS with checksums (s)", fits
    yield "the same by astropy without checksums and meanings (s)", reference
    yield "ratio", fits / reference
    yield "verified and read again (s)", checked
    yield "read by astropy without verification (s)", again
    yield "ratio", checked / again
    yield "Parquet (s)", parquet


# -------------------------------------------------------------------- the light curves


def commit(archive: Archive, number: int) -> None:
    """An observation with light curves of `FRAMES` frames, all in one run."""
    random = np.random.default_rng(number)
    obsid = f"{800000001 + number:010d}"
    runid = f"{obsid}_0_5_0.2_12"
    ra, dec = random.uniform(0, 360), np.degrees(np.arcsin(random.uniform(-1, 1)))
    key = pd.DataFrame({"runid": [runid], "obsid": obsid, "t_bin": 5.0, "e_lo": 0.2, "e_hi": 12.0})
    regions = key.iloc[np.zeros(CURVES, int)].reset_index(drop=True)
    label = np.arange(CURVES)
    regions = regions.assign(
        label=label,
        detid=[f"{runid}_{i}" for i in label],
        kind="peak",
        ra_deg=(ra + random.uniform(-0.1, 0.1, CURVES)) % 360,
        dec_deg=np.clip(dec + random.uniform(-0.1, 0.1, CURVES), -90, 90),
    )
    rows = np.repeat(label, FRAMES)
    mu = random.uniform(0.1, 2, CURVES)[rows].astype(np.float32)
    curves = pd.DataFrame({"n": random.poisson(mu).astype(np.int32), "mu": mu, "label": rows})
    curves["time"] = np.tile(6e8 + 5.0 * np.arange(FRAMES), CURVES)
    own = regions.loc[rows, ["detid", "runid", "obsid"]].reset_index(drop=True)
    noise = {name: random.normal(0, 1, len(rows)) for name in ("B_peak_log", "B_eclipse_log")}
    curves = pd.concat([curves.assign(bti=False, bccd=False, **noise), own], axis=1)
    found = {
        "observations": fill(OBSERVATIONS, pd.DataFrame({"obsid": [obsid]})),
        "runs": fill(RUNS, key),
        "regions": fill(REGIONS, regions),
        "lightcurves": LIGHTCURVES.frame(curves),
    }
    archive.commit(obsid, "OK", found)


def write(root: str, folder: str) -> tuple[float, float]:
    """Seconds and peak memory in MB above the imports; for a process of its own."""
    import lsdb  # noqa: F401 - counts as an import

    before = peak_memory_mb()
    _, seconds = timed(lambda: write_catalogue(root, folder, Plan("sync")))
    return seconds, peak_memory_mb() - before


def apart(*arguments: str) -> tuple[float, float]:
    """What a function of this module returns in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", _APART, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    first, second = json.loads(done.stdout)
    return first, second


def read(archive: Archive) -> int:
    """Frames of all light curves, read once, a part at a time."""
    return int(archive.lightcurves.map_partitions(len).compute(scheduler="sync").sum())


def streaming(folder: Path, n_observations: int) -> Iterator[tuple[str, float]]:
    """Four times as many light curves: memory must not follow."""
    for number in (n_observations, 4 * n_observations):
        root = folder / str(number)
        archive = Archive.create(root, Config())
        for one in range(number):
            commit(archive, one)
        bring_up_to_date(archive.root, Plan("sync"))
        frames, reading = timed(lambda: read(open_archive(root)))  # noqa: B023 - called here
        seconds, peak = apart("write", str(root), str(root / "release"))
        files = (root / "release" / "hats").rglob("*.parquet")
        what = f"{number} observations"
        yield f"{what}: million frames", frames / 1e6
        yield f"{what}: light curves in the archive, GB", _size((root / "lightcurves").glob("*"))
        yield f"{what}: HATS, GB", _size(files)
        yield f"{what}: catalogue with HATS, one process (s)", seconds
        yield f"{what}: reading the light curves once (s)", reading
        yield f"{what}: ratio", seconds / reading
        yield f"{what}: peak memory above imports (MB)", peak
    whole = BYTES_OF_MISSION / (frames * ROW_BYTES) * seconds / 60
    yield "29 GB at this speed, one process (minutes)", whole


# -------------------------------------------------------------------- many detections

PIECE = 20_000
"""Rows of random detections that are made at a time."""
SORTED_MB = 400
"""What DuckDB may have: little, so that what grows with the rows shows beside it."""


def order(folder: str, n_rows: str) -> tuple[float, float]:
    """Put detections in order of the sky, divide them, take all partitions: seconds, peak MB."""
    import lsdb  # noqa: F401 - counts as an import

    sorting.MEMORY = f"{SORTED_MB}MB"  # type: ignore[misc]
    table, path = detections(), Path(folder, f"{n_rows}.parquet")
    pieces = (random_rows(table, PIECE, start) for start in range(0, int(n_rows), PIECE))
    write_parquet(path, table, pieces)
    before = peak_memory_mb()
    _, seconds = timed(lambda: _divide(path, table))
    return seconds, peak_memory_mb() - before


def _divide(path: Path, table: CatalogueTable) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        rows = hats._on_sky(path, Path(scratch), "detid")
        frames = hats._frames(rows, "detid", path) + FRAMES
        collection = Collection(path.parent, table, ())
        for part in plan_partitions(collection, rows.place, frames):
            cut(collection.folder, part, rows.take, "detid", frames)


def bounded(folder: Path, sizes: Sequence[int]) -> Iterator[tuple[str, float]]:
    """Memory for HATS of more and more detections, without light curves."""
    peaks = []
    for n_rows in sizes:
        seconds, peak = apart("order", str(folder), str(n_rows))
        peaks.append(peak)
        yield f"{n_rows:,} detections in order of the sky (s)", seconds
        yield f"{n_rows:,} detections: peak memory above imports and making them (MB)", peak
    slope, least = np.polyfit(sizes, peaks, 1)
    yield "each million detections more (MB)", 1e6 * slope
    yield "without any (MB)", least
    limit = float(sorting.MEMORY.removesuffix("GB")) * 1000 / 1.048576
    yield (
        f"10 million detections at this slope, with {sorting.MEMORY} for DuckDB (MB)",
        least - SORTED_MB / 1.048576 + limit + 1e7 * slope,
    )


def _size(files: Iterator[Path]) -> float:
    return sum(file.stat().st_size for file in files) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--observations", type=int, default=20, help="With 30 light curves each.")
    parser.add_argument(
        "--detections", type=int, nargs="+", default=[], help="Only the memory for so many."
    )
    arguments = parser.parse_args()
    os.fsync = lambda _: None  # type: ignore[assignment]
    print(f"Load before: {os.getloadavg()[0]:.1f}\n\n| what | value |\n|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        whole = tables(Path(folder), MISSION), streaming(Path(folder), arguments.observations)
        some = bounded(Path(folder), arguments.detections)
        for part in [some] if arguments.detections else whole:
            for what, value in part:
                shown = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
                print(f"| {what} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
