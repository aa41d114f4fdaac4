"""Cells of text tables: what a column of them holds, and cells that a spreadsheet would compute.

Text stays text. A column is one of numbers only if all of its cells are, and if no digit is lost by
that; one cell alone decides nothing.
"""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

MISSING: Final = ("NaN", "nan", "NAN", "NULL", "null", "None", "N/A", "NA", "n/a", "--", "<NA>")
"""What stands for a missing value among numbers; among texts it is a text."""

_WHOLE: Final = r"^[+-]?\d+$"
_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?$"
_INFINITE: Final = r"(?i)^[+-]?inf(inity)?$"
_ZEROS: Final = r"^[+-]?0\d+$"
_MEASURED: Final = r"\.|[eEdD][+-]"
_BARE_POWER: Final = r"^[+-]?\d+[eEdD]\d+$"
_LONG: Final = r"^[+-]?\d{16,}$"

_COMPUTED: Final = r"^('*(?:[=@\t\r]|[+-].))"
"""How a cell begins that a spreadsheet takes for a formula (OWASP, CSV injection)."""
_PLAIN_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def typed(cells: pa.Array) -> pa.Array:
    r"""Cells of a column as numbers, truth values or text.

    Parameters
    ----------
    cells : pyarrow.Array of string
        What is between the separators.

    Returns
    -------
    pyarrow.Array
        ``int64``, or ``uint64`` if that is too small, where all cells are whole numbers;
        ``double`` where all are numbers and one has a decimal point or the sign of an exponent;
        ``bool`` where all are true or false; ``string`` otherwise, also where a number would lose
        a zero before it or digits, and where ``12e3`` is more likely a name than 12000. Empty
        cells are null, and of numbers those in `MISSING`.

    Examples
    --------
    >>> typed(pa.array(["1", "", "NA"])).to_pylist(), typed(pa.array(["01", "NA"])).to_pylist()
    ([1, None, None], ['01', 'NA'])
    >>> typed(pa.array(["1.5", "inf"])).to_pylist(), typed(pa.array(["12e3", "7"])).to_pylist()
    ([1.5, inf], ['12e3', '7'])
    """
    text = texts(cells)
    known = pc.drop_null(pc.unique(text))
    known = known.filter(pc.invert(pc.is_in(known, pa.array(MISSING))))
    if not len(known):
        return text
    if _all_match(known, _WHOLE):
        return text if _some_match(known, _ZEROS) else _whole_numbers(text)
    if _is_measured(known):
        return numbers(text)
    lower = pc.utf8_lower(known)
    if pc.all(pc.is_in(lower, pa.array(["true", "false"]))).as_py():
        return without_missing(pc.utf8_lower(text)).cast(pa.bool_())
    return text


def texts(cells: pa.Array) -> pa.Array:
    """Cells of a column as text without spaces around it; empty ones are null."""
    plain = pc.utf8_trim_whitespace(unguarded(cells))
    return pc.if_else(pc.equal(plain, ""), pa.scalar(None, pa.string()), plain)


def numbers(text: pa.Array) -> pa.Array:
    """Text as floating-point numbers; what is empty or in `MISSING` is null.

    Raises
    ------
    pyarrow.ArrowInvalid
        If some of it is no number.
    """
    plain = without_missing(text)
    plain = pc.replace_substring_regex(plain, r"^\+", "")
    plain = pc.replace_substring_regex(plain, r"^([-\d.]+)[dD]([-+]?\d+)$", r"\1e\2")
    return plain.cast(pa.float64())


def _is_measured(known: pa.Array) -> bool:
    """Whether distinct cells are numbers that lose nothing as floating-point numbers."""
    infinite = pc.match_substring_regex(known, _INFINITE)
    finite = known.filter(pc.invert(infinite))
    if not len(finite) or not _all_match(finite, _NUMBER) or _some_match(finite, _ZEROS):
        return False
    if _some_match(finite, _LONG):
        return False
    return _some_match(finite, _MEASURED) or not _some_match(finite, _BARE_POWER)


def _whole_numbers(text: pa.Array) -> pa.Array:
    plain = pc.replace_substring_regex(without_missing(text), r"^\+", "")
    for kind in (pa.int64(), pa.uint64()):
        try:
            return plain.cast(kind)
        except pa.ArrowInvalid:
            continue
    return text


def without_missing(text: pa.Array) -> pa.Array:
    """Text without spaces around it, null where it is empty or in `MISSING`."""
    text = pc.utf8_trim_whitespace(text)
    gone = pc.is_in(text, pa.array([*MISSING, "", *map(str.lower, MISSING)]))
    return pc.if_else(gone, pa.scalar(None, pa.string()), text)


def _all_match(known: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(known, pattern)).as_py())


def _some_match(known: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(known, pattern)).as_py())


# -------------------------------------------------- cells that would be computed


def guarded(cell: str) -> str:
    """A text that a spreadsheet shows instead of computing it: with an apostrophe before it.

    Numbers stay as they are, and `unguarded` gives every text back.

    Examples
    --------
    >>> guarded("=1+1"), guarded("-5.2"), guarded("+alf Cen"), guarded("'=1")
    ("'=1+1", '-5.2', "'+alf Cen", "''=1")
    """
    if re.match(_COMPUTED, cell, re.DOTALL) and not re.match(_PLAIN_NUMBER, cell):
        return f"'{cell}"
    return cell


def unguarded(cells: pa.Array) -> pa.Array:
    """Texts without the apostrophe of `guarded`."""
    return pc.replace_substring_regex(cells, r"^'('*(?:[=@\t\r]|[+-](?s:.)))", r"\1")
