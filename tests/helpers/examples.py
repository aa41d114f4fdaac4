"""How many examples a property test with costly ones has: fewer every day than in a drill."""

from __future__ import annotations

from hypothesis import settings


def portion(n: int) -> int:
    """Of `n` examples as many as the profile has of a hundred; two at least."""
    return max(2, n * settings().max_examples // 100)
