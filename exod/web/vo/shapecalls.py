"""Shapes that a statement in ADQL calls, and what compares them, written out for DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlglot import exp

from exod.errors import ConfigError
from exod.web.vo.geometry import (
    Shape,
    SkyCircle,
    SkyPoint,
    SkyPolygon,
    box,
    contains_sql,
    intersects_sql,
)

SHAPES: Final = ("POINT", "CIRCLE", "BOX", "POLYGON")
OF_SHAPES: Final = ("CONTAINS", "INTERSECTS", "DISTANCE", "COORD1", "COORD2")
"""Functions that make shapes, and those that take them."""

_FRAMES: Final = ("", "ICRS", "ICRS GEOCENTER", "ICRS BARYCENTER")


def with_shapes(node: exp.Expr) -> exp.Expr:
    """Write conditions in place of what compares shapes; comparisons with 1 and 0 go with it."""
    if isinstance(node, exp.EQ):
        for call, value in ((node.this, node.expression), (node.expression, node.this)):
            compared = _compared(call)
            if compared and isinstance(value, exp.Literal) and value.name in {"0", "1"}:
                return _written(compared if value.name == "1" else f"NOT ({compared})")
    compared = _compared(node)
    if compared:
        return _written(f"CAST({compared} AS INTEGER)")
    name = called(node)
    if name == "DISTANCE":
        one, other = _pair(node)
        return _written(one.separation(other))
    if name in {"COORD1", "COORD2"}:
        return _written(_point(_arguments(node)[0]).sql[name == "COORD2"])
    if name in SHAPES:
        raise ConfigError(f"{name} stands in CONTAINS, INTERSECTS or DISTANCE only.")
    return node


def _written(sql: str) -> exp.Expr:
    """What is written out already, as a word of the tree."""
    return exp.Var(this=f"({sql})")


def called(node: exp.Expr) -> str:
    """The name of a function that sqlglot has no class for, and of CONTAINS; otherwise empty."""
    if isinstance(node, exp.Contains):
        return "CONTAINS"
    return node.name.upper() if isinstance(node, exp.Anonymous) else ""


def _arguments(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Contains):
        return [node.this, node.expression]
    return list(node.expressions)


_COMPARISONS: Final[dict[str, Callable[[Shape, Shape], str]]] = {
    "CONTAINS": contains_sql,
    "INTERSECTS": intersects_sql,
}


def _compared(node: exp.Expr) -> str:
    name = called(node)
    if name not in _COMPARISONS:
        return ""
    arguments = _arguments(node)
    if len(arguments) != 2 or None in arguments:
        raise ConfigError(f"{name} takes two shapes.")
    return _COMPARISONS[name](*(_shape(argument) for argument in arguments))


def _pair(node: exp.Expr) -> tuple[SkyPoint, SkyPoint]:
    arguments = _arguments(node)
    if len(arguments) == 4:
        ra, dec, other_ra, other_dec = map(_value, arguments)
        return SkyPoint(ra, dec), SkyPoint(other_ra, other_dec)
    if len(arguments) != 2:
        raise ConfigError("DISTANCE takes two POINTs, or four coordinates.")
    return _point(arguments[0]), _point(arguments[1])


def _point(node: exp.Expr) -> SkyPoint:
    found = _shape(node)
    if not isinstance(found, SkyPoint):
        raise ConfigError("There must be a POINT, and is another shape.")
    return found


def _shape(node: exp.Expr) -> Shape:
    """The shape that a call of POINT, CIRCLE, BOX or POLYGON makes."""
    name, arguments = called(node), _arguments(node)
    if name not in SHAPES:
        raise ConfigError(
            f"There must be a shape, {', '.join(SHAPES)}, and is {node.sql('duckdb')[:50]}."
        )
    first = arguments[0] if arguments else None
    if isinstance(first, exp.Literal) and first.is_string:
        if first.name.strip().upper() not in _FRAMES:
            raise ConfigError(f"Positions are in ICRS, not in {first.name[:50]!r}.")
        arguments = arguments[1:]
    if name in {"POLYGON", "POINT"}:
        return _corners(name, arguments)
    size = {"CIRCLE": 1, "BOX": 2}[name]
    if len(arguments) == size + 1:
        centre, rest = _point(arguments[0]), arguments[1:]
    elif len(arguments) == size + 2:
        centre, rest = SkyPoint(_value(arguments[0]), _value(arguments[1])), arguments[2:]
    else:
        raise ConfigError(f"{name} takes a centre and {size} more.")
    sizes = [_value(argument) for argument in rest]
    return SkyCircle(centre, sizes[0]) if name == "CIRCLE" else box(centre, *sizes)


def _corners(name: str, arguments: list[exp.Expr]) -> Shape:
    if name == "POINT":
        if len(arguments) != 2:
            raise ConfigError("POINT takes a right ascension and a declination.")
        return SkyPoint(*map(_value, arguments))
    if arguments and called(arguments[0]) == "POINT":
        return SkyPolygon(tuple(map(_point, arguments)))
    if len(arguments) % 2:
        raise ConfigError("POLYGON takes pairs of right ascension and declination.")
    values = [_value(argument) for argument in arguments]
    return SkyPolygon(tuple(map(SkyPoint, values[::2], values[1::2])))


def _value(node: exp.Expr) -> float | str:
    """A number, or an expression in SQL with all shapes in it written out."""
    sign, inner = 1.0, node
    while isinstance(inner, exp.Neg | exp.Paren):
        sign, inner = -sign if isinstance(inner, exp.Neg) else sign, inner.this
    if isinstance(inner, exp.Literal) and not inner.is_string:
        return sign * float(inner.name)
    changed = node.copy().transform(with_shapes)
    for name in changed.find_all(exp.Identifier):
        name.set("quoted", True)  # noqa: FBT003
    return f"({changed.sql('duckdb', comments=False)})"
