"""Tables in a SQLite file, one a table, with text as text."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from exod.astromon.tables import DTYPES, Rows, damaged, filled
from exod.errors import InputError

_WAIT_S: Final = 600.0
_KINDS: Final = {"S": "TEXT", "i": "INTEGER", "u": "INTEGER", "b": "INTEGER", "f": "REAL"}


class SQLiteStorage:
    """A file; a change is one transaction. See `exod.astromon.forms.storage.Storage`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Tables that are there; none if there is no file."""
        if not self.path.exists():
            return []
        with self._opened() as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return sorted(name for (name,) in found)

    def counts(self, name: str) -> Counter[int]:
        """Rows of each observation in a table."""
        query = f"SELECT obsid, COUNT(*) FROM {_quoted(name)} GROUP BY obsid"  # noqa: S608 - quoted
        with self._opened() as connection:
            return Counter(dict(connection.execute(query)))

    def read(self, name: str, obsids: tuple[int, int] | None = None) -> Rows:
        """Rows of a table, all or those of observations from one to another."""
        where = " WHERE obsid BETWEEN ? AND ?" if obsids else ""
        with self._opened() as connection:
            query = f"SELECT * FROM {_quoted(name)}{where} ORDER BY rowid"  # noqa: S608 - quoted
            found = connection.execute(query, obsids or ())
            columns = [column for column, *_ in found.description]
            content = found.fetchall()
        return _rows(name, columns, content)

    def write(self, tables: Mapping[str, Rows]) -> None:
        """Put tables in the place of those of the same names; others stay."""
        with self._opened(create=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for name, rows in tables.items():
                connection.execute(f"DROP TABLE IF EXISTS {_quoted(name)}")
                names = rows.dtype.names or ()
                declared = ", ".join(f"{_quoted(c)} {_KINDS[rows.dtype[c].kind]}" for c in names)
                connection.execute(f"CREATE TABLE {_quoted(name)} ({declared})")
                marks = ", ".join("?" * len(names))
                connection.executemany(
                    f"INSERT INTO {_quoted(name)} VALUES ({marks})",  # noqa: S608 - quoted
                    zip(*(_plain(rows[column]) for column in names), strict=True),
                )
                if "obsid" in names:
                    connection.execute(
                        f"CREATE INDEX {_quoted(name + '_obsid')} ON {_quoted(name)} (obsid)"
                    )
            connection.execute("COMMIT")

    @contextmanager
    def _opened(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        mode = "rwc" if create else "ro"
        try:
            with closing(
                sqlite3.connect(
                    f"{self.path.absolute().as_uri()}?mode={mode}",
                    uri=True,
                    timeout=_WAIT_S,
                    isolation_level=None,
                )
            ) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            if create and isinstance(error, sqlite3.OperationalError):
                raise InputError(f"{self.path} cannot be written ({error}).") from error
            raise damaged(self.path, error) from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(values: np.ndarray) -> list[Any]:
    """Values as SQLite takes them; NaN is a null there."""
    if values.dtype.kind == "S":
        return [text.decode() for text in values]
    if values.dtype.kind == "f":
        return [None if np.isnan(value) else value for value in values.tolist()]
    return values.tolist()


def _rows(name: str, columns: list[str], content: list[tuple[Any, ...]]) -> Rows:
    declared = DTYPES.get(name)
    values = list(zip(*content, strict=True)) or [()] * len(columns)
    types: list[tuple[str, Any]] = []
    arrays: dict[str, Any] = {}
    for column, column_values in zip(columns, values, strict=True):
        if declared is not None and column in (declared.names or ()):
            kind = declared[column]
        else:
            kind = _kind(column_values)
        types.append((column, kind))
        known = (
            [np.nan if value is None else value for value in column_values]
            if kind.kind == "f"
            else column_values
        )
        arrays[column] = np.array(known, object)
    return filled(name, types, arrays)


def _kind(values: tuple[Any, ...]) -> np.dtype[Any]:
    """The type of a column that is not declared."""
    if any(isinstance(value, str) for value in values):
        return np.dtype(f"S{max(len(str(value).encode()) for value in values)}")
    if values and all(isinstance(value, int) for value in values):
        return np.dtype("i8")
    return np.dtype("f8")
