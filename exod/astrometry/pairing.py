"""X-ray sources and their counterparts in catalogues: the standard cross-match, vectorised.

Only counterparts that were found around a source are its candidates: rows of the catalogues name
the source with (obsid, x_id). Of each source the first by order of the catalogue, then by distance,
is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exod.schemas.arrays import Floats, Indices, Mask

Columns = Mapping[str, NDArray[Any]]
"""Columns of a table by name."""


@dataclass(frozen=True)
class PairLimits:
    """Which sources and counterparts are paired; every limit excludes its own value.

    Attributes
    ----------
    catalogs : sequence of str
        Catalogues, the preferred first.
    snr : float
        Signal to noise of a source is larger.
    r_angle, r_angle_grating : float
        Off-axis angle in arcsec is smaller, in observations without and with a grating.
    near_neighbor_dist : float
        Distance in arcsec from the nearest other source is larger.
    dr : float
        Distance in arcsec from the counterpart, in (y, z), is smaller.
    """

    catalogs: Sequence[str]
    snr: float
    r_angle: float
    r_angle_grating: float
    near_neighbor_dist: float
    dr: float


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows that are paired, in the order of obsid and source.

    Attributes
    ----------
    observation, source, counterpart : ndarray
        Row numbers in the three tables.
    dy, dz, dr : ndarray
        X-ray minus catalogue in arcsec, and the distance.
    cat_order : ndarray
        Place of the catalogue in the selection.
    """

    observation: Indices
    source: Indices
    counterpart: Indices
    dy: Floats
    dz: Floats
    dr: Floats
    cat_order: Indices


def standard_pairs(
    observations: Columns,
    sources: Columns,
    counterparts: Columns,
    selection: PairLimits,
    in_time: Mask,
) -> Pairs:
    """Pair sources with counterparts.

    Parameters
    ----------
    observations : mapping
        Columns obsid (each once) and grating.
    sources : mapping
        Columns obsid, id, snr, r_angle, near_neighbor_dist, y_angle, z_angle.
    counterparts : mapping
        Columns obsid, x_id, catalog, y_angle, z_angle.
    selection : PairLimits
        The limits.
    in_time : ndarray of bool
        Observations that are taken.

    Returns
    -------
    Pairs
        At most one of each source. A counterpart may serve several sources.
    """
    observation = _row_of(observations["obsid"], sources["obsid"])
    known = observation >= 0
    at = np.maximum(observation, 0)
    if not len(in_time):
        at, in_time, gratings = np.zeros_like(at), np.zeros(1, bool), np.array(["NONE"])
    else:
        gratings = np.asarray(observations["grating"])
    limit = np.where(gratings == "NONE", selection.r_angle, selection.r_angle_grating)
    taken = known & in_time[at] & (sources["r_angle"] < limit[at])
    taken &= sources["snr"] > selection.snr
    taken &= sources["near_neighbor_dist"] > selection.near_neighbor_dist

    order = np.full(len(counterparts["obsid"]), -1)
    for place, catalog in reversed(list(enumerate(selection.catalogs))):
        order[np.asarray(counterparts["catalog"]) == catalog] = place
    source = _row_of(
        _key(sources["obsid"], sources["id"]), _key(counterparts["obsid"], counterparts["x_id"])
    )
    row = np.flatnonzero((order >= 0) & (source >= 0))
    row = row[taken[source[row]]]
    source, order = source[row], order[row]
    dy = sources["y_angle"][source] - counterparts["y_angle"][row]
    dz = sources["z_angle"][source] - counterparts["z_angle"][row]
    # As the tables have it to the last bit, which np.hypot does not.
    dr = np.sqrt(dy**2 + dz**2)
    near = dr < selection.dr
    row, source, order, dy, dz, dr = (values[near] for values in (row, source, order, dy, dz, dr))

    ids, obsids = sources["id"][source], sources["obsid"][source]
    ranked = np.lexsort((row, dr, order, ids, obsids))
    sorted_source = source[ranked]
    first = ranked[np.flatnonzero(np.diff(sorted_source, prepend=-1))]
    return Pairs(
        observation[source[first]],
        source[first],
        row[first],
        dy[first],
        dz[first],
        dr[first],
        order[first],
    )


def shared_counterparts(obsid: Indices, counterpart: Indices) -> Mask:
    """Pairs whose counterpart serves another source of the same observation as well.

    Examples
    --------
    >>> shared_counterparts(np.array([1, 1, 1, 2]), np.array([7, 7, 8, 7]))
    array([ True,  True, False, False])
    """
    _, place, times = np.unique(_key(obsid, counterpart), return_inverse=True, return_counts=True)
    return np.asarray(times[place] > 1)


def chance_probability(
    searched: Columns,
    counterparts: Columns,
    pairs: Columns,
    radius_arcsec: float = 3.0,
) -> Floats:
    """Probability that an unrelated row of the catalogue is as near as the counterpart of a pair.

    The density of a catalogue in an observation follows from its rows in the outer three quarters
    of the circles around all sources, where true counterparts are rare. Half a row is added to
    their number, so that none is not taken for certainty (Jeffreys' prior of a rate).

    Parameters
    ----------
    searched : mapping
        Column obsid of all sources around which counterparts were looked for.
    counterparts : mapping
        Columns obsid, catalog and separation (arcsec) of all that was found.
    pairs : mapping
        Columns obsid, catalog and dr (arcsec).
    radius_arcsec : float
        Radius of the circles.

    Returns
    -------
    ndarray, shape (n,)
        ``1 - exp(-density pi dr^2)``; NaN for pairs of observations without sources.

    Examples
    --------
    >>> found = {"obsid": [1, 1], "catalog": ["A", "A"], "separation": [0.2, 2.5]}
    >>> pair = {"obsid": [1], "catalog": ["A"], "dr": [0.2]}
    >>> chance_probability({"obsid": [1] * 10}, found, pair).round(4)
    array([0.0009])
    """
    inner = radius_arcsec / 2.0
    separation = np.asarray(counterparts["separation"], float)
    outer = (separation >= inner) & (separation <= radius_arcsec)
    there = np.asarray(counterparts["obsid"])[outer], np.asarray(counterparts["catalog"])[outer]
    wanted = np.asarray(pairs["obsid"]), np.asarray(pairs["catalog"])
    _, place = np.unique(np.concatenate([there[1], wanted[1]]), return_inverse=True)
    keys, times = np.unique(_key(there[0], place[: len(there[0])]), return_counts=True)
    found = _row_of(keys, _key(wanted[0], place[len(there[0]) :]))
    number = np.where(found >= 0, np.append(times, 0)[found], 0) + 0.5
    obsids, sources = np.unique(np.asarray(searched["obsid"]), return_counts=True)
    row = _row_of(obsids, wanted[0])
    circles = np.where(row >= 0, np.append(sources, 0)[row], np.nan)
    density = number / (circles * np.pi * (radius_arcsec**2 - inner**2))
    return np.asarray(-np.expm1(-density * np.pi * np.asarray(pairs["dr"], float) ** 2))


def _key(obsid: NDArray[Any], number: NDArray[Any]) -> Indices:
    """One number for two, which are of 32 bits."""
    return (np.asarray(obsid, np.int64) << 32) + np.asarray(number, np.int64)


def _row_of(keys: NDArray[Any], wanted: NDArray[Any]) -> Indices:
    """Row of the first of equal keys for each that is wanted; -1 where there is none."""
    if not len(keys):
        return np.full(len(wanted), -1)
    ranked = np.argsort(keys, kind="stable")
    place = np.searchsorted(keys, wanted, sorter=ranked)
    row = ranked[np.minimum(place, len(keys) - 1)]
    return np.where(keys[row] == wanted, row, -1)
