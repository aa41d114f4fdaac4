"""What the benchmarks measure, each a function that returns rows of a table."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from helpers.dense_search import significant_cells_dense

from exod.config import Config
from exod.counts.bayes import Thresholds
from exod.observation.events import EVENT_DTYPES
from exod.pps import ObservationFiles, find_observations
from exod.search.regions import significant_cells
from exod.search.subset import search_subset
from exod.stages.detect.observation import detect_to_archive
from exod.stages.detect.read import read_observation
from exod.stages.inputs.simulate import simulate_files

REPEATS = 5

_PEAK = """
import json, sys, time
import astropy.convolution, cv2, pyarrow.parquet, scipy.stats, skimage.measure
from exod.config import Config
from exod.pps import find_observations
from exod.stages.detect.observation import detect_to_archive, peak_memory_mb
folder, root, preset, settings = *sys.argv[1:4], json.loads(sys.argv[4])
files = find_observations([folder])[0][0]
imports, began = peak_memory_mb(), time.perf_counter()
outcome = detect_to_archive(files, Config.load(preset=preset, overrides=settings), root)
seconds = time.perf_counter() - began
print(json.dumps([outcome.n_events, outcome.n_runs, peak_memory_mb() - imports, seconds]))
"""


def timed(*functions: Callable[[], object]) -> list[float]:
    """Median seconds of each function, called in turn so that drifts of the machine cancel."""
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(REPEATS):
        for function, taken in zip(functions, times, strict=True):
            began = time.perf_counter()
            function()
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in times]


def read_columns(files: ObservationFiles) -> None:
    """The reference: astropy reads the columns that the search needs."""
    for path in files.event_lists:
        with fits.open(path) as hdus:
            table = hdus["EVENTS"].data
            for name in EVENT_DTYPES:
                np.array(table[name.upper()])


def whole_search(folder: Path) -> list[tuple[str, float]]:
    """Nine runs from FITS files to committed tables, against reading alone."""
    files = find_observations([folder])[0][0]
    with tempfile.TemporaryDirectory() as root:
        reading, searching = timed(
            lambda: read_columns(files),
            lambda: detect_to_archive(files, Config(), root),
        )
    return [
        ("astropy reads the needed columns (s)", reading),
        ("nine runs, files to committed tables (s)", searching),
        ("ratio", searching / reading),
    ]


def presets(folder: Path) -> list[tuple[str, float]]:
    """The preset deep against the published grid, from files to committed tables."""
    files = find_observations([folder])[0][0]
    with tempfile.TemporaryDirectory() as name:
        published, deep = timed(
            lambda: detect_to_archive(files, Config(), f"{name}/published"),
            lambda: detect_to_archive(files, Config.preset("deep"), f"{name}/deep"),
        )
    return [
        ("published grid, nine runs (s)", published),
        ("preset deep, thirty runs (s)", deep),
        ("ratio", deep / published),
    ]


def peak_memory(
    folder: Path, settings: Sequence[str] = (), preset: str = "published"
) -> list[tuple[str, float]]:
    """Peak memory above the imports, in a fresh process."""
    with tempfile.TemporaryDirectory() as root:
        given = [str(folder), root, preset, json.dumps(list(settings))]
        command = [sys.executable, "-c", _PEAK, *given]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    events, runs, peak, seconds = json.loads(printed)
    return [
        ("events searched", events),
        ("runs", runs),
        ("peak memory above imports (MB)", peak),
        ("seconds", seconds),
    ]


def scaling(folder: Path) -> list[tuple[str, float]]:
    """Cost of an event for longer and longer simulated observations."""
    rows = []
    for number, duration in enumerate((10_000.0, 20_000.0, 40_000.0, 80_000.0)):
        obsid = f"09000010{number:02d}"
        simulate_files(folder, obsid, 7, duration=duration)
        files = find_observations([folder / obsid])[0][0]
        events = len(read_observation(files, Config()).subsets[0].time)
        with tempfile.TemporaryDirectory() as root:
            (seconds,) = timed(lambda f=files, r=root: detect_to_archive(f, Config(), r))
        rows.append((f"{events:,} events: microseconds an event", 1e6 * seconds / events))
    return rows


def sparse_and_dense(folder: Path) -> list[tuple[str, float]]:
    """The production search for cells against the dense reference."""
    files = find_observations([folder])[0][0]
    config = Config.parse({"cube": {"t_bin": [50], "bands": [[0.2, 12.0]]}})
    observation = read_observation(files, config)
    run = next(search_subset(files.obsid, observation.subsets[0], observation.sources, config))
    thresholds = Thresholds(3.0)
    sparse, dense = timed(
        lambda: significant_cells(run.cube, run.expectation, thresholds),
        lambda: significant_cells_dense(run.cube, run.expectation, thresholds),
    )
    return [
        ("sparse search of one run (s)", sparse),
        ("dense reference (s)", dense),
        ("dense / sparse", dense / sparse),
    ]
