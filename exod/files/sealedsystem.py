"""Sealed files as a file system of fsspec, for libraries that open files by name themselves."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from threading import Lock, local
from typing import Any, Final

from fsspec import AbstractFileSystem

from exod.errors import ExodError

PREFIX: Final = "sealed://"
"""How the names of files in it begin."""


class SealedFileSystem(AbstractFileSystem):
    """Some files, each opened by a function, with their sizes.

    Parameters
    ----------
    files : Mapping of str to (callable, int)
        By name, without `PREFIX`, what opens a file and its size.

    Attributes
    ----------
    fault : ExodError or None
        What a file said that was not as it should be: libraries do not hand it on whole.
    """

    protocol = "sealed"
    cachable = False

    def __init__(self, files: Mapping[str, tuple[Callable[[], Any], int]]) -> None:
        super().__init__()
        self._files = files
        self.fault: ExodError | None = None

    def _found(self, path: str) -> tuple[Callable[[], Any], int]:
        return self._files[path.removeprefix(PREFIX)]

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Open a file to read."""
        del options
        if mode != "rb":
            raise PermissionError(path)
        try:
            return _Noted(self._found(path)[0](), self)
        except ExodError as error:
            self.fault = error
            raise

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Name and size of a file."""
        del options
        return {"name": path, "size": self._found(path)[1], "type": "file"}

    def exists(self, path: str, **options: Any) -> bool:
        """Whether there is such a file."""
        del options
        return path.removeprefix(PREFIX) in self._files

    def glob(self, path: str, **options: Any) -> list[str]:
        """The file of that name; there are no patterns."""
        return [path] if self.exists(path, **options) else []

    def modified(self, path: str) -> datetime:
        """A time, the same for all: a file that is read is never changed."""
        del path
        return datetime.fromtimestamp(0, UTC)


class _Noted:
    """A file that notes what is wrong with it in its file system.

    DuckDB goes to a place and reads there in two calls, from several threads with one file: each
    has a place of its own.
    """

    def __init__(self, file: Any, system: SealedFileSystem) -> None:
        self._file, self._system = file, system
        self._lock, self._own = Lock(), local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def tell(self) -> int:
        """The place where this thread reads next."""
        return getattr(self._own, "place", 0)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        with self._lock:
            self._file.seek(self.tell())
            self._own.place = self._file.seek(offset, whence)
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        """Read some bytes."""
        try:
            with self._lock:
                self._file.seek(self.tell())
                found: bytes = self._file.read(size)
                self._own.place = self._file.tell()
        except ExodError as error:
            self._system.fault = error
            raise
        return found
