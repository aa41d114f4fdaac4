"""Tables in a folder of Parquet files, one a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exod.astromon.tables import DTYPES, Rows, counted, damaged, filled
from exod.errors import InputError
from exod.files.whole import whole_file

ROWS: int = 100_000
"""Rows of a group, which is what a range of observations skips or reads."""


class ParquetStorage:
    """A folder; see `exod.astromon.forms.storage.Storage`.

    A table is replaced in one step. Of several tables that change together the later ones of the
    mapping follow one by one, so what others refer to must come first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Tables that are there; none if there is no folder."""
        return sorted(file.stem for file in self.path.glob("*.parquet"))

    def counts(self, name: str) -> Counter[int]:
        """Rows of each observation in a table."""
        file = self.path / f"{name}.parquet"
        found: Counter[int] = Counter()
        with self._sound(file), pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(ROWS, columns=["obsid"]):
                found.update(counted(batch["obsid"].to_numpy()))
        return found

    def read(self, name: str, obsids: tuple[int, int] | None = None) -> Rows:
        """Rows of a table, all or those of observations from one to another."""
        file = self.path / f"{name}.parquet"
        bounds = [("obsid", ">=", obsids[0]), ("obsid", "<=", obsids[1])] if obsids else None
        table = self._stored(file, filters=bounds)
        columns = {column: table[column].to_numpy() for column in table.column_names}
        declared = DTYPES.get(name)
        types = [
            (
                column,
                declared[column]
                if declared is not None and column in (declared.names or ())
                else _bytes(values)
                if values.dtype.kind == "O"
                else values.dtype,
            )
            for column, values in columns.items()
        ]
        return filled(name, types, columns)

    def write(self, tables: Mapping[str, Rows]) -> None:
        """Put tables in the place of those of the same names; others stay."""
        for name, rows in tables.items():
            arrays = {
                column: [text.decode() for text in rows[column]]
                if rows[column].dtype.kind == "S"
                else np.ascontiguousarray(rows[column])
                for column in rows.dtype.names or ()
            }
            kinds = {
                column: pa.string() for column, values in arrays.items() if isinstance(values, list)
            }
            table = pa.table(
                {column: pa.array(values, kinds.get(column)) for column, values in arrays.items()}
            )
            with whole_file(self.path / f"{name}.parquet", error=InputError) as temporary:
                pq.write_table(table, temporary, row_group_size=ROWS, compression="zstd")

    def _stored(self, file: Path, **what: Any) -> pa.Table:
        with self._sound(file):
            return pq.read_table(file, **what)

    @contextmanager
    def _sound(self, file: Path) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            if not file.exists():
                raise
            raise damaged(file, "it is no sound Parquet file") from error


def _bytes(values: np.ndarray) -> str:
    return f"S{max((len(str(value).encode()) for value in values), default=1) or 1}"
