"""Frames in which only some of the CCDs were live (method.md, Live time).

A cell of the sky has its counts from several CCDs, one or more a camera. With q_g the share of the
expected counts of a cell that group g of CCDs has, and l_g the live fraction of the group in a
frame, the cell is live by ``sum_g q_g l_g`` in that frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from exod.observation.gti import Frames
from exod.schemas.arrays import Floats, Mask

PRIOR_COUNTS: Final = 5.0
PRIOR_SIGMA_CELLS: Final = 1.0
"""So many counts of each cell are shared out as those around it are, because of its few own."""

_REACH: Final = 4
"""Sigmas at which the Gaussian of `PRIOR_SIGMA_CELLS` ends."""

ROUNDS: Final = 12
"""Rounds in which shares of the groups and level of the background are found from each other."""

_NEARLY: Final = 1e-9


@dataclass(frozen=True)
class FramesLive:
    """Live fractions of frames, and the group of each event of a cube.

    Attributes
    ----------
    live : ndarray of float64, shape (n_groups, n_frames)
        Live fraction of each group of CCDs; 0 in masked frames.
    group : ndarray of uint8, shape (n_events,)
        Group of each event of the cube.
    """

    live: Floats
    group: NDArray[np.uint8]

    @property
    def is_partial(self) -> Mask:
        """Frames in which a group was off for a part of the time, shape (n_frames,)."""
        return np.asarray((self.live < 1).any(axis=0))


@dataclass(frozen=True)
class LivePart:
    """What of some expected counts comes from which group of CCDs, in good or in bad time.

    Attributes
    ----------
    shares : ndarray of float64, shape (n_groups, n_cells)
        Share of each group in the expected counts of a cell.
    live : ndarray of float64, shape (n_groups, n_frames)
        Live fractions.
    mean : ndarray of float64, shape (n_frames,)
        That of all expected counts outside the source mask.
    """

    shares: Floats
    live: Floats
    mean: Floats

    def at(self, frame: NDArray[np.integer], cell: NDArray[np.integer]) -> Floats:
        """Live fraction of cells, broadcast shape."""
        total = np.zeros(np.broadcast_shapes(np.shape(frame), np.shape(cell)))
        for shares, live in zip(self.shares, self.live, strict=True):
            total += shares[cell] * live[frame]
        return total

    def summed(self, image: Floats, weight: Floats, frames: Mask) -> Floats:
        """Sum over frames of an image times weights, shape (n_frames,), times the live fraction."""
        total = self.live[:, frames] @ weight[frames]
        return np.asarray((total @ self.shares).reshape(image.shape) * image)

    def bound(self, image: Floats, weight: Floats, frames: Mask) -> Floats:
        """What the same is at most in a single frame."""
        most = (self.live[:, frames] * weight[frames]).max(axis=1, initial=0.0)
        return np.asarray((most @ self.shares).reshape(image.shape) * image)


@dataclass(frozen=True)
class PartialFrames:
    """Live fractions of cells in the frames in which only some CCDs were live.

    Attributes
    ----------
    frames : ndarray of bool, shape (n_frames,)
        Those frames.
    good, bad, source : LivePart
        Of the background in good and in bad time, and of constant sources.
    """

    frames: Mask
    good: LivePart
    bad: LivePart
    source: LivePart


@dataclass(frozen=True)
class GroupTimes:
    """When the groups of CCDs were live, in any time.

    Attributes
    ----------
    edges : ndarray of float64, shape (n + 1,)
        Ends of intervals in seconds, ascending.
    live : ndarray of float64, shape (n_groups, n)
        Live fraction of each group in each interval; 0 in what is left out.
    """

    edges: Floats
    live: Floats

    def relative(self, frames: Frames, mean: Floats) -> Floats:
        """Live fraction of each group and frame over that of the field, (n_groups, n_frames).

        Parameters
        ----------
        frames : Frames
            The frames.
        mean : ndarray of float64, shape (n,)
            Live fraction of the field in each interval.
        """
        ends = np.stack([frames.starts, frames.starts + frames.t_bin])
        length = np.diff(self.edges)

        def seconds(live: Floats) -> Floats:
            total = np.concatenate([[0.0], np.cumsum(length * live)])
            return np.asarray(np.diff(np.interp(ends, self.edges, total), axis=0)[0])

        field = seconds(mean)
        own = np.array([seconds(live) for live in self.live])
        ratio = np.divide(own, field, out=np.ones_like(own), where=field > _NEARLY * frames.t_bin)
        return np.where(np.abs(ratio - 1) < _NEARLY, 1.0, ratio)


@dataclass(frozen=True)
class GroupShares:
    """What of the counts of cells or windows comes from which group of CCDs, by class of time.

    Attributes
    ----------
    shares : ndarray of float64, shape (n_classes, n_groups, n_places)
        Shares of the groups in the expected counts of each cell or window.
    """

    shares: Floats

    def factor(
        self, number: int, relative: Floats, frame: NDArray[np.integer], place: NDArray[np.integer]
    ) -> Floats:
        """Live fraction of places over that of the field, in a class; broadcast shape.

        `relative` is that of the groups, from `GroupTimes.relative`.
        """
        frame, place = np.broadcast_arrays(frame, place)
        result = np.ones(frame.shape)
        some = (relative != 1).any(axis=0)[frame]
        if some.any():
            where, which = place[some], frame[some]
            total = np.zeros(len(where))
            for shares, own in zip(self.shares[number], relative, strict=True):
                total += shares[where] * own[which]
            result[some] = total
        return result


def group_images(
    group: NDArray[np.integer], cell: NDArray[np.integer], n_groups: int, n_cells: int
) -> Floats:
    """Counts of each group and cell, shape (n_groups, n_cells)."""
    flat = group.astype(np.int64) * n_cells + cell
    return np.bincount(flat, minlength=n_groups * n_cells).reshape(n_groups, n_cells).astype(float)


def shares_of(images: Floats, shape: tuple[int, int]) -> Floats:
    """Share of each group in each cell, shape (n_groups, n_cells), from its counts if always live.

    Cells with few counts are like those around them; where there are none at all, like the image.
    """
    if not images.any():
        return np.zeros(images.shape)
    size = (2 * round(_REACH * PRIOR_SIGMA_CELLS) + 1,) * 2
    around = np.array(
        [
            cv2.GaussianBlur(
                own.reshape(shape), size, PRIOR_SIGMA_CELLS, borderType=cv2.BORDER_REFLECT
            ).ravel()
            for own in images
        ]
    )
    seen = around.sum(0)
    alone = seen < _NEARLY
    around *= PRIOR_COUNTS / np.where(alone, 1.0, seen)
    around[:, alone] = PRIOR_COUNTS * images.sum(1, keepdims=True) / images.sum()
    around += images
    around /= images.sum(0) + PRIOR_COUNTS
    return around


def live_weights(counts: Floats, level: Floats, live: Floats) -> Floats:
    """Share of each group in the background, shape (n_groups,).

    Parameters
    ----------
    counts : ndarray, shape (n_groups,)
        Background counts of each group.
    level : ndarray, shape (n_frames,)
        Background counts of each frame.
    live : ndarray, shape (n_groups, n_frames)
        Live fractions of the frames.

    Notes
    -----
    The most likely shares, if the level times share and live fraction is expected: both follow
    from each other.
    """
    weights = counts / max(float(counts.sum()), 1e-300)
    for _ in range(ROUNDS):
        mean = weights @ live
        true = np.divide(level, mean, out=np.zeros_like(level), where=mean > 0)
        seen = live @ true
        rates = np.divide(counts, seen, out=np.zeros_like(counts), where=seen > 0)
        weights = rates / max(float(rates.sum()), 1e-300)
    return weights
