"""Command that describes light curves by numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import Progress, TaskID

from exod.cli.app import app, end_if_failed, out, say
from exod.cli.options import Archive_, Scheduler, Storage, Workers, storage_options
from exod.cli.outcomes import FINISHING, end_if_stopped
from exod.errors import plural

if TYPE_CHECKING:
    from exod.archive import Archive
    from exod.scheduler.plan import Plan
    from exod.stages.derive.features import BatchDone, FeaturesMade


@app.command()
def features(
    root: Archive_,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
) -> None:
    """Make the features of all light curves, and hardness ratios; what did not change is kept.

    Example: `exod features results --workers 4`
    """
    from exod.archive import open_archive
    from exod.scheduler.plan import RETRIES, Plan

    made = _make(
        open_archive(root, storage_options(storage)), Plan(scheduler, workers, retries=RETRIES)
    )
    out.print(
        f"Features of {plural(made.n_rows, 'region')}: {plural(made.n_read, 'observation')} read, "
        f"{made.n_kept:,} kept."
    )
    end_if_failed([f"{obsid} failed: {why}" for obsid, why in sorted(made.failures.items())])


def _make(archive: Archive, plan: Plan) -> FeaturesMade:
    """Make them and show how it goes."""
    from exod.scheduler.interrupts import stoppable
    from exod.stages.derive.features import make_features

    with (
        Progress(console=out, disable=not out.is_terminal) as progress,
        stoppable(lambda: say(FINISHING)) as stop,
    ):
        bar = _Bar(progress)
        made = make_features(
            archive,
            plan.watched(lambda link: say(f"Dashboard: {link}"), say, stop),
            on_total=bar.begin,
            on_batch=bar.advance,
        )
    done = made.n_read + len(made.failures)
    end_if_stopped(stop, done, done + made.n_waiting)
    return made


class _Bar:
    """Observations that were read: a bar on a terminal, a line a batch elsewhere."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._done = self._total = 0

    def begin(self, total: int) -> None:
        """Say how many there are."""
        self._total = total
        self._task = self._progress.add_task("Reading light curves", total=total)

    def advance(self, done: BatchDone) -> None:
        """Show a batch that ended."""
        n = len(done.attempts) + len(done.failures)
        self._done += n
        if self._task is not None and not self._progress.disable:
            self._progress.update(self._task, advance=n)
        else:
            say(f"[{self._done}/{self._total}] {plural(n, 'observation')} read")
