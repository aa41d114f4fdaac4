"""Commands that judge regions: quality flags, filters, recovery among runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from exod.cli.app import app, new_table, out
from exod.cli.options import Archive_, Scheduler, Storage, Workers, storage_options
from exod.text import plural


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
    search: Annotated[
        bool, typer.Option("--hot-search/--no-hot-search", help="Whether to find hot regions.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Make all anew.")] = False,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
) -> None:
    """Set the quality flags of all regions, and find hot regions of the detector.

    Example: `exod flags results --boxes hot.csv`
    """
    from exod.flags import QUALITY_FLAGS
    from exod.hotregions import HotSearch
    from exod.plan import Plan
    from exod.stages.flaginputs import no_boxes, read_boxes, read_excluded
    from exod.stages.flags import FlagSettings, make_flags

    settings = FlagSettings(
        hot=HotSearch() if search else None,
        excluded=read_excluded(excluded),
        boxes=read_boxes(boxes) if boxes else no_boxes(),
    )
    plan = Plan(scheduler=scheduler, workers=workers)
    made = make_flags(root, settings, plan, force=force, storage_options=storage_options(storage))
    table = new_table(f"Flags of {escape(root)}", "Flag", "Regions", "Meaning")
    for flag in QUALITY_FLAGS:
        table.add_row(flag.name, str(made.summary[flag.name]), escape(flag.meaning))
    out.print(table)
    hot = plural(int(str(made.summary["hot_regions"])), "hot region")
    out.print(f"{plural(int(str(made.summary['regions'])), 'region')}; {hot} of the detector.")
