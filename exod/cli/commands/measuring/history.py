"""The command that makes the long-term history of all sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exod.cli.app import app, err, out, say_paths
from exod.cli.options import (
    Archive_,
    PictureFormat,
    PictureSize,
    PictureStyle,
    Storage,
    drawing_of,
    storage_options,
)
from exod.errors import plural


@app.command()
def history(
    root: Archive_,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SRCID]...", help="Sources to draw [none].")
    ] = None,
    plots: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("plots"),
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
    storage: Storage = None,
) -> None:
    """Make the long-term history of each source: rate, flux or limit of every observation.

    The table history has a row for each observation that covered a source, longterm how much
    and how surely it varies, and its luminosity where a counterpart's distance is known. Needs
    `exod cluster`, `exod features` and `exod depth`.

    Example: `exod history results`, then `exod sql results "SELECT srcid, flux_ratio, var_sigma
    FROM longterm ORDER BY var_sigma DESC LIMIT 10"`

    A picture: `exod history results J173442.5-323454`
    """
    from exod.archive import open_archive
    from exod.plots.drawing import save_figures
    from exod.plots.places.longterms import history_figure
    from exod.plots.places.sources import find_source
    from exod.stages.places.history import history_of, make_history

    drawing = drawing_of(form, size, style)
    archive = open_archive(root, storage_options(storage))
    with err.status("Asking for limits") as status:
        made = make_history(archive, on_step=status.update)
    rows, sources = plural(made.count("rows"), "row"), plural(made.count("sources"), "source")
    out.print(
        f"History of {sources}: {rows}, {made.count('variable'):,} variable between observations "
        f"above 3 sigma, {made.count('alerts'):,} by more than 5."
        + ("" if made.made else " It was up to date."),
        soft_wrap=True,
    )
    for name in names or ():
        source = find_source(archive, name)
        with drawing.applied():
            figure = history_figure(*history_of(archive, int(source["region_num"])))
        stem = f"{source['srcid']}_history".replace(" ", "_")
        say_paths(save_figures([(stem, figure)], plots, drawing))
