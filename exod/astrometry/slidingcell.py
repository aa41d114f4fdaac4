"""Sources in a list of photons: a sliding cell with the signal-to-noise ratio of celldetect.

A square cell of d x d pixels, as large as the point spread at its place, moves over the image; the
frame of b x b pixels around it tells the background. The centroid of what is found follows from the
photons themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree
from scipy.special import erf, erfinv

from exod.astrometry.centroids import CENTROID_ERROR, windowed_centroid
from exod.schemas.arrays import Floats

CELL_SHARE: Final = 0.9
"""Share of the photons of a point source that a cell holds at least, as in astromon."""

_GAUSSIAN_90: Final = 2.146
"""Radius with 90 % of a round Gaussian, in its standard deviation: sqrt(-2 ln 0.1)."""
_SMALLEST_CELL: Final = 3
_LARGEST_IMAGE: Final = 10_000


@dataclass(frozen=True)
class CellSources:
    """Sources, brightest signal-to-noise ratio first; arrays of shape (n,).

    Attributes
    ----------
    x, y : ndarray
        Centroids, pixels.
    error : ndarray
        Standard error of each coordinate from the number of photons, pixels.
    net_counts : ndarray
        Photons of the source, also those outside of the cell.
    snr : ndarray
        Signal-to-noise ratio.
    cell : ndarray of int
        Side of the cell, pixels.
    spread : ndarray
        Standard deviation of the point spread there, pixels.
    psf_ratio : ndarray
        Size of the source in that of the point spread.
    """

    x: Floats
    y: Floats
    error: Floats
    net_counts: Floats
    snr: Floats
    cell: NDArray[np.int64]
    spread: Floats
    psf_ratio: Floats

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, chosen: NDArray[np.generic]) -> CellSources:
        """Some of them, by a mask or by row numbers."""
        return CellSources(*(values[chosen] for values in vars(self).values()))


def chandra_spread(off_axis_arcmin: ArrayLike) -> Floats:
    """Standard deviation in arcsec of a Gaussian with the 90 % radius of Chandra's mirrors.

    The radius is ``1" + 10" (off-axis angle / 10')^2``, Hickox and Markevitch 2006, ApJ 645, 95.

    Examples
    --------
    >>> chandra_spread([0.0, 10.0]).round(2)
    array([0.47, 5.13])
    """
    angle = np.asarray(off_axis_arcmin, float)
    return np.asarray((1.0 + 10.0 * (angle / 10.0) ** 2) / _GAUSSIAN_90)


def square_share(side: ArrayLike, spread: ArrayLike) -> Floats:
    """Share of a round Gaussian within a centred square.

    Examples
    --------
    >>> round(float(square_share(2.0, 1.0)), 4)
    0.4661
    """
    half = np.asarray(side, float) / (2.0 * np.sqrt(2.0) * np.asarray(spread, float))
    return np.asarray(erf(half) ** 2)


def cell_signal(
    counts: ArrayLike, frame_counts: ArrayLike, cell: ArrayLike, frame: ArrayLike
) -> tuple[Floats, Floats]:
    """Excess of a cell over its frame, and its signal-to-noise ratio.

    Parameters
    ----------
    counts, frame_counts : array_like
        C in the cell, Q in the frame around it.
    cell, frame : array_like
        Sides d and b of the cell and of the frame with the cell, pixels.

    Returns
    -------
    excess : ndarray
        ``C (b^2 - d^2) - Q d^2``.
    snr : ndarray
        Excess in its error, with Gehrels' ``1 + sqrt(N + 0.75)`` for each number of counts.

    References
    ----------
    Detect manual of CIAO, chapter 6.

    Examples
    --------
    >>> excess, snr = cell_signal(20, 0, 3, 5)
    >>> float(excess), round(float(snr), 2)
    (320.0, 3.54)
    """
    inside, around = np.asarray(counts, float), np.asarray(frame_counts, float)
    area = np.asarray(cell, float) ** 2
    rest = np.asarray(frame, float) ** 2 - area
    excess = inside * rest - around * area
    errors = 1.0 + np.sqrt(np.stack(np.broadcast_arrays(inside, around)) + 0.75)
    return excess, excess / np.hypot(errors[0] * rest, errors[1] * area)


def frame_of(cell: ArrayLike) -> NDArray[np.int64]:
    """Side of the frame of a cell: odd, its area without the cell about that of the cell.

    Examples
    --------
    >>> frame_of([3, 5, 9])
    array([ 5,  7, 13])
    """
    side = np.asarray(cell, np.int64)
    margin = np.round(side * (np.sqrt(2.0) - 1.0) / 2.0).astype(np.int64)
    return np.asarray(side + 2 * np.maximum(margin, 1))


def detect_cells(
    x: ArrayLike,
    y: ArrayLike,
    axis: tuple[float, float],
    pixel_arcsec: float,
    *,
    snr: float = 3.0,
) -> CellSources:
    """Find point sources in a list of photons.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Photons, sky pixels; those without a finite position are left out.
    axis : tuple of float
        Where the optical axis is, sky pixels.
    pixel_arcsec : float
        Size of a pixel.
    snr : float
        Least signal-to-noise ratio.

    Returns
    -------
    CellSources
        The sources.

    Raises
    ------
    ValueError
        If the photons are spread over more than 10,000 pixels in a direction.
    """
    places = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
    places = places[np.isfinite(places).all(axis=1)]
    if not len(places):
        nothing, no_cell = np.zeros(0), np.zeros(0, np.int64)
        return CellSources(nothing, nothing, nothing, nothing, nothing, no_cell, nothing, nothing)
    found = _candidates(places, axis, pixel_arcsec, snr)
    order = _best_apart(found[:, :2], found[:, 2], found[:, 3])
    found = found[order]
    return _centred(places, found, axis, pixel_arcsec)


def _spread_at(places: Floats, axis: tuple[float, float], pixel_arcsec: float) -> Floats:
    away = np.hypot(*(places - np.asarray(axis, float)).T) * pixel_arcsec / 60.0
    # Half a pixel of the detector blurs what is smaller than that.
    return np.asarray(np.hypot(chandra_spread(away) / pixel_arcsec, 0.3))


def _cell_sizes(spread: Floats) -> NDArray[np.int64]:
    """The smallest odd side with the wanted share, for each spread."""
    largest = int(np.ceil(4.0 * spread.max())) // 2 * 2 + 3
    sides = np.arange(_SMALLEST_CELL, largest + 1, 2)
    widest = np.array([_widest(int(side)) for side in sides])
    return np.asarray(sides[np.minimum(np.searchsorted(widest, spread), len(sides) - 1)])


def _widest(side: int) -> float:
    """Largest spread of which a square of this side has the wanted share."""
    return float(side / (2.0 * np.sqrt(2.0) * erfinv(np.sqrt(CELL_SHARE))))


def _candidates(
    places: Floats, axis: tuple[float, float], pixel_arcsec: float, snr: float
) -> Floats:
    """Cells above the limit: x, y, snr and side, shape (n, 4); only cells with a photon inside."""
    corner = np.floor(places.min(axis=0))
    shape = (np.floor(places.max(axis=0)) - corner).astype(int) + 1
    if shape.max() > _LARGEST_IMAGE:
        raise ValueError(f"the photons are spread over {shape.max():,} pixels")
    pixels = (np.floor(places) - corner).astype(int)
    centres = _around(np.unique(pixels, axis=0), shape)
    sides = _cell_sizes(_spread_at(centres + corner + 0.5, axis, pixel_arcsec))
    sums = np.zeros(shape + 1, np.int64)
    image = np.zeros(shape, np.int64)
    np.add.at(image, tuple(pixels.T), 1)
    sums[1:, 1:] = image.cumsum(axis=0).cumsum(axis=1)
    inside = _box(sums, centres, sides)
    around = _box(sums, centres, frame_of(sides)) - inside
    ratio = cell_signal(inside, around, sides, frame_of(sides))[1]
    good = ratio >= snr
    return np.column_stack([centres[good] + corner + 0.5, ratio[good], sides[good]])


def _around(pixels: NDArray[np.int64], shape: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels with photons, and those beside them."""
    steps = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    near = (pixels[:, None] + steps).reshape(-1, 2)
    near = near[((near >= 0) & (near < shape)).all(axis=1)]
    return np.unique(near, axis=0)


def _box(
    sums: NDArray[np.int64], centres: NDArray[np.int64], sides: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Counts in squares, from the sums over all pixels before each."""
    half = sides[:, None] // 2
    last = np.array(sums.shape) - 1
    low, high = np.clip(centres - half, 0, last), np.clip(centres + half + 1, 0, last)
    return np.asarray(
        sums[high[:, 0], high[:, 1]]
        - sums[low[:, 0], high[:, 1]]
        - sums[high[:, 0], low[:, 1]]
        + sums[low[:, 0], low[:, 1]]
    )


def _best_apart(places: Floats, score: Floats, distance: Floats) -> NDArray[np.intp]:
    """Rows in order of falling score, without those near one that is before them."""
    order = np.lexsort((places[:, 1], places[:, 0], -score))
    if not len(order):
        return order
    tree, alive, kept = KDTree(places), np.ones(len(places), bool), []
    for row in order:
        if alive[row]:
            kept.append(row)
            alive[tree.query_ball_point(places[row], distance[row])] = False
    return np.array(kept, np.intp)


def _centred(
    places: Floats, found: Floats, axis: tuple[float, float], pixel_arcsec: float
) -> CellSources:
    """What was found, with centroids; what has become the same place is one."""
    tree = KDTree(places)
    spread = _spread_at(found[:, :2], axis, pixel_arcsec) if len(found) else np.zeros(0)
    centres, ratio = np.empty((len(found), 2)), np.empty(len(found))
    for row, (start, width, side) in enumerate(zip(found[:, :2], spread, found[:, 3], strict=True)):
        near = places[tree.query_ball_point(start, 4.0 * width + side)]
        centres[row], ratio[row] = windowed_centroid(near, start, float(width), float(side))
    sides = found[:, 3].astype(np.int64)
    frames = frame_of(sides)
    inside, around = (_squares(tree, centres, size) for size in (sides, frames))
    excess, _ = cell_signal(inside, around - inside, sides, frames)
    alpha, beta = square_share(sides, spread), square_share(frames, spread)
    net = excess / (alpha * frames**2.0 - beta * sides**2.0)
    error = CENTROID_ERROR * spread / np.sqrt(np.maximum(net, 1.0))
    sources = CellSources(
        centres[:, 0], centres[:, 1], error, net, found[:, 2], sides, spread, ratio
    )
    return sources.rows(_best_apart(centres, sources.snr, np.maximum(spread, 1.0)))


def _squares(tree: KDTree, centres: Floats, sides: NDArray[np.int64]) -> NDArray[np.int64]:
    """Photons in squares around centres."""
    counts = np.zeros(len(centres), np.int64)
    for row, (centre, side) in enumerate(zip(centres, sides, strict=True)):
        near = tree.query_ball_point(centre, side / 2.0, p=np.inf)
        counts[row] = len(near)
    return counts
