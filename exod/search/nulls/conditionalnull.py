"""The counts of each window as the null hypothesis: only the level of the background varies.

Given its counts in all frames, those of a window in one frame are binomial (method.md, Sliding
windows); thresholds are exact probabilities. Windows may overlap, or be the cells of a fixed grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Final

import numpy as np
from scipy.special import gammainc

from exod.config import Band
from exod.counts.bayes import MU_REFERENCE, n_peak
from exod.counts.cube import CountCube
from exod.counts.partial import GroupTimes
from exod.counts.shares import (
    ConditionalExpectation,
    LiveTime,
    class_images,
    grouped_expectation,
)
from exod.counts.windows import WindowCounts, Windows
from exod.observation.gti import MAX_HIGH_ENERGY_BIN, BadTime, Frames, bad_time
from exod.schemas.arrays import Floats, Mask
from exod.search.nulls.binning import MOSTLY
from exod.search.nulls.null import CountedRun, Searched, Subset, TestedRun, Threshold
from exod.search.regions import SignificantCells
from exod.search.sliding import covers, significant_windows
from exod.sensitivity.cellalarms import AlarmsByStrength, FalseAlarms
from exod.sensitivity.windowalarms import AlarmCurve, alarm_curve
from exod.sensitivity.windowneeds import window_detection_counts

MASK_ARCSEC: Final = 20.0
"""Radius of the mask of a faint source, whatever the size of the cells (method.md, Source mask)."""

CROWD: Final = 2
"""Events of a window that can be significant."""

_ROUNDING: Final = 1e-6
"""Mission elapsed times are exact to 1e-7 s, and so are the live times of short intervals."""

_OFF_BINS: Final = (5.0, 10.0, 20.0, 50.0, 100.0)
_OFF_COUNTS: Final = 20.0
"""Bins in which a camera is looked for, in seconds, and the counts that it must have on average,
so that an empty one means that the camera was off."""


@dataclass(frozen=True)
class ConditionalNull:
    """As `exod.search.nulls.null.NullHypothesis`; in each band long frames come first."""

    subset: Subset

    def runs(self) -> Iterator[tuple[TestedRun, Searched]]:
        """Test every band and time bin."""
        for prepared in self.bands():
            # The crowded windows of long frames have all that can be significant in shorter ones.
            crowd: Crowd | None = None
            for t_bin in self.t_bins:
                tested, searched, crowd = prepared.test(t_bin, crowd)
                yield tested, searched
                # Its counts are freed before the next are made.
                del tested, searched

    def counted(self) -> Iterator[CountedRun[ConditionalExpectation]]:
        """Count every band and time bin."""
        for prepared in self.bands():
            for t_bin in self.t_bins:
                yield prepared.counted(t_bin)

    @property
    def t_bins(self) -> list[float]:
        """Lengths of the frames, long ones first."""
        return sorted(self.subset.t_bins, reverse=True)

    def bands(self) -> Iterator[BandCounts]:
        """What the runs of each band share."""
        events = self.subset.events
        inside = (events.time >= events.t_lo) & (events.time <= events.t_hi)
        is_live = self.live_time.contains(events.time) & inside
        live = self.live_time.at(events.time)
        for band in self.subset.bands:
            yield self._band(band, live, is_live)

    @cached_property
    def bad(self) -> BadTime:
        """Bad time, in long bins whatever the frames."""
        events = self.subset.events
        hundred = Frames.covering(events.t_lo, events.t_hi, MAX_HIGH_ENERGY_BIN)
        return bad_time(events.time, events.pi, hundred, events.t_hi, events.n_monitors)

    def is_bad(self, frames: Frames) -> Mask:
        """Frames whose middle lies in a bad time interval, shape (n_frames,)."""
        middle = frames.starts + frames.t_bin / 2
        inside = np.zeros(frames.n, bool)
        for start, stop in self.bad.intervals:
            inside |= (middle >= start) & (middle < stop)
        return inside

    @cached_property
    def live_time(self) -> LiveTime:
        """When all cameras worked; with `gti_only`, and it was good time.

        Those with a record of their good times count in `groups`.
        """
        events = self.subset.events
        span = events.t_hi - events.t_lo
        if span <= 0:
            return LiveTime(np.array([events.t_lo, events.t_lo]), np.zeros(1, bool))
        weakest = np.bincount(events.source, minlength=len(events.exposures)).min() / span
        width = next((w for w in _OFF_BINS if w * weakest >= _OFF_COUNTS), _OFF_BINS[-1])
        frames = Frames.covering(events.t_lo, events.t_hi, width)
        is_bad = self.is_bad(frames)
        off = self.subset.camera_off(frames, frames.index(events.time), is_bad)
        edges = np.append(frames.starts, [frames.t_lo + frames.n * width, events.t_hi])
        return LiveTime(edges, np.append(~self.subset.masked(off, is_bad), True))

    @cached_property
    def groups(self) -> GroupTimes | None:
        """When which CCDs were live; None if all were whenever it counts."""
        known, live_time = self.subset.live, self.live_time
        if known is None or not live_time.live.any():
            return None
        knots = [curve.pieces[:, :2].ravel() for curve in known.curves]
        edges = np.unique(np.concatenate([live_time.edges, *knots]))
        inside = (edges >= live_time.edges[0]) & (edges <= live_time.edges[-1])
        edges = edges[inside]
        length = np.diff(edges)
        live = np.array([np.diff(curve.at(edges)) / length for curve in known.curves])
        live = np.where(np.abs(live - 1) < _ROUNDING, 1.0, live)
        live *= live_time.contains((edges[:-1] + edges[1:]) / 2)
        together = (live == live[0]).all() and np.isin(live, (0.0, 1.0)).all()
        if together and np.array_equal(live[0] > 0, live_time.contains(edges[:-1])):
            return None
        return GroupTimes(edges, live)

    def _band(self, band: Band, live: Floats, is_live: Mask) -> BandCounts:
        """Counts, level and sources of a band, from the events that are live and their time."""
        subset, events = self.subset, self.subset.events
        used = subset.in_band(band)
        whole = Frames(events.t_lo, max(events.t_hi - events.t_lo, 1.0) * (1 + 1e-9), 1)
        frame = np.zeros(len(events.time), np.int32)
        cube = CountCube.from_events(
            whole, subset.grid, frame, subset.flat, np.zeros(1, bool), used & is_live
        )
        known = subset.known_sources(cube.box, MASK_ARCSEC, subset.grid.size_arcsec)
        if self.groups is not None:
            group = subset.live_group[cube.event]
            time = events.time[cube.event]
            return BandCounts(
                self,
                band,
                int(used.sum()),
                cube,
                grouped_expectation(cube, time, group, self.groups, known),
            )
        curve, counts, source, mask = class_images(cube, live[cube.event], self.live_time, known)
        expectation = ConditionalExpectation(
            counts, source, mask, curve, self.live_time, whole, np.zeros(1, bool)
        )
        return BandCounts(self, band, int(used.sum()), cube, expectation)


@dataclass(frozen=True)
class Crowd:
    """Events that share a window of frames of one length with enough others.

    Attributes
    ----------
    t_bin : float
        Length of the frames.
    events : ndarray of bool, shape (n_events,)
        Which events of the subset.
    """

    t_bin: float
    events: Mask


@dataclass(frozen=True)
class BandCounts:
    """What all runs of a band share; cube and expectation are of a single frame."""

    null: ConditionalNull
    band: Band
    n_events: int
    cube: CountCube
    expectation: ConditionalExpectation

    @cached_property
    def sums(self) -> WindowCounts:
        """Counts of its windows."""
        settings, images = self.null.subset.config.cube, self.expectation
        windows = Windows(images.source_mask.shape, settings.window, settings.psf_weights)
        groups = images.groups[1] if images.groups else None
        return WindowCounts.of(images.counts, images.source, windows, groups)

    def counted(self, t_bin: float) -> CountedRun[ConditionalExpectation]:
        """Count frames of one length."""
        events = self.null.subset.events
        frames = Frames.covering(events.t_lo, events.t_hi, t_bin)
        cube, expectation = self._cube(frames), self._expectation(frames)
        bad = BadTime(self.null.bad.intervals, expectation.is_bad)
        off = cube.exposure < MOSTLY
        if self.null.subset.live is not None:
            off |= (self.null.subset.live.fractions(frames) < MOSTLY).any(axis=0)
        return CountedRun(self.band, self.n_events, bad, off, cube, expectation)

    def test(self, t_bin: float, crowd: Crowd | None) -> tuple[TestedRun, Searched, Crowd | None]:
        """Test frames of one length; with the events that shorter frames need to look at."""
        settings = self.null.subset.config.cube
        shifts = settings.frame_shifts
        counted = self.counted(t_bin)
        frames, expectation = counted.cube.frames, counted.expectation
        fine = Frames(frames.t_lo, t_bin / shifts, frames.n * shifts)
        sub_cube, sub_expectation = self._cube(fine), self._expectation(fine)
        curve = alarm_curve(expectation, self.sums, frames, shifts)
        threshold = self._threshold(curve)
        cells, crowd = self._windows(sub_cube, expectation, threshold.p_log, crowd)
        tested = TestedRun(
            **vars(counted),
            cells=cells,
            threshold=threshold,
            false_alarms=FalseAlarms(*curve.at(threshold.p_log)),
            alarms=AlarmsByStrength(-curve.p_log[::-1], curve.total[::-1]),
            needed=window_detection_counts(
                expectation,
                self.sums,
                threshold.p_log,
                counted.cube.grid.size_arcsec,
                self.null.subset.profile,
            ),
        )
        strength = -cells.p_log
        searched = Searched(sub_cube, sub_expectation, cells, strength, settings.window, shifts)
        return tested, searched, crowd

    def _expectation(self, frames: Frames) -> ConditionalExpectation:
        """Expected counts in some frames."""
        return replace(self.expectation, frames=frames, is_bad=self.null.is_bad(frames))

    def _cube(self, frames: Frames) -> CountCube:
        """The counts of the band in some frames."""
        cube, live_time = self.cube, self.expectation.live_time
        frame = frames.index(self.null.subset.events.time[cube.event])
        inside = (frame >= 0) & (frame < frames.n)
        live = live_time.at(frames.starts + frames.t_bin) - live_time.at(frames.starts)
        return replace(
            cube,
            frames=frames,
            frame=frame[inside],
            cell=cube.cell[inside],
            event=cube.event[inside],
            exposure=live / frames.t_bin,
            chunk_frames=max(frames.n, 1),
        )

    def _threshold(self, curve: AlarmCurve) -> Threshold:
        """The probability that gives a run its share of false alarms, or that of the sigmas."""
        sigma, share = self.null.subset.config.detect.sigma, self.null.subset.alarms_per_run
        if share is None:
            return Threshold(sigma, float(np.log10(p_of_sigma(sigma))))
        p_log = curve.threshold(share)
        sigmas, p_logs = _sigmas()
        return Threshold(float(np.interp(-p_log, -p_logs, sigmas)), p_log)

    def _windows(
        self,
        cube: CountCube,
        expectation: ConditionalExpectation,
        p_log: float,
        crowd: Crowd | None,
    ) -> tuple[SignificantCells, Crowd | None]:
        """Significant windows, and the events of crowded ones."""
        events, shifts = self.null.subset.events, self.null.subset.config.cube.frame_shifts
        few, t_bin = cube, expectation.frames.t_bin
        if crowd is not None and covers(crowd.t_bin, t_bin, shifts):
            own = crowd.events[cube.event]
            few = replace(cube, frame=cube.frame[own], cell=cube.cell[own], event=cube.event[own])
        found = significant_windows(few, cube, self.sums, expectation, shifts, p_log, CROWD)
        if cube.frames.n < shifts:
            return found.cells, None
        chosen = np.zeros(len(events.time), bool)
        chosen[few.event[found.crowded]] = True
        # Behind the last whole frame nothing was looked at.
        end = cube.frames.t_lo + cube.frames.t_bin * (cube.frames.n - shifts)
        chosen[np.searchsorted(events.time, end) :] = True
        return found.cells, Crowd(t_bin, chosen)


@cache
def _sigmas() -> tuple[Floats, Floats]:
    """Sigmas, and log10 of the probabilities that stand for them."""
    sigmas = np.arange(1, 10.01, 0.05)
    return sigmas, np.log10([p_of_sigma(s) for s in sigmas])


def p_of_sigma(sigma: float) -> float:
    """Probability of the counts that are just significant where 1000 are expected.

    Examples
    --------
    >>> round(p_of_sigma(3) * 1e6, 1)
    9.0
    """
    return float(gammainc(np.ceil(n_peak(sigma, MU_REFERENCE)), MU_REFERENCE))
