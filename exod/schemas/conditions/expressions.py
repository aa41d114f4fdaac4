"""Conditions on the columns of a table as text: parsed, checked and written in SQL, never executed.

The language is a small part of Python's: comparisons, ``and``, ``or``, ``not``, ``in``, ``+ - * /``
and `FUNCTIONS` of `exod.schemas.conditions.grammar`. Numbers, text and true or false are never
mixed.

A value is missing if it is NaN or null. A comparison with a missing value is false, whichever it
is, ``!=`` and ``not in`` too; ``not`` makes true of false; arithmetic with a missing value gives
one. Arithmetic is in double precision, comparisons of whole numbers are exact.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from exod.errors import ConfigError
from exod.schemas.conditions.compiling import Compiler, quoted
from exod.schemas.conditions.grammar import Checker, Kind, named, pairs, short, tree

if TYPE_CHECKING:
    import pandas as pd

_EMPTY = {"number": "float64", "whole": "int64", "text": "string", "boolean": "bool"}
"""Arrow types of columns without any value."""


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

    def sql(self, names: Mapping[str, str] | None = None) -> str:
        """The condition for DuckDB: true where it holds, false or null where it does not.

        Parameters
        ----------
        names : Mapping of str to str, optional
            What each column is called in SQL; in quotes as it is, if not given.

        Examples
        --------
        >>> parse("n > 1 and not p", {"n": "whole", "p": "boolean"}).sql()
        '(("n" > (1)) AND ("p" IS NOT TRUE))'
        """
        known = names if names is not None else {name: quoted(name) for name in self.kinds}
        return Compiler(self.kinds, known).truth(tree(self.text))

    def mask(self, frame: pd.DataFrame) -> np.ndarray:
        """Which rows of a frame fulfil it.

        Parameters
        ----------
        frame : DataFrame
            With at least `columns`.

        Returns
        -------
        ndarray of bool, one a row

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"n": [1, 5, 9], "sigma": [3.0, np.nan, 5.5]})
        >>> parse("n > 1 and not sigma < 5", {"n": "number", "sigma": "number"}).mask(frame)
        array([False,  True,  True])
        """
        # Who only parses a command needs neither.
        import duckdb
        import pyarrow as pa

        rows = {"#": pa.array(np.arange(len(frame)))}
        for name in self.columns:
            column = pa.array(frame[name], from_pandas=True)
            rows[name] = column.cast(_EMPTY[self.kinds[name]]) if column.type == "null" else column
        with duckdb.connect(config={"threads": "1"}) as connection:
            connection.register("rows", pa.table(rows))
            query = f"({self.sql()}) IS TRUE AS found"
            found = connection.table("rows").order('"#"').project(query).fetchnumpy()["found"]
        return np.asarray(found, dtype=bool)

    def values(self, name: str) -> set[Any] | None:
        """The constants of which a column must be one for the condition to hold; None for any.

        Examples
        --------
        >>> parse("obsid in ('1', '2') and n > 1 and obsid == '2'",
        ...       {"n": "number", "obsid": "text"}).values("obsid")
        {'2'}
        """
        found: set[Any] | None = None
        for values in _equalities(tree(self.text), name):
            found = values if found is None else found & values
        return found


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
        What each column holds: number, whole, text, boolean or list.
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


def _equalities(node: ast.expr, name: str) -> Iterator[set[Any]]:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            for part in parts:
                yield from _equalities(part, name)
        case ast.Compare():
            for pair in pairs(node):
                match pair:
                    case (ast.Name(id=own), ast.Eq(), ast.Constant(value=value)) | (
                        ast.Constant(value=value),
                        ast.Eq(),
                        ast.Name(id=own),
                    ) if own == name:
                        yield {value}
                    case (
                        ast.Name(id=own),
                        ast.In(),
                        ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items),
                    ) if own == name and all(isinstance(item, ast.Constant) for item in items):
                        yield {item.value for item in items if isinstance(item, ast.Constant)}
