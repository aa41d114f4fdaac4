"""Matches of X-ray sources with counterparts: standard selections, own ones, filters, masks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from astropy.table import Table

from exod.astrometry.pairing import (
    PairLimits,
    chance_probability,
    shared_counterparts,
    standard_pairs,
)
from exod.astrometry.slidingcell import chandra_spread
from exod.astromon import db
from exod.astromon.filters import filter_matches, get_bad_target_mask, get_excluded_regions_mask
from exod.astromon.frames import matched_frames
from exod.astromon.matches import categories, columns_of, matched_table, with_places
from exod.astromon.moments import as_time, observed_at
from exod.astromon.rough import rough_match
from exod.astromon.tables import SIM_Z
from exod.errors import ConfigError

__all__ = [
    "CROSS_MATCHES",
    "CROSS_MATCHES_ARGS",
    "SIM_Z",
    "compute_cross_matches",
    "filter_matches",
    "get_bad_target_mask",
    "get_excluded_regions_mask",
    "rough_match",
    "simple_cross_match",
    "with_errors",
]

logger = logging.getLogger("astromon")

_STANDARD: Final[dict[str, Any]] = {
    "method": "simple",
    "catalogs": ["ICRS", "Tycho2"],
    "snr": 3,
    "r_angle": 120.0,
    "near_neighbor_dist": 6.0,
    "dr": 3.0,
}

CROSS_MATCHES_ARGS: dict[str, dict[str, Any]] = {
    "astromon_21": {"name": "astromon_21", **_STANDARD, "r_angle_grating": 120.0},
    "astromon_22": {"name": "astromon_22", **_STANDARD, "r_angle_grating": 24.0},
}
"""Arguments of the standard selections."""
CROSS_MATCHES_ARGS["default"] = CROSS_MATCHES_ARGS["astromon_21"]

CROSS_MATCHES: Final = sorted(CROSS_MATCHES_ARGS)
"""Names of the standard selections."""

FRAME_ARCSEC: Final = 0.37
"""Error of each axis of an observation's frame: 0.8 arcsec hold 90 %, as the CXC says of Chandra
(https://cxc.cfa.harvard.edu/cal/ASPECT/celmon/)."""

_OBSERVATION: Final = ("obsid", "grating", "date_obs", "category_id", "target")
_SOURCE: Final = ("obsid", "id", "snr", "r_angle", "near_neighbor_dist", "y_angle", "z_angle")
_COUNTERPART: Final = ("obsid", "id", "x_id", "catalog", "y_angle", "z_angle")


def compute_cross_matches(
    name: str | None = None,
    astromon_obs: Any = None,
    astromon_xray_src: Any = None,
    astromon_cat_src: Any = None,
    dbfile: Any = None,
    exclude_regions: bool = False,  # noqa: FBT001, FBT002 - as in the original
    exclude_bad_targets: bool = False,  # noqa: FBT001, FBT002
    logging_tag: str = "",
    **kwargs: Any,
) -> Any:
    """Match X-ray sources with counterparts.

    Parameters
    ----------
    name : str, optional
        One of `CROSS_MATCHES`, or ``"simple"``, which takes arguments. Nothing is ``"default"``
        without arguments and ``"simple"`` with some.
    astromon_obs, astromon_xray_src, astromon_cat_src : Table, DataFrame or Dask frame, optional
        The tables; by default those of `dbfile`.
    dbfile : path or open file, optional
        The file; by default that of the environment.
    exclude_regions, exclude_bad_targets : bool
        Whether matches of `get_excluded_regions_mask` (with the regions of `dbfile`) and
        `get_bad_target_mask` are left out.
    logging_tag : str
        What messages of the log begin with.
    **kwargs
        Of `simple_cross_match`; not taken with a standard selection.

    Returns
    -------
    Table, DataFrame or Dask frame
        A row for each source that has a counterpart, in the order of obsid and source, as
        `simple_cross_match`, and time (UTC), c_loc, x_loc, category; indexed by obsid. If a table
        is a Dask frame, a Dask frame of partitions of whole observations, of which nothing is
        computed; if one is of pandas, such a frame. Frames have no c_loc and x_loc.

    Raises
    ------
    ConfigError
        If there is no such selection.
    InputError
        If a column is missing.
    MissingTableException
        If a table is not in the file.
    """
    arguments = _arguments(name, kwargs)
    given = {
        "astromon_obs": astromon_obs,
        "astromon_xray_src": astromon_xray_src,
        "astromon_cat_src": astromon_cat_src,
    }
    regions = db.get_table("astromon_regions", dbfile=dbfile) if exclude_regions else None
    whole = partial(
        _cross_matches,
        arguments=arguments,
        regions=regions,
        exclude_bad_targets=exclude_bad_targets,
        logging_tag=logging_tag,
    )
    if not all(table is None or isinstance(table, Table) for table in given.values()):
        return matched_frames(given, whole, dbfile)
    tables = [
        db.get_table(table_name, dbfile) if table is None else table
        for table_name, table in given.items()
    ]
    result = whole(*tables)
    result.add_index("obsid")
    return result


def _arguments(name: str | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    name = name or ("simple" if kwargs else "default")
    if name in CROSS_MATCHES_ARGS:
        if kwargs:
            logger.warning("%s is a standard cross-match: other arguments are ignored.", name)
        standard = CROSS_MATCHES_ARGS[name]
        return {"name": name} | {k: value for k, value in standard.items() if k != "method"}
    if name != "simple":
        raise ConfigError(
            f"Unknown cross-match {name!r}: there are {', '.join(CROSS_MATCHES)} and simple."
        )
    return {"name": name, **kwargs}


def _cross_matches(
    observations: Table,
    sources: Table,
    counterparts: Table,
    *,
    arguments: dict[str, Any],
    regions: Table | None,
    exclude_bad_targets: bool,
    logging_tag: str,
) -> Table:
    result = simple_cross_match(
        observations, sources, counterparts, logging_tag=logging_tag, **arguments
    )
    with_places(result)
    result["category"] = categories(result["category_id"])
    if exclude_bad_targets:
        result = result[~get_bad_target_mask(result)]
    if regions is not None:
        result = result[~get_excluded_regions_mask(result, regions=regions)]
    return result


def simple_cross_match(
    astromon_obs: Table,
    astromon_xray_src: Table,
    astromon_cat_src: Table,
    name: str = "",
    catalogs: Sequence[str] | str = ("ICRS", "Tycho2"),
    snr: float = 3,
    r_angle: float = 120.0,
    dr: float = 3,
    r_angle_grating: float = 24.0,
    near_neighbor_dist: float = 6.0,
    start: Any = None,
    stop: Any = None,
    logging_tag: str = "",
) -> Table:
    """Pair each source with the first of its counterparts, by catalogue, then by distance.

    Parameters
    ----------
    astromon_obs, astromon_xray_src, astromon_cat_src : Table
        As of `exod.astromon.db.get_table`; more columns are kept.
    name : str
        What the column select_name holds.
    catalogs : sequence of str
        Catalogues, the preferred first.
    snr : float
        Sources have a larger signal to noise.
    r_angle, r_angle_grating : float
        They have a smaller off-axis angle (arcsec), without and with a grating.
    dr : float
        They are nearer to the counterpart (arcsec), in y and z.
    near_neighbor_dist : float
        They are farther from the nearest other source (arcsec).
    start, stop : time, optional
        Observations begin after `start` and not after `stop`; see `exod.astromon.moments.as_time`.
    logging_tag : str
        What messages of the log begin with.

    Returns
    -------
    Table
        A row a pair, in the order of obsid and source: columns of the three tables (those that
        sources and counterparts share begin with x_ and c_), dz, dy (X-ray minus catalogue), dr
        (arcsec), cat_order, select_name.

    Raises
    ------
    InputError
        If a column is missing.
    """
    observations = columns_of(astromon_obs, "astromon_obs", _OBSERVATION)
    sources = columns_of(astromon_xray_src, "astromon_xray_src", (*_SOURCE, "ra", "dec"))
    counterparts = columns_of(astromon_cat_src, "astromon_cat_src", (*_COUNTERPART, "ra", "dec"))
    in_time = np.ones(len(observations["obsid"]), bool)
    if start is not None or stop is not None:
        began = observed_at(observations["date_obs"])
        if start is not None:
            in_time &= began > as_time(start)
        if stop is not None:
            in_time &= began <= as_time(stop)
    chosen = [catalogs] if isinstance(catalogs, str) else list(catalogs)
    limits = PairLimits(chosen, snr, r_angle, r_angle_grating, near_neighbor_dist, dr)
    found = standard_pairs(observations, sources, counterparts, limits, in_time)
    shared = shared_counterparts(
        counterparts["obsid"][found.counterpart], counterparts["id"][found.counterpart]
    )
    if shared.any():
        logger.warning("%s %d matches share their counterpart.", logging_tag, shared.sum())
    return matched_table(astromon_obs, astromon_xray_src, astromon_cat_src, found, name)


def with_errors(
    matches: Table,
    dbfile: Any = None,
    *,
    astromon_xray_src: Table | None = None,
    astromon_cat_src: Table | None = None,
    frame_arcsec: float = FRAME_ARCSEC,
) -> Table:
    """Matches with the errors of their offsets, how likely they are chance, and their weights.

    Parameters
    ----------
    matches : Table
        Of `compute_cross_matches` or `exod.astromon.db.get_cross_matches`.
    dbfile : path or open file, optional
        The file of the tables that are not given; by default that of the environment.
    astromon_xray_src, astromon_cat_src : Table, optional
        All sources, and all counterparts that were found around them.
    frame_arcsec : float
        Error of each axis that all matches of an observation share.

    Returns
    -------
    Table
        The same rows with x_err, the standard deviation of each axis of the source (arcsec): the
        spread of the mirrors there over the square root of its counts, NaN without counts;
        p_chance, the probability that an unrelated row of the catalogue is as near; and weight,
        ``(1 - p_chance) / (x_err^2 + frame_arcsec^2)``, which is 0 where either is unknown.

    Raises
    ------
    InputError
        If a column is missing.
    MissingTableException
        If a table is not in the file.
    """
    given = (("astromon_xray_src", astromon_xray_src), ("astromon_cat_src", astromon_cat_src))
    sources, counterparts = (
        db.get_table(name, dbfile) if table is None else table for name, table in given
    )
    plain = columns_of(
        matches, "The table of matches", ("obsid", "catalog", "dr", "r_angle", "net_counts")
    )
    counts = np.where(plain["net_counts"] > 0, plain["net_counts"], np.nan).astype(float)
    result = Table(matches, copy=True)
    result["x_err"] = chandra_spread(plain["r_angle"] / 60.0) / np.sqrt(counts)
    result["p_chance"] = chance_probability(
        columns_of(sources, "astromon_xray_src", ("obsid",)),
        columns_of(counterparts, "astromon_cat_src", ("obsid", "catalog", "separation")),
        plain,
    )
    variance = np.asarray(result["x_err"]) ** 2 + frame_arcsec**2
    result["weight"] = np.nan_to_num((1.0 - np.asarray(result["p_chance"])) / variance)
    return result
