"""Conditions on the columns of a table as text: parsed, checked and evaluated, never executed.

The language is a small part of Python's: comparisons, ``and``, ``or``, ``not``, ``in``, ``+ - * /``
and the functions of `exod.queries.grammar.FUNCTIONS`. Numbers, text and true or false are never
mixed.

A value is missing if it is NaN or null. A comparison with a missing value is false, whichever it
is, ``!=`` and ``not in`` too; ``not`` makes true of false; arithmetic with a missing value gives
one. Arithmetic is in double precision, comparisons of whole numbers are exact.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from exod.errors import ConfigError
from exod.queries.evaluation import Evaluator
from exod.queries.grammar import (
    COMPARISONS,
    MIRRORED,
    Checker,
    Kind,
    depends,
    named,
    pairs,
    short,
    tree,
)

Condition = tuple[str, str, Any]
"""Column, operator and value; operators are those of `Expression.conditions`."""


@dataclass(frozen=True)
class Expression:
    """A condition on the columns of a table; made by `parse`, which checks it.

    Attributes
    ----------
    text : str
        As it was written.
    kinds : Mapping of str to str
        What each column of the table holds.
    """

    text: str
    kinds: Mapping[str, Kind] = field(repr=False)

    @property
    def columns(self) -> list[str]:
        """The columns it is about, sorted."""
        names = (node.id for node in ast.walk(tree(self.text)) if isinstance(node, ast.Name))
        return sorted({name for name in names if name in self.kinds})

    def mask(self, frame: pd.DataFrame) -> np.ndarray:
        """Which rows fulfil it.

        Parameters
        ----------
        frame : DataFrame
            With at least `columns`.

        Returns
        -------
        ndarray of bool, one a row

        Examples
        --------
        >>> frame = pd.DataFrame({"n": [1, 5, 9], "sigma": [3.0, np.nan, 5.5]})
        >>> parse("n > 1 and not sigma < 5", {"n": "number", "sigma": "number"}).mask(frame)
        array([False,  True,  True])
        """
        found = Evaluator(frame).value(tree(self.text)).truth
        return np.array(np.broadcast_to(found, len(frame)), dtype=bool)

    def conditions(self) -> list[Condition]:
        """Simple conditions that all rows fulfil which fulfil the expression; there may be none.

        Returns
        -------
        list of (str, str, object)
            Column, operator and constant. Operators are ``==``, ``!=``, ``<``, ``<=``, ``>``,
            ``>=``, ``in``, ``not in`` and ``startswith``; missing values fulfil none, but for
            ``== False``, which boolean columns fulfil where null.

        Examples
        --------
        >>> kinds = {"n": "number", "obsid": "text"}
        >>> parse("obsid == '0001730201' and 2 < n <= 10 / 2 and (n > 4 or n < 3)",
        ...       kinds).conditions()
        [('obsid', '==', '0001730201'), ('n', '>', 2), ('n', '<=', 5.0)]
        """
        return [*_conditions(tree(self.text))]


def parse(
    text: str,
    kinds: Mapping[str, Kind],
    what: str = "The table",
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> Expression:
    """Check a condition.

    Parameters
    ----------
    text : str
        The condition.
    kinds : Mapping of str to str
        What each column holds: number, text, boolean or list.
    what : str
        What has the columns, for errors.
    elsewhere : Mapping of str to str
        Where other columns are, for errors.

    Raises
    ------
    ConfigError
        If it is not a condition of this language, names a column that does not exist, or compares
        what cannot be compared.
    """
    kind = Checker(kinds, what, elsewhere).kind(tree(text))
    if kind != "boolean":
        raise ConfigError(
            f"The condition {short(text)} is {named(kind)}, neither true nor false; compare it "
            f"with something, as in n > 5."
        )
    return Expression(text, dict(kinds))


def _conditions(node: ast.expr) -> Iterator[Condition]:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            for value in values:
                yield from _conditions(value)
        case ast.Name(id=name):
            yield name, "==", True
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name(id=name)):
            yield name, "==", False
        case ast.Compare():
            for first, op, second in pairs(node):
                yield from _condition(first, op, second)
        case ast.Call(func=ast.Name(id="startswith"), args=[ast.Name(id=name), text]):
            yield from ((name, "startswith", value) for value in _constants([text]))
        case ast.Call(func=ast.Name(id="between"), args=[ast.Name(id=name), low, high]):
            yield from ((name, ">=", value) for value in _constants([low]))
            yield from ((name, "<=", value) for value in _constants([high]))


def _condition(first: ast.expr, op: ast.cmpop, second: ast.expr) -> Iterator[Condition]:
    match first, second:
        case ast.Name(id=name), ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            values = _constants(items)
            if values and len(values) == len(items):
                yield name, "in" if isinstance(op, ast.In) else "not in", values
        case ast.Name(id=name), _ if type(op) in COMPARISONS:
            yield from ((name, COMPARISONS[type(op)][0], value) for value in _constants([second]))
        case _, ast.Name(id=name) if type(op) in COMPARISONS:
            sign = MIRRORED[COMPARISONS[type(op)][0]]
            yield from ((name, sign, value) for value in _constants([first]))


def _constants(nodes: Iterable[ast.expr]) -> list[Any]:
    """The values of those nodes that do not depend on columns and are not missing."""
    nothing = Evaluator(pd.DataFrame())
    found = [nothing.value(node) for node in nodes if not depends(node)]
    values = [value.values for value in found if not np.any(value.missing)]
    return [
        value.item() if isinstance(value, np.generic | np.ndarray) else value for value in values
    ]
