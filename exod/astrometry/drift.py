"""Whether offsets change with time: half-year medians, steps, a seasonal fit.

Offsets of one observation share the error of its frame, so that what is tested is one value an
observation. A step is looked for by ranks, which a few wild offsets do not move; how large a
statistic chance gives follows from permutations, which need no distribution of the offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from exod.schemas.arrays import Floats

BOX: Final = (15.8, 84.2)
"""Percentiles that hold one standard deviation to either side of a normal distribution."""

HALF_YEAR: Final = 0.5
"""Width of a bin of the history, years; bins begin with January and July."""

ALERT_PROBABILITY: Final = 3e-3
"""Probability of chance below which a step is an alert; docs/astrometry.md has what it gives."""

ALERT_SIZE: Final = 0.1
"""Smallest step that is told, arcsec; with thousands of observations chance has none so small."""

LEAST: Final = 5
"""Observations that there must be before and after a step."""

PERMUTATIONS: Final = 2999
"""Permutations whose largest statistics tell the probability of chance."""

_BLOCK: Final = 2_000_000
"""Numbers of permutations that are held at once."""

_REPEATS: Final = 10
"""Times that a fit is repeated with new weights, after which they stay what they are."""


@dataclass(frozen=True)
class Step:
    """A change from one level to another.

    Attributes
    ----------
    year : float
        Decimal year, in the middle between the last observation before and the first after.
    size_arcsec, error_arcsec : float
        Median after minus median before, and its standard error.
    n_before, n_after : int
        Observations that the level before and after is of.
    probability : float
        Of a statistic as large by chance, wherever the step may be.
    """

    year: float
    size_arcsec: float
    error_arcsec: float
    n_before: int
    n_after: int
    probability: float


@dataclass(frozen=True)
class Seasonal:
    """A cubic in time and a yearly sine, as the boresight of XMM-Newton is described by.

    Attributes
    ----------
    middle : float
        Decimal year that the powers of time count from.
    coefficients : ndarray of float64, shape (6,)
        Of 1, t, t^2, t^3, sin 2 pi t, cos 2 pi t; arcsec, t in years from the middle.
    covariance : ndarray of float64, shape (6, 6)
        Of the coefficients.
    n : int
        Values that were fitted.
    scatter_arcsec : float
        Standard deviation about the fit, from the median of absolute deviations.
    """

    middle: float
    coefficients: Floats
    covariance: Floats
    n: int
    scatter_arcsec: float

    @property
    def amplitude_arcsec(self) -> float:
        """Amplitude of the yearly sine."""
        return float(np.hypot(*self.coefficients[4:]))

    @property
    def amplitude_error_arcsec(self) -> float:
        """Standard error of the amplitude, along the direction of its phase."""
        along = self.coefficients[4:] / (self.amplitude_arcsec or 1.0)
        return float(np.sqrt(along @ self.covariance[4:, 4:] @ along))

    @property
    def maximum(self) -> float:
        """Part of the year, 0 to 1 from its begin, at which the sine is largest."""
        sine, cosine = self.coefficients[4:]
        return float((np.arctan2(sine, cosine) / (2 * np.pi) + self.middle) % 1.0)

    def trend(self, years: ArrayLike) -> Floats:
        """The cubic alone, arcsec."""
        return _terms(np.asarray(years, float) - self.middle)[..., :4] @ self.coefficients[:4]

    def season(self, years: ArrayLike) -> Floats:
        """The sine alone, arcsec."""
        return _terms(np.asarray(years, float) - self.middle)[..., 4:] @ self.coefficients[4:]


def binned_medians(years: ArrayLike, values: ArrayLike, width: float = HALF_YEAR) -> pd.DataFrame:
    """Medians in bins of time.

    Parameters
    ----------
    years, values : array_like of float, shape (n,)
        Decimal years and offsets in arcsec; pairs with NaN are left out.
    width : float
        Width of a bin in years; bins begin at whole multiples of it.

    Returns
    -------
    DataFrame
        A row for each bin with values: start, stop (decimal years), n, median, low and high
        (the percentiles of `BOX`), all arcsec.

    Examples
    --------
    >>> binned_medians([2013.1, 2013.4, 2013.6], [0.1, 0.3, 0.5])[["start", "n", "median"]]
        start  n  median
    0  2013.0  2     0.2
    1  2013.5  1     0.5
    """
    time, offsets = _known(years, values)
    groups = pd.Series(offsets).groupby(np.floor(time / width).astype(int), sort=True)
    start = np.asarray(groups.size().index, float) * width
    low, high = (groups.quantile(percent / 100).to_numpy() for percent in BOX)
    return pd.DataFrame(
        {
            "start": start,
            "stop": start + width,
            "n": groups.size().to_numpy(),
            "median": groups.median().to_numpy(),
            "low": low,
            "high": high,
        }
    )


def find_steps(
    years: ArrayLike,
    values: ArrayLike,
    probability: float = ALERT_PROBABILITY,
    *,
    smallest: float = ALERT_SIZE,
    least: int = LEAST,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> list[Step]:
    """Steps of a series, one after the other.

    The series is divided where the ranks before and after differ most (the statistic of Wilcoxon,
    standardised), if permutations of it rarely differ so much; then either part is divided.

    Parameters
    ----------
    years, values : array_like of float, shape (n,)
        Decimal years and offsets in arcsec, one an observation, in any order; pairs with NaN are
        left out.
    probability : float
        Largest probability of chance of a step.
    smallest : float
        Smallest difference of the medians before and after, arcsec, at which a part is divided.
    least : int
        Observations before and after a step at least.
    permutations : int
        How many permutations are compared with.
    seed : int
        Of the permutations.

    Returns
    -------
    list of Step
        In the order of time; none if there are fewer than twice the least observations.

    Examples
    --------
    >>> random = np.random.default_rng(3)
    >>> years = np.linspace(2020, 2025, 200)
    >>> (step,) = find_steps(years, random.normal(0, 0.2, 200) + 0.5 * (years > 2023))
    >>> round(step.year, 1), round(step.size_arcsec, 1)
    (2023.0, 0.5)
    """
    time, offsets = _known(years, values)
    order = np.argsort(time, kind="stable")
    time, offsets = time[order], offsets[order]
    random = np.random.default_rng(seed)
    edges, todo, found = [0, len(time)], [(0, len(time))], {}
    while todo:
        first, last = todo.pop()
        part = offsets[first:last]
        if last - first < 2 * least or np.ptp(part) == 0:
            continue
        ranks = rankdata(part) - (len(part) + 1) / 2
        place, largest = (item[0] for item in _divided(ranks[None], least))
        middle = first + int(place)
        size = np.median(offsets[middle:last]) - np.median(offsets[first:middle])
        if abs(size) < smallest:
            continue
        chance = _chance(ranks, float(largest), least, permutations, random)
        if chance <= probability:
            found[middle] = chance
            edges.append(middle)
            todo += [(first, middle), (middle, last)]
    edges.sort()
    return [
        _step(time, offsets, (before, middle, after), found[middle])
        for before, middle, after in zip(edges, edges[1:], edges[2:], strict=False)
    ]


def _divided(ranks: Floats, least: int) -> tuple[Floats, Floats]:
    """Where rows of ranks (of mean zero) are divided best, and the statistic there."""
    n = ranks.shape[-1]
    before = np.arange(1, n)
    variance = before * (n - before) / n * np.square(ranks[0]).sum() / (n - 1)
    statistic = np.abs(np.cumsum(ranks, axis=-1)[:, :-1]) / np.sqrt(variance)
    statistic = statistic[:, least - 1 : n - least]
    return statistic.argmax(axis=-1) + least, statistic.max(axis=-1)


def _chance(
    ranks: Floats, largest: float, least: int, permutations: int, random: np.random.Generator
) -> float:
    """Share of permutations with as large a statistic, the series itself among them."""
    as_large, done = 1, 0
    while done < permutations:
        rows = min(permutations - done, max(1, _BLOCK // len(ranks)))
        shuffled = random.permuted(np.tile(ranks, (rows, 1)), axis=1)
        as_large += int((_divided(shuffled, least)[1] >= largest - 1e-9).sum())
        done += rows
        if as_large > 0.1 * permutations:  # No step, however many more are tried.
            break
    return as_large / (done + 1)


def _step(time: Floats, offsets: Floats, edges: tuple[int, int, int], chance: float) -> Step:
    first, middle, last = edges
    parts = offsets[first:middle], offsets[middle:last]
    # The standard error of a median is sqrt(pi / 2) times that of a mean.
    errors = [1.2533 * spread_of(part) / np.sqrt(len(part)) for part in parts]
    return Step(
        year=float(time[middle - 1 : middle + 1].mean()),
        size_arcsec=float(np.median(parts[1]) - np.median(parts[0])),
        error_arcsec=float(np.hypot(*errors)),
        n_before=len(parts[0]),
        n_after=len(parts[1]),
        probability=chance,
    )


def seasonal_fit(years: ArrayLike, values: ArrayLike) -> Seasonal | None:
    """Fit a cubic in time and a yearly sine, such that wild values count little.

    Parameters
    ----------
    years, values : array_like of float, shape (n,)
        Decimal years and offsets in arcsec; pairs with NaN are left out.

    Returns
    -------
    Seasonal or None
        None if there are fewer than 20 values, or they cover less than two years, within which a
        cubic and a sine cannot be told apart.
    """
    time, offsets = _known(years, values)
    if len(time) < 20 or np.ptp(time) < 2.0:
        return None
    middle = float((time.min() + time.max()) / 2)
    # Powers of a time within one of zero keep the matrix in condition.
    reach = float(np.ptp(time) / 2)
    powers = np.array([1.0, reach, reach**2, reach**3, 1.0, 1.0])
    terms = _terms(time - middle) / powers
    weights = np.ones(len(offsets))
    # Huber's weights: a value counts less the further it is beyond 1.345 standard deviations.
    for _ in range(_REPEATS):
        root = np.sqrt(weights)
        fitted = np.linalg.lstsq(terms * root[:, None], offsets * root, rcond=None)[0]
        left = offsets - terms @ fitted
        scatter = spread_of(left)
        weights = 1.345 * scatter / np.maximum(np.abs(left), max(1.345 * scatter, 1e-12))
        weights = np.maximum(weights, 1e-6)
    covariance = scatter**2 * np.linalg.pinv(terms.T @ terms)
    return Seasonal(
        middle, fitted / powers, covariance / np.outer(powers, powers), len(time), scatter
    )


def without_season(years: ArrayLike, values: ArrayLike) -> Floats:
    """Values without their yearly sine, if that is there at five times its error.

    A season would else be taken for steps, twice a year.
    """
    fit = seasonal_fit(years, values)
    plain = np.asarray(values, float)
    if fit is None or fit.amplitude_arcsec < 5 * fit.amplitude_error_arcsec:
        return plain
    return plain - fit.season(years)


def spread_of(values: Floats) -> float:
    """Standard deviation from the median of absolute deviations; zero without values."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if len(values) else 0.0


def _terms(time: Floats) -> Floats:
    turn = 2 * np.pi * time
    return np.stack([np.ones_like(time), time, time**2, time**3, np.sin(turn), np.cos(turn)], -1)


def _known(years: ArrayLike, values: ArrayLike) -> tuple[Floats, Floats]:
    time, offsets = np.asarray(years, float), np.asarray(values, float)
    known = np.isfinite(time) & np.isfinite(offsets)
    return time[known], offsets[known]
