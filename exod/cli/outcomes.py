"""What a search says at its end, and before it begins."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.markup import escape

from exod.cli.app import STYLE, complain, end_if_failed, new_table, out, say
from exod.errors import percent, plural

if TYPE_CHECKING:
    from exod.config import Config
    from exod.errors import InputError
    from exod.pps import ObservationFiles
    from exod.scheduler.interrupts import Stop
    from exod.scheduler.plan import Plan
    from exod.stages.derive.batched import BatchedMade
    from exod.stages.detect.observation import Outcome

Made = TypeVar("Made", bound="BatchedMade")

FINISHING = "Finishing what has begun; Ctrl-C again stops at once."


def watch(
    work: Callable[[Plan], Generator[Outcome]], total: int, plan: Plan, log: Path | None = None
) -> tuple[list[Outcome], Stop]:
    """Do work of `total` observations and show how it goes, until it ends or is interrupted."""
    from exod.cli.progress import follow
    from exod.scheduler.interrupts import stoppable

    outcomes: list[Outcome] = []
    with (
        follow(total, out, log) as progress,
        stoppable(lambda: progress.say(FINISHING)) as stop,
        # An interruption must end the workers before anything else is said.
        closing(work(plan.watched(progress.dashboard, progress.say, stop))) as tasks,
    ):
        outcomes.extend(progress.report(outcome) for outcome in tasks)
    return outcomes, stop


def watch_batches(make: Callable[..., Made], plan: Plan, doing: str, done: str) -> Made:
    """Make a product, observations in batches, and show how it goes until it is interrupted.

    Parameters
    ----------
    make : callable
        Makes it with a plan; tells `on_total` and `on_batch` how far it is.
    plan : Plan
        Where and how.
    doing, done : str
        What a bar says is done to observations, and what a line says was.
    """
    from exod.cli.progress import follow_batches
    from exod.scheduler.interrupts import stoppable

    with (
        follow_batches(out, doing, done) as progress,
        stoppable(lambda: progress.say(FINISHING)) as stop,
    ):
        watched = plan.watched(progress.dashboard, progress.say, stop)
        made = make(watched, on_total=progress.begin, on_batch=progress.report)
    n_done = made.n_read + len(made.failures)
    end_if_stopped(stop, n_done, n_done + made.n_waiting)
    return made


def summary(outcomes: Sequence[Outcome], archive: str, seconds: float) -> None:
    """Say what became of the observations, in `seconds` in all."""
    numbers = ("Observations", "Before", "Runs", "Regions", "Events")
    table = new_table("", "Status", numbers=numbers)
    for name, style in STYLE.items():
        own = [outcome for outcome in outcomes if outcome.status == name]
        if own:
            counts = (
                len(own),
                sum(not outcome.searched for outcome in own),
                sum(outcome.n_runs for outcome in own),
                sum(outcome.n_regions for outcome in own),
                sum(outcome.n_events for outcome in own),
            )
            table.add_row(f"[{style}]{name}[/]", *(f"{count:,}" for count in counts))
    out.print(table)
    statuses = Counter(outcome.status for outcome in outcomes)
    parts = [f"[{STYLE[name]}]{statuses[name]} {name}[/]" for name in STYLE if statuses[name]]
    searched = [outcome for outcome in outcomes if outcome.searched]
    earlier = len(outcomes) - len(searched)
    done = f", {earlier} of them done before" if earlier else ""
    regions = plural(sum(outcome.n_regions for outcome in outcomes), "region")
    counted = plural(len(outcomes), "observation")
    out.print(f"{counted}: {', '.join(parts) or 'none'}{done}; {regions}.")
    shares = {o.obsid: o.time_share for o in outcomes if o.n_runs and o.time_share is not None}
    if shares:
        least = min(shares, key=lambda obsid: shares[obsid])
        mean = percent(sum(shares.values()) / len(shares), ".0f")
        said = f"Of the exposure time {mean} was searched"
        if len(shares) > 1:
            said += f", at least {percent(shares[least], '.0f')} ({least})"
        say(f"{said}.")
    if searched and seconds > 0:
        out.print(_effort(searched, seconds), soft_wrap=True)
    hint = f"Archive: {archive}   (exod status {archive}; exod plot {archive} OBSID)"
    say(hint)


def _effort(searched: Sequence[Outcome], seconds: float) -> str:
    """Time and memory of a search."""
    events = sum(outcome.n_events for outcome in searched)
    said = (
        f"Searched {plural(len(searched), 'observation')}, {plural(events, 'event')}, in "
        f"{_duration(seconds)}: {3600 * len(searched) / seconds:,.0f} an hour"
    )
    peak = max(outcome.peak_memory_mb for outcome in searched)
    if peak:
        said += f"; at most {peak:.0f} MB a process"
    over = [o for o in searched if 0 < o.predicted_memory_mb < o.peak_memory_mb]
    if over:
        worst = max(over, key=lambda o: o.peak_memory_mb / o.predicted_memory_mb)
        said += (
            f", {plural(len(over), 'observation')} more than predicted ({worst.obsid}: "
            f"{worst.peak_memory_mb:.0f} MB, predicted {worst.predicted_memory_mb:.0f} MB)"
        )
    return f"{said}."


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def finish(outcomes: Sequence[Outcome], problems: Sequence[InputError]) -> None:
    """Say what failed, and end with exit code 1 if anything did."""
    failed = [outcome for outcome in outcomes if outcome.status == "FAILED"]
    end_if_failed([f"{outcome.obsid} failed: {outcome.reason}" for outcome in failed])
    if problems:
        raise typer.Exit(1)


def end_if_stopped(stop: Stop, n_done: int, n_all: int) -> None:
    """End with the exit code of the signal, if there was one before all was done."""
    if stop.signal is not None:
        # The process is about to end, and another Ctrl-C would only change its exit code.
        signal.signal(stop.signal, signal.SIG_IGN)
    if stop.signal is not None and n_done < n_all:
        complain(
            f"exod: interrupted with {n_done} of {plural(n_all, 'observation')} done; what is done "
            f"is kept, and the same command continues."
        )
        raise typer.Exit(128 + stop.signal)


def dry_run(
    observations: Sequence[ObservationFiles],
    config: Config,
    archive: str,
    workers: int | None,
    memory: float | None,
    options: dict[str, Any] | None,
    **which: bool,
) -> None:
    """Say what a search would do, its time and its memory."""
    from exod.archive import Archive
    from exod.scheduler import default_workers, machine_memory
    from exod.stages.detect.predict import predict_many, total_seconds
    from exod.stages.detect.survey import sort_out

    waiting = list(observations)
    if "://" in archive or Path(archive, "archive.json").is_file():
        opened = Archive.create(archive, config, options)
        pairs = sort_out(opened, observations, **which)
        waiting = [files for files, earlier in pairs if earlier is None]
    count = workers or default_workers(len(waiting))
    limit = (memory or machine_memory() / count) / 2**20
    table = new_table(f"To do in {escape(archive)}", "Observation", "Events", "Time", "Memory")
    predictions = list(predict_many(waiting, config))
    for item in predictions:
        if item.problem:
            table.add_row(item.obsid, escape(item.problem))
            continue
        note = " (refused)" if item.memory_mb > limit else ""
        table.add_row(
            item.obsid,
            f"{item.n_rows:,}",
            f"{item.seconds:.1f} s",
            f"{item.memory_mb:.0f} MB{note}",
        )
    out.print(table)
    n_refused = sum(item.memory_mb > limit for item in predictions)
    largest = max((item.memory_mb for item in predictions), default=0.0)
    done = len(observations) - len(waiting)
    out.print(
        f"{plural(len(waiting), 'observation')} to search, {done} done before; about "
        f"{_duration(total_seconds(predictions, count))} with {plural(count, 'process')}, at most "
        f"{largest:.0f} MB each; {n_refused} refused for more than {limit:.0f} MB.",
        soft_wrap=True,
    )
