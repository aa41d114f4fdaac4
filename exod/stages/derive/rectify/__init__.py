"""Rectify: frames of source lists, or own fits to a catalogue -> positions on the sky.

Observations are read in batches, each a task that writes a part of the tables frames, offsets and
positions. What an earlier version has of observations that did not change is kept; if new pairs
change what circles hold, the circles of all positions are written again, which reads no list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pandas as pd

from exod.archive import Archive, open_archive
from exod.archive.increments import Changes, NewVersion, deriving, write_part
from exod.astrometry.frameprior import NO_PRIOR, Prior
from exod.counterparts.cache import cache_folder
from exod.counterparts.opened import open_catalogue
from exod.counterparts.service import Services
from exod.counterparts.wanted import Own, Wanted, wanted_catalogues
from exod.errors import ConfigError
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import Plan
from exod.schemas import DERIVED, FRAMES, OFFSETS, POSITIONS
from exod.stages.derive.batched import (
    BatchDone,
    BatchedMade,
    Obsids,
    collect,
    divided,
    part_name,
    published,
    run_batches,
    task_name,
)
from exod.stages.derive.rectify.calibration import (
    DOCUMENTED,
    Calibrations,
    with_circles,
)
from exod.stages.derive.rectify.fitting import ARCHIVE, WITHOUT, Fitting, prior_of, rectified
from exod.stages.derive.rectify.rows import SHIFTS, frame_row, offset_rows, position_rows
from exod.stages.derive.rectify.sourcelists import ListPlaces
from exod.stages.derive.rectify.written import calibrate_circles, summary_of, write_circles

PRODUCT: Final = "frames"

NO_CATALOGUE: Final = "none"
"""In place of a catalogue: only frames of headers."""

BATCH_SOURCES: Final = 10_000
BATCH_OBSERVATIONS: Final = 100
"""Known sources and observations of a batch at most; a single one may have more."""

_VERSION: Final = 3
"""Of what the tables mean; with another one they are made anew."""


@dataclass(frozen=True)
class RectifySettings:
    """How an archive is rectified.

    Attributes
    ----------
    catalogue : str, optional
        As `exod crossmatch --with` takes it, or `NO_CATALOGUE`; by default that of the earlier
        version, or none.
    prior : str
        archive (frames of headers tell what others may be) or none.
    lists : Path, optional
        Folder of source lists that are not where the search read them; all is then made anew.
    cache : Path
        Where imported tables and answers are kept.
    services : Services
        Where the services are.
    options : dict
        Of the fsspec file systems of source lists.
    say : callable
        Is told how far a service is, a sentence.
    """

    catalogue: str | None = None
    prior: str = ARCHIVE
    lists: Path | None = None
    cache: Path = field(default_factory=cache_folder)
    services: Services = field(default_factory=Services)
    options: Mapping[str, Any] = field(default_factory=dict)
    say: Callable[[str], None] = lambda _sentence: None


class FramesMade(BatchedMade):
    """What became of the frames of an archive."""

    @property
    def counts(self) -> dict[str, int]:
        """Observations with each kind of frame, and other numbers of the summary."""
        return {k: v for k, v in self.derived.summary.items() if isinstance(v, int)}

    @property
    def reasons(self) -> dict[str, int]:
        """The most common reasons why there is no better frame, with how many have them."""
        return cast("dict[str, int]", self.derived.summary["reasons"])

    @property
    def calibration(self) -> Calibrations:
        """What circles are made with, by mission and kind of frame, where there are some."""
        every = cast("Calibrations", self.derived.parameters["calibration"])
        there = cast("dict[str, list[str]]", self.derived.summary["missions"])
        return {
            mission: {kind: every[mission][kind] for kind in kinds if kind in every[mission]}
            for mission, kinds in there.items()
        }


def rectify_archive(
    archive: Archive | str,
    plan: Plan | None = None,
    settings: RectifySettings | None = None,
    *,
    on_total: Callable[[int], None] = lambda _n: None,
    on_batch: Callable[[BatchDone], None] = lambda _done: None,
) -> FramesMade:
    """Bring the product ``frames`` of an archive up to date.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path.
    plan : Plan, optional
        Where and how; by default all cores of this machine.
    settings : RectifySettings, optional
        What is fitted to, and where things are.
    on_total, on_batch : callable
        Are told how many observations are to be read, and of each batch that ended.

    Raises
    ------
    ConfigError
        If a setting is impossible or the catalogue is not known.
    InputError
        If the catalogue cannot be read.
    ArchiveError
        If the archive cannot be opened, the earlier version is damaged, or nothing can be written.
    """
    plan, settings = plan or Plan(), settings or RectifySettings()
    if settings.prior not in (ARCHIVE, WITHOUT):
        raise ConfigError(f"The prior is {ARCHIVE} or {WITHOUT}, not {settings.prior!r}.")
    archive = open_archive(archive)
    earlier, entries = archive.derived(PRODUCT), archive.entries()
    text = settings.catalogue or (str(earlier.parameters["with"]) if earlier else NO_CATALOGUE)
    wanted = _wanted(text)
    parameters = {
        "version": _VERSION,
        "catalogue": _fingerprint(wanted, settings),
        "prior": settings.prior if wanted else WITHOUT,
    }
    changes = Changes.since(earlier, entries, parameters, force=settings.lists is not None)
    on_total(len(changes.todo))
    if earlier and changes.are_none:
        return FramesMade(earlier, 0, len(entries))
    places = ListPlaces.of(settings.lists, settings.options)
    fitting = Fitting(wanted, NO_PRIOR, places, settings.cache, settings.services)
    work = _Rectifying(archive, plan, changes, fitting)
    prior = work.prior(settings.prior if wanted else WITHOUT)
    work = replace(work, fitting=replace(fitting, prior=prior))
    with deriving(archive.store, PRODUCT, DERIVED[PRODUCT]) as new:
        new.attempts = changes.attempts
        new.files = [f for table in DERIVED[PRODUCT] for f in changes.kept(table.name)]
        n_kept = len(new.attempts)
        failures = collect(new, work.run(new), on_batch)
        calibration = calibrate_circles(archive.store, new)
        write_circles(archive.store, new, work.calibration, calibration)
        new.parameters = {
            **parameters,
            "with": text,
            "fitted_with": [prior.shift_arcsec, prior.rotation_deg, prior.reach_arcsec],
            "calibration": calibration,
        }
        new.summary = summary_of(archive.store, new)
    n_read = len(new.attempts) - n_kept
    waiting = len(changes.todo) - n_read - len(failures)
    return FramesMade(published(archive, PRODUCT), n_read, n_kept, waiting, failures)


def _wanted(text: str) -> Wanted | None:
    return None if text == NO_CATALOGUE else wanted_catalogues([text], Own())[0]


def _fingerprint(wanted: Wanted | None, settings: RectifySettings) -> str:
    """Of the content of the catalogue; whatever is wrong with it is told before any work."""
    if wanted is None:
        return ""
    opened = open_catalogue(wanted, settings.cache, settings.services, say=settings.say)
    return f"{opened.catalogue.fingerprint} {opened.fingerprint}"


@dataclass(frozen=True)
class _Rectifying:
    """What is to be done."""

    archive: Archive
    plan: Plan
    changes: Changes
    fitting: Fitting

    @property
    def calibration(self) -> Calibrations:
        """What the circles of the earlier version were written with."""
        if self.changes.anew or self.changes.earlier is None:
            return DOCUMENTED
        return self.changes.earlier.parameters["calibration"]  # type: ignore[return-value]

    @property
    def divided(self) -> list[Obsids]:
        return divided(self.changes.todo, "known_sources", BATCH_SOURCES, BATCH_OBSERVATIONS)

    def prior(self, kind: str) -> Prior:
        """The prior of fits: that of the earlier version, or what all headers say."""
        if kind == WITHOUT:
            return NO_PRIOR
        if not self.changes.anew and self.changes.earlier is not None:
            return Prior(*self.changes.earlier.parameters["fitted_with"])  # type: ignore[misc]
        headers = replace(self.fitting, wanted=None)
        task = partial(_headers, archive=self.archive, fitting=headers)
        found = [np.empty((0, 3))]
        wanted, name = self.divided, partial(task_name, "headers")
        for done in run_tasks(task, wanted, self.plan.fitting(len(wanted)), name=name):
            # What cannot be read is told when it is fitted.
            found += [done.result] if done.result is not None else []
        return prior_of(np.concatenate(found))

    def run(self, new: NewVersion) -> Iterator[BatchDone]:
        """The observations in batches, each a task."""
        task = partial(
            _derive,
            archive=self.archive,
            fitting=self.fitting,
            folder=new.folder,
            calibration=dict(self.calibration),
        )
        return run_batches(task, self.divided, self.plan, "rectify")


def _headers(batch: Obsids, archive: Archive, fitting: Fitting) -> np.ndarray:
    """Shifts and rotations of the headers of a batch."""
    found = (one.known.header.frame for _, one in rectified(archive, batch, fitting)[0])
    return np.array(
        [[getattr(frame, name) for name in SHIFTS] for frame in found if frame]
    ).reshape(-1, 3)


def _derive(
    batch: Obsids,
    archive: Archive,
    fitting: Fitting,
    folder: str,
    calibration: Calibrations,
) -> BatchDone:
    """Read the observations of a batch and write their parts of the tables."""
    found, failures = rectified(archive, batch, fitting)
    if not found:
        return BatchDone((), {}, failures)
    regions = {
        str(one.about["obsid"]): archive.observation(str(one.about["obsid"]), "regions")["regions"]
        for _, one in found
    }
    rows = {
        FRAMES: FRAMES.frame([frame_row(one) for _, one in found]),
        OFFSETS: pd.concat([offset_rows(one) for _, one in found], ignore_index=True),
        POSITIONS: with_circles(
            pd.concat(
                [position_rows(one, regions[str(one.about["obsid"])]) for _, one in found],
                ignore_index=True,
            ),
            calibration,
        ),
    }
    part = part_name(batch)
    files = tuple(
        write_part(archive.store, folder, table, table.frame(some), part)
        for table, some in rows.items()
        if len(some)
    )
    return BatchDone(files, {str(one.about["obsid"]): attempt for attempt, one in found}, failures)
