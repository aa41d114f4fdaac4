"""The folder of what was imported and answered: each thing is there whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from exod.errors import InputError

_PIECE = 1 << 20


def cache_folder(given: str | Path | None = None) -> Path:
    """The folder given, that of the variable EXOD_CACHE, or ``~/.cache/exod``."""
    return Path(given or os.environ.get("EXOD_CACHE") or Path.home() / ".cache" / "exod")


def checksum(path: Path) -> str:
    """SHA-256 of the content of a file.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    digest = sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `folder` when the block ends without an error.

    Raises
    ------
    InputError
        If the cache cannot be written.
    """
    part = folder.with_name(f".{folder.name}-{uuid.uuid4().hex[:8]}")
    try:
        part.mkdir(parents=True)
        yield part
        try:
            part.rename(folder)
        except OSError:
            # Somebody else has made the same in the meantime, or a damaged one is there.
            if not folder.is_dir():
                raise
            shutil.rmtree(folder)
            part.rename(folder)
    except OSError as error:
        raise InputError(
            f"The cache {folder.parent} cannot be written ({error.strerror or error}); name "
            f"another folder with --cache."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def put(path: Path, content: bytes) -> None:
    """Write a file in one step.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    part = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise InputError(
            f"The cache {path.parent} cannot be written ({error.strerror}); name another folder "
            f"with --cache."
        ) from error
