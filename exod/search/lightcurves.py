"""Light curves of regions (method.md, Positions and light curves)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exod.counts.bayes import log10_b_eclipse, log10_b_peak
from exod.counts.cube import CountCube, EventsByCell
from exod.counts.grid import Box, Cells
from exod.counts.shares import ConditionalExpectation
from exod.counts.template import Expectation
from exod.schemas.arrays import Floats, Integers, Mask


@dataclass(frozen=True)
class LightCurve:
    """Counts of a region in each frame; all arrays have shape (n_frames,).

    Attributes
    ----------
    time : ndarray of float64
        Start of the frame, mission elapsed time in seconds.
    n : ndarray of int32
        Counts.
    mu : ndarray of float32
        Expected counts; 0 where there is no expectation.
    live : ndarray of float32
        Live fraction of the cells: 0 where there are no data, 1 where all CCDs were live.
    bti, bccd : ndarray of bool
        Frame in a bad time interval; frame in which a CCD or a camera was off.
    B_peak_log, B_eclipse_log : ndarray of float64
        log10 Bayes factors of n and mu; NaN where mu is 0.
    """

    time: Floats
    n: NDArray[np.int32]
    mu: NDArray[np.float32]
    live: NDArray[np.float32]
    bti: Mask
    bccd: Mask
    B_peak_log: Floats
    B_eclipse_log: Floats


def light_curve(
    cube: CountCube,
    expectation: Expectation | ConditionalExpectation,
    camera_off: Mask,
    events: EventsByCell,
    box: Box,
) -> LightCurve:
    """Observed and expected counts of each frame, summed over a box.

    Parameters
    ----------
    cube, expectation : CountCube, Expectation or ConditionalExpectation
        Counts and expected counts of a run.
    camera_off : ndarray of bool, shape (n_frames,)
        Frames in which a CCD or a camera was off.
    events : EventsByCell
        Events of the cube, at least those in the box.
    box : Box
        Cells to sum, in the cropped image.
    """
    n = np.bincount(cube.frame[events.in_box(box)], minlength=cube.frames.n)
    return light_curve_of(cube, expectation, camera_off, n, box)


def light_curve_of(
    cube: CountCube,
    expectation: Expectation | ConditionalExpectation,
    camera_off: Mask,
    n: Integers,
    cells: Cells,
) -> LightCurve:
    """Counts `n` of each frame, shape (n_frames,), and what was expected of their cells."""
    mu, live = expectation.light_curve(cells), expectation.live_curve(cells)
    return LightCurve(
        time=cube.frames.starts,
        n=n.astype(np.int32),
        mu=mu.astype(np.float32),
        live=np.where(cube.masked, 0.0, 1.0 if live is None else live).astype(np.float32),
        bti=expectation.is_bad,
        bccd=camera_off,
        B_peak_log=log10_b_peak(n, mu),
        B_eclipse_log=log10_b_eclipse(n, mu),
    )
