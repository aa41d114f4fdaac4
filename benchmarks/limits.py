"""Limits over 15,000 observations: size, and time for a question, warm.

    python -m benchmarks.limits ARCHIVE SCRATCH [--observations 15000] [--no-photons]

ARCHIVE has the product depth (`exod depth`). Its observations are put to random places of the sky,
as often as is asked for, into an archive in the folder SCRATCH; then places are asked about:
anywhere, in observations, and there at a time. A loop of Python, timed in the same run, is the
reference.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive import Archive, open_archive
from exod.archive.increments import deriving, write_part
from exod.archive.questions.depthindex import ORDER, PRODUCT, depth_index
from exod.archive.questions.depthrows import depth_of, depth_row, head_of, packed_head, packed_names
from exod.schemas import DERIVED
from exod.schemas.depth import COVERED, DEPTH
from exod.sky.healpix import sky_pixels
from exod.sky.plane import TangentPlane
from exod.stages.derive.depth import covered_rows

OF_A_FILE = 100


def moved(depths, ra, dec, obsid):
    """The exposures of an observation, somewhere else."""
    made = []
    for depth in depths:
        plane = depth.plane
        there = TangentPlane(plane.x_ref, plane.y_ref, ra, dec, plane.x_delta, plane.y_delta)
        pointing = ra, dec, depth.pointing[2]
        made.append(replace(depth, obsid=obsid, plane=there, pointing=pointing))
    return made


def pixels_of_field(depth):
    """Pixels in a square around the field, which takes less than to look at its cells."""
    edge = np.arange(-16.0, 16.1, 1.5) * 60 / depth.plane.pixel_arcsec
    x, y = (depth.plane.x_ref + side.ravel() for side in np.meshgrid(edge, edge))
    return np.unique(sky_pixels(*depth.plane.to_sky(x, y), ORDER))


def build(source: Archive, scratch: Path, n: int, *, photons: bool) -> Archive:
    """An archive with the product depth alone."""
    archive = Archive.create(scratch / "archive", source.config)
    index = depth_index(source)
    table = source.derived_table(PRODUCT, "depth").compute()
    originals = []
    for _, rows in table.groupby("obsid"):
        own = rows.to_dict("records")
        depths = [depth_of(row, with_photons=photons) for row in own]
        runs = head_of(own[0]["head"])["runs"]
        originals.append((depths, [depth_row(depth, runs) for depth in depths]))
    covered = [covered_rows(depths) for depths, _ in originals]
    generator = np.random.default_rng(1)
    ra = generator.uniform(0, 360, n)
    dec = np.degrees(np.arcsin(generator.uniform(-1, 1, n)))
    with deriving(archive.store, PRODUCT, DERIVED[PRODUCT]) as new:
        new.parameters = {"bands": [list(band) for band in index.bands]}
        for start in range(0, n, OF_A_FILE):
            rows, places = [], []
            for number in range(start, min(start + OF_A_FILE, n)):
                obsid = f"{number:010d}"
                depths, packed = originals[number % len(originals)]
                own = moved(depths, ra[number], dec[number], obsid)
                pixel = pixels_of_field(own[0])
                # How deep pixels are is not asked; that of one stands for all.
                one = covered[number % len(originals)].iloc[[0] * len(pixel)].assign(obsid=obsid)
                places.append(one.assign(healpix=pixel, row_group=number - start))
                for depth, row in zip(own, packed, strict=True):
                    head = head_of(row["head"])
                    head["plane"] = np.array(astuple(depth.plane))
                    head["pointing"] = np.array(depth.pointing)
                    head["names"] = packed_names(depth)
                    rows.append(row | {"obsid": obsid, "head": packed_head(head)})
            part = f"{start:08d}-{start:010d}-{number:010d}"
            frame = pd.DataFrame(rows)
            new.files.append(
                write_part(archive.store, new.folder, DEPTH, frame, part, groups="obsid")
            )
            index_rows = pd.concat(places, ignore_index=True)
            new.files.append(write_part(archive.store, new.folder, COVERED, index_rows, part))
            new.attempts |= {f"{i:010d}": "0001-00000000" for i in range(start, number + 1)}
        new.summary = {"exposures": 0, "observations": n}
    np.save(scratch / "pointings.npy", np.stack([ra, dec]))
    return archive


def reference() -> float:
    """Milliseconds of a loop of Python, the least of twenty."""
    best = np.inf
    for _ in range(20):
        began = time.perf_counter()
        sum(i * i for i in range(10_000))
        best = min(best, time.perf_counter() - began)
    return 1000 * best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--observations", type=int, default=15_000)
    parser.add_argument("--photons", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--questions", type=int, default=1000)
    asked = parser.parse_args()
    source = open_archive(asked.archive)
    if (asked.scratch / "pointings.npy").exists():
        archive = open_archive(asked.scratch / "archive")
    else:
        asked.scratch.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        archive = build(source, asked.scratch, asked.observations, photons=asked.photons)
        print(f"built in {time.perf_counter() - began:.0f} s")
    files = archive.derived(PRODUCT).files
    for table in ("depth", "covered"):
        size = sum(file.bytes for file in files if file.table == table)
        print(
            f"{table}: {size / 1e9:.3f} GB, {size / asked.observations / 1e3:.1f} kB an observation"
        )
    ra, dec = np.load(asked.scratch / "pointings.npy")
    generator = np.random.default_rng(2)
    began = time.perf_counter()
    archive.limits(0.0, 0.0)
    print(f"first question (cold): {time.perf_counter() - began:.2f} s")
    # Warm: the caches of the process are filled by other questions of the same kind.
    for what, inside, timed in (
        ("anywhere", False, False),
        ("covered, whole observation", True, False),
        ("covered, 100 s", True, True),
    ):
        if timed and not asked.photons:
            continue
        seconds, found = [], 0
        for number in range(asked.questions + 100):
            one = generator.integers(len(ra))
            where = (ra[one], dec[one] + generator.uniform(-0.1, 0.1) * (abs(dec[one]) < 89))
            if not inside:
                where = (
                    generator.uniform(0, 360),
                    np.degrees(np.arcsin(generator.uniform(-1, 1))),
                )
            times = {}
            if timed:
                start = generator.uniform(1.0053e8, 1.0054e8)
                times = {"start": start, "stop": start + 100}
            began, cpu = time.perf_counter(), time.process_time()
            rows = archive.limits(*where, **times)
            if number >= 100:
                seconds.append((time.perf_counter() - began, time.process_time() - cpu))
                found += len(rows)
        wall, cpu = 1000 * np.percentile(np.array(seconds), (50, 99), axis=0).T
        print(
            f"{what}: median {wall[0]:.2f} ms, p99 {wall[1]:.2f} ms "
            f"(processor {cpu[0]:.2f}, {cpu[1]:.2f}), {found} rows"
        )
    print(f"loop of 10,000 squares: {reference():.2f} ms")
    print(f"Arrow holds {pa.total_allocated_bytes() / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
