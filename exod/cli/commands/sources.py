"""Commands that make a catalogue of sources from the regions of an archive."""

from __future__ import annotations

from typing import Annotated

import typer

from exod.cli.app import app, out
from exod.cli.options import Archive_, Scheduler, Storage, Workers, storage_options
from exod.errors import plural


@app.command()
def cluster(
    root: Archive_,
    radius: Annotated[
        float, typer.Option(metavar="ARCSEC", help="How far regions of one source are apart.")
    ] = 20.0,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
) -> None:
    """Cluster the regions of all observations into sources, which keep their numbers and names.

    Example: `exod cluster results --radius 20`
    """
    import time

    from exod.archive import open_archive
    from exod.scheduler.plan import Plan
    from exod.stages.derive.cluster import cluster_archive

    began = time.perf_counter()
    with out.status("Clustering"):
        archive = open_archive(root, storage_options(storage))
        found = cluster_archive(archive, Plan(scheduler, workers), radius_arcsec=radius)
    summary = found.counts
    sources = plural(summary["n_sources"], "source")
    regions = plural(summary["n_regions"], "region")
    if not found.is_new:
        out.print(f"Nothing has changed: {sources} of {regions}.")
        return
    out.print(f"{sources} of {regions}, within {radius:g} arcsec of each other.")
    if summary["n_without_position"]:
        out.print(f"{plural(summary['n_without_position'], 'region')} without a position left out.")
    changes = ("new", "merged", "split", "gone", "returned")
    out.print(", ".join(f"{summary[f'n_{change}']:,} {change}" for change in changes) + ".")
    out.print(
        f"{plural(summary['n_partitions_computed'], 'partition')} of the sky computed, "
        f"{summary['n_partitions_kept']:,} kept, in {time.perf_counter() - began:.1f} s."
    )
