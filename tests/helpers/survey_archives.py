"""Archives of many made-up observations, quick to make: rows as the search would write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive import Archive
from exod.config import Config
from exod.counts.bayes import log10_b_eclipse, log10_b_peak
from exod.schemas import IMAGES, LIGHTCURVES, OBSERVATIONS, REGIONS, RUNS, Table
from exod.sky.plane import TangentPlane

PIXEL_DEG = 0.05 / 3600
CELLS = 40
"""Cells of 20 arcsec along each side of the images."""
CELL = 400.0
CENTRE = 25921.0
BANDS = ((0.2, 2.0), (2.0, 12.0), (0.2, 12.0))
FRAMES = 30


def fill(table: Table, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of a table; what is not given is NaN, 0, False, empty text or an empty list."""
    given = pd.DataFrame(list(rows), index=range(len(rows)))
    empty = _empty(table, len(rows))
    return table.frame(
        pd.concat([given, empty.drop(columns=given.columns, errors="ignore")], axis=1)
    )


@cache
def _empty(table: Table, n: int) -> pd.DataFrame:
    """Rows in which nothing is given; not to be changed."""
    columns = {column.name: [_nothing(column.type)] * n for column in table.columns}
    return table.frame(pd.DataFrame(columns, index=range(n)))


def _nothing(type_: pa.DataType) -> Any:
    if pa.types.is_list(type_):
        return np.empty(0)
    if pa.types.is_string(type_):
        return ""
    return math.nan if pa.types.is_floating(type_) else 0


def plane(ra_deg: float, dec_deg: float) -> TangentPlane:
    return TangentPlane(CENTRE, CENTRE, ra_deg, dec_deg, -PIXEL_DEG, PIXEL_DEG)


def observation(
    obsid: str,
    pointing: tuple[float, float],
    positions: Sequence[tuple[float, float]],
    *,
    seed: int = 0,
    t_bin: float = 50.0,
    n_runs: int = 3,
    jitter_arcsec: float = 2.0,
    errors_arcsec: Sequence[float] = (3.0,),
    mjd: float = 55000.0,
    light_curves: bool = True,
) -> dict[str, pd.DataFrame]:
    """Tables of one observation with a region at each position (deg) in each of its runs.

    The runs are of the bands `BANDS`, at most three. Regions are peaks of ten counts in one frame;
    the errors of their positions are taken in turn.
    """
    random = np.random.default_rng(seed)
    sky = plane(*pointing)
    runids = [f"{obsid}_0_{t_bin:g}_{lo:g}_{hi:g}" for lo, hi in BANDS[:n_runs]]
    low = int(CENTRE // CELL) - CELLS // 2
    box = {"y_lo": low, "y_hi": low + CELLS, "x_lo": low, "x_hi": low + CELLS}
    regions, curves, runs, images = [], [], [], []
    for runid, (e_lo, e_hi) in zip(runids, BANDS, strict=False):
        key = {"runid": runid, "obsid": obsid, "subset": 0, "t_bin": t_bin}
        key |= {"e_lo": e_lo, "e_hi": e_hi}
        runs.append(
            {**key, **box, "sigma": 3.0, "rule": "exod2", "window": 1, "frame_shifts": 1}
            | {"size_arcsec": CELL * 0.05, "n_frames": FRAMES, "n_regions": len(positions)}
            | {"t_lo": 0.0, "t_hi": FRAMES * t_bin, "n_gti": FRAMES}
        )
        counts = random.poisson(20, CELLS * CELLS)
        images.append(
            {"runid": runid, "obsid": obsid, "n": counts, "mu": np.full(counts.size, 20.0)}
            | {"source_mask": np.zeros(counts.size, bool)}
        )
        for label, (ra, dec) in enumerate(positions):
            x, y = (
                float(v) + random.normal(0, jitter_arcsec) / 0.05 for v in sky.to_pixel(ra, dec)
            )
            where = sky.to_sky(x, y)
            curve = _light_curve(random, t_bin)
            row, column = int(y // CELL), int(x // CELL)
            place = {"y_lo": row, "y_hi": row + 1, "x_lo": column, "x_hi": column + 1}
            detid = f"{runid}_{label}"
            regions.append(
                {**key, **place, "detid": detid, "label": label, "kind": "peak", "X": x, "Y": y}
                | {"ra_deg": float(where[0]) % 360.0, "dec_deg": float(where[1])}
                | {"pos_err_arcsec": errors_arcsec[label % len(errors_arcsec)]}
                | {"pos_method": "psf", "area_bbox": 1, "n_peak_cells": 1}
                | {"max_B_peak_log": curve["B_peak_log"].max(), "sigma_peak": 4.0}
                | {"max_B_eclipse_log": curve["B_eclipse_log"].max(), "sigma_eclipse": 0.0}
                | {"intensity_mean": 20.0, "fap_run": 1e-3, "fap_obs": 1e-2, "strength": 9.0}
            )
            if light_curves:
                curves.append(curve.assign(detid=detid, runid=runid, obsid=obsid, label=label))
    about = {
        "obsid": obsid,
        "target": f"field {obsid}",
        "date_obs": str(pd.Timestamp("1858-11-17") + pd.Timedelta(days=mjd)),
        "ra_pnt": pointing[0],
        "dec_pnt": pointing[1],
        "pa_pnt": float(random.uniform(0, 360)),
        **{"x_ref": CENTRE, "y_ref": CENTRE, "ra_ref": pointing[0], "dec_ref": pointing[1]},
        **{"x_delta": -PIXEL_DEG, "y_delta": PIXEL_DEG, "n_subsets": 1, "n_exposures": 1},
        "n_regions": len(regions),
    }
    found = {
        "observations": fill(OBSERVATIONS, [about]),
        "runs": fill(RUNS, runs),
        "regions": fill(REGIONS, regions) if regions else REGIONS.frame(),
        "images": fill(IMAGES, images),
    }
    if curves:
        found["lightcurves"] = LIGHTCURVES.frame(pd.concat(curves, ignore_index=True))
    return found


def _light_curve(random: np.random.Generator, t_bin: float) -> pd.DataFrame:
    mu = np.full(FRAMES, 0.5)
    n = random.poisson(mu)
    n[random.integers(FRAMES)] = 10
    return pd.DataFrame(
        {
            "time": np.arange(FRAMES) * t_bin,
            "n": n,
            "mu": mu,
            "live": 1.0,
            "bti": False,
            "bccd": False,
        }
        | {"B_peak_log": log10_b_peak(n, mu), "B_eclipse_log": log10_b_eclipse(n, mu)}
    )


def make_survey(
    root: str | Path, n_observations: int = 5, n_sources: int = 4, *, seed: int = 1, **options: Any
) -> Archive:
    """An archive of observations at random places, two of each place one after the other.

    Both observations of a place see the same `n_sources` sources. Options go to `observation`.
    """
    random = np.random.default_rng(seed)
    archive = Archive.create(root, Config())
    for number in range(n_observations):
        if number % 2 == 0:
            dec = math.degrees(math.asin(random.uniform(-1, 1)))
            pointing = (random.uniform(0, 360), dec)
            offsets = CENTRE + random.uniform(-5000, 5000, (n_sources, 2))
            ra, dec_ = plane(*pointing).to_sky(*offsets.T) if n_sources else ([], [])
            positions = list(zip(np.asarray(ra) % 360.0, dec_, strict=True))
        obsid = f"{700000000 + number * 100 + 1:010d}"
        tables = observation(
            obsid, pointing, positions, seed=seed + number, mjd=55000.0 + number, **options
        )
        archive.commit(obsid, "OK" if n_sources else "EMPTY", tables)
    return archive
