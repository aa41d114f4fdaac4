"""The search of one subset: its runs, each from merged events to regions with light curves.

Every function of the science meets here; nothing in here knows of files or tables.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.bayes import Thresholds
from exod.config import Config
from exod.cube import Box, CountCube, EventsByCell, Grid
from exod.expectation import Expectation, expect, mask_radius, source_discs
from exod.gti import BadTime, Frames, bad_time, camera_off
from exod.lightcurves import LightCurve, light_curve
from exod.positions import Position, fit_position
from exod.regions import Region, SignificantCells, find_regions, significant_cells
from exod.subsets import MergedEvents


@dataclass(frozen=True)
class VariableRegion:
    """A region with its fitted position (None if the fit failed) and light curve."""

    region: Region
    position: Position | None
    light_curve: LightCurve


@dataclass(frozen=True)
class Run:
    """One run: a subset, a time bin and an energy band, searched.

    Attributes
    ----------
    runid : str
        ``{obsid}_{subset}_{t_bin}_{e_lo}_{e_hi}``.
    t_bin : float
        Length of a frame in seconds.
    band : (float, float)
        Energy band in keV.
    n_events : int
        Events of the band in the merged list.
    bad_time : BadTime
        Bad time intervals.
    camera_off : ndarray of bool, shape (n_frames,)
        Frames in which a CCD or a camera was off.
    cube, expectation : CountCube, Expectation
        Counts and expected counts.
    cells : SignificantCells
        Significant cells.
    regions : tuple of VariableRegion
        Variable regions.
    seconds : float
        Time taken.
    """

    runid: str
    t_bin: float
    band: tuple[float, float]
    n_events: int
    bad_time: BadTime
    camera_off: NDArray[np.bool_]
    cube: CountCube
    expectation: Expectation
    cells: SignificantCells
    regions: tuple[VariableRegion, ...]
    seconds: float


def run_id(obsid: str, subset: int, t_bin: float, band: tuple[float, float]) -> str:
    """Name of a run.

    Examples
    --------
    >>> run_id("0765080801", 0, 50.0, (0.2, 12.0))
    '0765080801_0_50_0.2_12.0'
    """
    length = f"{t_bin:.0f}" if float(t_bin).is_integer() else repr(float(t_bin))
    return f"{obsid}_{subset}_{length}_{float(band[0])}_{float(band[1])}"


def search_subset(
    obsid: str,
    events: MergedEvents,
    sources: pd.DataFrame,
    config: Config,
    *,
    chunk_frames: int | None = None,
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

    Yields
    ------
    Run
        One at a time, so that only one cube is in memory.
    """
    grid = Grid.of_size(config.cube.size_arcsec)
    flat = grid.flat_index(events.x, events.y)
    thresholds = Thresholds(config.detect.sigma, config.detect.rule)
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
            expectation = expect(cube, bad.frames, known[cube.box])
            cells = significant_cells(cube, expectation, thresholds)
            regions = tuple(_describe_regions(cube, expectation, cells, off, events))
            yield Run(
                run_id(obsid, events.number, t_bin, band),
                t_bin,
                band,
                int(used.sum()),
                bad,
                off,
                cube,
                expectation,
                cells,
                regions,
                time.perf_counter() - began,
            )


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


def _describe_regions(
    cube: CountCube,
    expectation: Expectation,
    cells: SignificantCells,
    off: NDArray[np.bool_],
    events: MergedEvents,
) -> Iterator[VariableRegion]:
    regions = find_regions(cells, cube.image())
    near = np.zeros(cube.box.shape, bool)
    for region in regions:
        near[region.box.widened(1, cube.box.shape).slices] = True
    by_cell = EventsByCell(cube, near)
    for region in regions:
        yield VariableRegion(
            region,
            _locate(cube, expectation, cells, region, by_cell, events),
            light_curve(cube, expectation, off, by_cell, region.box),
        )


def _locate(
    cube: CountCube,
    expectation: Expectation,
    cells: SignificantCells,
    region: Region,
    by_cell: EventsByCell,
    events: MergedEvents,
) -> Position | None:
    """Fit the position of the excess in the peak frames, or of the source that was eclipsed."""
    frames = np.zeros(cube.frames.n, bool)
    is_peak = cells.is_peak[region.members]
    frames[cells.frame[region.members][is_peak] if is_peak.any() else slice(None)] = True
    box = region.box.widened(1, cube.box.shape)
    if is_peak.any():
        background = expectation.image(frames)[box.slices].sum()
    else:
        # A source that fades is brightest outside its eclipse, where its constant part is signal.
        frames[cells.frame[region.members]] = False
        background = expectation.background_image(frames)[box.slices].sum()
    inside = by_cell.in_box(box)
    chosen = cube.event[inside[frames[cube.frame[inside]]]]
    weighted = (region.x_weighted, region.y_weighted)
    x, y = (
        (low + 0.5 + index) * cube.grid.width
        for low, index in zip((cube.box.x_lo, cube.box.y_lo), weighted, strict=True)
    )
    area = box.size * cube.grid.width**2
    return fit_position(events.x[chosen], events.y[chosen], float(background), area, (x, y))
