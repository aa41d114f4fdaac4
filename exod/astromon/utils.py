"""What observations of Chandra are processed with; exceptions of astromon."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from exod.astromon.process.calalign import calalign_from_files, get_calalign_offsets
from exod.astromon.process.programs import Ciao, CIAOContext, chdir, ciao_context, communicate
from exod.errors import InputError

__all__ = [
    "CIAOContext",
    "Ciao",
    "FlowException",
    "MissingTableException",
    "calalign_from_files",
    "chdir",
    "ciao_context",
    "communicate",
    "get_calalign_offsets",
    "logging_call_decorator",
]

Result = TypeVar("Result")


class MissingTableException(InputError):  # noqa: N818 - the name of the original
    """A file has no such table."""


class FlowException(Exception):  # noqa: N818 - the name of the original
    """A step of the processing ends the rest of it, for a reason that is no error."""


class LoggingCallDecorator:
    """Logs when a function starts, finishes or raises.

    Parameters
    ----------
    logger : logging.Logger, optional
        By default the root logger.
    log_level : int
        Level of the messages.
    ignore_exceptions : bool
        Whether what is raised ends here, and the function returns None.
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        log_level: int = logging.DEBUG,
        ignore_exceptions: bool = False,  # noqa: FBT001, FBT002 - a call of the original
    ) -> None:
        self.logger = logger or logging.getLogger()
        self.log_level = log_level
        self.ignore_exceptions = ignore_exceptions

    def __call__(self, func: Callable[..., Result]) -> Callable[..., Result | Any]:
        """The function with its messages."""

        @functools.wraps(func)
        def logged(*args: Any, **kwargs: Any) -> Result | None:
            """The function between its messages."""
            given = [str(value) for value in args[1:]]
            given += [f"{name}={value}" for name, value in kwargs.items()]
            first = f"{args[0]} " if args else ""
            call = f"{first}{func.__name__}({', '.join(given)})"
            self.logger.log(self.log_level, "%s Started", call)
            try:
                result = func(*args, **kwargs)
            except FlowException:
                if not self.ignore_exceptions:
                    raise
            except Exception as error:
                self.logger.log(self.log_level, "%s Except: %s", call, error)
                if not self.ignore_exceptions:
                    raise
            else:
                self.logger.log(self.log_level, "%s Finished", call)
                return result
            return None

        return logged


logging_call_decorator = LoggingCallDecorator(logging.getLogger("astromon"), logging.INFO)
