"""Files and folders that appear whole or not at all, and that a power cut leaves whole.

What is written goes to a temporary name beside the final one, is made durable there, and takes its
final name in one step; what was there before stays until then. After an error nothing is left of
the new one. A killed process can leave a temporary name behind, which `is_temporary` knows.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Final

from exod.errors import ExodError
from exod.files.storage import one_line

_NO_SYNC_OF_FOLDERS: Final = (errno.EINVAL, errno.ENOTSUP)
_REMEDIES: Final = (
    ({errno.ENOSPC, errno.EDQUOT}, "make room there, or write to another disk"),
    ({errno.EACCES, errno.EPERM, errno.EROFS}, "write to a folder where that is allowed"),
    (
        {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG},
        "give another name",
    ),
)


@contextmanager
def whole_file(
    path: Path,
    *,
    overwrite: bool = True,
    error: type[ExodError] | None = ExodError,
    remedy: str = "",
) -> Iterator[Path]:
    """Give a temporary name to write a file to, which becomes `path` if the block ends well.

    Parameters
    ----------
    path : Path
        The file; folders that are missing are made.
    overwrite : bool
        Whether it may take the place of another file.
    error : type, optional
        What to raise if the file cannot be written; None leaves the `OSError` to the caller.
    remedy : str
        What to do about that, where the caller knows better than the cause tells.

    Yields
    ------
    Path
        The temporary name, in the same folder.

    Raises
    ------
    ExodError
        If it cannot be written.
    FileExistsError
        If there is such a file, also since a moment ago, and it is not to be overwritten.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder, "table.csv")) as temporary:
    ...         _ = temporary.write_text("1,2")
    ...     os.listdir(folder)
    ['table.csv']
    """
    try:
        changed = _make_folders(path)
        with scratch_file(path) as temporary:
            yield temporary
            _sync_file(temporary)
            if overwrite:
                temporary.replace(path)
            else:
                _name_unless_taken(temporary, path)
        for folder in changed:
            sync_folder(folder)
    except OSError as cause:
        if error is None or (isinstance(cause, FileExistsError) and not overwrite):
            raise
        raise error(_sentence(path, cause, remedy)) from cause


def write_whole(
    path: Path,
    content: bytes | str,
    *,
    error: type[ExodError] | None = ExodError,
    remedy: str = "",
) -> None:
    """Write a file in one step, text as UTF-8; see `whole_file`."""
    with whole_file(path, error=error, remedy=remedy) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_folder(
    path: Path,
    *,
    overwrite: bool = True,
    error: type[ExodError] | None = ExodError,
    remedy: str = "",
) -> Iterator[Path]:
    """Make a temporary folder that becomes `path` if the block ends well.

    Parameters and exceptions are those of `whole_file`. A folder that is there and empty may
    always be replaced.
    """
    temporary = _temporary(path)
    try:
        changed = _make_folders(path)
        try:
            temporary.mkdir()
            yield temporary
            for inside, _, names in os.walk(temporary):
                for name in names:
                    _sync_file(Path(inside, name))
                sync_folder(Path(inside))
            _take_place(temporary, path, overwrite=overwrite)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for folder in changed:
            sync_folder(folder)
    except OSError as cause:
        if error is None:
            raise
        raise error(_sentence(path, cause, remedy)) from cause


def check_place(path: Path, *, error: type[ExodError] = ExodError, remedy: str = "") -> None:
    """Find out whether something can be written, before it is made with much work.

    Nothing is left behind; folders that are missing are not made.

    Parameters
    ----------
    path : Path
        The file or folder.
    error, remedy : type, str
        As of `whole_file`.

    Raises
    ------
    ExodError
        If the folder it will be in, or the nearest one above that is there, takes no new names.
    """
    try:
        nearest = next(folder for folder in path.absolute().parents if folder.exists())
        with scratch_file(nearest / path.name) as temporary:
            temporary.touch()
    except OSError as cause:
        raise error(_sentence(path, cause, remedy)) from cause


@contextmanager
def scratch_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; what has it after the block is removed."""
    temporary = _temporary(path)
    try:
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def unique_mark() -> str:
    """Eight hexadecimal digits that no other name has."""
    return uuid.uuid4().hex[:8]


def is_temporary(name: str) -> bool:
    """Whether a name, with or without its folder, is that of something being written."""
    base = name.rsplit("/", 1)[-1]
    return base.startswith(".") and base.endswith(".tmp")


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable; a file's own fsync does not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some mounted disks (FUSE, SMB) have no such thing.
        if error.errno not in _NO_SYNC_OF_FOLDERS:
            raise
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{unique_mark()}.tmp")


def _make_folders(path: Path) -> list[Path]:
    """Make the folders above a path; those in which a name will be new are returned."""
    missing = list(takewhile(lambda folder: not folder.exists(), path.parents))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
    return [path.parent, *(folder.parent for folder in missing)]


def _name_unless_taken(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # Some mounted disks (exFAT, SMB) have no hard links.
        temporary.replace(path)


def _take_place(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Name a folder as another that may be there; that one comes back if this fails."""
    earlier = temporary.with_suffix(".old")
    if overwrite:
        # Whoever makes the same at this time may be a moment ahead.
        with suppress(FileNotFoundError):
            path.rename(earlier)
    try:
        temporary.rename(path)
    except OSError:
        if earlier.exists():
            earlier.rename(path)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def _sentence(path: Path, cause: OSError, remedy: str) -> str:
    known = (text for numbers, text in _REMEDIES if cause.errno in numbers)
    remedy = remedy or next(known, "check the disk and try again")
    return f"{path} cannot be written: {one_line(cause)}; {remedy}."
