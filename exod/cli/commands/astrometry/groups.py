"""Groups of the commands of astromon, and options that they share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from exod.cli.app import app, new_table, out

if TYPE_CHECKING:
    from astropy.table import Table

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
    typer.Option(
        metavar="FOLDER", help="Alignment files of CalDB, as pcadD2001-01-01alignN0008.fits."
    ),
]
SignalToNoise = Annotated[
    float, typer.Option("--snr", min=0, help="Least signal to noise of sources of Chandra.")
]


def show_rows(found: Table, names: tuple[str, ...]) -> None:
    """Print the columns of a table, if it has rows."""
    if not len(found):
        return
    table = new_table("", *names)
    for row in found:
        cells = (format(row[name], found[name].info.format or "") for name in names)
        table.add_row(*(escape(cell) for cell in cells))
    out.print(table)
