"""Questions in ADQL 2.1, checked word by word and turned into one SELECT of DuckDB.

A statement is read into a tree. Each of its nodes must be of a kind that is listed here, each table
one of those that are shown, each function one of ADQL's: what is not known is refused, whatever
DuckDB would make of it. What is left is written anew for DuckDB, shapes on the sky as conditions
(`exod.web.vo.geometry`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from exod.errors import ConfigError
from exod.files.storage import one_line
from exod.web.vo.shapecalls import OF_SHAPES, SHAPES, called, with_shapes

SCHEMA: Final = "exod"
"""What names of tables may begin with, besides TAP_SCHEMA."""

MOST_CHARACTERS: Final = 20_000
MOST_TABLES: Final = 16
"""Of a statement; a table counts as often as it is named."""

MOST_NAMES: Final = 5_000
"""How many names of columns an expression may come to."""

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


_QUERY: Final = frozenset(("with_", "limit", "offset", "order"))
_PARTS: Final[dict[type[exp.Expr], frozenset[str]]] = {
    exp.Select: _QUERY | {"expressions", "distinct", "from_", "joins", "where", "group", "having"},
    **dict.fromkeys(
        (exp.Union, exp.Except, exp.Intersect), _QUERY | {"this", "expression", "distinct"}
    ),
    exp.Star: frozenset(),
    exp.Distinct: frozenset(("expressions",)),
    exp.Group: frozenset(("expressions",)),
    exp.Join: frozenset(("this", "on", "using", "method", "side", "kind")),
    exp.Table: frozenset(("this", "db", "catalog", "alias")),
    exp.Subquery: frozenset(("this", "alias")),
    exp.In: frozenset(("this", "expressions", "query")),
    exp.CTE: frozenset(("this", "alias")),
}
"""Of what such a node may consist: DuckDB knows more, which is refused."""

_JOINS: Final = frozenset(("", "NATURAL", "LEFT", "RIGHT", "FULL", "INNER", "OUTER", "CROSS"))

# It writes of what it refuses, in words of readers, into the log of the server.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)


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
    except ParseError as error:
        about = error.errors[0] if error.errors else {"description": "it is no SELECT"}
        place = f" at line {about['line']}, character {about['col']}" if about.get("line") else ""
        # What the parser calls the parts of a statement in its own code says nothing to readers.
        why = re.sub(r" for <class '[^']*'>", "", about["description"])
        raise ConfigError(f"The statement cannot be read{place}: {why[:200]}.") from error
    except SqlglotError as error:
        raise ConfigError(f"The statement cannot be read: {one_line(error)[:200]}.") from error
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
    changed = tree.transform(with_shapes, copy=False)
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
        if node.name.upper() not in SHAPES + OF_SHAPES:
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
    _check_parts(node)


def _check_parts(node: exp.Expr) -> None:
    """Refuse parts of what is of ADQL that are not."""
    known = _PARTS.get(type(node), frozenset(node.args))
    for name, given in node.args.items():
        if name not in known and given:
            words = f"{type(node).__name__.upper()} with {name.strip('_').upper()}"
            raise ConfigError(f"ADQL has no {words}.")
    if isinstance(node, exp.Join):
        unknown = {node.method, node.side, node.kind} - _JOINS
        if unknown:
            raise ConfigError(f"ADQL has no {' '.join(sorted(unknown))} JOIN.")


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
    return 6 if any(called(node) in OF_SHAPES for node in part.walk()) else 1


def _tables(
    tree: exp.Query, tables: Collection[str], schema_tables: Collection[str]
) -> Iterator[str]:
    """The tables that are named; each gets the name by which DuckDB knows it."""
    own = [node.alias.lower() for node in _named_queries(tree)]
    known = {name.lower(): name for name in tables}
    schema = {name.lower(): f"TAP_SCHEMA.{name}" for name in schema_tables}
    found = [*tree.find_all(exp.Table)]
    if len(found) > MOST_TABLES:
        raise ConfigError(f"A statement names at most {MOST_TABLES} tables.")
    for node in found:
        name, place = node.name.lower(), node.db.lower()
        if not isinstance(node.this, exp.Identifier) or node.catalog:
            raise ConfigError(f"There is no table {node.sql('duckdb')[:100]}.")
        if not place and name in own[: _visible(tree, node)]:
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


def _named_queries(tree: exp.Query) -> list[exp.Expr]:
    """What WITH names, in its order; it stands before the statement and nowhere else (ADQL 2.1).

    Elsewhere it would hide the names of tables in a part of the statement only.
    """
    given = tree.args.get("with_")
    if any(one is not given for one in tree.find_all(exp.With)):
        raise ConfigError("WITH stands before the statement, and nowhere else.")
    return list(given.expressions) if given else []


def _visible(tree: exp.Query, node: exp.Expr) -> int | None:
    """How many of the queries that WITH names can be named there: in each, those before it."""
    above: exp.Expr | None = node
    while above is not None and not isinstance(above, exp.CTE):
        above = above.parent
    return _named_queries(tree).index(above) if above is not None else None
