"""The search of one subset: its runs, each from merged events to regions with light curves.

Every function of the science meets here and in `exod.search.windowsearch`; nothing in here knows
of files or tables.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.config import Config
from exod.counts.bayes import Thresholds, log10_b_peak, threshold
from exod.counts.cube import Box, CountCube, Grid
from exod.counts.template import expect, mask_radius, source_discs
from exod.observation.gti import BadTime, Frames, bad_time, camera_off
from exod.observation.subsets import MergedEvents
from exod.search.regions import SignificantCells, significant_cells
from exod.search.runs import Run, Searched, Threshold, VariableRegion, describe_regions, run_id
from exod.search.windowsearch import search_windows
from exod.sensitivity.cellalarms import (
    AlarmsByStrength,
    FalseAlarms,
    Tests,
    alarms_by_strength,
    expected_false_alarms,
    tests_of,
)
from exod.sensitivity.cellneeds import detection_counts

__all__ = ["Run", "VariableRegion", "run_id", "search_subset"]

SIGMA_STEP = 0.05
"""Step in which a false-alarm rate chooses equivalent sigmas."""

_STRENGTH_STEPS = (0.0, 2.5)
"""Bayes factors above the threshold, log10, at which false alarms are counted for regions."""


def search_subset(
    obsid: str,
    events: MergedEvents,
    sources: pd.DataFrame,
    config: Config,
    *,
    chunk_frames: int | None = None,
    n_subsets: int = 1,
) -> Iterator[Run]:
    """Search a subset with every time bin and band of the configuration.

    Parameters
    ----------
    obsid : str
        Observation identifier.
    events : MergedEvents
        Merged events of the subset.
    sources : DataFrame
        Known sources to mask: ra_deg, dec_deg, extent_arcsec, rate.
    config : Config
        Settings.
    chunk_frames : int, optional
        Frames of a chunk of the cube; the result does not depend on it.
    n_subsets : int
        Subsets of the observation, which share its false alarms.

    Yields
    ------
    Run
        One at a time, so that only one cube is in memory.
    """
    if config.cube.slides:
        yield from search_windows(obsid, events, sources, config, n_subsets=n_subsets)
        return
    grid = Grid.of_size(config.cube.size_arcsec)
    flat = grid.flat_index(events.x, events.y)
    known: dict[Box, NDArray[np.bool_]] = {}
    for t_bin in config.cube.t_bin:
        frames = Frames.covering(events.t_lo, events.t_hi, t_bin)
        frame = frames.index(events.time)
        bad = bad_time(events.time, events.pi, frames, events.t_hi, len(events.exposures))
        off = _off_frames(events, frame, frames, bad)
        masked = np.zeros(frames.n, bool)
        if config.cube.mask_bad_ccd:
            masked |= off
        if config.cube.gti_only:
            masked |= bad.frames
        for band in config.cube.bands:
            began = time.perf_counter()
            low, high = (1000 * energy for energy in band)
            used = (events.pi > low) & (events.pi < high)
            cube = CountCube.from_events(
                frames, grid, frame, flat, masked, used=used, chunk_frames=chunk_frames
            )
            if cube.box not in known:
                known[cube.box] = _known_sources(cube, sources, events, config.cube.size_arcsec)
            yield _search_cube(
                cube,
                known[cube.box],
                bad,
                off,
                events,
                config,
                began=began,
                n_subsets=n_subsets,
                runid=run_id(obsid, events.number, t_bin, band),
                band=band,
                n_events=int(used.sum()),
            )


def _search_cube(
    cube: CountCube,
    known: NDArray[np.bool_],
    bad: BadTime,
    off: NDArray[np.bool_],
    events: MergedEvents,
    config: Config,
    *,
    began: float,
    n_subsets: int,
    runid: str,
    band: tuple[float, float],
    n_events: int,
) -> Run:
    """Search the cells of one cube."""
    expectation = expect(cube, bad.frames, known)
    tests = tests_of(cube, expectation)
    limits = _thresholds(tests, config, n_subsets)
    cells = significant_cells(cube, expectation, limits)
    found = Searched(cube, expectation, cells, _strength(cells, limits))
    regions = tuple(describe_regions(found, cube, expectation, off, events))
    false_alarms = expected_false_alarms(tests, limits)
    return Run(
        runid=runid,
        t_bin=cube.frames.t_bin,
        band=band,
        n_events=n_events,
        bad_time=bad,
        camera_off=off,
        cube=cube,
        expectation=expectation,
        cells=cells,
        regions=regions,
        threshold=Threshold(limits.sigma),
        false_alarms=false_alarms,
        alarms=_alarms(tests, limits, false_alarms, regions),
        needed=detection_counts(expectation, limits, cube.grid.size_arcsec),
        seconds=time.perf_counter() - began,
    )


def _strength(cells: SignificantCells, limits: Thresholds) -> NDArray[np.float64]:
    """log10 of the Bayes factor that is compared with the threshold, shape (n_cells,)."""
    if limits.rule == "exact":
        return cells.b_log
    # The published rule asks for one count more in a peak.
    fewer = log10_b_peak(np.maximum(cells.n - 1, 0), cells.mu)
    return np.where(cells.is_peak, fewer, cells.b_log)


def _thresholds(tests: list[Tests], config: Config, n_subsets: int) -> Thresholds:
    """The thresholds that the settings ask for, or that give this run its share of false alarms."""
    settings = config.detect
    if settings.false_alarm_rate is None:
        return Thresholds(settings.sigma, settings.rule)
    share = settings.false_alarm_rate / (len(config.cube.t_bin) * len(config.cube.bands))
    low, high = round(1 / SIGMA_STEP), round(10 / SIGMA_STEP)
    while high > low:
        middle = (low + high) // 2
        limits = Thresholds(round(middle * SIGMA_STEP, 4), settings.rule)
        if expected_false_alarms(tests, limits).total > share / n_subsets:
            low = middle + 1
        else:
            high = middle
    return Thresholds(round(low * SIGMA_STEP, 4), settings.rule)


def _alarms(
    tests: list[Tests],
    limits: Thresholds,
    false_alarms: FalseAlarms,
    regions: tuple[VariableRegion, ...],
) -> AlarmsByStrength:
    """False alarms by Bayes factor, from the threshold to the strongest region."""
    least = min(threshold(limits.sigma, "peak"), threshold(limits.sigma, "eclipse"))
    if not regions:
        return AlarmsByStrength(np.array([least]), np.array([false_alarms.total]))
    return alarms_by_strength(tests, [least + step for step in _STRENGTH_STEPS], limits.rule)


def _off_frames(
    events: MergedEvents, frame: NDArray[np.int32], frames: Frames, bad: BadTime
) -> NDArray[np.bool_]:
    off = np.zeros(frames.n, bool)
    for number, exposure in enumerate(events.exposures):
        own = events.source == number
        is_pn = exposure.camera.is_pn
        off |= camera_off(frame[own], events.ccdnr[own], frames.n, bad.frames, is_pn=is_pn)
    return off


def _known_sources(
    cube: CountCube, sources: pd.DataFrame, events: MergedEvents, size_arcsec: float
) -> NDArray[np.bool_]:
    if sources.empty:
        return np.zeros(cube.box.shape, bool)
    x, y = events.plane.to_pixel(sources["ra_deg"].to_numpy(), sources["dec_deg"].to_numpy())
    radius = mask_radius(sources, size_arcsec) / size_arcsec
    return source_discs(cube.box, cube.grid, x, y, radius)
