"""VOTables as text, some rows at a time: tables of any length in little memory.

What becomes of the rows need not be known when the first of them is written: it may follow after
them, as answers to questions have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pyarrow.compute as pc

from exod.schemas.columns import Column, Table

MEDIA_TYPE: Final = "application/x-votable+xml"

_TYPES: Final = {
    "bool": "boolean",
    "int8": "short",
    "uint8": "unsignedByte",
    "int16": "short",
    "uint16": "int",
    "int32": "int",
    "uint32": "long",
    "int64": "long",
    "uint64": "long",
    "float": "float",
    "halffloat": "float",
    "double": "double",
}

_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
)

Infos = Mapping[str, tuple[str, str]]
"""Value and text of INFO elements by their name."""


def datatype(column: Column) -> tuple[str, str]:
    """The type of a column in VOTable, and its size if it has one.

    Examples
    --------
    >>> datatype(Column("n", pa.int32(), "", "")), datatype(Column("name", pa.string(), "", ""))
    (('int', ''), ('unicodeChar', '*'))
    """
    found = _TYPES.get(str(column.type), "")
    return (found, "") if found else ("unicodeChar", "*")


def opening(
    columns: Iterable[Column],
    infos: Infos = MappingProxyType({}),
    *,
    name: str = "answer",
    description: str = "",
    ucds: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """What comes before the rows.

    Parameters
    ----------
    columns : iterable of Column
        The columns.
    infos : Mapping
        INFO elements before the table.
    name, description : str
        Of the table.
    ucds : Mapping of str to str
        UCDs that take the place of those of the columns.
    """
    about = f"<DESCRIPTION>{_text(description)}</DESCRIPTION>\n" if description else ""
    fields = "".join(_field(column, ucds.get(column.name, column.ucd)) for column in columns)
    return (
        f'{_HEAD}<RESOURCE type="results">\n{_infos(infos)}'
        f'<COOSYS ID="ICRS" system="ICRS"/>\n<TABLE name={_quoted(name)}>\n{about}{fields}'
        "<DATA><TABLEDATA>\n"
    )


def body(rows: pa.Table) -> str:
    """Some rows; a missing value is an empty cell."""
    if not rows.num_rows or not rows.num_columns:
        return ""
    cells = [_cells(column.combine_chunks()) for column in rows.columns]
    lines = pc.binary_join_element_wise(*cells, "</TD><TD>")
    return "".join(f"<TR><TD>{line}</TD></TR>\n" for line in lines.to_pylist())


def closing(infos: Infos = MappingProxyType({})) -> str:
    """What follows the rows, with INFO elements after the table."""
    return f"</TABLEDATA></DATA>\n</TABLE>\n{_infos(infos)}</RESOURCE>\n</VOTABLE>\n"


def message(infos: Infos) -> str:
    """A VOTable without a table: what went wrong."""
    return f'{_HEAD}<RESOURCE type="results">\n{_infos(infos)}</RESOURCE>\n</VOTABLE>\n'


def overflow(rows: int) -> Infos:
    """The INFO of an answer that does not have all rows."""
    return {"QUERY_STATUS": ("OVERFLOW", f"The answer ends after {rows} rows, and is not all.")}


def signed(table: Table, chunks: Iterable[pa.Table]) -> tuple[Table, Iterable[pa.Table]]:
    """The same rows, with digits in place of numbers that VOTable does not have.

    Parameters
    ----------
    table : Table
        The columns.
    chunks : iterable of pyarrow.Table
        The rows; all are kept in memory if a column has unsigned numbers of 64 bits.
    """
    wide = [column.name for column in table.columns if column.type == pa.uint64()]
    if not wide:
        return table, chunks
    rows = pa.concat_tables([table.schema.empty_table(), *chunks])
    large = {name for name in wide if (pc.max(rows[name]).as_py() or 0) >= 1 << 63}
    columns = tuple(
        replace(column, type=pa.string()) if column.name in large else column
        for column in table.columns
    )
    shown = Table(table.name, table.description, columns, ())
    return shown, [rows.cast(shown.schema)]


def _field(column: Column, ucd: str) -> str:
    kind, size = datatype(column)
    words = [f"name={_quoted(column.name)}", f'datatype="{kind}"']
    words += [f'arraysize="{size}"'] if size else []
    words += [f"unit={_quoted(column.unit)}"] if column.unit else []
    words += [f"ucd={_quoted(ucd)}"] if ucd else []
    words += ['ref="ICRS"'] if column.name in {"ra_deg", "dec_deg"} else []
    about = f"<DESCRIPTION>{_text(column.description)}</DESCRIPTION>" if column.description else ""
    return f"<FIELD {' '.join(words)}>{about}</FIELD>\n"


def _infos(infos: Infos) -> str:
    return "".join(
        f"<INFO name={_quoted(name)} value={_quoted(value)}>{_text(text)}</INFO>\n"
        for name, (value, text) in infos.items()
    )


def _cells(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        shown = pc.replace_substring_regex(values, _UNFIT, "?")
        for sign, name in _ESCAPED:
            shown = pc.replace_substring(shown, sign, name)
        return shown.cast(pa.string()).fill_null("")
    shown = values.cast(pa.string()).fill_null("")
    if pa.types.is_floating(kind):
        for word, name in (("inf", "+Inf"), ("-inf", "-Inf"), ("nan", "")):
            shown = pc.if_else(pc.equal(shown, word), name, shown)
    return shown


# Readers of XML make a line feed of a carriage return.
_ESCAPED: Final = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;"))

_UNFIT: Final = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{FFFE}\x{FFFF}]"
"""Characters that XML has no place for."""


def fit(text: str) -> str:
    """The text with a question mark for each character that XML has no place for."""
    text = text.encode("utf-8", "replace").decode()
    return "".join(
        c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "?" for c in text
    )


def _text(text: str) -> str:
    return escape(fit(text))


def _quoted(text: str) -> str:
    return quoteattr(fit(text))
