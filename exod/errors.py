"""Sentences for people: exceptions that name the thing, the cause and the remedy; numbers.

Everything a user can cause or meet is an `ExodError`; the command line prints its text and the
ledger stores it. Anything else that is raised is a defect in exod.
"""

from __future__ import annotations


class ExodError(Exception):
    """Base of all errors whose text is meant for a user."""


class ConfigError(ExodError):
    """A setting is unknown, has the wrong type or an impossible value."""


class InputError(ExodError):
    """A file cannot be used at all: truncated, not FITS, an extension or a column missing.

    The observation that contains it is FAILED.
    """


class ExposureRejected(ExodError):  # noqa: N818 - not an error of the file
    """A sound file that the search leaves out, for instance an unsupported submode.

    The exposure is recorded with the reason; an observation with no exposure left is SKIPPED.
    """


class TooLargeError(ExodError):
    """An observation needs more memory than the process that is to search it may take."""


class ArchiveError(ExodError):
    """The archive cannot be opened, read or written as asked."""


class DownloadError(ExodError):
    """Data cannot be fetched from a service, or cannot be stored here."""


def plural(n: int, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> plural(1, "region"), plural(1234, "region"), plural(2, "process")
    ('1 region', '1,234 regions', '2 processes')
    """
    ending = "es" if noun.endswith("s") else "s"
    return f"{n:,} {noun}{'' if n == 1 else ending}"
