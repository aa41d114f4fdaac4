"""Parquet tables of the catalogue; units, meanings and UCDs are in the metadata of the columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive.parquet import to_arrow
from exod.catalogue.columns import CatalogueTable


def arrow_rows(table: CatalogueTable, frame: pd.DataFrame) -> pa.Table:
    """Rows with exactly the types of a table of the catalogue.

    Raises
    ------
    ArchiveError
        If a value is missing or does not fit its column.
    """
    return to_arrow(table.table, frame, f"{table.name} of the catalogue").cast(table.schema)


def write_parquet(path: Path, rows: pa.Table) -> None:
    """Write a table of the catalogue as one Parquet file."""
    pq.write_table(rows, path, compression="zstd")


def parquet_problem(path: Path, rows: pa.Table) -> str:
    """What is wrong with a Parquet file of the catalogue; empty if nothing is."""
    try:
        found = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read again ({error})"
    if not found.schema.equals(rows.schema, check_metadata=True):
        return "has other columns than it should"
    return "" if len(found) == len(rows) else f"has {len(found)} rows, not {len(rows)}"
