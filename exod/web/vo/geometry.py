"""Shapes of ADQL on the sky, as conditions that DuckDB can answer.

Sides of polygons are great circles (ADQL 2.1, section 4.2). A position is inside a polygon if it
is inside its picture around the centre (gnomonic), where great circles are straight: so a polygon
has to fit in less than a hemisphere. All angles are in degrees.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from exod.archive.questions.cone import box_sql, separation_sql
from exod.errors import ConfigError
from exod.schemas.conditions.compiling import literal

MOST_CORNERS: Final = 100
"""Corners of a polygon: each is a term of the condition."""

_WIDEST_DEG: Final = 89.0
"""How far a corner may be from the centre of its polygon."""


@dataclass(frozen=True)
class SkyPoint:
    """A position: numbers, or expressions in SQL.

    Attributes
    ----------
    ra, dec : float or str
        Right ascension and declination.
    """

    ra: float | str
    dec: float | str

    def __post_init__(self) -> None:
        if not isinstance(self.dec, str) and not abs(self.dec) <= 90:
            raise ConfigError(f"A declination is -90 to 90 deg, not {self.dec:g}.")

    @property
    def is_constant(self) -> bool:
        """Whether it is the same for all rows."""
        return not (isinstance(self.ra, str) or isinstance(self.dec, str))

    @property
    def sql(self) -> tuple[str, str]:
        """Both coordinates in SQL."""
        return _number(self.ra), _number(self.dec)

    def separation(self, other: SkyPoint) -> str:
        """The distance from another one, in SQL."""
        centre, place = (self, other) if self.is_constant else (other, self)
        return f"({separation_sql(*place.sql, centre.ra, centre.dec)} / 3600.0)"

    @property
    def vector(self) -> tuple[str, str, str]:
        """Its unit vector in SQL."""
        ra, dec = (f"radians({value})" for value in self.sql)
        return f"(cos({dec}) * cos({ra}))", f"(cos({dec}) * sin({ra}))", f"sin({dec})"

    def within(self, other: SkyPoint, limit: float | str) -> str:
        """Whether it is at most so far from another one, in SQL."""
        near = f"{self.separation(other)} <= {_number(limit)}"
        for centre, place in ((other, self), (self, other)):
            if centre.is_constant and not isinstance(limit, str) and limit >= 0:
                # A box of coordinates lets DuckDB pass over parts of the file.
                ra, dec = place.sql
                # What a statement calls right ascension may be below 0 or above 360.
                turned = f"({ra} - 360.0 * floor({ra} / 360.0))"
                around = box_sql(turned, dec, *_numbers(centre), limit * 3600.0)
                return f"({around} AND {near})"
        return near


@dataclass(frozen=True)
class SkyCircle:
    """A circle: all positions at most a radius from its centre.

    Attributes
    ----------
    centre : SkyPoint
        Its centre.
    radius : float or str
        Its radius.
    """

    centre: SkyPoint
    radius: float | str

    def __post_init__(self) -> None:
        if not isinstance(self.radius, str) and not 0 <= self.radius <= 180:
            raise ConfigError(f"A circle has a radius of 0 to 180 deg, not {self.radius:g}.")


@dataclass(frozen=True)
class SkyPolygon:
    """A polygon of less than a hemisphere.

    Attributes
    ----------
    corners : tuple of SkyPoint
        Its corners, which are the same for all rows.
    """

    corners: tuple[SkyPoint, ...]

    def __post_init__(self) -> None:
        if not all(corner.is_constant for corner in self.corners):
            raise ConfigError("Corners and sizes of POLYGON and BOX must be numbers, not columns.")
        if not 3 <= len(self.corners) <= MOST_CORNERS:
            raise ConfigError(f"A polygon has 3 to {MOST_CORNERS} corners.")
        reach = self._vectors @ self._centre
        if not (reach > math.cos(math.radians(_WIDEST_DEG))).all():
            raise ConfigError("A polygon must be smaller than a hemisphere; divide it.")

    @property
    def _vectors(self) -> np.ndarray:
        ra, dec = np.radians([_numbers(corner) for corner in self.corners]).T
        return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)

    @property
    def _centre(self) -> np.ndarray:
        total = self._vectors.sum(axis=0)
        length = float(np.linalg.norm(total))
        return total / length if length else total

    @property
    def sides(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Both ends of each side, as unit vectors."""
        corners = self._vectors
        yield from zip(corners, np.roll(corners, -1, axis=0), strict=True)

    def contains(self, point: SkyPoint) -> str:
        """Whether a position is inside, in SQL: a line from it crosses an odd number of sides."""
        centre = self._centre
        # Any two directions across the line of sight to the centre.
        first = np.cross(centre, np.eye(3)[np.argmin(np.abs(centre))])
        first /= np.linalg.norm(first)
        second = np.cross(centre, first)
        depth = _along(point, centre)
        u, v = (f"({_along(point, axis)} / {depth})" for axis in (first, second))
        plane = [
            (one @ first / (one @ centre), one @ second / (one @ centre)) for one in self._vectors
        ]
        crossed = []
        for (u1, v1), (u2, v2) in zip(plane, [*plane[1:], plane[0]], strict=True):
            if v1 == v2:
                continue
            between = f"(({_number(v1)} > {v}) <> ({_number(v2)} > {v}))"
            slope = _number((u2 - u1) / (v2 - v1))
            reached = f"{u} < {slope} * ({v} - {_number(v1)}) + {_number(u1)}"
            crossed.append(f"CAST({between} AND {reached} AS INTEGER)")
        return f"({depth} > 0 AND ({' + '.join(crossed) or '0'}) % 2 = 1)"

    def margin(self, point: SkyPoint) -> str:
        """The distance of a position from the nearest side, in SQL."""
        distances = []
        for start, stop in self.sides:
            pole = np.cross(start, stop)
            length = np.linalg.norm(pole)
            ends = [point.separation(_of_vector(end)) for end in (start, stop)]
            if length < 1e-12:
                distances.append(ends[0])
                continue
            pole /= length
            beside = f"degrees(abs(asin(greatest(-1.0, least(1.0, {_along(point, pole)})))))"
            after = f"{_along(point, np.cross(pole, start))} >= 0"
            before = f"{_along(point, np.cross(stop, pole))} >= 0"
            distances.append(
                f"CASE WHEN {after} AND {before} THEN {beside} ELSE least({', '.join(ends)}) END"
            )
        return f"least({', '.join(distances)})"


Shape = SkyPoint | SkyCircle | SkyPolygon


def box(centre: SkyPoint, width: float | str, height: float | str) -> SkyPolygon:
    """The polygon that ADQL means by BOX: its corners are half the sizes from the centre.

    Raises
    ------
    ConfigError
        If it is not of numbers, or reaches beyond a pole.
    """
    if not centre.is_constant or isinstance(width, str) or isinstance(height, str):
        raise ConfigError("Corners and sizes of POLYGON and BOX must be numbers, not columns.")
    ra, dec = _numbers(centre)
    if not (0 < width < 180 and height > 0 and abs(dec) + height / 2 <= 90):
        raise ConfigError("A BOX is less than 180 deg wide and does not reach beyond a pole.")
    east, west, north, south = ra + width / 2, ra - width / 2, dec + height / 2, dec - height / 2
    corners = ((east, north), (west, north), (west, south), (east, south))
    return SkyPolygon(tuple(SkyPoint(*corner) for corner in corners))


def contains_sql(inner: Shape, outer: Shape) -> str:
    """Whether a shape is inside another one, in SQL.

    Raises
    ------
    ConfigError
        If that cannot be told.
    """
    match inner, outer:
        case SkyPoint(), SkyPoint():
            return f"{inner.separation(outer)} = 0"
        case SkyPoint(), SkyCircle():
            return inner.within(outer.centre, outer.radius)
        case SkyPoint(), SkyPolygon():
            return outer.contains(inner)
        case SkyCircle(), SkyCircle():
            apart = inner.centre.separation(outer.centre)
            return f"{apart} + {_number(inner.radius)} <= {_number(outer.radius)}"
        case SkyCircle(), SkyPolygon():
            inside = outer.contains(inner.centre)
            return f"({inside} AND {outer.margin(inner.centre)} >= {_number(inner.radius)})"
        case SkyPolygon(), SkyCircle():
            near = (corner.within(outer.centre, outer.radius) for corner in inner.corners)
            return f"({' AND '.join(near)})"
    raise ConfigError(
        "CONTAINS takes a POINT or CIRCLE in a CIRCLE, BOX or POLYGON, or one of these in a CIRCLE."
    )


def intersects_sql(one: Shape, other: Shape) -> str:
    """Whether two shapes have a position in common, in SQL.

    Raises
    ------
    ConfigError
        If that cannot be told.
    """
    match one, other:
        case SkyPoint(), _:
            return contains_sql(one, other)
        case _, SkyPoint():
            return contains_sql(other, one)
        case SkyCircle(), SkyCircle():
            apart = one.centre.separation(other.centre)
            return f"{apart} <= {_number(one.radius)} + {_number(other.radius)}"
        case SkyCircle(), SkyPolygon():
            near = f"{other.margin(one.centre)} <= {_number(one.radius)}"
            return f"({other.contains(one.centre)} OR {near})"
        case SkyPolygon(), SkyCircle():
            return intersects_sql(other, one)
    raise ConfigError("INTERSECTS takes a CIRCLE and another shape, not two polygons.")


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else literal(float(value))


def _numbers(point: SkyPoint) -> tuple[Any, Any]:
    return point.ra, point.dec


def _along(point: SkyPoint, axis: Sequence[float] | np.ndarray) -> str:
    """The component of a position in a direction, in SQL."""
    terms = (f"{_number(float(a))} * {x}" for a, x in zip(axis, point.vector, strict=True))
    return f"({' + '.join(terms)})"


def _of_vector(vector: np.ndarray) -> SkyPoint:
    ra = math.degrees(math.atan2(vector[1], vector[0])) % 360.0
    return SkyPoint(ra, math.degrees(math.atan2(vector[2], math.hypot(vector[0], vector[1]))))
