"""Products of a made-up survey, put together by hand so that a catalogue can be written of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive import Archive
from exod.archive.increments import deriving, write_part
from exod.schemas import DERIVED, FEATURES, FLAGS, MATCH, MEMBERS, UNIQUE
from exod.schemas.columns import Column, Table
from helpers.survey_archives import fill

COUNTERPARTS = Table(
    "xmatch",
    "Counterparts",
    (
        *MATCH,
        Column("gaia_source_id", pa.int64(), "", "Identifier", nullable=True),
        Column("gaia_name", pa.string(), "", "Name", nullable=True),
        Column("gaia_ra", pa.float64(), "deg", "Right ascension", nullable=True),
        Column("gaia_pmra", pa.float64(), "mas/yr", "Proper motion", nullable=True),
        Column("gaia_flux", pa.float32(), "electron/s", "Flux", nullable=True),
        Column("gaia_variable", pa.bool_(), "", "Whether it varies", nullable=True),
        Column("gaia_n", pa.int16(), "", "Observations", nullable=True),
        Column("gaia_sep_arcsec", pa.float64(), "arcsec", "Separation", nullable=True),
    ),
    ("region_num",),
)
_COMMON = ("region_num", "srcid", "ra_deg", "dec_deg")
BIG = 2**62 + 1
"""An identifier that a floating-point number cannot hold."""


def make_products(archive: Archive, **changes: Any) -> Mapping[str, pd.DataFrame]:
    """Publish unique, features and flags: regions within 30 arcsec are one source.

    A change is a function of a table's frame under its name, applied before it is written.
    """
    regions = archive.regions.compute()
    frames = _frames(archive, regions)
    frames = {name: changes.get(name, lambda f: f)(frame) for name, frame in frames.items()}
    attempts = {entry.obsid: entry.attempt for entry in archive.entries()}
    tables = {"unique": UNIQUE, "members": MEMBERS, "features": FEATURES, "flags": FLAGS}
    for product in ("unique", "features", "flags"):
        with deriving(archive.store, product, DERIVED[product]) as new:
            for table in DERIVED[product]:
                if table.name in tables and len(frames[table.name]):
                    frame = frames[table.name]
                    new.files.append(write_part(archive.store, new.folder, table, frame, "0"))
            new.attempts = attempts
    return frames


def make_match(archive: Archive, unique: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    """Publish a cross-match in which every other source has a counterpart."""
    frame = fill(Table("match", "", MATCH, ()), unique[list(_COMMON)].to_dict("records"))
    has = (frame.index % 2 == 0) if len(frame) else np.zeros(0, bool)
    frame["gaia_source_id"] = pd.array(np.where(has, BIG, 0), "Int64")
    frame["gaia_name"] = np.where(has, "Étoile ★", "")
    frame["gaia_ra"], frame["gaia_pmra"], frame["gaia_sep_arcsec"] = frame["ra_deg"], 1.5, 2.5
    frame["gaia_flux"] = 7.0
    frame["gaia_variable"] = pd.array(has, "boolean")
    frame["gaia_n"] = pd.array(np.full(len(frame), 3), "Int16")
    frame.loc[~has, [name for name in frame if name.startswith("gaia_")]] = pd.NA
    frame = frame.assign(**changes)
    rows = COUNTERPARTS.frame(frame)
    with deriving(archive.store, "xmatch-gaia", [COUNTERPARTS]) as new:
        new.files.append(write_part(archive.store, new.folder, COUNTERPARTS, rows, "0"))
    return rows


def _frames(archive: Archive, regions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    keys = regions[["detid", "runid", "obsid"]]
    lengths = archive.lightcurves.compute().groupby("detid").size()
    strongest = ["max_B_peak_log", "max_B_eclipse_log", "sigma_peak", "sigma_eclipse"]
    rows = regions[[*keys.columns, *strongest]]
    features = fill(FEATURES, rows.to_dict("records"))
    features["length"] = keys["detid"].map(lengths).fillna(0).to_numpy(np.int32)
    flags = fill(FLAGS, keys.to_dict("records"))
    number = _cells(regions)
    members = regions[["detid", "obsid", "ra_deg", "dec_deg"]].assign(
        region_num=number, srcid=[f"EXOD J{n:06d}" for n in number], separation_arcsec=1.0
    )
    unique = []
    for source, rows in members.groupby("region_num"):
        unique.append(
            {
                "region_num": source,
                "srcid": rows["srcid"].iloc[0],
                "ra_deg": rows["ra_deg"].iloc[0],
                "dec_deg": rows["dec_deg"].iloc[0],
                "n_detections": len(rows),
                "best_detid": rows["detid"].iloc[-1],
            }
        )
    return {
        "unique": fill(UNIQUE, unique) if unique else UNIQUE.frame(),
        "members": fill(MEMBERS, members.to_dict("records")),
        "features": features,
        "flags": flags,
    }


def _cells(regions: pd.DataFrame) -> np.ndarray:
    """Number of the source of each region, from 10; the first region near a place makes it."""
    if regions.empty:
        return np.zeros(0, np.int64)
    ra, dec = np.radians(regions["ra_deg"]), np.radians(regions["dec_deg"])
    place = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    found = np.full(len(place), -1)
    for row in range(len(place)):
        if found[row] < 0:
            near = np.linalg.norm(place - place[row], axis=1) < np.radians(30 / 3600)
            found[near & (found < 0)] = row + 10
    return found
