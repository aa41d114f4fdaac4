"""Made-up archives with products, as clustering, features, flags and cross-match leave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive import Archive
from exod.archive.increments import deriving, write_part
from exod.schemas import DERIVED, FEATURES, FLAGS, LINEAGE, MATCH, MEMBERS, UNIQUE
from exod.schemas.columns import Column, Table
from helpers.survey_archives import fill, make_survey

GAIA = Table(
    "xmatch",
    "Counterparts in Gaia",
    (
        *MATCH,
        Column("gaia_source_id", pa.int64(), "", "Counterpart", nullable=True),
        Column("gaia_name", pa.string(), "", "Its name", nullable=True),
        Column("gaia_sep", pa.float64(), "arcsec", "Separation", nullable=True),
        Column("gaia_chance", pa.float32(), "", "Probability of chance", nullable=True),
        Column("gaia_variable", pa.bool_(), "", "Whether it varies", nullable=True),
        Column("gaia_n", pa.int16(), "", "Candidates"),
    ),
    ("region_num",),
)
BIG = 2**62 + 1


def source_of(regions: pd.DataFrame) -> np.ndarray:
    """Number of the source of each region: its place in the field, and which field."""
    field = (regions["obsid"].str[:8].astype(int) - 7000000).to_numpy() // 2
    return field * 100 + regions["label"].to_numpy()


def make_queried(root: Path, n_observations: int = 6, n_sources: int = 4, **options) -> Archive:
    """An archive with all products; every third source has no counterpart."""
    archive = make_survey(root, n_observations, n_sources, **options)
    add_products(archive)
    return archive


def add_products(archive: Archive) -> None:
    regions = archive.regions.compute(scheduler="sync").reset_index(drop=True)
    regions["region_num"] = source_of(regions)
    regions["srcid"] = [f"EXOD J{number:06d}.0+000000" for number in regions["region_num"]]
    groups = regions.groupby("region_num")
    sources = fill(
        UNIQUE,
        [
            {
                "region_num": number,
                "srcid": rows["srcid"].iloc[0],
                "ra_deg": rows["ra_deg"].iloc[0],
                "dec_deg": rows["dec_deg"].iloc[0],
                "n_detections": len(rows),
                "n_observations": rows["obsid"].nunique(),
                "sigma_peak": float(number % 7),
                "first_seen": np.nan if number % 2 else 55000.0,
                "best_detid": rows["detid"].iloc[0],
            }
            for number, rows in groups
        ],
    )
    members = regions[["detid", "obsid", "region_num", "srcid", "ra_deg", "dec_deg"]]
    lineage = [
        {"region_num": n, "srcid": s, "change": "new", "other": -1, "version": "1"}
        for n, s in zip(sources["region_num"], sources["srcid"], strict=True)
    ]
    publish_tables(
        archive,
        "unique",
        {
            UNIQUE: sources,
            MEMBERS: fill(MEMBERS, members.to_dict("records")),
            LINEAGE: fill(LINEAGE, lineage),
        },
    )
    keys = regions[["detid", "runid", "obsid"]]
    features = keys.assign(length=np.arange(len(keys)) % 40)
    publish_tables(archive, "features", {FEATURES: fill(FEATURES, features.to_dict("records"))})
    flags = keys.assign(
        filt_hot_pixel=np.arange(len(keys)) % 4 == 0, filt_5sig=np.arange(len(keys)) % 3 == 0
    )
    publish_tables(archive, "flags", {FLAGS: fill(FLAGS, flags.to_dict("records"))})
    publish_tables(archive, "xmatch-gaia", {GAIA: counterparts(sources)})


def counterparts(sources: pd.DataFrame) -> pd.DataFrame:
    found = np.arange(len(sources)) % 3 > 0
    frame = sources[["region_num", "srcid", "ra_deg", "dec_deg"]].assign(
        gaia_source_id=pd.array([BIG + i if f else None for i, f in enumerate(found)], "Int64"),
        gaia_name=[f"Gaia Ä {i}" if f else None for i, f in enumerate(found)],
        gaia_sep=np.where(found, 1.5, np.nan),
        gaia_chance=np.where(found, np.float32(0.1), np.nan),
        gaia_variable=pd.array([bool(i % 2) if f else None for i, f in enumerate(found)]),
        gaia_n=1,
    )
    others = [column.name for column in GAIA.columns if column.name not in frame]
    return GAIA.frame(frame.assign(**dict.fromkeys(others, np.nan)))


def publish_tables(archive: Archive, product: str, tables: dict[Table, pd.DataFrame]) -> None:
    """In two files each, so that something is left to skip."""
    declared = DERIVED.get(product, tuple(tables))
    with deriving(archive.store, product, declared) as new:
        for table, rows in tables.items():
            ordered = rows.sort_values(list(table.sort_by))
            half = (len(ordered) + 1) // 2
            for part, piece in enumerate((ordered[:half], ordered[half:])):
                if len(piece):
                    new.files.append(write_part(archive.store, new.folder, table, piece, str(part)))
        new.attempts = {entry.obsid: entry.attempt for entry in archive.entries()}
