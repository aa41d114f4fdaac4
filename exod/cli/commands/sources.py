"""Commands that make a catalogue of sources from the regions of an archive."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from exod.cli.app import app, out
from exod.cli.options import Archive_, Rectified, Scheduler, Storage, Workers, storage_options
from exod.errors import ConfigError, plural


@app.command()
def cluster(
    root: Archive_,
    radius: Annotated[
        float, typer.Option(metavar="ARCSEC", help="How far regions of one source are apart.")
    ] = 20.0,
    rule: Annotated[
        str | None,
        typer.Option(
            help="published: regions near each other; friends: those whose positions agree within "
            "their errors [as before, or published; with Chandra friends]."
        ),
    ] = None,
    names_from: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Take over names, and numbers in a new archive, of an archive, a release or a "
            "table with srcid, ra_deg, dec_deg and region_num.",
        ),
    ] = None,
    keep_names: Annotated[
        bool | None,
        typer.Option(
            "--keep-names/--new-names",
            help="Keep each name for ever, or name sources as a new archive would [as before].",
        ),
    ] = None,
    name_decimals: Annotated[
        str | None,
        typer.Option(
            metavar="RA,DEC",
            help="Decimals of the seconds in names of new sources, 0 to 4 [as before, or 1,0].",
        ),
    ] = None,
    rectified: Rectified = None,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
) -> None:
    """Cluster the regions of all observations into sources, which keep their numbers and names.

    Example: `exod cluster results --rule friends --names-from release-1`
    """
    import time

    from exod.archive import open_archive
    from exod.scheduler.plan import Plan
    from exod.sources.lineage import CHANGES, RARE
    from exod.stages.derive.cluster import cluster_archive

    ra_decimals, dec_decimals = _decimals(name_decimals)
    began = time.perf_counter()
    with out.status("Clustering"):
        archive = open_archive(root, storage_options(storage))
        found = cluster_archive(
            archive,
            Plan(scheduler, workers),
            radius_arcsec=radius,
            ra_decimals=ra_decimals,
            dec_decimals=dec_decimals,
            rule=rule,
            names_from=names_from,
            keep_names=keep_names,
            rectified=rectified,
        )
    summary = found.counts
    sources = plural(summary["n_sources"], "source")
    regions = plural(summary["n_regions"], "region")
    if not found.is_new:
        out.print(f"Nothing has changed: {sources} of {regions}.")
        return
    together = f"within {radius:g} arcsec of each other"
    if found.derived.parameters["rule"] == "friends":
        together = "whose positions agree within their errors"
    out.print(f"{sources} of {regions}, {together}.")
    if summary["n_without_position"]:
        out.print(f"{plural(summary['n_without_position'], 'region')} without a position left out.")
    told = [c for c in CHANGES if summary[f"n_{c}"] or c not in RARE]
    out.print(", ".join(f"{summary[f'n_{change}']:,} {change}" for change in told) + ".")
    if summary["n_divided"]:
        out.print(
            f"{plural(summary['n_divided'], 'source')} may be part of another one: the positions "
            f"agree within their errors. --rule friends keeps such sources together."
        )
    out.print(
        f"{plural(summary['n_partitions_computed'], 'partition')} of the sky computed, "
        f"{summary['n_partitions_kept']:,} kept, in {time.perf_counter() - began:.1f} s."
    )


def _decimals(text: str | None) -> tuple[int | None, int | None]:
    """Decimals of the seconds of right ascension and of declination, as users write them."""
    if text is None:
        return None, None
    found = re.fullmatch(r"\s*(\d)\s*,\s*(\d)\s*", text)
    if found is None:
        raise ConfigError(
            f"--name-decimals is two numbers from 0 to 4, as 2,2, and not {text!r}: decimals of "
            f"the seconds of right ascension and of declination."
        )
    return int(found[1]), int(found[2])
