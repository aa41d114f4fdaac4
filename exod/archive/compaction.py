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
import tempfile
from collections.abc import Hashable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from exod.archive.ledger.entry import LedgerEntry, Record, StoredFile, read_entry, versions
from exod.archive.ledger.pointers import VERSION, Pointer, new_version, parsed, unused_files
from exod.archive.ledger.table import save_ledger, stored_files
from exod.archive.parquet import COMPACT, FileReplacedError, arrow_texts, read_file, writer
from exod.archive.questions.cone import sky_pixels
from exod.archive.questions.sorting import rows_by_place
from exod.archive.store import Store, reported
from exod.errors import ArchiveError
from exod.files.ahead import done_ahead
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
SKY_GROUPS = 4
"""Row groups of it that are put together at a time."""
READ_THREADS = 4
"""Files of observations that are read at once, while others are written."""

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

    @property
    def keys(self) -> pa.Array:
        """The `attempt_keys` of its observations."""
        return attempt_keys(arrow_texts(self.attempts), arrow_texts(self.attempts.values()))

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


def compact(store: Store, ledger: pa.Table, file_bytes: float, *, anew: bool = False) -> Compacted:
    """Copy the tables of observations to large files and make readers use them.

    Only observations that no layer has as they are, and those of layers that are not much larger
    or hold much that does not count, are written, as one new layer. So there are few layers, each
    several times as large as the next, and a row is written few times while an archive grows.

    Parameters
    ----------
    store : Store
        The archive.
    ledger : pyarrow.Table
        The rows of a `LedgerTable`.
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
    kept, chosen = _divided([] if anew else _usable(store), ledger)
    source = _Source(store, chosen)
    tables: dict[str, tuple[CompactFile, ...]] = {}
    with new_version(store, COMPACT) as version:
        for name, table in TABLES.items():
            limit = SKY_GROUP_ROWS if name == _SKY else GROUP_ROWS
            rows = source.read(table)
            groups = _by_sky(rows, table) if name == _SKY else _gathered(rows, limit)
            tables[name] = tuple(_write(store, table, groups, version, file_bytes, limit))
        obsids, attempts = (chosen[name].to_pylist() for name in ("obsid", "attempt"))
        attempt_of = dict(zip(obsids, attempts, strict=True))
        new = [Layer(version=version, attempts=attempt_of, tables=tables)] if obsids else []
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


def attempt_keys(obsids: pa.Array, attempts: pa.Array) -> pa.Array:
    """What tells the attempts of all observations apart."""
    return pc.binary_join_element_wise(obsids, attempts, arrow_texts(["-"])[0])


def _divided(layers: Sequence[Layer], ledger: pa.Table) -> tuple[list[Layer], pa.Table]:
    """Layers that stay, and the observations to write."""
    keys = attempt_keys(ledger["obsid"], ledger["attempt"])
    sizes = _weights(ledger)
    is_chosen = np.ones(len(ledger), bool)
    alive: dict[str, np.ndarray] = {}
    for layer in layers:
        covered = pc.is_in(keys, value_set=layer.keys).to_numpy()
        alive[layer.version] = is_chosen & covered
        is_chosen &= ~covered
    weight, kept = sizes[is_chosen].sum(), []
    for layer in sorted(layers, key=lambda layer: sizes[alive[layer.version]].sum()):
        found = alive[layer.version]
        wasteful = found.sum() < ALIVE * len(layer.attempts)
        if wasteful or sizes[found].sum() < MERGED * weight:
            is_chosen |= found
            weight += sizes[found].sum()
        else:
            kept.append(layer)
    # A filter copies what it keeps.
    return kept[::-1], ledger if is_chosen.all() else ledger.filter(pa.array(is_chosen))


def _weights(ledger: pa.Table) -> np.ndarray:
    """Bytes of the tables of each observation, and some for itself, which may have none."""
    weights = np.full(len(ledger), 1000, np.int64)
    for name in TABLES:
        weights += ledger[f"{name}.bytes"].fill_null(0).to_numpy()
    return weights


class _Source:
    """The tables of some observations, from their own files, one observation after the other.

    Parameters
    ----------
    store : Store
        The archive.
    ledger : pyarrow.Table
        Their rows of the ledger.
    """

    def __init__(self, store: Store, ledger: pa.Table) -> None:
        self._store = store
        self._ledger = ledger
        self._replaced: set[str] = set()

    def read(self, table: Table) -> Iterator[pa.Table]:
        """Rows of each observation that has some, in order of obsid.

        An observation that is processed again meanwhile is left out from then on, if its files
        are gone: its attempt is no longer that of the ledger, so readers take its own new files.
        """

        def rows_of(file: StoredFile) -> pa.Table | None:
            if file.first in self._replaced:
                return None
            try:
                return read_file(self._store, file, table)
            except FileReplacedError:
                now = read_entry(self._store, file.first)
                if now is not None and now.path(table.name) == file.path:
                    raise
                self._replaced.add(file.first)
                return None

        files = stored_files(self._ledger, table.name)
        for rows in done_ahead(rows_of, files, threads=READ_THREADS, waiting=2 * READ_THREADS):
            if rows is not None:
                yield rows


def _gathered(tables: Iterable[pa.Table], group_rows: int) -> Iterator[pa.Table]:
    """Put the rows of observations together until they fill a row group."""
    gathered: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        gathered.append(table)
        rows += table.num_rows
        size += table.nbytes
        full = rows >= group_rows or size >= GROUP_BYTES
        if full or len(gathered) >= GROUP_TABLES:
            gathered = [pa.concat_tables(gathered).combine_chunks()]
        if full:
            yield gathered[0]
            gathered, rows, size = [], 0, 0
    if gathered:
        yield pa.concat_tables(gathered).combine_chunks()


def _by_sky(tables: Iterable[pa.Table], table: Table) -> Iterator[pa.Table]:
    """Rows of the whole table in order of the sky; on disk meanwhile is a copy of them."""
    keys, piece_rows = table.sort_by, SKY_GROUPS * SKY_GROUP_ROWS
    with tempfile.TemporaryFile() as scratch:
        for rows, _ in rows_by_place(tables, sky_pixels, keys, lambda _rows: piece_rows, scratch):
            for start in range(0, len(rows), SKY_GROUP_ROWS):
                yield rows.slice(start, SKY_GROUP_ROWS)


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
