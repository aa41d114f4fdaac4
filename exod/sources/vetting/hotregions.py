"""Hot regions of the detector, found in the catalogue itself (method.md, Hot regions).

A hot or noisy pixel makes regions at one place of the detector in many observations. Regions are
counted in cells of the detector (`exod.sources.vetting.detectorframe` says where they are), and
cells with far more than their surroundings become boxes. So that no place falls on the edge of
cells, there are four grids of cells, apart by half a cell.

What is counted are different places on the sky: a variable source that is observed again and again
at one position angle counts once for each cell. Targets are at the pointing in most observations,
so that the cells there are never called hot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import ndimage, signal, stats

from exod.errors import InputError
from exod.schemas.arrays import Floats, Integers, Mask
from exod.sources.vetting.detectorframe import UNIT_ARCSEC

_PLACES = 2**26
"""More than there are HEALPix pixels of order 10."""

Grid = tuple[int, int]
"""Half cells by which a grid of cells begins earlier, axes (y, x)."""

GRIDS: Final[tuple[Grid, ...]] = ((0, 0), (0, 1), (1, 0), (1, 1))

BOX_EDGES: Final = ("x_lo", "x_hi", "y_lo", "y_hi")


@dataclass(frozen=True)
class HotSearch:
    """How hot regions are found.

    Attributes
    ----------
    cell_arcsec : float
        Side of a cell, by default that of the cells of the search.
    radius_arcsec : float
        Half the side of the square that is searched; the field of view reaches out 15 arcmin.
    inner_cells, outer_cells : int
        The surroundings of a cell are those farther than `inner_cells` and not farther than
        `outer_cells` in both directions.
    false_boxes : float
        Cells that chance makes hot in the whole detector, on average, for each time bin.
    min_places : int
        Places on the sky that a hot cell must have at least.
    min_ratio : float
        How many times the densest side of its surroundings it must have: in large catalogues the
        edges of the chips alone are significant.
    neighbour_p : float
        Probability at which a cell beside a hot one is hot too.
    target_radius_arcsec : float
        Around the pointing nothing is called hot, since targets are there.
    """

    cell_arcsec: float = 20.0
    radius_arcsec: float = 1200.0
    inner_cells: int = 2
    outer_cells: int = 7
    false_boxes: float = 0.01
    min_places: int = 5
    min_ratio: float = 3.0
    neighbour_p: float = 1e-3
    target_radius_arcsec: float = 120.0

    def __post_init__(self) -> None:
        sizes = (self.cell_arcsec, self.radius_arcsec, self.false_boxes, self.min_ratio)
        if min(sizes) <= 0 or not 0 <= self.inner_cells < self.outer_cells:
            raise InputError(
                f"Hot regions cannot be searched with {self}: sizes, rates and ratios must be "
                f"positive, and inner_cells smaller than outer_cells."
            )

    @property
    def side(self) -> int:
        """Half cells along a side of the square."""
        return 4 * int(np.ceil(self.radius_arcsec / self.cell_arcsec))

    @property
    def step(self) -> float:
        """Half a cell, in units of `UNIT_ARCSEC`."""
        return self.cell_arcsec / UNIT_ARCSEC / 2

    @property
    def trials(self) -> int:
        """Cells that can be hot: those of a disc as wide as the square, on all grids."""
        return int(np.pi / 4 * self.side**2)

    def is_target(self, grid: Grid) -> Mask:
        """Cells of a grid around the pointing, shape as of `count_places`."""
        y, x = (
            (2 * np.arange(self.side // 2 + 1) + 1 - shift - self.side / 2) * self.cell_arcsec / 2
            for shift in grid
        )
        near: Mask = np.hypot(*np.meshgrid(x, y)) <= self.target_radius_arcsec
        return near


def occupied(x_det: ArrayLike, y_det: ArrayLike, place: ArrayLike, search: HotSearch) -> Integers:
    """Which half cells have a region of which place on the sky, each pair once.

    Parameters
    ----------
    x_det, y_det : array_like, shape (n,)
        What `detector_position` gives, of one time bin.
    place : array_like of int, shape (n,)
        Place on the sky: HEALPix pixel of order 10 (3.4 arcmin) or less.
    search : HotSearch
        Settings.

    Returns
    -------
    ndarray of int64, shape (m,)
        Sorted numbers of pairs, to be merged with `merged` and counted with `count_places`.
        Regions outside the square or without position are left out.

    Raises
    ------
    InputError
        If a place cannot be such a number.
    """
    places = np.asarray(place, np.int64)
    if places.size and (places.min() < 0 or places.max() >= _PLACES):
        raise InputError(f"Places on the sky must be numbers from 0 to {_PLACES - 1}.")
    positions = np.asarray(x_det, np.float64), np.asarray(y_det, np.float64)
    known = np.isfinite(positions[0]) & np.isfinite(positions[1])
    column, row = (
        np.floor(np.where(known, value, np.inf) / search.step + search.side / 2)
        for value in positions
    )
    inside = (row >= 0) & (row < search.side) & (column >= 0) & (column < search.side)
    cell = row[inside].astype(np.int64) * search.side + column[inside].astype(np.int64)
    return np.unique(cell * _PLACES + places[inside])


def merged(pairs: Iterable[Integers]) -> Integers:
    """Pairs of several parts of a catalogue, each once; order and parts do not matter."""
    found = np.empty(0, np.int64)
    for part in pairs:
        found = np.union1d(found, part)
    return found


def count_places(pairs: Integers, search: HotSearch, grid: Grid) -> Integers:
    """Places on the sky with regions in each cell of a grid.

    Returns
    -------
    ndarray of int64, shape (side // 2 + 1, side // 2 + 1), axes (y, x)
        Cell i is half cells 2 i - shift and the next; a place counts once for each cell.
    """
    half, place = np.divmod(pairs, _PLACES)
    y, x = np.divmod(half, search.side)
    n = search.side // 2 + 1
    cell = (y + grid[0]) // 2 * n + (x + grid[1]) // 2
    once = np.unique(cell * _PLACES + place) // _PLACES
    return np.bincount(once, minlength=n * n).astype(np.int64).reshape(n, n)


def hot_cells(counts: Integers, search: HotSearch, grid: Grid) -> tuple[Mask, Floats, Floats]:
    """Cells with more than their surroundings explain.

    Parameters
    ----------
    counts : ndarray of int64, shape (n, n), axes (y, x)
        What `count_places` gives.
    search : HotSearch
        Settings.
    grid : (int, int)
        Which grid.

    Returns
    -------
    hot : ndarray of bool, shape (n, n)
        Hot cells.
    expected : ndarray of float64, shape (n, n)
        Mean of the densest quarter of the surroundings.
    probability : ndarray of float64, shape (n, n)
        That chance gives a cell as much: Poisson counts of one density in the cell and in that
        quarter, given their sum, are binomial (Przyborowski & Wilenski 1940, Biometrika 31, 313).

    Notes
    -----
    Of the four quarters of the surroundings that counts which makes the cell least surprising:
    beside an edge of a chip or of the field the others have less than the cell. Hot cells are left
    out of the surroundings of the others, until no more are found.
    """
    target = search.is_target(grid)
    hot = np.zeros(counts.shape, bool)
    limit = search.false_boxes / search.trials
    while True:
        expected, probability = _compare(counts, hot, search)
        dense = (counts >= search.min_ratio * expected) & ~target & ~hot
        new = dense & (counts >= search.min_places) & (probability <= limit)
        if not new.any():
            break
        hot |= new
    beside = ndimage.binary_dilation(hot, np.ones((3, 3), bool)) & ~hot
    hot |= beside & dense & (probability <= search.neighbour_p)
    return hot, expected, probability


def _hot_half_cells(pairs: Integers, search: HotSearch) -> tuple[Mask, Floats, Floats]:
    """As `hot_cells`, for half cells: hot in any grid, with the smallest probability."""
    n = search.side
    hot, expected, probability = np.zeros((n, n), bool), np.zeros((n, n)), np.ones((n, n))
    for grid in GRIDS:
        cells = hot_cells(count_places(pairs, search, grid), search, grid)
        own, around, chance = (
            np.kron(image, np.ones((2, 2)))[grid[0] : grid[0] + n, grid[1] : grid[1] + n]
            for image in cells
        )
        hot |= own > 0
        expected = np.maximum(expected, around / 4)
        probability = np.minimum(probability, chance)
    return hot, expected, probability


def _compare(counts: Integers, left_out: Mask, search: HotSearch) -> tuple[Floats, Floats]:
    used = np.where(left_out, 0, counts).astype(np.float64)
    expected, probability = np.zeros(counts.shape), np.zeros(counts.shape)
    for kernel in _quarters(search.inner_cells, search.outer_cells):
        around, area = (
            np.rint(signal.fftconvolve(image, kernel[::-1, ::-1], mode="same"))
            for image in (used, (~left_out).astype(np.float64))
        )
        share = 1 / (1 + np.maximum(area, 1))
        # A single place is never too many, and nothing is known of a cell without surroundings.
        some = (counts > 1) & (area > 0)
        chance = np.ones(counts.shape)
        chance[some] = stats.binom.sf(counts[some] - 1, (counts + around)[some], share[some])
        expected = np.maximum(expected, around / np.maximum(area, 1))
        probability = np.maximum(probability, chance)
    return expected, probability


def _quarters(inner: int, outer: int) -> list[Floats]:
    """The surroundings in four parts: above, below, left and right of the diagonals."""
    dy, dx = np.indices((2 * outer + 1, 2 * outer + 1)) - outer
    ring = np.maximum(np.abs(dx), np.abs(dy)) > inner
    # A diagonal belongs to the part that comes next as one turns, so that each cell is in one.
    above = (dy > 0) & (-dy < dx) & (dx <= dy)
    return [(ring & np.rot90(above, turns)).astype(np.float64) for turns in range(4)]


def boxes_of(hot: Mask) -> list[tuple[int, int, int, int]]:
    """Cover cells with rectangles that hold nothing else and do not overlap.

    Parameters
    ----------
    hot : ndarray of bool, shape (y, x)
        Cells to cover.

    Returns
    -------
    list of (y_lo, y_hi, x_lo, x_hi)
        Half-open ranges.

    Examples
    --------
    >>> boxes_of(np.array([[1, 1, 0], [1, 1, 1]], bool))
    [(0, 2, 0, 2), (1, 2, 2, 3)]
    """
    free = hot.copy()
    found = []
    for y, x in zip(*np.nonzero(hot), strict=True):
        if not free[y, x]:
            continue
        x_hi = x + _run(free[y, x:])
        y_hi = y + _run(np.asarray(free[y:, x:x_hi].all(axis=1)))
        free[y:y_hi, x:x_hi] = False
        found.append((int(y), int(y_hi), int(x), int(x_hi)))
    return found


def _run(values: Mask) -> int:
    """How many of the first values hold."""
    return int(np.argmin(values)) if not values.all() else len(values)


def hot_boxes(pairs: Integers, search: HotSearch) -> pd.DataFrame:
    """Find the hot regions of one time bin.

    Parameters
    ----------
    pairs : ndarray of int64
        What `merged` gives for the whole catalogue.
    search : HotSearch
        Settings.

    Returns
    -------
    DataFrame
        One row a box: ``x_lo``, ``x_hi``, ``y_lo``, ``y_hi`` (in the frame of
        `detector_position`), ``n_places`` (half cells and places on the sky with
        regions in it), ``expected`` (the same from the surroundings), ``p_log`` (log10 of the
        smallest probability of its cells).

    Examples
    --------
    >>> search = HotSearch()
    >>> place = np.arange(30)
    >>> x, y = np.full(30, 5000.0), np.full(30, -3000.0)
    >>> boxes = hot_boxes(occupied(x, y, place, search), search)
    >>> len(boxes), int(boxes["n_places"].iloc[0])
    (1, 30)
    """
    hot, expected, probability = _hot_half_cells(pairs, search)
    here = np.bincount(pairs // _PLACES, minlength=search.side**2).reshape(hot.shape)
    rows = []
    for y_lo, y_hi, x_lo, x_hi in boxes_of(hot):
        part = np.s_[y_lo:y_hi, x_lo:x_hi]
        edges = (np.array([x_lo, x_hi, y_lo, y_hi]) - search.side / 2) * search.step
        rows.append(
            dict(zip(BOX_EDGES, edges.tolist(), strict=True))
            | {"n_places": int(here[part].sum()), "expected": float(expected[part].sum())}
            | {"p_log": float(np.log10(np.maximum(probability[part].min(), 1e-300)))}
        )
    real = dict.fromkeys((*BOX_EDGES, "expected", "p_log"), np.float64)
    names = [*BOX_EDGES, "n_places", "expected", "p_log"]
    return pd.DataFrame(rows, columns=names).astype({**real, "n_places": np.int64})


def inside(x_det: ArrayLike, y_det: ArrayLike, t_bin: ArrayLike, boxes: pd.DataFrame) -> Mask:
    """Whether regions are in a hot region of their time bin.

    Parameters
    ----------
    x_det, y_det, t_bin : array_like, shape (n,)
        What `detector_position` gives, and the time bin in seconds.
    boxes : DataFrame
        With ``t_bin`` (NaN for all time bins) and the edges; lower edges belong to a box, upper
        ones do not.

    Returns
    -------
    ndarray of bool, shape (n,)
        False where the position is unknown.
    """
    x, y, width = (np.asarray(value, np.float64) for value in (x_det, y_det, t_bin))
    found = np.zeros(x.shape, bool)
    for bins, x_lo, x_hi, y_lo, y_hi in boxes[["t_bin", *BOX_EDGES]].to_numpy(np.float64):
        here = (x >= x_lo) & (x < x_hi) & (y >= y_lo) & (y < y_hi)
        found |= here & (np.isnan(bins) | np.isclose(width, bins))
    return found
