"""What holds the rows of a table now, and how it is divided into partitions."""

from __future__ import annotations

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exod.archive.compaction import (
    Compacted,
    CompactFile,
    Layer,
    attempt_keys,
    read_pointer,
)
from exod.archive.derived import DerivedFile
from exod.archive.ledger.entry import AFTER_ALL, StoredFile
from exod.archive.ledger.table import file_columns, read_ledger, stored_files
from exod.archive.parquet import Conditions, arrow_texts, read_file, to_pandas
from exod.archive.store import Store
from exod.schemas.columns import Table

if TYPE_CHECKING:
    import pandas as pd


PARTITION_BYTES = 32_000_000
PARTITION_FILES = 256
"""Largest size and number of files of a partition; 32 MB become some 0.3 GB in memory."""

_remembered: dict[Hashable, Holdings] = {}
"""Those of the archive that was asked last: many questions are about the same moment."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or some of its row groups.

    Attributes
    ----------
    file : StoredFile
        The file.
    rows, bytes : int
        Size of what counts of it.
    first, last : str
        No row is of an observation before or after these.
    row_groups : (int, int), optional
        First row group and one past the last; all if not given.
    without : tuple of str
        Observations whose rows do not count.
    """

    file: StoredFile
    rows: int
    bytes: int
    first: str = ""
    last: str = AFTER_ALL
    row_groups: tuple[int, int] | None = None
    without: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path of the file."""
        return self.file.path


@dataclass(frozen=True)
class Part:
    """What a partition reads: pieces, one after the other.

    Attributes
    ----------
    pieces : tuple of Piece
        What it reads.
    low, high : str, optional
        First obsid that counts, and first that does not; rows are then sorted by obsid.
    """

    pieces: tuple[Piece, ...] = ()
    low: str | None = None
    high: str = AFTER_ALL

    @property
    def rows(self) -> int | None:
        """How many rows it has; None if that takes reading."""
        known = all(
            not piece.without
            and (self.low is None or (self.low <= piece.first and piece.last < self.high))
            for piece in self.pieces
        )
        return sum(piece.rows for piece in self.pieces) if known else None


class Holdings:
    """The files that make up the tables of the search at one moment.

    Attributes
    ----------
    ledger : pyarrow.Table
        `exod.archive.ledger.table.LedgerTable.rows`.
    compacted : Compacted or None
        Large files.
    """

    def __init__(self, ledger: pa.Table, compacted: Compacted | None) -> None:
        self.ledger, self.compacted = ledger, compacted
        keys = attempt_keys(ledger["obsid"], ledger["attempt"])
        single = pc.is_valid(ledger["obsid"])
        self._layers: list[tuple[Layer, list[str]]] = []
        for layer in compacted.layers if compacted else ():
            obsids = arrow_texts(layer.attempts.keys())
            own = layer.keys
            outdated = obsids.filter(pc.invert(pc.is_in(own, value_set=keys)))
            self._layers.append((layer, sorted(outdated.to_pylist())))
            single = pc.and_(single, pc.invert(pc.is_in(keys, value_set=own)))
        self._single = single

    def pieces(self, name: str, obsids: Iterable[str] | None = None) -> list[Piece]:
        """Whole files of a table: large ones, and those of observations that these lack.

        Parameters
        ----------
        name : str
            The table.
        obsids : iterable of str, optional
            Leave out files that can have no rows of these observations.
        """
        found = [
            _piece(file, outdated)
            for layer, outdated in self._layers
            for file in layer.tables[name]
        ]
        rows = self.ledger.select(file_columns(name)).filter(self._single)
        if obsids is not None:
            wanted = sorted(obsids)
            found = [piece for piece in found if _has_any(wanted, piece)]
            rows = rows.filter(pc.is_in(rows["obsid"], arrow_texts(wanted)))
        for file in stored_files(rows, name):
            found.append(Piece(file, file.rows, file.seal.size, file.first, file.last))
        return found

    def parts(self, name: str, obsids: Iterable[str] | None = None) -> list[Part]:
        """Partitions of a table, in the order of its files; `obsids` as for `pieces`."""
        return list(_grouped(self._divided(name, obsids)))

    def _divided(self, name: str, obsids: Iterable[str] | None = None) -> Iterator[Piece]:
        """The pieces, large files divided by row groups."""
        large = {file.path: file for layer, _ in self._layers for file in layer.tables[name]}
        for piece in self.pieces(name, obsids):
            if piece.path not in large:
                yield piece
                continue
            groups = large[piece.path].row_groups
            step = max(1, int(len(groups) * PARTITION_BYTES / piece.bytes))
            for start in range(0, len(groups), step):
                chosen = groups[start : start + step]
                first, last = min(g[1] for g in chosen), max(g[2] for g in chosen)
                yield replace(
                    piece,
                    rows=sum(g[0] for g in chosen),
                    bytes=piece.bytes * len(chosen) // len(groups),
                    first=first,
                    last=last,
                    row_groups=(start, start + len(chosen)),
                    without=tuple(o for o in piece.without if first <= o <= last),
                )

    def parts_by_obsid(self, name: str) -> list[Part]:
        """Partitions of a table, each of a range of observations that depends on no compaction."""
        rows = self.ledger.filter(pc.greater(self.ledger[f"{name}.rows"], 0))
        filled = np.cumsum(rows[f"{name}.bytes"].to_numpy()) // PARTITION_BYTES
        starts = np.flatnonzero(np.diff(filled, prepend=-1))
        lows = rows["obsid"].take(pa.array(starts)).to_pylist()
        found: list[list[Piece]] = [[] for _ in lows]
        for piece in self._divided(name):
            first = max(bisect_right(lows, piece.first) - 1, 0)
            for number in range(first, bisect_right(lows, piece.last)):
                found[number].append(piece)
        bounds = zip(found, lows, [*lows[1:], AFTER_ALL], strict=True)
        return [Part(tuple(pieces), low, high) for pieces, low, high in bounds]

    def last(self, name: str) -> str | None:
        """The last observation with rows in a table; None if there are no rows."""
        found = pc.max(self.ledger.filter(pc.greater(self.ledger[f"{name}.rows"], 0))["obsid"])
        last: str | None = found.as_py()
        return last


def _has_any(obsids: list[str], piece: Piece) -> bool:
    near = obsids[bisect_left(obsids, piece.first) : bisect_right(obsids, piece.last)]
    return not set(near) <= set(piece.without)


def _piece(file: CompactFile, outdated: Sequence[str]) -> Piece:
    first, last = file.first, file.last
    without = tuple(obsid for obsid in outdated if first <= obsid <= last)
    return Piece(file.stored, file.rows, file.bytes, first, last, None, without)


def holdings(store: Store) -> Holdings:
    """Look up what an archive holds now.

    Raises
    ------
    ArchiveError
        If a ledger entry or ``compact.json`` is damaged or cannot be read.
    """
    # A compaction published in between does no harm: the older one is still right.
    compacted = read_pointer(store)
    ledger = read_ledger(store).rows
    found = _remembered.get(store.key)
    if not found or found.ledger is not ledger or found.compacted is not compacted:
        found = Holdings(ledger, compacted)
        _remembered.clear()
        _remembered[store.key] = found
    return found


def derived_pieces(files: Iterable[DerivedFile]) -> list[Piece]:
    """What holds the rows of a table of a product."""
    return [Piece(f.stored, f.rows, f.bytes, without=f.without) for f in files]


def derived_parts(files: Iterable[DerivedFile]) -> list[Part]:
    """Partitions of a table of a product."""
    return list(_grouped(derived_pieces(files)))


def _grouped(pieces: Iterable[Piece]) -> Iterator[Part]:
    """Put as many pieces together as a partition may have; large files stay for themselves."""
    for _, alike in groupby(pieces, key=lambda piece: (piece.row_groups, piece.without)):
        group: list[Piece] = []
        size = 0
        for piece in alike:
            full = size + piece.bytes > PARTITION_BYTES or len(group) == PARTITION_FILES
            if group and (full or piece.row_groups):
                yield Part(tuple(group))
                group, size = [], 0
            group.append(piece)
            size += piece.bytes
        yield Part(tuple(group))


@functools.cache
def no_rows(table: Table) -> pd.DataFrame:
    """A table without rows; making the columns takes longer than reading a partition."""
    return table.frame()


def read_part(
    part: Part, *, store: Store, table: Table, rows: Conditions, columns: list[str] | None = None
) -> pd.DataFrame:
    """Read one partition; only the wanted columns, and no file that the conditions rule out."""
    names = table.schema.names if columns is None else columns
    wanted = list(names) if part.low is None or "obsid" in names else [*names, "obsid"]
    found = [
        read_file(store, piece.file, table, wanted, conditions or None, piece.row_groups)
        for piece in part.pieces
        if (conditions := _narrowed(rows, piece, part)) is not None
    ]
    if not found:
        return no_rows(table)[names]
    together = pa.concat_tables(found)
    if part.low is not None:
        # Of equal obsids the order stays.
        together = together.sort_by("obsid").select(names)
    return to_pandas(together)


def _narrowed(rows: Conditions, piece: Piece, part: Part) -> Conditions | None:
    """Conditions on the rows of a piece; None if none can fulfil them."""
    more: list[tuple[str, str, object]] = []
    if piece.without:
        more.append(("obsid", "not in", list(piece.without)))
    if part.low is not None and piece.first < part.low:
        more.append(("obsid", ">=", part.low))
    if part.low is not None and piece.last >= part.high:
        more.append(("obsid", "<", part.high))
    possible = [row for row in rows if all(_may_hold(*condition, piece) for condition in row)]
    if rows and not possible:
        return None
    return [[*row, *more] for row in possible or [[]]] if rows or more else []


def _may_hold(name: str, sign: str, value: object, piece: Piece) -> bool:
    """Whether a condition may hold for a row, as far as its obsid says."""
    if name != "obsid" or sign not in ("==", "in", "<", "<=", ">", ">="):
        return True
    if sign in ("==", "in"):
        values = [value] if sign == "==" else value
        return any(piece.first <= str(item) <= piece.last for item in values)  # type: ignore[attr-defined]
    low, high, text = piece.first, piece.last, str(value)
    return {"<": low < text, "<=": low <= text, ">": high > text, ">=": high >= text}[sign]
