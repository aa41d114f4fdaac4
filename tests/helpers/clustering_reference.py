"""Clustering and identity told plainly and slowly, and skies that are hard to cluster."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from exod.schemas.derived import LINEAGE, MEMBERS, UNIQUE
from exod.sky.healpix import (
    DEEPEST,
    WHOLE_SKY,
    Partition,
    is_among,
    sky_pixels,
    with_margin,
)
from exod.sources.assembly import Field, Sky, sources_of
from exod.sources.friends import FARTHEST, LONGEST, PRECISE, SURELY
from exod.stages.derive.cluster.gather import CARRIED

ARCSEC = 1 / 3600


def reference_clusters(vectors: np.ndarray, radius_arcsec: float) -> list[list[int]]:
    """Members of each cluster, by the words of the rule and every pair (method.md, Clustering)."""
    limit = 2 * math.sin(math.radians(radius_arcsec / 3600) / 2)
    points = [tuple(float(value) for value in row) for row in vectors]
    candidates = []
    for a in points:
        near = [j for j, b in enumerate(points) if squared(a, b) <= limit * limit]
        total = [0.0, 0.0, 0.0]
        for j in near:
            total = [total[k] + points[j][k] for k in range(3)]
        candidates.append((near, tuple(value / len(near) for value in total)))
    members: dict[int, list[int]] = {}
    for i, a in enumerate(points):
        mine = [number for number, (near, _) in enumerate(candidates) if i in near]
        nearest = min(mine, key=lambda number: squared(a, candidates[number][1]))
        members.setdefault(nearest, []).append(i)
    return sorted(members.values())


def reference_friends(
    points: np.ndarray, errors: np.ndarray, radius_arcsec: float = 20.0
) -> np.ndarray:
    """Source of each point by the errors of positions, every pair one after the other."""
    reach = 3.0 * np.hypot(errors, 0.5)
    reach = np.where(errors > 0, reach, radius_arcsec / np.sqrt(2))
    labels = np.arange(len(points))
    apart = 2 * np.arcsin(np.linalg.norm(points[:, None] - points, axis=2) / 2)
    near = np.degrees(apart) * 3600 <= np.minimum(
        FARTHEST * radius_arcsec, np.hypot(reach[:, None], reach)
    )
    for i, j in np.argwhere(near):
        labels[labels == labels[j]] = labels[i]
    labels = _told_apart(points, labels, reach, np.degrees(apart) * 3600, radius_arcsec)
    limit = 2 * np.sin(np.radians(LONGEST * radius_arcsec / 3600) / 2)
    long = np.array([np.ptp(points[labels == k], axis=0).max() > limit for k in labels], bool)
    for number, own in enumerate(reference_clusters(points[long], radius_arcsec)):
        labels[np.flatnonzero(long)[own]] = len(points) + number
    return labels


def _told_apart(
    points: np.ndarray, labels: np.ndarray, reach: np.ndarray, apart: np.ndarray, radius: float
) -> np.ndarray:
    """Sources of which precise positions are several."""
    result = labels.copy()
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        sure = [k for k in mine if reach[k] < PRECISE * reach[mine].max()]
        group = {k: k for k in sure}
        for i in sure:
            for j in sure:
                most = min(FARTHEST * radius, SURELY * np.hypot(reach[i], reach[j]))
                if apart[i, j] <= most:
                    group = {k: group[i] if g == group[j] else g for k, g in group.items()}
        if len(set(group.values())) < 2:
            continue
        for k in mine:
            steps = [squared(tuple(points[k]), tuple(points[s])) for s in sure]
            nearest = k if k in group else sure[int(np.argmin(steps))]
            result[k] = len(points) + group[nearest]
    return np.unique(result, return_inverse=True)[1]


def squared(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    x, y, z = (a[k] - b[k] for k in range(3))
    return x * x + y * y + z * z


def as_lists(labels: np.ndarray) -> list[list[int]]:
    return sorted(np.flatnonzero(labels == k).tolist() for k in range(labels.max(initial=-1) + 1))


CENTRES = (
    (10.0, 0.0),
    (0.0, 0.0),
    (0.0, 41.8103149),
    (45.0, 0.0),
    (90.0, 90.0),
    (123.0, 89.9995),
    (200.0, -90.0),
    (359.9999, -30.0),
    (135.0, 2.0),
    (266.4, -29.0),
)
"""Plain places, RA 0, the poles, and corners and edges of HEALPix pixels."""


def around(centre: tuple[float, float], east: np.ndarray, north: np.ndarray) -> np.ndarray:
    """Positions (deg), shape (n, 2), at tangential offsets in arcsec from a centre."""
    ra, dec = np.radians(centre)
    e = np.array([-np.sin(ra), np.cos(ra), 0.0])
    n = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    c = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    v = c + np.radians(east[:, None] * ARCSEC) * e + np.radians(north[:, None] * ARCSEC) * n
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    found = np.degrees(np.arctan2(v[:, 1], v[:, 0])) % 360.0
    return np.stack([np.where(found == 360.0, 0.0, found), np.degrees(np.arcsin(v[:, 2]))], axis=1)


@st.composite
def skies(draw: st.DrawFn, *, radius: float = 20.0, most: int = 40) -> np.ndarray:
    """Positions (deg), shape (n, 2): clumps, chains, duplicates, grids of exact spacing."""
    parts = [np.empty((0, 2))]
    for _ in range(draw(st.integers(0, 3))):
        centre = draw(st.sampled_from(CENTRES))
        n = draw(st.integers(1, most // 3))
        random = np.random.default_rng(draw(st.integers(0, 2**32)))
        kind = draw(st.sampled_from(["clump", "chain", "grid", "field", "same"]))
        if kind == "clump":
            offsets = random.normal(0, 0.4 * radius, (n, 2))
        elif kind == "chain":
            step = draw(st.sampled_from([0.3, 0.5, 0.95, 1.0]))
            offsets = np.stack([np.arange(n) * step * radius, np.zeros(n)], axis=1)
            offsets = offsets[:, :: draw(st.sampled_from([1, -1]))]
        elif kind == "grid":
            side = math.ceil(math.sqrt(n))
            offsets = np.stack(np.divmod(np.arange(n), side), axis=1) * 0.5 * radius
        elif kind == "field":
            offsets = random.uniform(-5 * radius, 5 * radius, (n, 2))
        else:
            offsets = np.repeat(random.normal(0, radius, (1 + n // 4, 2)), 4, axis=0)
        parts.append(around(centre, offsets[:, 0], offsets[:, 1]))
    return np.concatenate(parts)


@st.composite
def partitions(draw: st.DrawFn, finest: int) -> list[Partition]:
    """The sky divided at random."""
    found = list(WHOLE_SKY)
    for _ in range(draw(st.integers(0, 12))):
        chosen = found[draw(st.integers(0, len(found) - 1))]
        if chosen.order < finest:
            found.remove(chosen)
            found.extend(chosen.children)
    return sorted(found, key=lambda partition: partition.span(DEEPEST))


def region_rows(positions: np.ndarray, detids: list[str], mjd: float = 55000.0) -> pd.DataFrame:
    """Regions as the stage carries them, in order of detid."""
    frame = pd.DataFrame(dict.fromkeys(CARRIED, 1.0), index=range(len(positions)))
    frame = frame.assign(
        detid=np.array(detids, object), obsid=[detid[:10] for detid in detids], mjd=mjd
    )
    frame = frame.assign(ra_deg=positions[:, 0], dec_deg=positions[:, 1])
    return frame.astype({"obsid": object}).sort_values("detid", ignore_index=True)


class Versions:
    """Versions of the catalogue one after the other, as the stage makes them, without files.

    Without partitions the whole sky is computed at once.
    """

    def __init__(
        self, order: int, parts: list[Partition] | None = None, radius_arcsec: float = 20.0
    ) -> None:
        self.parts, self.order, self.radius = parts, order, radius_arcsec
        self.generation = self.next = 0
        self.tables = {table.name: table.frame() for table in (UNIQUE, MEMBERS, LINEAGE)}

    def _spans(self) -> list[tuple[tuple[int, int], np.ndarray | None]]:
        if self.parts is None:
            return [((0, 12 * 4**self.order), None)]
        return [(part.span(self.order), cover(part, self.order)) for part in self.parts]

    def add(self, regions: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """The next version, of these regions."""
        self.generation += 1
        sky = Sky(self.radius, 1, 0, f"v{self.generation}", self.generation)
        found: dict[str, list[pd.DataFrame]] = {name: [] for name in self.tables}
        tables = [
            (table, sky_pixels(table["ra_deg"], table["dec_deg"], self.order))
            for table in (regions, *self.tables.values())
        ]
        for span, pixels in self._spans():
            rows = [cut(table, places, pixels) for table, places in tables]
            if pixels is not None and not any(map(len, rows)):
                continue
            sources = sources_of(Field(*rows, [], []), sky, self.order, span)
            for name, table in sources.tables.items():
                given = table["region_num"].to_numpy()
                numbers = np.where(given < 0, self.next - 1 - given, given)
                found[name].append(table.assign(region_num=numbers))
            self.next += sources.n_new
        self.tables = {
            name: joined([self.tables[name].iloc[:0], *rows]) for name, rows in found.items()
        }
        return self.tables


def joined(rows: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [table for table in rows if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else rows[0]


@cache
def cover(part: Partition, order: int) -> np.ndarray:
    return with_margin(part, order)


def cut(rows: pd.DataFrame, places: np.ndarray, wanted: np.ndarray | None) -> pd.DataFrame:
    if not len(rows) or wanted is None:
        return rows
    return rows[is_among(places, wanted)].reset_index(drop=True)


def in_order(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Tables in an order that does not depend on the partitions."""
    keys = {
        "unique": ["region_num"],
        "members": ["detid"],
        "lineage": ["generation", "region_num", "change"],
    }
    return {name: rows.sort_values(keys[name], ignore_index=True) for name, rows in tables.items()}
