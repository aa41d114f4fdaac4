"""Searches that are going on: a record of each beside the ledger, for as long as it runs.

The ledger tells what is done; only the search itself knows how much there is to do.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from multiprocessing import current_process
from typing import Final

from pydantic import AwareDatetime

from exod.archive.ledger.entry import SEARCH_RECORD, Count, Record, Text
from exod.archive.store import Store
from exod.errors import ExodError
from exod.files.seals import open_text
from exod.files.whole import unique_mark
from exod.scheduler.tally import Tally

SILENT: Final = timedelta(hours=1)
"""A search elsewhere that said nothing for so long is taken for dead."""

_EVERY_SECONDS: Final = 5.0


class RunningSearch(Record):
    """A search that has begun and not ended.

    Attributes
    ----------
    stage : str
        What is done.
    total, before : int
        Observations in all, and those that were done before.
    began, news : datetime
        UTC; `news` is when it was last heard of.
    dashboard : str
        Address of its Dask dashboard; empty without one.
    host, process : str, int
        Where it runs.
    """

    stage: str
    total: Count
    before: Count
    began: AwareDatetime
    news: AwareDatetime
    dashboard: Text = ""
    host: str
    process: int

    def is_alive(self, now: datetime) -> bool:
        """Whether it still runs, as far as that can be told from here."""
        if self.host != socket.gethostname():
            return now - self.news < SILENT
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            # It is of somebody else.
            return True
        return True


class SearchRecord:
    """The record of this search; what cannot be written is left, since readers do without it.

    Parameters
    ----------
    store : Store
        The archive.
    tally : Tally
        Of the search.
    """

    def __init__(self, store: Store, tally: Tally) -> None:
        self._store, self._tally = store, tally
        self._name = f"search-{unique_mark()}.json"
        self._kept: tuple[float, int] = (0.0, 0)
        self.dashboard = ""

    def keep(self) -> None:
        """Write how far it is, unless that was done a moment ago and nothing else is new."""
        last, before = self._kept
        if time.monotonic() - last >= _EVERY_SECONDS or before != self._tally.before:
            self.write()

    def write(self) -> None:
        """Write how far it is."""
        self._kept = time.monotonic(), self._tally.before
        record = RunningSearch(
            stage=self._tally.stage,
            total=self._tally.total,
            before=self._tally.before,
            began=datetime.fromtimestamp(self._tally.began, UTC),
            news=datetime.now(UTC),
            dashboard=self.dashboard,
            host=socket.gethostname(),
            process=current_process().pid or 0,
        )
        with suppress(OSError, ExodError):
            self._store.publish({}, self._name, record.to_json())

    def remove(self) -> None:
        """Take the record away: the search has ended."""
        with suppress(OSError, ExodError):
            self._store.remove([self._name])


@contextmanager
def search_recorded(store: Store, tally: Tally) -> Iterator[SearchRecord]:
    """Keep a record of a search while the block runs; removes those of searches that have died."""
    now = datetime.now(UTC)
    with suppress(OSError, ExodError):
        dead = [name for name, one in _records(store).items() if not one.is_alive(now)]
        store.remove(dead)
    record = SearchRecord(store, tally)
    record.write()
    try:
        yield record
    finally:
        record.remove()


def running_searches(store: Store) -> list[RunningSearch]:
    """The searches that run now, in order of their beginning.

    Raises
    ------
    OSError
        If the archive cannot be read.
    """
    now = datetime.now(UTC)
    alive = [one for one in _records(store).values() if one.is_alive(now)]
    return sorted(alive, key=lambda one: one.began)


def _records(store: Store) -> dict[str, RunningSearch]:
    found = {}
    for name in store.names(""):
        if SEARCH_RECORD.fullmatch(name):
            # It may be gone by now, or be of a later version.
            with suppress(FileNotFoundError, ValueError):
                found[name] = RunningSearch.model_validate_json(open_text(store.read(name)))
    return found
