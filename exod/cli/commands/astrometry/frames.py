"""The command that finds the frames of observations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import Progress, TaskID

from exod.cli.app import app, end_if_failed, out, say
from exod.cli.options import (
    Archive_,
    Input,
    Scheduler,
    Storage,
    Workers,
    storage_options,
)
from exod.cli.outcomes import FINISHING, end_if_stopped
from exod.errors import plural

if TYPE_CHECKING:
    from exod.archive import Archive
    from exod.scheduler.plan import Plan
    from exod.stages.derive.rectify import FramesDone, FramesMade, RectifySettings


@app.command()
def rectify(
    root: Archive_,
    catalogue: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="NAME",
            help="Catalogue of own fits where the source list has no frame, as exod crossmatch "
            "takes it, or none [as before, or none].",
        ),
    ] = None,
    prior: Annotated[
        str,
        typer.Option(help="What fits know of frames: archive (from all source lists) or none."),
    ] = "archive",
    lists: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of source lists that are not where the search read them."
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            envvar="EXOD_CACHE", help="Folder of imported tables and answers [~/.cache/exod]."
        ),
    ] = None,
    services: Annotated[
        str | None,
        typer.Option(metavar="JSON", envvar="EXOD_SERVICES", help="Addresses of services."),
    ] = None,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
    inputs: Input = None,
) -> None:
    """Bring positions onto the sky: by the frames of source lists, or by fits to a catalogue.

    The tables frames, offsets and positions tell how, beside what was measured; what did not
    change is kept.

    Example: `exod rectify results --with gaia_dr3=gaia.parquet`
    """
    from exod.archive import open_archive
    from exod.counterparts.cache import cache_folder
    from exod.counterparts.service import Services
    from exod.scheduler.plan import RETRIES, Plan
    from exod.stages.derive.rectify import RectifySettings

    settings = RectifySettings(
        catalogue,
        prior,
        lists,
        cache_folder(cache),
        Services.of(services),
        storage_options(inputs) or {},
    )
    plan = Plan(scheduler, workers, retries=RETRIES)
    made = _rectify(open_archive(root, storage_options(storage)), plan, settings)
    _tell(made)
    end_if_failed([f"{obsid} failed: {why}" for obsid, why in sorted(made.failures.items())])


def _rectify(archive: Archive, plan: Plan, settings: RectifySettings) -> FramesMade:
    """Rectify and show how it goes."""
    from exod.scheduler.interrupts import stoppable
    from exod.stages.derive.rectify import rectify_archive

    with (
        Progress(console=out, disable=not out.is_terminal) as progress,
        stoppable(lambda: say(FINISHING)) as stop,
    ):
        bar = _FramesBar(progress)
        made = rectify_archive(
            archive,
            plan.watched(lambda link: say(f"Dashboard: {link}"), say, stop),
            settings,
            on_total=bar.begin,
            on_batch=bar.advance,
        )
    done = made.n_read + len(made.failures)
    end_if_stopped(stop, done, done + made.n_waiting)
    return made


class _FramesBar:
    """Observations that are done: a bar on a terminal, a line a batch elsewhere."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._done = self._total = 0

    def begin(self, total: int) -> None:
        """Say how many there are."""
        self._total = total
        self._task = self._progress.add_task("Rectifying", total=total)

    def advance(self, done: FramesDone) -> None:
        """Show a batch that ended."""
        n = len(done.attempts) + len(done.failures)
        self._done += n
        if self._task is not None and not self._progress.disable:
            self._progress.update(self._task, advance=n)
        else:
            say(f"[{self._done}/{self._total}] {plural(n, 'observation')} rectified")


def _tell(made: FramesMade) -> None:
    """How many observations have which frame, why not, and what their circles are of."""
    counts = made.counts
    out.print(
        f"{plural(made.n_read, 'observation')} read, {made.n_kept:,} kept: "
        f"{counts['header']:,} have the frame of their source list, {counts['fit']:,} an own "
        f"fit, {counts['none']:,} none."
    )
    for reason, count in made.reasons.items():
        say(f"{plural(count, 'observation')}: {escape(reason)}")
    for kind, one in made.calibration.items():
        if counts[kind]:
            n_pairs = int(one["n_pairs"])
            origin = f"from {plural(n_pairs, 'pair')}" if n_pairs else "as documented"
            radial = 2**0.5 * one["systematic_arcsec"]
            say(f'Systematic error of {kind}: {radial:.2f}", {origin}.')
