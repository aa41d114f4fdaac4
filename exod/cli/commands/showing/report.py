"""The command that describes an archive with statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exod.cli.app import app, out
from exod.cli.options import Archive_, PictureStyle, Storage, drawing_of, storage_options
from exod.errors import plural


@app.command()
def report(
    root: Archive_,
    to: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    top: Annotated[int, typer.Option(min=0, help="Sources to list.")] = 50,
    light_curves: Annotated[int, typer.Option(min=0, help="Light curves to show.")] = 12,
    style: PictureStyle = None,
    extras: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of EXTraS to compare with, a row a light curve."),
    ] = None,
    xmm: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of all sources of 4XMM, for fluxes and types."),
    ] = None,
    storage: Storage = None,
) -> None:
    """Describe an archive with statistics on one HTML page that needs no other file.

    Example: `exod report results --to report.html`
    """
    from exod.archive import open_archive
    from exod.catalogue.report.consistency import failed
    from exod.stages.report.page import write_report

    drawing = drawing_of("png", style=style)
    archive = open_archive(root, storage_options(storage))
    with out.status("Counting"):
        numbers = write_report(
            archive,
            to,
            top=top,
            light_curves=light_curves,
            extras=extras,
            xmm=xmm,
            drawing=drawing,
        )
    wrong = failed(numbers.checks)
    said = f"{wrong} did not pass" if wrong else "all passed"
    out.print(f"{to}: {plural(len(numbers.checks), 'consistency check')}, {said}.", soft_wrap=True)
