"""Images that sum up the frames of a cube: statistics over time, and what stands out.

All work on the non-empty cells of the sparse cube, so that no dense cube is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.counts.bayes import sigma_equivalent
from exod.counts.cube import CountCube
from exod.counts.grid import Box
from exod.observation.gti import Frames
from exod.schemas.arrays import Floats, Integers, Mask

STATISTICS: Final = ("max", "min", "mean", "median", "std", "sum")
"""Statistics of each cell over the frames."""


@dataclass(frozen=True)
class ImageLayer:
    """An image with what it shows.

    Attributes
    ----------
    name : str
        In capitals, as the name of a FITS extension.
    values : ndarray, shape (y, x)
        The image; NaN where nothing is known.
    unit : str
        Unit of the values, empty if they have none.
    meaning : str
        In words, at most 60 characters.
    """

    name: str
    values: NDArray[np.generic]
    unit: str
    meaning: str


def frames_between(frames: Frames, start: float, stop: float) -> Mask:
    """Frames that have time in common with the range, shape (n_frames,).

    Examples
    --------
    >>> frames_between(Frames(100.0, 10.0, 4), 110.0, 125.0)
    array([False,  True,  True, False])
    """
    return np.asarray((frames.starts < stop) & (frames.starts + frames.t_bin > start))


def frame_statistics(cube: CountCube, which: Mask | None = None) -> dict[str, Floats]:
    """Statistics of the counts of each cell over the frames that are not masked.

    Parameters
    ----------
    cube : CountCube
        The cube.
    which : ndarray of bool, shape (n_frames,), optional
        Frames to use; all by default. Masked ones are never used.

    Returns
    -------
    dict of str to ndarray of float64, shape (y, x)
        By `STATISTICS`; `std` divides by the number of frames. All but the sum are NaN if there
        are no frames.

    Notes
    -----
    The same as numpy's functions along the first axis of the dense cube, which is never made: a
    cell that is empty in some frames has that many zeros before its sorted counts.
    """
    use = ~cube.masked if which is None else which & ~cube.masked
    live, size = int(use.sum()), cube.box.size
    table = cube.chunk(0, cube.frames.n)
    chosen = use[table.frame]
    cell, n = table.cell[chosen], table.n[chosen].astype(float)
    total = np.bincount(cell, n, minlength=size)
    if not live:
        unknown = np.full(size, np.nan)
        found = dict.fromkeys(STATISTICS, unknown) | {"sum": total}
        return {name: image.reshape(cube.box.shape) for name, image in found.items()}
    order = np.lexsort((n, cell))
    filled = np.bincount(cell, minlength=size)
    ranked = _Ranked(n[order], np.cumsum(filled) - filled, filled, live)
    mean = total / live
    squares = np.bincount(cell, (n - mean[cell]) ** 2, minlength=size)
    found = {
        "max": ranked.at(live - 1),
        "min": ranked.at(0),
        "mean": mean,
        "median": (ranked.at((live - 1) // 2) + ranked.at(live // 2)) / 2,
        "std": np.sqrt((squares + (live - filled) * mean**2) / live),
        "sum": total,
    }
    return {name: found[name].reshape(cube.box.shape) for name in STATISTICS}


@dataclass(frozen=True)
class _Ranked:
    """Counts of each cell in rising order, those that are not 0, one cell after another."""

    n: Floats
    first: Integers
    filled: Integers
    live: int

    def at(self, rank: int) -> Floats:
        """The count of each cell that `rank` frames do not exceed, shape (n_cells,)."""
        place = rank - (self.live - self.filled)
        inside = place >= 0
        value = np.zeros(len(self.filled))
        value[inside] = self.n[(self.first + place)[inside]]
        return value


def deviation_image(n: NDArray[np.generic], mu: NDArray[np.generic]) -> Floats:
    """Counts beyond the expectation in standard deviations of a Poisson number, shape (y, x).

    Parameters
    ----------
    n, mu : ndarray, shape (y, x)
        Counts and expected counts.

    Returns
    -------
    ndarray of float64, shape (y, x)
        NaN where nothing is expected.
    """
    expected = np.asarray(mu, float)
    expected = np.where(expected > 0, expected, np.nan)
    return np.asarray((np.asarray(n, float) - expected) / np.sqrt(expected))


def significance_image(cells: pd.DataFrame, box: Box, window: int = 1) -> Floats:
    """Significance of the strongest significant frame of each cell.

    Parameters
    ----------
    cells : DataFrame
        Rows of the table cells of a run.
    box : Box
        The image.
    window : int
        Cells along a side of what was tested.

    Returns
    -------
    ndarray of float64, shape (y, x)
        Equivalent Gaussian sigmas, those of eclipses negative; 0 where nothing is significant.
    """
    image = np.zeros(box.shape)
    if cells.empty:
        return image
    is_peak = (cells["kind"] == "peak").to_numpy()
    b_log = cells["B_log"].to_numpy(float)
    sigma = np.where(is_peak, sigma_equivalent(b_log, "peak"), -sigma_equivalent(b_log, "eclipse"))
    y, x = cells["y"].to_numpy(int) - box.y_lo, cells["x"].to_numpy(int) - box.x_lo
    for down in range(window):
        for right in range(window):
            rows, columns = y + down, x + right
            inside = (rows < box.shape[0]) & (columns < box.shape[1])
            order = np.flatnonzero(inside)[np.argsort(np.abs(sigma[inside]), kind="stable")]
            stronger = np.abs(sigma[order]) > np.abs(image[rows[order], columns[order]])
            order = order[stronger]
            # Of several frames of a cell the last one assigned stays, which is the strongest.
            image[rows[order], columns[order]] = sigma[order]
    return image
