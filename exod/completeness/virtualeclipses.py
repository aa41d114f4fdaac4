"""Eclipses of sources put into the expectation of a field, by formula, without event lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exod.completeness.burstphotons import Site
from exod.completeness.probability import Patch
from exod.completeness.virtualcells import VirtualCells
from exod.schemas.arrays import Floats
from exod.sensitivity.eclipses import eclipse_probability


def eclipse_chances(
    run: VirtualCells, sites: Sequence[Site], rate: float, depth: float, duration: float
) -> Floats:
    """Chance that a run finds an eclipse of a source at each of some places.

    Parameters
    ----------
    run : VirtualCells
        Of the field without the sources.
    sites : sequence of Site
        The places.
    rate : float
        Of a source outside its eclipse, good counts a second over all cameras, in the whole point
        spread function, if there were no gaps.
    depth, duration : float
        Lost share of the light, and seconds.

    Returns
    -------
    ndarray of float64, shape (n_sites,)
        See `exod.sensitivity.eclipses.eclipse_probability`.
    """
    cube, low, high = run.cube, *run.band
    x, y = (np.array([getattr(site, axis) for site in sites]) for axis in ("x", "y"))
    patch = Patch.around(cube, x, y, reach=1)
    shares = np.zeros(patch.cell.shape)
    for number, site in enumerate(sites):
        mine = np.flatnonzero((site.energy_kev > low) & (site.energy_kev < high))
        row, column, inside = patch.locate(
            np.full(len(mine), number), site.photon_x[mine], site.photon_y[mine], cube.grid.width
        )
        weight = site.throughput / len(site.photon_x)
        np.add.at(shares[number], (row[inside], column[inside]), weight)
    frames = float(cube.exposure.sum())
    image = run.expectation.background_image().ravel() / max(frames, 1.0)
    background = np.where(patch.cell >= 0, image[patch.cell], 0.0)
    t_bin = cube.frames.t_bin
    return eclipse_probability(
        shares, background, rate, t_bin, frames * t_bin, depth, duration, run.thresholds
    )
