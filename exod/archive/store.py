"""Files under a root, on a local disk or any fsspec URL, written so that they survive a crash."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import fsspec
import pyarrow as pa

from exod.errors import ArchiveError

_WRITE_THREADS = 4
_READ_THREADS = 16
_READ_BATCH = 100

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def reported(sentence: str) -> Iterator[None]:
    """Turn an `OSError` into an `ArchiveError` that says what failed and why."""
    try:
        yield
    except OSError as error:
        raise ArchiveError(f"{sentence}: {error.strerror or error}.") from error


@dataclass(frozen=True)
class Store:
    """Files under a root, local or any fsspec URL; names are relative to the root.

    Attributes
    ----------
    root : str
        Absolute local path or URL.
    options : Mapping
        Options of the fsspec file system.
    """

    root: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def at(cls, root: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Self:
        """Locate a store at a path or URL; workers may have another working directory.

        Raises
        ------
        ArchiveError
            If the URL has an unknown scheme or its file system is not installed.
        """
        url = os.fspath(root)
        try:
            filesystem, path = fsspec.url_to_fs(url, **(options or {}))
        except (ImportError, ValueError, TypeError) as error:
            raise ArchiveError(f"{url} cannot be used as an archive: {error}.") from error
        is_local = "file" in filesystem.protocol
        return cls(path if is_local else url.rstrip("/"), dict(options or {}))

    @cached_property
    def _located(self) -> tuple[fsspec.AbstractFileSystem, str]:
        filesystem, path = fsspec.url_to_fs(self.root, **self.options)
        return filesystem, path

    @property
    def filesystem(self) -> fsspec.AbstractFileSystem:
        """The fsspec file system."""
        return self._located[0]

    @property
    def is_local(self) -> bool:
        """Whether files are on a mounted disk."""
        return "file" in self.filesystem.protocol

    def path(self, name: str) -> str:
        """Return the full path of a file, as the file system wants it."""
        return f"{self._located[1]}/{name}"

    def _local(self, name: str) -> Path:
        return Path(self.path(name))

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self.filesystem.exists(self.path(name)))

    def read(self, name: str) -> bytes:
        """Read a file."""
        content: bytes = self.filesystem.cat_file(self.path(name))
        return content

    def read_many(self, names: Iterable[str]) -> list[bytes]:
        """Read many small files, in the order of `names`."""
        names = list(names)
        # A task a file would cost more than reading it.
        batches = [names[i : i + _READ_BATCH] for i in range(0, len(names), _READ_BATCH)]
        contents = _in_threads(lambda batch: [*map(self.read, batch)], batches, _READ_THREADS)
        return [content for batch in contents for content in batch]

    def open(self, name: str) -> IO[bytes] | pa.NativeFile:
        """Open a file to read at random places."""
        path = self.path(name)
        return pa.OSFile(path) if self.is_local else self.filesystem.open(path, "rb")

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none if it is missing."""
        return sorted(self._list(folder, detail=False))

    def modified(self, folder: str) -> dict[str, float]:
        """Names of the files in a folder with the Unix time of their last change."""
        return {name: _changed(info) for name, info in self._list(folder, detail=True).items()}

    def _list(self, folder: str, *, detail: bool) -> dict[str, Any]:
        path = self.path(folder)
        self.filesystem.invalidate_cache(path)
        try:
            found = self.filesystem.ls(path, detail=detail)
        except FileNotFoundError:
            return {}
        items = ((item["name"], item) if detail else (item, None) for item in found)
        return {f"{folder}/{name.rsplit('/', 1)[-1]}": item for name, item in items}

    def remove(self, names: Iterable[str]) -> None:
        """Delete files; it is no error if one is gone already."""
        for name in names:
            with suppress(FileNotFoundError):
                self.filesystem.rm_file(self.path(name))

    def create(self, name: str, content: bytes, folders: Iterable[str] = ()) -> bool:
        """Write a file unless it exists; of several processes one succeeds.

        Folders are made first, where the file system has them. Returns whether the file was new.
        """
        if not self.is_local:
            try:
                self.filesystem.pipe_file(self.path(name), content, mode="create")
            except FileExistsError:
                return False
            return True
        for folder in folders:
            self._local(folder).mkdir(parents=True, exist_ok=True)
        temporary = _temporary(name)
        try:
            _write_synced(self._local(temporary), content)
            return _name_unless_taken(self._local(temporary), self._local(name))
        finally:
            self.remove([temporary])

    def publish(self, files: Mapping[str, bytes], marker: str, content: bytes) -> None:
        """Write `files`, then replace the file `marker` in one step; all survive a power cut.

        If it fails before the last step, `files` are removed and `marker` is what it was. A killed
        process can leave files that no marker refers to.

        Raises
        ------
        OSError
            If something cannot be written.
        """
        if self.is_local:
            self._publish_locally(files, marker, content)
            return
        try:
            for name, data in files.items():
                self.filesystem.pipe_file(self.path(name), data)
        except BaseException:
            self.remove(files)
            raise
        self.filesystem.pipe_file(self.path(marker), content)

    def _publish_locally(self, files: Mapping[str, bytes], marker: str, content: bytes) -> None:
        everything = {**files, marker: content}
        staged = {name: _temporary(name) for name in everything}
        try:
            _in_threads(
                lambda name: _write_synced(self._local(staged[name]), everything[name]),
                everything,
                _WRITE_THREADS,
            )
            for name in files:
                self._local(staged[name]).replace(self._local(name))
            folders = {self._local(name).parent for name in files}
            _in_threads(_sync_folder, folders, _WRITE_THREADS)
        except BaseException:
            self.remove([*staged.values(), *files])
            raise
        # From here on the marker may be in place even if an error says otherwise, so the files
        # it refers to stay.
        try:
            self._local(staged[marker]).replace(self._local(marker))
        except OSError:
            self.remove([staged[marker]])
            raise
        _sync_folder(self._local(marker).parent)


def is_temporary(name: str) -> bool:
    """Whether a file name is that of a file being written."""
    base = name.rsplit("/", 1)[-1]
    return base.startswith(".") and base.endswith(".tmp")


def _temporary(name: str) -> str:
    folder, _, base = name.rpartition("/")
    temporary = f".{base}.{uuid.uuid4().hex[:8]}.tmp"
    return f"{folder}/{temporary}" if folder else temporary


def _write_synced(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _name_unless_taken(temporary: Path, final: Path) -> bool:
    try:
        os.link(temporary, final)
    except FileExistsError:
        return False
    except OSError:
        # Some mounted disks (exFAT, SMB) have no hard links.
        temporary.replace(final)
    _sync_folder(final.parent)
    return True


def _sync_folder(path: Path) -> None:
    """Make the names in a folder durable; a file's own fsync does not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> list[Result]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))


def _changed(info: Mapping[str, Any]) -> float:
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
