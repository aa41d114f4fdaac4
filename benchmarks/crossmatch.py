"""Matching with a large catalogue: exod, LSDB and astropy on the same positions in the same run.

Run ``python -m benchmarks.crossmatch --sources 100000 --rows 1000000``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord

from exod.archive import Archive
from exod.archive.increments import deriving, write_part
from exod.config import Config
from exod.counterparts.hats import open_hats
from exod.counterparts.matching import Positions, match_rows
from exod.counterparts.partitions import match_partitions
from exod.counterparts.registry import declared_as
from exod.counterparts.tables import import_table
from exod.counterparts.wanted import Own, Wanted, wanted_catalogues
from exod.schemas import DERIVED, UNIQUE
from exod.stages.derive.crossmatch import MatchSettings, crossmatch

RADIUS = 20.0
REPEATS = 3


def sky(n: int, random: np.random.Generator) -> pd.DataFrame:
    dec = np.degrees(np.arcsin(random.uniform(-1, 1, n)))
    return pd.DataFrame({"ra": random.uniform(0, 360, n), "dec": dec})


def make(n_sources: int, n_rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Random positions; half of the sources have a row within a few arcsec."""
    random = np.random.default_rng(1)
    rows, sources = sky(n_rows, random), sky(n_sources, random)
    half = n_sources // 2
    chosen = rows.iloc[random.integers(0, n_rows, half)]
    sources.loc[: half - 1, "dec"] = chosen["dec"].to_numpy() + random.normal(0, 2, half) / 3600
    sources.loc[: half - 1, "ra"] = chosen["ra"].to_numpy()
    sources["dec"] = sources["dec"].clip(-90, 90)
    return sources, rows.assign(id=np.arange(n_rows))


def best(work: Callable[[], Any]) -> tuple[float, Any]:
    seconds, found = [], None
    for _ in range(REPEATS):
        began = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - began)
    return min(seconds), found


def in_memory(sources: pd.DataFrame, rows: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Arrays in, the nearest within 20 arcsec out."""
    import lsdb

    here, there = (
        Positions(some["ra"].to_numpy(), some["dec"].to_numpy()) for some in (sources, rows)
    )
    # Positions keep their tree; fresh ones are what a first match takes.
    ours, found = best(lambda: match_rows(replace(here), replace(there), RADIUS))
    coordinates = [SkyCoord(some["ra"], some["dec"], unit="deg") for some in (sources, rows)]

    def with_astropy() -> int:
        # SkyCoord keeps its tree; a fresh one is what a first match takes.
        fresh = SkyCoord(coordinates[1].ra, coordinates[1].dec)
        _, separation, _ = coordinates[0].match_to_catalog_sky(fresh)
        return int((separation.arcsec <= RADIUS).sum())

    astropy, count = best(with_astropy)
    made = partial(
        lsdb.from_dataframe, ra_column="ra", dec_column="dec", margin_threshold=RADIUS + 1
    )
    making, left = best(lambda: (made(sources), made(rows)))
    matched = left[0].crossmatch(
        left[1], radius_arcsec=RADIUS, suffixes=("_a", "_b"), log_changes=False
    )
    theirs, pairs = best(lambda: len(matched.compute()))
    if not len(found) == count == pairs:
        raise RuntimeError(f"Different numbers of matches: {len(found)}, {count}, {pairs}.")
    yield "sources", len(sources)
    yield "rows of the catalogue", len(rows)
    yield "matches, the same of all three", len(found)
    yield "exod, match_rows (s)", ours
    yield "astropy, match_to_catalog_sky / exod", astropy / ours
    yield "LSDB, crossmatch of catalogues that are ready / exod", theirs / ours
    yield "LSDB, from_dataframe and crossmatch / exod", (making + theirs) / ours


def _no_distances(sources: Positions, *_others: Any) -> np.ndarray:
    """In place of the neighbours that measure the density, which LSDB does not look for."""
    return np.full((len(sources), 1), np.inf)


def on_disk(sources: pd.DataFrame, rows: pd.DataFrame, folder: Path) -> Iterator[tuple[str, float]]:
    """A HATS catalogue and a Parquet file, with everything that a product has."""
    import lsdb

    made = partial(lsdb.from_dataframe, ra_column="ra", dec_column="dec")
    made(rows, margin_threshold=RADIUS + 1).to_hats(folder / "hats", catalog_name="rows")
    left = made(sources)
    (wanted,) = wanted_catalogues([f"rows={folder / 'hats'}"], Own())
    here = Positions(sources["ra"].to_numpy(), sources["dec"].to_numpy())

    def with_lsdb() -> int:
        right = lsdb.open_catalog(folder / "hats")
        matched = left.crossmatch(
            right, radius_arcsec=RADIUS, suffixes=("_a", "_b"), log_changes=False
        )
        return len(matched.compute())

    theirs, pairs = best(with_lsdb)
    hats, found = best(lambda: match_partitions(here, open_hats(wanted.where, wanted.catalogue)))
    with mock.patch("exod.counterparts.partitions.outer_distances", _no_distances):
        nearest, _ = best(lambda: match_partitions(here, open_hats(wanted.where, wanted.catalogue)))
    path = folder / "rows.parquet"
    rows.to_parquet(path)
    began = time.perf_counter()
    import_table(path, wanted.catalogue, folder / "cache")
    importing = time.perf_counter() - began
    table, same = best(
        lambda: match_partitions(here, import_table(path, wanted.catalogue, folder / "cache"))
    )
    if not len(found) == pairs == len(same):
        raise RuntimeError(f"Different numbers of matches: {len(found)}, {pairs}, {len(same)}.")
    yield "LSDB, open_catalog and crossmatch of HATS (s)", theirs
    yield "LSDB / exod of the same HATS catalogue, nearest row and n_within", theirs / nearest
    yield "LSDB / exod of the same HATS catalogue, with n_within, density, chance", theirs / hats
    yield "LSDB / exod of the imported table, with n_within, density, chance", theirs / table
    yield "import, once / matching with the imported table", importing / table


def incremental(sources: pd.DataFrame, folder: Path) -> Iterator[tuple[str, float]]:
    """The product: all sources, none changed, three new ones; the table is that of `on_disk`."""
    archive = Archive.create(str(folder / "archive"), Config())
    path = folder / "rows.parquet"
    content = {"title": "Rows", "method": "table", "prefix": "rows_", "ra": ["ra"], "dec": ["dec"]}
    wanted = [Wanted(declared_as("rows", content, "rows"), str(path))]
    settings = MatchSettings(folder / "cache")
    unique = pd.DataFrame({column.name: np.nan for column in UNIQUE.columns}, sources.index)
    for column in UNIQUE.columns:
        kind = column.type
        if str(kind) == "string":
            unique[column.name] = "x"
        elif str(kind).startswith("int"):
            unique[column.name] = 0
    unique["region_num"] = np.arange(len(sources))
    unique["ra_deg"], unique["dec_deg"] = sources["ra"], sources["dec"]
    seconds = []
    for count in (len(unique) - 3, len(unique) - 3, len(unique)):
        with deriving(archive.store, "unique", DERIVED["unique"]) as new:
            some = UNIQUE.frame(unique[:count])
            new.files.append(write_part(archive.store, new.folder, UNIQUE, some, "0"))
        began = time.perf_counter()
        (done,) = crossmatch(archive, wanted, settings)
        seconds.append(time.perf_counter() - began)
        if done.error:
            raise done.error
    yield "exod crossmatch, all sources and the import (s)", seconds[0]
    yield "again without a change / first time", seconds[1] / seconds[0]
    yield "again with three sources more / first time", seconds[2] / seconds[0]
    yield "sources looked up of three more", done.summary["looked_up"]


def show(title: str, rows: Iterator[tuple[str, float]]) -> None:
    lines = [f"| {what} | {value:,.4g} |" for what, value in rows]
    print("\n".join([f"## {title}", "", "| what | value |", "|---|---|", *lines, ""]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    sources, rows = make(options.sources, options.rows)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as name:
        # LSDB warns of the pandas that it is made with.
        warnings.simplefilter("ignore")
        folder = Path(name)
        show("In memory", in_memory(sources, rows))
        show("On disk", on_disk(sources, rows, folder))
        show("The product", incremental(sources, folder))


if __name__ == "__main__":
    main()
