"""What the cells of a place counted, whether something was found there or not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exod.counts.cube import CountCube
from exod.counts.grid import Box, Cells, Grid, box_or_mask
from exod.observation.subsets import MergedEvents
from exod.schemas.arrays import Floats, Indices, Mask
from exod.search.lightcurves import LightCurve, light_curve_of
from exod.search.nulls.null import CountedRun


def cells_near(
    grid: Grid, box: Box, x: float, y: float, radius_arcsec: float | None = None
) -> Cells:
    """The cells of a place.

    Parameters
    ----------
    grid : Grid
        Cells over the sky pixels.
    box : Box
        The cropped image.
    x, y : float
        The place in sky pixels.
    radius_arcsec : float, optional
        How far from the place the centre of a cell may be; without it, or with 0, the place is the
        one cell that holds it. That cell always belongs to the place.

    Returns
    -------
    Box or ndarray of bool, shape (y, x)
        In the cropped image; cells outside it, which have no counts, are left out.

    Examples
    --------
    >>> grid = Grid(10, 4000, 0.05)
    >>> cells_near(grid, Box(0, 10, 0, 10), 1000.0, 1000.0)
    Box(y_lo=2, y_hi=3, x_lo=2, x_hi=3)
    >>> int(np.count_nonzero(cells_near(grid, Box(0, 10, 0, 10), 1000.0, 1000.0, 20.0)))
    5
    """
    rows, columns = np.mgrid[box.slices]
    is_near = (rows == _cell(grid, y)) & (columns == _cell(grid, x))
    if radius_arcsec:
        dy, dx = ((cells + 0.5) * grid.width for cells in (rows, columns))
        is_near |= np.hypot(dx - x, dy - y) * grid.pixel_arcsec <= radius_arcsec
    return box_or_mask(is_near)


def _cell(grid: Grid, pixel: float) -> int:
    """Row or column of a sky pixel; one that no image has if it is outside or not finite."""
    if not 0 <= pixel <= grid.sky_extent:
        return -1
    # As `Grid.flat_index` has it, also at the edges.
    return min(int(pixel) * grid.n // grid.sky_extent, grid.n - 1)


def cells_within(box: Box, cropped: Box) -> Cells:
    """The cells of a box of the full grid in a cropped image."""
    moved = box.shifted(-cropped.y_lo, -cropped.x_lo)
    rows, columns = cropped.shape
    y_lo, y_hi = np.clip([moved.y_lo, moved.y_hi], 0, rows).tolist()
    x_lo, x_hi = np.clip([moved.x_lo, moved.x_hi], 0, columns).tolist()
    return Box(y_lo, y_hi, x_lo, x_hi)


def light_curve_at(run: CountedRun, cells: Cells) -> LightCurve:
    """Counts and expected counts of each frame, summed over cells.

    The fast path for the boxes of regions is `exod.search.lightcurves.light_curve`.

    Parameters
    ----------
    run : CountedRun
        The run.
    cells : Box or ndarray of bool, shape (y, x)
        Cells of the cropped image.
    """
    n = run.cube.light_curve(_mask(run.cube, cells))
    return light_curve_of(run.cube, run.expectation, run.camera_off, n, cells)


def photons_in(cube: CountCube, cells: Cells) -> Indices:
    """Indices into the cube's events of those in some cells, in order of time."""
    return np.flatnonzero(_mask(cube, cells).ravel()[cube.cell])


def photons_of_windows(
    cube: CountCube,
    first: NDArray[np.integer],
    y: NDArray[np.integer],
    x: NDArray[np.integer],
    *,
    width: int = 1,
    shifts: int = 1,
) -> Indices:
    """Indices into the cube's events of those in windows, each once, in order of time.

    Parameters
    ----------
    cube : CountCube
        Counts in sub-frames, of which `shifts` are a frame.
    first : ndarray of int, shape (n_windows,)
        First sub-frame of each window.
    y, x : ndarray of int, shape (n_windows,)
        Its first row and column in the cropped image.
    width : int
        Cells along its side.
    shifts : int
        Sub-frames that it lasts.
    """
    rows, columns = cube.box.shape
    steps = np.array(list(np.ndindex(shifts, width, width)))[:, :, None]
    frame = steps[:, 0] + first
    row, column = steps[:, 1] + y, steps[:, 2] + x
    inside = (frame < cube.frames.n) & (row < rows) & (column < columns)
    key = (frame * cube.box.size + row * columns + column)[inside]
    return np.flatnonzero(np.isin(cube.frame.astype(np.int64) * cube.box.size + cube.cell, key))


def _mask(cube: CountCube, cells: Cells) -> Mask:
    if not isinstance(cells, Box):
        return cells
    mask = np.zeros(cube.box.shape, bool)
    mask[cells.slices] = True
    return mask


def photons_near(
    events: MergedEvents, ra_deg: Floats, dec_deg: Floats, radius_arcsec: float
) -> tuple[Indices, Indices, Floats, Floats]:
    """The photons around each of some positions.

    Parameters
    ----------
    events : MergedEvents
        The photons.
    ra_deg, dec_deg : ndarray of float64, shape (n,)
        The positions, in degrees.
    radius_arcsec : float
        How far from a position a photon may be.

    Returns
    -------
    place, photon : ndarray of intp, shape (n_pairs,)
        Index of the position and of the photon, in order of position, then of time.
    dx, dy : ndarray of float64, shape (n_pairs,)
        Arcsec from the position along X (to the west) and Y (to the north).
    """
    x, y = events.plane.to_pixel(ra_deg, dec_deg)
    size = events.plane.pixel_arcsec
    order = np.argsort(events.x, kind="stable")
    reach = radius_arcsec / size
    first = np.searchsorted(events.x[order], x - reach, "left")
    stop = np.searchsorted(events.x[order], x + reach, "right")
    place, photon = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for number, (low, high) in enumerate(zip(first.tolist(), stop.tolist(), strict=True)):
        strip = order[low:high]
        apart = np.hypot(events.x[strip] - x[number], events.y[strip] - y[number])
        own = np.sort(strip[apart * size <= radius_arcsec])
        place.append(np.full(len(own), number, np.intp))
        photon.append(own)
    which, own = np.concatenate(place), np.concatenate(photon)
    return which, own, (events.x[own] - x[which]) * size, (events.y[own] - y[which]) * size
