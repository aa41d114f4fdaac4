"""Virtual injection for the search in sliding windows.

As in `exod.completeness.virtual` the photons of bursts and of the background around them are drawn
once; here they are summed in the windows of all positions and the frames of all shifts, and tested
with the binomial probability of each window, of whose counts those of the burst are a part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exod.completeness.burstphotons import (
    BurstPhotons,
    PlacedBursts,
    background_photons,
    cells_of,
)
from exod.completeness.probability import REACH, Patch
from exod.config import Band
from exod.counts.cube import CountCube
from exod.counts.partial import shares_of
from exod.counts.shares import ConditionalExpectation
from exod.counts.windows import Chance
from exod.observation.gti import Frames
from exod.schemas.arrays import Floats, Integers, Mask
from exod.search.sliding import SPARSE


@dataclass(frozen=True)
class VirtualWindows:
    """What is needed of a run, as `exod.completeness.virtual.VirtualRun`.

    Attributes
    ----------
    band : (float, float)
        Energy band in keV.
    cube, expectation : CountCube, ConditionalExpectation
        Whole frames and cells, and expected counts without the bursts.
    p_log : float
        log10 of the largest probability of a significant window.
    width, shifts : int
        Cells along a side of a window; frames start at every 1/shifts of their length.
    """

    band: Band
    cube: CountCube
    expectation: ConditionalExpectation
    p_log: float
    width: int
    shifts: int

    def patch(self, bursts: PlacedBursts) -> Patch:
        """The cells around bursts."""
        return Patch.around(self.cube, bursts.x, bursts.y, max(REACH, self.width))

    def background(
        self, bursts: PlacedBursts, margin: float, generator: np.random.Generator
    ) -> Iterator[BurstPhotons]:
        """Background around the bursts, while any frame that they touch lasts."""
        curve, live_time = self.expectation.curve, self.expectation.live_time
        cell = self.patch(bursts).cell.reshape(len(bursts.x), -1)
        ends = live_time.at(np.array([bursts.start - margin, bursts.stop + margin]))
        shares = curve.shares(np.column_stack([np.zeros(len(curve.live)), curve.live]))
        source = self.expectation.source
        for total, images in zip(shares, (self.expectation.counts - source, source), strict=True):
            for share, image in zip(total, images, strict=True):
                low, high = np.interp(ends, curve.live, share)
                mean = np.where(cell >= 0, image.ravel()[cell], 0.0) * (high - low)[:, None]
                n = generator.poisson(np.maximum(mean, 0.0))
                trial, which = (np.repeat(axis, n[np.nonzero(n)]) for axis in np.nonzero(n))
                at = low[trial] + (high - low)[trial] * generator.random(len(trial))
                live = np.interp(at, share, curve.live)
                time = np.interp(live, live_time.at(live_time.edges), live_time.edges)
                yield background_photons(
                    self.cube, self.band, trial, cell[trial, which], time, generator
                )

    def live_at(self, events: BurstPhotons) -> Floats | None:
        """Live fraction of the cells of events at their times; None if all CCDs always were."""
        groups = self.expectation.groups
        if groups is None:
            return None
        times, _ = groups
        cell = cells_of(self.cube, events)
        interval = np.searchsorted(times.edges, events.time, side="right") - 1
        interval = np.clip(interval, 0, times.live.shape[1] - 1)
        live = (self._shares[:, np.maximum(cell, 0)] * times.live[:, interval]).sum(0)
        return np.where(cell >= 0, live, 1.0)

    @cached_property
    def _shares(self) -> Floats:
        """Shares of the groups of CCDs in what arrives at a cell, shape (n_groups, n_cells)."""
        groups, counts = self.expectation.groups, self.expectation.counts
        shape = counts.shape[1:]
        if groups is None:
            return np.ones((1, shape[0] * shape[1]))
        images = (groups[1].shares * counts.reshape(len(counts), 1, -1)).sum(axis=0)
        return shares_of(images, shape)

    def found(self, events: BurstPhotons, bursts: PlacedBursts) -> Mask:
        """Sum the photons in the windows of a run and test them, shape (n_bursts,)."""
        found = np.zeros(len(bursts.x), bool)
        seen = _Patches.of(self, bursts, events)
        n_classes, _, n_windows = seen.counts.shape
        for shift in range(self.shifts):
            frames = self.cube.frames.shifted(shift, self.shifts)
            first, last = (
                np.floor((time - frames.t_lo) / frames.t_bin).astype(np.int64)
                for time in (bursts.start, bursts.stop)
            )
            first, last = np.maximum(first, 0), np.minimum(last, frames.n - 1)
            frame = frames.index(seen.time).astype(np.int64)
            which = np.flatnonzero((frame >= first[seen.trial]) & (frame <= last[seen.trial]))
            if not len(which):
                continue
            index, window = seen.windows(which)
            event = which[index]
            span = int((last - first).max()) + 1
            key = seen.trial[event] * span + frame[event] - first[seen.trial[event]]
            keys, number = _often(key * n_windows + window, len(found) * span * n_windows)
            event, number = event[number >= 0], number[number >= 0]
            n, mine = _by_class(number, seen.kind[event], (n_classes, len(keys))), seen.own[event]
            own = _by_class(number[mine], seen.kind[event[mine]], n.shape)
            rest, window = np.divmod(keys, n_windows)
            trial, step = np.divmod(rest, span)
            hit = _significant(self, seen, frames, (step + first[trial], trial, window), n, own)
            np.logical_or.at(found, trial, hit)
        return found


@dataclass(frozen=True)
class _Patches:
    """Photons in the cells around bursts, and the windows of these cells, in one band.

    Attributes
    ----------
    trial, time, row, column, kind, own : ndarray, shape (n_photons,)
        Burst, time, cell within the patch, class of time, whether it is of the burst.
    side, width : int
        Cells along the side of a patch and of a window; windows start at every cell at which they
        fit into the patch.
    fits : ndarray of bool, shape (n_bursts, n_windows)
        Whether the window lies within the image.
    counts, source : ndarray of float64, shape (n_classes, n_bursts, n_windows)
        Counts of the windows without the burst, and those of constant sources among them.
    light : ndarray of float64, shape (n_classes, n_bursts, n_windows)
        Photons of the burst in the windows.
    middle : ndarray of int, shape (n_bursts, n_windows)
        A cell in the middle of the window, as flat index.
    """

    trial: Integers
    time: Floats
    row: Integers
    column: Integers
    kind: Integers
    own: Mask
    side: int
    width: int
    fits: Mask
    counts: Floats
    source: Floats
    light: Floats
    middle: Integers

    @classmethod
    def of(cls, run: VirtualWindows, bursts: PlacedBursts, events: BurstPhotons) -> _Patches:
        """The photons in the band of a run, in frames that a burst may touch."""
        patch, expectation, t_bin = run.patch(bursts), run.expectation, run.cube.frames.t_bin
        near = (events.energy > run.band[0]) & (events.energy < run.band[1])
        near &= events.time >= bursts.start[events.trial] - t_bin
        near &= events.time <= bursts.stop[events.trial] + t_bin
        events = events.take(near)
        row, column, used = patch.locate(events.trial, events.x, events.y, run.cube.grid.width)
        used &= expectation.live_time.contains(events.time)
        trial, time, row, column = events.trial[used], events.time[used], row[used], column[used]
        own = events.own[used]
        kind = expectation.curve.kind_at(expectation.live_time.at(time)).astype(np.int64)
        fits = _in_windows(patch.cell, run.width).min(axis=-1) >= 0
        counts, source = (
            np.where(patch.cell >= 0, images.reshape(len(images), -1)[:, patch.cell], 0.0)
            for images in (expectation.counts, expectation.source)
        )
        light = np.zeros(counts.shape)
        np.add.at(light, (kind[own], trial[own], row[own], column[own]), 1.0)
        return cls(
            trial,
            time,
            row,
            column,
            kind,
            own,
            patch.cell.shape[1],
            run.width,
            fits,
            _in_windows(counts, run.width).sum(axis=-1),
            _in_windows(source, run.width).sum(axis=-1),
            _in_windows(light, run.width).sum(axis=-1),
            _in_windows(patch.cell, run.width)[..., run.width**2 // 2],
        )

    def windows(self, which: Integers) -> tuple[Integers, Integers]:
        """Index of a photon in `which` and a window that it lies in, for each such pair."""
        across = self.side - self.width + 1
        index, window = [], []
        for step in range(self.width**2):
            down, right = divmod(step, self.width)
            row, column = self.row[which] - down, self.column[which] - right
            inside = (row >= 0) & (row < across) & (column >= 0) & (column < across)
            index.append(np.flatnonzero(inside))
            window.append(row[inside] * across + column[inside])
        return np.concatenate(index), np.concatenate(window)


def _in_windows(image: NDArray[Any], width: int) -> NDArray[Any]:
    """Values of the cells of each window, axes (..., y, x) become (..., window, cell)."""
    view = np.lib.stride_tricks.sliding_window_view(image, (width, width), axis=(-2, -1))
    return view.reshape(*image.shape[:-2], -1, width**2)


def _significant(
    run: VirtualWindows,
    seen: _Patches,
    frames: Frames,
    where: tuple[Integers, Integers, Integers],
    n: Floats,
    own: Floats,
) -> Mask:
    """Test windows, given by frame, burst and number, with counts by class, shape (n_windows,)."""
    frame, trial, window = where
    level, exposure = (share[:, frame] for share in run.expectation.shares(frames))
    source, total, light = (a[:, trial, window] for a in (seen.source, seen.counts, seen.light))
    live = _live_factors(run, seen, frames, where)
    expected = ((total - source) * level + source * exposure) * live
    # The counts of the frame, and those of the burst in others, are among those of the window.
    total = np.maximum(total - expected, 0.0) + n + light - own
    expected = (np.maximum(total - source, 0.0) * level + source * exposure) * live
    share = np.divide(expected, total, out=np.zeros_like(total), where=total > 0)
    chance, together = Chance.of_classes(total, np.minimum(share, 1.0)), n.sum(0)
    hit = (own.sum(0) > 0) & seen.fits[trial, window] & (together > expected.sum(0))
    hit &= expected.sum(0) > 0
    hit[hit] = chance.take(hit).log10_tail(together[hit], upper=True) <= run.p_log
    return hit


def _live_factors(
    run: VirtualWindows,
    seen: _Patches,
    frames: Frames,
    where: tuple[Integers, Integers, Integers],
) -> Floats | float:
    """Live fraction of windows over that of the field, shape (n_classes, n_windows)."""
    relative = run.expectation.relative(frames)
    if relative is None or run.expectation.groups is None:
        return 1.0
    frame, trial, window = where
    shares = run.expectation.groups[1]
    cell = np.maximum(seen.middle[trial, window], 0)
    return np.array([shares.factor(i, relative, frame, cell) for i in range(len(shares.shares))])


def _often(key: Integers, size: int) -> tuple[Integers, Integers]:
    """Keys that occur twice or more, and the index into them of each occurrence, -1 for others."""
    if size <= SPARSE * len(key):
        n = np.bincount(key, minlength=size)
        keys = np.flatnonzero(n >= 2)
        number = np.full(size, -1)
        number[keys] = np.arange(len(keys))
        return keys, number[key]
    keys, inverse, n = np.unique(key, return_inverse=True, return_counts=True)
    number = np.where(n >= 2, np.cumsum(n >= 2) - 1, -1)
    return keys[n >= 2], number[inverse]


def _by_class(index: Integers, kind: Integers, shape: tuple[int, ...]) -> Floats:
    """Photons by class and index, shape (n_classes, n)."""
    n_classes, n = shape
    flat = np.bincount(kind * n + index, minlength=n_classes * n)
    return flat.reshape(shape).astype(float)
