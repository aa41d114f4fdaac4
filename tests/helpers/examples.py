"""How many examples tests with costly ones have: fewer every day than in a drill."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings


def portion(n: int) -> int:
    """Of `n` examples as many as the profile has of a hundred; two at least."""
    return max(2, n * settings().max_examples // 100)


def every_third(cases: Iterable[Any]) -> list[Any]:
    """Parameters of a test of which each third is for every day and the others are for drills."""
    return [
        case if number % 3 == 0 else pytest.param(case, marks=pytest.mark.drill)
        for number, case in enumerate(cases)
    ]
