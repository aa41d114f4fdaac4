"""Comparison with the published catalogue of EXOD2: what an archive finds of it, and beyond it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa

from exod.archive import Archive
from exod.archive.parquet import to_arrow
from exod.counterparts.opened import read_whole
from exod.counterparts.service import Services
from exod.counterparts.standard import DEC, RA, ROW
from exod.counterparts.wanted import Own, wanted_catalogues
from exod.schemas import kinds
from exod.schemas.columns import Column, Table
from exod.sources.comparison import NEW, Comparison, compare, with_runs
from exod.sources.recovery import RADIUS_ARCSEC, RUN
from exod.tablefiles.writing import write_table

CATALOGUE: Final = "exod2_detections"
"""The declaration of the published detections."""

_S, _F64 = pa.string(), pa.float64()
COMPARED: Final = Table(
    "comparison",
    "Published detections of the observations of an archive, and regions that are new",
    (
        Column("outcome", _S, "", "What became of a detection, or that a region is new"),
        Column("obsid", _S, "", "Observation", ucd="meta.id;obs"),
        Column("t_bin", _F64, "s", "Length of the frames of the run", ucd="time.interval"),
        Column("e_lo", _F64, "keV", "Lower edge of its energy band", ucd="em.energy;stat.min"),
        Column("e_hi", _F64, "keV", "Upper edge of its energy band", ucd="em.energy;stat.max"),
        Column(
            "published_detid", _S, "", "Published detection", nullable=True, ucd="meta.id.cross"
        ),
        Column(
            "published_srcid", _S, "", "Its published source", nullable=True, ucd="meta.id.cross"
        ),
        Column("detid", _S, "", "Region of the archive", nullable=True, ucd="meta.id"),
        kinds.right_ascension("ra_deg", "Right ascension of the detection, or of the new region"),
        kinds.declination("dec_deg", "Its declination"),
        Column("sep_arcsec", _F64, "arcsec", "Distance of both", ucd="pos.angDistance"),
    ),
    (),
)
"""Columns of the result."""


@dataclass(frozen=True)
class PublishedComparison:
    """How an archive compares with the published catalogue.

    Attributes
    ----------
    comparison : Comparison
        Row by row.
    n_observations : int
        Observations of the archive that were searched.
    n_published : int
        Of these, those with published detections.
    n_new_sources : int or None
        Unique sources of which all regions are new; None if regions were not clustered.
    """

    comparison: Comparison
    n_observations: int
    n_published: int
    n_new_sources: int | None


def compare_published(
    archive: Archive,
    path: str = "",
    radius_arcsec: float = RADIUS_ARCSEC,
    *,
    cache: Path,
    services: Services,
    refresh: bool = False,
    say: Callable[[str], None] = lambda _sentence: None,
) -> PublishedComparison:
    """Compare the regions of an archive with the published detections of its observations.

    Parameters
    ----------
    archive : Archive
        With searched observations.
    path : str
        File with the columns of the published detections; empty asks VizieR.
    radius_arcsec : float
        Largest distance.
    cache : Path
        Where imported tables and answers are kept.
    services : Services
        Where VizieR is.
    refresh : bool
        Whether to ask VizieR again.
    say : callable
        Is told what goes on, a sentence.

    Raises
    ------
    InputError
        If the table lacks columns or has names that are no detections.
    DownloadError
        If VizieR cannot be reached or answers with something else.
    """
    (wanted,) = wanted_catalogues([f"{CATALOGUE}={path}" if path else CATALOGUE], Own())
    found = read_whole(wanted, cache, services, refresh=refresh, say=say)
    found = found.sort_values(ROW, ignore_index=True)
    names = {f"{wanted.catalogue.prefix}{name}": name for name in ("detid", "srcid")}
    names |= {RA: "ra_deg", DEC: "dec_deg"}
    published = with_runs(found[list(names)].rename(columns=names))
    runs = archive.table("runs", columns=["obsid", *RUN]).compute()
    columns = ["detid", "obsid", *RUN, "ra_deg", "dec_deg"]
    regions = archive.table("regions", columns=columns).compute()
    comparison = compare(published, regions, runs, radius_arcsec)
    return PublishedComparison(
        comparison,
        runs["obsid"].nunique(),
        comparison.rows.loc[comparison.rows["published_detid"].notna(), "obsid"].nunique(),
        _new_sources(archive, comparison.rows),
    )


def _new_sources(archive: Archive, rows: pd.DataFrame) -> int | None:
    if archive.derived("unique") is None:
        return None
    members = archive.derived_table("unique", "members", columns=["region_num", "detid"]).compute()
    new = members["detid"].isin(rows.loc[rows["outcome"] == NEW, "detid"])
    return int(new.groupby(members["region_num"]).all().sum())


def save_comparison(comparison: Comparison, path: Path, *, overwrite: bool) -> int:
    """Write the rows; raises as `exod.tablefiles.writing.write_table`."""
    rows = to_arrow(COMPARED, COMPARED.frame(comparison.rows), "compared")
    return write_table(path, COMPARED, [rows], overwrite=overwrite)
