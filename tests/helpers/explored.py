"""A small archive with all that the explorer shows: odd values, missing ones, hostile text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from exod.archive import Archive
from exod.config import Config
from exod.stages.explore.making import make_explorer
from helpers.query_archives import add_products
from helpers.survey_archives import CENTRE, observation, plane

HOSTILE = "<img src=x onerror=\"document.title='hit'\">"
"""A name of a target that must be shown as it is."""

POINTINGS = ((10.0, -30.0), (200.0, 62.0))


def make_explored(root: Path, n_sources: int = 12) -> Archive:
    """An archive of four observations, two of each place, with the product of the explorer."""
    archive = make_unexplored(root, n_sources)
    make_explorer(archive)
    return archive


def make_unexplored(root: Path, n_sources: int = 12) -> Archive:
    """The same before `make_explorer`."""
    random = np.random.default_rng(7)
    archive = Archive.create(root, Config())
    for number in range(2 * len(POINTINGS)):
        pointing = POINTINGS[number // 2]
        if number % 2 == 0:
            offsets = CENTRE + random.uniform(-5000, 5000, (n_sources, 2))
            ra, dec = plane(*pointing).to_sky(*offsets.T)
            places = list(zip(ra, dec, strict=True))
        obsid = f"{700000000 + number * 100 + 1:010d}"
        tables = observation(obsid, pointing, places, seed=number, mjd=55000.0 + 400 * number)
        regions, size = tables["regions"], len(tables["regions"])
        for axis in "yx":
            regions[f"{axis}_centroid"] = regions[f"{axis}_lo"]
        for name, low, high in (
            *(("sigma_peak", 2, 11), ("duration", 1, 20_000), ("excess", 0.5, 300)),
            *(("peak_rate", 1e-3, 2), ("t_start", 0, 1000)),
        ):
            values = random.uniform(low, high, size)
            regions[name] = np.where(random.random(size) < 0.2, np.nan, values)
        regions["t_stop"] = regions["t_start"] + regions["duration"]
        regions["kind"] = random.choice(["peak", "eclipse", "both"], size)
        tables["observations"]["target"] = HOSTILE
        tables["observations"]["revolution"] = -1 if number % 2 else 2500
        archive.commit(obsid, "OK", tables, seconds=1.5 + number, peak_memory_mb=200.0)
    add_products(archive)
    return archive
