"""Maps of the counts that bursts need to be found by their photons (docs/ideal.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import uniform_filter

from exod.counts.shares import ConditionalExpectation
from exod.search.nulls.null import CountedRun
from exod.search.nulls.photonsearch.photonmarks import ANGLE_STEP_ARCMIN
from exod.sensitivity.cellneeds import DetectionCounts
from exod.sensitivity.photonneeds import PhotonNeeds, levels_in_time

if TYPE_CHECKING:
    from exod.search.nulls.photonsearch.photonmarks import PhotonField

_ANGLES: Final = 2
"""Every so many of the tabulated off-axis angles are enough."""


def counts_needed_of(
    counted: CountedRun[ConditionalExpectation], field: PhotonField, least: float, pixel: float
) -> DetectionCounts:
    """Counts that bursts as long as a frame need in each cell.

    Parameters
    ----------
    counted : CountedRun
        Counts of the run.
    field : PhotonField
        Its photons.
    least : float
        Likelihood ratio, less its trials, from which on a burst is found.
    pixel : float
        Width of a sky pixel in arcsec.
    """
    from exod.search.nulls.photonsearch.photonplaces import RADIAL

    cube, total = counted.cube, field.levels.total
    seen = counted.expectation.counts.sum(axis=0)
    # The light of a burst falls on the cells around, too.
    used = uniform_filter((seen > 0).astype(float), 3, mode="constant")
    near = uniform_filter(seen, 3, mode="constant") / np.maximum(used, 1e-9)
    length = min(cube.frames.t_bin, total / 2)
    area = (cube.grid.width * pixel) ** 2
    background = np.where(seen > 0, near / area * length / max(total, 1e-300), np.nan)
    rows, columns = np.mgrid[cube.box.slices]
    dx, dy = (
        (cells + 0.5) * cube.grid.width * pixel - low - axis
        for cells, low, axis in zip((columns, rows), field.corner, field.axis, strict=True)
    )
    mean = np.tensordot(field.shares, field.profiles, 1).astype(np.float64)
    profiles = mean[::_ANGLES, :: int(RADIAL)]
    angles = ANGLE_STEP_ARCMIN * np.arange(mean.shape[0]).astype(np.float64)[::_ANGLES]
    radii = np.arange(profiles.shape[1]).astype(np.float64)
    curve = field.levels.curve
    levels = levels_in_time(curve.rate, np.diff(curve.live))
    needs = PhotonNeeds(profiles, radii, angles, levels)
    trials = np.log(max(total, 1.0) / length)
    return needs.counts(background, np.hypot(dx, dy) / 60, least + float(trials))
