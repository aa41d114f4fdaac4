"""What an exposure knows of every place of its field: counts, background, live time, chips.

In go the events of an exposure and when and where it saw; out comes what answers questions about
any place and time (`exod.sensitivity.depth.placelimits`). The background of a cell is that of the
ring around it, by the area of its chips that see, so that a source at the place is not part of it;
how it goes with time is that of the whole field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from exod.config import Band
from exod.counts.grid import Box, Grid
from exod.counts.partial import live_weights
from exod.instruments import INSTRUMENTS
from exod.observation.commonsky import sky_plane
from exod.observation.events import EventList, Exposure
from exod.observation.gti import Frames, bad_time
from exod.observation.livetime import LiveCurve
from exod.schemas.arrays import Floats, Integers, Mask
from exod.sensitivity.exposuremaps import Seen
from exod.sky.plane import TangentPlane

LEVEL_SECONDS: Final = 50.0
"""Time for which the level of the background counts as constant."""

RINGS: Final = ((3.0, 7.0), (3.0, 14.0), (3.0, 28.0))
"""Radii in cells of the rings in which the background is looked for; the first that has enough."""

ENOUGH: Final = 50.0
"""Counts of a ring: its background is then known to 14 per cent, and so few are hardly ever
expected at a place that it matters."""

NODE_CELLS: Final = 4
"""Cells between the places at which rings are evaluated; a ring is 14 wide."""

SAMPLES: Final = 5
"""Places along the side of a cell at which it is asked whether they were seen."""

AREA_STEPS: Final = 250
"""Steps in which the share of a cell that sees is kept."""

TICK: Final = 0.1
"""Seconds in which the times of photons are kept."""


@dataclass(frozen=True)
class CellPhotons:
    """Photons of the cells of a box, cell after cell, in order of time.

    Attributes
    ----------
    first : ndarray of int64, shape (n_cells + 1,)
        Number of the first photon of each cell, in order of y, then x.
    tick : ndarray of int64, shape (n_photons,)
        `TICK` since the start of the exposure.
    kind : ndarray of uint8, shape (n_photons,)
        Bit b is set for a photon of band b.
    """

    first: Integers
    tick: Integers
    kind: NDArray[np.uint8]


@dataclass(frozen=True)
class ExposureDepth:
    """What is known of an exposure, in all of its cells or some.

    Attributes
    ----------
    obsid, expid, instrument : str
        The exposure.
    pointing : (float, float, float)
        Right ascension, declination and position angle in degrees.
    seconds : (float, float)
        First and last live second of any CCD.
    plane : TangentPlane
        Projection of the sky pixels.
    grid : Grid
        Cells.
    box : Box
        Those that the images below are of.
    bands : sequence of (float, float)
        Energies in keV.
    factor : ndarray of float64, shape (n_bands, 5)
        Counts of a band for each erg/cm^2 in it without vignetting, by the band of the pipeline;
        NaN if there is none.
    frames : Frames
        Frames of the level, the last one longer than the exposure.
    level : ndarray of float64, shape (n_bands, n_frames)
        Background counts of the field in a second, if all of it were live; outside of sources.
    is_bad : ndarray of bool, shape (n_frames,)
        Frames in bad time.
    live : mapping of int to LiveCurve
        When each CCD was live.
    nodes : ndarray of float64, shape (2, n_bands, n_y, n_x)
        Share of the level in a cell that sees with all of its area, in good and in bad time, at
        every `NODE_CELLS` of the `node_box`.
    node_box : Box
        Cells that the nodes are over.
    area : ndarray of float64, shape (y, x)
        Share of each cell that sees.
    ccd : ndarray of uint8, shape (y, x)
        Which CCD; 0 where none.
    n : ndarray of int64, shape (n_bands, y, x)
        Counts.
    constant : ndarray of float64, shape (n_bands, y, x)
        Counts of known and bright sources in a live second.
    photons : CellPhotons, optional
        The photons, if they were kept.
    totals : mapping of int to ndarray of float64, shape (n_bands, 2)
        `level_total` of the CCDs of which it was worked out before.
    """

    obsid: str
    expid: str
    instrument: str
    pointing: tuple[float, float, float]
    seconds: tuple[float, float]
    plane: TangentPlane
    grid: Grid
    box: Box
    bands: tuple[Band, ...]
    factor: Floats
    frames: Frames
    level: Floats
    is_bad: Mask
    live: Mapping[int, LiveCurve]
    nodes: Floats
    node_box: Box
    area: Floats
    ccd: NDArray[np.uint8]
    n: Integers
    constant: Floats
    photons: CellPhotons | None = None
    totals: Mapping[int, Floats] = field(default_factory=dict)

    @property
    def ratio(self) -> Floats:
        """`nodes` interpolated to the cells of the box, shape (2, n_bands, y, x)."""
        return np.stack([self.ratio_of(band) for band in range(len(self.bands))], axis=1)

    def ratio_of(self, band: int) -> Floats:
        """`ratio` of a band, shape (2, y, x)."""
        box, whole = self.box, self.node_box
        n_y, n_x = self.nodes.shape[2:]
        rows = _node_weights(box.y_lo - whole.y_lo, box.y_hi - whole.y_lo, n_y)
        columns = _node_weights(box.x_lo - whole.x_lo, box.x_hi - whole.x_lo, n_x)
        return np.asarray(rows @ self.nodes[:, band] @ columns.T)

    def level_total(self, ccdnr: int, band: int) -> Floats:
        """Level times live time of a CCD in good and in bad time, shape (2,)."""
        if ccdnr in self.totals:
            return self.totals[ccdnr][band]
        live = np.diff(self.live[ccdnr].at(self._frame_ends))
        return np.asarray(self._halves @ (live * self.level[band]))

    def level_up_to(self, ccdnr: int, band: int, time: Floats) -> Floats:
        """`level_total` of what is before some times (n,), shape (2, n)."""
        live, sums = self._level_sums(ccdnr, band)
        frame = np.clip(self.frames.index(time), 0, self.frames.n - 1)
        rest = (self.live[ccdnr].at(time) - live[frame]) * self.level[band, frame]
        return np.asarray(sums[:, frame] + rest * self._halves[:, frame])

    def _level_sums(self, ccdnr: int, band: int) -> tuple[Floats, Floats]:
        """Up to the ends of frames: live time (n_frames + 1,), level times it (2, n_frames + 1)."""
        key = (ccdnr, band)
        if key not in self._known_sums:
            live = self.live[ccdnr].at(self._frame_ends)
            sums = np.zeros((2, self.frames.n + 1))
            np.cumsum(np.diff(live) * self.level[band] * self._halves, axis=1, out=sums[:, 1:])
            self._known_sums[key] = live, sums
        return self._known_sums[key]

    @cached_property
    def _known_sums(self) -> dict[tuple[int, int], tuple[Floats, Floats]]:
        return {}

    @cached_property
    def _frame_ends(self) -> Floats:
        ends = self.frames.t_lo + self.frames.t_bin * np.arange(self.frames.n + 1)
        return np.asarray(ends, float)

    @cached_property
    def _halves(self) -> Mask:
        """Which frames are in good and which in bad time, shape (2, n_frames)."""
        return np.stack([~self.is_bad, self.is_bad])


@lru_cache(maxsize=1024)
def _node_weights(low: int, high: int, n_nodes: int) -> Floats:
    """How much cells have of each of the nodes along an axis, shape (high - low, n_nodes)."""
    place = np.clip(np.arange(low, high) / NODE_CELLS, 0, n_nodes - 1)
    weights = np.zeros((len(place), n_nodes))
    left = np.minimum(place.astype(int), max(n_nodes - 2, 0))
    cell = np.arange(len(place))
    weights[cell, left] = 1 - (place - left)
    weights[cell, np.minimum(left + 1, n_nodes - 1)] += place - left
    return weights


def exposure_depth(
    exposure: Exposure,
    events: EventList,
    seen: Seen,
    live: Mapping[int, LiveCurve],
    known: Mask,
    *,
    grid: Grid,
    bands: Sequence[Band],
    factor: Floats,
    with_photons: bool = True,
) -> ExposureDepth:
    """Everything that is known of an exposure.

    Parameters
    ----------
    exposure : Exposure
        Its header.
    events : EventList
        Selected events in order of time.
    seen : Seen
        Which places were seen.
    live : mapping of int to LiveCurve
        When each CCD was live.
    known : ndarray of bool, shape (n, n)
        Cells of known and bright sources, in the whole grid.
    grid : Grid
        Cells.
    bands : sequence of (float, float)
        Energies in keV, eight at most.
    factor : ndarray of float64, shape (n_bands, 5)
        As `ExposureDepth.factor`.
    with_photons : bool
        Whether to keep the photons, without which there are no counts of a part of the time.

    Raises
    ------
    ConfigError
        If the submode is not known.
    """
    pointing = exposure.ra_pnt, exposure.dec_pnt, exposure.pa_pnt
    area, ccd = _chips(seen, exposure.plane, grid, pointing, live)
    flat = grid.flat_index(events.x, events.y)
    pieces = np.concatenate([curve.pieces for curve in live.values()])
    start, stop = float(pieces[:, 0].min()), float(pieces[:, 1].max())
    frames = Frames(start, LEVEL_SECONDS, max(int(np.ceil((stop - start) / LEVEL_SECONDS)), 1))
    frame = np.clip(frames.index(events.time), 0, frames.n - 1)
    is_bad = bad_time(events.time, events.pi, frames, start + LEVEL_SECONDS * frames.n, 1).frames
    kind = np.zeros(len(events.time), np.uint8)
    for number, (low, high) in enumerate(bands):
        kind |= ((events.pi > 1000 * low) & (events.pi < 1000 * high)).astype(np.uint8) << number
    inside = (flat >= 0) & (kind > 0)
    used = np.flatnonzero((area.ravel() > 0) | (np.bincount(flat[inside], minlength=area.size) > 0))
    box = Box.around(used, grid.n)
    image = [  # Counts in good and in bad time, of each band.
        [
            np.bincount(flat[own & (is_bad[frame] == half)], minlength=area.size)
            for own in (inside & (kind >> number & 1 > 0) for number in range(len(bands)))
        ]
        for half in (False, True)
    ]
    counts = np.array(image).reshape(2, len(bands), grid.n, grid.n)
    outside = inside & ~known.ravel()[np.maximum(flat, 0)]
    level = np.stack(
        [
            _level(events.ccdnr[own], frame[own], frames, live)
            for own in (outside & (kind >> number & 1 > 0) for number in range(len(bands)))
        ]
    )
    depth = ExposureDepth(
        exposure.obsid,
        exposure.expid,
        exposure.instrument,
        pointing,
        (start, stop),
        exposure.plane,
        grid,
        box,
        tuple(bands),
        factor,
        frames,
        level.astype(np.float32).astype(float),
        is_bad,
        dict(live),
        np.zeros((2, len(bands), 1, 1)),
        box,
        area[box.slices],
        ccd[box.slices],
        counts.sum(0)[(..., *box.slices)],
        np.zeros((len(bands), *box.shape)),
        _photons(flat, events.time, kind, inside, box, grid, start) if with_photons else None,
    )
    return _with_background(depth, counts[(..., *box.slices)], known[box.slices])


def _chips(
    seen: Seen,
    plane: TangentPlane,
    grid: Grid,
    pointing: tuple[float, float, float],
    live: Mapping[int, LiveCurve],
) -> tuple[Floats, NDArray[np.uint8]]:
    """Share of each cell that sees, and the CCD that most of it is on, shape (n, n)."""
    view = seen.usable.view()
    is_on = np.zeros(INSTRUMENTS[seen.instrument].n_ccds + 1, bool)
    is_on[list(live)] = True
    middle, n = SAMPLES // 2, grid.n
    area, ccd = np.zeros((n, n)), np.zeros((n, n), np.uint8)
    fine = (np.arange(n * SAMPLES) + 0.5) / SAMPLES * grid.width
    for row in range(n):
        x, y = np.meshgrid(fine, fine[row * SAMPLES : (row + 1) * SAMPLES])
        sky = plane.to_sky(x.ravel(), y.ravel())
        places = sky_plane(*pointing[:2]).to_pixel(*sky)
        chip, share = view(*places)
        blocks = np.where(is_on[chip], chip, 0).reshape(SAMPLES, n, SAMPLES)
        own = blocks[middle, :, middle]
        # In a gap the chip beside it counts.
        own = np.where(own > 0, own, blocks.max(axis=(0, 2)))
        ccd[row] = own
        area[row] = (share.reshape(blocks.shape) * (blocks > 0)).mean(axis=(0, 2))
    return np.rint(area * AREA_STEPS) / AREA_STEPS, ccd


def _level(
    ccdnr: NDArray[np.uint8],
    frame: NDArray[np.integer],
    frames: Frames,
    live: Mapping[int, LiveCurve],
) -> Floats:
    """Counts of a second in each frame if all CCDs were live, shape (n_frames,)."""
    ends = frames.t_lo + frames.t_bin * np.arange(frames.n + 1)
    fractions = np.array([np.diff(curve.at(ends)) for curve in live.values()]) / frames.t_bin
    total = np.bincount(frame, minlength=frames.n).astype(float)
    own = np.bincount(ccdnr, minlength=256)[list(live)].astype(float)
    mean = live_weights(own, total, fractions) @ fractions * frames.t_bin
    return np.divide(total, mean, out=np.zeros_like(total), where=mean > 1e-3 * frames.t_bin)


def _with_background(depth: ExposureDepth, counts: Integers, known: Mask) -> ExposureDepth:
    """The exposure with the background of the cells and the counts of its sources.

    `counts` are those of good and of bad time, shape (2, n_bands, y, x).
    """
    expected = np.zeros(counts.shape)
    seconds = np.zeros(256)
    for ccdnr, curve in depth.live.items():
        seconds[ccdnr] = curve.seconds / curve.usual
        for band in range(len(depth.bands)):
            total = depth.level_total(ccdnr, band)
            expected[:, band] += total[:, None, None] * (depth.ccd == ccdnr)
    expected *= depth.area
    rows, columns = (slice(None, None, NODE_CELLS),) * 2
    nodes = np.zeros((2, len(depth.bands), *depth.area[rows, columns].shape))
    for half, band in np.ndindex(nodes.shape[:2]):
        ring = _ring_ratio(np.where(known, 0.0, counts[half, band]), expected[half, band] * ~known)
        nodes[half, band] = ring[rows, columns]
    # Kept as they are stored, so that what is read back is the same.
    made = replace(depth, nodes=nodes.astype(np.float32).astype(float))
    excess = np.maximum((counts - expected * made.ratio).sum(0), 0.0) * known
    live = seconds[depth.ccd]
    rate = np.divide(excess, live, out=np.zeros_like(excess), where=live > 0)
    return replace(made, constant=rate.astype(np.float32).astype(float))


def _ring_ratio(counts: Floats, expected: Floats) -> Floats:
    """Counts of the ring around each cell over what is expected there, shape (y, x)."""
    total = expected.sum()
    found = np.full(counts.shape, counts.sum() / total if total > 0 else 0.0)
    done = np.zeros(counts.shape, bool)
    for inner, outer in RINGS:
        reach = int(outer)
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        distance = np.hypot(y, x)
        ring = ((distance > inner) & (distance <= outer)).astype(float)
        n, mu = (fftconvolve(image, ring, mode="same") for image in (counts, expected))
        enough = ~done & (n >= ENOUGH) & (mu > 1e-6 * total)
        found[enough] = n[enough] / mu[enough]
        done |= enough
    return found


def _photons(
    flat: NDArray[np.int32],
    time: Floats,
    kind: NDArray[np.uint8],
    inside: Mask,
    box: Box,
    grid: Grid,
    start: float,
) -> CellPhotons:
    """The photons by cell of the box."""
    own = np.flatnonzero(inside)
    row, column = np.divmod(flat[own], grid.n)
    cell = (row - box.y_lo) * box.shape[1] + column - box.x_lo
    order = np.lexsort((time[own], cell))
    first = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=box.size))])
    tick = np.floor((time[own] - start) / TICK)[order]
    return CellPhotons(first, np.maximum(tick, 0).astype(np.int64), kind[own][order])
