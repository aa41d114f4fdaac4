"""How far the tasks of a run are, in numbers that travel and can be told at any time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """The tasks of a run by what became of them.

    Attributes
    ----------
    stage : str
        What is done, as the names of the tasks begin.
    total : int
        Tasks in all.
    is_failed : callable
        Whether a result tells of a failure; a task that raised an error has failed in any case.
    before : int
        Tasks that an earlier run had done.
    succeeded, failed : int
        Tasks of this run that ended.
    began : float
        Unix time.
    ended : bool
        Whether nothing follows.
    """

    stage: str
    total: int
    is_failed: Callable[[Any], bool] = lambda _result: False
    before: int = 0
    succeeded: int = 0
    failed: int = 0
    began: float = field(default_factory=time.time)
    ended: bool = False

    def count(self, result: Any, error: Exception | None) -> None:
        """Add a task that ended with a result or an error."""
        if error is not None or self.is_failed(result):
            self.failed += 1
        else:
            self.succeeded += 1

    def figures(self) -> dict[str, Any]:
        """The numbers as they are now, made of plain types."""
        return {
            "stage": self.stage,
            "total": self.total,
            "before": self.before,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "left": max(self.total - self.before - self.succeeded - self.failed, 0),
            "began": self.began,
            "news": time.time(),
            "ended": self.ended,
        }


def hourly(done: int, seconds: float) -> float | None:
    """How many are done an hour; None as long as that cannot be told.

    Examples
    --------
    >>> hourly(20, 60.0), hourly(0, 60.0), hourly(3, 0.0)
    (1200.0, None, None)
    """
    return 3600 * done / seconds if done and seconds > 0 else None


def seconds_left(left: int, per_hour: float | None) -> float | None:
    """How long the rest takes at a rate, in seconds; None if that cannot be told.

    Examples
    --------
    >>> seconds_left(600, 1200.0), seconds_left(0, None), seconds_left(5, None)
    (1800.0, 0.0, None)
    """
    if not left:
        return 0.0
    return 3600 * left / per_hour if per_hour else None


def in_words(seconds: float | None) -> str:
    """A time that is left; empty if it is not known.

    Examples
    --------
    >>> [in_words(seconds) for seconds in (None, 0.0, 42.4, 3725.0)]
    ['', '', '42 s', '1 h 02 min']
    """
    if not seconds:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
