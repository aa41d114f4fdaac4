"""What may be written in a condition, and what is wrong with anything else."""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

from exod.errors import ConfigError

Kind = Literal["number", "whole", "text", "boolean", "list"]
"""What a column holds: whole numbers stay exact, other numbers may be NaN, lists have no order."""

FUNCTIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "isnull": ("any",),
        "notnull": ("any",),
        "between": ("any", "any", "any"),
        "startswith": ("text", "text"),
        "endswith": ("text", "text"),
        "contains": ("text", "text"),
        "abs": ("number",),
        "log10": ("number",),
        "sqrt": ("number",),
    }
)
"""The functions, with what their arguments are; ``between`` includes both ends."""

COMPARISONS: Final[Mapping[type[ast.cmpop], str]] = MappingProxyType(
    {ast.Eq: "=", ast.NotEq: "<>", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
)
"""The comparisons, with their signs in SQL."""

RENAMED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unique_reg_id": "region_num",
        "max_B_peak": "max_B_peak_log",
        "max_B_eclipse": "max_B_eclipse_log",
        "sigma_max_B_peak": "sigma_peak",
        "sigma_max_B_eclipse": "sigma_eclipse",
    }
)
"""Columns that archives of format 2 called otherwise, and their names since."""
_ARITHMETIC: Final = (ast.Add, ast.Sub, ast.Mult, ast.Div)
_SAME: Final = "; compare numbers with numbers and text with text, which stands in quotes"
_DEPTH: Final = 100
_LENGTH: Final = 100_000


def unknown(name: str, known: Iterable[str], what: str, elsewhere: str = "") -> ConfigError:
    """The error for a column that does not exist, with names that are close to it.

    Examples
    --------
    >>> print(unknown("n_detection", ["n_detections", "srcid"], "Table sources", ""))
    Table sources has no column 'n_detection'; did you mean n_detections?
    """
    names = list(known)
    if (now := RENAMED.get(name)) in names:
        return ConfigError(f"{what} has no column {name!r}; it is called {now} since format 3.")
    lower = {other.lower(): other for other in names}
    close = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.6)
    if elsewhere:
        hint = f"it is a column of {elsewhere}."
    elif close:
        hint = f"did you mean {' or '.join(lower[other] for other in close)}?"
    else:
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        hint = f"its columns are {shown}."
    return ConfigError(f"{what} has no column {name!r}; {hint}")


def tree(text: str) -> ast.expr:
    """The syntax tree of a condition.

    Raises
    ------
    ConfigError
        If it has none; the text tells where and why.
    """
    flat = " ".join(text.splitlines()).strip()
    if not flat:
        raise ConfigError("The condition is empty; write one as in n_detections > 1.")
    if len(flat) > _LENGTH:
        raise ConfigError(f"The condition has more than {_LENGTH:,} characters; make it shorter.")
    try:
        with warnings.catch_warnings():
            # Python warns of what the checks refuse with a sentence.
            warnings.simplefilter("ignore")
            return ast.parse(flat, mode="eval").body
    except SyntaxError as error:
        place = min(max((error.offset or 1) - 1, 0), len(flat))
        rest = flat[place : place + 20] or "its end"
        raise ConfigError(
            f"The condition {short(flat)} cannot be understood at character {place + 1} "
            f"({rest}); {_advice(flat, error)}."
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise ConfigError(
            f"The condition {short(flat)} cannot be understood; write one as in n > 5."
        ) from None


def _advice(text: str, error: SyntaxError) -> str:
    if "leading zeros" in str(error):
        return "put quotes around identifiers with leading zeros, as in obsid == '0001730201'"
    if "unterminated" in str(error):
        return "a quote is not closed"
    if re.search(r"\b(AND|OR|NOT|IN|IS|LIKE|BETWEEN)\b|<>|&&|\|\|", text):
        return "the words are and, or, not, in (small letters), != is unequal"
    if re.search(r"(?<![=<>!])=(?!=)", text):
        return "equality is =="
    return "write conditions as in n > 5 and startswith(target, 'HD')"


def short(text: str) -> str:
    """Text in quotes, cut if it is long."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def named(kind: str) -> str:
    """What a kind is called in a sentence."""
    names = {"number": "a number", "boolean": "true or false", "list": "a list"}
    return names.get(kind, kind)


def depends(node: ast.AST) -> bool:
    """Whether the value of a part of a condition depends on columns."""
    return any(isinstance(item, ast.Name) and item.id not in FUNCTIONS for item in ast.walk(node))


class Checker:
    """Tells of what kind each part of a condition is; raises `ConfigError` where it does not fit.

    Parameters
    ----------
    kinds : Mapping of str to str
        What each column holds.
    what : str
        What has the columns, for errors.
    elsewhere : Mapping of str to str
        Where other columns are, for errors.
    """

    def __init__(self, kinds: Mapping[str, Kind], what: str, elsewhere: Mapping[str, str]) -> None:
        self.kinds, self.what, self.elsewhere = kinds, what, elsewhere
        self._depth = 0

    def kind(self, node: ast.expr) -> str:
        """What a part of a condition gives: number, text or boolean."""
        if self._depth > _DEPTH:
            raise ConfigError(f"The condition is nested more than {_DEPTH} deep; make it simpler.")
        check = _CHECKS.get(type(node))
        if check is None:
            raise _refused(node)
        self._depth += 1
        found = check(self, node)
        self._depth -= 1
        return found

    def _constant(self, node: ast.Constant) -> str:
        match node.value:
            case bool():
                return "boolean"
            case int() | float():
                return "number"
            case str(text) if text.isascii() or text.encode("utf-8", "replace").decode() == text:
                return "text"
            case None:
                raise ConfigError("Nothing equals None; write isnull(x) or notnull(x).")
        raise ConfigError(f"{node.value!r} cannot be compared; use numbers, text, True and False.")

    def _column(self, node: ast.Name) -> str:
        if node.id not in self.kinds:
            raise unknown(node.id, self.kinds, self.what, self.elsewhere.get(node.id, ""))
        if self.kinds[node.id] == "list":
            raise ConfigError(f"{node.id} holds a list in each row, which has no order.")
        return "number" if self.kinds[node.id] == "whole" else self.kinds[node.id]

    def _combined(self, node: ast.BoolOp) -> str:
        for value in node.values:
            self._expect("boolean", value)
        return "boolean"

    def _unary(self, node: ast.UnaryOp) -> str:
        if isinstance(node.op, ast.Invert):
            raise ConfigError("Write not instead of ~.")
        return self._expect("boolean" if isinstance(node.op, ast.Not) else "number", node.operand)

    def _binary(self, node: ast.BinOp) -> str:
        if isinstance(node.op, ast.BitAnd | ast.BitOr):
            raise ConfigError("Write and and or instead of & and |.")
        if not isinstance(node.op, _ARITHMETIC):
            raise _refused(node)
        self._expect("number", node.left)
        return self._expect("number", node.right)

    def _comparison(self, node: ast.Compare) -> str:
        for first, op, second in pairs(node):
            kind = self.kind(first)
            if isinstance(op, ast.In | ast.NotIn):
                self._list(first, kind, second)
            elif type(op) in COMPARISONS:
                self._same(first, kind, second)
            else:
                raise ConfigError("Write isnull(x) or notnull(x) instead of comparing with is.")
        return "boolean"

    def _call(self, node: ast.Call) -> str:
        name = ast.unparse(node.func)
        if name not in FUNCTIONS or node.keywords:
            raise ConfigError(
                f"{_written(node)} cannot be used; the functions are {', '.join(FUNCTIONS)}."
            )
        wanted, args = FUNCTIONS[name], node.args
        if len(args) != len(wanted):
            raise ConfigError(f"{name} takes {len(wanted)} values, not {len(args)}.")
        for kind, arg in zip(wanted, args, strict=True):
            if kind == "any":
                self._same(args[0], self.kind(args[0]), arg)
            else:
                self._expect(kind, arg)
        if wanted == ("text", "text") and not isinstance(args[1], ast.Constant):
            raise ConfigError(f"The second value of {name} must be text in quotes.")
        return "number" if wanted == ("number",) else "boolean"

    def _expect(self, wanted: str, node: ast.expr) -> str:
        kind = self.kind(node)
        if kind != wanted:
            raise ConfigError(
                f"{_written(node)} is {named(kind)} and stands where {named(wanted)} is "
                f"needed{_SAME}."
            )
        return kind

    def _list(self, first: ast.expr, kind: str, second: ast.expr) -> None:
        if not isinstance(second, ast.List | ast.Tuple | ast.Set):
            raise ConfigError(
                f"{_written(second)} is no list; write x in ('a', 'b'), or contains(x, 'a') for "
                f"a part of text."
            )
        for item in second.elts:
            self._same(first, kind, item)
            if depends(item):
                raise ConfigError(f"{_written(item)} in a list must not depend on columns.")

    def _same(self, first: ast.expr, kind: str, second: ast.expr) -> None:
        other = self.kind(second)
        if other != kind:
            raise ConfigError(
                f"{_written(first)} is {named(kind)} and {_written(second)} is "
                f"{named(other)}{_SAME}."
            )


_CHECKS: Final[Mapping[type[ast.expr], Callable[[Checker, Any], str]]] = MappingProxyType(
    {
        ast.Constant: Checker._constant,
        ast.Name: Checker._column,
        ast.BoolOp: Checker._combined,
        ast.UnaryOp: Checker._unary,
        ast.BinOp: Checker._binary,
        ast.Compare: Checker._comparison,
        ast.Call: Checker._call,
    }
)


def pairs(node: ast.Compare) -> Iterator[tuple[ast.expr, ast.cmpop, ast.expr]]:
    """The single comparisons of a chain as ``1 < x <= 5``."""
    operands: Sequence[ast.expr] = [node.left, *node.comparators]
    return zip(operands, node.ops, operands[1:], strict=False)


def _refused(node: ast.AST) -> ConfigError:
    return ConfigError(
        f"{_written(node)} has no meaning in a condition; use columns, numbers, text in quotes, "
        f"comparisons, and, or, not, in, + - * / and {', '.join(FUNCTIONS)}."
    )


def _written(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 else f"{text[:37]}..."
