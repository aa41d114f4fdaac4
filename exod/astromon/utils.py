"""Exceptions of astromon."""

from __future__ import annotations

from exod.errors import InputError


class MissingTableException(InputError):  # noqa: N818 - the name of the original
    """A file has no such table."""


class FlowException(Exception):  # noqa: N818 - the name of the original
    """A step of the processing ends the rest of it, for a reason that is no error."""
