"""Intervals of constant rate among photons, and the moments at which the rate changes.

Both take positions on a line along which the background has a constant rate: live time, or
expected counts (docs/events.md).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import special

from exod.schemas.arrays import Floats, Integers

P0: Final = 0.001
"""False-alarm parameter of the blocks, chosen by measurement (docs/events.md)."""

MAX_CELLS: Final = 1000
"""Longest input of the blocks, whose cost is quadratic; more photons are taken in groups."""


def block_edges(photons: Floats, low: float, high: float, p0: float = P0) -> Floats:
    """Bayesian blocks of unbinned photons (Scargle et al. 2013, ApJ 764, 167).

    Each photon has a cell that reaches half way to its neighbours. Empty cells at both ends make
    the blocks reach them, as the photons before and after the event tell of its absence. Photons
    at one position share a cell, and beyond `MAX_CELLS` so do neighbours. The slow reference is
    `astropy.stats.bayesian_blocks` with ``fitness="events"``, which takes ten times as long.

    Parameters
    ----------
    photons : ndarray of float64, shape (n,)
        Positions in order, within `low` and `high`, in any unit.
    low, high : float
        Ends of the data.
    p0 : float
        False-alarm parameter of the prior on the number of blocks.

    Returns
    -------
    ndarray of float64, shape (n_blocks + 1,)
        Edges from `low` to `high`.

    Examples
    --------
    >>> photons = np.concatenate([np.arange(5.0, 200.0, 10.0), np.arange(201.0, 221.0)])
    >>> block_edges(photons, 0.0, 300.0)
    array([  0. , 201.5, 219.5, 300. ])
    """
    # On a grid of 2^-40 of the span equal positions are found, and no cell has length zero.
    scaled = np.concatenate([[0.0], (photons - low) / (high - low), [1.0]])
    position, cell = np.unique(np.round(scaled * 2**40) / 2**40, return_inverse=True)
    counts = np.bincount(cell) - np.bincount(cell[[0, -1]], minlength=len(position))
    group = np.arange(0, len(position), -(-len(position) // MAX_CELLS))
    counts = np.add.reduceat(counts, group)
    position = np.add.reduceat(position, group) / np.diff(np.append(group, len(position)))
    middle = (position[1:] + position[:-1]) / 2
    # Scargle et al. (2013), equation 21 as corrected in arXiv:1304.2818.
    penalty = 4 - np.log(73.53 * p0 * len(position) ** -0.478)
    inner = _best_partition(np.concatenate([[0.0], middle, [1.0]]), counts, penalty)[1:-1]
    return np.concatenate([[low], low + inner * (high - low), [high]])


def _best_partition(edges: Floats, counts: Integers, penalty: float) -> Floats:
    """Edges of the blocks whose likelihood, less the penalty for each block, is the largest."""
    before = np.append(0, np.cumsum(counts))
    best, begin = np.zeros(len(edges)), np.zeros(len(edges), int)
    for end in range(1, len(edges)):
        n = before[end] - before[:end]
        fitness = best[:end] + special.xlogy(n, n / (edges[end] - edges[:end]))
        begin[end] = fitness.argmax()
        best[end] = fitness[begin[end]] - penalty
    chosen = [len(edges) - 1]
    while chosen[-1] > 0:
        chosen.append(int(begin[chosen[-1]]))
    return edges[chosen[::-1]]


def change_point(
    photons: Floats, log_ratio: Floats, rise: float, low: float, high: float
) -> tuple[float, float]:
    """Posterior mean and standard deviation of the position at which a rate changes.

    With a flat prior from `low` to `high`, the likelihood of a change at s is the product, over
    the photons after s, of the ratio of the rates after and before, times exp(-rise (high - s)).
    That is an exponential between any two photons, so the integrals are exact.

    Parameters
    ----------
    photons : ndarray of float64, shape (n,)
        Positions in order, within `low` and `high`.
    log_ratio : ndarray of float64, shape (n,)
        Natural logarithm of the rate after the change over that before it, at each photon.
    rise : float
        Rate after the change minus the rate before it, not zero.
    low, high : float
        Where the change can be.

    Examples
    --------
    Nothing, then photons from 5 on at a rate of 2: the first is expected half a unit after the
    change.

    >>> mean, std = change_point(np.array([5.0, 5.5]), np.full(2, 50.0), 2.0, 0.0, 5.6)
    >>> round(mean, 2), round(std, 2)
    (4.5, 0.5)
    """
    nodes = np.concatenate([[low], photons, [high]])
    gap, scale = np.diff(nodes), 1 / abs(rise)
    after = np.append(np.cumsum(log_ratio[::-1])[::-1], 0.0)
    top = nodes[1:] if rise > 0 else nodes[:-1]
    # The distance from the more probable end of a gap has a truncated exponential distribution.
    z = gap / scale
    safe = np.clip(z, 1e-4, 500.0)
    distance = np.where(z < 1e-4, gap / 2, scale - gap / np.expm1(safe))
    variance = np.where(z < 1e-4, gap**2 / 12, scale**2 - (gap / (2 * np.sinh(safe / 2))) ** 2)
    with np.errstate(divide="ignore"):
        log_weight = after + rise * (top - high) + np.log(-np.expm1(-z))
    largest = log_weight.max()
    if largest == -np.inf:
        return (low + high) / 2, 0.0
    weight = np.exp(log_weight - largest)
    weight /= weight.sum()
    centre = top - distance if rise > 0 else top + distance
    mean = float(np.clip(weight @ centre, low, high))
    return mean, float(np.sqrt(weight @ (np.maximum(variance, 0) + (centre - mean) ** 2)))
