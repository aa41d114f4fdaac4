"""The variability image of EXOD I, and the cells that stand out of it (method.md, EXOD I).

Pastor-Marazuela et al. 2020, A&A 640, A124: a cell varies if its brightest frame and the scatter of
its frames are both large. No background is estimated, and the threshold follows from the image
itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from skimage import measure

from exod.counts.cube import CountCube
from exod.counts.grid import Box
from exod.schemas.arrays import Floats, Indices, Integers, Mask

MAX_REGIONS: Final = 15
"""With more regions the threshold is raised."""

WANTED_REGIONS: Final = 10
"""Regions that a raised threshold leaves, about."""

MAX_AREA: Final = 36
"""Largest area of a region's bounding box, cells."""

CONSTANT: Final = 1e-5
"""Probability of a constant source below which EXOD I calls a light curve variable."""

_HALVINGS: Final = 12


@dataclass(frozen=True)
class VariableCells:
    """Cells of high variability.

    Attributes
    ----------
    labels : ndarray of int64, shape (y, x)
        Number of the 8-connected region that a cell belongs to, from 1; 0 for all other cells, and
        for those of regions that are too large.
    boxes : dict of int to Box
        Bounding box of each region.
    level : float
        The threshold, in standard deviations of the image above its mean; NaN without counts.
    """

    labels: Integers
    boxes: dict[int, Box]
    level: float


def variability_image(cube: CountCube) -> Floats:
    """Variability of each cell, ``(max - mean) * standard deviation`` of its unmasked frames.

    Parameters
    ----------
    cube : CountCube
        Counts.

    Returns
    -------
    ndarray of float64, shape (y, x)
        0 without frames.

    Notes
    -----
    Needs only the non-empty cells; the slow reference, the dense cube, is in the tests.
    """
    n_frames, size = int((~cube.masked).sum()), cube.box.size
    total, squares, most = np.zeros(size), np.zeros(size), np.zeros(size)
    if not n_frames:
        return total.reshape(cube.box.shape)
    for chunk in cube.chunks():
        n = chunk.n.astype(float)
        total += np.bincount(chunk.cell, n, minlength=size)
        squares += np.bincount(chunk.cell, n**2, minlength=size)
        np.maximum.at(most, chunk.cell, n)
    mean = total / n_frames
    scatter = np.sqrt(np.maximum(squares / n_frames - mean**2, 0))
    return ((most - mean) * scatter).reshape(cube.box.shape)


def variable_cells(image: Floats, exposed: Mask, level: float) -> VariableCells:
    """Find the cells where the variability image is high.

    Parameters
    ----------
    image : ndarray of float64, shape (y, x)
        From `variability_image`.
    exposed : ndarray of bool, shape (y, x)
        Cells that have counts.
    level : float
        Threshold, in standard deviations above the mean of the cells that have counts. If it gives
        more than `MAX_REGIONS` regions it is raised until about `WANTED_REGIONS` are left.
    """
    if not exposed.any():
        return VariableCells(np.zeros(image.shape, np.int64), {}, np.nan)
    mean, deviation = float(image[exposed].mean()), float(image[exposed].std())
    threshold = mean + level * deviation
    labels = _labels(image, threshold)
    if labels.max() > MAX_REGIONS:
        threshold = _raised(image, threshold)
        labels = _labels(image, threshold)
    boxes = {}
    for region in measure.regionprops(labels):
        y_lo, x_lo, y_hi, x_hi = region.bbox
        box = Box(y_lo, y_hi, x_lo, x_hi)
        if box.size <= MAX_AREA:
            boxes[int(region.label)] = box
    kept = np.where(np.isin(labels, list(boxes)), labels, 0)
    # Where no cell differs from any other the threshold is at no distance.
    reached = (threshold - mean) / deviation if deviation > 0 else level
    return VariableCells(kept, boxes, reached)


def _labels(image: Floats, threshold: float) -> Integers:
    """Numbers, from 1, of the 8-connected regions above a threshold; 0 elsewhere, shape (y, x)."""
    return np.asarray(measure.label(image > threshold, connectivity=2), np.int64)


def _raised(image: Floats, low: float) -> float:
    """The lowest threshold, by bisection in its logarithm, that leaves the wanted regions."""
    low = max(low, 1e-9)
    high = float(image.max())
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        if _labels(image, middle).max() > WANTED_REGIONS:
            low = middle
        else:
            high = middle
    return high


def brightest_frames(cube: CountCube, keep: Mask) -> tuple[Indices, Indices, Indices]:
    """The frame with the most counts of each of some cells, the first of several.

    Parameters
    ----------
    cube : CountCube
        Counts.
    keep : ndarray of bool, shape (y, x)
        The cells, which have counts.

    Returns
    -------
    frame, cell, n : ndarray of intp, shape (n_cells,)
        Frame, flat index in the cropped image, ascending, and counts.
    """
    parts = [np.empty((3, 0), np.intp)]
    for chunk in cube.chunks():
        own = keep.ravel()[chunk.cell]
        parts.append(np.stack([values[own] for values in (chunk.frame, chunk.cell, chunk.n)]))
    frame, cell, n = np.concatenate(parts, axis=1)
    order = np.lexsort((frame, -n, cell))
    first = order[np.unique(cell[order], return_index=True)[1]]
    return frame[first], cell[first], n[first]


def p_constant(n: NDArray[np.integer]) -> float:
    """Probability of the Kolmogorov-Smirnov test of counts against a Poisson number of their mean.

    Parameters
    ----------
    n : ndarray of int, shape (n_frames,)
        Counts.

    Returns
    -------
    float
        NaN without counts. Counts are whole numbers, so that the test is conservative; and as it
        compares whole distributions, one bright frame among thousands does not show.

    Examples
    --------
    >>> p_constant(np.array([0, 1, 2, 1, 0, 1])) > 0.1
    True
    """
    if not len(n) or not n.any():
        return float("nan")
    # Both distributions have their steps at whole numbers, so they differ most at one of these.
    values = np.arange(int(n.max()) + 1)
    seen = np.cumsum(np.bincount(n)) / len(n)
    distance = float(np.abs(seen - stats.poisson.cdf(values, n.mean())).max())
    return float(stats.kstwo.sf(distance, len(n)))
