"""Tables of astromon: the real ones in a file, random ones, and a match of them row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from hypothesis import strategies as st

from exod.astromon import db
from exod.astromon.tables import DTYPES

NAMES = ("obs", "xray_src", "cat_src", "xcorr", "regions")
CATALOGUES = ("ICRS", "Tycho2", "2MASS")


def save_real(data_dir: Path, file: Path) -> Path:
    """The real tables in a file of any form."""
    for name in NAMES:
        table = Table.read(data_dir / "astromon" / f"astromon_{name}.ecsv")
        db.save(f"astromon_{name}", table, file, ignore_obsid=True)
    return file


def rows(name: str, **columns: Any) -> Table:
    """A table with these columns and zeros."""
    length = len(next(iter(columns.values())))
    made = np.zeros(length, DTYPES[name])
    for column, values in columns.items():
        made[column] = values
    table = Table(made)
    table.convert_bytestring_to_unicode()
    return table


def random_tables(random: np.random.Generator, n_observations: int) -> tuple[Table, Table, Table]:
    """Observations with about 15 sources each and 3 counterparts a source, in any order."""
    obsids = random.permutation(np.arange(100, 100 + n_observations))
    observations = rows(
        "astromon_obs",
        obsid=obsids,
        grating=random.choice(["NONE", "HETG"], n_observations),
        target=random.choice(["M 87", "NGC 1"], n_observations),
        date_obs=np.char.add("2013-01-01T00:00:", np.char.zfill((obsids % 60).astype(str), 2)),
        category_id=random.choice([10, 20, 200, 7], n_observations),
    )
    n = 15 * n_observations
    sources = rows(
        "astromon_xray_src",
        obsid=random.choice(np.append(obsids, 1), n),
        id=np.arange(n) // n_observations,
        ra=random.uniform(0, 360, n),
        dec=random.uniform(-90, 90, n),
        snr=random.choice([2.0, 3.0, 3.5, 20.0, np.nan], n),
        r_angle=random.choice([0.0, 23.9, 24.0, 100.0, 120.0, 130.0], n),
        near_neighbor_dist=random.choice([5.0, 6.0, 6.5, 1000.0], n),
        y_angle=random.choice([-1.0, 0.0, 1.0], n),
        z_angle=random.choice([-1.0, 0.0, 1.0], n),
    )
    _, keys = np.unique(np.stack([sources["obsid"], sources["id"]]), axis=1, return_index=True)
    sources = sources[np.sort(keys)]
    pick = random.integers(0, len(sources), 3 * len(sources))
    counterparts = rows(
        "astromon_cat_src",
        obsid=sources["obsid"][pick],
        id=np.arange(len(pick)),
        x_id=sources["id"][pick] + random.choice([0, 0, 0, 500], len(pick)),
        catalog=random.choice(CATALOGUES, len(pick)),
        y_angle=random.choice([-2.0, 0.0, 0.0, 2.0, 3.0], len(pick)),
        z_angle=random.choice([-2.0, 0.0, 2.0], len(pick)),
    )
    return observations, sources, counterparts


def row_by_row(
    tables: tuple[Table, Table, Table],
    catalogs: list[str],
    snr: float,
    r_angle: float,
    r_angle_grating: float,
    near_neighbor_dist: float,
    dr: float,
) -> list[tuple[int, int, int]]:
    """(obsid, x_id, c_id) of the standard cross-match, one row after the other."""
    observations, sources, counterparts = tables
    gratings = {int(row["obsid"]): str(row["grating"]) for row in observations}
    candidates: dict[tuple[int, int], list[tuple[int, np.float32, int, int]]] = {}
    good = {
        (int(row["obsid"]), int(row["id"])): (row["y_angle"], row["z_angle"])
        for row in sources
        if int(row["obsid"]) in gratings
        and row["snr"] > snr
        and row["near_neighbor_dist"] > near_neighbor_dist
        and row["r_angle"] < (r_angle if gratings[int(row["obsid"])] == "NONE" else r_angle_grating)
    }
    for number, row in enumerate(counterparts):
        key = int(row["obsid"]), int(row["x_id"])
        if key not in good or str(row["catalog"]) not in catalogs:
            continue
        y, z = good[key]
        apart = np.sqrt((y - row["y_angle"]) ** 2 + (z - row["z_angle"]) ** 2)
        if apart < dr:
            place = catalogs.index(str(row["catalog"]))
            candidates.setdefault(key, []).append((place, apart, number, int(row["id"])))
    return [(*key, min(found)[3]) for key, found in sorted(candidates.items())]


limits = st.fixed_dictionaries(
    {
        "catalogs": st.permutations(CATALOGUES).flatmap(
            lambda order: st.integers(1, 3).map(lambda n: list(order)[:n])
        ),
        "snr": st.sampled_from([0.0, 3.0, 3.5]),
        "r_angle": st.sampled_from([24.0, 120.0, 1000.0]),
        "r_angle_grating": st.sampled_from([24.0, 120.0]),
        "near_neighbor_dist": st.sampled_from([0.0, 6.0]),
        "dr": st.sampled_from([2.0, 3.0, 10.0]),
    }
)
"""Arguments of `simple_cross_match`, at and between the values of `random_tables`."""
