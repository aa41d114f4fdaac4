"""Photons of bursts at given places and times, for virtual injection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exod.config import Band
from exod.counts.cube import CountCube
from exod.schemas.arrays import EqualColumns, Floats, Integers, Mask


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


@dataclass(frozen=True)
class BurstPhotons(EqualColumns):
    """Photons of bursts and background, arrays of shape (n_photons,).

    Attributes
    ----------
    trial : ndarray of int64
        Number of the burst that they belong to, or lie around.
    time : ndarray of float64
        Mission elapsed time.
    x, y : ndarray of float64
        Sky pixels.
    energy : ndarray of float64
        In keV.
    own : ndarray of bool
        Those of the burst, not of the background.
    """

    trial: Integers
    time: Floats
    x: Floats
    y: Floats
    energy: Floats
    own: Mask


def background_photons(
    cube: CountCube,
    band: Band,
    trial: Integers,
    cell: Integers,
    time: Floats,
    generator: np.random.Generator,
) -> BurstPhotons:
    """Background photons anywhere in their cells, flat indices into the cropped image of a cube."""
    box, n = cube.box, len(cell)
    row, column = np.divmod(cell, box.shape[1])
    x = (column + box.x_lo + generator.random(n)) * cube.grid.width
    y = (row + box.y_lo + generator.random(n)) * cube.grid.width
    return BurstPhotons(trial, time, x, y, np.full(n, sum(band) / 2), np.zeros(n, bool))


@dataclass(frozen=True)
class PlacedBursts:
    """Places (sky pixels) and mission elapsed times of bursts, shape (n_bursts,)."""

    x: Floats
    y: Floats
    start: Floats
    stop: Floats


def burst_photons(
    sites: Sequence[Site],
    place: Integers,
    counts: float,
    duration: float,
    start: Floats,
    generator: np.random.Generator,
) -> BurstPhotons:
    """Photons of bursts of constant rate.

    Parameters are those of `exod.completeness.virtual.virtual_injection`, and the place of each
    burst among the sites, shape (n_bursts,).
    """
    parts = []
    for number, site in enumerate(sites):
        mine = np.flatnonzero(place == number)
        n = generator.poisson(counts * site.throughput, len(mine))
        trial = np.repeat(mine, n)
        drawn = generator.integers(0, len(site.photon_x), len(trial))
        time = start[trial] + duration * generator.random(len(trial))
        parts.append(
            BurstPhotons(
                trial,
                time,
                site.photon_x[drawn],
                site.photon_y[drawn],
                site.energy_kev[drawn],
                np.ones(len(trial), bool),
            )
        )
    return BurstPhotons.concatenate(parts)


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


def cells_of(cube: CountCube, events: BurstPhotons) -> Integers:
    """Cell of the cropped image that each event lies in, shape (n_events,); -1 outside."""
    row, column = (
        np.floor(values / cube.grid.width).astype(np.int64) - low
        for values, low in ((events.y, cube.box.y_lo), (events.x, cube.box.x_lo))
    )
    inside = (row >= 0) & (row < cube.box.shape[0]) & (column >= 0) & (column < cube.box.shape[1])
    return np.where(inside, row * cube.box.shape[1] + column, -1)
