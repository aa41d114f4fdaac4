"""The command that processes observations of Chandra."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from exod.cli.app import STYLE, end_if_failed, out, say
from exod.cli.commands.astrometry.groups import (
    astromon,
)
from exod.cli.options import (
    Scheduler,
    Workers,
)
from exod.cli.outcomes import FINISHING, end_if_stopped
from exod.errors import plural


@astromon.command()
def process(
    obsids: Annotated[
        list[str] | None, typer.Argument(metavar="OBSID...", help="Observations of Chandra.")
    ] = None,
    listed: Annotated[
        Path | None, typer.Option("--from", help="File with one obsid a line.")
    ] = None,
    workdir: Annotated[
        Path, typer.Option(metavar="DIR", help="Gets a folder an observation.")
    ] = Path("chandra"),
    dbfile: Annotated[
        Path | None,
        typer.Option("--db", metavar="DBFILE", help="Tables of astromon that get the rows."),
    ] = None,
    archive_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Gets copies of what is worth keeping.")
    ] = None,
    source: Annotated[str, typer.Option(help="Where data come from: archive or arc5gl.")] = (
        "archive"
    ),
    ciao_prefix: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where CIAO is [/soft/ciao, if it is there].")
    ] = None,
    ciao: Annotated[bool, typer.Option("--ciao/--no-ciao", help="Use CIAO if it is there.")] = True,
    ciao_limit: Annotated[
        float, typer.Option(metavar="HOURS", min=0.01, help="Time of a program of CIAO at most.")
    ] = 12.0,
    force: Annotated[bool, typer.Option("--force", help="Process again what is done.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Process again what failed.")
    ] = False,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    archive_url: Annotated[str | None, typer.Option("--archive-url", hidden=True)] = None,
) -> None:
    """Download observations of Chandra and find their sources, with CIAO or without it.

    What is done is not done again: to continue, run the same command.

    Example: `exod astromon process 8007 14533 --workdir chandra --db astromon.db3`
    """
    from exod.astromon.process.manyobservations import ProcessSettings, process_many, wanted_obsids
    from exod.cli.progress import follow_processing
    from exod.scheduler.interrupts import stoppable
    from exod.scheduler.plan import Plan

    wanted = wanted_obsids(obsids or [], listed)
    settings = ProcessSettings(
        workdir, source, ciao_prefix, ciao, archive_dir, archive_url, ciao_limit
    )
    done = []
    with (
        follow_processing(len(wanted), out) as progress,
        stoppable(lambda: progress.say(FINISHING)) as stop,
    ):
        plan = Plan(scheduler, workers).watched(progress.dashboard, progress.say, stop)
        with closing(
            process_many(
                wanted, settings, plan, dbfile=dbfile, force=force, retry_failed=retry_failed
            )
        ) as results:
            done += [progress.report(one) for one in results]
    counts = Counter(one.status for one in done)
    said = ", ".join(f"{counts[name]} {name}" for name in STYLE if counts[name])
    sources = plural(sum(one.n_sources for one in done), "source")
    say(f"{plural(len(done), 'observation')} in {workdir}: {said or 'none'}; {sources}.")
    end_if_stopped(stop, len(done), len(wanted))
    end_if_failed([f"{one.obsid} failed: {one.reason}" for one in done if one.status == "FAILED"])
