"""Counts that a burst needs in each cell if every photon is weighed, by formula (docs/ideal.md).

A burst of A counts adds ``A phi(r)`` photons to a square arcsec that has b of the background while
it lasts, phi the point spread function. Its logarithmic likelihood ratio has the mean

    E = integral of (A phi + b) ln(1 + A phi / b) - A phi

over the field and the variance of the same integral with the square of the logarithm in place of
it, and is taken as normal. Best values of place, start, length and spectrum make it larger by
`MORE`, while unknown spectra and wrong lengths make the background as good as `BRIGHTER` times as
bright: both were fitted to simulated bursts, once for all lengths, places and thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from scipy.special import ndtr

from exod.schemas.arrays import Floats
from exod.sensitivity.cellneeds import PROBABILITIES, DetectionCounts

BRIGHTER: Final = 1.09
MORE: Final = 1.22
"""Fitted to 900 bursts of 5 to 1000 s in a quiet background (docs/ideal.md)."""

_COUNTS: Final = np.geomspace(0.5, 5000.0, 120)
_BACKGROUNDS: Final = 24
_LEVELS: Final = 6


@dataclass(frozen=True)
class PhotonNeeds:
    """What the counts that bursts need follow from.

    Attributes
    ----------
    profiles : ndarray of float64, shape (n_angles, n_radii)
        Point spread functions of all cameras together by off-axis angle, for a square arcsec.
    radii : ndarray of float64, shape (n_radii,)
        Equally far apart, arcsec.
    angles : ndarray of float64, shape (n_angles,)
        Off-axis angles, arcmin.
    levels : ndarray of float64, shape (n_levels,)
        Background at moments that are equally probable, over its mean.
    """

    profiles: Floats
    radii: Floats
    angles: Floats
    levels: Floats

    def found(self, counts: Floats, background: Floats, least: float) -> Floats:
        """Share of bursts that are found, shape (n_angles, n_backgrounds, n_counts).

        Parameters
        ----------
        counts : ndarray of float64, shape (n_counts,)
            Of the burst.
        background : ndarray of float64, shape (n_backgrounds,)
            Mean counts in a square arcsec for as long as the burst lasts.
        least : float
            Logarithmic likelihood ratio, with the number of trials.
        """
        ring = 2 * np.pi * self.radii * (self.radii[1] - self.radii[0])
        total = np.zeros((len(self.angles), len(background), len(counts)))
        for level in self.levels:
            b = (BRIGHTER * level * background)[:, None, None]
            for number, profile in enumerate(self.profiles):
                light = counts[:, None] * profile
                weight = np.log1p(light / b)
                mean = ((light + b) * weight - light) @ ring
                spread = np.sqrt(((light + b) * weight**2) @ ring)
                total[number] += ndtr((mean + MORE - least) / spread)
        return total / len(self.levels)

    def counts(self, background: Floats, angle: Floats, least: float) -> DetectionCounts:
        """Counts that bursts need for each of `PROBABILITIES`.

        Parameters
        ----------
        background : ndarray of float64, shape (y, x)
            Mean counts in a square arcsec for as long as the burst lasts; NaN where nothing was
            seen, and there no counts are known.
        angle : ndarray of float64, shape (y, x)
            Off-axis angle, arcmin.
        least : float
            As in `found`.
        """
        known = np.isfinite(background) & (background > 0)
        images = [np.full(background.shape, np.nan, np.float32) for _ in PROBABILITIES]
        if not known.any():
            return DetectionCounts(tuple(images))
        logs = np.log(background[known])
        nodes = np.linspace(logs.min() - 1e-3, logs.max() + 1e-3, _BACKGROUNDS)
        share = np.maximum.accumulate(self.found(_COUNTS, np.exp(nodes), least), axis=-1)
        at = np.stack([np.clip(angle[known], self.angles[0], self.angles[-1]), logs], axis=-1)
        for image, probability in zip(images, PROBABILITIES, strict=True):
            needed = [
                [np.interp(probability, row, np.log(_COUNTS)) for row in rows] for rows in share
            ]
            image[known] = np.exp(RegularGridInterpolator((self.angles, nodes), needed)(at))
        return DetectionCounts(tuple(images))


def levels_in_time(rate: Floats, length: Floats) -> Floats:
    """Levels at moments that are equally probable over their mean, without those much alike.

    Parameters
    ----------
    rate, length : ndarray of float64, shape (n_pieces,)
        Level and seconds of each piece.

    Examples
    --------
    >>> levels_in_time(np.array([1.0, 3.0]), np.array([50.0, 50.0])).tolist()
    [0.5, 0.5, 0.5, 1.5, 1.5, 1.5]
    >>> levels_in_time(np.array([1.0, 1.01]), np.array([50.0, 50.0])).tolist()
    [1.0]
    """
    mean = float((rate * length).sum() / max(float(length.sum()), 1e-300))
    if mean <= 0:
        return np.ones(1)
    order = np.argsort(rate, kind="stable")
    before = np.cumsum(length[order]) / length.sum()
    nodes = (np.arange(_LEVELS) + 0.5) / _LEVELS
    found = rate[order][np.minimum(np.searchsorted(before, nodes), len(rate) - 1)] / mean
    return np.ones(1) if np.ptp(found) < 0.2 else np.maximum(found, 1e-3)
