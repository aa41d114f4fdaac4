"""How deep a survey is over the sky: the faintest flux that would be no fluctuation, by pixel.

In go pixels of observations, with their background and what a flux would give; out comes for each
pixel of the sky the limit of the observation that is deepest there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.schemas.arrays import EqualColumns, Floats, Indices, Integers
from exod.sensitivity.depth.upperlimits import counts_interval

CHILDREN: Final = 16
"""Parts of a pixel, of which it is known which were seen."""


@dataclass(frozen=True)
class CoveredPixels(EqualColumns):
    """Pixels of observations, one row for each pixel of each.

    Attributes
    ----------
    pixel : ndarray of int64
        HEALPix pixel, nested.
    children : ndarray of int64
        Bit i is set if its part i was seen.
    seconds : ndarray of float64
        Live time.
    response : ndarray of float64
        Counts in a second for each erg/cm^2/s; NaN if there is no factor.
    background : ndarray of float64
        Counts in a second.
    """

    pixel: Integers
    children: Integers
    seconds: Floats
    response: Floats
    background: Floats


@dataclass(frozen=True)
class SurveyDepth(EqualColumns):
    """Pixels of the sky, sorted.

    Attributes
    ----------
    pixel, children : ndarray of int64
        HEALPix pixel, nested, and its parts that any observation saw.
    observations : ndarray of int64
        How many did.
    seconds : ndarray of float64
        Live time of all.
    flux : ndarray of float64
        Expected upper limit of the deepest, erg/cm^2/s; NaN if none has a factor or none is long
        enough.
    """

    pixel: Integers
    children: Integers
    observations: Integers
    seconds: Floats
    flux: Floats


def survey_depth(
    covered: CoveredPixels, duration: float | None = None, level: float = 0.9
) -> SurveyDepth:
    """The limit of the observation that is deepest in each pixel.

    Parameters
    ----------
    covered : CoveredPixels
        Pixels of all observations.
    duration : float, optional
        Seconds that a source lasts; by default as long as each observation.
    level : float
        Probability of the limit.
    """
    seconds = covered.seconds if duration is None else np.full(len(covered.seconds), duration)
    mu = covered.background * seconds
    # With as many counts as are expected; between whole numbers the limit is as smooth.
    _, most = counts_interval(mu, mu, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        flux = most / (covered.response * seconds)
    usable = (covered.seconds > 0) & (seconds <= covered.seconds) & (covered.response > 0)
    pixel, number = np.unique(covered.pixel, return_inverse=True)
    children = np.zeros(len(pixel), np.int64)
    np.bitwise_or.at(children, number, covered.children)
    deepest = np.full(len(pixel), np.inf)
    np.minimum.at(deepest, number[usable], flux[usable])
    return SurveyDepth(
        pixel,
        children,
        np.bincount(number, minlength=len(pixel)),
        np.bincount(number, covered.seconds, len(pixel)).astype(float),
        np.where(np.isfinite(deepest), deepest, np.nan),
    )


def covered_share(children: Integers) -> Floats:
    """Share of pixels that was seen.

    Examples
    --------
    >>> covered_share(np.array([0, 0b11, 2**16 - 1])).tolist()
    [0.0, 0.125, 1.0]
    """
    bits = (children[:, None] >> np.arange(CHILDREN)) & 1
    return np.asarray(bits.sum(axis=1) / CHILDREN)


def area_curve(depth: SurveyDepth, pixel_area: float) -> tuple[Floats, Floats]:
    """Area in which the limit is at most a flux, for each flux that there is.

    Parameters
    ----------
    depth : SurveyDepth
        The survey.
    pixel_area : float
        Of a pixel.

    Returns
    -------
    flux, area : ndarray of float64, shape (n,)
        Both ascend.
    """
    known = np.flatnonzero(np.isfinite(depth.flux))
    order: Indices = known[np.argsort(depth.flux[known], kind="stable")]
    return depth.flux[order], np.cumsum(covered_share(depth.children[order])) * pixel_area


def seen_parts(depth: SurveyDepth) -> NDArray[np.int64]:
    """The parts of pixels that were seen, as pixels two orders finer, sorted."""
    bits = ((depth.children[:, None] >> np.arange(CHILDREN)) & 1) > 0
    parts = depth.pixel[:, None] * CHILDREN + np.arange(CHILDREN)
    return np.asarray(parts[bits])
