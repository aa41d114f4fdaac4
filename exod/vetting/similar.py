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

from exod.schemas.arrays import EqualColumns, Floats
from exod.schemas.explorer import N_SIMILAR
from exod.vetting.features import Curves

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
    for number in range(len(found)):
        own = slice(*curves.offsets[number : number + 2].tolist())
        if own.stop > own.start:
            found[number] = _numbers(curves, own, number, events)
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)


def _numbers(curves: Curves, own: slice, number: int, events: CurveEvents) -> Floats:
    t_bin = float(curves.t_bin[number])
    n, mu = curves.n[own].astype(float), np.nan_to_num(curves.mu[own].astype(float))
    excess = np.where(curves.bccd[own] | (mu <= 0), 0.0, n - mu)
    edges = np.arange(len(n) + 1) * t_bin
    start, stop = _event(excess, mu, t_bin, events.start[number], events.stop[number])
    middle, length = (start + stop) / 2, stop - start
    total = np.r_[0.0, np.cumsum(excess)]
    window = middle + np.linspace(-WINDOW / 2, WINDOW / 2, N_SHAPE + 1) * length
    shape = np.diff(np.interp(window, edges, total))
    norm = float(np.sqrt((shape**2).sum()))
    inside = np.interp(np.linspace(start, stop, N_SHAPE + 1), edges, total)
    steps = np.diff(inside)
    weight = float(np.abs(steps).sum())
    phase = (np.arange(N_SHAPE) + 0.5) / N_SHAPE * 2 - 1
    in_event = float(inside[-1] - inside[0])
    expected = float(np.diff(np.interp([start, stop], edges, np.r_[0.0, np.cumsum(mu)]))[0])
    others = [
        np.log10(length) / _DECADES,
        np.log10(length / edges[-1]) / _DECADES,
        np.nan_to_num(events.hardness[number]) / 2,
        float((steps * phase).sum()) / weight if weight else 0.0,
        _logarithm(curves.B_peak_log[own]),
        _logarithm(curves.B_eclipse_log[own]),
        np.sign(in_event) * np.log10(1 + abs(in_event) / expected) / 2 if expected else 0.0,
        float(curves.bti[own].mean()) / 2,
    ]
    return np.r_[shape / norm if norm else shape, others]


def _event(
    excess: Floats, mu: Floats, t_bin: float, start: float, stop: float
) -> tuple[float, float]:
    """The event, a frame long at least."""
    if not (np.isfinite(start) and np.isfinite(stop)):
        with np.errstate(divide="ignore", invalid="ignore"):
            outstanding = np.nan_to_num(np.abs(excess) / np.sqrt(mu), posinf=0.0)
        frame = int(np.argmax(outstanding))
        return frame * t_bin, (frame + 1) * t_bin
    more = max(t_bin - (stop - start), 0.0) / 2
    return start - more, stop + more


def _logarithm(factors: Floats) -> float:
    """How strong the largest Bayes factor is: its logarithm has three decades of its own."""
    finite = factors[np.isfinite(factors)]
    return float(np.log10(1 + max(finite.max(), 0.0))) / 2 if len(finite) else 0.0
