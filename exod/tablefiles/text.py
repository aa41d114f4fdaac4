"""Tables as text: CSV, ECSV, VOTable and JSON lines, row after row."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

import astropy.table
import numpy as np
import pyarrow as pa

from exod.archive.parquet import to_pandas
from exod.schemas.columns import Column, Table

Chunks = Iterable[pa.Table]

UCDS: Final = MappingProxyType(
    {
        "ra_deg": "pos.eq.ra;meta.main",
        "dec_deg": "pos.eq.dec;meta.main",
        "pos_err_arcsec": "stat.error;pos.eq",
        "cone_arcsec": "pos.angDistance",
        "separation_arcsec": "pos.angDistance",
        "srcid": "meta.id;meta.main",
        "detid": "meta.id",
        "obsid": "meta.id;obs",
        "fap_obs": "stat.probability",
        "duration": "time.duration;src.var",
        "peak_rate": "phot.count;em.X-ray",
    }
)
"""What columns mean to programs of the Virtual Observatory, by name."""


def write_csv(path: Path, table: Table, chunks: Chunks) -> None:
    """CSV; a missing value is an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table.frame().to_csv(file, index=False, lineterminator="\n")
        for chunk in chunks:
            to_pandas(chunk).to_csv(file, index=False, header=False, lineterminator="\n")


def write_ecsv(path: Path, table: Table, chunks: Chunks) -> None:
    """CSV with units and meanings in its head, for astropy."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(_ecsv_header(table))
        for chunk in chunks:
            frame = to_pandas(chunk)
            for column in table.columns:
                if pa.types.is_floating(column.type):
                    # NaN is a value of such a column, an empty cell a missing one.
                    values = frame[column.name].astype(object)
                    null = chunk[column.name].is_null().to_numpy()
                    frame[column.name] = values.where(null | frame[column.name].notna(), "nan")
            frame.to_csv(file, index=False, header=False, lineterminator="\n")


def _ecsv_header(table: Table) -> str:
    """What astropy writes before the rows."""
    found = astropy.table.Table(meta={"description": table.description})
    for column in table.columns:
        kind = "U1" if pa.types.is_string(column.type) else column.type.to_pandas_dtype()
        found[column.name] = astropy.table.Column(
            np.zeros(1, kind), unit=column.unit or None, description=column.description
        )
    text = io.StringIO()
    found.write(text, format="ascii.ecsv", delimiter=",")
    return text.getvalue().removesuffix("\n").rpartition("\n")[0] + "\n"


def write_json_lines(path: Path, table: Table, chunks: Chunks) -> None:
    """One JSON object a row; a missing value is null."""
    floats = {column.name for column in table.columns if pa.types.is_floating(column.type)}
    with path.open("w", encoding="utf-8") as file:
        for chunk in chunks:
            for row in chunk.to_pylist():
                for name in floats:
                    # JSON has no NaN.
                    value = row[name]
                    row[name] = value if value is None or np.isfinite(value) else None
                file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def write_votable(path: Path, table: Table, chunks: Chunks) -> None:
    """VOTable 1.4, for TOPCAT and the Virtual Observatory."""
    with path.open("w", encoding="utf-8") as file:
        file.write(
            '<?xml version="1.0" encoding="utf-8"?>\n'
            '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
            '<RESOURCE type="results">\n<COOSYS ID="ICRS" system="ICRS"/>\n'
            f"<TABLE name={quoteattr(table.name)}>\n"
            f"<DESCRIPTION>{_xml_text(table.description)}</DESCRIPTION>\n"
        )
        file.writelines(map(_field, table.columns))
        file.write("<DATA><TABLEDATA>\n")
        for chunk in chunks:
            columns = [_cells(chunk[name]) for name in table.schema.names]
            file.writelines(f"<TR>{''.join(row)}</TR>\n" for row in zip(*columns, strict=True))
        file.write("</TABLEDATA></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n")


_VOTABLE_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bool": "boolean",
        "uint8": "unsignedByte",
        "int8": "short",
        "int16": "short",
        "uint16": "int",
        "int32": "int",
        "uint32": "long",
        "int64": "long",
        "float": "float",
        "double": "double",
    }
)


def _field(column: Column) -> str:
    kind = _VOTABLE_TYPES.get(str(column.type), "unicodeChar")
    about = {"name": column.name, "datatype": kind, "unit": column.unit}
    about["arraysize"] = "*" if kind == "unicodeChar" else ""
    about["ucd"] = UCDS.get(column.name, "")
    about["ref"] = "ICRS" if column.name in ("ra_deg", "dec_deg") else ""
    said = " ".join(f"{key}={quoteattr(value)}" for key, value in about.items() if value)
    return f"<FIELD {said}><DESCRIPTION>{_xml_text(column.description)}</DESCRIPTION></FIELD>\n"


def _cells(values: pa.ChunkedArray) -> list[str]:
    """Cells of a VOTable; an empty one is null."""
    shown: Callable[[Any], str] = repr
    if pa.types.is_string(values.type):
        shown = _xml_text
    elif pa.types.is_boolean(values.type):
        shown = {True: "T", False: "F"}.__getitem__
    elif pa.types.is_floating(values.type):
        shown = _xml_number
    return [f"<TD>{'' if item is None else shown(item)}</TD>" for item in values.to_pylist()]


def _xml_text(text: str) -> str:
    return escape("".join(c if c >= " " or c in "\t\n\r" else "?" for c in text))


def _xml_number(value: float) -> str:
    if np.isfinite(value):
        return repr(value)
    return "NaN" if np.isnan(value) else ("+Inf" if value > 0 else "-Inf")
