"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from exod.errors import ExodError, plural

if TYPE_CHECKING:
    from exod.stages.detect.observation import Outcome
    from exod.stages.inputs.download import Download

FAILURES_SHOWN: Final = 10
"""Failures told while the bar runs; the end tells all."""


class _TimeLeft(ProgressColumn):
    """Time left at the mean speed so far: rich's own guess follows the last few observations."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        if not task.completed or task.elapsed is None or task.remaining is None:
            return Text("")
        seconds = round(task.elapsed / task.completed * task.remaining)
        return Text(f"{timedelta(seconds=seconds)} left", style="progress.remaining")


class Follower:
    """Reports outcomes as they come.

    Parameters
    ----------
    console : Console
        Where to write.
    total : int
        Observations in all.
    progress : Progress or None
        The bar; None writes plain lines.
    log : Path or None
        Gets a line of JSON for each outcome, appended.
    """

    def __init__(
        self, console: Console, total: int, progress: Progress | None, log: Path | None = None
    ) -> None:
        self._console = console
        self._log = log
        self._total = total
        self._progress = progress
        self._task = progress.add_task("detect", total=total, state="") if progress else None
        self._counts: Counter[str] = Counter()
        self._before = 0
        self._began = time.monotonic()
        self._failures = 0

    def link(self, dashboard: str) -> None:
        """Say where the dashboard is."""
        self._began = time.monotonic()
        self.say(f"Dashboard: {dashboard}")

    def say(self, sentence: str) -> None:
        """Say something beside the progress; from any thread."""
        self._console.print(sentence, markup=False, soft_wrap=True)

    def report(self, outcome: Outcome) -> Outcome:
        """Show one outcome and return it.

        Raises
        ------
        ExodError
            If the log cannot be written.
        """
        self._counts[outcome.status] += 1
        self._before += not outcome.searched
        if self._log is not None:
            line = {"time": datetime.now(UTC).isoformat(), **asdict(outcome)}
            try:
                with self._log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
            except OSError as error:
                raise ExodError(f"The log {self._log} cannot be written: {error}.") from error
        if self._progress is not None and self._task is not None:
            self._advance(self._progress, self._task, outcome)
        else:
            done = sum(self._counts.values())
            took = f"{outcome.seconds:.1f} s" if outcome.searched else "done before"
            self.say(
                f"[{done}/{self._total}] {outcome.obsid} {outcome.status}: "
                f"{plural(outcome.n_regions, 'region')} in {plural(outcome.n_runs, 'run')}, "
                f"{took}. {outcome.reason}".rstrip()
            )
        return outcome

    def _advance(self, progress: Progress, task: TaskID, outcome: Outcome) -> None:
        """Move the bar, which is about what is to be searched: the rest took no time."""
        if outcome.searched and outcome.status == "FAILED" and self._failures < FAILURES_SHOWN:
            self._failures += 1
            self.say(f"{outcome.obsid} failed: {outcome.reason}")
        searched = sum(self._counts.values()) - self._before
        parts = [f"{count} {name}" for name, count in sorted(self._counts.items())]
        if self._before:
            parts.append(f"{self._before} of them before")
        if searched > 1:
            rate = 60 * searched / max(time.monotonic() - self._began, 0.1)
            parts.append(f"{rate:.3g}/min")
        progress.update(
            task, completed=searched, total=self._total - self._before, state=", ".join(parts)
        )


@contextmanager
def _bar(console: Console, doing: str, *columns: ProgressColumn) -> Iterator[Progress | None]:
    """A bar if the console is a terminal."""
    if not console.is_terminal:
        yield None
        return
    always = (TextColumn(f"[bold]{doing}"), BarColumn(bar_width=30), MofNCompleteColumn())
    with Progress(*always, *columns, console=console) as progress:
        yield progress


@contextmanager
def follow(
    total: int, console: Console | None = None, log: Path | None = None
) -> Iterator[Follower]:
    """A follower of `total` observations, with a bar if the console is a terminal."""
    console = console or Console(highlight=False)
    state = TextColumn("{task.fields[state]}")
    with _bar(console, "Searching", state, TimeElapsedColumn(), _TimeLeft()) as progress:
        yield Follower(console, total, progress, log)


class DownloadFollower:
    """Reports downloads as they come, and the bytes between.

    Parameters
    ----------
    console : Console
        Where to write.
    total : int
        Observations in all.
    progress : Progress or None
        The bar; None writes plain lines.
    """

    def __init__(self, console: Console, total: int, progress: Progress | None) -> None:
        self._console = console
        self._total = total
        self._progress = progress
        self._task = progress.add_task("download", total=total, size="") if progress else None
        self._lock = Lock()
        self._n_bytes = 0
        self._done = 0

    def count(self, n_bytes: int) -> None:
        """Add bytes that have come; from any thread."""
        with self._lock:
            self._n_bytes += n_bytes
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, size=decimal(self._n_bytes))

    def report(self, download: Download) -> Download:
        """Show one download and return it."""
        self._done += 1
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=1)
        else:
            self._console.print(
                f"[{self._done}/{self._total}] {download.obsid} {download.status}: "
                f"{_amount(download)}. {download.note}".rstrip(),
                markup=False,
                soft_wrap=True,
            )
        return download


def _amount(download: Download) -> str:
    files = plural(len(download.files), "file")
    if not download.n_fetched:
        return f"{files}, there before" if download.files else files
    services = " and ".join(download.services)
    size = decimal(download.n_bytes)
    return f"{files}, {size} fetched, from {services}, {download.seconds:.1f} s"


@contextmanager
def follow_downloads(total: int, console: Console | None = None) -> Iterator[DownloadFollower]:
    """A follower of `total` downloads, with a bar if the console is a terminal."""
    console = console or Console(highlight=False)
    size = TextColumn("{task.fields[size]}")
    with _bar(console, "Downloading", size, TimeRemainingColumn()) as progress:
        yield DownloadFollower(console, total, progress)
