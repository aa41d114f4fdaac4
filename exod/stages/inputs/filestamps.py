"""What identifies a file, so that a result can be told from that of a changed one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from exod.archive.ledger.entry import FullEntry, InputFile
from exod.config import Config
from exod.errors import DownloadError, without_credentials
from exod.pps import RemoteFile
from exod.tablefiles.pixeltable import hot_pixel_table


def file_identity(path: Path | RemoteFile, copy: Path | None = None) -> dict[str, Any]:
    """What the ledger keeps of an input; without a checksum if it is unreadable.

    Why it is unreadable is told by whoever reads it as what it should be.

    Parameters
    ----------
    path : Path or RemoteFile
        The input.
    copy : Path, optional
        Where its content is if not there; a remote file without one has no checksum.

    Returns
    -------
    dict
        Name, size in bytes, checksum, path and stamp, as in `exod.archive.ledger.entry.InputFile`.

    Raises
    ------
    DownloadError
        If a service does not tell about a remote file.
    """
    identity = _at_a_glance(path)
    content = path if isinstance(path, Path) else copy
    if content is not None and content.is_file():
        with suppress(OSError), content.open("rb") as file:
            digest = hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=16))
            identity |= {"size": file.tell(), "checksum": digest.hexdigest()}
    return identity


def recorded_paths(entry: FullEntry | None, config: Config) -> list[str]:
    """Where the files of an observation were, but for a hot pixel table that the settings name."""
    pixels = hot_pixel_table(config.selection.hot_pixels)
    other = pixels.name if pixels else ""
    inputs = entry.inputs if entry else ()
    return [file.path for file in inputs if file.path and file.name != other]


def are_unchanged(paths: Sequence[Path | RemoteFile], recorded: Iterable[InputFile]) -> bool:
    """Whether files are those that the ledger names; read only if a look does not tell.

    A file with the size and the stamp that it had is taken to have its content too; otherwise the
    checksums decide. Where a file is does not matter. What a service does not tell is taken not to
    have changed.
    """
    known = sorted(recorded, key=lambda file: (file.name, file.path))
    try:
        found = [(path, _at_a_glance(path)) for path in paths]
    except DownloadError:
        return True
    found.sort(key=lambda item: (item[1]["name"], item[1]["path"]))
    if [(file.name, file.size) for file in known] != [(f["name"], f["size"]) for _, f in found]:
        return False
    return all(
        bool(file.stamp and file.checksum and file.stamp == glance["stamp"])
        # To read a file of a service costs as much as to search it.
        or (isinstance(path, Path) and file.checksum == file_identity(path)["checksum"])
        for file, (path, glance) in zip(known, found, strict=True)
    )


def _at_a_glance(path: Path | RemoteFile) -> dict[str, Any]:
    """Name, size, path and stamp; the size is 0 if there is no such file."""
    if isinstance(path, RemoteFile):
        there = path.described()
        size, stamp, place = there.size or 0, there.stamp, there.url
        if without_credentials(place) != place:
            # Without what signs it, it leads nowhere.
            place = ""
    else:
        # The file itself may be a link to something of another name.
        size, stamp, place = 0, "", str(path.parent.resolve() / path.name)
        with suppress(OSError):
            status = path.stat()
            size, stamp = status.st_size, str(status.st_mtime_ns)
    return {"name": path.name, "size": size, "checksum": "", "path": place, "stamp": stamp}
