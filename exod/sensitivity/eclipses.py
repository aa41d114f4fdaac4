"""The chance that an eclipse of a constant source is found, by formula.

A source of r counts a second loses the share d of its light for a time D. The search knows it as
constant, with the mean of the exposure T, in which the eclipse is included:

    mu = b + f r t (1 - d D / T)

in a cell that expects b counts of background in a frame of t seconds and has the share f of the
light. A frame of which the eclipse takes the time o has Poisson counts with the mean
``b + f r (t - d o)``; it is found if they are few enough in one of the frames that overlap it, in
one of 3 x 3 cells.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from exod.counts.bayes import Thresholds
from exod.schemas.arrays import Floats

_PHASES: Final = 20
"""Starts within a frame that are averaged over."""


def eclipse_probability(
    shares: Floats,
    background: ArrayLike,
    rate: float,
    t_bin: float,
    length: float,
    depth: float,
    duration: float,
    thresholds: Thresholds,
) -> Floats:
    """Chance that the search finds an eclipse in a run, for places within a cell.

    Parameters
    ----------
    shares : ndarray of float64, shape (n_places, 3, 3)
        Share of the source's light in its cell and those around it, for each place, as the band
        sees it; axes (place, y, x).
    background : array_like
        Expected background counts in a frame, broadcast against `shares`.
    rate : float
        Counts a second of the source outside the eclipse, over all cameras.
    t_bin, length : float
        Length of a frame, and of all frames together, seconds.
    depth : float
        Lost share of the light, above 0 and at most 1.
    duration : float
        Of the eclipse, in seconds.
    thresholds : Thresholds
        What is significant.

    Returns
    -------
    ndarray of float64, shape (n_places,)
        Mean over starts of the eclipse within a frame.

    Notes
    -----
    The source is taken as masked, and the level of the background as constant.

    Examples
    --------
    >>> shares = np.zeros((1, 3, 3))
    >>> shares[0, 1, 1] = 0.7
    >>> found = [
    ...     eclipse_probability(shares, 0.1, 0.5, 200.0, 2e4, depth, 400.0, Thresholds(3))[0]
    ...     for depth in (0.2, 0.5, 1.0)
    ... ]
    >>> np.round(found, 2)
    array([0.  , 0.54, 1.  ])
    """
    light = np.asarray(shares, float) * rate
    steady = np.asarray(background, float) + light * t_bin * (1 - depth * duration / length)
    most = thresholds.most_eclipse(steady)
    missed = np.zeros(len(light))
    for phase in (np.arange(_PHASES) + 0.5) / _PHASES * t_bin:
        through = np.ones(len(light))
        for start in np.arange(0.0, phase + duration, t_bin):
            taken = min(start + t_bin, phase + duration) - max(start, phase)
            seen = np.asarray(background, float) + light * (t_bin - depth * taken)
            few = np.where(most >= 0, special.gammaincc(np.maximum(most, 0) + 1, seen), 0.0)
            through *= (1 - few).prod(axis=(1, 2))
        missed += through
    return 1 - missed / _PHASES
