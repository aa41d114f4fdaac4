"""Light curves by numbers, so that those which look alike are close to each other.

The first `N_SHAPE` numbers are the shape: counts above the expectation in equal steps of a window
of `WINDOW` lengths of the event around its middle, as a vector of unit length. They do not change
when a light curve is moved in time, stretched together with its event, or when counts and
expectation are multiplied by a number. Turned round in time, the shape is turned round. The other
numbers are duration, share of the observation, hardness, asymmetry, Bayes factors, contrast and
share of bad time, divided by what makes a typical difference as large as one of shapes: of these,
hardness, asymmetry, contrast and the shares do not change when a light curve is moved or stretched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.schemas.arrays import EqualColumns, Floats, Indices, Mask
from exod.schemas.explorer import N_SIMILAR
from exod.sources.vetting.features import Curves

N_SHAPE: Final = 24
WINDOW: Final = 5.0
"""Lengths of the event that the shape is of: two before, two after."""

_DECADES: Final = 4.0
"""A difference of so many decades of a duration is as much as one of opposite shapes."""


@dataclass(frozen=True)
class CurveEvents(EqualColumns):
    """The events of light curves.

    Attributes
    ----------
    start, stop : ndarray of float64, shape (n_curves,)
        In seconds from the first frame; NaN if not measured: then it is the frame that stands out
        most.
    hardness : ndarray of float64, shape (n_curves,)
        Hardness ratio of the event, -1 to 1; NaN, if not measured, counts as 0.
    """

    start: Floats
    stop: Floats
    hardness: Floats


def similarity_numbers(curves: Curves, events: CurveEvents) -> NDArray[np.float32]:
    """The numbers of light curves; similar is what has a small Euclidean distance.

    Parameters
    ----------
    curves : Curves
        The light curves; frames follow each other without gaps.
    events : CurveEvents
        Their events.

    Returns
    -------
    ndarray of float32, shape (n_curves, 32)
        Always finite; 0 is what is not known.
    """
    found = np.zeros((len(curves.t_bin), N_SIMILAR))
    there = np.diff(curves.offsets) > 0
    if there.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            found[there] = _numbers(_CurveFrames.of(curves, there), events.take(there))
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)


@dataclass(frozen=True)
class _CurveFrames:
    """The frames of several light curves, none of them empty, one after the other.

    Attributes
    ----------
    first, size : int64 array, shape (n_curves,)
        Where each begins, and how many frames it has.
    t_bin : float64 array, shape (n_curves,)
        Length of a frame.
    mu, excess : float64 array, shape (n_frames,)
        The expectation, and counts above it: 0 where a CCD was off or nothing is expected.
    """

    first: Indices
    size: Indices
    t_bin: Floats
    mu: Floats
    excess: Floats
    curves: Curves

    @classmethod
    def of(cls, curves: Curves, there: Mask) -> _CurveFrames:
        mu = np.nan_to_num(curves.mu.astype(float))
        excess = np.where(curves.bccd | (mu <= 0), 0.0, curves.n - mu)
        first, size = curves.offsets[:-1][there], np.diff(curves.offsets)[there]
        return cls(first, size, curves.t_bin[there].astype(float), mu, excess, curves)

    def until(self, values: Floats, times: Floats) -> Floats:
        """The sum of values of each light curve from its beginning to some times.

        Parameters
        ----------
        values : float64 array, shape (n_frames,)
        times : float64 array, shape (n_curves, n_times)
            In seconds; before the beginning the sum is 0, after the end that of all frames.

        Returns
        -------
        float64 array, shape (n_curves, n_times)
        """
        total = np.r_[0.0, np.cumsum(values)]
        frames = np.clip(np.nan_to_num(times / self.t_bin[:, None]), 0, self.size[:, None])
        whole = np.minimum(frames.astype(np.int64), self.size[:, None] - 1)
        at = self.first[:, None] + whole
        return total[at] - total[self.first][:, None] + (frames - whole) * values[at]

    def outstanding(self) -> Indices:
        """The frame of each light curve that stands out most, counted from its beginning."""
        strength = np.nan_to_num(np.abs(self.excess) / np.sqrt(self.mu), posinf=0.0)
        largest = np.repeat(np.maximum.reduceat(strength, self.first), self.size)
        number = np.repeat(np.arange(len(self.first)), self.size)
        at = np.flatnonzero(strength == largest)
        _, earliest = np.unique(number[at], return_index=True)
        return np.asarray(at[earliest] - self.first, np.int64)

    def strongest(self, factors: Floats) -> Floats:
        """How strong the largest Bayes factor of each is; its logarithm has three decades."""
        finite = np.where(np.isfinite(factors), factors, 0.0)
        largest = np.maximum.reduceat(finite, self.first)
        return np.asarray(np.log10(1 + np.maximum(largest, 0.0)) / 2)


def _numbers(frames: _CurveFrames, events: CurveEvents) -> Floats:
    start, stop = _event(frames, events)
    middle, length = (start + stop) / 2, stop - start
    steps_of = np.linspace(-WINDOW / 2, WINDOW / 2, N_SHAPE + 1)
    window = middle[:, None] + steps_of * length[:, None]
    shape = np.diff(frames.until(frames.excess, window), axis=1)
    norm = np.sqrt((shape**2).sum(axis=1, keepdims=True))
    within = start[:, None] + np.linspace(0, 1, N_SHAPE + 1) * length[:, None]
    inside = frames.until(frames.excess, within)
    steps = np.diff(inside, axis=1)
    weight = np.abs(steps).sum(axis=1)
    phase = (np.arange(N_SHAPE) + 0.5) / N_SHAPE * 2 - 1
    in_event = inside[:, -1] - inside[:, 0]
    expected = np.diff(frames.until(frames.mu, np.stack([start, stop], axis=1)), axis=1)[:, 0]
    others = [
        np.log10(length) / _DECADES,
        np.log10(length / (frames.size * frames.t_bin)) / _DECADES,
        np.nan_to_num(events.hardness) / 2,
        _ratio((steps * phase).sum(axis=1), weight),
        frames.strongest(frames.curves.B_peak_log),
        frames.strongest(frames.curves.B_eclipse_log),
        np.sign(in_event) * np.log10(1 + _ratio(np.abs(in_event), expected)) / 2,
        np.add.reduceat(frames.curves.bti.astype(float), frames.first) / frames.size / 2,
    ]
    return np.column_stack([_ratio(shape, norm), *others])


def _ratio(above: Floats, below: Floats) -> Floats:
    """Their ratio; 0 where it is divided by 0."""
    return np.where(below != 0, above / below, 0.0)


def _event(frames: _CurveFrames, events: CurveEvents) -> tuple[Floats, Floats]:
    """The events, a frame long at least."""
    frame = frames.outstanding() * frames.t_bin
    more = np.maximum(frames.t_bin - (events.stop - events.start), 0.0) / 2
    known = np.isfinite(events.start) & np.isfinite(events.stop)
    start = np.where(known, events.start - more, frame)
    return start, np.where(known, events.stop + more, frame + frames.t_bin)
