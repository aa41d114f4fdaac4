"""DuckDB over files of our own, to compare and join their rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import pyarrow.dataset as ds

from exod.archive.questions.connection import without_bar

MEMORY: Final = "1GB"
"""What comparing rows may have; what is larger is on disk meanwhile."""


@contextmanager
def comparing(**files: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with a view of each of some Parquet files; it uses the disk beyond `MEMORY`."""
    with (
        tempfile.TemporaryDirectory(prefix="exod-sorting-") as spill,
        duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill}) as connection,
    ):
        without_bar(connection)
        for name, path in files.items():
            connection.from_arrow(ds.dataset(path)).create_view(name)
        yield connection
