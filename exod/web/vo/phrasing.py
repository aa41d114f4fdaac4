"""What an address chooses, as a statement in ADQL that any TAP client can ask.

A comparison with a missing value is false in conditions of ours, and neither true nor false in
ADQL. That makes no difference to the rows that are found but where something is negated: so the
opposite of each part is written out, and a missing value belongs to it.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from exod.errors import ConfigError
from exod.schemas.conditions import Cone, parse
from exod.schemas.conditions.compiling import quoted
from exod.schemas.conditions.grammar import COMPARISONS, pairs, tree
from exod.schemas.facets import BINS, MISSING
from exod.web.selection import kind_of, selection
from exod.web.vo.adql import SCHEMA

_OPPOSITE: Final = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_ARITHMETIC: Final = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_NOTHING: Final = "1 = 0"

_POLE: Final = (192.85948, 27.12825)
"""The north pole of the galactic coordinates, ICRS, in degrees."""


def in_adql(about: Mapping[str, Any], table: str, state: Mapping[str, str]) -> str:
    """The statement.

    Parameters
    ----------
    about : Mapping
        What the product tells of the table.
    table : str
        sources or detections.
    state : Mapping of str to str
        What the address says.

    Raises
    ------
    ConfigError
        If the address cannot be, or ADQL has no words for something of it.
    """
    selection(about, table, state)  # Which says what cannot be.
    parts = [*_facets(about, state), *_flags(about, state), *_others(about, state)]
    words = ["SELECT *", f"FROM {SCHEMA}.{table}"]
    words += [f"WHERE {' AND '.join(parts)}"] if parts else []
    if sort := state.get("sort", ""):
        order = "DESC" if sort.startswith("-") else "ASC"
        key = quoted(about["key"])
        words.append(f"ORDER BY {quoted(sort.removeprefix('-'))} {order}, {key}")
    return "\n".join(words)


def _facets(about: Mapping[str, Any], state: Mapping[str, str]) -> Iterator[str]:
    for facet in about["facets"]:
        text = state.get(facet["name"], "")
        if not text:
            continue
        if facet.get("votes"):
            raise ConfigError("Votes are in no table of TAP; use exod query or the API.")
        is_latitude = facet["column"] == "#latitude"
        name = _latitude() if is_latitude else quoted(facet["column"])
        if facet["kind"] == "codes":
            yield _coded(name, facet["labels"], {int(code) for code in text.split(".")})
            continue
        low, high = map(int, text.split("-"))
        edges = facet["edges"]
        ends = [f"{name} >= {_number(edges[low])}"] if low else []
        ends += [f"{name} < {_number(edges[high + 1])}"] if high < BINS - 1 else []
        yield " AND ".join(ends) or ("1 = 1" if is_latitude else f"{name} IS NOT NULL")


def _coded(name: str, labels: list[Any], codes: set[int]) -> str:
    wanted = [labels[code] for code in sorted(codes) if code < len(labels)]
    parts = [f"{name} IN ({', '.join(map(_constant, wanted))})"] if wanted else []
    if MISSING in codes:
        parts.append(f"{name} IS NULL")
        parts += [f"{name} = ''"] if any(isinstance(label, str) for label in labels) else []
    return f"({' OR '.join(parts) or _NOTHING})"


def _latitude() -> str:
    ra, dec = _POLE
    return (
        f"DEGREES(ASIN(SIN(RADIANS({dec})) * SIN(RADIANS(dec_deg)) + COS(RADIANS({dec})) * "
        f"COS(RADIANS(dec_deg)) * COS(RADIANS(ra_deg - {ra}))))"
    )


def _flags(about: Mapping[str, Any], state: Mapping[str, str]) -> Iterator[str]:
    there = {column["name"] for column in about["columns"]}
    for word, is_set in (("flag", True), ("noflag", False)):
        for bit in filter(None, state.get(word, "").split(".")):
            name = about["flags"][int(bit)]
            if is_set:
                yield f"{quoted(name)} = 1" if name in there else _NOTHING
            elif name in there:
                yield f"({quoted(name)} = 0 OR {quoted(name)} IS NULL)"


def _others(about: Mapping[str, Any], state: Mapping[str, str]) -> Iterator[str]:
    kinds = {column["name"]: kind_of(column["type"]) for column in about["columns"]}
    if state.get("where", "").strip():
        parse(state["where"], kinds)
        yield _Phrases(kinds).true(tree(state["where"]))
    if state.get("cone"):
        cone = Cone.parse(state["cone"])
        place = f"POINT({_number(cone.ra_deg)}, {_number(cone.dec_deg)})"
        yield f"DISTANCE(POINT(ra_deg, dec_deg), {place}) <= {_number(cone.radius_arcsec / 3600)}"
    if state.get("obsid"):
        own = "obsid" if "obsid" in kinds else "best_obsid"
        yield f"{own} IN ({', '.join(map(_constant, state['obsid'].split(',')))})"
    if wanted := state.get("name"):
        wanted = wanted if wanted.startswith("EXOD") else f"EXOD {wanted}"
        yield _like("srcid", wanted, "{}%")


class _Phrases:
    """Writes checked conditions in ADQL: where they are true, and where they are not."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds

    def true(self, node: ast.expr) -> str:
        return self._said(node, is_true=True)

    def false(self, node: ast.expr) -> str:
        return self._said(node, is_true=False)

    def _said(self, node: ast.expr, *, is_true: bool) -> str:
        match node:
            case ast.BoolOp(op=op, values=values):
                word = " AND " if isinstance(op, ast.And) == is_true else " OR "
                return f"({word.join(self._said(value, is_true=is_true) for value in values)})"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._said(operand, is_true=not is_true)
            case ast.Compare():
                found = [self._pair(*pair, is_true=is_true) for pair in pairs(node)]
                return f"({(' AND ' if is_true else ' OR ').join(found)})"
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, arguments, is_true=is_true)
            case ast.Constant(value=bool() as value):
                return "1 = 1" if value == is_true else _NOTHING
            case ast.Name(id=name):
                return self._or_missing(f"{quoted(name)} = {int(is_true)}", [node], is_true)
        raise _unsaid(node)

    def _pair(self, first: ast.expr, op: ast.cmpop, second: ast.expr, *, is_true: bool) -> str:
        value = self.value(first)
        if isinstance(second, ast.List | ast.Tuple | ast.Set):
            items = ", ".join(self.value(item) for item in second.elts)
            if not items:
                return _NOTHING if isinstance(op, ast.In) == is_true else "1 = 1"
            word = "IN" if isinstance(op, ast.In) == is_true else "NOT IN"
            return self._or_missing(f"{value} {word} ({items})", [first], is_true)
        sign = COMPARISONS[type(op)]
        sign = sign if is_true else _OPPOSITE[sign]
        return self._or_missing(f"{value} {sign} {self.value(second)}", [first, second], is_true)

    def _call(self, name: str, arguments: list[ast.expr], *, is_true: bool) -> str:
        first = arguments[0]
        if name in {"isnull", "notnull"}:
            missing = " OR ".join(self._missing(first)) or _NOTHING
            there = " AND ".join(f"{own} IS NOT NULL" for own in self._columns(first)) or "1 = 1"
            return f"({missing})" if (name == "isnull") == is_true else f"({there})"
        if name == "between":
            value, low, high = map(self.value, arguments)
            word = "BETWEEN" if is_true else "NOT BETWEEN"
            return self._or_missing(f"{value} {word} {low} AND {high}", arguments, is_true)
        pattern = {"startswith": "{}%", "endswith": "%{}", "contains": "%{}%"}.get(name)
        match arguments:
            case [ast.Name(id=own), ast.Constant(value=str() as text)] if pattern:
                found = _like(quoted(own), text, pattern)
                found = found if is_true else found.replace(" LIKE ", " NOT LIKE ", 1)
                return self._or_missing(found, [first], is_true)
        raise _unsaid(first)

    def _or_missing(self, found: str, nodes: list[ast.expr], is_true: bool) -> str:  # noqa: FBT001
        if is_true:
            return found
        missing = [words for node in nodes for words in self._missing(node)]
        return f"({' OR '.join(dict.fromkeys([found, *missing]))})"

    def _columns(self, node: ast.expr) -> list[str]:
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in self._kinds}
        return [quoted(name) for name in sorted(names)]

    def _missing(self, node: ast.expr) -> list[str]:
        return [f"{name} IS NULL" for name in self._columns(node)]

    def value(self, node: ast.expr) -> str:
        """The value of a part."""
        match node:
            case ast.Constant(value=value):
                return _constant(value)
            case ast.Name(id=name):
                return quoted(name)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"(-{self.value(operand)})"
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return f"({self._number(left)} {_ARITHMETIC[type(op)]} {self._number(right)})"
            case ast.Call(func=ast.Name(id="abs" | "log10" | "sqrt" as name), args=[operand]):
                return f"{name.upper()}({self._number(operand)})"
        raise _unsaid(node)

    def _number(self, node: ast.expr) -> str:
        """The same in double precision, in which all arithmetic of conditions is."""
        if isinstance(node, ast.Constant):
            return _number(float(node.value))  # type: ignore[arg-type]
        if isinstance(node, ast.Name) and self._kinds[node.id] == "whole":
            return f"({quoted(node.id)} * 1.0e0)"
        return self.value(node)


def _like(name: str, text: str, pattern: str) -> str:
    if "%" in text or "_" in text:
        raise ConfigError("ADQL cannot search for a text with % or _ in it.")
    return f"{name} LIKE {_constant(pattern.format(text))}"


def _constant(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str):
        if not value.isprintable():
            raise ConfigError("ADQL cannot say a text with control characters.")
        return "'" + value.replace("'", "''") + "'"
    return str(value) if isinstance(value, int) else _number(float(value))


def _number(value: float) -> str:
    """A number in double precision; without an exponent it would be a decimal one."""
    if not math.isfinite(value):
        raise ConfigError("ADQL has no word for infinity.")
    text = repr(value)
    return text if "e" in text else f"{text}e0"


def _unsaid(node: ast.AST) -> ConfigError:
    return ConfigError(f"ADQL has no words for {ast.unparse(node)[:100]!r}.")
