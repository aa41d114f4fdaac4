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

from exod.bayes import Thresholds
from exod.completeness.probability import (
    REACH,
    OwnLight,
    Patch,
    blurred_patch,
    bright_limit,
    with_own_light,
)
from exod.completeness.profiles import EPIC, Profile
from exod.cube import CountCube
from exod.expectation import Expectation
from exod.instruments import SKY_PIXEL_ARCSEC

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Band = tuple[float, float]

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
    """

    runid: str
    band: Band
    cube: CountCube
    expectation: Expectation


@dataclass(frozen=True)
class Site:
    """Photons of a source at one place, from which those of bursts are drawn again and again.

    Attributes
    ----------
    x, y : float
        The place in sky pixels.
    photon_x, photon_y : ndarray of float64, shape (n_photons,)
        Where photons fall, sky pixels.
    energy_kev : ndarray of float64, shape (n_photons,)
        Their energies.
    throughput : float
        Share of the photons that is seen: those in gaps between chips are lost.
    """

    x: float
    y: float
    photon_x: Floats
    photon_y: Floats
    energy_kev: Floats
    throughput: float = 1.0

    @classmethod
    def of_profile(
        cls,
        x: float,
        y: float,
        energy_kev: Floats,
        generator: np.random.Generator,
        profile: Profile = EPIC,
    ) -> Site:
        """A site far from any gap, with a photon of the profile for each energy."""
        offset = profile.sample(generator, len(energy_kev)) / SKY_PIXEL_ARCSEC
        return cls(x, y, x + offset[0], y + offset[1], energy_kev)


@dataclass(frozen=True)
class _Events:
    """Photons of bursts (`own`) and background: trial, time, sky pixels, energy in keV."""

    trial: Integers
    time: Floats
    x: Floats
    y: Floats
    energy: Floats
    own: NDArray[np.bool_]

    @classmethod
    def concatenate(cls, parts: Sequence[_Events]) -> _Events:
        names = ("trial", "time", "x", "y", "energy", "own")
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def virtual_injection(
    runs: Sequence[SearchedRun],
    thresholds: Thresholds,
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
    thresholds : Thresholds
        Significance.
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
    bursts = _burst_photons(sites, place, counts, duration, start, generator)
    stop = start + duration
    background = _background_photons(runs, x, y, start, stop, generator)
    events = _Events.concatenate([bursts, *background])
    found = [_found(run, thresholds, events, x, y) for run in runs]
    return np.stack(found, axis=1)


def _burst_photons(
    sites: Sequence[Site],
    place: Integers,
    counts: float,
    duration: float,
    start: Floats,
    generator: np.random.Generator,
) -> _Events:
    parts = []
    for number, site in enumerate(sites):
        mine = np.flatnonzero(place == number)
        n = generator.poisson(counts * site.throughput, len(mine))
        trial = np.repeat(mine, n)
        drawn = generator.integers(0, len(site.photon_x), len(trial))
        time = start[trial] + duration * generator.random(len(trial))
        parts.append(
            _Events(
                trial,
                time,
                site.photon_x[drawn],
                site.photon_y[drawn],
                site.energy_kev[drawn],
                np.ones(len(trial), bool),
            )
        )
    return _Events.concatenate(parts)


def _background_photons(
    runs: Sequence[SearchedRun],
    x: Floats,
    y: Floats,
    start: Floats,
    stop: Floats,
    generator: np.random.Generator,
) -> list[_Events]:
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
            _Events(
                trial,
                time,
                (patch.column[trial] + column - REACH + generator.random(size)) * grid.width,
                (patch.row[trial] + row - REACH + generator.random(size)) * grid.width,
                np.full(size, sum(band) / 2),
                np.zeros(size, bool),
            )
        )
    return parts


def undivided(bands: set[Band]) -> list[Band]:
    """Bands that others do not add up to.

    Examples
    --------
    >>> undivided({(0.2, 2.0), (2.0, 12.0), (0.2, 12.0)})
    [(0.2, 2.0), (2.0, 12.0)]
    """
    return sorted(band for band in bands if not _is_covered(band, bands - {band}))


def _is_covered(band: Band, others: set[Band]) -> bool:
    """Whether some of `others`, one after the other, reach from the low end to the high end."""
    low, high = band
    return low == high or any(
        _is_covered((other[1], high), others)
        for other in others
        if other[0] == low and other[1] <= high
    )


def _found(
    run: SearchedRun, thresholds: Thresholds, events: _Events, x: Floats, y: Floats
) -> NDArray[np.bool_]:
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
    np.logical_or.at(found, trial_of, thresholds.is_peak(n, mu))
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
