"""Pairs of sources and references near enough to be the same, and how often chance makes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from exod.astrometry.attitude import radec_to_yagzag
from exod.schemas.arrays import Floats, Indices

Rows = tuple[NDArray[np.float64], Floats, Indices]
"""East and north in arcsec, shape (n, 2), standard deviations, and row numbers of the input."""

_RING_ARCSEC: Final = 60.0
"""Width of the ring beyond reach in which references are counted for the chance density."""

_MARGIN: Final = 4.0
"""Standard deviations beyond the shift in which the counterpart of a source is looked for."""


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs within reach: offsets reference minus source, levers of the rotation, odds at peak."""

    source: Indices
    reference: Indices
    east: Floats
    north: Floats
    lever_east: Floats
    lever_north: Floats
    variance: Floats
    density: Floats
    rows: Indices
    n_sources: int


def plane_rows(
    ra_deg: ArrayLike, dec_deg: ArrayLike, error_arcsec: ArrayLike, centre: tuple[float, float]
) -> Rows:
    """East and north of the centre in arcsec, errors and row numbers of what is finite."""
    ra, dec, error = np.broadcast_arrays(
        *(np.asarray(values, float) for values in (ra_deg, dec_deg, error_arcsec))
    )
    places = np.stack(radec_to_yagzag(ra, dec, (*centre, 0.0)), axis=-1).reshape(-1, 2)
    error = error.ravel()
    rows = np.flatnonzero(np.isfinite(places).all(axis=1) & np.isfinite(error) & (error >= 0))
    return places[rows], error[rows], rows


def near_pairs(
    sources: Rows,
    references: Rows,
    reach_arcsec: float,
) -> NearPairs:
    """Pairs that a shift within reach brings together, and the chance density around sources."""
    (places, errors, rows), (others, other_errors, other_rows) = sources, references
    errors_of_pairs = float(np.max(errors, initial=0.0) + np.max(other_errors, initial=0.0))
    widest = reach_arcsec + _MARGIN * errors_of_pairs
    # A tree of nothing finds nothing.
    tree = KDTree(others) if len(others) else None
    found: list[list[int]] = []
    if tree and len(places):
        found = list(tree.query_ball_point(places, widest))  # type: ignore[arg-type]
    lengths = np.array([len(near) for near in found], np.int64)
    source = np.repeat(np.arange(len(found)), lengths)
    empty = np.empty(0, np.int64)
    reference = np.concatenate([empty, *(np.sort(near) for near in found)]).astype(np.int64)
    density = _chance_density(tree, places, widest)
    offsets = others[reference] - places[source]
    variance = errors[source] ** 2 + other_errors[reference] ** 2
    near = np.hypot(*offsets.T) <= reach_arcsec + _MARGIN * np.sqrt(variance)
    # Without any error the true pair would be a point.
    near &= variance > 0
    source, reference, offsets, variance = (
        values[near] for values in (source, reference, offsets, variance)
    )
    lever = np.radians(places[source])
    return NearPairs(
        rows[source],
        other_rows[reference],
        offsets[:, 0],
        offsets[:, 1],
        -lever[:, 1],
        lever[:, 0],
        variance,
        density[source],
        source,
        len(rows),
    )


def _chance_density(tree: KDTree | None, places: NDArray[np.float64], inner: float) -> Floats:
    """References per square arcsec in a ring around each source, drawn to the mean of all."""
    if tree is None or not len(places):
        return np.empty(len(places))
    outer = inner + _RING_ARCSEC
    counts = tree.query_ball_point(places, outer, return_length=True) - tree.query_ball_point(
        places, inner, return_length=True
    )
    area = np.pi * (outer**2 - inner**2)
    # One reference more in all rings keeps the density of an empty field above zero.
    mean = (counts.sum() + 1.0) / (area * len(places))
    return np.asarray((counts + 4.0) / (area + 4.0 / mean))
