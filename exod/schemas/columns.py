"""How a table is declared: columns with dtype, unit and meaning, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

FORMAT_VERSION = 2
"""Version of the archive's tables and layout."""


NULLABLE: dict[pa.DataType, Any] = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
}
"""Pandas dtypes of columns that may hold nulls; NaN would make identifiers inexact."""


@dataclass(frozen=True)
class Column:
    """One column: name, Arrow type, unit (FITS notation, empty if none) and meaning."""

    name: str
    type: pa.DataType
    unit: str
    description: str
    nullable: bool = False

    @property
    def field(self) -> pa.Field:
        """The Arrow field, with unit and description in its metadata."""
        metadata = {"unit": self.unit, "description": self.description}
        return pa.field(self.name, self.type, nullable=self.nullable, metadata=metadata)

    @property
    def dtype(self) -> Any:
        """The dtype of the column in pandas."""
        if self.type == pa.string():
            return pd.StringDtype("pyarrow", na_value=float("nan"))
        if self.nullable and self.type in NULLABLE:
            return NULLABLE[self.type]
        return self.type.to_pandas_dtype()


@dataclass(frozen=True)
class Table:
    """One table of the archive: its name, meaning, columns and the order of its rows."""

    name: str
    description: str
    columns: tuple[Column, ...]
    sort_by: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, with the table's description and format version as metadata."""
        metadata = {"description": self.description, "exod_format": str(FORMAT_VERSION)}
        return pa.schema([column.field for column in self.columns], metadata=metadata)

    def frame(self, rows: Iterable[Mapping[str, Any]] | pd.DataFrame = ()) -> pd.DataFrame:
        """Rows as a pandas frame with exactly this table's columns and dtypes.

        Raises
        ------
        KeyError
            If a row lacks a column or has one that is not declared.
        ValueError
            If a column of whole numbers has a value that its type cannot hold.
        """
        data = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
        names = [column.name for column in self.columns]
        if data.columns.empty:
            data = pd.DataFrame(columns=names)
        if set(data.columns) != set(names):
            difference = sorted(set(data.columns) ^ set(names))
            raise KeyError(f"table {self.name} and its rows differ in the columns {difference}")
        dtypes = {column.name: column.dtype for column in self.columns}
        frame = data[names].astype(dtypes)
        for column in self.columns:
            # astype wraps 70000 round to 4464 and cuts 2.7 off to 2 without a word.
            exact = pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)
            if data[column.name].dtype == frame[column.name].dtype:
                continue
            if exact and not (frame[column.name] == data[column.name]).all():
                raise ValueError(
                    f"table {self.name}: {column.name} has values beyond {column.type}"
                )
        return frame
