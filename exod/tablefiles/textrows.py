"""CSV and TSV: text tables in any encoding, of which every cell is text until it is asked for."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv as pc

from exod.files.text import decoded
from exod.tablefiles.arrowrows import WholeRows
from exod.tablefiles.plain import distinct, renamed
from exod.tablefiles.textcells import texts, typed, unguarded

_SEPARATORS: Final = ",;\t|"


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


def _text_of(path: Path) -> tuple[str, list[str]]:
    content = path.read_bytes()
    try:
        return decoded(content), []
    except UnicodeDecodeError:
        if b"\0" in content:
            raise ValueError("it is no text: it has zero bytes") from None
        text = content.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
        return text, [f"{path.name} is no UTF-8; it is read as Latin-1 (ISO 8859-1)."]
