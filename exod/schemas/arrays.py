"""Arrays by what they hold; shapes and units are told where they are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Indices = NDArray[np.intp]
"""What index an array."""
Mask = NDArray[np.bool_]
"""Which of something are meant."""


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
        columns = ([getattr(part, column.name) for part in parts] for column in fields(cls))
        return cls(*map(np.concatenate, columns))
