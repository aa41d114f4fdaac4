"""What exod makes of a folder: the events it would search, the sources it knows, what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from exod.config import Config
from exod.errors import ConfigError, ExodError, ExposureRejected
from exod.observation.subsets import MergedEvents
from exod.pps import ObservationFiles, find_observations, read_event_list
from exod.pps.fits.extensions import read_availability
from exod.stages.detect.observation import detect_to_archive
from exod.stages.detect.predict import predict
from exod.stages.detect.read import read_observation

SETTINGS = Config.model_validate({"cube": {"t_bin": [200.0], "bands": [[0.2, 12.0]]}})


@dataclass
class Reading:
    """What was found.

    Attributes
    ----------
    found : dict of str to str
        Digests of what the search would use, by what it is.
    said : set of str
        Errors, reasons and notes, without the folder's path.
    error : str
        The error that ended the reading of an observation, or empty.
    n_events : int
        Events that would be searched.
    predicted_mb : float
        What exod says that it needs; 0 if it says that it cannot know.
    allocated_too_much : bool
        Whether an error says that memory was asked for that is not there.
    """

    found: dict[str, str] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    error: str = ""
    n_events: int = 0
    predicted_mb: float = 0.0
    allocated_too_much: bool = False


Reader = Callable[[Path, bool, bool], Reading]


def read(folder: Path, with_times: bool, with_search: bool) -> Reading:
    """Read a folder with one observation as `exod detect` does.

    Parameters
    ----------
    folder : Path
        The observation.
    with_times : bool
        Read the good times, frames and bad pixels of the exposures, too.
    with_search : bool
        Search it, too.
    """
    reading = Reading()
    observations, problems = find_observations([folder])
    for problem in problems:
        add_error(reading, problem, folder)
    for files in observations:
        prediction = predict(files, SETTINGS)
        reading.predicted_mb = max(reading.predicted_mb, prediction.memory_mb)
        try:
            _add_observation(reading, files, folder)
            if with_times:
                _add_times(reading, files, folder)
        except ExodError as error:
            add_error(reading, error, folder)
            reading.error = reading.error or str(error)
        if with_search:
            _search(reading, files, folder)
    return reading


def add_error(reading: Reading, error: ExodError, folder: Path) -> None:
    """Note what an error says, and whether it hides that memory was asked for in vain."""
    _say(reading, str(error), folder)
    cause: BaseException | None = error
    while cause is not None:
        reading.allocated_too_much |= isinstance(cause, MemoryError)
        cause = cause.__cause__ or cause.__context__


def _say(reading: Reading, sentence: str, folder: Path) -> None:
    reading.allocated_too_much |= "allocate" in sentence or "MemoryError" in sentence
    reading.said.add(sentence.replace(str(folder), ""))


def _add_observation(reading: Reading, files: ObservationFiles[Path], folder: Path) -> None:
    observation = read_observation(files, SETTINGS)
    for note in observation.notes:
        _say(reading, note, folder)
    for item in observation.rejected:
        _say(reading, item.reason, folder)
    if not files.event_lists:
        # What `exod detect` gives as the reason.
        _say(reading, "There is no event list.", folder)
    for subset in observation.subsets:
        reading.n_events += len(subset.time)
    key = files.obsid
    reading.found[f"events of {key}"] = digest(*map(_rows, observation.subsets))
    reading.found[f"times and positions of {key}"] = digest(*map(_frame, observation.subsets))
    sources = observation.sources
    values = sources.to_numpy(float)
    reading.found[f"sources of {key}"] = digest(values[np.lexsort(values.T)])


def _rows(subset: MergedEvents) -> np.ndarray[Any, Any]:
    """Events of a subset, in an order of their own."""
    cameras = [exposure.instrument for exposure in subset.exposures]
    camera = np.array(sorted(cameras)).searchsorted(cameras)[subset.source]
    columns = (subset.time, subset.x, subset.y, subset.pi, subset.ccdnr, camera)
    rows = np.stack([np.asarray(column, float) for column in columns])
    return rows[:, np.lexsort(rows)]


def _frame(subset: MergedEvents) -> np.ndarray[Any, Any]:
    """What gives times and sky pixels of a subset their meaning."""
    planes = [exposure.plane for exposure in subset.exposures]
    numbers = [float(getattr(plane, column.name)) for plane in planes for column in fields(plane)]
    return np.array([subset.t_lo, subset.t_hi, float(subset.sky_extent), *numbers])


def _add_times(reading: Reading, files: ObservationFiles[Path], folder: Path) -> None:
    for path in files.event_lists:
        try:
            _, events = read_event_list(path)
            available = read_availability(path, events)
        except (ConfigError, ExposureRejected) as error:
            add_error(reading, error, folder)
            continue
        for note in available.notes:
            _say(reading, note, folder)
        pieces = [np.array([available.start, available.stop]), available.bad_pixels]
        for times in (available.good_times, available.frames):
            for ccdnr in sorted(times):
                pieces += [np.array([float(ccdnr)]), times[ccdnr]]
        reading.found[f"good times of {path.name}"] = digest(*pieces)


def _search(reading: Reading, files: ObservationFiles[Path], folder: Path) -> None:
    outcome = detect_to_archive(files, SETTINGS, str(folder.parent / "archive"))
    _say(reading, outcome.reason, folder)
    if outcome.status in {"OK", "EMPTY"} and not outcome.n_events:
        raise AssertionError(f"{outcome.status}, but nothing was searched")


def digest(*arrays: np.ndarray[Any, Any]) -> str:
    """Hash of numbers, their shapes included."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(repr(array.shape).encode())
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()
