"""Event lists and source lists in object stores and on web servers: listed there, copied to read.

The layout is that of the archive at HEASARC, ``<root>/<obsid>/PPS/P<obsid>...FTZ``, or any other
with the pipeline's file names.
"""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit

import fsspec

from exod.errors import DownloadError, ExodError, InputError, without_credentials
from exod.files.retry import persistently
from exod.files.storage import (
    CHECK_SETTINGS,
    StorageOptions,
    one_line,
    service_failure,
)
from exod.pps.fits.fitsstream import LARGEST_FILE
from exod.pps.names import SUFFIXES

TRIES: Final = 4
"""How often a file is asked for."""

WAIT: Final = 0.5
"""Seconds before the second time; see `exod.files.retry.persistently`."""

LISTING_THREADS: Final = 16
"""Folders listed at the same time."""

_DEPTH: Final = 4
"""How deep below a root the folders of products may lie."""
_BLOCK: Final = 1 << 18
_PRODUCTS: Final = "PPS"
_CREDENTIALS: Final = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "TokenRetrievalError",
)


def is_remote(path: str | Path) -> bool:
    """Whether a path is the URL of something that is not on a mounted disk."""
    return "://" in str(path) and not str(path).startswith("file://")


@dataclass(frozen=True)
class RemoteFile:
    """A file in an object store or on a web server.

    Attributes
    ----------
    url : str
        Its address.
    options : StorageOptions
        Of the fsspec file system.
    size : int or None
        In bytes, None if it was not asked for yet.
    stamp : str
        What changes with the content, ETag or time of the last change; empty if not known.
    """

    url: str
    options: StorageOptions = field(default_factory=StorageOptions, repr=False, compare=False)
    size: int | None = None
    stamp: str = ""

    def __str__(self) -> str:
        return without_credentials(self.url)

    @property
    def name(self) -> str:
        """Name of the file."""
        path = self.url
        if path.startswith(("http://", "https://")):
            # What follows may sign the request; in an object store it is part of the name.
            path = path.partition("?")[0]
        return unquote(posixpath.basename(path))

    @property
    def suffix(self) -> str:
        """Ending of the name, with its dot."""
        return posixpath.splitext(self.name)[1]

    def described(self) -> RemoteFile:
        """The same with size and stamp.

        Raises
        ------
        DownloadError
            If it is not there or cannot be asked for.
        """
        if self.size is not None:
            return self
        system, path = fsspec.url_to_fs(self.url, **self.options)
        info = self._trying(lambda: system.info(path))
        return replace(self, size=info.get("size"), stamp=_stamp(info))

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Open it to read some of it.

        Raises
        ------
        DownloadError
            If it is not there or cannot be read.
        """
        system, path = fsspec.url_to_fs(self.url, **self.options)
        file: IO[bytes] = self._trying(lambda: system.open(path, mode, block_size=_BLOCK))
        return file

    def copy_to(self, target: Path) -> Path:
        """Copy it to a file, as large as it is there.

        Raises
        ------
        DownloadError
            If it is not there, cannot be read, or there is no room.
        """
        size = self.described().size
        if (size or 0) > LARGEST_FILE:
            raise DownloadError(
                f"{self.url} has {size:,} bytes, more than any list of events; it is left there."
            )
        system, path = fsspec.url_to_fs(self.url, **self.options)

        def copy() -> None:
            system.get_file(path, str(target), callback=_Limit())
            found = target.stat().st_size
            if size is not None and found != size:
                raise OSError(errno.EIO, f"{found} of {size} bytes came")

        self._trying(copy)
        return target

    def _trying(self, action: Callable[[], Any]) -> Any:
        """Do it, again after a while if it fails; what a service does for a moment passes."""
        try:
            return persistently(action, TRIES, WAIT)
        except ExodError:
            raise
        except Exception as error:
            raise DownloadError(f"{self.url} cannot be read: {_reason(error)}.") from error


class _Limit(fsspec.Callback):
    """Ends a copy of what does not say its size, or says a wrong one."""

    def relative_update(self, inc: int = 1) -> None:
        super().relative_update(inc)
        if self.value > LARGEST_FILE:
            raise DownloadError(f"More than {LARGEST_FILE:,} bytes came, so the copy was ended.")


def list_remote(
    url: str, options: Mapping[str, Any] | None = None
) -> list[RemoteFile | InputError]:
    """Find the files under a URL that may be event or source lists, by their names.

    Parameters
    ----------
    url : str
        A file, a folder of one observation, a folder of such folders, or a pattern of these with
        ``*``. Of a folder that has a folder ``PPS``, only that one is looked at.
    options : dict, optional
        Of the fsspec file system. A bucket of S3 that does not accept the credentials, or for
        which there are none, is read without.

    Returns
    -------
    list of RemoteFile or InputError
        The files, and an error for each folder below that cannot be listed.

    Raises
    ------
    InputError
        If there is nothing, or the URL itself cannot be listed.
    """
    if urlsplit(url).username is not None:
        raise InputError(
            f"{url} cannot be used with a name or a password in its URL, which the results would "
            f"show; give them as options of the input."
        )
    given = StorageOptions(options or {})
    try:
        try:
            return _listed(url, given)
        except Exception as error:
            if not url.startswith("s3://") or "anon" in given or not _is_refusal(error):
                raise
        return _listed(url, StorageOptions(given, anon=True))
    except ExodError:
        raise
    except Exception as error:
        raise InputError(f"{url} cannot be listed: {_reason(error)}.") from error


def _is_refusal(error: Exception) -> bool:
    """Whether credentials are missing or not accepted; a public bucket needs none."""
    # The library need not be installed, so its exceptions are known by name.
    return isinstance(error, PermissionError) or type(error).__name__ in _CREDENTIALS


def _listed(url: str, options: StorageOptions) -> list[RemoteFile | InputError]:
    system, path = fsspec.url_to_fs(url, **options)
    system.invalidate_cache()
    paths = system.glob(path) if "*" in url else [path]
    found = [
        info
        if isinstance(info, InputError)
        else RemoteFile(
            system.unstrip_protocol(info["name"]), options, info.get("size"), _stamp(info)
        )
        for place in paths
        for info in _walk(system, place.rstrip("/"), _DEPTH)
    ]
    if not found:
        raise InputError(f"{url} holds no event lists of XMM-Newton's EPIC cameras.")
    return found


def _walk(system: Any, path: str, depth: int) -> Iterator[Mapping[str, Any] | InputError]:
    """Files that may be event or source lists, as the file system describes them."""

    def below(folder: str) -> list[Mapping[str, Any] | InputError]:
        try:
            return list(_walk(system, folder, depth - 1))
        except Exception as error:  # noqa: BLE001 - one folder of many; the others go on
            where = system.unstrip_protocol(folder)
            return [InputError(f"{where} cannot be listed: {_reason(error)}.")]

    if _is_candidate(path):
        # To list a file would fetch it from a web server.
        yield system.info(path)
        return
    entries = [
        {**info, "name": info["name"].rstrip("/")} for info in system.ls(f"{path}/", detail=True)
    ]
    folders = [
        info["name"] for info in entries if info["type"] == "directory" and info["name"] != path
    ]
    products = [name for name in folders if posixpath.basename(name).upper() == _PRODUCTS]
    yield from (
        info for info in entries if info["type"] != "directory" and _is_candidate(info["name"])
    )
    if depth:
        with ThreadPoolExecutor(LISTING_THREADS) as pool:
            for found in pool.map(below, products or folders):
                yield from found


def _is_candidate(path: str) -> bool:
    name = posixpath.basename(path)
    return name.lower().endswith(SUFFIXES) and name[0] != "."


def _stamp(info: Mapping[str, Any]) -> str:
    for key in ("ETag", "Last-Modified", "LastModified", "mtime", "updated", "created"):
        if info.get(key):
            return str(info[key]).strip('"')
    return ""


def _reason(error: BaseException) -> str:
    """Cause and remedy, in words that go on."""
    failure = service_failure(error)
    if isinstance(error, FileNotFoundError) and failure is None:
        return "there is no such file or folder"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{one_line(error)}; point TMPDIR to a folder with more room"
    if isinstance(error, ImportError | ValueError | TypeError):
        return f"{one_line(error)}; {CHECK_SETTINGS}"
    if type(error).__module__.startswith("aiohttp"):
        return f"{one_line(error)}; check the URL and the network, and try again"
    return failure or one_line(error)
