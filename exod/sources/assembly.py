"""Sources of a part of the sky: clusters of regions, which sources they are, what is known of them.

Frames in, frames out. Rows have the columns of the tables that `exod.schemas` declares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.schemas.arrays import Floats, Indices, Mask
from exod.schemas.derived import LINEAGE, MEMBERS, UNIQUE
from exod.sky.healpix import DEEPEST, Pixels, sky_pixels
from exod.sky.sphere import Vectors, positions, separations_arcsec, unit_vectors
from exod.sources.clustering import cluster, means
from exod.sources.footprints import Footprint, covered_by
from exod.sources.friends import divided, friends
from exod.sources.identities import (
    Earlier,
    Identities,
    Members,
    identify,
    shared_members,
    taken_over,
)
from exod.sources.lineage import CHANGES, ENDED, begun, ended, lineage_rows, renamed
from exod.sources.naming import iau_names, naming_regions, unique_names
from exod.sources.summaries import best_regions, position_errors


@dataclass(frozen=True)
class Sky:
    """How sources are made of regions.

    Attributes
    ----------
    radius_arcsec : float
        How far neighbours are, at most.
    ra_decimals, dec_decimals : int
        Decimals of the names.
    version : str
        Version of the product.
    generation : int
        Number of the version, from 1.
    rule : str
        How regions are put together: published or friends.
    keeps_names : bool
        Whether a name that was given stays whatever is added; otherwise it is that which a new
        archive of the same observations would give, unless these were processed again.
    names_anew : bool
        Whether no name stays.
    """

    radius_arcsec: float
    ra_decimals: int
    dec_decimals: int
    version: str
    generation: int
    rule: str = "published"
    keeps_names: bool = True
    names_anew: bool = False


@dataclass(frozen=True)
class Field:
    """What is in and around a part of the sky.

    Attributes
    ----------
    regions : DataFrame
        Regions that count, in order of detid, with the columns that the table members carries.
    earlier_sources, earlier_members, lineage : DataFrame
        Rows of the tables unique, members and lineage of the earlier version.
    footprints : sequence of Footprint
        What observations covered.
    observations : sequence of str
        The observation of each footprint.
    redone : frozenset of str
        Observations of the earlier version that were processed again since, or are gone.
    adopted : DataFrame, optional
        Sources of another catalogue whose names count: region_num, srcid, ra_deg, dec_deg. Numbers
        count where there is no earlier version; they are -1 where there is.
    """

    regions: pd.DataFrame
    earlier_sources: pd.DataFrame
    earlier_members: pd.DataFrame
    lineage: pd.DataFrame
    footprints: Sequence[Footprint]
    observations: Sequence[str]
    redone: frozenset[str] = frozenset()
    adopted: pd.DataFrame | None = None


@dataclass(frozen=True)
class Sources:
    """What is in a part of the sky.

    Attributes
    ----------
    tables : dict of str to DataFrame
        Rows by table.
    n_new : int
        How many sources are new.
    changes : dict of str to int
        How many changes there are of each kind.
    n_divided : int
        Sources that share regions of one place, by the errors of these, with another source.
    """

    tables: dict[str, pd.DataFrame]
    n_new: int
    changes: Mapping[str, int]
    n_divided: int = 0


@dataclass(frozen=True)
class _Clusters:
    """Clusters of regions: the cluster of each region, and where they are."""

    labels: Indices
    means: Vectors
    is_divided: Mask

    @classmethod
    def of(cls, regions: pd.DataFrame, radius_arcsec: float, rule: str) -> _Clusters:
        vectors = _vectors(regions)
        alike = friends(vectors, regions["pos_err_arcsec"].to_numpy(float), radius_arcsec)
        labels = alike if rule == "friends" else cluster(vectors, radius_arcsec)
        sums = means(vectors, labels, int(labels.max(initial=-1)) + 1)
        middles = sums / np.linalg.norm(sums, axis=-1, keepdims=True)
        return cls(labels, middles, divided(labels, alike))

    @cached_property
    def positions(self) -> tuple[Floats, Floats]:
        """Right ascension and declination in degrees."""
        return positions(self.means)

    @cached_property
    def places(self) -> Pixels:
        """Pixels of the finest order."""
        return sky_pixels(*self.positions) if len(self.means) else np.empty(0, np.int64)


def sources_of(field: Field, sky: Sky, order: int, span: tuple[int, int]) -> Sources:
    """Find the sources whose mean position is in a range of pixels.

    Parameters
    ----------
    field : Field
        What is there and in a margin of `exod.sources.identities.REACH` radii around.
    sky : Sky
        How sources are made.
    order : int
        Order of the pixels.
    span : (int, int)
        First pixel of the range and one past the last.

    Returns
    -------
    Sources
        Rows of the tables unique, members and lineage, none if nothing is there. New sources have
        the numbers -1, -2 and so on in the order of the sky.
    """
    if not len(field.regions) and not len(field.lineage) and field.adopted is None:
        # Most partitions at the edge of a field.
        return Sources({}, 0, dict.fromkeys(CHANGES, 0))
    bounds = [pixel << 2 * (DEEPEST - order) for pixel in span]
    clusters = _Clusters.of(field.regions, sky.radius_arcsec, sky.rule)
    inside = (clusters.places >= bounds[0]) & (clusters.places < bounds[1])
    names, earlier, found = _identified(field, clusters, sky)
    about = _about(clusters, found, earlier, names, inside, field, sky)
    was = sky_pixels(*positions(earlier.vectors)) if len(names) else np.empty(0, np.int64)
    inside_before = (was >= bounds[0]) & (was < bounds[1])
    changes = [
        begun(about, found, earlier, inside),
        renamed(about, found, names, inside, is_adopted=_numbers_count(field)),
        ended(found, earlier, names, inside_before, _observed(field, earlier)),
    ]
    new = pd.concat(changes, ignore_index=True).assign(
        version=sky.version, generation=np.int32(sky.generation)
    )
    tables = {
        UNIQUE.name: _unique(field, clusters.labels, inside, about),
        MEMBERS.name: _members(field.regions, clusters, inside, about),
        LINEAGE.name: lineage_rows(field.lineage, new, bounds),
    }
    counted = new["change"].value_counts()
    return Sources(
        tables,
        int((about.loc[inside, "region_num"] < 0).sum()),
        {change: int(counted.get(change, 0)) for change in CHANGES},
        int((clusters.is_divided & inside).sum()),
    )


def _numbers_count(field: Field) -> bool:
    """Whether sources of another catalogue take the place of an earlier version."""
    # Of none that is near all would have a number.
    adopted = field.adopted
    return adopted is not None and len(adopted) > 0 and bool((adopted["region_num"] >= 0).all())


def _observed(field: Field, earlier: Earlier) -> Mask | None:
    """Which sources of another catalogue were observed; None for those of an earlier version."""
    if not _numbers_count(field):
        return None
    seen = np.zeros(len(earlier.region_num), bool)
    seen[covered_by(field.footprints, *positions(earlier.vectors))[0]] = True
    return seen


def _identified(
    field: Field, clusters: _Clusters, sky: Sky
) -> tuple[NDArray[np.object_], Earlier, Identities]:
    """Names of the earlier sources, the sources, and which of them clusters are."""
    if field.adopted is not None and _numbers_count(field):
        rows = field.adopted
        numbers = rows["region_num"].to_numpy(np.int64)
        earlier = Earlier(numbers, _vectors(rows), np.ones(len(rows), bool))
        source = taken_over(earlier.vectors, clusters.means, sky.radius_arcsec)
        cluster_of = np.full(len(rows), -1, np.intp)
        cluster_of[source[source >= 0]] = np.flatnonzero(source >= 0)
        none = np.full(len(source), -1, np.int64), np.full(len(rows), -1, np.int64)
        found = Identities(source, none[0], cluster_of, none[1])
        return rows["srcid"].to_numpy(object), earlier, found
    names, earlier = _earlier(field)
    had = field.earlier_members
    index = pd.Index(earlier.region_num).get_indexer(pd.Index(had["region_num"]))
    near = index >= 0
    shared = shared_members(
        Members(had["detid"].to_numpy(object)[near], _vectors(had[near]), index[near]),
        Members(field.regions["detid"].to_numpy(object), _vectors(field.regions), clusters.labels),
        sky.radius_arcsec,
    )
    return names, earlier, identify(earlier, clusters.means, shared, sky.radius_arcsec)


def _vectors(frame: pd.DataFrame) -> Vectors:
    return unit_vectors(frame["ra_deg"].to_numpy(), frame["dec_deg"].to_numpy())


def _earlier(field: Field) -> tuple[NDArray[np.object_], Earlier]:
    """Names of the earlier sources, and the sources: with regions, then those that had some."""
    columns = ["region_num", "srcid", "ra_deg", "dec_deg"]
    last = field.lineage.sort_values("generation", kind="stable").drop_duplicates(
        "region_num", keep="last"
    )
    gone = last[last["change"].isin(ENDED)]
    gone = gone[~gone["region_num"].isin(field.earlier_sources["region_num"])]
    every = pd.concat([field.earlier_sources[columns], gone[columns]], ignore_index=True)
    alive = np.arange(len(every)) < len(field.earlier_sources)
    numbers = every["region_num"].to_numpy(np.int64)
    return every["srcid"].to_numpy(object), Earlier(numbers, _vectors(every), alive)


def _about(
    clusters: _Clusters,
    found: Identities,
    earlier: Earlier,
    names: NDArray[np.object_],
    inside: Mask,
    field: Field,
    sky: Sky,
) -> pd.DataFrame:
    """Number, name and place of each cluster; numbers of new ones outside are of no use."""
    new = np.flatnonzero(found.source < 0)
    # Order of the sky; clusters are in order of their first regions already.
    new = new[np.argsort(clusters.places[new], kind="stable")]
    numbers = np.full(len(clusters.means), np.iinfo(np.int64).min)
    numbers[new[inside[new]]] = -1 - np.arange(inside[new].sum())
    ra, dec = clusters.positions
    known = found.source >= 0
    numbers[known] = earlier.region_num[found.source[known]]
    srcids = np.full(len(clusters.means), "", object)
    naming = naming_regions(field.regions, clusters.labels)
    alike = _named_alike(field, found, earlier, naming)
    stays = known & (sky.keeps_names | (alike & (not sky.names_anew)))
    srcids[stays] = names[found.source[stays]]
    if field.adopted is not None:
        source = taken_over(_vectors(field.adopted), clusters.means, sky.radius_arcsec)
        found_there = source >= 0
        theirs = field.adopted["srcid"].to_numpy(object)[source[found_there]]
        # A name of the other catalogue goes before one that was given here.
        srcids[np.isin(srcids, theirs)] = ""
        srcids[found_there] = theirs
    _name_others(srcids, numbers, clusters, field.regions.iloc[naming], field.lineage, sky)
    return pd.DataFrame({"region_num": numbers, "srcid": srcids, "ra_deg": ra, "dec_deg": dec})


def _named_alike(field: Field, found: Identities, earlier: Earlier, naming: Indices) -> Mask:
    """Which clusters have the name of a source for the same reason as before.

    The region that names it is the same one, or another one only because its observation was
    processed again or is gone.
    """
    had = field.earlier_members.reset_index(drop=True)
    index = pd.Index(earlier.region_num).get_indexer(pd.Index(had["region_num"]))
    had, index = had[index >= 0].reset_index(drop=True), index[index >= 0]
    sources, labels = np.unique(index, return_inverse=True)
    rows = had.iloc[naming_regions(had, labels)]
    before = np.full((len(earlier.region_num) + 1, 2), None, object)
    before[sources] = rows[["detid", "obsid"]].to_numpy(object)
    # The last row stands for no source.
    detid, obsid = before[found.source].T
    same = detid == field.regions["detid"].to_numpy(object)[naming]
    return np.asarray(same | np.isin(obsid, list(field.redone)), bool)


def _name_others(
    srcids: NDArray[np.object_],
    numbers: NDArray[np.int64],
    clusters: _Clusters,
    rows: pd.DataFrame,
    lineage: pd.DataFrame,
    sky: Sky,
) -> None:
    """Name the clusters that have no name yet by the place of the regions that name them."""
    unnamed = np.flatnonzero(srcids == "")
    unnamed = unnamed[np.argsort(clusters.places[unnamed], kind="stable")]
    wanted = iau_names(
        rows["ra_deg"].to_numpy()[unnamed],
        rows["dec_deg"].to_numpy()[unnamed],
        ra_decimals=sky.ra_decimals,
        dec_decimals=sky.dec_decimals,
    )
    # A name is of the place where it was given, so that equal ones are in the lineage near by.
    given = dict(zip(lineage["srcid"], lineage["region_num"], strict=True))
    if not sky.keeps_names:
        # It goes with the region that it was given for.
        given = {}
    own = np.maximum(numbers[unnamed], -1).tolist()
    srcids[unnamed] = unique_names(wanted, own, given, srcids[srcids != ""])


def _members(
    regions: pd.DataFrame, clusters: _Clusters, inside: Mask, about: pd.DataFrame
) -> pd.DataFrame:
    """Rows of the table members."""
    mine = inside[clusters.labels]
    rows, labels = regions[mine], clusters.labels[mine]
    away = separations_arcsec(_vectors(rows), clusters.means[labels])
    extra = {name: about[name].to_numpy()[labels] for name in ("region_num", "srcid")}
    return MEMBERS.frame(rows.assign(**extra, separation_arcsec=away))


def _unique(field: Field, labels: Indices, inside: Mask, about: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table unique."""
    chosen = about[inside].reset_index(drop=True)
    rank = np.cumsum(inside) - 1
    mine = inside[labels]
    rows = field.regions[mine].assign(source=rank[labels[mine]])
    ra, dec = chosen["ra_deg"].to_numpy(), chosen["dec_deg"].to_numpy()
    groups = rows.groupby("source")
    largest = ("max_B_peak_log", "max_B_eclipse_log", "sigma_peak", "sigma_eclipse")
    columns = {name: groups[name].max() for name in largest} | {
        "n_detections": groups.size(),
        "n_observations": groups["obsid"].nunique(),
        "n_covered": _covered(rows, field, ra, dec),
        "first_seen": groups["mjd"].min(),
        "last_seen": groups["mjd"].max(),
        "fap_obs": groups["fap_obs"].min(),
        "best_detid": best_regions(rows),
        "pos_err_arcsec": position_errors(rows),
    }
    frame = chosen.assign(**columns)
    return UNIQUE.frame(frame.assign(n_undetected=frame["n_covered"] - frame["n_observations"]))


def _covered(rows: pd.DataFrame, field: Field, ra: Floats, dec: Floats) -> pd.Series:
    """Observations that covered each source or have a region of it."""
    source, footprint = covered_by(field.footprints, ra, dec)
    obsids = np.asarray(field.observations, object)[footprint]
    pairs = pd.DataFrame({"source": source, "obsid": obsids})
    # A region at the edge of the field can lie just beyond the last cell.
    detected = rows[["source", "obsid"]].astype({"obsid": object})
    return pd.concat([pairs, detected]).drop_duplicates().groupby("source").size()
