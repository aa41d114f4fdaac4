"""Files under a root, on a local disk or any fsspec URL, written so that they survive a crash."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import fsspec
import pyarrow as pa

from exod.errors import ArchiveError, ConfigError, without_credentials
from exod.files.seals import KEPT_BYTES, DamagedError, Seal, SealedFile, SealingFile
from exod.files.storage import (
    StorageOptions,
    changed,
    explained,
    one_line,
    service_failure,
)
from exod.files.whole import sync_folder, whole_file, write_whole

_WRITE_THREADS = 4
_READ_THREADS = 16
_READ_BATCH = 100

SETTLED = 10.0
"""Seconds after which a time of last change is certain: of two changes within a tick of the clock
of the disk one would go unnoticed, and that clock may be some seconds off."""

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
    options: StorageOptions = field(default_factory=StorageOptions, repr=False)

    @classmethod
    def at(cls, root: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Self:
        """Locate a store at a path or URL; workers may have another working directory.

        Raises
        ------
        ArchiveError
            If the URL has an unknown scheme, its file system is not installed or does not take
            the options, or the URL has a password in it.
        ConfigError
            If the name is empty.
        """
        url = os.fspath(root)
        if not url.strip():
            raise ConfigError("The archive has an empty name; give a folder or a URL.")
        if without_credentials(url) != url:
            raise ArchiveError(
                f"{url} cannot be used as an archive with a name or a password in its URL, "
                f"which the results would show; give them as storage options."
            )
        try:
            filesystem, path = fsspec.url_to_fs(url, **(options or {}))
        except (ImportError, KeyError, TypeError, ValueError) as error:
            raise ArchiveError(f"{url} cannot be used as an archive: {one_line(error)}.") from error
        is_local = "file" in filesystem.protocol
        if not is_local and not path.strip("/"):
            raise ArchiveError(f"{url} names no place; an archive has a URL like s3://bucket/name.")
        return cls(path if is_local else url.rstrip("/"), StorageOptions(options or {}))

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "options": self.options}

    @property
    def _located(self) -> tuple[fsspec.AbstractFileSystem, str]:
        # A file system is of the process that made it, with its connections and its thread.
        made: dict[int, Any] = self.__dict__.setdefault("_made", {})
        process = os.getpid()
        if process not in made:
            made[process] = fsspec.url_to_fs(self.root, **self.options)
        filesystem, path = made[process]
        return filesystem, path

    @property
    def filesystem(self) -> fsspec.AbstractFileSystem:
        """The fsspec file system."""
        return self._located[0]

    @property
    def is_local(self) -> bool:
        """Whether files are on a mounted disk."""
        return "file" in self.filesystem.protocol

    def check_outside(self, path: Path) -> None:
        """Refuse to write something of a user's where the archive is.

        Raises
        ------
        ArchiveError
            If the path is the archive, or is in it.
        """
        if self.is_local and path.resolve().is_relative_to(Path(self.root).resolve()):
            raise ArchiveError(
                f"{path} is in the archive {self.root}, which holds only what exod keeps there; "
                f"give a folder outside of it."
            )

    def path(self, name: str) -> str:
        """Return the full path of a file, as the file system wants it."""
        return f"{self._located[1]}/{name}"

    def _local(self, name: str) -> Path:
        return Path(self.path(name))

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        with self._explained():
            return bool(self.filesystem.exists(self.path(name)))

    def read(self, name: str) -> bytes:
        """Read a file."""
        with self._explained():
            content: bytes = self.filesystem.cat_file(self.path(name))
        return content

    def read_many(self, names: Sequence[str]) -> list[bytes]:
        """Read many small files, in the order of `names`."""
        contents = self.in_threads(lambda batch: [*map(self.read, batch)], names)
        return [content for batch in contents for content in batch]

    def in_threads(
        self, function: Callable[[Sequence[Item]], Result], items: Sequence[Item]
    ) -> list[Result]:
        """Do something with many files, some at a time: a task a file would take longer."""
        starts = range(0, len(items), _READ_BATCH)
        return _in_threads(function, (items[i : i + _READ_BATCH] for i in starts), _READ_THREADS)

    @contextmanager
    def open(self, name: str, seal: Seal | None = None) -> Iterator[IO[bytes] | pa.NativeFile]:
        """Open a file to read at random places.

        Parameters
        ----------
        name : str
            The file.
        seal : Seal, optional
            What it was when it was written.

        Raises
        ------
        FileNotFoundError
            If there is none.
        DamagedError
            If what is read, now or in the block, is not what was written.
        ArchiveError
            If the service that has the file fails, also while it is read.
        """
        path = self.path(name)
        if seal and seal.is_read_whole:
            yield pa.BufferReader(self.sealed_content(name, seal))
            return
        if seal and seal.blocks:
            yield self.sealed_file(name, seal)
            return
        if self.is_local:
            with pa.OSFile(path) as file:
                yield file
            return
        try:
            with self._explained():
                file = self.filesystem.open(path, "rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ArchiveError(f"{path} cannot be read: {error.strerror or error}.") from error
        with file:
            try:
                yield file
            except Exception as error:
                # What is wrong with the content is for the reader to say.
                if (reason := service_failure(error)) is None:
                    raise
                raise ArchiveError(f"{path} cannot be read: {reason}.") from error

    def sealed_file(self, name: str, seal: Seal, kept_bytes: int = KEPT_BYTES) -> SealedFile:
        """Open a large file to read, of which every part that is read is compared with its seal."""
        return SealedFile(partial(self._fetch, name), seal, partial(self.damaged, name), kept_bytes)

    def sealed_content(self, name: str, seal: Seal) -> bytes:
        """Read a small file that is compared with its seal; raises as `open`."""
        content = self._fetch(name)
        if fault := seal.fault(content):
            raise self.damaged(name, fault)
        return content

    def _fetch(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        path = self.path(name)
        try:
            with self._explained():
                if self.is_local and start is not None and end is not None:
                    # Through fsspec it takes three times as long, longer than to compare it.
                    with open(path, "rb") as file:
                        file.seek(start)
                        return file.read(end - start)
                content: bytes = self.filesystem.cat_file(path, start=start, end=end)
        except FileNotFoundError:
            raise
        except OSError as error:
            if self.is_local:
                raise
            raise ArchiveError(f"{path} cannot be read: {error.strerror or error}.") from error
        return content

    def damaged(self, name: str, fault: str) -> DamagedError:
        """The error for a file that is not what was written."""
        return self._worse(name, f"is not what was written: {fault}", fault)

    def unreadable(self, name: str, reason: str) -> DamagedError:
        """The error for a file that is there and cannot be read."""
        return self._worse(name, f"cannot be read ({reason})", f"it cannot be read ({reason})")

    def _worse(self, name: str, what: str, fault: str) -> DamagedError:
        remedy = f"run `exod verify {self.root}`, which lists what to do"
        return DamagedError(f"{self.path(name)} {what}; {remedy}.", fault)

    def size(self, name: str) -> int:
        """Bytes of a file.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        with self._explained():
            return int(self.filesystem.size(self.path(name)))

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none if it is missing."""
        if not self.is_local:
            return sorted(self._list(folder, detail=False))
        try:
            found = os.listdir(self._local(folder))
        except FileNotFoundError:
            return []
        parent = f"{folder}/" if folder else ""
        return sorted(f"{parent}{name}" for name in found)

    def modified(self, folder: str) -> dict[str, float]:
        """Names of the files in a folder with the Unix time of their last change.

        The folder ``""`` is the root.
        """
        found = self._list(folder, detail=True)
        return {name: changed(info) for name, info in found.items() if info["type"] == "file"}

    def _list(self, folder: str, *, detail: bool) -> dict[str, Any]:
        path = self.path(folder).rstrip("/")
        self.filesystem.invalidate_cache()
        try:
            with self._explained():
                found = self.filesystem.ls(path, detail=detail)
        except FileNotFoundError:
            return {}
        finally:
            # A listing that is kept would hide what others write from now on.
            self.filesystem.invalidate_cache()
        items = ((item["name"], item) if detail else (item, None) for item in found)
        parent = f"{folder}/" if folder else ""
        return {f"{parent}{name.rstrip('/').rsplit('/', 1)[-1]}": item for name, item in items}

    @property
    def key(self) -> Hashable:
        """What is equal for stores of the same files."""
        return self._located

    def stamp(self, name: str) -> str:
        """What changes when a file or folder on a disk does; empty if that cannot be told.

        A folder changes when a file in it is new, replaced by renaming, or gone.
        """
        if not self.is_local:
            return ""
        try:
            # Opening it makes a network disk look for what others changed.
            descriptor = os.open(self.path(name), os.O_RDONLY)
        except FileNotFoundError:
            return ""
        try:
            return _local_stamp(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def stamps(self, folder: str) -> dict[str, str]:
        """Names of the files in a folder with the stamp of each."""
        if not self.is_local:
            found = self._list(folder, detail=True).items()
            return {name: _remote_stamp(i) for name, i in found if i["type"] == "file"}
        try:
            with os.scandir(self._local(folder)) as items:
                return {f"{folder}/{item.name}": _local_stamp(item.stat()) for item in items}
        except FileNotFoundError:
            return {}

    def remove(self, names: Iterable[str]) -> None:
        """Delete files; it is no error if one is gone already."""
        if self.is_local:
            for name in names:
                self._remove(name)
        else:
            _in_threads(self._remove, names, _WRITE_THREADS)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError), self._explained():
            self.filesystem.rm_file(self.path(name))

    def remove_folder(self, folder: str) -> None:
        """Delete a folder if it is empty; an object store has none."""
        if self.is_local:
            with suppress(OSError):
                self._local(folder).rmdir()

    def _upload(self, name: str, content: bytes, mode: str = "overwrite") -> None:
        with self._explained():
            self.filesystem.pipe_file(self.path(name), content, mode=mode)

    def _explained(self) -> AbstractContextManager[None]:
        """Whatever goes wrong in the block becomes an `OSError` that says why."""
        return nullcontext() if self.is_local else explained()

    def create(self, name: str, content: bytes, folders: Iterable[str] = ()) -> bool:
        """Write a file unless it exists; of several processes one succeeds.

        Folders are made first, where the file system has them. Returns whether the file was new.
        """
        if not self.is_local:
            try:
                self._upload(name, content, mode="create")
            except FileExistsError:
                return False
            return True
        for folder in folders:
            self._local(folder).mkdir(parents=True, exist_ok=True)
        try:
            with whole_file(self._local(name), overwrite=False, error=None) as temporary:
                temporary.write_bytes(content)
        except FileExistsError:
            return False
        return True

    @contextmanager
    def writing(self, name: str, block: int | None = None) -> Iterator[SealingFile]:
        """Write a new file piece by piece; it survives a power cut once this ends without error.

        Nothing may refer to it before. If it cannot be completed, it is removed if possible. Its
        blocks are as in `exod.files.seals.SealingFile`.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        try:
            with (
                self._writing_locally(name) if self.is_local else self._writing_there(name) as file
            ):
                yield SealingFile(file, block)
        except BaseException:
            with suppress(OSError):
                self.remove([name])
            raise

    @contextmanager
    def _writing_locally(self, name: str) -> Iterator[IO[bytes]]:
        path = self._local(name)
        with whole_file(path, error=None) as temporary, temporary.open("wb") as file:
            yield file
        # Another process may have made the folders a moment ago.
        for folder in path.parents[1 : 1 + name.count("/")]:
            sync_folder(folder)

    @contextmanager
    def _writing_there(self, name: str) -> Iterator[IO[bytes]]:
        with self._explained():
            file = self.filesystem.open(self.path(name), "wb")
        try:
            yield file
        except BaseException as error:
            with suppress(Exception):
                file.close()
            # What else went wrong is not for the store to say.
            if (reason := service_failure(error)) is None:
                raise
            raise OSError(errno.EIO, reason) from error
        with self._explained():
            file.close()

    def publish(self, files: Mapping[str, bytes], marker: str, content: bytes) -> None:
        """Write `files`, then replace the file `marker` in one step; all survive a power cut.

        If it fails before the last step, `files` are removed if possible and `marker` is what it
        was. A killed process can leave files that no marker refers to.

        Raises
        ------
        OSError
            If something cannot be written.
        """
        if self.is_local:
            self._publish_locally(files, marker, content)
            return
        tried: list[str] = []
        try:
            for name, data in files.items():
                tried.append(name)
                self._upload(name, data)
        except BaseException:
            with suppress(OSError):
                self.remove(tried)
            raise
        # From here on the marker may be in place even if an error says otherwise, so the files
        # it refers to stay.
        try:
            self._upload(marker, content)
        except OSError:
            if not self._holds(marker, content):
                raise

    def _holds(self, name: str, content: bytes) -> bool:
        """Whether a file is surely there with this content: the answer to its PUT may be lost."""
        try:
            return self.read(name) == content
        except OSError:
            return False

    def _publish_locally(self, files: Mapping[str, bytes], marker: str, content: bytes) -> None:
        with whole_file(self._local(marker), error=None) as staged:
            staged.write_bytes(content)
            try:
                _in_threads(
                    lambda name: write_whole(self._local(name), files[name], error=None),
                    files,
                    _WRITE_THREADS,
                )
            except BaseException:
                self.remove(files)
                raise
            # From here on the marker may be in place even if an error says otherwise, so the
            # files it refers to stay.


def _local_stamp(status: os.stat_result) -> str:
    if time.time() - status.st_mtime < SETTLED:
        return ""
    return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"


def _remote_stamp(info: Mapping[str, Any]) -> str:
    if tag := info.get("ETag") or info.get("etag"):
        return str(tag)
    since = changed(info)
    return f"{info.get('size')}-{since}" if time.time() - since >= SETTLED else ""


def _in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> list[Result]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
