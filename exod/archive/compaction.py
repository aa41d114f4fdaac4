"""Compaction: the tables of many observations in few large files that filters can skip through.

A compaction copies what the ledger shows and no earlier one has into a new folder
``compact/<version>/``, a layer, and at last replaces ``compact.json``, which names the files of all
layers and the attempt of each observation in them. Readers take from these files the observations
whose attempt is still that of the ledger, and all others from their own files, which stay. So
nothing is lost or double at any moment: not while a compaction runs, not after it was killed, not
when observations are processed again.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, pairwise
from typing import Annotated, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from exod.archive.ledger.entry import LedgerEntry, Record, StoredFile, read_entry, versions
from exod.archive.ledger.pointers import VERSION, Pointer, new_version, parsed, unused_files
from exod.archive.ledger.table import save_ledger
from exod.archive.parquet import COMPACT, FileReplacedError, read_file, writer
from exod.archive.questions.cone import sky_pixels
from exod.archive.store import Store, reported
from exod.errors import ArchiveError
from exod.files.seals import Seal
from exod.schemas import TABLES, Table
from exod.schemas.search import VARIABILITY

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

MERGED = 4
"""A layer that is less than so many times as large as what is written is merged with it."""
ALIVE = 0.75
"""A layer is written again if less than this share of its observations still counts."""

_SKY = "regions"
_VERSION = re.compile(rf"{COMPACT}/{VERSION}")
_FILE = re.compile(rf"({_VERSION.pattern})/[a-z_]+-\d+\.parquet")

Positive = Annotated[int, Field(gt=0)]


class CompactFile(Record):
    """A file of many observations.

    Attributes
    ----------
    path : str
        Relative to the root.
    rows, bytes : int
        Size.
    sha256, blocks : str
        As in `exod.files.seals.Seal`.
    row_groups : tuple of (int, str, str)
        Of each row group its rows and its first and last obsid.
    """

    path: str
    rows: Positive
    bytes: Positive
    sha256: str = ""
    blocks: str = ""
    row_groups: tuple[tuple[Positive, str, str], ...]

    @property
    def first(self) -> str:
        """Its first obsid."""
        return min(first for _, first, _ in self.row_groups)

    @property
    def last(self) -> str:
        """Its last obsid."""
        return max(last for _, _, last in self.row_groups)

    @property
    def stored(self) -> StoredFile:
        """The file, as its readers know it."""
        seal = Seal(self.bytes, self.sha256, self.blocks)
        return StoredFile(self.path, self.rows, seal, self.first, self.last)


YOUNGER_TABLES: Final = (VARIABILITY.name,)
"""Tables that an archive of this format may have been compacted without."""


class Layer(Record):
    """Large files with the rows of some observations, which no other layer has.

    Attributes
    ----------
    version : str
        Their folder, relative to the root.
    attempts : dict of str to str
        The attempt of each observation when the files were written; rows of observations whose
        attempt is another by now do not count.
    tables : dict of str to tuple of CompactFile
        The files of each table.
    """

    version: str
    attempts: dict[str, str]
    tables: dict[str, tuple[CompactFile, ...]]

    @field_validator("tables")
    @classmethod
    def _with_younger_tables(
        cls, tables: dict[str, tuple[CompactFile, ...]]
    ) -> dict[str, tuple[CompactFile, ...]]:
        """A table that came later had no rows when the files were written."""
        return {**dict.fromkeys(YOUNGER_TABLES, ()), **tables}

    def covers(self, entry: LedgerEntry) -> bool:
        """Whether its files hold the observation as the ledger has it."""
        return self.attempts.get(entry.obsid) == entry.attempt


class Compacted(Pointer):
    """A compaction as ``compact.json`` describes it.

    Attributes
    ----------
    layers : tuple of Layer
        What it consists of; the larger ones are those of earlier compactions.
    """

    layers: tuple[Layer, ...]

    @model_validator(mode="after")
    def _with_all_tables(self) -> Self:
        if any(set(layer.tables) != set(TABLES) for layer in self.layers):
            raise ValueError("it has other tables than this version of exod")
        return self

    @property
    def paths(self) -> set[str]:
        """The files that it names."""
        return {file.path for files in self.tables.values() for file in files}

    @property
    def attempts(self) -> dict[str, str]:
        """The attempt of each observation in it."""
        return {obsid: name for layer in self.layers for obsid, name in layer.attempts.items()}

    @property
    def tables(self) -> dict[str, tuple[CompactFile, ...]]:
        """The files of each table."""
        return {
            name: tuple(chain.from_iterable(layer.tables[name] for layer in self.layers))
            for name in TABLES
        }

    def files_with(self, table: str, entry: LedgerEntry) -> list[CompactFile] | None:
        """Files that can have the rows of an observation; None if it is not in it as it is."""
        for layer in self.layers:
            if layer.covers(entry):
                files = layer.tables[table]
                return [file for file in files if file.first <= entry.obsid <= file.last]
        return None


_remembered: dict[Hashable, tuple[str, bytes, Compacted]] = {}


def read_pointer(store: Store) -> Compacted | None:
    """Read ``compact.json``; None if the archive was never compacted.

    Raises
    ------
    ArchiveError
        If it is damaged or cannot be read.
    """
    known = _remembered.get(store.key)
    with reported(f"{store.path(POINTER)} cannot be read"):
        stamp = store.stamp(POINTER)
        if known and stamp and known[0] == stamp:
            return known[2]
        try:
            content = store.read(POINTER)
        except FileNotFoundError:
            return None
    if known and known[1] == content:
        found = known[2]
    else:
        found = parsed(store, POINTER, content, Compacted, f"run `exod compact {store.root}` again")
    _remembered.clear()
    _remembered[store.key] = stamp, content, found
    return found


def compact(
    store: Store, entries: Sequence[LedgerEntry], file_bytes: float, *, anew: bool = False
) -> Compacted:
    """Copy the tables of observations to large files and make readers use them.

    Only observations that no layer has as they are, and those of layers that are not much larger
    or hold much that does not count, are written, as one new layer. So there are few layers, each
    several times as large as the next, and a row is written few times while an archive grows.

    Parameters
    ----------
    store : Store
        The archive.
    entries : sequence of LedgerEntry
        The ledger, sorted by obsid.
    file_bytes : float
        Size at which a file is full.
    anew : bool
        Whether all is written again, as if there were no layers.

    Returns
    -------
    Compacted
        All that readers use from now on.

    Raises
    ------
    OSError
        If something cannot be written; the earlier compaction, if any, then stays in use.
    ArchiveError
        If a file of an observation is damaged or missing.
    """
    kept, chosen = _divided([] if anew else _usable(store), entries)
    source = _Source(store, chosen)
    tables: dict[str, tuple[CompactFile, ...]] = {}
    with new_version(store, COMPACT) as version:
        for name, table in TABLES.items():
            groups = _by_sky(source, table) if name == _SKY else _gathered(source.read(table))
            limit = SKY_GROUP_ROWS if name == _SKY else GROUP_ROWS
            tables[name] = tuple(_write(store, table, groups, version, file_bytes, limit))
        attempts = {entry.obsid: entry.attempt for entry in chosen}
        new = [Layer(version=version, attempts=attempts, tables=tables)] if chosen else []
        compacted = Compacted(
            finished=datetime.now(UTC), exod=versions()["exod"], layers=(*kept, *new)
        )
        _check_presence(store, compacted)
        content = compacted.to_json(indent=None)
        save_ledger(store)
    store.publish({}, POINTER, content)
    return compacted


def _usable(store: Store) -> list[Layer]:
    """Layers of which all files are there; none if the pointer is damaged."""
    try:
        pointer = read_pointer(store)
    except ArchiveError:
        return []
    return [layer for layer in pointer.layers if not _missing(store, layer)] if pointer else []


def _divided(
    layers: Sequence[Layer], entries: Sequence[LedgerEntry]
) -> tuple[list[Layer], list[LedgerEntry]]:
    """Layers that stay, and the observations to write."""
    alive: dict[str, list[LedgerEntry]] = {layer.version: [] for layer in layers}
    chosen: list[LedgerEntry] = []
    for entry in entries:
        home = next((layer.version for layer in layers if layer.covers(entry)), None)
        (chosen if home is None else alive[home]).append(entry)
    weight, kept = _weight(chosen), []
    for layer in sorted(layers, key=lambda layer: _weight(alive[layer.version])):
        found = alive[layer.version]
        wasteful = len(found) < ALIVE * len(layer.attempts)
        if wasteful or _weight(found) < MERGED * weight:
            chosen += found
            weight += _weight(found)
        else:
            kept.append(layer)
    return kept[::-1], sorted(chosen, key=lambda entry: entry.obsid)


def _weight(entries: Iterable[LedgerEntry]) -> int:
    """Bytes of the tables, and some for each observation, which may have none."""
    return sum(1000 + sum(file.bytes for file in entry.files.values()) for entry in entries)


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
            file = entry.file(table.name)
            if file is None or entry.obsid in self._replaced:
                continue
            try:
                yield read_file(self._store, file, table, columns)
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
        row_groups = []
        with store.writing(path) as sink, writer(sink, table.schema) as file:
            for content in chain([group], groups):
                file.write_table(content, row_group_size=group_rows)
                for start in range(0, content.num_rows, group_rows):
                    part = content.slice(start, group_rows)
                    found = pc.min_max(part["obsid"]).as_py()
                    row_groups.append((part.num_rows, found["min"], found["max"]))
                if sink.tell() >= file_bytes:
                    break
        rows, seal = sum(n for n, _, _ in row_groups), sink.seal()
        yield CompactFile(
            path=path,
            rows=rows,
            bytes=seal.size,
            sha256=seal.sha256,
            blocks=seal.blocks,
            row_groups=tuple(row_groups),
        )


def _missing(store: Store, layer: Layer) -> list[str]:
    present = set(store.names(layer.version))
    files = chain.from_iterable(layer.tables.values())
    return [file.path for file in files if file.path not in present]


def _check_presence(store: Store, compacted: Compacted) -> None:
    for path in chain.from_iterable(_missing(store, layer) for layer in compacted.layers):
        raise ArchiveError(
            f"{store.path(path)} was removed while it was needed; "
            f"run `exod compact {store.root}` again, and `exod gc` only after it."
        )


def unused_compacted(store: Store) -> dict[str, float]:
    """Files of compactions, as `exod.archive.ledger.pointers.unused_files`.

    Raises
    ------
    ArchiveError
        If the pointer is damaged.
    """
    folders = [name for name in store.names(COMPACT) if _VERSION.fullmatch(name)]
    return unused_files(store, folders, _FILE, lambda: read_pointer(store))
