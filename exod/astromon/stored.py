"""Tables of astromon in a file: open, read, save. See docs/astromon.md.

The file is HDF5, SQLite or a folder of Parquet files, as its suffix says (`storage_at`). Changes
are made whole or not at all, and by one process at a time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from astropy.table import Table

from exod.astromon.forms.storage import (
    HDF5_SUFFIXES,
    SQLITE_SUFFIXES,
    Storage,
    changing,
    is_held,
    storage_at,
)
from exod.astromon.tables import DTYPES, Rows, as_rows, as_table, empty, filled
from exod.astromon.utils import MissingTableException
from exod.errors import InputError

if TYPE_CHECKING:
    import dask.dataframe as dd

MATCHED: Final = ("astromon_obs", "astromon_xray_src", "astromon_cat_src")
"""Tables that are matched with each other."""

OBSERVATION: Final = "observation"
"""Name of the index of lazy frames, which is obsid."""


def default_file() -> Path | None:
    """The file that is used where none is given, from the environment of this moment.

    It is $ASTROMON_FILE; else none if NO_DEFAULT_ASTROMON is set; else that of $SKA.
    """
    if os.environ.get("ASTROMON_FILE"):
        return Path(os.environ["ASTROMON_FILE"])
    if "NO_DEFAULT_ASTROMON" in os.environ or not os.environ.get("SKA"):
        return None
    return Path(os.environ["SKA"], "data", "astromon", "astromon.h5")


def file_of(dbfile: Any) -> Path:
    """The path of a file that was given, or of the default one.

    Raises
    ------
    InputError
        If there is neither.
    """
    try:
        path = default_file() if dbfile is None else Path(dbfile)
    except TypeError as error:
        raise InputError(
            f"dbfile must be a path or an open file, not {type(dbfile).__name__}."
        ) from error
    if path is None:
        raise InputError(
            "There is no file of astromon tables: give dbfile, or set ASTROMON_FILE (or SKA)."
        )
    return path.expanduser()


@contextmanager
def connect(dbfile: Any = None, mode: str = "r") -> Iterator[Any]:
    """An open file, which all functions take as dbfile: `tables.File` for HDF5, else a `Storage`.

    Parameters
    ----------
    dbfile : path, tables.File or Storage, optional
        The file; one that is open is passed through, and stays open.
    mode : str
        "r", "r+", "a" or "w". "r+" and "a" make a file that is missing, "w" makes a new one. Who
        writes has the file alone.

    Raises
    ------
    InputError
        If there is no such file, it is damaged, or the mode is none.
    """
    if mode not in ("r", "r+", "a", "w"):
        raise InputError(f"Files are opened with the mode r, r+, a or w, not {mode!r}.")
    if _is_open(dbfile):
        yield dbfile
        return
    path = file_of(dbfile)
    if mode == "r":
        with _opened(path, mode, _readable(path)) as file:
            yield file
        return
    with changing(path) as storage:
        if mode == "w" and path.suffix.lower() not in HDF5_SUFFIXES:
            _emptied(path)
        with _opened(path, mode if path.exists() else "w", storage) as file:
            yield file


@contextmanager
def _opened(path: Path, mode: str, storage: Storage) -> Iterator[Any]:
    if path.suffix.lower() not in HDF5_SUFFIXES:
        yield storage
        return
    from exod.astromon.forms.hdf5 import opened

    with opened(path, mode) as file:
        yield file


def _emptied(path: Path) -> None:
    is_file = path.suffix.lower() in SQLITE_SUFFIXES
    for part in [path] if is_file else path.glob("*.parquet"):
        part.unlink(missing_ok=True)


def get_table(table_name: str, dbfile: Any = None) -> Table:
    """A whole table, in its declared types, with an index on obsid.

    Parameters
    ----------
    table_name : str
        Name of the table, for instance ``"astromon_xray_src"``.
    dbfile : path or open file, optional
        The file; by default that of the environment.

    Returns
    -------
    Table
        Its rows in the order of the file; text is unicode, NaN is not known.

    Raises
    ------
    MissingTableException
        If the file has no such table.
    InputError
        If there is no such file, or it is damaged.
    """
    table = as_table(declared(table_name, rows_of(table_name, dbfile)))
    if "obsid" in table.colnames:
        table.add_index("obsid")
    return table


def create_table(table_name: str) -> Table:
    """A table without rows, in the types of `DTYPES`: text is bytes, as on disk."""
    return Table(empty(table_name))


def save(
    table_name: str,
    data: Table,
    dbfile: Any = None,
    ignore_obsid: bool = False,  # noqa: FBT001, FBT002 - as in the original
) -> None:
    """Save rows: those of the same observations are replaced, others stay.

    Parameters
    ----------
    table_name : str
        Name of the table.
    data : Table
        Its rows; columns that are not declared are dropped, text is cut to its length.
    dbfile : path or open file, optional
        The file, which is made if it is missing.
    ignore_obsid : bool
        Whether the whole table is replaced.

    Raises
    ------
    TypeError
        If `data` is no astropy table.
    InputError
        If a column is missing or does not fit.
    """
    if not isinstance(data, Table):
        raise TypeError(
            f"data of {table_name} must be an astropy Table, not {type(data).__name__}."
        )
    rows = as_rows(table_name, data)
    with edited(dbfile) as storage:
        old = storage.read(table_name) if table_name in storage.names() else None
        storage.write({table_name: _merged(table_name, old, rows, ignore_obsid=ignore_obsid)})


def replace_observations(
    obsids: Sequence[int], tables: Mapping[str, Table], dbfile: Any = None
) -> None:
    """Put the rows of observations into several tables, in one change.

    Where their sources are others than before, counterparts and matches of them go.

    Parameters
    ----------
    obsids : sequence of int
        All rows of them go, also if there are no new ones.
    tables : mapping
        The new rows by the name of their table; what others refer to comes last.
    dbfile : path or open file, optional
        The file, which is made if it is missing.

    Raises
    ------
    InputError
        If a column is missing or does not fit.
    """
    new = {name: as_rows(name, table) for name, table in tables.items()}
    with edited(dbfile) as storage:
        there = storage.names()
        old = {
            name: declared(name, storage.read(name))
            for name in (*_OF_SOURCES, *new)
            if name in there
        }
        # Sources that are the same keep what was found of them.
        others = [
            obsid
            for obsid in obsids
            if _SOURCES in new
            and not _are_same(*(_own_sources(rows.get(_SOURCES), obsid) for rows in (old, new)))
        ]
        changed: dict[str, Rows] = {}
        for name in _OF_SOURCES:
            if name in old and name not in new and np.isin(old[name]["obsid"], others).any():
                changed[name] = old[name][~np.isin(old[name]["obsid"], others)]
        for name, rows in new.items():
            left = old.get(name, rows[:0])
            changed[name] = np.concatenate([left[~np.isin(left["obsid"], list(obsids))], rows])
        storage.write(changed)


_SOURCES: Final = "astromon_xray_src"
_OF_SOURCES: Final = ("astromon_xcorr", "astromon_cat_src")
"""Tables whose rows are of sources, by their numbers; matches are of counterparts too."""


def _own_sources(rows: Rows | None, obsid: int) -> Rows:
    """Rows of an observation in the table of sources."""
    return empty(_SOURCES) if rows is None else rows[rows["obsid"] == obsid]


def _are_same(one: Rows, other: Rows) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(one[name], other[name], equal_nan=one.dtype[name].kind == "f")
        for name in one.dtype.names or ()
    )


@contextmanager
def edited(dbfile: Any = None) -> Iterator[Storage]:
    """The tables of a file, which nobody else changes meanwhile; a missing file has none."""
    if _is_open(dbfile):
        storage = _storage_of(dbfile)
        path = getattr(storage, "path", None)
        if path is not None and not is_held(path):
            raise InputError(f"{path} is open for reading only; open it with mode r+.")
        yield storage
        return
    with changing(file_of(dbfile)) as storage:
        yield storage


def lazy(table_name: str, dbfile: Any = None, *, rows: int = 100_000) -> dd.DataFrame:
    """A table as a Dask frame; nothing of it is read but the observations that it has.

    Parameters
    ----------
    table_name : str
        Name of the table.
    dbfile : path, optional
        The file; by default that of the environment.
    rows : int
        Rows of a partition at most, as long as an observation does not have more. Tables that are
        matched with each other (`MATCHED`) are divided alike, by the one that has most.

    Returns
    -------
    dask.dataframe.DataFrame
        Partitions of whole observations in the order of obsid, which is the index too, called
        `OBSERVATION`, so that the divisions of the frame are known.

    Raises
    ------
    MissingTableException
        If the file has no such table.
    """
    import dask.dataframe as dd

    path = file_of(dbfile)
    storage = with_table(_readable(path), table_name)
    alike = set(MATCHED).intersection(storage.names()) if table_name in MATCHED else {table_name}
    most: Counter[int] = Counter()
    for name in alike:
        most |= storage.counts(name)
    ranges = _ranges(most, rows)
    return dd.from_map(
        _part,
        ranges,
        table_name=table_name,
        path=path,
        meta=_part((0, -1), table_name, path),
        divisions=[low for low, _ in ranges] + [ranges[-1][1]],
    )


def rows_of(table_name: str, dbfile: Any = None, obsids: tuple[int, int] | None = None) -> Rows:
    """Rows of a table as they are in the file.

    Raises
    ------
    MissingTableException
        If the file has no such table.
    """
    if _is_open(dbfile):
        return with_table(_storage_of(dbfile), table_name).read(table_name, obsids)
    return with_table(_readable(file_of(dbfile)), table_name).read(table_name, obsids)


def with_table(storage: Storage, table_name: str) -> Storage:
    """The same storage, if it has a table.

    Raises
    ------
    MissingTableException
        If it has not.
    """
    names = storage.names()
    if table_name not in names:
        raise MissingTableException(
            f"{table_name} not in file. Available tables: [{', '.join(names)}]"
        )
    return storage


def _readable(path: Path) -> Any:
    if not path.exists():
        raise InputError(f"There is no file {path} of astromon tables; give another with dbfile.")
    return storage_at(path)


def _is_open(dbfile: Any) -> bool:
    """Whether it is what `connect` gives: a file of PyTables, without importing that, or a storage.

    Raises
    ------
    InputError
        If it is closed.
    """
    is_file = hasattr(dbfile, "list_nodes") and hasattr(dbfile, "isopen")
    if is_file and not dbfile.isopen:
        raise InputError("The file that was given as dbfile is closed; give its path.")
    return is_file or isinstance(dbfile, Storage)


def _storage_of(dbfile: Any) -> Storage:
    if isinstance(dbfile, Storage):
        return dbfile
    from exod.astromon.forms.hdf5 import OpenHDF5

    return OpenHDF5(dbfile)


def looked_up(table_name: str, dbfile: Any = None) -> Table:
    """A table by `exod.astromon.db.get_table`, which is asked where it is, as people replace it."""
    from exod.astromon import db

    return db.get_table(table_name, dbfile)


def declared(table_name: str, rows: Rows) -> Rows:
    """Rows of a file in the declared types of the table.

    Raises
    ------
    InputError
        If a column is missing, or has values of another kind.
    """
    dtype = DTYPES.get(table_name)
    if dtype is None or rows.dtype == dtype:
        return rows
    missing = [name for name in dtype.names or () if name not in (rows.dtype.names or ())]
    if missing:
        raise InputError(f"{table_name} in the file lacks column {', '.join(missing)}.")
    return filled(table_name, dtype, {name: rows[name] for name in dtype.names or ()})


def _merged(table_name: str, old: Rows | None, rows: Rows, *, ignore_obsid: bool) -> Rows:
    if old is None or ignore_obsid or "obsid" not in (rows.dtype.names or ()):
        return rows
    old = declared(table_name, old)
    if old.dtype.names != rows.dtype.names:
        raise InputError(
            f"{table_name} cannot be saved: its columns are not those of the table in the file."
        )
    # Of tables that are not declared text may become longer, and numbers of another type.
    names = rows.dtype.names or ()
    types = [(name, np.result_type(old.dtype[name], rows.dtype[name])) for name in names]
    left = old[~np.isin(old["obsid"], rows["obsid"])]
    return np.concatenate([left.astype(types), rows.astype(types)])


def _ranges(counts: Mapping[int, int], rows: int) -> list[tuple[int, int]]:
    """First and last obsid of parts with so many rows."""
    ranges: list[tuple[int, int]] = []
    filled = rows
    for obsid, count in sorted(counts.items()):
        if filled + count > rows:
            ranges.append((obsid, obsid))
            filled = 0
        ranges[-1] = ranges[-1][0], obsid
        filled += count
    return ranges or [(0, 0)]


def _part(obsids: tuple[int, int], table_name: str, path: Path) -> Any:
    rows = rows_of(table_name, path, obsids)
    order = np.argsort(rows["obsid"], kind="stable")
    frame = as_table(declared(table_name, rows[order])).to_pandas()
    return frame.set_index(pd.Index(frame["obsid"], name=OBSERVATION))
