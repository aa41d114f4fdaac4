"""Compaction: the tables of many observations in few large files that filters can skip through.

A compaction copies what the ledger shows into a new folder ``compact/<version>/`` and at last
replaces ``compact.json``, which names the files and the attempt of each observation in them.
Readers take from these files the observations whose attempt is still that of the ledger, and all
others from their own files, which stay. So nothing is lost or double at any moment: not while a
compaction runs, not after it was killed, not when observations are processed again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, pairwise
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AwareDatetime, Field

from exod.archive.cone import sky_pixels
from exod.archive.ledger import LedgerEntry, Record, problem, read_entry, versions
from exod.archive.ledger_table import save_ledger
from exod.archive.parquet import COMPACT, FileReplacedError, read_file, writer
from exod.archive.store import Store
from exod.errors import ArchiveError
from exod.files.whole import is_temporary, unique_mark
from exod.schemas import TABLES, Table

POINTER = "compact.json"

FILE_MB = 256.0
"""Size at which a file is full, in MB."""
GROUP_ROWS = 100_000
GROUP_BYTES = 64_000_000
"""Largest row group, in rows and in bytes of memory; images have many bytes a row."""
GROUP_TABLES = 256
"""Tables that are held at once: a table of one row takes some 20 kB."""
SKY_GROUP_ROWS = 5_000
"""Rows of a row group of a table in order of the sky, so that each is a small part of the sky."""
SKY_ROWS = 1_000_000
"""Rows that are sorted at once, some 0.3 GB; of more, a range of the sky at a time."""

_SKY = "regions"
_VERSION = re.compile(rf"{COMPACT}/\d{{8}}T\d{{6}}-[0-9a-f]{{8}}")
_FILE = re.compile(rf"({_VERSION.pattern})/[a-z_]+-\d+\.parquet")

Positive = Annotated[int, Field(gt=0)]


class CompactFile(Record):
    """A file of many observations: its path, size, and its first and last obsid."""

    path: str
    rows: Positive
    bytes: Positive
    row_groups: Positive
    first: str
    last: str


class Compacted(Record):
    """A compaction as ``compact.json`` describes it.

    Attributes
    ----------
    version : str
        Its folder, relative to the root.
    finished : datetime
        UTC.
    exod : str
        Version of exod.
    attempts : dict of str to str
        The attempt of each observation when it began; rows of observations whose attempt is
        another by now do not count.
    tables : dict of str to tuple of CompactFile
        The files of each table.
    """

    version: str
    finished: AwareDatetime
    exod: str
    attempts: dict[str, str]
    tables: dict[str, tuple[CompactFile, ...]]

    def covers(self, entry: LedgerEntry) -> bool:
        """Whether its files hold the observation as the ledger has it."""
        return self.attempts.get(entry.obsid) == entry.attempt

    def outdated(self, entries: Iterable[LedgerEntry]) -> list[str]:
        """Observations, sorted, that its files have otherwise than the ledger."""
        current = {entry.obsid for entry in entries if self.covers(entry)}
        return sorted(obsid for obsid in self.attempts if obsid not in current)

    def files_with(self, table: str, obsid: str) -> list[CompactFile]:
        """Find the files that can have rows of an observation."""
        return [file for file in self.tables[table] if file.first <= obsid <= file.last]


def read_pointer(store: Store) -> Compacted | None:
    """Read ``compact.json``; None if the archive was never compacted.

    Raises
    ------
    ArchiveError
        If it is damaged or cannot be read.
    """
    try:
        found = Compacted.model_validate_json(store.read(POINTER))
        if set(found.tables) != set(TABLES):
            raise ValueError("it has other tables than this version of exod")
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = error.strerror or error
        raise ArchiveError(f"{store.path(POINTER)} cannot be read: {reason}.") from error
    except ValueError as error:
        raise ArchiveError(
            f"{store.path(POINTER)} is damaged ({problem(error)}); "
            f"run `exod compact {store.root}` again."
        ) from error
    return found


def compact(store: Store, entries: Sequence[LedgerEntry], file_bytes: float) -> Compacted:
    """Copy the tables of all observations to large files and make readers use them.

    Parameters
    ----------
    store : Store
        The archive.
    entries : sequence of LedgerEntry
        The ledger, sorted by obsid.
    file_bytes : float
        Size at which a file is full.

    Returns
    -------
    Compacted
        What was written.

    Raises
    ------
    OSError
        If something cannot be written; the earlier compaction, if any, then stays in use.
    ArchiveError
        If a file of an observation is damaged or missing.
    """
    now = datetime.now(UTC)
    version = f"{COMPACT}/{now:%Y%m%dT%H%M%S}-{unique_mark()}"
    source = _Source(store, entries)
    tables: dict[str, tuple[CompactFile, ...]] = {}
    try:
        for name, table in TABLES.items():
            groups = _by_sky(source, table) if name == _SKY else _gathered(source.read(table))
            limit = SKY_GROUP_ROWS if name == _SKY else GROUP_ROWS
            tables[name] = tuple(_write(store, table, groups, version, file_bytes, limit))
        compacted = Compacted(
            version=version,
            finished=datetime.now(UTC),
            exod=versions()["exod"],
            attempts={entry.obsid: entry.attempt for entry in entries},
            tables=tables,
        )
        _check_presence(store, compacted)
        content = json.dumps(compacted.model_dump(mode="json"), sort_keys=True, indent=1)
        save_ledger(store)
    except BaseException:
        with suppress(OSError):
            store.remove(store.names(version))
            store.remove_folder(version)
        raise
    store.publish({}, POINTER, content.encode())
    return compacted


class _Source:
    """The tables of all observations, from their own files, one observation after the other."""

    def __init__(self, store: Store, entries: Sequence[LedgerEntry]) -> None:
        self._store = store
        self._entries = entries
        self._replaced: set[str] = set()

    def read(self, table: Table, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Rows of each observation that has some, in order of obsid.

        An observation that is processed again meanwhile is left out from then on, if its files
        are gone: its attempt is no longer that of the ledger, so readers take its own new files.
        """
        for entry in self._entries:
            path = entry.path(table.name)
            if path is None or entry.obsid in self._replaced:
                continue
            try:
                yield read_file(self._store, path, table, columns)
            except FileReplacedError:
                if not self._is_replaced(entry):
                    raise
                self._replaced.add(entry.obsid)

    def _is_replaced(self, entry: LedgerEntry) -> bool:
        now = read_entry(self._store, entry.obsid)
        return now is None or now.attempt != entry.attempt

    def rows(self, name: str) -> int:
        """Count the rows of a table."""
        return sum(entry.rows(name) for entry in self._entries)


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Put the rows of observations together until they fill a row group."""
    gathered: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        gathered.append(table)
        rows += table.num_rows
        size += table.nbytes
        full = rows >= GROUP_ROWS or size >= GROUP_BYTES
        if full or len(gathered) >= GROUP_TABLES:
            gathered = [pa.concat_tables(gathered).combine_chunks()]
        if full:
            yield gathered[0]
            gathered, rows, size = [], 0, 0
    if gathered:
        yield pa.concat_tables(gathered).combine_chunks()


def _by_sky(source: _Source, table: Table) -> Iterator[pa.Table]:
    """Rows of the whole table in order of the sky, read once for each range that fits in memory."""
    passes = -(-source.rows(table.name) // SKY_ROWS)
    cuts: list[int] = []
    if passes > 1:
        positions = _gathered(source.read(table, ("ra_deg", "dec_deg")))
        pixels = np.concatenate([sky_pixels(rows) for rows in positions])
        steps = np.arange(1, passes) / passes
        cuts = np.unique(np.quantile(pixels, steps, method="lower")).tolist()
    for low, high in pairwise([None, *cuts, None]):
        parts = [_range(rows, low, high) for rows in _gathered(source.read(table))]
        if not parts:
            return
        rows = pa.concat_tables(parts).combine_chunks()
        order = [(name, "ascending") for name in ("sky", *table.sort_by)]
        rows = rows.sort_by(order).drop_columns("sky")
        for start in range(0, rows.num_rows, SKY_GROUP_ROWS):
            yield rows.slice(start, SKY_GROUP_ROWS)


def _range(rows: pa.Table, low: int | None, high: int | None) -> pa.Table:
    """Rows from pixel `low` (excluded) to pixel `high`, with the column sky."""
    pixels = sky_pixels(rows)
    above = pixels > (-np.inf if low is None else low)
    inside = above & (pixels <= (np.inf if high is None else high))
    return rows.append_column("sky", pa.array(pixels)).filter(pa.array(inside))


def _write(
    store: Store,
    table: Table,
    groups: Iterator[pa.Table],
    version: str,
    file_bytes: float,
    group_rows: int,
) -> Iterator[CompactFile]:
    """Write row groups to files, a new one whenever one is full."""
    for number, group in enumerate(groups):
        path = f"{version}/{table.name}-{number}.parquet"
        rows = n_groups = 0
        first, last = "~", ""
        with store.writing(path) as sink:
            with writer(sink, table.schema) as file:
                for content in chain([group], groups):
                    file.write_table(content, row_group_size=group_rows)
                    rows += content.num_rows
                    n_groups += -(-content.num_rows // group_rows)
                    found = pc.min_max(content["obsid"]).as_py()
                    first, last = min(first, found["min"]), max(last, found["max"])
                    if sink.tell() >= file_bytes:
                        break
            size = sink.tell()
        yield CompactFile(
            path=path, rows=rows, bytes=size, row_groups=n_groups, first=first, last=last
        )


def _check_presence(store: Store, compacted: Compacted) -> None:
    present = set(store.names(compacted.version))
    for file in chain.from_iterable(compacted.tables.values()):
        if file.path not in present:
            raise ArchiveError(
                f"{store.path(file.path)} was removed while it was needed; "
                f"run `exod compact {store.root}` again, and `exod gc` only after it."
            )


def unused_files(store: Store) -> Mapping[str, float]:
    """Files of compactions that the pointer does not name, with the time since when (Unix).

    The youngest file of a version counts for all, since one in progress may take hours.

    Raises
    ------
    ArchiveError
        If the pointer is damaged.
    """
    folders = [name for name in store.names(COMPACT) if _VERSION.fullmatch(name)]
    found = {folder: store.modified(folder) for folder in folders}
    # After the files: a version published in between is then in use.
    pointer = read_pointer(store)
    unused: dict[str, float] = {}
    for folder, files in found.items():
        if not files or (pointer and folder == pointer.version):
            continue
        since = max(files.values())
        if pointer:
            # A reader may still use what was replaced just now.
            since = max(since, pointer.finished.timestamp())
        unused |= {name: since for name in files if _FILE.fullmatch(name) or is_temporary(name)}
    return unused
