"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from exod.text import plural

if TYPE_CHECKING:
    from exod.stages.detect import Outcome


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
    """

    def __init__(self, console: Console, total: int, progress: Progress | None) -> None:
        self._console = console
        self._total = total
        self._progress = progress
        self._task = progress.add_task("detect", total=total, counts="") if progress else None
        self._counts: Counter[str] = Counter()

    def link(self, dashboard: str) -> None:
        """Say where the dashboard is."""
        self._console.print(f"Dashboard: {dashboard}")

    def report(self, outcome: Outcome) -> Outcome:
        """Show one outcome and return it."""
        self._counts[outcome.status] += 1
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self._counts.items()))
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=1, counts=counts)
        else:
            done = sum(self._counts.values())
            took = f"{outcome.seconds:.1f} s" if outcome.searched else "done before"
            self._console.print(
                f"[{done}/{self._total}] {outcome.obsid} {outcome.status}: "
                f"{plural(outcome.n_regions, 'region')} in {plural(outcome.n_runs, 'run')}, "
                f"{took}. {outcome.reason}".rstrip(),
                markup=False,
                soft_wrap=True,
            )
        return outcome


@contextmanager
def follow(total: int, console: Console | None = None) -> Iterator[Follower]:
    """A follower of `total` observations, with a bar if the console is a terminal."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        yield Follower(console, total, None)
        return
    columns = (
        TextColumn("[bold]Searching"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Follower(console, total, progress)
