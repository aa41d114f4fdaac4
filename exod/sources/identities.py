"""Which cluster is which earlier source, so that numbers and names stay (method.md, Clustering).

The rule looks at what is near only: everything that decides about a source is within `REACH`
clustering radii of it, so that parts of the sky with such a margin agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.schemas.arrays import Indices, Mask
from exod.sky.sphere import Vectors, chord, squared_distances
from exod.sources.clustering import near_pairs

REACH: Final = MappingProxyType({"published": 14, "friends": 34})
"""Clustering radii within which lies everything that decides about a source, by rule.

A cluster is within 2 radii of its mean, so is a source; a shared region has moved by 1 at most.
From a source that is merged: its regions (2), where they are now (3), the other end of the cluster
(5), where those regions were (6), the other source (8), its other regions (10), where they are
now (11), and 2 for the candidates that these are in: 13, and 1 for a source that has lost its
regions beside a cluster of another one. Friends are within 5.2 radii of each other and of their
mean, and 8.7 decide about one: 5.2, 6.2, 11.4, 12.4, 17.6, 22.8, 23.8 and 32.5.
"""

Numbers = NDArray[np.int64]
_NONE: Final = -1


@dataclass(frozen=True)
class Earlier:
    """Sources of the earlier version.

    Attributes
    ----------
    region_num : ndarray of int64, shape (n_sources,)
        Their numbers, each once; smaller ones are older.
    vectors : ndarray of float64, shape (n_sources, 3)
        Their last positions.
    alive : ndarray of bool, shape (n_sources,)
        Whether they had regions; the others were merged or gone.
    """

    region_num: Numbers
    vectors: Vectors
    alive: Mask


@dataclass(frozen=True)
class Identities:
    """What became of clusters and sources; -1 stands for none.

    Attributes
    ----------
    source : ndarray of intp, shape (n_clusters,)
        Index of the earlier source that each cluster is.
    split_from : ndarray of int64, shape (n_clusters,)
        Number of the source that holds, or held, most of the regions of a cluster that is not an
        earlier source with regions.
    cluster : ndarray of intp, shape (n_sources,)
        Cluster that each earlier source is.
    merged_into : ndarray of int64, shape (n_sources,)
        Number of the source whose cluster has the regions, or the place, of one that had regions.
    """

    source: Indices
    split_from: Numbers
    cluster: Indices
    merged_into: Numbers


@dataclass(frozen=True)
class Members:
    """Regions, each once, with the index of their source or cluster."""

    detid: NDArray[np.object_]
    vectors: Vectors
    of: Indices


def shared_members(
    earlier: Members, now: Members, radius_arcsec: float
) -> tuple[Indices, Indices, Indices]:
    """Regions that a source had and a cluster has: same detid, moved by the radius at most.

    A region that is found elsewhere after its observation was processed again is another one,
    though it may have the same label.

    Returns
    -------
    source, cluster, row : ndarray of intp, shape (n_shared,)
        Source and cluster of each, and its row in `now`.
    """
    row = pd.Index(now.detid).get_indexer(pd.Index(earlier.detid))
    had = np.flatnonzero(row >= 0)
    row = row[had]
    moved = squared_distances(earlier.vectors[had], now.vectors[row])
    near = moved <= chord(radius_arcsec) ** 2
    had, row = had[near], row[near]
    return earlier.of[had], now.of[row], row


def identify(
    earlier: Earlier,
    clusters: Vectors,
    shared: tuple[Indices, Indices, Indices],
    radius_arcsec: float,
) -> Identities:
    """Decide which cluster is which earlier source.

    A source claims the cluster that has most of its regions; if several have as many, the one with
    the first of these regions. A source without any region left claims the nearest cluster within
    the radius that nobody claimed by regions. Of several sources that claim a cluster, the one
    that had regions, then the oldest, keeps its number; the others are merged.

    Parameters
    ----------
    earlier : Earlier
        Sources of the earlier version.
    clusters : ndarray of float64, shape (n_clusters, 3)
        Mean positions as unit vectors; in the order of their first regions.
    shared : tuple of ndarray
        What `shared_members` returns.
    radius_arcsec : float
        Clustering radius.

    Examples
    --------
    Two sources whose regions are in one cluster now, and a new cluster far away:

    >>> from exod.sky.sphere import unit_vectors
    >>> two = Earlier(np.array([0, 1]), unit_vectors([10, 10.005], [0, 0]), np.ones(2, bool))
    >>> now = unit_vectors([10.002, 20], [0, 0])
    >>> shared = np.array([0, 1]), np.array([0, 0]), np.array([0, 1])
    >>> found = identify(two, now, shared, 20.0)
    >>> found.source, found.merged_into
    (array([ 0, -1]), array([-1,  0]))
    """
    held = _held(*shared)
    by_regions = _first(held, "source", ["n", "row"], [False, True])
    source = np.full(len(clusters), _NONE, np.intp)
    _keep(source, by_regions, earlier)
    lost = np.setdiff1d(np.arange(len(earlier.region_num)), held["source"])
    near = _near(earlier.vectors, lost, clusters, radius_arcsec)
    free = near[source[near["cluster"]] == _NONE]
    _keep(source, _first(free, "source", ["squared", "cluster"], [True, True]), earlier)
    cluster = np.full(len(earlier.region_num), _NONE, np.intp)
    known = np.flatnonzero(source >= 0)
    cluster[source[known]] = known

    merged_into = np.full(len(earlier.region_num), _NONE, np.int64)
    beside = near[source[near["cluster"]] != _NONE]
    # Where it would be now: a cluster with its regions, else the nearest one that is a source.
    where = pd.concat([by_regions, _first(beside, "source", ["squared", "cluster"], [True, True])])
    other = where[["source", "cluster"]].to_numpy(np.intp)
    other = other[(cluster[other[:, 0]] == _NONE) & earlier.alive[other[:, 0]]]
    merged_into[other[:, 0]] = earlier.region_num[source[other[:, 1]]]
    return Identities(
        source, _split_from(held, source, earlier, len(clusters)), cluster, merged_into
    )


def _held(source: Indices, cluster: Indices, row: Indices) -> pd.DataFrame:
    """How many regions of each source each cluster has, and the first of them."""
    frame = pd.DataFrame({"source": source, "cluster": cluster, "row": row})
    counted = frame.groupby(["source", "cluster"], as_index=False)["row"]
    return counted.agg("min").assign(n=counted.size()["size"])


def _first(frame: pd.DataFrame, by: str, order: list[str], ascending: list[bool]) -> pd.DataFrame:
    """The first row for each value of `by` in an order."""
    return frame.sort_values([by, *order], ascending=[True, *ascending]).drop_duplicates(by)


def _keep(source: Indices, claims: pd.DataFrame, earlier: Earlier) -> None:
    """Enter the source that keeps its number for each claimed cluster."""
    claimants = claims["source"].to_numpy(np.intp)
    ranked = claims.assign(
        dormant=~earlier.alive[claimants], region_num=earlier.region_num[claimants]
    )
    kept = _first(ranked, "cluster", ["dormant", "region_num"], [True, True])
    source[kept["cluster"].to_numpy(np.intp)] = kept["source"].to_numpy(np.intp)


def _near(
    sources: Vectors, chosen: Indices, clusters: Vectors, radius_arcsec: float
) -> pd.DataFrame:
    """Clusters within the radius of some of the sources."""
    empty = not len(chosen) or not len(clusters)
    pairs = near_pairs(sources[:0] if empty else sources[chosen], clusters, radius_arcsec)
    return pd.DataFrame({"source": chosen[pairs.i], "cluster": pairs.j, "squared": pairs.squared})


def _split_from(held: pd.DataFrame, source: Indices, earlier: Earlier, n_clusters: int) -> Numbers:
    """Number of the source that had most regions of each cluster that is none with regions."""
    split = np.full(n_clusters, _NONE, np.int64)
    numbered = held.assign(region_num=earlier.region_num[held["source"].to_numpy(np.intp)])
    most = _first(numbered, "cluster", ["n", "region_num"], [False, True])
    split[most["cluster"].to_numpy(np.intp)] = most["region_num"].to_numpy(np.int64)
    known = np.flatnonzero(source >= 0)
    split[known[earlier.alive[source[known]]]] = _NONE
    return split


def taken_over(catalogue: Vectors, clusters: Vectors, radius_arcsec: float) -> Indices:
    """The source of another catalogue that each cluster is: the nearest one, to which it is too.

    Parameters
    ----------
    catalogue, clusters : ndarray of float64, shape (n, 3)
        Positions of the sources and mean positions of the clusters as unit vectors.
    radius_arcsec : float
        How far they are from each other at most.

    Returns
    -------
    ndarray of intp, shape (n_clusters,)
        -1 where there is none.

    Examples
    --------
    >>> from exod.sky.sphere import unit_vectors
    >>> taken_over(unit_vectors([10, 10.001], [0, 0]), unit_vectors([10.002, 20], [0, 0]), 20.0)
    array([ 1, -1])
    """
    near = _near(catalogue, np.arange(len(catalogue)), clusters, radius_arcsec)
    order = ["squared", "source", "cluster"]
    of_sources = _first(near, "source", order, [True] * 3)
    both = of_sources.merge(_first(near, "cluster", order, [True] * 3))
    found = np.full(len(clusters), _NONE, np.intp)
    found[both["cluster"].to_numpy(np.intp)] = both["source"].to_numpy(np.intp)
    return found
