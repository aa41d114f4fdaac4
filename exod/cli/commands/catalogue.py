"""The command that writes the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exod.cli.app import app, out
from exod.cli.options import Archive_, Rectified, Scheduler, Storage, Workers, storage_options
from exod.errors import plural

if TYPE_CHECKING:
    from exod.archive import Archive
    from exod.stages.catalogue.release import Release


@app.command()
def catalogue(
    root: Archive_,
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make.")],
    matches: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="NAME", help="Match with it first, as exod crossmatch; repeatable."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="NAME", help="Cross-match to leave out; repeatable."),
    ] = None,
    hats: Annotated[bool, typer.Option(help="Write HATS with nested light curves too.")] = True,
    report: Annotated[bool, typer.Option(help="Write the page of statistics too.")] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the catalogue that is in the folder.")
    ] = False,
    rectified: Rectified = None,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
) -> None:
    """Write the catalogue of detections and unique sources: FITS, Parquet and HATS.

    Sources, features and flags that are missing or behind are made first, and depth and history
    brought up to date if there are any.

    Example: `exod catalogue results --to release --no-hats`
    """
    from exod.archive import open_archive
    from exod.scheduler.plan import Plan
    from exod.stages.catalogue.release import check_target, write_catalogue
    from exod.stages.derive.update import bring_up_to_date, history_up_to_date
    from exod.stages.report.page import add_report

    # Before hours of work.
    check_target(to.absolute(), replace=replace)
    archive = open_archive(root, storage_options(storage))
    plan = Plan(scheduler, workers=workers, on_note=out.print)
    bring_up_to_date(archive, plan, rectified=rectified, say=out.print)
    _match(archive, matches or [])
    if matches:
        # Luminosities are of distances of counterparts.
        history_up_to_date(archive, plan, say=out.print)
    with out.status("Writing the catalogue"):
        release = write_catalogue(
            archive,
            to,
            plan,
            hats=hats,
            replace=replace,
            without=without or (),
            further=[add_report] if report else (),
        )
    _tell(release, to)


def _match(archive: Archive, names: list[str]) -> None:
    """Match the sources; without all of the catalogues there is no release."""
    if not names:
        return
    from exod.counterparts.wanted import Own, wanted_catalogues
    from exod.stages.derive.crossmatch import crossmatch

    wanted = wanted_catalogues(names, Own())
    for one in crossmatch(archive, wanted):
        if one.error:
            raise one.error


def _tell(release: Release, to: Path) -> None:
    rows = release.facts.rows
    numbers = ", ".join(plural(n, name.removesuffix("s")) for name, n in rows.items())
    out.print(f"{numbers}; {plural(len(release.checks), 'check')} made, and all hold.")
    if release.facts.without_hats:
        out.print(f"There is no HATS: {release.facts.without_hats}")
    out.print(f"Written to {to}", soft_wrap=True)
