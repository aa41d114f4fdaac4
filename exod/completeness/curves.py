"""From trials to completeness curves and the counts for 50 and 90 % detection."""

from __future__ import annotations

from collections.abc import Hashable
from types import MappingProxyType
from typing import Any, Final, cast

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from exod.completeness.matching import ANY
from exod.schemas.arrays import Floats

PUBLISHED: Final = MappingProxyType(
    {5.0: (8.0, 15.0, 30.0), 50.0: (10.0, 22.0, 48.0), 200.0: (18.0, 45.0, 70.0)}
)
"""Counts for 50, 90 and 100 % detection by EXOD2 for time bins of 5, 50 and 200 s, read off a plot
(Khan et al. 2025, A&A 697, A50)."""

FALSE_REGIONS: Final = 1.0
"""False regions in an observation, all runs together, at which methods are compared."""

SERIES: Final = [
    *("method", "level", "source", "background", "off_axis", "depth", "duration", "kind")
]
"""What a completeness curve belongs to."""

_DRAWS: Final = 400
_SEED: Final = 20_250


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the observations of each point of the grid.

    Parameters
    ----------
    rows : DataFrame
        As `exod.stages.completeness.measure.collect` gives them.

    Returns
    -------
    DataFrame
        One row a point of the grid, method, level, source (injected or predicted) and kind of run:
        observations, trials, detected; fraction with fraction_low and fraction_high, its 68 per
        cent interval; injected and selected, the mean counts of a burst as simulated and as the
        search uses them (NaN for predictions); n_false, false regions in an observation; seconds,
        of all tasks of the point.
    """
    keys = [*SERIES, "amplitude"]
    depth = rows["depth"].fillna(0.0) if "depth" in rows else 0.0
    rows = rows.assign(depth=depth)
    grouped = rows.groupby(keys, dropna=False, sort=True)
    table = grouped.agg(
        observations=("number", "size"),
        trials=("trials", "sum"),
        detected=("detected", "sum"),
        injected=("injected", _total),
        selected=("selected", _total),
        n_false=("n_false", "mean"),
        seconds=("seconds", "sum"),
    ).reset_index()
    table["injected"] /= table["trials"]
    table["selected"] /= table["trials"]
    table["fraction"] = table["detected"] / table["trials"]
    low, high = wilson(table["detected"].to_numpy(float), table["trials"].to_numpy(float))
    return table.assign(fraction_low=low, fraction_high=high)


def _total(values: pd.Series[Any]) -> float:
    return float(values.sum(skipna=False))


def pooled(table: pd.DataFrame, *, over: list[str]) -> pd.DataFrame:
    """Add up the rows of a table of `summarise` that differ only in the columns `over`."""
    keys = [name for name in [*SERIES, "amplitude"] if name not in over]
    result = table.groupby(keys, sort=True)[["trials", "detected"]].sum().reset_index()
    result["fraction"] = result["detected"] / result["trials"]
    low, high = wilson(result["detected"].to_numpy(float), result["trials"].to_numpy(float))
    return result.assign(fraction_low=low, fraction_high=high)


def wilson(detected: Floats, trials: Floats) -> tuple[Floats, Floats]:
    """68 per cent interval of a fraction (Wilson 1927), also where all or none were detected.

    Examples
    --------
    >>> low, high = wilson(np.array([0.0, 10.0]), np.array([10.0, 20.0]))
    >>> low.round(3), high.round(3)
    (array([0.   , 0.391]), array([0.091, 0.609]))
    """
    share = detected / trials
    scale = 1 + 1 / trials
    middle = (share + 0.5 / trials) / scale
    half = np.sqrt(share * (1 - share) / trials + 0.25 / trials**2) / scale
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def counts_needed(table: pd.DataFrame) -> pd.DataFrame:
    """Counts for 50 and 90 % detection of each curve.

    Parameters
    ----------
    table : DataFrame
        From `summarise` or `pooled`; its columns of `SERIES` tell curves apart.

    Returns
    -------
    DataFrame
        Those columns, and n50, n50_low, n50_high and the same for n90, see `needed`.
    """
    names = [name for name in SERIES if name in table.columns]
    results = []
    for key, curve in table.sort_values("amplitude").groupby(names, sort=True):
        row: dict[Hashable, Any] = dict(zip(names, cast("tuple[Hashable]", key), strict=True))
        counts, detected, trials = (
            curve[name].to_numpy(float) for name in ("amplitude", "detected", "trials")
        )
        for name, fraction in (("n50", 0.5), ("n90", 0.9)):
            value, low, high = needed(counts, detected, trials, fraction)
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        results.append(row)
    return pd.DataFrame(results)


def needed(
    amplitude: Floats, detected: Floats, trials: Floats, fraction: float
) -> tuple[float, float, float]:
    """Counts at which a fraction of bursts is found.

    Parameters
    ----------
    amplitude : ndarray of float64, shape (n,)
        Counts, ascending.
    detected, trials : ndarray of float64, shape (n,)
        Numbers.
    fraction : float
        Between 0 and 1.

    Returns
    -------
    value, low, high : float
        The counts and their 68 per cent interval. Below the smallest amplitude 0, above the
        largest infinite.

    Notes
    -----
    The curve is the monotone regression of the fractions, linear in the logarithm of the counts
    between amplitudes. The interval is that of curves through draws from the posterior of each
    fraction (beta distributions, Jeffreys prior).

    Examples
    --------
    >>> counts = np.array([5.0, 10.0, 20.0])
    >>> value, low, high = needed(counts, np.array([10.0, 30.0, 95.0]), np.full(3, 100.0), 0.5)
    >>> round(value, 1), round(low, 1), round(high, 1)
    (12.4, 11.9, 12.8)
    """
    value = _crossing(amplitude, detected / trials, trials, fraction)
    generator = np.random.default_rng(_SEED)
    draws = generator.beta(detected + 0.5, trials - detected + 0.5, (_DRAWS, len(trials)))
    crossings = np.sort([_crossing(amplitude, draw, trials, fraction) for draw in draws])
    low, high = (crossings[round(q * (_DRAWS - 1))] for q in (0.16, 0.84))
    return value, min(float(low), value), max(float(high), value)


def _crossing(amplitude: Floats, share: Floats, trials: Floats, fraction: float) -> float:
    """Where the monotone curve reaches a fraction."""
    curve = isotonic_regression(share, weights=trials).x
    if curve[0] >= fraction:
        return 0.0
    if curve[-1] < fraction:
        return float("inf")
    upper = int(np.argmax(curve >= fraction))
    low, high = np.log(amplitude[upper - 1 : upper + 1])
    part = (fraction - curve[upper - 1]) / (curve[upper] - curve[upper - 1])
    return float(np.exp(low + part * (high - low)))


def comparable_levels(table: pd.DataFrame) -> pd.DataFrame:
    """For each method and background the level that gives up to one false region, but no more.

    Parameters
    ----------
    table : DataFrame
        From `summarise`.

    Returns
    -------
    DataFrame
        method, background, level and n_false, of all runs together and the mean over the grid:
        the most below `FALSE_REGIONS`, or the fewest if all levels give more.
    """
    rows = table[(table["source"] == "injected") & (table["kind"] == ANY)]
    means = rows.groupby(["method", "background", "level"], sort=True)["n_false"].mean()
    chosen = []
    for _, own in means.reset_index().groupby(["method", "background"], sort=True):
        few = own[own["n_false"] <= FALSE_REGIONS]
        chosen.append(few.nlargest(1, "n_false") if len(few) else own.nsmallest(1, "n_false"))
    return pd.concat(chosen, ignore_index=True)


def agreement(table: pd.DataFrame) -> pd.DataFrame:
    """Injected against predicted fractions, point by point.

    Parameters
    ----------
    table : DataFrame
        From `summarise`.

    Returns
    -------
    DataFrame
        The grid, fraction_injected, fraction_predicted, difference (injected - predicted), and
        error, the standard deviation of the difference: binomial, with the predicted fraction and
        half a trial added so that it is never zero.
    """
    keys = [name for name in [*SERIES, "amplitude"] if name != "source"]
    injected, predicted = (
        table.loc[table["source"] == source, [*keys, "fraction", "trials"]]
        for source in ("injected", "predicted")
    )
    both = injected.merge(predicted, on=keys, suffixes=("_injected", "_predicted"))
    n, m = both["trials_injected"], both["trials_predicted"]
    share = (both["fraction_predicted"] * m + 0.5) / (m + 1)
    both["difference"] = both["fraction_injected"] - both["fraction_predicted"]
    both["error"] = np.sqrt(share * (1 - share) * (1 / n + 1 / m))
    return both.drop(columns=["trials_injected", "trials_predicted"])
