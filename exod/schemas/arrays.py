"""Arrays by what they hold; shapes and units are told where they are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from exod.errors import ConfigError

_SHOWN: Final = 60
"""Characters of a value that a sentence shows."""

_NO_NUMBERS: Final = "bcmM"
"""Kinds that numpy makes numbers of: logical and complex values, dates and their differences."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Indices = NDArray[np.intp]
"""What index an array."""
Mask = NDArray[np.bool_]
"""Which of something are meant."""


def numbers_of(
    value: Any, what: str, unit: str = "", wanted: str = "a number or a list of numbers"
) -> Floats:
    """What somebody gave, as numbers of any shape.

    Parameters
    ----------
    value : array_like, Quantity or masked array
        With a unit it is converted; what is masked is NaN.
    what : str
        How the sentence begins that refuses it.
    unit : str
        Unit of the numbers.
    wanted : str
        What it should be.

    Raises
    ------
    ConfigError
        If it is something else than is wanted, as a date or a logical value.

    Examples
    --------
    >>> numbers_of([1, "2.5"], "A start").tolist()
    [1.0, 2.5]
    """
    try:
        plain = value
        if getattr(value, "unit", None) is not None:
            plain = value.to(unit).value
        given = np.asarray(plain)
        if given.dtype.kind in _NO_NUMBERS:
            raise TypeError("its kind is another")
        found, masked = np.asarray(given, float), np.ma.getmask(value)
        return found if masked is np.ma.nomask else np.where(masked, np.nan, found)
    except (TypeError, ValueError, AttributeError) as error:
        shown = repr(value)
        shown = shown if len(shown) < _SHOWN else f"{shown[:_SHOWN]} ..."
        raise ConfigError(f"{what} is {wanted}, not {shown}.") from error


def number_of(value: Any, what: str, unit: str = "") -> float:
    """As `numbers_of`, a single number."""
    found = numbers_of(value, what, unit, "a number")
    if found.ndim:
        raise ConfigError(f"{what} is one number, not {found.size}.")
    return float(found)


@dataclass(frozen=True)
class EqualColumns:
    """Columns of equal length; what it is about is declared by subclasses, all fields arrays."""

    def take(self, which: Mask | Integers | Indices | slice) -> Self:
        """The rows that a mask, an index array or a slice selects."""
        return type(self)(*(getattr(self, column.name)[which] for column in fields(self)))

    @classmethod
    def concatenate(cls, parts: Iterable[Self]) -> Self:
        """All rows of the parts, of which there is one at least."""
        parts = list(parts)
        if len(parts) == 1:
            return parts[0]
        columns = ([getattr(part, column.name) for part in parts] for column in fields(cls))
        return cls(*map(np.concatenate, columns))
