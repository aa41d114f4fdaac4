"""One observation more in an archive of 10,000: what is read, and how long each product takes.

Run ``python -m benchmarks.increments``; the results are in benchmarks/results_increments.md. The
observations are made up, two at each place, with six regions in three runs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.features import BANDS, fill, light_curves
from exod.archive import Archive, open_archive
from exod.archive.store import Store
from exod.config import Config
from exod.counterparts.wanted import Own, wanted_catalogues
from exod.scheduler.plan import Plan
from exod.schemas import IMAGES, LIGHTCURVES, OBSERVATIONS, REGIONS, RUNS
from exod.sky.plane import TangentPlane
from exod.stages.derive.cluster import cluster_archive
from exod.stages.derive.crossmatch import MatchSettings, crossmatch
from exod.stages.derive.features import make_features
from exod.stages.derive.flags import make_flags

RESULTS = Path(__file__).with_name("results_increments.md")
CELLS = 40
CENTRE = 25921.0
PIXEL_DEG = 0.05 / 3600
FRAMES = 30
N_REGIONS = 6
PRODUCTS = ("unique", "features", "flags", "xmatch-known")


def commit(archive: Archive, obsid: str, place: tuple[float, float], spots: np.ndarray) -> None:
    """An observation at a place with two regions in each run at two of the spots (pixels)."""
    random = np.random.default_rng(int(obsid))
    plane = TangentPlane(CENTRE, CENTRE, *place, -PIXEL_DEG, PIXEL_DEG)
    low = int(CENTRE // 400) - CELLS // 2
    box = {"y_lo": low, "y_hi": low + CELLS, "x_lo": low, "x_hi": low + CELLS}
    keys = pd.DataFrame(
        [(f"{obsid}_0_50_{lo:g}_{hi:g}", lo, hi) for lo, hi in BANDS],
        columns=["runid", "e_lo", "e_hi"],
    ).assign(obsid=obsid, subset=0, t_bin=50.0)
    x, y = CENTRE + spots[random.integers(0, len(spots), N_REGIONS)].T
    x, y = x + random.normal(0, 40, N_REGIONS), y + random.normal(0, 40, N_REGIONS)
    ra, dec = plane.to_sky(x, y)
    regions = keys.iloc[np.repeat(np.arange(3), N_REGIONS // 3)].reset_index(drop=True)
    regions = regions.assign(label=np.tile(np.arange(N_REGIONS // 3), 3), kind="peak")
    regions = regions.assign(X=x, Y=y, ra_deg=ra % 360, dec_deg=dec, pos_err_arcsec=3.0)
    column, row = (x // 400).astype(int), (y // 400).astype(int)
    regions = regions.assign(y_lo=row, y_hi=row + 1, x_lo=column, x_hi=column + 1)
    regions["detid"] = regions["runid"] + "_" + regions["label"].astype(str)
    own = regions.iloc[np.repeat(np.arange(N_REGIONS), FRAMES)].reset_index(drop=True)
    curves = light_curves(N_REGIONS, FRAMES, int(obsid) % 1000).assign(
        time=50.0 * np.tile(np.arange(FRAMES), N_REGIONS),
        **{name: own[name] for name in ("detid", "runid", "obsid", "label")},
    )
    images = keys[["runid", "obsid"]].assign(
        n=list(random.poisson(9, (3, CELLS**2))), mu=list(np.ones((3, CELLS**2)))
    )
    about = pd.DataFrame([{"obsid": obsid, "date_obs": "2010-01-01T00:00:00"}]).assign(
        **dict.fromkeys(("x_ref", "y_ref"), CENTRE),
        **{"ra_ref": place[0], "dec_ref": place[1], "ra_pnt": place[0], "dec_pnt": place[1]},
        **{"x_delta": -PIXEL_DEG, "y_delta": PIXEL_DEG, "pa_pnt": random.uniform(0, 360)},
    )
    tables = {
        "observations": fill(OBSERVATIONS, about),
        "runs": fill(RUNS, keys.assign(**box, size_arcsec=20.0, sigma=3.0)),
        "images": fill(IMAGES, images),
        "regions": fill(REGIONS, regions),
        "lightcurves": LIGHTCURVES.frame(curves),
    }
    archive.commit(obsid, "OK", tables)


def make(root: Path, n_observations: int) -> Archive:
    """The archive."""
    archive = Archive.create(root, Config())
    random = np.random.default_rng(1)
    for number in range(n_observations):
        if number % 2 == 0:
            place = (random.uniform(0, 360), np.degrees(np.arcsin(random.uniform(-1, 1))))
            spots = random.uniform(-6000, 6000, (3, 2))
        commit(archive, f"{100000001 + number:010d}", place, spots)
    return archive


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts the observations whose own files are opened, by table."""
    opened: Counter[str] = Counter()
    original = Store.open

    def opening(store: Store, name: str) -> Any:
        opened[name.partition("/")[0]] += 1
        return original(store, name)

    Store.open = opening  # type: ignore[method-assign]
    try:
        yield opened
    finally:
        Store.open = original  # type: ignore[method-assign]


def steps(root: str, known: Path, cache: Path) -> dict[str, Callable[[], object]]:
    plan = Plan("sync")
    wanted = wanted_catalogues([str(known)], Own(ra="ra", dec="dec", name="known"))
    return {
        "unique": lambda: cluster_archive(root, plan),
        "features": lambda: make_features(root, plan),
        "flags": lambda: make_flags(root, None, plan),
        "xmatch-known": lambda: list(crossmatch(open_archive(root), wanted, MatchSettings(cache))),
    }


def measure(folder: Path, n_observations: int) -> Iterator[tuple[str, float]]:
    """All products of all observations, then of one more."""
    archive = make(folder / "archive", n_observations)
    random = np.random.default_rng(2)
    known = folder / "known.csv"
    dec = np.degrees(np.arcsin(random.uniform(-1, 1, 100_000)))
    pd.DataFrame({"ra": random.uniform(0, 360, 100_000), "dec": dec}).to_csv(known, index=False)
    first: dict[str, float] = {}
    work = steps(archive.root, known, folder / "cache")
    for name, step in work.items():
        began = time.perf_counter()
        step()
        first[name] = time.perf_counter() - began
    yield "observations", n_observations
    yield "regions", len(archive.regions)
    before = {name: paths(archive, name) for name in PRODUCTS}
    commit(archive, "0900000001", (123.0, 45.0), np.array([[0.0, 3000.0], [3000.0, 0.0]]))
    for name, step in work.items():
        with counted() as opened:
            began = time.perf_counter()
            step()
            seconds = time.perf_counter() - began
        own = sum(n for folder, n in opened.items() if folder in {"regions", "lightcurves"})
        now = paths(archive, name)
        yield f"{name}: all (s)", first[name]
        yield f"{name}: one more (s)", seconds
        yield f"{name}: all / one more", first[name] / seconds
        yield f"{name}: files of regions and light curves opened for one more", own
        yield f"{name}: files of the product", len(now)
        yield f"{name}: of these kept from before", len(now & before[name])
    began = time.perf_counter()
    archive.entries()
    yield "reading the ledger (s)", time.perf_counter() - began


def paths(archive: Archive, product: str) -> set[str]:
    """Files of the current version of a product."""
    found = archive.derived(product)
    return {file.path for file in found.files} if found else set()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--observations", type=int, default=10_000)
    arguments = parser.parse_args()
    os.fsync = lambda _: None  # type: ignore[assignment]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        rows = [*measure(Path(folder), arguments.observations)]
    lines = [f"| {what} | {value:,.4g} |" for what, value in rows]
    text = "\n".join(
        [
            "# One observation more",
            "",
            "Made by `python -m benchmarks.increments`; compare ratios, not seconds. One process, "
            f"load before: {load:.1f}.",
            "",
            "| what | value |",
            "|---|---|",
            *lines,
            "",
        ]
    )
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
