"""The command that finds the frames of observations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from exod.cli.app import app, end_if_failed, out, say
from exod.cli.options import (
    Archive_,
    Cache,
    Input,
    Scheduler,
    ServiceAddresses,
    Storage,
    Workers,
    storage_options,
)
from exod.cli.outcomes import watch_batches
from exod.errors import plural

if TYPE_CHECKING:
    from exod.stages.derive.rectify import FramesMade


@app.command()
def rectify(
    root: Archive_,
    catalogue: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="NAME",
            help="Catalogue of own fits where the source list has no frame, as exod crossmatch "
            "takes it, or none [as before, or none].",
        ),
    ] = None,
    prior: Annotated[
        str,
        typer.Option(help="What fits know of frames: archive (from all source lists) or none."),
    ] = "archive",
    lists: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of source lists that are not where the search read them."
        ),
    ] = None,
    cache: Cache = None,
    services: ServiceAddresses = None,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
    inputs: Input = None,
) -> None:
    """Bring positions onto the sky: by the frames of source lists, or by fits to a catalogue.

    The tables frames, offsets and positions tell how, beside what was measured; what did not
    change is kept.

    Example: `exod rectify results --with gaia_dr3=gaia.parquet`
    """
    from exod.archive import open_archive
    from exod.counterparts.cache import cache_folder
    from exod.counterparts.service import Services
    from exod.scheduler.plan import RETRIES, Plan
    from exod.stages.derive.rectify import RectifySettings, rectify_archive

    settings = RectifySettings(
        catalogue,
        prior,
        lists,
        cache_folder(cache),
        Services.of(services),
        storage_options(inputs) or {},
    )
    archive = open_archive(root, storage_options(storage))
    plan = Plan(scheduler, workers, retries=RETRIES)
    made = watch_batches(
        lambda watched, **told: rectify_archive(archive, watched, settings, **told),
        plan,
        "Rectifying",
        "rectified",
    )
    _tell(made)
    end_if_failed([f"{obsid} failed: {why}" for obsid, why in sorted(made.failures.items())])


def _tell(made: FramesMade) -> None:
    """How many observations have which frame, why not, and what their circles are of."""
    from exod.stages.derive.rectify.calibration import DOCUMENTED

    counts = made.counts
    out.print(
        f"{plural(made.n_read, 'observation')} read, {made.n_kept:,} kept: "
        f"{counts['header']:,} have the frame of their source list, {counts['fit']:,} an own "
        f"fit, {counts['none']:,} none."
    )
    for reason, count in made.reasons.items():
        say(f"{plural(count, 'observation')}: {escape(reason)}")
    for mission, kinds in made.calibration.items():
        for kind, one in kinds.items():
            n_pairs = int(one["n_pairs"])
            is_so = one == DOCUMENTED[mission][kind]
            origin = "as documented" if is_so else "from frames of source lists"
            origin = f"from {plural(n_pairs, 'pair')}" if n_pairs else origin
            radial = 2**0.5 * one["systematic_arcsec"]
            say(f'Systematic error of {kind} ({mission}): {radial:.2f}", {origin}.')
