"""The folder of what was imported and answered."""

from __future__ import annotations

import os
from hashlib import file_digest
from pathlib import Path
from typing import Final

from exod.errors import InputError

REMEDY: Final = "name another folder with --cache"
"""What to do if something cannot be written there."""


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
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
