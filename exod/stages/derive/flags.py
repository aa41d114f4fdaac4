"""Flags: features, rates and the table of excluded observations -> quality flags of each region.

Two passes over batches of observations: the first notes where regions are on the detector; hot
regions are found; the second sets flags. Rows of unchanged observations are kept, and if the hot
regions changed, only that flag of them is set anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from exod.archive import Archive, open_archive
from exod.archive.derived import Derived
from exod.archive.increments import Changes, batches, compute_all, deriving, write_part
from exod.archive.ledger.entry import LedgerEntry
from exod.errors import ArchiveError
from exod.scheduler.plan import Plan
from exod.schemas import DERIVED, FLAGS, REGIONS
from exod.schemas.derived import DETECTOR, HOT_REGIONS
from exod.schemas.votes import VETTED
from exod.stages.derive.flagtasks import (
    FlagBatch,
    FlagSettings,
    FlagTask,
    Kept,
    are_same,
    boxes_of,
    find_boxes,
    flag,
    place,
    set_again,
    settings_of,
    summary,
)
from exod.stages.derive.verdicts import VET_LABELS, digest_of, vetted_regions

__all__ = ["FlagSettings", "FlagsMade", "make_flags"]

BATCH_REGIONS: Final = 5_000
BATCH_OBSERVATIONS: Final = 200
"""Regions and observations of a task, at most."""

MAX_PARTS: Final = 200
"""Parts of a table, above which those of earlier versions are put together."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class FlagsMade:
    """What became of the flags of an archive.

    Attributes
    ----------
    version : str
        The version that is current now.
    summary : dict
        Numbers: ``regions``, ``hot_regions`` of the detector, and of regions with each flag.
    left_out : tuple of str
        Observations with regions whose features are missing or old.
    """

    version: str
    summary: Mapping[str, Any]
    left_out: tuple[str, ...] = ()


def make_flags(
    archive: Archive | str,
    settings: FlagSettings | None = None,
    plan: Plan | None = None,
    *,
    force: bool = False,
) -> FlagsMade:
    """Set the quality flags of all regions of an archive.

    Parameters
    ----------
    archive : Archive or str
        The archive, with features, or its path.
    settings : FlagSettings, optional
        By default those of the earlier version; if there is none, the published ones
        (method.md, Flags) with the excluded observations that come with exod.
    plan : Plan, optional
        Where and how; by default all cores of this machine.
    force : bool
        Make all anew, also what did not change.

    Returns
    -------
    FlagsMade
        The current version of the product; the earlier one if there was nothing to do.
        Observations whose features are missing or old are left out.

    Raises
    ------
    ArchiveError
        If there are no features at all, or something cannot be read.
    """
    archive = open_archive(archive)
    earlier = archive.derived("flags")
    if settings is None:
        settings = settings_of(earlier.parameters) if earlier else FlagSettings()
    features = archive.derived("features")
    if features is None:
        raise ArchiveError(
            f"Flags need features, and {archive.root} has none yet; run `exod features "
            f"{archive.root}` first."
        )
    entries, left_out = _ready(archive.entries(), features)
    parameters = {**settings.described(), "features": features.parameters}
    changes = Changes.since(earlier, entries, parameters, force=force)
    vetted = vetted_regions(archive) if settings.verdicts else None
    digest = digest_of(vetted)
    if earlier and changes.are_none and earlier.parameters.get("verdicts", "") == digest:
        return FlagsMade(earlier.version, earlier.summary, left_out)
    with deriving(archive.store, "flags", DERIVED["flags"]) as new:
        new.attempts = {entry.obsid: entry.attempt for entry in entries}
        new.parameters = parameters | ({"verdicts": digest} if digest else {})
        run = partial(_run, plan or Plan(), FlagTask(archive, new.folder, settings))
        todo = _batches(changes.todo)
        kept = _kept(changes, first=len(todo))
        placed = run(place, todo)
        positions = [position for part in kept for _, position in part.files]
        boxes = find_boxes(archive, [*positions, *placed], settings)
        same = not changes.anew and are_same(boxes, boxes_of(archive))
        if same and len(kept) <= MAX_PARTS:
            old = [file for part in kept for pair in part.files for file in pair]
        else:
            again = run(partial(set_again, boxes=boxes), _together(kept))
            old = [file for pair in again for file in pair]
        flagged = run(partial(flag, boxes=boxes), todo)
        new.files += [*old, *placed, *flagged]
        new.files.append(write_part(archive.store, new.folder, HOT_REGIONS, boxes, "all"))
        new.summary = summary(archive.store, new.files, boxes)
        if vetted is not None:
            new.files.append(write_part(archive.store, new.folder, VETTED, vetted, "all"))
            new.summary |= {name: int(vetted[name].sum()) for name in VET_LABELS}
    return FlagsMade(new.version, new.summary, left_out)


def _ready(
    entries: Iterable[LedgerEntry], features: Derived
) -> tuple[list[LedgerEntry], tuple[str, ...]]:
    """Observations whose features are current or not needed, and the others."""
    ready, left_out = [], []
    for entry in entries:
        current = features.attempts.get(entry.obsid) == entry.attempt
        if current or not entry.rows("regions"):
            ready.append(entry)
        else:
            left_out.append(entry.obsid)
    return ready, tuple(left_out)


# -------------------------------------------------------------------- what is to be done


def _batches(entries: Iterable[LedgerEntry]) -> list[FlagBatch]:
    """Observations with regions in order of obsid, some together."""
    some = (entry for entry in entries if entry.rows(REGIONS.name))
    return [
        FlagBatch(_name(group[0].obsid, group[-1].obsid, number), tuple(e.obsid for e in group))
        for number, group in enumerate(
            batches(some, REGIONS.name, BATCH_REGIONS, BATCH_OBSERVATIONS)
        )
    ]


def _name(first: str, last: str, number: int) -> str:
    """Name of a part: its first and last observation, and a number within its version."""
    return f"{first}-{last}.{number}"


def _ends(name: str) -> tuple[str, str, int]:
    """What `_name` was made of.

    Examples
    --------
    >>> _ends("0001730201-28964.3")
    ('0001730201', '28964', 3)
    """
    span, _, number = name.rpartition(".")
    first, _, last = span.partition("-")
    return first, last, int(number)


def _kept(changes: Changes, first: int) -> list[Kept]:
    """Parts of the earlier version, without observations that changed."""
    pairs = zip(changes.kept(FLAGS.name), changes.kept(DETECTOR.name), strict=True)
    return [
        Kept(_name(*_ends(pair[0].part)[:2], number), (pair,))
        for number, pair in enumerate(pairs, start=first)
    ]


def _together(kept: Sequence[Kept]) -> list[Kept]:
    """The same parts, those of many small versions put together."""
    if len(kept) <= MAX_PARTS:
        return list(kept)
    step = -(-len(kept) // max(MAX_PARTS // 4, 1))
    found = []
    for start in range(0, len(kept), step):
        group = kept[start : start + step]
        files = tuple(pair for part in group for pair in part.files)
        ends = [_ends(part.part) for part in group]
        low, high = min(end[0] for end in ends), max(end[1] for end in ends)
        found.append(Kept(_name(low, high, ends[0][2]), files))
    return found


def _run(
    plan: Plan, task: FlagTask, function: Callable[..., Result], items: Sequence[FlagBatch | Kept]
) -> list[Result]:
    """Do all items, each a task; in the order of their parts."""
    verb = getattr(function, "func", function).__name__
    items = sorted(items, key=lambda item: item.part)
    return compute_all(
        partial(function, task=task), items, plan, lambda item: f"flags-{verb}-{item.part}"
    )
