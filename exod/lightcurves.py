"""Light curves of regions (METHOD 8)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.bayes import log10_b_eclipse, log10_b_peak
from exod.cube import CountCube
from exod.expectation import Expectation


def light_curve(
    cube: CountCube, expectation: Expectation, cells: NDArray[np.bool_]
) -> pd.DataFrame:
    """Observed and expected counts of each frame, summed over cells.

    Parameters
    ----------
    cube : CountCube
        Counts.
    expectation : Expectation
        Expected counts.
    cells : ndarray of bool, shape (y, x)
        Cells to sum, usually the bounding box of a region.

    Returns
    -------
    DataFrame
        One row a frame: time (start of the frame, s), n and mu (counts), bti and bccd (flags),
        B_peak_log and B_eclipse_log (NaN where nothing is expected).
    """
    n = cube.light_curve(cells)
    mu = expectation.light_curve(cells)
    return pd.DataFrame(
        {
            "time": cube.frames.starts,
            "n": n.astype(np.int32),
            "mu": mu.astype(np.float32),
            "bti": expectation.is_bad,
            "bccd": cube.masked,
            "B_peak_log": log10_b_peak(n, mu),
            "B_eclipse_log": log10_b_eclipse(n, mu),
        }
    )
