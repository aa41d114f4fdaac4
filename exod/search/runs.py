"""What the search of a run gives, and the regions that its significant cells make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from exod.counts.bayes import Kind
from exod.counts.cube import CountCube, EventsByCell
from exod.observation.subsets import MergedEvents
from exod.schemas.arrays import Floats
from exod.search.bursts import Event, describe_event
from exod.search.ccdeffects import LeftOut
from exod.search.clocks import ExpectedCounts
from exod.search.lightcurves import LightCurve, light_curve
from exod.search.nulls.null import Searched, Subset, TestedRun
from exod.search.positions import Position, fit_position, psf_fraction
from exod.search.regions import Region, find_regions


@dataclass(frozen=True)
class VariableRegion:
    """A region with its fitted position (None if the fit failed) and light curve.

    Attributes
    ----------
    region : Region
        The cells.
    position : Position or None
        Where the source is.
    light_curve : LightCurve
        Counts of its bounding box.
    event : Event or None
        When it varied, and by how much; None if its photons do not show it.
    strength : float
        The significance of its strongest cell, as `Run.alarms` counts it.
    """

    region: Region
    position: Position | None
    light_curve: LightCurve
    event: Event | None
    strength: float


@dataclass(frozen=True)
class Run(TestedRun):
    """One run: a subset, a time bin and an energy band, searched.

    Attributes
    ----------
    runid : str
        ``{obsid}_{subset}_{t_bin}_{e_lo}_{e_hi}``.
    regions : tuple of VariableRegion
        Variable regions.
    seconds : float
        Time taken.
    left_out : LeftOut
        Cells that are left out since the CCDs explain them.
    """

    runid: str
    regions: tuple[VariableRegion, ...]
    seconds: float
    left_out: LeftOut = field(default_factory=LeftOut)

    @cached_property
    def expected(self) -> Floats:
        """Expected counts summed over the frames, shape (y, x)."""
        return self.expectation.image()

    @property
    def is_searched(self) -> bool:
        """Whether any cell has an expectation; without one nothing is tested."""
        return bool(self.expected.sum() > 0)

    @property
    def live_share(self) -> float:
        """Share of the frames that are not masked; 0 if nothing was searched."""
        return float(self.cube.exposure.mean()) if self.is_searched else 0.0


def run_id(obsid: str, subset: int, t_bin: float, band: tuple[float, float]) -> str:
    """Name of a run.

    Examples
    --------
    >>> run_id("0765080801", 0, 50.0, (0.2, 12.0))
    '0765080801_0_50_0.2_12.0'
    """
    length = f"{t_bin:.0f}" if float(t_bin).is_integer() else repr(float(t_bin))
    return f"{obsid}_{subset}_{length}_{float(band[0])}_{float(band[1])}"


def describe_regions(
    tested: TestedRun, searched: Searched, subset: Subset
) -> Iterator[VariableRegion]:
    """Regions of the significant cells, with positions and light curves.

    Parameters
    ----------
    tested : TestedRun
        Counts and expectation in whole frames.
    searched : Searched
        The same in the frames that were searched, and what was found.
    subset : Subset
        The events that the cubes were made of, and when they could come.
    """
    cube, expectation, events = tested.cube, tested.expectation, subset.events
    regions = find_regions(searched.cells, cube.image(), searched.width)
    near = np.zeros(cube.box.shape, bool)
    for region in regions:
        near[region.box.widened(1, cube.box.shape).slices] = True
    by_cell = EventsByCell(cube, near)
    for region in regions:
        strongest = region.members[np.argmax(searched.strength[region.members])]
        if searched.found is None:
            position = _locate(searched, region, by_cell, events)
        else:
            position = searched.found.positions[strongest]
        curve = light_curve(cube, expectation, tested.camera_off, by_cell, region.box)
        own = np.sort(cube.event[by_cell.in_box(region.box)])
        times = np.append(events.time[own], _behind(tested, region, events))
        expected = _expected(curve, cube, events)
        if subset.live is not None:
            expected = expected.finer(*subset.live.of_place(subset.live_group[own]))
        event = _measure(searched, region, cube, expected, times, position, events)
        strength = float(searched.strength[strongest])
        yield VariableRegion(region, position, curve, event, strength)


def _expected(curve: LightCurve, cube: CountCube, events: MergedEvents) -> ExpectedCounts:
    """What a region has in frames without the event, up to the end of a zone."""
    frames = cube.frames
    edges = np.append(frames.starts, frames.t_lo + frames.n * frames.t_bin)
    mu, live = np.maximum(curve.mu.astype(float), 0.0), curve.live.astype(float)
    if events.zone is not None and events.t_hi > edges[-1]:
        mu = np.append(mu, mu[-1] * (events.t_hi - edges[-1]) / frames.t_bin)
        live = np.append(live, live[-1])
        edges = np.append(edges, events.t_hi)
    return ExpectedCounts(edges, np.where(live > 0, mu, 0.0), live)


def _measure(
    found: Searched,
    region: Region,
    cube: CountCube,
    expected: ExpectedCounts,
    times: Floats,
    position: Position | None,
    events: MergedEvents,
) -> Event | None:
    """Start, stop and counts of the event in the strongest cell of a region."""
    is_peak = found.cells.is_peak[region.members]
    members = region.members[is_peak] if is_peak.any() else region.members
    strongest = members[np.argmax(found.strength[members])]
    frames, start = cube.frames, float(found.cells.start[strongest])
    seed = (start, start + frames.t_bin)
    if found.found is not None:
        # A burst of a single moment still has a span.
        begin, end = found.found.spans[strongest].tolist()
        seed = (begin, max(end, begin + 1e-3))
    fraction = 1.0
    if position is not None:
        box, grid = region.box.shifted(cube.box.y_lo, cube.box.x_lo), cube.grid
        x_lo, x_hi, y_lo, y_hi = (
            edge * grid.width for edge in (box.x_lo, box.x_hi, box.y_lo, box.y_hi)
        )
        fraction = psf_fraction(
            position.x,
            position.y,
            (x_lo, x_hi, y_lo, y_hi),
            events.observatory_at(position.x, position.y).position_psf.core,
            grid.pixel_arcsec,
        )
    kind: Kind = "peak" if is_peak.any() else "eclipse"
    return describe_event(times, expected, seed, kind, psf_fraction=max(fraction, 0.1))


def _behind(tested: TestedRun, region: Region, events: MergedEvents) -> Floats:
    """Times of the photons of a region behind the last whole frame; none where there are no zones.

    Frames are not searched beyond, but an event lasts as long as it does.
    """
    frames, grid = tested.cube.frames, tested.cube.grid
    box = region.box.shifted(tested.cube.box.y_lo, tested.cube.box.x_lo)
    first = len(events.time)
    if events.zone is not None:
        first = int(np.searchsorted(events.time, frames.t_lo + frames.n * frames.t_bin))
    late = slice(first, int(np.searchsorted(events.time, events.t_hi, side="right")))
    low, high = (1000 * energy for energy in tested.band)
    pi, (row, column) = (
        events.pi[late],
        np.divmod(grid.flat_index(events.x[late], events.y[late]), grid.n),
    )
    inside = (pi > low) & (pi < high) & (row >= box.y_lo) & (row < box.y_hi)
    inside &= (column >= box.x_lo) & (column < box.x_hi)
    return events.time[late][inside]


def _locate(
    found: Searched, region: Region, by_cell: EventsByCell, events: MergedEvents
) -> Position | None:
    """Fit the position of the excess in the peak frames, or of the source that was eclipsed."""
    cube, cells = found.cube, found.cells
    box = region.box.widened(1, cube.box.shape)
    is_peak = cells.is_peak[region.members]
    if is_peak.any():
        frames = found.significant_frames(region.members[is_peak])
        background = found.expectation.image(frames)[box.slices].sum()
    else:
        # A source that fades is brightest outside its eclipse, where its constant part is signal.
        frames = ~found.significant_frames(region.members)
        background = found.expectation.background_image(frames)[box.slices].sum()
    inside = by_cell.in_box(box)
    chosen = cube.event[inside[frames[cube.frame[inside]]]]
    weighted = (region.x_weighted, region.y_weighted)
    x, y = (
        (low + 0.5 + index) * cube.grid.width
        for low, index in zip((cube.box.x_lo, cube.box.y_lo), weighted, strict=True)
    )
    area = box.size * cube.grid.width**2
    return fit_position(
        events.x[chosen],
        events.y[chosen],
        float(background),
        area,
        (x, y),
        events.observatory_at(x, y),
        cube.grid.pixel_arcsec,
    )
