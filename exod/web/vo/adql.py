"""Questions in ADQL 2.1, checked word by word and turned into one SELECT of DuckDB.

A statement is read into a tree. Each of its nodes must be of a kind that is listed here, each table
one of those that are shown, each function one of ADQL's: what is not known is refused, whatever
DuckDB would make of it. What is left is written anew for DuckDB, shapes on the sky as conditions
(`exod.web.vo.geometry`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from exod.errors import ConfigError
from exod.files.storage import one_line
from exod.web.vo.geometry import (
    Shape,
    SkyCircle,
    SkyPoint,
    SkyPolygon,
    box,
    contains_sql,
    intersects_sql,
)

SCHEMA: Final = "exod"
"""What names of tables may begin with, besides TAP_SCHEMA."""

MOST_CHARACTERS: Final = 20_000
MOST_TABLES: Final = 16
"""Of a statement; a table counts as often as it is named."""

MOST_NAMES: Final = 5_000
"""How many names of columns an expression may come to."""

_SHAPES: Final = ("POINT", "CIRCLE", "BOX", "POLYGON")
_FRAMES: Final = ("", "ICRS", "ICRS GEOCENTER", "ICRS BARYCENTER")
_OF_SHAPES: Final = ("CONTAINS", "INTERSECTS", "DISTANCE", "COORD1", "COORD2")

_NODES: Final = (
    *(exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery, exp.With, exp.CTE),
    *(exp.From, exp.Join, exp.Table, exp.TableAlias, exp.Alias, exp.Where, exp.Group, exp.Having),
    *(exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Distinct, exp.Column, exp.Identifier),
    *(exp.Star, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Tuple, exp.DataType),
    *(exp.DataTypeParam, exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT),
    *(exp.LTE, exp.Between, exp.In, exp.Is, exp.Like, exp.ILike, exp.Escape, exp.Exists, exp.Add),
    *(exp.Sub, exp.Mul, exp.Div, exp.Neg, exp.DPipe, exp.Case, exp.If),
)
_FUNCTIONS: Final = (
    *(exp.Abs, exp.Acos, exp.Asin, exp.Atan, exp.Atan2, exp.Avg, exp.Cast, exp.Ceil, exp.Coalesce),
    *(exp.Cos, exp.Cot, exp.Count, exp.Degrees, exp.Exp, exp.Floor, exp.Ln, exp.Log, exp.Lower),
    *(exp.Max, exp.Min, exp.Mod, exp.Pi, exp.Pow, exp.Radians, exp.Rand, exp.Round, exp.Sign),
    *(exp.Sin, exp.Sqrt, exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Sum, exp.Tan, exp.Trunc),
    *(exp.Upper, exp.Variance, exp.VariancePop),
)
_TYPES: Final = frozenset(
    ("SMALLINT", "INT", "BIGINT", "REAL", "FLOAT", "DOUBLE", "CHAR", "VARCHAR", "TEXT", "BOOLEAN")
)


@dataclass(frozen=True)
class Translated:
    """A statement that may be asked.

    Attributes
    ----------
    sql : str
        For DuckDB.
    tables : tuple of str
        The tables that it names, in the words of `translated`.
    computed : frozenset of str
        Names, in lower case, that it gives to something: of these nothing is known.
    """

    sql: str
    tables: tuple[str, ...]
    computed: frozenset[str]


def translated(
    text: str, tables: Collection[str], schema_tables: Collection[str], rows: int = 0
) -> Translated:
    """Check a statement and write it for DuckDB.

    Parameters
    ----------
    text : str
        ADQL.
    tables : collection of str
        The tables that it may name, with or without `SCHEMA` before them.
    schema_tables : collection of str
        Those of TAP_SCHEMA; in the answer ``TAP_SCHEMA.name`` is one word.
    rows : int
        Rows of the answer at most; 0 for any number.

    Raises
    ------
    ConfigError
        If it is not one SELECT of known tables and functions.

    Examples
    --------
    >>> translated("SELECT TOP 2 ra_deg FROM exod.sources", ["sources"], []).sql
    'SELECT "ra_deg" FROM "sources" AS "sources" LIMIT 2'
    >>> translated("SELECT * FROM read_csv('/etc/passwd')", ["sources"], [])
    Traceback (most recent call last):
    ...
    exod.errors.ConfigError: ADQL has no READ_CSV.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"A statement has at most {MOST_CHARACTERS} characters.")
    try:
        return _translated(_read(text), tables, schema_tables, rows)
    except SqlglotError as error:
        raise ConfigError(f"The statement cannot be read: {one_line(error)}.") from error
    except RecursionError:
        raise ConfigError("The statement has too many things inside one another.") from None


def _read(text: str) -> exp.Query:
    found = [one for one in sqlglot.parse(text, read="tsql") if one is not None]
    if len(found) != 1 or not isinstance(found[0], exp.Select | exp.SetOperation):
        raise ConfigError("ADQL is one SELECT and nothing else.")
    return found[0]


def _translated(
    tree: exp.Query, tables: Collection[str], schema_tables: Collection[str], rows: int
) -> Translated:
    for node in tree.walk():
        _check(node)
    _check_growth(tree)
    named = [*_tables(tree, tables, schema_tables)]
    aliases = {node.alias for node in tree.find_all(exp.Alias)}
    for given in tree.find_all(exp.TableAlias):
        aliases |= {column.name for column in given.args.get("columns") or ()}
    changed = tree.transform(_with_shapes, copy=False)
    for node in changed.find_all(exp.Identifier):
        node.set("quoted", True)  # noqa: FBT003 - the name of the argument is that of the setting
    for node in changed.find_all(exp.Ordered):
        node.set("nulls_first", False)  # noqa: FBT003
    limit = changed.args.get("limit")
    if rows and (limit is None or int(limit.expression.name) > rows):
        changed.set("limit", exp.Limit(expression=exp.Literal.number(rows)))
    sql = changed.sql("duckdb", comments=False)
    return Translated(sql, tuple(named), frozenset(name.lower() for name in aliases))


def _check(node: exp.Expr) -> None:
    """Refuse what is not of ADQL."""
    if isinstance(node, exp.Anonymous):
        if node.name.upper() not in _SHAPES + _OF_SHAPES:
            raise ConfigError(f"ADQL has no function {node.name[:50].upper()}.")
    elif not isinstance(node, exp.Contains) and type(node) not in _NODES + _FUNCTIONS:
        words = node.sql_name() if isinstance(node, exp.Func) else type(node).__name__.upper()
        raise ConfigError(f"ADQL has no {words}.")
    if isinstance(node, exp.DataType) and node.this.name not in _TYPES:
        raise ConfigError(f"CAST takes {', '.join(sorted(_TYPES))}, not {node.this.name}.")
    if isinstance(node, exp.Limit | exp.Offset) and not (
        isinstance(node.expression, exp.Literal) and node.expression.name.isdecimal()
    ):
        raise ConfigError("TOP and OFFSET take a whole number.")
    if isinstance(node, exp.With) and node.args.get("recursive"):
        raise ConfigError("ADQL has no WITH RECURSIVE.")
    if isinstance(node, exp.Select) and (node.args.get("into") or node.args.get("hint")):
        raise ConfigError("ADQL is one SELECT and nothing else.")


def _check_growth(tree: exp.Query) -> None:
    """Refuse what grows too much when names stand for expressions of others, and these of others.

    DuckDB writes them out while it plans, which cannot be interrupted.
    """
    size = 1
    for select in tree.find_all(exp.Select):
        parts = [*select.expressions, *filter(None, [select.args.get("where")])]
        named = [len([*part.find_all(exp.Column)]) * _spread(part) for part in parts]
        size *= max([1, *named])
        if size > MOST_NAMES:
            raise ConfigError("The statement is too large once its subqueries are written out.")


def _spread(part: exp.Expr) -> int:
    """How many times a shape names its columns, about."""
    return 6 if any(_called(node) in _OF_SHAPES for node in part.walk()) else 1


def _tables(
    tree: exp.Query, tables: Collection[str], schema_tables: Collection[str]
) -> Iterator[str]:
    """The tables that are named; each gets the name by which DuckDB knows it."""
    own = {node.alias.lower() for node in tree.find_all(exp.CTE)}
    known = {name.lower(): name for name in tables}
    schema = {name.lower(): f"TAP_SCHEMA.{name}" for name in schema_tables}
    found = [*tree.find_all(exp.Table)]
    if len(found) > MOST_TABLES:
        raise ConfigError(f"A statement names at most {MOST_TABLES} tables.")
    for node in found:
        name, place = node.name.lower(), node.db.lower()
        if not isinstance(node.this, exp.Identifier) or node.catalog:
            raise ConfigError(f"There is no table {node.sql('duckdb')[:100]}.")
        if not place and name in own:
            continue
        given = {"": known, SCHEMA: known, "tap_schema": schema}.get(place, {})
        if name not in given:
            raise ConfigError(
                f"There is no table {'.'.join(filter(None, (node.db, node.name)))[:100]!r}; there "
                f"are {', '.join(sorted(known))}, and those of TAP_SCHEMA."
            )
        if not node.alias:
            # Columns are called by the short name of their table.
            node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name)))
        node.set("this", exp.to_identifier(given[name]))
        node.set("db", None)
        yield given[name]
    for column in tree.find_all(exp.Column):
        if column.args.get("catalog") or column.db.lower() not in {"", SCHEMA, "tap_schema"}:
            raise ConfigError(f"There is no column {column.sql('duckdb')[:100]}.")
        column.set("db", None)


def _with_shapes(node: exp.Expr) -> exp.Expr:
    """Write conditions in place of what compares shapes; comparisons with 1 and 0 go with it."""
    if isinstance(node, exp.EQ):
        for call, value in ((node.this, node.expression), (node.expression, node.this)):
            compared = _compared(call)
            if compared and isinstance(value, exp.Literal) and value.name in {"0", "1"}:
                return _written(compared if value.name == "1" else f"NOT ({compared})")
    compared = _compared(node)
    if compared:
        return _written(f"CAST({compared} AS INTEGER)")
    name = _called(node)
    if name == "DISTANCE":
        one, other = _pair(node)
        return _written(one.separation(other))
    if name in {"COORD1", "COORD2"}:
        return _written(_point(_arguments(node)[0]).sql[name == "COORD2"])
    if name in _SHAPES:
        raise ConfigError(f"{name} stands in CONTAINS, INTERSECTS or DISTANCE only.")
    return node


def _written(sql: str) -> exp.Expr:
    """What is written out already, as a word of the tree."""
    return exp.Var(this=f"({sql})")


def _called(node: exp.Expr) -> str:
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
    name = _called(node)
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
    name, arguments = _called(node), _arguments(node)
    if name not in _SHAPES:
        raise ConfigError(
            f"There must be a shape, {', '.join(_SHAPES)}, and is {node.sql('duckdb')[:50]}."
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
    if arguments and _called(arguments[0]) == "POINT":
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
    changed = node.copy().transform(_with_shapes)
    for name in changed.find_all(exp.Identifier):
        name.set("quoted", True)  # noqa: FBT003
    return f"({changed.sql('duckdb', comments=False)})"
