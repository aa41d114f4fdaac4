"""Derive: sources, features and flags of an archive, those that are behind, in this order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from exod.archive import Archive, open_archive
from exod.errors import ArchiveError
from exod.scheduler.plan import Plan
from exod.stages.derive.cluster import RADIUS_ARCSEC, cluster_archive
from exod.stages.derive.features import make_features
from exod.stages.derive.flags import make_flags

Options = Mapping[str, Any] | None


def bring_up_to_date(
    root: str,
    plan: Plan | None = None,
    *,
    say: Callable[[str], None] = lambda _sentence: None,
    storage_options: Options = None,
) -> list[str]:
    """Make the products that are missing or behind the observations.

    Sources keep the radius that they were clustered with.

    Parameters
    ----------
    root : str
        The archive.
    plan : Plan, optional
        Where and how; by default all cores of this machine.
    say : callable
        Is told what is going on.
    storage_options : dict, optional
        Options of the archive's fsspec file system.

    Returns
    -------
    list of str
        Those that were made, of unique, features, flags.

    Raises
    ------
    ArchiveError
        If one cannot be made, or the light curves of an observation cannot be read.
    """
    archive = open_archive(root, storage_options)
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
            make(archive, plan or Plan(), storage_options)
            made.append(product)
    return made


def _cluster(archive: Archive, plan: Plan, options: Options) -> None:
    earlier = archive.derived("unique")
    radius = float(str(earlier.parameters["radius_arcsec"])) if earlier else RADIUS_ARCSEC
    cluster_archive(archive.root, plan, radius_arcsec=radius, storage_options=options)


def _features(archive: Archive, plan: Plan, options: Options) -> None:
    made = make_features(archive.root, plan, storage_options=options)
    for obsid, reason in made.failures.items():
        raise ArchiveError(f"Observation {obsid} has no features: {reason}")


def _flags(archive: Archive, plan: Plan, options: Options) -> None:
    make_flags(archive.root, None, plan, storage_options=options)
