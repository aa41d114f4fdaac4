"""Significant cells of a cube, and the regions they form (method.md, Significance; Regions)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from exod.counts.bayes import Thresholds, log10_b_eclipse, log10_b_peak
from exod.counts.cube import CountCube, SparseChunk
from exod.counts.grid import Box
from exod.counts.template import Expectation
from exod.schemas.arrays import Floats, Indices, Mask

CELLS_PER_BLOCK: Final = 250_000
"""Cells that the search for eclipses holds densely at a time."""


@dataclass(frozen=True)
class SignificantCells:
    """Cells whose counts are incompatible with the expectation, in order of frame, y, x.

    Attributes
    ----------
    frame : ndarray of int32, shape (n_cells,)
        Frame.
    y, x : ndarray of int32, shape (n_cells,)
        Row and column in the cropped image.
    n : ndarray of int32, shape (n_cells,)
        Counts.
    mu : ndarray of float64, shape (n_cells,)
        Expected counts.
    is_peak : ndarray of bool, shape (n_cells,)
        Too many counts (else too few).
    b_log : ndarray of float64, shape (n_cells,)
        log10 of the Bayes factor for its kind.
    start : ndarray of float64, shape (n_cells,)
        Start of the frame, seconds.
    p_log : ndarray of float64, shape (n_cells,)
        log10 of the probability that chance makes such counts; NaN in a search that does not
        work with it.
    """

    frame: NDArray[np.int32]
    y: NDArray[np.int32]
    x: NDArray[np.int32]
    n: NDArray[np.int32]
    mu: Floats
    is_peak: Mask
    b_log: Floats
    start: Floats
    p_log: Floats

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def of(
        cls,
        cube: CountCube,
        frame: NDArray[np.integer],
        cell: NDArray[np.integer],
        n: NDArray[Any],
        mu: Floats,
        is_peak: Mask,
        start: Floats,
        p_log: Floats | float = np.nan,
    ) -> SignificantCells:
        """Of flat indices `cell` into the cropped image of a cube, in any order."""
        order = np.lexsort((~is_peak, cell, start))
        frame, cell, n, mu, is_peak, start, p_log = (
            np.broadcast_to(values, start.shape)[order]
            for values in (frame, cell, n, mu, is_peak, start, p_log)
        )
        y, x = np.divmod(cell, max(cube.box.shape[1], 1))
        return cls(
            frame=frame.astype(np.int32),
            y=y.astype(np.int32),
            x=x.astype(np.int32),
            n=n.astype(np.int32),
            mu=mu.astype(np.float64),
            is_peak=is_peak.astype(bool),
            b_log=np.where(is_peak, log10_b_peak(n, mu), log10_b_eclipse(n, mu)),
            start=start,
            p_log=p_log,
        )


def significant_cells(
    cube: CountCube, expectation: Expectation, thresholds: Thresholds
) -> SignificantCells:
    """Find the cells with too many or too few counts, a chunk at a time.

    Parameters
    ----------
    cube : CountCube
        Counts.
    expectation : Expectation
        Expected counts of the same cube.
    thresholds : Thresholds
        Significance.

    Notes
    -----
    A peak has at least one count, so non-empty cells are enough. An eclipse at n counts needs mu
    above a limit that rises with n and is 13.1 for n = 0 at 3 sigma, so only the cells whose
    largest mu exceeds that are tested in every frame. The slow reference, all
    cells of the dense cube, is in the tests.
    """
    dim = np.flatnonzero(expectation.largest().ravel() > thresholds.eclipse_limit(np.array(0)))
    parts = []
    for chunk in cube.chunks():
        parts.append(_peaks(chunk, expectation, thresholds))
        if len(dim):
            parts.extend(_eclipses(cube, chunk, expectation, thresholds, dim))
    return _collect(cube, parts)


_Integers = NDArray[np.integer]
_Part = tuple[_Integers, _Integers, _Integers, Floats, Mask]


def _peaks(chunk: SparseChunk, expectation: Expectation, thresholds: Thresholds) -> _Part:
    mu = expectation.at(chunk.frame, chunk.cell)
    hit = thresholds.is_peak(chunk.n, mu)
    return chunk.frame[hit], chunk.cell[hit], chunk.n[hit], mu[hit], np.ones(hit.sum(), bool)


def _eclipses(
    cube: CountCube,
    chunk: SparseChunk,
    expectation: Expectation,
    thresholds: Thresholds,
    dim: Indices,
) -> Iterator[_Part]:
    """Eclipses among the cells `dim`, dense over blocks of frames."""
    column = np.full(cube.box.size, -1)
    column[dim] = np.arange(len(dim))
    step = max(CELLS_PER_BLOCK // len(dim), 1)
    for first in range(chunk.first, chunk.last, step):
        last = min(first + step, chunk.last)
        start, stop = np.searchsorted(chunk.frame, [first, last])
        n = np.zeros((last - first, len(dim)), np.int32)
        where = column[chunk.cell[start:stop]]
        used = where >= 0
        n[chunk.frame[start:stop][used] - first, where[used]] = chunk.n[start:stop][used]
        mu = expectation.at(np.arange(first, last)[:, None], dim[None, :])
        hit = thresholds.is_eclipse(n, mu) & ~cube.masked[first:last, None]
        frame, index = np.nonzero(hit)
        yield frame + first, dim[index], n[hit], mu[hit], np.zeros(hit.sum(), bool)


def _collect(cube: CountCube, parts: list[_Part]) -> SignificantCells:
    if not parts:
        parts = [tuple(np.empty(0, t) for t in ("i4", "i4", "i4", "f8", "?"))]  # type: ignore[list-item]
    frame, cell, n, mu, is_peak = (np.concatenate(column) for column in zip(*parts, strict=True))
    start = cube.frames.t_lo + cube.frames.t_bin * frame
    return SignificantCells.of(cube, frame, cell, n, mu, is_peak, start)


@dataclass(frozen=True)
class Region:
    """Neighbouring cells that were significant in at least one frame.

    Attributes
    ----------
    label : int
        From 0, in order of x, then y, as in the published catalogue.
    box : Box
        Bounding box in the cropped image.
    members : ndarray of intp, shape (n_members,)
        Indices into the significant cells.
    y_centroid, x_centroid : float
        Mean cell index, each cell counted once.
    y_weighted, x_weighted : float
        Mean cell index weighted with the counts image.
    intensity_mean : float
        Mean of the counts image over the cells.
    equivalent_diameter : float
        Diameter in cells of a disc of the same area.
    """

    label: int
    box: Box
    members: Indices
    y_centroid: float
    x_centroid: float
    y_weighted: float
    x_weighted: float
    intensity_mean: float
    equivalent_diameter: float


def find_regions(
    cells: SignificantCells, image: NDArray[np.integer], width: int = 1
) -> list[Region]:
    """Group significant cells into 8-connected regions.

    Parameters
    ----------
    cells : SignificantCells
        Cells of one run.
    image : ndarray, shape (y, x)
        Counts summed over all frames.
    width : int
        Cells along a side of a window, if the cells stand for windows.

    Returns
    -------
    list of Region
        In order of their labels.
    """
    if not len(cells):
        return []
    significant = np.zeros(image.shape, np.uint8)
    for row, column in np.ndindex(width, width):
        y = np.minimum(cells.y + row, image.shape[0] - 1)
        significant[y, np.minimum(cells.x + column, image.shape[1] - 1)] = 1
    # Labels count along the first axis; turned, they number the regions as EXOD2 does.
    labels = np.asarray(measure.label(significant.T, connectivity=2))
    label_of = labels[cells.x, cells.y]
    regions = []
    for properties in measure.regionprops(labels, intensity_image=image.T):
        x_lo, y_lo, x_hi, y_hi = properties.bbox
        (x, y) = (xw, yw) = properties.centroid
        if properties.intensity_mean > 0:
            xw, yw = properties.centroid_weighted
        regions.append(
            Region(
                label=properties.label - 1,
                box=Box(y_lo, y_hi, x_lo, x_hi),
                members=np.flatnonzero(label_of == properties.label),
                y_centroid=float(y),
                x_centroid=float(x),
                y_weighted=float(yw),
                x_weighted=float(xw),
                intensity_mean=float(properties.intensity_mean),
                equivalent_diameter=float(properties.equivalent_diameter_area),
            )
        )
    return regions
