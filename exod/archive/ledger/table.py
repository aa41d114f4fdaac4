"""The whole ledger by columns: remembered, and kept in one file, so that only news is read.

An entry is known by its *stamp*, which changes whenever its file is replaced (inode, size and time
on a disk, ETag in an object store). One listing of the folder therefore says which entries have to
be read; the others come from what this process read before, or from ``ledger.cache``, which
`exod compact` leaves, and a search if many entries are new. That file is a copy: without it, or if
it is damaged or older than the entries, they are read themselves. It may be of another version of
exod, with other tables.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exod.archive.ledger.entry import (
    LEDGER,
    FullEntry,
    LedgerEntry,
    StoredFile,
    TableFile,
    table_path,
)
from exod.archive.parquet import arrow_rows, arrow_texts
from exod.archive.store import Store, reported
from exod.files.seals import DIGITS, Seal
from exod.schemas import TABLES
from exod.schemas.kinds import OBSID_FORM

SAVED = "ledger.cache"
"""A SHA-256 digest and the Parquet file that it is of."""

_DIGEST = 32
_ENTRY_NAME = re.compile(rf"{LEDGER}/({OBSID_FORM})\.json")

_ABOUT = ("rows", "bytes", "digest")
_SIZES = tuple(f"{name}.{what}" for name in TABLES for what in _ABOUT)
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("obsid", "status", "reason", "attempt")),
        *((name, pa.float64()) for name in ("seconds", "peak_memory_mb")),
        ("finished", pa.timestamp("us", "UTC")),
        *((name, pa.int64()) for name in _SIZES),
        ("stamp", pa.string()),
    ]
)
"""Of an entry without a table its numbers are null; stamps may be empty: not certain.

Of the SHA-256 of a file there are the first 64 bits, as a number; null if it is not known.
"""

_ABOUT_ALL = set(SCHEMA.names) - set(_SIZES)
_PLACES = {name: len(_ABOUT) * number for number, name in enumerate(TABLES)}
_NO_TABLE = -1
_FIELDS = set(LedgerEntry.model_fields)

BEHIND = 100
"""A search keeps the ledger anew if so many entries are not as they were kept."""
_BATCH = 5000
"""Entries that are held at once: one takes some 10 kB."""
_ARCHIVES = 4
"""Ledgers that a process remembers, some 20 MB each at 100,000 observations."""
_remembered: dict[Any, LedgerTable] = {}


@dataclass(frozen=True)
class LedgerTable:
    """The ledger at one moment.

    Attributes
    ----------
    rows : pyarrow.Table
        One row an observation, sorted by obsid.
    folder : str
        Stamp of the folder of the entries; empty if it could not be told.
    """

    rows: pa.Table
    folder: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def entries(self) -> list[LedgerEntry]:
        """The entries one by one, which takes ten times the memory."""
        sizes = np.stack([self.rows[n].fill_null(_NO_TABLE).to_numpy() for n in _SIZES], axis=1)
        rest = self.rows.drop_columns([*_SIZES, "stamp"])
        texts: dict[str, str] = {}
        found = []
        for start in range(0, len(rest), _BATCH):
            for number, row in enumerate(rest.slice(start, _BATCH).to_pylist(), start):
                for name in ("status", "reason"):
                    row[name] = texts.setdefault(row[name], row[name])
                files = _Files(row["obsid"], row["attempt"], sizes[number])
                found.append(LedgerEntry.model_construct(_FIELDS, files=files, **row))
        return found


def file_columns(name: str) -> list[str]:
    """The columns of the ledger that `stored_files` needs."""
    return ["obsid", "attempt", *(f"{name}.{what}" for what in _ABOUT)]


def stored_files(rows: pa.Table, name: str) -> Iterator[StoredFile]:
    """Files of a table, in the order of the observations.

    Parameters
    ----------
    rows : pyarrow.Table
        As those of a `LedgerTable`.
    name : str
        The table; observations without rows of it have no file.
    """
    # Comparing with a number of Python would load pandas.
    chosen = rows.select(file_columns(name)).filter(pc.is_valid(rows[f"{name}.rows"]))
    for batch in chosen.to_batches(_BATCH):
        for row in zip(*(column.to_pylist() for column in batch), strict=True):
            obsid, attempt, count, size, digest = row
            if path := table_path(name, obsid, attempt, count):
                yield StoredFile(path, count, Seal(size, digits_of(digest)), obsid, obsid)


class _Files(Mapping[str, TableFile]):
    """The tables of an observation, made when they are asked for: all of a ledger take much room.

    Parameters
    ----------
    obsid, attempt : str
        Observation and attempt.
    sizes : ndarray of int64
        Numbers as in `_SIZES`.
    """

    __slots__ = ("_attempt", "_obsid", "_sizes")

    def __init__(self, obsid: str, attempt: str, sizes: np.ndarray) -> None:
        self._obsid, self._attempt, self._sizes = obsid, attempt, sizes

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __getitem__(self, name: str) -> TableFile:
        rows, size, digest = self._sizes[_PLACES[name] :][: len(_ABOUT)].tolist()
        if rows == _NO_TABLE:
            raise KeyError(name)
        path = table_path(name, self._obsid, self._attempt, rows)
        return TableFile(path, rows, size, digits_of(digest))

    def __iter__(self) -> Iterator[str]:
        return (name for name, place in _PLACES.items() if self._sizes[place] != _NO_TABLE)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


def read_ledger(store: Store, *, listed: bool = False) -> LedgerTable:
    """Read the whole ledger as it is now.

    Parameters
    ----------
    store : Store
        The archive.
    listed : bool
        Whether to list the folder even if it seems to be as it was.

    Raises
    ------
    ArchiveError
        If an entry is damaged or cannot be read.
    """
    with reported(f"The ledger of {store.root} cannot be read"):
        # What changes from here on changes these stamps too, so it is noticed the next time.
        folder = store.stamp(LEDGER)
        known = _remembered.get(store.key) or read_saved(store)
        if not (folder and folder == known.folder) or listed:
            stamps = {
                found[1]: stamp
                for name, stamp in store.stamps(LEDGER).items()
                if (found := _ENTRY_NAME.fullmatch(name))
            }
            known = LedgerTable(_current(store, known.rows, stamps), folder)
    _remembered.pop(store.key, None)
    _remembered[store.key] = known
    for oldest in list(_remembered)[:-_ARCHIVES]:
        _remembered.pop(oldest, None)
    return known


def _current(store: Store, known: pa.Table, stamps: dict[str, str]) -> pa.Table:
    """The rows of the observations in `stamps`: known ones, or read from their entries."""
    certain = [f"{obsid} {stamp}" for obsid, stamp in stamps.items() if stamp]
    kept = known.filter(pc.is_in(_keys(known), value_set=arrow_texts(certain)))
    new = sorted(stamps.keys() - set(kept["obsid"].to_pylist()))
    parts = [_read(store, new[i : i + _BATCH], stamps) for i in range(0, len(new), _BATCH)]
    if new:
        return pa.concat_tables([kept, *parts]).sort_by("obsid").combine_chunks()
    return known if len(kept) == len(known) else kept


def _read(store: Store, obsids: list[str], stamps: dict[str, str]) -> pa.Table:
    """Rows of some observations from their entries."""
    names = [f"{LEDGER}/{obsid}.json" for obsid in obsids]
    rows = [
        _row(FullEntry.from_json(data, obsid, store.path(name)), stamps[obsid])
        for obsid, name, data in zip(obsids, names, store.read_many(names), strict=True)
    ]
    return arrow_rows(rows, SCHEMA)


def _row(entry: LedgerEntry, stamp: str) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in SCHEMA.names if name in type(entry).model_fields}
    for name, file in entry.files.items():
        # Another version of exod may have other tables.
        if name not in TABLES:
            continue
        row |= {f"{name}.rows": file.rows, f"{name}.bytes": file.bytes}
        if file.sha256:
            row[f"{name}.digest"] = _number_of(file.sha256)
    return {**row, "finished": entry.finished.isoformat(), "stamp": stamp}


def save_ledger(store: Store) -> None:
    """Keep the ledger as it is now in one file.

    Raises
    ------
    OSError
        If it cannot be written.
    ArchiveError
        If an entry is damaged or cannot be read.
    """
    ledger = read_ledger(store)
    sink = pa.BufferOutputStream()
    rows = ledger.rows.replace_schema_metadata({"folder": ledger.folder})
    pq.write_table(rows, sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    store.publish({}, SAVED, hashlib.sha256(content).digest() + content)


def _number_of(sha256: str) -> int:
    return int.from_bytes(bytes.fromhex(sha256[:DIGITS]), signed=True)


def digits_of(number: int | None) -> str:
    """The first digits of a SHA-256 from its number in the ledger; empty if it is not known."""
    if number is None or number == _NO_TABLE:
        return ""
    return number.to_bytes(DIGITS // 2, signed=True).hex()


def keep_ledger(store: Store) -> None:
    """Keep the ledger in one file if many entries are not in it yet; raises as `save_ledger`."""
    saved, now = (_keys(ledger.rows) for ledger in (read_saved(store), read_ledger(store)))
    if pc.sum(pc.invert(pc.is_in(now, value_set=saved)), min_count=0).as_py() >= BEHIND:
        save_ledger(store)


def _keys(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(rows["obsid"], rows["stamp"], arrow_texts([" "])[0])


def read_saved(store: Store) -> LedgerTable:
    """Read what `save_ledger` kept; nothing if it did not, or if that is damaged.

    Raises
    ------
    OSError
        If a service cannot be reached.
    """
    try:
        data = store.read(SAVED)
    except FileNotFoundError:
        data = b""
    digest, content = data[:_DIGEST], memoryview(data)[_DIGEST:]
    if hashlib.sha256(content).digest() == digest:
        # `pq.read_table` loads pandas, which takes a third of the time of a short command.
        rows = pq.ParquetFile(pa.BufferReader(content)).read()
        folder = (rows.schema.metadata or {}).get(b"folder", b"").decode()
        known = _with_our_tables(store, rows) if set(rows.schema.names) >= _ABOUT_ALL else rows
        if known.schema.equals(SCHEMA):
            # Those that were left out are found by a listing.
            return LedgerTable(known, folder if len(known) == len(rows) else "")
    return LedgerTable(arrow_rows([], SCHEMA))


def _with_our_tables(store: Store, rows: pa.Table) -> pa.Table:
    """A ledger that was kept by a version of exod with other tables, as far as it is right.

    Nothing is known of the tables that are new since; but the files of an observation are there
    before its entry, so that entries without a file of such a table are complete.
    """
    for name in TABLES:
        if f"{name}.rows" in rows.schema.names:
            continue
        if files := [path.rpartition("/")[2].partition("-")[0] for path in store.names(name)]:
            rows = rows.filter(pc.invert(pc.is_in(rows["obsid"], value_set=arrow_texts(files))))
        for what in _ABOUT:
            rows = rows.append_column(f"{name}.{what}", pa.nulls(len(rows), pa.int64()))
    return rows.select([name for name in SCHEMA.names if name in rows.schema.names])
