"""Tables in text of any encoding: CSV and TSV, whose cells are all text at first; JSON lines."""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pc

from exod.files.text import decoded
from exod.tablefiles.arrowrows import WholeRows
from exod.tablefiles.plain import distinct, renamed
from exod.tablefiles.textcells import texts, typed, unguarded

_SEPARATORS: Final = ",;\t|"
_EXACT: Final = 2**53


def read_text_rows(path: Path, separator: str = "") -> WholeRows:
    """Read a table in a text file; names of columns are in its first line that is no comment.

    Parameters
    ----------
    path : Path
        The file, not compressed.
    separator : str
        What is between cells; empty if the first line tells.

    Returns
    -------
    WholeRows
        Cells as `exod.tablefiles.textcells.typed` takes them, and as text.

    Raises
    ------
    ValueError, pyarrow.ArrowException
        If it is no such table.
    """
    content, notes = _text_of(path)
    while content.startswith(("#", "\n")):
        content = content.partition("\n")[2]
    first = content.partition("\n")[0]
    separator = separator or max(_SEPARATORS, key=first.count)
    cells = next(csv.reader(io.StringIO(content), delimiter=separator), [])
    given = unguarded(pa.array(cells, pa.string())).to_pylist()
    names = distinct(given)
    # The first line is a row, so that columns are known by their places.
    cells = pc.read_csv(
        pa.py_buffer(content.encode()),
        read_options=pc.ReadOptions(autogenerate_column_names=True),
        parse_options=pc.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=pc.ConvertOptions(
            column_types={f"f{number}": pa.string() for number in range(len(names))},
            strings_can_be_null=False,
        ),
    )
    columns = [column.combine_chunks() for column in cells.slice(1).columns]
    values, plain = (
        pa.table(dict(zip(names, map(kind, columns), strict=True))) for kind in (typed, texts)
    )
    return WholeRows(values, notes + renamed(given, names), plain)


def table_of_lines(path: Path) -> pa.Table:
    """Read JSON lines, an object each; text stays text, and a column of several kinds becomes it.

    Raises
    ------
    ValueError, pyarrow.ArrowException
        If it is no such table.
    """
    rows = [json.loads(line) for line in decoded(path.read_bytes()).split("\n") if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is no object")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _values([row.get(name) for row in rows]) for name in names})


def _values(values: list[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        for kind in (pa.int64(), pa.uint64()):
            with suppress(OverflowError, pa.ArrowInvalid):
                return pa.array(values, kind)
    elif len(kinds) == 1:
        return pa.array(values)
    elif kinds == {int, float} and all(abs(v) < _EXACT for v in values if isinstance(v, int)):
        return pa.array(values, pa.float64())
    return pa.array([v if v is None or isinstance(v, str) else json.dumps(v) for v in values])


def _text_of(path: Path) -> tuple[str, list[str]]:
    content = path.read_bytes()
    try:
        return decoded(content), []
    except UnicodeDecodeError:
        if b"\0" in content:
            raise ValueError("it is no text: it has zero bytes") from None
        text = content.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
        return text, [f"{path.name} is no UTF-8; it is read as Latin-1 (ISO 8859-1)."]
