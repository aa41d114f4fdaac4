"""The command that pairs sources with catalogues."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exod.cli.app import out, say
from exod.cli.commands.astrometry.groups import (
    DbFile,
    astromon,
    show_rows,
)
from exod.errors import ConfigError

if TYPE_CHECKING:
    from astropy.table import Table


@astromon.command("cross-match")
def cross_match(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Standard selection, or simple.")
    ] = None,
    dbfile: DbFile = None,
    catalogs: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Catalogues, the preferred first.")
    ] = None,
    snr: Annotated[float | None, typer.Option(min=0, help="Least signal to noise.")] = None,
    r_angle: Annotated[
        float | None, typer.Option(min=0, help="Largest off-axis angle, arcsec.")
    ] = None,
    dr: Annotated[float | None, typer.Option(min=0, help="Largest offset, arcsec.")] = None,
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
        if not all(arguments["catalogs"]):
            raise ConfigError(f"--catalogs has an empty name in {catalogs!r}.")
    with out.status("Matching"):
        found = compute_cross_matches(
            name,
            dbfile=dbfile,
            exclude_regions=exclude_regions,
            exclude_bad_targets=exclude_bad_targets,
            **arguments,
        )
    if catalogs is not None:
        _tell_absent(arguments["catalogs"], dbfile)
    if save:
        from exod.astromon.db import save_cross_matches

        standard = CROSS_MATCHES_ARGS.get(name or ("simple" if arguments else "default"), {})
        save_cross_matches(found, standard.get("name", "simple"), dbfile)
    if to is not None:
        _write(found, to)
    show_rows(found, ("obsid", "x_id", "catalog", "name", "dy", "dz", "dr", "snr"))
    say("1 match" if len(found) == 1 else f"{len(found):,} matches")


def _tell_absent(catalogs: list[str], dbfile: Path | None) -> None:
    from exod.astromon.db import get_table

    there = sorted(set(get_table("astromon_cat_src", dbfile)["catalog"].tolist()))
    if absent := [name for name in catalogs if name not in there]:
        say(
            f"The file has no counterparts of {', '.join(map(repr, absent))}, but of "
            f"{', '.join(there) or 'no catalogue'}.",
            style="yellow",
        )


def _write(found: Table, to: Path) -> None:
    from exod.errors import ExodError
    from exod.files.whole import whole_file

    plain = found.copy()
    plain.remove_columns(["c_loc", "x_loc"])
    plain["time"] = plain["time"].isot
    with whole_file(to, error=ExodError) as temporary:
        form = {".ecsv": "ascii.ecsv", ".fits": "fits", ".csv": "ascii.csv"}[to.suffix]
        plain.write(temporary, format=form, overwrite=True)
