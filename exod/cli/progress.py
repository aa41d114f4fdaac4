"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

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

from exod.errors import ExodError, plural, without_credentials

if TYPE_CHECKING:
    from exod.astromon.process.manyobservations import Processed
    from exod.stages.derive.batched import BatchDone
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


class _Steps:
    """Shows what is done: a bar on a terminal, a line for each step elsewhere.

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
        self._console, self._total, self._progress = console, total, progress
        self._task = progress.add_task("", total=total, text="") if progress else TaskID(0)
        self._done = 0

    def say(self, sentence: str) -> None:
        """Say something beside the progress; from any thread."""
        self._console.print(without_credentials(sentence), markup=False, soft_wrap=True)

    def dashboard(self, link: str) -> None:
        """Say where the dashboard is."""
        self.say(f"Dashboard: {link}")

    def _step(self, sentence: str, n: int = 1, **bar: Any) -> None:
        """Show that `n` observations more are done: move the bar, or say the sentence."""
        self._done += n
        if self._progress is not None:
            self._progress.update(self._task, **(bar or {"advance": n}))
        else:
            self.say(f"[{self._done}/{self._total}] {sentence}".rstrip())


class Follower(_Steps):
    """Reports outcomes as they come; appends a line of JSON for each to a log, if there is one."""

    def __init__(
        self, console: Console, total: int, progress: Progress | None, log: Path | None = None
    ) -> None:
        super().__init__(console, total, progress)
        self._log = log
        self._counts: Counter[str] = Counter()
        self._before = 0
        self._began = time.monotonic()
        self._failures = 0

    def dashboard(self, link: str) -> None:
        """Say where the dashboard is."""
        self._began = time.monotonic()
        super().dashboard(link)

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
        new_failure = outcome.searched and outcome.status == "FAILED"
        if self._progress is not None and new_failure and self._failures < FAILURES_SHOWN:
            self._failures += 1
            self.say(f"{outcome.obsid} failed: {outcome.reason}")
        took = f"{outcome.seconds:.1f} s" if outcome.searched else "done before"
        self._step(
            f"{outcome.obsid} {outcome.status}: {plural(outcome.n_regions, 'region')} in "
            f"{plural(outcome.n_runs, 'run')}, {took}. {outcome.reason}",
            **self._bar(),
        )
        return outcome

    def _bar(self) -> dict[str, Any]:
        """The bar is about what is to be searched: the rest took no time."""
        searched = sum(self._counts.values()) - self._before
        parts = [f"{count} {name}" for name, count in sorted(self._counts.items())]
        if self._before:
            parts.append(f"{self._before} of them before")
        if searched > 1:
            rate = 60 * searched / max(time.monotonic() - self._began, 0.1)
            parts.append(f"{rate:.3g}/min")
        total = self._total - self._before
        return {"completed": searched, "total": total, "text": ", ".join(parts)}


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
def advancing(total: int, doing: str, console: Console) -> Iterator[Callable[[], None]]:
    """Give what is to be called after each of `total` steps; it moves a bar on a terminal."""
    with _bar(console, doing, TimeRemainingColumn()) as progress:
        if progress is None:
            yield lambda: None
        else:
            yield partial(progress.advance, progress.add_task(doing, total=total))


@contextmanager
def follow(
    total: int, console: Console | None = None, log: Path | None = None
) -> Iterator[Follower]:
    """A follower of `total` observations, with a bar if the console is a terminal."""
    console = console or Console(highlight=False)
    state = TextColumn("{task.fields[text]}")
    with _bar(console, "Searching", state, TimeElapsedColumn(), _TimeLeft()) as progress:
        yield Follower(console, total, progress, log)


class BatchFollower(_Steps):
    """Reports batches of observations; how many there are in all is known when work begins."""

    def __init__(self, console: Console, progress: Progress | None, done: str) -> None:
        super().__init__(console, 0, progress)
        self._name = done

    def begin(self, total: int) -> None:
        """Say how many observations there are."""
        self._total = total
        if self._progress is not None:
            self._progress.update(self._task, total=total)

    def report(self, batch: BatchDone) -> None:
        """Show a batch that ended."""
        n = len(batch.attempts) + len(batch.failures)
        self._step(f"{plural(n, 'observation')} {self._name}", n)


@contextmanager
def follow_batches(console: Console, doing: str, done: str) -> Iterator[BatchFollower]:
    """A follower of batches, with a bar if the console is a terminal.

    Parameters
    ----------
    console : Console
        Where to write.
    doing, done : str
        What the bar says is done to observations, and what a line says was, as Reading and read.
    """
    with _bar(console, doing, TimeRemainingColumn()) as progress:
        yield BatchFollower(console, progress, done)


class DownloadFollower(_Steps):
    """Reports downloads as they come, and the bytes between."""

    def __init__(self, console: Console, total: int, progress: Progress | None) -> None:
        super().__init__(console, total, progress)
        self._lock = Lock()
        self._n_bytes = 0

    def count(self, n_bytes: int) -> None:
        """Add bytes that have come; from any thread."""
        with self._lock:
            self._n_bytes += n_bytes
        if self._progress is not None:
            self._progress.update(self._task, text=decimal(self._n_bytes))

    def report(self, download: Download) -> Download:
        """Show one download and return it."""
        said = f"{download.obsid} {download.status}: {_amount(download)}. {download.note}"
        self._step(said)
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
    size = TextColumn("{task.fields[text]}")
    with _bar(console, "Downloading", size, TimeRemainingColumn()) as progress:
        yield DownloadFollower(console, total, progress)


class ProcessFollower(_Steps):
    """Reports observations of Chandra as they are processed."""

    def report(self, done: Processed) -> Processed:
        """Show one observation and return it."""
        how = f"{done.route}, {done.seconds:.1f} s" if done.is_new else "done before"
        sources = plural(done.n_sources, "source")
        self._step(f"{done.obsid} {done.status}: {sources}, {how.lstrip(', ')}. {done.reason}")
        return done


@contextmanager
def follow_processing(total: int, console: Console) -> Iterator[ProcessFollower]:
    """A follower of `total` observations, with a bar if the console is a terminal."""
    with _bar(console, "Processing", TimeElapsedColumn(), _TimeLeft()) as progress:
        yield ProcessFollower(console, total, progress)
