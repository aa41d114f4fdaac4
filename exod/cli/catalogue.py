"""The command that writes the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exod.cli.app import app, out
from exod.cli.options import Archive_, Scheduler, Storage, Workers, storage_options
from exod.text import plural


@app.command()
def catalogue(
    root: Archive_,
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make.")],
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="NAME", help="Cross-match to leave out; repeatable."),
    ] = None,
    hats: Annotated[bool, typer.Option(help="Write HATS with nested light curves too.")] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the catalogue that is in the folder.")
    ] = False,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
) -> None:
    """Write the catalogue of detections and unique sources: FITS, Parquet and HATS.

    Example: `exod catalogue results --to release --no-hats`
    """
    from exod.plan import Plan
    from exod.stages.catalogue import write_catalogue

    plan = Plan(scheduler, workers=workers, on_note=out.print)
    with out.status("Writing the catalogue"):
        release = write_catalogue(
            root,
            to,
            plan,
            hats=hats,
            replace=replace,
            without=without or (),
            storage_options=storage_options(storage),
        )
    rows = release.facts.rows
    numbers = ", ".join(plural(n, name.removesuffix("s")) for name, n in rows.items())
    out.print(f"{numbers}; {plural(len(release.checks), 'check')} hold.")
    if release.facts.without_hats:
        out.print(f"There is no HATS: {release.facts.without_hats}")
    out.print(f"Written to {to}", soft_wrap=True)
