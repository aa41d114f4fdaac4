"""Files that may be compressed, unpacked beside everything else and not without end."""

from __future__ import annotations

import gzip
import tempfile
import weakref
from pathlib import Path
from typing import Final

_MAGIC: Final = b"\x1f\x8b"
_PIECE: Final = 1 << 22
LEAST_BYTES: Final = 1 << 30
"""So much may be in any compressed file."""
MOST_TIMES: Final = 200
"""What is larger is at most so many times as large as its file; deflate reaches 1032."""


class Unpacked:
    """A file, or what gzip packed into it, until this object is gone.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    path : Path
        Where its content is.

    Raises
    ------
    OSError, EOFError, zlib.error
        If it cannot be read or unpacked.
    ValueError
        If it holds far more than such a table can.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            if file.read(2) != _MAGIC:
                return
        folder = tempfile.TemporaryDirectory(prefix="exod-table-")
        weakref.finalize(self, folder.cleanup)
        self.path = Path(folder.name, "table")
        most = max(LEAST_BYTES, MOST_TIMES * path.stat().st_size)
        with gzip.open(path) as packed, self.path.open("wb") as target:
            while piece := packed.read(_PIECE):
                target.write(piece)
                if target.tell() > most:
                    raise ValueError(
                        f"it unpacks to more than {most / 1e9:.1f} GB, {MOST_TIMES} times its "
                        f"size; unpack it yourself if that is right"
                    )
