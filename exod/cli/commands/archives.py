"""Commands that look after an archive."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from exod.cli.app import STYLE, app, new_table, out, say
from exod.cli.options import (
    Archive_,
    Storage,
    storage_options,
)
from exod.errors import plural


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

    archive = open_archive(root, storage_options(storage))
    ledger = archive.status()
    counts = ledger["status"].value_counts()
    table = new_table(f"Archive {escape(root)}", "Status", "Observations")
    for name, style in STYLE.items():
        table.add_row(f"[{style}]{name}[/]", str(counts.get(name, 0)))
    out.print(table)
    names = ("run", "region", "cell")
    totals = [plural(int(ledger[f"n_{name}s"].sum()), name) for name in names]
    out.print(", ".join(totals))
    for product in archive.products().to_dict("records"):
        state = f"{plural(product['behind'], 'observation')} behind"
        if not product["behind"]:
            state = "current"
        elif product["product"].startswith("xmatch-"):
            state = "older than the sources"
        out.print(f"{product['product']}: {plural(product['rows'], 'row')}, {state}")
    listed = ledger if show_all else ledger[ledger["status"].isin(["SKIPPED", "FAILED"])]
    for row in listed.to_dict("records"):
        regions = plural(row["n_regions"], "region")
        line = f"{row['obsid']}  {row['status']:8}{regions:>13}  {row['reason']}"
        say(line.rstrip(), style=STYLE[row["status"]])


@app.command()
def gc(
    root: Archive_,
    older_than: Annotated[
        float, typer.Option(min=0, help="Spare files younger than this, in seconds.")
    ] = 3600.0,
    storage: Storage = None,
) -> None:
    """Remove files that nothing refers to: replaced results and interrupted work.

    Example: `exod gc results`
    """
    from exod.archive import open_archive

    removed = open_archive(root, storage_options(storage)).gc(older_than)
    out.print(f"{len(removed)} files removed.")


@app.command()
def compact(
    root: Archive_,
    file_mb: Annotated[float, typer.Option(min=1, help="Size of a full file in MB.")] = 256.0,
    force: Annotated[bool, typer.Option("--force", help="Write all anew.")] = False,
    storage: Storage = None,
) -> None:
    """Copy what is new to few large files, sorted and quick to search, which readers then use.

    Example: `exod compact results`
    """
    from exod.archive import open_archive

    archive = open_archive(root, storage_options(storage))
    with out.status("Compacting"):
        compacted = archive.compact(file_mb, anew=force)
    files = [file for files in compacted.tables.values() for file in files]
    size = sum(file.bytes for file in files) / 1e6
    observations = plural(len(compacted.attempts), "observation")
    out.print(f"{observations} in {plural(len(files), 'file')}, {size:,.1f} MB.")
