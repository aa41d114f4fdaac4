"""Commands that look after an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from exod.cli.app import STYLE, app, end_if_failed, new_table, out, say
from exod.cli.options import (
    Archive_,
    Overwrite,
    Storage,
    storage_options,
)
from exod.errors import plural


@app.command()
def status(
    root: Archive_,
    show_all: Annotated[bool, typer.Option("--all", help="List every observation.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the search that runs, until it ends.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, help="With --watch: seconds between two looks.")
    ] = 2.0,
    storage: Storage = None,
) -> None:
    """Show what an archive holds and what failed.

    Example: `exod status results --all`

    While a search runs: `exod status results --watch`
    """
    from exod.archive import open_archive

    archive = open_archive(root, storage_options(storage))
    if watch:
        from exod.cli.watching import follow_archive

        follow_archive(archive, out, every)
        return
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
def verify(
    root: Archive_,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what is damaged as .jsonl, .csv, .parquet, ..."),
    ] = None,
    overwrite: Overwrite = False,
    threads: Annotated[int, typer.Option(min=1, help="Files that are read at once.")] = 8,
    storage: Storage = None,
) -> None:
    """Read every file of an archive, compare it with what was written, and list what to do again.

    Example: `exod verify results --to damaged.jsonl`
    """
    from exod.archive import open_archive
    from exod.stages import verify as stage
    from exod.tablefiles.writing import check_target

    if to is not None:
        check_target(to, overwrite=overwrite)
    archive = open_archive(root, storage_options(storage))
    damaged, size, n_files, n_sealed = [], 0, 0, 0
    with Progress(console=out, disable=not out.is_terminal) as progress:
        task = progress.add_task("Verifying", total=stage.count_files(archive))
        for one in stage.verify(archive, threads):
            progress.advance(task)
            n_files, size, n_sealed = n_files + 1, size + one.size, n_sealed + one.is_sealed
            if one.fault:
                damaged.append(one)
    out.print(f"{plural(n_files, 'file')}, {size / 1e6:,.1f} MB.", soft_wrap=True)
    if n_sealed < n_files:
        say(
            f"Of {n_files - n_sealed} no digest is known, since exod ingest or an earlier version "
            f"wrote them: they were read, and size, rows and observation compared where known."
        )
    if to is not None:
        from exod.archive.parquet import to_arrow
        from exod.tablefiles.writing import write_table

        rows = to_arrow(stage.DAMAGED, stage.damaged_rows(damaged), "damaged")
        write_table(to, stage.DAMAGED, [rows], overwrite=overwrite)
    if not damaged:
        say("Nothing is damaged.", style="green")
        return
    listed = new_table(f"Damaged files of {escape(root)}", "File", "What is wrong")
    for one in damaged:
        listed.add_row(escape(one.path), escape(one.fault))
    out.print(listed)
    say("What makes them anew:")
    for remedy in dict.fromkeys(one.remedy for one in damaged):
        say(f"  {remedy}")
    end_if_failed([f"{plural(len(damaged), 'file')} of {root} damaged."])


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
