"""Expected counts given the counts of each cell: a null hypothesis (method.md, Sliding windows).

Time is split into classes of similar background level. Within a class, each cell is expected to
spread the counts it has there over the frames in proportion to the level of the background, and to
the exposure as far as they come from a known source. No template of the background is needed, and
nothing that is constant in time, known or not, gives a false alarm: with I counts of a cell in a
class, the counts of a frame that is expected to have mu of them are binomial with I trials and
probability mu / I.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.counts.cube import CellByCell, CountCube
from exod.counts.grid import Cells, sum_over
from exod.counts.partial import (
    GroupShares,
    GroupTimes,
    group_images,
    live_weights,
)
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

_WHOLE: Final = 1e-6
"""What may be missing of a frame that is live throughout, for rounding."""


@dataclass(frozen=True)
class LiveTime:
    """When the cameras worked.

    Attributes
    ----------
    edges : ndarray of float64, shape (n + 1,)
        Ends of intervals of time in seconds, ascending.
    live : ndarray of bool or float64, shape (n,)
        Whether the interval counts, or the live fraction of the field in it.
    """

    edges: Floats
    live: Mask | Floats

    @cached_property
    def _total(self) -> Floats:
        """Seconds of live time up to each edge."""
        return np.concatenate([[0.0], np.cumsum(np.diff(self.edges) * self.live)])

    def at(self, time: Floats) -> Floats:
        """Seconds of live time up to `time`, same shape."""
        return np.interp(time, self.edges, self._total)

    def contains(self, time: Floats) -> Mask:
        """Whether the cameras worked at `time`, same shape; False outside."""
        index = np.searchsorted(self.edges, time, side="right") - 1
        inside = (index >= 0) & (index < len(self.live))
        return inside & (self.live[np.clip(index, 0, len(self.live) - 1)] > 0)


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
        result = []
        for totals in self._totals:
            rows = []
            for total in totals:
                at = np.interp(edges, self.live, total)
                rows.append(np.diff(at, axis=1)[:, 0] / max(total[-1], 1e-300))
            result.append(np.array(rows).reshape(self.n_classes, len(edges)))
        return result[0], result[1]

    @cached_property
    def _totals(self) -> tuple[list[Floats], list[Floats]]:
        """Counts and live time of each class up to each knot."""
        length = np.diff(self.live)
        counts, exposure = (
            [
                np.concatenate([[0.0], np.cumsum(weight * (self.kind == number))])
                for number in range(self.n_classes)
            ]
            for weight in (length * self.rate, length)
        )
        return counts, exposure


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
        Counts of each cell in each class, if all CCDs were as live as the field.
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
    groups : (GroupTimes, GroupShares) or None
        When which CCDs were live, and their shares in the counts, if not all of them always were.
    """

    counts: Image
    source: Image
    source_mask: Mask
    curve: LevelCurve
    live_time: LiveTime
    frames: Frames
    is_bad: Mask
    groups: tuple[GroupTimes, GroupShares] | None = None

    def relative(self, frames: Frames) -> Floats | None:
        """Live fraction of the groups of CCDs over that of the field, (n_groups, n_frames)."""
        if self.groups is None:
            return None
        return self.groups[0].relative(frames, self.live_time.live.astype(float))

    def shares(self, frames: Frames) -> tuple[Floats, Floats]:
        """Shares of level and exposure of each class, shape (n_classes, n_frames)."""
        start = self.live_time.at(frames.starts)
        stop = self.live_time.at(frames.starts + frames.t_bin)
        return self.curve.shares(np.column_stack([start, stop]))

    def at(self, frame: NDArray[np.integer], cell: NDArray[np.integer]) -> Floats:
        """Expected counts of cells given by frame and flat index; broadcast shape."""
        level, exposure = self.shares(self.frames)
        relative = self.relative(self.frames)
        counts = self.counts.reshape(len(level), -1)
        source = self.source.reshape(len(level), -1)
        total = 0.0
        for i in range(len(level)):
            own = (counts[i][cell] - source[i][cell]) * level[i][frame] + source[i][
                cell
            ] * exposure[i][frame]
            if self.groups is not None and relative is not None:
                own = own * self.groups[1].factor(i, relative, frame, cell)
            total = total + own
        return np.asarray(total)

    def light_curve(self, cells: Cells) -> Floats:
        """Expected counts summed over cells of the cropped image, shape (n_frames,)."""
        level, exposure = self.shares(self.frames)
        relative = self.relative(self.frames)
        counts, source = (sum_over(images, cells) for images in (self.counts, self.source))
        total = np.asarray((counts - source) @ level + source @ exposure)
        if self.groups is None or relative is None:
            return total
        some = (relative != 1).any(axis=0)
        partial = np.zeros(len(total))
        for i, shares in enumerate(self._group_images()):
            background, steady = (
                sum_over(shares * image, cells)
                for image in (self.counts[i] - self.source[i], self.source[i])
            )
            partial += (background @ relative) * level[i] + (steady @ relative) * exposure[i]
        return np.where(some, partial, total)

    def live_curve(self, cells: Cells) -> Floats | None:
        """Live fraction of some cells in each frame, shape (n_frames,).

        That of what they are expected to have; None if all CCDs are live whenever one is.
        """
        relative = self.relative(self.frames)
        if relative is None:
            return None
        starts, t_bin = self.frames.starts, self.frames.t_bin
        field = (self.live_time.at(starts + t_bin) - self.live_time.at(starts)) / t_bin
        images = zip(self.counts, self._group_images(), strict=True)
        counts = sum(sum_over(shares * image, cells) for image, shares in images)
        total = float(np.sum(counts))
        live = field * (counts / total @ relative if total else 1.0)
        return np.where(np.abs(live - 1) < _WHOLE, 1.0, live)

    def image(self, which: Mask | None = None) -> Image:
        """Expected counts summed over the frames where `which` (all by default), shape (y, x)."""
        level, exposure = self._totals(which)
        background = np.tensordot(level, self.counts - self.source, 1)
        total = np.asarray(background + np.tensordot(exposure, self.source, 1))
        return total + self._beside(which, self.counts - self.source, self.source)

    def background_image(self, which: Mask | None = None) -> Image:
        """The part of `image` that is not from known or bright constant sources."""
        background = self.counts - self.source
        total = np.asarray(np.tensordot(self._totals(which)[0], background, 1))
        return total + self._beside(which, background, np.zeros_like(background))

    def _totals(self, which: Mask | None) -> tuple[Floats, Floats]:
        level, exposure = self.shares(self.frames)
        use = np.ones(self.frames.n, bool) if which is None else which
        return level[:, use].sum(1), exposure[:, use].sum(1)

    def _group_images(self) -> Iterator[Floats]:
        """Shares of the groups, shape (n_groups, y, x), by class."""
        if self.groups is not None:
            for shares in self.groups[1].shares:
                yield shares.reshape(len(shares), *self.source_mask.shape)

    def _beside(self, which: Mask | None, background: Image, steady: Image) -> Image:
        """What a sum over frames has more because cells are not as live as the field is."""
        relative, total = self.relative(self.frames), np.zeros(self.source_mask.shape)
        if relative is None:
            return total
        use = np.ones(self.frames.n, bool) if which is None else which
        level, exposure = self.shares(self.frames)
        for i, shares in enumerate(self._group_images()):
            for image, weight in ((background[i], level[i]), (steady[i], exposure[i])):
                more = (relative[:, use] - 1) @ weight[use]
                total += np.tensordot(more, shares, 1) * image
        return total


def grouped_expectation(
    cube: CountCube, time: Floats, group: NDArray[np.uint8], times: GroupTimes, known_sources: Mask
) -> ConditionalExpectation:
    """The expectation where not all CCDs were always live; its frames are those of the cube.

    Parameters
    ----------
    cube : CountCube
        Counts of a band; its frames do not matter.
    time : ndarray of float64, shape (n_events,)
        Time of each event of the cube, ascending.
    group : ndarray of uint8, shape (n_events,)
        Group of CCDs of each event.
    times : GroupTimes
        When the groups were live.
    known_sources : ndarray of bool, shape (y, x)
        Mask of the known sources.

    Notes
    -----
    The level is that of the field as if it were live: counts over live time, each group as much as
    it has of the background. Counts of each group and class are scaled to what it had if it were
    as live as the field.
    """
    image = cube.image()
    mask = known_sources | bright_cells(image, known_sources)
    outside = ~mask.ravel()[cube.cell]
    n_groups, n_intervals = times.live.shape
    interval = np.clip(np.searchsorted(times.edges, time, side="right") - 1, 0, n_intervals - 1)
    level = np.bincount(interval[outside], minlength=n_intervals).astype(float)
    counts = np.bincount(group[outside], minlength=n_groups).astype(float)
    live_time = LiveTime(times.edges, live_weights(counts, level, times.live) @ times.live)
    live = live_time.at(time)
    curve, _, _, mask = class_images(cube, live, live_time, known_sources)
    kind, size = curve.kind_at(live), cube.box.size
    # Pieces in which neither the level nor what is live changes.
    knots = np.interp(curve.live, live_time.at(times.edges), times.edges)
    edges = np.unique(np.concatenate([times.edges, knots]))
    length, middle = np.diff(edges), (edges[:-1] + edges[1:]) / 2
    own = np.clip(np.searchsorted(times.edges, middle, side="right") - 1, 0, n_intervals - 1)
    at = live_time.at(middle)
    piece = np.clip(np.searchsorted(curve.live, at, side="right") - 1, 0, len(curve.kind) - 1)
    scaled = np.zeros((curve.n_classes, size))
    source = np.zeros((curve.n_classes, *cube.box.shape))
    shares = np.zeros((curve.n_classes, n_groups, size))
    for number in range(curve.n_classes):
        weight = length * (curve.kind[piece] == number)
        ratios = []
        for rate in (curve.rate[piece], 1.0):
            mean = float((weight * rate * live_time.live[own]).sum())
            seen = times.live[:, own] @ (weight * rate)
            ratios.append(np.divide(mean, seen, out=np.zeros(n_groups), where=seen > 0))
        mine = kind == number
        images = group_images(group[mine], cube.cell[mine], n_groups, size)
        by_level, by_time = (ratio[:, None] * images for ratio in ratios)
        whole = by_level.sum(0).reshape(cube.box.shape)
        part = np.zeros(cube.box.shape)
        if mask.any():
            excess = np.clip(whole - inpaint(whole, mask), 0.0, whole)
            np.divide(excess, whole, out=part, where=mask & (whole > 0))
        # What comes from constant sources goes with the live time, not with the level.
        each = part.ravel() * by_time + (1 - part.ravel()) * by_level
        scaled[number] = each.sum(0)
        source[number] = part * by_time.sum(0).reshape(cube.box.shape)
        # Given the counts of each group the shares are known, however few the counts are.
        np.divide(each, scaled[number], out=shares[number], where=scaled[number] > 0)
    return ConditionalExpectation(
        scaled.reshape(source.shape),
        source,
        mask,
        curve,
        live_time,
        cube.frames,
        np.zeros(cube.frames.n, bool),
        (times, GroupShares(shares)),
    )


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
