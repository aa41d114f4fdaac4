"""The whole ledger by columns: remembered, and kept in one file, so that only news is read.

An entry is known by its *stamp*, which changes whenever its file is replaced (inode, size and time
on a disk, ETag in an object store). One listing of the folder therefore says which entries have to
be read; the others come from what this process read before, or from ``ledger.cache``, which
`exod compact` leaves. That file is a copy: without it, or if it is damaged or older than the
entries, they are read themselves.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive.ledger.entry import LEDGER, FullEntry, LedgerEntry, TableFile, table_path
from exod.archive.store import Store, reported
from exod.schemas import TABLES

SAVED = "ledger.cache"
"""A SHA-256 digest and the Parquet file that it is of."""

_DIGEST = 32
_ENTRY_NAME = re.compile(rf"{LEDGER}/(\d{{10}})\.json")

_SIZES = tuple(f"{name}.{what}" for name in TABLES for what in ("rows", "bytes"))
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("obsid", "status", "reason", "attempt")),
        *((name, pa.float64()) for name in ("seconds", "peak_memory_mb")),
        ("finished", pa.timestamp("us", "UTC")),
        *((name, pa.int64()) for name in _SIZES),
        ("stamp", pa.string()),
    ]
)
"""Of an entry without a table its rows and bytes are null; stamps may be empty: not certain."""

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
        """The entries one by one, which takes a hundred times the memory."""
        sizes = zip(*(self.rows[name].to_pylist() for name in _SIZES), strict=True)
        others = self.rows.drop_columns([*_SIZES, "stamp"]).to_pylist()
        return [
            LedgerEntry.model_construct(files=_files(entry, row), **entry)
            for entry, row in zip(others, sizes, strict=True)
        ]


def _files(entry: dict[str, Any], sizes: tuple[int | None, ...]) -> dict[str, TableFile]:
    pairs = zip(TABLES, sizes[::2], sizes[1::2], strict=True)
    return {
        name: TableFile(
            path=table_path(name, entry["obsid"], entry["attempt"], rows),
            rows=rows,
            bytes=size or 0,
        )
        for name, rows, size in pairs
        if rows is not None
    }


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
    pairs = zip(known["obsid"].to_pylist(), known["stamp"].to_pylist(), strict=True)
    same = [bool(stamp) and stamps.get(obsid) == stamp for obsid, stamp in pairs]
    kept = known.filter(pa.array(same, pa.bool_()))
    new = sorted(stamps.keys() - set(kept["obsid"].to_pylist()))
    parts = [_read(store, new[i : i + _BATCH], stamps) for i in range(0, len(new), _BATCH)]
    return pa.concat_tables([kept, *parts]).sort_by("obsid").combine_chunks() if new else kept


def _read(store: Store, obsids: list[str], stamps: dict[str, str]) -> pa.Table:
    """Rows of some observations from their entries."""
    names = [f"{LEDGER}/{obsid}.json" for obsid in obsids]
    rows = [
        _row(FullEntry.from_json(data, obsid, store.path(name)), stamps[obsid])
        for obsid, name, data in zip(obsids, names, store.read_many(names), strict=True)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def _row(entry: LedgerEntry, stamp: str) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in SCHEMA.names if name in type(entry).model_fields}
    for name, file in entry.files.items():
        row |= {f"{name}.rows": file.rows, f"{name}.bytes": file.bytes}
    return {**row, "stamp": stamp}


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
    digest, content = data[:_DIGEST], data[_DIGEST:]
    if hashlib.sha256(content).digest() == digest:
        rows = pq.read_table(pa.BufferReader(content))
        # Another version of exod may have other tables.
        if rows.schema.equals(SCHEMA):
            return LedgerTable(rows, rows.schema.metadata[b"folder"].decode())
    return LedgerTable(SCHEMA.empty_table())
