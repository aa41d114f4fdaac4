"""Sentences for people: exceptions that name the thing, the cause and the remedy; numbers.

Everything a user can cause or meet is an `ExodError`; the command line prints its text and the
ledger stores it. Anything else that is raised is a defect in exod.
"""

from __future__ import annotations

import re
from typing import Final

_DIGITS: Final = 17
"""More than a number has."""

INTERRUPTED: Final = 130
"""Exit code of what Ctrl-C ended, as of programs that die of it: 128 and the number of SIGINT."""

INTERRUPTION: Final = "exod: interrupted; what is done is kept, and the same command continues."
"""What is said then."""


class ExodError(Exception):
    """Base of all errors whose text is meant for a user, and has no credentials."""

    def __str__(self) -> str:
        return without_credentials(super().__str__())


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


_USER = re.compile(r"""(?<=://)[^/\s]*@|(?<![\w/])[\w.+-]+:[^\s'"/@]+@(?=[\w\[])""")
_PARAMETER = re.compile(
    r"(?<=[?&;])([^\s?&;=#]*(?:token|sig|key|secret|pass|pwd|cred|auth|session)[^\s?&;=#]*=)"
    r"[^\s&;#'\"<>)\]}]+",
    re.IGNORECASE,
)
"""Credentials in a URL: what stands before the host, and parameters that sign a request."""


def without_credentials(text: str) -> str:
    """Leave names, passwords and tokens out of the addresses and URLs in a text.

    Examples
    --------
    >>> without_credentials("no answer from https://me:secret@host/path?token=abc&page=2")
    'no answer from https://host/path?token=...&page=2'
    >>> without_credentials("tcp://me:p@ss@host:8786")
    'tcp://host:8786'
    """
    return _PARAMETER.sub(r"\1...", _USER.sub("", text))


_PLACE = re.compile(r"""(?:\b[a-z][a-z0-9+]*:/)?(?<![\w.):])/+(?:[^\s/'"<>|]+/)*(?=[^\s/])""")
"""What stands before the last name of an absolute path, or of an address that is not of the web."""


def without_places(text: str, root: str = "") -> str:
    """Leave folders of this machine out of a text, for readers who are elsewhere.

    Parameters
    ----------
    text : str
        Any text.
    root : str
        A folder whose own name stays; those above it go even if their names have spaces.

    Examples
    --------
    >>> without_places("/data/run 2/results has no '/data/run 2/a.FTZ'; see https://a.org/b",
    ...     "/data/run 2/results")
    "results has no 'a.FTZ'; see https://a.org/b"
    >>> without_places("s3://bucket/survey/ledger cannot be read (1 / 5, and/or 3 ct/s)")
    'ledger cannot be read (1 / 5, and/or 3 ct/s)'
    """
    above = root.rstrip("/").rpartition("/")[0]
    while above.strip("/"):
        text = text.replace(f"{above}/", "/")
        above = above.rpartition("/")[0]
    return _PLACE.sub(lambda found: found[0] if found[0].startswith("http") else "", text)


def percent(share: float, form: str = ".6g") -> str:
    """A share in per cent, with more digits where it would read 0 or 100 and is not.

    Examples
    --------
    >>> percent(0.9), percent(0.996, ".0f"), percent(1.0, ".0f"), percent(1 - 1e-12)
    ('90 %', '99.6 %', '100 %', '99.9999999999 %')
    """
    digits, kind = int(form[1:-1]), form[-1]
    while True:
        text = f"{100 * share:.{digits}{kind}}"
        if float(text) not in (0, 100) or 100 * share in (0, 100) or digits > _DIGITS:
            return f"{text} %"
        digits += 1


def plural(n: int, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> plural(1, "region"), plural(1234, "region"), plural(2, "process")
    ('1 region', '1,234 regions', '2 processes')
    """
    ending = "es" if noun.endswith(("s", "x")) else "s"
    return f"{n:,} {noun}{'' if n == 1 else ending}"
