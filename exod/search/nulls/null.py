"""What the null hypotheses of a search have in common, and the protocol they are used by.

A null hypothesis says what the counts of a subset are by chance: how many each cell expects, which
are significant, how many regions chance alone makes, and how many counts a burst needs.
`templatenull` and `conditionalnull` beside it have the two that there are; `photonsearch` looks for
bursts photon by photon instead of in cells, and `exod1null` is an older search in the same form,
which knows neither false alarms nor counts needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, Protocol, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.config import Band, Config
from exod.counts.cube import CountCube
from exod.counts.grid import Box, Grid
from exod.counts.shares import ConditionalExpectation
from exod.counts.template import Expectation, bright_cells, mask_radius, source_discs
from exod.observation.dropouts import LiveGroups, live_groups
from exod.observation.gti import BadTime, Frames, camera_off
from exod.observation.stretches import working_groups
from exod.observation.subsets import MergedEvents
from exod.schemas.arrays import Floats, Indices, Mask
from exod.search.positions import Position
from exod.search.regions import SignificantCells
from exod.sensitivity.cellalarms import AlarmsByStrength, FalseAlarms
from exod.sensitivity.cellneeds import DetectionCounts
from exod.sensitivity.profiles import Profile, typical_profile


@dataclass(frozen=True)
class Subset:
    """What all runs of a subset share.

    Attributes
    ----------
    events : MergedEvents
        The events.
    sources : DataFrame
        Known sources to mask: ra_deg, dec_deg, extent_arcsec, rate.
    config : Config
        Settings.
    grid : Grid
        Cells over the sky pixels.
    flat : ndarray of int32, shape (n_events,)
        Cell of each event in the grid.
    n_subsets : int
        Subsets of the observation, which share its false alarms.
    chunk_frames : int or None
        Frames of a chunk of a cube, if given; no result depends on it.
    """

    events: MergedEvents
    sources: pd.DataFrame
    config: Config
    grid: Grid
    flat: NDArray[np.int32]
    n_subsets: int = 1
    chunk_frames: int | None = None

    @property
    def alarms_per_run(self) -> float | None:
        """False alarms that each run may have; None if the settings leave it to sigma."""
        rate = self.config.detect.false_alarm_rate
        if rate is None:
            return None
        return rate / (max(len(self.t_bins) * len(self.bands), 1) * self.n_subsets)

    @property
    def t_bins(self) -> tuple[float, ...]:
        """Lengths of the frames of the settings that cameras can resolve."""
        return tuple(t for t in self.config.cube.t_bin if t >= self.events.shortest_bin)

    @property
    def bands(self) -> tuple[Band, ...]:
        """Bands of the settings, as far as cameras are searched in them, each once."""
        bands = map(self.events.energies, self.config.cube.bands)
        return tuple(dict.fromkeys((low, high) for low, high in bands if low < high))

    @property
    def size_arcsec(self) -> float:
        """Wanted width of a cell."""
        return self.config.cube.size_arcsec * self.events.cell_scale

    @property
    def profile(self) -> Profile:
        """Typical point spread function of the cameras."""
        return typical_profile(self.events.observatory)

    def in_band(self, band: Band) -> Mask:
        """Events in an energy band in keV, both ends excluded, shape (n_events,)."""
        low, high = (1000 * energy for energy in band)
        return (self.events.pi > low) & (self.events.pi < high)

    @cached_property
    def live(self) -> LiveGroups | None:
        """CCDs by when they were live; None where frames are used whole or not at all."""
        if self.config.cube.live_time == "frames":
            return None
        box = Box.around(self.flat[self.flat >= 0], self.grid.n)
        size = self.size_arcsec
        known = self.known_sources(box, size, size)
        row, column = np.divmod(self.flat, np.int32(self.grid.n))
        cell = (row - box.y_lo) * max(box.shape[1], 1) + (column - box.x_lo)
        inside = self.flat >= 0
        image = np.bincount(cell[inside], minlength=box.size).reshape(box.shape)
        mask = (known | bright_cells(image, known)).ravel()
        is_source = np.zeros(len(cell), bool)
        is_source[inside] = mask[cell[inside]]
        return live_groups(self.events, self.flat, is_source)

    @cached_property
    def live_group(self) -> NDArray[np.uint8]:
        """Group of each event in `live`, shape (n_events,)."""
        if self.live is None:
            return np.zeros(len(self.events.time), np.uint8)
        return self.live.of_events(self.events)

    def camera_off(self, frames: Frames, index: NDArray[np.int32], is_bad: Mask) -> Mask:
        """Frames in which a CCD or a camera was off, shape (n_frames,).

        With `live`, only of the exposures without a record of their good times.

        Parameters
        ----------
        frames : Frames
            The frames.
        index : ndarray of int32, shape (n_events,)
            Frame of each event.
        is_bad : ndarray of bool, shape (n_frames,)
            Frames in bad time.
        """
        events, off = self.events, np.zeros(frames.n, bool)
        for number, exposure in enumerate(events.exposures):
            if self.live is not None and self.live.is_recorded[number]:
                continue
            own = events.source == number
            # A group that never works is no reason to leave out all frames.
            groups = working_groups(events.ccdnr[own], exposure.camera.dropout_groups)
            off |= camera_off(index[own], events.ccdnr[own], frames.n, is_bad, groups)
        return off

    def masked(self, off: Mask, is_bad: Mask) -> Mask:
        """Frames that the settings leave out, of those with a camera off and those in bad time."""
        cube = self.config.cube
        return (off & cube.mask_bad_ccd) | (is_bad & cube.gti_only)

    def known_sources(self, box: Box, faint_arcsec: float, cell_arcsec: float) -> Mask:
        """Mask of the known sources in the cropped image, shape (y, x) (method.md, Source mask).

        Parameters
        ----------
        box : Box
            The cropped image.
        faint_arcsec : float
            Radius of the mask of a faint source.
        cell_arcsec : float
            Width of a cell that radii are counted in.
        """
        sources = self.sources
        if sources.empty:
            return np.zeros(box.shape, bool)
        sky = (sources[name].to_numpy() for name in ("ra_deg", "dec_deg"))
        x, y = self.events.plane.to_pixel(*sky)
        return source_discs(box, self.grid, x, y, mask_radius(sources, faint_arcsec) / cell_arcsec)


@dataclass(frozen=True)
class Threshold:
    """What counted as significant in a run.

    Attributes
    ----------
    sigma : float
        In equivalent Gaussian sigmas, or standard deviations of the variability image.
    p_log : float
        log10 of the largest probability of a significant window; NaN where the Bayes factor
        decides.
    """

    sigma: float
    p_log: float = np.nan


Expected_co = TypeVar("Expected_co", bound=Expectation | ConditionalExpectation, covariant=True)


@dataclass(frozen=True)
class CountedRun(Generic[Expected_co]):
    """Counts and expected counts of a time bin and an energy band.

    Attributes
    ----------
    band : (float, float)
        Energy band in keV.
    n_events : int
        Events of the band in the merged list.
    bad_time : BadTime
        Bad time intervals.
    camera_off : ndarray of bool, shape (n_frames,)
        Frames in which a CCD or a camera was off.
    cube : CountCube
        Counts.
    expectation : Expectation or ConditionalExpectation
        Expected counts.
    """

    band: Band
    n_events: int
    bad_time: BadTime
    camera_off: Mask
    cube: CountCube
    expectation: Expected_co

    @property
    def t_bin(self) -> float:
        """Length of a frame in seconds."""
        return self.cube.frames.t_bin


@dataclass(frozen=True)
class TestedRun(CountedRun[Expectation | ConditionalExpectation]):
    """A run, tested with a null hypothesis.

    Attributes
    ----------
    cells : SignificantCells
        Significant cells, or first cells of significant windows.
    threshold : Threshold
        What was significant.
    false_alarms : FalseAlarms
        Regions that chance is expected to make.
    alarms : AlarmsByStrength
        The same by strength: log10 of the Bayes factor that the rule compares with its threshold,
        -log10 of the probability, or variability.
    needed : DetectionCounts
        Counts that a short burst needs to be found in each cell.
    variability : ndarray of float64, shape (y, x), or None
        The variability image, if cells were compared with that.
    """

    cells: SignificantCells
    threshold: Threshold
    false_alarms: FalseAlarms
    alarms: AlarmsByStrength
    needed: DetectionCounts
    variability: Floats | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Found:
    """Where and when bursts are that were looked for photon by photon.

    Attributes
    ----------
    positions : tuple of Position
        Of each significant cell.
    spans : ndarray of float64, shape (n_cells, 2)
        Start and stop of each, mission elapsed seconds.
    """

    positions: tuple[Position, ...]
    spans: Floats


@dataclass(frozen=True)
class Searched:
    """Counts and expectation in the frames that were searched, and what was found in them.

    Attributes
    ----------
    cube, expectation : CountCube, Expectation or ConditionalExpectation
        In sub-frames; `shifts` of them are a frame.
    cells : SignificantCells
        Significant cells, or first cells of significant windows.
    strength : ndarray of float64, shape (n_cells,)
        Strength of the cells, as `TestedRun.alarms` counts it.
    width, shifts : int
        Cells along a side of a window, sub-frames in a frame.
    found : Found or None
        Where and when, if the search itself says so; else it follows from the cells.
    """

    cube: CountCube
    expectation: Expectation | ConditionalExpectation
    cells: SignificantCells
    strength: Floats
    width: int = 1
    shifts: int = 1
    found: Found | None = None

    def significant_frames(self, members: Indices) -> Mask:
        """Sub-frames of some of the cells, shape (n_sub_frames,)."""
        frames = self.cube.frames
        first = np.rint((self.cells.start[members] - frames.t_lo) / frames.t_bin).astype(int)
        chosen = np.zeros(frames.n, bool)
        for step in range(self.shifts):
            chosen[first + step] = True
        return chosen


class NullHypothesis(Protocol):
    """What chance makes of a subset."""

    @property
    def subset(self) -> Subset:
        """What all runs share."""
        ...

    def counted(self) -> Iterator[CountedRun]:
        """Count every time bin and band, in the order of `runs`, without a test."""
        ...

    def runs(self) -> Iterator[tuple[TestedRun, Searched]]:
        """Test the counts of every time bin and band, in the order in which that is quickest.

        One at a time, so that only one cube is in memory.
        """
        ...
