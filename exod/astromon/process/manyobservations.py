"""Many observations of Chandra, each a task, with a record of each in its folder."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from astropy.table import Table, vstack

from exod import __version__
from exod.astromon import db
from exod.astromon.observation import ChandraObservation
from exod.astromon.process.programs import LIMIT_H
from exod.astromon.process.workfiles import found, name_of_filtered, subfolder
from exod.astromon.stored import replace_observations
from exod.astromon.tables import DTYPES
from exod.astromon.utils import FlowException, MissingTableException
from exod.errors import ConfigError, ExodError, InputError
from exod.files.text import read_text
from exod.files.whole import write_whole
from exod.scheduler import Done
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import Plan

RECORD: Final = "process.json"
"""File in the folder of an observation that says what became of it."""

_BATCH: Final = 100
"""Observations whose rows are saved together: a save writes the whole table."""


@dataclass(frozen=True)
class ProcessSettings:
    """How observations are processed; see `exod.astromon.observation.Observation`.

    Attributes
    ----------
    workdir : Path
        Gets a folder an observation; all workers must see it.
    source : str
        archive or arc5gl.
    ciao_prefix : str, optional
        Where CIAO is.
    use_ciao : bool
        Whether CIAO is used if it is there.
    archive_dir : Path, optional
        Gets what is worth keeping.
    archive_url : str, optional
        Address of the public archive.
    ciao_limit_h : float
        Hours after which a program of CIAO that has not ended is stopped.
    """

    workdir: Path
    source: str = "archive"
    ciao_prefix: str | None = None
    use_ciao: bool = True
    archive_dir: Path | None = None
    archive_url: str | None = None
    ciao_limit_h: float = LIMIT_H

    def observation(self, obsid: str) -> ChandraObservation:
        """An observation with these settings."""
        return ChandraObservation(obsid, **asdict(self))

    @property
    def deciding(self) -> dict[str, Any]:
        """What the results depend on."""
        return {"ciao_prefix": self.ciao_prefix, "use_ciao": self.use_ciao}


@dataclass(frozen=True)
class Processed:
    """What became of one observation.

    Attributes
    ----------
    obsid : str
        The observation.
    status : str
        OK, EMPTY (no sources), SKIPPED (not searched) or FAILED.
    reason : str
        Why it was skipped or failed.
    n_sources : int
        Sources of celldetect.
    route : str
        ciao or native.
    seconds : float
        Time it took.
    is_new : bool
        Whether it was processed now.
    """

    obsid: str
    status: str
    reason: str = ""
    n_sources: int = 0
    route: str = ""
    seconds: float = 0.0
    is_new: bool = True


def process_many(
    obsids: Sequence[str],
    settings: ProcessSettings,
    plan: Plan | None = None,
    *,
    dbfile: Path | None = None,
    force: bool = False,
    retry_failed: bool = False,
) -> Generator[Processed, None, None]:
    """Process observations and save their rows.

    What is done with the same settings is not done again, so that the same call continues after an
    interruption.

    Parameters
    ----------
    obsids : sequence of str
        Numbers.
    settings : ProcessSettings
        How.
    plan : Plan, optional
        Where; by default all cores of this machine.
    dbfile : Path, optional
        Gets the rows of astromon_obs and astromon_xray_src.
    force : bool
        Process again what is done.
    retry_failed : bool
        Process again what failed.

    Yields
    ------
    Processed
        In order of completion, those that are done first.

    Raises
    ------
    InputError
        If an obsid is no number, or rows cannot be saved.
    """
    wanted = list(dict.fromkeys(subfolder(obsid).name for obsid in obsids))
    earlier = (
        {}
        if force
        else {
            obsid: record
            for obsid in wanted
            if (record := read_record(obsid, settings)) is not None
            and not (retry_failed and record.status == "FAILED")
        }
    )
    waiting = [obsid for obsid in wanted if obsid not in earlier]
    rows = _RowsOfObservations(settings, dbfile)
    try:
        for record in earlier.values():
            rows.add(record)
            yield record
        fitting = (plan or Plan()).fitting(len(waiting))
        for done in run_tasks(
            partial(process_one, settings=settings),
            waiting,
            fitting,
            name=lambda obsid: f"astromon-{obsid}",
        ):
            processed = done.result or _failed(done, settings)
            rows.add(processed)
            yield processed
    finally:
        rows.save()


def wanted_obsids(obsids: Iterable[str], file: Path | None = None) -> list[str]:
    """Obsids of a command line: given, and from a file with one a line.

    Raises
    ------
    ConfigError
        If the file cannot be read, an obsid is no number, or there is none.
    """
    given = list(obsids)
    if file is not None:
        lines = read_text(file, "The list of observations").splitlines()
        given += [line.partition("#")[0].strip() for line in lines]
    try:
        found_obsids = [subfolder(obsid).name for obsid in given if obsid]
    except InputError as error:
        raise ConfigError(str(error)) from error
    if not found_obsids:
        raise ConfigError("No observation is given; give obsids, or a list with --from FILE.")
    return list(dict.fromkeys(found_obsids))


def process_one(obsid: str, settings: ProcessSettings) -> Processed:
    """Process an observation from its beginning, and record what became of it."""
    began = time.perf_counter()
    clear(settings.workdir.expanduser() / subfolder(obsid))
    route = ""
    try:
        observation = settings.observation(obsid)
        route = "native" if observation.ciao is None else "ciao"
        observation.process()
        n_sources = len(observation.get_sources())
        if settings.archive_dir is not None:
            observation.archive()
        done = Processed(obsid, "OK" if n_sources else "EMPTY", "", n_sources, route)
    except FlowException as reason:
        done = Processed(obsid, "SKIPPED", f"It is skipped: {reason}.", 0, route)
    except ExodError as error:
        done = Processed(obsid, "FAILED", str(error), 0, route)
    done = replace(done, seconds=round(time.perf_counter() - began, 3))
    write_record(done, settings)
    return done


def clear(folder: Path) -> None:
    """Remove what an earlier run made of an observation, unless it was broken off.

    A run that was broken off has no record, and what it finished is used.
    """
    if not (folder / RECORD).exists():
        return
    (folder / RECORD).unlink()
    for name in ("images", "sources"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for events in found(folder, "primary/*_evt2.fits*"):
        name_of_filtered(events).unlink(missing_ok=True)


def write_record(done: Processed, settings: ProcessSettings) -> None:
    """Write what became of an observation into its folder."""
    folder = settings.workdir.expanduser() / subfolder(done.obsid)
    entry = asdict(done) | {
        "version": __version__,
        "settings": settings.deciding,
        "events": _events(folder),
    }
    del entry["is_new"]
    write_whole(folder / RECORD, f"{json.dumps(entry, indent=2)}\n")


def read_record(obsid: str, settings: ProcessSettings) -> Processed | None:
    """What became of an observation with these settings and its event list; None if nothing."""
    folder = settings.workdir.expanduser() / subfolder(obsid)
    try:
        entry = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if entry.pop("settings") != settings.deciding or entry.pop("events") != _events(folder):
            return None
        del entry["version"]
        return Processed(**entry, is_new=False)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _events(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in found(folder, "primary/*_evt2.fits*")}


def _failed(done: Done[str, Processed], settings: ProcessSettings) -> Processed:
    failed = Processed(done.item, "FAILED", done.reason)
    write_record(failed, settings)
    return failed


class _RowsOfObservations:
    """Rows of the tables, saved some observations at a time."""

    def __init__(self, settings: ProcessSettings, dbfile: Path | None) -> None:
        self._settings, self._dbfile = settings, dbfile
        self._waiting: list[Processed] = []
        self._there: dict[int, int] = {}
        self._when = 0.0
        if dbfile is not None and dbfile.exists():
            self._there, self._when = _saved(dbfile), dbfile.stat().st_mtime

    def add(self, done: Processed) -> None:
        """Take an observation whose rows are to be saved, unless they are.

        What failed keeps the rows that it had; what is skipped has none.
        """
        if self._dbfile is None or done.status == "FAILED" or self._is_saved(done):
            return
        self._waiting.append(done)
        if len(self._waiting) >= _BATCH:
            self.save()

    def _is_saved(self, done: Processed) -> bool:
        n_rows = self._there.get(int(done.obsid))
        if done.status == "SKIPPED":
            return n_rows is None
        # It may have been processed again without the tables.
        return not done.is_new and n_rows == done.n_sources and not self._is_later(done)

    def _is_later(self, done: Processed) -> bool:
        """Whether it was recorded after the tables were written."""
        record = self._settings.workdir.expanduser() / subfolder(done.obsid) / RECORD
        return record.stat().st_mtime > self._when

    def save(self) -> None:
        """Save what waits."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        searched = [one.obsid for one in waiting if one.status != "SKIPPED"]
        observations = [self._settings.observation(obsid) for obsid in searched]
        sources = [observation.get_sources() for observation in observations]
        none = db.create_table("astromon_xray_src")
        stacked = vstack(sources, metadata_conflicts="silent") if sources else none
        infos = (observation.get_info() for observation in observations)
        replace_observations(
            [int(one.obsid) for one in waiting],
            # Observations last: who is in that table has all its rows.
            {
                "astromon_xray_src": stacked,
                "astromon_obs": observation_rows(infos),
            },
            self._dbfile,
        )


def _saved(dbfile: Path) -> dict[int, int]:
    """Observations that the tables have, with their numbers of sources."""
    try:
        obsids = db.get_table("astromon_obs", dbfile)["obsid"].tolist()
        counts = Counter(db.get_table("astromon_xray_src", dbfile)["obsid"].tolist())
    except MissingTableException:
        return {}
    return {obsid: counts[obsid] for obsid in obsids}


def observation_rows(infos: Iterable[dict[str, Any]]) -> Table:
    """Rows of astromon_obs from what `Observation.get_info` tells."""
    names = DTYPES["astromon_obs"].names or ()
    kept = [{name: info.get(name, "") for name in names} for info in infos]
    for row in kept:
        row["sim_z"] = float(row["sim_z"] or "nan")
        row["tstart"] = float(row["tstart"] or "nan")
    return Table(rows=kept, names=names)
