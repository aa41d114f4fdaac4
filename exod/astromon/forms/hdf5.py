"""Tables in HDF5, one compound table a node under the root, as PyTables writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from exod.astromon.tables import Rows, damaged
from exod.errors import InputError
from exod.files.whole import whole_file

try:
    import tables as pytables
except ImportError as cause:
    raise InputError(
        "Files of HDF5 need PyTables, which is not installed: pip install 'exod[astromon]'."
    ) from cause


class HDF5Storage:
    """A file that the original reads and writes too; see `exod.astromon.forms.storage.Storage`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Tables that are there; none if there is no file."""
        if not self.path.exists():
            return []
        with self._opened() as file:
            return OpenHDF5(file).names()

    def observations(self, name: str) -> Rows:
        """The column obsid of a table."""
        with self._opened() as file:
            return OpenHDF5(file).observations(name)

    def read(self, name: str, obsids: tuple[int, int] | None = None) -> Rows:
        """Rows of a table, all or those of observations from one to another."""
        with self._opened() as file:
            return OpenHDF5(file).read(name, obsids)

    def write(self, tables: Mapping[str, Rows]) -> None:
        """Put tables in the place of those of the same names; others stay."""
        # A new file has no space that replaced tables have left.
        with (
            whole_file(self.path, error=InputError) as temporary,
            pytables.open_file(str(temporary), "w") as file,
        ):
            if self.path.exists():
                with self._opened() as old:
                    for node in old.list_nodes("/"):
                        if node._v_name not in tables:
                            old.copy_node(node, file.root, recursive=True)
            for name, rows in tables.items():
                file.create_table("/", name, rows)

    def _opened(self) -> pytables.File:
        try:
            return pytables.open_file(str(self.path), "r")
        except (pytables.HDF5ExtError, OSError) as error:
            if not self.path.exists():
                raise
            raise damaged(self.path, "it is no sound HDF5 file") from error


class OpenHDF5:
    """A file that somebody has opened, and closes; what is written is in it at once."""

    def __init__(self, file: pytables.File) -> None:
        self.file = file

    def names(self) -> list[str]:
        """Tables that are there."""
        return sorted(node.name for node in self.file.list_nodes("/", "Table"))

    def observations(self, name: str) -> Rows:
        """The column obsid of a table."""
        with self._sound():
            return self.file.get_node("/", name, "Table").col("obsid")

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
