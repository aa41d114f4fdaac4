"""The statistics report of archives of 60,000 regions, as many as the survey has, and of more.

Run ``python -m benchmarks.report_scale --regions 60000 300000``. Rows are random. The reference,
measured in the same run, is to read the whole table of regions once. Times are of the processor.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.archive_scale import BANDS, T_BINS, random_rows
from exod.archive import Archive, open_archive
from exod.archive.increments import deriving, write_part
from exod.archive.store import Store
from exod.config import Config
from exod.schemas import DERIVED, FEATURES, FLAGS, MEMBERS, OBSERVATIONS, REGIONS, RUNS, UNIQUE
from exod.stages.report.count import gather
from exod.stages.report.page import write_report

OBSERVATIONS_MADE = 100
REGIONS_PER_SOURCE = 2

_IN_NEW_PROCESS = """
import json, resource, sys, time
from importlib import import_module
start = time.process_time()
getattr(import_module(f"benchmarks.{sys.argv[1]}"), sys.argv[2])(*sys.argv[3:])
seconds = time.process_time() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def make(root: str, wanted: str) -> None:
    """An archive with that many regions and everything but cross-matches."""
    random, n_regions = np.random.default_rng(1), int(wanted)
    archive = Archive.create(root, Config())
    keys = []
    for number in range(OBSERVATIONS_MADE):
        obsid = f"{700000001 + number * 100:010d}"
        each = n_regions // OBSERVATIONS_MADE // len(T_BINS) // len(BANDS)
        runs = random_rows(RUNS, len(T_BINS) * len(BANDS), obsid, random)
        runs["t_bin"] = np.repeat(T_BINS, len(BANDS))
        runs[["e_lo", "e_hi"]] = list(BANDS) * len(T_BINS)
        runs["runid"] = [f"{obsid}_0_{r.t_bin:g}_{r.e_lo:g}_{r.e_hi:g}" for r in runs.itertuples()]
        runs["n_regions"] = each
        regions = random_rows(REGIONS, each * len(runs), obsid, random)
        for name in ("runid", "t_bin", "e_lo", "e_hi"):
            regions[name] = np.repeat(runs[name].to_numpy(), each)
        regions["label"] = np.tile(np.arange(each), len(runs))
        regions["detid"] = regions["runid"] + "_" + regions["label"].astype(str)
        regions["kind"] = random.choice(["peak", "eclipse"], len(regions))
        regions["ra_deg"] = random.uniform(0, 360, len(regions))
        tables = {"regions": regions, "runs": runs.astype({"runid": str})}
        about = random_rows(OBSERVATIONS, 1, obsid, random)
        archive.commit(obsid, "OK", {**tables, "observations": about})
        keys.append(regions[["detid", "runid", "obsid"]])
    add_products(archive.store, pd.concat(keys, ignore_index=True), random)


def add_products(store: Store, keys: pd.DataFrame, random: np.random.Generator) -> None:
    """Sources, features and flags of all regions."""
    n = len(keys) // REGIONS_PER_SOURCE
    # The rows are of observations, but sources have none.
    with_obsid = replace(UNIQUE, columns=(*UNIQUE.columns, OBSERVATIONS.columns[0]))
    unique = random_rows(with_obsid, n, "", random).drop(columns="obsid")
    unique["region_num"] = np.arange(n)
    unique["srcid"] = [f"EXOD {number}" for number in range(n)]
    unique["ra_deg"] = random.uniform(0, 360, n)
    unique["n_detections"] = REGIONS_PER_SOURCE
    unique["best_detid"] = keys["detid"].to_numpy()[:n]
    members = random_rows(MEMBERS, len(keys), "", random)
    members[["detid", "obsid"]] = keys[["detid", "obsid"]]
    members["region_num"] = np.arange(len(keys)) % n
    members["srcid"] = unique["srcid"].to_numpy()[members["region_num"]]
    features, flags = (random_rows(table, len(keys), "", random) for table in (FEATURES, FLAGS))
    for own in (features, flags):
        own[["detid", "runid", "obsid"]] = keys
    wanted = {"unique": {UNIQUE: unique, MEMBERS: members}, "features": {FEATURES: features}}
    attempts = {entry.obsid: entry.attempt for entry in open_archive(store.root).entries()}
    for product, tables in {**wanted, "flags": {FLAGS: flags}}.items():
        with deriving(store, product, DERIVED[product]) as new:
            # Without them it would be behind, and nothing would be a detection.
            new.attempts = attempts
            for table, rows in tables.items():
                for part in range(10):
                    own = rows.iloc[part::10]
                    new.files.append(write_part(store, new.folder, table, own, str(part)))


def read(root: str) -> None:
    """The reference: the table of regions, all columns."""
    open_archive(root).regions.compute()


def count(root: str) -> None:
    """The numbers of the report."""
    gather(open_archive(root), light_curves=0)


def write(root: str) -> None:
    """The whole page."""
    write_report(root, Path(root) / "report.html", light_curves=0)


def measure(function: str, *arguments: str, module: str = "report_scale") -> tuple[float, float]:
    """Seconds of the processor and MB of a function in a process of its own."""
    command = [sys.executable, "-c", _IN_NEW_PROCESS, module, function, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, memory = json.loads(run.stdout)
    return seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regions", type=int, nargs="+", default=[60_000, 300_000])
    for n_regions in parser.parse_args().regions:
        with tempfile.TemporaryDirectory() as root:
            # Not in this process: the peak memory of a process begins with that of its parent.
            measure("make", root, str(n_regions))
            print(f"{n_regions:,} regions", flush=True)
            reference = 0.0
            for function in ("read", "count", "write"):
                seconds, memory = measure(function, root)
                reference = reference or seconds
                ratio = f"{seconds / reference:5.1f} x read"
                print(f"  {function:6} {seconds:6.1f} s  {ratio}  {memory:6.0f} MB", flush=True)


if __name__ == "__main__":
    main()
