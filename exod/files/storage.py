"""File systems of fsspec: their options, and what goes wrong with them, in one sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from exod.errors import without_credentials


class StorageOptions(dict[str, Any]):
    """Options of an fsspec file system; they may hold credentials, so their text shows none.

    Examples
    --------
    >>> StorageOptions(key="name", secret="word")
    StorageOptions(key=..., secret=...)
    """

    def __repr__(self) -> str:
        return f"StorageOptions({', '.join(f'{key}=...' for key in self)})"

    __str__ = __repr__


@contextmanager
def explained() -> Iterator[None]:
    """Turn whatever a remote file system raises into an `OSError` with the cause and the remedy.

    A missing file stays a `FileNotFoundError` and an existing one a `FileExistsError`.
    """
    try:
        yield
    except Exception as error:
        reason = service_failure(error)
        if reason is None:
            if isinstance(error, OSError):
                raise
            # Options are used at the first request, and the file system believes what it gets.
            reason = f"{one_line(error)}; {CHECK_SETTINGS}"
        raise OSError(errno.EIO, reason) from error


_LIBRARIES = {"aiobotocore", "aiohttp", "botocore", "s3fs", "urllib3"}
_CHECK_ENDPOINT = (
    "check AWS_ENDPOINT_URL or the storage option endpoint_url and the network, and try again"
)
_GIVE_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give key and secret as "
    "storage options"
)
CHECK_SETTINGS = "check the URL, the AWS settings and the storage options"
_REMEDIES = {
    "NoCredentialsError": _GIVE_CREDENTIALS,
    "PartialCredentialsError": _GIVE_CREDENTIALS,
    "CredentialRetrievalError": _GIVE_CREDENTIALS,
    "TokenRetrievalError": _GIVE_CREDENTIALS,
    "ConfigNotFound": CHECK_SETTINGS,
    "ConfigParseError": CHECK_SETTINGS,
    "InvalidConfigError": CHECK_SETTINGS,
    "NoRegionError": CHECK_SETTINGS,
    "ParamValidationError": CHECK_SETTINGS,
    "ProfileNotFound": CHECK_SETTINGS,
}
"""What to do about exceptions of botocore; about others of these libraries: check the way."""


def service_failure(error: BaseException) -> str | None:
    """Cause and remedy if an object store or the way to it failed; None for anything else."""
    if isinstance(error, OSError):
        return _refusal(error)
    # The libraries need not be installed, so their exceptions are known by name.
    if type(error).__module__.partition(".")[0] not in _LIBRARIES:
        return None
    names = {kind.__name__ for kind in type(error).__mro__}
    for known, remedy in _REMEDIES.items():
        if known in names:
            return f"{one_line(error)}; {remedy}"
    return f"{one_line(error)}; {_CHECK_ENDPOINT}"


def _refusal(error: OSError) -> str | None:
    """The same for what s3fs makes of the answers of a service, and for lost connections."""
    response = getattr(error.__cause__, "response", None) or {}
    code = response.get("Error", {}).get("Code")
    if code == "NoSuchBucket":
        return "the bucket does not exist; make it, or correct the URL or the endpoint"
    if isinstance(error, FileNotFoundError | FileExistsError):
        return None
    if isinstance(error, PermissionError):
        return (
            f"access is denied ({one_line(error)}); check the credentials and their right to list, "
            f"read, write and delete there"
        )
    if isinstance(error, TimeoutError | ConnectionError):
        return f"{one_line(error)}; {_CHECK_ENDPOINT}"
    return f"the service answers {code}, {one_line(error)}; try again later" if code else None


def one_line(error: BaseException) -> str:
    """What an exception says, in one line that can go on, without passwords."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return without_credentials(" ".join(said.split()).rstrip(".")) or type(error).__name__


def changed(info: Mapping[str, Any]) -> float:
    """Unix time of the last change; each fsspec file system names it its own way."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, str):
            return datetime.fromisoformat(value).timestamp()
    return float("inf")
