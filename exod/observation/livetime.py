"""When each CCD of an exposure was live (method.md, Live time)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats, Mask

if TYPE_CHECKING:
    from exod.observation.gti import Frames

BLOCK_SECONDS: Final = 10.0
"""Frames of the camera are averaged over blocks of this length."""

SHORTEST_GAP: Final = 1.0
"""Gaps shorter than this, in seconds, lower the live share of their block; longer ones have
edges."""

UNUSUAL: Final = 0.05
"""A block whose live share is within 5 per cent of the usual one of its CCD has that."""

MOST_OVERLAP: Final = 0.1
"""Frames that overlap by more than this share of their time are not those of a camera."""

_WHOLE: Final = 1e-6
"""What may be missing of a frame that is live throughout, for rounding."""


@dataclass(frozen=True, eq=False)
class LiveCurve:
    """When one CCD was live, and how large the live share of its frames was.

    Attributes
    ----------
    pieces : ndarray of float64, shape (n, 3)
        Start, stop and live share of pieces of time, ascending; between them the CCD was off.
    usual : float
        The live share that the CCD usually has, above 0: of photons that arrive while it is on,
        those that its frames keep.

    Examples
    --------
    >>> curve = LiveCurve(np.array([[0.0, 10.0, 0.9], [14.0, 20.0, 0.9]]), 0.9)
    >>> curve.at([5.0, 12.0, 20.0])
    array([ 5., 10., 16.])
    >>> round(curve.seconds, 1)
    14.4
    """

    pieces: Floats
    usual: float = 1.0

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LiveCurve)
            and np.array_equal(self.pieces, other.pieces)
            and self.usual == other.usual
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def seconds(self) -> float:
        """Live time: seconds on, times the live share."""
        return float((self.pieces[:, 1] - self.pieces[:, 0]) @ self.pieces[:, 2])

    @cached_property
    def _knots(self) -> tuple[Floats, Floats]:
        """Times, and the seconds of usual live share up to them."""
        length = (self.pieces[:, 1] - self.pieces[:, 0]) * (self.pieces[:, 2] / self.usual)
        total = np.cumsum(length)
        return (
            self.pieces[:, :2].ravel(),
            np.stack([np.concatenate([[0.0], total])[:-1], total], axis=1).ravel(),
        )

    def at(self, time: ArrayLike) -> Floats:
        """Seconds on up to `time`, in terms of the usual live share; same shape."""
        times, total = self._knots
        if not len(times):
            return np.zeros(np.shape(time))
        return np.interp(np.asarray(time, float), times, total)

    def contains(self, time: Floats, slack: float = 0.0) -> Mask:
        """Whether the CCD was on at `time`, or at most `slack` seconds before or after."""
        if not len(self.pieces):
            return np.zeros(np.shape(time), bool)
        starts, stops = self.pieces[:, 0] - slack, self.pieces[:, 1] + slack
        index = np.searchsorted(starts, time, side="right") - 1
        return np.asarray((index >= 0) & (time <= stops[np.maximum(index, 0)]))

    def fractions(self, frames: Frames) -> Floats:
        """Live fraction of each frame, shape (n_frames,): 0 off, 1 on with the usual share."""
        edges = frames.t_lo + frames.t_bin * np.arange(frames.n + 1, dtype=np.float64)
        part = np.diff(self.at(edges)) / frames.t_bin
        return np.where(np.abs(part - 1) < _WHOLE, 1.0, np.maximum(part, 0.0))

    def without(self, off: Floats) -> LiveCurve:
        """The same without the intervals `off`, shape (n, 2)."""
        if not len(off) or not len(self.pieces):
            return self
        off = joined_intervals(off)
        on = np.concatenate([[-np.inf], off.ravel(), [np.inf]]).reshape(-1, 2)
        rest = common_intervals(self.pieces[:, :2], on)
        return LiveCurve(_cut(self.pieces, rest), self.usual)


@dataclass(frozen=True)
class LiveTimes:
    """When the CCDs of an exposure were live, as its event list records it.

    Attributes
    ----------
    curves : mapping of int to LiveCurve
        By CCD, from 1; a CCD that is not there has no usable record.
    """

    curves: Mapping[int, LiveCurve] = field(default_factory=dict, hash=False)

    @property
    def is_known(self) -> bool:
        """Whether anything is recorded."""
        return bool(self.curves)


def live_curve(good_times: Floats | None, frames: Floats | None) -> LiveCurve | None:
    """When a CCD was live, from its good times and its frames.

    Parameters
    ----------
    good_times : ndarray of float64, shape (n, 2), or None
        Starts and stops, in any order; they may overlap.
    frames : ndarray of float64, shape (n, 3), or None
        Start, stop and live share of the frames of the camera, in order of start.

    Returns
    -------
    LiveCurve or None
        None if neither is given, or if they leave no live time or cannot be those of a camera.

    Examples
    --------
    >>> good = np.array([[30.0, 40.0], [0.0, 20.0], [15.0, 25.0]])
    >>> live_curve(good, None).pieces
    array([[ 0., 25.,  1.],
           [30., 40.,  1.]])
    """
    on = None if good_times is None else joined_intervals(good_times)
    if frames is None or not len(frames):
        if on is None:
            return None
        rows = np.column_stack([on, np.ones(len(on))])
    else:
        before = np.maximum.accumulate(np.concatenate([[-np.inf], frames[:-1, 1]]))
        start = np.maximum(frames[:, 0], before)
        length = np.maximum(frames[:, 1] - start, 0.0)
        if length.sum() < (1 - MOST_OVERLAP) * (frames[:, 1] - frames[:, 0]).sum():
            return None
        rows = np.column_stack([start, frames[:, 1], frames[:, 2]])[length > 0]
        if on is not None:
            rows = _cut(rows, on)
    pieces = _blocks(rows)
    live = (pieces[:, 1] - pieces[:, 0]) @ pieces[:, 2]
    if not live > 0:
        return None
    usual = float(live / ((pieces[:, 1] - pieces[:, 0])[pieces[:, 2] > 0]).sum())
    return _merged(pieces, usual)


def joined_intervals(intervals: Floats) -> Floats:
    """Intervals in order, those that overlap or touch as one, shape (n, 2).

    Examples
    --------
    >>> joined_intervals(np.array([[5.0, 6.0], [0.0, 2.0], [1.0, 3.0], [9.0, 8.0]]))
    array([[0., 3.],
           [5., 6.]])
    """
    intervals = intervals[intervals[:, 1] > intervals[:, 0]]
    intervals = intervals[np.argsort(intervals[:, 0], kind="stable")]
    if not len(intervals):
        return intervals
    latest = np.maximum.accumulate(intervals[:, 1])
    first = np.flatnonzero(np.r_[True, intervals[1:, 0] > latest[:-1]])
    return np.stack([intervals[first, 0], latest[np.r_[first[1:] - 1, len(latest) - 1]]], axis=1)


def common_intervals(one: Floats, other: Floats) -> Floats:
    """What is in an interval of both, shape (n, 2).

    Examples
    --------
    >>> common_intervals(np.array([[0.0, 3.0], [5.0, 9.0]]), np.array([[2.0, 6.0]]))
    array([[2., 3.],
           [5., 6.]])
    """
    one, other = joined_intervals(one), joined_intervals(other)
    rows = _cut(np.column_stack([one, np.ones(len(one))]), other)
    return joined_intervals(rows[:, :2])


def _cut(rows: Floats, on: Floats) -> Floats:
    """What of the rows start, stop, share lies in the ascending intervals `on`."""
    if not len(on) or not len(rows):
        return rows[:0]
    first = np.searchsorted(on[:, 1], rows[:, 0], side="right")
    last = np.searchsorted(on[:, 0], rows[:, 1], side="left")
    n = np.maximum(last - first, 0)
    row = np.repeat(np.arange(len(rows)), n)
    which = np.arange(len(row)) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first, n)
    start = np.maximum(rows[row, 0], on[which, 0])
    stop = np.minimum(rows[row, 1], on[which, 1])
    kept = stop > start
    return np.column_stack([start, stop, rows[row, 2]])[kept]


def _blocks(rows: Floats) -> Floats:
    """Mean live shares of blocks between gaps."""
    if not len(rows):
        return rows
    gap = np.concatenate([[True], rows[1:, 0] - rows[:-1, 1] >= SHORTEST_GAP])
    block = np.floor((rows[:, 0] - rows[0, 0]) / BLOCK_SECONDS)
    first = np.flatnonzero(gap | (np.diff(block, prepend=-1) != 0))
    live = np.add.reduceat((rows[:, 1] - rows[:, 0]) * rows[:, 2], first)
    start, last = rows[first, 0], np.append(first[1:] - 1, len(rows) - 1)
    # A block lasts until the next one, unless a gap follows.
    stop = rows[last, 1]
    stop[:-1] = np.where(gap[first[1:]], stop[:-1], start[1:])
    return np.column_stack([start, stop, live / (stop - start)])


def _merged(pieces: Floats, usual: float) -> LiveCurve:
    """Neighbouring pieces of equal share as one; shares near the usual one are that."""
    near = np.abs(pieces[:, 2] / usual - 1) <= UNUSUAL
    length = pieces[:, 1] - pieces[:, 0]
    if near.any():
        # Its mean, so that the live time stays what it is.
        usual = float(length[near] @ pieces[near, 2] / length[near].sum())
    share = np.where(near, usual, pieces[:, 2])
    new = np.concatenate([[True], (pieces[1:, 0] > pieces[:-1, 1]) | (np.diff(share) != 0)])
    first = np.flatnonzero(new)
    last = np.append(first[1:] - 1, len(pieces) - 1)
    merged = np.column_stack([pieces[first, 0], pieces[last, 1], share[first]])
    return LiveCurve(merged[merged[:, 2] > 0], min(usual, 1.0))
