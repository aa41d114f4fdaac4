"""What each observation that covered a source found of it, or could have found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive.parquet import to_pandas
from exod.archive.questions.detections import Rows, detections
from exod.archive.snapshot import Snapshot
from exod.schemas.columns import Table
from exod.schemas.explorer import COVERAGE
from exod.schemas.longterm import HISTORY
from exod.sources.footprints import Footprint, covered_by, unpacked
from exod.stages.derive.cluster.gather import footprint_of

_RUN = ["t_bin", "e_lo", "e_hi"]
_FLUXES: Final = ("flux", "flux_lo", "flux_hi")
_FOUND = ("detid", "obsid", "region_num", *_RUN, "sigma_peak", "sigma_eclipse", "peak_rate")


def coverage_rows(snapshot: Snapshot) -> pd.DataFrame:
    """The observations that covered each source, one row for each pair.

    Parameters
    ----------
    snapshot : Snapshot
        The archive, with the product ``unique``.

    Returns
    -------
    DataFrame
        Rows of `exod.schemas.explorer.COVERAGE`. Where a source was found, they are of its
        strongest region; elsewhere of the run with the time bin and the band of its best region
        in all observations, whose ``n90`` becomes a rate. NaN is what is not known.
    """
    sources = read_columns(
        Rows(snapshot, "sources"), "region_num", "ra_deg", "dec_deg", "best_detid"
    )
    regions = read_columns(detections(snapshot, ("members",)), *_FOUND)
    runs = read_columns(Rows(snapshot, "runs"), "obsid", "subset", *_RUN, "n90", "t_lo_mjd")
    found = _strongest(regions)
    best = regions.set_index("detid").reindex(sources["best_detid"])[_RUN].reset_index(drop=True)
    missed = _covered(snapshot, sources.assign(**best))
    own = pd.MultiIndex.from_frame(found[["region_num", "obsid"]])
    missed = missed[~pd.MultiIndex.from_frame(missed[["region_num", "obsid"]]).isin(own)]
    rows = pd.concat([found, _limits(missed, runs)], ignore_index=True)
    start = runs.groupby("obsid")["t_lo_mjd"].min()
    rows = rows.assign(mjd=rows["obsid"].map(start).astype(float))
    rows = rows.merge(_mean_fluxes(snapshot), how="left", on=["region_num", "obsid"])
    return COVERAGE.frame(rows.sort_values(list(COVERAGE.sort_by), ignore_index=True))


def read_columns(rows: Rows, *names: str) -> pd.DataFrame:
    """Some columns of rows of an archive, all in memory; those of a join in any order."""
    return to_pandas(read_rows(rows, *names))


def read_rows(rows: Rows, *names: str) -> pa.Table:
    """The same as Arrow."""
    table = Table("read", "Some columns", tuple(rows.columns[name] for name in names), ())
    return pa.concat_tables(rows.selected(table, order=None).chunks())


def _mean_fluxes(snapshot: Snapshot) -> pd.DataFrame:
    """Mean flux of each source in each observation, where the archive has its history."""
    if not snapshot.has("history"):
        nothing = HISTORY.frame()
        return nothing[["region_num", "obsid", *_FLUXES]]
    return read_columns(Rows(snapshot, "history"), "region_num", "obsid", *_FLUXES)


def _strongest(regions: pd.DataFrame) -> pd.DataFrame:
    """The strongest region of each source in each observation."""
    strength = np.fmax(regions["sigma_peak"].to_numpy(float), regions["sigma_eclipse"])
    order = regions.assign(strength=strength).sort_values(
        ["strength", "detid"], ascending=[False, True]
    )
    first = order.drop_duplicates(["region_num", "obsid"])
    return first[["region_num", "obsid", *_RUN]].assign(
        detected=True, rate=first["peak_rate"].to_numpy(float), n90=np.nan
    )


def _covered(snapshot: Snapshot, sources: pd.DataFrame) -> pd.DataFrame:
    """The sources in the field of each subset of an observation."""
    ra, dec = (sources[name].to_numpy(float) for name in ("ra_deg", "dec_deg"))
    parts = []
    for fields, footprints in footprints_of(snapshot):
        source, number = covered_by(footprints, ra, dec)
        names = np.array([row["obsid"] for row in fields], object)
        subsets = np.array([row["subset"] for row in fields], np.int16)
        parts.append(
            sources.iloc[source][["region_num", *_RUN]].assign(
                obsid=names[number], subset=subsets[number]
            )
        )
    # A field across partitions of the sky has a row in each.
    return pd.concat(parts, ignore_index=True).drop_duplicates(["region_num", "obsid", "subset"])


def footprints_of(snapshot: Snapshot) -> Iterator[tuple[list[dict[str, Any]], list[Footprint]]]:
    """Rows of the table footprints, some at a time, and what they covered."""
    rows = Rows(snapshot, "footprints")
    table = Table("footprints", "Footprints", tuple(rows.columns.values()), ())
    for chunk in rows.selected(table).chunks():
        fields = chunk.to_pylist()
        yield fields, [footprint_of(row, _mask(row)) for row in fields]


def _mask(row: dict[str, object]) -> np.ndarray:
    y_lo, y_hi, x_lo, x_hi = (int(row[name]) for name in ("y_lo", "y_hi", "x_lo", "x_hi"))  # type: ignore[call-overload]
    return unpacked(np.array(row["mask"], np.uint8), (y_hi - y_lo, x_hi - x_lo))


def _limits(missed: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The deepest limit of each source in each observation that did not find it."""
    joined = missed.merge(runs, how="left", on=["obsid", "subset", *_RUN])
    joined["n90"] = joined["n90"] / joined["t_bin"]
    limits = joined.groupby(["region_num", "obsid"], as_index=False)[[*_RUN, "n90"]].min()
    return limits.assign(detected=False, rate=np.nan)
