"""Archives with everything that the report describes: products and matches of made-up sources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive import Archive
from exod.archive.increments import deriving, write_part
from exod.config import Config
from exod.counts.bayes import sigma_equivalent
from exod.schemas import DERIVED, EXPOSURES, FEATURES, FLAGS, MATCH, MEMBERS, UNIQUE
from exod.schemas.columns import Column, Table
from exod.schemas.derived import LINEAGE
from helpers.survey_archives import CENTRE, fill, observation, plane

TYPES = ("Star", "QSO", "AGN", "LowMassXBin", "Seyfert1", "RSCVnV*", "X", "HighMassXBin", "Galaxy")


def make_archive(
    root: str | Path,
    n_observations: int = 4,
    n_sources: int = 3,
    *,
    t_bins: tuple[float, ...] = (5.0, 200.0),
    seed: int = 1,
) -> Archive:
    """Observations with regions of all strengths and kinds, two observations of each field."""
    random = np.random.default_rng(seed)
    archive = Archive.create(root, Config())
    for number in range(n_observations):
        if number % 2 == 0:
            pointing = (random.uniform(0, 360), math.degrees(math.asin(random.uniform(-1, 1))))
            offsets = CENTRE + random.uniform(-5000, 5000, (n_sources, 2))
            ra, dec = plane(*pointing).to_sky(*offsets.T)
            positions = list(zip(np.asarray(ra) % 360.0, dec, strict=True))
        obsid = f"{700000000 + number * 100 + 1:010d}"
        parts = [
            observation(obsid, pointing, positions, seed=seed + 100 * number + i, t_bin=t_bin)
            for i, t_bin in enumerate(t_bins)
        ]
        tables = {
            name: pd.concat([part[name] for part in parts], ignore_index=True) for name in parts[0]
        }
        n_events = random.integers(1000, 10**6)
        tables["observations"] = parts[0]["observations"].assign(
            n_regions=len(tables["regions"]), n_events=n_events
        )
        tables["exposures"] = exposures(obsid, n_events)
        tables["regions"] = vary(tables["regions"], random)
        counts = tables["regions"].groupby("runid")["kind"].count()
        runs = tables["runs"].assign(
            false_peaks=random.uniform(0, 2, len(tables["runs"])),
            false_eclipses=random.uniform(0, 0.1, len(tables["runs"])),
        )
        runs.loc[runs.index[:1], "false_peaks"] = np.nan if number == 0 else 1.0
        runs["n_events"] = n_events // np.where(runs["e_hi"] - runs["e_lo"] > 11, 1, 2)
        runs["n_regions"] = runs["runid"].map(counts).astype("int32")
        tables["runs"] = runs
        archive.commit(obsid, "OK", tables)
    return archive


def exposures(obsid: str, n_events: int) -> pd.DataFrame:
    """Three event lists, of which one was left out."""
    rows = [
        {"obsid": obsid, "filename": f"{camera}.fits", "instrument": camera, "used": used}
        | {"submode": mode, "filter": "Thin1", "time_min": 0.0, "time_max": 6000.0}
        | {"n_selected": n_events // 2 if used else 0, "n_rows": n_events}
        for camera, mode, used in (
            ("EPN", "PrimeFullWindow", True),
            ("EMOS1", "PrimeFullWindow", True),
            ("EMOS2", "FastUncompressed", False),
        )
    ]
    return fill(EXPOSURES, rows)


def vary(regions: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Regions with strengths, kinds, durations and counts of their own."""
    n = len(regions)
    peak = 3 + random.exponential(6, n)
    eclipse = np.where(
        random.random(n) < 0.2, 5 + random.exponential(3, n), random.uniform(0, 4, n)
    )
    kind = np.where(eclipse > peak, "eclipse", "peak")
    excess = random.lognormal(3, 1, n) * np.where(kind == "peak", 1, -1)
    duration = random.lognormal(4, 1.5, n)
    return regions.assign(
        max_B_peak_log=peak,
        max_B_eclipse_log=np.where(random.random(n) < 0.05, np.nan, eclipse),
        sigma_peak=sigma_equivalent(peak, "peak"),
        sigma_eclipse=sigma_equivalent(eclipse, "eclipse"),
        kind=kind,
        excess=np.where(random.random(n) < 0.1, np.nan, excess),
        duration=np.where(random.random(n) < 0.1, np.nan, duration),
        peak_rate=np.abs(excess) / duration,
        event_n=np.abs(excess) + 3,
    )


def add_sources(archive: Archive, n_parts: int = 2) -> pd.DataFrame:
    """Sources by the true ones: regions of the same field with the same label."""
    regions = archive.regions.compute()
    field = (regions["obsid"].str[:8].astype(int) - 7000000) // 2
    number = field * 1000 + regions["label"].to_numpy(int)
    regions = regions.assign(region_num=number)
    rows = []
    for region_num, own in regions.groupby("region_num"):
        best = own.loc[own[["max_B_peak_log", "max_B_eclipse_log"]].max(axis=1).idxmax()]
        ra, dec = float(best["ra_deg"]), float(best["dec_deg"])
        rows.append(
            {"region_num": region_num, "srcid": f"EXOD J{ra / 15:08.4f}{dec:+08.4f}"}
            | {"ra_deg": ra, "dec_deg": dec, "pos_err_arcsec": 1.5, "best_detid": best["detid"]}
            | {"n_detections": len(own), "n_observations": own["obsid"].nunique()}
            | {"sigma_peak": own["sigma_peak"].max(), "sigma_eclipse": own["sigma_eclipse"].max()}
            | {f"max_B_{k}_log": own[f"max_B_{k}_log"].max() for k in ("peak", "eclipse")}
            | {"fap_obs": 1e-4}
        )
    unique = fill(UNIQUE, rows)
    names = unique.set_index("region_num")["srcid"]
    random = np.random.default_rng(7)
    members = fill(
        MEMBERS,
        [
            {"detid": detid, "obsid": obsid, "region_num": region_num}
            | {"srcid": names[region_num], "separation_arcsec": abs(random.normal(0, 2))}
            for detid, obsid, region_num in zip(
                regions["detid"], regions["obsid"], number, strict=True
            )
        ],
    )
    write(archive, "unique", {UNIQUE: unique, MEMBERS: members, LINEAGE: LINEAGE.frame()}, n_parts)
    return unique


def add_light_curve_products(archive: Archive) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features and flags of every region."""
    random = np.random.default_rng(8)
    keys = archive.regions[["detid", "runid", "obsid"]].compute()
    n = len(keys)
    features = fill(FEATURES, keys.to_dict("records"))
    for name in features.columns:
        if "_sig_" in name:
            features[name] = random.poisson(0.6, n).astype("int32")
        elif name == "n_max":
            features[name] = random.poisson(6, n).astype(float)
        elif name == "n_max_isolated":
            features[name] = random.random(n) < 0.4
        elif name in ("hr", "hr_event"):
            features[name] = np.where(random.random(n) < 0.1, np.nan, random.uniform(-1, 1, n))
    flags = keys.assign(
        **{
            column.name: random.random(n) < 0.2
            for column in FLAGS.columns
            if column.name not in keys.columns
        }
    )
    write(archive, "features", {FEATURES: FEATURES.frame(features)})
    write(archive, "flags", {FLAGS: FLAGS.frame(flags)})
    return features, flags


def write(
    archive: Archive, product: str, tables: Mapping[Table, pd.DataFrame], n_parts: int = 2
) -> None:
    """A version of a product in several files."""
    store = archive.store
    with deriving(store, product, DERIVED.get(product, tuple(tables))) as new:
        new.attempts = {entry.obsid: entry.attempt for entry in archive.entries()}
        new.parameters = {"radius_arcsec": 20.0}
        for table, rows in tables.items():
            for part in range(n_parts):
                own = rows.iloc[part::n_parts]
                new.files.append(write_part(store, new.folder, table, own, str(part)))


def add_match(
    archive: Archive,
    name: str,
    prefix: str,
    values: Mapping[str, tuple[pa.DataType, Any]],
    *,
    density: float = 0.5,
    seed: int = 9,
) -> pd.DataFrame:
    """A cross-match: two thirds of the sources have a counterpart, with values of `values`.

    A value is a list or array as long as the table; it is null where there is no counterpart.
    """
    random = np.random.default_rng(seed)
    unique = archive.unique.compute().reset_index(drop=True)
    n = len(unique)
    found = random.random(n) < 0.67
    chance = np.sqrt(random.exponential(1, n) / (np.pi * density)) * 60
    true = random.rayleigh(1.5, n)
    separation = np.where(random.random(n) < 0.8, true, chance)
    found &= separation <= 20
    rho = random.uniform(0.5, 1.5, n) * density
    rows = pd.DataFrame({c.name: unique.get(c.name, 55000.0) for c in MATCH})
    own: dict[str, tuple[pa.DataType, Any]] = {
        "sep_arcsec": (pa.float64(), separation),
        "p_chance": (pa.float64(), 1 - np.exp(-np.pi * rho * (separation / 60) ** 2)),
        **values,
    }
    columns = list(MATCH)
    for key, (type_, content) in own.items():
        column = Column(f"{prefix}{key}", type_, "", key, nullable=True)
        columns.append(column)
        rows[column.name] = pd.Series(content).where(found).to_numpy()
    density_column = Column(f"{prefix}density_arcmin2", pa.float64(), "arcmin-2", "", nullable=True)
    columns.append(density_column)
    rows[density_column.name] = rho
    table = Table("xmatch", "Counterparts", tuple(columns), ("region_num",))
    write(archive, f"xmatch-{name}", {table: rows})
    return rows


def add_matches(archive: Archive) -> dict[str, pd.DataFrame]:
    """SIMBAD, Gaia and 4XMM, with the columns that the declared catalogues have."""
    random = np.random.default_rng(10)
    n = len(archive.unique)
    text, real = pa.string(), pa.float64()
    colour = random.uniform(0, 4, n)
    parallax = random.lognormal(0.5, 1, n)
    absolute = 2 + 3 * colour + random.normal(0, 1, n)
    types = random.choice(TYPES, n, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.08, 0.06, 0.04, 0.02])
    flux = 10 ** random.normal(-13.5, 0.7, n)
    varies = pd.array(np.where(random.random(n) < 0.3, True, False), "boolean")
    return {
        "simbad": add_match(
            archive,
            "simbad",
            "simbad_",
            {"main_id": (text, [f"<HD {i}>" for i in range(n)]), "otype": (text, types)},
            density=0.1,
        ),
        "gaia_dr3": add_match(
            archive,
            "gaia_dr3",
            "gaia_",
            {
                "parallax": (real, parallax),
                "parallax_error": (pa.float32(), np.full(n, 0.2)),
                "g_mag": (real, absolute - 5 * np.log10(parallax) + 10),
                "bp_mag": (real, 15 + colour),
                "rp_mag": (real, np.full(n, 15.0)),
            },
            density=5,
        ),
        "4xmm_dr14": add_match(
            archive,
            "4xmm_dr14",
            "DR14_",
            {
                "SC_EP_8_FLUX": (pa.float32(), np.where(random.random(n) < 0.1, np.nan, flux)),
                "SC_VAR_FLAG": (pa.bool_(), varies),
            },
            density=0.5,
        ),
    }
