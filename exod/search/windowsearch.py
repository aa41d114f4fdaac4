"""The sliding search of one subset: windows that overlap, thresholds from exact probabilities."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammainc

from exod.config import Config, Cube
from exod.counts.bayes import MU_REFERENCE, n_peak
from exod.counts.cube import CountCube, Grid
from exod.counts.shares import ConditionalExpectation, LevelCurve, LiveTime, class_images
from exod.counts.template import mask_radius, source_discs
from exod.counts.windows import WindowCounts, Windows
from exod.observation.gti import MAX_HIGH_ENERGY_BIN, BadTime, Frames, bad_time, camera_off
from exod.observation.subsets import MergedEvents
from exod.search.regions import SignificantCells
from exod.search.runs import Run, Searched, Threshold, describe_regions, run_id
from exod.search.sliding import covers, significant_windows
from exod.sensitivity.cellalarms import AlarmsByStrength, FalseAlarms
from exod.sensitivity.windowalarms import AlarmCurve, alarm_curve
from exod.sensitivity.windowneeds import window_detection_counts

MASK_ARCSEC = 20.0
"""Radius of the mask of a faint source, whatever the size of the cells (method.md, Source mask)."""

CROWD: Final = 2
"""Events of a window that can be significant."""

_OFF_BINS = (5.0, 10.0, 20.0, 50.0, 100.0)
_OFF_COUNTS = 20.0
"""Bins in which a camera is looked for, in seconds, and the counts that it must have on average,
so that an empty one means that the camera was off."""


@dataclass(frozen=True)
class _Subset:
    """What all runs of a subset share."""

    events: MergedEvents
    grid: Grid
    flat: NDArray[np.int32]
    live_time: LiveTime
    bad: BadTime
    live: NDArray[np.float64]
    is_live: NDArray[np.bool_]


@dataclass(frozen=True)
class _Band:
    """What all runs of a band share."""

    band: tuple[float, float]
    n_events: int
    cube: CountCube
    curve: LevelCurve
    counts: NDArray[np.float64]
    source: NDArray[np.float64]
    mask: NDArray[np.bool_]
    sums: WindowCounts

    def expectation(
        self, subset: _Subset, frames: Frames, is_bad: NDArray[np.bool_]
    ) -> ConditionalExpectation:
        """Expected counts in some frames."""
        return ConditionalExpectation(
            self.counts, self.source, self.mask, self.curve, subset.live_time, frames, is_bad
        )


def search_windows(
    obsid: str, events: MergedEvents, sources: pd.DataFrame, config: Config, *, n_subsets: int = 1
) -> Iterator[Run]:
    """Search a subset in sliding windows, with every time bin and band of the configuration.

    Parameters
    ----------
    obsid, events, sources, config, n_subsets
        As of `exod.search.subset.search_subset`.

    Yields
    ------
    Run
        One at a time.
    """
    subset = _prepare(events, config)
    for band in config.cube.bands:
        prepared = _band(subset, sources, band, config.cube)
        search = _BandSearch(subset, prepared, config, n_subsets)
        # The crowded windows of long frames have all that can be significant in shorter ones.
        crowded: Crowd | None = None
        for t_bin in sorted(config.cube.t_bin, reverse=True):
            runid = run_id(obsid, events.number, t_bin, band)
            run, crowded = search.run(t_bin, runid, crowded)
            yield run


def _prepare(events: MergedEvents, config: Config) -> _Subset:
    grid = Grid.of_size(config.cube.size_arcsec)
    flat = grid.flat_index(events.x, events.y)
    hundred = Frames.covering(events.t_lo, events.t_hi, MAX_HIGH_ENERGY_BIN)
    bad = bad_time(events.time, events.pi, hundred, events.t_hi, len(events.exposures))
    live_time = _live_time(events, bad, config)
    inside = (events.time >= events.t_lo) & (events.time <= events.t_hi)
    is_live = live_time.contains(events.time) & inside
    return _Subset(events, grid, flat, live_time, bad, live_time.at(events.time), is_live)


def _live_time(events: MergedEvents, bad: BadTime, config: Config) -> LiveTime:
    """When all cameras worked; with `gti_only`, and it was good time."""
    if events.t_hi <= events.t_lo:
        return LiveTime(np.array([events.t_lo, events.t_lo]), np.zeros(1, bool))
    span = events.t_hi - events.t_lo
    weakest = np.bincount(events.source, minlength=len(events.exposures)).min() / span
    width = next((w for w in _OFF_BINS if w * weakest >= _OFF_COUNTS), _OFF_BINS[-1])
    frames = Frames.covering(events.t_lo, events.t_hi, width)
    is_bad = _within(bad, frames)
    masked = np.zeros(frames.n, bool)
    if config.cube.mask_bad_ccd:
        index = frames.index(events.time)
        for number, exposure in enumerate(events.exposures):
            own = events.source == number
            masked |= camera_off(
                index[own], events.ccdnr[own], frames.n, is_bad, is_pn=exposure.camera.is_pn
            )
    if config.cube.gti_only:
        masked |= is_bad
    edges = np.append(frames.starts, [frames.t_lo + frames.n * width, events.t_hi])
    return LiveTime(edges, np.append(~masked, True))


def _within(bad: BadTime, frames: Frames) -> NDArray[np.bool_]:
    """Frames whose middle lies in a bad time interval, shape (n_frames,)."""
    middle = frames.starts + frames.t_bin / 2
    inside = np.zeros(frames.n, bool)
    for start, stop in bad.intervals:
        inside |= (middle >= start) & (middle < stop)
    return inside


def _band(
    subset: _Subset, sources: pd.DataFrame, band: tuple[float, float], settings: Cube
) -> _Band:
    """Counts, level and sources of a band."""
    events = subset.events
    low, high = (1000 * energy for energy in band)
    used = (events.pi > low) & (events.pi < high)
    whole = Frames(events.t_lo, max(events.t_hi - events.t_lo, 1.0) * (1 + 1e-9), 1)
    frame = np.zeros(len(events.time), np.int32)
    cube = CountCube.from_events(
        whole, subset.grid, frame, subset.flat, np.zeros(1, bool), used & subset.is_live
    )
    known = np.zeros(cube.box.shape, bool)
    if len(sources) and cube.box.size:
        x, y = events.plane.to_pixel(sources["ra_deg"].to_numpy(), sources["dec_deg"].to_numpy())
        radius = mask_radius(sources, MASK_ARCSEC) / subset.grid.size_arcsec
        known = source_discs(cube.box, subset.grid, x, y, radius)
    images = class_images(cube, subset.live[cube.event], subset.live_time, known)
    _, counts, source, mask = images
    windows = Windows(mask.shape, settings.window, settings.psf_weights)
    sums = WindowCounts.of(counts, source, windows)
    return _Band(band, int(used.sum()), cube, *images, sums)


@dataclass(frozen=True)
class Crowd:
    """Events that share a window of frames of one length with enough others.

    Attributes
    ----------
    t_bin : float
        Length of the frames.
    events : ndarray of bool, shape (n_events,)
        Which events of the band.
    """

    t_bin: float
    events: NDArray[np.bool_]


@dataclass(frozen=True)
class _BandSearch:
    """The search of one band."""

    subset: _Subset
    band: _Band
    config: Config
    n_subsets: int

    def run(self, t_bin: float, runid: str, crowd: Crowd | None) -> tuple[Run, Crowd | None]:
        """Search frames of one length; with the events that shorter frames need to look at."""
        began = time.perf_counter()
        subset, band, shifts = self.subset, self.band, self.config.cube.frame_shifts
        events = subset.events
        frames = Frames.covering(events.t_lo, events.t_hi, t_bin)
        fine = Frames(frames.t_lo, t_bin / shifts, frames.n * shifts)
        cube, sub_cube = (_in_frames(subset, band.cube, f) for f in (frames, fine))
        expectation, sub_expectation = (
            band.expectation(subset, f, _within(subset.bad, f)) for f in (frames, fine)
        )
        curve = alarm_curve(expectation, band.sums, frames, shifts)
        threshold = _threshold(curve, self.config, self.n_subsets)
        cells, crowd = self._windows(sub_cube, expectation, threshold, crowd)
        width = self.config.cube.window
        found = Searched(sub_cube, sub_expectation, cells, -cells.p_log, width, shifts)
        off = cube.exposure < 0.5
        run = Run(
            runid=runid,
            t_bin=t_bin,
            band=band.band,
            n_events=band.n_events,
            bad_time=BadTime(subset.bad.intervals, expectation.is_bad),
            camera_off=off,
            cube=cube,
            expectation=expectation,
            cells=cells,
            regions=tuple(describe_regions(found, cube, expectation, off, events)),
            threshold=threshold,
            false_alarms=FalseAlarms(*curve.at(threshold.p_log)),
            alarms=AlarmsByStrength(-curve.p_log[::-1], curve.total[::-1]),
            needed=window_detection_counts(
                expectation, band.sums, threshold.p_log, subset.grid.size_arcsec
            ),
            seconds=time.perf_counter() - began,
        )
        return run, crowd

    def _windows(
        self,
        cube: CountCube,
        expectation: ConditionalExpectation,
        threshold: Threshold,
        crowd: Crowd | None,
    ) -> tuple[SignificantCells, Crowd | None]:
        """Significant windows, and the events of crowded ones."""
        shifts = self.config.cube.frame_shifts
        t_bin = cube.frames.t_bin * shifts
        few = cube
        if crowd is not None and covers(crowd.t_bin, t_bin, shifts):
            few = _only(cube, crowd.events[cube.event])
        sums, p_log = self.band.sums, threshold.p_log
        found = significant_windows(few, cube, sums, expectation, shifts, p_log, CROWD)
        if cube.frames.n < shifts:
            return found.cells, None
        chosen = np.zeros(len(self.subset.events.time), bool)
        chosen[few.event[found.crowded]] = True
        # Behind the last whole frame nothing was looked at.
        end = cube.frames.t_lo + cube.frames.t_bin * (cube.frames.n - shifts)
        chosen[np.searchsorted(self.subset.events.time, end) :] = True
        return found.cells, Crowd(t_bin, chosen)


def _only(cube: CountCube, which: NDArray[np.bool_]) -> CountCube:
    return replace(cube, frame=cube.frame[which], cell=cube.cell[which], event=cube.event[which])


def _in_frames(subset: _Subset, cube: CountCube, frames: Frames) -> CountCube:
    """The counts of a band in the frames of a run."""
    frame = frames.index(subset.events.time[cube.event])
    inside = (frame >= 0) & (frame < frames.n)
    live = subset.live_time.at(frames.starts + frames.t_bin) - subset.live_time.at(frames.starts)
    return replace(
        cube,
        frames=frames,
        frame=frame[inside],
        cell=cube.cell[inside],
        event=cube.event[inside],
        exposure=live / frames.t_bin,
        chunk_frames=max(frames.n, 1),
    )


def _threshold(curve: AlarmCurve, config: Config, n_subsets: int) -> Threshold:
    """The probability that gives this run its share of false alarms, or that of the sigmas."""
    rate = config.detect.false_alarm_rate
    if rate is None:
        return Threshold(config.detect.sigma, float(np.log10(p_of_sigma(config.detect.sigma))))
    n_runs = len(config.cube.t_bin) * len(config.cube.bands) * n_subsets
    p_log = curve.threshold(rate / n_runs)
    sigmas = np.arange(1, 10.01, 0.05)
    p_logs = np.log10([p_of_sigma(s) for s in sigmas])
    return Threshold(float(np.interp(-p_log, -p_logs, sigmas)), p_log)


def p_of_sigma(sigma: float) -> float:
    """Probability of the counts that are just significant where 1000 are expected.

    Examples
    --------
    >>> round(p_of_sigma(3) * 1e6, 1)
    9.0
    """
    return float(gammainc(np.ceil(n_peak(sigma, MU_REFERENCE)), MU_REFERENCE))
