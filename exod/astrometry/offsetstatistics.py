"""How large offsets are: radial distribution with quantiles and their errors, rms by years."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats

RADIAL_EDGES: Final = np.linspace(0.0, 3.0, 301)
"""Bins of the radial distribution, arcsec; those of the pages of astromon."""

MARKS: Final = (68.0, 90.0, 99.0)
"""Percentages at which radii are told."""

BOOTSTRAPS: Final = 500
"""Samples of observations, drawn with replacement, that errors follow from."""

PERIODS: Final = (
    ("all", np.inf, 0.0),
    ("last 5 years", 5.0, 0.0),
    ("4 to 2 years", 4.0, 2.0),
    ("last 2 years", 2.0, 0.0),
)
"""Periods of the table of rms: name, and years before the end at which they begin and end."""

_ONE_SIGMA: Final = (15.865, 84.135)


@dataclass(frozen=True)
class RadialDistribution:
    """Shares of offsets within radii, with bands of one standard deviation.

    Attributes
    ----------
    n : int
        Offsets.
    share, low, high : ndarray of float64, shape (300,)
        Shares within the upper edge of each bin of `RADIAL_EDGES`, and their band.
    quantiles : DataFrame
        Index percent (`MARKS`); columns radius, low, high in arcsec. A radius is exact; ends of
        its band beyond the last bin are NaN.
    worst : float
        Largest offset, arcsec.
    """

    n: int
    share: Floats
    low: Floats
    high: Floats
    quantiles: pd.DataFrame
    worst: float


def radial_distribution(
    radii: ArrayLike, observations: ArrayLike, *, bootstraps: int = BOOTSTRAPS, seed: int = 0
) -> RadialDistribution | None:
    """The radial distribution of offsets.

    Parameters
    ----------
    radii : array_like of float, shape (n,)
        Lengths of the offsets, arcsec; NaN is left out.
    observations : array_like, shape (n,)
        Their observations. These are drawn, since offsets of one observation are not independent.
    bootstraps : int
        How many times observations are drawn.
    seed : int
        Of the draws.

    Returns
    -------
    RadialDistribution or None
        None if there is no offset.

    Examples
    --------
    >>> found = radial_distribution([0.2, 0.4, 0.6, 0.8], [1, 2, 3, 4])
    >>> float(found.share[49]), round(float(found.quantiles.loc[90, "radius"]), 2)
    (0.5, 0.74)
    """
    length, owner = np.asarray(radii, float), np.asarray(observations)
    known = np.isfinite(length)
    length, owner = length[known], owner[known]
    if not len(length):
        return None
    _, number = np.unique(owner, return_inverse=True)
    # One place more than the bins, for what is beyond; an edge belongs to the bin below it.
    place = np.searchsorted(RADIAL_EDGES[1:], length, side="left")
    counts = np.zeros((number.max() + 1, len(RADIAL_EDGES)))
    np.add.at(counts, (number, place), 1.0)
    random = np.random.default_rng(seed)
    weights = random.multinomial(
        len(counts), np.full(len(counts), 1 / len(counts)), size=bootstraps
    )
    sums = np.cumsum(weights @ counts, axis=1)
    drawn = sums[:, :-1] / sums[:, -1:]
    low, high = np.percentile(drawn, _ONE_SIGMA, axis=0)
    share = np.cumsum(counts.sum(axis=0))[:-1] / len(length)
    return RadialDistribution(
        len(length), share, low, high, _quantiles(length, drawn), float(length.max())
    )


def _quantiles(length: Floats, drawn: Floats) -> pd.DataFrame:
    """Radii of the marks, and their bands from the shares that were drawn."""
    rows = {}
    for percent in MARKS:
        # The first bin in which the share is reached; interpolated within it.
        reached = drawn >= percent / 100 - 1e-12
        bins = np.where(reached.any(axis=1), reached.argmax(axis=1), -1)
        row = np.arange(len(drawn))
        above = drawn[row, bins]
        below = np.where(bins > 0, drawn[row, bins - 1], 0.0)
        part = (percent / 100 - below) / np.maximum(above - below, 1e-12)
        radius = (RADIAL_EDGES[bins] + part.clip(0, 1) * RADIAL_EDGES[1])[bins >= 0]
        # What lies beyond the bins is larger than any radius within.
        radius = np.sort(np.concatenate([radius, np.full((bins < 0).sum(), np.inf)]))
        ends = [radius[round(end / 100 * (len(radius) - 1))] for end in _ONE_SIGMA]
        found = np.percentile(length, percent)
        rows[percent] = (
            float(found),
            *(float(end) if np.isfinite(end) else np.nan for end in ends),
        )
    return pd.DataFrame.from_dict(rows, orient="index", columns=["radius", "low", "high"])


def rms_table(offsets: pd.DataFrame, end: float | None = None) -> pd.DataFrame:
    """Numbers, rms, 90 % radius and share beyond 1 arcsec, by period and detector.

    Parameters
    ----------
    offsets : DataFrame
        Columns year (decimal), detector and dr (arcsec); rows with NaN in dr are left out. With
        a column weight that has no NaN all numbers but n are of weighted offsets.
    end : float, optional
        Decimal year that the last years count back from; by default that of the last offset.

    Returns
    -------
    DataFrame
        A row for each of `PERIODS` and for all detectors and, of several, each: period, detector
        ("all" first), n, rms, q90 (arcsec; NaN without offsets) and beyond, the per cent of
        offsets that are longer than 1 arcsec.
    """
    known = offsets[np.isfinite(offsets["dr"].to_numpy(float))]
    year = known["year"].to_numpy(float)
    last = float(year.max(initial=-np.inf)) if end is None else end
    detectors = sorted(set(known["detector"]))
    rows = []
    for name, begin, until in PERIODS:
        # Also the first instant of a period that begins so long before its end.
        within = (year >= last - begin) & ((year < last - until) | (until == 0.0))
        within &= year <= last
        for detector in ("all", *(detectors if len(detectors) > 1 else ())):
            chosen = within & ((known["detector"] == detector) | (detector == "all"))
            rows.append({"period": name, "detector": detector, **_rms(known[chosen])})
    return pd.DataFrame(rows)


def _rms(offsets: pd.DataFrame) -> dict[str, float]:
    values = offsets["dr"].to_numpy(float)
    weights = offsets["weight"].to_numpy(float) if "weight" in offsets else np.array([np.nan])
    is_weighted = bool(np.isfinite(weights).all())
    if not len(values) or (is_weighted and not weights.sum() > 0):
        return {"n": len(values), "rms": np.nan, "q90": np.nan, "beyond": np.nan}
    if is_weighted:
        q90 = np.quantile(values, 0.9, weights=weights, method="inverted_cdf")
        return {
            "n": len(values),
            "rms": float(np.sqrt(np.average(values**2, weights=weights))),
            "q90": float(q90),
            "beyond": float(100 * np.average(values > 1.0, weights=weights)),
        }
    return {
        "n": len(values),
        "rms": float(np.sqrt(np.square(values).mean())),
        "q90": float(np.percentile(values, 90)),
        "beyond": float(100 * (values > 1.0).mean()),
    }


def by_observation(offsets: pd.DataFrame) -> pd.DataFrame:
    """One row an observation and detector: medians of its offsets.

    Parameters
    ----------
    offsets : DataFrame
        Columns obsid, detector, year, dy, dz, and any other numbers.

    Returns
    -------
    DataFrame
        Columns obsid, detector, n, and the medians of all columns of numbers, in order of year.
    """
    groups = offsets.groupby(["obsid", "detector"], sort=True)
    medians = groups.median(numeric_only=True)
    medians.insert(0, "n", groups.size())
    return medians.reset_index().sort_values("year", kind="stable", ignore_index=True)
