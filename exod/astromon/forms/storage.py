"""Where tables of astromon are kept: one interface, and the form that a suffix names."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from exod.astromon.tables import Rows
from exod.errors import InputError
from exod.files.locks import locked


class _Held(threading.local):
    """Files that this thread is changing."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()


_held = _Held()


@runtime_checkable
class Storage(Protocol):
    """Tables in a file or folder; a change of several tables is made whole or not at all."""

    def names(self) -> list[str]:
        """Tables that are there; none if there is no file."""

    def counts(self, name: str) -> Counter[int]:
        """Rows of each observation in a table, counted without having them all in memory."""

    def read(self, name: str, obsids: tuple[int, int] | None = None) -> Rows:
        """Rows of a table, all or those of observations from one to another, in their order."""

    def write(self, tables: Mapping[str, Rows]) -> None:
        """Put tables in the place of those of the same names; others stay."""


HDF5_SUFFIXES: Final = (".h5", ".hdf5")
SQLITE_SUFFIXES: Final = (".db3", ".sqlite", ".db")
"""Suffixes in lower case; folders of Parquet files have any other or none."""


def storage_at(path: Path) -> Storage:
    """The form that the suffix names: HDF5, SQLite, otherwise a folder of Parquet files.

    Raises
    ------
    InputError
        If HDF5 is asked for and PyTables is not installed.
    """
    suffix = path.suffix.lower()
    if suffix in HDF5_SUFFIXES:
        from exod.astromon.forms.hdf5 import HDF5Storage

        return HDF5Storage(path)
    if suffix in SQLITE_SUFFIXES:
        from exod.astromon.forms.sqlite import SQLiteStorage

        return SQLiteStorage(path)
    if path.is_file():
        raise InputError(
            f"{path} is a file whose suffix says nothing; tables of astromon are .h5, .hdf5, .db3, "
            f".sqlite or .db files, or folders of Parquet files."
        )
    from exod.astromon.forms.parquet import ParquetStorage

    return ParquetStorage(path)


@contextmanager
def changing(path: Path) -> Iterator[Storage]:
    """A storage that nobody else changes meanwhile; its folder is made if it is missing.

    Raises
    ------
    InputError
        If this thread is changing it already, for which it would wait forever, or if it cannot be
        written.
    """
    if is_held(path):
        raise InputError(
            f"{path} is open for writing in this process already; pass what `connect` gave on as "
            f"dbfile."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent} cannot be made ({error.strerror}).") from error
    with locked(path):
        _held.paths.add(path.resolve())
        try:
            yield storage_at(path)
        finally:
            _held.paths.discard(path.resolve())


def is_held(path: Path) -> bool:
    """Whether this thread is changing a file, by `changing`."""
    return path.resolve() in _held.paths
