"""What the readout of a CCD does to bright sources: streaks along columns, photons piled up."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.spatial import KDTree

from exod.schemas.arrays import Floats

STREAK_SIGMA: Final = 4.0
"""Excess of a strip over those beside it that makes it a streak, as astromon asks for."""

STRIP: Final = 2.0
"""Half the width of a strip along the columns, pixels: dither does not blur a streak on the sky."""

ISLAND: Final = 3
"""Side of the square whose counts are one event of a CCD."""

PILEUP_RADIUS: Final = 3
"""Around a source the largest value within so many pixels counts: its core may look empty."""

_BESIDE: Final = (6.0, 36.0)
"""Where the strips beside are, pixels from the middle of the strip."""
_OWN_ROWS: Final = 50.0
_OTHER_SOURCE: Final = 15.0
_FEWEST_FOR_CHIP: Final = 1000


def on_streak(
    sources: ArrayLike,
    sky: ArrayLike,
    chip: ArrayLike,
    ccd: ArrayLike,
    *,
    sigma: float = STREAK_SIGMA,
) -> NDArray[np.bool_]:
    """Whether sources lie on a streak that a bright source leaves while a CCD is read out.

    Photons that arrive during the readout get a wrong row but the right column. Along the column
    of a source, without the rows near it and without other sources, there must be no more photons
    than along the columns beside.

    Parameters
    ----------
    sources : array_like, shape (n, 2)
        Sources, sky pixels.
    sky, chip : array_like, shape (m, 2)
        Photons, sky pixels, and column and row on their CCD (``chipx``, ``chipy``).
    ccd : array_like, shape (m,)
        Number of the CCD of each photon.
    sigma : float
        Significance of the excess that makes a streak.

    Returns
    -------
    ndarray of bool, shape (n,)
        Also of the source that makes the streak.
    """
    wanted = np.asarray(sources, float).reshape(-1, 2)
    places, pixels = (np.asarray(values, float).reshape(-1, 2) for values in (sky, chip))
    chips = np.asarray(ccd)
    flagged = np.zeros(len(wanted), bool)
    for number in np.unique(chips):
        own = chips == number
        if own.sum() < _FEWEST_FOR_CHIP or not len(wanted):
            continue
        # Dither moves the sky over the CCD; on the average the two differ by a rotation.
        known = np.column_stack([places[own], np.ones(own.sum())])
        rotation = np.linalg.lstsq(known, pixels[own], rcond=None)[0]
        here = known @ rotation
        there = np.column_stack([wanted, np.ones(len(wanted))]) @ rotation
        low, high = here.min(axis=0), here.max(axis=0)
        inside = ((there >= low) & (there <= high)).all(axis=1)
        excess = _strip_excess(there, here, low, high)
        flagged |= inside & (excess >= sigma)
    return flagged


def _strip_excess(sources: Floats, photons: Floats, low: Floats, high: Floats) -> Floats:
    """Significance of what is along the column of each source beyond what is beside it."""
    near = KDTree(sources).query(photons)[0] < _OTHER_SOURCE
    column, row = photons[~near].T
    excess = np.zeros(len(sources))
    for number, (middle, own_row) in enumerate(sources):
        away = np.abs(column - middle)
        rows = np.abs(row - own_row) > _OWN_ROWS
        strip = (rows & (away <= STRIP)).sum()
        beside = (rows & (away >= _BESIDE[0]) & (away <= _BESIDE[1])).sum()
        # The strips beside may lie partly off the CCD.
        width = sum(
            max(0.0, min(high[0], end) - max(low[0], begin))
            for begin, end in (
                (middle - _BESIDE[1], middle - _BESIDE[0]),
                (middle + _BESIDE[0], middle + _BESIDE[1]),
            )
        )
        if width >= _BESIDE[1] - _BESIDE[0]:
            expected = beside * 2.0 * STRIP / width
            excess[number] = (strip - expected) / (1.0 + np.sqrt(expected + 0.75))
    return excess


def counts_per_frame(image: ArrayLike, n_frames: float) -> Floats:
    """Photons of each island of 3 x 3 pixels in a frame, as pileup_map of CIAO gives.

    Parameters
    ----------
    image : array_like, shape (rows, columns)
        Counts.
    n_frames : float
        Frames of the exposure.

    Returns
    -------
    ndarray, shape (rows, columns)
        0.02 means that about one photon in a hundred is piled up, 0.2 one in ten.

    Examples
    --------
    >>> counts_per_frame([[0, 0, 0], [0, 90, 0], [0, 0, 0]], 1000)[1].round(3)
    array([0.09, 0.09, 0.09])
    """
    counts = np.asarray(image, float)
    return np.asarray(uniform_filter(counts, ISLAND, mode="constant") * ISLAND**2 / n_frames)


def largest_around(image: ArrayLike) -> Floats:
    """The largest value in a circle of `PILEUP_RADIUS` around each pixel."""
    steps = np.arange(-PILEUP_RADIUS, PILEUP_RADIUS + 1)
    circle = np.hypot(*np.meshgrid(steps, steps)) <= PILEUP_RADIUS
    return np.asarray(maximum_filter(np.asarray(image, float), footprint=circle, mode="constant"))
