"""Whether offsets change with time: half-year medians, steps, a seasonal fit.

Offsets of one observation share the error of its frame, so that what is tested is one value an
observation. A step is looked for with the scores of a noise that has wild values: nearly the ratio
of the likelihoods with and without a step there. How often chance has one as large was simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats

BOX: Final = (15.8, 84.2)
"""Percentiles that hold one standard deviation to either side of a normal distribution."""

HALF_YEAR: Final = 0.5
"""Width of a bin of the history, years; bins begin with January and July."""

ALERTS_PER_YEAR: Final = 0.04
"""Alerts in a monitored year that chance may give; docs/astrometry.md has what it does give."""

ALERT_SIZE: Final = 0.1
"""Smallest step that is told, arcsec; with thousands of observations chance has none so small."""

LEAST: Final = 5
"""Observations that there must be before and after a step."""

_SCORES: Final = (0.0, 2.0, 3.5), (0.0, 2.0, 1.0)
"""Values in standard deviations, and what they count as. Beyond two they are more and more probably
wild; those that are wild count a little, so that a step of many standard deviations is seen."""

_CHANCE: Final = (2.65, -0.478, 0.315, 0.032, -0.105)
"""Logarithm of the steps a year by chance, of Z the statistic and L the logarithm of observations
a year over 80: the constant, and factors of Z^2, L, L Z^2, L^2. Fitted to simulations of monthly
looks at noise with 5 % wild values, 5 to 1280 observations a year and Z of 3 to 4.2; at some rates
chance has a third less (docs/astrometry.md)."""

_RATES: Final = (5.0, 1280.0)
"""Observations a year within which that holds; beyond, the nearer one is taken."""

_SAME: Final = 1e-9
"""Offsets that differ by less, in arcsec, are the same."""

_HALVINGS: Final = 40
"""Of the interval in which the scatter besides the errors is looked for."""

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
    chance_per_year : float
        How many steps as significant chance gives in a year of this series.
    """

    year: float
    size_arcsec: float
    error_arcsec: float
    n_before: int
    n_after: int
    chance_per_year: float


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
    chance_per_year: float = ALERTS_PER_YEAR / 2,
    *,
    errors: ArrayLike | None = None,
    smallest: float = ALERT_SIZE,
    least: int = LEAST,
) -> list[Step]:
    """Steps of a series, one after the other.

    The series is divided where the scores before and after differ most, if chance rarely gives so
    large a difference to those who look each month; then either part is divided.

    Parameters
    ----------
    years, values : array_like of float, shape (n,)
        Decimal years and offsets in arcsec, one an observation, in any order; pairs with NaN are
        left out.
    chance_per_year : float
        How many steps chance may give in a year of monitoring; by default the half of what all
        alerts may be, for two axes.
    errors : array_like of float, shape (n,), optional
        Standard errors of the values, arcsec, which then count by them; the scatter that
        observations have besides is found. Without errors, and where one is NaN, it is zero.
    smallest : float
        Smallest difference of the medians before and after, arcsec, at which a part is divided.
    least : int
        Observations before and after a step at least.

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
    time, offsets = np.asarray(years, float), np.asarray(values, float)
    known = np.isfinite(time) & np.isfinite(offsets)
    given = np.zeros(len(time)) if errors is None else np.nan_to_num(np.asarray(errors, float))
    order = np.lexsort((given[known], offsets[known], time[known]))
    time, offsets, given = (side[known][order] for side in (time, offsets, given))
    edges, todo, found = [0, len(time)], [(0, len(time))], {}
    while todo:
        first, last = todo.pop()
        part = slice(first, last)
        spread = np.ptp(offsets[part]) if last > first else 0.0
        if last - first < 2 * least or spread < max(smallest, _SAME) or np.ptp(time[part]) == 0:
            continue
        place, statistic = _divided(time[part], *_scores(offsets[part], given[part]), least)
        middle = first + place
        chance = _steps_by_chance(statistic, (last - first) / np.ptp(time[part]))
        size = np.median(offsets[middle:last]) - np.median(offsets[first:middle])
        if chance <= chance_per_year and abs(size) >= smallest:
            found[middle] = chance
            edges.append(middle)
            todo += [(first, middle), (middle, last)]
    edges.sort()
    return [
        _step(time, offsets, (before, middle, after), found[middle])
        for before, middle, after in zip(edges, edges[1:], edges[2:], strict=False)
    ]


def _scores(values: Floats, errors: Floats) -> tuple[Floats, Floats]:
    """How much each value says that the level is above the median, and its information.

    Shapes (n,) each: nearly the derivative of the logarithm of the likelihood, and the weights.
    """
    residuals = values - np.median(values)
    # Without a spread, as of values most of which are equal, any width will do: scores are scaled.
    usual = spread_of(values) or np.ptp(values)
    width = np.full(len(values), usual)
    if errors.any():
        errors = np.minimum(np.abs(errors), 100 * usual)
        # The scatter besides the errors is what makes the standardised values have spread one.
        # It is a tenth of all at least, so that no few observations count alone.
        low, high = 0.1 * usual, usual
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            wide = np.median(np.abs(residuals) / np.hypot(middle, errors)) > 1 / 1.4826
            low, high = (middle, high) if wide else (low, middle)
        width = np.hypot(high, errors)
    plain, weight = residuals / width, usual / width
    return np.sign(plain) * np.interp(np.abs(plain), *_SCORES) * weight, np.square(weight)


def _divided(time: Floats, scores: Floats, information: Floats, least: int) -> tuple[int, float]:
    """Where a series in order of time is divided best, and the statistic there.

    It is the sum of scores before a place, without what the mean has there, over its standard
    deviation. Between observations of the same time there is no place: zero without any.
    """
    n = len(time)
    centred = scores - information * scores.sum() / information.sum()
    before = np.cumsum(information)[:-1]
    share = before / information.sum()
    variance = (np.square(centred) / information).sum() / (n - 1) * before * (1 - share)
    statistic = np.abs(np.cumsum(centred)[:-1]) / np.sqrt(np.maximum(variance, 1e-300))
    statistic[(np.diff(time) <= 0) | (np.arange(1, n) < least) | (np.arange(1, n) > n - least)] = 0
    place = int(statistic.argmax())
    return place + 1, float(statistic[place])


def _steps_by_chance(statistic: float, per_year: float) -> float:
    """Steps as significant that chance gives in a year of so many observations."""
    rate = float(np.log(np.clip(per_year, *_RATES) / 80))
    terms = 1.0, statistic**2, rate, rate * statistic**2, rate**2
    return float(np.exp(np.dot(_CHANCE, terms)))


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
        chance_per_year=chance,
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
