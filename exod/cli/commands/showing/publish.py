"""The command that writes the pages of an archive as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exod.cli.app import app, out
from exod.cli.options import Archive_, Storage, storage_options
from exod.errors import ConfigError, plural


@app.command()
def publish(
    root: Archive_,
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.")] = Path("site"),
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of a site that is there.")
    ] = False,
    storage: Storage = None,
) -> None:
    """Write the explorer's pages as a site of files, for any store that hands out parts of them.

    Example: `exod publish results --to site`
    """
    from exod.archive import open_archive
    from exod.stages.explore.making import make_explorer
    from exod.stages.report.page import report_content

    try:
        from exod.web.publishing.site import check_target
        from exod.web.publishing.site import publish as write_site
        from exod.web.voting.facets import voted_product
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The explorer needs {error.name}, which is not installed; run "
            f"`pip install 'exod[web]'`."
        ) from error
    archive = open_archive(root, storage_options(storage))
    check_target(to, archive.store, replace=replace)
    with out.status("Preparing the pages") as status:
        for fault in make_explorer(archive, on_step=status.update).damaged:
            out.print(f"{fault}; the pages were prepared anew.", soft_wrap=True)

        def told(name: str, done: int, total: int) -> None:
            status.update(f"Writing {name}, {done / 1e6:,.0f} of {total / 1e6:,.0f} MB")

        product = voted_product(archive)
        status.update("Counting and drawing the statistics")
        report = report_content(archive, elsewhere=True)
        made = write_site(product, to, report=report, replace=replace, on_file=told)
    size = f"{made.n_bytes / 1e6:,.1f} MB"
    if not product.density:
        out.print("Without sky/, the density of sources: there are none.")
    out.print(f"{to}: {plural(made.n_files, 'file')}, {size}, version {made.version}.")
