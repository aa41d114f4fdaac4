"""Counts that a burst needs in each cell to be found, by formula.

A burst of N counts in one frame puts f N counts into a cell, f the share of the point spread
function there. The counts of cells are independent Poisson numbers, so that it is found, there or
in a neighbouring cell, with the probability

    P(N) = 1 - product over 3 x 3 cells of Poisson(n < n_min(mu); mu + f N)

with n_min the least count that is significant (method.md, Significance). Its mean over places in
the cell, inverted, is a function of mu alone and comes from a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from exod.counts.bayes import Thresholds
from exod.counts.template import BLUR_SIGMA_CELLS, Expectation
from exod.schemas.arrays import Floats
from exod.sensitivity.profiles import Profile, cell_shares

PROBABILITIES: Final = (0.5, 0.9)
"""Detection probabilities of the maps."""

_MU_RANGE: Final = (1e-7, 2e4)
"""Expectations of the table; 20,000 counts in a frame of a cell are beyond any source."""

_STEPS: Final = 64
"""Counts up to which the table has every step of the threshold; above, steps are small."""

_LEVELS: Final = 48
"""Levels of the background that are told apart, of good and of bad time each."""

_NODES: Final = 96
_HALVINGS: Final = 26
_ROUNDS: Final = 3


@dataclass(frozen=True)
class DetectionCounts:
    """Source counts for detection in a run.

    Attributes
    ----------
    images : tuple of ndarray of float32, shape (y, x)
        Counts in the whole point spread function for each of `PROBABILITIES`, see
        `counts_for_detection`.
    """

    images: tuple[NDArray[np.float32], ...]

    @cached_property
    def medians(self) -> tuple[float, ...]:
        """Median of each image; NaN if no cell has an expectation."""
        known = (image[np.isfinite(image)] for image in self.images)
        return tuple(float(np.median(own)) if own.size else np.nan for own in known)


def detection_counts(
    expectation: Expectation,
    thresholds: Thresholds,
    size_arcsec: float,
    profile: Profile,
) -> DetectionCounts:
    """Maps and medians of the counts for 50 and 90 % detection in a run.

    Parameters are those of `counts_for_detection`.
    """
    return DetectionCounts(
        tuple(
            counts_for_detection(expectation, thresholds, p, size_arcsec, profile)
            for p in PROBABILITIES
        )
    )


def counts_for_detection(
    expectation: Expectation,
    thresholds: Thresholds,
    probability: float,
    size_arcsec: float,
    profile: Profile,
) -> NDArray[np.float32]:
    """Source counts that a burst within one frame needs to be found, in each cell.

    Parameters
    ----------
    expectation : Expectation
        Expected counts of the run.
    thresholds : Thresholds
        Significance.
    probability : float
        Detection probability, between 0 and 1.
    size_arcsec : float
        Width of a cell.
    profile : Profile
        Point spread function.

    Returns
    -------
    ndarray of float32, shape (y, x)
        Expected counts of the burst in the whole point spread function, if all of it were seen as
        the middle of the cell is: mean over the frames with data and over places in the cell. NaN
        where there is no expectation in any frame.

    Notes
    -----
    The burst is part of the image that the background is estimated from and of the counts of its
    frame: its mean contribution to mu is included, see `own_share`.
    """
    table = _table(thresholds, profile, size_arcsec, probability)
    share = own_share(profile, size_arcsec)
    seen = expectation.exposure > 0
    total, weight = np.zeros(expectation.source.shape), np.zeros(expectation.source.shape)
    longer_is_bad = (expectation.is_bad & seen).sum() > (~expectation.is_bad & seen).sum()
    for template, is_bad in ((expectation.good, False), (expectation.bad, True)):
        frames = seen & (expectation.is_bad == is_bad)
        if not frames.any() or template.counts == 0:
            continue
        background = _Background(template.counts, *grouped(expectation.level[frames], _LEVELS))
        # The constant part is of the longer of good and bad time (method.md, Constant sources).
        exposure = float(expectation.exposure[frames].sum())
        own = share.cell / exposure if longer_is_bad == is_bad else 0.0
        needed = background.needed(table, template.shape, expectation.source, share.blurred, own)
        usable = template.shape > 0
        total[usable] += frames.sum() * needed[usable]
        weight[usable] += frames.sum()
    return (total / np.where(weight > 0, weight, np.nan)).astype(np.float32)


def counts_needed(
    mu: ArrayLike,
    thresholds: Thresholds,
    profile: Profile,
    size_arcsec: float,
    probability: float,
) -> Floats:
    """As `counts_for_detection`, in frames of cells that expect `mu` (any shape).

    What the burst adds to the background that is estimated is left out.
    """
    return _table(thresholds, profile, size_arcsec, probability)(mu)


@dataclass(frozen=True)
class _Background:
    """Counts of the template's image and levels of its frames, with how often they occur."""

    counts: float
    levels: Floats
    weights: Floats

    def needed(
        self, table: _NeedTable, shape: Floats, source: Floats, blurred: float, own: float
    ) -> Floats:
        """Counts needed in each cell, shape (y, x); 0 where the template has no data."""
        steady = (shape > 0) & (source > 0)
        diffuse = (shape > 0) & ~steady
        image = np.zeros(shape.shape)
        if diffuse.any():
            image[diffuse] = self.where_diffuse(table, shape[diffuse], blurred)
        if steady.any():
            image[steady] = self.where_steady(table, shape[steady], source[steady], own)
        return image

    def where_diffuse(self, table: _NeedTable, shape: Floats, own: float) -> Floats:
        """Counts needed in cells without constant sources: a function of the template alone."""
        nodes = np.geomspace(shape.min() * (1 - 1e-9), shape.max() * (1 + 1e-9), _NODES)[:, None]
        needed = table(nodes * self.levels)
        for _ in range(_ROUNDS):
            image = (nodes * self.counts + own * needed) / (self.counts + needed)
            needed = table(image * (self.levels + needed))
        return np.interp(np.log(shape), np.log(nodes[:, 0]), needed @ self.weights)

    def where_steady(self, table: _NeedTable, shape: Floats, source: Floats, own: float) -> Floats:
        """Counts needed in cells with a constant source, to which the burst adds its mean."""
        background = shape[:, None] * self.levels + source[:, None]
        needed = table(background)
        for _ in range(_ROUNDS):
            needed = table(background + own * needed)
        return np.asarray(needed @ self.weights)


def grouped(level: Floats, most: int) -> tuple[Floats, Floats]:
    """Distinct levels of frames, at most so many, and their shares of the frames."""
    levels, number = np.unique(level, return_counts=True)
    if len(levels) > most:
        group = (np.cumsum(number) - 1) * most // number.sum()
        size = np.bincount(group, number)
        levels = np.bincount(group, number * levels)[size > 0] / size[size > 0]
        number = size[size > 0]
    return levels, number / number.sum()


@dataclass(frozen=True)
class OwnShare:
    """Share of its own light that a burst finds in what is expected in its cell.

    Attributes
    ----------
    cell : float
        Of the whole light, in its cell; mean over places in the cell.
    blurred : float
        The same after the template's blur, which spreads counts over the neighbours.
    """

    cell: float
    blurred: float


@lru_cache(maxsize=8)
def own_share(profile: Profile, size_arcsec: float) -> OwnShare:
    """Share of the light of a burst in its own cell, before and after the template's blur."""
    shares, weights = _places(profile, size_arcsec)
    mean = np.einsum("pab,p->ab", shares, weights)
    return OwnShare(float(mean[1, 1]), float((blur_kernel() * mean).sum()))


def blur_kernel() -> Floats:
    """Weights of the template's blur for a cell and its neighbours, shape (3, 3)."""
    line = np.exp(-0.5 * (np.arange(-2, 3) / BLUR_SIGMA_CELLS) ** 2)
    line = (line / line.sum())[1:4]
    return np.asarray(line[:, None] * line)


def _places(profile: Profile, size_arcsec: float) -> tuple[Floats, Floats]:
    """Shares of light for places all over a cell, shape (n, 3, 3), and the weights (n,).

    By symmetry an eighth of the cell is enough.
    """
    nodes, weights = np.polynomial.legendre.leggauss(10)
    nodes, weights = nodes[5:] / 2, weights[5:]
    row, column = np.triu_indices(len(nodes))
    both = np.where(row == column, 1, 2) * weights[row] * weights[column]
    return cell_shares(profile, nodes[row], nodes[column], size_arcsec), both / both.sum()


@dataclass(frozen=True, eq=False)
class _NeedTable:
    """Counts needed as a function of mu, linear in log mu between nodes."""

    log_mu: Floats
    counts: Floats

    def __call__(self, mu: ArrayLike) -> Floats:
        return np.asarray(np.interp(np.log(np.maximum(mu, _MU_RANGE[0])), self.log_mu, self.counts))


@lru_cache(maxsize=64)
def _table(
    thresholds: Thresholds, profile: Profile, size_arcsec: float, probability: float
) -> _NeedTable:
    """Invert the detection probability for every mu of the table, by bisection."""
    shares, weights = _places(profile, size_arcsec)
    mu = _nodes(thresholds)
    least = thresholds.least_peak(mu)
    low = np.zeros(len(mu))
    margin = least - np.minimum(mu, least) + 8 * np.sqrt(least) + 40
    high = margin / shares.max(axis=(1, 2)).min()
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = _chance(least, mu, middle, shares, weights) >= probability
        low, high = np.where(found, low, middle), np.where(found, middle, high)
    return _NeedTable(np.log(mu), (low + high) / 2)


def _nodes(thresholds: Thresholds) -> Floats:
    """Values of mu for the table: just below and above each step of the threshold, and between."""
    edges = thresholds.peak_limit(np.arange(1, _STEPS))
    edges = edges[(edges > 2 * _MU_RANGE[0]) & (edges < _MU_RANGE[1] / 2)]
    around = np.concatenate([edges * (1 - 1e-9), edges * (1 + 1e-9)])
    between = np.geomspace(*_MU_RANGE, 120)
    return np.unique(np.concatenate([around, between]))


def _chance(least: Floats, mu: Floats, counts: Floats, shares: Floats, weights: Floats) -> Floats:
    """P(N) of the module's text, mean over places; `least`, `mu` and `counts` of one shape (n,)."""
    flat = shares.reshape(len(shares), -1)
    expected = mu[:, None, None] + counts[:, None, None] * flat
    missed = special.gammaincc(least[:, None, None], expected).prod(axis=2)
    return np.asarray((1 - missed) @ weights)
