"""Bursts put into the expectation of a whole observation, photon by photon, without event lists.

The runs of an observation share their photons, so that their chances to find a burst are not
independent. Here the photons of the burst and of the background around it are drawn once, then
binned and tested as each run does, whatever its null hypothesis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from exod.completeness.burstphotons import (
    BurstPhotons,
    PlacedBursts,
    Site,
    burst_photons,
    undivided,
)
from exod.completeness.virtualcells import VirtualCells
from exod.completeness.virtualwindows import VirtualWindows
from exod.config import Band, Config
from exod.counts.bayes import Thresholds
from exod.counts.cube import CountCube
from exod.counts.template import Expectation
from exod.schemas.arrays import Floats, Mask
from exod.search.runs import Run


class VirtualRun(Protocol):
    """A run without bursts, as its null hypothesis describes it."""

    @property
    def band(self) -> Band:
        """Energy band in keV."""

    @property
    def cube(self) -> CountCube:
        """Frames and cells; events do not matter."""

    def background(
        self, bursts: PlacedBursts, margin: float, generator: np.random.Generator
    ) -> Iterator[BurstPhotons]:
        """Background around bursts, `margin` seconds before and after them, too."""

    def live_at(self, events: BurstPhotons) -> Floats | None:
        """Live fraction of the cells of events at their times; None if all CCDs always were."""

    def found(self, events: BurstPhotons, bursts: PlacedBursts) -> Mask:
        """Bin the photons as the run does and test them, shape (n_bursts,)."""


def virtual_run(run: Run, config: Config) -> VirtualRun:
    """What virtual injection needs of a run that was searched with these settings."""
    # Copies, so that the events are freed.
    none = {name: getattr(run.cube, name)[:0].copy() for name in ("frame", "cell", "event")}
    cube, expectation = replace(run.cube, **none), run.expectation
    if isinstance(expectation, Expectation):
        limits = Thresholds(run.threshold.sigma, config.detect.rule)
        return VirtualCells(run.band, cube, expectation, limits)
    width, shifts = config.cube.window, config.cube.frame_shifts
    return VirtualWindows(run.band, cube, expectation, run.threshold.p_log, width, shifts)


def virtual_injection(
    runs: Sequence[VirtualRun],
    sites: Sequence[Site],
    counts: float,
    duration: float,
    start: Floats,
    generator: np.random.Generator,
) -> Mask:
    """Find out which runs find each of many bursts.

    Parameters
    ----------
    runs : sequence of VirtualRun
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
        Whether the burst made a cell significant within two cells of its place; or a window that
        has cells within two cells of it, or as many as a window is wide, in a frame that overlaps
        it.

    Notes
    -----
    Background is drawn from the run with the shortest frames in each band that is not made up of
    other bands.
    """
    place = np.arange(len(start)) % len(sites)
    x, y = (np.array([getattr(site, axis) for site in sites])[place] for axis in ("x", "y"))
    bursts = PlacedBursts(x, y, start, start + duration)
    photons = [burst_photons(sites, place, counts, duration, start, generator)]
    if runs:
        finest = min(runs, key=lambda run: run.cube.frames.t_bin)
        if (live := finest.live_at(photons[0])) is not None:
            photons[0] = photons[0].take(generator.random(len(live)) < live)
    margin = max((run.cube.frames.t_bin for run in runs), default=0.0)
    for band in undivided({run.band for run in runs}):
        shortest = min(
            (run for run in runs if run.band == band), key=lambda run: run.cube.frames.t_bin
        )
        photons += shortest.background(bursts, margin, generator)
    events = BurstPhotons.concatenate(photons)
    return np.stack([run.found(events, bursts) for run in runs], axis=1)
