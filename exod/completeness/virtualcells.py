"""Virtual injection for the search in fixed cells, with the burst in its own expectation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from exod.completeness.burstphotons import (
    BurstPhotons,
    PlacedBursts,
    background_photons,
    cells_of,
)
from exod.completeness.probability import (
    REACH,
    OwnLight,
    Patch,
    blurred_patch,
    bright_limit,
    with_own_light,
)
from exod.config import Band
from exod.counts.bayes import Thresholds
from exod.counts.cube import CountCube
from exod.counts.template import Expectation
from exod.schemas.arrays import Floats, Integers, Mask

_SIDE: Final = 2 * REACH + 1


@dataclass(frozen=True)
class VirtualCells:
    """What is needed of a run, as `exod.completeness.virtual.VirtualRun`.

    Attributes
    ----------
    band : (float, float)
        Energy band in keV.
    cube, expectation : CountCube, Expectation
        Frames and cells, and expected counts without the bursts.
    thresholds : Thresholds
        Significance.
    """

    band: Band
    cube: CountCube
    expectation: Expectation
    thresholds: Thresholds

    def background(
        self, bursts: PlacedBursts, margin: float, generator: np.random.Generator
    ) -> Iterator[BurstPhotons]:
        """Background around the bursts, while any frame that they touch lasts."""
        frames = self.cube.frames
        patch = Patch.around(self.cube, bursts.x, bursts.y)
        first = np.floor((bursts.start - margin - frames.t_lo) / frames.t_bin).astype(np.int64)
        longest = float((bursts.stop - bursts.start).max()) + 2 * margin
        frame = first[:, None] + np.arange(int(np.ceil(longest / frames.t_bin)) + 1)
        inside = (frame >= 0) & (frame < frames.n)
        cell = patch.cell.reshape(len(bursts.x), 1, -1)
        mu = self.expectation.at(np.where(inside, frame, 0)[:, :, None], np.maximum(cell, 0))
        mu = np.where(inside[:, :, None] & (cell >= 0), mu, 0.0)
        n = generator.poisson(mu)
        index = np.nonzero(n)
        trial, step, which = (np.repeat(axis, n[index]) for axis in index)
        time = frames.t_lo + frames.t_bin * (frame[trial, step] + generator.random(len(trial)))
        yield background_photons(
            self.cube, self.band, trial, cell[trial, 0, which], time, generator
        )

    def live_at(self, events: BurstPhotons) -> Floats | None:
        """Live fraction of the cells of events at their times; None if all CCDs always were."""
        partial, cube = self.expectation.partial, self.cube
        if partial is None or not cube.frames.n:
            return None
        cell = cells_of(cube, events)
        frame = np.clip(cube.frames.index(events.time), 0, cube.frames.n - 1)
        live = np.ones(len(events.time))
        some = partial.frames[frame] & (cell >= 0)
        live[some] = partial.source.at(frame[some], cell[some])
        return live

    def found(self, events: BurstPhotons, bursts: PlacedBursts) -> Mask:
        """Bin the events as the run does and test the cells, shape (n_bursts,)."""
        expectation, cube = self.expectation, self.cube
        patch = Patch.around(cube, bursts.x, bursts.y)
        found = np.zeros(len(bursts.x), bool)
        j, i, used = patch.locate(events.trial, events.x, events.y, cube.grid.width)
        frame = cube.frames.index(events.time).astype(np.int64)
        used &= (events.energy > self.band[0]) & (events.energy < self.band[1])
        used &= (frame >= 0) & (frame < cube.frames.n)
        used[used] &= expectation.exposure[frame[used]] > 0
        if not used.any():
            return found
        trial, frame, own = events.trial[used], frame[used], events.own[used]
        place = j[used] * _SIDE + i[used]
        key = (trial * cube.frames.n + frame) * _SIDE**2 + place
        cells, n = np.unique(key, return_counts=True)
        rest, place_of = np.divmod(cells, _SIDE**2)
        trial_of, frame_of = np.divmod(rest, cube.frames.n)
        light = self._own_light(patch, (trial[own], frame[own], place[own]), rest, place_of)
        flat = patch.cell.reshape(len(found), -1)[trial_of, place_of]
        mu = with_own_light(expectation, frame_of, flat, light, bright_limit(expectation))
        np.logical_or.at(found, trial_of, self.thresholds.is_peak(n, mu))
        return found

    def _own_light(
        self,
        patch: Patch,
        photons: tuple[Integers, Integers, Integers],
        rest: Integers,
        place: Integers,
    ) -> OwnLight:
        """Counts of each burst in the images and frames of the cells that are tested.

        `rest` is the trial times the number of frames plus the frame, of each cell.
        """
        trial, frame, where = photons
        n_frames, n_trials = self.cube.frames.n, len(patch.row)
        is_bad = self.expectation.is_bad
        images = np.bincount(
            (trial * 2 + is_bad[frame]) * _SIDE**2 + where, minlength=n_trials * 2 * _SIDE**2
        ).reshape(n_trials, 2, _SIDE, _SIDE)
        mask = self.expectation.source_mask.ravel()
        open_ = ~mask[patch.cell.reshape(n_trials, -1)[trial, where]]
        total = np.bincount((trial * 2 + is_bad[frame])[open_], minlength=n_trials * 2)
        number, inverse = np.unique(rest, return_inverse=True)
        in_frame = np.zeros(len(number))
        np.add.at(in_frame, np.searchsorted(number, (trial * n_frames + frame)[open_]), 1.0)
        trial_of, frame_of = np.divmod(rest, n_frames)
        half = is_bad[frame_of].astype(np.int64)
        flat = images.reshape(n_trials, 2, -1)
        blurred = blurred_patch(images.astype(float)).reshape(n_trials, 2, -1)
        return OwnLight(
            flat[trial_of, half, place].astype(float),
            blurred[trial_of, half, place],
            total.reshape(n_trials, 2)[trial_of, half].astype(float),
            in_frame[inverse],
        )
