"""Wording that several outputs share."""

from __future__ import annotations


def plural(n: int, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> plural(1, "region"), plural(1234, "region"), plural(2, "process")
    ('1 region', '1,234 regions', '2 processes')
    """
    ending = "es" if noun.endswith("s") else "s"
    return f"{n:,} {noun}{'' if n == 1 else ending}"
