"""Rows of Arrow: tables that are in memory as a whole, and Parquet files read in batches."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from exod.schemas.columns import Column
from exod.tablefiles.plain import distinct, plain_arrow, renamed


class WholeRows:
    """A table in memory.

    Parameters
    ----------
    values : pyarrow.Table
        Plain columns.
    notes : sequence of str
        What became of others.
    texts : pyarrow.Table, optional
        The same columns as text, as they are in the file.
    """

    def __init__(
        self, values: pa.Table, notes: Sequence[str] = (), texts: pa.Table | None = None
    ) -> None:
        self._values, self._texts, self.notes = values, texts, list(notes)
        self.columns = tuple(_columns(values.schema))

    def batches(
        self, names: Sequence[str], rows: int, as_text: Collection[str]
    ) -> Iterator[pa.Table]:
        """Columns of the table, in batches of rows in their order."""
        whole = self._values.select(names)
        for place, name in enumerate(names):
            if self._texts is not None and name in as_text:
                whole = whole.set_column(place, name, self._texts[name])
        for start in range(0, len(whole), rows):
            yield whole.slice(start, rows)


class ParquetRows:
    """A table in a Parquet file.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    OSError, pyarrow.ArrowException
        If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        schema = pq.read_schema(path)
        self._given = schema.names
        self._called = distinct(self._given)
        self.notes = renamed(self._given, self._called)
        nothing, notes = plain_arrow(schema.empty_table().rename_columns(self._called))
        self.notes += notes
        self.columns = tuple(_columns(nothing.schema))

    def batches(
        self, names: Sequence[str], rows: int, as_text: Collection[str]
    ) -> Iterator[pa.Table]:
        """Columns of the table, in batches of rows in their order; types are those of the file."""
        del as_text
        both = zip(self._given, self._called, strict=True)
        # A record is read whole for one of its fields; columns that are called the same, all.
        some = [given for given, called in both if _is_part(names, called)]
        twice = len(set(self._given)) < len(self._given)
        with pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=rows, columns=None if twice else some):
                found = pa.Table.from_batches([batch])
                if twice:
                    found = found.rename_columns(self._called)
                # The order of columns is that of the file otherwise.
                yield plain_arrow(found)[0].select(names)


def _is_part(names: Sequence[str], column: str) -> bool:
    return any(name == column or name.startswith(f"{column}.") for name in names)


def _columns(schema: pa.Schema) -> Iterator[Column]:
    for field in schema:
        yield Column.of_field(field.with_nullable(nullable=True))
