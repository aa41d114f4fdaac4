"""Wording that several outputs share."""

from __future__ import annotations


def plural(n: int, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> plural(1, "region"), plural(1234, "region")
    ('1 region', '1,234 regions')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
