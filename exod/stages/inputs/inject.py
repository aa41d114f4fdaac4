"""Put sources into the event lists of observations: the same files with more rows elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from exod import __version__
from exod.errors import ConfigError, ExposureRejected
from exod.files.text import read_text
from exod.files.whole import whole_folder
from exod.instruments import CAMERAS
from exod.observation.availability import Availability
from exod.pps import ObservationFiles, find_observations, local_copies, read_event_list
from exod.pps.additions import with_new_rows
from exod.pps.fits.extensions import read_availability
from exod.simulate.injection.inject import InjectedList, inject_in_memory
from exod.simulate.injection.requests import (
    SourceRequest,
    parse_source,
    requests_from_csv,
    requests_from_toml,
    unique,
)
from exod.simulate.injection.targets import Target
from exod.simulate.models import SourceModel
from exod.tablefiles.csvtext import csv_text


@dataclass(frozen=True)
class InjectedObservation:
    """What `inject_files` wrote of an observation.

    Attributes
    ----------
    obsid : str
        Observation identifier.
    paths : tuple of Path
        The files: event lists, source lists, and the table of what was put in.
    truth : pandas.DataFrame
        As of `exod.simulate.injection.inject.injection_table`, with the text of the light curves as
        `light`.
    notes : tuple of str
        Event lists that were copied without new rows, with the reason.
    """

    obsid: str
    paths: tuple[Path, ...]
    truth: pd.DataFrame
    notes: tuple[str, ...]


def inject_files(
    paths: Sequence[str | Path],
    to: str | Path,
    requests: Sequence[SourceRequest],
    seed: int,
    *,
    tables: str | Path = "",
    options: Mapping[str, Any] | None = None,
) -> list[InjectedObservation]:
    """Put sources into observations and write their files to another folder.

    Parameters
    ----------
    paths : sequence of path or URL
        Event lists and source lists, or folders of them.
    to : path
        Gets a folder an observation, named after it, with files of the same names and
        ``<obsid>_injected.csv``. It appears whole or not at all.
    requests : sequence of SourceRequest
        The sources; all of them go into each observation.
    seed : int
        Seed of everything random; equal arguments give equal files.
    tables : path
        Folder from which the files of tabulated light curves are named; by default the current.
    options : dict, optional
        Of the fsspec file systems of URLs.

    Returns
    -------
    list of InjectedObservation
        In order of obsid.

    Raises
    ------
    ExodError
        If a source cannot be injected, a file cannot be read or written, or is there already.
    """
    to, requests = Path(to), unique(requests)
    observations, problems = find_observations(paths, options)
    if problems:
        raise problems[0]
    for files in observations:
        if (to / files.obsid).exists():
            raise ConfigError(
                f"{to / files.obsid} is there already; remove it or give another folder."
            )
    read_curve = partial(_read_curve, Path(tables))
    done = []
    for files in observations:
        with local_copies(files) as local:
            done.append(_inject_observation(local, to, requests, seed, read_curve))
    return done


def load_requests(sources: Sequence[str], path: Path | None) -> tuple[list[SourceRequest], Path]:
    """Sources from texts or from a file, and the folder from which they name tables.

    Parameters
    ----------
    sources : sequence of str
        As of `exod.simulate.injection.requests.parse_source`.
    path : Path or None
        TOML or CSV file of sources, instead.

    Raises
    ------
    ConfigError
        If both or neither are given, the file cannot be read, or a source is wrong.
    """
    if path is None:
        return unique(parse_source(text, n) for n, text in enumerate(sources, start=1)), Path()
    if sources:
        raise ConfigError("Give the sources by --source or in a file by --sources, not by both.")
    readers = {".toml": requests_from_toml, ".csv": requests_from_csv}
    if path.suffix.lower() not in readers:
        raise ConfigError(f"The sources {path} must be a .toml or a .csv file.")
    text = read_text(path, "The table of sources")
    return unique(readers[path.suffix.lower()](text, path.name)), path.parent


def _read_curve(folder: Path, name: str) -> str:
    return read_text(folder / name, "The light curve")


def read_targets(files: ObservationFiles[Path]) -> tuple[dict[Path, Target], list[str]]:
    """The event lists of an observation that sources can be put into.

    Parameters
    ----------
    files : ObservationFiles
        Files on a disk here.

    Returns
    -------
    targets : dict of Path to Target
        In order of the file names.
    notes : list of str
        Why the other lists take none, and what is unusual in these, one sentence each.

    Raises
    ------
    InputError
        If a list is damaged.
    """
    targets: dict[Path, Target] = {}
    notes: list[str] = []
    for path in files.event_lists:
        try:
            exposure, events = read_event_list(path)
            if not len(events):
                raise ExposureRejected(f"{path.name} has no events.")
            # The tables of pipeline files; in those of Chandra, events show it.
            available = (
                read_availability(path, events)
                if exposure.instrument in CAMERAS
                else Availability.of_events(events)
            )
            targets[path] = Target.of(exposure, events, available)
            notes += available.notes
        except (ExposureRejected, ConfigError) as error:
            notes.append(str(error))
    return targets, notes


def _inject_observation(
    files: ObservationFiles[Path],
    to: Path,
    requests: Sequence[SourceRequest],
    seed: int,
    read_curve: Callable[[str], str],
) -> InjectedObservation:
    targets, notes = read_targets(files)
    if not targets:
        raise ConfigError(
            f"Observation {files.obsid} has no event list to inject a source into. "
            + " ".join(notes)
        )
    sources = [request.source(list(targets.values()), read_curve) for request in requests]
    lists, truth = inject_in_memory(list(targets.values()), sources, seed)
    injected = dict(zip(targets, lists, strict=True))
    truth.insert(2, "light", [_light_text(request) for request in requests])
    content: dict[str, Callable[[], bytes]] = {}
    for path in files.paths:
        if path.name in content:
            raise ConfigError(f"There are two files {path.name}; give one of them.")
        content[path.name] = path.read_bytes
        if path in injected:
            history, merged = _history(injected[path], sources, requests, seed), injected[path]
            detector = (merged.detx, merged.dety)
            content[path.name] = partial(
                with_new_rows, path, merged.events, merged.is_new, detector, history
            )
    table = csv_text(truth).encode()
    content[f"{files.obsid}_injected.csv"] = lambda: table
    with whole_folder(to / files.obsid, overwrite=False) as folder:
        for name, make in content.items():
            (folder / name).write_bytes(make())
    written = tuple(to / files.obsid / name for name in content)
    return InjectedObservation(files.obsid, written, truth, tuple(notes))


def _light_text(request: SourceRequest) -> str:
    if isinstance(request.light, str):
        return request.light
    given = dict(request.light)
    name = given.pop("model", "")
    return f"{name}:{','.join(f'{key}={value}' for key, value in given.items())}"


def _history(
    injected: InjectedList,
    sources: Sequence[SourceModel],
    requests: Sequence[SourceRequest],
    seed: int,
) -> list[str]:
    """HISTORY of an event list: one text a source."""
    texts = []
    for i, (source, request) in enumerate(zip(sources, requests, strict=True)):
        rate = source.rate.get(injected.exposure.instrument, 0.0)
        text = (
            f"exod {__version__} inject: {int((injected.origin == i).sum())} rows of source "
            f"{source.name} at RA {source.ra_deg:.6f}, Dec {source.dec_deg:.6f}; light "
            f"{_light_text(request)}; {rate:.6g} counts/s on axis; median energy "
            f"{source.energy_kev:g} keV; extent {source.extent_arcsec:g} arcsec; seed {seed}"
        )
        # Cards hold printable ASCII only.
        texts.append("".join(c if " " <= c <= "~" else "?" for c in text))
    return texts
