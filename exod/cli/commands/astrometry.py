"""Commands about positions against the sky."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, TaskID

from exod.cli.app import STYLE, app, end_if_failed, new_table, out, say
from exod.cli.options import (
    Archive_,
    Input,
    PictureStyle,
    Scheduler,
    Storage,
    Workers,
    drawing_of,
    storage_options,
)
from exod.cli.outcomes import FINISHING, end_if_stopped
from exod.errors import ConfigError, plural

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

    from exod.archive import Archive
    from exod.report.offsets.offsetnumbers import OffsetNumbers
    from exod.scheduler.plan import Plan
    from exod.stages.derive.rectify import FramesDone, FramesMade, RectifySettings


astromon = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Positions of sources of Chandra against catalogues, in tables of astromon.\n\n"
    "Example: `exod astromon process 8007 --db astromon.db3`",
)
app.add_typer(astromon, name="astromon")
regions = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Regions of the sky whose sources are left out.\n\n"
    "Example: `exod astromon regions list --db astromon.db3`",
)
astromon.add_typer(regions, name="regions")

DbFile = Annotated[
    Path | None,
    typer.Option(
        "--db",
        metavar="DBFILE",
        help="Tables of astromon: .h5, .db3 or a folder of Parquet files [ASTROMON_FILE].",
    ),
]
Obsid = Annotated[int | None, typer.Option(metavar="OBSID", help="Only this observation.")]

Database = Annotated[
    Path | None,
    typer.Argument(
        metavar="DBFILE",
        help="Tables of astromon: .h5, .db3 or a folder of Parquet files [of $ASTROMON_FILE].",
    ),
]
Alignments = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Alignment files of Chandra, pcadD*alignN*.fits."),
]
SignalToNoise = Annotated[
    float, typer.Option("--snr", min=0, help="Least signal to noise of sources of Chandra.")
]


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
    settings = ProcessSettings(workdir, source, ciao_prefix, ciao, archive_dir, archive_url)
    done = []
    with (
        follow_processing(len(wanted), out) as progress,
        stoppable(lambda: progress.say(FINISHING)) as stop,
    ):
        plan = Plan(scheduler, workers).watched(
            lambda link: progress.say(f"Dashboard: {link}"), progress.say, stop
        )
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


@app.command()
def monitor(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="An archive with offsets, or tables of astromon."),
    ],
    to: Annotated[Path, typer.Option(help="Folder of the page and the tables.")] = Path("monitor"),
    alert_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON of alerts; those that it has are not told again."),
    ] = None,
    snr: SignalToNoise = 3.0,
    years: Annotated[
        float | None, typer.Option(min=0.1, help="Years before the last offset to show [all].")
    ] = None,
    calalign: Alignments = None,
    temperatures: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table with columns obsid and temperature_c."),
    ] = None,
    style: PictureStyle = None,
    storage: Storage = None,
) -> None:
    """Watch offsets from the sky: statistics, drift and alerts on a page and in tables.

    Example: `exod monitor results --to monitor --alert-file alerts.json`
    """
    from exod.stages.report.monitor import PAGE
    from exod.stages.report.monitor import monitor as watch

    with out.status("Watching"):
        found = watch(
            source,
            to,
            snr=snr,
            years=years,
            calalign=calalign,
            temperatures=temperatures,
            alert_file=alert_file,
            drawing=drawing_of("png", style=style),
            storage_options=storage_options(storage),
        )
    _tell_page(to / PAGE, found.numbers)
    for alert in found.new.to_dict("records"):
        detector = "all detectors" if alert["detector"] == "all" else alert["detector"]
        say(
            f"New alert: {alert['axis']} of {detector} changed by {alert['size']:+.2f} arcsec "
            f"in {alert['year']:.2f}.",
            style="yellow",
        )


@astromon.command()
def pages(
    dbfile: Database = None,
    to: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("pages"),
    calalign: Alignments = None,
    style: PictureStyle = None,
) -> None:
    """Write the pages cal.html and mta.html about the offsets of Chandra.

    Example: `exod astromon pages astromon.h5 --to pages`
    """
    from exod.stages.report.monitor import write_pages

    with out.status("Drawing"):
        found = write_pages(dbfile, to, calalign=calalign, drawing=drawing_of("png", style=style))
    for name, numbers in found.items():
        _tell_page(to / f"{name}.html", numbers)


@astromon.command()
def rms(dbfile: Database = None, snr: SignalToNoise = 3.0) -> None:
    """Print rms and 90 % radius of the offsets of Chandra, by years and detector.

    Example: `exod astromon rms astromon.h5`
    """
    from exod.report.offsets.offsetnumbers import offset_numbers
    from exod.stages.report.offsetsources import chandra_offsets

    numbers = offset_numbers(*chandra_offsets(dbfile, snr=snr))
    out.print(_rms_table(numbers.before.rms))


def _rms_table(statistics: pd.DataFrame) -> object:
    heads = ("Offsets", "rms (arcsec)", "90 % (arcsec)", "> 1 arcsec (%)")
    table = new_table("Offsets from the sky", "Period", "Detector", numbers=heads)
    for row in statistics.to_dict("records"):
        shown = [
            f"{row[name]:.{digits}f}" for name, digits in (("rms", 3), ("q90", 3), ("beyond", 1))
        ]
        cells = shown if row["n"] else ["-"] * 3
        table.add_row(str(row["period"]), str(row["detector"]), f"{row['n']:,}", *cells)
    return table


def _tell_page(page: Path, numbers: OffsetNumbers) -> None:
    offsets = plural(len(numbers.before.offsets), "offset")
    say(f"{page}: {offsets}, {plural(len(numbers.alerts), 'alert')}.")


@astromon.command("cross-match")
def cross_match(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Standard selection, or simple.")
    ] = None,
    dbfile: DbFile = None,
    catalogs: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Catalogues, the preferred first.")
    ] = None,
    snr: Annotated[float | None, typer.Option(help="Least signal to noise.")] = None,
    r_angle: Annotated[float | None, typer.Option(help="Largest off-axis angle, arcsec.")] = None,
    dr: Annotated[float | None, typer.Option(help="Largest offset, arcsec.")] = None,
    exclude_regions: Annotated[
        bool, typer.Option("--exclude-regions", help="Leave out sources in regions of the file.")
    ] = False,
    exclude_bad_targets: Annotated[
        bool, typer.Option("--exclude-bad-targets", help="Leave out targets known to be bad.")
    ] = False,
    save: Annotated[
        bool, typer.Option("--save", help="Store the matches in the file, in place of earlier.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the matches as .ecsv, .fits or .csv.")
    ] = None,
) -> None:
    """Match the X-ray sources of a file with counterparts.

    Example: `exod astromon cross-match astromon_21 --db astromon.h5 --save`
    """
    from exod.astromon.cross_match import CROSS_MATCHES_ARGS, compute_cross_matches

    if to is not None and to.suffix not in (".ecsv", ".fits", ".csv"):
        raise ConfigError(f"--to takes a name that ends in .ecsv, .fits or .csv, not {to}.")
    given = {"snr": snr, "r_angle": r_angle, "dr": dr}
    arguments: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if catalogs is not None:
        arguments["catalogs"] = [text.strip() for text in catalogs.split(",")]
    with out.status("Matching"):
        found = compute_cross_matches(
            name,
            dbfile=dbfile,
            exclude_regions=exclude_regions,
            exclude_bad_targets=exclude_bad_targets,
            **arguments,
        )
    if save:
        from exod.astromon.db import save_cross_matches

        standard = CROSS_MATCHES_ARGS.get(name or ("simple" if arguments else "default"), {})
        save_cross_matches(found, standard.get("name", "simple"), dbfile)
    if to is not None:
        _write(found, to)
    _show(found, ("obsid", "x_id", "catalog", "name", "dy", "dz", "dr", "snr"))
    say("1 match" if len(found) == 1 else f"{len(found):,} matches")


def _write(found: Table, to: Path) -> None:
    from exod.errors import ExodError
    from exod.files.whole import whole_file

    plain = found.copy()
    plain.remove_columns(["c_loc", "x_loc"])
    plain["time"] = plain["time"].isot
    with whole_file(to, error=ExodError) as temporary:
        form = {".ecsv": "ascii.ecsv", ".fits": "fits", ".csv": "ascii.csv"}[to.suffix]
        plain.write(temporary, format=form, overwrite=True)


@regions.command("add")
def add(
    position: Annotated[
        str, typer.Argument(metavar="RA,DEC", help="Degrees, or as 17:34:42.5,-32:34:55.")
    ],
    dbfile: DbFile = None,
    radius: Annotated[float, typer.Option(min=0.001, help="Radius in arcsec.")] = 5.0,
    obsid: Annotated[int, typer.Option(help="Only this observation; 0 is any.")] = 0,
    user: Annotated[str, typer.Option(help="Who adds it.")] = "",
    comment: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Add a region to a file.

    Example: `exod astromon regions add 187.7026,12.3921 --comment "jet of M 87"`
    """
    from exod.astromon import db
    from exod.schemas.conditions.query import parse_position

    ra, dec = parse_position(position)
    row = {"ra": ra, "dec": dec, "radius": radius, "obsid": obsid}
    added = db.add_regions([row | {"user": user, "comments": comment}], dbfile)
    say(f"Region {added['region_id'][0]} is added.")


@regions.command("remove")
def remove(
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER...", help="Numbers of regions.")],
    dbfile: DbFile = None,
) -> None:
    """Remove regions from a file.

    Example: `exod astromon regions remove 12 13`
    """
    from exod.astromon import db

    there = set(db.get_regions(dbfile=dbfile)["region_id"].tolist())
    db.remove_regions(numbers, dbfile)
    say(f"{plural(len(there & set(numbers)), 'region')} removed.")


@regions.command("list")
def list_regions(obsid: Obsid = None, dbfile: DbFile = None) -> None:
    """List the regions of a file, all or those of an observation and around its pointing.

    Example: `exod astromon regions list --obsid 13276`
    """
    from exod.astromon import db

    found = db.get_regions(obsid, dbfile)
    _show(found, ("region_id", "ra", "dec", "radius", "obsid", "user", "comments"))
    say(plural(len(found), "region"))


@regions.command("sync")
def sync(
    from_file: Annotated[Path, typer.Argument(metavar="FROM", help="File with regions.")],
    to_file: Annotated[Path, typer.Argument(metavar="TO", help="File that gets them.")],
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove those that FROM has not.")
    ] = False,
) -> None:
    """Bring the regions of one file into another; of those in both the newer stay.

    Example: `exod astromon regions sync theirs.h5 mine.h5`
    """
    from exod.astromon import db

    db.sync_regions(from_file, to_file, remove)
    say(f"{to_file} has {plural(len(db.get_regions(dbfile=to_file)), 'region')}.")


def _show(found: Table, names: tuple[str, ...]) -> None:
    if not len(found):
        return
    table = new_table("", *names)
    for row in found:
        cells = (format(row[name], found[name].info.format or "") for name in names)
        table.add_row(*(escape(cell) for cell in cells))
    out.print(table)
