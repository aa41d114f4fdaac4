"""Checked conditions as SQL for DuckDB: true where the condition holds, false or null elsewhere.

For DuckDB NaN equals itself and is larger than any number. A comparison that NaN would fulfil is
therefore joined with one that it does not, with infinity, so that both ends of a range are known
and the statistics of Parquet files still rule parts of them out.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from exod.schemas.conditions.grammar import COMPARISONS, Kind, pairs

_INFINITY: Final = "CAST('Infinity' AS DOUBLE)"
_WHOLE_LIMIT: Final = 2**127
_ARITHMETIC: Final[Mapping[type[ast.operator], str]] = MappingProxyType(
    {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
)
_TEXT_TESTS: Final = {"startswith": "starts_with", "endswith": "ends_with", "contains": "contains"}


def quoted(name: str) -> str:
    """The name of a column or table in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: float | str) -> str:
    """A constant in SQL, exactly.

    Examples
    --------
    >>> literal("it's"), literal(5), literal(0.1), literal(True)
    ("'it''s'", '5', "CAST('0.1' AS DOUBLE)", 'TRUE')
    """
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        # The text of a statement ends at a zero byte.
        parts = ("'" + part.replace("'", "''") + "'" for part in value.split("\0"))
        return " || chr(0) || ".join(parts)
    if isinstance(value, int) and abs(value) < _WHOLE_LIMIT:
        return str(value)
    try:
        return f"CAST('{float(value)!r}' AS DOUBLE)"
    except OverflowError:
        return _INFINITY


@dataclass(frozen=True)
class Compiler:
    """Writes the parts of checked conditions in SQL.

    Attributes
    ----------
    kinds : Mapping of str to str
        What each column holds.
    names : Mapping of str to str
        What each column is called in SQL.
    """

    kinds: Mapping[str, Kind]
    names: Mapping[str, str]

    def truth(self, node: ast.expr) -> str:
        """SQL that is true where a part holds; false or null where it does not."""
        return _TRUTHS.get(type(node), Compiler.value)(self, node)

    def value(self, node: ast.expr) -> str:
        """SQL of the value of a part: null, or NaN of numbers, where it is missing."""
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return f"({literal(value)})"
            case ast.Name(id=name):
                own = self.names[name]
                return f"CAST({own} AS DOUBLE)" if self.kinds[name] == "number" else own
            case ast.UnaryOp(op=ast.UAdd() | ast.USub() as op, operand=operand):
                number = self.value(operand) if _is_constant(operand) else self._double(operand)
                return f"(-{number})" if isinstance(op, ast.USub) else self.value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                sign = _ARITHMETIC[type(op)]
                return f"({self._double(left)} {sign} {self._double(right)})"
            case ast.Call(func=ast.Name(id=name), args=[operand]) if name not in _NULLS:
                return f"{name}({self._double(operand)})"
        return f"({self.truth(node)} IS TRUE)"

    def _double(self, node: ast.expr) -> str:
        return f"CAST({self.value(node)} AS DOUBLE)"

    def _may_be_nan(self, node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name):
                return self.kinds[name] == "number"
            case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
                return not _is_constant(operand) and self._is_number(operand)
        return isinstance(node, ast.BinOp | ast.Call) and self._is_number(node)

    def _is_number(self, node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name):
                return self.kinds[name] in ("number", "whole")
            case ast.Call(func=ast.Name(id=name)):
                return name in ("abs", "log10", "sqrt")
            case ast.UnaryOp(op=op):
                return not isinstance(op, ast.Not)
        return isinstance(node, ast.BinOp) or _is_constant(node)

    def _present(self, node: ast.expr) -> str:
        """SQL that is true where a value is not missing."""
        if self._may_be_nan(node):
            return f"({self.value(node)} <= {_INFINITY})"
        return f"({self.value(node)} IS NOT NULL)"

    def _combined(self, node: ast.BoolOp) -> str:
        word = " AND " if isinstance(node.op, ast.And) else " OR "
        return f"({word.join(self.truth(value) for value in node.values)})"

    def _unary(self, node: ast.UnaryOp) -> str:
        if isinstance(node.op, ast.Not):
            return f"({self.truth(node.operand)} IS NOT TRUE)"
        return self.value(node)

    def _comparison(self, node: ast.Compare) -> str:
        return f"({' AND '.join(self._pair(*pair) for pair in pairs(node))})"

    def _pair(self, first: ast.expr, op: ast.cmpop, second: ast.expr) -> str:
        if isinstance(second, ast.List | ast.Tuple | ast.Set):
            return self._listed(first, second, inside=isinstance(op, ast.In))
        return self._compared(first, COMPARISONS[type(op)], second)

    def _compared(self, first: ast.expr, sign: str, second: ast.expr) -> str:
        guarded = {">": [first], ">=": [first], "<": [second], "<=": [second]}
        sides = guarded.get(sign, [first, second])
        guards = [self._present(side) for side in sides if self._may_be_nan(side)]
        return " AND ".join((f"{self.value(first)} {sign} {self.value(second)}", *guards))

    def _listed(
        self, first: ast.expr, items: ast.List | ast.Tuple | ast.Set, *, inside: bool
    ) -> str:
        value = self.value(first)
        # Each with its own type: one number that is not whole would make all inexact.
        equal: dict[bool, list[str]] = {True: [], False: []}
        for item in items.elts:
            equal[_is_whole(item)].append(self.value(item))
        tests = [f"{value} IN ({', '.join(values)})" for values in equal.values() if values]
        found = f"({' OR '.join(tests) or 'FALSE'})"
        found = found if inside else f"NOT {found}"
        return f"{found} AND {self._present(first)}"

    def _call(self, node: ast.Call) -> str:
        name, first = ast.unparse(node.func), node.args[0]
        if name == "notnull":
            return self._present(first)
        if name == "isnull":
            return f"({self._present(first)} IS NOT TRUE)"
        if name == "between":
            low, high = node.args[1:]
            return f"({self._compared(first, '>=', low)} AND {self._compared(first, '<=', high)})"
        return f"{_TEXT_TESTS[name]}({self.value(first)}, {self.value(node.args[1])})"


_NULLS: Final = ("isnull", "notnull")
_TRUTHS: Final[Mapping[type[ast.expr], Callable[[Compiler, Any], str]]] = MappingProxyType(
    {
        ast.BoolOp: Compiler._combined,
        ast.UnaryOp: Compiler._unary,
        ast.Compare: Compiler._comparison,
        ast.Call: Compiler._call,
    }
)


def _is_constant(node: ast.expr) -> bool:
    """Whether it is a number as it was written, with its signs."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        return _is_constant(node.operand)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _is_whole(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_whole(node.operand)
    return isinstance(node, ast.Constant) and not isinstance(node.value, float)
