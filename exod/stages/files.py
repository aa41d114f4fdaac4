"""What identifies a file, so that a result can be told from that of a changed one."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any


def file_identity(path: Path) -> dict[str, Any]:
    """Name, size in bytes and checksum of a file; size 0 and no checksum if it is unreadable.

    Why it is unreadable is told by whoever reads it as what it should be.
    """
    try:
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=16))
            return {"name": path.name, "size": file.tell(), "checksum": checksum.hexdigest()}
    except OSError:
        return {"name": path.name, "size": 0, "checksum": ""}
