"""The command line: thin, one function a command."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from exod import __version__
from exod.errors import ConfigError, ExodError
from exod.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exod.config import Config
    from exod.errors import InputError
    from exod.pps import ObservationFiles
    from exod.stages.detect import Outcome

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class _Commands(TyperGroup):
    """Errors a user can cause are one sentence, without a traceback unless --debug is given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # --debug may stand anywhere.
        ctx.meta["exod.debug"] = "--debug" in args
        return super().parse_args(ctx, [argument for argument in args if argument != "--debug"])

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ExodError as error:
            if ctx.meta["exod.debug"]:
                raise
            _complain(f"exod: {error}")
            code = 2 if isinstance(error, ConfigError) else 1
        except KeyboardInterrupt:
            _complain("exod: interrupted; what is done is kept, and the same command continues.")
            code = 130
        raise typer.Exit(code)


def _complain(sentence: str) -> None:
    err.print(sentence, style="red", markup=False, soft_wrap=True)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Search XMM-Newton observations for fast X-ray transients.",
)

_STYLE = {"OK": "green", "EMPTY": "cyan", "SKIPPED": "yellow", "FAILED": "red"}

Archive_ = Annotated[str, typer.Argument(metavar="ROOT", help="The archive.")]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage-options",
        metavar="JSON",
        envvar="EXOD_STORAGE_OPTIONS",
        help="Options of the archive's fsspec file system: endpoint, credentials.",
    ),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file of settings.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Change one setting; repeatable."),
]
TBin = Annotated[str | None, typer.Option(metavar="S,...", help="Time bins in seconds [5,50,200].")]
Band = Annotated[
    str | None,
    typer.Option(metavar="LO-HI,...", help="Energy bands in keV [0.2-2,2-12,0.2-12]."),
]
Sigma = Annotated[float | None, typer.Option(help="Threshold in equivalent sigmas [3].")]


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # Names of files may hold what the terminal cannot show.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app(prog_name="exod")
    except ExodError:
        raise
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        _complain(
            f"exod: unexpected {type(error).__name__}: {error}; please report it with what the "
            f"same command says with --debug."
        )
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    # `_Commands` takes --debug out wherever it stands, and --version has its callback.
    del debug, version


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
        _complain(f"exod: {done.obsid} failed: {done.note}")
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

    wanted = _config(config, settings, t_bin, band, sigma)
    options = _storage_options(storage)
    observations, problems = find_observations(_existing(paths))
    for problem in problems:
        _complain(f"exod: {problem}")
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
    _summary(outcomes, archive)
    if plots is not None:
        drawable = [outcome.obsid for outcome in outcomes if outcome.n_runs]
        _plot_observations(archive, drawable, plots, scheduler, options)
    _finish(outcomes, problems)


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
    table = _table(f"To do in {escape(archive)}", "Observation", "Events", "Time", "Memory")
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


def _storage_options(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        options = json.loads(text)
        if not isinstance(options, dict):
            raise TypeError("it is not an object")
    except (TypeError, ValueError) as error:
        # Without the text itself: it may hold credentials.
        raise ConfigError(
            "The storage options must be a JSON object as in "
            f"""'{{"endpoint_url": "https://host"}}': {error}."""
        ) from None
    return options


def _existing(paths: Iterable[str]) -> list[str]:
    missing = [path for path in paths if not Path(path).exists()]
    if missing:
        raise ConfigError(
            f"There is no file or folder {', '.join(missing)}; an observation is given by the "
            f"folder of its PPS files."
        )
    return list(paths)


def _config(
    path: Path | None,
    settings: list[str] | None,
    t_bin: str | None,
    band: str | None,
    sigma: float | None,
) -> Config:
    from exod.config import Config

    overrides = list(settings or [])
    if t_bin is not None:
        bins = _numbers("--t-bin", t_bin.split(","), "5,50,200")
        overrides.append(f"cube.t_bin={bins}")
    if band is not None:
        pairs = [_numbers("--band", pair.split("-"), "0.2-2,2-12") for pair in band.split(",")]
        overrides.append(f"cube.bands={pairs}")
    if sigma is not None:
        overrides.append(f"detect.sigma={sigma}")
    return Config.load(path, overrides)


def _numbers(option: str, parts: list[str], example: str) -> list[float]:
    try:
        return [float(part) for part in parts]
    except ValueError as error:
        raise ConfigError(f"{option} takes numbers as in {example} ({error}).") from error


def _summary(outcomes: list[Outcome], archive: str) -> None:
    counts = {name: sum(o.status == name for o in outcomes) for name in _STYLE}
    earlier = sum(not o.searched for o in outcomes)
    parts = [f"[{_STYLE[name]}]{count} {name}[/]" for name, count in counts.items() if count]
    regions = sum(o.n_regions for o in outcomes)
    done = f", {earlier} of them done before" if earlier else ""
    observations = plural(len(outcomes), "observation")
    out.print(f"{observations}: {', '.join(parts)}{done}; {plural(regions, 'region')}.")
    hint = f"Archive: {archive}   (exod status {archive}; exod plot {archive} OBSID)"
    out.print(hint, markup=False, soft_wrap=True)


def _finish(outcomes: list[Outcome], problems: list[InputError]) -> None:
    failed = [outcome for outcome in outcomes if outcome.status == "FAILED"]
    for outcome in failed:
        _complain(f"exod: {outcome.obsid} failed: {outcome.reason}")
    if failed or problems:
        raise typer.Exit(1)


def _table(title: str, *columns: str) -> Table:
    frame = box.HEAVY_HEAD if out.is_terminal else None
    return Table(*columns, title=title, title_justify="left", box=frame)


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

    observations, problems = find_observations(_existing(paths))
    failures = [str(problem) for problem in problems]
    for done in ingest_many(observations, archive, scheduler=scheduler, workers=workers):
        what = f"{plural(done.written, 'file')} written, {done.kept} kept"
        out.print(f"{done.obsid}: {what}, {plural(done.n_events, 'event')}", markup=False)
        failures += done.problems
    for failure in failures:
        _complain(f"exod: {failure}")
    if failures:
        raise typer.Exit(1)
    out.print(f"To search: exod detect {archive / FOLDER} --archive ARCHIVE", soft_wrap=True)


@app.command()
def status(
    root: Archive_,
    show_all: Annotated[bool, typer.Option("--all", help="List every observation.")] = False,
    storage: Storage = None,
) -> None:
    """Show what an archive holds and what failed.

    Example: `exod status results --all`
    """
    from exod.archive import open_archive

    ledger = open_archive(root, _storage_options(storage)).status()
    counts = ledger["status"].value_counts()
    table = _table(f"Archive {escape(root)}", "Status", "Observations")
    for name, style in _STYLE.items():
        table.add_row(f"[{style}]{name}[/]", str(counts.get(name, 0)))
    out.print(table)
    names = ("run", "region", "cell")
    totals = [plural(int(ledger[f"n_{name}s"].sum()), name) for name in names]
    out.print(", ".join(totals))
    listed = ledger if show_all else ledger[ledger["status"].isin(["SKIPPED", "FAILED"])]
    for row in listed.to_dict("records"):
        regions = plural(row["n_regions"], "region")
        line = f"{row['obsid']}  {row['status']:8}{regions:>13}  {row['reason']}"
        out.print(line.rstrip(), style=_STYLE[row["status"]], markup=False, soft_wrap=True)


@app.command()
def gc(
    root: Archive_,
    older_than: Annotated[
        float, typer.Option(min=0, help="Spare files younger than this, in seconds.")
    ] = 3600.0,
    storage: Storage = None,
) -> None:
    """Remove files that no ledger entry refers to: replaced results and interrupted attempts.

    Example: `exod gc results`
    """
    from exod.archive import open_archive

    removed = open_archive(root, _storage_options(storage)).gc(older_than)
    out.print(f"{len(removed)} files removed.")


@app.command()
def plot(
    root: Archive_,
    names: Annotated[
        list[str], typer.Argument(metavar="DETID-or-OBSID...", help="Regions or observations.")
    ],
    to: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("plots"),
    storage: Storage = None,
) -> None:
    """Draw regions (light curve and image) or whole observations.

    Example: `exod plot results 0001730201_0_50_0.2_12.0_0 --to plots`
    """
    from exod.archive import open_archive
    from exod.plots import save_detection, save_observation

    archive = open_archive(root, _storage_options(storage))
    for name in names:
        save = save_observation if name.isdigit() else save_detection
        for path in save(archive, name, to):
            out.print(str(path), soft_wrap=True)


def _plot_observations(
    root: str,
    obsids: list[str],
    folder: Path,
    scheduler: str,
    storage_options: dict[str, Any] | None,
) -> None:
    from exod.stages.plot import plot_many

    drawn = 0
    for obsid, paths in plot_many(
        root, obsids, folder, scheduler=scheduler, storage_options=storage_options
    ):
        drawn += len(paths)
        out.print(f"{obsid}: {len(paths)} pictures in {folder}", markup=False, soft_wrap=True)
    out.print(f"Pictures: {drawn} in {folder}", markup=False, soft_wrap=True)


@app.command()
def cube(
    path: Annotated[list[str], typer.Argument(help="Folder of one observation, or its files.")],
    to: Annotated[Path, typer.Option(help="Zarr group to write, by custom *.zarr.")],
    subset: Annotated[int, typer.Option(min=0, help="Group of overlapping exposures.")] = 0,
    t_bin: TBin = None,
    band: Band = None,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Export the count cube and the expectation of one run to Zarr v3, axes (time, y, x).

    Example: `exod cube 0001730201/ --to cube.zarr --t-bin 50 --band 0.2-12`
    """
    from exod.pps import find_observations
    from exod.stages.cube import export_cube

    wanted = _config(config, settings, t_bin or "50", band or "0.2-12", None)
    observations, problems = find_observations(_existing(path))
    if problems:
        raise problems[0]
    if len(observations) != 1:
        raise ConfigError(f"exod cube takes one observation, not {len(observations)}.")
    runid = export_cube(observations[0], wanted, to, subset)
    out.print(f"{runid} written to {to}", soft_wrap=True)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Gets a folder an observation.")],
    obsid: Annotated[
        list[str] | None, typer.Option(help="Ten digits; repeatable [0900000101].")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first; the next add one.")] = 1,
    duration: Annotated[float, typer.Option(min=2000, help="Length in seconds.")] = 20_000.0,
    cameras: Annotated[str, typer.Option(help="Cameras.")] = "EPN,EMOS1,EMOS2",
    bursts: Annotated[int, typer.Option(min=0, help="Bursts.")] = 3,
    eclipses: Annotated[int, typer.Option(min=0, help="Eclipses of bright sources.")] = 1,
    flares: Annotated[int, typer.Option(min=0, help="Soft-proton flares.")] = 1,
) -> None:
    """Simulate observations as PPS files, with a table of what is in them.

    Example: `exod simulate sim --obsid 0900000101 --seed 1 --duration 20000`
    """
    from exod.stages.simulate import simulate_files

    for number, name in enumerate(obsid or ["0900000101"]):
        paths = simulate_files(
            folder,
            name,
            seed + number,
            duration=duration,
            cameras=tuple(cameras.split(",")),
            n_bursts=bursts,
            n_eclipses=eclipses,
            n_flares=flares,
        )
        out.print(f"{name}: {len(paths)} files in {paths[0].parent}", soft_wrap=True)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the demo.")] = Path(
        "demo"
    ),
    scheduler: Annotated[str, typer.Option(help="sync, local or tcp://host:port.")] = "local",
) -> None:
    """Simulate three observations offline, search them and draw what was found.

    Example: `exod demo demo`
    """
    from exod.progress import follow
    from exod.stages.demo import run_demo

    result = run_demo(folder, scheduler, say=out.print, follow=follow)
    _summary(result.outcomes, str(result.archive))
    table = _table("What was put in and what was found")
    for name in result.found.columns:
        table.add_column(str(name), justify="right")
    for row in result.found.to_dict("records"):
        table.add_row(*(_cell(value) for value in row.values()))
    out.print(table)
    out.print(f"Tables:   {result.archive}   (exod status {result.archive})", soft_wrap=True)
    out.print(f"Pictures: {len(result.pictures)} in {result.pictures[0].parent}", soft_wrap=True)
    _finish(result.outcomes, [])


def _cell(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
