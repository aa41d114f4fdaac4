"""Sources by the errors of positions: regions that agree within them are friends, and one source.

A friend of a friend is of the same source, so that many detections scattered around one place stay
together where a fixed radius would divide them, while precise ones of two places stay apart, also
where one that is much less precise, as of another telescope, agrees with both.
Friends in a crowded field could be a chain without end. One that is longer than `LONGEST` radii is
cut by the rule of fixed radius, so that what decides about a region is near it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from exod.schemas.arrays import Floats, Indices, Mask
from exod.sky.sphere import Vectors, angle, chord, squared_distances
from exod.sources.clustering import PAIRS_PER_CHUNK, cluster, in_order_of_rows, pair_chunks

AGREEMENT: Final = 3.0
"""Friends are nearer than so many errors of their distance.

If errors hold positions with 63 %, as those of regions do, a pair misses it with 1e-4.
"""

SYSTEMATIC_ARCSEC: Final = 0.5
"""What is added in quadrature to the error of each position."""

FARTHEST: Final = 1.5
"""Friends are never farther from each other than so many radii."""

PRECISE: Final = 0.35
"""Of the widest error of a source: positions of smaller ones tell sources apart that it joins.

Errors of one telescope differ less, but for those of the brightest and the faintest.
"""

SURELY: Final = 1.2
"""Precise positions of several sources are farther apart than so many times what friends are."""

LONGEST: Final = 3.0
"""Radii that the friends of a source extend along an axis at most."""


def friends(
    vectors: Vectors,
    errors_arcsec: Floats,
    radius_arcsec: float,
    pairs_per_chunk: int = PAIRS_PER_CHUNK,
) -> Indices:
    """Number of the cluster of each point, in order of first points.

    Parameters
    ----------
    vectors : ndarray of float64, shape (n, 3)
        Unit vectors.
    errors_arcsec : ndarray of float64, shape (n,)
        Radii that hold the positions with 63 % probability. Points without one, that is NaN, 0 or
        less, are friends of all within the radius.
    radius_arcsec : float
        Radius of clusters.
    pairs_per_chunk : int
        Pairs that are in memory at a time.

    Returns
    -------
    ndarray of intp, shape (n,)

    Notes
    -----
    The cluster of a point depends on those within sqrt(3) `LONGEST` + `FARTHEST` + 2 radii alone:
    friends that reach farther are a chain, whatever is beyond, and the rule that cuts it looks two
    radii far.

    Examples
    --------
    Positions 15 arcsec apart, which are two sources or one:

    >>> from exod.sky.sphere import unit_vectors
    >>> apart = unit_vectors([10, 10], [0, 15 / 3600])
    >>> friends(apart, np.array([1.5, 1.5]), 20.0), friends(apart, np.array([5.0, 5.0]), 20.0)
    (array([0, 1]), array([0, 0]))
    """
    if not len(vectors):
        return np.empty(0, np.intp)
    known = np.where(errors_arcsec > 0, errors_arcsec, np.nan)
    reach = AGREEMENT * np.hypot(known, SYSTEMATIC_ARCSEC)
    reach = np.where(np.isnan(reach), radius_arcsec / np.sqrt(2), reach)
    labels: Indices = np.arange(len(vectors))
    for i, j, squared in pair_chunks(vectors, FARTHEST * radius_arcsec, pairs_per_chunk):
        near = angle(np.sqrt(squared)) <= np.hypot(reach[i], reach[j])
        links = labels[i[near]], labels[j[near]]
        graph = coo_matrix((np.ones(near.sum(), bool), links), (len(vectors),) * 2)
        labels = connected_components(graph, directed=False)[1][labels].astype(np.intp)
    labels = _divided_by_precise(vectors, labels, reach, radius_arcsec, pairs_per_chunk)
    chained = _long(vectors, labels, float(chord(LONGEST * radius_arcsec)))[labels]
    labels[chained] = len(vectors) + cluster(vectors[chained], radius_arcsec, pairs_per_chunk)
    return in_order_of_rows(labels)


def _divided_by_precise(
    vectors: Vectors, labels: Indices, reach: Floats, radius_arcsec: float, pairs_per_chunk: int
) -> Indices:
    """Labels of sources that precise positions tell apart, which a wide one had joined.

    Positions of a label that reach less than `PRECISE` of its widest one are compared with each
    other alone; if they are of several sources, the others go to the nearest of them.
    """
    widest = np.zeros(labels.max() + 1)
    np.maximum.at(widest, labels, reach)
    precise = np.flatnonzero(reach < PRECISE * widest[labels])
    if not len(precise):
        return labels
    own: Indices = np.arange(len(precise))
    for i, j, squared in pair_chunks(vectors[precise], FARTHEST * radius_arcsec, pairs_per_chunk):
        agreeing = SURELY * np.hypot(reach[precise[i]], reach[precise[j]])
        near = angle(np.sqrt(squared)) <= agreeing
        links = own[i[near]], own[j[near]]
        graph = coo_matrix((np.ones(near.sum(), bool), links), (len(precise),) * 2)
        own = connected_components(graph, directed=False)[1][own].astype(np.intp)
    pairs = np.unique(np.stack([labels[precise], own], axis=1), axis=0)
    several = np.bincount(pairs[:, 0], minlength=len(widest)) > 1
    result = labels.copy()
    chosen = several[labels[precise]]
    result[precise[chosen]] = len(vectors) + own[chosen]
    for label in np.flatnonzero(several):
        sure = precise[labels[precise] == label]
        others = np.setdiff1d(np.flatnonzero(labels == label), sure)
        distance = squared_distances(vectors[others][:, None], vectors[sure][None])
        result[others] = result[sure[np.argmin(distance, axis=1)]]
    return np.unique(result, return_inverse=True)[1].astype(np.intp)


def _long(vectors: Vectors, labels: Indices, limit: float) -> Mask:
    """Whether the points of each label extend farther than a limit along any axis."""
    number = labels.max() + 1
    low, high = np.full((number, 3), np.inf), np.full((number, 3), -np.inf)
    np.minimum.at(low, labels, vectors)
    np.maximum.at(high, labels, vectors)
    return np.asarray((high - low > limit).any(axis=1))


def divided(labels: Indices, others: Indices) -> Mask:
    """Which clusters share a source with another one, if `others` tell the source of each point.

    The first point of a cluster counts.

    Examples
    --------
    >>> divided(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 2]))
    array([ True,  True, False])
    """
    _, first = np.unique(labels, return_index=True)
    pairs = np.unique(np.stack([others, labels], axis=1), axis=0)
    clusters = np.bincount(pairs[:, 0], minlength=1)
    return np.asarray(clusters[others[first]] > 1)
