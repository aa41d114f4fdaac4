"""Numbers and pairs of key and value in the text that describes what is simulated."""

from __future__ import annotations

import numpy as np

from exod.errors import ConfigError


def key_values(text: str, where: str) -> dict[str, str]:
    """Pairs ``key=value`` that commas separate.

    Raises
    ------
    ConfigError
        If a key has no value or comes twice; the text begins with `where`.

    Examples
    --------
    >>> key_values("start = 1000, duration = 50", "The burst")
    {'start': '1000', 'duration': '50'}
    """
    given: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or key in given:
            problem = "is given twice" if key in given else "has no value"
            raise ConfigError(f"{where}: {key!r} {problem}; write key=value,key=value.")
        given[key] = value
    return given


def finite_number(value: object, what: str) -> float:
    """A number from a value or its text.

    Raises
    ------
    ConfigError
        If it is none, or not finite; the text begins with `what`.
    """
    try:
        number = float(str(value))
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise ConfigError(f"{what} is {value}; it must be a number.")
    return number
