"""Pairs of sources and references near enough to be the same, and how often chance makes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    """Pairs within reach, those of a source together.

    Attributes
    ----------
    source, reference : ndarray
        Row numbers of the input.
    east, north : ndarray
        Reference minus source, in arcsec.
    lever_east, lever_north : ndarray
        By what a rotation of a degree moves the source, in arcsec.
    variance : ndarray
        Of east, and of north.
    density : ndarray
        Chance references per square arcsec around the source.
    firsts, lengths : ndarray
        The first pair, and the number of pairs, of each source that has any.
    n_sources : int
        Sources with and without pairs.
    """

    source: Indices
    reference: Indices
    east: Floats
    north: Floats
    lever_east: Floats
    lever_north: Floats
    variance: Floats
    density: Floats
    firsts: Indices
    lengths: Indices
    n_sources: int

    def about(self, frame: Floats, radius_arcsec: float) -> NearPairs:
        """What a frame leaves of the pairs that may be true if its shift is wrong by a radius."""
        east = self.east - frame[0] - frame[2] * self.lever_east
        north = self.north - frame[1] - frame[2] * self.lever_north
        near = np.hypot(east, north) <= radius_arcsec + _MARGIN * np.sqrt(self.variance)
        return NearPairs(
            self.source[near],
            self.reference[near],
            east[near],
            north[near],
            self.lever_east[near],
            self.lever_north[near],
            self.variance[near],
            self.density[near],
            *_runs(self.source[near]),
            self.n_sources,
        )


def _runs(source: Indices) -> tuple[Indices, Indices]:
    """Where equal neighbours begin, and how many there are."""
    firsts = np.flatnonzero(np.diff(source, prepend=-1))
    return firsts, np.diff(firsts, append=len(source))


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
    source, reference, counts = _found(places, others, widest)
    density = _chance_density(counts, widest)
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
        *_runs(source),
        len(rows),
    )


def _found(
    places: NDArray[np.float64], others: NDArray[np.float64], inner: float
) -> tuple[Indices, Indices, Indices]:
    """Pairs within a radius, and the number of others in the ring around each place.

    Others are sorted along one axis, which takes a third of the time of a tree, since each place
    asks once.
    """
    outer = inner + _RING_ARCSEC
    order = np.argsort(others[:, 0])
    east, north = others[order].T
    low, high = (np.searchsorted(east, places[:, 0] + side) for side in (-outer, outer))
    pairs = [np.empty(0, np.int64)]
    counts = np.zeros((2, len(places)), np.int64)
    for row, (place, begin, end) in enumerate(zip(places, low, high, strict=True)):
        square = (east[begin:end] - place[0]) ** 2 + (north[begin:end] - place[1]) ** 2
        within = np.flatnonzero(square <= inner**2)
        pairs.append(np.sort(order[begin + within]))
        counts[:, row] = len(within), np.count_nonzero(square <= outer**2)
    return (
        np.repeat(np.arange(len(places)), counts[0]),
        np.concatenate(pairs),
        counts[1] - counts[0],
    )


def _chance_density(counts: Indices, inner: float) -> Floats:
    """References per square arcsec in a ring around each source, drawn to the mean of all."""
    area = np.pi * ((inner + _RING_ARCSEC) ** 2 - inner**2)
    # One reference more in all rings keeps the density of an empty field above zero.
    mean = (counts.sum() + 1.0) / (area * max(len(counts), 1))
    return np.asarray((counts + 4.0) / (area + 4.0 / mean))
