"""Clusters of regions: those at one place of the sky are one source (method.md, Clustering).

Each region and its neighbours within a radius are a candidate; a region that is in several
candidates goes to the one whose mean is nearest.

Positions are unit vectors. A region's cluster depends on the regions within twice the radius of it
alone, and all sums run in the order of the rows, so that a part of the sky with a margin gives to
the last bit what the whole sky does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.spatial import cKDTree

from exod.schemas.arrays import Floats, Indices
from exod.sky.sphere import Vectors, chord, squared_distances

PAIRS_PER_CHUNK: Final = 2_000_000
"""Pairs of neighbours that are in memory at a time, about 0.2 GB."""


@dataclass(frozen=True)
class NeighbourPairs:
    """Pairs of near points, sorted by `i`, then `j`.

    Attributes
    ----------
    i, j : ndarray of intp, shape (n_pairs,)
        Index of either point.
    squared : ndarray of float64, shape (n_pairs,)
        Squared distance.
    """

    i: Indices
    j: Indices
    squared: Floats


def near_pairs(points: Vectors, others: Vectors, radius_arcsec: float) -> NeighbourPairs:
    """All pairs of a point and another one within the radius, which is included."""
    return _pairs(points, cKDTree(others), others, float(chord(radius_arcsec)))


def _pairs(points: Vectors, tree: cKDTree, others: Vectors, limit: float) -> NeighbourPairs:
    # The tree rounds in its own way; it finds a few more, and the exact ones are chosen here.
    found = cKDTree(points).sparse_distance_matrix(
        tree, limit * (1 + 1e-9) + 1e-14, output_type="ndarray"
    )
    i, j = found["i"], found["j"]
    order = np.argsort(i * np.int64(max(len(others), 1)) + j)
    i, j = i[order], j[order]
    squared = squared_distances(points[i], others[j])
    inside = squared <= limit * limit
    return NeighbourPairs(i[inside], j[inside], squared[inside])


def assign(points: Vectors, candidates: Sequence[Sequence[int]]) -> Indices:
    """Give each point to that of its candidates whose mean is nearest (method.md, Clustering).

    Parameters
    ----------
    points : ndarray of float64, shape (n_points, 3)
        Points.
    candidates : sequence of sequence of int
        Points of each candidate; a point may be in several.

    Returns
    -------
    ndarray of intp, shape (n_points,)
        Candidate of each point, the first one if several are as near; -1 if it is in none.

    See Also
    --------
    nearest_candidates : the same, fast, where each candidate is a point and its neighbours.

    Examples
    --------
    Point 1 is in candidates with the means (0, 0.33, 0.33) and (1.67, 1, 0.33):

    >>> points = [[0,0,0], [0,0,1], [0,1,0], [5,0,0], [4,0,0], [0,2,0], [0,3,0]]
    >>> candidates = [[0, 1, 2], [1, 3, 6], [3, 4], [5, 6]]
    >>> assign(np.array(points, float), candidates)
    array([0, 0, 0, 2, 2, 3, 3])
    """
    chosen = np.full(len(points), -1)
    least = np.full(len(points), np.inf)
    for number, members in enumerate(candidates):
        mine = np.asarray(members, np.intp)
        middle = means(points[mine], np.zeros(len(mine), np.intp), 1)
        squared = squared_distances(points[mine], middle)
        nearer = squared < least[mine]
        chosen[mine[nearer]] = number
        least[mine[nearer]] = squared[nearer]
    return chosen


def means(points: Vectors, labels: Indices, n_labels: int) -> Vectors:
    """Mean of the points of each label, shape (n_labels, 3), summed in the order of the rows.

    Labels without points have NaN.
    """
    number = np.bincount(labels, minlength=n_labels)
    # bincount adds one after the other, so that equal rows give equal bits wherever they stand.
    sums = [np.bincount(labels, column, minlength=n_labels) for column in points.T]
    with np.errstate(invalid="ignore"):
        return np.stack(sums, axis=-1) / number[:, None]


def nearest_candidates(
    vectors: Vectors, radius_arcsec: float, pairs_per_chunk: int = PAIRS_PER_CHUNK
) -> Indices:
    """Give each point to a candidate, where point `i` and its neighbours are candidate `i`.

    Parameters
    ----------
    vectors : ndarray of float64, shape (n, 3)
        Unit vectors.
    radius_arcsec : float
        How far neighbours are, at most.
    pairs_per_chunk : int
        Pairs of neighbours that are in memory at a time.

    Returns
    -------
    ndarray of intp, shape (n,)
        Candidate of each point. The slow reference is `assign`.
    """
    if not len(vectors):
        return np.empty(0, np.intp)
    tree, limit = cKDTree(vectors), float(chord(radius_arcsec))
    chunks = list(_chunks(tree, vectors, limit, pairs_per_chunk))
    middles = np.empty_like(vectors)
    found = np.empty(len(vectors), np.intp)
    for first, last in chunks:
        pairs = _pairs(vectors[first:last], tree, vectors, limit)
        middles[first:last] = means(vectors[pairs.j], pairs.i, last - first)
    for first, last in chunks:
        # Neighbours are mutual: the candidates that a point is in are those of its neighbours.
        if len(chunks) > 1:
            pairs = _pairs(vectors[first:last], tree, vectors, limit)
        squared = squared_distances(vectors[first:last][pairs.i], middles[pairs.j])
        found[first:last] = pairs.j[_first_minima(pairs.i, squared, last - first)]
    return found


def pair_chunks(
    vectors: Vectors, radius_arcsec: float, pairs_per_chunk: int
) -> Iterator[tuple[Indices, Indices, Floats]]:
    """All pairs of points within a radius, each with itself too, some at a time.

    Yields
    ------
    i, j : ndarray of intp, shape (n_pairs,)
        Both points.
    squared : ndarray of float64, shape (n_pairs,)
        Squared distance.
    """
    tree, limit = cKDTree(vectors), float(chord(radius_arcsec))
    for first, last in _chunks(tree, vectors, limit, pairs_per_chunk):
        pairs = _pairs(vectors[first:last], tree, vectors, limit)
        yield pairs.i + first, pairs.j, pairs.squared


def _chunks(
    tree: cKDTree, vectors: Vectors, limit: float, pairs_per_chunk: int
) -> Iterator[tuple[int, int]]:
    """Ranges of points that have at most so many pairs, or are one point."""
    found = tree.query_ball_point(vectors, limit * (1 + 1e-9) + 1e-14, return_length=True)
    number = np.asarray(found, np.intp)
    until = np.cumsum(number)
    first = 0
    while first < len(vectors):
        before = until[first] - number[first]
        last = int(np.searchsorted(until, before + pairs_per_chunk, side="right"))
        last = max(last, first + 1)
        yield first, last
        first = last


def _first_minima(group: Indices, values: Floats, n_groups: int) -> Indices:
    """Index of the first smallest value of each group; groups are sorted and none is empty."""
    starts = np.searchsorted(group, np.arange(n_groups))
    least = np.minimum.reduceat(values, starts)
    at = np.flatnonzero(values == least[group])
    return at[np.searchsorted(group[at], np.arange(n_groups))]


def cluster(
    vectors: Vectors, radius_arcsec: float, pairs_per_chunk: int = PAIRS_PER_CHUNK
) -> Indices:
    """Number of the cluster of each point, in order of first points (method.md, Clustering).

    Parameters
    ----------
    vectors : ndarray of float64, shape (n, 3)
        Unit vectors, in the order that decides between candidates that are as near.
    radius_arcsec : float
        How far neighbours are, at most.
    pairs_per_chunk : int
        Pairs of neighbours that are in memory at a time.

    Returns
    -------
    ndarray of intp, shape (n,)

    Examples
    --------
    >>> from exod.sky.sphere import unit_vectors
    >>> cluster(unit_vectors([10.0, 359.999, 0.001, 10.001], [0, 0, 0, 0]), 20.0)
    array([0, 1, 1, 0])
    """
    return in_order_of_rows(nearest_candidates(vectors, radius_arcsec, pairs_per_chunk))


def in_order_of_rows(labels: Indices) -> Indices:
    """Labels from 0 on, in the order of the first points that have them.

    Examples
    --------
    >>> in_order_of_rows(np.array([7, 2, 7, 5]))
    array([0, 1, 0, 2])
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
