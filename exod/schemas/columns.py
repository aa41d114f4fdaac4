"""How a table is declared: columns with dtype, unit and meaning, in a fixed order."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd


FORMAT_VERSION = 3
"""Version of the archive's tables and layout."""


NULLABLE: Final = MappingProxyType(
    {pa.bool_(): "boolean"}
    | {
        getattr(pa, f"{sign}int{bits}")(): f"{sign.upper()}Int{bits}"
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    }
)
"""Names of the pandas dtypes of columns that may hold nulls; NaN would make identifiers inexact."""


@functools.lru_cache
@functools.cache
def pandas_dtype(kind: pa.DataType, *, nullable: bool = False) -> Any:
    """The dtype in pandas of an Arrow type; text is of Arrow with NaN where it is missing."""
    import pandas as pd

    if kind == pa.string():
        return pd.StringDtype("pyarrow", na_value=float("nan"))
    if nullable and kind in NULLABLE:
        return pd.api.types.pandas_dtype(NULLABLE[kind])
    return kind.to_pandas_dtype()


UCDS = MappingProxyType(
    {
        "ct": "phot.count",
        "ct/s": "arith.rate;phot.count",
        "s": "time.interval",
        "d": "time.epoch",
        "yr": "time.epoch",
        "keV": "em.energy",
        **dict.fromkeys(("deg", "arcmin", "arcsec", "mas"), "pos.angDistance"),
        **dict.fromkeys(("mas/yr", "mas yr-1"), "pos.pm"),
        "mag": "phot.mag",
        **dict.fromkeys(("erg cm-2 s-1", "erg/cm2/s"), "phot.flux"),
        **dict.fromkeys(("Mpc", "kpc", "pc"), "pos.distance"),
    }
)
"""What a column is that declares nothing else, by its unit."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Its name.
    type : pyarrow.DataType
        Its type.
    unit : str
        In FITS notation; empty if none.
    description : str
        Its meaning.
    nullable : bool
        Whether values may be missing.
    ucd : str
        What it is in the words of the Virtual Observatory: the UCD1+ controlled vocabulary, IVOA
        Recommendation (Preite Martinez et al.). If it is not given, the unit or the type tells.
    dates : str
        The column of mission elapsed seconds that it dates, as MJD or, if it is text, in UTC; empty
        for all others. Dates are computed when a table is read.
    none : int or None
        The whole number that files have where there is no value, as of a revolution of a satellite
        that counts none; what is selected is null there.

    Examples
    --------
    >>> Column("rate", pa.float64(), "ct/s", "Rate").ucd
    'arith.rate;phot.count'
    """

    name: str
    type: pa.DataType
    unit: str
    description: str
    nullable: bool = False
    ucd: str = ""
    dates: str = ""
    none: int | None = None

    def __post_init__(self) -> None:
        if not self.ucd:
            object.__setattr__(self, "ucd", UCDS.get(self.unit) or _ucd_of_type(self.type))

    @classmethod
    def of_field(cls, field: pa.Field) -> Column:
        """The column that an Arrow field holds; its type is that of the values of a dictionary."""
        about = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        told = {key: about.get(key, "") for key in ("unit", "description", "ucd")}
        return cls(field.name, kind, nullable=field.nullable, **told)

    @property
    def selected(self) -> Column:
        """The column as it is selected: null where files have `none`."""
        return self if self.none is None else replace(self, nullable=True)

    @property
    def field(self) -> pa.Field:
        """The Arrow field, with unit, description and UCD in its metadata."""
        metadata = {"unit": self.unit, "description": self.description, "ucd": self.ucd}
        return pa.field(self.name, self.type, nullable=self.nullable, metadata=metadata)

    @property
    def dtype(self) -> Any:
        """The dtype of the column in pandas."""
        return pandas_dtype(self.type, nullable=self.nullable)


def _ucd_of_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "meta.code"
    if pa.types.is_integer(kind):
        return "meta.number"
    return "stat.value" if pa.types.is_floating(kind) else "meta.note"


@dataclass(frozen=True)
class Table:
    """One table of the archive.

    Attributes
    ----------
    name, description : str
        Its name and meaning.
    columns : tuple of Column
        Its columns; those of files.
    sort_by : tuple of str
        The order of its rows.
    computed : tuple of Column
        Dates that readers see and files do not have.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    sort_by: tuple[str, ...]
    computed: tuple[Column, ...] = ()

    @property
    def shown(self) -> Table:
        """The table as readers see it: each date is beside the seconds that it is computed from."""
        if not self.computed:
            return self
        columns = [
            shown
            for column in self.columns
            for shown in (column, *(date for date in self.computed if date.dates == column.name))
        ]
        return replace(self, columns=tuple(columns), computed=())

    @functools.cached_property
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
        import pandas as pd

        data = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
        names = [column.name for column in self.columns]
        if data.columns.empty:
            data = pd.DataFrame(columns=names)
        if set(data.columns) != set(names):
            difference = sorted(set(data.columns) ^ set(names))
            raise KeyError(f"table {self.name} and its rows differ in the columns {difference}")
        given = dict(data.items())
        # Arrays of one index, which series would be compared for.
        values = {column.name: self._values(column, given[column.name]) for column in self.columns}
        return pd.DataFrame(values, index=data.index, copy=False)

    def _values(self, column: Column, given: pd.Series) -> Any:
        """A column in its own dtype, as an array of pandas."""
        if given.dtype == column.dtype:
            return given.array
        got = given.astype(column.dtype)
        exact = pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)
        # astype wraps 70000 round to 4464 and cuts 2.7 off to 2 without a word.
        if exact and not (got == given).all():
            raise ValueError(f"table {self.name}: {column.name} has values beyond {column.type}")
        return got.array
