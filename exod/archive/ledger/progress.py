"""How far the search of an archive is: the one place that counts it.

`exod status --watch`, the explorer's page of runs and the pages that are published show these
numbers.
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np

from exod.archive.ledger.entry import LEDGER, Status
from exod.archive.ledger.running import RunningSearch, running_searches
from exod.archive.store import reported
from exod.errors import without_places
from exod.scheduler.tally import hourly, seconds_left

if TYPE_CHECKING:
    import pandas as pd

    from exod.archive import Archive

IDLE: Final = timedelta(minutes=1)
"""Two searches are told apart if no observation was being searched for so long between them."""

RECENT: Final = 200
"""The rate is that of so many outcomes: observations are not alike, and workers come and go."""

SHOWN: Final = 10
"""Observations that are named of each kind."""

GROUPS: Final = 50
"""Reasons that are told apart."""

ANY_ROOT: Final = "ARCHIVE"
"""What stands for an archive in commands whose readers do not know where it is."""


@dataclass(frozen=True)
class Failures:
    """Observations that failed for one reason.

    Attributes
    ----------
    reason : str
        Why, of the first of them.
    count : int
        How many.
    obsids : tuple of str
        The first of them.
    command : str
        What tries them again.
    """

    reason: str
    count: int
    obsids: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class Costly:
    """An observation that took much: seconds, and peak memory in MB (0 if not measured)."""

    obsid: str
    status: str
    seconds: float
    peak_memory_mb: float


@dataclass(frozen=True)
class StageState:
    """A product of the archive: its name, rows, and observations that it lacks."""

    name: str
    rows: int
    behind: int


@dataclass(frozen=True)
class SurveyProgress:
    """How far the search of an archive is.

    Attributes
    ----------
    stage : str
        What runs now; empty if nothing does.
    total, before, done, failed, left : int
        Observations of what runs now: in all, done by earlier searches, done by these (failed ones
        too), failed among them, and to do. All 0 if nothing runs.
    counts : dict of str to int
        Observations of the ledger by status.
    per_hour : float or None
        Observations an hour, of the last ones of the last search; None if there are too few.
    seconds_left : float or None
        How long the rest takes at that rate; None if that cannot be told.
    began, news : str
        When what runs now began, and when the last outcome came, ISO 8601 in UTC; empty if unknown.
    dashboard : str
        Address of the Dask dashboard of what runs now; empty without one.
    failures, slowest, largest, stages : tuple
        Failures by reason, most frequent first; what took most time and memory; products.
    """

    stage: str
    total: int
    before: int
    done: int
    failed: int
    left: int
    counts: dict[str, int]
    per_hour: float | None
    seconds_left: float | None
    began: str
    news: str
    dashboard: str
    failures: tuple[Failures, ...] = ()
    slowest: tuple[Costly, ...] = ()
    largest: tuple[Costly, ...] = ()
    stages: tuple[StageState, ...] = field(default=())

    @property
    def is_running(self) -> bool:
        """Whether a search goes on."""
        return bool(self.stage)

    def figures(self) -> dict[str, Any]:
        """The same as plain types, for JSON."""
        return asdict(self)

    def elsewhere(self, root: str) -> SurveyProgress:
        """The same for readers who are not at this machine: no folders, no address of a dashboard.

        Parameters
        ----------
        root : str
            The archive; commands have `ANY_ROOT` in its place.
        """
        failures = tuple(
            replace(
                group,
                reason=without_places(group.reason, root),
                command=group.command.replace(shlex.quote(root), ANY_ROOT, 1),
            )
            for group in self.failures
        )
        return replace(self, dashboard="", failures=failures)


def progress_of(
    ledger: pd.DataFrame,
    searches: Sequence[RunningSearch],
    now: datetime,
    root: str,
    stages: Sequence[StageState] = (),
) -> SurveyProgress:
    """Count how far a search is.

    Parameters
    ----------
    ledger : DataFrame
        As `Archive.status` gives it.
    searches : sequence of RunningSearch
        What runs now.
    now : datetime
        UTC.
    root : str
        The archive, for commands.
    stages : sequence of StageState
        Its products.
    """
    finished = ledger["finished"].to_numpy("datetime64[us]")
    began = min((one.began for one in searches), default=None)
    own = finished >= _instant(began or now)
    if began is None:
        own[:] = False
    done = int(own.sum())
    total = sum(one.total for one in searches)
    before = sum(one.before for one in searches)
    left = max(total - before - done, 0)
    rate = _rate_since(finished, began, now) if began else _last_rate(finished, ledger["seconds"])
    return SurveyProgress(
        stage=", ".join(dict.fromkeys(one.stage for one in searches)),
        total=total,
        before=before,
        done=done,
        failed=int((own & (ledger["status"] == "FAILED").to_numpy()).sum()),
        left=left,
        counts={name: int((ledger["status"] == name).sum()) for name in get_args(Status)},
        per_hour=rate,
        seconds_left=seconds_left(left, rate),
        began=_text(began),
        news=str(finished.max().astype("datetime64[s]")) + "Z" if len(finished) else "",
        dashboard=next((one.dashboard for one in reversed(searches) if one.dashboard), ""),
        failures=failures_of(ledger, root),
        slowest=_costly(ledger, "seconds"),
        largest=_costly(ledger, "peak_memory_mb"),
        stages=tuple(stages),
    )


def failures_of(ledger: pd.DataFrame, root: str) -> tuple[Failures, ...]:
    """The failures by their reason, numbers and names of files in it aside; most frequent first."""
    failed = ledger[ledger["status"] == "FAILED"]
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for obsid, reason in zip(failed["obsid"], failed["reason"], strict=True):
        groups[_kind(reason)].append((obsid, reason))
    largest = sorted(groups.values(), key=lambda group: (-len(group), group[0]))[:GROUPS]
    retry = f"exod retry {shlex.quote(root)}"
    return tuple(
        Failures(
            group[0][1],
            len(group),
            tuple(obsid for obsid, _ in group[:SHOWN]),
            retry if len(groups) == 1 else " ".join([retry, *(obsid for obsid, _ in group)]),
        )
        for group in largest
    )


def _kind(reason: str) -> str:
    """A reason without what differs from one observation to the next.

    Examples
    --------
    >>> _kind("It needs about 1203 MB (12,000 rows).") == _kind("It needs about 99 MB (8 rows).")
    True
    >>> _kind("/data/A.FTZ cannot be read.") == _kind("/data/B.FTZ cannot be read.")
    True
    """
    return re.sub(r"\S*[\d/\\]\S*", "…", reason)


def _rate_since(finished: np.ndarray, began: datetime, now: datetime) -> float | None:
    """Outcomes an hour of the search that runs."""
    times = np.sort(finished[finished >= _instant(began)])[-RECENT:]
    if len(times) < RECENT:
        since, count = _instant(began), len(times)
    else:
        since, count = times[0], len(times) - 1
    return hourly(count, (_instant(now) - since) / np.timedelta64(1, "s"))


def _last_rate(finished: np.ndarray, seconds: pd.Series) -> float | None:
    """Outcomes an hour of the last search, from when its first observation was begun."""
    if not len(finished):
        return None
    took = (1e6 * seconds.to_numpy(float)).astype("timedelta64[us]")
    order = np.argsort(finished - took, kind="stable")
    begun, until = (finished - took)[order], np.maximum.accumulate(finished[order])
    pauses = np.flatnonzero(begun[1:] - until[:-1] > np.timedelta64(IDLE))
    first = pauses[-1] + 1 if len(pauses) else 0
    return hourly(len(begun) - first, float((until[-1] - begun[first]) / np.timedelta64(1, "s")))


def _costly(ledger: pd.DataFrame, column: str) -> tuple[Costly, ...]:
    found = ledger[ledger[column] > 0].nlargest(SHOWN, column)
    names = ("obsid", "status", "seconds", "peak_memory_mb")
    return tuple(Costly(**{name: row[name] for name in names}) for row in found.to_dict("records"))


def _instant(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _text(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""


def archive_progress(archive: Archive) -> SurveyProgress:
    """How far the search of an archive is now.

    Raises
    ------
    ArchiveError
        If the ledger or the pointer of a product is damaged, or something cannot be read.
    """
    with reported(f"The archive {archive.root} cannot be read"):
        # Searches before the ledger: what ends in between is then done, and not lost.
        searches = running_searches(archive.store)
        products = archive.products().to_dict("records")
    stages = [StageState(row["product"], row["rows"], row["behind"]) for row in products]
    return progress_of(archive.status(), searches, datetime.now(UTC), archive.root, stages)


class ProgressWatch:
    """Looks at the progress of an archive, and counts only if something has changed.

    Parameters
    ----------
    archive : Archive
        The archive.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._seen: Any = None

    def look(self) -> SurveyProgress | None:
        """The progress; None if the ledger, and what runs, are as they were at the last look.

        Raises
        ------
        ArchiveError
            As `archive_progress`.
        """
        store = self._archive.store
        with reported(f"The archive {self._archive.root} cannot be read"):
            running = [one.model_dump(exclude={"news"}) for one in running_searches(store)]
            news = store.stamp(LEDGER) or store.stamps(LEDGER), running
        if news == self._seen:
            return None
        self._seen = news
        return archive_progress(self._archive)


def changes(archive: Archive, go_on: Callable[[], bool]) -> Iterator[SurveyProgress]:
    """The progress as it is, and again whenever it has changed, until nothing is searched.

    Parameters
    ----------
    archive : Archive
        The archive.
    go_on : callable
        Waits a while; whether to look again.

    Raises
    ------
    ArchiveError
        As `archive_progress`.
    """
    watch = ProgressWatch(archive)
    while True:
        if (found := watch.look()) is not None:
            yield found
            if not found.is_running:
                return
        if not go_on():
            return
