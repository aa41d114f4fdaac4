"""Tables in HDF5, one compound table a node under the root, as PyTables writes them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exod.astromon.tables import Rows, counted, damaged
from exod.errors import InputError
from exod.files.whole import whole_file

try:
    import tables as pytables
except ImportError as cause:
    raise InputError(
        "Files of HDF5 need PyTables, which is not installed: pip install 'exod[astromon]'."
    ) from cause


ROWS: int = 100_000
"""Rows that are read at a time where they are counted."""

RETRIES: Final = 10
"""How often a file that another process has open for writing is tried, as in the original."""

RETRY_S: float = 1.0
"""Seconds between tries."""


def opened(path: Path, mode: str = "r") -> pytables.File:
    """Open a file, waiting for a process that has it open for writing.

    Raises
    ------
    InputError
        If it is damaged, cannot be written, or stays open elsewhere.
    FileNotFoundError
        If there is none.
    """
    for left in reversed(range(RETRIES)):
        try:
            return pytables.open_file(str(path), mode)
        except ValueError as error:
            raise InputError(
                f"{path} is open in this process already ({error}); pass the open file on as "
                f"dbfile."
            ) from error
        except (pytables.HDF5ExtError, OSError) as error:
            if not path.exists():
                raise FileNotFoundError(path) from error
            if isinstance(error, PermissionError):
                raise InputError(f"{path} cannot be opened ({error.strerror or error}).") from error
            if "lock file" not in str(error):
                raise damaged(path, "it is no sound HDF5 file") from error
            if not left:
                raise InputError(
                    f"{path} is being written by another process; try again when it has ended."
                ) from error
        time.sleep(RETRY_S)
    raise AssertionError  # The last try returns or raises.


class HDF5Storage:
    """A file that the original reads and writes too; see `exod.astromon.forms.storage.Storage`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Tables that are there; none if there is no file."""
        if not self.path.exists():
            return []
        with opened(self.path) as file:
            return OpenHDF5(file).names()

    def counts(self, name: str) -> Counter[int]:
        """Rows of each observation in a table."""
        with opened(self.path) as file:
            return OpenHDF5(file).counts(name)

    def read(self, name: str, obsids: tuple[int, int] | None = None) -> Rows:
        """Rows of a table, all or those of observations from one to another."""
        with opened(self.path) as file:
            return OpenHDF5(file).read(name, obsids)

    def write(self, tables: Mapping[str, Rows]) -> None:
        """Put tables in the place of those of the same names; others stay."""
        # A new file has no space that replaced tables have left.
        with (
            whole_file(self.path, error=InputError) as temporary,
            pytables.open_file(str(temporary), "w") as file,
        ):
            if self.path.exists():
                with opened(self.path) as old:
                    for node in old.list_nodes("/"):
                        if node._v_name not in tables:
                            old.copy_node(node, file.root, recursive=True)
            for name, rows in tables.items():
                file.create_table("/", name, rows)


class OpenHDF5:
    """A file that somebody has opened, and closes; what is written is in it at once."""

    def __init__(self, file: pytables.File) -> None:
        self.file = file

    def names(self) -> list[str]:
        """Tables that are there."""
        return sorted(node.name for node in self.file.list_nodes("/", "Table"))

    def counts(self, name: str) -> Counter[int]:
        """Rows of each observation in a table."""
        found: Counter[int] = Counter()
        with self._sound():
            node = self.file.get_node("/", name, "Table")
            for start in range(0, node.nrows, ROWS):
                found.update(counted(node.read(start, start + ROWS, field="obsid")))
        return found

    def read(self, name: str, obsids: tuple[int, int] | None = None) -> Rows:
        """Rows of a table, all or those of observations from one to another."""
        with self._sound():
            node = self.file.get_node("/", name, "Table")
            if obsids is None:
                return node[:]
            low, high = obsids
            return node.read_where(f"(obsid >= {low}) & (obsid <= {high})")

    def write(self, tables: Mapping[str, Rows]) -> None:
        """Put tables in the place of those of the same names; others stay."""
        if self.file.mode == "r":
            raise InputError(
                f"{self.file.filename} is open for reading only; open it with mode r+."
            )
        for name, rows in tables.items():
            if name in self.names():
                self.file.remove_node("/", name)
            self.file.create_table("/", name, rows)

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except pytables.HDF5ExtError as error:
            raise damaged(Path(self.file.filename), "a part of it is damaged") from error
