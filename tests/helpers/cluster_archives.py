"""Archives whose regions are to be clustered, and what became of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.scheduler.plan import Plan
from helpers.clustering_reference import around
from helpers.survey_archives import observation

HERE = Plan("sync")
FIELD = (45.0, 0.0)
"""A corner of four base pixels: every field there is in several partitions."""


def add(
    archive: Archive,
    number: int,
    positions: np.ndarray,
    pointing: tuple[float, float],
    **more: object,
) -> str:
    obsid = f"{number * 100 + 1:010d}"
    options = {"light_curves": False, "seed": number, "mjd": 55000.0 + number, **more}
    rows = [tuple(row) for row in positions]
    tables = observation(obsid, pointing, rows, **options)
    archive.commit(obsid, "OK" if rows else "EMPTY", tables)
    return obsid


def spots(*offsets: tuple[float, float], centre: tuple[float, float] = FIELD) -> np.ndarray:
    east, north = np.array(offsets, float).reshape(-1, 2).T
    return around(centre, east, north)


def crowded(archive: Archive, n: int = 6) -> None:
    """Observations of places where partitions meet, with sources near each other."""
    random = np.random.default_rng(5)
    for number in range(n):
        centre = [FIELD, (0.0, 41.8103149), (90.0, 89.99)][number % 3]
        positions = spots(*random.uniform(-150, 150, (12, 2)), centre=centre)
        add(archive, number, positions, centre, jitter_arcsec=6.0)


def tables(archive: Archive) -> dict[str, pd.DataFrame]:
    return {
        "unique": archive.unique.compute().sort_values("region_num", ignore_index=True),
        "members": archive.members.compute().sort_values("detid", ignore_index=True),
        "lineage": archive.lineage.compute()
        .sort_values(["generation", "region_num", "change"], ignore_index=True)
        .drop(columns="version"),
        "footprints": archive.derived_table("unique", "footprints")
        .compute()
        .drop_duplicates(["obsid", "subset"])
        .sort_values(["obsid", "subset"], ignore_index=True),
    }


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True)
