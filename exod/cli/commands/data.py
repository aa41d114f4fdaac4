"""Commands that fetch, prepare and ingest observations."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from exod.cli.app import app, complain, end_if_failed, out, say
from exod.cli.options import (
    Data,
    Input,
    Listed,
    Paths,
    Scheduler,
    Storage,
    Workers,
    existing,
    input_paths,
    storage_options,
)
from exod.cli.outcomes import FINISHING, end_if_stopped
from exod.errors import plural


@app.command()
def download(
    to: Annotated[Path, typer.Option(help="Gets a folder an observation.")],
    obsids: Annotated[
        list[str] | None, typer.Argument(metavar="OBSID...", help="Observations of the mission.")
    ] = None,
    mission: Annotated[
        Literal["xmm", "chandra"], typer.Option(help="Whose archive is asked.")
    ] = "xmm",
    listed: Listed = None,
    connections: Annotated[
        int, typer.Option(min=1, max=16, help="Observations fetched at the same time.")
    ] = 4,
    attempts: Annotated[int, typer.Option(min=1, help="Tries of each request.")] = 5,
    timeout: Annotated[float, typer.Option(min=1, help="Longest silence in seconds.")] = 120.0,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read what is there; fetch again what is damaged.")
    ] = False,
    esa: Annotated[str, typer.Option("--esa-url", hidden=True)] = "",
    heasarc: Annotated[str, typer.Option("--heasarc-url", hidden=True)] = "",
    cda: Annotated[str, typer.Option("--cda-url", hidden=True)] = "",
) -> None:
    """Fetch event lists and source lists of XMM-Newton from the archives of ESA and HEASARC.

    Of Chandra: event lists of level 2, masks, bad pixels and fields of view, from its archive.

    What is there and whole is not fetched again: to continue, run the same command.

    Example: `exod download 0001730201 0765080801 --to data`, or `exod download 28964 --mission
    chandra --to data`
    """
    from exod.astromon.process.chandraarchive import ChandraArchive
    from exod.cli.progress import follow_downloads
    from exod.errors import ConfigError
    from exod.instruments import MISSIONS
    from exod.pps.publicarchives import Esa, Heasarc
    from exod.pps.transfer import Transport
    from exod.stages.inputs.download import download_many, wanted_obsids

    form = MISSIONS[mission].obsid
    wanted = wanted_obsids(obsids or [], listed, form)
    if wrong := [obsid for obsid in wanted if not re.fullmatch(form, obsid)]:
        raise ConfigError(f"{wrong[0]} is no observation of {mission}; see --mission.")
    archive = ChandraArchive(cda) if cda else ChandraArchive()
    services = (Esa(esa) if esa else Esa(), Heasarc(heasarc) if heasarc else Heasarc())
    with follow_downloads(len(wanted), out) as progress:
        transport = Transport(
            attempts=attempts, timeout=timeout, connections=connections, on_bytes=progress.count
        )
        transfer: Any = download_many(
            wanted,
            to,
            services=services,
            transport=transport,
            verify=verify,
            chandra=archive if mission == "chandra" else None,
        )
        with closing(transfer):
            downloads = [progress.report(done) for done in transfer]
    failed = [done for done in downloads if done.error]
    whole = plural(len(downloads) - len(failed), "observation")
    say(f"{whole} in {to}; {len(failed)} failed.")
    end_if_failed([f"{done.obsid} failed: {done.note}" for done in failed])


@app.command()
def sas(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of the PPS files of an observation.")
    ],
    to: Annotated[Path, typer.Option(metavar="DIR", help="Gets a folder an observation.")] = Path(
        "sas"
    ),
    good_times: Annotated[
        str, typer.Option(metavar="HOW", help="Good times by tabgtigen, espfilt or none.")
    ] = "tabgtigen",
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Longest time a program may take, seconds.")
    ] = 3600.0,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace folders that are there.")
    ] = False,
) -> None:
    """Prepare event lists with SAS, where it is installed: evselect, tabgtigen, espfilt.

    The search needs no SAS. Filtered event lists, light curves above 10 keV and good times of an
    observation appear together or not at all.

    Example: `exod sas 0001730201/ --to prepared`, then `exod detect prepared/0001730201 --archive
    results`
    """
    from exod.stages.inputs.sas import SasSettings, prepare

    existing([str(folder)])
    settings = SasSettings(good_times, timeout, say=say)  # type: ignore[arg-type]
    for done in prepare(folder, to, settings, replace=replace):
        for note in done.notes:
            say(note, style="yellow")
        say(f"{plural(len(done.event_lists), 'event list')} of {done.obsid} in {done.folder}")
        say(f"To search: exod detect {done.folder} --archive ARCHIVE")


@app.command()
def ingest(
    archive: Annotated[str, typer.Option(help="Archive that gets the folder events.")],
    paths: Paths = None,
    listed: Listed = None,
    data: Data = None,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
    source: Input = None,
) -> None:
    """Turn event lists into Parquet files once, so that further searches read faster.

    Example: `exod ingest data/ --archive results`, then `exod detect results/events --archive deep
    --sigma 5`
    """
    from exod.pps import find_observations
    from exod.scheduler.interrupts import stoppable
    from exod.scheduler.plan import Plan
    from exod.stages.inputs.ingest import FOLDER, ingest_many

    observations, problems = find_observations(
        input_paths(paths or [], listed, data), storage_options(source)
    )
    failures = [str(problem) for problem in problems]
    n_done = 0
    with stoppable(lambda: out.print(FINISHING)) as stop:
        plan = Plan(scheduler, workers, stop=stop)
        with closing(
            ingest_many(observations, archive, plan, storage_options(storage))
        ) as ingested:
            for n_done, done in enumerate(ingested, start=1):
                what = f"{plural(done.written, 'file')} written, {done.kept} kept"
                counts = f"[{n_done}/{len(observations)}] {done.obsid}: {what}"
                out.print(f"{counts}, {plural(done.n_events, 'event')}", markup=False)
                failures += done.problems
    for failure in failures:
        complain(f"exod: {failure}")
    end_if_stopped(stop, n_done, len(observations))
    if failures:
        raise typer.Exit(1)
    say(f"To search: exod detect {archive.rstrip('/')}/{FOLDER} --archive ARCHIVE")
