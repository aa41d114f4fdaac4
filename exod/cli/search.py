"""Commands that fetch, ingest and search observations."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from exod.cli.app import STYLE, app, complain, new_table, out
from exod.cli.options import (
    Band,
    ConfigFile,
    Set,
    Sigma,
    Storage,
    TBin,
    existing,
    read_config,
    storage_options,
)
from exod.text import plural

if TYPE_CHECKING:
    from exod.config import Config
    from exod.errors import InputError
    from exod.pps import ObservationFiles
    from exod.stages.detect import Outcome


@app.command()
def download(
    to: Annotated[Path, typer.Option(help="Gets a folder an observation.")],
    obsids: Annotated[
        list[str] | None, typer.Argument(metavar="OBSID...", help="Ten digits each.")
    ] = None,
    listed: Annotated[
        Path | None, typer.Option("--from", help="File with one obsid a line; # starts a comment.")
    ] = None,
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
) -> None:
    """Fetch event lists and source lists from the archives of ESA and HEASARC.

    What is there and whole is not fetched again: to continue, run the same command.

    Example: `exod download 0001730201 0765080801 --to data`
    """
    from exod.progress import follow_downloads
    from exod.services import Esa, Heasarc
    from exod.stages.download import download_many, wanted_obsids
    from exod.transfer import Transport

    wanted = wanted_obsids(obsids or [], listed)
    services = (Esa(esa) if esa else Esa(), Heasarc(heasarc) if heasarc else Heasarc())
    with follow_downloads(len(wanted), out) as progress:
        transport = Transport(
            attempts=attempts, timeout=timeout, connections=connections, on_bytes=progress.count
        )
        transfer: Any = download_many(
            wanted, to, services=services, transport=transport, verify=verify
        )
        with closing(transfer):
            downloads = [progress.report(done) for done in transfer]
    failed = [done for done in downloads if done.error]
    for done in failed:
        complain(f"exod: {done.obsid} failed: {done.note}")
    whole = plural(len(downloads) - len(failed), "observation")
    out.print(f"{whole} in {to}; {len(failed)} failed.", markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


@app.command()
def detect(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH-or-OBSID...",
            help="Folders of PPS files, event lists, or observations in the current folder.",
        ),
    ],
    archive: Annotated[str, typer.Option(help="Archive to write to; made if it does not exist.")],
    t_bin: TBin = None,
    band: Band = None,
    sigma: Sigma = None,
    config: ConfigFile = None,
    settings: Set = None,
    scheduler: Annotated[str, typer.Option(help="sync, local or tcp://host:port.")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes of local.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Search again what is done.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Search again what failed.")
    ] = False,
    plots: Annotated[Path | None, typer.Option(help="Save pictures in this folder.")] = None,
    storage: Storage = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, its time and memory.")
    ] = False,
    log_json: Annotated[
        Path | None, typer.Option(help="Append a line of JSON for each observation to this file.")
    ] = None,
) -> None:
    """Search observations for variable sources.

    Event lists in; regions, light curves, cells, bad time intervals and runs out. What is done
    with the same files and settings is not done again: to continue, run the same command.

    Example: `exod detect 0001730201/ --archive results --t-bin 5,50,200 --sigma 3`
    """
    from exod.pps import find_observations
    from exod.progress import follow
    from exod.stages.detect import detect_many

    wanted = read_config(config, settings, t_bin, band, sigma)
    options = storage_options(storage)
    observations, problems = find_observations(existing(paths))
    for problem in problems:
        complain(f"exod: {problem}")
    if not observations:
        raise typer.Exit(1)
    if dry_run:
        _dry_run(
            observations, wanted, archive, workers, options, force=force, retry_failed=retry_failed
        )
        raise typer.Exit(1 if problems else 0)
    with follow(len(observations), out, log_json) as progress:
        search: Any = detect_many(
            observations,
            wanted,
            archive,
            scheduler=scheduler,
            workers=workers,
            force=force,
            retry_failed=retry_failed,
            on_start=progress.link,
            storage_options=options,
        )
        # An interruption must end the workers before anything else is said.
        with closing(search):
            outcomes = [progress.report(outcome) for outcome in search]
    summary(outcomes, archive)
    if plots is not None:
        drawable = [outcome.obsid for outcome in outcomes if outcome.n_runs]
        _plot_observations(archive, drawable, plots, scheduler, options)
    finish(outcomes, problems)


def _plot_observations(
    root: str,
    obsids: list[str],
    folder: Path,
    scheduler: str,
    storage_options: dict[str, Any] | None,
) -> None:
    """Draw observations of an archive and say where the pictures are."""
    from exod.stages.plot import plot_many

    drawn = 0
    for obsid, paths in plot_many(
        root, obsids, folder, scheduler=scheduler, storage_options=storage_options
    ):
        drawn += len(paths)
        out.print(f"{obsid}: {len(paths)} pictures in {folder}", markup=False, soft_wrap=True)
    out.print(f"Pictures: {drawn} in {folder}", markup=False, soft_wrap=True)


def _dry_run(
    observations: list[ObservationFiles],
    config: Config,
    archive: str,
    workers: int | None,
    options: dict[str, Any] | None,
    *,
    force: bool,
    retry_failed: bool,
) -> None:
    from exod.archive import Archive
    from exod.scheduler import default_workers
    from exod.stages.detect import sort_out
    from exod.stages.predict import predict, total_seconds

    waiting = list(observations)
    if "://" in archive or Path(archive, "archive.json").is_file():
        opened = Archive.create(archive, config, options)
        pairs = sort_out(opened, observations, force=force, retry_failed=retry_failed)
        waiting = [files for files, earlier in pairs if earlier is None]
    table = new_table(f"To do in {escape(archive)}", "Observation", "Events", "Time", "Memory")
    predictions = [predict(files, config) for files in waiting]
    for item in predictions:
        if item.problem:
            table.add_row(item.obsid, escape(item.problem))
            continue
        table.add_row(
            item.obsid, f"{item.n_rows:,}", f"{item.seconds:.1f} s", f"{item.memory_mb:.0f} MB"
        )
    out.print(table)
    count = workers or default_workers(len(waiting))
    seconds = total_seconds(predictions, count)
    largest = max((item.memory_mb for item in predictions), default=0.0)
    done = len(observations) - len(waiting)
    out.print(
        f"{plural(len(waiting), 'observation')} to search, {done} done before; about "
        f"{seconds:.0f} s with {plural(count, 'process')}, at most {largest:.0f} MB each.",
        soft_wrap=True,
    )


def summary(outcomes: list[Outcome], archive: str) -> None:
    """Say what became of the observations."""
    counts = {name: sum(o.status == name for o in outcomes) for name in STYLE}
    earlier = sum(not o.searched for o in outcomes)
    parts = [f"[{STYLE[name]}]{count} {name}[/]" for name, count in counts.items() if count]
    regions = sum(o.n_regions for o in outcomes)
    done = f", {earlier} of them done before" if earlier else ""
    observations = plural(len(outcomes), "observation")
    out.print(f"{observations}: {', '.join(parts)}{done}; {plural(regions, 'region')}.")
    hint = f"Archive: {archive}   (exod status {archive}; exod plot {archive} OBSID)"
    out.print(hint, markup=False, soft_wrap=True)


def finish(outcomes: list[Outcome], problems: list[InputError]) -> None:
    """Say what failed, and end with exit code 1 if anything did."""
    failed = [outcome for outcome in outcomes if outcome.status == "FAILED"]
    for outcome in failed:
        complain(f"exod: {outcome.obsid} failed: {outcome.reason}")
    if failed or problems:
        raise typer.Exit(1)


@app.command()
def ingest(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Folders of PPS files, or event lists.")
    ],
    archive: Annotated[Path, typer.Option(help="Archive that gets the folder events.")],
    scheduler: Annotated[str, typer.Option(help="sync, local or tcp://host:port.")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes of local.")] = None,
) -> None:
    """Turn event lists into Parquet files once, so that further searches read faster.

    Example: `exod ingest data/ --archive results`, then `exod detect results/events --archive deep
    --sigma 5`
    """
    from exod.pps import find_observations
    from exod.stages.ingest import FOLDER, ingest_many

    observations, problems = find_observations(existing(paths))
    failures = [str(problem) for problem in problems]
    for done in ingest_many(observations, archive, scheduler=scheduler, workers=workers):
        what = f"{plural(done.written, 'file')} written, {done.kept} kept"
        out.print(f"{done.obsid}: {what}, {plural(done.n_events, 'event')}", markup=False)
        failures += done.problems
    for failure in failures:
        complain(f"exod: {failure}")
    if failures:
        raise typer.Exit(1)
    out.print(f"To search: exod detect {archive / FOLDER} --archive ARCHIVE", soft_wrap=True)
