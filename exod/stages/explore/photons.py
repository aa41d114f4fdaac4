"""The photons near each source, from the event lists of all observations that covered it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive import Archive
from exod.archive.derived import Derived, DerivedFile
from exod.archive.parquet import to_arrow
from exod.archive.questions.comparing import comparing
from exod.archive.questions.detections import Rows
from exod.archive.snapshot import Snapshot
from exod.errors import ExodError, InputError
from exod.pps import ObservationFiles, find_observations, local_copies
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import Plan
from exod.schemas.arrays import Floats, Integers, Mask
from exod.schemas.explorer import NEAR_PHOTONS
from exod.search.places import photons_near
from exod.stages.detect.read import read_observation
from exod.stages.explore.coverage import read_columns
from exod.stages.places.recorded import recorded_files

RECORDED: Final = "recorded"
"""In place of a folder: the event lists are where the ledger says that the search read them."""

RADIUS_ARCSEC: Final = 60.0
PHOTON_ROWS: Final = 16_384
"""Rows of a row group, of which the photons of most sources need one or two."""

_VERSION: Final = 1
"""Of what its rows mean; with another one event lists are read again."""

UNIT_ARCSEC: Final = 0.05
"""Of the distances: with two bytes they reach half a degree."""


@dataclass(frozen=True)
class CoveredField:
    """The sources that an observation covered.

    Attributes
    ----------
    obsid : str
        The observation.
    region_num : ndarray of int64, shape (n,)
        Their numbers.
    ra_deg, dec_deg : ndarray of float64, shape (n,)
        Their positions.
    files : ObservationFiles, optional
        Its event lists; without them those that the ledger names are read.
    """

    obsid: str
    region_num: Integers
    ra_deg: Floats
    dec_deg: Floats
    files: ObservationFiles | None = None


@dataclass(frozen=True)
class PhotonsKept:
    """What is to become of the photons of the earlier version of the pages.

    Attributes
    ----------
    place : str
        Where the event lists are; empty if photons are not wanted.
    files : tuple of DerivedFile
        What is still right of the earlier version.
    left_out : dict of str to str
        Observations whose photons are not there, with the reason where it is known.
    is_complete : bool
        Whether no event list has to be read.
    """

    place: str
    files: tuple[DerivedFile, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    is_complete: bool = False

    @classmethod
    def of(
        cls,
        earlier: Derived | None,
        asked: str | None,
        attempts: Mapping[str, str],
        unique: str,
    ) -> PhotonsKept:
        """Compare the earlier version with what is asked for.

        Parameters
        ----------
        earlier : Derived, optional
            The earlier version of the pages.
        asked : str, optional
            Where event lists are; by default where they were for the earlier version. Asked again,
            observations are tried again that were left out.
        attempts : dict of str to str
            The attempts of the observations of the archive.
        unique : str
            The version of the sources.
        """
        before: dict[str, Any] = dict(earlier.parameters) if earlier else {}
        place = before.get("photons", "") if asked is None else _absolute(asked)
        if not place:
            return cls("", is_complete=True)
        about: Any = earlier.summary.get("photons", {}) if earlier else {}
        out = dict.fromkeys(about.get("left_out", ()), "It was left out before.")
        same = earlier is not None and earlier.attempts == attempts
        same = same and about.get("version") == _VERSION and before.get("photons") == place
        same = same and before["parts"]["unique"] == unique and not (asked and out)
        if earlier is None or not same:
            return cls(place)
        return cls(place, tuple(earlier.of(NEAR_PHOTONS.name)), out, is_complete=True)

    @property
    def summary(self) -> dict[str, Any]:
        """What is noted of the photons; where files were is nothing for readers of pages."""
        if not self.place:
            return {}
        return {
            "version": _VERSION,
            "radius_arcsec": RADIUS_ARCSEC,
            "unit_arcsec": UNIT_ARCSEC,
            "left_out": sorted(self.left_out),
        }


def _absolute(place: str) -> str:
    """A place that means the same from another folder."""
    return place if place == RECORDED or "://" in place else str(Path(place).resolve())


@dataclass
class NearPhotons:
    """Photons near sources in a scratch file, in the order in which observations were read.

    Attributes
    ----------
    path : Path
        The file.
    rows : int
        Photons.
    left_out : dict of str to str
        Observations that are not in it, with the reason.
    """

    path: Path
    rows: int = 0
    left_out: dict[str, str] = field(default_factory=dict)

    def chunks(self) -> Iterator[pa.Table]:
        """The photons in order of source and time, some at a time."""
        names = ", ".join(NEAR_PHOTONS.schema.names)
        order = ", ".join(NEAR_PHOTONS.sort_by)
        with comparing(near=self.path) as connection:
            found = connection.sql(f"SELECT {names} FROM near ORDER BY {order}")  # noqa: S608
            with found.to_arrow_reader(PHOTON_ROWS) as reader:
                for batch in reader:
                    yield pa.Table.from_batches([batch]).cast(NEAR_PHOTONS.schema)


def gather_photons(
    archive: Archive,
    fields: Sequence[CoveredField],
    place: str,
    path: Path,
    plan: Plan,
    on_step: Callable[[str], None] = lambda _what: None,
) -> NearPhotons:
    """Read the photons near the sources of an archive, each observation a task.

    Parameters
    ----------
    archive : Archive
        The archive, with the settings of its search.
    fields : sequence of CoveredField
        The observations.
    place : str
        Folder or URL of the event lists, or `RECORDED`.
    path : Path
        A file that is written.
    plan : Plan
        Where and how.
    on_step : callable
        Is told how far it is.

    Returns
    -------
    NearPhotons
        Without observations whose event lists are gone or damaged.

    Raises
    ------
    InputError
        If there are no event lists at all in the folder.
    """
    found = NearPhotons(path)
    wanted = [*_with_files(fields, place, found.left_out)]
    task = partial(_near, archive=archive)
    ended = 0
    with pq.ParquetWriter(path, NEAR_PHOTONS.schema, compression="zstd") as sink:
        for done in run_tasks(task, wanted, plan.fitting(len(wanted)), name=_name):
            ended += 1
            on_step(f"Reading photons, {ended} of {len(wanted)} observations")
            if done.result is None:
                found.left_out[done.item.obsid] = done.reason
            else:
                found.rows += len(done.result)
                sink.write_table(done.result)
    for missing in {item.obsid for item in wanted} - found.left_out.keys() if plan.stop else ():
        found.left_out[missing] = "The work was interrupted."
    return found


def covered_fields(snapshot: Snapshot, coverage: pd.DataFrame) -> list[CoveredField]:
    """The sources of each observation.

    Parameters
    ----------
    snapshot : Snapshot
        The archive.
    coverage : DataFrame
        Rows of `exod.schemas.explorer.COVERAGE`.
    """
    sources = read_columns(Rows(snapshot, "sources"), "region_num", "ra_deg", "dec_deg")
    positions = sources.set_index("region_num")
    fields = []
    for obsid, rows in coverage.groupby("obsid"):
        numbers = np.sort(rows["region_num"].to_numpy(np.int64))
        own = positions.loc[numbers]
        ra, dec = (own[name].to_numpy(float) for name in ("ra_deg", "dec_deg"))
        fields.append(CoveredField(str(obsid), numbers, ra, dec))
    return fields


def _name(item: CoveredField) -> str:
    return f"photons-{item.obsid}"


def _with_files(
    fields: Sequence[CoveredField], place: str, left_out: dict[str, str]
) -> Iterator[CoveredField]:
    if place == RECORDED:
        yield from fields
        return
    observations, problems = find_observations([place])
    if not observations:
        why = str(problems[0]) if problems else "Nothing is there."
        raise InputError(f"There are no event lists in {place}, which photons are read of. {why}")
    files = {item.obsid: item for item in observations}
    for item in fields:
        if item.obsid in files:
            where = item.region_num, item.ra_deg, item.dec_deg, files[item.obsid]
            yield CoveredField(item.obsid, *where)
        else:
            left_out[item.obsid] = f"There are no event lists of {item.obsid} in {place}."


def _near(item: CoveredField, archive: Archive) -> pa.Table:
    """The photons near the sources of an observation."""
    files = item.files or recorded_files(archive, item.obsid)
    with local_copies(files) as here:
        observation = read_observation(here, archive.config)
    if not observation.subsets:
        raise ExodError(f"No exposure of {item.obsid} can be read: {observation.why_not}")
    bad = archive.observation(item.obsid, "bti", "runs")
    parts = [NEAR_PHOTONS.schema.empty_table()]
    for events in observation.subsets:
        place, photon, dx, dy = photons_near(events, item.ra_deg, item.dec_deg, RADIUS_ARCSEC)
        cameras = np.array([exposure.instrument for exposure in events.exposures])
        time = events.time[photon]
        rows = pd.DataFrame(
            {
                "region_num": item.region_num[place],
                "obsid": item.obsid,
                "camera": cameras[events.source[photon]],
                "time": time,
                "pi": events.pi[photon],
                "dx": np.rint(dx / UNIT_ARCSEC).astype(np.int16),
                "dy": np.rint(dy / UNIT_ARCSEC).astype(np.int16),
                "in_bti": in_bad_time(time, events.number, bad["runs"], bad["bti"]),
            }
        )
        parts.append(to_arrow(NEAR_PHOTONS, rows, NEAR_PHOTONS.name))
    return pa.concat_tables(parts)


def in_bad_time(time: Floats, subset: int, runs: pd.DataFrame, bti: pd.DataFrame) -> Mask:
    """Whether times are in a bad interval of the run of a subset with the shortest frames.

    Parameters
    ----------
    time : ndarray of float64, shape (n,)
        Mission elapsed seconds.
    subset : int
        The subset.
    runs, bti : DataFrame
        Those tables of the observation.
    """
    own = runs[runs["subset"] == subset].sort_values("t_bin", kind="stable")
    bti = bti[bti["runid"].isin(own["runid"].iloc[:1])].sort_values("START")
    start, stop = (bti[name].to_numpy(float) for name in ("START", "STOP"))
    number = np.searchsorted(start, time, "right") - 1
    inside = np.zeros(len(time), bool)
    some = number >= 0
    inside[some] = time[some] < stop[number[some]]
    return inside
