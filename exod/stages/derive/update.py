"""Derive: sources, features and flags of an archive, those that are behind, in this order.

Depth and history are kept up where they were made once: they read the event lists again.
"""

from __future__ import annotations

from collections.abc import Callable

from exod.archive import Archive, open_archive
from exod.errors import ArchiveError
from exod.scheduler.plan import Plan
from exod.stages.derive.cluster import POSITIONS, RADIUS_ARCSEC, cluster_archive, takes_corrected
from exod.stages.derive.depth import make_depth
from exod.stages.derive.features import make_features
from exod.stages.derive.flags import make_flags
from exod.stages.derive.rectify import rectify_archive
from exod.stages.places.history import make_history


def bring_up_to_date(
    archive: Archive | str,
    plan: Plan | None = None,
    *,
    rectified: bool | None = None,
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
    rectified : bool, optional
        Whether sources are of corrected positions, which are then made first; by default as was
        chosen before, else if the archive has corrected positions.
    say : callable
        Is told what is going on.

    Returns
    -------
    list of str
        Those that were made, of frames, unique, features, flags, depth, history.

    Raises
    ------
    ArchiveError
        If one cannot be made, or the light curves of an observation cannot be read.
    """
    archive = open_archive(archive)
    made = sources_up_to_date(archive, plan or Plan(), rectified=rectified, say=say)
    steps = {
        "features": ("Measuring light curves ...", _features),
        "flags": ("Flagging regions ...", _flags),
    }
    for product, (sentence, make) in steps.items():
        found = archive.derived(product)
        if found is None or found.outdated(archive.entries()):
            say(sentence)
            make(archive, plan or Plan())
            made.append(product)
    return made + history_up_to_date(archive, plan, say=say)


def history_up_to_date(
    archive: Archive,
    plan: Plan | None = None,
    *,
    say: Callable[[str], None] = lambda _sentence: None,
) -> list[str]:
    """Make depth and history anew if they were made before and are behind; the names of those.

    Event lists that are not where they were are said, and their observations left out.
    """
    made = []
    depth = archive.derived("depth")
    if depth and depth.outdated(archive.entries()):
        say("Reading event lists for limits ...")
        # Whether photons were kept is as it was.
        keeps = bool(depth.parameters.get("photons", True))
        for obsid, reason in make_depth(archive, plan, photons=keeps).failures.items():
            say(f"Observation {obsid} has no limits: {reason}")
        made.append("depth")
    if archive.derived("history") and make_history(archive, on_step=say).made:
        made.append("history")
    return made


def sources_up_to_date(
    archive: Archive,
    plan: Plan,
    *,
    rectified: bool | None = None,
    say: Callable[[str], None] = lambda _sentence: None,
) -> list[str]:
    """Make the sources, and corrected positions if they are of these, as `bring_up_to_date`."""
    made = []
    earlier, entries = archive.derived("unique"), archive.entries()
    had = earlier.parameters.get(POSITIONS) if earlier else None
    wanted = takes_corrected(archive, earlier, choice=rectified)
    frames = archive.derived("frames")
    if wanted and (frames is None or frames.outdated(entries)):
        say("Rectifying positions ...")
        for obsid, reason in rectify_archive(archive, plan).failures.items():
            raise ArchiveError(f"Observation {obsid} has no corrected positions: {reason}")
        frames = archive.derived("frames")
        made.append("frames")
    if wanted and frames:
        is_so = had == frames.version
    else:
        # That raw positions were asked for is to be remembered.
        is_so = not had and (had is not None or rectified is None)
    if earlier is None or earlier.outdated(entries) or not is_so:
        say("Clustering regions into sources ...")
        radius = float(str(earlier.parameters["radius_arcsec"])) if earlier else RADIUS_ARCSEC
        cluster_archive(archive, plan, radius_arcsec=radius, rectified=wanted or rectified)
        made.append("unique")
    return made


def _features(archive: Archive, plan: Plan) -> None:
    made = make_features(archive, plan)
    for obsid, reason in made.failures.items():
        raise ArchiveError(f"Observation {obsid} has no features: {reason}")


def _flags(archive: Archive, plan: Plan) -> None:
    make_flags(archive, None, plan)
