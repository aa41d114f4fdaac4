"""Votes on sources as files that are never changed: an event is a file, and nobody shares one.

``vetting/events/<event>.parquet`` is written whole and made durable before a vote is acknowledged.
Compaction copies many of them to a file ``vetting/compact/<digest>.parquet`` and removes nothing;
its name is made of the events in it, so that doing it twice, or at once, changes nothing. A reader
takes each event once.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from exod import __version__
from exod.archive.parquet import to_pandas, write_sorted
from exod.archive.store import Store, reported
from exod.errors import ArchiveError
from exod.files.seals import DamagedError
from exod.files.storage import one_line
from exod.files.whole import unique_mark
from exod.schemas.votes import LABELS, VOTES, WITHDRAWN

if TYPE_CHECKING:
    import pandas as pd

EVENTS: Final = "vetting/events"
COMPACTED: Final = "vetting/compact"

_EVENT: Final = re.compile(rf"{EVENTS}/[0-9a-f]{{12}}-[0-9a-f]{{16}}\.parquet")
_COMPACTED: Final = re.compile(rf"{COMPACTED}/[0-9a-f]{{32}}\.parquet")

_SCHEMA: Final = VOTES.schema

LAST_CLOCK: Final = 2**63 - 1
"""There is no later one; of events that have it the identifiers tell which is the last."""

_DAY: Final = 86_400.0
_UNIX_EPOCH: Final = 40_587.0
"""MJD of the first second of Unix time."""


class VoteLog:
    """All events of an archive; those that were read are kept, since none ever changes.

    Parameters
    ----------
    store : Store
        The files of the archive.
    tolerant : bool
        Whether files that cannot be read are set aside, in `damaged`, and looked at again later.
        Otherwise they are an error.

    Attributes
    ----------
    damaged : dict of str to str
        Files that were set aside, and why.

    Examples
    --------
    >>> import tempfile
    >>> log = VoteLog(Store.at(tempfile.mkdtemp()))
    >>> event = log.add("ada", region_num=7, label="real")
    >>> log.votes()[["vetter", "clock", "region_num", "label"]]
      vetter  clock  region_num label
    0    ada      1           7  real
    """

    def __init__(self, store: Store, *, tolerant: bool = False) -> None:
        self._store, self._tolerant = store, tolerant
        self._lock = RLock()
        self._files: set[str] = set()
        self._known: set[str] = set()
        self._rows: list[tuple[Any, ...]] = []
        self._clocks: dict[str, int] = {}
        self.damaged: dict[str, str] = {}
        self.n_single = 0

    def add(self, vetter: str, *, region_num: int, label: str, **more: Any) -> str:
        """Add an event; once this returns it survives whatever happens to the process.

        Parameters
        ----------
        vetter : str
            Who votes.
        region_num : int
            The source.
        label : str
            One of `exod.schemas.votes.LABELS`, or `WITHDRAWN`.
        **more : optional
            Other columns of `exod.schemas.votes.VOTES`.

        Returns
        -------
        str
            The identifier of the event.

        Raises
        ------
        ArchiveError
            If it cannot be written; it does not count then.
        """
        with self._lock:
            self.refresh()
            now = time.time()
            # An event that cannot be read may come back, and must not overtake this one then.
            clock = self._clocks.get(vetter, 0) + 1 + len(self.damaged)
            row = {
                **_NOTHING,
                **more,
                "vetter": vetter,
                "clock": min(clock, LAST_CLOCK),
                "time": now / _DAY + _UNIX_EPOCH,
                "region_num": region_num,
                "label": label,
                "software": f"exod {__version__}",
            }
            with reported(f"A vote cannot be written to {self._store.root}"):
                while True:
                    event = f"{int(now * 1000):012x}-{unique_mark()}{unique_mark()}"
                    table = pa.Table.from_pylist([{**row, "event": event}], _SCHEMA)
                    if self._store.create(f"{EVENTS}/{event}.parquet", _encoded(table)):
                        break
            self._keep(f"{EVENTS}/{event}.parquet", table)
        return event

    def refresh(self) -> None:
        """Read the events that are new.

        Raises
        ------
        ArchiveError
            If a file of them is damaged or cannot be read; if the log is tolerant, only if none
            can be.
        """
        with self._lock, reported(f"The votes of {self._store.root} cannot be read"):
            copies = filter(_COMPACTED.fullmatch, self._fresh(COMPACTED))
            # What is wrong with a copy does not matter: its events have their own files.
            with suppress(DamagedError):
                self._read([*copies])
            events = sorted(filter(_EVENT.fullmatch, self._fresh(EVENTS)))
            if self._tolerant:
                self._read_tolerantly(events)
            else:
                self._read(events)
            self.n_single += len(events)

    def _fresh(self, folder: str) -> set[str]:
        return set(self._store.names(folder)) - self._files

    def _read(self, names: list[str]) -> None:
        for name, content in zip(names, self._store.read_many(names), strict=True):
            self._keep(name, _decoded(self._store, name, content))

    def _read_tolerantly(self, names: list[str]) -> None:
        self.damaged = {}
        try:
            self._read(names)
        except (ArchiveError, OSError):
            for name in names:
                try:
                    if name not in self._files:
                        self._read([name])
                except (ArchiveError, OSError) as error:
                    self.damaged[name] = one_line(error)

    def _keep(self, name: str, table: pa.Table) -> None:
        self._files.add(name)
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            event, vetter, clock = row[:3]
            if event not in self._known:
                self._known.add(event)
                # Where it was read from a copy, its own file need not be read.
                self._files.add(f"{EVENTS}/{event}.parquet")
                self._rows.append(row)
                self._clocks[vetter] = max(clock, self._clocks.get(vetter, 0))

    def since(self, number: int) -> list[tuple[Any, ...]]:
        """Of the events that are known those after so many, in the order in which they were read.

        Returns
        -------
        list of tuple
            For each the values of the columns of `exod.schemas.votes.VOTES`.
        """
        with self._lock:
            return self._rows[number:]

    def rows(self) -> pa.Table:
        """All events once, as the table `exod.schemas.votes.VOTES`, in the order of that.

        Raises
        ------
        ArchiveError
            As `refresh`.
        """
        self.refresh()
        return _table(self.since(0)).sort_by([(name, "ascending") for name in VOTES.sort_by])

    def votes(self) -> pd.DataFrame:
        """The same with the pandas dtypes of the schema."""
        return to_pandas(self.rows())

    @property
    def size(self) -> int:
        """How many events are known; it grows with each."""
        return len(self._rows)

    def compact(self) -> int:
        """Copy all events to one file, from which readers take them; returns how many there are.

        Raises
        ------
        ArchiveError
            If an event cannot be read, or the file cannot be written.
        """
        rows = self.rows()
        if len(rows):
            names = "\n".join(sorted(rows["event"].to_pylist()))
            name = f"{COMPACTED}/{hashlib.sha256(names.encode()).hexdigest()[:32]}.parquet"
            with reported(f"The votes of {self._store.root} cannot be copied"):
                self._store.create(name, _encoded(rows))
            self._files.add(name)
        return len(rows)


_NOTHING: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("detid", "unique_version", "classes", "note", "supersedes", "view"), ""),
    "score": -1,
    "seconds": float("nan"),
}
"""What an event says that nobody told."""


def _encoded(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    write_sorted(sink, VOTES, rows)
    return bytes(sink.getvalue())


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(_SCHEMA)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def _decoded(store: Store, name: str, content: bytes) -> pa.Table:
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        table = file.read(use_threads=False)
        fault = _fault(table)
    except (OSError, pa.ArrowException) as error:
        fault = one_line(error)
    if fault:
        raise DamagedError(
            f"{store.path(name)} is damaged: {fault}; put it back from a copy of the archive, or "
            f"remove it: the votes in it are lost then.",
            fault,
        )
    return table.select(_SCHEMA.names)


def _fault(table: pa.Table) -> str:
    """Why a table is none of votes; later versions of exod may have more columns."""
    wanted = {(field.name, field.type) for field in _SCHEMA}
    if not wanted <= {(field.name, field.type) for field in table.schema}:
        return "it does not have the columns of votes"
    if any(table[name].null_count for name in _SCHEMA.names):
        return "something of a vote is missing"
    unknown = set(table["label"].to_pylist()) - {*LABELS, WITHDRAWN}
    if unknown:
        return f"this version of exod knows no vote {min(unknown)[:40]!r}"
    return ""
