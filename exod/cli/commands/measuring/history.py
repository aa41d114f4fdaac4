"""The command that makes the long-term history of all sources."""

from __future__ import annotations

from exod.cli.app import app, err, out
from exod.cli.options import Archive_, Storage, storage_options
from exod.errors import plural


@app.command()
def history(root: Archive_, storage: Storage = None) -> None:
    """Make the long-term history of each source: rate, flux or limit of every observation.

    The table history has a row for each observation that covered a source, longterm how much
    and how surely it varies, and its luminosity where a counterpart's distance is known. Needs
    `exod cluster`, `exod features` and `exod depth`.

    Example: `exod history results`, then `exod sql results "SELECT srcid, flux_ratio, var_sigma
    FROM longterm ORDER BY var_sigma DESC LIMIT 10"`
    """
    from exod.archive import open_archive
    from exod.stages.derive.history import make_history

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
