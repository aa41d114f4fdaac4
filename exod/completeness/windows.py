"""Counts that a burst needs to be found in sliding windows, by formula.

A window with I counts in a class of time, of which a frame has the share x, is significant with k
counts if the binomial probability of at least k of I' is small, where I' are the counts outside
the frame and k. A burst of N counts within a frame brings f N of them, f the mean share of the
point spread function in the best of the windows that overlap it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from exod.completeness.maps import PROBABILITIES, DetectionCounts
from exod.completeness.profiles import EPIC, Profile, cell_shares
from exod.conditional import ConditionalExpectation
from exod.sliding import WindowCounts, log10_tail

Floats = NDArray[np.float64]

_LEVELS: Final = 12
_NODES: Final = 48
"""Levels of the background that are told apart in each class, and counts of a window."""

_PLACES: Final = 5


def window_detection_counts(
    expectation: ConditionalExpectation, sums: WindowCounts, p_log: float, size_arcsec: float
) -> DetectionCounts:
    """Maps and medians of the counts for 50 and 90 % detection in a run.

    Parameters
    ----------
    expectation : ConditionalExpectation
        Expected counts of the run.
    sums : WindowCounts
        Its window sums.
    p_log : float
        log10 of the largest probability of a significant window.
    size_arcsec : float
        Width of a cell.

    Returns
    -------
    DetectionCounts
        Counts in the whole point spread function of a burst within one frame, mean over the
        frames with data; NaN where there are no counts.
    """
    width = sums.windows.width
    share = best_share(EPIC, size_arcsec, width)
    level, _ = expectation.shares(expectation.frames)
    own = np.argmax(sums.counts.sum(1)[:, None] * level, axis=0)
    live = level.sum(0) > 0
    shape = expectation.source_mask.shape
    totals = np.zeros((len(PROBABILITIES), sums.windows.outside))
    weight = np.zeros(sums.windows.outside)
    for number, counts in enumerate(sums.counts[:, :-1]):
        shares = level[number][live & (own == number)]
        seen = counts > 0
        if not len(shares) or not seen.any():
            continue
        nodes = np.geomspace(counts[seen].min(), counts[seen].max() * (1 + 1e-9), _NODES)
        for row, probability in enumerate(PROBABILITIES):
            needed = _needed(nodes, shares, p_log, probability) / share
            totals[row][seen] += len(shares) * np.interp(
                np.log(counts[seen]), np.log(nodes), needed
            )
        weight += len(shares) * seen
    with np.errstate(invalid="ignore"):
        images = totals / np.where(weight > 0, weight, np.nan)
    best = tuple(_of_cells(image.reshape(shape), width).astype(np.float32) for image in images)
    return DetectionCounts(best, tuple(_median(image) for image in best))


def _median(image: NDArray[np.float32]) -> float:
    known = image[np.isfinite(image)]
    return float(np.median(known)) if known.size else np.nan


def _needed(counts: Floats, shares: Floats, p_log: float, probability: float) -> Floats:
    """Counts of a burst in the window, for windows with these counts; mean over frames."""
    levels, number = np.unique(shares, return_counts=True)
    if len(levels) > _LEVELS:
        group = (np.cumsum(number) - 1) * _LEVELS // number.sum()
        size = np.bincount(group, number)
        levels = np.bincount(group, number * levels)[size > 0] / size[size > 0]
        number = size[size > 0]
    total, share = (a.ravel() for a in np.meshgrid(counts, levels, indexing="ij"))
    mu = total * share
    least = least_counts(total, share, p_log)
    needed = np.maximum(special.gammaincinv(least, probability) - mu, 0.0)
    return np.asarray(needed.reshape(len(counts), -1) @ (number / number.sum()))


def least_counts(total: Floats, share: Floats, p_log: float) -> Floats:
    """Least significant counts of frames with a share of windows with these counts; one shape.

    Examples
    --------
    >>> least_counts(np.array([50.0]), np.array([0.001]), -9.0)
    array([6.])
    """
    rest = total * (1 - share)
    low, high = np.floor(total * share), np.ceil(2 * total * share - 6 * p_log + 20)
    while np.any(high - low > 1):
        middle = np.floor((low + high) / 2)
        # The counts of a burst are among those of its window.
        trials = rest + middle
        enough = log10_tail(middle, trials, trials * share, upper=True) <= p_log
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    return high


@lru_cache(maxsize=8)
def best_share(profile: Profile, size_arcsec: float, width: int) -> float:
    """Share of the light in the best window, mean over places in a cell."""
    places = (np.arange(_PLACES) + 0.5) / _PLACES - 0.5
    dx, dy = (a.ravel() for a in np.meshgrid(places, places))
    cells = cell_shares(profile, dx, dy, size_arcsec, reach=width)
    windows = np.lib.stride_tricks.sliding_window_view(cells, (width, width), axis=(1, 2))
    return float(windows.sum((-2, -1)).max((1, 2)).mean())


def _of_cells(image: Floats, width: int) -> Floats:
    """What a source in a cell needs: the least of the windows that have it inside.

    Windows are named by their first cell.
    """
    rows, columns = image.shape
    padded = np.pad(image, ((width - 1, 0), (width - 1, 0)), constant_values=np.nan)
    stack = [padded[i : i + rows, j : j + columns] for i in range(width) for j in range(width)]
    best = np.fmin.reduce(np.array(stack))
    return np.asarray(best)
