"""Predict: what a search will take, from the headers of the event lists alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from exod.config import Config
from exod.errors import ExodError
from exod.observation.observations import LONGEST_EXPOSURE
from exod.pps import ObservationFiles, list_extent

SECONDS_PER_ROW: Final = 1.7e-6
SECONDS_PER_ROW_AND_RUN: Final = 1.0e-7
SECONDS_PER_OBSERVATION: Final = 0.1
"""Reading and selecting a row, searching it in a run, committing (`make bench`, one of two cores of
a cloud machine, 0.27 and 3.4 million rows)."""

SECONDS_PER_ROW_AND_SLIDING_RUN: Final = 2.5e-7
"""The same in sliding windows."""

SECONDS_PER_ROW_OF_PHOTONS: Final = 6.0e-5
"""Of all runs together, where every photon is weighed (docs/ideal.md)."""

MEMORY_OF_IMPORTS_MB: Final = 250.0
MEMORY_PER_ROW_MB: Final = 75e-6
MEMORY_PER_FRAME_MB: Final = 1.5e-3
MEMORY_BASE_MB: Final = 120.0
"""Peak memory, an upper limit; the base has what earlier observations leave behind."""

SLIDING_MEMORY_PER_ROW_MB: Final = 230e-6
SLIDING_MEMORY_MB: Final = 60.0
"""The same in sliding windows: of a row, and beside the base."""

_THREADS: Final = 16


@dataclass(frozen=True)
class Prediction:
    """What the search of an observation should take.

    Attributes
    ----------
    obsid : str
        The observation.
    n_rows : int
        Rows of its event lists.
    seconds : float
        Time on one core.
    memory_mb : float
        Peak memory of the process.
    problem : str
        Why nothing is known: an event list that cannot be read; else empty.
    """

    obsid: str
    n_rows: int = 0
    seconds: float = 0.0
    memory_mb: float = 0.0
    problem: str = ""


def predict(files: ObservationFiles, config: Config) -> Prediction:
    """Predict the time and memory of the search of an observation."""
    n_rows, elapsed = 0, 0.0
    try:
        for path in files.event_lists:
            rows, start, stop = list_extent(path)
            n_rows += rows
            length = stop - start
            # The search refuses what is longer; without a start and a stop it may be as long.
            elapsed = max(elapsed, length if 0 <= length <= LONGEST_EXPOSURE else LONGEST_EXPOSURE)
    except ExodError as error:
        return Prediction(files.obsid, problem=str(error))
    n_runs = len(config.cube.t_bin) * len(config.cube.bands)
    n_frames = elapsed / min(config.cube.t_bin)
    slides = config.null == "conditional"
    run = SECONDS_PER_ROW_AND_SLIDING_RUN if slides else SECONDS_PER_ROW_AND_RUN
    row_mb = SLIDING_MEMORY_PER_ROW_MB if slides else MEMORY_PER_ROW_MB
    of_row = SECONDS_PER_ROW + n_runs * run
    if config.detect.method == "photons":
        of_row += SECONDS_PER_ROW_OF_PHOTONS
    return Prediction(
        files.obsid,
        n_rows,
        SECONDS_PER_OBSERVATION + of_row * n_rows,
        MEMORY_OF_IMPORTS_MB
        + MEMORY_BASE_MB
        + (SLIDING_MEMORY_MB if slides else 0.0)
        + row_mb * n_rows
        + MEMORY_PER_FRAME_MB * n_frames,
    )


def predict_many(observations: Sequence[ObservationFiles], config: Config) -> Iterator[Prediction]:
    """Predict the searches of observations, in their order."""
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(partial(predict, config=config), observations)


def total_seconds(predictions: Sequence[Prediction], workers: int) -> float:
    """Time of all, when `workers` processes share the work evenly."""
    return sum(prediction.seconds for prediction in predictions) / max(workers, 1)
