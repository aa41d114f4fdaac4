"""Arrays by what they hold; shapes and units are told where they are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.errors import ConfigError

_SHOWN: Final = 60
"""Characters of a value that a sentence shows."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Indices = NDArray[np.intp]
"""What index an array."""
Mask = NDArray[np.bool_]
"""Which of something are meant."""


def numbers_of(
    value: ArrayLike, what: str, wanted: str = "a number or a list of numbers"
) -> Floats:
    """What somebody gave, as numbers of any shape.

    Raises
    ------
    ConfigError
        If it is something else than is wanted; the sentence begins with `what`.

    Examples
    --------
    >>> numbers_of([1, "2.5"], "A start").tolist()
    [1.0, 2.5]
    """
    try:
        return np.asarray(value, float)
    except (TypeError, ValueError) as error:
        shown = repr(value)
        shown = shown if len(shown) < _SHOWN else f"{shown[:_SHOWN]} ..."
        raise ConfigError(f"{what} is {wanted}, not {shown}.") from error


def number_of(value: ArrayLike, what: str) -> float:
    """As `numbers_of`, a single number."""
    found = numbers_of(value, what, "a number")
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
