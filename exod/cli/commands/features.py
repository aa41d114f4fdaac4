"""Command that describes light curves by numbers."""

from __future__ import annotations

from exod.cli.app import app, end_if_failed, out
from exod.cli.options import Archive_, Scheduler, Storage, Workers, storage_options
from exod.cli.outcomes import watch_batches
from exod.errors import plural


@app.command()
def features(
    root: Archive_,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
) -> None:
    """Make the features of all light curves, and hardness ratios; what did not change is kept.

    Example: `exod features results --workers 4`
    """
    from exod.archive import open_archive
    from exod.scheduler.plan import RETRIES, Plan
    from exod.stages.derive.features import make_features

    archive = open_archive(root, storage_options(storage))
    made = watch_batches(
        lambda watched, **told: make_features(archive, watched, **told),
        Plan(scheduler, workers, retries=RETRIES),
        "Reading light curves",
        "read",
    )
    out.print(
        f"Features of {plural(made.n_rows, 'region')}: {plural(made.n_read, 'observation')} read, "
        f"{made.n_kept:,} kept."
    )
    end_if_failed([f"{obsid} failed: {why}" for obsid, why in sorted(made.failures.items())])
