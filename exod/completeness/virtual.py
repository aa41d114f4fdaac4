"""Bursts put into the expectation of a whole observation, photon by photon, without event lists.

The runs of an observation share their photons, so that their chances to find a burst are not
independent. Here the photons of the burst and of the background around it are drawn once, then
binned and tested as each run does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.completeness.burstphotons import Photons, Site, burst_photons, undivided
from exod.completeness.probability import (
    REACH,
    OwnLight,
    Patch,
    blurred_patch,
    bright_limit,
    with_own_light,
)
from exod.counts.bayes import Thresholds
from exod.counts.cube import CountCube
from exod.counts.template import Expectation

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SIDE: Final = 2 * REACH + 1


@dataclass(frozen=True)
class SearchedRun:
    """What is needed of a run.

    Attributes
    ----------
    runid : str
        Its name.
    band : (float, float)
        Energy band in keV.
    cube, expectation : CountCube, Expectation
        Frames and cells, and expected counts without the bursts.
    thresholds : Thresholds
        Significance.
    """

    runid: str
    band: tuple[float, float]
    cube: CountCube
    expectation: Expectation
    thresholds: Thresholds


def virtual_injection(
    runs: Sequence[SearchedRun],
    sites: Sequence[Site],
    counts: float,
    duration: float,
    start: Floats,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """Find out which runs find each of many bursts.

    Parameters
    ----------
    runs : sequence of SearchedRun
        Of one subset of an observation, without the bursts.
    sites : sequence of Site
        Places; they take turns.
    counts : float
        Expected counts of each burst in the whole point spread function, all energies, if there
        were no gaps.
    duration : float
        Of each burst, at constant rate, in seconds.
    start : ndarray of float64, shape (n_bursts,)
        Mission elapsed times.
    generator : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    ndarray of bool, shape (n_bursts, n_runs)
        Whether the burst made a cell significant within two cells of its place.
    """
    place = np.arange(len(start)) % len(sites)
    x = np.array([site.x for site in sites])[place]
    y = np.array([site.y for site in sites])[place]
    bursts = burst_photons(sites, place, counts, duration, start, generator)
    stop = start + duration
    background = _background_photons(runs, x, y, start, stop, generator)
    events = Photons.concatenate([bursts, *background])
    found = [_found(run, events, x, y) for run in runs]
    return np.stack(found, axis=1)


def _background_photons(
    runs: Sequence[SearchedRun],
    x: Floats,
    y: Floats,
    start: Floats,
    stop: Floats,
    generator: np.random.Generator,
) -> list[Photons]:
    """Background around the bursts, while any frame that they touch lasts.

    It is drawn from the expectation of the run with the shortest frames in each band that is not
    made up of other bands.
    """
    margin = max(run.cube.frames.t_bin for run in runs)
    parts = []
    for band in undivided({run.band for run in runs}):
        run = min((r for r in runs if r.band == band), key=lambda r: r.cube.frames.t_bin)
        frames, grid = run.cube.frames, run.cube.grid
        patch = Patch.around(run.cube, x, y)
        first = np.floor((start - margin - frames.t_lo) / frames.t_bin).astype(np.int64)
        longest = float((stop - start).max()) + 2 * margin
        frame = first[:, None] + np.arange(int(np.ceil(longest / frames.t_bin)) + 1)
        inside = (frame >= 0) & (frame < frames.n)
        cell = patch.cell.reshape(len(x), 1, -1)
        mu = run.expectation.at(np.where(inside, frame, 0)[:, :, None], np.maximum(cell, 0))
        mu = np.where(inside[:, :, None] & (cell >= 0), mu, 0.0)
        n = generator.poisson(mu)
        index = np.nonzero(n)
        trial, step, which = (np.repeat(axis, n[index]) for axis in index)
        size = len(trial)
        row, column = np.divmod(which, _SIDE)
        time = frames.t_lo + frames.t_bin * (frame[trial, step] + generator.random(size))
        parts.append(
            Photons(
                trial,
                time,
                (patch.column[trial] + column - REACH + generator.random(size)) * grid.width,
                (patch.row[trial] + row - REACH + generator.random(size)) * grid.width,
                np.full(size, sum(band) / 2),
                np.zeros(size, bool),
            )
        )
    return parts


def _found(run: SearchedRun, events: Photons, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Bin the events as the run does and test the cells, shape (n_bursts,)."""
    expectation, cube = run.expectation, run.cube
    patch = Patch.around(cube, x, y)
    found = np.zeros(len(x), bool)
    column = np.floor(events.x / cube.grid.width).astype(np.int64)
    row = np.floor(events.y / cube.grid.width).astype(np.int64)
    i = column - patch.column[events.trial] + REACH
    j = row - patch.row[events.trial] + REACH
    frame = cube.frames.index(events.time).astype(np.int64)
    used = (events.energy > run.band[0]) & (events.energy < run.band[1])
    used &= (i >= 0) & (i < _SIDE) & (j >= 0) & (j < _SIDE)
    used &= (frame >= 0) & (frame < cube.frames.n)
    used[used] &= expectation.exposure[frame[used]] > 0
    used[used] &= patch.cell[events.trial[used], j[used], i[used]] >= 0
    if not used.any():
        return found
    trial, frame, own = events.trial[used], frame[used], events.own[used]
    place = j[used] * _SIDE + i[used]
    key = (trial * cube.frames.n + frame) * _SIDE**2 + place
    cells, n = np.unique(key, return_counts=True)
    rest, place_of = np.divmod(cells, _SIDE**2)
    trial_of, frame_of = np.divmod(rest, cube.frames.n)
    light = _own_light(run, patch, (trial[own], frame[own], place[own]), rest, place_of)
    flat = patch.cell.reshape(len(x), -1)[trial_of, place_of]
    mu = with_own_light(expectation, frame_of, flat, light, bright_limit(expectation))
    np.logical_or.at(found, trial_of, run.thresholds.is_peak(n, mu))
    return found


def _own_light(
    run: SearchedRun,
    patch: Patch,
    photons: tuple[Integers, Integers, Integers],
    rest: Integers,
    place: Integers,
) -> OwnLight:
    """Counts of each burst in the images and frames of the cells that are tested.

    `rest` is the trial times the number of frames plus the frame, of each cell.
    """
    trial, frame, where = photons
    n_frames, n_trials = run.cube.frames.n, len(patch.row)
    is_bad = run.expectation.is_bad
    images = np.bincount(
        (trial * 2 + is_bad[frame]) * _SIDE**2 + where, minlength=n_trials * 2 * _SIDE**2
    ).reshape(n_trials, 2, _SIDE, _SIDE)
    mask = run.expectation.source_mask.ravel()
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
