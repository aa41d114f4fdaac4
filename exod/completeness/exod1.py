"""The variability image of EXOD I, an older search, as a baseline.

Pastor-Marazuela et al. 2020, A&A 640, A124: a cell varies if its brightest frame and the scatter of
its frames are both large. No background is estimated, and the threshold follows from the image
itself. It works on the same cube as the search of today, so that both can be compared burst by
burst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from skimage import measure

from exod.counts.cube import Box, CountCube, EventsByCell
from exod.schemas.arrays import Floats, Mask

LEVEL: Final = 4.0
"""Threshold in standard deviations of the variability image above its mean."""

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
class VariablePlace:
    """Neighbouring cells of high variability.

    Attributes
    ----------
    box : Box
        Bounding box in the cropped image.
    x, y : float
        Centre in sky pixels, weighted with the variability.
    brightest : int
        Frame with the most counts in the box.
    variability : float
        Largest value of the variability image.
    p_constant : float
        Probability of the Kolmogorov-Smirnov test that the counts of the frames in the box follow
        a Poisson distribution of their mean.
    """

    box: Box
    x: float
    y: float
    brightest: int
    variability: float
    p_constant: float


def variability_image(cube: CountCube, use: Mask) -> Floats:
    """Variability of each cell, ``(max - mean) * standard deviation`` of its frames.

    Parameters
    ----------
    cube : CountCube
        Counts.
    use : ndarray of bool, shape (n_frames,)
        Frames to use.

    Returns
    -------
    ndarray of float64, shape (y, x)
        0 without frames.

    Notes
    -----
    Needs only the non-empty cells; the slow reference, the dense cube, is in the tests.
    """
    n_frames, size = int(use.sum()), cube.box.size
    total, squares, most = np.zeros(size), np.zeros(size), np.zeros(size)
    if not n_frames:
        return total.reshape(cube.box.shape)
    for chunk in cube.chunks():
        used = use[chunk.frame]
        cell, n = chunk.cell[used], chunk.n[used].astype(float)
        total += np.bincount(cell, n, minlength=size)
        squares += np.bincount(cell, n**2, minlength=size)
        np.maximum.at(most, cell, n)
    mean = total / n_frames
    scatter = np.sqrt(np.maximum(squares / n_frames - mean**2, 0))
    return ((most - mean) * scatter).reshape(cube.box.shape)


def variable_places(cube: CountCube, use: Mask, level: float = LEVEL) -> list[VariablePlace]:
    """Find the places where the variability image is high.

    Parameters
    ----------
    cube : CountCube
        Counts.
    use : ndarray of bool, shape (n_frames,)
        Frames to use: EXOD I leaves out bad time.
    level : float
        Threshold, in standard deviations above the mean of the cells that have counts. If it gives
        more than `MAX_REGIONS` it is raised until about `WANTED_REGIONS` are left.

    Returns
    -------
    list of VariablePlace
        The most variable first.
    """
    image = variability_image(cube, use)
    exposed = cube.image(use) > 0
    if not exposed.any():
        return []
    mean, deviation = float(image[exposed].mean()), float(image[exposed].std())
    boxes = _boxes(image, mean + level * deviation)
    if len(boxes) > MAX_REGIONS:
        boxes = _boxes(image, _raised(image, mean + level * deviation))
    kept = [box for box in boxes if box.size <= MAX_AREA]
    near = np.zeros(cube.box.shape, bool)
    for box in kept:
        near[box.slices] = True
    by_cell = EventsByCell(cube, near)
    places = [_describe(cube, use, image, box, by_cell) for box in kept]
    return sorted(places, key=lambda place: -place.variability)


def _boxes(image: Floats, threshold: float) -> list[Box]:
    """Bounding boxes of the 8-connected regions above a threshold."""
    labels = np.asarray(measure.label(image > threshold, connectivity=2))
    boxes = (region.bbox for region in measure.regionprops(labels))
    return [Box(y_lo, y_hi, x_lo, x_hi) for y_lo, x_lo, y_hi, x_hi in boxes]


def _raised(image: Floats, low: float) -> float:
    """The lowest threshold, by bisection in its logarithm, that leaves the wanted regions."""
    low = max(low, 1e-9)
    high = float(image.max())
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        if len(_boxes(image, middle)) > WANTED_REGIONS:
            low = middle
        else:
            high = middle
    return high


def _describe(
    cube: CountCube, use: Mask, image: Floats, box: Box, by_cell: EventsByCell
) -> VariablePlace:
    inside = image[box.slices]
    rows, columns = np.mgrid[box.slices]
    width = cube.grid.width
    counts = np.bincount(cube.frame[by_cell.in_box(box)], minlength=cube.frames.n)
    used = np.flatnonzero(use)
    curve = counts[used]
    return VariablePlace(
        box=box,
        x=float((np.average(columns, weights=inside) + cube.box.x_lo + 0.5) * width),
        y=float((np.average(rows, weights=inside) + cube.box.y_lo + 0.5) * width),
        brightest=int(used[np.argmax(curve)]),
        variability=float(inside.max()),
        p_constant=p_constant(curve),
    )


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
