"""Expected counts given the counts of each cell: a null hypothesis (method.md, Sliding windows).

Time is split into classes of similar background level. Within a class, each cell is expected to
spread the counts it has there over the frames in proportion to the level of the background, and to
the exposure as far as they come from a known source. No template of the background is needed, and
nothing that is constant in time, known or not, gives a false alarm: with I counts of a cell in a
class, the counts of a frame that is expected to have mu of them are binomial with I trials and
probability mu / I.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.counts.cube import CellByCell, CountCube
from exod.counts.grid import Cells, sum_over
from exod.counts.template import bright_cells, inpaint
from exod.observation.gti import Frames
from exod.schemas.arrays import Floats, Indices, Mask

Image = NDArray[np.float64]

COUNTS_PER_KNOT: Final = 256
"""Background counts in which the level of the background is taken as constant."""

CLASS_EDGES: Final = (0.6, 1.6, 4.0)
"""Levels, relative to the median, between the classes of time."""

MIN_COUNTS_PER_CELL: Final = 3.0
"""Mean counts of a cell that a class needs to be one; smaller ones join their neighbour."""


@dataclass(frozen=True)
class LiveTime:
    """When the cameras worked.

    Attributes
    ----------
    edges : ndarray of float64, shape (n + 1,)
        Ends of intervals of time in seconds, ascending.
    live : ndarray of bool, shape (n,)
        Whether the interval counts.
    """

    edges: Floats
    live: Mask

    def at(self, time: Floats) -> Floats:
        """Seconds of live time up to `time`, same shape."""
        total = np.concatenate([[0.0], np.cumsum(np.diff(self.edges) * self.live)])
        return np.interp(time, self.edges, total)

    def contains(self, time: Floats) -> Mask:
        """Whether the cameras worked at `time`, same shape; False outside."""
        index = np.searchsorted(self.edges, time, side="right") - 1
        inside = (index >= 0) & (index < len(self.live))
        return inside & self.live[np.clip(index, 0, len(self.live) - 1)]


@dataclass(frozen=True)
class LevelCurve:
    """Level of the background along the live time, and the class of each piece.

    Attributes
    ----------
    live : ndarray of float64, shape (n + 1,)
        Live time of the knots in seconds.
    kind : ndarray of intp, shape (n,)
        Class of the piece between two knots.
    rate : ndarray of float64, shape (n,)
        Background counts per second in each piece.
    """

    live: Floats
    kind: Indices
    rate: Floats

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.kind.max(initial=-1)) + 1

    def kind_at(self, live: Floats) -> Indices:
        """Class at a live time, same shape."""
        piece = np.searchsorted(self.live, live, side="right") - 1
        return self.kind[np.clip(piece, 0, len(self.kind) - 1)]

    def shares(self, edges: Floats) -> tuple[Floats, Floats]:
        """Shares of the level and of the exposure of each class that lie between edges.

        Parameters
        ----------
        edges : ndarray, shape (n_frames, 2)
            Begin and end of each frame in live time.

        Returns
        -------
        level, exposure : ndarray of float64, shape (n_classes, n_frames)
            For each class they add up to 1 over frames that cover everything.
        """
        length = np.diff(self.live)
        result = []
        for weight in (length * self.rate, length):
            rows = []
            for number in range(self.n_classes):
                total = np.concatenate([[0.0], np.cumsum(weight * (self.kind == number))])
                at = np.interp(edges, self.live, total)
                rows.append(np.diff(at, axis=1)[:, 0] / max(total[-1], 1e-300))
            result.append(np.array(rows).reshape(self.n_classes, len(edges)))
        return result[0], result[1]


def level_curve(live: Floats, total: float, n_cells: int) -> LevelCurve:
    """Level of the background from the live times of background events.

    Parameters
    ----------
    live : ndarray, shape (n_events,)
        Live times of the events, ascending, in seconds.
    total : float
        Live time of everything.
    n_cells : int
        Cells over which the events are spread.
    """
    inner = live[COUNTS_PER_KNOT::COUNTS_PER_KNOT]
    inner = inner[(inner > 0) & (inner < total)]
    knots = np.unique(np.concatenate([[0.0], inner, [total]]))
    if total <= 0:
        return LevelCurve(np.array([0.0, 0.0]), np.zeros(1, np.intp), np.zeros(1))
    if len(knots) > 2:
        # The last piece is shorter than the others; it joins the one before.
        knots = np.delete(knots, -2)
    counts = np.histogram(live, knots)[0].astype(float)
    length = np.diff(knots)
    rate = counts / length
    median = _weighted_median(rate, length)
    kind = np.searchsorted(np.array(CLASS_EDGES) * max(median, 1e-300), rate, side="right")
    return LevelCurve(knots, _merged(kind, counts, MIN_COUNTS_PER_CELL * n_cells), rate)


def _weighted_median(values: Floats, weight: Floats) -> float:
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _merged(kind: Indices, counts: Floats, least: float) -> Indices:
    """Classes numbered from 0, those with too few counts joined to the smaller neighbour."""
    _, kind = np.unique(kind, return_inverse=True)
    while True:
        sums = np.bincount(kind, counts)
        small = int(np.argmin(sums))
        if len(sums) == 1 or sums[small] >= least:
            return kind.astype(np.intp)
        around = [i for i in (small - 1, small + 1) if 0 <= i < len(sums)]
        kind = np.where(kind == small, min(around, key=lambda i: float(sums[i])), kind)
        _, kind = np.unique(kind, return_inverse=True)


@dataclass(frozen=True)
class ConditionalExpectation(CellByCell):
    """Expected counts of a cube, given the counts of each cell in each class of time.

    Attributes
    ----------
    counts : ndarray of float64, shape (n_classes, y, x)
        Counts of each cell in each class.
    source : ndarray of float64, shape (n_classes, y, x)
        The part of them that comes from known or bright constant sources.
    source_mask : ndarray of bool, shape (y, x)
        Cells of known sources and bright cells.
    curve : LevelCurve
        Level of the background.
    live_time : LiveTime
        When the cameras worked.
    frames : Frames
        Frames of the cube.
    is_bad : ndarray of bool, shape (n_frames,)
        Frames in bad time intervals.
    """

    counts: Image
    source: Image
    source_mask: Mask
    curve: LevelCurve
    live_time: LiveTime
    frames: Frames
    is_bad: Mask

    def shares(self, frames: Frames) -> tuple[Floats, Floats]:
        """Shares of level and exposure of each class, shape (n_classes, n_frames)."""
        start = self.live_time.at(frames.starts)
        stop = self.live_time.at(frames.starts + frames.t_bin)
        return self.curve.shares(np.column_stack([start, stop]))

    def at(self, frame: NDArray[np.integer], cell: NDArray[np.integer]) -> Floats:
        """Expected counts of cells given by frame and flat index; broadcast shape."""
        level, exposure = self.shares(self.frames)
        counts = self.counts.reshape(len(level), -1)
        source = self.source.reshape(len(level), -1)
        return np.asarray(
            sum(
                (counts[i][cell] - source[i][cell]) * level[i][frame]
                + source[i][cell] * exposure[i][frame]
                for i in range(len(level))
            )
        )

    def light_curve(self, cells: Cells) -> Floats:
        """Expected counts summed over cells of the cropped image, shape (n_frames,)."""
        counts, source = (sum_over(images, cells) for images in (self.counts, self.source))
        level, exposure = self.shares(self.frames)
        return np.asarray((counts - source) @ level + source @ exposure)

    def image(self, which: Mask | None = None) -> Image:
        """Expected counts summed over the frames where `which` (all by default), shape (y, x)."""
        level, exposure = self._totals(which)
        background = np.tensordot(level, self.counts - self.source, 1)
        return np.asarray(background + np.tensordot(exposure, self.source, 1))

    def background_image(self, which: Mask | None = None) -> Image:
        """The part of `image` that is not from known or bright constant sources."""
        return np.asarray(np.tensordot(self._totals(which)[0], self.counts - self.source, 1))

    def _totals(self, which: Mask | None) -> tuple[Floats, Floats]:
        level, exposure = self.shares(self.frames)
        use = np.ones(self.frames.n, bool) if which is None else which
        return level[:, use].sum(1), exposure[:, use].sum(1)


def class_images(
    cube: CountCube, live: Floats, live_time: LiveTime, known_sources: Mask
) -> tuple[LevelCurve, Image, Image, Mask]:
    """Level curve, counts and source counts by class, and the mask of sources.

    Parameters
    ----------
    cube : CountCube
        Counts of a band; its frames do not matter.
    live : ndarray of float64, shape (n_events,)
        Live time of each event of the cube, ascending.
    live_time : LiveTime
        When the cameras worked.
    known_sources : ndarray of bool, shape (y, x)
        Mask of the known sources.
    """
    image = cube.image()
    mask = known_sources | bright_cells(image, known_sources)
    total = float(live_time.at(live_time.edges[-1:])[0])
    background = live[~mask.ravel()[cube.cell]]
    curve = level_curve(background, total, int(np.count_nonzero((image > 0) & ~mask)))
    kind = curve.kind_at(live)
    size = cube.box.size
    flat = np.bincount(kind * size + cube.cell, minlength=curve.n_classes * size)
    counts = flat.reshape(curve.n_classes, *cube.box.shape).astype(float)
    source = np.zeros_like(counts)
    if mask.any():
        for number, own in enumerate(counts):
            source[number] = np.where(mask, np.maximum(own - inpaint(own, mask), 0.0), 0.0)
    return curve, counts, source, mask
