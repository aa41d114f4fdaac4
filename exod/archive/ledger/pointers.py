"""Versions of files in folders of their own, and the pointers that say which of them count."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final, TypeVar

from pydantic import AwareDatetime

from exod.archive.ledger.entry import Record, problem
from exod.archive.store import Store, reported
from exod.errors import ArchiveError
from exod.files.seals import open_text
from exod.files.whole import is_temporary, unique_mark

VERSION: Final = r"\d{8}T\d{6}-[0-9a-f]{8}"
"""Pattern of the name of a version."""


class Pointer(Record):
    """What names the files that count.

    Attributes
    ----------
    finished : datetime
        UTC.
    exod : str
        Version of exod.
    """

    finished: AwareDatetime
    exod: str

    @property
    def paths(self) -> set[str]:
        """The files that it names."""
        raise NotImplementedError


Kind = TypeVar("Kind", bound=Pointer)


def load_pointer(store: Store, name: str, kind: type[Kind], remedy: str) -> Kind | None:
    """Read a pointer; None if there is none.

    Raises
    ------
    ArchiveError
        If it is damaged, which `remedy` mends, or cannot be read.
    """
    with reported(f"{store.path(name)} cannot be read"):
        try:
            content = store.read(name)
        except FileNotFoundError:
            return None
    return parsed(store, name, content, kind, remedy)


def parsed(store: Store, name: str, content: bytes, kind: type[Kind], remedy: str) -> Kind:
    """Read a pointer from its content; raises as `load_pointer`."""
    try:
        return kind.model_validate_json(open_text(content))
    except ValueError as error:
        raise ArchiveError(
            f"{store.path(name)} is damaged ({problem(error)}); {remedy}."
        ) from error


@contextmanager
def new_version(store: Store, parent: str) -> Iterator[str]:
    """A folder for the files of a new version; they are removed if the block raises an error."""
    folder = f"{parent}/{datetime.now(UTC):%Y%m%dT%H%M%S}-{unique_mark()}"
    try:
        yield folder
    except BaseException:
        with suppress(OSError):
            store.remove(store.names(folder))
            store.remove_folder(folder)
        raise


def unused_files(
    store: Store, folders: Iterable[str], ours: re.Pattern[str], read: Callable[[], Pointer | None]
) -> dict[str, float]:
    """Files of versions that the pointer does not name, with the time since when (Unix).

    The youngest file of a version counts for all, since one in progress may take hours.

    Parameters
    ----------
    store : Store
        The archive.
    folders : iterable of str
        The versions.
    ours : pattern
        Of the paths of their files.
    read : callable
        Reads the pointer.
    """
    found = [store.modified(folder) for folder in folders]
    # After the files: a version published in between is then in use.
    pointer = read()
    used = pointer.paths if pointer else set()
    unused: dict[str, float] = {}
    for files in found:
        since = max(files.values(), default=0.0)
        if pointer:
            # A reader may still use what was replaced just now.
            since = max(since, pointer.finished.timestamp())
        own = {name for name in files if ours.fullmatch(name) or is_temporary(name)}
        unused |= dict.fromkeys(own - used, since)
    return unused
