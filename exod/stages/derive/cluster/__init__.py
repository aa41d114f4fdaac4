"""Cluster: regions of all observations -> unique sources, which keep their numbers and names.

The sky is divided into partitions, each a task with a margin around it, so that all together give
exactly what the whole sky would. When observations are added or processed again, the partitions
that they touch are computed again and the files of the others are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from exod.archive import Archive, open_archive
from exod.archive.derived import Derived
from exod.archive.increments import deriving
from exod.errors import ArchiveError, ConfigError, plural
from exod.instruments import MISSIONS, mission_of
from exod.scheduler.plan import Plan
from exod.schemas.derived import DERIVED
from exod.sources.identities import REACH
from exod.stages.derive.cluster.adopted import read_adopted
from exod.stages.derive.cluster.update import KEPT, PUBLISHED, Update

RADIUS_ARCSEC: Final = 20.0
RADII: Final = (0.1, 600.0)
"""Clustering radius by default, and its limits, in arcsec (method.md, Clustering)."""

USUAL_DECIMALS: Final = MappingProxyType({"ra_decimals": 1, "dec_decimals": 0})
"""Decimals of the seconds in names, if nothing else was ever asked for."""

FRIENDS: Final = "friends"
CHOSEN: Final = "rule_chosen"
"""The rule of archives with observations of Chandra, and that another one was asked for."""

POSITIONS: Final = "positions"
"""Among the parameters: the version of corrected positions that sources are made of, or nothing if
raw ones were asked for; not there in an archive that has no corrected positions."""

ROWS_PER_PARTITION: Final = 20_000
"""Regions of a partition at most: it is computed in a second."""


@dataclass(frozen=True)
class Clustering:
    """What clustering gave: the version of the product, and whether it is new."""

    derived: Derived
    is_new: bool

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of its summary."""
        return {k: v for k, v in self.derived.summary.items() if isinstance(v, int)}


def cluster_archive(
    archive: Archive | str,
    plan: Plan | None = None,
    *,
    radius_arcsec: float = RADIUS_ARCSEC,
    ra_decimals: int | None = None,
    dec_decimals: int | None = None,
    rule: str | None = None,
    keep_names: bool | None = None,
    names_from: str | Path | None = None,
    rectified: bool | None = None,
    rows_per_partition: int = ROWS_PER_PARTITION,
) -> Clustering:
    """Make or bring up to date the product ``unique`` of an archive.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path.
    plan : Plan, optional
        Where and how; by default all cores of this machine. Small work is done in this process.
    radius_arcsec : float
        How far neighbours are, at most. Another one than before makes all sources anew; they keep
        their numbers and names where they are the same.
    ra_decimals, dec_decimals : int, optional
        Decimals of the seconds in the names of new sources, 0 to 4; by default as before, or 1
        and 0.
    rule : str, optional
        published (regions within the radius of each other, see method.md) or friends (regions whose
        positions agree within their errors); by default that of the earlier version, or published,
        and friends in archives with observations of Chandra.
    keep_names : bool, optional
        Whether a name that was given stays whatever is added. Otherwise names are always those
        that a new archive of the same observations gives: what is observed later does not change
        them, what was observed earlier does when it is added. By default as before; a new archive
        does not keep them, one with names of another catalogue does.
    names_from : path, optional
        An archive, a release or a table whose names are taken over by the nearest sources within
        the radius, and its numbers too if this archive has no sources yet.
    rectified : bool, optional
        Whether sources are made of the corrected positions and errors of `exod rectify`, rather
        than of those that were measured. By default as was chosen before; else if the archive has
        corrected positions. With other corrected positions all sources are made anew.
    rows_per_partition : int
        A part of the sky with more regions is divided.

    Returns
    -------
    Clustering
        With the earlier version if nothing has changed.

    Raises
    ------
    ConfigError
        If the radius, the decimals or the rule are impossible.
    InputError
        If a table of names cannot be used.
    ArchiveError
        If an archive cannot be read or written.
    """
    if not RADII[0] <= radius_arcsec <= RADII[1]:
        raise ConfigError(
            f"Sources are clustered within {RADII[0]:g} to {RADII[1]:g} arcsec, not "
            f"{radius_arcsec:g}."
        )
    decimals = {"ra_decimals": ra_decimals, "dec_decimals": dec_decimals}
    for number in decimals.values():
        if number is not None and not 0 <= number <= 4:
            raise ConfigError(f"Names have 0 to 4 decimals, not {number}.")
    if rule not in (None, *REACH):
        raise ConfigError(f"Sources are clustered by the rule {' or '.join(REACH)}, not {rule!r}.")
    archive = open_archive(archive)
    adopted = None if names_from is None else read_adopted(names_from)
    earlier = archive.derived("unique")
    if earlier:
        # Names that an earlier program gave stay.
        had = {"rule": PUBLISHED, "names": KEPT} | earlier.parameters
    else:
        had = {"rule": PUBLISHED, "names": "first"}
    if keep_names is None:
        keep_names = adopted is not None or had["names"] == KEPT
    asked = {
        "radius_arcsec": float(radius_arcsec),
        **{
            name: had.get(name, usual) if decimals[name] is None else decimals[name]
            for name, usual in USUAL_DECIMALS.items()
        },
        # Of products of earlier versions dates are those of observations.
        "dates": "events",
        **_rule(archive, rule, had),
        "names": KEPT if keep_names else "first",
    }
    frames = _frames(archive) if takes_corrected(archive, earlier, choice=rectified) else None
    if frames or rectified is False or POSITIONS in had:
        # Nothing is raw by choice.
        asked[POSITIONS] = frames.version if frames else ""
    positions = tuple(frames.of("positions")) if frames else None
    update = Update.of(archive, asked, plan or Plan(), adopted, positions)
    if update.changes.earlier and update.changes.are_none:
        return Clustering(update.changes.earlier, is_new=False)
    with deriving(archive.store, "unique", DERIVED["unique"]) as new:
        update.run(new, rows_per_partition)
    found = archive.derived("unique")
    if found is None:
        raise ArchiveError(f"The sources of {archive.root} are gone; run the same command again.")
    return Clustering(found, is_new=True)


def _rule(archive: Archive, rule: str | None, had: Mapping[str, Any]) -> dict[str, str]:
    """The rule, and in archives of several kinds of errors whether it was asked for."""
    observatories = {mission_of(entry.obsid) for entry in archive.entries()}
    if not any(MISSIONS[name].zones for name in observatories if name):
        return {"rule": rule or str(had["rule"])}
    # A radius for all would join sources that one of the telescopes tells apart.
    if rule or CHOSEN in had:
        return {"rule": rule or str(had["rule"]), CHOSEN: "yes"}
    return {"rule": FRIENDS}


def takes_corrected(archive: Archive, earlier: Derived | None, *, choice: bool | None) -> bool:
    """Whether sources are to be of corrected positions.

    Parameters
    ----------
    archive : Archive
        The archive.
    earlier : Derived, optional
        Its sources.
    choice : bool, optional
        What is asked for; without: as was chosen before, else if there are corrected positions.
    """
    if choice is not None:
        return choice
    if earlier and POSITIONS in earlier.parameters:
        return bool(earlier.parameters[POSITIONS])
    return archive.derived("frames") is not None


def _frames(archive: Archive) -> Derived:
    """The corrected positions of all observations.

    Raises
    ------
    ArchiveError
        If there are none yet, or they are behind.
    """
    found = archive.derived("frames")
    if found is None:
        raise ArchiveError(
            f"The archive {archive.root} has no corrected positions yet; run "
            f"`exod rectify {archive.root}`."
        )
    behind = found.outdated(archive.entries())
    if behind:
        raise ArchiveError(
            f"The corrected positions of {archive.root} are behind by "
            f"{plural(len(behind), 'observation')}; run `exod rectify {archive.root}`, or take raw "
            f"positions (--raw)."
        )
    return found
