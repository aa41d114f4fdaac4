"""The value of a checked condition for the rows of a frame; nothing is ever executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from exod.queries.grammar import COMPARISONS, MIRRORED, pairs

_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = MappingProxyType(
    {ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide}
)
_NUMERIC: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {"abs": np.abs, "log10": np.log10, "sqrt": np.sqrt}
)


@dataclass(frozen=True)
class Value:
    """Values of all rows, or one for all, and which of them are missing."""

    values: Any
    missing: Any = False

    @property
    def truth(self) -> Any:
        """Whether it is true; what is missing is not."""
        return np.logical_and(self.values, np.logical_not(self.missing))

    @property
    def double(self) -> Any:
        """The value in double precision, NaN where missing."""
        try:
            numbers = np.asarray(self.values, dtype=np.float64)
        except OverflowError:
            # A whole number of more than 308 digits.
            numbers = np.asarray(np.inf if self.values > 0 else -np.inf)
        return np.where(self.missing, np.nan, numbers)


class Evaluator:
    """Evaluates the parts of checked conditions for the rows of `frame`."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def value(self, node: ast.expr) -> Value:
        """The value of a part."""
        return _EVALUATIONS[type(node)](self, node)

    def _constant(self, node: ast.Constant) -> Value:
        return Value(node.value)

    def _column(self, node: ast.Name) -> Value:
        series = self.frame[node.id]
        kind = series.dtype
        if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_integer_dtype(kind):
            if isinstance(kind, np.dtype):
                return Value(series.to_numpy())
            plain = bool if pd.api.types.is_bool_dtype(kind) else np.int64
            return Value(series.to_numpy(plain, na_value=plain(0)), series.isna().to_numpy())
        if pd.api.types.is_numeric_dtype(kind):
            return _number(series.to_numpy(np.float64, na_value=np.nan))
        return Value(series, series.isna().to_numpy())

    def _combined(self, node: ast.BoolOp) -> Value:
        combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        found = self.value(node.values[0]).truth
        for item in node.values[1:]:
            found = combine(found, self.value(item).truth)
        return Value(found)

    def _unary(self, node: ast.UnaryOp) -> Value:
        found = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return Value(np.logical_not(found.truth))
        if isinstance(node.op, ast.UAdd):
            return found
        if isinstance(found.values, int):
            return Value(-found.values)
        return _number(-found.double)

    def _binary(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        with np.errstate(all="ignore"):
            return _number(_ARITHMETIC[type(node.op)](left.double, right.double))

    def _comparison(self, node: ast.Compare) -> Value:
        found: Any = np.True_
        for first, op, second in pairs(node):
            left = self.value(first)
            if isinstance(second, ast.List | ast.Tuple | ast.Set):
                here = self._listed(left, second)
                if isinstance(op, ast.NotIn):
                    here = np.logical_not(np.logical_or(here, left.missing))
            else:
                here = _compared(COMPARISONS[type(op)][1], left, self.value(second))
            found = np.logical_and(found, here)
        return Value(found)

    def _listed(self, value: Value, items: ast.List | ast.Tuple | ast.Set) -> Any:
        found: Any = np.False_
        for item in items.elts:
            found = np.logical_or(found, _compared(operator.eq, value, self.value(item)))
        return found

    def _call(self, node: ast.Call) -> Value:
        name = ast.unparse(node.func)
        values = [self.value(arg) for arg in node.args]
        first = values[0]
        if name in ("isnull", "notnull"):
            return Value(np.equal(first.missing, name == "isnull"))
        if name == "between":
            low = _compared(operator.ge, first, values[1])
            return Value(np.logical_and(low, _compared(operator.le, first, values[2])))
        if name in _NUMERIC:
            with np.errstate(all="ignore"):
                return _number(_NUMERIC[name](first.double))
        return Value(_text_test(name, first, values[1].values))


_EVALUATIONS: Final[Mapping[type[ast.expr], Callable[[Evaluator, Any], Value]]] = MappingProxyType(
    {
        ast.Constant: Evaluator._constant,
        ast.Name: Evaluator._column,
        ast.BoolOp: Evaluator._combined,
        ast.UnaryOp: Evaluator._unary,
        ast.BinOp: Evaluator._binary,
        ast.Compare: Evaluator._comparison,
        ast.Call: Evaluator._call,
    }
)


def _number(values: Any) -> Value:
    return Value(values, np.isnan(values))


def _compared(compare: Callable[[Any, Any], Any], left: Value, right: Value) -> Any:
    pair = left.values, right.values
    if isinstance(pair[0], str) and isinstance(pair[1], pd.Series):
        # Text of pandas is compared from its left side only.
        compare, pair = _mirrored(compare), (pair[1], pair[0])
    found = compare(*pair)
    if isinstance(found, pd.Series):
        found = found.fillna(value=False).to_numpy(bool)
    here = np.logical_not(np.logical_or(left.missing, right.missing))
    return np.logical_and(found, here)


def _mirrored(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    functions = dict(COMPARISONS.values())
    sign = next(sign for sign, function in functions.items() if function is compare)
    return functions[MIRRORED[sign]]


def _text_test(name: str, value: Value, wanted: str) -> Any:
    if isinstance(value.values, str):
        tests = {"startswith": str.startswith, "endswith": str.endswith}
        return tests.get(name, str.__contains__)(value.values, wanted)
    text = value.values.str
    if name == "contains":
        found = text.contains(wanted, regex=False)
    else:
        found = getattr(text, name)(wanted)
    return found.fillna(value=False).to_numpy(bool)
