"""The folder of a release: it appears whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exod.catalogue.readme import is_release
from exod.errors import ArchiveError


def check_target(target: Path, *, replace: bool) -> None:
    """Make sure that a release may be written to a folder.

    Raises
    ------
    ArchiveError
        If it exists with something in it, unless that is an earlier release to replace.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not is_release(target):
        raise ArchiveError(f"{target} exists and is no catalogue; give another folder.")
    if not replace:
        raise ArchiveError(
            f"{target} has a catalogue already; give another folder, or --replace it."
        )


@contextmanager
def publishing(target: Path) -> Iterator[Path]:
    """Make a folder beside the target that becomes it if the block ends without an error.

    What was there before stays until then; after an error nothing is left of the new one.

    Raises
    ------
    ArchiveError
        If something cannot be written.
    """
    mark = uuid.uuid4().hex[:8]
    staging = target.with_name(f".{target.name}.{mark}.tmp")
    earlier = target.with_name(f".{target.name}.{mark}.old")
    try:
        staging.mkdir(parents=True)
        yield staging
        _swap(staging, target, earlier)
    except OSError as error:
        raise ArchiveError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    shutil.rmtree(earlier, ignore_errors=True)


def _swap(staging: Path, target: Path, earlier: Path) -> None:
    if target.exists():
        target.rename(earlier)
    try:
        staging.rename(target)
    except OSError:
        if earlier.exists():
            earlier.rename(target)
        raise
