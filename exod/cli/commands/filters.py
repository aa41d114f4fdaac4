"""Commands that judge regions: quality flags, filters, recovery among runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from exod.cli.app import app, new_table, out, say, say_paths
from exod.cli.options import (
    Archive_,
    Overwrite,
    PictureFormat,
    PictureSize,
    PictureStyle,
    Scheduler,
    Storage,
    Workers,
    drawing_of,
    storage_options,
)
from exod.errors import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exod.archive import Archive
    from exod.archive.questions.sql import Question
    from exod.sources.vetting.filters import Filter
    from exod.stages.query.filters import Filtered


@app.command()
def flags(
    root: Archive_,
    excluded: Annotated[
        Path | None,
        typer.Option(help="CSV of excluded observations: obsid,reason [the one of exod]."),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="CSV or TOML of hot detector regions, besides those that are found."),
    ] = None,
    pivot: Annotated[
        str | None,
        typer.Option(metavar="X,Y", help="Sky pixel that the boxes are turned about [pointing]."),
    ] = None,
    search: Annotated[
        bool, typer.Option("--hot-search/--no-hot-search", help="Whether to find hot regions.")
    ] = True,
    verdicts: Annotated[
        bool,
        typer.Option("--verdicts", help="Add the labels vet_real and vet_artefact of vetters."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Make all anew.")] = False,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
) -> None:
    """Set the quality flags of all regions, and find hot regions of the detector.

    Example: `exod flags results --boxes hot.csv`
    """
    from exod.archive import open_archive
    from exod.scheduler.plan import Plan
    from exod.schemas.votes import VETTED
    from exod.sources.vetting.flags import QUALITY_FLAGS
    from exod.sources.vetting.hotregions import HotSearch
    from exod.stages.derive.flaginputs import (
        no_boxes,
        read_boxes,
        read_excluded,
        read_pivot,
    )
    from exod.stages.derive.flags import FlagSettings, make_flags

    settings = FlagSettings(
        hot=HotSearch() if search else None,
        excluded=read_excluded(excluded),
        boxes=read_boxes(boxes) if boxes else no_boxes(),
        pivot=read_pivot(pivot, boxes),
        verdicts=verdicts,
    )
    plan = Plan(scheduler=scheduler, workers=workers)
    archive = open_archive(root, storage_options(storage))
    made = make_flags(archive, settings, plan, force=force)
    table = new_table(f"Flags of {escape(root)}", "Flag", "Regions", "Meaning")
    for flag in QUALITY_FLAGS:
        table.add_row(flag.name, str(made.summary[flag.name]), escape(flag.meaning))
    for column in VETTED.columns if verdicts else ():
        if column.name in made.summary:
            table.add_row(column.name, str(made.summary[column.name]), column.description)
    out.print(table)
    hot = plural(made.summary["hot_regions"], "hot region")
    out.print(f"{plural(made.summary['regions'], 'region')}; {hot} of the detector.")
    _note_left_out(made.left_out, "features", root)


@app.command(name="filter")
def filter_(
    root: Annotated[str | None, typer.Argument(metavar="ROOT", help="The archive.")] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="NAME=VALUE", help="Keep what fulfils it; repeatable."),
    ] = None,
    subsets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'NAME=VALUE ...'",
            help="Count all choices of none or one filter of each such list; repeatable.",
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="File of what is kept; .csv, .fits, .parquet, ...")
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File of the unique sources of what is kept."),
    ] = None,
    light_curves: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File of the light curves of what is kept.")
    ] = None,
    overwrite: Overwrite = False,
    show: Annotated[bool, typer.Option("--list", help="List all filters.")] = False,
    storage: Storage = None,
) -> None:
    """Keep the regions that fulfil conditions, and count what each of them removes.

    Example: `exod filter results --filter t_bin=5,50 --filter clean=yes --to kept.csv
    --sources sources.fits --light-curves curves.parquet`
    """
    from exod.archive import open_archive
    from exod.errors import ConfigError
    from exod.sources.vetting.filters import parse
    from exod.stages.query.filters import filter_archive
    from exod.tablefiles.writing import check_target

    if show:
        _list_filters()
        return
    if root is None:
        raise ConfigError("Give an archive to filter, or --list to see all filters.")
    files = [path.resolve() for path in (to, sources, light_curves) if path is not None]
    if len(set(files)) < len(files):
        raise ConfigError(
            "--to, --sources and --light-curves are different tables; give each a file of its own."
        )
    chosen = [parse(text) for text in filters or ()]
    lists = [[parse(text) for text in one.split()] for one in subsets or ()]
    for path in (to, sources, light_curves):
        if path is not None:
            check_target(path, overwrite=overwrite)
    archive = open_archive(root, storage_options(storage))
    with out.status("Filtering"):
        found = filter_archive(archive, chosen, lists)
    _tell(found, root, with_subsets=bool(lists))
    _write(archive, chosen, found, to, sources, light_curves, overwrite=overwrite)


def _list_filters() -> None:
    from exod.sources.vetting.filterkinds import FILTERS

    table = new_table("Filters", "Filter", "Value", "Keeps")
    for kind in FILTERS.values():
        table.add_row(kind.name, escape(kind.value), escape(kind.meaning))
    out.print(table)


def _tell(found: Filtered, root: str, *, with_subsets: bool) -> None:
    """Show what is kept, and what is left out."""
    from exod.sources.vetting.filters import COUNTS

    _print_rows(f"Filters of {escape(root)}", COUNTS, found.count_rows)
    if with_subsets:
        _print_rows("Combinations, of what is kept", [*found.subset_rows[0]], found.subset_rows)
    whose = "" if found.n_sources is None else f", of {plural(found.n_sources, 'unique source')}"
    out.print(f"{found.n_kept:,} of {plural(found.n_regions, 'region')} kept{whose}.")
    for product, obsids in found.left_out.items():
        _note_left_out(obsids, product, root)
    if with_subsets and found.n_sources is None:
        sentence = (
            "Unique sources are not counted, since regions were not joined to sources; run "
            f"`exod cluster {root}` first."
        )
        say(sentence, style="yellow")


def _write(
    archive: Archive,
    filters: Sequence[Filter],
    found: Filtered,
    to: Path | None,
    sources: Path | None,
    light_curves: Path | None,
    *,
    overwrite: bool,
) -> None:
    """Write what is kept to the files that are wanted; rows come as they are read."""
    from exod.stages.query.kept import light_curves_kept, sources_kept
    from exod.tablefiles.writing import write_table

    if to is not None:
        write_table(to, found.question.table, found.question.chunks(), overwrite=overwrite)
        say(f"Written to {to}")
    questions: dict[Path, Question] = {}
    if sources is not None:
        questions[sources] = sources_kept(archive, filters)
    if light_curves is not None:
        questions[light_curves] = light_curves_kept(archive, filters)
    for path, question in questions.items():
        with out.status(f"Writing {escape(str(path))}"):
            rows = write_table(path, question.table, question.chunks(), overwrite=overwrite)
        say(f"{plural(rows, 'row')} of {question.table.name} in {path}")


@app.command()
def recovery(
    root: Archive_,
    to: Annotated[Path, typer.Option(help="Folder of the table and the picture.")] = Path(
        "recovery"
    ),
    radius: Annotated[float, typer.Option(help="Largest distance in arcsec.")] = 15.0,
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
    storage: Storage = None,
) -> None:
    """Show which runs find the regions of the others, and how bright regions of each run are.

    Example: `exod recovery results --to recovery`
    """
    from exod.archive import open_archive
    from exod.files.whole import whole_file
    from exod.plots.drawing import save_figure
    from exod.plots.efficiency.recovery import recovery_figure
    from exod.stages.query.recovered import recovery_of_archive
    from exod.tablefiles.csvtext import csv_text

    drawing = drawing_of(form, size, style)
    found = recovery_of_archive(open_archive(root, storage_options(storage)), radius)
    label = {
        "n_mean": "Mean counts in a frame of the light curve",
        "intensity_mean": "Mean counts of its cells, all frames",
    }[found.column]
    counts = to / "recovery.csv"
    with whole_file(counts) as temporary:
        temporary.write_text(csv_text(found.recovery.table()), encoding="utf-8")
    with drawing.applied():
        figure = recovery_figure(found.recovery, found.histograms, found.edges, label, radius)
        picture = save_figure(figure, to / "recovery.png", drawing)
    say_paths((counts, picture))


def _note_left_out(obsids: Sequence[str], product: str, root: str) -> None:
    """Say which observations are not counted, since a product does not have them as they are."""
    if obsids:
        command = "cluster" if product == "unique" else product
        sentence = (
            f"{plural(len(obsids), 'observation')} left out, since {product} does not have what "
            f"they are now, as {obsids[0]}; run `exod {command} {root}` first."
        )
        say(sentence, style="yellow")


def _print_rows(title: str, columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> None:
    names = [name for name in columns if name != "meaning"]
    first, *numbers = (name.replace("_", " ") for name in names)
    table = new_table(title, first, numbers=numbers)
    for row in rows:
        table.add_row(*(escape(str(row[name])) for name in names))
    out.print(table)
