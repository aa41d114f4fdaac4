"""Filters of regions: declared with their meaning, composable, with kept and removed counts.

A filter says which rows to keep. A value that is missing never fulfils a condition, so that such
rows are removed; only "no counterpart nearer than" and "not variable" keep rows without
counterpart (method.md, Filters).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from exod.errors import ConfigError, InputError
from exod.schemas.conditions import Expression
from exod.schemas.conditions import Kind as Content
from exod.schemas.conditions import parse as parse_condition
from exod.sources.vetting.filterkinds import FILTERS, N_REGIONS, VARIABLE, Kind

if TYPE_CHECKING:
    import pandas as pd

Keep = NDArray[np.bool_]

COUNTS: Final = [
    "filter",
    "meaning",
    "before",
    "kept",
    "removed",
    "kept_alone",
    "removed_alone",
]
"""Columns of the table of counts."""

_NAME: Final = re.compile(r"\b(?!(?:abs|and|not|or)\b)[^\W\d]\w*")
"""Columns in a condition of a filter."""


def _kind(column: str) -> Content:
    return "boolean" if column.startswith("filt_") or column == VARIABLE else "number"


@dataclass(frozen=True)
class Filter:
    """A filter with its value; make it with `parse` or `where`.

    Attributes
    ----------
    name, value : str
        As in ``name=value``.
    """

    name: str
    value: str

    @property
    def kind(self) -> Kind:
        """What it is."""
        return FILTERS[self.name]

    @property
    def parameters(self) -> tuple[Any, ...]:
        """Its value in parts."""
        return self.kind.read(self.value)

    @property
    def condition(self) -> Expression:
        """Which rows it keeps."""
        return parse_condition(self.text, {name: _kind(name) for name in _NAME.findall(self.text)})

    @property
    def text(self) -> str:
        """The condition as a user would write it."""
        return self.kind.condition(*self.parameters)

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that it reads, sorted."""
        return tuple(self.condition.columns)

    def __str__(self) -> str:
        return f"{self.name}={self.value}"

    def keeps(self, rows: pd.DataFrame) -> Keep:
        """Which rows it keeps, shape (len(rows),).

        Raises
        ------
        InputError
            If a column is missing.
        """
        if N_REGIONS in self.needs and N_REGIONS not in rows:
            counts = rows.groupby("obsid")["obsid"].transform("size")
            rows = rows.assign(**{N_REGIONS: counts})
        missing = [name for name in self.needs if name not in rows]
        if missing:
            raise InputError(
                f"The filter {self} needs the columns {', '.join(missing)}, which the rows do not "
                f"have; join the table that has them first."
            )
        return self.condition.mask(rows)


def parse(text: str) -> Filter:
    """Read a filter.

    Parameters
    ----------
    text : str
        ``NAME=VALUE``, with a name of `FILTERS`.

    Raises
    ------
    ConfigError
        If there is no such filter, or its value cannot be read.

    Examples
    --------
    >>> parse("t_bin=5,50").parameters
    ((5.0, 50.0),)
    >>> parse("max_sep=gaia:3").needs
    ('gaia_sep_arcsec',)
    """
    name, _, value = (part.strip() for part in text.partition("="))
    kind = FILTERS.get(name)
    if kind is None:
        raise ConfigError(f"There is no filter {name!r}; use one of {', '.join(FILTERS)}.")
    try:
        kind.read(value)
    except ValueError as error:
        raise ConfigError(
            f"The filter {name} is written {name}={kind.value}, not {text!r} ({error})."
        ) from error
    return Filter(name, value)


def where(**conditions: float | str | Sequence[float]) -> list[Filter]:
    """Make filters from names and values.

    Parameters
    ----------
    **conditions
        Names of `FILTERS` with numbers, sequences of numbers, or values as they are written.

    Raises
    ------
    ConfigError
        As `parse`.

    Examples
    --------
    >>> [str(item) for item in where(t_bin=(5, 50), min_sigma=5, band="0.2-2")]
    ['t_bin=5,50', 'min_sigma=5', 'band=0.2-2']
    """
    return [parse(f"{name}={_text(value)}") for name, value in conditions.items()]


def _text(value: float | str | Sequence[float]) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return ",".join(repr(item) for item in value)
    return ("yes" if value else "no") if isinstance(value, bool) else repr(value)


# -------------------------------------------------------------------- application


def apply(filters: Iterable[Filter], rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep the rows that all filters keep, and count.

    Parameters
    ----------
    filters : iterable of Filter
        In the order in which they are counted; the rows that stay do not depend on it.
    rows : DataFrame
        Regions, with the columns that the filters need.

    Returns
    -------
    kept : DataFrame
        The rows that stay, in their order.
    counts : DataFrame
        One row a filter: ``filter``, ``meaning``, ``before`` (rows that the filters before it
        keep), ``kept`` and ``removed`` of these, ``kept_alone`` and ``removed_alone`` of all rows.

    Raises
    ------
    InputError
        If a column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"t_bin": [5.0, 5.0, 50.0], "area_bbox": [1, 40, 40]})
    >>> kept, counts = apply(where(t_bin=5, max_area=36), rows)
    >>> len(kept), counts["removed"].tolist(), counts["removed_alone"].tolist()
    (1, [1, 1], [1, 2])
    """
    filters = list(filters)
    keeps = [item.keeps(rows) for item in filters]
    stays = [np.logical_and.reduce(keeps[: i + 1]) for i in range(len(keeps))]
    kept, alone = ([int(found.sum()) for found in each] for each in (stays, keeps))
    found = rows[stays[-1]] if stays else rows[:]
    return found, framed(count_rows(filters, len(rows), kept, alone), COUNTS)


def count_rows(
    filters: Sequence[Filter], n_rows: int, kept: Sequence[int], alone: Sequence[int]
) -> list[dict[str, Any]]:
    """The counts of `apply`, from what each filter leaves of those before it, and alone."""
    rows = (
        (str(item), item.kind.meaning, before, left, before - left, own, n_rows - own)
        for item, before, left, own in zip(filters, [n_rows, *kept], kept, alone, strict=False)
    )
    return [dict(zip(COUNTS, row, strict=True)) for row in rows]


def framed(rows: Sequence[Mapping[str, Any]], columns: list[str] | None = None) -> pd.DataFrame:
    """Rows as a frame."""
    # A command that only counts needs not load it, which takes a third of its time.
    import pandas as pd

    return pd.DataFrame(rows, columns=columns)


def subsets(*lists: Sequence[Filter]) -> list[tuple[Filter, ...]]:
    """Every choice of none or one filter from each list (method.md, Filters).

    Examples
    --------
    >>> chosen = subsets(where(t_bin=5), [*where(min_sigma=3), *where(min_sigma=5)])
    >>> [" ".join(map(str, each)) for each in chosen]
    ['', 'min_sigma=3', 'min_sigma=5', 't_bin=5', 't_bin=5 min_sigma=3', 't_bin=5 min_sigma=5']
    """
    choices = product(*([None, *one] for one in lists))
    return [tuple(item for item in choice if item is not None) for choice in choices]


def subset_counts(rows: pd.DataFrame, *lists: Sequence[Filter]) -> pd.DataFrame:
    """How many rows each of the `subsets` keeps.

    Returns
    -------
    DataFrame
        Columns ``filters`` (text; ``all`` without any), ``kept`` and ``removed``.
    """
    keeps = {item: item.keeps(rows) for one in lists for item in one}
    everything = np.ones(len(rows), bool)
    choices = subsets(*lists)
    kept = [
        int(np.logical_and.reduce([everything, *(keeps[item] for item in choice)]).sum())
        for choice in choices
    ]
    return framed(subset_rows(choices, len(rows), kept))


def subset_rows(
    choices: Sequence[Sequence[Filter]],
    n_rows: int,
    kept: Sequence[int],
    sources: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """The counts of `subset_counts`, from the rows that each choice keeps.

    If the sources of these rows are known, they are a column of their own.
    """
    names = [" ".join(map(str, choice)) or "all" for choice in choices]
    rows = [
        {"filters": name, "kept": left, "removed": n_rows - left}
        for name, left in zip(names, kept, strict=True)
    ]
    if sources is not None:
        rows = [{**row, "sources": number} for row, number in zip(rows, sources, strict=True)]
    return rows
