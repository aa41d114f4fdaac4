"""Derive: sources, features and flags of an archive, those that are behind, in this order."""

from __future__ import annotations

from collections.abc import Callable

from exod.archive import Archive, open_archive
from exod.errors import ArchiveError
from exod.scheduler.plan import Plan
from exod.stages.derive.cluster import RADIUS_ARCSEC, cluster_archive
from exod.stages.derive.features import make_features
from exod.stages.derive.flags import make_flags


def bring_up_to_date(
    archive: Archive | str,
    plan: Plan | None = None,
    *,
    say: Callable[[str], None] = lambda _sentence: None,
) -> list[str]:
    """Make the products that are missing or behind the observations.

    Sources keep the radius that they were clustered with.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path.
    plan : Plan, optional
        Where and how; by default all cores of this machine.
    say : callable
        Is told what is going on.

    Returns
    -------
    list of str
        Those that were made, of unique, features, flags.

    Raises
    ------
    ArchiveError
        If one cannot be made, or the light curves of an observation cannot be read.
    """
    archive = open_archive(archive)
    steps = {
        "unique": ("Clustering regions into sources ...", _cluster),
        "features": ("Measuring light curves ...", _features),
        "flags": ("Flagging regions ...", _flags),
    }
    made = []
    for product, (sentence, make) in steps.items():
        found = archive.derived(product)
        if found is None or found.outdated(archive.entries()):
            say(sentence)
            make(archive, plan or Plan())
            made.append(product)
    return made


def _cluster(archive: Archive, plan: Plan) -> None:
    earlier = archive.derived("unique")
    radius = float(str(earlier.parameters["radius_arcsec"])) if earlier else RADIUS_ARCSEC
    cluster_archive(archive, plan, radius_arcsec=radius)


def _features(archive: Archive, plan: Plan) -> None:
    made = make_features(archive, plan)
    for obsid, reason in made.failures.items():
        raise ArchiveError(f"Observation {obsid} has no features: {reason}")


def _flags(archive: Archive, plan: Plan) -> None:
    make_flags(archive, None, plan)
