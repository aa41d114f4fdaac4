"""What tables there are to be asked in ADQL, and TAP_SCHEMA, which says so in tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import pyarrow as pa

from exod.errors import ArchiveError
from exod.schemas.columns import Column, Table
from exod.schemas.explorer import OWNER
from exod.tablefiles.votable import datatype
from exod.web.product import Product
from exod.web.vo.adql import SCHEMA
from exod.web.vo.reserved import in_statement

_SOURCES: Final = "sources"

_OWN_KEYS: Final = (
    ("TAP_SCHEMA.tables", "TAP_SCHEMA.schemas", "schema_name", "schema_name"),
    ("TAP_SCHEMA.columns", "TAP_SCHEMA.tables", "table_name", "table_name"),
    ("TAP_SCHEMA.keys", "TAP_SCHEMA.tables", "from_table", "table_name"),
    ("TAP_SCHEMA.keys", "TAP_SCHEMA.tables", "target_table", "table_name"),
    ("TAP_SCHEMA.key_columns", "TAP_SCHEMA.keys", "key_id", "key_id"),
)
_OF_KEYS: Final = ("key_id", "from_table", "target_table")
_OF_KEY_COLUMNS: Final = ("key_id", "from_column", "target_column")

PRINCIPAL: Final = frozenset(
    ("region_num", "srcid", "ra_deg", "dec_deg", "pos_err_arcsec", "detid", "obsid", "t_start_mjd")
)
"""Columns that a reader wants at first."""


def shown_tables(product: Product) -> dict[str, Table]:
    """The tables that may be asked and can be read, by name: no lists, no pictures."""
    found = {}
    for name in _names(product):
        # One that is damaged keeps nobody from the others.
        with suppress(ArchiveError):
            found[name] = shown_table(product, name)
    return found


def shown_table(product: Product, name: str) -> Table:
    """One of them.

    Raises
    ------
    ArchiveError
        If it cannot be read.
    """
    return product.plain.table(name)


def check_named(product: Product, statement: str) -> None:
    """Read the columns of all tables whose names are in a statement that names an unknown one.

    Raises
    ------
    ArchiveError
        If one cannot be read: it would be said that there is none.
    """
    for name in _names(product):
        if re.search(rf"\b{name}\b", statement, re.IGNORECASE):
            shown_table(product, name)


def _names(product: Product) -> Iterator[str]:
    for file in product.files.values():
        if not file.table.endswith("_index"):
            yield file.table


class ForeignKey(NamedTuple):
    """A column of a table that has what is in a column of another one."""

    key_id: str
    from_table: str
    target_table: str
    from_column: str
    target_column: str


def foreign_keys(tables: Mapping[str, Table]) -> list[ForeignKey]:
    """The foreign keys of tables of the archive and of TAP_SCHEMA (TAP 1.1, section 4.4).

    Parameters
    ----------
    tables : Mapping of str to Table
        Those of the archive.
    """
    of_sources = [
        (f"{SCHEMA}.{name}", f"{SCHEMA}.{_SOURCES}", OWNER, OWNER)
        for name, table in tables.items()
        if name != _SOURCES
        and _SOURCES in tables
        and OWNER in (column.name for column in table.columns)
    ]
    found = (*_OWN_KEYS, *of_sources)
    return [ForeignKey(str(place), *parts) for place, parts in enumerate(found, 1)]


def schema_tables(tables: Mapping[str, Table]) -> dict[str, tuple[Table, pa.Table]]:
    """The tables of TAP_SCHEMA (TAP 1.1, section 4), by the names that ADQL gives them.

    Parameters
    ----------
    tables : Mapping of str to Table
        Those that are described, besides themselves.
    """
    own = {f"TAP_SCHEMA.{name}": table for name, table in _TAP_SCHEMA.items()}
    listed = {f"{SCHEMA}.{name}": table for name, table in tables.items()} | own
    keys = [key._asdict() for key in foreign_keys(tables)]
    rows: dict[str, list[dict[str, Any]]] = {
        "schemas": [
            {"schema_name": SCHEMA, "description": "Tables of the archive", "schema_index": 1},
            {"schema_name": "TAP_SCHEMA", "description": "What there is", "schema_index": 2},
        ],
        "tables": [
            {
                "schema_name": name.partition(".")[0],
                "table_name": name,
                "table_type": "table",
                "description": table.description,
                "table_index": place,
            }
            for place, (name, table) in enumerate(listed.items(), 1)
        ],
        "columns": [
            row for name, table in listed.items() for row in _columns(name, table, name in own)
        ],
        "keys": [{name: row[name] for name in _OF_KEYS} for row in keys],
        "key_columns": [{name: row[name] for name in _OF_KEY_COLUMNS} for row in keys],
    }
    return {
        name: (table, pa.Table.from_pylist(rows[name], table.schema))
        for name, table in _TAP_SCHEMA.items()
    }


def _columns(name: str, table: Table, standard: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001
    for place, column in enumerate(table.columns, 1):
        kind, size = datatype(column)
        yield {
            "table_name": name,
            "column_name": in_statement(column.name),
            "datatype": kind,
            "arraysize": size or None,
            "xtype": None,
            "size": None,
            "description": column.description,
            "utype": None,
            "unit": column.unit or None,
            "ucd": column.ucd or None,
            "indexed": 0,
            "principal": int(standard or column.name in PRINCIPAL),
            "std": int(standard),
            "column_index": place,
        }


def _declared(name: str, description: str, words: str, *numbers: str) -> Table:
    return Table(
        name,
        description,
        tuple(
            Column(word, pa.int32() if word in numbers else pa.string(), "", "", nullable=True)
            for word in words.split()
        ),
        (),
    )


_TAP_SCHEMA: Final = {
    table.name: table
    for table in (
        _declared(
            "schemas", "Schemas", "schema_name utype description schema_index", "schema_index"
        ),
        _declared(
            "tables",
            "Tables",
            "schema_name table_name table_type utype description table_index",
            "table_index",
        ),
        _declared(
            "columns",
            "Columns",
            "table_name column_name datatype arraysize xtype size description utype unit ucd "
            "indexed principal std column_index",
            *("size", "indexed", "principal", "std", "column_index"),
        ),
        _declared("keys", "Foreign keys", "key_id from_table target_table description utype"),
        _declared("key_columns", "Their columns", "key_id from_column target_column"),
    )
}
