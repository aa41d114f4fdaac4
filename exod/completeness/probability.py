"""Probability that a burst of given counts, place and time is found in a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from exod.counts.bayes import Thresholds
from exod.counts.cube import CountCube
from exod.counts.template import BRIGHT_FACTOR, BRIGHT_PERCENTILE, Expectation
from exod.observation.gti import Frames
from exod.sensitivity.cellneeds import blur_kernel
from exod.sensitivity.profiles import Profile, cell_shares

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

REACH = 2
"""Cells on each side of that of the source in which its light is looked for."""


@dataclass(frozen=True)
class Bursts:
    """Bursts of constant rate; all arrays have shape (n_bursts,).

    Attributes
    ----------
    counts : ndarray of float64
        Expected counts in the whole point spread function, in the band of the run.
    start, duration : ndarray of float64
        Seconds; the start is a mission elapsed time.
    x, y : ndarray of float64
        Place in sky pixels.
    """

    counts: Floats
    start: Floats
    duration: Floats
    x: Floats
    y: Floats


def detection_probability(
    cube: CountCube,
    expectation: Expectation,
    thresholds: Thresholds,
    bursts: Bursts,
    profile: Profile,
) -> Floats:
    """Probability that each burst makes at least one cell of a run significant.

    Parameters
    ----------
    cube : CountCube
        Frames and cells of the run.
    expectation : Expectation
        Expected counts without the bursts.
    thresholds : Thresholds
        Significance.
    bursts : Bursts
        Each is looked at as if it were alone. The mean over bursts of random places and times is
        the completeness for random places and times.
    profile : Profile
        Point spread function.

    Returns
    -------
    ndarray of float64, shape (n_bursts,)
        0 for bursts that lie outside the frames or cells with data.

    Notes
    -----
    Exact but for one thing: the counts of cells are independent Poisson numbers, and mu includes
    the burst itself, see `with_own_light`, with its expected instead of its actual counts.
    """
    limit = bright_limit(expectation)
    index = zip(bursts.counts, bursts.start, bursts.duration, bursts.x, bursts.y, strict=True)
    chances = []
    for counts, start, duration, x, y in index:
        frame, in_frame = frame_shares(cube.frames, start, duration)
        use = (frame >= 0) & (frame < cube.frames.n)
        use[use] &= expectation.exposure[frame[use]] > 0
        patch = Patch.around(cube, np.array([x]), np.array([y]))
        inside = patch.cell[0] >= 0
        if not (use.any() and inside.any()):
            chances.append(0.0)
            continue
        shares = cell_shares(profile, patch.dx, patch.dy, cube.grid.size_arcsec, REACH)[0]
        light = counts * in_frame[use][:, None, None] * np.where(inside, shares, 0.0)
        chances.append(_chance(expectation, thresholds, frame[use], patch, light, limit))
    return np.array(chances)


def _chance(
    expectation: Expectation,
    thresholds: Thresholds,
    frame: Integers,
    patch: Patch,
    light: Floats,
    limit: float,
) -> float:
    """Probability that some cell is significant; `light` has the shape (n_frames, 5, 5)."""
    inside = patch.cell[0] >= 0
    cell = np.where(inside, patch.cell[0], 0)[None]
    own = OwnLight.of(light, expectation.is_bad[frame], patch, expectation)
    frame = frame[:, None, None]
    mu = expectation.at(frame, cell)
    estimate = with_own_light(expectation, frame, cell, own, limit)
    least = np.where(inside & (estimate > 0), thresholds.least_peak(estimate), np.inf)
    missed = np.where(np.isfinite(least), special.gammaincc(least, mu + light), 1.0)
    return 1 - float(missed.prod())


def frame_shares(frames: Frames, start: float, duration: float) -> tuple[Integers, Floats]:
    """Frames that a burst of constant rate touches, in the run or not, and its share in each.

    Examples
    --------
    >>> number, share = frame_shares(Frames(100.0, 10.0, 5), 105.0, 20.0)
    >>> number, share
    (array([0, 1, 2]), array([0.25, 0.5 , 0.25]))
    """
    first = int(np.floor((start - frames.t_lo) / frames.t_bin))
    last = int(np.floor((start + duration - frames.t_lo) / frames.t_bin))
    number = np.arange(first, last + 1)
    edges = frames.t_lo + frames.t_bin * np.arange(first, last + 2)
    within = np.clip((edges - start) / duration, 0, 1)
    share = np.diff(within)
    return number[share > 0], share[share > 0]


@dataclass(frozen=True)
class Patch:
    """The cells around places on the sky.

    Attributes
    ----------
    cell : ndarray of int64, shape (n_places, 5, 5)
        Flat index in the cropped image, axes (place, y, x); -1 outside of it. With a reach other
        than 2, 2 reach + 1 cells a side.
    row, column : ndarray of int64, shape (n_places,)
        Cell of the place in the full grid.
    dx, dy : ndarray of float64, shape (n_places,)
        Distance from the centre of that cell, in cells.
    """

    cell: Integers
    row: Integers
    column: Integers
    dx: Floats
    dy: Floats

    @classmethod
    def around(cls, cube: CountCube, x: ArrayLike, y: ArrayLike, reach: int = REACH) -> Patch:
        """Cells around sky pixels, shape (n_places,), `reach` on each side."""
        px, py = (np.asarray(v, float) / cube.grid.width for v in (x, y))
        column, row = np.floor(px).astype(np.int64), np.floor(py).astype(np.int64)
        around = np.arange(-reach, reach + 1)
        j = (row[:, None] - cube.box.y_lo + around)[:, :, None]
        i = (column[:, None] - cube.box.x_lo + around)[:, None, :]
        n_rows, n_columns = cube.box.shape
        inside = (j >= 0) & (j < n_rows) & (i >= 0) & (i < n_columns)
        cell = np.where(inside, j * n_columns + i, -1)
        return cls(cell, row, column, px - column - 0.5, py - row - 0.5)

    def locate(
        self, place: Integers, x: Floats, y: Floats, width: float
    ) -> tuple[Integers, Integers, NDArray[np.bool_]]:
        """Row and column in the patch of its place, and whether that is a cell of the image.

        Parameters
        ----------
        place : ndarray of int64, shape (n_photons,)
            Place that a photon belongs to.
        x, y : ndarray of float64, shape (n_photons,)
            Sky pixels.
        width : float
            Width of a cell in sky pixels.
        """
        side = self.cell.shape[1]
        row, column = (
            np.floor(pixel / width).astype(np.int64) - middle[place] + side // 2
            for pixel, middle in ((y, self.row), (x, self.column))
        )
        inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
        inside[inside] &= self.cell[place[inside], row[inside], column[inside]] >= 0
        return row, column, inside


@dataclass(frozen=True)
class OwnLight:
    """Counts of a burst in what its own expectation is made of; arrays broadcast to the cells.

    Attributes
    ----------
    cell, blurred : ndarray of float64
        In the image of the cell's good or bad time: in the cell, and after the template's blur.
    image : ndarray of float64
        In that image, outside the source mask.
    frame : ndarray of float64
        In the frame, outside the source mask.
    """

    cell: Floats
    blurred: Floats
    image: Floats
    frame: Floats

    @classmethod
    def of(
        cls,
        light: Floats,
        is_bad: NDArray[np.bool_],
        patch: Patch,
        expectation: Expectation,
    ) -> OwnLight:
        """Light of one burst, shape (n_frames, 5, 5), in frames that are bad or not."""
        hidden = expectation.source_mask.ravel()[np.maximum(patch.cell[0], 0)]
        outside = np.where(hidden | (patch.cell[0] < 0), 0.0, light)
        image = np.where(is_bad[:, None, None], light[is_bad].sum(0), light[~is_bad].sum(0))
        total = np.where(is_bad, outside[is_bad].sum(), outside[~is_bad].sum())
        return cls(
            image,
            blurred_patch(image),
            total[:, None, None],
            outside.sum(axis=(1, 2))[:, None, None],
        )


def blurred_patch(image: Floats) -> Floats:
    """The template's blur of counts that lie in patches, last two axes (y, x)."""
    edges = [(0, 0)] * (image.ndim - 2) + [(1, 1), (1, 1)]
    padded = np.pad(image, edges)
    n_rows, n_columns = image.shape[-2:]
    total = np.zeros(image.shape)
    for (j, i), weight in np.ndenumerate(blur_kernel()):
        total += weight * padded[..., j : j + n_rows, i : i + n_columns]
    return total


def bright_limit(expectation: Expectation) -> float:
    """Counts of a cell in good time above which it is masked as bright (method.md, Source mask)."""
    image = expectation.good.shape * expectation.good.counts
    outside = image[~expectation.source_mask]
    if not outside.size or expectation.good.counts == 0:
        return np.inf
    return BRIGHT_FACTOR * float(np.percentile(outside, BRIGHT_PERCENTILE))


def with_own_light(
    expectation: Expectation,
    frame: NDArray[np.integer],
    cell: NDArray[np.integer],
    own: OwnLight,
    limit: float,
) -> Floats:
    """Expected counts as the search works them out when the burst is in the data.

    Parameters
    ----------
    expectation : Expectation
        Without the burst.
    frame, cell : ndarray of int
        Frame and flat index; they broadcast.
    own : OwnLight
        Counts of the burst.
    limit : float
        From `bright_limit`.

    Returns
    -------
    ndarray of float64
        Broadcast shape.

    Notes
    -----
    In a cell outside the mask ``mu = (T C + own blurred) / (C + own image) (L + own frame)``, with
    T, C and L template, its counts and level. In a masked cell, and in one that the burst makes
    bright, the burst becomes part of the constant source, spread over the exposure.
    """
    is_bad = expectation.is_bad[frame]
    shapes = (expectation.good.shape.ravel(), expectation.bad.shape.ravel())
    shape = np.where(is_bad, shapes[1][cell], shapes[0][cell])
    counts = np.where(is_bad, expectation.bad.counts, expectation.good.counts)
    level = expectation.level[frame] + own.frame
    total = counts + own.image
    diffuse = (shape * counts + own.blurred) / np.where(total > 0, total, 1.0) * level
    seen = expectation.exposure > 0
    lengths = [float(expectation.exposure[seen & f].sum()) for f in _halves(expectation)]
    measured = is_bad == (lengths[1] > lengths[0])
    mean = np.where(measured, own.cell / max(*lengths, 1.0), 0.0)
    steady = expectation.source.ravel()[cell] + mean
    masked = expectation.source_mask.ravel()[cell] | (~is_bad & (shape * counts + own.cell > limit))
    return np.asarray(
        np.where(masked, shape * level + steady * expectation.exposure[frame], diffuse)
    )


def _halves(expectation: Expectation) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return ~expectation.is_bad, expectation.is_bad
