"""Commands that compare sources and regions with catalogues."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from exod.cli.app import app, complain, new_table, out, say
from exod.cli.options import (
    Archive_,
    Cache,
    Overwrite,
    Rectified,
    ServiceAddresses,
    Storage,
    storage_options,
)
from exod.errors import ConfigError, plural

if TYPE_CHECKING:
    from exod.archive import Archive
    from exod.counterparts.wanted import Wanted
    from exod.stages.derive.crossmatch import Crossmatched, MatchSettings
    from exod.stages.derive.published import PublishedComparison


@app.command()
def crossmatch(
    root: Annotated[str | None, typer.Argument(metavar="ROOT", help="The archive.")] = None,
    catalogues: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME",
            help="Catalogue of the list, NAME=PATH, table, TOML file or HATS folder; repeatable.",
        ),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the catalogues that are known.")
    ] = False,
    ra: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Right ascension in your own table, degrees."),
    ] = None,
    dec: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Declination in it, degrees.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What your table is called [its file].")] = None,
    epoch: Annotated[float | None, typer.Option(help="Year of your positions, as 2016.0.")] = None,
    pm_ra: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Proper motion in RA in your table, mas/yr, times cos Dec."
        ),
    ] = None,
    pm_dec: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Its proper motion in Dec, mas/yr."),
    ] = None,
    radius: Annotated[
        float | None, typer.Option(min=0.001, help="Search radius in arcsec [of the catalogue].")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Match all sources anew, and ask services again.")
    ] = False,
    cache: Cache = None,
    services: ServiceAddresses = None,
    rectified: Rectified = None,
    storage: Storage = None,
) -> None:
    """Find counterparts of the unique sources in catalogues, with the probability of chance.

    Example: `exod crossmatch results --with simbad --with gaia_dr3`
    """
    if listed:
        _list()
        return
    if root is None or not catalogues:
        raise ConfigError(
            "Give an archive and a catalogue, as in `exod crossmatch results --with simbad`; "
            "`exod crossmatch --list` lists those that are known."
        )
    from exod.archive import open_archive
    from exod.counterparts.cache import cache_folder
    from exod.counterparts.service import Services
    from exod.counterparts.wanted import Own, wanted_catalogues
    from exod.stages.derive.crossmatch import MatchSettings

    own = Own(ra, dec, name, epoch, pm_ra, pm_dec, radius)
    wanted = wanted_catalogues(catalogues, own)
    archive = open_archive(root, storage_options(storage))
    settings = MatchSettings(cache_folder(cache), Services.of(services), refresh)
    if rectified is not None:
        from exod.scheduler.plan import Plan
        from exod.stages.derive.update import sources_up_to_date

        sources_up_to_date(archive, Plan("sync"), rectified=rectified, say=say)
    _match(archive, wanted, settings)


def _match(archive: Archive, wanted: list[Wanted], settings: MatchSettings) -> None:
    """Match with one catalogue after the other; exit code 1 if one of them fails."""
    from exod.stages.derive.crossmatch import crossmatch

    failed = []
    with out.status("Matching") as status:
        told = replace(settings, say=lambda text: status.update(f"Matching with {escape(text)}"))
        for one in crossmatch(archive, wanted, told):
            _tell(one)
            failed += [one.name] if one.error else []
    if failed:
        complain(f"exod: not matched with {', '.join(failed)}.")
        raise typer.Exit(1)


def _tell(one: Crossmatched) -> None:
    if one.error:
        complain(f"exod: {one.name}: {one.error}")
        return
    counts = one.summary
    out.print(
        f"{one.name}: {counts['matched']:,} of {counts['sources']:,} sources matched, "
        f"{counts['looked_up']:,} looked up."
    )
    for note in one.notes:
        say(f"{one.name}: {note}", style="yellow")


def _list() -> None:
    from exod.counterparts.registry import registry

    table = new_table("Catalogues", "Name", "What", "From", "Radius", "Epoch")
    for catalogue in registry().values():
        where = catalogue.where or "a file, NAME=PATH"
        epoch = "" if catalogue.epoch is None else f"{catalogue.epoch:g}"
        radius = f'{catalogue.radius_arcsec:g}"'
        cells = (catalogue.name, catalogue.title, where, radius, epoch)
        table.add_row(*(escape(cell) for cell in cells))
    out.print(table)


@app.command("compare-published")
def compare_published(
    root: Archive_,
    path: Annotated[
        str, typer.Option("--with", metavar="FILE", help="Published detections [VizieR].")
    ] = "",
    radius: Annotated[float, typer.Option(min=0.001, help="Largest distance in arcsec.")] = 15.0,
    to: Annotated[
        Path | None,
        typer.Option(help="File of the detections and new regions; .csv, .fits, .parquet, ..."),
    ] = None,
    overwrite: Overwrite = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask VizieR again.")] = False,
    cache: Cache = None,
    services: ServiceAddresses = None,
    storage: Storage = None,
) -> None:
    """Compare regions with the published catalogue of EXOD2, by place and run.

    Which published detections of the observations of the archive are found, which are not, and
    which regions are new.

    Example: `exod compare-published results --to compared.csv`
    """
    from exod.archive import open_archive
    from exod.counterparts.cache import cache_folder
    from exod.counterparts.service import Services
    from exod.stages.derive.published import compare_published as compare
    from exod.stages.derive.published import save_comparison
    from exod.tablefiles.writing import check_target

    if to is not None:
        check_target(to, overwrite=overwrite)
    archive = open_archive(root, storage_options(storage))
    with out.status("Comparing") as status:
        found = compare(
            archive,
            path,
            radius,
            cache=cache_folder(cache),
            services=Services.of(services),
            refresh=refresh,
            say=lambda text: status.update(f"Comparing with {escape(text)}"),
        )
    _print_comparison(found, root)
    if to is not None:
        rows = save_comparison(found.comparison, to, overwrite=overwrite)
        say(f"{plural(rows, 'row')} written to {to}")


def _print_comparison(found: PublishedComparison, root: str) -> None:
    counts = found.comparison.counts()
    names = [str(name) for name in counts.columns[3:]]
    title = f"Published detections and regions of {escape(root)}"
    table = new_table(title, "Time bin", "Energy", numbers=[name.capitalize() for name in names])
    for row in counts.to_dict("records"):
        energy = f"{row['e_lo']:g}-{row['e_hi']:g} keV"
        table.add_row(f"{row['t_bin']:g} s", energy, *(f"{row[name]:,}" for name in names))
    table.add_row("all", "", *(f"{counts[name].sum():,}" for name in names))
    out.print(table)
    compared = found.comparison
    say(
        f"{found.n_published:,} of {plural(found.n_observations, 'observation')} searched have "
        f"published detections; {plural(compared.n_elsewhere, 'detection')} of others left out. "
        f"{compared.n_sources_found:,} of {plural(compared.n_sources, 'published source')} found."
    )
    if found.n_new_sources is None:
        say(f"To count new sources: exod cluster {root}")
    else:
        say(f"{plural(found.n_new_sources, 'unique source')} with new regions only.")
