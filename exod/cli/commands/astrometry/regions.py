"""Commands on regions whose sources are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exod.cli.app import say
from exod.cli.commands.astrometry.groups import (
    DbFile,
    Obsid,
    regions,
    show_rows,
)
from exod.errors import plural


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
    _ensure_table(dbfile)
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
    if unknown := sorted(set(numbers) - there):
        say(f"The file has no region {', '.join(map(str, unknown))}.", style="yellow")


@regions.command("list")
def list_regions(obsid: Obsid = None, dbfile: DbFile = None) -> None:
    """List the regions of a file, all or those of an observation and around its pointing.

    Example: `exod astromon regions list --obsid 13276`
    """
    from exod.astromon import db

    found = db.get_regions(obsid, dbfile)
    show_rows(found, ("region_id", "ra", "dec", "radius", "obsid", "user", "comments"))
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

    db.get_regions(dbfile=from_file)
    _ensure_table(to_file, make_file=True)
    db.sync_regions(from_file, to_file, remove)
    say(f"{to_file} has {plural(len(db.get_regions(dbfile=to_file)), 'region')}.")


def _ensure_table(dbfile: Path | None, *, make_file: bool = False) -> None:
    """Make the table of regions in a file that has none yet."""
    from exod.astromon import db
    from exod.astromon.stored import file_of
    from exod.astromon.utils import MissingTableException

    if not make_file or file_of(dbfile).exists():
        try:
            db.get_regions(dbfile=dbfile)
            return
        except MissingTableException:
            pass
    # Rows that somebody adds meanwhile stay: these are none.
    db.save("astromon_regions", db.create_table("astromon_regions"), dbfile)
