"""Trying again what fails for a moment: which faults pass, how often to ask, how long to wait."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)
from tenacity.nap import sleep as sleep_here

from exod.errors import DownloadError, ExodError

Result = TypeVar("Result")

LONGEST_WAIT: Final = 60.0
"""Seconds; also the most that a service is obeyed that asks to wait."""

PASSING_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers of HTTP that may be others a moment later (RFC 9110, 6585 and 8470)."""

_LASTING: Final = (
    FileNotFoundError,
    PermissionError,
    ImportError,
    AttributeError,
    TypeError,
)
_LOCAL: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
)
"""What is wrong with a disk here and stays so."""


class PassingError(DownloadError):
    """A fault that may pass: asking again is worth it.

    Attributes
    ----------
    retry_after : float
        Seconds that the service asks to wait.
    """

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def may_pass(error: BaseException) -> bool:
    """Whether it is worth it to try again after an error.

    What exod itself says does not pass unless it says so; nor does what is not there or not
    allowed, what the service refuses, and a disk that is full or of another kind than thought.

    Examples
    --------
    >>> may_pass(ConnectionResetError()), may_pass(FileNotFoundError())
    (True, False)
    """
    if isinstance(error, ExodError):
        return isinstance(error, PassingError)
    status = getattr(error, "status", None)
    if isinstance(status, int) and status >= 400:
        return status in PASSING_STATUS
    is_local = isinstance(error, OSError) and error.errno in _LOCAL
    return isinstance(error, Exception) and not isinstance(error, _LASTING) and not is_local


def persistently(
    action: Callable[[], Result],
    attempts: int,
    first_wait: float,
    sleep: Callable[[float], None] = sleep_here,
) -> Result:
    """Do something, and again after faults that may pass.

    Parameters
    ----------
    action : callable
        What to do.
    attempts : int
        How often at most.
    first_wait : float
        Seconds before the second try, doubled before each further one, up to `LONGEST_WAIT`; up
        to a second more is random, and it is at least what the service asks for.
    sleep : callable
        Waits so many seconds.

    Returns
    -------
    object
        What `action` returns; after the last try what it raised is raised.
    """
    backoff = wait_exponential(multiplier=first_wait, max=LONGEST_WAIT) + wait_random(
        0.0, min(first_wait, 1.0)
    )

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, PassingError) else 0.0
        return min(max(backoff(state), asked), LONGEST_WAIT)

    return Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait,
        retry=retry_if_exception(may_pass),
        sleep=sleep,
        reraise=True,
    )(action)
