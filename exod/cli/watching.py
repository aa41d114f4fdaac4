"""`exod status --watch`: how far a search is, drawn on a terminal, a line a change elsewhere."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.text import Text

from exod.archive.ledger.progress import SurveyProgress, changes
from exod.cli.app import STYLE, new_table
from exod.errors import plural
from exod.scheduler.interrupts import stoppable
from exod.scheduler.tally import in_words

if TYPE_CHECKING:
    from exod.archive import Archive

_REASONS = 5
"""Failures that are listed while a search runs."""


def follow_archive(archive: Archive, console: Console, every: float) -> None:
    """Show how far the search of an archive is until it ends, or until Ctrl-C.

    Parameters
    ----------
    archive : Archive
        The archive.
    console : Console
        Where to show it; without a terminal each change is a line.
    every : float
        Seconds between two looks, which cost little if nothing has changed.
    """
    woken = Event()
    with stoppable(woken.set) as stop:

        def go_on() -> bool:
            return not woken.wait(every)

        found = changes(archive, go_on)
        if console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                for progress in found:
                    live.update(drawn(progress, archive.root), refresh=True)
        else:
            for progress in found:
                console.print(escape(in_a_line(progress)), soft_wrap=True)
    if stop.signal is not None:
        # What would follow the end of the search must not follow this.
        raise typer.Exit(128 + stop.signal)


def in_a_line(progress: SurveyProgress) -> str:
    """How far a search is, as a sentence."""
    counts = ", ".join(f"{count:,} {name}" for name, count in progress.counts.items() if count)
    held = plural(sum(progress.counts.values()), "observation")
    ledger = f"{held} in the ledger" + (f" ({counts})" if counts else "")
    if not progress.is_running:
        return f"Nothing is being searched; {ledger}."
    done = progress.before + progress.done
    parts = [f"{progress.stage}: {done:,} of {plural(progress.total, 'observation')} done"]
    if progress.before:
        parts.append(f"{progress.before:,} of them before")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if progress.per_hour:
        parts.append(f"{progress.per_hour:,.0f} an hour")
    if left := in_words(progress.seconds_left):
        parts.append(f"{left} left")
    return f"{', '.join(parts)}; {ledger}."


def drawn(progress: SurveyProgress, root: str) -> Group:
    """How far a search is, for a terminal."""
    table = new_table(f"Archive {escape(root)}", "Status", "Observations")
    for name, style in STYLE.items():
        table.add_row(f"[{style}]{name}[/]", f"{progress.counts[name]:,}")
    parts: list[Text | ProgressBar] = [Text(in_a_line(progress))]
    if progress.is_running:
        done = progress.before + progress.done
        parts.append(ProgressBar(total=progress.total, completed=done, width=60))
        if progress.dashboard:
            parts.append(Text(f"Dashboard: {progress.dashboard}"))
    for group in progress.failures[:_REASONS]:
        parts.append(Text(f"{group.count:,} failed: {group.reason}", style=STYLE["FAILED"]))
        parts.append(Text(f"  {_short(group.command)}"))
    if (more := len(progress.failures) - _REASONS) > 0:
        parts.append(Text(f"{plural(more, 'more reason')}: exod status {root}"))
    return Group(table, *parts)


def _short(command: str) -> str:
    return command if len(command) < 200 else f"{command[:200].rpartition(' ')[0]} ..."
